//! One user of a plan: his tabs and sockets, and how each step is made real.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use lychgate_core::{End, Heartbeat};
use serde_json::json;
use tokio::time::Instant;

use super::line::{Cue, Line, Shared};
use super::sightings::{Mood, Sightings};
use super::silence::Silence;
use crate::client::{Caller, Client, Heartbeat as Sign, Hello, Mishap};
use crate::live::{Scene, User};
use crate::step::{Step, Tab, Thread, TokenPlan, Way};

/// How long a step of a user waits for the answer to the one before: long enough that two opens arrive in the order of
/// the plan, short enough that an open which has to wait does not hold the plan up.
const HEAD_START: Duration = Duration::from_millis(20);

/// How long a run may take to start or to stop.
const RUN_WITHIN: Duration = Duration::from_secs(2);

/// The demo agent begins an answer to this and then falls silent: a run that stays in flight.
const STALLING_QUESTION: &str = "please stall";

/// A token lives longer than any plan.
const NO_END: Duration = Duration::from_secs(6 * 3_600);

/// The ids of the last sockets of all tabs, for those who steal them.
pub(super) type Connections = Arc<Mutex<BTreeMap<Tab, String>>>;

/// One user.
#[derive(Debug)]
pub(super) struct Actor {
    number: u32,
    user: User,
    scene: Arc<Scene>,
    silence: Silence,
    connections: Connections,
    tabs: BTreeMap<u32, TabState>,
    /// What his newest token names.
    newest_plan: TokenPlan,
    lines: Vec<Socket>,
    pub(super) shared: Arc<Shared>,
}

#[derive(Clone, Debug, Default)]
struct TabState {
    heartbeat: Heartbeat,
    /// What its token names.
    plan: TokenPlan,
    line: Option<usize>,
}

#[derive(Debug)]
struct Socket {
    line: Line,
    caller: Caller,
}

impl Actor {
    pub(super) fn new(
        number: u32,
        scene: Arc<Scene>,
        silence: Silence,
        connections: Connections,
        sightings: Sightings,
    ) -> anyhow::Result<Self> {
        let user = scene.nth_user(&format!("u{number}"), number as usize)?;
        let shared = Arc::new(Shared::new(sightings));
        Ok(Self {
            number,
            user,
            scene,
            silence,
            connections,
            tabs: BTreeMap::new(),
            newest_plan: None,
            lines: Vec::new(),
            shared,
        })
    }

    /// Lets one step of this user happen; those that wait for the world are not his.
    ///
    /// # Errors
    /// When the machinery fails. What the gateway does wrong stands in the sightings.
    pub(super) async fn act(&mut self, step: &Step) -> anyhow::Result<()> {
        match step.clone() {
            Step::OpenTab { tab, thread, heartbeat, plan } => {
                let state = self.tabs.entry(tab.number).or_default();
                state.heartbeat = heartbeat;
                state.plan = plan;
                if state.line.is_none_or(|line| self.shared.sightings().has_ended(line)) {
                    self.connect(tab.number, None).await;
                }
                self.open(tab.number, thread).await;
            }
            Step::OpenThread { tab, thread } => self.open(tab.number, thread).await,
            Step::CloseTab { tab, end } => self.close_tab(tab.number, end).await,
            Step::GoSilent(tab) => self.set_mood(tab.number, Mood::Silent).await?,
            Step::Freeze(tab) => self.set_mood(tab.number, Mood::Frozen).await?,
            Step::WakeUp(tab) => self.set_mood(tab.number, Mood::Live).await?,
            Step::StopReading(tab) => self.read(tab.number, Cue::StopReading).await,
            Step::ReadSome(tab) => self.read(tab.number, Cue::ReadSome).await,
            Step::ReadAgain(tab) => self.read(tab.number, Cue::ReadAgain).await,
            Step::Reconnect { tab, way } => self.reconnect(tab.number, way).await?,
            Step::Leave { tab, thread } => self.leave(tab.number, thread).await,
            Step::Prompt { thread, .. } => self.prompt(&thread.to_string()).await,
            Step::RunEnds { thread, .. } => self.run_ends(&thread.to_string()).await,
            Step::Look(tab) => self.say(tab.number, json!({ "type": "ack", "visible": true })).await,
            Step::CloseHangs(tab) => {
                if let Some(line) = self.line(tab.number) {
                    self.lines[line].line.obey(Cue::Hang).await;
                }
            }
            Step::Expire { tab, after } => {
                let plan = self.tabs.get(&tab.number).and_then(|state| state.plan.as_deref());
                let token = self.scene.token(&self.user, plan, after)?;
                if let Some(line) = self.usable(tab.number) {
                    self.shared.write(|it| it.expires(line));
                }
                self.say(tab.number, json!({ "type": "hello", "token": token })).await;
            }
            Step::Renew { tab, plan } => {
                let token = self.scene.token(&self.user, plan.as_deref(), NO_END)?;
                self.newest_plan.clone_from(&plan);
                self.tabs.entry(tab.number).or_default().plan = plan;
                self.say(tab.number, json!({ "type": "hello", "token": token })).await;
            }
            Step::StallRuntime(_)
            | Step::CloseFails(_)
            | Step::PingsFail(_)
            | Step::Expel(_)
            | Step::Drain(_)
            | Step::Advance(_)
            | Step::Expect(_) => {}
        }
        Ok(())
    }

    /// The tab's socket, while it has one that did not end.
    pub(super) fn line(&self, tab: u32) -> Option<usize> {
        self.tabs.get(&tab)?.line.filter(|line| !self.shared.sightings().has_ended(*line))
    }

    /// The same, if what the tab sends arrives.
    fn usable(&self, tab: u32) -> Option<usize> {
        self.line(tab).filter(|line| self.shared.sightings().is_usable(*line))
    }

    /// A socket of its own address: the network of one tab can be taken away without the others', and the bound on
    /// connections of one address is not what plans are about.
    async fn connect(&mut self, tab: u32, prev: Option<String>) {
        let TabState { heartbeat, plan, line: _ } = self.tabs.entry(tab).or_default().clone();
        let credential = self.scene.credential(&self.user, plan.as_deref(), NO_END);
        let credential = credential.unwrap_or_else(|_| self.user.caller.credential.clone());
        let caller = Caller { source: self.scene.address(), credential };
        let sign = match heartbeat {
            Heartbeat::Application => Sign::App,
            Heartbeat::Protocol => Sign::Ws,
        };
        let greeted: Result<_, Mishap> = async {
            let mut client = Client::connect(self.scene.endpoint(), &caller).await?;
            let hello = Hello { heartbeat: Some(sign), prev: prev.as_deref(), ..Hello::default() };
            let welcome = client.hello(hello).await?;
            Ok((client, welcome))
        }
        .await;
        let now = Instant::now();
        match greeted {
            Ok((client, welcome)) => {
                self.newest_plan = plan;
                let line = self.shared.write(|it| it.connected(tab, heartbeat, &welcome.limits, now));
                self.lines.push(Socket { line: Line::new(client, line, Arc::clone(&self.shared)), caller });
                self.tabs.entry(tab).or_default().line = Some(line);
                let tab = Tab { user: self.number, number: tab };
                self.connections.lock().unwrap_or_else(PoisonError::into_inner).insert(tab, welcome.connection);
            }
            Err(mishap) => {
                let told = format!("u{} c{tab} could not connect: {mishap}", self.number);
                self.tabs.entry(tab).or_default().line = None;
                self.shared.write(|it| it.outcome.refused(&told));
            }
        }
    }

    async fn open(&mut self, tab: u32, thread: Thread) {
        let Some(line) = self.usable(tab) else { return };
        let id = self.shared.write(|it| it.asks(line, thread, Instant::now()));
        let mut frame = json!({ "type": "open", "ref": thread.to_string() });
        if let Some(id) = id {
            frame["thread"] = id.into();
        }
        self.lines[line].line.obey(Cue::Say(frame)).await;
        self.shared.comes_true(HEAD_START, |it| !it.is_pending(line, thread)).await;
    }

    async fn say(&mut self, tab: u32, frame: serde_json::Value) {
        if let Some(line) = self.usable(tab) {
            self.lines[line].line.obey(Cue::Say(frame)).await;
        }
    }

    async fn close_tab(&mut self, tab: u32, end: End) {
        let Some(line) = self.line(tab) else { return };
        // Before the socket ends, so that its end is not taken for the gateway's doing.
        self.shared.write(|it| it.hung_up(line, end, Instant::now()));
        let cue = match end {
            End::ClientClosed => Cue::Close,
            End::Lost => Cue::Reset,
        };
        self.lines[line].line.obey(cue).await;
        self.tabs.entry(tab).or_default().line = None;
        if end == End::ClientClosed {
            self.shared.write(|it| it.forget_wishes(tab));
        }
    }

    async fn set_mood(&mut self, tab: u32, mood: Mood) -> anyhow::Result<()> {
        match self.line(tab) {
            Some(line) => self.set_line_mood(line, mood).await,
            None => Ok(()),
        }
    }

    async fn set_line_mood(&mut self, line: usize, mood: Mood) -> anyhow::Result<()> {
        let Socket { line: socket, caller } = &self.lines[line];
        match mood {
            Mood::Live => {
                self.silence.end(caller).await?;
                socket.obey(Cue::Wake).await;
            }
            Mood::Frozen => drop(socket.obey(Cue::Freeze).await),
            Mood::Silent => self.silence.begin(socket, caller).await?,
        }
        self.shared.write(|it| it.set_mood(line, mood, Instant::now()));
        Ok(())
    }

    async fn read(&mut self, tab: u32, cue: Cue) {
        let Some(line) = self.line(tab) else { return };
        let reads = matches!(cue, Cue::ReadAgain);
        self.shared.write(|it| it.set_reading(line, reads, Instant::now()));
        self.lines[line].line.obey(cue).await;
    }

    /// The tab leaves its socket behind, which looks alive to the gateway and never answers again.
    async fn reconnect(&mut self, tab: u32, way: Way) -> anyhow::Result<()> {
        let own = Tab { user: self.number, number: tab };
        let of = |tab| self.connections.lock().unwrap_or_else(PoisonError::into_inner).get(&tab).cloned();
        let Some(last) = of(own) else { return Ok(()) };
        let prev = match way {
            Way::Prev => Some(last),
            Way::Fresh => None,
            Way::Stolen(other) => of(other),
        };
        if let Some(line) = self.line(tab) {
            self.set_line_mood(line, Mood::Silent).await?;
            if way == Way::Prev {
                self.shared.write(|it| it.replaced(line));
            }
        }
        self.connect(tab, prev).await;
        let wishes = self.shared.sightings().wishes(tab);
        for thread in wishes {
            self.open(tab, thread).await;
        }
        Ok(())
    }

    async fn leave(&mut self, tab: u32, thread: Thread) {
        let Some(line) = self.usable(tab) else { return };
        let id = self.shared.sightings().id_of(tab, thread);
        let Some(id) = id else { return };
        self.shared.write(|it| it.leaves(line, thread, &id, Instant::now()));
        self.lines[line].line.obey(Cue::Say(json!({ "type": "leave", "thread": id }))).await;
    }

    async fn prompt(&mut self, thread: &str) {
        if self.shared.sightings().run_in_flight(thread).is_some() {
            return;
        }
        if !self.shared.comes_true(RUN_WITHIN, |it| it.speaker(thread).is_some()).await {
            let told = format!("u{} has no tab that could prompt {thread}", self.number);
            self.shared.write(|it| it.outcome.note(told));
            return;
        }
        let run = uuid::Uuid::new_v4().to_string();
        let speaker = self.shared.write(|it| {
            it.asks_run(thread, &run);
            it.speaker(thread)
        });
        let Some(line) = speaker else { return };
        let messages = json!([{ "id": format!("u-{run}"), "role": "user", "content": STALLING_QUESTION }]);
        let frame = json!({ "type": "run", "thread": thread, "run": run, "input": { "messages": messages } });
        self.lines[line].line.obey(Cue::Say(frame)).await;
        let has_started = |it: &Sightings| it.run_of(thread).is_some_and(|run| run.started.is_some());
        if !self.shared.comes_true(RUN_WITHIN, has_started).await {
            let told =
                format!("u{} asked for a run on {thread}, and it did not start within {RUN_WITHIN:?}", self.number);
            self.shared.write(|it| it.outcome.broke(told));
        }
    }

    async fn run_ends(&mut self, thread: &str) {
        let run = self.shared.sightings().run_in_flight(thread).map(|run| run.id.clone());
        let (Some(run), Some(line)) = (run, self.shared.sightings().speaker(thread)) else { return };
        self.shared.write(|it| it.unwants_run(thread));
        self.lines[line].line.obey(Cue::Say(json!({ "type": "stop", "thread": thread, "run": run }))).await;
        let has_ended = |it: &Sightings| it.run_in_flight(thread).is_none();
        if !self.shared.comes_true(RUN_WITHIN, has_ended).await {
            let told = format!("u{} stopped the run on {thread}, and it went on", self.number);
            self.shared.write(|it| it.outcome.broke(told));
        }
    }

    /// Starts runs again that ended although the plan wants them in flight.
    pub(super) async fn renew_runs(&mut self) {
        let lost = self.shared.sightings().lost_runs();
        for thread in lost {
            self.prompt(&thread).await;
        }
    }

    /// How many sessions the gateway says he holds.
    ///
    /// # Errors
    /// When he cannot connect to ask.
    pub(super) async fn held(&self) -> anyhow::Result<usize> {
        let mut asking = self.user.clone();
        asking.caller.source = self.scene.address();
        // By the plan that holds for him: the newest token decides, also one that only asks.
        asking.caller.credential = self.scene.credential(&self.user, self.newest_plan.as_deref(), NO_END)?;
        let limits = asking.limits().await;
        let limits = limits.with_context(|| format!("u{} could not ask for his count", self.number))?;
        self.shared.write(|it| it.saw(&limits, Instant::now()));
        Ok(limits.used)
    }

    /// Everybody goes, without a word. Runs are stopped before, by whoever still can.
    pub(super) async fn leave_all(&mut self) -> anyhow::Result<()> {
        let runs = self.shared.sightings().runs();
        for thread in runs {
            self.run_ends(&thread).await;
        }
        for line in 0..self.lines.len() {
            let Socket { line: socket, caller } = &self.lines[line];
            self.silence.end(caller).await?;
            self.shared.write(|it| it.hung_up(line, End::Lost, Instant::now()));
            socket.obey(Cue::Reset).await;
        }
        self.lines.clear();
        self.tabs.clear();
        Ok(())
    }
}
