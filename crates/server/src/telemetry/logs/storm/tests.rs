use std::io::Write;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, fmt};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn with(&self, text: &str) -> usize {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().filter(|line| line.contains(text)).count()
    }
}

/// What `write` writes, in a second that does not end.
fn written(bounds: config::Storm, write: impl FnOnce(&Storm)) -> Lines {
    let lines = Lines::default();
    let writer = lines.clone();
    let storm = Storm::new(bounds);
    let out = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    let subscriber = Registry::default().with(OneSecond(Arc::clone(&storm))).with(out);
    tracing::subscriber::with_default(subscriber, || write(&storm));
    lines
}

/// As [`Gate`], and the time stands still.
struct OneSecond(Arc<Storm>);

impl<S: Subscriber> Layer<S> for OneSecond {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.takes(event, Duration::from_millis(500))
    }
}

#[test]
fn of_a_storm_the_first_lines_and_every_kth_are_written_and_the_rest_is_told_when_the_second_is_over() {
    let lines = written(config::Storm { lines: 10, every: 100 }, |storm| {
        for n in 0..2_010 {
            tracing::info!(event = "connection.opened", n, "a connection was registered");
        }
        storm.tell_at(Duration::from_millis(900));
        assert_eq!(storm.left_out(), 1_980);
        storm.tell_at(Duration::from_millis(1_000));
        storm.tell_at(Duration::from_millis(2_000));
    });
    assert_eq!(lines.with("a connection was registered"), 10 + 20);
    assert_eq!(lines.with("1,980 more like this"), 1);
    assert_eq!(lines.with(r#"event="log.left_out" like="connection.opened" lines=1980"#), 1);
    assert_eq!(lines.with("more like this"), 1);
}

#[test]
fn no_warning_and_no_error_is_ever_left_out() {
    let lines = written(config::Storm { lines: 1, every: u32::MAX }, |storm| {
        for _ in 0..500 {
            tracing::warn!("wakes somebody");
            tracing::error!("a broken promise");
        }
        assert_eq!(storm.left_out(), 0);
    });
    assert_eq!((lines.with("wakes somebody"), lines.with("a broken promise")), (500, 500));
}

#[test]
fn one_kind_of_line_does_not_silence_another() {
    let lines = written(config::Storm { lines: 5, every: 1_000_000 }, |_| {
        for _ in 0..500 {
            tracing::info!("the storm");
        }
        tracing::info!("somebody else");
    });
    assert_eq!((lines.with("the storm"), lines.with("somebody else")), (5, 1));
}

#[test]
fn with_zero_lines_in_the_configuration_everything_is_written() {
    let lines = written(config::Storm { lines: 0, every: 100 }, |_| {
        for _ in 0..500 {
            tracing::debug!("all of them");
        }
    });
    assert_eq!(lines.with("all of them"), 500);
}

#[test]
fn a_storm_that_goes_on_is_told_every_second() {
    let mut kind = Kind { left_out: 7, second: 3, ..Kind::default() };
    assert_eq!(kind.owed(3), None);
    kind.roll(4);
    kind.left_out = 2;
    assert_eq!(kind.owed(4).map(|(_, lines)| lines), Some(7));
    assert_eq!(kind.owed(5).map(|(_, lines)| lines), Some(2));
    assert_eq!(kind.owed(9), None);
}

#[test]
fn numbers_are_grouped_for_people() {
    let grouped: Vec<_> = [0, 999, 1_234, 1_000_000].into_iter().map(grouped).collect();
    assert_eq!(grouped, ["0", "999", "1,234", "1,000,000"]);
}
