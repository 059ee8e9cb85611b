//! What is left out of an event, and what is none.

use super::*;

fn tidied(json: &str) -> Result<String, String> {
    let tidy = read(json, Raw::Strip);
    tidy.map(|tidy| tidy.event.json().get().to_owned()).map_err(|failure| crate::agent::AgentError::from(failure).code)
}

#[test]
fn an_event_stays_as_it_came_with_all_that_nobody_knows() {
    for json in [
        r#"{"type":"TEXT_MESSAGE_CONTENT","delta":"\ud83d \u00e4","messageId":"m","x":{"b":null,"a":1.0}}"#,
        r#"{"type":"FROM_THE_FUTURE","value":[1e400]}"#,
        r#"{ "messageId" : "m" , "type" : "TEXT_MESSAGE_END" }"#,
    ] {
        assert_eq!(tidied(json).unwrap(), json);
    }
}

#[test]
fn nulls_and_raw_payloads_are_left_out_and_meaning_is_not() {
    for (json, expected) in [
        (
            r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r","result":null,"rawEvent":{"a":1},"z":[null]}"#,
            r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r","z":[null]}"#,
        ),
        (r#"{"type":"CUSTOM","name":"n","value":null,"other":null}"#, r#"{"type":"CUSTOM","name":"n","value":null}"#),
        (r#"{"type":"STATE_SNAPSHOT","snapshot":null}"#, r#"{"type":"STATE_SNAPSHOT","snapshot":null}"#),
    ] {
        assert_eq!(tidied(json).unwrap(), expected);
    }
    let kept = read(r#"{"type":"RAW","event":{},"rawEvent":1}"#, Raw::Keep).unwrap();
    assert_eq!(kept.event.json().get(), r#"{"type":"RAW","event":{},"rawEvent":1}"#);
}

#[test]
fn nulls_inside_of_what_the_protocol_describes_are_left_out_and_values_are_not() {
    for (json, expected) in [
        (
            r#"{"type":"RUN_FINISHED","outcome":{"type":"interrupt","interrupts":[{"id":"i","subagentRunId":null,"responseSchema":{"default":null},"metadata":{"a":null}}],"x":null},"usage":[{"model":null,"inputTokens":1.0}]}"#,
            r#"{"type":"RUN_FINISHED","outcome":{"type":"interrupt","interrupts":[{"id":"i","responseSchema":{"default":null},"metadata":{"a":null}}]},"usage":[{"inputTokens":1.0}]}"#,
        ),
        (
            r#"{"type":"MESSAGES_SNAPSHOT","messages":[null,{"id":"a","role":"assistant","content":null,"subagentRunId":null,"toolCalls":[{"id":"c","encryptedValue":null,"function":{"name":"f","arguments":"null","x":null}}]},{"id":"u","role":"user","content":[{"type":"text","text":"null","name":null},{"type":"image","source":{"type":"url","value":"u","mimeType":null}}]},{"id":"v","role":"activity","content":{"a":null}}]}"#,
            r#"{"type":"MESSAGES_SNAPSHOT","messages":[{"id":"a","role":"assistant","toolCalls":[{"id":"c","function":{"name":"f","arguments":"null"}}]},{"id":"u","role":"user","content":[{"type":"text","text":"null"},{"type":"image","source":{"type":"url","value":"u"}}]},{"id":"v","role":"activity","content":{"a":null}}]}"#,
        ),
        (
            r#"{"type":"SUBAGENT_FINISHED","subagentRunId":"s","outcome":{"type":"success","interruptIds":null}}"#,
            r#"{"type":"SUBAGENT_FINISHED","subagentRunId":"s","outcome":{"type":"success"}}"#,
        ),
        (
            r#"{"type":"STATE_SNAPSHOT","snapshot":{"messages":[{"a":null}]}}"#,
            r#"{"type":"STATE_SNAPSHOT","snapshot":{"messages":[{"a":null}]}}"#,
        ),
        (
            r#"{"type":"CUSTOM","name":"n","value":{"outcome":{"a":null}}}"#,
            r#"{"type":"CUSTOM","name":"n","value":{"outcome":{"a":null}}}"#,
        ),
        (r#"{"type":"STATE_DELTA","delta":[{"value":null}]}"#, r#"{"type":"STATE_DELTA","delta":[{"value":null}]}"#),
        (r#"{"type":"RUN_FINISHED","outcome":["null"]}"#, r#"{"type":"RUN_FINISHED","outcome":["null"]}"#),
    ] {
        assert_eq!(tidied(json).unwrap(), expected);
    }
}

#[test]
fn an_event_on_many_lines_is_passed_on_as_one() {
    let line = tidied("{\n  \"type\": \"CUSTOM\",\r\n  \"name\": \"a\\nb\", \"value\": 1\n}").unwrap();
    assert!(!line.contains(['\n', '\r']) && line.contains(r#""a\nb""#), "{line}");
}

#[test]
fn what_is_no_event_ends_the_stream() {
    for json in [
        "[]",
        "5",
        "null",
        "\"RUN_STARTED\"",
        "[DONE]",
        "{",
        "{}",
        r#"{"type":""}"#,
        r#"{"type":null}"#,
        r#"{"type":["RUN_FINISHED"]}"#,
        r#"{"type":"CUSTOM","name":"n"} {"#,
        r#"["RUN_FINISHED","t","r"]"#,
        r#"{"type":"CUSTOM","type":"RUN_FINISHED"}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m"}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":null}"#,
        r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":7,"delta":"x"}"#,
        r#"{"type":"TOOL_CALL_START","toolCallId":"c"}"#,
    ] {
        assert_eq!(tidied(json), Err("agent_bad_stream".to_owned()), "{json}");
    }
    assert_eq!(tidied(r#"{"type":"RUN_ERROR"}"#), Err("agent_error".to_owned()));
}

#[test]
fn an_event_is_no_deeper_than_others_can_read() {
    let nested = |depth: usize| {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"CUSTOM","name":"\"{{","value":{value},"text":"{}"}}"#, "[".repeat(1000))
    };
    assert!(tidied(&nested(MAX_DEPTH - 1)).is_ok());
    assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH - 2)).is_ok());
    assert_eq!(tidied(&nested(MAX_DEPTH)), Err("agent_bad_stream".to_owned()));
    assert_eq!(tidied(&nested(300_000)), Err("agent_bad_stream".to_owned()));
}
