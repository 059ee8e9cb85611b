//! The locks, atomics and clock that an admission rests on, named in one place.
//!
//! ```text
//!  driver, outbox --> sync --+--> std                    always, but
//!                            '--> shuttle, `scheduled`   in this crate's unit tests with the feature `shuttle`
//! ```
//!
//! There the test decides which thread runs next and when time passes, so that `driver::schedules` can try thousands of
//! orders and play any of them again. It is a feature and no `--cfg` in `RUSTFLAGS`, which would build every dependency
//! anew; and it asks for `test` as well, so that no program can be built on it by mistake.

#[cfg(test)]
#[cfg(feature = "shuttle")]
pub(crate) mod scheduled;

#[cfg(not(all(test, feature = "shuttle")))]
pub(crate) use std::{
    hash::RandomState,
    sync::{Condvar, Mutex, MutexGuard, atomic},
    time::Instant,
};

#[cfg(all(test, feature = "shuttle"))]
pub(crate) use self::scheduled::{Condvar, Instant, RandomState};
#[cfg(all(test, feature = "shuttle"))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
