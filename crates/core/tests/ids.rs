//! Ids are opaque text, taken or refused by one rule, and a key never means two sessions (hazard R28).

use lychgate_core::{SessionKey, ThreadId, UserId};
use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

/// Text in which the characters that a key is made of meet often.
fn text() -> impl proptest::strategy::Strategy<Value = String> {
    prop_oneof!["[:%25Aa3]{1,6}", "\\PC{1,40}", any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_different_pairs_never_give_one_key(a in text(), b in text(), c in text(), d in text()) {
        let pair = |user: &str, thread: &str| Some((UserId::parse(user).ok()?, ThreadId::parse(thread).ok()?));
        let (Some(one), Some(two)) = (pair(&a, &b), pair(&c, &d)) else { return Ok(()) };
        let key = |(user, thread): &(UserId, ThreadId)| SessionKey::new(user.clone(), thread.clone()).to_string();
        prop_assert_eq!(one == two, key(&one) == key(&two));
        let read: Result<SessionKey, _> = key(&one).parse();
        prop_assert_eq!(read, Ok(SessionKey::new(one.0, one.1)));
    }

    #[test]
    fn an_id_is_refused_for_its_length_or_its_control_characters_alone(text in any::<String>()) {
        let is_fine = !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
        prop_assert_eq!(UserId::parse(&text).is_ok(), is_fine);
        prop_assert_eq!(ThreadId::parse(&text).is_ok(), is_fine);
        if let Ok(id) = UserId::parse(&text) {
            prop_assert!(id.as_str() == text);
        }
    }
}
