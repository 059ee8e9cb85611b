//! The way in for logins with a browser: a cookie, and a page that may use it.

use std::sync::Arc;

use super::{Access, AuthError, Identity, Logins, Shown, is_own_page, read_cookie};

/// Who is logged in, and our own pages.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Who is logged in.
    pub logins: Arc<Logins>,
    /// The origins of our own pages; one, unless a listener has several names.
    pub own_origins: Vec<String>,
}

impl Entrance {
    /// Whether this is the origin of our own pages.
    #[must_use]
    pub fn is_own(&self, origin: &str) -> bool {
        self.own_origins.iter().any(|own| own.eq_ignore_ascii_case(origin))
    }

    /// Who is logged in with the browser that sent a request; pages of the `listed` origins may use that, too.
    ///
    /// A cookie that means nothing any more shows nothing: the page may have a token, and must not be locked out by what
    /// its browser still remembers (hazard R20). So is one that another page may not use, where a token may follow.
    pub(super) fn identify(&self, shown: Shown<'_>, listed: &[String]) -> Result<Option<Identity>, AuthError> {
        let token = read_cookie(shown.headers, self.logins.realm().cookie());
        let Some(identity) = token.and_then(|token| self.logins.identity(&token)) else { return Ok(None) };
        match (is_own_page(shown.headers, shown.access, &self.own_origins, listed), shown.access) {
            (true, _) => Ok(Some(identity)),
            (false, Access::Socket) => Ok(None),
            (false, Access::Read | Access::Change) => Err(AuthError::ForeignPage),
        }
    }
}
