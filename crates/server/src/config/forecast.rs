//! `[forecast]`: how far ahead is looked, for each user and for the node.

use std::time::Duration;

use lychgate_core::Foresight;
use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range, not_zero};
use super::value::Span;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawForecast {
    enabled: bool,
    horizon: Span,
    smoothing: Span,
    min_samples: usize,
}

impl RawForecast {
    /// None where nothing is forecast; the numbers are checked all the same.
    pub(super) fn check(&self) -> Result<Option<Foresight>, Fault> {
        not_zero("forecast.horizon", self.horizon.0)?;
        if self.smoothing.0 < Duration::from_secs(1) {
            return Err(Fault::value(
                "forecast.smoothing",
                "is shorter than a second",
                "Set it to \"1s\" or more, or leave it out for the default.",
            ));
        }
        in_range("forecast.min_samples", self.min_samples, 0, 1_000)?;
        let min_samples = u16::try_from(self.min_samples).unwrap_or(u16::MAX);
        Ok(self.enabled.then_some(Foresight { horizon: self.horizon.0, smoothing: self.smoothing.0, min_samples }))
    }
}
