use super::*;
use crate::store::answers::{KEPT_FOR_MS, MAX_ANSWER_BYTES, MAX_ANSWERS};

const KEEP: Keep = Keep { entries: 1_000, for_ms: 1_000_000 };

fn deed(user: &str) -> Deed {
    Deed {
        routine: false,
        request: "req_1".to_owned(),
        operator: "key:ops".to_owned(),
        action: "evict".into(),
        user: Some(user.to_owned()),
        thread: Some("t1".to_owned()),
        parameters: "{}".to_owned(),
    }
}

fn claim(key: &str, fingerprint: u8) -> Claim {
    Claim { operator: "key:ops".to_owned(), key: key.to_owned(), fingerprint: [fingerprint; 32] }
}

fn memory() -> std::sync::Arc<Store> {
    Store::open(None).unwrap()
}

fn new(begun: Begun) -> u64 {
    match begun {
        Begun::New(id) => id,
        other @ (Begun::Answered { .. } | Begun::Other | Begun::Unanswered(_)) => panic!("{other:?} is not new"),
    }
}

#[test]
fn an_entry_says_who_did_what_to_whom_and_what_became_of_it() {
    let store = memory();
    // Google's ids, colons and whatever else an id may hold are text like any other.
    for user in ["105945141827451681156", "a:b%3A", "ü'; DROP TABLE audit; --"] {
        let id = new(store.begin(&deed(user), None, 7, KEEP).unwrap());
        store.finish(id, Outcome::Done, r#"{"evicted":true}"#, None).unwrap();
        let entries = store.audit(&Wanted::Newest(None), Some(user), 10).unwrap();
        let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
        assert_eq!((entry.user.as_deref(), entry.outcome.as_str(), entry.at), (Some(user), "done", 7));
        assert_eq!((entry.operator.as_str(), entry.action.as_str()), ("key:ops", "evict"));
        assert_eq!(entry.result.as_ref().unwrap().get(), r#"{"evicted":true}"#);
    }
}

#[test]
fn pages_go_back_from_the_newest_or_forward_from_a_place() {
    let store = memory();
    let ids: Vec<u64> = (0..5).map(|_| new(store.begin(&deed("ann"), None, 1, KEEP).unwrap())).collect();
    let page = |wanted| store.audit(&wanted, None, 2).unwrap().iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(page(Wanted::Newest(None)), [ids[4], ids[3]]);
    assert_eq!(page(Wanted::Newest(Some(ids[3]))), [ids[2], ids[1]]);
    assert_eq!(page(Wanted::After(ids[2])), [ids[3], ids[4]]);
    assert_eq!(page(Wanted::After(u64::MAX)), Vec::<u64>::new());
}

#[test]
fn what_is_routine_pushes_out_routine_alone_and_nothing_grows_without_end() {
    let store = memory();
    let id = new(store.begin(&deed("ann"), None, 1, KEEP).unwrap());
    let routine = Deed { routine: true, ..deed("eve") };
    for _ in 0..1_500 {
        store.note(&routine, Outcome::Refused, None, 1, KEEP).unwrap();
        let id = new(store.begin(&routine, None, 1, KEEP).unwrap());
        store.finish_routine(id, Outcome::Done, "{}").unwrap();
    }
    let entries = store.audit(&Wanted::Newest(None), None, 10_000).unwrap();
    assert!(entries.len() <= KEEP.entries + 1 + PRUNE_EVERY as usize, "{}", entries.len());
    assert_eq!(entries.last().unwrap().id, id);
    for _ in 0..3_000 {
        store.begin(&deed("ann"), None, 1, KEEP).unwrap();
    }
    let of_ann = store.audit(&Wanted::Newest(None), Some("ann"), 10_000).unwrap();
    assert!(of_ann.len() <= KEEP.entries + PRUNE_EVERY as usize, "{}", of_ann.len());
}

#[test]
fn entries_that_are_too_old_go() {
    let store = memory();
    store.begin(&deed("ann"), None, 1, KEEP).unwrap();
    for _ in 0..PRUNE_EVERY {
        store.begin(&deed("bob"), None, KEEP.for_ms + 2, KEEP).unwrap();
    }
    assert!(store.audit(&Wanted::Newest(None), Some("ann"), 10).unwrap().is_empty());
}

#[test]
fn the_first_answer_is_given_again_and_a_key_stands_for_one_request() {
    let store = memory();
    let begin = |claim: &Claim, now| store.begin(&deed("ann"), Some(claim), now, KEEP).unwrap();
    let id = new(begin(&claim("k", 1), 0));
    assert_eq!(begin(&claim("k", 1), 1), Begun::Unanswered(id));
    store.finish(id, Outcome::Done, "{}", Some((200, b"{}"))).unwrap();
    assert_eq!(begin(&claim("k", 1), 1), Begun::Answered { status: 200, body: Some(b"{}".to_vec()) });
    assert_eq!(begin(&claim("k", 2), 1), Begun::Other);
    new(begin(&Claim { operator: "key:other".to_owned(), ..claim("k", 2) }, 1));
    assert_eq!(store.audit(&Wanted::Newest(None), None, 10).unwrap().len(), 2, "a repetition is no deed");
    new(begin(&claim("k", 2), KEPT_FOR_MS + 1));
}

#[test]
fn an_answer_that_is_none_frees_its_key_and_one_that_is_too_long_is_known_to_have_been_given() {
    let store = memory();
    let begin = || store.begin(&deed("ann"), Some(&claim("k", 1)), 0, KEEP).unwrap();
    store.finish(new(begin()), Outcome::Failed, "{}", None).unwrap();
    store.finish(new(begin()), Outcome::Done, "{}", Some((200, &vec![b' '; MAX_ANSWER_BYTES + 1]))).unwrap();
    assert_eq!(begin(), Begun::Answered { status: 200, body: None });
}

#[test]
fn answers_are_bounded_and_the_oldest_goes_first() {
    let store = memory();
    let begin = |n: usize| store.begin(&deed("ann"), Some(&claim(&n.to_string(), 1)), 0, KEEP).unwrap();
    for n in 0..=MAX_ANSWERS {
        new(begin(n));
    }
    assert!(matches!(begin(MAX_ANSWERS), Begun::Unanswered(_)));
    new(begin(0));
}

#[test]
fn what_a_process_did_not_live_to_finish_is_unknown_to_the_next_and_not_done_twice() {
    let directory = std::env::temp_dir().join(format!("lychgate-audit-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let store = Store::open(Some(&directory)).unwrap();
    let id = new(store.begin(&deed("ann"), Some(&claim("k", 1)), 0, KEEP).unwrap());
    drop(store);
    let store = Store::open(Some(&directory)).unwrap();
    assert_eq!(store.audit(&Wanted::Newest(None), None, 10).unwrap()[0].outcome, "unknown");
    assert_eq!(store.begin(&deed("ann"), Some(&claim("k", 1)), 1, KEEP).unwrap(), Begun::Unanswered(id));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn what_is_too_long_for_an_entry_is_left_out_of_it() {
    let store = memory();
    let long = format!("\"{}\"", "x".repeat(MAX_JSON_BYTES));
    store.note(&Deed { parameters: long, ..deed("ann") }, Outcome::Done, None, 1, KEEP).unwrap();
    let entries = store.audit(&Wanted::Newest(None), None, 1).unwrap();
    assert_eq!(entries[0].parameters.get(), r#""too long for the audit log""#);
}

/// SQLite's word for a commit that waits for the disk.
const FULL: i64 = 2;

#[test]
fn what_became_of_routine_waits_for_no_disk_and_everything_else_does() {
    let directory = std::env::temp_dir().join(format!("lychgate-audit-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&directory).unwrap();
    let store = Store::open(Some(&directory)).unwrap();
    let waits = || -> Result<i64, StoreError> {
        store.with(|connection| connection.pragma_query_value(None, "synchronous", |row| row.get(0)))
    };
    let id = new(store.begin(&Deed { routine: true, ..deed("ann") }, None, 1, KEEP).unwrap());
    store.finish_routine(id, Outcome::Failed, r#"{"failed":[]}"#).unwrap();
    assert_eq!(waits().unwrap(), FULL, "whatever is written next");
    let reopened = Store::open(Some(&directory)).unwrap();
    let entries = reopened.audit(&Wanted::Newest(None), None, 10).unwrap();
    assert_eq!((entries[0].id, entries[0].outcome.as_str()), (id, "failed"), "it outlives the process");
    std::fs::remove_dir_all(&directory).unwrap();
}
