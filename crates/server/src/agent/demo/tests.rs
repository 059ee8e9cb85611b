//! The answers of the demo agent.

use serde_json::Value;
use tokio::time::Instant;

use super::*;
use crate::agent::AgentError;
use crate::agent::tests::{collect, kinds, request};

const DELAY: Duration = Duration::from_millis(30);

async fn ask(delay: Duration, text: &str) -> (Vec<Value>, Option<AgentError>) {
    collect(Demo::new(&config::Demo { delay }).run(request(text))).await
}

fn text(events: &[Value]) -> String {
    let contents = events.iter().filter(|event| event["type"] == "TEXT_MESSAGE_CONTENT");
    contents.map(|event| event["delta"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_the_whole_answer_is_there_at_once_in_four_events() {
    let start = Instant::now();
    let (events, error) = ask(Duration::ZERO, "hello there").await;
    assert_eq!(error, None);
    assert_eq!(kinds(&events), ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]);
    assert!(text(&events).contains("\"hello there\""));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn with_a_delay_the_same_answer_comes_word_by_word() {
    let start = Instant::now();
    let (events, error) = ask(DELAY, "hello there").await;
    let words = kinds(&events).iter().filter(|kind| **kind == "TEXT_MESSAGE_CONTENT").count();
    assert_eq!(error, None);
    assert_eq!(text(&events), text(&ask(Duration::ZERO, "hello there").await.0));
    assert!(words > 5);
    assert!(start.elapsed() >= DELAY * u32::try_from(words).unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_word_error_fails_in_the_middle() {
    for delay in [Duration::ZERO, DELAY] {
        let (events, error) = ask(delay, "Show me an ERROR, please").await;
        assert!(!text(&events).is_empty());
        assert_eq!(error.unwrap().code, "agent_error");
    }
}

#[tokio::test(start_paused = true)]
async fn the_word_stall_goes_quiet_for_ever_after_a_few_words() {
    let mut events = Demo::new(&config::Demo { delay: DELAY }).run(request("stall"));
    let mut seen = 0;
    let quiet = tokio::time::timeout(Duration::from_secs(86_400), async {
        while events.next().await.is_some() {
            seen += 1;
        }
    });
    assert!(quiet.await.is_err());
    assert!(seen > 3);
}

#[tokio::test(start_paused = true)]
async fn the_word_tool_calls_a_tool_between_two_steps_and_tells_the_result() {
    let (events, error) = ask(DELAY, "use a tool now").await;
    assert_eq!(error, None);
    assert_eq!(
        kinds(&events)[..7],
        [
            "STEP_STARTED",
            "TOOL_CALL_START",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_END",
            "TOOL_CALL_RESULT",
            "STEP_FINISHED",
            "TEXT_MESSAGE_START"
        ]
    );
    assert_eq!(events[4]["content"], "4");
    assert_eq!(text(&events), "I counted: your message has 4 words.");
}

#[tokio::test]
async fn a_keyword_inside_another_word_is_no_keyword() {
    let (events, error) = ask(Duration::ZERO, "my toolbox is terrorised and installed").await;
    assert_eq!((events.len(), error), (4, None));
}

#[tokio::test]
async fn a_long_question_is_quoted_in_part_and_none_at_all_is_no_problem() {
    let (events, _) = ask(Duration::ZERO, &"ö".repeat(1_000_000)).await;
    assert!(text(&events).chars().count() < 400);

    let mut request = request("");
    request.messages.clear();
    let (_, error) = collect(Demo::new(&config::Demo { delay: Duration::ZERO }).run(request)).await;
    assert_eq!(error, None);
}
