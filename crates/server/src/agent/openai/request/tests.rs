//! What the model is asked for which thread.

use super::*;
use crate::agent::tests::request;

fn asked(messages: Value) -> Value {
    asked_by(&config(), messages)
}

fn asked_by(config: &config::OpenAi, messages: Value) -> Value {
    let mut request = request("");
    request.messages = serde_json::from_value(messages).unwrap();
    said_by(config, &request)["messages"].take()
}

fn config() -> config::OpenAi {
    config::OpenAi {
        base_url: "http://127.0.0.1".into(),
        model: "m".to_owned(),
        system_prompt: None,
        send_user: false,
        remote_media: false,
        remote: config::Remote::default(),
    }
}

fn said(system_prompt: Option<&str>, request: &RunRequest) -> Value {
    said_by(&config::OpenAi { system_prompt: system_prompt.map(str::to_owned), ..config() }, request)
}

fn said_by(config: &config::OpenAi, request: &RunRequest) -> Value {
    let said: Value = serde_json::from_slice(&body(config, request)).unwrap();
    assert!(!said.to_string().contains(":null"), "nulls are left out: {said}");
    said
}

fn raw(value: Value) -> Option<Box<RawValue>> {
    Some(serde_json::value::to_raw_value(&value).unwrap())
}

#[test]
fn every_role_has_its_words_and_unknown_ones_are_left_out() {
    let seen = asked(json!([
        { "id": "1", "role": "system", "content": "s" },
        { "id": "2", "role": "developer", "content": "d" },
        { "id": "3", "role": "user", "content": "u", "name": "Ann" },
        { "id": "4", "role": "reasoning", "content": "hm" },
        { "id": "5", "role": "assistant", "content": "a" },
        { "id": "6", "role": "activity", "activityType": "x", "content": {} },
        { "id": "7", "role": "oracle", "content": "o" },
        { "id": "8", "role": "assistant" },
        { "id": "9", "role": "user" },
    ]));
    assert_eq!(
        seen,
        json!([
            { "role": "system", "content": "s" },
            { "role": "system", "content": "d" },
            { "role": "user", "content": "u" },
            { "role": "assistant", "content": "a" },
        ])
    );
}

fn call(id: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{\"x\":1}" }, "metadata": {} })
}

fn said_call(id: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{\"x\":1}" } })
}

#[test]
fn results_stand_directly_behind_their_calls() {
    let seen = asked(json!([
        { "id": "1", "role": "assistant", "content": "ok", "toolCalls": [call("a"), call("b")] },
        { "id": "2", "role": "assistant", "toolCalls": [call("c")] },
        { "id": "3", "role": "tool", "toolCallId": "c", "content": [{ "type": "text", "text": "C" }] },
        { "id": "4", "role": "tool", "toolCallId": "b", "content": "", "error": "broke" },
        { "id": "5", "role": "tool", "toolCallId": "a", "content": "A" },
    ]));
    assert_eq!(
        seen,
        json!([
            { "role": "assistant", "content": "ok", "tool_calls": [said_call("a"), said_call("b")] },
            { "role": "tool", "tool_call_id": "a", "content": "A" },
            { "role": "tool", "tool_call_id": "b", "content": "broke" },
            { "role": "assistant", "tool_calls": [said_call("c")] },
            { "role": "tool", "tool_call_id": "c", "content": "C" },
        ])
    );
}

#[test]
fn a_call_that_nobody_answered_does_not_lock_the_user_out_of_his_thread() {
    let seen = asked(json!([
        { "id": "1", "role": "tool", "toolCallId": "a", "content": "of nobody" },
        { "id": "2", "role": "assistant", "toolCalls": [call("a")] },
        { "id": "3", "role": "user", "content": "never mind" },
        { "id": "4", "role": "assistant", "toolCalls": [call("a")] },
        { "id": "5", "role": "tool", "content": "without a call" },
    ]));
    assert_eq!(
        seen,
        json!([
            { "role": "assistant", "tool_calls": [said_call("a")] },
            { "role": "tool", "tool_call_id": "a", "content": "(no result)" },
            { "role": "user", "content": "never mind" },
            { "role": "assistant", "tool_calls": [said_call("a")] },
            { "role": "tool", "tool_call_id": "a", "content": "(no result)" },
        ])
    );
}

#[test]
fn parts_are_passed_in_the_words_of_a_chat_completion_or_named() {
    let data = |mime_type: &str| json!({ "type": "data", "value": "QUJD", "mimeType": mime_type });
    let seen = asked(json!([{ "id": "1", "role": "user", "content": [
        { "type": "text", "text": "look", "cache_control": "theirs" },
        { "type": "image", "source": data("image/png") },
        { "type": "audio", "source": data("audio/wav") },
        { "type": "document", "source": data("application/pdf") },
        { "type": "image_url", "image_url": { "url": "DATA:image/png;base64,QUJD", "detail": "low", "x": 1 }, "x": 1 },
        { "type": "input_audio", "input_audio": { "data": "QUJD", "format": "wav", "x": 1 } },
        { "type": "file", "file": { "filename": "f.pdf", "file_data": "data:application/pdf;base64,QUJD", "file_id": "f" } },
        { "type": "video", "source": data("video/mp4") },
        { "type": "image" },
        { "type": "text", "text": ["look"] },
        "odd",
    ] }]));
    assert_eq!(
        seen[0]["content"],
        json!([
            { "type": "text", "text": "look" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,QUJD" } },
            { "type": "input_audio", "input_audio": { "data": "QUJD", "format": "wav" } },
            { "type": "file", "file": { "filename": "document", "file_data": "data:application/pdf;base64,QUJD" } },
            { "type": "image_url", "image_url": { "url": "DATA:image/png;base64,QUJD", "detail": "low" } },
            { "type": "input_audio", "input_audio": { "data": "QUJD", "format": "wav" } },
            { "type": "file", "file": { "filename": "f.pdf", "file_data": "data:application/pdf;base64,QUJD" } },
            { "type": "text", "text": "(video attachment, not readable here)" },
            { "type": "text", "text": "(image attachment, not readable here)" },
            { "type": "text", "text": "(text attachment, not readable here)" },
            { "type": "text", "text": "(unknown attachment, not readable here)" },
        ])
    );
}

#[test]
fn what_the_endpoint_would_fetch_or_look_up_is_named_unless_it_is_wanted() {
    let image = |url: &str| json!({ "type": "image_url", "image_url": { "url": url } });
    let file = json!({ "type": "file", "file": { "file_id": "file-1" } });
    let parts = json!([
        { "type": "image", "source": { "type": "url", "value": "http://10.0.0.1/secret" } },
        image("https://h/i.png"),
        { "type": "file", "file": { "filename": "f", "file_data": "http://10.0.0.1/secret" } },
        { "type": "document", "source": { "type": "file", "value": "file-1" } },
        file,
        image("file:///etc/passwd"),
        image(" http://10.0.0.1/secret"),
        { "type": "image", "source": { "type": "url", "value": "gopher://10.0.0.1/" } },
    ]);
    let messages = json!([{ "id": "1", "role": "user", "content": parts }]);
    let named = |kind: &str| json!({ "type": "text", "text": format!("({kind} attachment, not readable here)") });
    assert_eq!(
        asked(messages.clone())[0]["content"],
        json!(["image", "image_url", "file", "document", "file", "image_url", "image_url", "image"].map(named))
    );
    assert_eq!(
        asked_by(&config::OpenAi { remote_media: true, ..config() }, messages)[0]["content"],
        json!([
            image("http://10.0.0.1/secret"),
            image("https://h/i.png"),
            { "type": "file", "file": { "filename": "f", "file_data": "http://10.0.0.1/secret" } },
            file,
            file,
            named("image_url"),
            named("image_url"),
            named("image"),
        ])
    );
}

#[test]
fn tools_become_functions_and_odd_ones_are_left_out() {
    let mut request = request("hi");
    request.input.tools = raw(json!([
        { "name": "f", "description": "d", "parameters": { "type": "object" }, "metadata": {} },
        { "name": "g" },
        { "description": "nameless" },
        7,
    ]));
    assert_eq!(
        said(None, &request)["tools"],
        json!([
            { "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object" } } },
            { "type": "function", "function": { "name": "g" } },
        ])
    );
    request.input.tools = raw(json!({ "not": "a list" }));
    assert_eq!(said(None, &request).get("tools"), None);
}

#[test]
fn what_the_application_knows_stands_behind_the_system_prompt() {
    let mut request = request("hi");
    request.input.context = raw(json!([{ "description": "the page", "value": "/cart" }]));
    let messages = said(Some("Be brief."), &request)["messages"].take();
    assert_eq!(messages[0]["role"], "system");
    assert_eq!(messages[0]["content"], "Be brief.\n\nContext from the application:\n- the page: /cart");
    assert_eq!(messages[1]["content"], "hi");
}

#[test]
fn a_client_cannot_choose_the_model() {
    let mut request = request("hi");
    request.input.forwarded_props = raw(json!({ "model": "the-most-expensive-one" }));
    request.input.state = raw(json!({ "model": "the-most-expensive-one" }));
    let said = said(None, &request);
    assert_eq!(said["model"], "m");
    assert!(!said.to_string().contains("expensive"));
}
