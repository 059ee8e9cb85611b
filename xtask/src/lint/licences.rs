//! What every dependency may be: its licence, its source, its name. The lists stand in `deny.toml`, in the form that
//! cargo-deny reads too.
//!
//! ```text
//! cargo metadata --+
//!                  +--> per package: licence allowed? from crates.io? not banned?   per member: no version `*`
//! deny.toml -------+
//! ```

mod spdx;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Finding, Tree};
use crate::run;

const WITHIN: Duration = Duration::from_secs(300);
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(root: &Path, _: &Tree) -> Result<Vec<Finding>> {
    let rules = Rules::parse(&std::fs::read_to_string(root.join("deny.toml")).context("could not read deny.toml")?)?;
    let text = run::capture(run::cargo(root, "metadata").args(["--format-version", "1"]), WITHIN)?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata wrote what is no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    Ok(judge(&rules, packages))
}

/// The part of `deny.toml` that we check.
struct Rules {
    licences: BTreeSet<String>,
    /// Licences that single packages may have beyond the list.
    exceptions: BTreeMap<String, BTreeSet<String>>,
    /// Banned packages, each with those that may bring it all the same.
    banned: BTreeMap<String, BTreeSet<String>>,
}

impl Rules {
    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().context("deny.toml")?;
        let licences = strings(table.get("licenses").and_then(|section| section.get("allow")))
            .context("deny.toml: `licenses.allow` is a list of strings")?;
        let mut exceptions = BTreeMap::new();
        for exception in list(&table, "licenses", "exceptions")? {
            let allowed = strings(exception.get("allow")).context("deny.toml: an exception has a list `allow`")?;
            exceptions.insert(crate_name(exception)?, allowed);
        }
        let mut banned = BTreeMap::new();
        for ban in list(&table, "bans", "deny")? {
            banned.insert(crate_name(ban)?, strings(ban.get("wrappers")).unwrap_or_default());
        }
        Ok(Self { licences, exceptions, banned })
    }

    fn allows(&self, package: &str, licence: &str) -> bool {
        self.licences.contains(licence) || self.exceptions.get(package).is_some_and(|allowed| allowed.contains(licence))
    }
}

fn list<'a>(table: &'a toml::Table, section: &str, key: &str) -> Result<&'a Vec<toml::Value>> {
    let value = table.get(section).and_then(|section| section.get(key));
    value.and_then(toml::Value::as_array).with_context(|| format!("deny.toml: `{section}.{key}` is a list"))
}

fn strings(value: Option<&toml::Value>) -> Option<BTreeSet<String>> {
    value?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn crate_name(entry: &toml::Value) -> Result<String> {
    let name = entry.get("crate").and_then(toml::Value::as_str);
    name.map(str::to_owned).context("deny.toml: an entry names its `crate`")
}

fn judge(rules: &Rules, packages: &[Value]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let mut say = |text: String| {
            let place = format!("{name} {}", package["version"].as_str().unwrap_or_default());
            findings.push(Finding::error(&place, 0, text));
        };
        if let Some(wrappers) = rules.banned.get(name) {
            let strangers: Vec<&str> = needing(packages, name).filter(|other| !wrappers.contains(*other)).collect();
            if wrappers.is_empty() || !strangers.is_empty() {
                say(format!("is banned in deny.toml; {} may not need it", strangers.join(", ")));
            }
        }
        match package["license"].as_str().map(|text| (text, spdx::allows(text, |one| rules.allows(name, one)))) {
            Some((_, Ok(true))) => {}
            Some((text, Ok(false))) => say(format!("has the licence `{text}`, which deny.toml does not allow")),
            Some((text, Err(error))) => say(format!("has a licence that cannot be read, `{text}`: {error}")),
            None => say("names no licence".to_owned()),
        }
        match package["source"].as_str() {
            Some(CRATES_IO) => {}
            Some(source) => say(format!("comes from {source}; only crates.io is a source")),
            // Without a source it is ours.
            None => wildcards(package).for_each(|wild| say(format!("takes any version of `{wild}`; name one"))),
        }
    }
    findings
}

/// Packages that cannot be built without this one.
fn needing<'a>(packages: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a str> {
    let needs = move |package: &&Value| {
        let mut dependencies = package["dependencies"].as_array().into_iter().flatten();
        dependencies.any(|it| it["name"] == name && it["optional"] == false && it["kind"].is_null())
    };
    packages.iter().filter(needs).filter_map(|package| package["name"].as_str())
}

/// Dependencies from a registry that a package of ours takes in whatever version.
fn wildcards(package: &Value) -> impl Iterator<Item = &str> {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies
        .filter(|dependency| dependency["source"].is_string() && dependency["req"] == "*")
        .filter_map(|dependency| dependency["name"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        exceptions = [{ crate = "certificates", allow = ["CDLA-Permissive-2.0"] }]
        [bans]
        deny = [
            { crate = "openssl-sys", reason = "rustls is our TLS" },
            { crate = "clock", wrappers = ["login"], reason = "time is jiff" },
        ]
    "#;

    fn findings(package: Value) -> Vec<String> {
        let rules = Rules::parse(RULES).unwrap();
        judge(&rules, &[package]).iter().map(ToString::to_string).collect()
    }

    fn package(name: &str, licence: &str) -> Value {
        json!({ "name": name, "version": "1.0.0", "license": licence, "source": CRATES_IO, "dependencies": [] })
    }

    #[test]
    fn an_allowed_package_passes() {
        assert_eq!(findings(package("tidy", "GPL-3.0 OR MIT")), Vec::<String>::new());
    }

    #[test]
    fn a_licence_that_is_not_allowed_is_found() {
        assert!(findings(package("viral", "GPL-3.0"))[0].contains("viral 1.0.0"));
        assert!(findings(package("half", "MIT AND GPL-3.0"))[0].contains("does not allow"));
        assert!(findings(package("odd", "MIT OR ("))[0].contains("cannot be read"));
        let mut without = package("without", "");
        without["license"] = Value::Null;
        assert!(findings(without)[0].contains("names no licence"));
    }

    #[test]
    fn an_exception_holds_for_its_package_alone() {
        assert_eq!(findings(package("certificates", "CDLA-Permissive-2.0")), Vec::<String>::new());
        assert_eq!(findings(package("other", "CDLA-Permissive-2.0")).len(), 1);
    }

    #[test]
    fn a_banned_package_is_found() {
        assert!(findings(package("openssl-sys", "MIT"))[0].contains("banned"));
    }

    #[test]
    fn a_banned_package_comes_with_those_that_may_bring_it_and_with_nobody_else() {
        let rules = Rules::parse(RULES).unwrap();
        let needing = |name: &str, optional: bool| {
            let dependency = json!({ "name": "clock", "optional": optional, "kind": null });
            let mut package = package(name, "MIT");
            package["dependencies"] = json!([dependency]);
            package
        };
        let found = |others: &[Value]| judge(&rules, &[&[package("clock", "MIT")], others].concat()).len();
        assert_eq!(found(&[needing("login", false), needing("other", true)]), 0);
        assert_eq!(found(&[needing("login", false), needing("other", false)]), 1);
    }

    #[test]
    fn a_source_other_than_the_registry_is_found() {
        let mut forked = package("forked", "MIT");
        forked["source"] = json!("git+https://example.org/forked");
        assert!(findings(forked)[0].contains("only crates.io"));
    }

    #[test]
    fn any_version_of_a_package_is_refused_but_not_our_own_crates() {
        let ours = json!({
            "name": "ours", "version": "0.1.0", "license": "MIT", "source": null,
            "dependencies": [
                { "name": "wild", "source": CRATES_IO, "req": "*" },
                { "name": "tame", "source": CRATES_IO, "req": "^1" },
                { "name": "neighbour", "source": null, "req": "*" },
            ],
        });
        let said = findings(ours);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("`wild`"));
    }

    #[test]
    fn rules_without_their_lists_are_an_error() {
        assert!(Rules::parse("[licenses]\nallow = [\"MIT\"]").is_err());
        assert!(Rules::parse("[licenses]\nallow = [1]\nexceptions = []\n[bans]\ndeny = []").is_err());
    }

    #[test]
    fn our_own_list_is_readable_and_bans_what_it_should() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deny.toml");
        let rules = Rules::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        for name in ["openssl-sys", "native-tls", "chrono"] {
            assert!(rules.banned.contains_key(name), "{name}");
        }
        assert!(!rules.allows("any", "GPL-3.0-only"));
    }
}
