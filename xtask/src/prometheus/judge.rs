//! Which alerts must have fired where, and which must not.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The alerts of users, in the order in which a user who fills up meets them.
const LADDER: [&str; 4] = ["LychgateUserAt50", "LychgateUserAt60", "LychgateUserAt70", "LychgateUserAt100"];

/// The plan whose operator chose `limits.force = "never"`: the one that refuses.
const REFUSES: &str = "never";

/// What no plan may cause on any gateway, and the one exception. Not among them: `LychgateWrongVerdict`, `LychgateRuntimeStalled` and
/// `LychgateReaperLate`, which a machine that starves the gateway can make true, and those that plans bring about on purpose (a
/// breaker that opens, closes that fail, queues that are long, a node that fills up).
const NEVER: [(&str, Option<&str>); 8] = [
    ("LychgateLockout", Some(REFUSES)),
    ("LychgateRepaired", None),
    ("LychgateJournalTrouble", None),
    ("LychgateClusterUnknown", None),
    ("LychgateNotReady", None),
    ("LychgateAgentDown", None),
    ("LychgateDescriptorsLow", None),
    ("LychgateEyesImpaired", None),
];

/// From the first second to the last, since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    first: f64,
    last: f64,
}

/// What Prometheus saw of one gateway.
#[derive(Debug, Default)]
struct Gateway {
    seen: Option<Span>,
    fired: BTreeMap<String, Span>,
    prevented: Option<f64>,
}

/// What Prometheus saw, by gateway: the name of the plan that was played there, or `shared`.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<String, Gateway>);

impl Found {
    /// From answers to range queries: series with their labels and values.
    pub(super) fn read(answers: &[Value]) -> Result<Self> {
        let mut found = Self::default();
        for series in answers.iter().filter_map(Value::as_array).flatten() {
            let label = |name: &str| series["metric"][name].as_str();
            let gateway =
                found.0.entry(label("instance").context("a series without an instance")?.to_owned()).or_default();
            let points: Vec<(f64, f64)> = series["values"].as_array().into_iter().flatten().filter_map(point).collect();
            let (Some(&(first, _)), Some(&(last, value))) = (points.first(), points.last()) else { continue };
            let span = Span { first, last };
            match (label("__name__"), label("alertname")) {
                (Some("ALERTS"), Some(alert)) => drop(gateway.fired.insert(alert.to_owned(), span)),
                (Some("lychgate_sessions"), _) => gateway.seen = Some(span),
                (Some("lychgate_lockouts_prevented_total"), _) => gateway.prevented = Some(value),
                (name, _) => bail!("nobody asked for {name:?}"),
            }
        }
        Ok(found)
    }

    /// A line for each gateway, for people: what fired, from which second to which, since it was first seen.
    pub(super) fn shown(&self) -> String {
        let line = |(name, gateway): (&String, &Gateway)| {
            let begin = gateway.seen.map_or(0.0, |seen| seen.first);
            let fired = gateway.fired.iter().map(|(alert, span)| {
                format!("{} {:.0}-{:.0} s", alert.trim_start_matches("Lychgate"), span.first - begin, span.last - begin)
            });
            let prevented = gateway.prevented.unwrap_or_default();
            format!("{name}: {prevented} lockouts prevented; fired: {}", fired.collect::<Vec<_>>().join(", "))
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Everything that is not as it must be, in words.
    pub(super) fn faults(&self, table: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for plan in ["slow-fill", "twenty-zombies"] {
            match self.0.get(plan) {
                None => faults.push(format!("the gateway of {plan} was never scraped")),
                Some(gateway) => {
                    faults.extend(gateway.climbs().err().map(|fault| format!("{plan}: {fault}")));
                    faults.extend(gateway.counts(table, plan).err().map(|fault| format!("{plan}: {fault}")));
                }
            }
        }
        if !self.0.get(REFUSES).is_some_and(|gateway| gateway.fired.contains_key("LychgateLockout")) {
            faults.push(format!("LychgateLockout did not fire on the gateway of {REFUSES}"));
        }
        for (alert, except) in NEVER {
            let elsewhere = self.0.iter().filter(|(name, _)| Some(name.as_str()) != except);
            let firing = elsewhere.filter(|(_, gateway)| gateway.fired.contains_key(alert));
            faults.extend(firing.map(|(name, _)| format!("{alert} fired on the gateway of {name}")));
        }
        faults
    }
}

impl Gateway {
    /// The alerts of users fire from 50 to 100 %, and resolve from 100 to 50 % while the gateway is there to be seen.
    fn climbs(&self) -> Result<()> {
        let fired = LADDER.iter().map(|alert| self.fired.get(*alert).with_context(|| format!("{alert} did not fire")));
        let fired: Vec<&Span> = fired.collect::<Result<_>>()?;
        let seen = self.seen.context("it was never scraped")?;
        // Two bands that are crossed between two scrapes fire together.
        if !fired.is_sorted_by(|lower, higher| lower.first <= higher.first) {
            bail!("the alerts of users did not fire in their order");
        }
        if !fired.is_sorted_by(|lower, higher| lower.last >= higher.last) {
            bail!("the alerts of users did not resolve in their order");
        }
        if fired.iter().any(|span| span.last >= seen.last) {
            bail!("an alert of users fired to the end");
        }
        Ok(())
    }

    /// The gateway counted as many lockouts prevented as the tool did that opened the sockets.
    fn counts(&self, table: &str, plan: &str) -> Result<()> {
        let told = column(table, plan, "lockouts prevented")?;
        match self.prevented.context("lychgate_lockouts_prevented_total was never scraped")? {
            counted if counted == told => Ok(()),
            counted => bail!("the gateway counted {counted} lockouts prevented, the tool {told}"),
        }
    }
}

fn point(point: &Value) -> Option<(f64, f64)> {
    Some((point[0].as_f64()?, point[1].as_str()?.parse().ok()?))
}

/// A number in the table that `lychgate-scenario live` prints.
fn column(table: &str, plan: &str, name: &str) -> Result<f64> {
    let rows = table.lines().filter(|line| line.starts_with('|'));
    let mut rows = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let header = rows.next().context("the plans printed no table")?;
    let at = header.iter().position(|it| *it == name).with_context(|| format!("the table has no column {name}"))?;
    let row = rows.find(|row| row.first() == Some(&plan)).with_context(|| format!("the table has no row {plan}"))?;
    let cell = row.get(at).copied().unwrap_or_default();
    cell.parse().with_context(|| format!("{plan}: {name} is {cell:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &str = "| plan           | attempts | lockouts prevented |\n|----------------|---------:|-----:|\n\
                         | slow-fill      |       20 |                  0 |\n| twenty-zombies |       40 |                 20 |\n\
                         slow-fill: note: no row\n";

    fn series(name: &str, alert: Option<&str>, instance: &str, values: &[(u32, u32)]) -> Value {
        let values: Vec<Value> = values.iter().map(|(at, value)| json!([at, value.to_string()])).collect();
        json!({ "metric": { "__name__": name, "alertname": alert, "instance": instance }, "values": values })
    }

    /// A show as it must be, with the last second of each alert of slow-fill as given.
    fn found(ends: [u32; 4], prevented: u32) -> Found {
        let mut all = Vec::new();
        for plan in ["slow-fill", "twenty-zombies"] {
            all.push(series("lychgate_sessions", None, plan, &[(0, 0), (90, 0)]));
            let count = if plan == "slow-fill" { 0 } else { prevented };
            all.push(series("lychgate_lockouts_prevented_total", None, plan, &[(0, 0), (90, count)]));
            for (n, (alert, end)) in LADDER.iter().zip(ends).enumerate() {
                let n = u32::try_from(n).unwrap();
                all.push(series("ALERTS", Some(alert), plan, &[(10 + n, 1), (end, 1)]));
            }
        }
        all.push(series("ALERTS", Some("LychgateLockout"), REFUSES, &[(5, 1), (6, 1)]));
        Found::read(&[Value::Array(all)]).unwrap()
    }

    #[test]
    fn alerts_that_come_and_go_in_their_order_are_as_they_must_be() {
        assert_eq!(found([80, 70, 60, 60], 20).faults(TABLE), Vec::<String>::new());
    }

    #[test]
    fn an_alert_that_stays_and_one_out_of_order_are_faults() {
        let faults = found([90, 70, 60, 60], 20).faults(TABLE);
        assert!(faults[0].contains("fired to the end"), "{faults:?}");
        let faults = found([60, 70, 60, 60], 20).faults(TABLE);
        assert!(faults[0].contains("resolve in their order"), "{faults:?}");
    }

    #[test]
    fn two_counts_that_differ_are_a_fault() {
        let faults = found([80, 70, 60, 60], 19).faults(TABLE);
        assert_eq!(faults, ["twenty-zombies: the gateway counted 19 lockouts prevented, the tool 20"]);
    }

    #[test]
    fn an_alert_that_must_not_fire_is_a_fault_and_so_is_one_that_did_not() {
        let mut found = found([80, 70, 60, 60], 20);
        found.0.remove(REFUSES);
        let span = Span { first: 1.0, last: 2.0 };
        found.0.entry("shared".to_owned()).or_default().fired.insert("LychgateLockout".to_owned(), span);
        let faults = found.faults(TABLE);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[1].contains("LychgateLockout fired on the gateway of shared"), "{faults:?}");
    }

    #[test]
    fn a_gateway_that_nobody_scraped_is_a_fault() {
        let faults = Found::default().faults(TABLE);
        assert!(faults[0].contains("slow-fill was never scraped"), "{faults:?}");
    }
}
