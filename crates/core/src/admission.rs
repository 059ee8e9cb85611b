//! Pure: usage and limits in, a decision out.

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
    /// Climb the ladder for this many slots.
    Reclaim {
        /// At least 1.
        need: usize,
    },
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
        () => Decision::Reclaim { need: (used + 1).saturating_sub(limit).max(1) },
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
        assert_eq!(ask(false, 20, false, false), Decision::Reclaim { need: 1 });
        assert_eq!(ask(false, 25, true, false), Decision::Reclaim { need: 6 });
    }

    #[test]
    fn an_existing_session_needs_no_slot() {
        assert_eq!(ask(true, 20, true, false), Decision::Attach);
    }

    #[test]
    fn a_newcomer_does_not_pass_those_who_wait() {
        assert_eq!(ask(false, 19, false, false), Decision::Admit);
        assert_eq!(ask(false, 19, true, false), Decision::Reclaim { need: 1 });
    }

    #[test]
    fn only_a_draining_node_refuses() {
        assert_eq!(ask(true, 0, false, true), Decision::Refuse);
    }
}
