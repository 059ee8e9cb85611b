//! What every tab can do: choose a node, open a thread there, say goodbye; and have it written down.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::history::{Diary, Session, Step, What};
use super::stage::{NODES, Person, Stage, Standing};
use crate::client::frame::Opened;
use crate::client::{Client, Ended, Mishap, Open};
use crate::random::Random;

/// A goodbye that is not answered: the node stands still.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// What the tabs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// They come and go.
    Play,
    /// Who is in stays, and nobody comes.
    Rest,
    /// All leave.
    Leave,
}

/// One tab.
pub(super) struct Tab {
    pub(super) person: Person,
    pub(super) random: Random,
    diary: Arc<Diary>,
    standings: watch::Receiver<[Standing; NODES]>,
    phases: watch::Receiver<Phase>,
}

/// What became of an open.
pub(super) struct Seat {
    pub(super) client: Client,
    pub(super) session: Session,
    pub(super) node: usize,
    pub(super) opened: Opened,
}

impl Tab {
    pub(super) fn new(stage: &Stage, person: &Person, phases: &watch::Receiver<Phase>, seed: u64) -> Self {
        Self {
            person: person.clone(),
            random: Random::new(seed),
            diary: Arc::clone(&stage.diary),
            standings: stage.standings(),
            phases: phases.clone(),
        }
    }

    /// The phase, once it is another one than this.
    pub(super) async fn phase_other_than(&mut self, this: Phase) -> Phase {
        // Whoever set the phase is gone: so is the play.
        self.phases.wait_for(|phase| *phase != this).await.map_or(Phase::Leave, |phase| *phase)
    }

    pub(super) fn phase(&mut self) -> Phase {
        *self.phases.borrow_and_update()
    }

    /// Waits until the phase is another one than [`Self::phase`] said.
    pub(super) async fn phase_turns(&mut self) {
        if self.phases.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// A node that a load balancer would choose; `home` where that is one.
    pub(super) fn chosen(&mut self, home: Option<usize>) -> Option<usize> {
        let standings = *self.standings.borrow();
        let up: Vec<usize> = (0..NODES).filter(|node| standings[*node] == Standing::Up).collect();
        home.filter(|home| up.contains(home)).or_else(|| (!up.is_empty()).then(|| *self.random.pick(&up)))
    }

    /// Opens a thread, or gives up where the node leaves meanwhile. While a fault lasts `excused` refusals count as given up.
    pub(super) async fn enter(&mut self, node: usize, open: Open<'_>, session: Session, excused: bool) -> Option<Seat> {
        self.note(session, node, Step::Asked);
        let user = self.person.at(node);
        let asked = async {
            let (mut client, _) = user.connect().await?;
            let opened = client.open(open).await?;
            Ok::<_, Mishap>((client, opened))
        };
        let answer = tokio::select! {
            biased;
            answer = asked => Some(answer),
            _ = self.standings.wait_for(|all| all[node] == Standing::Out) => None,
        };
        let Some(answer) = answer else {
            self.note(session, node, Step::GivenUp);
            return None;
        };
        let step = match &answer {
            Ok(_) => Step::Admitted,
            // It was open, and somebody needed its place before anybody could be told.
            Err(Mishap::Closed(closed)) if closed.reason == EVICTED => {
                self.note(session, node, Step::Admitted);
                Step::Evicted
            }
            Err(_) if self.standings.borrow()[node] == Standing::Out => Step::GivenUp,
            Err(_) if excused && self.diary.is_apart() => Step::GivenUp,
            Err(mishap) => Step::Refused(mishap.to_string()),
        };
        self.note(session, node, step);
        let (client, opened) = answer.ok()?;
        Some(Seat { client, session, node, opened })
    }

    pub(super) fn session(&self) -> Session {
        self.diary.session()
    }

    pub(super) async fn release(&self, Seat { mut client, session, node, opened }: Seat) {
        self.note(session, node, Step::Released);
        let goodbye = async {
            client.leave(&opened.thread).await?;
            client.close(1000).await
        };
        // Where nobody answers the socket is closed all the same.
        let _ = timeout(GOODBYE_WITHIN, goodbye).await;
    }

    pub(super) fn note(&self, session: Session, node: usize, step: Step) {
        self.diary.note(What::Session { user: self.person.number, session, node, step });
    }
}

/// What `closed` says of a session that made room.
const EVICTED: &str = "evicted";

/// How a session ended, by the reason that its client was told.
pub(super) fn end_of(reason: &str) -> Step {
    match reason {
        EVICTED => Step::Evicted,
        "draining" => Step::Moved,
        other => Step::Cut(other.to_owned()),
    }
}

/// How a session ended whose socket ended first.
pub(super) fn end_of_socket(mishap: &Mishap) -> Step {
    match mishap {
        Mishap::Ended(Ended { code: Some(4511), .. }) => Step::Evicted,
        Mishap::Ended(Ended { code: Some(4001), .. }) => Step::Moved,
        other => Step::Cut(other.to_string()),
    }
}

/// Waits until then; for ever where there is no such time.
pub(super) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
