use super::*;
use crate::cli::doctor::finding::Grade;

const GIB: u64 = 1_024 * 1_024 * 1_024;

fn machine() -> Machine {
    let disk =
        Disk { directory: "/var/lib/x".into(), is_memory: false, free: 10 * GIB, size: 20 * GIB, is_foreign: false };
    Machine { descriptors: Some(65_536), memory: Some(16 * GIB), backlog: Some(4_096), disk: Some(disk) }
}

/// A configuration that nothing is wrong with, with these lines beside it.
fn config(lines: &str) -> Config {
    let default = if lines.starts_with("agents.default") { "" } else { "agents.default = \"main\"" };
    let text = format!(
        "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\nagents.main.kind = \"agui\"\n\
         agents.main.url = \"http://127.0.0.1:1/\"\n{default}\n{lines}"
    );
    Config::from_toml(&text).unwrap()
}

fn found(config: &Config, machine: &Machine) -> Vec<(&'static str, Grade)> {
    let findings = look(config, machine);
    findings
        .iter()
        .filter(|finding| finding.grade != Grade::Ok)
        .map(|finding| {
            assert!(!finding.fix.is_empty(), "{finding:?}");
            (finding.check, finding.grade)
        })
        .collect()
}

#[test]
fn the_defaults_on_a_machine_for_servers_need_no_doctor() {
    assert_eq!(found(&config(""), &machine()), []);
}

#[test]
fn each_setting_that_is_legal_and_dangerous_is_found_by_itself() {
    let provider = "login.providers.x.issuer_url = \"https://login.example.org\"\nlogin.providers.x.client_id = \"c\"\n\
                    server.public_url = \"https://chat.example.org\"\n\
                    server.trusted_proxies = [\"10.0.0.0/8\"]\nauth.shared_users = true";
    for (lines, check, grade) in [
        ("server.admin_listen = \"0.0.0.0:8788\"", "admin listener", Grade::Wrong),
        ("server.public_url = \"https://chat.example.org\"", "public address", Grade::Warning),
        (provider, "origins", Grade::Warning),
        (
            "liveness.ping_interval = \"60s\"\nliveness.tcp_keepalive = \"90s\"\nliveness.tcp_user_timeout = \"3m\"",
            "heartbeat",
            Grade::Warning,
        ),
        ("agents.default = \"demo\"", "default agent", Grade::Warning),
        ("log.level = \"info,lychgate::ws=trace\"", "log", Grade::Warning),
        ("limits.mode = \"shadow\"", "limits", Grade::Warning),
        ("limits.force = \"never\"", "limits", Grade::Warning),
        ("journal.kind = \"memory\"", "journal", Grade::Warning),
        ("websocket.outbox_bytes = 1073741824", "memory", Grade::Warning),
        ("server.max_unidentified = 100000", "descriptors", Grade::Warning),
    ] {
        assert_eq!(found(&config(lines), &machine()), [(check, grade)], "{lines}");
    }
}

#[test]
fn what_is_dangerous_in_production_alone_is_no_matter_elsewhere() {
    let config = config(
        "server.environment = \"development\"\njournal.kind = \"memory\"\nlog.level = \"trace\"\nlimits.mode = \"shadow\"",
    );
    assert_eq!(found(&config, &machine()), []);
}

#[test]
fn each_thing_that_the_machine_lacks_is_found_by_itself() {
    let disk = |change: fn(&mut Disk)| {
        let mut machine = machine();
        machine.disk.as_mut().map(change);
        machine
    };
    for (machine, check, grade) in [
        (Machine { descriptors: Some(1_024), ..machine() }, "descriptors", Grade::Warning),
        (Machine { memory: Some(GIB), ..machine() }, "memory", Grade::Warning),
        (Machine { backlog: Some(128), ..machine() }, "accept queue", Grade::Warning),
        (Machine { disk: None, ..machine() }, "journal", Grade::Warning),
        (disk(|disk| disk.is_memory = true), "journal", Grade::Wrong),
        (disk(|disk| disk.is_foreign = true), "journal", Grade::Wrong),
        (disk(|disk| disk.free = GIB / 4), "disk", Grade::Warning),
        (disk(|disk| disk.free = 1), "disk", Grade::Wrong),
    ] {
        assert_eq!(found(&config(""), &machine), [(check, grade)], "{machine:?}");
    }
}

#[test]
fn a_machine_of_which_nothing_is_known_contradicts_nothing() {
    let unknown = Machine { disk: machine().disk, ..Machine::default() };
    assert_eq!(found(&config(""), &unknown), []);
}
