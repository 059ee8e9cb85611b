//! A journal behind sentinels, and one in a Redis Cluster.

use super::faults::witness;
use super::*;
use crate::redis_server::sharded::Sharded;
use crate::redis_server::watched::Watched;

async fn open_at(url: &str) -> Redis {
    Redis::open(&config_for(url)).await.unwrap()
}

/// Until the replica has as many events of the thread as this.
async fn replicated(replica: &Server, stream: &str, events: &str) {
    until("the replica has it", async || (replica.command(&["XLEN", stream]) == events).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_master_behind_sentinels_is_gone_threads_and_runs_go_on_and_readers_start_over() {
    let mut watched = Watched::start();
    let (one, other) = (open_at(&watched.url()).await, open_at(&watched.url()).await);
    let witness = witness(&other);
    let (t, t2) = (key("ann", "t"), key("ann", "t2"));
    one.append(&t, vec![started("r", "q"), content("m", "a")]).await.unwrap();
    one.append(&t2, vec![started("r", "q")]).await.unwrap();
    let before = other.snapshot(&t).await.unwrap();
    replicated(&watched.servers[1], &one.inner.keys.of(&t2).stream, "1").await;
    watched.fail_over();
    let after = until("an answer", async || other.snapshot(&t).await.ok()).await;
    assert!(after.epoch != before.epoch && after.head == before.head, "{after:?}");
    assert!(witness.anew.lock().unwrap().contains(&"Everything".to_owned()));
    let went_on = until("an append", async || one.append(&t, vec![content("m", "b")]).await.ok()).await;
    assert_eq!(went_on[0].offset, 3);
    one.append(&t, vec![finished("r")]).await.unwrap();
    assert_eq!(other.snapshot(&t).await.unwrap().messages.len(), 2);
    assert_eq!(one.snapshot(&t).await.unwrap().epoch, other.snapshot(&t).await.unwrap().epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_new_master_never_heard_of_ends_its_run_and_leaves_no_hole() {
    let mut watched = Watched::start();
    let journal = open_at(&watched.url()).await;
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    replicated(&watched.servers[1], &journal.inner.keys.of(&t).stream, "1").await;
    watched.cut_off_replica();
    journal.append(&t, vec![content("m", "lost")]).await.unwrap();
    watched.fail_over();
    let next = until("an answer", async || match journal.append(&t, vec![content("m", "next")]).await {
        Err(JournalError::Unavailable(_)) => None,
        answer => Some(answer),
    })
    .await;
    assert_eq!(next.unwrap_err(), JournalError::Gone);
    assert_eq!(journal.snapshot(&t).await.unwrap().head, 1, "nothing stands where another event was acknowledged");
    // Whoever sweeps ends it, and the next run begins.
    assert_eq!(journal.abandoned(10).await.unwrap(), [(t.clone(), RunId::parse("r").unwrap())]);
    journal.append(&t, vec![finished("r")]).await.unwrap();
    assert!(journal.abandoned(10).await.unwrap().is_empty());
    journal.append(&t, vec![started("r2", "q")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_beginning_the_new_master_never_heard_of_leaves_a_former_one_to_be_ended() {
    let mut watched = Watched::start();
    let journal = open_at(&watched.url()).await;
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    replicated(&watched.servers[1], &journal.inner.keys.of(&t).stream, "1").await;
    watched.cut_off_replica();
    journal.append(&t, vec![finished("r")]).await.unwrap();
    journal.append(&t, vec![started("r2", "q")]).await.unwrap();
    watched.fail_over();
    let next = until("an answer", async || match journal.append(&t, vec![content("m", "next")]).await {
        Err(JournalError::Unavailable(_)) => None,
        answer => Some(answer),
    })
    .await;
    assert_eq!(next.unwrap_err(), JournalError::Gone);
    assert_eq!(journal.abandoned(10).await.unwrap(), [(t.clone(), RunId::parse("r").unwrap())]);
    let end = || vec![finished("r")];
    assert_eq!(journal.append_once(&t, "end:1", end()).await.unwrap().unwrap()[0].offset, 2);
    assert!(journal.append_once(&t, "end:1", end()).await.unwrap().is_none(), "who comes second ends nothing");
    assert!(journal.abandoned(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_a_master_that_misses_its_replicas_for_a_moment() {
    let server = Server::start();
    let journal = open(&server).await;
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q")]).await.unwrap();
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let they_are_back = async {
        let is_refused = async || journal.trouble().filter(|why| why.contains("NOREPLICAS"));
        until("a refusal", is_refused).await;
        server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    };
    let (appended, ()) = tokio::join!(journal.append(&t, vec![content("m", "a")]), they_are_back);
    assert_eq!(appended.unwrap()[0].offset, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_redis_cluster_it_keeps_what_every_journal_promises() {
    let sharded = Sharded::start();
    let number = std::sync::atomic::AtomicU32::new(0);
    let runtime = Handle::current();
    conforms(|| {
        // Each has its keys on another server.
        let prefix = format!("test-{}", number.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let config = config::Journal { prefix, ..config_for(&sharded.url()) };
        let journal =
            std::thread::scope(|scope| scope.spawn(|| runtime.block_on(Redis::open(&config))).join().unwrap().unwrap());
        Arc::new(journal)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_master_in_a_redis_cluster_is_gone_threads_go_on_and_what_is_written_is_heard_of() {
    let mut sharded = Sharded::start();
    let (one, other) = (open_at(&sharded.url()).await, open_at(&sharded.url()).await);
    let witness = witness(&other);
    let t = key("ann", "t");
    other.attend(&t);
    one.append(&t, vec![started("r", "q"), finished("r")]).await.unwrap();
    let owner = sharded.owner("{lychgate}");
    let heard = |node: &Server, field: &str| node.said(field).parse::<u64>().unwrap();
    let written = heard(&sharded.nodes[owner], "master_repl_offset");
    let replica = &sharded.nodes[owner + 3];
    until("the replica has it", async || (heard(replica, "slave_repl_offset") >= written).then_some(())).await;
    sharded.fail_over("{lychgate}");
    let appended = until("an append", async || one.append(&t, vec![started("r2", "q")]).await.ok()).await;
    assert_eq!(appended[0].offset, 3);
    until("a hint", async || witness.behind.lock().unwrap().contains(&t).then_some(())).await;
    assert_eq!(until("a reader", async || other.read(&t, 2, 10).await.ok()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_a_replica_meanwhile_is_another_log_also_where_its_connections_stayed() {
    let (server, other) = (Server::start(), Server::start());
    let journal = open(&server).await;
    let witness = witness(&journal);
    let t = key("ann", "t");
    journal.append(&t, vec![started("r", "q"), finished("r")]).await.unwrap();
    server.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    let follows = async || (server.said("master_link_status") == "up").then_some(());
    until("it has what the other one has", follows).await;
    server.command(&["REPLICAOF", "NO", "ONE"]);
    until("readers start over", async || (!witness.anew.lock().unwrap().is_empty()).then_some(())).await;
    assert_eq!(until("an answer", async || journal.snapshot(&t).await.ok()).await.head, 0);
}

#[tokio::test]
async fn an_address_that_means_something_else_is_refused_with_what_is_there_and_what_to_write() {
    let (single, watched) = (Server::start(), Watched::with_passwords("right", "theirs"));
    let single = format!("127.0.0.1:{}", single.port());
    let sentinel = format!("127.0.0.1:{}", watched.sentinels[0].port());
    for (url, what, remedy) in [
        (format!("redis://:theirs@{sentinel}"), "names a sentinel", "Write redis+sentinel://"),
        (format!("redis+sentinel://{single}/m"), "what answers there is none", "26379"),
        (format!("redis+cluster://{single}"), "is a server by itself", "Write redis://"),
        (watched.url().replace("the-master", "hers"), "know \"the-master\"", "redis+sentinel://host:26379/NAME"),
        (watched.url().replace("=theirs", "=geheim"), "sentinels that refuse", "sentinel_password"),
        (watched.url().replace(":right@", ":geheim@"), "denies", "user:password@host"),
        (format!("redis://:right@127.0.0.1:{}", watched.servers[1].port()), "is a replica", "name another one"),
    ] {
        let error = Redis::open(&config_for(&url)).await.unwrap_err();
        let said = format!("{error} {}", error.remedy());
        assert!(said.contains(what) && said.contains(remedy) && !said.contains("geheim"), "{url}: {said}");
    }
}
