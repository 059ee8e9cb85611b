//! What there is at a moment, counted from the records of every part: for a scrape.

use crate::agent::Agents;
use crate::driver::Driver;
use crate::journal::Journal;
use crate::listener::Pool;
use crate::telemetry::metrics::process::Descriptors;
use crate::telemetry::{NodeForecast, Population};

/// Counts. Takes time in proportion to the number of users, and asks the file system where the journal has a file: not for a
/// thread that must not wait. Whether the node is ready is for others to say.
pub(super) fn count(
    driver: &Driver,
    journal: &dyn Journal,
    agents: &Agents,
    pool: &Pool,
    outlook: &NodeForecast,
) -> Population {
    let census = driver.census();
    let occupancy = pool.occupancy();
    let (explained_bytes, explained_dropped) = driver.explained();
    let of_connections = share(census.connections as f64, driver.max_connections() as f64);
    let of_sockets = share(occupancy.connections as f64, pool.max_connections() as f64);
    let of_descriptors = Descriptors::read().and_then(|it| Some(share(it.open as f64, it.max? as f64))).unwrap_or(0.0);
    let load = of_connections.max(of_sockets).max(of_descriptors);
    Population {
        census,
        open_node_breakers: driver.open_node_breakers(),
        unidentified: occupancy.strangers,
        load,
        outlook: outlook.look(driver.now(), load),
        journal_bytes: journal.bytes(),
        journal_trouble: journal.trouble().is_some(),
        agents: agents.health().map(|agent| (agent.name.into(), agent.would_ask)).collect(),
        explained_bytes,
        explained_dropped,
        ..Population::default()
    }
}

/// Of nothing at all everything is taken.
fn share(taken: f64, of: f64) -> f64 {
    match of > 0.0 {
        true => (taken / of).min(1.0),
        false => 1.0,
    }
}
