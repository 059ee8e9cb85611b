//! Runs that wait for the one before them.

use super::*;

fn patient(places: usize, answer: impl Fn(RunRequest) -> EventStream + Send + Sync + 'static) -> World {
    let bounds = config::Runs { max_queued_per_thread: places, ..config::Runs::default() };
    world_under(bounds, memory(256 * 1_024 * 1_024), answer)
}

/// Runs in the order in which their questions came into the thread.
async fn started(world: &World) -> Vec<String> {
    let messages = world.journal.messages(&key("t"), None, 100).await.unwrap().messages;
    messages.iter().filter_map(|message| message.id.strip_prefix("u-")).map(str::to_owned).collect()
}

#[tokio::test]
async fn runs_wait_in_order_within_their_bound_and_the_rest_is_told_busy() {
    let world = patient(2, |request| match request.run.as_str() {
        "r1" => then_silence(text(&["a"])),
        _ => whole_answer(),
    });
    world.start("t", "r1");
    until_kinds(&world, "t", 3).await;
    for run in ["r2", "r3", "r4", "r2"] {
        world.start("t", run);
    }
    let said: Vec<(Value, Value)> =
        world.reply.take().into_iter().map(|mut frame| (frame["code"].take(), frame["run"].take())).collect();
    let told = |code: &str, run: &str| (json!(code), json!(run));
    let again = told("run_queued", "r2");
    assert_eq!(said, [told("run_queued", "r2"), told("run_queued", "r3"), told("busy", "r4"), again]);
    assert!(world.runs.stop(&key("t"), &run_id("r1")));
    world.at_rest().await;
    assert_eq!(started(&world).await, ["r1", "r2", "r3"]);
}

#[tokio::test]
async fn a_run_that_waits_can_be_stopped_and_still_has_a_start_and_an_end() {
    let world = patient(1, |_| then_silence(text(&["a"])));
    world.start("t", "r1");
    until_kinds(&world, "t", 3).await;
    world.start("t", "r2");
    assert!(world.runs.stop(&key("t"), &run_id("r2")));
    assert!(world.runs.stop(&key("t"), &run_id("r1")));
    world.at_rest().await;
    assert_eq!(started(&world).await, ["r1", "r2"]);
    assert_eq!(world.kinds("t").await[5..], ["RUN_STARTED", "RUN_FINISHED"]);
    assert_eq!(world.last("t").await["outcome"], json!({"type": "cancelled"}));
}

#[tokio::test]
async fn a_gateway_that_stops_tells_those_that_wait() {
    let world = patient(3, |_| then_silence(text(&["a"])));
    world.start("t", "r1");
    until_kinds(&world, "t", 3).await;
    world.start("t", "r2");
    world.reply.take();
    assert_eq!(world.runs.shutdown(Duration::from_secs(5)).await, 0);
    assert_eq!(world.errors(), ["draining"]);
    assert_eq!(started(&world).await, ["r1"]);
}

/// Asks for a run from another socket.
fn ask_again(world: &World, run: &str, agent: Option<&str>) -> Arc<Recorder> {
    let reply = Arc::new(Recorder::new());
    world.runs.start(StartRun {
        key: key("t"),
        plan: None,
        agents: None,
        run: run_id(run),
        input: RunInput::default(),
        agent: agent.map(str::to_owned),
        reply: reply.clone(),
        trace: None,
    });
    reply
}

fn codes(reply: &Recorder) -> Vec<Value> {
    reply.take().into_iter().map(|mut frame| frame["code"].take()).collect()
}

#[tokio::test]
async fn whoever_asks_again_for_a_run_that_is_refused_hears_it_too() {
    let world = world(|_| whole_answer());
    world.start_with("t", "r", Some("nobody"), json!({}));
    let again = ask_again(&world, "r", Some("nobody"));
    world.at_rest().await;
    assert_eq!(
        (world.errors(), codes(&again)),
        (vec!["agent_unavailable".to_owned()], vec![json!("agent_unavailable")])
    );
}

#[tokio::test]
async fn whoever_comes_back_for_a_run_that_waits_hears_its_place_and_what_becomes_of_it() {
    let world = patient(1, |_| then_silence(text(&["a"])));
    world.start("t", "r1");
    until_kinds(&world, "t", 3).await;
    world.start("t", "r2");
    let again = ask_again(&world, "r2", None);
    assert_eq!(world.runs.shutdown(Duration::from_secs(5)).await, 0);
    assert_eq!(codes(&again), ["run_queued", "draining"]);
}
