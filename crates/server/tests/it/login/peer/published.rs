//! The keys that a provider publishes: its ID tokens as bearer tokens, and what a new key means.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use super::{at_provider, doors};
use crate::gateway::{Call, Gateway};
use crate::http::client::Ask;
use crate::login::{ORIGIN, greeted};

/// What the provider holds against the code's redemption (RFC 7636).
const VERIFIER: &str = "a-verifier-of-this-test-with-forty-three-characters-and-more";

/// An ID token of this user, as a program gets one by code and PKCE.
async fn id_token(url: &str, user: &str) -> String {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let redirect = format!("{ORIGIN}/v1/login/peer/callback").replace(':', "%3A").replace('/', "%2F");
    let ask = format!(
        "{url}/auth?client_id=lychgate&response_type=code&scope=openid&redirect_uri={redirect}\
         &code_challenge={challenge}&code_challenge_method=S256&state=s"
    );
    let back = at_provider(url, &ask, user).await;
    let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let form = format!("grant_type=authorization_code&code={code}&redirect_uri={redirect}&code_verifier={VERIFIER}");
    let secret = "a%20secret%20between%20the%20gateway%20and%20its%20provider";
    let basic = BASE64_STANDARD.encode(format!("lychgate:{secret}"));
    let redeem = Ask::new("POST", "/token")
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = redeem.send(&doors(url)).await.json().await;
    answer["id_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// An ID token is proven by the published keys, and by the new one after a rotation. Part of the one test that rotates:
/// the provider forgets its old keys, and logins under way with them.
pub(super) async fn are_proven_before_and_after_a_rotation(url: &str) {
    let keys = [
        format!("auth.issuers.peer.issuer = {url:?}"),
        format!("auth.issuers.peer.jwks_url = \"{url}/jwks\""),
        r#"auth.issuers.peer.audience = "lychgate""#.to_owned(),
    ];
    let gateway = Gateway::start(&keys.each_ref().map(String::as_str)).await;
    let before = id_token(url, "before").await;
    assert_eq!(greeted(Call::with_token(&before), &gateway).await.hello["user"], "before");
    println!("checked: an ID token of the provider is proven by the keys that it publishes");

    assert_eq!(Ask::new("POST", "/control/rotate").send(&doors(url)).await.status, 204);
    let after = id_token(url, "after").await;
    // Its key is asked for, ten seconds after the last time at the earliest: until then a client is told to come back.
    let hello = crate::gateway::soon(async {
        loop {
            let mut client = Call::with_token(&after).dial(&gateway).await.unwrap();
            client.say(serde_json::json!({"type": "hello"})).await;
            match client.expect_one_of(&["hello", "error"]).await {
                hello if hello["type"] == "hello" => return hello,
                pending => assert_eq!((&pending["code"], pending["retry_in"].is_u64()), (&"internal".into(), true)),
            }
        }
    });
    assert_eq!(hello.await["user"], "after");
    println!("checked: a token of the new key is proven after the provider has changed its keys");
}
