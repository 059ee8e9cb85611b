//! A client of `lychgate.v1` on a library that others wrote.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Doors, soon};
use crate::record;
use crate::socket::Socket;
use crate::tls::authority::Authority;

/// A handshake to be made.
#[derive(Default)]
pub(crate) struct Call {
    headers: HeaderMap,
    query: String,
    receive_buffer: Option<u32>,
    tls: Option<TlsConnector>,
    from: Option<Ipv4Addr>,
    /// To the operators' socket, on their listener.
    is_operator: bool,
}

impl Call {
    /// Offers `lychgate.v1` and nothing else.
    pub(crate) fn without_token() -> Self {
        Self::default().header("sec-websocket-protocol", "lychgate.v1")
    }

    /// With the token in the `Authorization` header.
    pub(crate) fn with_token(token: &str) -> Self {
        Self::without_token().header("authorization", &format!("Bearer {token}"))
    }

    /// Of an operator with this key or token, as a browser has to show it.
    pub(crate) fn of_console(bearer: &str) -> Self {
        record::secret(bearer);
        Self::of_nobody().header("sec-websocket-protocol", &format!("lychgate.live.v1, lychgate.bearer.{bearer}"))
    }

    /// To the operators' socket, with nothing to show.
    pub(crate) fn of_nobody() -> Self {
        Self { is_operator: true, ..Self::default() }.header("sec-websocket-protocol", "lychgate.live.v1")
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        record::header(name, value);
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// With a query in the address.
    pub(crate) fn query(mut self, query: &str) -> Self {
        self.query = format!("?{query}");
        record::address(&self.query);
        self
    }

    /// The kernel keeps no more than about so many bytes for a client that does not read.
    pub(crate) fn receiving_at_most(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Over TLS, trusting this authority.
    pub(crate) fn over(mut self, authority: &Authority) -> Self {
        self.tls = Some(authority.connector(false));
        self
    }

    /// From this address of loopback.
    pub(crate) fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = Some(address);
        self
    }

    /// Makes the handshake; the error is the library's, with the response if there was one.
    pub(crate) async fn dial(self, gateway: &Doors) -> Result<Client, Error> {
        let (address, path) = match self.is_operator {
            true => (gateway.admin, "/v1/admin/live"),
            false => (gateway.address, "/v1/ws"),
        };
        let mut request = format!("ws://{address}{path}{}", self.query).into_client_request().unwrap();
        request.headers_mut().extend(self.headers);
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        if let Some(address) = self.from {
            socket.bind((address, 0).into()).unwrap();
        }
        let socket = soon(socket.connect(address)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let socket = match self.tls {
            None => Socket::Plain(socket),
            Some(tls) => {
                let name = ServerName::from(address.ip());
                Socket::Tls(Box::new(soon(tls.connect(name, socket)).await.unwrap()))
            }
        };
        let (socket, response) = soon(client_async(request, socket)).await?;
        let is_acknowledging = self.is_operator;
        Ok(Client { socket, headers: response.headers().clone(), hello: Value::Null, is_acknowledging })
    }
}

/// What a client hears.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// A frame of the protocol.
    Frame(Value),
    /// A close frame: its code and its reason.
    Close(u16, String),
    /// The end of the connection.
    End,
}

/// One socket. Whoever does not read from it answers nothing, protocol pings included.
pub(crate) struct Client {
    socket: WebSocketStream<Socket>,
    /// The headers of the handshake's response.
    pub(crate) headers: HeaderMap,
    /// The gateway's hello.
    pub(crate) hello: Value,
    /// Whether it chose the heartbeat `app`.
    pub(super) is_acknowledging: bool,
}

impl Client {
    pub(crate) async fn say(&mut self, frame: Value) {
        record::said(&frame);
        self.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Error> {
        soon(self.socket.send(message)).await
    }

    /// What comes next, pings aside, before the test loses its patience.
    pub(crate) async fn hear(&mut self) -> Heard {
        soon(self.hear_late()).await
    }

    /// What comes next, pings aside, whenever that is. Dropping this future loses nothing.
    pub(crate) async fn hear_late(&mut self) -> Heard {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str::<Value>(&text).unwrap() {
                    ping if ping["type"] == "ping" => self.answer_ping().await,
                    frame => return Heard::Frame(frame),
                },
                Some(Ok(Message::Close(Some(close)))) => {
                    return Heard::Close(close.code.into(), close.reason.to_string());
                }
                Some(Ok(Message::Close(None))) => return Heard::Close(1005, String::new()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other @ (Message::Binary(_) | Message::Frame(_)))) => panic!("we send no {other:?}"),
                Some(Err(_)) | None => return Heard::End,
            }
        }
    }

    /// With heartbeat `app` data frames alone are life. The other side may have gone meanwhile: that is heard next.
    async fn answer_ping(&mut self) {
        if self.is_acknowledging {
            let _sent = self.socket.send(Message::text(r#"{"type":"ack"}"#)).await;
        }
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Value {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            other @ (Heard::Close(..) | Heard::End) => panic!("a frame was due, not {other:?}"),
        }
    }

    /// The next frame, which has to be of this type; notices of pressure aside, unless they are what is due.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        self.expect_one_of(&[kind]).await
    }

    /// The next frame, which has to be of one of these types.
    pub(crate) async fn expect_one_of(&mut self, kinds: &[&str]) -> Value {
        loop {
            let frame = self.frame().await;
            match frame["type"].as_str().unwrap() {
                "notice" if !kinds.contains(&"notice") => {}
                found => {
                    assert!(kinds.contains(&found), "{kinds:?} was due, not {frame}");
                    return frame;
                }
            }
        }
    }

    /// The next frame of this type, whatever comes before it.
    pub(crate) async fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// An `error` with this code is next.
    pub(crate) async fn expect_error(&mut self, code: &str) -> Value {
        let error = self.expect("error").await;
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
        error
    }

    /// A close with this code is next, frames aside; answers its reason, which is JSON.
    pub(crate) async fn expect_close(&mut self, code: u16) -> Value {
        loop {
            match self.hear().await {
                Heard::Frame(_) => {}
                Heard::Close(found, reason) => {
                    assert_eq!(found, code, "{reason}");
                    assert!(reason.len() <= 123, "{reason}");
                    return serde_json::from_str(&reason).unwrap();
                }
                Heard::End => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// Nothing is on its way: the next frame answers a question that is asked now. A connection's frames come in order.
    pub(crate) async fn expect_nothing(&mut self) {
        self.say(json!({"type": "no such type"})).await;
        let frame = self.expect("error").await;
        assert!(frame["message"].as_str().unwrap().contains("no such type"), "this came unasked: {frame}");
    }

    /// Opens a thread.
    pub(crate) async fn open(&mut self, thread: &str) -> Value {
        self.open_with(json!({"type": "open", "thread": thread})).await
    }

    /// Opens as this frame says.
    pub(crate) async fn open_with(&mut self, open: Value) -> Value {
        self.say(open).await;
        self.expect("opened").await
    }

    /// Starts a run.
    pub(crate) async fn run(&mut self, thread: &str, run: &str, text: &str) {
        self.say(run_frame(thread, run, text)).await;
    }

    /// Starts a run and answers its events, to the terminal one.
    pub(crate) async fn ask(&mut self, thread: &str, run: &str, text: &str) -> Vec<Value> {
        self.run(thread, run, text).await;
        self.events_to_end().await
    }

    /// The events up to a terminal one.
    pub(crate) async fn events_to_end(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let frame = self.expect("event").await;
            let is_end = ["RUN_FINISHED", "RUN_ERROR"].contains(&frame["event"]["type"].as_str().unwrap());
            events.push(frame);
            if is_end {
                return events;
            }
        }
    }

    /// Reads events until one of this type.
    pub(crate) async fn expect_event(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.expect("event").await;
            if frame["event"]["type"] == kind {
                return frame;
            }
        }
    }

    /// Goes with RST, as a machine that lost its network does later.
    pub(crate) fn reset(self) {
        SockRef::from(self.socket.get_ref().tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Closes with 1000 and waits for the end.
    pub(crate) async fn close(mut self) {
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        match soon(self.socket.close(Some(close))).await {
            Ok(()) | Err(Error::ConnectionClosed) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        while self.hear().await != Heard::End {}
    }
}

/// A `run` with one message of the user.
pub(crate) fn run_frame(thread: &str, run: &str, text: &str) -> Value {
    let message = json!({"id": format!("{run}-u"), "role": "user", "content": text});
    json!({"type": "run", "thread": thread, "run": run, "input": {"messages": [message]}})
}
