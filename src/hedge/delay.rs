//! After what time an attempt is hedged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::latency::Latencies;

/// A caller's own answer: how long after the attempt before it a hedge, counted from 1, is made.
pub(super) type Says = dyn Fn(u32) -> Duration + Send + Sync;

pub(super) enum Delay {
    After(Duration),
    When(Arc<Says>),
    AtQuantile { latencies: Box<Latencies>, until_warm: Option<Duration>, least: Duration },
}

impl Delay {
    /// How long after the attempt before it this hedge is made, or `None` if it is not known yet.
    pub(super) fn before(&self, hedge: u32) -> Option<Duration> {
        match self {
            Self::After(delay) => Some(*delay),
            Self::When(says) => Some(says(hedge)),
            Self::AtQuantile { latencies, until_warm, least } => {
                latencies.quantile().map(|delay| delay.max(*least)).or(*until_warm)
            }
        }
    }

    /// Who has to be told how long attempts take.
    #[inline]
    pub(super) fn learns(&self) -> Option<&Latencies> {
        match self {
            Self::AtQuantile { latencies, .. } => Some(latencies),
            Self::After(_) | Self::When(_) => None,
        }
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(delay) => f.debug_tuple("After").field(delay).finish(),
            Self::When(_) => f.write_str("When(..)"),
            Self::AtQuantile { latencies, .. } => {
                f.debug_tuple("AtQuantile").field(&latencies.quantile()).finish()
            }
        }
    }
}
