//! Traces over real sockets: a collector that decodes what comes, and collectors that are down, silent, or say no.
//!
//! `cargo xtask test` runs the first of them with a collector that others wrote in between: it sets that one's address,
//! and where it passes on to.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::gateway::client::run_frame;
use crate::gateway::{Call, Gateway, soon};
use crate::http::client::Ask;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The answer of a collector that takes what it is sent.
const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// What an HTTP request says.
#[derive(Clone)]
struct Asked {
    head: String,
    body: Vec<u8>,
}

impl Asked {
    /// As a collector passes it on: plain, or as gzip.
    fn decoded(&self) -> ExportTraceServiceRequest {
        let mut plain = Vec::new();
        match self.header("content-encoding") {
            Some("gzip") => {
                GzDecoder::new(&*self.body).read_to_end(&mut plain).unwrap();
            }
            _ => plain.clone_from(&self.body),
        }
        ExportTraceServiceRequest::decode(&*plain).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| -> Option<(String, String)> {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        };
        let found = self.head.lines().find(|text| line(text).is_some_and(|(found, _)| found == name))?;
        found.split_once(": ").map(|(_, value)| value)
    }
}

/// Reads one request; none at the end of the connection.
async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let asked =
                Asked { head: String::from_utf8_lossy(&bytes[..end]).into_owned(), body: bytes[end + 4..].to_vec() };
            let length: usize = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
            if asked.body.len() >= length {
                return Some(asked);
            }
        }
        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// An HTTP server that gives everybody the same answer, and keeps what it was asked.
struct Server {
    address: SocketAddr,
    asked: watch::Receiver<Vec<Asked>>,
    /// What the next who asks is answered.
    answer: Arc<Mutex<Option<String>>>,
}

impl Server {
    /// One that never answers where there is no answer.
    async fn start(address: &str, answer: Option<String>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (writer, asked) = watch::channel(Vec::new());
        let (writer, answer) = (Arc::new(Mutex::new(writer)), Arc::new(Mutex::new(answer)));
        let given = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (writer, answer) = (Arc::clone(&writer), Arc::clone(&given));
                tokio::spawn(async move {
                    while let Some(asked) = read(&mut socket).await {
                        writer.lock().unwrap().send_modify(|all| all.push(asked));
                        let Some(answer) = answer.lock().unwrap().clone() else { continue };
                        if socket.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, asked, answer }
    }

    /// A collector that takes everything.
    async fn collector(address: &str) -> Self {
        Self::start(address, Some(TAKEN.to_owned())).await
    }

    /// An agent that says "hello".
    async fn agent() -> Self {
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": "stop"}]});
        let body = format!("data: {chunk}\n\ndata: [DONE]\n\n");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        Self::start("127.0.0.1:0", Some(format!("{head}content-length: {}\r\n\r\n{body}", body.len()))).await
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.asked.borrow().iter().flat_map(|asked| asked.decoded().resource_spans).collect::<Vec<_>>();
        resources.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
    }

    /// Waits for so many spans of this name; answers all that came.
    async fn spans_with(&self, name: &str, count: usize) -> Vec<Span> {
        let mut asked = self.asked.clone();
        loop {
            let spans = self.spans();
            if spans.iter().filter(|span| span.name == name).count() >= count {
                return spans;
            }
            soon(asked.changed()).await.unwrap();
        }
    }
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:?}"))
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Any> {
    span.attributes.iter().find(|pair| pair.key == name)?.value.as_ref()?.value.as_ref()
}

fn text<'a>(span: &'a Span, name: &str) -> &'a str {
    match attribute(span, name) {
        Some(Any::StringValue(text)) => text,
        other => panic!("{name} of {} is {other:?}", span.name),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A gateway that traces to this address, with an agent of this address.
async fn traced(endpoint: &str, agent: SocketAddr, more: &[&str]) -> Gateway {
    let keys = [
        format!("traces.endpoint = {endpoint:?}"),
        r#"traces.every = "10ms""#.to_owned(),
        r#"traces.timeout = "1s""#.to_owned(),
        r#"traces.instance = "node-7""#.to_owned(),
        r#"agents.default = "peer""#.to_owned(),
        r#"agents.peer.kind = "openai""#.to_owned(),
        r#"agents.peer.model = "m""#.to_owned(),
        format!(r#"agents.peer.base_url = "http://{agent}/v1""#),
    ];
    let keys: Vec<&str> = keys.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Gateway::start(&keys).await
}

fn endpoint(server: &Server) -> String {
    format!("http://{}/v1/traces", server.address)
}

/// The whole of a conversation, from the upgrade to its last event.
#[tokio::test]
async fn one_trace_goes_from_the_upgrade_to_the_last_event_of_a_run_and_on_to_the_agent() {
    // With a collector of others in between: it was started first, and passes on to this address.
    let variable = |name: &str| std::env::var(name).ok();
    let behind = variable("LYCHGATE_OTLP_PASSED_ON_TO");
    let collector = Server::collector(behind.as_deref().unwrap_or("127.0.0.1:0")).await;
    let between = variable("LYCHGATE_OTLP_URL").unwrap_or_else(|| endpoint(&collector));
    let agent = Server::agent().await;
    let gateway = traced(&between, agent.address, &[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.ask("t1", "r1", "hello").await;

    // Whoever passes them on may do so in any order.
    for name in ["connection", "open", "agent", "journal", "deliver"] {
        collector.spans_with(name, 1).await;
    }
    let spans = collector.spans_with("run", 1).await;
    let connection = one(&spans, "connection");
    assert!(spans.iter().all(|span| span.trace_id == connection.trace_id), "{spans:?}");
    assert!(connection.parent_span_id.is_empty());
    let run = one(&spans, "run");
    for (child, parent) in
        [("open", connection), ("run", connection), ("agent", run), ("journal", run), ("deliver", run)]
    {
        assert_eq!(one(&spans, child).parent_span_id, parent.span_id, "{child}");
    }
    assert_eq!((text(run, "user"), text(run, "isolation_key"), text(run, "run")), ("ann", "ann:t1", "r1"));
    assert_eq!((text(run, "agent"), text(run, "outcome")), ("peer", "finished"));
    assert_eq!((text(one(&spans, "open"), "path"), text(connection, "transport")), ("free", "websocket"));
    let asks = one(&spans, "agent");
    assert_eq!((asks.kind(), &*asks.events[0].name), (SpanKind::Client, "first_event"));
    let sent = agent.asked.borrow()[0].header("traceparent").unwrap().to_owned();
    assert_eq!(sent, format!("00-{}-{}-01", hex(&asks.trace_id), hex(&asks.span_id)));
    println!("checked: one trace with the right parents, and the agent was asked within it");
}

#[tokio::test]
async fn what_is_sent_names_service_version_and_instance() {
    let (collector, agent) = (Server::collector("127.0.0.1:0").await, Server::agent().await);
    let gateway = traced(&endpoint(&collector), agent.address, &[]).await;
    let _client = gateway.connect("ann").await;
    collector.spans_with("connection", 1).await;
    let asked = collector.asked.borrow()[0].clone();
    let resource = asked.decoded().resource_spans.remove(0).resource.unwrap();
    let value = |name: &str| {
        let pair = resource.attributes.iter().find(|pair| pair.key == name).unwrap();
        match pair.value.clone().unwrap().value {
            Some(Any::StringValue(text)) => text,
            other => panic!("{name} is {other:?}"),
        }
    };
    let named = ["service.name", "service.version", "service.instance.id"].map(value);
    assert_eq!(named, ["lychgate", env!("CARGO_PKG_VERSION"), "node-7"]);
}

#[tokio::test]
async fn a_run_that_outlives_its_socket_and_the_connection_that_comes_back_to_it_name_each_other() {
    let collector = Server::collector("127.0.0.1:0").await;
    let gateway =
        traced(&endpoint(&collector), "127.0.0.1:1".parse().unwrap(), &[r#"agents.demo.delay = "30ms""#]).await;
    let mut first = gateway.connect("ann").await;
    first.open("t1").await;
    let mut frame = run_frame("t1", "r1", "hello");
    frame["agent"] = json!("demo");
    first.say(frame).await;
    first.expect_event("TEXT_MESSAGE_CONTENT").await;
    first.reset();
    let mut second = gateway.connect("ann").await;
    second.open("t1").await;
    second.events_to_end().await;

    let spans = collector.spans_with("run", 1).await;
    let run = one(&spans, "run");
    let back = spans.iter().find(|span| span.name == "open" && span.trace_id != run.trace_id).unwrap();
    assert_eq!((&run.links[0].trace_id, &run.links[0].span_id), (&back.trace_id, &back.span_id));
    assert_eq!((&back.links[0].trace_id, &back.links[0].span_id), (&run.trace_id, &run.span_id));
}

#[tokio::test]
async fn a_clients_traceparent_is_a_link_and_decides_nothing() {
    let (collector, agent) = (Server::collector("127.0.0.1:0").await, Server::agent().await);
    let gateway = traced(&endpoint(&collector), agent.address, &[]).await;
    let unsampled = format!("{}00", &PARENT[..53]);
    let call = Call::with_token(&gateway.token("ann")).header("traceparent", &unsampled);
    let mut client = call.dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect("hello").await;
    let spans = collector.spans_with("connection", 1).await;
    let connection = one(&spans, "connection");
    assert_ne!(hex(&connection.trace_id), PARENT[3..35]);
    assert_eq!(
        (hex(&connection.links[0].trace_id), hex(&connection.links[0].span_id)),
        (PARENT[3..35].into(), PARENT[36..52].into())
    );
    assert!(connection.parent_span_id.is_empty());
}

#[tokio::test]
async fn a_client_that_is_followed_has_its_trace_go_on_to_the_agent_with_its_state() {
    let (collector, agent) = (Server::collector("127.0.0.1:0").await, Server::agent().await);
    // Nothing is traced of our own accord.
    let gateway =
        traced(&endpoint(&collector), agent.address, &["traces.ratio = 0.0", r#"traces.parents = "follow""#]).await;
    let body = json!({"threadId": "t1", "runId": "r1", "messages": [{"id": "u1", "role": "user", "content": "hello"}]});
    let ask =
        Ask::post("/v1/agui", &body).by(&gateway, "ann").header("traceparent", PARENT).header("tracestate", "a=1");
    let mut answer = ask.send(&gateway).await;
    assert_eq!(answer.events().await.last().unwrap().data["type"], "RUN_FINISHED");
    let spans = collector.spans_with("run", 1).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == PARENT[3..35]), "{spans:?}");
    assert_eq!(hex(&one(&spans, "connection").parent_span_id), PARENT[36..52]);
    let asked = agent.asked.borrow()[0].clone();
    assert_eq!(asked.header("tracestate"), Some("a=1"));
    assert!(asked.header("traceparent").unwrap().starts_with(&PARENT[..36]), "{}", asked.head);
}

#[tokio::test]
async fn what_is_not_kept_is_not_sent_and_the_agent_hears_so() {
    let (collector, agent) = (Server::collector("127.0.0.1:0").await, Server::agent().await);
    let gateway = traced(&endpoint(&collector), agent.address, &["traces.ratio = 0.0"]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.ask("t1", "r1", "hello").await;
    drop(gateway);
    assert_eq!(collector.spans().len(), 0);
    let asked = agent.asked.borrow()[0].clone();
    assert!(asked.header("traceparent").unwrap().ends_with("-00"), "{}", asked.head);
}

#[tokio::test]
async fn without_a_collector_the_agent_hears_of_no_trace() {
    let agent = Server::agent().await;
    let url = format!(r#"agents.peer.base_url = "http://{}/v1""#, agent.address);
    let peer = [r#"agents.default = "peer""#, r#"agents.peer.kind = "openai""#, r#"agents.peer.model = "m""#, &url];
    let gateway = Gateway::start(&peer).await;
    let call = Call::with_token(&gateway.token("ann")).header("traceparent", PARENT);
    let mut client = call.dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    client.expect("hello").await;
    client.open("t1").await;
    client.ask("t1", "r1", "hello").await;
    assert_eq!(agent.asked.borrow()[0].header("traceparent"), None);
}

/// What users do while a collector fails, and what is in the log then: one line.
async fn nobody_notices(gateway: &mut Gateway) {
    for round in 0..3 {
        gateway.process.line_with("the collector takes no traces").await;
        let mut client = gateway.connect(&format!("user-{round}")).await;
        client.open("t1").await;
        assert_eq!(client.ask("t1", "r1", "hello").await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    }
    assert_eq!(gateway.process.count("the collector takes no traces"), 1);
}

async fn one_conversation(gateway: &Gateway) {
    let mut client = gateway.connect("somebody").await;
    client.open("t1").await;
    client.ask("t1", "r1", "hello").await;
}

#[tokio::test]
async fn a_collector_that_is_down_costs_one_line_in_the_log() {
    let agent = Server::agent().await;
    let mut gateway = traced("http://127.0.0.1:1/v1/traces", agent.address, &[]).await;
    one_conversation(&gateway).await;
    nobody_notices(&mut gateway).await;
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_one_line_in_the_log() {
    let (collector, agent) = (Server::start("127.0.0.1:0", None).await, Server::agent().await);
    let mut gateway = traced(&endpoint(&collector), agent.address, &[]).await;
    one_conversation(&gateway).await;
    nobody_notices(&mut gateway).await;
}

#[tokio::test]
async fn a_collector_that_says_no_costs_one_line_in_the_log_and_its_return_another() {
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (collector, agent) = (Server::start("127.0.0.1:0", Some(refusal.to_owned())).await, Server::agent().await);
    let mut gateway = traced(&endpoint(&collector), agent.address, &[]).await;
    one_conversation(&gateway).await;
    nobody_notices(&mut gateway).await;
    *collector.answer.lock().unwrap() = Some(TAKEN.to_owned());
    let mut client = gateway.connect("somebody else").await;
    client.open("t1").await;
    gateway.process.line_with("the collector takes traces again").await;
    assert_eq!(gateway.process.count("the collector takes no traces"), 1);
    assert_eq!(gateway.process.count("the collector takes traces again"), 1);
}

#[tokio::test]
async fn spans_beyond_the_bound_are_dropped_and_the_gateway_ends_in_time() {
    let (collector, agent) = (Server::start("127.0.0.1:0", None).await, Server::agent().await);
    let mut gateway = traced(&endpoint(&collector), agent.address, &["traces.max_queued_spans = 4"]).await;
    for _ in 0..5 {
        let mut client = gateway.connect("ann").await;
        client.open_with(json!({"type": "open"})).await;
    }
    gateway.metric_becomes(r#"lychgate_spans_total{outcome="dropped"}"#, |spans| spans > 0.0).await;
    gateway.process.signal(rustix::process::Signal::TERM);
    let (code, log) = gateway.process.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_failed_run_says_so_in_its_trace() {
    let collector = Server::collector("127.0.0.1:0").await;
    let gateway = traced(&endpoint(&collector), "127.0.0.1:1".parse().unwrap(), &[]).await;
    one_conversation(&gateway).await;
    let spans = collector.spans_with("run", 1).await;
    let status = one(&spans, "run").status.clone().unwrap();
    assert_eq!((status.code(), &*status.message), (StatusCode::Error, "agent_unavailable"));
    assert_eq!(text(one(&spans, "run"), "outcome"), "failed");
}
