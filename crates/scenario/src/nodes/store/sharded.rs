//! The smallest Redis Cluster that fails over: three masters, and a replica of the one that has our keys.

use anyhow::{Context as _, ensure};

use super::super::redis::{Part, Redis};
use super::until;

/// Slots of the masters: who has none does not vote, and all keys of ours belong to the first.
const SLOTS: [(u16, u16); 3] = [(0, 16_381), (16_382, 16_382), (16_383, 16_383)];

/// All of them.
const MEMBERS: usize = 4;

/// The master that has our keys, its replica, and the other masters; all slots are served, and everybody knows by whom.
pub(super) async fn start() -> anyhow::Result<(Redis, Redis, Vec<Redis>)> {
    let mut all = Vec::new();
    for _ in 0..MEMBERS {
        all.push(Redis::start_as(Part::Shard).await?);
    }
    let told = all[0].ask(&["CONFIG", "GET", "cluster-port"]).await?;
    let (port, bus) = (all[0].address().port().to_string(), told.get(1).context("a cluster has a bus")?.clone());
    for (number, member) in all.iter().enumerate() {
        member.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await?;
        if number > 0 {
            member.ask(&["CLUSTER", "MEET", &member.address().ip().to_string(), &port, &bus]).await?;
        }
    }
    let says = async |what: &str| {
        for member in &all {
            let told = member.ask(&["CLUSTER", "INFO"]).await?;
            ensure!(told.iter().any(|text| text.lines().any(|line| line == what)), "one does not say {what}: {told:?}");
        }
        Ok(())
    };
    until("all members know each other", async || says("cluster_known_nodes:4").await).await?;
    for (member, (from, to)) in all.iter().zip(SLOTS) {
        member.ask(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]).await?;
    }
    let id = all[0].ask(&["CLUSTER", "MYID"]).await?.join("");
    let heir = &all[MEMBERS - 1];
    until("the replica takes its master", async || heir.ask(&["CLUSTER", "REPLICATE", &id]).await.map(drop)).await?;
    until("all slots are served", async || says("cluster_state:ok").await).await?;
    until("all know whom the replica follows", async || {
        for member in &all {
            let told = member.ask(&["CLUSTER", "REPLICAS", &id]).await?;
            ensure!(told.iter().any(|line| line.contains("slave")), "one knows no replica: {told:?}");
        }
        Ok(())
    })
    .await?;
    until("the replica follows", async || super::role(heir, &["slave", "127.0.0.1", &port, "connected"]).await).await?;
    ensure!(all[0].ask(&["EXISTS", "{lychgate}"]).await? == ["0"], "our keys belong to another master");
    let (first, heir) = (all.remove(0), all.pop().context("there are four")?);
    Ok((first, heir, all))
}
