//! Faults of gateways that run, and of what stands between them and their users.

use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;

use super::neighbour::{Fault, answering, proxy};
use super::{nothing, only};
use crate::command::{Said, run};
use crate::gateway::{Gateway, READ_KEY, soon};
use crate::readiness::{HASTY, Place};

async fn doctor_at(admin: SocketAddr, key: &str, more: &[&str]) -> Said {
    let admin = format!("http://{admin}");
    run(&[&["doctor", "--json", "--admin", &admin], more].concat(), &[("LYCHGATE_KEY", key)]).await
}

async fn doctor(gateway: &Gateway) -> Said {
    doctor_at(gateway.admin, READ_KEY, &[]).await
}

#[tokio::test]
async fn a_healthy_gateway_needs_nothing_and_is_reached_through_a_proxy_that_works() {
    let gateway = Gateway::start(&[]).await;
    let door = format!("ws://{}", proxy(gateway.address, Fault::None).await);
    let said = doctor_at(gateway.admin, READ_KEY, &["--url", &door]).await;
    nothing(&said);
    let checks: Vec<_> = said.lines().iter().map(|line| line["check"].as_str().unwrap().to_owned()).collect();
    for check in ["reachable", "ready", "clock", "key", "users", "version", "websocket"] {
        assert!(checks.iter().any(|known| known == check), "{check}: {checks:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_found() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    only(&doctor_at(nobody, READ_KEY, &[]).await, "reachable", "does not answer");
}

#[tokio::test]
async fn something_else_at_that_address_is_found() {
    let other = answering("200 OK".to_owned(), "<html>It works!").await;
    only(&doctor_at(other, READ_KEY, &[]).await, "reachable", "no gateway of Lychgate");
}

#[tokio::test]
async fn a_key_that_the_gateway_does_not_know_is_found() {
    let gateway = Gateway::start(&[]).await;
    let said = doctor_at(gateway.admin, "lychgate_another-key", &[]).await;
    only(&said, "key", "does not know this key");
    assert!(!said.out.contains("lychgate_another-key"));
}

#[tokio::test]
async fn a_journal_that_another_program_holds_is_found() {
    let place = Place::new("doctor-held");
    let gateway = Gateway::start(&[&HASTY[..], &[&place.key()]].concat()).await;
    nothing(&doctor(&gateway).await);
    let held = place.hold();
    soon(async { while gateway.get("/readyz").await.0 == 200 {} }).await;
    only(&doctor(&gateway).await, "ready", "not ready: ");
    drop(held);
    soon(async { while gateway.get("/readyz").await.0 != 200 {} }).await;
    nothing(&doctor(&gateway).await);
}

#[tokio::test]
async fn a_gateway_that_drains_is_found() {
    let mut gateway = Gateway::start(&[r#"server.drain_timeout = "20s""#]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.run("t1", "r1", "stall").await;
    client.expect_event("TEXT_MESSAGE_CONTENT").await;
    gateway.process.signal(Signal::TERM);
    soon(async { while gateway.get("/readyz").await.0 == 200 {} }).await;
    only(&doctor(&gateway).await, "ready", "draining");
    // The second one is for at once.
    gateway.process.signal(Signal::TERM);
}

#[tokio::test]
async fn a_user_at_his_limit_is_found() {
    let gateway = Gateway::start(&["limits.max_sessions_per_user = 2"]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    nothing(&doctor(&gateway).await);
    client.open("t2").await;
    only(&doctor(&gateway).await, "users", "1 at their limit, 0 opens wait: \"ann\" (2 of 2)");
}

#[tokio::test]
async fn a_memory_of_decisions_that_is_too_small_is_found() {
    let gateway = Gateway::start(&["explain.ledger_bytes = 1"]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    only(&doctor(&gateway).await, "memory of decisions", "were forgotten");
}

#[tokio::test]
async fn a_proxy_that_strips_the_upgrade_is_found() {
    let gateway = Gateway::start(&[]).await;
    let door = format!("http://{}", proxy(gateway.address, Fault::StripsUpgrade).await);
    only(&doctor_at(gateway.admin, READ_KEY, &["--url", &door]).await, "websocket", "a proxy in between strips it");
}

#[tokio::test]
async fn a_proxy_that_swallows_what_clients_send_is_found() {
    let gateway = Gateway::start(&[]).await;
    let door = format!("ws://{}", proxy(gateway.address, Fault::SwallowsFrames).await);
    only(&doctor_at(gateway.admin, READ_KEY, &["--url", &door]).await, "websocket", "a ping is not answered");
}

#[tokio::test]
async fn an_address_of_users_where_nobody_listens_is_found() {
    let gateway = Gateway::start(&[]).await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let door = format!("ws://{nobody}");
    only(&doctor_at(gateway.admin, READ_KEY, &["--url", &door]).await, "websocket", "cannot be reached");
}
