//! Whether a history keeps the promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Breach, Entry, Rules, Session, Step, Verdict, What};

#[cfg(test)]
mod tests;

/// Reads a history from its beginning to its end.
#[must_use]
pub fn judge(entries: &[Entry], rules: &Rules) -> Verdict {
    let mut judge = Judge {
        rules,
        evicted_at: evictions(entries),
        users: BTreeMap::new(),
        is_apart: false,
        is_over: false,
        verdict: Verdict::default(),
    };
    for Entry { at, what } in entries {
        match what {
            What::Session { user, session, node, step } => judge.on_step(*at, *user, *session, *node, step),
            What::Died { node } => judge.users.values_mut().for_each(|user| user.lose(*node)),
            What::Begun => {}
            What::Faulty | What::Busy => judge.is_apart = true,
            What::Healed => judge.on_healed(),
            What::Over => judge.is_over = true,
        }
    }
    judge.verdict
}

/// When each session that made room heard of it.
fn evictions(entries: &[Entry]) -> BTreeMap<Session, Duration> {
    let evicted = entries.iter().filter_map(|entry| match &entry.what {
        What::Session { session, step: Step::Evicted, .. } => Some((*session, entry.at)),
        What::Session { .. }
        | What::Died { .. }
        | What::Begun
        | What::Faulty
        | What::Busy
        | What::Healed
        | What::Over => None,
    });
    evicted.collect()
}

/// Who made room mostly hears of it so soon. For the number in the table alone: while the nodes cannot ask each other
/// nothing says for whom somebody went.
const HEARS_WITHIN: Duration = Duration::from_millis(100);

struct Judge<'a> {
    rules: &'a Rules,
    evicted_at: BTreeMap<Session, Duration>,
    users: BTreeMap<usize, User>,
    /// Between a fault's beginning and the moment from which on everybody agrees.
    is_apart: bool,
    is_over: bool,
    verdict: Verdict,
}

/// One user, as his clients know.
#[derive(Default)]
struct User {
    /// Asked for, not answered; by node.
    pending: BTreeMap<Session, usize>,
    /// When each was asked for.
    asked: BTreeMap<Session, Duration>,
    held: BTreeMap<Session, usize>,
    /// Of those, whose place is gone though they have not heard of it.
    spent: BTreeSet<Session>,
    /// On a node that was killed meanwhile: what is still heard of them means nothing.
    lost: BTreeSet<Session>,
    /// What he may not rise above after a fault; at least the limit.
    ceiling: usize,
}

impl User {
    fn lose(&mut self, node: usize) {
        let on_it = |of: &BTreeMap<Session, usize>| {
            of.iter().filter(|(_, its)| **its == node).map(|(session, _)| *session).collect::<Vec<_>>()
        };
        for session in on_it(&self.pending).into_iter().chain(on_it(&self.held)) {
            self.forget(session);
            self.lost.insert(session);
        }
    }

    fn forget(&mut self, session: Session) {
        self.pending.remove(&session);
        self.held.remove(&session);
        self.spent.remove(&session);
    }

    fn count(&self) -> usize {
        self.held.len() - self.spent.len()
    }

    /// All that the nodes may count.
    fn at_most(&self) -> usize {
        self.count() + self.pending.len()
    }
}

impl Judge<'_> {
    fn on_healed(&mut self) {
        // Where Redis could be asked all the time the limit held all the time.
        if !std::mem::take(&mut self.is_apart) {
            return;
        }
        let least = self.rules.limit + self.rules.reserve;
        self.users.values_mut().for_each(|user| user.ceiling = user.at_most().max(least));
    }

    fn on_step(&mut self, at: Duration, whose: usize, session: Session, node: usize, step: &Step) {
        let least = self.rules.limit + self.rules.reserve;
        let user = self.users.entry(whose).or_insert_with(|| User { ceiling: least, ..User::default() });
        if user.lost.contains(&session) {
            return;
        }
        let mut breach = None;
        match step {
            Step::Asked => {
                user.pending.insert(session, node);
                user.asked.insert(session, at);
            }
            Step::Admitted => {
                user.pending.remove(&session);
                user.held.insert(session, node);
                self.verdict.tried += 1;
                self.verdict.admitted += 1;
                let waited = user.asked.get(&session).map_or(Duration::ZERO, |asked| at - *asked);
                self.verdict.longest = self.verdict.longest.max(waited);
                breach = self.weigh(at, whose, session);
            }
            Step::Refused(why) => {
                user.forget(session);
                self.verdict.tried += 1;
                self.verdict.refused += 1;
                breach = Some(format!("was refused by node {node}: {why}"));
            }
            Step::Evicted => {
                user.forget(session);
                if self.rules.never_full.contains(&whose) {
                    self.verdict.wrongly_closed += 1;
                    breach = Some(format!("lost session {session} for a newcomer, and has room for all of them"));
                }
            }
            Step::Cut(how) => {
                user.forget(session);
                self.verdict.wrongly_closed += 1;
                breach = Some(format!("lost session {session} though nobody needed its place: {how}"));
            }
            Step::GivenUp | Step::Released | Step::Moved => user.forget(session),
        }
        if let Some(user) = self.users.get_mut(&whose).filter(|_| !self.is_apart) {
            user.ceiling = user.ceiling.min(user.at_most()).max(least);
        }
        let breach = breach.map(|sentence| Breach { at, user: whose, sentence: format!("user {whose} {sentence}") });
        self.verdict.breaches.extend(breach);
    }

    /// Somebody came in: who went for him, and is it enough?
    fn weigh(&mut self, at: Duration, whose: usize, newcomer: Session) -> Option<String> {
        if self.is_over {
            return None;
        }
        let Self { rules, evicted_at, is_apart, verdict, .. } = self;
        let user = self.users.get_mut(&whose)?;
        let (most, state) = match is_apart {
            true => (rules.most_apart(), "while Redis is unknown"),
            false => (user.ceiling, "while everybody can be asked"),
        };
        // Each newcomer has one victim at most, and none where there is room: who went for him may have heard of it already.
        if user.count() > most {
            let goes = |session: &Session| *session != newcomer && !user.spent.contains(session);
            let told = user.held.keys().copied().filter(goes).filter_map(|it| Some((*evicted_at.get(&it)?, it)));
            user.spent.extend(told.min().map(|(_, victim)| victim));
        }
        let count = user.count();
        let is_leaving = |session: &&Session| evicted_at.get(session).is_some_and(|told| *told <= at + HEARS_WITHIN);
        let leaving = user.held.keys().filter(|session| !user.spent.contains(session)).filter(is_leaving).count();
        verdict.over = verdict.over.max((count - leaving).saturating_sub(rules.limit));
        (count > most)
            .then(|| format!("holds {count} sessions, and may hold {most} {state}; session {newcomer} is one too many"))
    }
}
