//! What every frame, and every end of a socket, adds to what is known of a user, and whether it keeps the promise.

use tokio::time::Instant;

use super::{Run, Session, Sightings};
use crate::client::frame::{Closed, Event, Frame, Notice, Opened};
use crate::client::transcript::ends_run;
use crate::client::{Ended, Mishap};
use crate::live::script::verdict;

impl Sightings {
    pub(in super::super) fn on_frame(&mut self, line: usize, frame: &Frame, now: Instant) {
        if let Some(limits) = frame.limits() {
            self.saw(limits, now);
            self.lines[line].told = Some(limits.clone());
            self.newest = Some(limits.clone());
        }
        match frame {
            Frame::Opened(opened) => self.on_opened(line, opened, now),
            Frame::Closed(closed) => self.on_closed(line, closed, now),
            Frame::Event(event) => self.on_event(event, now),
            Frame::Notice(Notice::Queued { thread, reference, position }) => {
                let name = reference.as_deref().unwrap_or(thread);
                let queued = self.asked.iter_mut().find(|it| it.line == line && it.reference == name);
                if let Some(asked) = queued {
                    asked.is_queued = true;
                    asked.position = Some(*position);
                }
            }
            Frame::Error(refused) => {
                let reference = refused.reference.as_deref();
                if refused.run.is_none()
                    && let Some(asked) = self.answer(line, reference, refused.thread.as_deref(), now)
                {
                    let (name, user) = (&self.asked[asked].reference, self.user);
                    let told = format!("u{user} {name} was told {}: {}", refused.code, refused.message);
                    match refused.code.as_str() {
                        "no_slot" if self.may_refuse => self.no_slots += 1,
                        _ => self.outcome.refused(&told),
                    }
                }
            }
            Frame::Hello(_) | Frame::Notice(_) | Frame::Ping | Frame::Unknown(_) => {}
        }
    }

    /// The gateway, or the network, ended a socket.
    pub(in super::super) fn on_ended(&mut self, line: usize, mishap: &Mishap, now: Instant) {
        if self.lines[line].has_ended {
            return;
        }
        let it = &self.lines[line];
        let (was_live, is_expected) = (it.answers(), it.is_replaced);
        if was_live && !is_expected {
            let who = format!("u{} c{}", self.user, it.tab);
            match mishap {
                Mishap::Ended(Ended { code: Some(4004), .. }) if it.may_expire => {}
                // It serves nothing any more, or the bound on connections took it: both are the gateway's right.
                Mishap::Ended(Ended { code: Some(4511), .. }) if it.threads.is_empty() || self.is_crowded() => {}
                Mishap::Ended(Ended { code: Some(4002 | 4003), .. }) => {
                    self.outcome.wrongly_evicted(&format!("{who} answers, and {mishap}"));
                }
                // Also 4001: no plan that is played live drains.
                Mishap::Ended(_)
                | Mishap::Refused(_)
                | Mishap::Closed(_)
                | Mishap::Mute(_)
                | Mishap::Status(_)
                | Mishap::Protocol(_)
                | Mishap::Io(_) => self.outcome.broke(format!("{who} lives, and lost its socket: {mishap}")),
            }
        }
        self.end(line, now);
        if !was_live && !is_expected {
            self.sessions.iter_mut().filter(|it| it.bare_since == Some(now)).for_each(|it| it.is_buried = true);
        }
        let open: Vec<String> = self
            .asked
            .iter()
            .filter(|it| was_live && !is_expected && it.line == line && it.answered.is_none())
            .map(|it| it.reference.clone())
            .collect();
        for reference in open {
            self.outcome.refused(&format!("u{} {reference}: its socket ended before an answer: {mishap}", self.user));
        }
        self.withdraw(line);
    }

    fn on_opened(&mut self, line: usize, opened: &Opened, now: Instant) {
        if let Some(asked) = self.answer(line, opened.reference.as_deref(), Some(&opened.thread), now) {
            self.admit(asked, now);
        }
        let tab = self.lines[line].tab;
        let wishes = self.wishes.entry(tab).or_default();
        if let Some(wish) = wishes.iter_mut().find(|it| Some(it.thread.to_string()) == opened.reference) {
            wish.id = Some(opened.thread.clone());
        }
        let number = match self.sessions.iter_mut().find(|it| it.thread == opened.thread) {
            Some(session) => {
                session.bare_since = None;
                session.is_buried = false;
                session.number
            }
            None => {
                self.numbers += 1;
                let (thread, number) = (opened.thread.clone(), self.numbers);
                self.sessions.push(Session { thread, number, created: now, bare_since: None, is_buried: false });
                number
            }
        };
        if !self.lines[line].has_ended {
            self.lines[line].threads.insert(opened.thread.clone(), number);
        }
    }

    fn on_closed(&mut self, line: usize, closed: &Closed, now: Instant) {
        let answered = self.answer(line, closed.reference.as_deref(), Some(&closed.thread), now);
        if let Some(asked) = answered {
            self.admit_untold(asked, closed, now);
        }
        let number = self.lines[line].threads.remove(&closed.thread);
        // What the tab let go itself is open on it no longer.
        if number.is_some()
            && answered.is_none()
            && let Some(wrong) = verdict::misplaced(&closed.reason, &self.lines[line])
        {
            self.outcome.broke(format!("u{} {} was closed as {}: {wrong}", self.user, closed.thread, closed.reason));
        }
        if let Some(wishes) = self.wishes.get_mut(&self.lines[line].tab) {
            wishes.retain(|wish| wish.id.as_deref() != Some(closed.thread.as_str()));
        }
        // The first of its connections to be told speaks for the session.
        let Some(at) = self.sessions.iter().position(|it| Some(it.number) == number) else { return };
        self.judge(line, at, closed, now);
        // `evicted` ends the session for all of its tabs; any other word is about this socket.
        let session = self.sessions[at].number;
        if closed.reason == "evicted" || self.attached(session).next().is_none() {
            self.sessions.swap_remove(at);
        }
    }

    fn judge(&mut self, line: usize, session: usize, closed: &Closed, now: Instant) {
        let asked = self.asked.iter().map(|it| it.at).min();
        let (session, told) = (&self.sessions[session], &self.lines[line]);
        let case = verdict::Case { sightings: self, session, told, asked, now };
        let (was_forced, ruling) = (closed.reason == "evicted" && case.is_live(), case.ruling(&closed.reason));
        self.forced += u32::from(was_forced);
        if let Some(wrong) = ruling {
            self.outcome.wrongly_evicted(&format!("u{} {} ({}): {wrong}", self.user, closed.thread, closed.reason));
        }
    }

    fn on_event(&mut self, event: &Event, now: Instant) {
        let agui = event.agui();
        // An error may come without the name of its run: it is about the one in flight.
        let is_it = |run: &&mut Run| agui.run_id.as_ref().map_or(run.started.is_some(), |id| *id == run.id);
        let Some(run) = self.runs.get_mut(&event.thread).filter(is_it) else { return };
        if agui.kind == "RUN_STARTED" {
            let _ = run.started.get_or_insert(now);
        } else if ends_run(&agui) {
            let _ = run.ended.get_or_insert(now);
        }
    }
}
