//! What recoup's calls and policies refuse with, as rejections.

use std::convert::Infallible;
use std::error::Error;
use std::io;

use super::rejection::{COME_BACK, Rejection};
use crate::bulkhead::{Full, FullReason};
use crate::circuit_breaker::Open;
use crate::classification::Category;
use crate::classify::{BoxedError, ErrorClassifier, IoErrors, SourceChain};
use crate::concurrency_limit::Saturated;
use crate::cooldown::CoolingDown;
use crate::error::{Boxed, Reason, RecoveryError};
use crate::load_shedder::Shed;
use crate::rate_limit::{RateLimitReason, RateLimited};
use crate::rejection::CallError;
use crate::retry::Throttled;
use crate::timeout::TimedOut;

type BoxError = Box<dyn Error + Send + Sync>;

impl From<Infallible> for Rejection {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<&Open> for Rejection {
    fn from(open: &Open) -> Self {
        let wait = open.retry_in().unwrap_or(COME_BACK);
        Self::refused(Category::ServiceUnavailable, "circuit_open", Some(&open.breaker), open)
            .back_in(Some(wait))
    }
}

impl From<&Full> for Rejection {
    fn from(full: &Full) -> Self {
        let refused = |category| Self::refused(category, "bulkhead_full", Some(&full.bulkhead), full);
        match full.reason {
            // Nobody's load, but a name that the program got wrong.
            FullReason::NoSuchPartition => refused(Category::Internal),
            _ => refused(Category::ServiceUnavailable).back_in(Some(COME_BACK)),
        }
    }
}

impl From<&RateLimited> for Rejection {
    fn from(limited: &RateLimited) -> Self {
        let wait = match limited.reason {
            RateLimitReason::TooMany => None, // it will never be let through
            _ => Some(limited.retry_in()),
        };
        Self::refused(Category::RateLimited, "rate_limited", Some(&limited.limiter), limited).back_in(wait)
    }
}

impl From<&Saturated> for Rejection {
    fn from(saturated: &Saturated) -> Self {
        Self::refused(Category::ServiceUnavailable, "saturated", Some(&saturated.limit), saturated)
            .back_in(Some(COME_BACK))
    }
}

impl From<&CoolingDown> for Rejection {
    fn from(cooling: &CoolingDown) -> Self {
        Self::refused(Category::ServiceUnavailable, "cooling_down", None, cooling)
            .back_in(Some(cooling.retry_in()))
    }
}

impl From<&Throttled> for Rejection {
    fn from(throttled: &Throttled) -> Self {
        Self::refused(Category::ServiceUnavailable, "throttled", None, throttled)
            .back_in(Some(throttled.retry_in()))
    }
}

impl From<&Shed> for Rejection {
    fn from(shed: &Shed) -> Self {
        Self::refused(Category::ServiceUnavailable, "shed", Some(&shed.shedder), shed)
            .back_in(Some(shed.retry_in))
    }
}

impl From<&TimedOut> for Rejection {
    fn from(timed_out: &TimedOut) -> Self {
        Self::new(Category::Timeout).detail(timed_out.to_string()).because("timed_out")
    }
}

macro_rules! by_value {
    ($($refusal:ty),*) => {$(
        impl From<$refusal> for Rejection {
            fn from(refusal: $refusal) -> Self {
                Self::from(&refusal)
            }
        }
    )*};
}

by_value!(Open, Full, RateLimited, Saturated, CoolingDown, Throttled, Shed, TimedOut);

impl<E: Into<BoxError>> From<RecoveryError<E>> for Rejection {
    fn from(error: RecoveryError<E>) -> Self {
        let said = gave_up(&error);
        match error.into_inner() {
            Some(inner) => said.caused_by(inner),
            None => said,
        }
    }
}

fn gave_up<E>(error: &RecoveryError<E>) -> Rejection {
    let said = match error.reason() {
        Reason::CircuitOpen(open) => open.into(),
        Reason::BulkheadFull(full) => full.into(),
        Reason::RateLimited(limited) => (&**limited).into(),
        Reason::Saturated(saturated) => saturated.into(),
        Reason::CoolingDown(cooling) => cooling.into(),
        Reason::Throttled(throttled) => throttled.into(),
        // Going down is not the fault of who would have been called, and soon somebody else may answer.
        Reason::ShutDown => {
            Rejection::refused(Category::ServiceUnavailable, "shutdown", None, error.reason())
                .back_in(Some(COME_BACK))
        }
        reason => {
            let timed_out = error.is_timeout().then(|| Category::Timeout.into());
            let answer = timed_out.or(error.classification()).unwrap_or(Category::Internal.into());
            Rejection::new(answer).because(reason.name()).back_in(error.retry_in())
        }
    };
    said.by(error.name(), error.attempts(), error.dead_letter())
}

impl<R: Into<Self>, E: Into<BoxError>> From<CallError<R, E>> for Rejection {
    fn from(error: CallError<R, E>) -> Self {
        match error {
            CallError::Rejected(refusal) => refusal.into(),
            CallError::Operation(error) => Self::from(error.into()),
        }
    }
}

/// For the errors of services that say no more of themselves, as those of tower's own layers. A recovery's error is
/// known in it if it is [`boxed`](RecoveryError::boxed), or its inner error is of [`std::io`].
impl From<BoxError> for Rejection {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(rejection) => *rejection,
            Err(error) => found(&*error).unwrap_or_else(|| unknown(&error)).caused_by(error),
        }
    }
}

/// The first refusal of ours in the chain.
fn found(error: &(dyn Error + 'static)) -> Option<Rejection> {
    let chain = || std::iter::successors(Some(error), |&error| error.source()).take(64);
    chain().find_map(|link| {
        let rejection = link.downcast_ref::<Rejection>().cloned();
        rejection
            .or_else(|| link.downcast_ref::<Open>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<Full>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<RateLimited>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<Saturated>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<CoolingDown>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<Throttled>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<Shed>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<TimedOut>().map(Rejection::from))
            .or_else(|| link.downcast_ref::<RecoveryError<Boxed>>().map(gave_up))
            .or_else(|| link.downcast_ref::<RecoveryError<io::Error>>().map(gave_up))
    })
}

/// An error that nobody classified. What the operating system says of a connection is believed; that a file was
/// not found or not readable is no answer to who asked us.
fn unknown(error: &BoxError) -> Rejection {
    let of_io = |error: &io::Error| match IoErrors.classify(error).category() {
        known @ (Category::Network | Category::Timeout | Category::ResourceExhausted) => known,
        _ => Category::Internal,
    };
    let answer = SourceChain::<BoxedError>::new().with(of_io).classify(error);
    match answer.category() {
        Category::Unknown => Rejection::new(Category::Internal),
        _ => Rejection::new(answer),
    }
}

impl Rejection {
    /// An error by what a classifier says of it.
    ///
    /// ```
    /// use recoup::axum::Rejection;
    /// use recoup::{Category, IoErrors};
    ///
    /// let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
    /// assert_eq!(Rejection::classified(gone, &IoErrors).status(), 404);
    /// let odd = "x".parse::<u8>().unwrap_err();
    /// assert_eq!(Rejection::classified(odd, &|_: &_| Category::Validation).status(), 400);
    /// ```
    pub fn classified<E: Into<BoxError>>(error: E, classifier: &impl ErrorClassifier<E>) -> Self {
        Self::new(classifier.classify(&error)).caused_by(error)
    }

    /// Somebody panicked.
    pub(super) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let said = payload.downcast_ref::<&str>().copied();
        let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::new(Category::Internal)
            .because("panic")
            .caused_by(format!("panicked: {}", said.unwrap_or("with something that is not text")))
    }

    /// The deadline of the request had passed before it was begun.
    pub(super) fn expired() -> Self {
        Self::new(Category::Timeout).detail("the deadline had passed").because("deadline")
    }

    /// An answer that was an error and said nothing of itself.
    pub(super) fn bare(status: http::StatusCode) -> Self {
        Self::new(super::status::category_of(status)).with_status(status)
    }
}
