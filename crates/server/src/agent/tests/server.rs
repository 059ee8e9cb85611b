//! A server on loopback that says whatever a test gives it, and tells what it was asked.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Agent, AgentError, Value, collect, request};

/// What a server does after it has read the request and sent its bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) enum Then {
    /// Closes the connection.
    Close,
    /// Sends nothing more until the other side closes.
    Hold,
}

/// A server that gives every request the same bytes.
pub(in crate::agent) struct Server {
    /// `http://` and its address.
    pub(in crate::agent) url: String,
    /// The requests as they came.
    pub(in crate::agent) requests: mpsc::Receiver<String>,
    /// Tells each connection that the other side closed while it was held.
    pub(in crate::agent) hang_ups: mpsc::Receiver<()>,
}

impl Server {
    pub(in crate::agent) async fn start(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, requests) = mpsc::channel(8);
        let (hung_up, hang_ups) = mpsc::channel(8);
        let answer = answer.into();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some(request) = read_request(&mut socket).await else {
                    continue;
                };
                asked.send(request).await.unwrap();
                // The client may be gone before it has read everything; that is its right.
                let _sent = socket.write_all(&answer).await;
                match then {
                    Then::Close => {}
                    Then::Hold => {
                        let _end = socket.read(&mut [0]).await;
                        hung_up.send(()).await.unwrap();
                    }
                }
            }
        });
        Self { url, requests, hang_ups }
    }

    /// Runs an agent to its end; once the server has the question, the clock runs as fast as everybody is idle. Not
    /// earlier: while a connection is being made, the kernel works where the clock cannot see it.
    pub(in crate::agent) async fn outlast(&mut self, agent: impl Agent) -> (Vec<Value>, Option<AgentError>) {
        let run = tokio::spawn(collect(agent.run(request("hello"))));
        self.requests.recv().await.unwrap();
        tokio::time::pause();
        run.await.unwrap()
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() >= length.parse().unwrap() {
            return Some(text);
        }
    }
}

/// An answer that ends when the connection does.
pub(in crate::agent) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An answer whose body is an event stream.
pub(in crate::agent) fn events(body: &[u8]) -> Vec<u8> {
    answer("200 OK", "content-type: text/event-stream\r\n", body)
}
