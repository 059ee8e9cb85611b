use super::*;
use crate::nodes::redis::Line;

#[tokio::test]
async fn who_stays_with_a_former_master_that_goes_on_is_found() {
    let mut store = Store::start(Kind::Watched).await.unwrap();
    let former = store.address();
    store.freeze().unwrap();
    store.promoted().await.unwrap();
    store.thaw().unwrap();
    assert_ne!(store.address(), former);
    let mut line = Line::open(former).await.unwrap();
    assert_eq!(line.ask(&["PING"]).await.unwrap(), ["PONG"]);
    let found = store.is_left_alone().await.unwrap_err().to_string();
    assert!(found.contains("somebody else is connected"), "{found}");
    drop(line);
    until("it is gone", async || store.is_left_alone().await).await.unwrap();
}

#[tokio::test]
async fn what_a_replica_has_not_heard_of_is_lost_with_its_master() {
    let mut store = Store::start(Kind::Watched).await.unwrap();
    store.ask(&["SET", "before", "value"]).await.unwrap();
    until("the replica has it", async || {
        ensure!(store.heir()?.server.ask(&["EXISTS", "before"]).await? == ["1"], "it lacks what was written");
        Ok(())
    })
    .await
    .unwrap();
    store.cut_off_heir().await.unwrap();
    store.ask(&["SET", "after", "value"]).await.unwrap();
    store.fail_over().await.unwrap();
    assert_eq!(store.ask(&["EXISTS", "before"]).await.unwrap(), ["1"]);
    assert_eq!(store.ask(&["EXISTS", "after"]).await.unwrap(), ["0"]);
}

#[tokio::test]
async fn a_replica_takes_over_our_keys_of_a_redis_cluster() {
    let mut store = Store::start(Kind::Sharded).await.unwrap();
    let key = store.key("key");
    store.ask(&["SET", &key, "value"]).await.unwrap();
    store.fail_over().await.unwrap();
    until("it serves", async || store.ask(&["SET", &key, "other"]).await.map(drop)).await.unwrap();
}
