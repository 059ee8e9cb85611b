//! A master, a replica of it, and three sentinels that make the replica the master when the master is gone.

use anyhow::ensure;

use super::super::redis::{MASTER, Part, Redis};
use super::{role, until};

/// The master, its replica and the sentinels, who all know each other; the replica has what the master has.
pub(super) async fn start() -> anyhow::Result<(Redis, Redis, Vec<Redis>)> {
    let first = Redis::start_as(Part::Leader).await?;
    let (address, host, port) = (first.address(), first.address().ip().to_string(), first.address().port().to_string());
    let heir = Redis::start_as(Part::Follower(address)).await?;
    // Sentinels ask a master for its replicas when they meet it, and then only every ten seconds.
    until("the replica follows", async || role(&heir, &["slave", &host, &port, "connected"]).await).await?;
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        sentinels.push(Redis::start_as(Part::Sentinel(address)).await?);
    }
    for sentinel in &sentinels {
        until("the sentinels know each other and the replica", async || {
            let told = sentinel.ask(&["SENTINEL", "MASTER", MASTER]).await?;
            let says = |name: &str, value: &str| told.as_chunks::<2>().0.iter().any(|fact| fact == &[name, value]);
            ensure!(says("num-slaves", "1") && says("num-other-sentinels", "2"), "one knows {told:?}");
            Ok(())
        })
        .await?;
    }
    Ok((first, heir, sentinels))
}
