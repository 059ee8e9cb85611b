//! A gateway whose gate is fed with very many users: what the console has to show on a bad day.
//!
//! ```text
//! app::serve_guests --driver--> connect and open each user          }
//!                               hear of all of them but the silent  } until the time is over, a signal, or the end of a
//!                               some open one more, some go         } piped stdin: of whoever started it and is gone
//! ```
//!
//! Admissions, reclaims, verdicts and routes are the gateway's own; only the sockets are missing. Of a hundred users one is
//! full, four are near their limit, and one in a thousand says nothing any more.

use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use lychgate::api::OperatorKey;
use lychgate::app;
use lychgate::config::{Argument, Sources, load};
use lychgate::driver::{Arrival, Driver, Registration};
use lychgate_core::{ConnectionId, Heartbeat, Proof, SessionContext, Sign, UserId, WebSocketRequest};
use rustix::fs::{FileType, fstat};
use tokio::sync::oneshot;

use crate::nowhere::Nowhere;

/// How often everybody is heard: well within the heartbeat of 20 s.
const HEARD_EVERY: Duration = Duration::from_secs(8);
/// Between two steps of those who come and go.
const STEP: Duration = Duration::from_millis(50);
const SESSIONS: u32 = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Users, each with a connection of his own.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// Minutes after which it ends by itself.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
}

/// Serves until a signal, the end of the time or that of a piped standard input, and prints where, with a key of an operator.
pub(crate) async fn serve(args: &Args) -> anyhow::Result<()> {
    let key = OperatorKey::generate().map_err(std::io::Error::other)?;
    let say = |key: &str, value: &str| Argument { flag: "crowd", key: key.to_owned(), value: value.to_owned() };
    let arguments = vec![
        say("server.listen", "127.0.0.1:0"),
        say("server.admin_listen", "127.0.0.1:0"),
        say("journal.kind", "memory"),
        say("auth.jwt.secret", "a secret of a crowd, which signs nothing"),
        say("admin.keys.crowd.hash", &key.hash()),
        say("admin.keys.crowd.role", "write"),
    ];
    let sources = Sources { arguments, ..Sources::default() };
    let loaded = Arc::new(load(sources.clone())?);
    let (users, end) = (args.users, Instant::now() + Duration::from_secs(args.minutes * 60));
    let (stop, stopped) = sync_channel::<()>(0);
    let per_node = users as usize * 2;
    let served =
        app::serve_guests(loaded, Box::new(move || load(sources.clone())), Some(per_node), move |at, driver| {
            let crowd = std::thread::spawn(move || Crowd::gather(&driver, users).map(|crowd| (crowd, driver)));
            std::thread::spawn(move || -> anyhow::Result<()> {
                let (crowd, driver) =
                    crowd.join().map_err(|_| anyhow::anyhow!("the crowd could not be gathered"))??;
                println!(
                    "crowd of {users} users: users: http://{} admin: http://{} key: {}",
                    at.listen,
                    at.admin,
                    key.reveal()
                );
                crowd.live(&driver, end, &stopped)
            });
        });
    let over = tokio::time::sleep_until(end.into());
    tokio::select! {
        served = served => served?,
        () = over => {}
        () = ended(std::io::stdin()) => {}
    }
    drop(stop);
    Ok(())
}

/// Returns at the end of a pipe, whose other end closes with whoever holds it, however he ends: nobody is left to stop
/// 100,000 users otherwise. Never returns for anything else.
async fn ended(mut input: impl Read + AsFd + Send + 'static) {
    if !is_pipe(&input) {
        return std::future::pending().await;
    }
    let (read, end) = oneshot::channel::<()>();
    // A thread of its own, which the end of the process takes along: the runtime would wait for one of its own.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        drop(read);
    });
    let _ = end.await;
}

/// A pipe, or the socket that Node makes in its place. A terminal stays, and `/dev/null` ends at once and means nothing.
fn is_pipe(input: &impl AsFd) -> bool {
    let kind = fstat(input).map(|stat| FileType::from_raw_mode(stat.st_mode));
    matches!(kind, Ok(FileType::Fifo | FileType::Socket))
}

/// Everybody who is there; the index is who.
struct Crowd {
    here: Vec<Registration>,
    /// Who is heard next.
    next: usize,
    /// When the last of them was heard.
    heard_at: Instant,
}

/// Sessions of a user.
fn wanted(n: u32) -> u32 {
    match n % 100 {
        0 => SESSIONS,
        1..=2 => 15,
        3..=4 => 12,
        _ => 1 + n % 3,
    }
}

fn is_silent(n: usize) -> bool {
    n % 1_000 == 7
}

impl Crowd {
    fn gather(driver: &Arc<Driver>, users: u32) -> anyhow::Result<Self> {
        let mut crowd = Self { here: Vec::with_capacity(users as usize), next: 0, heard_at: Instant::now() };
        for n in 0..users {
            let registration = connect(driver, n)?;
            for thread in 0..wanted(n) {
                open(driver, &registration, thread)?;
            }
            crowd.here.push(registration);
            // On a busy machine the first ones wait for minutes until the last ones are there.
            crowd.hear();
        }
        Ok(crowd)
    }

    /// Hears of as many as are due by now, however late this is asked: at most of everybody once.
    fn hear(&mut self) {
        let everybody = self.here.len() as f64;
        let due = self.heard_at.elapsed().as_secs_f64() / HEARD_EVERY.as_secs_f64() * everybody;
        if due < 1.0 {
            return;
        }
        self.heard_at = Instant::now();
        for _ in 0..due.min(everybody) as usize {
            self.next = (self.next + 1) % self.here.len();
            if !is_silent(self.next) {
                self.here[self.next].heard(Sign::Data);
            }
        }
    }

    /// Most answer, some ask for one more, some let one go.
    fn live(mut self, driver: &Arc<Driver>, end: Instant, stopped: &Receiver<()>) -> anyhow::Result<()> {
        let users = self.here.len();
        let mut step = 0_u32;
        while Instant::now() < end && stopped.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
            self.hear();
            step = step.wrapping_add(1);
            // A full user one more each step, others now and then: each has to make room, or to find some.
            for n in [step.wrapping_mul(100), step.wrapping_mul(37)] {
                let registration = self.here.get(n as usize % users).context("a user of the crowd")?;
                open(driver, registration, SESSIONS + step % 5)?;
            }
        }
        Ok(())
    }
}

fn connect(driver: &Arc<Driver>, n: u32) -> anyhow::Result<Registration> {
    Ok(driver.connect(Arrival {
        user: UserId::parse(&format!("{}", 105_945_141_827_400_000_000_u128 + u128::from(n)))?,
        connection: ConnectionId::from_random(u128::from(n) + 1),
        prev: None,
        heartbeat: Heartbeat::Application,
        expires_in: None,
        plan: None,
        proof: Proof::default(),
        address: IpAddr::from((0x0a00_0000 | n).to_be_bytes()),
        line: Arc::new(Nowhere),
    }))
}

fn open(driver: &Driver, registration: &Registration, thread: u32) -> anyhow::Result<()> {
    let request = WebSocketRequest {
        user: registration.user(),
        thread: Some(&format!("thread-{thread}")),
        client: None,
        connection: registration.connection(),
        operation: "open",
        component: "crowd",
        unix_ms: 0,
    };
    registration.open(SessionContext::from_websocket_request(&request, driver.entropy())?, None, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_crowd_ends_with_whoever_holds_its_input() {
        let (input, mut held) = std::io::pipe().unwrap();
        held.write_all(b"a word is no end").unwrap();
        drop(held);
        timeout(PATIENCE, ended(input)).await.unwrap();
        let (input, held) = UnixStream::pair().unwrap();
        drop(held);
        timeout(PATIENCE, ended(input)).await.unwrap();
    }

    #[test]
    fn a_crowd_whose_input_is_no_pipe_stays() {
        assert!(!is_pipe(&File::open("/dev/null").unwrap()));
        assert!(!is_pipe(&File::open(env!("CARGO_MANIFEST_PATH")).unwrap()));
    }
}
