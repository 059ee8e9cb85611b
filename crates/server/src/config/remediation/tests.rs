//! A rule that cannot be meant is an error that names the key and the remedy.

use crate::config::{Acting, Action, Config};

const SECRET: &str = "auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\n";

fn read(rule: &str) -> Result<Config, String> {
    let text = format!("{SECRET}remediation.mode = \"on\"\n[remediation.rules.r]\n{rule}");
    Config::from_toml(&text).map_err(|error| error.to_string())
}

#[test]
fn a_rule_that_cannot_be_meant_names_the_key_and_the_remedy() {
    let full = r#"when = "LychgateNodeFullSoon""#;
    let user = r#"when = "LychgateUserAt70""#;
    for (rule, what) in [
        ("do = \"drain\"\nstarts_again = true", "rules.r.when is not set"),
        ("when = \"LychgateUserAt71\"\ndo = \"reclaim\"\nlevel = \"moderate\"", "Did you mean \"LychgateUserAt70\"?"),
        ("when = \"nonsense\"\ndo = \"reclaim\"", "The alerts are LychgateUserAt50, "),
        (full, "rules.r.do is not set"),
        (&format!("{full}\ndo = \"explode\""), "unknown variant `explode`"),
        (&format!("{full}\ndo = \"drain\""), "starts_again is not true, and a drain stops this gateway"),
        (&format!("{full}\ndo = \"drain\"\nstarts_again = false"), "otherwise everybody would stay out"),
        (&format!("{full}\ndo = \"shed\""), "lasting is not set"),
        (&format!("{full}\ndo = \"shed\"\nlasting = \"0s\""), "lasting is no time at all"),
        (&format!("{full}\ndo = \"shed\"\nlasting = \"11m\"\ncooldown = \"1h\""), "longer than ten minutes"),
        (&format!("{full}\ndo = \"shed\"\nlasting = \"10m\""), "cooldown must be at least twice as long as"),
        (
            "when = \"LychgateLockout\"\ndo = \"shed\"\nlasting = \"1m\"",
            "rules.r.when is \"LychgateLockout\", and `shed` answers a lockout with a larger one",
        ),
        (&format!("{full}\ndo = \"reclaim\"\nlevel = \"moderate\""), "names no user"),
        (&format!("{full}\ndo = \"restart_agent_breaker\""), "agent is not set"),
        (&format!("{full}\ndo = \"restart_agent_breaker\"\nagent = \"x\""), "The agents are demo."),
        (
            &format!("{user}\ndo = \"shed\"\nlasting = \"1m\""),
            "for the sake of one user nothing is done to the whole node",
        ),
        (&format!("{user}\ndo = \"reclaim\""), "level is not set"),
        (&format!("{user}\ndo = \"reclaim\"\nlevel = \"force\""), "takes a session that is alive, and no rule may"),
        (
            &format!("{user}\ndo = \"reclaim\"\nlevel = \"moderate\"\nsessions = 3"),
            "sessions means nothing to `reclaim`",
        ),
        (&format!("{user}\ndo = \"lend_limit\"\nlasting = \"5m\""), "sessions is not set"),
        (
            &format!("{user}\ndo = \"lend_limit\"\nlasting = \"5m\"\nsessions = 0"),
            "sessions is 0; it must be at least 1",
        ),
        (
            &format!("{user}\ndo = \"lend_limit\"\nlasting = \"5m\"\nsessions = 20"),
            "sessions is 20, which is not above limits.max_sessions_per_user = 20: nothing would be lent\n  Set it to 21 or more.",
        ),
        (
            &format!("{user}\ndo = \"reclaim\"\nlevel = \"moderate\"\ncooldown = \"0s\""),
            "cooldown is shorter than a second",
        ),
        (
            &format!("{user}\ndo = \"reclaim\"\nlevel = \"moderate\"\nat_most = 0"),
            "at_most is 0; it must be at least 1",
        ),
        (&format!("{user}\ndo = \"reclaim\"\nlevle = \"moderate\""), "there is no key remediation.rules.r.levle"),
    ] {
        let said = read(rule).unwrap_err();
        assert!(said.contains(what), "{rule}\nsays: {said}");
    }
}

#[test]
fn a_name_that_could_forge_a_line_of_the_audit_log_is_no_name_of_a_rule() {
    let text = format!("{SECRET}[remediation.rules.\"a b\"]\nwhen = \"LychgateUserAt70\"");
    assert!(Config::from_toml(&text).unwrap_err().to_string().contains("which is no name of a rule"));
}

#[test]
fn a_rule_never_does_more_than_all_of_them_may() {
    let rule = "[remediation.rules.r]\nwhen = \"LychgateUserAt70\"\ndo = \"reclaim\"\nlevel = \"moderate\"";
    let mode = |all: &str, own: &str| {
        let text = format!("{SECRET}{all}\n{rule}\n{own}");
        Config::from_toml(&text).unwrap().remediation.rules[0].mode
    };
    assert_eq!(mode("", ""), Acting::Off, "nothing is done unless somebody says so");
    assert_eq!(mode("remediation.mode = \"on\"", ""), Acting::On);
    assert_eq!(mode("remediation.mode = \"on\"", "mode = \"dry_run\""), Acting::DryRun);
    assert_eq!(mode("remediation.mode = \"dry_run\"", "mode = \"on\""), Acting::DryRun);
}

#[test]
fn a_rule_has_bounds_that_nobody_has_to_name() {
    let config = read("when = \"LychgateJournalTrouble\"\ndo = \"drain\"\nstarts_again = true").unwrap();
    let rule = &config.remediation.rules[0];
    assert_eq!((&rule.action, rule.at_most, rule.cooldown.as_secs()), (&Action::Drain, 1, 600));
}
