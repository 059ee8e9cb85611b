//! Ends that come from outside, or that cannot be written at first.

use super::*;
use crate::journal::JournalError;
use crate::journal::faulty::Faulty;

/// So many seconds on the paused clock; whoever waits for one of them runs meanwhile.
async fn pass(seconds: u32) {
    for _ in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_a_former_process_left_open_is_closed_and_ended() {
    let former = world(|_| {
        let mut events = text(&["half"]);
        events.push(event(json!({"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "f"})));
        then_silence(events)
    });
    for thread in ["t1", "t2"] {
        former.start(thread, "r");
        until_kinds(&former, thread, 4).await;
    }
    let world = world_on(config::Runs::default(), Arc::clone(&former.journal), |_| whole_answer());
    assert_eq!(world.runs.recover().await, Ok(2));
    for thread in ["t1", "t2"] {
        assert_eq!(world.kinds(thread).await[4..], ["TOOL_CALL_END", "TEXT_MESSAGE_END", "RUN_ERROR"]);
        assert_eq!(world.last(thread).await["code"], "gateway_restarted");
    }
    assert_eq!(world.runs.recover().await, Ok(0), "nothing is ended twice");
    world.start("t1", "next");
    world.at_rest().await;
    assert_eq!(world.last("t1").await["type"], "RUN_FINISHED");
}

#[tokio::test]
async fn a_thread_that_cannot_be_ended_keeps_no_gateway_from_starting() {
    let journal = Arc::new(Faulty::new(memory(256 * 1_024 * 1_024)));
    let former = world_on(config::Runs::default(), journal.clone(), |_| then_silence(text(&["half"])));
    former.start("t", "r");
    until_kinds(&former, "t", 3).await;
    let world = world_on(config::Runs::default(), journal.clone(), |_| whole_answer());
    journal.fail_appends(true);
    assert_eq!(world.runs.recover().await, Ok(0));
    journal.fail_appends(false);
    assert_eq!(world.runs.recover().await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_written_is_told_and_written_as_soon_as_it_can() {
    let journal = Arc::new(Faulty::new(memory(256 * 1_024 * 1_024)));
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let world = world_on(config::Runs::default(), journal.clone(), move |_| match lock(&gone).take() {
        Some(gone) => Box::pin(stream::iter(text(&["half"])).chain(stream::once(gone).flat_map(|_| whole_answer()))),
        None => whole_answer(),
    });
    world.start("t", "r1");
    until_kinds(&world, "t", 3).await;
    journal.fail_appends(true);
    go.send(()).unwrap();
    until("everybody is told", || world.errors() == ["internal"]).await;
    let told = world.reply.take().remove(0);
    assert_eq!((&told["thread"], &told["run"]), (&json!("t"), &json!("r1")));
    world.start("t", "r2");
    assert_eq!(world.errors(), ["busy"], "a thread whose end is owed takes no run");
    let events = vec![Event::build(&json!({"type": "CUSTOM", "name": "n", "value": 1}))];
    let published = world.runs.publish(Publish { key: key("t"), once: "k".into(), events });
    let (published, ()) = tokio::join!(published, pass(5));
    assert!(matches!(published, Err(PublishError::Journal(_))), "{published:?}");
    assert_eq!(world.runs.in_flight(), 1);
    journal.fail_appends(false);
    pass(2).await;
    world.at_rest().await;
    assert_eq!(world.kinds("t").await[3..], ["TEXT_MESSAGE_END", "RUN_ERROR"]);
    assert_eq!(world.last("t").await["code"], "journal_unavailable");
    world.start("t", "r3");
    world.at_rest().await;
    assert_eq!(world.last("t").await["type"], "RUN_FINISHED");
}

fn graceful(grace: u64) -> World {
    let bounds = config::Runs { detach_grace: Some(Duration::from_secs(grace)), ..config::Runs::default() };
    world_under(bounds, memory(256 * 1_024 * 1_024), |_| then_silence(text(&["a"])))
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_listens_to_ends_after_the_grace_and_not_before() {
    let world = graceful(80);
    world.start("t", "r");
    until_kinds(&world, "t", 3).await;
    for _ in 0..5 {
        world.attended.store(false, Ordering::SeqCst);
        pass(60).await;
        world.attended.store(true, Ordering::SeqCst);
        pass(20).await;
    }
    assert_eq!(world.runs.in_flight(), 1, "whoever comes back within the grace finds the run going on");
    world.attended.store(false, Ordering::SeqCst);
    pass(100).await;
    world.at_rest().await;
    assert_eq!(world.last("t").await["code"], "detached");
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_socket_from_the_start_waits_for_nobody() {
    let world = graceful(1);
    world.attended.store(false, Ordering::SeqCst);
    world.start("t", "r");
    until_kinds(&world, "t", 3).await;
    pass(1_000).await;
    assert_eq!(world.runs.in_flight(), 1);
    assert!(world.runs.stop(&key("t"), &run_id("r")));
    world.at_rest().await;
}

/// A journal in this server.
async fn journal_in(server: &crate::redis_server::Redis) -> Arc<crate::journal::redis::Redis> {
    let secret = "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"";
    let text = format!("journal.kind = \"redis\"\njournal.url = {:?}\n{secret}", server.url());
    let config = config::Config::from_toml(&text).unwrap().journal;
    Arc::new(crate::journal::redis::Redis::open(&config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_written_to_the_run_that_it_is_of_and_to_no_other() {
    let world = world(|_| then_silence(text(&["half"])));
    world.start("t", "r");
    until_kinds(&world, "t", 3).await;
    let why = AgentError { code: "node_lost".to_owned(), message: "gone".to_owned(), retry_after: None };
    let ended = world.runs.end_left_open(&key("t"), &run_id("former"), &why).await;
    assert_eq!(ended, Err(JournalError::Gone), "somebody ended it, and the next one goes on");
    assert_eq!(world.kinds("t").await.len(), 3);
    let ended = world.runs.end_left_open(&key("t"), &run_id("r"), &why).await;
    assert_eq!((ended, world.kinds("t").await.pop().unwrap().as_str()), (Ok(()), "RUN_ERROR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_beginning_was_lost_writes_no_end() {
    let server = crate::redis_server::Redis::start();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let world = world_on(config::Runs::default(), journal_in(&server).await, move |_| {
        let gone = lock(&gone).take().unwrap();
        Box::pin(stream::iter(text(&["half"])).chain(stream::once(gone).flat_map(|_| whole_answer())))
    });
    world.start("t", "r");
    until_kinds(&world, "t", 3).await;
    server.flush_all();
    go.send(()).unwrap();
    world.at_rest().await;
    assert_eq!(world.kinds("t").await, [""; 0], "an end would be one of nothing, or of another run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_node_stops_is_ended_by_another_node_with_a_reason() {
    let server = crate::redis_server::Redis::start();
    let (stopping, living) = (journal_in(&server).await, journal_in(&server).await);
    let former = world_on(config::Runs::default(), stopping.clone(), |_| then_silence(text(&["half"])));
    former.start("t", "r");
    until_kinds(&former, "t", 3).await;
    let world = world_on(config::Runs::default(), living, |_| whole_answer());
    world.runs.end_abandoned().await;
    assert_eq!(world.kinds("t").await.len(), 3, "its node lives");
    stopping.close().await.unwrap();
    world.runs.end_abandoned().await;
    world.runs.end_abandoned().await;
    assert_eq!(world.kinds("t").await[3..], ["TEXT_MESSAGE_END", "RUN_ERROR"]);
    assert_eq!(world.last("t").await["code"], "node_lost");
    world.start("t", "next");
    world.at_rest().await;
    let thread = world.journal.snapshot(&key("t")).await.unwrap();
    assert!(thread.run.is_none() && thread.head > 5 && thread.messages.len() > 2, "{thread:?}");
}
