//! Live plans against a gateway in this process, over real sockets; `twenty-zombies` needs a process of its own and runs
//! with the other live plans.

use std::collections::BTreeMap;
use std::time::Duration;

use lychgate::app;
use lychgate::config::{Sources, load};
use lychgate_scenario::client::endpoint::Endpoint;
use lychgate_scenario::client::token::Tokens;
use lychgate_scenario::live::metrics::Admin;
use lychgate_scenario::live::{self, Plan, Scene};
use lychgate_scenario::report::{self, Outcome};
use tokio::sync::oneshot;
use tokio::time::timeout;

const SECRET: &str = "a secret of this test and of nothing else";

/// Plays a plan against a gateway with production defaults and these settings on top. The gateway ends with the runtime.
async fn play(plan: Plan, settings: &[(&str, &str)]) -> anyhow::Result<Outcome> {
    let free =
        [("SERVER__LISTEN", "127.0.0.1:0"), ("SERVER__ADMIN_LISTEN", "127.0.0.1:0"), ("AUTH__JWT__SECRET", SECRET)];
    let environment: BTreeMap<_, _> =
        free.iter().chain(settings).map(|(key, value)| (format!("LYCHGATE__{key}").into(), (*value).into())).collect();
    let config = load(Sources { file: None, environment, arguments: Vec::new() })?.check()?;
    let tokens = Tokens::new(SECRET);
    let (ready, is_ready) = oneshot::channel();
    tokio::spawn(app::serve(config, move |addresses| {
        // Nobody waits for it any more where the test failed meanwhile.
        let _ = ready.send(addresses);
    }));
    let addresses = timeout(Duration::from_secs(10), is_ready).await??;
    let scene = Scene::new(Endpoint::at(addresses.listen), tokens, Some(Admin(addresses.admin)));
    live::run(plan, &scene, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_is_as_the_protocol_says() {
    let outcome = play(Plan::GoldenPath, &[]).await.unwrap();
    assert!(outcome.is_kept(), "{}", report::table(&[outcome]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_come_and_go_without_a_lockout() {
    let outcome = play(Plan::ManyTabs, &[]).await.unwrap();
    assert!(outcome.is_kept(), "{}", report::table(&[outcome]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_evicts_living_tabs_is_found_out() {
    let outcome = play(Plan::ManyTabs, &[("LIMITS__MAX_SESSIONS_PER_USER", "4")]).await.unwrap();
    assert!(!outcome.is_kept(), "{}", report::table(&[outcome]));
}
