//! `[explain]`: what is remembered of decisions.

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range};

/// Beyond it, memory is better spent on anything else.
const MOST: usize = 16 * 1_024 * 1_024 * 1_024;

/// `[explain]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explain {
    /// Bytes of the last decisions about each user, of all users together. Default 64 MiB; 0 remembers nothing.
    pub ledger_bytes: usize,
    /// Bytes of everybody's decisions in order. Default 8 MiB; 0 remembers nothing.
    pub feed_bytes: usize,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawExplain {
    ledger_bytes: usize,
    feed_bytes: usize,
}

impl RawExplain {
    pub(super) fn check(&self) -> Result<Explain, Fault> {
        in_range("explain.ledger_bytes", self.ledger_bytes, 0, MOST)?;
        in_range("explain.feed_bytes", self.feed_bytes, 0, MOST)?;
        Ok(Explain { ledger_bytes: self.ledger_bytes, feed_bytes: self.feed_bytes })
    }
}
