//! `[web]`: which of the pages that are part of the program are served.

use serde::{Deserialize, Serialize};

/// `[web]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Web {
    /// Whether the chat page is served at `/` of the listener for users. Default true.
    pub chat: bool,
    /// Whether the console is served at `/console` of the admin listener. Default true.
    pub console: bool,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWeb {
    chat: bool,
    console: bool,
}

impl RawWeb {
    pub(super) fn check(&self) -> Web {
        Web { chat: self.chat, console: self.console }
    }
}
