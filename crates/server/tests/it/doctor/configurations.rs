//! Faults in a configuration, or between it, its machine and its neighbours.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use super::neighbour::{answering, date};
use super::{nothing, only};
use crate::command::{Said, run, run_as};
use crate::gateway::SECRET;
use crate::readiness::Place;

/// A configuration that nothing is wrong with, in a directory of its own.
struct Plan {
    place: Place,
    lines: Vec<(String, String)>,
}

impl Plan {
    /// With an agent that answers, on a machine that the bounds fit.
    async fn healthy(name: &str) -> Self {
        let place = Place::new(name);
        std::fs::create_dir_all(place.0.join("data")).unwrap();
        let agent = answering(format!("200 OK\r\ndate: {}", date(0)), "{}").await;
        let mut plan = Self { place, lines: Vec::new() };
        let data = plan.place.0.join("data").display().to_string();
        for (key, value) in [
            ("server.environment", r#""production""#.to_owned()),
            ("server.max_descriptor_percent", "5".to_owned()),
            ("server.max_unidentified", "10".to_owned()),
            ("auth.jwt.secret", format!("{SECRET:?}")),
            ("journal.directory", format!("{data:?}")),
            ("agents.default", r#""main""#.to_owned()),
            ("agents.main.kind", r#""openai""#.to_owned()),
            ("agents.main.base_url", format!("\"http://{agent}/v1\"")),
            ("agents.main.model", r#""m""#.to_owned()),
        ] {
            plan.set(key, &value);
        }
        plan
    }

    fn set(&mut self, key: &str, value: &str) {
        self.lines.retain(|(known, _)| known != key);
        self.lines.push((key.to_owned(), value.to_owned()));
    }

    fn file(&self) -> PathBuf {
        let path = self.place.0.join("lychgate.toml");
        let lines: Vec<_> = self.lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        path
    }

    async fn doctor(&self) -> Said {
        let file = self.file();
        run(&["doctor", "--json", "--config", file.to_str().unwrap()], &[]).await
    }
}

/// A port of loopback where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_healthy_configuration_needs_nothing() {
    let plan = Plan::healthy("doctor-healthy").await;
    let said = plan.doctor().await;
    nothing(&said);
    assert_eq!(said.code, Some(0), "{said:?}");
    let file = plan.file();
    let people = run(&["doctor", "--config", file.to_str().unwrap()], &[]).await;
    assert!(people.out.ends_with("Nothing to mend.\n"), "{people:?}");
}

/// Key, value, and the finding that they lead to.
const PLANTED: [(&str, &str, &str, &str); 8] = [
    ("server.admin_listen", r#""0.0.0.0:0""#, "admin listener", "open to the network without TLS"),
    ("server.public_url", r#""https://chat.example.org""#, "public address", "none is in server.trusted_proxies"),
    ("liveness.ping_interval", r#""59s""#, "heartbeat", "many proxies close what is silent for 60 s"),
    ("log.level", r#""trace""#, "log", "a line for each message"),
    ("agents.default", r#""demo""#, "default agent", "is the built-in demo"),
    ("websocket.outbox_bytes", "1099511627776", "memory", "would have the kernel end the process"),
    ("limits.force", r#""never""#, "limits", "is locked out"),
    ("server.max_sockets", "1", "configuration", "server.max_sockets"),
];

#[tokio::test]
async fn each_fault_that_is_planted_in_a_key_is_found_and_nothing_else() {
    for (key, value, check, says) in PLANTED {
        let mut plan = Plan::healthy("doctor-keys").await;
        plan.set(key, value);
        if key == "liveness.ping_interval" {
            plan.set("liveness.tcp_user_timeout", r#""5m""#);
        }
        only(&plan.doctor().await, check, says);
    }
}

#[tokio::test]
async fn a_descriptor_limit_below_the_bounds_is_found() {
    let plan = Plan::healthy("doctor-descriptors").await;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"ulimit -n 100 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_lychgate")]);
    let file = plan.file();
    let said = run_as(shell, &["doctor", "--json", "--config", file.to_str().unwrap()], &[]).await;
    only(&said, "descriptors", "the process may open 100 descriptors");
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_found() {
    let mut plan = Plan::healthy("doctor-certificate").await;
    let mut wanted = rcgen::CertificateParams::new(vec!["chat.example.org".to_owned()]).unwrap();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(5 * 24 * 3_600 + 3_600);
    wanted.not_after = soon.into();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = wanted.self_signed(&key).unwrap();
    for (name, pem) in [("certificate_file", certificate.pem()), ("key_file", key.serialize_pem())] {
        let path = plan.place.0.join(name);
        std::fs::write(&path, pem).unwrap();
        plan.set(&format!("server.tls.{name}"), &format!("{:?}", path.display().to_string()));
    }
    only(&plan.doctor().await, "certificate", "it expires in 5 days");
}

#[tokio::test]
async fn a_journal_in_memory_is_found() {
    let mut plan = Plan::healthy("doctor-tmpfs").await;
    plan.set("journal.directory", r#""/dev/shm/lychgate-doctor""#);
    only(&plan.doctor().await, "journal", "is in memory (tmpfs)");
}

#[tokio::test]
async fn an_agent_that_is_not_there_and_one_that_does_not_know_the_key_are_found() {
    let mut plan = Plan::healthy("doctor-agent").await;
    plan.set("agents.main.base_url", &format!("\"http://{}/v1\"", nobody()));
    only(&plan.doctor().await, "agent", "main: it cannot be reached");
    let stranger = answering("401 Unauthorized".to_owned(), "{}").await;
    plan.set("agents.main.base_url", &format!("\"http://{stranger}/v1\""));
    only(&plan.doctor().await, "agent", "main: it answers with status 401");
}

#[tokio::test]
async fn an_issuer_whose_keys_cannot_be_had_is_found() {
    let mut plan = Plan::healthy("doctor-issuer").await;
    plan.set("auth.shared_users", "true");
    plan.set("auth.issuers.web.issuer", r#""https://login.example.org/""#);
    plan.set("auth.issuers.web.audience", r#""chat""#);
    plan.set("auth.issuers.web.jwks_url", &format!("\"http://{}/keys\"", nobody()));
    only(&plan.doctor().await, "issuer", "web: its keys cannot be had");
    let page = answering("200 OK".to_owned(), "<html>").await;
    plan.set("auth.issuers.web.jwks_url", &format!("\"http://{page}/keys\""));
    only(&plan.doctor().await, "issuer", "no set of keys");
}

#[tokio::test]
async fn a_webhook_that_nobody_listens_at_is_found_and_its_address_is_told_to_nobody() {
    let mut plan = Plan::healthy("doctor-webhook").await;
    let receiver = answering("200 OK".to_owned(), "").await;
    plan.set("alerts.webhooks.ops.kind", r#""generic""#);
    plan.set("alerts.webhooks.ops.url", &format!("\"http://{receiver}/hook\""));
    nothing(&plan.doctor().await);
    plan.set("alerts.webhooks.ops.url", &format!("\"http://{}/a-secret-path\"", nobody()));
    let said = plan.doctor().await;
    only(&said, "webhook", "ops: it cannot be reached");
    assert!(!said.out.contains("a-secret-path"), "{said:?}");
}

#[tokio::test]
async fn a_collector_of_traces_that_nobody_listens_at_is_found() {
    let mut plan = Plan::healthy("doctor-collector").await;
    let receiver = answering("200 OK".to_owned(), "").await;
    plan.set("traces.endpoint", &format!("\"http://{receiver}/v1/traces\""));
    nothing(&plan.doctor().await);
    plan.set("traces.endpoint", &format!("\"http://{}/v1/traces?key=geheim\"", nobody()));
    let said = plan.doctor().await;
    only(&said, "collector", "it cannot be reached");
    assert!(!said.out.contains("geheim"), "{said:?}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_found() {
    let mut plan = Plan::healthy("doctor-clock").await;
    let early = answering(format!("200 OK\r\ndate: {}", date(3_600)), "{}").await;
    plan.set("agents.main.base_url", &format!("\"http://{early}/v1\""));
    only(&plan.doctor().await, "clock", "agent main is 3");
}
