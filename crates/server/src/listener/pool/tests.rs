use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_newcomer_turns_out_the_oldest_stranger() {
    let pool = Pool::new(2, 100);
    let first = pool.take_seat(HERE).unwrap();
    let second = pool.take_seat(HERE).unwrap();
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    first.spawn(async move {
        std::future::pending::<()>().await;
        drop(ended);
    });
    let _third = pool.take_seat(HERE).unwrap();
    assert!(end.await.is_err(), "the first stranger's task is aborted");
    assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 2 });
    drop((first, second));
    assert_eq!(pool.occupancy().connections, 1);
}

#[tokio::test]
async fn whoever_said_who_he_is_is_never_turned_out_by_the_pool_of_strangers() {
    let pool = Pool::new(1, 2);
    let known = pool.take_seat(HERE).unwrap();
    known.identify();
    let _stranger = pool.take_seat(HERE).unwrap();
    let newcomer = pool.take_seat(HERE).expect("the stranger's seat is free for a newcomer");
    newcomer.identify();
    assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 0 });
    assert!(pool.take_seat(HERE).is_none(), "the node is full of known people");
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

#[tokio::test]
async fn a_user_whose_requests_are_answered_keeps_nobody_out_with_the_connections_that_he_left_open() {
    let pool = Pool::new(4, 8);
    let left_open: Vec<_> = (0..100)
        .map(|_| {
            let seat = pool.take_seat(HERE).expect("a newcomer finds a seat");
            let asking = seat.ask(&user("ann"));
            drop((asking, seat.hold()));
            seat
        })
        .collect();
    assert_eq!(pool.occupancy(), Occupancy { connections: 4, strangers: 4 }, "the newest of them");
    let other = pool.take_seat(HERE).expect("a seat for somebody else");
    other.identify();
    assert_eq!(pool.occupancy(), Occupancy { connections: 4, strangers: 3 });
    drop(left_open);
}

#[tokio::test]
async fn requests_that_never_end_shield_a_few_seats_of_their_user_and_a_share_of_all() {
    let pool = Pool::new(10, 400);
    let mut asking = Vec::new();
    for name in ["ann", "bob", "cyd", "dan"] {
        for _ in 0..30 {
            let seat = pool.take_seat(HERE).unwrap();
            asking.push((seat.ask(&user(name)), seat));
        }
        let shielded = asking.iter().filter(|(known, _)| known.is_some()).count();
        assert_eq!(shielded, (asking.len() / 30 * SHIELDED_PER_USER).min(400 / SHIELDED_SHARE));
    }
    assert_eq!(pool.occupancy(), Occupancy { connections: 30, strangers: 10 });
    asking.clear();
    assert_eq!(pool.occupancy(), Occupancy { connections: 0, strangers: 0 });
}

#[tokio::test]
async fn a_connection_is_known_while_any_of_its_guards_lives_and_young_when_the_last_has_gone() {
    let pool = Pool::new(2, 100);
    let first = pool.take_seat(HERE).unwrap();
    let (answered, next) = (first.hold(), first.ask(&user("ann")));
    let second = pool.take_seat(HERE).unwrap();
    drop(answered);
    assert_eq!(pool.occupancy().strangers, 1);
    drop(next);
    assert_eq!(pool.occupancy().strangers, 2);
    let _third = pool.take_seat(HERE).unwrap();
    second.identify();
    assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 2 }, "the second one was silent longest");
}

#[tokio::test]
async fn a_task_that_starts_after_its_seat_was_lost_is_aborted() {
    let pool = Pool::new(1, 10);
    let first = pool.take_seat(HERE).unwrap();
    let _second = pool.take_seat(HERE).unwrap();
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    first.spawn(async move {
        std::future::pending::<()>().await;
        drop(ended);
    });
    assert!(end.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_its_grace_and_then_ends_what_is_left() {
    let pool = Pool::new(10, 10);
    let seat = pool.take_seat(HERE).unwrap();
    let inside = seat.clone();
    seat.spawn(async move {
        let _inside = inside;
        std::future::pending::<()>().await;
    });
    drop(seat);
    assert_eq!(pool.close(Duration::from_secs(5)).await, 1);
    assert_eq!(pool.occupancy().connections, 0);
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn ten_thousand_silent_sockets_from_fifty_addresses_push_out_each_other_and_no_newcomer_from_elsewhere() {
    let pool = Pool::new(4096, 16_000);
    let mut silent = Vec::new();
    let mut flood = |count: u8| {
        for number in 0..count {
            silent.push(pool.take_seat(IpAddr::from([127, 0, 1, number % 50])).unwrap());
        }
    };
    for _ in 0..50 {
        flood(200);
    }
    let newcomer = pool.take_seat(address("203.0.113.9")).unwrap();
    for _ in 0..50 {
        flood(200);
    }
    assert_eq!(pool.occupancy().strangers, 4096);
    assert!(pool.lock().strangers.contains(newcomer.0.number), "he keeps his seat");
}

#[tokio::test]
async fn an_ipv6_customer_counts_as_one_however_many_addresses_he_uses() {
    let pool = Pool::new(3, 100);
    let elsewhere = pool.take_seat(address("2001:db8:0:1::1")).unwrap();
    let crowd: Vec<_> =
        (1..=9).map(|host| pool.take_seat(address(&format!("2001:db8:0:2::{host}"))).unwrap()).collect();
    assert!(pool.lock().strangers.contains(elsewhere.0.number));
    assert_eq!(pool.occupancy(), Occupancy { connections: 3, strangers: 3 });
    drop(crowd);
}

#[tokio::test]
async fn an_attacker_with_a_whole_ipv6_site_pushes_out_himself_and_no_honest_nat() {
    let pool = Pool::new(100, 1_000);
    let office: Vec<_> = (0..10).map(|_| pool.take_seat(address("203.0.113.9")).unwrap()).collect();
    let home: Vec<_> = (0..3).map(|host| pool.take_seat(address(&format!("2001:db8:2:1::{host}"))).unwrap()).collect();
    let flood: Vec<_> =
        (0..10_000).map(|network| pool.take_seat(address(&format!("2001:db8:1:{network:x}::1"))).unwrap()).collect();
    let keeps = |seat: &Seat| pool.lock().strangers.contains(seat.0.number);
    assert!(office.iter().chain(&home).all(keeps));
    assert_eq!(flood.iter().filter(|seat| keeps(seat)).count(), 87);
}

#[tokio::test]
async fn whom_a_proxy_speaks_for_counts_where_he_comes_from() {
    let pool = Pool::new(3, 100);
    let proxied: Vec<_> = (0..3).map(|_| pool.take_seat(HERE).unwrap()).collect();
    proxied[0].comes_from(address("203.0.113.9"));
    let _next = pool.take_seat(HERE).unwrap();
    let strangers = proxied.iter().map(|seat| pool.lock().strangers.contains(seat.0.number));
    assert_eq!(strangers.collect::<Vec<_>>(), [true, false, true]);
}
