use lychgate_core::{Event, UserId};

use super::*;
use crate::telemetry::{Metrics, Population};

/// A node whose counters are real, and whose clock is not.
struct World {
    metrics: Metrics,
    history: History,
    census: Census,
    now: Duration,
}

impl World {
    fn new() -> Self {
        let metrics = Metrics::with_agents(["demo"]);
        Self { metrics, history: History::default(), census: Census::default(), now: Duration::from_secs(60) }
    }

    fn take(&mut self) -> Arc<Sample> {
        self.now += EVERY;
        let population = Population { census: self.census, ..Population::default() };
        let text = self.metrics.encode(&population);
        let unix_ms = u64::try_from(self.now.as_millis()).unwrap();
        let breakers = vec![("demo".into(), "closed")];
        self.history.take(&Seen { unix_ms, now: self.now, text: &text, census: &self.census, breakers });
        let newest = self.history.after(0).0.pop().unwrap();
        assert_eq!(newest.at, unix_ms);
        newest
    }

    fn refuse(&self, times: usize) {
        let user = UserId::parse("ann").unwrap();
        let refusal = lychgate_core::Refusal::Overload { retry_in: Duration::from_secs(1) };
        let event = Event::Refused {
            user,
            thread: None,
            connection: lychgate_core::ConnectionId::from_random(1),
            refusal,
            waited: Duration::ZERO,
        };
        (0..times).for_each(|_| self.metrics.on_event(&event));
    }
}

#[test]
fn what_is_counted_is_told_once_in_the_interval_in_which_it_rose() {
    let mut world = World::new();
    world.refuse(3);
    assert_eq!(world.take().refusals, 3, "the first sample tells of all since the start");
    assert_eq!(world.take().refusals, 0);
    world.refuse(2);
    world.metrics.on_first_event("demo", Duration::from_millis(40));
    world.metrics.on_agent_run("demo", crate::telemetry::metrics::AgentOutcome::Timeout);
    let sample = world.take();
    assert_eq!(sample.refusals, 2);
    let agent = &sample.agents["demo"];
    assert_eq!((agent.runs, agent.errors, agent.breaker.as_str()), (1, 1, "closed"));
    assert!(agent.first_event_p50_ms.is_some_and(|ms| ms <= 50.0), "{agent:?}");
    let quiet = world.take();
    assert_eq!((quiet.agents["demo"].runs, quiet.agents["demo"].first_event_p50_ms), (0, None));
    assert_eq!(world.history.agents()["demo"].runs["timeout"], 1, "the totals stay");
    assert!(quiet.admission_p50_ms.is_none() && quiet.resident_bytes > 0 && quiet.admissions.contains_key("refused"));
}

#[test]
fn a_sample_says_for_how_long_it_stands_however_late_it_is() {
    let mut world = World::new();
    let first = world.take();
    assert_eq!((first.span_ms, first.cpu), (0, 0.0), "of the first one nobody knows");
    assert_eq!(world.take().span_ms, 2_000);
    world.now += Duration::from_secs(20);
    world.refuse(220);
    let late = world.take();
    assert_eq!((late.span_ms, late.refusals), (22_000, 220), "ten in a second, not 110");
}

#[test]
fn what_is_there_is_told_as_it_was_counted() {
    let mut world = World::new();
    world.census = Census { users: 3, sessions: 7, waiting: 1, by_pressure: [1, 0, 0, 0, 2], ..Census::default() };
    world.census.by_use[9] = 2;
    let sample = world.take();
    assert_eq!((sample.users, sample.sessions, sample.waiters), (3, 7, 1));
    assert_eq!((sample.bands.ok, sample.bands.full, sample.histogram.len(), sample.histogram[9]), (1, 2, 11, 2));
}

#[test]
fn a_quarter_of_an_hour_is_kept_and_no_more_and_nobody_hears_a_sample_twice() {
    let mut world = World::new();
    assert_eq!(world.history.after(0).0.len(), 0, "a node that begins knows nothing");
    let mut listens = world.history.listen();
    for _ in 0..KEPT + 10 {
        world.take();
    }
    let (all, newest) = world.history.after(0);
    assert_eq!((all.len(), newest), (KEPT, KEPT as u64 + 10));
    assert!(all.is_sorted_by_key(|sample| sample.at));
    assert_eq!(*listens.borrow_and_update(), newest);
    assert!(world.history.after(newest).0.is_empty());
    world.take();
    let (next, number) = world.history.after(newest);
    assert_eq!((next.len(), number), (1, newest + 1));
}
