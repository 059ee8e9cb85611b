//! Settings that are legal and dangerous, or that contradict the machine: what `check-config` lets pass.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use lychgate_core::{Force, Mode};

use super::finding::Finding;
use super::machine::{Disk, Machine};
use crate::config::agents::AgentKind;
use crate::config::{Config, Environment, JournalKind, Tls};

/// Certificates are renewed a month before their end, as ACME clients do: later, something has gone wrong.
const SOON: Duration = Duration::from_secs(14 * 24 * 3_600);
/// After which many proxies and load balancers close a silent connection, less a jitter of 10 per cent.
const PROXY_IDLE: Duration = Duration::from_secs(54);
/// What the journal needs at the least, and what it should have.
const SCARCE: u64 = 64 * 1_024 * 1_024;
const LITTLE: u64 = 512 * 1_024 * 1_024;
/// Connections that come while one turn of the accept loop is made.
const BACKLOG: u64 = 1_024;

/// Every check of a configuration that asks nobody.
pub(super) fn look(config: &Config, machine: &Machine) -> Vec<Finding> {
    let is_production = config.server.environment == Environment::Production;
    let mut findings = vec![descriptors(config, machine), memory(config, machine), backlog(machine)];
    findings.extend(journal(config, machine));
    findings.extend([
        admin(config),
        public_url(config),
        origins(config),
        tokens(config),
        heartbeat(config),
        demo(config, is_production),
        log_level(config, is_production),
        limits(config, is_production),
    ]);
    let tls = [("certificate", &config.server.tls), ("admin certificate", &config.server.admin_tls)];
    findings.extend(tls.into_iter().filter_map(|(check, tls)| Some(certificate(check, tls.as_ref()?))));
    findings
}

fn descriptors(config: &Config, machine: &Machine) -> Finding {
    const CHECK: &str = "descriptors";
    let Some(limit) = machine.descriptors else { return Finding::ok(CHECK, "there is no limit") };
    let sockets = limit.saturating_mul(config.server.max_descriptor_percent as u64) / 100;
    let strangers = config.server.max_unidentified as u64;
    let what = format!(
        "the process may open {limit} descriptors, which server.max_descriptor_percent makes {sockets} connections"
    );
    match sockets <= strangers {
        true => Finding::warning(
            CHECK,
            format!("{what}: not more than the {strangers} of server.max_unidentified, who are nobody yet"),
            "Raise the limit: LimitNOFILE=65536 in the systemd unit, or `ulimit -n 65536` before the start.",
        ),
        false => Finding::ok(CHECK, what),
    }
}

/// What the bounds allow at the worst, when every connection reads slowly.
fn memory(config: &Config, machine: &Machine) -> Finding {
    const CHECK: &str = "memory";
    let (Some(limit), Some(descriptors)) = (machine.memory, machine.descriptors) else {
        return Finding::ok(CHECK, "how much there is is not known");
    };
    let sockets = descriptors.saturating_mul(config.server.max_descriptor_percent as u64) / 100;
    let journal = match config.journal.kind {
        JournalKind::Memory => config.journal.max_bytes as u64,
        JournalKind::Sqlite | JournalKind::Redis => 0,
    };
    let explain = (config.explain.ledger_bytes + config.explain.feed_bytes) as u64;
    let most = sockets.saturating_mul(config.websocket.outbox_bytes as u64) + journal + explain;
    let what = format!("the bounds allow {} at the worst, and there are {}", bytes(most), bytes(limit));
    match most > limit {
        true => Finding::warning(
            CHECK,
            format!("{what}: {sockets} slow readers would have the kernel end the process"),
            "Lower server.max_descriptor_percent, websocket.outbox_bytes, journal.max_bytes or [explain], or give it more \
             memory.",
        ),
        false => Finding::ok(CHECK, what),
    }
}

fn backlog(machine: &Machine) -> Finding {
    const CHECK: &str = "accept queue";
    match machine.backlog {
        Some(backlog) if backlog < BACKLOG => Finding::warning(
            CHECK,
            format!("the kernel keeps {backlog} connections for a listener; a storm of reconnects has thousands"),
            "sysctl -w net.core.somaxconn=4096",
        ),
        Some(backlog) => Finding::ok(CHECK, format!("the kernel keeps {backlog} connections for a listener")),
        None => Finding::ok(CHECK, "its length is not known"),
    }
}

fn journal(config: &Config, machine: &Machine) -> Vec<Finding> {
    const CHECK: &str = "journal";
    let is_production = config.server.environment == Environment::Production;
    match (config.journal.kind, &machine.disk) {
        (JournalKind::Memory, _) if is_production => vec![Finding::warning(
            CHECK,
            "journal.kind is \"memory\": a restart forgets every conversation",
            "Set journal.kind = \"sqlite\" and journal.directory.",
        )],
        (JournalKind::Memory, _) => vec![Finding::ok(CHECK, "in memory")],
        (JournalKind::Redis, _) => vec![Finding::ok(CHECK, "in Redis, which is asked at the start")],
        (JournalKind::Sqlite, None) => vec![Finding::warning(
            CHECK,
            format!("nothing can be learned of {}", config.journal.directory.display()),
            "Make the directory, owned by whom the gateway runs as.",
        )],
        (JournalKind::Sqlite, Some(disk)) => disk_of_journal(disk),
    }
}

fn disk_of_journal(disk: &Disk) -> Vec<Finding> {
    const CHECK: &str = "journal";
    let place = disk.directory.display();
    let mut findings = Vec::new();
    if disk.is_memory {
        findings.push(Finding::wrong(
            CHECK,
            format!("{place} is in memory (tmpfs): the next start of this machine forgets every conversation"),
            "Name a directory on a disk in journal.directory.",
        ));
    }
    if disk.is_foreign {
        findings.push(Finding::wrong(
            CHECK,
            format!("{place} belongs to another user than the one who asks"),
            "Run as the user whom the gateway runs as, or give him the directory.",
        ));
    }
    if disk.is_memory {
        return findings;
    }
    let room = format!("{place} has {} free of {}", bytes(disk.free), bytes(disk.size));
    findings.push(match disk.free {
        0..SCARCE => Finding::wrong("disk", room, "Make room: a full disk ends runs, and the node is not ready."),
        SCARCE..LITTLE => Finding::warning("disk", room, "Make room, or set journal.retention_days."),
        _ => Finding::ok("disk", room),
    });
    if !disk.is_foreign {
        findings.push(Finding::ok(CHECK, format!("{place} is on a disk")));
    }
    findings
}

fn is_open(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn admin(config: &Config) -> Finding {
    const CHECK: &str = "admin listener";
    let address = config.server.admin_listen;
    match (is_open(address), &config.server.admin_tls) {
        (false, _) => Finding::ok(CHECK, "on loopback alone"),
        (true, None) => Finding::wrong(
            CHECK,
            format!(
                "{address} is open to the network without TLS: keys and tokens of operators can be read on the way"
            ),
            "Set server.admin_listen to loopback, or [server.admin_tls] with a client_ca_file.",
        ),
        (true, Some(_)) if !config.admin.metrics_need_key => Finding::warning(
            CHECK,
            format!("{address} is open to the network, and /metrics wants no key"),
            "Set admin.metrics_need_key = true, or keep the network out with a firewall.",
        ),
        (true, Some(_)) => Finding::ok(CHECK, "open to the network, with TLS and keys"),
    }
}

fn public_url(config: &Config) -> Finding {
    const CHECK: &str = "public address";
    let server = &config.server;
    let Some(url) = &server.public_url else {
        return Finding::ok(CHECK, "none is set, so nobody logs in with a browser");
    };
    let url = url.as_str();
    match (url.starts_with("https://"), &server.tls) {
        (false, Some(_)) => Finding::wrong(
            CHECK,
            format!("server.public_url is {url}, but [server.tls] has the listener speak TLS"),
            "Write https in server.public_url.",
        ),
        (true, None) if server.trusted_proxies.is_empty() => Finding::warning(
            CHECK,
            format!(
                "{url} is https and the listener is plain, so that a proxy must end TLS; none is in server.trusted_proxies, \
                 so that all users come from its one address, which may hold {} connections",
                server.max_connections_per_address
            ),
            "Name the proxy in server.trusted_proxies, or give the listener [server.tls].",
        ),
        (true | false, _) => Finding::ok(CHECK, url.to_owned()),
    }
}

fn origins(config: &Config) -> Finding {
    const CHECK: &str = "origins";
    let has_cookies = !config.login.providers.is_empty();
    match (has_cookies, config.auth.origins.is_empty()) {
        (true, true) => Finding::warning(
            CHECK,
            "browsers log in with cookies, and auth.origins is empty: any page may connect that has got hold of a token",
            "List your pages in auth.origins, such as [\"https://chat.example.org\"].",
        ),
        (true | false, _) => Finding::ok(CHECK, "as wide as they have to be"),
    }
}

fn tokens(config: &Config) -> Finding {
    const CHECK: &str = "tokens";
    match config.auth.all_issuers().len() {
        0 => Finding::warning(
            CHECK,
            "nobody's tokens are accepted: only browsers that log in can connect, no program and no app",
            "Set auth.jwt.secret_file or a table [auth.issuers.NAME], or leave it where only browsers come.",
        ),
        issuers => Finding::ok(CHECK, format!("of {issuers} issuers are accepted")),
    }
}

fn heartbeat(config: &Config) -> Finding {
    const CHECK: &str = "heartbeat";
    let every = config.limits.ping_interval;
    match every >= PROXY_IDLE {
        true => Finding::warning(
            CHECK,
            format!("liveness.ping_interval is {} s: many proxies close what is silent for 60 s", every.as_secs()),
            "Set liveness.ping_interval to \"45s\" or less; the default is \"20s\".",
        ),
        false => Finding::ok(CHECK, format!("every {} s", every.as_secs())),
    }
}

fn demo(config: &Config, is_production: bool) -> Finding {
    const CHECK: &str = "default agent";
    let default = &config.agents.default;
    let is_demo = config.agents.named.get(default).is_some_and(|agent| matches!(agent.kind, AgentKind::Demo(_)));
    match is_demo && is_production {
        true => Finding::warning(
            CHECK,
            format!("{default:?} is the built-in demo, which knows nothing, and server.environment is \"production\""),
            "Add a table [agents.NAME] and name it in agents.default.",
        ),
        false => Finding::ok(CHECK, default.clone()),
    }
}

fn log_level(config: &Config, is_production: bool) -> Finding {
    const CHECK: &str = "log";
    let level = &config.log.level;
    match is_production && level.to_ascii_lowercase().contains("trace") {
        true => Finding::warning(
            CHECK,
            format!("log.level is {level:?} in production: a line for each message, and what people wrote among them"),
            "Set log.level = \"info\".",
        ),
        false => Finding::ok(CHECK, level.clone()),
    }
}

fn limits(config: &Config, is_production: bool) -> Finding {
    const CHECK: &str = "limits";
    match (config.limits.mode, config.limits.force) {
        (Mode::Shadow, _) if is_production => Finding::warning(
            CHECK,
            "limits.mode is \"shadow\": limits are told and not enforced",
            "Set limits.mode = \"enforce\" when you have seen enough.",
        ),
        (_, Force::Never) => Finding::warning(
            CHECK,
            "limits.force is \"never\": a user whose sessions all live is locked out until one of them ends",
            "Set limits.force = \"evict\".",
        ),
        (Mode::Enforce | Mode::Shadow, Force::Evict) => {
            Finding::ok(CHECK, format!("{} sessions per user", config.limits.max_sessions_per_user))
        }
    }
}

fn certificate(check: &'static str, tls: &Tls) -> Finding {
    let left = match tls.expires() {
        Ok(end) => end.duration_since(SystemTime::now()).unwrap_or_default(),
        Err(fault) => return Finding::wrong(check, fault.to_string(), "Name a certificate that can be read."),
    };
    let days = left.as_secs() / (24 * 3_600);
    match left < SOON {
        true => Finding::warning(
            check,
            format!("it expires in {days} days"),
            "Renew it; a new pair of files is taken up within seconds.",
        ),
        false => Finding::ok(check, format!("it is good for {days} days")),
    }
}

fn bytes(count: u64) -> String {
    const MIB: u64 = 1_024 * 1_024;
    match count / MIB {
        0 => format!("{} KiB", count / 1_024),
        mib @ 1..10_240 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib / 1_024),
    }
}

#[cfg(test)]
mod tests;
