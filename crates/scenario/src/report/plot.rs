//! Plots as SVG, drawn from numbers alone: no script, no font, no picture from anywhere else.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Latency, Outcome, Sample, milliseconds};
use crate::live::metrics::Reclaims;

const WIDTH: f64 = 920.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 24.0;

/// Text that may stand in HTML: names of plans come from files.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            sign => escaped.push(sign),
        }
    }
    escaped
}

/// Writing to a `String` does not fail.
macro_rules! draw {
    ($svg:expr, $($what:tt)*) => {
        let _ = writeln!($svg, $($what)*);
    };
}

fn begin(height: f64, title: &str) -> String {
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\" xmlns=\"http://www.w3.org/2000/svg\">\n"
    )
}

fn label(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    draw!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escape(text));
}

/// Milliseconds between which latencies are drawn, on a logarithmic axis: 10 us to 20 s.
const FASTEST: f64 = 0.01;
const SLOWEST: f64 = 20_000.0;
const TICKS: [(f64, &str); 7] = [
    (0.01, "0.01 ms"),
    (0.1, "0.1 ms"),
    (1.0, "1 ms"),
    (10.0, "10 ms"),
    (100.0, "100 ms"),
    (1_000.0, "1 s"),
    (10_000.0, "10 s"),
];

/// Columns of one distribution.
const COLUMNS: usize = 106;

fn log_x(ms: f64) -> f64 {
    let share = (ms.clamp(FASTEST, SLOWEST) / FASTEST).ln() / (SLOWEST / FASTEST).ln();
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

/// The distribution of admission latencies, one row for each plan that admitted anybody.
pub(super) fn latencies(outcomes: &[Outcome]) -> String {
    const ROW: f64 = 46.0;
    let shown: Vec<&Outcome> = outcomes.iter().filter(|it| it.admission().count() > 0).collect();
    let bottom = shown.len() as f64 * ROW + 14.0;
    let mut svg = begin(bottom + 40.0, "Admission latency by plan, milliseconds on a logarithmic axis");
    for (ms, text) in TICKS {
        let x = log_x(ms);
        draw!(svg, "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"6\" y2=\"{bottom:.1}\" class=\"grid\"/>");
        label(&mut svg, x, bottom + 16.0, "tick", text);
    }
    label(&mut svg, (LEFT + WIDTH - RIGHT) / 2.0, bottom + 34.0, "tick", "from open to opened");
    for (row, outcome) in shown.iter().enumerate() {
        let base = row as f64 * ROW + ROW;
        label(&mut svg, LEFT - 12.0, base - 16.0, "name", outcome.plan());
        let told = format!(
            "{} opens, p99 {} ms",
            outcome.admission().count(),
            milliseconds(outcome.admission().quantile(0.99))
        );
        label(&mut svg, LEFT - 12.0, base - 2.0, "small", &told);
        distribution(&mut svg, outcome.admission(), base, ROW - 12.0);
    }
    svg.push_str("</svg>\n");
    svg
}

fn distribution(svg: &mut String, latency: &Latency, base: f64, height: f64) {
    let mut columns = [0_u64; COLUMNS];
    let width = (WIDTH - LEFT - RIGHT) / COLUMNS as f64;
    for (took, count) in latency.counts() {
        let column = ((log_x(took.as_secs_f64() * 1_000.0) - LEFT) / width) as usize;
        columns[column.min(COLUMNS - 1)] += count;
    }
    let most = columns.iter().copied().max().unwrap_or(1).max(1) as f64;
    draw!(svg, "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{base:.1}\" y2=\"{base:.1}\" class=\"axis\"/>", WIDTH - RIGHT);
    for (column, count) in columns.iter().enumerate().filter(|(_, count)| **count > 0) {
        // A root, so that the one slow open among thousands of fast ones is seen.
        let tall = (*count as f64 / most).sqrt() * height;
        let x = LEFT + column as f64 * width;
        let (y, wide) = (base - tall, width - 0.8);
        draw!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\" class=\"bar\"/>");
    }
    for (quantile, class) in [(0.5, "half"), (0.99, "most")] {
        let x = log_x(latency.quantile(quantile).as_secs_f64() * 1_000.0);
        let top = base - height;
        draw!(svg, "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{base:.1}\" class=\"{class}\"/>");
    }
}

/// Users of one plan that are drawn.
const USERS: usize = 4;

/// How many sessions users held over time, against their limit; nothing where no frame told it.
pub(super) fn pressure(outcome: &Outcome) -> Option<String> {
    const HEIGHT: f64 = 150.0;
    const X: f64 = 46.0;
    let samples = outcome.samples();
    let limit = samples.iter().map(|it| it.limit).max()?;
    let top = samples.iter().map(|it| it.used).max()?.max(limit) as f64 * 1.1;
    let end = samples.iter().map(|it| it.at).max()?.max(Duration::from_secs(1)).as_secs_f64();
    let x = |at: Duration| X + at.as_secs_f64() / end * (WIDTH - X - RIGHT);
    let y = |used: usize| 10.0 + (1.0 - used as f64 / top) * HEIGHT;
    let mut svg = begin(HEIGHT + 46.0, &format!("Sessions over time: {}", outcome.plan()));
    for used in [0, limit / 2, limit] {
        let class = if used == limit { "limit" } else { "grid" };
        let at = y(used);
        draw!(svg, "<line x1=\"{X}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" class=\"{class}\"/>", WIDTH - RIGHT);
        label(&mut svg, X - 6.0, at + 4.0, "name", &used.to_string());
    }
    for part in 0..=4 {
        let at = Duration::from_secs_f64(end * f64::from(part) / 4.0);
        label(&mut svg, x(at), HEIGHT + 28.0, "tick", &seconds(at));
    }
    let mut users: Vec<u32> = samples.iter().map(|it| it.user).collect();
    users.sort_unstable();
    users.dedup();
    // Those of whom most is known.
    users.sort_by_key(|user| std::cmp::Reverse(samples.iter().filter(|it| it.user == *user).count()));
    for (index, user) in users.iter().take(USERS).enumerate() {
        let path = steps(samples.iter().filter(|it| it.user == *user), &x, &y);
        draw!(svg, "<path d=\"{path}\" class=\"user user{index}\"><title>user u{user}</title></path>");
    }
    let told = format!("sessions of {} of {} users, limit {limit} (dashed)", users.len().min(USERS), users.len());
    label(&mut svg, (X + WIDTH - RIGHT) / 2.0, HEIGHT + 43.0, "tick", &told);
    svg.push_str("</svg>\n");
    Some(svg)
}

/// Seconds with as many digits as matter.
fn seconds(at: Duration) -> String {
    match at.as_secs_f64() {
        s if s < 4.0 => format!("{s:.2} s"),
        s => format!("{s:.1} s"),
    }
}

/// A line that stays where it is until the next sample.
fn steps<'a>(
    samples: impl Iterator<Item = &'a Sample>,
    x: &impl Fn(Duration) -> f64,
    y: &impl Fn(usize) -> f64,
) -> String {
    let mut path = String::new();
    for sample in samples {
        let (x, y) = (x(sample.at), y(sample.used));
        let _ = match path.is_empty() {
            true => write!(path, "M{x:.1} {y:.1}"),
            false => write!(path, "H{x:.1}V{y:.1}"),
        };
    }
    path
}

/// Sessions that were reclaimed on each gateway: the share of each level, and how many there were.
pub(super) fn reclaims(reclaims: &[(String, Reclaims)]) -> String {
    const ROW: f64 = 26.0;
    let total = |it: &Reclaims| it.by_level().map(|(_, count)| count).sum::<f64>();
    let shown: Vec<_> = reclaims.iter().filter(|(_, it)| total(it) > 0.0).collect();
    let mut svg = begin(shown.len() as f64 * ROW + 34.0, "Reclaimed sessions by gateway and level");
    for (row, (gateway, it)) in shown.iter().enumerate() {
        let y = row as f64 * ROW + 4.0;
        label(&mut svg, LEFT - 12.0, y + 14.0, "name", gateway);
        let mut x = LEFT;
        for (level, count) in it.by_level() {
            let wide = count / total(it) * (WIDTH - LEFT - RIGHT - 60.0);
            if count > 0.0 {
                draw!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"18\" class=\"{level}\"><title>{level}: {count}</title></rect>"
                );
            }
            x += wide;
        }
        label(&mut svg, x + 6.0, y + 14.0, "count", &format!("{}", total(it)));
    }
    let mut x = LEFT;
    let y = shown.len() as f64 * ROW + 14.0;
    for (level, _) in Reclaims::default().by_level() {
        draw!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" class=\"{level}\"/>");
        label(&mut svg, x + 18.0, y + 11.0, "count", level);
        x += 130.0;
    }
    svg.push_str("</svg>\n");
    svg
}
