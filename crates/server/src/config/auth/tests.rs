use crate::config::{Algorithm, Config, KeySource};

const SECRET: &str = "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\n";

/// Says that the same id is the same person.
const SHARED: &str = "auth.shared_users = true\n";

/// An issuer with these keys beside `issuer` and `audience`.
fn issuer(keys: &str) -> String {
    format!("[auth.issuers.web]\nissuer = \"https://login.test/\"\naudience = \"chat\"\n{keys}\n")
}

fn error(text: &str) -> String {
    Config::from_toml(text).unwrap_err().to_string()
}

#[test]
fn an_issuer_makes_the_own_secret_unnecessary_and_nothing_at_all_lets_nobody_in() {
    let auth = Config::from_toml(&issuer("jwks_url = \"https://login.test/jwks\"")).unwrap().auth;
    assert!(auth.jwt.is_none());
    assert_eq!(auth.all_issuers().len(), 1);
    assert!(error("").contains("auth.jwt.secret is not set"));
    let both =
        Config::from_toml(&format!("{SHARED}{SECRET}{}", issuer("jwks_url = \"https://login.test/jwks\""))).unwrap();
    assert_eq!(both.auth.all_issuers().len(), 2);
}

#[test]
fn algorithms_come_from_the_configuration_or_from_the_kind_of_the_key() {
    let of = |keys: &str| Config::from_toml(&issuer(keys)).unwrap().auth.issuers.remove(0);
    let secret = "s".repeat(64);
    assert_eq!(of(&format!("secret = {secret:?}")).algorithms, [Algorithm::HS256]);
    let two = of(&format!("secret = {secret:?}\nalgorithms = [\"HS384\", \"HS512\"]"));
    assert_eq!(two.algorithms, [Algorithm::HS384, Algorithm::HS512]);
    let published = of("jwks_url = \"http://127.0.0.1:9/jwks?key=geheim\"");
    assert!(matches!(published.keys, KeySource::Jwks(_)));
    assert!(!published.algorithms.contains(&Algorithm::HS256) && published.algorithms.contains(&Algorithm::EdDSA));
    assert!(!format!("{published:?}").contains("geheim"));
}

#[test]
fn what_an_issuer_cannot_be_told_names_the_key() {
    let secret = "s".repeat(32);
    for (keys, says) in [
        ("", "auth.issuers.web.jwks_url is not set"),
        ("jwks_url = \"http://login.test/jwks\"", "auth.issuers.web.jwks_url is plain http to another machine"),
        ("jwks_url = \"http://127.0.0.1.login.test/\"", "plain http to another machine"),
        ("jwks_url = \"file:///etc/passwd\"", "neither https nor http"),
        ("jwks_url = \"https://u:p@login.test/\"", "a user, a password or a fragment"),
        ("jwks_url = \"login.test\"", "is not an address"),
        (
            &format!("secret = {secret:?}\nalgorithms = [\"HS512\"]"),
            "gives a secret of 32 bytes; HS512 needs at least 64",
        ),
        (&format!("secret = {secret:?}\nalgorithms = [\"RS256\"]"), "names RS256, which its key cannot be used with"),
        ("jwks_url = \"https://h/\"\nalgorithms = [\"HS256\"]", "names HS256, which its key cannot be used with"),
        ("jwks_url = \"https://h/\"\nalgorithms = [\"none\"]", "names \"none\", which is none"),
        (&format!("secret = {secret:?}\njwks_url = \"https://h/\""), "must not be set together with"),
        ("jwks_url = \"https://h/\"\npublic_key_file = \"/no/such/file\"", "public_key_file"),
        ("public_key_file = \"/no/such/file\"", "auth.issuers.web.public_key_file names the file /no/such/file"),
        ("jwks_url = \"https://h/\"\nleeway = \"6m\"", "auth.issuers.web.leeway is longer than 5 minutes"),
        ("jwks_url = \"https://h/\"\nuser_claim = \"\"", "auth.issuers.web.user_claim is empty"),
        ("jwks_url = \"https://h/\"\nuser_clam = \"x\"", "Did you mean auth.issuers.web.user_claim?"),
    ] {
        let said = error(&issuer(keys));
        assert!(said.contains(says), "{keys}: {said}");
        assert!(!said.contains(&secret), "a secret is never told back: {said}");
    }
    assert!(error("auth.issuers.web.audience = \"chat\"").contains("auth.issuers.web.issuer is not set"));
    assert!(error("auth.issuers.web.issuer = \"i\"").contains("auth.issuers.web.audience is not set"));
    assert!(error(&format!("{SECRET}auth.expiry_grace = \"6m\"")).contains("auth.expiry_grace is longer"));
}

#[test]
fn two_issuers_of_one_iss_contradict_each_other() {
    let two = format!(
        "{}{}",
        issuer("jwks_url = \"https://h/\""),
        issuer("jwks_url = \"https://i/\"").replace("issuers.web", "issuers.app")
    );
    let said = error(&two);
    assert!(said.contains("auth.issuers.web.issuer must not be the same as auth.issuers.app.issuer"), "{said}");
    let own = format!("{SECRET}{}", issuer("jwks_url = \"https://h/\"").replace("https://login.test/", "lychgate"));
    assert!(error(&own).contains("must not be the same as auth.jwt.issuer"));
}

/// An issuer, or a provider, of this name and prefix.
fn source(table: &str, name: &str, prefix: &str) -> String {
    let keys = match table {
        "auth.issuers" => format!("issuer = \"{name}\"\naudience = \"chat\"\njwks_url = \"https://{name}.test/\""),
        _ => format!("issuer_url = \"https://{name}.test\"\nclient_id = \"c\""),
    };
    format!("[{table}.{name}]\n{keys}\nuser_prefix = \"{prefix}\"\n")
}

#[test]
#[cfg(feature = "oidc")]
fn users_of_two_sources_are_two_users_unless_it_is_said_that_they_are_one() {
    const PUBLIC: &str = "server.public_url = \"https://chat.test\"\n";
    let (issuer, provider) =
        (|n: &str, p: &str| source("auth.issuers", n, p), |n: &str, p: &str| source("login.providers", n, p));
    for (sources, key) in [
        (issuer("a", "") + &issuer("b", ""), "auth.issuers.a.user_prefix"),
        (issuer("a", "") + &issuer("b", "b:"), "auth.issuers.a.user_prefix"),
        (issuer("a", "a:") + &issuer("b", "a:b:"), "auth.issuers.a.user_prefix"),
        (issuer("a", "x:") + &provider("b", "x:"), "auth.issuers.a.user_prefix"),
        (issuer("a", "a:") + &provider("b", ""), "login.providers.b.user_prefix"),
        (provider("a", "x:") + &provider("b", "x:y:"), "login.providers.a.user_prefix"),
        (SECRET.to_owned() + &issuer("a", "a:"), "auth.issuers.a.user_prefix"),
        (SECRET.to_owned() + &provider("a", "a:"), "login.providers.a.user_prefix"),
    ] {
        let said = error(&(PUBLIC.to_owned() + &sources));
        assert!(said.contains(key) && said.contains("set auth.shared_users = true"), "{sources}: {said}");
        assert!(Config::from_toml(&(PUBLIC.to_owned() + SHARED + &sources)).is_ok(), "{sources}");
    }
    for sources in [
        SECRET.to_owned(),
        issuer("a", ""),
        provider("a", ""),
        issuer("a", "a:") + &issuer("b", "b:") + &provider("a", "c:"),
    ] {
        Config::from_toml(&(PUBLIC.to_owned() + &sources)).unwrap();
    }
    let long = "p".repeat(33);
    for prefix in [long.as_str(), "\\u0007"] {
        assert!(error(&issuer("a", prefix)).contains("auth.issuers.a.user_prefix is longer than 32 bytes"));
    }
}
