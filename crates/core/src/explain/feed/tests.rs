use super::*;
use crate::explain::Verdict;
use crate::id::ThreadId;

fn decision(n: u64, verdict: Verdict) -> Decision {
    let thread = Some(ThreadId::parse(&format!("t{n}")).unwrap());
    Decision { at: Time::from_micros(n), thread, connection: None, verdict, again: 0 }
}

fn free() -> Verdict {
    Verdict::Admitted { path: crate::AdmissionPath::Free, waited_ms: 0 }
}

fn user(n: u64) -> Option<UserId> {
    Some(UserId::parse(&format!("user-{}", n % 3)).unwrap())
}

/// Decisions 1 to `count`: every third one of each user, every tenth one a refusal's neighbour that waits.
fn feed(budget: usize, count: u64) -> Feed {
    let mut feed = Feed::new(budget);
    for n in 1..=count {
        feed.note(user(n), decision(n, if n % 10 == 0 { Verdict::Waits } else { free() }));
        assert!(feed.bytes() <= budget);
    }
    feed
}

fn numbers(stretch: &Stretch) -> Vec<u64> {
    stretch.told.iter().map(|told| told.sequence).collect()
}

#[test]
fn whoever_asks_again_with_next_hears_of_every_decision_once_and_in_order() {
    let feed = feed(1 << 20, 50);
    let (mut heard, mut after) = (Vec::new(), 0);
    loop {
        let page = feed.after(after, 7, &Filter::default());
        assert_eq!(page.missed, 0);
        heard.extend(numbers(&page));
        after = page.next;
        if page.is_end {
            break;
        }
    }
    assert_eq!(heard, (1..=50).collect::<Vec<_>>());
    let nothing = feed.after(50, 7, &Filter::default());
    assert_eq!((numbers(&nothing), nothing.next, nothing.is_end), (vec![], 50, true));
}

#[test]
fn what_gave_way_to_newer_decisions_is_counted_for_whoever_missed_it() {
    let feed = feed(40_000, 1_000);
    let page = feed.after(5, 1_000, &Filter::default());
    let first = page.told[0].sequence;
    assert!(first > 6 && page.told.len() < 990, "{first}");
    assert_eq!(page.missed, first - 6);
    assert_eq!((page.next, page.is_end), (1_000, true));
    assert_eq!(numbers(&page), (first..=1_000).collect::<Vec<_>>());
    assert_eq!(feed.after(first - 1, 1, &Filter::default()).missed, 0);
}

#[test]
fn the_newest_are_found_from_the_end_backwards() {
    let feed = feed(1 << 20, 50);
    let page = feed.before(u64::MAX, 3, &Filter::default());
    assert_eq!((numbers(&page), page.is_end), (vec![50, 49, 48], false));
    let rest = feed.before(page.next, 100, &Filter::default());
    assert_eq!((rest.told.len(), rest.is_end), (47, true));
}

#[test]
fn filters_pick_by_user_kind_time_and_interest() {
    let feed = feed(1 << 20, 50);
    let pick = |filter: &Filter| numbers(&feed.after(0, 100, filter));
    assert_eq!(pick(&Filter { interesting: true, ..Filter::default() }), [10, 20, 30, 40, 50]);
    assert_eq!(pick(&Filter { kinds: vec!["waits".to_owned()], user: user(1), ..Filter::default() }), [10, 40]);
    let late = Filter { since: Some(Time::from_micros(49)), ..Filter::default() };
    assert_eq!(pick(&late), [49, 50]);
    let level = Filter { level: Some(ReclaimLevel::Force), ..Filter::default() };
    assert_eq!(pick(&level), [0; 0]);
    let at_end = feed.after(0, 100, &level);
    assert_eq!((at_end.next, at_end.is_end), (50, true), "whoever waits for rare news does not look at the rest again");
}

#[test]
fn one_look_is_bounded_however_little_it_finds() {
    let feed = feed(1 << 22, 3_000);
    let nobody = Filter { user: Some(UserId::parse("nobody").unwrap()), ..Filter::default() };
    let page = feed.after(0, 1, &nobody);
    assert_eq!((page.next, page.is_end), (LOOKED_AT as u64, false));
}

#[test]
fn a_budget_for_nothing_holds_nothing_and_numbers_go_on() {
    let feed = feed(10, 50);
    assert_eq!((feed.bytes(), feed.last()), (0, 50));
    let page = feed.after(0, 10, &Filter::default());
    assert_eq!((numbers(&page), page.missed, page.is_end), (vec![], 50, true));
}
