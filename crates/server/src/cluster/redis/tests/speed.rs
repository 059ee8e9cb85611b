//! What it costs to hold places.

use super::*;

#[test]
fn a_node_renews_itself_and_not_each_of_its_sessions() {
    const HELD: usize = 500;
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    let (lease, beat) = (settings(&server).node_lease, node.redis.shared.interval());
    for user in 0..HELD / 50 {
        assert_eq!(node.hold(&format!("u{user}"), 50, 50).len(), 50);
    }
    let calls = |command: &str| {
        let told = server.command(&["INFO", "commandstats"]);
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let (renewals, scripts, begun) = (calls("set"), calls("evalsha"), Instant::now());
    until("it renewed itself some times", || calls("set") >= renewals + 3);
    let fifths = begun.elapsed().as_millis() / (lease / 5).as_millis();
    let beats = begun.elapsed().as_millis() / beat.as_millis();
    assert!(u128::from(calls("set") - renewals) <= fifths + 2, "{fifths}");
    // Beats, and the few leases whose turn it is to be refreshed.
    assert!(u128::from(calls("evalsha") - scripts) <= beats + 6, "{beats}");
}
