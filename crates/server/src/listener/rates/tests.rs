use std::net::Ipv6Addr;

use super::*;
use crate::driver::jittered;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn rates(per_second: u32) -> Arc<Rates> {
    Rates::new(NonZeroU32::new(per_second).unwrap())
}

fn token(rates: &Rates, text: &str) -> Credential {
    rates.credential([text.as_bytes(), b"", b"", b""])
}

#[tokio::test(start_paused = true)]
async fn an_office_of_five_hundred_tabs_that_reconnects_twice_at_once_is_within_the_default_rate() {
    let rates = rates(50);
    assert!((0..1000).all(|_| rates.connect(HERE).is_none()));
    assert!(rates.connect(HERE).is_some());
    assert!(rates.connect(THERE).is_none(), "another network has a rate of its own");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!((0..50).all(|_| rates.connect(HERE).is_none()));
    assert!(rates.connect(HERE).is_some());
}

#[tokio::test(start_paused = true)]
async fn beyond_the_rate_the_pause_grows_with_each_repetition_to_a_minute_and_is_forgiven() {
    let rates = rates(1);
    assert!((0..20).all(|_| rates.connect(HERE).is_none()));
    let pauses: Vec<_> = (0..10).map(|_| rates.connect(HERE).unwrap()).collect();
    assert!(pauses.windows(2).take(6).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE), "{pauses:?}");
    assert!(pauses[9] >= LONGEST_PAUSE * 3 / 4, "{pauses:?}");
    tokio::time::advance(Duration::from_secs(300)).await;
    assert!((0..20).all(|_| rates.connect(HERE).is_none()));
    assert!(rates.connect(HERE).unwrap() <= Duration::from_secs(1), "he begins anew");
}

#[tokio::test]
async fn pauses_differ_from_one_who_is_turned_away_to_the_next() {
    let all: std::collections::HashSet<_> = (0..64).map(|_| jittered(Duration::from_secs(8))).collect();
    assert!(all.len() > 16, "{all:?}");
    assert!(all.iter().all(|pause| (6..=8).contains(&pause.as_secs())));
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_fails_on_is_not_looked_at_for_longer_each_time_and_no_other_suffers() {
    let rates = rates(1);
    let (stale, fresh) = (token(&rates, "stale"), token(&rates, "fresh"));
    for _ in 0..FREE_FAILURES {
        assert_eq!(rates.held_off(HERE, stale), None);
        rates.failed(HERE, stale);
    }
    assert_eq!(rates.held_off(HERE, stale), None);
    let mut longest = Duration::ZERO;
    for _ in 0..6 {
        rates.failed(HERE, stale);
        let pause = rates.held_off(HERE, stale).unwrap();
        assert!(pause > longest && pause <= LONGEST_PAUSE, "{pause:?} after {longest:?}");
        longest = pause;
        assert_eq!(rates.held_off(HERE, fresh), None, "another token from the same address (hazard R20)");
        assert_eq!(rates.held_off(THERE, stale), None, "the same from another address");
        tokio::time::advance(pause).await;
        assert_eq!(rates.held_off(HERE, stale), None, "whoever comes back when he was told to is looked at");
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    rates.failed(HERE, stale);
    assert_eq!(rates.held_off(HERE, stale), None, "he begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_million_networks_and_a_million_credentials_take_bounded_memory_and_unlimit_nobody() {
    let rates = rates(1);
    assert!((0..20).all(|_| rates.connect(HERE).is_none()));
    for number in 0..1_000_000_u64 {
        let spoofed = IpAddr::V6(Ipv6Addr::from((0x2001_0db8_0000_0000_u128 | u128::from(number)) << 64));
        assert_eq!(rates.connect(spoofed), None, "whoever comes once is no flood");
        rates.failed(spoofed, Credential(number));
    }
    assert!(rates.connect(HERE).is_some(), "who was limited before is limited still");
    assert!(rates.connects.len() <= MAX_KEYS && rates.failures.len() <= MAX_KEYS && rates.hasty.len() <= MAX_KEYS);
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(rates.connect(THERE), None);
    assert!(rates.connects.len() <= 1, "what says nothing any more is forgotten");
}

#[tokio::test]
async fn a_customer_of_ipv6_is_one_whatever_address_of_his_he_uses() {
    let rates = rates(1);
    let address = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
    let told = (0..200).filter(|host| rates.connect(address(*host)).is_some()).count();
    assert!(told >= 170, "{told}");
}
