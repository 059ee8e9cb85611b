use super::*;

#[tokio::test]
async fn a_newcomer_turns_out_the_oldest_stranger() {
    let pool = Pool::new(2, 100);
    let first = pool.take_seat().unwrap();
    let second = pool.take_seat().unwrap();
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    first.spawn(async move {
        std::future::pending::<()>().await;
        drop(ended);
    });
    let _third = pool.take_seat().unwrap();
    assert!(end.await.is_err(), "the first stranger's task is aborted");
    assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 2 });
    drop((first, second));
    assert_eq!(pool.occupancy().connections, 1);
}

#[tokio::test]
async fn whoever_said_who_he_is_is_never_turned_out_by_the_pool_of_strangers() {
    let pool = Pool::new(1, 2);
    let known = pool.take_seat().unwrap();
    known.identify();
    let _stranger = pool.take_seat().unwrap();
    let newcomer = pool.take_seat().expect("the stranger's seat is free for a newcomer");
    newcomer.identify();
    assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 0 });
    assert!(pool.take_seat().is_none(), "the node is full of known people");
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

#[tokio::test]
async fn a_user_whose_requests_are_answered_keeps_nobody_out_with_the_connections_that_he_left_open() {
    let pool = Pool::new(4, 8);
    let left_open: Vec<_> = (0..100)
        .map(|_| {
            let seat = pool.take_seat().expect("a newcomer finds a seat");
            let asking = seat.ask(&user("ann"));
            drop((asking, seat.hold()));
            seat
        })
        .collect();
    assert_eq!(pool.occupancy(), Occupancy { connections: 4, strangers: 4 }, "the newest of them");
    let other = pool.take_seat().expect("a seat for somebody else");
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
            let seat = pool.take_seat().unwrap();
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
    let first = pool.take_seat().unwrap();
    let (answered, next) = (first.hold(), first.ask(&user("ann")));
    let second = pool.take_seat().unwrap();
    drop(answered);
    assert_eq!(pool.occupancy().strangers, 1);
    drop(next);
    assert_eq!(pool.occupancy().strangers, 2);
    let _third = pool.take_seat().unwrap();
    second.identify();
    assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 2 }, "the second one was silent longest");
}

#[tokio::test]
async fn a_task_that_starts_after_its_seat_was_lost_is_aborted() {
    let pool = Pool::new(1, 10);
    let first = pool.take_seat().unwrap();
    let _second = pool.take_seat().unwrap();
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
    let seat = pool.take_seat().unwrap();
    let inside = seat.clone();
    seat.spawn(async move {
        let _inside = inside;
        std::future::pending::<()>().await;
    });
    drop(seat);
    assert_eq!(pool.close(Duration::from_secs(5)).await, 1);
    assert_eq!(pool.occupancy().connections, 0);
}
