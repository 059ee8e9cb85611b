//! `lychgate explain`: the story of one user, or what is being decided about everybody, from a running gateway.

use std::time::Duration;

use clap::Args;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use lychgate_core::UserId;
use serde_json::Value;
use tokio::time::sleep;

use super::operator::{Failure, Operator, OperatorArgs, printable};
use super::{print, runtime};
use crate::error::Error;
use crate::wire::admin::{Decision, DecisionPage, Explained, SessionElsewhere};

const FEED: [&str; 3] = ["v1", "admin", "decisions"];

/// How long the gateway holds one question while it has no news.
const WAIT: Duration = Duration::from_secs(25);
/// After a failure, while following.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Columns where the output is no terminal.
const USUAL_COLUMNS: u16 = 120;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Whose story; without it, everybody's decisions
    user: Option<String>,
    /// Go on with what is decided from now on
    #[arg(long)]
    follow: bool,
    /// As JSON, one decision per line
    #[arg(long)]
    json: bool,
    /// Of everybody's decisions also those that nobody asks about: sessions that found a free slot, or were left
    #[arg(long)]
    all: bool,
    /// So many of the newest decisions, 1 to 1,000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) fn run(args: &ExplainArgs) -> Result<(), Error> {
    if let Some(user) = &args.user {
        UserId::parse(user).map_err(|error| Error::Usage(format!("USER {error}")))?;
    }
    let operator = args.operator.connect()?;
    runtime()?.block_on(async {
        match (&args.user, args.follow) {
            (Some(user), false) => story(args, &operator, user).await,
            (Some(_) | None, _) => feed(args, &operator).await,
        }
    })
}

async fn story(args: &ExplainArgs, operator: &Operator, user: &str) -> Result<(), Error> {
    let path = ["v1", "admin", "users", user, "explain"];
    let answer = operator.json(&path, &[], Duration::ZERO).await.map_err(|failure| operator.error(&failure))?;
    let Explained { decisions, dropped, dropped_users, elsewhere, elsewhere_unknown, .. } = read(operator, answer)?;
    if args.json && !decisions.is_empty() {
        return print(&decisions.iter().map(line_of_json).collect::<String>());
    }
    if decisions.is_empty() && !elsewhere.is_empty() && !args.json {
        print(&format!("{} knows of no decision about {user:?}.\n", operator.base()))?;
        return print(&on_other_nodes(&elsewhere));
    }
    if decisions.is_empty() {
        let forgotten = match dropped_users {
            0 => String::new(),
            users => format!(" {users} users were forgotten to stay within explain.ledger_bytes."),
        };
        let place = match (elsewhere.first(), elsewhere_unknown) {
            (Some(session), _) => format!("He has a session on the node {:?}: ask there.", session.node),
            (None, true) => "Nobody can tell now whether he is on another node.".to_owned(),
            (None, false) => "Is the id spelled as the token has it, and is he on this node?".to_owned(),
        };
        return Err(Error::Failed(format!(
            "{} knows of no decision about {user:?}.{forgotten}\n  {place} `lychgate explain` without USER shows \
             everybody's.",
            operator.base()
        )));
    }
    let older = match dropped {
        0 => String::new(),
        dropped => format!("({dropped} older ones gave way to these)\n"),
    };
    print(&format!("What was decided about {user:?}, in order; times are UTC.\n{older}"))?;
    print(&table(decisions.iter().map(|decision| (None, decision))))?;
    match (elsewhere.is_empty(), elsewhere_unknown) {
        (false, _) => print(&on_other_nodes(&elsewhere)),
        (true, true) => print("(Nobody can tell now whether he has sessions on other nodes.)\n"),
        (true, false) => Ok(()),
    }
}

/// A row for each session that another node has: that node knows what it decided.
fn on_other_nodes(sessions: &[SessionElsewhere]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for session in sessions {
        let liveness = session.liveness.as_deref().unwrap_or("(no answer)");
        let health = session.health.map(|health| format!("health {health}"));
        let unused = session.unused_for.map(|unused| format!("used {} s ago", unused / 1_000));
        let protected = if session.protected == Some(true) { "protected" } else { "" };
        table.add_row([
            printable(&session.node),
            printable(&session.thread),
            liveness.to_owned(),
            health.unwrap_or_default(),
            unused.unwrap_or_default(),
            protected.to_owned(),
        ]);
    }
    let lines: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    format!("On other nodes, which know what they decided:\n{lines}")
}

/// Everybody's decisions, or one user's as they come.
async fn feed(args: &ExplainArgs, operator: &Operator) -> Result<(), Error> {
    let mut query = vec![("limit", args.limit.to_string())];
    match &args.user {
        Some(user) => query.push(("user", user.clone())),
        None if !args.all => query.push(("interesting", "true".to_owned())),
        None => {}
    }
    let first = operator.json(&FEED, &query, Duration::ZERO).await.map_err(|failure| operator.error(&failure))?;
    let page: DecisionPage = read(operator, first)?;
    show(args, &page)?;
    match args.follow {
        true => follow(args, operator, query, page.next).await,
        false if page.decisions.is_empty() && !args.json => {
            print("Nothing that anybody would ask about was decided lately; --all shows everything.\n")
        }
        false => Ok(()),
    }
}

/// What is decided from here on, until whoever reads has gone.
async fn follow(
    args: &ExplainArgs,
    operator: &Operator,
    mut query: Vec<(&str, String)>,
    mut after: String,
) -> Result<(), Error> {
    query.push(("wait", format!("{}s", WAIT.as_secs())));
    loop {
        let mut next = query.clone();
        next.push(("after", after.clone()));
        match operator.json(&FEED, &next, WAIT).await {
            Ok(answer) => {
                let page: DecisionPage = read(operator, answer)?;
                show(args, &page)?;
                after = page.next;
            }
            // A gateway that restarts comes back; the cursor says what was missed.
            Err(Failure::Unreachable(_) | Failure::Status(429 | 500..=599, _)) => sleep(AGAIN_AFTER).await,
            Err(failure) => return Err(operator.error(&failure)),
        }
    }
}

fn show(args: &ExplainArgs, page: &DecisionPage) -> Result<(), Error> {
    if args.json {
        return print(&page.decisions.iter().map(line_of_json).collect::<String>());
    }
    if page.restarted {
        print("(the gateway was started anew; what it decided before is gone)\n")?;
    }
    if page.missed > 0 {
        print(&format!("({} decisions were forgotten before they could be shown)\n", page.missed))?;
    }
    let with_user = |told: &crate::wire::admin::Told| told.user.clone().unwrap_or_else(|| "(node)".to_owned());
    let users: Vec<_> = page.decisions.iter().map(with_user).collect();
    let rows = users.iter().zip(&page.decisions).map(|(user, told)| (Some(user.as_str()), &told.decision));
    match page.decisions.is_empty() {
        true => Ok(()),
        false => print(&table(rows)),
    }
}

fn read<T: serde::de::DeserializeOwned>(operator: &Operator, answer: Value) -> Result<T, Error> {
    let foreign = |_| Failure::Foreign("its answer is not what a gateway of this version answers".to_owned());
    serde_json::from_value(answer).map_err(foreign).map_err(|failure| operator.error(&failure))
}

fn line_of_json(decision: &impl serde::Serialize) -> String {
    serde_json::to_string(decision).map_or_else(|_| String::new(), |line| line + "\n")
}

/// Time, what, whom or which thread, and the sentence; as wide as the terminal, and the same for every page.
fn table<'a>(rows: impl Iterator<Item = (Option<&'a str>, &'a Decision)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(USUAL_COLUMNS);
    }
    for (user, decision) in rows {
        let time = decision.at.get(5..23).unwrap_or(&decision.at).replace('T', " ");
        let again = if decision.again > 0 { format!(" (and {} more)", decision.again) } else { String::new() };
        let what = match &decision.level {
            Some(level) => format!("{} {level}", decision.verdict),
            None => decision.verdict.clone(),
        };
        let place = user.into_iter().chain(decision.thread.as_deref()).collect::<Vec<_>>().join(" ");
        table.add_row([time, what, printable(&place), printable(&decision.text) + &again]);
    }
    for (column, width) in [(0, 20), (1, 13), (2, 24)] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width)));
        }
    }
    let lines: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_has_a_row_for_each_decision_with_time_thread_and_sentence_and_no_order_for_the_terminal() {
        let decision = Decision {
            at: "2026-11-21T12:00:00.123Z".to_owned(),
            verdict: "evicted".to_owned(),
            level: Some("aggressive".to_owned()),
            thread: Some("t3\u{1b}[2J".to_owned()),
            text: "Nobody answered two pings of a probe over 1.4 s; 61 s of silence; so its session was closed as dead, and its \
                   slot went to the thread \"t21\" (aggressive)."
                .to_owned(),
            again: 2,
            ..Decision::default()
        };
        let text = table([(None, &decision)].into_iter());
        let first = text.lines().next().unwrap();
        assert!(first.contains("11-21 12:00:00.123") && first.contains("Nobody answered"), "{text}");
        assert!(text.contains("(and 2 more)") && !text.contains('\u{1b}'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(USUAL_COLUMNS)), "{text}");
    }
}
