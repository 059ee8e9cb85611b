//! The table and the plots as one page that needs nothing but itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::plot::{self, escape};
use super::{HEADER, Outcome, Show};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2126; --faint: #6b7580; --line: #d8dde2; --paper: #fcfcfb; --card: #ffffff;
  --one: #2f6f9f; --two: #c2702d; --three: #5b8a3a; --four: #8a4f9e; --bad: #b3261e; --good: #2d7a46; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --faint: #97a1ab; --line: #353c44; --paper: #14171a;
  --card: #1b1f23; --one: #6db3e2; --two: #e79a5b; --three: #93c572; --four: #c592d6; --bad: #f2857d; --good: #77c790; } }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; font-weight: 600; } p { color: var(--faint); margin: .2rem 0 .8rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--faint); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
.kept { color: var(--good); } .broken { color: var(--bad); font-weight: 700; } .not { color: var(--faint); }
svg { width: 100%; height: auto; background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .name { text-anchor: end; }
svg .small { text-anchor: end; font-size: 10px; fill: var(--faint); } svg .tick { text-anchor: middle; fill: var(--faint); }
.grid { stroke: var(--line); } .axis { stroke: var(--faint); } .bar { fill: var(--one); opacity: .75; }
.half { stroke: var(--ink); stroke-width: 1.5; } .most { stroke: var(--two); stroke-width: 2; }
.limit { stroke: var(--bad); stroke-dasharray: 6 4; } .user { fill: none; stroke-width: 2; }
.user0 { stroke: var(--one); } .user1 { stroke: var(--two); } .user2 { stroke: var(--three); } .user3 { stroke: var(--four); }
.conservative { fill: var(--three); } .moderate { fill: var(--one); } .aggressive { fill: var(--four); } .force { fill: var(--two); }
";

/// Writes `index.html` into `directory`, which is made where it is missing; returns its path.
///
/// # Errors
/// When the directory cannot be made or written to.
pub fn write(directory: &Path, show: &Show) -> anyhow::Result<PathBuf> {
    let page = directory.join("index.html");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&page, html(show)))
        .with_context(|| format!("the report cannot be written to {}; choose another --report", page.display()))?;
    Ok(page)
}

/// The page.
#[must_use]
pub fn html(show: &Show) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    page.push_str("<title>Lychgate: live plans</title>\n<style>");
    page.push_str(STYLE);
    page.push_str("</style>\n</head>\n<body>\n<h1>Lychgate: live plans</h1>\n");
    page.push_str(summary(&show.outcomes));
    table(&mut page, &show.outcomes);
    section(
        &mut page,
        "Admission latency",
        "Each row is one plan; the height is the square root of how many opens took so \
        long. The dark line is the median, the orange one the 99th percentile.",
    );
    page.push_str(&plot::latencies(&show.outcomes));
    section(
        &mut page,
        "Reclaims by level",
        "The share of each level among the sessions that were reclaimed, and how many there were: on the shared gateway, and \
         on those that a plan had to itself, as each counted them before and after.",
    );
    match show.reclaims.is_empty() {
        true => page.push_str("<p>No admin listener was known: name it with --admin.</p>\n"),
        false => page.push_str(&plot::reclaims(&show.reclaims)),
    }
    section(
        &mut page,
        "Pressure over time",
        "Sessions that a user held, as the frames of the gateway told his clients.",
    );
    for outcome in &show.outcomes {
        if let Some(svg) = plot::pressure(outcome) {
            let _ = writeln!(page, "<h3>{}</h3>\n{svg}", escape(outcome.plan()));
        }
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn section(page: &mut String, title: &str, meaning: &str) {
    let _ = writeln!(page, "<h2>{title}</h2>\n<p>{meaning}</p>");
}

fn summary(outcomes: &[Outcome]) -> &'static str {
    match outcomes.iter().all(Outcome::is_kept) {
        true => "<p>Every promise was kept.</p>\n",
        false => "<p class=\"broken\">A promise broke.</p>\n",
    }
}

fn table(page: &mut String, outcomes: &[Outcome]) {
    page.push_str("<div class=\"scroll\"><table>\n<tr>");
    for column in HEADER {
        let _ = write!(page, "<th>{column}</th>");
    }
    page.push_str("</tr>\n");
    for outcome in outcomes {
        page.push_str("<tr>");
        let row = outcome.row();
        let (verdict, cells) = row.split_last().map_or(("", row.as_slice()), |(last, rest)| (last.as_str(), rest));
        for cell in cells {
            let _ = write!(page, "<td>{}</td>", escape(cell));
        }
        let class = match verdict {
            "kept" => "kept",
            "BROKEN" => "broken",
            _ => "not",
        };
        let _ = writeln!(page, "<td class=\"{class}\">{}</td></tr>", escape(verdict));
    }
    page.push_str("</table></div>\n");
    let words: Vec<String> = outcomes
        .iter()
        .flat_map(|outcome| outcome.sentences().into_iter().map(|told| format!("{}: {told}", outcome.plan())))
        .map(|told| format!("<li>{}</li>", escape(&told)))
        .collect();
    if !words.is_empty() {
        let _ = writeln!(page, "<ul>\n{}\n</ul>", words.join("\n"));
    }
}

#[cfg(test)]
mod tests;
