//! What backends put into a thread.

use super::*;

fn publication(thread: &str, once: &str, events: &[Value]) -> Publish {
    Publish { key: key(thread), once: once.into(), events: events.iter().map(Event::build).collect() }
}

fn custom(name: &str) -> Value {
    json!({"type": "CUSTOM", "name": name, "value": 1})
}

fn message(id: &str) -> [Value; 3] {
    [
        json!({"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}),
        json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": "news"}),
        json!({"type": "TEXT_MESSAGE_END", "messageId": id}),
    ]
}

#[tokio::test]
async fn on_a_thread_at_rest_a_publication_is_a_run_of_its_own_once() {
    let world = world(|_| whole_answer());
    let published = world.runs.publish(publication("t", "k", &message("m1"))).await;
    assert_eq!(published, Ok(Published::Appended { head: 5 }));
    assert_eq!(world.runs.publish(publication("t", "k", &message("m1"))).await, Ok(Published::Known));
    let kinds = world.kinds("t").await;
    assert_eq!((kinds[0].as_str(), kinds[4].as_str(), kinds.len()), ("RUN_STARTED", "RUN_FINISHED", 5));
    assert_eq!(world.journal.snapshot(&key("t")).await.unwrap().messages.len(), 1);
    world.at_rest().await;
    assert!(lock(&world.changes).is_empty(), "nobody's session is protected for it");
}

#[tokio::test]
async fn during_a_run_a_publication_stands_between_its_events() {
    let world = world(|_| then_silence(text(&["a"])));
    world.start("t", "r");
    until_kinds(&world, "t", 3).await;
    let published = world.runs.publish(publication("t", "k", &[custom("status")])).await;
    assert_eq!(published, Ok(Published::Appended { head: 4 }));
    assert!(world.runs.stop(&key("t"), &run_id("r")));
    world.at_rest().await;
    assert_eq!(world.kinds("t").await[3..], ["CUSTOM", "TEXT_MESSAGE_END", "RUN_FINISHED"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publications_and_runs_at_once_leave_no_event_outside_of_a_run() {
    let world = Arc::new(world(|_| whole_answer()));
    let publishers = (0..4).map(|publisher| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            for n in 0..50 {
                let once = format!("{publisher}-{n}");
                let published = world.runs.publish(publication("t", &once, &message(&once))).await;
                assert!(matches!(published, Ok(Published::Appended { .. })), "{published:?}");
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    let mut run = 0;
    while !publishers.iter().all(|publisher| publisher.is_finished()) {
        world.start("t", &format!("r{run}"));
        run += 1;
        tokio::task::yield_now().await;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    world.at_rest().await;
    let mut in_run = false;
    let mut published = 0;
    for event in
        world.journal.read(&key("t"), world.journal.snapshot(&key("t")).await.unwrap().oldest, 1_000_000).await.unwrap()
    {
        match event.event.kind() {
            "RUN_STARTED" => assert!(!std::mem::replace(&mut in_run, true), "a run inside of a run"),
            "RUN_FINISHED" => assert!(std::mem::replace(&mut in_run, false), "an end without a start"),
            _ => assert!(in_run, "{} outside of a run", event.event.json()),
        }
    }
    for message in world.journal.messages(&key("t"), None, 100_000).await.unwrap().messages {
        published += usize::from(message.rest["content"] == "news");
    }
    assert_eq!(published, 200);
}

#[tokio::test]
async fn publications_push_no_run_of_a_client_out_of_memory() {
    let world = world(|_| whole_answer());
    world.start("t", "r");
    world.at_rest().await;
    for n in 0..1_100 {
        let published = world.runs.publish(publication("t", &format!("k{n}"), &[custom("c")])).await;
        assert!(matches!(published, Ok(Published::Appended { .. })), "{published:?}");
    }
    assert!(world.journal.knows_run(&key("t"), &run_id("r")).await.unwrap());
}

#[tokio::test]
async fn a_publication_that_is_not_whole_is_refused_with_the_event_that_is_wrong() {
    let world = world(|_| whole_answer());
    let [start, content, end] = message("m");
    for (events, says) in [
        (vec![], "`events` has 1 to 256 events, not 0"),
        (vec![start.clone(), content.clone()], "TEXT_MESSAGE_END"),
        (vec![content.clone()], "`events[0]` is about \"m\""),
        (vec![start.clone(), start.clone(), end], "`events[1]` begins \"m\" again"),
        (vec![json!({"type": "RUN_STARTED", "runId": "r"})], "`events[0]` is RUN_STARTED"),
        (vec![json!({"type": "TEXT_MESSAGE_START"})], "`events[0]` has no id"),
        (vec![json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "x"})], "`events[0]` has no id"),
        (vec![json!({"type": "SUBAGENT_STARTED", "subagentRunId": "s", "name": "n"})], "SUBAGENT_FINISHED"),
    ] {
        match world.runs.publish(publication("t", "k", &events)).await {
            Err(PublishError::Open(text)) => assert!(text.contains(says), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(world.events("t").await.is_empty());
}

#[tokio::test]
async fn a_publication_whose_sender_went_away_is_written_all_the_same() {
    let world = world(|_| whole_answer());
    let mut publish = Box::pin(world.runs.publish(publication("t", "k", &[custom("late")])));
    assert!(futures_util::poll!(&mut publish).is_pending());
    drop(publish);
    world.at_rest().await;
    assert_eq!(world.kinds("t").await, ["RUN_STARTED", "CUSTOM", "RUN_FINISHED"]);
}
