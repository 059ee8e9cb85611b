//! `lychgate chat`: a terminal client of `lychgate.v1`.
//!
//! ```text
//! stdin --lines--> Chat --run--> gateway        out:   the answers, nothing else
//!                   ^ |<-event-- gateway        notes: everything that is said about them
//!                   | '-lost---> wait ----.
//!                   '--- hello{prev}, open{after, epoch} <-'
//! ```
//!
//! A lost socket loses nothing: the next one says `prev`, `after` and `epoch`, and sends an unanswered run again, which
//! is a no-op where the gateway knows it (protocol.md, rules 3, 5, 6 and 12).

use std::io::{self, BufRead, IsTerminal};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::runtime;
use crate::error::Error;

mod connect;
mod conversation;
mod screen;

use conversation::{Conversation, Next};
use screen::Screen;

/// Lines that were read and not yet sent; the terminal keeps the rest.
const MAX_WAITING_LINES: usize = 16;
/// From the end of one connection to the `hello` of the next; beyond it we give up.
const MAX_OUTAGE: Duration = Duration::from_secs(120);
/// The longest wait that the client chooses by itself.
const MAX_BACKOFF: Duration = Duration::from_secs(20);
/// A connection that held this long after `hello` starts the back-off anew (hazard R12).
const HELD: Duration = Duration::from_secs(5);
/// From the upgrade to `hello`, and from our close to the gateway's.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Arguments of `lychgate chat`.
#[derive(Clone, Debug, Args)]
pub struct ChatArgs {
    /// Where the gateway listens
    #[arg(long, default_value = "ws://127.0.0.1:8787/v1/ws")]
    pub url: String,
    /// Who you are: a token of `lychgate token`, or of whoever logs you in
    #[arg(long, env = "LYCHGATE_TOKEN", hide_env_values = true)]
    pub token: String,
    /// The conversation to continue [default: a new one]
    #[arg(long)]
    pub thread: Option<String>,
    /// Ask this one thing, print the answer and end: exit code 0 when it came, 1 when not
    #[arg(trailing_var_arg = true)]
    pub message: Vec<String>,
}

/// Runs the client on the terminal.
pub(super) fn main(args: ChatArgs) -> Result<(), Error> {
    let (sender, lines) = mpsc::channel(MAX_WAITING_LINES);
    let one_shot = !args.message.is_empty();
    if !one_shot {
        if io::stdin().is_terminal() {
            Screen::new(io::sink(), io::stderr()).note("write a line and press Enter; Ctrl-D ends");
        }
        // A thread of its own, because a read of a terminal cannot be cancelled. It ends with the process.
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(run(&args, lines, Screen::new(io::stdout(), io::stderr())));
    runtime.shutdown_background();
    ended
}

/// Chats until `lines` ends, or, with a message, until it is answered.
///
/// # Errors
/// [`Error::Chat`] when the answer did not come or the gateway does not want us; [`Error::OutputClosed`].
pub async fn run<O, N>(args: &ChatArgs, lines: mpsc::Receiver<String>, screen: Screen<O, N>) -> Result<(), Error>
where
    O: io::Write,
    N: io::Write,
{
    let message = (!args.message.is_empty()).then(|| args.message.join(" "));
    let mut client = Client {
        args,
        lines,
        input_ended: message.is_some(),
        conversation: Conversation::new(args.thread.clone(), message, screen),
        failures: 0,
        greeted_once: false,
        lost_at: None,
    };
    loop {
        match client.connection().await? {
            Ended::Done => return Ok(()),
            Ended::Lost { retry_in } => client.wait(retry_in).await?,
            Ended::OnDemand => match client.lines.recv().await {
                Some(line) => client.conversation.ask(line),
                None => return Ok(()),
            },
        }
    }
}

/// How a connection ended, as far as the next one is concerned.
enum Ended {
    Done,
    Lost { retry_in: Option<Duration> },
    OnDemand,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Client<'a, O: io::Write, N: io::Write> {
    args: &'a ChatArgs,
    lines: mpsc::Receiver<String>,
    input_ended: bool,
    conversation: Conversation<O, N>,
    /// Connections in a row that did not hold.
    failures: u32,
    greeted_once: bool,
    /// Since when there has been no connection that said hello.
    lost_at: Option<Instant>,
}

impl<O: io::Write, N: io::Write> Client<'_, O, N> {
    /// One connection from connect to its end.
    async fn connection(&mut self) -> Result<Ended, Error> {
        let mut socket = match connect::connect(&self.args.url, &self.args.token).await {
            Ok(socket) => socket,
            Err(error) if !self.greeted_once => return Err(error),
            Err(error) => {
                self.conversation.screen.note(&format!("no connection yet: {error}"));
                self.failures = self.failures.saturating_add(1);
                return Ok(Ended::Lost { retry_in: None });
            }
        };
        let mut greeted = None;
        let ended = self.talk(&mut socket, &mut greeted).await?;
        self.failures = match greeted {
            Some(at) if at.elapsed() >= HELD => 0,
            Some(_) | None => self.failures.saturating_add(1),
        };
        if greeted.is_some() {
            self.lost_at = Some(Instant::now());
        }
        self.conversation.on_lost();
        Ok(ended)
    }

    /// Reads, answers and asks until the connection ends.
    async fn talk(&mut self, socket: &mut Socket, greeted: &mut Option<Instant>) -> Result<Ended, Error> {
        let mut outgoing = vec![self.conversation.hello()];
        let mut silence = HANDSHAKE;
        let mut heard = Instant::now();
        loop {
            if !send(socket, &mut outgoing).await {
                return Ok(Ended::Lost { retry_in: None });
            }
            if self.input_ended && self.conversation.is_idle() {
                outgoing.extend(self.conversation.leave());
                send(socket, &mut outgoing).await;
                goodbye(socket).await;
                return Ok(Ended::Done);
            }
            let may_ask = self.conversation.is_idle() && !self.input_ended;
            let due = self.conversation.due();
            let next = tokio::select! {
                // Only what the gateway says is life; neither our own lines nor our timers are (hazard R8).
                frame = timeout_at((heard + silence).into(), socket.next()) => {
                    heard = Instant::now();
                    match frame {
                        Err(_) | Ok(None | Some(Err(_))) => Next::Lost { retry_in: None },
                        Ok(Some(Ok(message))) => self.message(message, &mut outgoing)?,
                    }
                }
                line = self.lines.recv(), if may_ask => {
                    match line {
                        Some(line) => self.conversation.ask_now(line, &mut outgoing),
                        None => self.input_ended = true,
                    }
                    Next::Go
                }
                () = sleep_until(due.into()) => {
                    self.conversation.on_due(&mut outgoing);
                    Next::Go
                }
            };
            match next {
                Next::Go => {}
                Next::Greeted { ping } => {
                    silence = ping + HANDSHAKE;
                    *greeted = Some(heard);
                    self.greeted_once = true;
                    self.lost_at = None;
                }
                Next::Lost { retry_in } => return Ok(Ended::Lost { retry_in }),
                Next::OnDemand => return Ok(Ended::OnDemand),
            }
        }
    }

    fn message(&mut self, message: Message, outgoing: &mut Vec<Value>) -> Result<Next, Error> {
        match message {
            Message::Text(text) => match serde_json::from_str::<Value>(&text) {
                Ok(frame) => self.conversation.on_frame(&frame, outgoing),
                Err(_) => Ok(Next::Go),
            },
            Message::Close(frame) => {
                let (code, reason) =
                    frame.map_or((1006, String::new()), |frame| (u16::from(frame.code), frame.reason.to_string()));
                self.conversation.on_close(code, &reason)
            }
            // Protocol pings are answered by the library; a binary frame is none of ours.
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Next::Go),
        }
    }

    /// Waits before the next connection: what the gateway asked for, else a random part of a doubling bound.
    async fn wait(&mut self, retry_in: Option<Duration>) -> Result<(), Error> {
        let wait = retry_in.unwrap_or_else(|| backoff(self.failures));
        let outage = self.lost_at.map_or(Duration::ZERO, |at| at.elapsed());
        if outage + wait > MAX_OUTAGE {
            let text = format!("The gateway could not be reached again within {} s.", MAX_OUTAGE.as_secs());
            return Err(Error::Chat(text));
        }
        self.conversation.screen.note("the connection was lost; it is restored");
        sleep(wait).await;
        Ok(())
    }
}

/// Random between nothing and 250 ms doubled with every failure, at most 20 s (protocol.md, rule 12).
fn backoff(failures: u32) -> Duration {
    let bound = Duration::from_millis(250).saturating_mul(1 << failures.min(16)).min(MAX_BACKOFF);
    let random = getrandom::u64().unwrap_or(u64::MAX / 2);
    bound.mul_f64(random as f64 / u64::MAX as f64)
}

/// Sends and empties `frames`; false when the socket is broken or takes nothing.
async fn send(socket: &mut Socket, frames: &mut Vec<Value>) -> bool {
    for frame in frames.drain(..) {
        match timeout(HANDSHAKE, socket.send(Message::text(frame.to_string()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    true
}

/// An orderly end: our sessions go at once. Nobody waits long for the answer.
async fn goodbye(socket: &mut Socket) {
    let closed = async {
        if socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(Duration::from_secs(2), closed).await;
}

/// The `input` of a run with one new message of the user.
fn input(id: &str, text: &str) -> Value {
    json!({ "messages": [{ "id": id, "role": "user", "content": text }] })
}

#[cfg(test)]
mod tests;
