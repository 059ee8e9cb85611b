use super::*;

const KEY: &str = "lychgate_a-key-of-this-test";

/// With a key of both roles' sake, a group, a page on the list, and perhaps a name of its own.
fn access(public_url: Option<&str>) -> Access {
    let hash = Keys::hash(KEY).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let public_url = public_url.map_or_else(String::new, |url| format!("admin.public_url = {url:?}\n"));
    let text = format!(
        "{public_url}auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\nauth.origins = [\"https://chat.example.org\"]\n\
         admin.write_group = \"operators\"\nadmin.keys.ops.hash = \"sha256:{hash}\"\nadmin.keys.ops.role = \"write\"\n"
    );
    let config = Config::from_toml(&text).unwrap();
    let store = crate::store::Store::open(None).unwrap();
    let entrance = config.admin.public_url.as_ref().map(|url| Entrance {
        logins: crate::auth::Logins::open(crate::auth::Realm::Operators, &config.login, Arc::clone(&store)).unwrap(),
        own_origins: vec![url.as_str().to_owned()],
    });
    let doorkeeper = Doorkeeper::new(&config.auth, store, None).unwrap();
    Access::new(&config, doorkeeper, entrance)
}

fn headers(bearer: &str, host: &str, origins: &[&str]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    let said = [(AUTHORIZATION, value(&format!("Bearer {bearer}"))), (http::header::HOST, value(host))];
    said.into_iter().chain(origins.iter().map(|origin| (ORIGIN, value(origin)))).collect()
}

/// The word of the refusal; none for whoever is let in.
async fn refused(access: &Access, bearer: &str, host: &str, origins: &[&str]) -> Option<&'static str> {
    let headers = headers(bearer, host, origins);
    let asking = Asking { access: Use::Change, headers: &headers, subprotocol: None };
    access.identify(asking).await.err().map(|denied| denied.as_str())
}

fn token() -> String {
    let now = crate::wire::unix_ms() / 1_000;
    let claims = serde_json::json!({
        "sub": "ann", "iss": "lychgate", "aud": "lychgate", "iat": now, "exp": now + 60, "groups": ["operators"]
    });
    let key = jsonwebtoken::EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

#[tokio::test]
async fn a_key_or_token_counts_from_a_program_and_from_a_page_of_this_listener() {
    let (unnamed, named) = (access(None), access(Some("https://ops.example.org")));
    for bearer in [KEY, &token()] {
        assert_eq!(refused(&unnamed, bearer, "127.0.0.1:8788", &[]).await, None, "a program is no page");
        for (host, origin) in [("127.0.0.1:8788", "http://127.0.0.1:8788"), ("localhost:1", "http://localhost:1")] {
            assert_eq!(refused(&unnamed, bearer, host, &[origin]).await, None, "{origin}");
            assert_eq!(refused(&named, bearer, host, &[origin]).await, None, "{origin}");
        }
        let own = ["https://ops.example.org"];
        assert_eq!(refused(&named, bearer, "127.0.0.1:8788", &own).await, None, "a proxy may have changed the host");
        assert_eq!(refused(&unnamed, bearer, "ops.example.org", &own).await, Some("foreign_page"), "nobody named it");
    }
}

#[tokio::test]
async fn any_other_page_that_holds_a_key_or_token_is_foreign() {
    let access = access(Some("https://ops.example.org"));
    for bearer in [KEY, &token()] {
        for (host, origin) in [
            ("127.0.0.1:8788", "https://attacker.example"),
            ("127.0.0.1:8788", "null"),
            ("127.0.0.1:8788", ""),
            ("127.0.0.1:8788", "http://127.0.0.1:8787"),
            ("127.0.0.1:8788", "https://127.0.0.1:8788"),
            ("127.0.0.1:8788", "http://ops.example.org"),
            ("127.0.0.1:8788", "https://ops.example.org:8443"),
            // A name that its owner leads here.
            ("attacker.example:8788", "http://attacker.example:8788"),
            ("attacker.example:8788", "http://127.0.0.1:8788"),
        ] {
            assert_eq!(refused(&access, bearer, host, &[origin]).await, Some("foreign_page"), "{origin} to {host}");
            let two = ["https://ops.example.org", origin];
            assert_eq!(refused(&access, bearer, host, &two).await, Some("foreign_page"), "{origin} as the second");
        }
    }
    let listed = ["https://chat.example.org"];
    assert_eq!(refused(&access, &token(), "127.0.0.1:8788", &listed).await, None, "its people have tokens");
    assert_eq!(
        refused(&access, KEY, "127.0.0.1:8788", &listed).await,
        Some("foreign_page"),
        "no chat page holds a key"
    );
}

#[tokio::test]
async fn a_key_that_is_gone_and_a_token_that_is_over_are_noticed_while_their_owners_stay() {
    let access = access(None);
    let prove = async |bearer: &str| {
        let headers = headers(bearer, "127.0.0.1:8788", &[]);
        access.identify(Asking { access: Use::Socket, headers: &headers, subprotocol: None }).await.unwrap().0
    };
    let (key, user) = (prove(KEY).await, prove(&token()).await);
    assert_eq!((access.still(&key).unwrap(), access.still(&user).unwrap()), (Role::Write, Role::Write));
    let Proven::User(identity, None) = user else { panic!("a token is no login") };
    let over = Identity { expires: Some(1), ..(*identity).clone() };
    assert_eq!(access.still(&Proven::User(Box::new(over), None)).unwrap_err().as_str(), "expired");
    let other = "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\nadmin.group = \"operators\"";
    access.renew(&Config::from_toml(other).unwrap());
    assert_eq!(access.still(&key).unwrap_err().as_str(), "unknown_key");
    assert_eq!(access.still(&Proven::User(identity, None)).unwrap(), Role::Read, "his group may look and no more");
}

#[test]
fn who_somebody_is_is_said_without_doubt() {
    let user = |id: &str| Who::User(UserId::parse(id).unwrap()).to_string();
    assert_eq!(Who::Key("ops".into()).to_string(), "key:ops");
    assert_eq!(user("key:ops"), "user:key:ops", "nobody is taken for a key because he is called so");
    assert_eq!(user("105945141827451681156"), "user:105945141827451681156");
}
