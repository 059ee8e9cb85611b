//! The table at the end.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::oracle::{Reach, Tally};

/// One line: a plan, or many.
#[derive(Debug)]
pub(super) struct Row {
    name: String,
    pub(super) tally: Tally,
    /// Time times cores: what is done in it compares between machines of one and of many.
    core_time: Duration,
}

impl Row {
    pub(super) fn new(name: &str, tally: Tally, core_time: Duration) -> Self {
        Self { name: name.to_owned(), tally, core_time }
    }

    fn cells(&self) -> Vec<String> {
        let Tally { plans, steps, opens, opened, refused, evicted, longest_wait, violations, .. } = self.tally;
        let per_second = plans as f64 / self.core_time.as_secs_f64().max(1e-9);
        let mut cells = vec![self.name.clone()];
        cells.extend([plans, steps, opens, opened, refused].map(|count| count.to_string()));
        cells.extend(evicted.map(|count| count.to_string()));
        cells.push(format!("{} ms", longest_wait.as_millis()));
        cells.push(format!("{per_second:.0}"));
        cells.push(match violations {
            0 => "kept".to_owned(),
            broken => format!("{broken} BROKEN"),
        });
        cells
    }
}

const HEADER: [&str; 13] = [
    "plan",
    "plans",
    "steps",
    "opens",
    "opened",
    "refused",
    "conservative",
    "moderate",
    "aggressive",
    "force",
    "longest wait",
    "plans/s per core",
    "promises",
];

/// Lays the rows out. A refusal is one by a draining node or for a socket that was gone: any other breaks a promise.
pub(super) fn render(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    table.add_rows(rows.iter().map(Row::cells));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// How often each corner of the gate was reached: a generator that is blind for one shows as a zero.
pub(super) fn render_reach(tally: &Tally) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["reached", "times", "reached", "times", "reached", "times"]);
    let levels = ["level: conservative", "level: moderate", "level: aggressive", "level: force"];
    let corners = Reach::ALL.iter().map(|corner| corner.as_str()).zip(tally.reached);
    let cells: Vec<_> = levels.into_iter().zip(tally.evicted).chain(corners).collect();
    let rows = cells.len().div_ceil(3);
    for row in 0..rows {
        let columns = [row, row + rows, row + 2 * rows].into_iter().filter_map(|at| cells.get(at));
        table.add_row(columns.flat_map(|(name, times)| [(*name).to_owned(), times.to_string()]).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut().skip(1).step_by(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
