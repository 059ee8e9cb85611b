//! What operators see on the listener that is theirs.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::gateway::{Gateway, soon};

/// More silent sockets than the admin listener keeps.
const CROWD: usize = 300;

#[tokio::test]
async fn a_crowd_on_the_admin_listener_is_bounded_apart_from_the_users() {
    let gateway = Gateway::start(&[r#"server.header_timeout = "1h""#]).await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(soon(TcpStream::connect(gateway.admin)).await.unwrap());
    }
    // The oldest goes for the newest: far fewer are kept than the users' listener would keep.
    let gone = soon(crowd[0].read(&mut [0; 1])).await;
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    assert_eq!(gateway.get("/readyz").await.0, 200, "whoever speaks is heard all the same");
    let mut users = Vec::new();
    for _ in 0..CROWD {
        users.push(soon(TcpStream::connect(gateway.address)).await.unwrap());
    }
    gateway.metric_becomes("lychgate_unidentified_sockets", |count| count == CROWD as f64).await;
    gateway.serves_others().await;
}
