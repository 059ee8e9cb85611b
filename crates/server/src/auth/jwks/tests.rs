//! What is asked for and when, on a paused clock. Nothing is fetched here: tests/it/tokens does that.

use super::*;
use crate::config::Config;

fn shared() -> Shared {
    let text = "auth.issuers.web.issuer = \"web\"\nauth.issuers.web.audience = \"chat\"\n\
         auth.issuers.web.jwks_url = \"http://127.0.0.1:1/\"";
    let issuer = Config::from_toml(text).unwrap().auth.issuers.remove(0);
    Shared::new(issuer, "http://127.0.0.1:1/".into())
}

const SET: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"good","use":"sig","alg":"EdDSA",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn fetched(shared: &Shared) -> Result<Fetched, Failure> {
    let keys = KeySet::parse(SET, &shared.fetch.issuer).unwrap();
    Ok(Fetched { keys, fresh_for: Duration::from_secs(600) })
}

/// When to come back; none where the key is refused.
fn wait(shared: &Shared, kid: &str) -> Option<Duration> {
    let (_, round) = shared.keys();
    match shared.seek(kid, round).expect("no round has ended meanwhile") {
        Unproven::Pending(pending) => Some(pending.retry_in),
        Unproven::Refused(error) => {
            assert_eq!(error, AuthError::UnknownKey);
            None
        }
    }
}

/// How long the task rests now.
async fn rest(shared: &Shared) -> Duration {
    let begin = Instant::now();
    shared.rest().await;
    begin.elapsed()
}

/// The runtime's clock moves in milliseconds.
fn about(seconds: u64) -> std::ops::Range<Duration> {
    Duration::from_secs(seconds)..Duration::from_millis(seconds * 1000 + 5)
}

#[tokio::test(start_paused = true)]
async fn a_key_is_refused_only_once_a_round_that_began_after_it_was_asked_for_did_not_bring_it() {
    let shared = shared();
    assert!(wait(&shared, "early").is_some());
    tokio::time::advance(LATE).await;
    shared.begin();
    assert!(wait(&shared, "during").is_some(), "the round may have been answered before");
    shared.end(fetched(&shared));
    assert_eq!(wait(&shared, "early"), None);
    let until = wait(&shared, "during").unwrap();
    assert!((Duration::from_secs(9)..Duration::from_secs(16)).contains(&until), "{until:?}");
    assert!(about(10).contains(&rest(&shared).await), "a round is wanted, and 10 s after the last one");
    tokio::time::advance(LATE).await;
    shared.begin();
    shared.end(Err(Failure::Late));
    assert!(wait(&shared, "during").is_some(), "a round that failed proves nothing");
    assert!(about(10).contains(&rest(&shared).await));
    shared.begin();
    shared.end(fetched(&shared));
    assert_eq!(wait(&shared, "during"), None);
    assert!(about(600).contains(&rest(&shared).await), "nobody wants anything more");
}

#[tokio::test(start_paused = true)]
async fn keys_that_come_while_a_token_is_looked_up_are_looked_at_before_it_is_refused() {
    let shared = shared();
    assert!(wait(&shared, "good").is_some());
    let (_, before) = shared.keys();
    shared.begin();
    shared.end(fetched(&shared));
    assert!(shared.seek("good", before).is_none(), "it is among the new ones");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_published_minutes_late_turns_nobody_away() {
    let shared = shared();
    let began = Instant::now();
    let mut rounds = 0;
    while wait(&shared, "late").is_some() {
        shared.begin();
        shared.end(fetched(&shared));
        rounds += 1;
        assert!(wait(&shared, "late").is_some());
        assert!(about(10).contains(&rest(&shared).await), "it is asked for again, and no more often");
    }
    assert_eq!((began.elapsed().as_secs(), rounds), (LATE.as_secs(), 30));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_refused_is_asked_for_again_after_a_while() {
    let shared = shared();
    assert!(wait(&shared, "x").is_some());
    shared.begin();
    shared.end(fetched(&shared));
    tokio::time::advance(LATE).await;
    assert_eq!(wait(&shared, "x"), None);
    tokio::time::advance(ABSENT - LATE).await;
    assert!(wait(&shared, "x").is_some(), "an issuer may publish a key after it signed with it");
}

#[tokio::test(start_paused = true)]
async fn names_of_unknown_keys_take_bounded_memory() {
    let shared = shared();
    for n in 0..10 * MAX_ABSENT {
        assert!(wait(&shared, &n.to_string()).is_some());
    }
    assert_eq!(shared.lock().absent.len(), MAX_ABSENT);
    shared.begin();
    shared.end(fetched(&shared));
    assert!(wait(&shared, "0").is_some(), "one that was forgotten is asked for again, not refused");
}

#[tokio::test(start_paused = true)]
async fn known_keys_are_used_for_a_day_while_the_issuer_is_down_and_no_longer() {
    let shared = shared();
    shared.begin();
    shared.end(fetched(&shared));
    shared.begin();
    shared.end(Err(Failure::Status(500)));
    assert!(about(30).contains(&rest(&shared).await), "it is asked again soon, and not all the time");
    tokio::time::advance(STALE - Duration::from_secs(60)).await;
    assert!(shared.keys().0.named("good", jsonwebtoken::Algorithm::EdDSA).is_some());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(shared.keys().0.len(), 0);
    assert!(wait(&shared, "good").is_some(), "who has such a key comes back; he is not turned away");
}

#[tokio::test(start_paused = true)]
async fn those_who_are_told_to_come_back_do_not_come_together() {
    let shared = shared();
    shared.begin();
    shared.end(Err(Failure::Late));
    // After a rotation everybody's token names the same key.
    let mut waits: Vec<_> = (0..100).map(|_| wait(&shared, "new").unwrap()).collect();
    assert!(waits.iter().all(|wait| (Duration::from_secs(9)..Duration::from_secs(16)).contains(wait)), "{waits:?}");
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 50, "{waits:?}");
}
