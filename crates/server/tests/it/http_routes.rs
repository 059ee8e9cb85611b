//! The other HTTP routes: what runs, runs without a socket, history; and what each of them does not take.

use serde_json::json;

use crate::gateway::Gateway;
use crate::golden_path::SLOW;
use crate::http::client::{Answer, Ask};
use crate::http::{kinds, said, slow_stream, stream};

async fn get(gateway: &Gateway, user: &str, path: &str) -> Answer {
    Ask::get(path).by(gateway, user).send(gateway).await
}

fn run_body(run: &str, text: &str) -> serde_json::Value {
    json!({"run": run, "input": {"messages": [{"id": format!("{run}-u"), "role": "user", "content": text}]}})
}

async fn start(gateway: &Gateway, thread: &str, run: &str, text: &str) -> Answer {
    Ask::post(format!("/v1/threads/{thread}/runs"), &run_body(run, text)).by(gateway, "ann").send(gateway).await
}

#[tokio::test]
async fn a_first_reader_is_reset_to_what_is_known_then_follows_the_run_and_ends_with_it() {
    let gateway = Gateway::start(&SLOW).await;
    stream(&gateway, "ann", "t1", "r1", "before").await.events().await;
    let mut asking = slow_stream(&gateway, "ann", "t1", "r2", "a question with a slow answer").await;
    asking.expect("TEXT_MESSAGE_CONTENT").await;
    let events = get(&gateway, "ann", "/v1/threads/t1/events").await.events().await;
    assert_eq!(events[0].name.as_deref(), Some("reset"));
    assert_eq!(events[0].data["messages"].as_array().unwrap().len(), 2, "of the run before: {}", events[0].data);
    assert_eq!(events[1].data["runId"], "r2");
    assert_eq!(kinds(&events[1..]).last(), Some(&"RUN_FINISHED"));
    assert!(events[1].data.get("metadata").is_none(), "events are told as they stand in the log");
    let offset = |id: &str| id.rsplit_once('.').unwrap().1.parse::<u64>().unwrap();
    let offsets: Vec<u64> = events.iter().map(|event| offset(event.id.as_deref().unwrap())).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    assert_eq!(
        events[0].id.as_deref(),
        Some(format!("{}.{}", events[0].data["epoch"].as_str().unwrap(), offsets[0]).as_str())
    );
}

#[tokio::test]
async fn a_reader_comes_back_to_where_it_was_and_is_told_nothing_twice() {
    let gateway = Gateway::start(&SLOW).await;
    let mut asking = slow_stream(&gateway, "ann", "t1", "r1", "a question with a slow answer").await;
    asking.expect("TEXT_MESSAGE_CONTENT").await;
    let mut first = get(&gateway, "ann", "/v1/threads/t1/events").await;
    let mut before = Vec::new();
    while said(&before).is_empty() {
        before.push(first.next().await.unwrap());
    }
    first.reset();
    let seen = before.last().unwrap().id.clone().unwrap();
    // The header is what a browser sends by itself; the address stays as the page wrote it.
    let again = Ask::get("/v1/threads/t1/events?after=0&epoch=x").header("last-event-id", &seen).by(&gateway, "ann");
    let rest = again.send(&gateway).await.events().await;
    assert!(rest.iter().all(|event| event.name.is_none()), "no reset: {rest:?}");
    assert_eq!(said(&before) + &said(&rest), "You said \"a question with a slow answer\", and it came through well.");
    let last = rest.last().unwrap().id.clone().unwrap();
    let (epoch, offset) = last.rsplit_once('.').unwrap();
    let path = format!("/v1/threads/t1/events?after={}&epoch={epoch}", offset.parse::<u64>().unwrap() - 1);
    let queried = get(&gateway, "ann", &path).await.events().await;
    assert_eq!(kinds(&queried), ["RUN_FINISHED"]);
    let mut idle =
        Ask::get("/v1/threads/t1/events").header("last-event-id", &last).by(&gateway, "ann").send(&gateway).await;
    assert_eq!((idle.status, idle.rest().await.as_str()), (204, ""), "nothing runs, and everything is told");
}

#[tokio::test]
async fn an_epoch_that_is_not_the_logs_is_a_reset_and_never_a_hole() {
    let gateway = Gateway::start(&[]).await;
    stream(&gateway, "ann", "t1", "r1", "hello").await.events().await;
    let events = get(&gateway, "ann", "/v1/threads/t1/events?after=2&epoch=another").await.events().await;
    assert_eq!((events.len(), events[0].name.as_deref()), (1, Some("reset")));
    assert_eq!(events[0].data["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_run_without_a_socket_is_accepted_once_it_is_in_the_log_and_can_be_stopped() {
    let gateway = Gateway::start(&[]).await;
    let mut accepted = start(&gateway, "t1", "r1", "stall").await;
    assert_eq!((accepted.status, accepted.json().await), (202, json!({"thread": "t1", "run": "r1"})));
    assert_eq!(gateway.metric("lychgate_sessions").await, 0.0, "it takes no slot");
    let mut again = start(&gateway, "t1", "r1", "stall").await;
    assert_eq!((again.status, again.json().await["run"].clone()), (202, json!("r1")));
    let mut busy = start(&gateway, "t1", "r2", "hello").await;
    assert_eq!((busy.status, busy.json().await["code"].clone()), (409, json!("busy")));
    let mut reader = get(&gateway, "ann", "/v1/threads/t1/events").await;
    reader.expect("TEXT_MESSAGE_CONTENT").await;
    let stop = |run: &str| Ask::new("DELETE", format!("/v1/threads/t1/runs/{run}")).by(&gateway, "ann");
    assert_eq!(stop("r2").send(&gateway).await.status, 404);
    assert_eq!(stop("r1").send(&gateway).await.status, 204);
    assert_eq!(reader.events().await.last().unwrap().data["outcome"], json!({"type": "cancelled"}));
    assert_eq!(stop("r1").send(&gateway).await.status, 404, "it is over");
    assert_eq!(start(&gateway, "t1", "r1", "stall").await.status, 202, "a known run is a no-op, also when it is over");
}

#[tokio::test]
async fn runs_without_a_socket_are_bounded_per_user_like_all_others() {
    let gateway = Gateway::start(&["limits.max_runs_per_user = 1"]).await;
    assert_eq!(start(&gateway, "t1", "r1", "stall").await.status, 202);
    let mut refused = start(&gateway, "t2", "r2", "hello").await;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (429, true));
    assert_eq!(refused.json().await["code"], "rate_limited");
}

#[tokio::test]
async fn threads_and_messages_are_listed_page_by_page_to_their_end() {
    let gateway = Gateway::start(&[]).await;
    for thread in ["t1", "t2", "t3"] {
        for run in ["r1", "r2"] {
            stream(&gateway, "ann", thread, &format!("{thread}{run}"), &format!("{thread} asks {run}"))
                .await
                .events()
                .await;
        }
    }
    let first = get(&gateway, "ann", "/v1/threads?limit=2").await.json().await;
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["threads"].as_array().unwrap().iter().map(|thread| thread["thread"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["t3", "t2"]);
    assert_eq!((&first["threads"][0]["title"], &first["threads"][0]["messages"]), (&json!("t3 asks r1"), &json!(4)));
    let rest = get(&gateway, "ann", &format!("/v1/threads?limit=2&before={}", first["next"])).await.json().await;
    assert_eq!((names(&rest), rest.get("next")), (vec!["t1".to_owned()], None));

    let mut told = Vec::new();
    let mut path = "/v1/threads/t1/messages?limit=3".to_owned();
    loop {
        let page = get(&gateway, "ann", &path).await.json().await;
        let ids = page["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned());
        told.splice(0..0, ids.collect::<Vec<_>>());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/threads/t1/messages?limit=3&before={next}");
    }
    assert_eq!(told, ["t1r1-u", "t1r1-m1", "t1r2-u", "t1r2-m1"]);
}

#[tokio::test]
async fn a_page_of_long_messages_ends_at_a_mebibyte_and_the_next_one_goes_on() {
    let gateway = Gateway::start(&[r#"agents.demo.delay = "0s""#]).await;
    let long = "x".repeat(200 * 1024);
    for run in 0..6 {
        stream(&gateway, "ann", "t1", &format!("r{run}"), &long).await.events().await;
    }
    let mut path = "/v1/threads/t1/messages?limit=200".to_owned();
    let mut ids: Vec<String> = Vec::new();
    let mut pages = 0;
    loop {
        let text = Ask::get(path.as_str()).by(&gateway, "ann").send(&gateway).await.rest().await;
        assert!(text.len() < 1024 * 1024 + 1024, "{} bytes", text.len());
        let page: serde_json::Value = serde_json::from_str(&text).unwrap();
        let read =
            page["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned());
        ids.splice(0..0, read);
        pages += 1;
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/threads/t1/messages?limit=200&before={next}"),
            None => break,
        }
    }
    assert_eq!((pages, ids.len()), (2, 12));
    assert_eq!((ids[0].as_str(), ids[10].as_str()), ("r0-u", "r5-u"));
}

#[tokio::test]
async fn another_users_thread_is_never_reached_by_any_route() {
    let gateway = Gateway::start(&[]).await;
    stream(&gateway, "ann", "t1", "r1", "a secret of ann's").await.events().await;
    assert_eq!(start(&gateway, "t2", "r2", "stall").await.status, 202);
    assert_eq!(get(&gateway, "bob", "/v1/threads").await.json().await, json!({"threads": []}));
    assert_eq!(get(&gateway, "bob", "/v1/threads/t1/messages").await.json().await, json!({"messages": []}));
    let events = get(&gateway, "bob", "/v1/threads/t1/events").await.events().await;
    assert_eq!((events.len(), &events[0].data["messages"]), (1, &json!([])), "a thread of his own, and empty");
    let stop = Ask::new("DELETE", "/v1/threads/t2/runs/r2").by(&gateway, "bob").send(&gateway).await;
    assert_eq!(stop.status, 404);
    let told = stream(&gateway, "bob", "t1", "r1", "hello").await.rest().await;
    assert!(told.contains("hello") && !told.contains("secret"), "the same ids are another run: {told}");
}

#[tokio::test]
async fn what_is_no_request_of_ours_is_answered_with_what_would_be_right() {
    let gateway = Gateway::start(&["websocket.max_message_bytes = 1024"]).await;
    let long = "x".repeat(300);
    let (open, close) = ("[".repeat(200), "]".repeat(200));
    let deep = format!(r#"{{"messages":[{{"id":"u","role":"user","content":{open}{close}}}]}}"#);
    let cases: Vec<(Ask, u16, &str, &str)> = vec![
        (Ask::get("/v1/nothing"), 404, "not_found", "nothing at this address"),
        (Ask::get("/v1/agui"), 405, "method_not_allowed", "HTTP method"),
        (Ask::new("PUT", "/v1/threads"), 405, "method_not_allowed", "HTTP method"),
        (Ask::new("POST", "/v1/agui").body("{"), 400, "bad_frame", "EOF"),
        (Ask::new("POST", "/v1/agui").body("[]"), 400, "bad_frame", "expected an object"),
        (Ask::new("POST", "/v1/agui").body(vec![0xff]), 400, "bad_frame", "utf-8"),
        (Ask::new("POST", "/v1/agui").body("[".repeat(1000)), 400, "bad_frame", "object"),
        (Ask::new("POST", "/v1/agui").body(deep), 400, "bad_frame", "recursion limit"),
        (Ask::post("/v1/agui", &json!({"threadId": "", "messages": []})), 400, "bad_frame", "`threadId` is empty"),
        (Ask::post("/v1/agui", &json!({"runId": long, "messages": []})), 400, "bad_frame", "`runId` has 300 bytes"),
        (Ask::post("/v1/agui", &json!({"messages": [{"role": "user"}]})), 400, "bad_frame", "missing field `id`"),
        (Ask::new("POST", "/v1/agui").body("x".repeat(1025)), 413, "too_large", "larger than 1024 bytes"),
        (Ask::post("/v1/threads/t/runs", &json!({"input": {}})), 400, "bad_frame", "missing field `run`"),
        (Ask::post("/v1/threads/t/runs", &json!({"run": "r", "input": []})), 400, "bad_frame", "expected an object"),
        (Ask::get("/v1/threads/%01/events"), 400, "bad_frame", "`thread` has a control character"),
        (Ask::get("/v1/threads/%ff/messages"), 400, "bad_frame", "path cannot be read"),
        (Ask::get("/v1/threads?limit=0"), 400, "bad_frame", "`limit` in the query must be between 1 and 200"),
        (Ask::get("/v1/threads?limit=201"), 400, "bad_frame", "between 1 and 200"),
        (Ask::get("/v1/threads?before=x"), 400, "bad_frame", "`before` in the query must be a whole number"),
        (Ask::get("/v1/threads/t/events?after=1"), 400, "bad_frame", "`epoch` is missing"),
        (Ask::get("/v1/threads/t/events?epoch=e"), 400, "bad_frame", "`after` is missing"),
        (Ask::get("/v1/threads/t/events").header("last-event-id", "7"), 400, "bad_frame", "`Last-Event-ID` must be"),
    ];
    for (ask, status, code, says) in cases {
        let mut answer = ask.by(&gateway, "ann").send(&gateway).await;
        let error = answer.json().await;
        assert_eq!((answer.status, &error["code"]), (status, &json!(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    gateway.serves_others().await;
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_read_and_one_that_does_not_say_is_cut_off() {
    let gateway = Gateway::start(&[]).await;
    let lie = Ask::new("POST", "/v1/agui").header("content-length", "1000000000").by(&gateway, "ann");
    assert_eq!(lie.send(&gateway).await.status, 413);
    let chunk = format!("{:x}\r\n{}\r\n", 300_000, "x".repeat(300_000));
    let mut chunked = Ask::new("POST", "/v1/agui").by(&gateway, "ann").chunked(chunk).send(&gateway).await;
    assert_eq!((chunked.status, chunked.json().await["code"].clone()), (413, json!("too_large")));
}

#[tokio::test]
async fn nobody_is_served_without_a_good_token_and_each_route_says_so_by_status() {
    let gateway = Gateway::start(&[]).await;
    let routes = [
        ("POST", "/v1/agui"),
        ("POST", "/v1/agui/demo"),
        ("GET", "/v1/threads"),
        ("GET", "/v1/threads/t/messages"),
        ("GET", "/v1/threads/t/events"),
        ("POST", "/v1/threads/t/runs"),
        ("DELETE", "/v1/threads/t/runs/r"),
    ];
    for (method, path) in routes {
        for ask in [Ask::new(method, path), Ask::new(method, path).header("authorization", "Bearer not.a.token")] {
            let mut answer = ask.send(&gateway).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
            assert_eq!(answer.json().await["code"], "unauthorized");
        }
    }
}

#[tokio::test]
async fn pages_of_configured_origins_may_call_from_a_browser_and_no_others() {
    let gateway = Gateway::start(&[r#"auth.origins = ["https://chat.example.org"]"#]).await;
    let preflight = |origin: &str| {
        Ask::new("OPTIONS", "/v1/agui")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .send(&gateway)
    };
    let known = preflight("https://chat.example.org").await;
    assert_eq!((known.status, known.header("access-control-allow-origin")), (200, Some("https://chat.example.org")));
    assert!(known.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(known.header("access-control-allow-credentials"), None);
    assert_eq!(preflight("https://evil.example.org").await.header("access-control-allow-origin"), None);
    let call =
        Ask::get("/v1/threads").header("origin", "https://chat.example.org").by(&gateway, "ann").send(&gateway).await;
    assert_eq!(
        call.header("access-control-allow-origin"),
        Some("https://chat.example.org"),
        "and it may read the answer"
    );
}
