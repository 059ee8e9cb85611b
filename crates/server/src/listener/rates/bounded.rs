//! A store for rate limits that holds a bounded number of keys, whoever makes them up.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

/// The states of at most `most` keys; a key beyond them is allowed and not noted.
///
/// Who is known stays limited, and nobody is refused because others filled the store: a flood from more networks than
/// that is a matter for the bounds of the node, not of an address.
#[derive(Debug)]
pub(super) struct Bounded<K> {
    most: usize,
    states: Mutex<HashMap<K, Nanos>>,
}

impl<K> Bounded<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, states: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Nanos>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.lock();
        let (outcome, state) = measure(states.get(key).copied())?;
        if states.len() < self.most || states.contains_key(key) {
            states.insert(key.clone(), state);
        }
        Ok(outcome)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Bounded<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock().retain(|_, state| *state > drop_below);
    }

    fn shrink_to_fit(&self) {
        self.lock().shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}
