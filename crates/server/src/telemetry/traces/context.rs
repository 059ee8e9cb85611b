//! Where a span stands, and how that is told from process to process (W3C Trace Context, level 1:
//! <https://www.w3.org/TR/trace-context/>).

use std::cell::Cell;
use std::fmt;

use http::HeaderMap;

/// The header that names a trace and the span that asks.
pub const TRACEPARENT: &str = "traceparent";
/// What tracing systems on the way have to say to each other.
pub const TRACESTATE: &str = "tracestate";

/// Longest `tracestate` that is passed on: what every participant has to take at least (section 3.3.1.5).
const MAX_STATE_BYTES: usize = 512;

/// A trace; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub(super) u128);

/// A span within its trace; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub(super) u64);

/// Where a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub span: SpanId,
    /// Whether it is kept.
    pub sampled: bool,
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Context {
    /// As `traceparent` is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl Context {
    /// Reads a `traceparent`. A later version than ours counts as far as ours goes (section 3.2.4 of the source above);
    /// whatever is not as it should be is none at all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_matches([' ', '\t']).split('-');
        let (version, trace) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
        let (span, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
        let is_whole = match version {
            0xff => false,
            0 => parts.next().is_none(),
            _ => true,
        };
        let span = u64::try_from(span).ok()?;
        (is_whole && trace != 0 && span != 0).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & 1 == 1,
        })
    }
}

/// Exactly so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(is_hex)).then(|| u128::from_str_radix(text, 16).ok())?
}

/// What a client says about the trace that it is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The span that asks.
    pub context: Context,
    /// Passed on as it came; none where it is not what a header may hold.
    pub state: Option<Box<str>>,
}

impl Parent {
    /// Reads `traceparent` and `tracestate`. Two of the former are none (section 3.2.1), two of the latter are one list.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let context = match (parents.next(), parents.next()) {
            (Some(parent), None) => Context::parse(parent.to_str().ok()?)?,
            (None, _) | (Some(_), Some(_)) => return None,
        };
        let states: Option<Vec<&str>> = headers.get_all(TRACESTATE).iter().map(|state| state.to_str().ok()).collect();
        let state = states.unwrap_or_default().join(",");
        let state = (1..=MAX_STATE_BYTES).contains(&state.len()).then(|| state.into_boxed_str());
        Some(Self { context, state })
    }
}

thread_local! {
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
}

/// What the log lines of this thread belong to at the moment.
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.get()
}

/// Has the log lines that `write` writes name this span.
pub fn naming<T>(context: Option<Context>, write: impl FnOnce() -> T) -> T {
    /// Also where `write` panics: the next line of this thread is somebody else's.
    struct Before(Option<Context>);
    impl Drop for Before {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _before = Before(CURRENT.replace(context));
    write()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_is_read_back_as_it_is_written() {
        let context = Context::parse(TEXT).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), TEXT);
        assert!(!Context::parse(&format!("{}00", &TEXT[..53])).unwrap().sampled);
        // A later version may say more.
        assert_eq!(Context::parse(&format!("cc{}-what-else", &TEXT[2..])), Some(context));
    }

    #[test]
    fn a_malformed_traceparent_is_none_at_all() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-\u{660}af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert_eq!(Context::parse(text), None, "{text:?}");
        }
    }

    fn parent(headers: &[(&'static str, &str)]) -> Option<Parent> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Parent::from_headers(&map)
    }

    #[test]
    fn two_parents_are_none_and_a_state_that_is_too_long_is_left_out() {
        assert_eq!(parent(&[("traceparent", TEXT), ("traceparent", TEXT)]), None);
        let state = |text: &str| parent(&[("traceparent", TEXT), ("tracestate", text)]).unwrap().state;
        assert_eq!(state("a=1").as_deref(), Some("a=1"));
        assert_eq!(state(&"a".repeat(513)), None);
        let two = parent(&[("traceparent", TEXT), ("tracestate", "a=1"), ("tracestate", "b=2")]).unwrap();
        assert_eq!(two.state.as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn lines_name_a_span_only_while_they_belong_to_it() {
        let context = Context::parse(TEXT);
        assert!(std::panic::catch_unwind(|| naming(context, || panic!("in between"))).is_err());
        assert_eq!(current(), None);
        naming(context, || assert_eq!(current(), context));
    }
}
