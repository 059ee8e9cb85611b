use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use tokio::task::yield_now;
use tokio::time::advance;

use super::*;
use crate::telemetry::alerts::{Change, Listener, State};

#[derive(Default)]
struct Heard(Mutex<Vec<(&'static str, State)>>);

impl Listener for Heard {
    fn changed(&self, change: &Change) {
        self.0.lock().unwrap().push((change.alert, change.state));
    }
}

/// Time does not pass by itself while a thread counts.
async fn pass(seconds: u64) {
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_that_hangs_is_made_once_and_the_node_that_is_not_ready_is_told_all_the_same() {
    let (heard, bell, counts) = (Arc::new(Heard::default()), Arc::new(Bell::default()), Arc::new(AtomicUsize::new(0)));
    bell.listen(Arc::clone(&heard) as _);
    let board = Arc::new(Board::default());
    let posted = Arc::clone(&board);
    let (release, locked) = mpsc::channel::<()>();
    let (locked, counted) = (Mutex::new(locked), Arc::clone(&counts));
    let count = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        // Until it is released; from then on nothing is locked.
        let _ = locked.lock().unwrap().recv();
        "lychgate_ready 1\nlychgate_draining 0\n".to_owned()
    };
    let sight =
        Sight { count: Arc::new(count), recall: Box::new(|| "lychgate_ready 0\nlychgate_draining 0\n".to_owned()) };
    let evaluating = tokio::spawn(async move { evaluate(Duration::from_secs(5), (&bell, &posted), &sight).await });
    // Its thread begins when the system lets it, which is no matter of the paused clock.
    while counts.load(Ordering::SeqCst) == 0 {
        yield_now().await;
    }
    pass(120).await;
    assert_eq!(*heard.0.lock().unwrap(), [("LychgateNotReady", State::Firing)]);
    let alerts = board.alerts();
    assert!(alerts.iter().any(|alert| alert.name == "LychgateNotReady" && alert.state == "firing"), "{alerts:?}");
    assert_eq!(counts.load(Ordering::SeqCst), 1, "nobody else was sent to wait for the same lock");

    drop(release);
    let began = std::time::Instant::now();
    while heard.0.lock().unwrap().len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "it counts again");
        pass(1).await;
    }
    assert_eq!(heard.0.lock().unwrap()[1], ("LychgateNotReady", State::Resolved));
    evaluating.abort();
}
