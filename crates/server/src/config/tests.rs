use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lychgate_core::{Foresight, LimitSpec};

use super::agents::AgentKind;
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
    assert_eq!(*config.limits, LimitSpec { forecast: Some(Foresight::default()), ..LimitSpec::default() });
    assert_eq!(config.server.environment, Environment::Production);
    assert_eq!(config.liveness, Liveness::default());
    assert_eq!(config.websocket.window, 512);
    assert_eq!(config.agents.default, "demo");
    assert_eq!(config.journal, Journal::default());
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
    // A table below the section, whose names are free.
    sections.entry("admin".to_owned()).or_default().insert("keys".to_owned());
    sections.remove("admin.keys");
    sections.entry("alerts".to_owned()).or_default().insert("webhooks".to_owned());
    sections.remove("alerts.webhooks");
    sections.entry("remediation".to_owned()).or_default().insert("rules".to_owned());
    sections.remove("remediation.rules");
    // Providers are named, and all that [login] has below it.
    sections.remove("login.providers");
    sections.get_mut("login").unwrap().insert("providers".to_owned());
    // A plan may hold every key of the limits, and its table shows one of them.
    let plan = sections.remove("plans.NAME").unwrap();
    sections.remove("plans");
    sections.get_mut("").unwrap().insert("plans".to_owned());
    let limits = sections["limits"].clone();
    assert!(plan.is_subset(&limits));
    sections.insert("plans.NAME".to_owned(), limits);
    // The same for issuers, of which there is none by default.
    sections.remove("auth.issuers");
    sections.get_mut("auth").unwrap().insert("issuers".to_owned());
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
        ("[journal]\nkind = \"redis\"", "journal.url is not set", "journal.url_env"),
        ("[journal]\nurl = \"http://h\"", "(text):2: journal.url", "rediss:// for TLS"),
        ("[journal]\nprefix = \"{p}\"", "(text):2: journal.prefix", "1 to 64 letters"),
        ("[journal]\ndurability = \"eternal\"", "(text):2: journal.durability", "`full`"),
        ("[agents.x]\nkind = \"oracle\"", "(text):2: agents.x.kind", "openai"),
        ("[agents.x]\nmodel = \"m\"", "agents.x.kind is not set", "openai"),
        ("[agents]\ndemo = \"yes\"", "(text):2: agents.demo", "invalid type"),
        ("[log]\nlevel = \"loud=please\"", "(text):2: log.level", "no filter"),
        ("[log]\nlevel = \"loud\"", "(text):2: log.level", "\"loud\" is no level"),
        ("[log]\nlevel = \"info, debug\"", "(text):2: log.level", "\" debug\" is no level"),
        ("[log]\nlevel = \"info,lychgate::ws\"", "(text):2: log.level", "\"info,lychgate::ws=debug\""),
        ("[log]\nlevel = \"lychgate::ws=\"", "(text):2: log.level", "no level"),
        ("[traces]\nendpoint = \"http://127.0.0.1:4318\"", "(text):2: traces.endpoint", "4318/v1/traces"),
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
        ("[journal]\ndirectory = \"\"", "journal.directory"),
        ("[journal]\nmax_bytes_per_thread = 1", "journal.max_bytes_per_thread"),
        ("[journal]\nretention_days = 0", "journal.retention_days"),
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
    assert_eq!(load(sources).unwrap().check().unwrap().auth.jwt.unwrap().secret, digits.as_bytes());
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
    assert_eq!(config.auth.jwt.unwrap().secret, secret.as_bytes());
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
        ("LYCHGATE__AGENTS__O__BASE_URL", "http://127.0.0.1:1/v1?key=sk-very-secret"),
        ("LYCHGATE__AGENTS__O__MODEL", "m"),
        ("LYCHGATE__AGENTS__O__API_KEY_ENV", "MY_KEY"),
        ("MY_KEY", "sk-very-secret"),
    ]);
    let given = format!("{sources:?}");
    let loaded = load(sources).unwrap();
    let config = loaded.check().unwrap();
    match &config.agents.named["o"].kind {
        AgentKind::OpenAi(agent) => {
            assert_eq!(agent.remote.api_key.as_ref().map(|key| key.text()), Some("sk-very-secret"));
            assert_eq!(agent.base_url.as_str(), "http://127.0.0.1:1/v1?key=sk-very-secret");
        }
        AgentKind::Demo(_) | AgentKind::Agui(_) => panic!("an agent of kind openai was asked for"),
    }
    for text in [given, format!("{loaded:?}"), format!("{config:?}"), loaded.to_toml()] {
        assert!(!text.contains("sk-very-secret") && !text.contains("0123456789abcdef"), "{text}");
    }
}

#[test]
fn the_printed_configuration_can_be_read_back() {
    let text = load(environment(&[])).unwrap().to_toml();
    let again = text.replace(&format!("secret = {:?}", value::MASK), "secret = \"0123456789abcdef0123456789abcdef\"");
    let config = Config::from_toml(&again).unwrap();
    let forecast = Some(Foresight::default());
    assert_eq!(*config.limits, LimitSpec { forecast, ..LimitSpec::default() });
    assert_eq!(config.forecast, forecast);
}

#[test]
fn a_file_that_is_missing_too_large_or_a_directory_is_named() {
    for path in ["/no/such/lychgate.toml", "/"] {
        let sources = Sources { file: Some(path.into()), ..Sources::default() };
        let error = load(sources).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("--config"), "{error}");
    }
}

/// The keys of an agent `o` of this kind, its address included.
fn agent(kind: &str, keys: &str) -> String {
    let address = match kind {
        "openai" => "base_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"",
        _ => "url = \"http://127.0.0.1:1/agent\"",
    };
    format!("[agents.o]\nkind = {kind:?}\n{address}\n{keys}")
}

fn remote(kind: &str, keys: &str) -> agents::Remote {
    match &with_secret(&agent(kind, keys)).unwrap().agents.named["o"].kind {
        AgentKind::OpenAi(agent) => agent.remote.clone(),
        AgentKind::Agui(agent) => agent.remote.clone(),
        AgentKind::Demo(_) => panic!("an agent behind HTTP was asked for"),
    }
}

#[test]
fn who_the_user_is_reaches_agents_of_ones_own_and_no_third_party_unasked() {
    let names = |remote: agents::Remote| {
        let name = |header: Option<http::HeaderName>| header.map(|name| name.to_string()).unwrap_or_default();
        (name(remote.identity.user_header), name(remote.identity.plan_header))
    };
    let both = ("x-lychgate-user".to_owned(), "x-lychgate-plan".to_owned());
    assert_eq!(names(remote("agui", "")), both);
    assert_eq!(names(remote("openai", "")), Default::default());
    assert_eq!(names(remote("agui", "identity_header = \"\"\nplan_header = \"\"")), Default::default());
    let asked = "identity_header = \"X-Lychgate-User\"\nplan_header = \"x-lychgate-plan\"";
    assert_eq!(names(remote("openai", asked)), both);
    assert!(remote("agui", "").identity.jwt.is_none());
}

#[test]
fn an_agent_has_the_deadlines_of_all_agents_unless_it_has_its_own() {
    let text = format!("[agents]\nidle_timeout = \"7s\"\n{}", agent("agui", "first_event_timeout = \"3s\""));
    let config = with_secret(&text).unwrap();
    let deadlines = |name: &str| {
        let agent = &config.agents.named[name];
        (agent.first_event_timeout.as_secs(), agent.idle_timeout.as_secs())
    };
    assert_eq!((deadlines("o"), deadlines("demo")), ((3, 7), (30, 7)));
}

#[test]
fn headers_come_from_the_file_and_the_environment_and_are_printed_by_nothing() {
    let text = agent(
        "agui",
        "headers = { X-Team = \"geheim-1\" }\nheaders_env = { Authorization = \"MY_TOKEN\" }\n\
         identity_jwt_secret_env = \"MY_SECRET\"",
    );
    let file = File::new("headers.toml", &text);
    let secret = "geheim-3-of-more-than-32-bytes-for-hs256";
    let mut sources = environment(&[("MY_TOKEN", "Bearer geheim-2"), ("MY_SECRET", secret)]);
    sources.file = Some(file.0.clone());
    let loaded = load(sources).unwrap();
    let config = loaded.check().unwrap();
    let AgentKind::Agui(agent) = &config.agents.named["o"].kind else { panic!("an AG-UI agent was asked for") };
    assert_eq!(
        (&agent.remote.headers["x-team"], &agent.remote.headers["authorization"]),
        (&http::HeaderValue::from_static("geheim-1"), &http::HeaderValue::from_static("Bearer geheim-2"))
    );
    let jwt = agent.remote.identity.jwt.as_ref().unwrap();
    assert_eq!(
        (jwt.secret.as_slice(), jwt.audience.as_str(), jwt.header.as_str()),
        (secret.as_bytes(), "o", "x-lychgate-identity")
    );
    for text in [format!("{config:?}"), loaded.to_toml()] {
        assert!(!text.contains("geheim"), "{text}");
    }
    assert!(loaded.to_toml().contains("X-Team"), "names are no secret");
}

#[test]
fn what_an_agent_behind_http_cannot_be_told_names_the_key() {
    for (kind, keys, expected) in [
        ("agui", "headers = { \"x y\" = \"1\" }", "agents.o.headers.x y names \"x y\", which cannot be the name"),
        ("agui", "headers = { Host = \"1\" }", "agents.o.headers.Host names `host`, which the gateway sets itself"),
        ("agui", "headers = { x-a = \"1\", X-A = \"2\" }", "is there twice"),
        ("agui", "headers = { x-a = \"geheim\\n\" }", "agents.o.headers.x-a holds a character"),
        ("agui", "headers = { x-a = \"gehéim\" }", "agents.o.headers.x-a holds a character"),
        (
            "agui",
            "headers_env = { x-a = \"NOT_SET_AT_ALL\" }",
            "agents.o.headers_env.x-a names the environment variable",
        ),
        ("agui", "identity_header = \"a b\"", "agents.o.identity_header"),
        ("agui", "identity_header = \"accept\"", "agents.o.identity_header"),
        (
            "agui",
            "plan_header = \"x-lychgate-user\"",
            "agents.o.plan_header must not use the same header as agents.o.identity",
        ),
        ("agui", "headers = { x-lychgate-user = \"ann\" }", "must not use the same header as agents.o.headers"),
        ("agui", "identity_jwt_header = \"x-i\"", "agents.o.identity_jwt_header is set, but no secret"),
        ("agui", "max_concurrent_runs = 0", "agents.o.max_concurrent_runs"),
        ("agui", "breaker_failures = 101", "agents.o.breaker_failures"),
        ("agui", "breaker_open = \"0s\"", "agents.o.breaker_open"),
        ("agui", "idle_timeout = \"0s\"", "agents.o.idle_timeout"),
        ("agui", "model = \"m\"", "agents.o.model is not a key of an agent of kind \"agui\""),
        ("openai", "raw_events = true", "agents.o.raw_events is not a key of an agent of kind \"openai\""),
        ("openai", "url = \"http://127.0.0.1\"", "agents.o.url is not a key"),
    ] {
        let error = error(&agent(kind, keys));
        assert!(error.contains(expected), "{keys:?} gave: {error}");
        assert!(!error.contains("geh"), "{error}");
    }
    assert!(
        error("[agents.demo]\nheaders = {}").contains("agents.demo.headers is not a key of an agent of kind \"demo\"")
    );
    assert!(error("[agents.o]\nkind = \"agui\"").contains("agents.o.url is not set"));
    let password = error("[agents.o]\nkind = \"agui\"\nurl = \"http://ann:geheim@127.0.0.1/\"");
    assert!(password.contains("headers_env") && !password.contains("geheim"), "{password}");
}

#[test]
fn a_secret_of_an_agent_that_cannot_be_used_names_the_key_and_hides_the_secret() {
    let cases = [
        ("api_key_env = \"BROKEN\"", "agents.o.api_key_env holds a character"),
        ("headers_env = { x-a = \"BROKEN\" }", "agents.o.headers_env.x-a holds a character"),
        ("identity_jwt_secret_env = \"BROKEN\"", "agents.o.identity_jwt_secret_env gives a secret of 7 bytes"),
        ("api_key_env = \"FINE\"\nheaders_env = { authorization = \"FINE\" }", "same header as agents.o.headers_env"),
        ("api_key_env = \"FINE\"\nidentity_header = \"authorization\"", "same header as agents.o.api_key_env"),
        ("api_key_env = \"FINE\"\napi_key_file = \"/x\"", "must not be set together with"),
    ];
    for (keys, expected) in cases {
        let file = File::new("agent-secret.toml", &agent("agui", keys));
        let mut sources = environment(&[("BROKEN", "gehei\nm"), ("FINE", "geheim")]);
        sources.file = Some(file.0.clone());
        let error = load(sources).unwrap().check().unwrap_err().to_string();
        assert!(error.contains(expected), "{keys:?} gave: {error}");
        assert!(!error.contains("gehei"), "{error}");
    }
}
