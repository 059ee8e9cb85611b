//! Hears what other nodes say. It trusts no silence: a ping every second shows whether it is still connected, and whenever
//! it comes back a beat reads what was missed (R17).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, interval, sleep, timeout};

use super::Shared;
use super::link::Link;
use crate::cluster::node::Incarnation;

/// Between two tries to listen.
const PAUSE: Duration = Duration::from_millis(250);

/// Listens until the task is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let (link, term) = shared.linked().await;
        listen(&shared, &link, term.me).await;
        shared.state.send_modify(|state| state.listens = None);
        sleep(PAUSE).await;
    }
}

/// Listens as this incarnation, until that is over or the connection is, or another server is asked: what is said there
/// may not be heard here.
async fn listen(shared: &Shared, link: &Link, me: Incarnation) {
    let channels = [shared.keys.channel(me), shared.keys.everybody()];
    let Ok(ear) = link.listen(&channels).await else {
        return;
    };
    shared.state.send_modify(|state| state.listens = Some((me, Instant::now())));
    shared.wake.notify_one();
    let (mut sink, mut heard) = ear.split();
    let mut ping = interval(shared.interval());
    let mut state = shared.state.subscribe();
    loop {
        tokio::select! {
            message = heard.next() => match message {
                Some(message) => shared.hear(message.get_payload_bytes()),
                None => return,
            },
            _ = ping.tick() => {
                let pong = timeout(shared.settings.command_timeout, sink.ping::<::redis::Value>()).await;
                if !matches!(pong, Ok(Ok(_))) {
                    return;
                }
            }
            changed = state.changed() => {
                let is_over = {
                    let now = state.borrow_and_update();
                    now.term.as_ref().is_none_or(|term| term.me != me)
                        || now.link.as_ref().is_none_or(|now| now.run != link.run)
                };
                if changed.is_err() || is_over {
                    return;
                }
            }
        }
    }
}
