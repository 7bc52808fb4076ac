//! Why a call was refused, and what its caller is told.

use std::time::Duration;

use thiserror::Error;
use tonic::Code;

use crate::adapters::tonic::pushback::Pushback;
use crate::bulkhead::{Full, FullReason};
use crate::concurrency_limit::Saturated;
use crate::load_shedder::{Shed, ShedReason};
use crate::random::Dice;
use crate::rate_limit::{RateLimitReason, RateLimited};

/// Why a [`ProtectLayer`](super::ProtectLayer) refused a call. An extension of the response, for those around the layer
/// who count or log; the caller is told less.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use recoup::Bulkhead;
/// use recoup::tonic::{ProtectLayer, Refusal};
/// use tonic::{Code, body::Body};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let bulkhead = Bulkhead::builder(1).name("reports").build()?;
/// let _slot = bulkhead.try_acquire().unwrap();
/// # let service = service_fn(|_: http::Request<Body>| async { Ok::<_, ()>(http::Response::new(Body::empty())) });
/// let service = ProtectLayer::builder().bulkhead(&bulkhead).build()?.layer(service);
/// let refused = service.oneshot(http::Request::new(Body::empty())).await.unwrap();
///
/// let refusal = refused.extensions().get::<Refusal>().unwrap();
/// assert_eq!((refusal.code(), &*refusal.to_string()), (Code::Unavailable, "bulkhead `reports` is full"));
/// assert_eq!(refused.headers()["grpc-message"], "the%20server%20has%20too%20much%20to%20do");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The rate limiter let no more through.
    #[error(transparent)]
    RateLimited(RateLimited),
    /// The load shedder took it not.
    #[error(transparent)]
    Shed(Shed),
    /// The bulkhead had no slot.
    #[error(transparent)]
    Full(Full),
    /// The concurrency limit was reached.
    #[error(transparent)]
    Saturated(Saturated),
    /// Its `grpc-timeout` passed before it was begun.
    #[error("the deadline passed before the call was begun")]
    Expired,
}

impl Refusal {
    /// The status with which the call was answered.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::RateLimited(_) => Code::ResourceExhausted,
            Self::Shed(Shed { reason: ShedReason::Expired, .. }) | Self::Expired => Code::DeadlineExceeded,
            Self::Shed(_) | Self::Full(_) | Self::Saturated(_) => Code::Unavailable,
        }
    }

    /// What the caller is told: nothing of how the server is made.
    pub(super) const fn sentence(&self) -> &'static str {
        match self.code() {
            Code::ResourceExhausted => "too many calls",
            Code::DeadlineExceeded => "the deadline passed before the call was begun",
            _ => "the server has too much to do",
        }
    }

    /// When to come back, if it is of any use to say that.
    pub(super) fn pushback(&self, come_back: Duration, dice: &Dice) -> Option<Pushback> {
        let spread = || Duration::try_from_secs_f64(come_back.as_secs_f64() * 2.0 * dice.draw());
        let spread = || spread().unwrap_or(Duration::MAX);
        match self {
            Self::RateLimited(RateLimited { reason: RateLimitReason::TooMany, .. }) => Some(Pushback::Stop),
            Self::RateLimited(limited) => Some(Pushback::After(limited.retry_in().saturating_add(spread()))),
            // It is too late, or another server may do it.
            Self::Expired
            | Self::Shed(Shed { reason: ShedReason::Expired, .. })
            | Self::Full(Full { reason: FullReason::Closed | FullReason::NoSuchPartition, .. }) => None,
            // Drawn by chance already.
            Self::Shed(shed) => Some(Pushback::After(shed.retry_in)),
            Self::Full(_) | Self::Saturated(_) => Some(Pushback::After(come_back.saturating_add(spread()))),
        }
    }
}
