//! What is measured.

use std::time::Duration;

use lychgate_core::{Backlog, End, Input, LimitSpec, Output, PingOutcome, Sign};

use crate::crowd::Crowd;
use crate::table::{Samples, micros, timed, verdict};

/// Every case with the word that chooses it.
pub(crate) const ALL: [(&str, fn()); 5] = [
    ("clock", clock),
    ("free", free_slot),
    ("flat", flat_in_the_number_of_users),
    ("full", at_the_limit),
    ("heartbeat", heartbeats),
];

const SAMPLES: usize = 200_000;

/// As long as the others: no comparison ends at the length.
const NEW_THREAD: &str = "thread-99";

/// Far above the sessions that anybody holds here, so that no band is crossed.
fn roomy() -> LimitSpec {
    LimitSpec { max_sessions_per_user: 64, ..LimitSpec::default() }
}

/// Everybody is at his limit, and nothing happens by itself while one user after the other is measured.
fn full() -> LimitSpec {
    let day = Duration::from_secs(86_400);
    LimitSpec { max_sessions_per_user: 20, ping_interval: day, reclaim_interval: day, ..LimitSpec::default() }
}

/// What a sample of nothing shows.
fn clock() {
    let mut crowd = Crowd::new(1, 1, roomy());
    let mut nothing = Samples::new("nothing (the price of the clock, in every sample)");
    for _ in 0..SAMPLES {
        nothing.add(timed(&mut crowd.gate, |_| {}));
    }
    nothing.print(None);
}

fn free_slot() {
    let mut crowd = Crowd::new(100_000, 20, roomy());
    let names = ["connect", "open with a free slot, after its connect", "leave", "disconnect"];
    let [mut connect, mut open, mut leave, mut disconnect] =
        names.map(|name| Samples::new(format!("100,000 users x 20 sessions: {name}")));
    let mut both = Samples::new("100,000 users x 20 sessions: connect + open");
    for _ in 0..SAMPLES {
        let user = crowd.anybody();
        let connection = crowd.new_connection();
        let inputs = [
            crowd.connecting(user, connection),
            crowd.opening(user, connection, NEW_THREAD),
            crowd.leaving(user, connection, NEW_THREAD),
            Input::Disconnect { user: crowd.users[user].clone(), connection, end: End::ClientClosed },
        ];
        let now = crowd.now();
        let mut took = Duration::ZERO;
        for (nth, (input, samples)) in
            inputs.into_iter().zip([&mut connect, &mut open, &mut leave, &mut disconnect]).enumerate()
        {
            let one = samples.input(&mut crowd.gate, now, input);
            took += if nth < 2 { one } else { Duration::ZERO };
        }
        both.add(took);
    }
    // A user whose records no cache holds any more: the open is the first that touches him.
    let mut cold = Samples::new("100,000 users x 20 sessions: open with a free slot, records not in cache");
    for _ in 0..SAMPLES {
        let user = crowd.anybody();
        let connection = crowd.first(user);
        let (open, leave) = (crowd.opening(user, connection, NEW_THREAD), crowd.leaving(user, connection, NEW_THREAD));
        let now = crowd.now();
        cold.input(&mut crowd.gate, now, open);
        crowd.take(leave);
    }
    open.print(Some(1_000));
    for samples in [connect, both, leave, disconnect, cold] {
        samples.print(None);
    }
}

fn flat_in_the_number_of_users() {
    let mut few = (Crowd::new(10_000, 1, roomy()), Samples::new("10,000 users x 1 session: open"));
    let mut many = (Crowd::new(1_000_000, 1, roomy()), Samples::new("1,000,000 users x 1 session: open"));
    for _ in 0..SAMPLES {
        for (crowd, samples) in [&mut few, &mut many] {
            let user = crowd.anybody();
            let connection = crowd.first(user);
            let (open, leave) =
                (crowd.opening(user, connection, NEW_THREAD), crowd.leaving(user, connection, NEW_THREAD));
            let now = crowd.now();
            samples.input(&mut crowd.gate, now, open);
            crowd.take(leave);
        }
    }
    let (few, many) = (few.1, many.1);
    few.print(None);
    many.print(None);
    let ratio = many.median() as f64 / few.median().max(1) as f64;
    let word = if ratio <= 3.0 { "met" } else { "MISSED" };
    println!("  ratio of the medians {ratio:.2} <= 3: {word}; {}", verdict("p99.9", many.p999(), 10_000));
}

/// Twenty of twenty: the newcomer gets the slot of a known zombie, or after a probe that of the least valuable.
fn at_the_limit() {
    let mut crowd = Crowd::new(5_000, 20, full());
    let mut asks = Samples::new("5,000 users at 20 of 20: open that asks every connection");
    let mut ends = Samples::new("5,000 users at 20 of 20: last answer; Force, open");
    let mut zombie = Samples::new("5,000 users at 20 of 20: open, a zombie is known");
    for user in 0..crowd.users.len() {
        let newcomer = crowd.new_connection();
        crowd.connect(user, newcomer);
        crowd.pass(Duration::from_micros(5));
        // All answer: the least recently used goes.
        let open = crowd.opening(user, newcomer, "thread-50");
        let now = crowd.now();
        asks.input(&mut crowd.gate, now, open);
        crowd.pass(Duration::from_micros(5));
        let everybody: Vec<_> = crowd.connections(user).chain([newcomer]).collect();
        let name = crowd.users[user].clone();
        let heard = |connection| Input::Heard { user: name.clone(), connection, sign: Sign::Data };
        for connection in &everybody[1..] {
            crowd.take(heard(*connection));
        }
        let now = crowd.now();
        ends.input(&mut crowd.gate, now, heard(everybody[0]));
        // Nobody but the newcomer answers a probe; what the open needs goes, the others are known from then on.
        crowd.pass(Duration::from_micros(5));
        let open = crowd.opening(user, newcomer, "thread-51");
        crowd.take(open);
        for after in [400, 600] {
            for connection in &everybody {
                let outcome = PingOutcome::Written;
                crowd.take(Input::PingResult {
                    user: name.clone(),
                    connection: *connection,
                    outcome,
                    backlog: Backlog::default(),
                });
            }
            crowd.take(heard(newcomer));
            crowd.pass(Duration::from_millis(after));
            let now = crowd.now();
            crowd.gate.handle_timeout(now);
            while crowd.gate.poll_output().is_some() {}
        }
        for n in 0..10 {
            let open = crowd.opening(user, newcomer, &format!("thread-6{n}"));
            let now = crowd.now();
            zombie.input(&mut crowd.gate, now, open);
        }
    }
    for samples in [zombie, asks, ends] {
        samples.print(None);
    }
}

/// A whole round of heartbeats: the deadline, the ping that is written, the answer.
fn heartbeats() {
    for (users, sessions) in [(100_000, 1), (10_000, 20)] {
        let mut crowd = Crowd::new(users, sessions, roomy());
        let (mut pings, mut took) = (0_u32, Duration::ZERO);
        // The first interval is jittered by a tenth either way; 30 s after their arrival all have beaten once or twice.
        let end = crowd.now() + Duration::from_secs(20);
        while let Some(at) = crowd.gate.poll_timeout().filter(|at| *at <= end) {
            let start = std::time::Instant::now();
            crowd.gate.handle_timeout(at);
            while let Some(output) = crowd.gate.poll_output() {
                if let Output::Ping { user, connection } = output {
                    pings += 1;
                    let outcome = PingOutcome::Written;
                    crowd.gate.handle_input(
                        at,
                        Input::PingResult { user: user.clone(), connection, outcome, backlog: Backlog::default() },
                    );
                    crowd.gate.handle_input(at, Input::Heard { user, connection, sign: Sign::Pong });
                }
            }
            took += start.elapsed();
        }
        let each = u64::try_from((took / pings.max(1)).as_nanos()).unwrap_or(u64::MAX);
        println!("{users} users x {sessions} sessions: {pings} heartbeats, {} each on average", micros(each));
    }
}
