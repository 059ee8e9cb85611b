//! The live plans by name: those of `plans/`, and the few that the vocabulary cannot express.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::script::playable;
use crate::plan::Plan;
use crate::sim::named;

/// A plan written in Rust, because the vocabulary has no word for what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// What is said in a chat, frame by frame: the vocabulary knows sessions, not messages.
    GoldenPath,
    /// Twenty sessions in a process that SIGSTOP silences, again and again: for the p99.
    TwentyZombies,
    /// The same, but their death is known before anybody asks.
    KnownZombies,
    /// 500 users open 25 threads each at the same instant: steps of a plan follow each other.
    Storm,
    /// The gateway's process is killed while clients hold sessions, and started again.
    GatewayKilled,
    /// A node with thousands of clients and runs in flight is told to stop, and started again.
    Drain,
}

/// What is played.
#[derive(Debug, Clone)]
pub(super) enum Play {
    /// A plan of the vocabulary.
    Script(Plan),
    /// A plan of the vocabulary in a network namespace: silence is made by dropping packets.
    PacketsDropped(Plan),
    /// A plan written in Rust.
    Written(Written),
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As it stands in the table.
    pub(super) name: String,
    /// What is played.
    pub(super) play: Play,
}

/// Plans of the vocabulary that are played a second time with packets really dropped.
const DROPPED: [&str; 2] = ["twenty-zombies", "tunnel"];

impl Written {
    const EACH: [Self; 6] =
        [Self::GoldenPath, Self::TwentyZombies, Self::KnownZombies, Self::Storm, Self::GatewayKilled, Self::Drain];

    /// Its line in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GoldenPath => "golden-path",
            Self::TwentyZombies => "twenty-zombies (SIGSTOP)",
            Self::KnownZombies => "twenty-zombies (known)",
            Self::Storm => "storm",
            Self::GatewayKilled => "restart-with-orphans (killed)",
            Self::Drain => "drain",
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Entry {
    /// The name by which it is asked for: what stands before the bracket.
    fn family(&self) -> &str {
        self.name.split(" (").next().unwrap_or_default()
    }

    /// Why it is for the simulation alone, if it is.
    pub(super) fn sim_only(&self) -> Option<String> {
        match &self.play {
            Play::Script(plan) | Play::PacketsDropped(plan) => playable::sim_only(plan),
            Play::Written(_) => None,
        }
    }
}

/// Every plan, in the order of the table.
///
/// # Errors
/// When a plan of this program cannot be read; the tests read them all.
pub(super) fn all() -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut written = Written::EACH.to_vec();
    let write = |written: Written| Entry { name: written.name().to_owned(), play: Play::Written(written) };
    for (name, plan) in named::all()? {
        let dropped = DROPPED
            .contains(&name.as_str())
            .then(|| Entry { name: format!("{name} (packets dropped)"), play: Play::PacketsDropped(plan.clone()) });
        let script = Entry { name, play: Play::Script(plan) };
        let family = script.name.clone();
        entries.push(script);
        entries.extend(dropped);
        entries.extend(written.extract_if(.., |it| write(*it).family() == family).map(write));
    }
    let mut rest: Vec<Entry> = written.into_iter().map(write).collect();
    rest.append(&mut entries);
    Ok(rest)
}

/// The plans that were asked for: `all`, a name with all its variants, or the path of a plan file.
///
/// # Errors
/// For a name that nobody has, with those that exist; for a file that cannot be read, with line and step.
pub(super) fn asked(names: &[String]) -> anyhow::Result<Vec<Entry>> {
    let all = all()?;
    let mut entries = Vec::new();
    for name in names {
        let found: Vec<Entry> =
            all.iter().filter(|it| name == "all" || it.family() == name || it.name == *name).cloned().collect();
        match (found.is_empty(), is_path(name)) {
            (false, _) => entries.extend(found),
            (true, true) => entries.push(Entry { name: name.clone(), play: Play::Script(read(Path::new(name))?) }),
            (true, false) => {
                let mut known: Vec<&str> = all.iter().map(Entry::family).collect();
                known.dedup();
                bail!(
                    "there is no live plan {name}; there are: all, {}, and any file that ends in .plan",
                    known.join(", ")
                );
            }
        }
    }
    Ok(entries)
}

fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".plan")
}

fn read(path: &Path) -> anyhow::Result<Plan> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("the plan file {} cannot be read", path.display()))?;
    text.parse().with_context(|| format!("plan file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked_for: &[&str]) -> Vec<String> {
        let words: Vec<String> = asked_for.iter().map(|word| (*word).to_owned()).collect();
        asked(&words).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_plan_of_the_simulation_stands_in_the_live_table() {
        let all = names(&["all"]);
        for (name, _) in named::PLANS {
            assert!(all.iter().any(|it| it == name), "{name} is missing among {all:?}");
        }
    }

    #[test]
    fn every_plan_stands_in_the_table_once() {
        let mut all = names(&["all"]);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_name_brings_all_its_variants() {
        assert_eq!(names(&["tunnel"]), ["tunnel", "tunnel (packets dropped)"]);
        assert_eq!(names(&["golden-path", "storm"]), ["golden-path", "storm"]);
        assert_eq!(names(&["twenty-zombies"]).len(), 4);
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let told = asked(&["tunel".to_owned()]).unwrap_err().to_string();
        assert!(told.contains("tunel") && told.contains("tunnel") && told.contains("golden-path"), "{told}");
    }

    #[test]
    fn a_plan_file_that_is_none_is_named_with_line_and_step() {
        let path = std::env::temp_dir().join(format!("lychgate-{}.plan", std::process::id()));
        std::fs::write(&path, "advance 1s\nopne-tab u0 c0 t0\n").unwrap();
        let told = format!("{:#}", asked(&[path.display().to_string()]).unwrap_err());
        std::fs::remove_file(&path).unwrap();
        assert!(told.contains("line 2: `opne-tab u0 c0 t0`"), "{told}");
    }
}
