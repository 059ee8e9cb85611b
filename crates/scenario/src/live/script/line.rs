//! One socket of a tab: a task that reads it, does as it is told, and writes down what it saw.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::ledger::Ledger;
use crate::client::{Client, PATIENCE, Trouble};

/// What a socket is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Send a frame.
    Say(Value),
    /// Answer nothing any more.
    Mute,
    /// Answer the pings of the protocol alone.
    Freeze,
    /// Answer again.
    Wake,
    /// Read no more.
    StopReading,
    /// Read one frame, if one is there.
    ReadSome,
    /// Read again.
    ReadAgain,
    /// Never answer a close.
    Hang,
    /// Say that it is alive, or that a person looks at it.
    Close,
    /// End with RST.
    Reset,
}

/// Orders that may wait; the one who gives them waits for each.
const ORDERS: usize = 1;

/// How long a tab that reads a little looks for something to read.
const A_LITTLE: Duration = Duration::from_millis(50);

/// The ledger of a user, shared by his sockets.
#[derive(Debug)]
pub(super) struct Shared {
    ledger: Mutex<Ledger>,
    changed: Notify,
}

impl Shared {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger: Mutex::new(ledger), changed: Notify::new() }
    }

    /// The ledger; not to be held across an await.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the ledger and wakes whoever waits for a change.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let changed = change(&mut self.ledger());
        self.changed.notify_waiters();
        changed
    }

    /// Waits until something is true of the ledger; whether it was before `within` was over.
    pub(super) async fn comes_true(&self, within: Duration, is_true: impl Fn(&Ledger) -> bool) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before the look, so that a change between look and wait is not missed.
            changed.as_mut().enable();
            if is_true(&self.ledger()) {
                return true;
            }
            if timeout_at(deadline, changed).await.is_err() {
                return is_true(&self.ledger());
            }
        }
    }
}

/// A socket and the task behind it. Dropping it ends the socket.
#[derive(Debug)]
pub(super) struct Line {
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

impl Line {
    /// Has a task read `client`, which is number `line` of its user's ledger.
    pub(super) fn new(client: Client, line: usize, shared: Arc<Shared>) -> Self {
        let (orders, ordered) = mpsc::channel(ORDERS);
        Self { orders, task: tokio::spawn(live(client, ordered, line, shared)) }
    }

    /// Gives an order and returns when it was obeyed; whether there was anybody to obey.
    pub(super) async fn obey(&self, order: Order) -> bool {
        let (done, is_done) = oneshot::channel();
        if self.orders.send((order, done)).await.is_err() {
            return false;
        }
        matches!(timeout(PATIENCE, is_done).await, Ok(Ok(())))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Orders = mpsc::Receiver<(Order, oneshot::Sender<()>)>;

async fn live(mut client: Client, mut orders: Orders, line: usize, shared: Arc<Shared>) {
    let mut reads = true;
    let trouble = loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let Some((order, done)) = order else { return };
                let obeyed = match order {
                    // Both end the socket, and with it this task.
                    Order::Close => {
                        let _ = client.close(1000).await;
                        let _ = done.send(());
                        return;
                    }
                    Order::Reset => {
                        let _ = client.reset();
                        let _ = done.send(());
                        return;
                    }
                    order => obey(&mut client, order, &mut reads, line, &shared).await,
                };
                // Nobody listens where the plan went on meanwhile.
                let _ = done.send(());
                if let Err(trouble) = obeyed {
                    break trouble;
                }
            }
            frame = client.next(), if reads => match frame {
                Ok(frame) => shared.write(|ledger| ledger.on_frame(line, &frame, Instant::now())),
                Err(trouble) => break trouble,
            },
        }
    };
    shared.write(|ledger| ledger.on_ended(line, &trouble, Instant::now()));
    // The socket stays as it is until the plan lets it go: a close that hangs would end with it.
    while let Some((order, done)) = orders.recv().await {
        drop((order, done));
    }
}

async fn obey(
    client: &mut Client,
    order: Order,
    reads: &mut bool,
    line: usize,
    shared: &Shared,
) -> Result<(), Trouble> {
    match order {
        Order::Say(frame) => client.say(&frame).await?,
        Order::Mute => client.mute(),
        Order::Freeze => client.freeze(),
        Order::Wake => client.wake().await?,
        Order::StopReading => *reads = false,
        Order::ReadSome => {
            if let Ok(frame) = timeout(A_LITTLE, client.next()).await {
                let frame = frame?;
                shared.write(|ledger| ledger.on_frame(line, &frame, Instant::now()));
            }
        }
        Order::ReadAgain => *reads = true,
        Order::Hang => client.hang(),
        Order::Close | Order::Reset => {}
    }
    Ok(())
}
