use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use lychgate_core::Census;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::with_errors;
use super::*;

fn admin(admin: Admin) -> Router {
    let (routes, _) = routes(admin.clone()).merge(metrics(admin)).split_for_parts();
    with_errors(routes)
}
use crate::driver::Trouble;

/// Serves a router on a free port of loopback for as long as the test's runtime lives.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Status line, headers and body of an answer.
async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn admin_state() -> Admin {
    let health = Arc::new(Health::new(|| None));
    Admin::new(health, Arc::new(Metrics::new()), || Population {
        census: Census { sessions: 7, ..Census::default() },
        ..Population::default()
    })
}

#[tokio::test]
async fn a_node_that_drains_or_is_in_trouble_lives_but_is_not_ready() {
    let trouble = Arc::new(Mutex::new(None));
    let watched = Arc::clone(&trouble);
    let health = Arc::new(Health::new(move || watched.lock().unwrap().map(|trouble: Trouble| trouble.to_string())));
    let state = Admin::new(Arc::clone(&health), Arc::new(Metrics::new()), Population::default);
    let address = serve(admin(state)).await;
    let seconds = Duration::from_secs(7);
    for (found, says) in [
        (None, "ready"),
        (Some(Trouble::RuntimeStuck(seconds)), "not ready: runtime stuck for 7 s"),
        (Some(Trouble::ReaperStuck(seconds)), "not ready: reaper stuck for 7 s"),
        (Some(Trouble::ReaperGone), "not ready: reaper gone"),
        (None, "ready"),
    ] {
        *trouble.lock().unwrap() = found;
        let answer = ask(address, "GET", "/readyz").await;
        let status = if found.is_none() { "HTTP/1.1 200" } else { "HTTP/1.1 503" };
        assert!(answer.starts_with(status) && answer.ends_with(&format!("\r\n\r\n{says}\n")), "{answer}");
        assert!(ask(address, "GET", "/healthz").await.starts_with("HTTP/1.1 200"));
    }
    assert!(!health.is_draining());
    health.on_drain();
    assert!(health.is_draining());
    assert!(ask(address, "GET", "/readyz").await.ends_with("not ready: draining\n"));
}

#[tokio::test]
async fn a_count_that_hangs_fails_its_scrapes_and_holds_one_thread_and_no_probe() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let counts = Arc::new(AtomicUsize::new(0));
    let begun = Arc::clone(&counts);
    let hang = move || {
        begun.fetch_add(1, Ordering::Relaxed);
        let _ = held.lock().unwrap().recv();
        Population::default()
    };
    let address = serve(admin(Admin::new(Arc::new(Health::new(|| None)), Arc::new(Metrics::new()), hang))).await;
    for _scrape in 0..2 {
        let (answer, probe) = tokio::join!(ask(address, "GET", "/metrics"), ask(address, "GET", "/readyz"));
        assert!(answer.starts_with("HTTP/1.1 500") && probe.starts_with("HTTP/1.1 200"), "{answer} {probe}");
    }
    assert_eq!(counts.load(Ordering::Relaxed), 1);
    drop(release);
    assert!(ask(address, "GET", "/metrics").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_scrape_counts_what_is_there() {
    let address = serve(admin(admin_state())).await;
    let answer = ask(address, "GET", "/metrics").await;
    assert!(answer.contains(metrics::CONTENT_TYPE), "{answer}");
    assert!(answer.contains("lychgate_sessions 7\n"), "{answer}");
}

#[tokio::test]
async fn what_is_not_there_is_an_error_frame() {
    let address = serve(admin(admin_state())).await;
    for (method, path, status, code) in
        [("GET", "/v1/ws", "404", "not_found"), ("POST", "/healthz", "405", "method_not_allowed")]
    {
        let answer = ask(address, method, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!((&body["type"], &body["code"]), (&"error".into(), &code.into()), "{answer}");
    }
}
