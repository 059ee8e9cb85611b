//! Bad input at start: each is answered by a sentence that says what to do.

use super::reach::settings_at;
use super::*;
use crate::cluster::redis::entrance::suits;
use crate::redis_server::watched::Watched;

fn refused(settings: config::Redis) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(Redis::start(settings, Introduction::default())).unwrap_err().to_string();
    assert!(error.contains("\n  ") && !error.contains("hunter2"), "{error}");
    error
}

#[test]
fn a_wrong_password_is_refused_and_not_quoted() {
    let server = Server::with_password("right");
    for url in ["redis://:hunter2@127.0.0.1", "redis://127.0.0.1", "redis://hunter2:x@127.0.0.1"] {
        let url = RedisUrl::of_test(&format!("{url}:{}", server.port()));
        let error = refused(config::Redis { url, ..settings(&server) });
        assert!(error.contains("refuses this user or password"), "{error}");
    }
    assert!(TestNode::start(settings(&server)).is_healthy());
}

#[test]
fn a_redis_that_is_too_old_is_refused_with_its_version() {
    let server = Server::start();
    for (version, is_old) in [("6.2.14", true), ("", true), ("7.0.0", false), ("10.1", false)] {
        let said = format!("redis_version:{version}\r\nmaxmemory_policy:noeviction\r\n");
        let suited = suits(&crate::whereabouts::Server::read(&said), &settings(&server));
        let refused = suited.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(refused.contains(&format!("Redis {version:?}, and 7.0 or newer is needed")), is_old, "{refused}");
    }
}

#[test]
fn a_redis_that_evicts_keys_is_refused() {
    let server = Server::with(&["--maxmemory-policy", "allkeys-lru"]);
    let error = refused(settings(&server));
    assert!(error.contains("\"allkeys-lru\"") && error.contains("maxmemory-policy noeviction"), "{error}");
}

#[test]
fn keys_of_another_program_under_our_prefix_are_named() {
    let server = Server::start();
    server.command(&["SET", "t:cache:7", "x"]);
    assert!(refused(settings(&server)).contains("\"t:cache:7\""));
    server.flush_all();
    server.command(&["SET", "t:{cluster}", "x"]);
    assert!(refused(settings(&server)).contains("\"t:{cluster}\""));
    server.flush_all();
    server.command(&["SET", "tea", "x"]);
    assert!(TestNode::start(settings(&server)).is_healthy());
}

#[test]
fn two_clusters_under_one_prefix_are_told_apart_by_their_names() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    let other = config::Redis { name: "other".to_owned(), ..settings(&server) };
    let error = refused(other.clone());
    assert!(error.contains("cluster \"test\"") && error.contains("\"other\""), "{error}");
    let apart = TestNode::start(config::Redis { prefix: "t2".to_owned(), ..other });
    assert_eq!((node.hold("u", 1, 2).len(), apart.hold("u", 1, 2).len()), (1, 1));
    server.command(&["HSET", "t:{cluster}", "schema", "lychgate-9"]);
    assert!(refused(settings(&server)).contains("layout \"lychgate-9\""));
}

#[test]
fn a_cluster_whose_data_is_overwritten_by_another_one_is_unknown_and_closes_nobody() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    node.hold("u", 1, 1);
    server.command(&["HSET", "t:{cluster}", "name", "other"]);
    until("it is unknown", || matches!(node.redis.health(), Health::Unknown { trouble: Trouble::Foreign, .. }));
    assert!(node.heard.taken().is_empty());
}

#[test]
fn an_address_that_means_something_else_is_refused_with_what_is_there_and_what_to_write() {
    let (single, watched) = (Server::start(), Watched::with_passwords("right", "theirs"));
    let sentinel = format!("127.0.0.1:{}", watched.sentinels[0].port());
    let single = format!("127.0.0.1:{}", single.port());
    for (url, what, remedy) in [
        (format!("redis://:theirs@{sentinel}"), "names a sentinel", "Write redis+sentinel://"),
        (format!("redis+sentinel://{single}/m"), "what answers there is none", "26379"),
        (format!("redis+cluster://{single}"), "is a server by itself", "Write redis://"),
        (
            watched.url().replace("the-master", "hers"),
            "the sentinels know \"the-master\"",
            "redis+sentinel://host:26379/NAME",
        ),
        (watched.url().replace("=theirs", "=hunter2"), "sentinels that refuse", "sentinel_password"),
        (watched.url().replace(":right@", ":hunter2@"), "refuses this user or password", "cluster.url"),
    ] {
        let error = refused(settings_at(&url));
        assert!(error.contains(what) && error.contains(remedy), "{url}: {error}");
    }
}

#[test]
fn a_node_that_starts_right_after_a_flush_waits_for_the_beat_that_names_the_data_set() {
    let server = Server::start();
    let _there = TestNode::start(settings(&server));
    server.command(&["FLUSHALL"]);
    // As a node that gives a place back in that moment.
    server.command(&["ZADD", "t:u:{u}:fence", "1", "lease"]);
    let comes = TestNode::start(settings(&server));
    assert!(comes.is_settled());
}
