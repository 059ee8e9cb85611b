use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lychgate_core::Limits;

use super::*;
use crate::telemetry::alerts::State;

/// A user, what he holds, and what was told of his last place being taken.
#[derive(Default)]
struct Scene {
    bell: Arc<Bell>,
    used: Arc<AtomicUsize>,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard(Mutex<Vec<State>>);

impl Listener for Heard {
    fn changed(&self, change: &Change) {
        if change.alert == "LychgateUserAt100" {
            self.0.lock().unwrap().push(change.state);
        }
    }
}

/// What nobody can say without waiting.
const HELD: usize = usize::MAX;

impl Scene {
    fn new() -> Self {
        let scene = Self::default();
        scene.bell.listen(Arc::clone(&scene.heard) as _);
        let used = Arc::clone(&scene.used);
        scene.bell.ask(move |_| match used.load(Ordering::SeqCst) {
            HELD => None,
            used => Some(Limits::default().usage(used)),
        });
        scene
    }

    fn holds(&self, used: usize) {
        self.used.store(used, Ordering::SeqCst);
    }

    fn tell(&self, used: usize) {
        let user = UserId::parse("ann").unwrap();
        self.bell.on_event(&Event::Pressure { user, usage: Limits::default().usage(used) });
    }

    fn heard(&self) -> Vec<State> {
        self.heard.0.lock().unwrap().clone()
    }
}

use State::{Firing, Resolved};

#[test]
fn an_older_event_that_comes_after_a_newer_one_leaves_no_alert_behind() {
    let scene = Scene::new();
    scene.tell(0);
    scene.tell(20);
    assert_eq!(scene.heard(), [], "he has left");
    scene.holds(20);
    scene.tell(20);
    scene.tell(0);
    assert_eq!(scene.heard(), [Firing], "he is there");
}

#[test]
fn what_could_not_be_asked_is_put_right_at_the_next_look() {
    let scene = Scene::new();
    scene.holds(HELD);
    scene.tell(0);
    scene.tell(20);
    scene.bell.look();
    assert_eq!(scene.heard(), [Firing], "nobody knows better yet");
    scene.holds(0);
    scene.bell.look();
    assert_eq!(scene.heard(), [Firing, Resolved]);

    scene.holds(HELD);
    scene.tell(20);
    scene.tell(0);
    scene.holds(20);
    scene.bell.look();
    assert_eq!(scene.heard()[2..], [Firing, Resolved, Firing], "he is full, and what came last was older");
}

#[test]
fn whoever_listens_hears_of_one_user_in_order_whichever_thread_tells_it() {
    const TIMES: usize = 5_000;
    let scene = Scene::new();
    thread::scope(|scope| {
        for used in [0, 20] {
            let scene = &scene;
            scope.spawn(move || {
                for _ in 0..TIMES {
                    scene.holds(used);
                    scene.tell(used);
                }
            });
        }
    });
    let heard = scene.heard();
    assert!(heard.iter().step_by(2).all(|state| *state == Firing), "{heard:?}");
    assert!(heard.iter().skip(1).step_by(2).all(|state| *state == Resolved), "{heard:?}");
}
