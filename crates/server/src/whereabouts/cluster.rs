//! Who has the slot of our keys in a Redis Cluster: any node says so, by refusing what is not its own.

use redis::{ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};

use super::server::Mode;
use super::{Astray, Found, Whereabouts, at};

/// From a node that was named to the owner: one step, two where it did not know of the last failover.
const MAX_STEPS: usize = 4;

/// Follows the node's word, and the next one's, until one of them has the slot itself.
pub(super) async fn owner(whereabouts: &Whereabouts, seed: &ConnectionInfo, key: &str) -> Result<Found, Astray> {
    let mut there = seed.clone();
    for _ in 0..MAX_STEPS {
        let mut found = whereabouts.enter(&there, Mode::Cluster).await?;
        let mut ask = redis::cmd("EXISTS");
        match ask.arg(key).query_async::<u64>(&mut found.connection).await {
            Ok(_) => return found.serving(),
            Err(error) => match moved(&error, &there) {
                Some(next) => there = next,
                None => return Err(error.into()),
            },
        }
    }
    Err(Astray::Unfit("the nodes of the Redis Cluster do not agree about who has our keys"))
}

/// Where it is instead. No host in it means this one's. ASK is no such word: a slot on its way is nobody's to write to yet.
fn moved(error: &RedisError, here: &ConnectionInfo) -> Option<ConnectionInfo> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::Moved) {
        return None;
    }
    let (place, _) = error.redirect_node()?;
    let (host, port) = place.rsplit_once(':')?;
    let host = match host {
        "" => here.addr().to_string().rsplit_once(':')?.0.to_owned(),
        host => host.to_owned(),
    };
    Some(at(here, host, port.parse().ok()?))
}
