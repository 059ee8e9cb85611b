//! What was revoked closes what it had let in.

use super::*;
use crate::auth::{Doorkeeper, Identity, Revocation, Revoked, jwt};
use crate::config::Config;
use crate::store::Store;

impl Node {
    /// A connection that this let in.
    async fn let_in(&mut self, identity: Identity, n: u128) -> Registration {
        let (ours, theirs) =
            tokio::join!(self.sockets.accept(), TcpStream::connect(self.sockets.local_addr().unwrap()));
        self.peers.push(theirs.unwrap());
        self.driver.connect(Arrival {
            expires_in: identity.expires_in(),
            user: identity.user,
            connection: ConnectionId::from_random(n),
            prev: None,
            heartbeat: Heartbeat::Protocol,
            plan: None,
            proof: identity.proof,
            address: Ipv4Addr::LOCALHOST.into(),
            line: Outbox::new(ours.unwrap().0, 65_536),
        })
    }
}

#[tokio::test]
async fn a_revocation_closes_the_open_sockets_of_what_it_hits_at_once_and_no_others() {
    jwt::install_provider();
    let config = Config::from_toml("auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"").unwrap().auth;
    let doorkeeper = Doorkeeper::new(&config, Store::open(None).unwrap(), None).unwrap();
    let token = |user: &UserId| jwt::mint(config.jwt.as_ref().unwrap(), user, PATIENCE).unwrap();
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let (ann, bob) = (token(&user("ann")), token(&user("bob")));
    let _first = node.let_in(doorkeeper.verify(&ann).unwrap(), 1).await;
    let other = node.let_in(doorkeeper.verify(&bob).unwrap(), 2).await;
    let revocation = Revocation { what: Revoked::User(user("ann")), issued_before: None, until: None };
    doorkeeper.revoke(revocation).await.unwrap();
    let hit = |user: &UserId, proof| doorkeeper.is_revoked(user, proof);
    assert_eq!(node.driver.expel(EvictReason::Revoked, hit), 1);
    node.read_until(0, r#"{"reason":"unauthorized","reconnect":false}"#).await;
    assert!(doorkeeper.verify(&ann).is_err(), "no door takes it any more");
    assert_eq!(node.driver.census().connections, 1);
    node.open(&other, "t");
    assert_eq!(node.driver.usage(&user("bob")).used, 1);
    // A fresh token that is revoked counts as what it is.
    other.renew(None, None, doorkeeper.verify(&bob).unwrap().proof);
    let everybody = Revocation { what: Revoked::Everybody, issued_before: None, until: None };
    doorkeeper.revoke(everybody).await.unwrap();
    assert_eq!(node.driver.expel(EvictReason::Revoked, hit), 1);
}

#[tokio::test]
async fn a_logout_closes_a_connection_of_its_login_that_brought_a_token_since_and_of_a_token_the_newest_counts() {
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let identity = |id| Identity {
        user: user("ann"),
        expires: None,
        plan: None,
        agents: None,
        groups: Arc::default(),
        proof: Proof { id, issued: 1 },
    };
    let connection = node.let_in(identity(1), 1).await;
    connection.renew(None, None, Proof { id: 2, issued: 2 });
    connection.renew(None, None, Proof { id: 3, issued: 3 });
    let by = |id: u64| move |_: &UserId, proof: Proof| proof.id == id;
    assert_eq!(node.driver.expel(EvictReason::Revoked, by(1)), 0);
    assert_eq!(node.driver.expel(EvictReason::Revoked, by(2)), 0, "it was replaced");
    assert_eq!(node.driver.expel(EvictReason::LoggedOut, by(2)), 0);
    assert_eq!(node.driver.expel(EvictReason::LoggedOut, by(1)), 1);
    node.read_until(0, r#"{"reason":"logged_out","reconnect":false}"#).await;
    let other = node.let_in(identity(4), 2).await;
    other.renew(None, None, Proof { id: 5, issued: 5 });
    assert_eq!(node.driver.expel(EvictReason::Revoked, by(5)), 1);
}

#[tokio::test]
async fn a_logout_finds_the_connections_of_its_user_and_nobody_elses() {
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let identity = |name: &str, id| Identity {
        user: user(name),
        expires: None,
        plan: None,
        agents: None,
        groups: Vec::new().into(),
        proof: Proof { id, issued: 1 },
    };
    let _first = node.let_in(identity("ann", 7), 1).await;
    let _second = node.let_in(identity("ann", 8), 2).await;
    let _other = node.let_in(identity("bob", 7), 3).await;
    assert_eq!(node.driver.proofs(), [7, 8].into());
    assert_eq!(node.driver.expel_user(&user("ann"), EvictReason::LoggedOut, |proof| proof.id == 7), 1);
    node.read_until(0, "logged_out").await;
    assert_eq!(node.driver.expel_user(&user("carl"), EvictReason::LoggedOut, |_| true), 0);
    assert_eq!(node.driver.census().connections, 2);
}
