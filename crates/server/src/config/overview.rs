//! The configuration as operators see it: key by key, with its origin, and never a secret.
//!
//! ```text
//! masked (what `lychgate config` prints) --value-------.
//! table  (what was read)  --is it set, and not shown?--+--> Setting
//! places                  --origin---------------------|
//! defaults                --default--------------------'
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::address::{shown, shown_with_path};
use super::change::{is_at_once, leaves};
use super::value::MASK;
use super::{Loaded, Place};
use crate::wire::admin::Setting;

/// Every key that has a value, by section and name.
pub(super) fn settings(loaded: &Loaded) -> Vec<Setting> {
    let (set, shown) = (leaves(loaded.table()), leaves(&loaded.masked()));
    let defaults = Loaded::from_toml("").map(|defaults| leaves(&defaults.masked())).unwrap_or_default();
    let keys: BTreeSet<&String> = set.keys().chain(shown.keys()).collect();
    keys.into_iter().map(|key| setting(loaded, key, &shown, &defaults)).collect()
}

type Values = BTreeMap<String, toml::Value>;

fn setting(loaded: &Loaded, key: &str, shown: &Values, defaults: &Values) -> Setting {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let place = loaded.place(key);
    let (origin, place) = match &place {
        Place::Default => ("default", None),
        Place::File { .. } => ("file", Some(place.to_string())),
        Place::Environment(name) => ("environment", Some(name.clone())),
        Place::Argument(flag) => ("argument", Some(flag.clone())),
    };
    Setting {
        section: section.to_owned(),
        key: name.to_owned(),
        // What is not written back is a secret, too: rather one mask too many than one too few.
        value: shown
            .get(key)
            .map_or_else(|| toml::Value::from(MASK).to_string(), |value| plain(name, value).to_string()),
        default: defaults.get(key).map(ToString::to_string),
        origin: origin.to_owned(),
        place,
        needs_restart: !is_at_once(key),
    }
}

/// The value without what an address in it may hold of credentials.
fn plain(name: &str, value: &toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) if text.contains("://") => toml::Value::String(match name {
            "issuer" | "issuer_url" => shown_with_path(text),
            _ => shown(text),
        }),
        toml::Value::Array(items) => toml::Value::Array(items.iter().map(|item| plain(name, item)).collect()),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Argument, Sources, load};
    use super::*;

    fn find<'a>(settings: &'a [Setting], section: &str, key: &str) -> &'a Setting {
        let found = settings.iter().find(|setting| setting.section == section && setting.key == key);
        found.unwrap_or_else(|| panic!("{section}.{key} is not there"))
    }

    #[test]
    fn a_key_says_what_it_is_what_it_would_be_and_who_said_so() {
        let arguments =
            vec![Argument { flag: "--listen", key: "server.listen".to_owned(), value: "127.0.0.1:1".to_owned() }];
        let environment = [("LYCHGATE__LIMITS__MAX_SESSIONS_PER_USER".into(), "30".into())].into();
        let loaded = load(Sources { environment, arguments, ..Sources::default() }).unwrap();
        let settings = loaded.settings();
        let limit = find(settings, "limits", "max_sessions_per_user");
        assert_eq!((limit.value.as_str(), limit.default.as_deref()), ("30", Some("20")));
        assert_eq!((limit.origin.as_str(), limit.needs_restart), ("environment", false));
        assert_eq!(limit.place.as_deref(), Some("LYCHGATE__LIMITS__MAX_SESSIONS_PER_USER"));
        let listen = find(settings, "server", "listen");
        assert_eq!((listen.value.as_str(), listen.origin.as_str()), ("\"127.0.0.1:1\"", "argument"));
        assert!(listen.needs_restart && listen.place.as_deref() == Some("--listen"));
        let ping = find(settings, "liveness", "ping_interval");
        assert_eq!((ping.origin.as_str(), &ping.place, ping.default.as_ref()), ("default", &None, Some(&ping.value)));
    }

    #[test]
    fn of_a_file_the_line_is_told() {
        let loaded = Loaded::from_toml("\n[plans.pro]\nmax_sessions_per_user = 40").unwrap();
        let settings = loaded.settings();
        assert!(std::ptr::eq(settings, loaded.settings()), "made once, however often they are asked for");
        let pro = find(settings, "plans.pro", "max_sessions_per_user");
        assert_eq!((pro.origin.as_str(), pro.place.as_deref(), &pro.default), ("file", Some("(text):3"), &None));
    }

    #[test]
    fn no_secret_of_any_kind_is_shown_wherever_it_stands() {
        let text = r#"
            auth.jwt.secret = "geheim-geheim-geheim-geheim-geheim-1"
            auth.shared_users = true
            admin.keys.ops.hash = "geheim-hash"
            [auth.issuers.a]
            issuer = "https://a.example"
            audience = "a"
            secret = "geheim-geheim-geheim-geheim-geheim-2"
            [auth.issuers.b]
            issuer = "https://b.example"
            audience = "b"
            jwks_url = "https://b.example/geheim-path/keys?key=geheim-3"
            [login.providers.p]
            issuer_url = "https://p.example/realms/chat"
            client_id = "lychgate"
            client_secret = "geheim-4"
            [agents.x]
            kind = "openai"
            base_url = "https://x.example/geheim-path/v1?key=geheim-5"
            model = "m"
            headers = { x-key = "geheim-6" }
            [agents.y]
            kind = "agui"
            url = "https://y.example/webhook/geheim-path-token?key=geheim-7"
            [alerts.webhooks.w]
            kind = "pagerduty"
            url = "https://w.example/geheim-8"
            routing_key = "geheim-9"
            [journal]
            url = "redis://who:geheim-12@r.example"
            [traces]
            endpoint = "https://who:geheim-10@t.example/v1/geheim-tok/traces?key=geheim-11"
        "#;
        let loaded = Loaded::from_toml(text).unwrap();
        let settings = loaded.settings();
        for shown in [serde_json::to_string(settings).unwrap(), loaded.to_toml(), format!("{loaded:?}")] {
            assert!(!shown.contains("geheim"), "{shown}");
        }
        for (section, key) in [
            ("auth.jwt", "secret"),
            ("admin.keys.ops", "hash"),
            ("auth.issuers.a", "secret"),
            ("login.providers.p", "client_secret"),
            ("agents.x.headers", "x-key"),
            ("alerts.webhooks.w", "url"),
            ("alerts.webhooks.w", "routing_key"),
            ("journal", "url"),
        ] {
            let setting = find(settings, section, key);
            assert_eq!((setting.value.as_str(), setting.origin.as_str()), ("\"********\"", "file"), "{section}.{key}");
        }
        for (section, key, seen) in [
            ("agents.x", "base_url", "https://x.example/********/v1?********"),
            ("agents.y", "url", "https://y.example/webhook/********?********"),
            ("auth.issuers.b", "jwks_url", "https://b.example/********/keys?********"),
            ("login.providers.p", "issuer_url", "https://p.example/realms/chat"),
            ("traces", "endpoint", "https://********@t.example/v1/********/traces?********"),
        ] {
            assert_eq!(find(settings, section, key).value, format!("{seen:?}"), "{section}.{key}");
        }
    }
}
