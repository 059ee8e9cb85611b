//! Pure: usage and limits in, a decision out.

use crate::limits::Force;

/// What an open needs to know about its user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    /// The session is there already.
    pub(crate) session_exists: bool,
    /// Sessions that the user holds.
    pub(crate) used: usize,
    /// Sessions that he may hold.
    pub(crate) limit: usize,
    /// Others of this user wait for a slot already.
    pub(crate) others_wait: bool,
    /// The node takes nobody new.
    pub(crate) draining: bool,
}

/// What to do with an open. The per-user limit alone is never a reason to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Attach to the session that is there; no slot is needed (M4).
    Attach,
    /// Take a free slot, now.
    Admit,
    /// Climb the ladder: somebody has to make room. One session for one newcomer, also where a limit was lowered or the
    /// reserve is in use and the user holds more than his limit (I1).
    Reclaim,
    /// The node is being drained.
    Refuse,
}

/// Decides. Whoever came first is served first: a newcomer does not pass those who wait.
#[must_use]
pub(crate) fn decide(question: &Question) -> Decision {
    let Question { session_exists, used, limit, others_wait, draining } = *question;
    match () {
        () if draining => Decision::Refuse,
        () if session_exists => Decision::Attach,
        () if used < limit && !others_wait => Decision::Admit,
        () => Decision::Reclaim,
    }
}

/// What the end of the ladder needs to know, where Force found nobody whom it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dilemma {
    /// Sessions that the user holds.
    pub(crate) used: usize,
    /// Sessions that he may hold now, with the reserve where it is open or may be opened.
    pub(crate) limit_with_reserve: usize,
    /// His time in the queue is over, or the queue is too long.
    pub(crate) overdue: bool,
    /// What may be done to sessions that live.
    pub(crate) force: Force,
}

/// How an admission goes on when every session is protected (M14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Degradation {
    /// Take a slot of the reserve.
    Reserve,
    /// Wait, and know one's position.
    Queue,
    /// Take over the least recently used protected session; its run goes on.
    TakeOver,
    /// The operator chose so.
    Refuse,
}

/// Decides: reserve, then queue, then takeover.
#[must_use]
pub(crate) fn degrade(dilemma: &Dilemma) -> Degradation {
    let Dilemma { used, limit_with_reserve, overdue, force } = *dilemma;
    match force {
        _ if used < limit_with_reserve => Degradation::Reserve,
        _ if !overdue => Degradation::Queue,
        Force::Evict => Degradation::TakeOver,
        Force::Never => Degradation::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(session_exists: bool, used: usize, others_wait: bool, draining: bool) -> Decision {
        decide(&Question { session_exists, used, limit: 20, others_wait, draining })
    }

    #[test]
    fn a_full_user_is_never_refused() {
        assert_eq!(ask(false, 20, false, false), Decision::Reclaim);
        assert_eq!(ask(false, 25, true, false), Decision::Reclaim);
    }

    #[test]
    fn an_existing_session_needs_no_slot() {
        assert_eq!(ask(true, 20, true, false), Decision::Attach);
    }

    #[test]
    fn a_newcomer_does_not_pass_those_who_wait() {
        assert_eq!(ask(false, 19, false, false), Decision::Admit);
        assert_eq!(ask(false, 19, true, false), Decision::Reclaim);
    }

    #[test]
    fn only_a_draining_node_refuses() {
        assert_eq!(ask(true, 0, false, true), Decision::Refuse);
    }

    #[test]
    fn the_reserve_comes_before_the_queue_and_the_queue_before_a_takeover() {
        let dilemma = Dilemma { used: 20, limit_with_reserve: 25, overdue: false, force: Force::Evict };
        assert_eq!(degrade(&dilemma), Degradation::Reserve);
        let full = Dilemma { used: 25, ..dilemma };
        assert_eq!(degrade(&full), Degradation::Queue);
        assert_eq!(degrade(&Dilemma { overdue: true, ..full }), Degradation::TakeOver);
    }

    #[test]
    fn only_who_chose_never_ends_the_queue_in_a_refusal() {
        let dilemma = Dilemma { used: 25, limit_with_reserve: 25, overdue: true, force: Force::Never };
        assert_eq!(degrade(&dilemma), Degradation::Refuse);
        assert_eq!(degrade(&Dilemma { overdue: false, ..dilemma }), Degradation::Queue);
    }
}
