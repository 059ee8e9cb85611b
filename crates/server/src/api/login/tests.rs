//! What a name is read from, and what a logout ends.

use std::sync::mpsc;

use axum::extract::FromRequestParts;
use futures_util::FutureExt;

use super::*;
use crate::auth::{Logins, Realm};
use crate::config::PublicUrl;
use crate::store::Store;

/// The routes of a demo; what they close comes out of the other end.
fn operations() -> (Arc<Operations>, mpsc::Receiver<(UserId, Proof)>) {
    let mut config = Config::from_toml("auth.jwt.secret = 'a secret of the tests, long enough for HS256'").unwrap();
    config.login.is_demo = true;
    let store = Store::open(None).unwrap();
    let logins = Logins::open(Realm::Users, &config.login, Arc::clone(&store)).unwrap();
    let entrance = Entrance { logins, own_origins: vec![ORIGIN_OF_OURS.to_owned()] };
    let (closed, closes) = mpsc::channel();
    let operations = Operations {
        entrance: entrance.clone(),
        doorkeeper: Doorkeeper::new(&config.auth, store, Some(entrance)).unwrap(),
        providers: Providers::new(&config.login.providers, PublicUrl::parse(ORIGIN_OF_OURS).unwrap()).unwrap(),
        listed_origins: RwLock::default(),
        is_demo: true,
        expel: Box::new(move |ended| ended.iter().cloned().for_each(|socket| closed.send(socket).unwrap())),
        metrics: Arc::new(Metrics::new()),
    };
    (Arc::new(operations), closes)
}

const ORIGIN_OF_OURS: &str = "https://chat.example.org";

#[tokio::test]
async fn a_logout_whose_sender_hangs_up_closes_the_sockets_all_the_same() {
    let (operations, closes) = operations();
    let user = UserId::parse("ann").unwrap();
    let vouched = Vouched { user: user.clone(), provider: DEMO.into(), plan: None, groups: Vec::new() };
    let token = operations.entrance.logins.begin(vouched, None).unwrap().token;
    let request = http::Request::post("/v1/logout")
        .header(ORIGIN, ORIGIN_OF_OURS)
        .header(http::header::COOKIE, format!("{}={}", operations.cookie(), token.as_str()));
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let asked = Asked::from_request_parts(&mut parts, &()).await.unwrap();
    // Begun, and dropped at the first wait.
    drop(log_out(State(Arc::clone(&operations)), asked, parts.headers).now_or_never());
    let closed = closes.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert_eq!(closed.0, user);
    assert_eq!(operations.entrance.logins.identity(&token), None);
}

#[test]
fn a_name_is_read_from_a_form_and_from_json() {
    assert_eq!(name_of(b"name=Ann+Lee%21&x=1").as_deref(), Some("Ann Lee!"));
    assert_eq!(name_of(br#"{"name":"ann"}"#).as_deref(), Some("ann"));
    for body in [&b""[..], b"{}", b"[]", b"\xff\xfe", br#"{"name":7}"#, b"nam=x"] {
        assert_eq!(name_of(body), None);
    }
}
