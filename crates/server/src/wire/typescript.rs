//! The same types for TypeScript: what the SDK and the console read and write is made from what we do.
//!
//! `RENEW_GOLDEN_FILES=1 cargo test -p lychgate typescript` writes the files anew.

use ts_rs::{Config, TS};

use super::golden::is_golden;
use super::{
    Ack, Evidence, Hello, Leave, Limits, Message, Notice, Open, Opened, Reconnect, Run, RunInput, Server, Stop, admin,
};

const RENEW: &str = "RENEW_GOLDEN_FILES=1 cargo test -p lychgate typescript";

/// What no Rust type says: frames that are read by their `type` first, and the one that is put together from bytes.
const CLIENT_SIDE: &str = "\
/** What a client says. */
export type Client =
  | ({ type: 'hello' } & Hello)
  | ({ type: 'open' } & Open)
  | ({ type: 'leave' } & Leave)
  | ({ type: 'run' } & Run)
  | ({ type: 'stop' } & Stop)
  | ({ type: 'ack' } & Ack);

/** An AG-UI event, as it stands in the log. */
export type AguiEvent = { type: string; [field: string]: unknown };

/** One event of a thread. */
export type EventFrame = { type: 'event'; thread: string; offset: number; event: AguiEvent };
";

/// Declarations of types, in this order.
struct Page {
    config: Config,
    text: String,
}

impl Page {
    fn new(from: &str) -> Self {
        let text = format!("// Made from {from} by: {RENEW}\n");
        Self { config: Config::new().with_large_int("number"), text }
    }

    fn with<T: TS>(mut self) -> Self {
        let docs = T::docs().unwrap_or_default();
        self.text.push_str(&laid_out(&format!("\n{docs}export {}\n", T::decl(&self.config))));
        self
    }

    fn compare(self, path: &str) {
        is_golden(path, &self.text, RENEW);
    }
}

/// A field to a line, a variant to a line, a comment of one line on one line.
fn laid_out(declaration: &str) -> String {
    let declaration = declaration.replace("/**\n * ", "/** ").replace("\n */", " */");
    let declaration =
        declaration.replace("| {", "\n| {\n").replace(" = {", " = {\n").replace("\" }", "\"\n}").replace(", }", ",\n}");
    let mut depth = 0_usize;
    let lines = declaration.split('\n').map(str::trim).map(|line| {
        let is_end = line.starts_with('}');
        depth = depth.saturating_sub(usize::from(is_end));
        let beside = if line.starts_with('*') { " " } else { "" };
        let indented = format!("{}{beside}{line}", "  ".repeat(depth));
        let opens = line.matches('{').count();
        depth = (depth + opens).saturating_sub(line.matches('}').count() - usize::from(is_end));
        indented
    });
    let is_kept = |line: &String| !line.trim().is_empty();
    format!("\n{}\n", lines.filter(is_kept).collect::<Vec<_>>().join("\n"))
}

/// Listed so that a page with a type that is missing would not compile.
macro_rules! page {
    ($page:expr, $($type:ty),+ $(,)?) => { $page$(.with::<$type>())+ };
}

#[test]
fn typescript_of_the_operators_routes_is_what_they_say() {
    page!(
        Page::new("crates/server/src/wire/admin"),
        admin::Live<'static>,
        admin::NodeName,
        admin::Sample,
        admin::Bands,
        admin::AgentSample,
        admin::Told,
        admin::Decision,
        admin::DecisionPage,
        admin::Explained,
        admin::Me,
        admin::UserPage,
        admin::UserRow,
        admin::LentLimit,
        admin::Listed,
        admin::User,
        admin::Session,
        admin::SessionElsewhere,
        admin::HealthReason,
        admin::Connection,
        admin::Evidence,
        admin::AgentList,
        admin::AgentRow,
        admin::FirstEvent,
        admin::AgentError,
        admin::NodeView,
        admin::Setting,
        admin::ClusterView,
        admin::ClusterNode,
        admin::AlertList,
        admin::AlertState,
        admin::AuditPage,
        admin::AuditEntry,
        admin::Ended,
        admin::Level,
        admin::Reclaim,
        admin::Reclaimed,
        admin::Evicted,
        admin::Lend,
        admin::LimitInForce,
        admin::Draining,
        admin::Error,
    )
    .compare("console/src/console/wire.ts");
}

#[test]
fn typescript_of_the_wire_is_what_we_speak() {
    let mut page = Page::new("crates/server/src/wire.rs");
    page.text.push_str(&format!("\n{CLIENT_SIDE}"));
    page.with::<Hello>()
        .with::<Open>()
        .with::<Leave>()
        .with::<Run>()
        .with::<RunInput>()
        .with::<Message>()
        .with::<Stop>()
        .with::<Ack>()
        .with::<Server<'static>>()
        .with::<Opened<'static>>()
        .with::<Notice<'static>>()
        .with::<Reconnect>()
        .with::<Limits>()
        .with::<Evidence>()
        .compare("sdk/ts/src/wire.ts");
}
