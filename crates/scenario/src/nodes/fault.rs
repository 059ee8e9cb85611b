//! What can happen to a cluster: how each fault begins and ends. Whoever adds one adds it here, and nowhere else.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::sleep;

use super::cast::Who;
use super::chat::Threads;
use super::proxy::Line;
use super::redis::Keeps;
use super::stage::{NODES, Stage};
use super::store::Kind;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// redis-server stands still for longer than a node lease (SIGSTOP, SIGCONT).
    RedisFrozen,
    /// Redis answers nobody for a second (CLIENT PAUSE).
    RedisPaused,
    /// Every command takes 200 ms longer.
    RedisSlow,
    /// Redis loses everything and goes on (FLUSHALL).
    RedisFlushed,
    /// redis-server is killed, and started again without its data.
    RedisEmptied,
    /// redis-server is killed for longer than a node lease, and started again with its data.
    RedisRestarted,
    /// One node hears nothing of Redis, for less than its lease.
    OneSilent,
    /// The connections of one node to Redis are cut, and new ones refused.
    OneCut,
    /// No node hears anything of Redis.
    AllSilent,
    /// No node can connect to Redis.
    AllCut,
    /// One node hears nothing of Redis for so long that it is declared dead, and comes back.
    NodeLost,
    /// A node is killed, and started again.
    NodeKilled,
    /// A node stands still for so long that it is declared dead, and goes on.
    NodeFrozen,
    /// As redis-frozen, while answers are written to threads in Redis.
    ThreadsFrozen,
    /// As redis-restarted, while answers are written to threads in Redis.
    ThreadsRestarted,
    /// As one-cut, while answers are written to threads in Redis.
    ThreadsCut,
    /// As node-killed, while it writes answers to threads in Redis.
    ThreadsOrphaned,
    /// Each node in turn is told to stop, ends and is started again, while it writes answers to threads in Redis.
    RollingRestart,
    /// The master is killed, and three sentinels make its replica the master.
    SentinelFailover,
    /// The master stands still until its replica is the master, goes on as one that sentinels do not name, and follows its heir.
    SentinelPartition,
    /// The server of a Redis Cluster that has our keys is killed, and its replica takes over.
    ClusterFailover,
    /// As sentinel-failover, while answers are written to threads in Redis, the last of which the replica has not heard of.
    ThreadsFailover,
}

/// The node that faults of one node are about.
const NODE: usize = 1;

/// So much of what was acknowledged is not with the replica when the master is killed: the end of an answer, or a whole one.
const UNHEARD: Duration = Duration::from_millis(500);

impl Fault {
    /// Who plays meanwhile.
    pub(super) fn who(self) -> Who {
        match self {
            Self::RedisFrozen
            | Self::RedisPaused
            | Self::RedisSlow
            | Self::RedisFlushed
            | Self::RedisEmptied
            | Self::RedisRestarted
            | Self::OneSilent
            | Self::OneCut
            | Self::AllSilent
            | Self::AllCut
            | Self::NodeLost
            | Self::NodeKilled
            | Self::NodeFrozen
            | Self::SentinelFailover
            | Self::SentinelPartition
            | Self::ClusterFailover => Who::Crowd,
            Self::ThreadsFrozen | Self::ThreadsRestarted | Self::ThreadsCut => Who::Chats(Threads::AreAway),
            Self::ThreadsFailover => Who::Chats(Threads::LoseTheirEnd),
            Self::ThreadsOrphaned => Who::Chats(Threads::AreThere),
            Self::RollingRestart => Who::Everybody,
        }
    }

    /// Which Redis it happens to.
    pub(super) fn redis(self) -> Kind {
        match self {
            Self::RedisFrozen
            | Self::RedisPaused
            | Self::RedisSlow
            | Self::RedisFlushed
            | Self::RedisEmptied
            | Self::RedisRestarted
            | Self::OneSilent
            | Self::OneCut
            | Self::AllSilent
            | Self::AllCut
            | Self::NodeLost
            | Self::NodeKilled
            | Self::NodeFrozen
            | Self::ThreadsFrozen
            | Self::ThreadsRestarted
            | Self::ThreadsCut
            | Self::ThreadsOrphaned
            | Self::RollingRestart => Kind::Alone,
            Self::SentinelFailover | Self::SentinelPartition | Self::ThreadsFailover => Kind::Watched,
            Self::ClusterFailover => Kind::Sharded,
        }
    }

    /// Whether Redis may be unknown to somebody meanwhile, so that he goes by his own count.
    pub(super) fn hides_redis(self) -> bool {
        match self {
            Self::RedisSlow | Self::NodeKilled | Self::NodeFrozen | Self::ThreadsOrphaned | Self::RollingRestart => {
                false
            }
            Self::RedisFrozen
            | Self::RedisPaused
            | Self::RedisFlushed
            | Self::RedisEmptied
            | Self::RedisRestarted
            | Self::OneSilent
            | Self::OneCut
            | Self::AllSilent
            | Self::AllCut
            | Self::NodeLost
            | Self::ThreadsFrozen
            | Self::ThreadsRestarted
            | Self::ThreadsCut
            | Self::SentinelFailover
            | Self::SentinelPartition
            | Self::ClusterFailover
            | Self::ThreadsFailover => true,
        }
    }

    /// From its beginning, once it has begun, to its end.
    pub(super) fn lasts(self) -> Duration {
        Duration::from_millis(match self {
            Self::RedisPaused | Self::OneSilent => 1_000,
            Self::RedisFlushed
            | Self::RollingRestart
            | Self::SentinelFailover
            | Self::SentinelPartition
            | Self::ClusterFailover
            | Self::ThreadsFailover => 0,
            Self::RedisEmptied | Self::OneCut | Self::ThreadsCut => 1_500,
            Self::RedisSlow | Self::AllCut => 3_000,
            Self::RedisFrozen
            | Self::ThreadsFrozen
            | Self::RedisRestarted
            | Self::ThreadsRestarted
            | Self::AllSilent => 4_000,
            Self::NodeLost | Self::NodeKilled | Self::ThreadsOrphaned | Self::NodeFrozen => 5_000,
        })
    }

    pub(super) async fn begin(self, stage: &mut Stage) -> anyhow::Result<()> {
        match self {
            Self::RedisFrozen | Self::ThreadsFrozen => stage.redis.freeze()?,
            Self::RedisPaused => {
                let time = self.lasts().as_millis().to_string();
                stage.redis.ask(&["CLIENT", "PAUSE", &time, "ALL"]).await?;
            }
            Self::RedisSlow => stage.set_all_lines(Line::Slow(Duration::from_millis(100))),
            Self::RedisFlushed => drop(stage.redis.ask(&["FLUSHALL"]).await?),
            Self::RedisEmptied | Self::RedisRestarted | Self::ThreadsRestarted => stage.redis.kill().await?,
            Self::OneSilent | Self::NodeLost => stage.set_line(NODE, Line::Silent)?,
            Self::OneCut | Self::ThreadsCut => stage.set_line(NODE, Line::Cut)?,
            Self::AllSilent => stage.set_all_lines(Line::Silent),
            Self::AllCut => stage.set_all_lines(Line::Cut),
            Self::NodeKilled | Self::ThreadsOrphaned => stage.kill_node(NODE).await?,
            Self::NodeFrozen => stage.freeze_node(NODE)?,
            Self::RollingRestart => {
                for node in 0..NODES {
                    stage.drain_node(node)?;
                    ensure!(stage.start_node_again(node).await?, "told to stop, node {node} did not end well");
                    stage.together().await?;
                }
            }
            Self::SentinelFailover | Self::ClusterFailover => stage.redis.fail_over().await?,
            Self::SentinelPartition => {
                stage.redis.freeze()?;
                stage.redis.promoted().await?;
            }
            Self::ThreadsFailover => {
                stage.redis.cut_off_heir().await?;
                sleep(UNHEARD).await;
                stage.redis.fail_over().await?;
            }
        }
        Ok(())
    }

    pub(super) async fn end(self, stage: &mut Stage) -> anyhow::Result<()> {
        match self {
            Self::RedisFrozen | Self::ThreadsFrozen => stage.redis.thaw()?,
            // It ends by itself.
            Self::RedisPaused
            | Self::RedisFlushed
            | Self::RollingRestart
            | Self::SentinelFailover
            | Self::ClusterFailover
            | Self::ThreadsFailover => {}
            Self::RedisEmptied => stage.redis.start_again(Keeps::Nothing).await?,
            Self::RedisRestarted | Self::ThreadsRestarted => stage.redis.start_again(Keeps::Everything).await?,
            Self::RedisSlow
            | Self::OneSilent
            | Self::NodeLost
            | Self::OneCut
            | Self::ThreadsCut
            | Self::AllSilent
            | Self::AllCut => {
                stage.set_all_lines(Line::Open);
            }
            Self::NodeKilled | Self::ThreadsOrphaned => drop(stage.start_node_again(NODE).await?),
            Self::NodeFrozen => stage.thaw_node(NODE)?,
            Self::SentinelPartition => {
                // There are two masters from here on, and the nodes know one.
                stage.together().await?;
                stage.redis.comes_back().await?;
            }
        }
        Ok(())
    }
}
