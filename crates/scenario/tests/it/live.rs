//! Live plans against a gateway in this process, over real sockets; those that need processes of their own run with the
//! command.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lychgate::app;
use lychgate::config::{Sources, load};
use lychgate_scenario::client::endpoint::Endpoint;
use lychgate_scenario::client::token::Tokens;
use lychgate_scenario::live::metrics::Admin;
use lychgate_scenario::live::{self, Scene};
use lychgate_scenario::report::{self, Outcome};
use tokio::sync::oneshot;
use tokio::time::timeout;

const SECRET: &str = "a secret of this test and of nothing else";

/// Plays plans against a gateway with production defaults and these settings on top. The gateway ends with the runtime.
async fn play(plan: &str, settings: &[(&str, &str)]) -> anyhow::Result<Vec<Outcome>> {
    let free = [
        ("SERVER__LISTEN", "127.0.0.1:0"),
        ("SERVER__ADMIN_LISTEN", "127.0.0.1:0"),
        ("AUTH__JWT__SECRET", SECRET),
        ("JOURNAL__KIND", "memory"),
    ];
    let environment: BTreeMap<_, _> =
        free.iter().chain(settings).map(|(key, value)| (format!("LYCHGATE__{key}").into(), (*value).into())).collect();
    let sources = Sources { environment, ..Sources::default() };
    let loaded = Arc::new(load(sources.clone())?);
    let tokens = Tokens::new(SECRET);
    let (ready, is_ready) = oneshot::channel();
    tokio::spawn(app::serve(loaded, Box::new(move || load(sources.clone())), move |addresses| {
        // Nobody waits for it any more where the test failed meanwhile.
        let _ = ready.send(addresses);
    }));
    let addresses = timeout(Duration::from_secs(10), is_ready).await??;
    let scene = Scene::new(Endpoint::at(addresses.listen), tokens, Some(Admin(addresses.admin)));
    live::run_named(&[plan], scene).await
}

/// A plan file of a test's own.
struct PlanFile(PathBuf);

impl PlanFile {
    fn new(name: &str, text: &str) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("lychgate-{}-{name}.plan", std::process::id()));
        std::fs::write(&path, text)?;
        Ok(Self(path))
    }

    async fn play(&self) -> anyhow::Result<Vec<Outcome>> {
        play(&self.0.display().to_string(), &[]).await
    }
}

impl Drop for PlanFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn is_kept(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(Outcome::is_kept)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_is_as_the_protocol_says() {
    let outcomes = play("golden-path", &[]).await.unwrap();
    assert!(is_kept(&outcomes), "{}", report::table(&outcomes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_come_and_go_without_a_lockout() {
    let outcomes = play("many-tabs", &[]).await.unwrap();
    assert!(is_kept(&outcomes), "{}", report::table(&outcomes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_evicts_living_tabs_is_found_out() {
    let outcomes = play("many-tabs", &[("LIMITS__MAX_SESSIONS_PER_USER", "4")]).await.unwrap();
    assert!(!is_kept(&outcomes), "{}", report::table(&outcomes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plan_expects_in_vain_breaks_it() {
    let file = PlanFile::new("vain", "open-tab u0 c0 t0\nexpect open u0 c0 t0\nexpect sessions u0 2\n").unwrap();
    let outcomes = file.play().await.unwrap();
    let table = report::table(&outcomes);
    assert!(!is_kept(&outcomes) && table.contains("step 3 `expect sessions u0 2`: there are 1"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_go_and_to_come_back_is_played() {
    let text = "
        open-tab u0 c0-1 t0-1
        open-tab u0 c2 new7 app
        expect sessions u0 3
        expect open u0 c2 new7
        freeze u0 c2
        wake-up u0 c2
        reconnect u0 c0 prev
        expect open u0 c0 t0
        go-silent u0 c1
        expect open u0 c1 t1
        reconnect u0 c1 fresh
        expect open u0 c1 t1
        expect sessions u0 3
        prompt u0 t0
        run-ends u0 t0
        stop-reading u0 c1
        read-some u0 c1
        read-again u0 c1
        close-fails u0 c1
        leave u0 c2 new7
        expect not-open u0 c2 new7
        close-hangs u0 c1
        close-tab u0 c0 clean
        expect sessions u0 1
        expect forced 0
    ";
    let outcomes = PlanFile::new("ways", text).unwrap().play().await.unwrap();
    let table = report::table(&outcomes);
    assert!(is_kept(&outcomes), "{table}");
    assert!(table.contains("sim only: step 20 `close-fails u0 c1`"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_for_an_operator_is_told_as_such_and_not_dropped() {
    let outcomes = PlanFile::new("operator", "open-tab u0 c0 t0\nexpel u0 c0\n").unwrap().play().await.unwrap();
    let table = report::table(&outcomes);
    assert!(is_kept(&outcomes) && table.contains("sim only: step 2 `expel u0 c0`"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_makes_room_and_a_living_tab_does_not() {
    let text = "
        open-tab u0 c0-19 t0-19
        go-silent u0 c0
        advance 400ms
        open-tab u0 c20 t20
        expect open u0 c20 t20
        expect not-open u0 c0 t0
        expect open u0 c1 t1
        expect forced 0
        open-tab u0 c21 t21
        expect open u0 c21 t21
        expect forced 1
    ";
    let outcomes = PlanFile::new("zombie", text).unwrap().play().await.unwrap();
    assert!(is_kept(&outcomes), "{}", report::table(&outcomes));
}
