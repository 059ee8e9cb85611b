//! The head of a plan: which numbers differ from the defaults, by the keys of the configuration.

use std::time::Duration;

use lychgate_core::{Force, Foresight, LimitSpec, Mode};

use crate::step::{StepError, duration_from_text, duration_to_text};

/// A number of [`LimitSpec`] that a plan may set: its word in plans, its key in the configuration, how it reads and
/// prints.
pub(super) struct Setting {
    word: &'static str,
    key: &'static str,
    wanted: &'static str,
    read: fn(&mut LimitSpec, &str) -> Option<()>,
    print: fn(&LimitSpec) -> String,
}

macro_rules! count {
    ($word:literal, $field:ident) => {
        Setting {
            word: $word,
            key: stringify!($field),
            wanted: "a number",
            read: |spec, word| word.parse().ok().map(|number| spec.$field = number),
            print: |spec| spec.$field.to_string(),
        }
    };
    ($field:ident) => {
        Setting { word: stringify!($field), ..count!("", $field) }
    };
}

macro_rules! time {
    ($field:ident) => {
        Setting {
            word: stringify!($field),
            key: stringify!($field),
            wanted: "a time such as 200ms or 10s",
            read: |spec, word| duration_from_text(word).map(|time| spec.$field = time),
            print: |spec| duration_to_text(spec.$field),
        }
    };
}

macro_rules! foresight_time {
    ($word:literal, $field:ident) => {
        Setting {
            word: $word,
            key: $word,
            wanted: "a time such as 200ms or 10s",
            read: |spec, word| duration_from_text(word).map(|time| foresee(spec, |it| it.$field = time)),
            print: |spec| duration_to_text(foresight(spec).$field),
        }
    };
}

const SETTINGS: [Setting; 14] = [
    count!("sessions", max_sessions_per_user),
    count!("connections", max_connections_per_user),
    count!("waiting", max_waiting_opens_per_user),
    count!(reserve_sessions),
    time!(reserve_window),
    count!(pinned_sessions),
    Setting {
        word: "force",
        key: "force",
        wanted: "`evict` or `never`",
        read: |spec, word| one_of(&mut spec.force, word, &[(Force::Evict, "evict"), (Force::Never, "never")]),
        print: |spec| {
            let word = match spec.force {
                Force::Evict => "evict",
                Force::Never => "never",
            };
            word.to_owned()
        },
    },
    Setting {
        word: "mode",
        key: "mode",
        wanted: "`enforce` or `shadow`",
        read: |spec, word| one_of(&mut spec.mode, word, &[(Mode::Enforce, "enforce"), (Mode::Shadow, "shadow")]),
        print: |spec| {
            let word = match spec.mode {
                Mode::Enforce => "enforce",
                Mode::Shadow => "shadow",
            };
            word.to_owned()
        },
    },
    time!(queue_deadline),
    time!(admission_budget),
    time!(reclaim_interval),
    // Whoever names the first of the three forecasts; 0s is nobody.
    foresight_time!("forecast_horizon", horizon),
    foresight_time!("forecast_smoothing", smoothing),
    Setting {
        word: "forecast_min_samples",
        key: "forecast_min_samples",
        wanted: "a number",
        read: |spec, word| word.parse().ok().map(|number| foresee(spec, |it| it.min_samples = number)),
        print: |spec| foresight(spec).min_samples.to_string(),
    },
];

/// What a head without a forecast says of it.
fn foresight(spec: &LimitSpec) -> Foresight {
    spec.forecast.unwrap_or(Foresight { horizon: Duration::ZERO, ..Foresight::default() })
}

fn foresee(spec: &mut LimitSpec, set: impl FnOnce(&mut Foresight)) {
    let mut changed = foresight(spec);
    set(&mut changed);
    spec.forecast = (!changed.horizon.is_zero()).then_some(changed);
}

fn one_of<T: Copy>(place: &mut T, said: &str, all: &[(T, &str)]) -> Option<()> {
    let (value, _) = all.iter().find(|(_, word)| *word == said)?;
    *place = *value;
    Some(())
}

/// The setting that a word of a plan's head stands for.
pub(super) fn find(word: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.word == word)
}

impl Setting {
    /// Sets the number.
    pub(super) fn set(&self, spec: &mut LimitSpec, value: Option<&str>) -> Result<(), StepError> {
        let word = value.ok_or(StepError::Missing(self.wanted))?;
        let malformed = || StepError::Malformed { wanted: self.wanted, word: word.to_owned() };
        (self.read)(spec, word).ok_or_else(malformed)
    }
}

/// The words of a head that makes `spec` out of `base`.
pub(super) fn words(base: &LimitSpec, spec: &LimitSpec) -> Vec<(&'static str, String)> {
    differing(base, spec).map(|setting| (setting.word, (setting.print)(spec))).collect()
}

/// The same by the keys of the configuration; those of `[forecast]` with that word in front.
pub(super) fn keys(base: &LimitSpec, spec: &LimitSpec) -> Vec<(&'static str, String)> {
    differing(base, spec).map(|setting| (setting.key, (setting.print)(spec))).collect()
}

fn differing(base: &LimitSpec, spec: &LimitSpec) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| (setting.print)(base) != (setting.print)(spec))
}
