//! `lychgate cluster status`: what a running gateway knows of the nodes that count sessions with it.

use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};

use super::operator::{Failure, Operator, OperatorArgs, printable};
use super::{print, runtime};
use crate::error::Error;
use crate::wire::admin::{ClusterNode, ClusterView};

const HEADS: [&str; 7] = ["NODE", "ADDRESS", "VERSION", "INCARNATION", "STARTED (UTC)", "SESSIONS", "LEASE HOLDS"];

#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Which nodes there are, and whether their Redis can be asked; exit code 1 if it cannot
    Status(StatusArgs),
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// As JSON, as the gateway answers it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Asks, prints, and answers the exit code.
pub(super) fn run(args: &ClusterArgs) -> Result<u8, Error> {
    let Command::Status(args) = &args.command;
    let operator = args.operator.connect()?;
    let asked = runtime()?.block_on(ask(&operator));
    let view = asked.map_err(|failure| operator.error(&failure))?;
    print(&match args.json {
        true => serde_json::to_string(&view).map_or_else(|_| String::new(), |line| line + "\n"),
        false => told(&view),
    })?;
    Ok(u8::from(is_unknown(&view)))
}

/// What the gateway knows of the cluster.
pub(super) async fn ask(operator: &Operator) -> Result<ClusterView, Failure> {
    let answer = operator.json(&["v1", "admin", "cluster"], &[], Duration::ZERO).await?;
    let foreign = |_| Failure::Foreign("its answer is not what a gateway of this version answers".to_owned());
    serde_json::from_value(answer).map_err(foreign)
}

/// Whether the gateway goes by its own count because nobody can be asked.
pub(super) fn is_unknown(view: &ClusterView) -> bool {
    view.health != "healthy"
}

/// Why, and for how long.
pub(super) fn trouble(view: &ClusterView) -> String {
    let because = printable(view.because.as_deref().unwrap_or("it does not say why"));
    format!("{because}, for {} s now", view.unknown_for_ms.unwrap_or_default() / 1_000)
}

fn told(view: &ClusterView) -> String {
    if view.kind == "single" {
        return "This node is alone: cluster.kind is \"single\".\n".to_owned();
    }
    let health = match is_unknown(view) {
        true => format!(
            "UNKNOWN since {}: {}.\nThis node goes by its own count; nobody is refused, and nobody is closed for it.\n",
            view.unknown_since.as_deref().unwrap_or("?"),
            trouble(view)
        ),
        false => "Sessions of all nodes count together.\n".to_owned(),
    };
    let answered = match view.answered_ms {
        Some(ago) => format!("Redis answered {} ago", seconds(ago)),
        None => "Redis has not answered yet".to_owned(),
    };
    let known = match &view.incarnation {
        Some(incarnation) => format!("this node is {}", printable(incarnation)),
        None => "this node has not met the others yet".to_owned(),
    };
    let about = format!("{answered}; {known} and holds {} leases.\n", view.leases);
    let nodes = match view.nodes.is_empty() {
        true => String::new(),
        false => format!("\n{}\n * the node that was asked\n", table(view)),
    };
    format!("{health}{about}{nodes}")
}

fn table(view: &ClusterView) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADS);
    // Nobody renews where nobody can be asked: what is left of a lease then says nothing about its node.
    let lease = |node: &ClusterNode| if is_unknown(view) { "?".to_owned() } else { seconds(node.lease_ms) };
    for node in &view.nodes {
        let mark = if node.this { "* " } else { "  " };
        table.add_row([
            format!("{mark}{}", printable(&node.name)),
            printable(&node.address),
            printable(&node.version),
            printable(&node.incarnation),
            printable(node.started.get(..19).unwrap_or(&node.started)).replace('T', " "),
            node.sessions.to_string(),
            lease(node),
        ]);
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// `4.3 s`
fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> ClusterView {
        let node = |name: &str, this| ClusterNode {
            this,
            name: name.to_owned(),
            address: "10.0.0.7:8787".to_owned(),
            version: "0.1.0".to_owned(),
            incarnation: "5f1c0a9b3d2e4f60".to_owned(),
            started: "2026-11-21T11:00:00.000Z".to_owned(),
            sessions: 12,
            lease_ms: 8_340,
        };
        ClusterView {
            kind: "redis".to_owned(),
            health: "healthy".to_owned(),
            incarnation: Some("5f1c0a9b3d2e4f60".to_owned()),
            leases: 12,
            answered_ms: Some(650),
            nodes: vec![node("gw-1", true), node("gw\u{1b}[2J", false)],
            ..ClusterView::default()
        }
    }

    #[test]
    fn every_node_has_a_row_and_the_one_that_was_asked_is_marked() {
        let text = told(&view());
        assert!(text.starts_with("Sessions of all nodes count together.\nRedis answered 0.6 s ago;"), "{text}");
        let row = text.lines().find(|line| line.contains("gw-1")).unwrap();
        assert!(row.trim_start().starts_with("* ") && row.contains("2026-11-21 11:00:00"), "{text}");
        assert!(row.ends_with("8.3 s"), "{text}");
        assert_eq!(text.matches("* ").count(), 2, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_redis_that_cannot_be_asked_is_told_first_with_what_holds_meanwhile() {
        let unknown = ClusterView {
            health: "unknown".to_owned(),
            unknown_since: Some("2026-11-21T12:00:00.000Z".to_owned()),
            unknown_for_ms: Some(4_200),
            because: Some("Redis cannot be reached".to_owned()),
            ..view()
        };
        let text = told(&unknown);
        let first = "UNKNOWN since 2026-11-21T12:00:00.000Z: Redis cannot be reached, for 4 s now.\nThis node goes by its own count";
        assert!(text.starts_with(first), "{text}");
        assert!(!text.contains("8.3 s"), "nobody knows whether they renewed it: {text}");
        assert!(is_unknown(&unknown) && !is_unknown(&view()));
    }

    #[test]
    fn a_node_whose_redis_was_never_there_has_no_table_and_says_so() {
        let early = ClusterView { incarnation: None, leases: 0, answered_ms: None, nodes: Vec::new(), ..view() };
        let text = told(&ClusterView { health: "unknown".to_owned(), ..early });
        let last = "Redis has not answered yet; this node has not met the others yet and holds 0 leases.\n";
        assert!(text.ends_with(last), "{text}");
    }

    #[test]
    fn a_node_that_is_alone_says_so() {
        let alone = ClusterView { kind: "single".to_owned(), health: "healthy".to_owned(), ..ClusterView::default() };
        assert_eq!(told(&alone), "This node is alone: cluster.kind is \"single\".\n");
    }
}
