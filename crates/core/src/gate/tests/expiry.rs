//! Tokens that expire on open connections: who is told, how often, and when he goes.

use super::*;

#[test]
fn an_expired_token_closes_its_connection_after_the_grace_and_a_renewed_one_does_not() {
    let grace = Duration::from_secs(20);
    let mut world = World::with(LimitSpec { expiry_grace: grace, ..LimitSpec::default() });
    world.fill(2);
    let expires = Some(world.now + Duration::from_secs(5));
    world.input(Input::Renew { user: user(), connection: socket(1), expires, plan: PlanId::default() });
    world.input(Input::Renew { user: user(), connection: socket(2), expires, plan: PlanId::default() });
    world.input(Input::Renew { user: user(), connection: socket(2), expires: None, plan: PlanId::default() });
    world.advance(Duration::from_secs(4) + grace);
    assert_eq!(world.closed_sockets(), []);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.closed_sockets(), [(socket(1), EvictReason::TokenExpired, Manner::Handshake)]);
}

#[test]
fn a_client_is_told_once_for_each_token_that_it_expires_soon() {
    let mut world = World::new();
    world.connect(1);
    let mut told_after = |lifetime: u64, wait: u64| {
        let expires = Some(world.now + Duration::from_secs(lifetime));
        world.input(Input::Renew { user: user(), connection: socket(1), expires, plan: PlanId::default() });
        world.seen.clear();
        let mut told = |wait| {
            world.advance(Duration::from_secs(wait));
            let told = world.seen.iter().filter_map(|output| match output {
                Output::Expiring { connection, expires_in } => Some((*connection, expires_in.as_secs())),
                _ => None,
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(wait - 1), [], "too early");
        (told(1), told(lifetime - wait))
    };
    let once = |left| (vec![(socket(1), left)], vec![(socket(1), left)]);
    assert_eq!(told_after(3_600, 3_540), once(60), "a minute before the end of an hour");
    assert_eq!(told_after(100, 90), once(10), "a tenth of its time before");
    assert_eq!(told_after(3, 2), once(1), "a second at least");
}

#[test]
fn the_same_token_again_is_not_told_again_and_gives_no_more_time() {
    let grace = Duration::from_secs(20);
    let mut world = World::with(LimitSpec { expiry_grace: grace, ..LimitSpec::default() });
    world.connect(1);
    let expires = world.now + Duration::from_secs(100);
    let mut renew_for = |seconds: u64| {
        world.seen.clear();
        for second in 0..seconds {
            // The caller's two clocks are never read at one moment.
            let expires = Some(expires + Duration::from_micros(700 * (second % 3)));
            world.input(Input::Renew { user: user(), connection: socket(1), expires, plan: PlanId::default() });
            world.advance(Duration::from_secs(1));
        }
        let told = world.seen.iter().filter(|output| matches!(output, Output::Expiring { .. })).count();
        (told, world.closed_sockets())
    };
    assert_eq!(renew_for(100), (1, vec![]));
    assert_eq!(renew_for(19), (0, vec![]), "a token whose time is over is renewed with itself");
    assert_eq!(renew_for(1), (0, vec![(socket(1), EvictReason::TokenExpired, Manner::Handshake)]));
}
