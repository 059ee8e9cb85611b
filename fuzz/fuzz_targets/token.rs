//! Whatever is shown as a token, and whatever is published as keys: nothing panics, and nobody is let in by what was not
//! signed.
//!
//! The first byte of an input decides what the rest is: a token as it stands; a header and claims that are put together
//! into one with a signature of the input's choice; the same, rightly signed, with something of it changed afterwards; or
//! a JWK set. One token, of a key that the inputs do not know, is good, and stays so.

#![no_main]

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use lychgate::auth::{Doorkeeper, jwt, key_set};
use lychgate::config::{Config, Issuer};
use lychgate::store::Store;
use lychgate_core::UserId;

/// The public key of RFC 8037, appendix A.2: every input may know it, and none signs.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

struct Gate {
    doorkeeper: Arc<Doorkeeper>,
    good: String,
    published: Issuer,
}

static GATE: LazyLock<Gate> = LazyLock::new(|| {
    jwt::install_provider();
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("random bytes");
    let pem = std::env::temp_dir().join(format!("lychgate-fuzz-{}.pem", std::process::id()));
    std::fs::write(&pem, PUBLIC).expect("a file for the public key");
    let config = |keys: &str| {
        let text = format!("[auth.issuers.ed]\nissuer = \"ed\"\naudience = \"lychgate\"\n{keys}\n");
        let own = format!("auth.shared_users = true\nauth.jwt.secret = {:?}\n", BASE64_URL_SAFE_NO_PAD.encode(random));
        Config::from_toml(&(own + &text)).expect("a configuration").auth
    };
    let auth = config(&format!("public_key_file = {:?}", pem.display().to_string()));
    let published = config("jwks_url = \"http://127.0.0.1:1/\"").issuers.remove(0);
    std::fs::remove_file(&pem).expect("the file can go");
    let own = auth.jwt.as_ref().expect("a secret");
    let user = UserId::parse("ann").expect("a user");
    let good = jwt::mint(own, &user, std::time::Duration::from_secs(24 * 3600)).expect("a token");
    let doorkeeper = Doorkeeper::new(&auth, Store::open(None).expect("memory"), None).expect("memory");
    Gate { doorkeeper, good, published }
});

fuzz_target!(|input: &[u8]| {
    let Some((&kind, rest)) = input.split_first() else { return };
    let gate = &*GATE;
    match kind % 4 {
        0 => refused(&String::from_utf8_lossy(rest)),
        1 => {
            let mut parts = rest.splitn(3, |byte| *byte == b'\n').map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
            let parts: Vec<String> = (0..3).map(|_| parts.next().unwrap_or_default()).collect();
            refused(&parts.join("."));
        }
        2 => changed(rest),
        _ => {
            // Bounded as it is when it is fetched.
            let keys = key_set(&rest[..rest.len().min(64 * 1024)], &gate.published);
            assert!(keys.is_none_or(|keys| keys > 0), "a set without a usable key replaces none");
        }
    }
    assert!(gate.doorkeeper.verify(&gate.good).is_ok(), "what is good stays good");
});

fn refused(token: &str) {
    let gate = &*GATE;
    if let Ok(identity) = gate.doorkeeper.verify(token) {
        assert_eq!(token, gate.good, "{identity:?} was let in by what nobody signed");
    }
}

/// The good token with one byte put elsewhere: each pair of bytes says where, and what.
fn changed(edits: &[u8]) {
    let mut token = GATE.good.clone().into_bytes();
    for edit in edits.chunks_exact(2) {
        let place = usize::from(edit[0]) % token.len();
        token[place] = edit[1];
    }
    if token != GATE.good.as_bytes() {
        let token = String::from_utf8_lossy(&token);
        // The last letter of a part has bits that stand for nothing; the library takes no other letter for them.
        refused(&token);
    }
}
