//! What a chat was given of its thread, and whether the next reader is given the same.

use crate::client::frame::{Event, Message, Opened};
use crate::client::transcript::{Transcript, ends_run};

/// Whether what was answered last is there for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is.
    IsKept,
    /// Another server may take over which has not heard of it: once, and nothing in the middle is missing then.
    MayBeLost,
}

/// A thread as one reader knows it.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    thread: String,
    /// The incarnation of the log, and behind what the events of `seen` begin.
    log: Option<(String, u64)>,
    /// Events of the last run. Of runs before it a log keeps the messages alone.
    seen: Transcript,
    /// Runs that were asked for, by number from 1 on.
    asked: usize,
    /// Those of them whose answer came to its good end.
    answered: Vec<usize>,
    /// The run that goes on.
    open: Option<String>,
    end: End,
    /// Answers that went with the server which alone had them.
    lost: usize,
    broken: Vec<String>,
}

impl Heard {
    /// Nothing yet.
    pub(super) fn new(thread: String, end: End) -> Self {
        let seen = Transcript::default();
        Self { thread, log: None, seen, asked: 0, answered: Vec::new(), open: None, end, lost: 0, broken: Vec::new() }
    }

    pub(super) fn thread(&self) -> &str {
        &self.thread
    }

    /// Another run to ask for.
    pub(super) fn next_run(&mut self) -> usize {
        self.asked += 1;
        self.asked
    }

    /// The name of a run.
    pub(super) fn run(number: usize) -> String {
        format!("r{number}")
    }

    /// What is asked in a run.
    pub(super) fn question(number: usize) -> String {
        format!("question {number} of a conversation that moves from one node to the next and loses nothing")
    }

    /// What the demo agent answers.
    fn answer(number: usize) -> String {
        format!("You said \"{}\", and it came through well.", Self::question(number))
    }

    /// Whether the question of a run is among these messages.
    pub(super) fn has(messages: &[Message], number: usize) -> bool {
        messages.iter().any(|message| message.id == id(number))
    }

    /// Where to resume.
    pub(super) fn resume(&self) -> Option<(u64, String)> {
        self.log.as_ref().map(|(epoch, _)| (self.seen.at(), epoch.clone()))
    }

    /// The thread is open: behind what it has, or anew.
    pub(super) fn on_opened(&mut self, opened: &Opened) {
        if let Some((epoch, _)) = &self.log {
            let is_other_log = *epoch != opened.epoch;
            match (opened.reset, is_other_log) {
                (false, false) if opened.after == self.seen.at() => return,
                (false, _) => {
                    self.broke(format!("resumed behind {} as {}, not as it asked", opened.after, opened.epoch))
                }
                // Who is more than a run behind starts over from the messages, as in a log that was lost.
                (true, true) if self.end == End::MayBeLost => self.lose_end(&opened.messages),
                (true, _) => {}
            }
        }
        if let Some(missing) = self.missing(&opened.messages, opened.more) {
            self.broke(missing);
        }
        self.log = Some((opened.epoch.clone(), opened.after));
        self.seen = Transcript::new(opened.after);
        self.open = None;
    }

    /// Takes an event; answers the run that it ends.
    pub(super) fn on_event(&mut self, event: &Event) -> Option<String> {
        let begins = event.agui().kind == "RUN_STARTED" && event.offset > self.seen.at();
        if let Some((_, after)) = self.log.as_mut().filter(|_| begins) {
            *after = self.seen.at();
            self.seen = Transcript::new(*after);
        }
        let agui = match self.seen.take(event) {
            Ok(agui) => agui,
            Err(twice) => {
                self.broke(twice);
                return None;
            }
        };
        if agui.kind == "RUN_STARTED" {
            self.open = agui.run_id.clone();
        }
        let run = self.open.take_if(|_| ends_run(&agui))?;
        let number: Option<usize> = run.strip_prefix('r').and_then(|number| number.parse().ok());
        if agui.kind == "RUN_FINISHED" {
            self.answered.extend(number);
        }
        Some(run)
    }

    /// Forgets the answers behind the last one that is there, and that one where a part of it is.
    fn lose_end(&mut self, messages: &[Message]) {
        self.end = End::IsKept;
        let before = self.answered.len();
        let there = self.answered.iter().rposition(|number| Self::has(messages, *number));
        self.answered.truncate(there.map_or(0, |last| last + 1));
        self.answered.pop_if(|last| {
            let mut behind = messages.iter().skip_while(|message| message.id != id(*last)).skip(1);
            behind.next().is_none_or(|answer| answer.content.as_deref() != Some(&Self::answer(*last)))
        });
        self.lost = before - self.answered.len();
    }

    /// The first answer that came to its end and is not among these messages, once and in its place.
    fn missing(&self, messages: &[Message], more: bool) -> Option<String> {
        let mut rest = messages;
        // The oldest ones may have been left out of a frame.
        let left_out = |number: usize| more && !Self::has(messages, number);
        for number in self.answered.iter().copied().skip_while(|number| left_out(*number)) {
            let at = rest.iter().position(|message| message.id == id(number));
            let [_, answer, after @ ..] = rest.get(at.unwrap_or(rest.len())..).unwrap_or_default() else {
                return Some(format!("{} is not among the messages, once and in its place", Self::run(number)));
            };
            if answer.content.as_deref() != Some(&Self::answer(number)) {
                return Some(format!(
                    "{} was answered {:?}, and now reads {:?}",
                    Self::run(number),
                    Self::answer(number),
                    answer.content
                ));
            }
            rest = after;
        }
        None
    }

    /// What another reader lacks who opened the thread anew, or behind where the events of this one begin.
    pub(super) fn compare(&self, anew: &Opened, behind: Option<&Transcript>) -> Vec<String> {
        let other_log = self.log.as_ref().is_some_and(|(epoch, _)| *epoch != anew.epoch);
        let differs = match behind {
            Some(behind) if *behind != self.seen => {
                Some(format!("reads {:?} where {:?} was read", behind.kinds(), self.seen.kinds()))
            }
            None if !other_log => Some("cannot be read again from where it began".to_owned()),
            Some(_) | None => None,
        };
        let untold = (self.end == End::MayBeLost).then(|| "was never told that another server has it".to_owned());
        let told = |what: String| format!("thread {} {what}", self.thread);
        self.missing(&anew.messages, anew.more)
            .into_iter()
            .chain(differs)
            .chain(untold)
            .map(told)
            .chain(self.broken.clone())
            .collect()
    }

    /// Answers that it had, and that were lost as they may be ([`End::MayBeLost`]).
    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    /// Behind what its events begin.
    pub(super) fn begins(&self) -> Option<(u64, &str)> {
        self.log.as_ref().map(|(epoch, after)| (*after, epoch.as_str()))
    }

    fn broke(&mut self, what: String) {
        self.broken.push(format!("thread {} {what}", self.thread));
    }
}

/// The id that our client gives to the question of a run.
fn id(number: usize) -> String {
    format!("u-{}", Heard::run(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::frame::Frame;

    fn opened(epoch: &str, messages: &[(&str, &str)]) -> Opened {
        let messages: Vec<_> = messages
            .iter()
            .map(|(id, content)| serde_json::json!({"id": id, "role": "x", "content": content}))
            .collect();
        let frame = serde_json::json!({
            "type": "opened", "thread": "t", "epoch": epoch, "after": 0, "head": 0, "reset": true, "messages": messages,
            "limits": {"used": 1, "limit": 4, "level": "ok"}
        });
        let Ok(Frame::Opened(opened)) = Frame::parse(&frame.to_string()) else { panic!("{frame} is no `opened`") };
        *opened
    }

    fn event(offset: u64, json: &str) -> Event {
        let event = serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
        Event { thread: "t".to_owned(), offset, event }
    }

    /// A thread in whose log one run was answered.
    fn heard() -> Heard {
        let mut heard = Heard::new("t".to_owned(), End::IsKept);
        heard.on_opened(&opened("e1", &[]));
        assert_eq!(heard.next_run(), 1);
        assert_eq!(heard.on_event(&event(1, r#"{"type":"RUN_STARTED","runId":"r1"}"#)), None);
        assert_eq!(heard.on_event(&event(2, r#"{"type":"RUN_FINISHED","runId":"r1"}"#)), Some("r1".to_owned()));
        heard
    }

    #[test]
    fn who_reads_the_same_lacks_nothing() {
        let (heard, answer) = (heard(), Heard::answer(1));
        let messages = [("u-r1", "question"), ("m", &*answer)];
        assert_eq!(heard.compare(&opened("e1", &messages), Some(&heard.seen)), [""; 0]);
        assert_eq!(heard.compare(&opened("e2", &messages), None), [""; 0], "another log, with the same messages");
    }

    #[test]
    fn an_answer_that_is_gone_cut_or_there_without_its_events_is_found() {
        let (heard, answer) = (heard(), Heard::answer(1));
        let lacks = |messages: &[(&str, &str)], behind: Option<&Transcript>| {
            heard.compare(&opened("e1", messages), behind).join("; ")
        };
        assert!(lacks(&[], Some(&heard.seen)).contains("r1 is not among the messages"));
        assert!(lacks(&[("u-r1", "q"), ("m", "You said")], Some(&heard.seen)).contains("now reads"));
        let whole = [("u-r1", "q"), ("m", &*answer)];
        assert!(lacks(&whole, Some(&Transcript::new(0))).contains("reads []"));
        assert!(lacks(&whole, None).contains("cannot be read again"));
    }

    #[test]
    fn an_event_that_comes_twice_a_resume_from_elsewhere_and_a_reset_without_an_answer_are_found() {
        let mut heard = heard();
        assert_eq!(heard.on_event(&event(2, r#"{"type":"RUN_FINISHED","runId":"r1"}"#)), None);
        assert!(heard.broken[0].contains("offset 2 after 2"), "{:?}", heard.broken);
        let resumed = Opened { reset: false, after: 9, ..opened("e1", &[("u-r1", "q"), ("m", &Heard::answer(1))]) };
        heard.on_opened(&resumed);
        assert!(heard.broken[1].contains("resumed behind 9"), "{:?}", heard.broken);
        heard.on_opened(&opened("e1", &[]));
        assert!(heard.broken[2].contains("r1 is not among"), "{:?}", heard.broken);
    }

    #[test]
    fn another_server_may_lack_the_end_of_what_was_answered_once_and_nothing_before_it() {
        let (first, part) = (Heard::answer(1), "You said");
        let whole = ("m1", &*first);
        let two = |messages: &[(&str, &str)], epoch: &str| {
            let mut heard = Heard { end: End::MayBeLost, ..heard() };
            heard.answered.push(2);
            heard.on_opened(&opened(epoch, messages));
            heard
        };
        assert_eq!(two(&[], "e2").lost(), 2);
        let never = Heard { end: End::MayBeLost, ..heard() };
        assert!(never.compare(&opened("e2", &[("u-r1", "q"), whole]), None)[0].contains("was never told"));
        for left in [&[][..], &[("u-r1", "q"), whole], &[("u-r1", "q"), whole, ("u-r2", "q"), ("m2", part)]] {
            let mut heard = two(left, "e2");
            assert_eq!(heard.broken, [""; 0], "{left:?}");
            heard.answered.push(3);
            heard.on_opened(&opened("e3", left));
            assert!(heard.broken[0].contains("r3 is not among"), "{:?}", heard.broken);
        }
        let in_the_middle = [("u-r2", "q"), ("m2", &*Heard::answer(2))];
        assert!(two(&in_the_middle, "e2").broken[0].contains("r1 is not among"));
        let a_part_before = [("u-r1", "q"), ("m1", part), ("u-r2", "q"), ("m2", part)];
        assert!(two(&a_part_before, "e2").broken[0].contains("now reads"));
        assert!(two(&[], "e1").broken[0].contains("r1 is not among"), "it is the same log");
    }
}
