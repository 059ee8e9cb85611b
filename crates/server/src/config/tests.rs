use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lychgate_core::LimitSpec;

use super::agents::AgentConfig;
use super::*;

const SECRET: &str = "[auth.jwt]\nsecret = \"0123456789abcdef0123456789abcdef\"\n";

fn with_secret(text: &str) -> Result<Config, ConfigError> {
    Config::from_toml(&format!("{text}\n{SECRET}"))
}

fn error(text: &str) -> String {
    with_secret(text).unwrap_err().to_string()
}

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let secret = ("LYCHGATE__AUTH__JWT__SECRET", "0123456789abcdef0123456789abcdef");
    Sources {
        environment: pairs.iter().chain([&secret]).map(|(name, value)| (name.into(), value.into())).collect(),
        ..Sources::default()
    }
}

/// A file in the build's own directory for temporary files, removed at the end of the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lychgate-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_defaults_of_the_file_are_those_of_the_gate() {
    let config = with_secret("").unwrap();
    assert_eq!(*config.limits, LimitSpec::default());
    assert_eq!(config.server.environment, Environment::Production);
    assert_eq!(config.liveness, Liveness::default());
    assert_eq!(config.websocket.window, 512);
    assert_eq!(config.agents.default, "demo");
}

#[test]
fn the_reference_lists_exactly_the_keys_that_are_accepted() {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in reference::known_keys() {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", &key));
        sections.entry(section.to_owned()).or_default().insert(name.to_owned());
    }
    // The tables [agents.demo] and [agents.NAME] are one kind of table; the latter shows what it may hold.
    let demo = sections.remove("agents.demo").unwrap();
    sections.get_mut("agents.NAME").unwrap().extend(demo);
    sections.remove("agents");
    // A plan may hold every key of the limits, and its table shows one of them.
    let plan = sections.remove("plans.NAME").unwrap();
    sections.remove("plans");
    sections.get_mut("").unwrap().insert("plans".to_owned());
    let limits = sections["limits"].clone();
    assert!(plan.is_subset(&limits));
    sections.insert("plans.NAME".to_owned(), limits);
    for (section, known) in sections {
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let text = format!("{header}no_such_key = 1");
        let ours: Result<Accepted, _> = toml::from_str(&text);
        let message = ours.unwrap_err().message().to_owned();
        let accepted: BTreeSet<String> = message.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        assert_eq!(accepted, known, "[{section}]: {message}");
    }
}

/// The raw configuration, to make it say which keys it accepts.
type Accepted = load::Raw;

#[test]
fn the_page_of_the_documentation_is_renewed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == reference::markdown(), "docs/configuration.md is stale; renew it with: {}", reference::RENEW);
}

#[test]
fn an_unknown_key_names_file_line_key_and_the_nearest_one() {
    let file = File::new("unknown.toml", "[server]\n\n[limits]\nmax_sesions_per_user = 25\n");
    let sources = Sources { file: Some(file.0.clone()), ..Sources::default() };
    let error = load(sources).unwrap_err().to_string();
    assert!(error.contains("unknown.toml:4: there is no key limits.max_sesions_per_user"), "{error}");
    assert!(error.contains("Did you mean limits.max_sessions_per_user?"), "{error}");
}

#[test]
fn a_key_in_the_wrong_section_or_none_is_found_where_it_belongs() {
    assert!(error("[limits]\nping_interval = \"20s\"").contains("Did you mean liveness.ping_interval?"));
    assert!(error("max_sessions_per_user = 3").contains("Did you mean limits.max_sessions_per_user?"));
    assert!(error("[limit]\nlinger = \"1s\"").contains("Did you mean limits?"));
    assert!(error("[agents.mine]\nbaseurl = \"x\"").contains("Did you mean agents.mine.base_url?"));
    assert!(error("[limits]\nmax_sesions = 3").contains("Did you mean limits.max_sessions_per_user?"));
    assert!(!error("[server]\ncolour = \"red\"").contains("Did you mean"));
}

#[test]
fn a_wrong_value_names_line_and_key() {
    let cases = [
        ("[limits]\nlinger = 10", "(text):2: limits.linger", "10s"),
        ("[limits]\nlinger = \"10\"", "(text):2: limits.linger", "unit"),
        ("[limits]\nmax_sessions_per_user = -1", "(text):2: limits.max_sessions_per_user", "invalid value"),
        ("[limits]\nmax_sessions_per_user = \"many\"", "(text):2: limits.max_sessions_per_user", "invalid type"),
        ("[server]\nenvironment = \"prod\"", "(text):2: server.environment", "`production`"),
        ("[server]\nlisten = \"localhost\"", "(text):2: server.listen", "127.0.0.1:8787"),
        ("[journal]\nkind = \"paper\"", "(text):2: journal.kind", "memory"),
        ("[agents.x]\nkind = \"oracle\"", "(text):2: agents.x.kind", "openai"),
        ("[agents.x]\nmodel = \"m\"", "agents.x.kind is not set", "openai"),
        ("[agents]\ndemo = \"yes\"", "(text):2: agents.demo", "invalid type"),
        ("[log]\nlevel = \"loud=please\"", "(text):2: log.level", "no filter"),
        ("[limits]\nlinger = ", "(text):2: this is not TOML", ""),
    ];
    for (text, place, detail) in cases {
        let error = error(text);
        assert!(error.contains(place) && error.contains(detail), "{text:?} gave: {error}");
        assert!(error.lines().count() <= 3, "{error}");
    }
}

#[test]
fn contradicting_limits_name_both_keys_and_their_places() {
    let error = error("[liveness]\nprobe_deadline = \"4s\"");
    assert!(
        error.starts_with("(text):2: liveness.probe_deadline must not be longer than limits.ladder_deadline"),
        "{error}"
    );
    assert!(error.contains("default.toml"), "{error}");
}

#[test]
fn numbers_out_of_their_range_are_refused() {
    for (text, key) in [
        ("[server]\nmax_descriptor_percent = 101", "server.max_descriptor_percent"),
        ("[server]\nmax_connections_per_address = 0", "server.max_connections_per_address"),
        ("[server]\nheader_timeout = \"0s\"", "server.header_timeout"),
        ("[server]\nadmin_listen = \"127.0.0.1:8787\"", "server.admin_listen"),
        ("[websocket]\nmax_message_bytes = 10", "websocket.max_message_bytes"),
        ("[websocket]\nwindow = 0", "websocket.window"),
        ("[runs]\nmax_queued_per_thread = 65", "runs.max_queued_per_thread"),
        ("[runs]\ndetach_grace = \"0s\"", "runs.detach_grace"),
        ("[journal]\nmax_bytes = 1", "journal.max_bytes"),
        ("[journal]\npath = \"/tmp\"", "journal.path"),
        ("[auth]\norigins = [\"https://chat.example.org/\"]", "auth.origins"),
        ("[limits]\nmax_sessions_per_user = 0", "limits.max_sessions_per_user"),
        ("[liveness]\nmissed_pings = 1", "liveness.missed_pings"),
        ("[liveness]\nruntime_stuck_after = \"400ms\"", "liveness.runtime_stuck_after"),
        ("[liveness]\ntcp_keepalive = \"900ms\"", "liveness.tcp_keepalive"),
        ("[liveness]\ntcp_user_timeout = \"30s\"", "tcp_user_timeout must be longer than liveness.write_stall"),
        ("[agents]\ndefault = \"nobody\"", "agents.default"),
        ("[agents.demo]\nmodel = \"m\"", "agents.demo.model"),
        ("[agents.o]\nkind = \"openai\"\nmodel = \"m\"", "agents.o.base_url"),
        ("[agents.o]\nkind = \"openai\"\nmodel = \"m\"\nbase_url = \"ftp://x\"", "agents.o.base_url"),
    ] {
        let error = error(text);
        assert!(error.contains(key), "{text:?} gave: {error}");
    }
}

#[test]
fn the_environment_wins_over_the_file_and_arguments_over_both() {
    let file = File::new("order.toml", "[limits]\nmax_sessions_per_user = 21\nlinger = \"11s\"\nwatch_percent = 41\n");
    let mut sources = environment(&[
        ("LYCHGATE__LIMITS__LINGER", "12s"),
        ("LYCHGATE__LIMITS__WATCH_PERCENT", "42"),
        ("LYCHGATE__AUTH__ORIGINS", "[\"https://a.example\"]"),
        ("HOME", "/nowhere"),
    ]);
    sources.file = Some(file.0.clone());
    sources.arguments.push(Argument {
        flag: "--watch",
        key: "limits.watch_percent".to_owned(),
        value: "43".to_owned(),
    });
    let loaded = load(sources).unwrap();
    let config = loaded.check().unwrap();
    assert_eq!(config.limits.max_sessions_per_user, 21);
    assert_eq!(config.limits.linger, Duration::from_secs(12));
    assert_eq!(config.limits.watch_percent, 43);
    assert_eq!(config.auth.origins, ["https://a.example"]);
    assert!(matches!(loaded.place("limits.max_sessions_per_user"), Place::File { line: 2, .. }));
    assert_eq!(loaded.place("limits.linger"), Place::Environment("LYCHGATE__LIMITS__LINGER".to_owned()));
    assert_eq!(loaded.place("limits.watch_percent"), Place::Argument("--watch".to_owned()));
    assert_eq!(loaded.place("limits.warn_percent"), Place::Default);
}

#[test]
fn a_wrong_variable_of_the_environment_is_named() {
    for (name, value, detail) in [
        ("LYCHGATE__LIMITS__MAX_SESIONS_PER_USER", "3", "Did you mean limits.max_sessions_per_user?"),
        ("LYCHGATE__LIMITS__LINGER", "10", "limits.linger"),
        ("LYCHGATE__LIMITS__MAX_SESSIONS_PER_USER", "3\nlinger = 4", "limits.max_sessions_per_user"),
        ("LYCHGATE__", "3", "there is no key"),
    ] {
        let error = load(environment(&[(name, value)])).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(detail), "{error}");
    }
}

#[test]
fn a_secret_of_digits_from_the_environment_stays_text() {
    let digits = "11111111111111111111111111111111";
    let sources =
        Sources { environment: [("LYCHGATE__AUTH__JWT__SECRET".into(), digits.into())].into(), ..Sources::default() };
    assert_eq!(load(sources).unwrap().check().unwrap().auth.jwt.secret, digits.as_bytes());
}

#[test]
fn an_environment_profile_sets_the_interval_of_the_reaper_unless_it_is_set() {
    let interval = |text: &str| with_secret(text).unwrap().limits.reclaim_interval.as_secs();
    assert_eq!(interval("[server]\nenvironment = \"development\""), 60);
    assert_eq!(interval("[server]\nenvironment = \"production\""), 120);
    assert_eq!(interval("[server]\nenvironment = \"test\""), 1);
    assert_eq!(interval("[server]\nenvironment = \"test\"\n[limits]\nreclaim_interval = \"7s\""), 7);
}

#[test]
fn a_plan_lays_its_keys_over_the_limits_of_everybody() {
    let config = with_secret("[limits]\nlinger = \"7s\"\n[plans.pro]\nmax_sessions_per_user = 40").unwrap();
    let pro = config.plans.limits(config.plans.find("pro").unwrap());
    assert_eq!((pro.max_sessions_per_user, pro.linger.as_secs()), (40, 7));
    assert_eq!(config.limits.max_sessions_per_user, 20);
}

#[test]
fn a_mistake_in_a_plan_names_the_plan_and_the_key_that_it_contradicts() {
    let misspelt = error("[plans.pro]\nmax_sesions_per_user = 40");
    assert!(misspelt.contains("(text):2: there is no key plans.pro.max_sesions_per_user"), "{misspelt}");
    assert!(misspelt.contains("Did you mean plans.pro.max_sessions_per_user?"), "{misspelt}");
    let wrong = with_secret("[plans.pro]\nladder_deadline = \"9s\"").unwrap_err().to_string();
    assert!(wrong.contains("plans.pro.ladder_deadline must not be longer than limits.queue_deadline"), "{wrong}");
    let negative = error("[plans.pro]\nreserve_sessions = -1");
    assert!(negative.contains("(text):2: plans.pro.reserve_sessions"), "{negative}");
}

#[test]
fn limits_that_contradict_each_other_name_both_keys() {
    let cases = [
        ("[liveness]\nprobe_deadline = \"4s\"", "liveness.probe_deadline", "limits.ladder_deadline"),
        ("[limits]\nqueue_deadline = \"11s\"", "limits.queue_deadline", "limits.admission_budget"),
        ("[limits]\nladder_deadline = \"9s\"", "limits.ladder_deadline", "limits.queue_deadline"),
        ("[limits]\nwarn_percent = 80", "limits.warn_percent", "limits.high_percent"),
        ("[limits]\nwatch_percent = 65", "limits.watch_percent", "limits.warn_percent"),
    ];
    for (text, key, against) in cases {
        let error = with_secret(text).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(against), "{error}");
    }
    assert!(error("[limits]\nreserve_sessions = -1").contains("limits.reserve_sessions"));
    assert!(error("[limits]\nforce = \"sometimes\"").contains("`evict` or `never`"));
}

#[test]
fn without_a_secret_the_error_says_how_to_make_one() {
    let error = Config::from_toml("").unwrap_err().to_string();
    assert!(error.contains("auth.jwt.secret is not set"), "{error}");
    assert!(error.contains("openssl rand") && error.contains("lychgate demo"), "{error}");
}

#[test]
fn exactly_one_source_of_the_secret_may_be_named() {
    let error = Config::from_toml("[auth.jwt]\nsecret = \"x\"\nsecret_env = \"Y\"").unwrap_err().to_string();
    assert!(error.contains("auth.jwt.secret must not be set together with auth.jwt.secret_env"), "{error}");
}

#[test]
fn a_short_secret_is_refused_wherever_it_comes_from_and_never_quoted() {
    let file = File::new("short.secret", "too-short-to-be-safe\n");
    let from_file = format!("[auth.jwt]\nsecret_file = {:?}", file.0);
    for text in ["[auth.jwt]\nsecret = \"too-short-to-be-safe\"", &from_file] {
        let error = Config::from_toml(text).unwrap_err().to_string();
        assert!(error.contains("20 bytes") && !error.contains("too-short-to-be-safe"), "{error}");
    }
}

#[test]
fn a_secret_from_a_file_has_no_line_break_at_its_end() {
    let secret = "0123456789abcdef0123456789abcdef";
    let file = File::new("long.secret", &format!("{secret}\r\n"));
    let config = Config::from_toml(&format!("[auth.jwt]\nsecret_file = {:?}", file.0)).unwrap();
    assert_eq!(config.auth.jwt.secret, secret.as_bytes());
}

#[test]
fn a_secret_that_is_not_there_names_variable_or_file() {
    let error = Config::from_toml("[auth.jwt]\nsecret_env = \"NOT_SET_AT_ALL\"").unwrap_err().to_string();
    assert!(error.contains("auth.jwt.secret_env") && error.contains("NOT_SET_AT_ALL"), "{error}");
    let error = Config::from_toml("[auth.jwt]\nsecret_file = \"/no/such/file\"").unwrap_err().to_string();
    assert!(error.contains("(text):2") && error.contains("/no/such/file"), "{error}");
}

#[test]
fn secrets_are_in_no_debug_text_and_in_no_printed_configuration() {
    let sources = environment(&[
        ("LYCHGATE__AGENTS__O__KIND", "openai"),
        ("LYCHGATE__AGENTS__O__BASE_URL", "http://127.0.0.1:1/v1/"),
        ("LYCHGATE__AGENTS__O__MODEL", "m"),
        ("LYCHGATE__AGENTS__O__API_KEY_ENV", "MY_KEY"),
        ("MY_KEY", "sk-very-secret"),
    ]);
    let loaded = load(sources).unwrap();
    let config = loaded.check().unwrap();
    match &config.agents.named["o"] {
        AgentConfig::OpenAi(agent) => {
            assert_eq!(agent.api_key.as_deref(), Some("sk-very-secret"));
            assert_eq!(agent.base_url, "http://127.0.0.1:1/v1");
        }
        AgentConfig::Demo(_) => panic!("an agent of kind openai was asked for"),
    }
    for text in [format!("{config:?}"), loaded.to_toml()] {
        assert!(!text.contains("sk-very-secret") && !text.contains("0123456789abcdef"), "{text}");
    }
}

#[test]
fn the_printed_configuration_can_be_read_back() {
    let text = load(environment(&[])).unwrap().to_toml();
    let again = text.replace(&format!("secret = {:?}", value::MASK), "secret = \"0123456789abcdef0123456789abcdef\"");
    let config = Config::from_toml(&again).unwrap();
    assert_eq!(*config.limits, LimitSpec::default());
}

#[test]
fn a_file_that_is_missing_too_large_or_a_directory_is_named() {
    for path in ["/no/such/lychgate.toml", "/"] {
        let sources = Sources { file: Some(path.into()), ..Sources::default() };
        let error = load(sources).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("--config"), "{error}");
    }
}
