//! Telling somebody of what goes wrong, and not ten thousand times.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::report::Report;
use crate::classification::{Category, Severity};
use crate::rate_limit::RateLimiter;
use crate::setting::{Check, SettingError};
use crate::sync::atomic::{AtomicU64, Ordering};

type Hook = Arc<dyn Fn(&Alert) + Send + Sync>;

/// An answer that somebody should hear of: of 500 and above, or of an error whose severity is critical.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// The status of the answer, before its format changed it.
    pub status: StatusCode,
    /// What kind of trouble it is; for an answer of a handler's own, what its status says.
    pub category: Category,
    /// Why, in one word, as [`Rejection::reason`](super::Rejection::reason).
    pub reason: String,
    /// The policy that refused, or the recovery that gave up.
    pub policy: Option<String>,
    /// By what the request is found again.
    pub request_id: String,
    /// The request's method.
    pub method: Method,
    /// The request's path, without its query.
    pub path: String,
    /// What the caller was told, and then the texts of the chain of errors behind it, divided by `: `.
    pub error: String,
    /// How many alerts of this category were kept back since the last one.
    pub suppressed: u64,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, method, path, error, request_id, suppressed, .. } = self;
        write!(f, "{} {method} {path}: {error} (request {request_id}", status.as_u16())?;
        if *suppressed > 0 {
            write!(f, ", and {suppressed} more before it")?;
        }
        f.write_str(")")
    }
}

/// Who is told of answers that somebody should hear of, and how often.
///
/// The hook is called in the task of the request, when its answer is about to go out, under no lock: it is to be
/// quick, or to hand the alert on. A hook that panics is not heard, and its panic does no harm to the answer.
///
/// Each category has a rate of its own: a storm of timeouts does not hide that state is corrupt. An alert says how
/// many were kept back before it.
///
/// A handle: clones share the rates.
///
/// ```
/// use recoup::axum::{Alerts, ErrorLayer};
/// let alerts = Alerts::new(|alert| eprintln!("{alert}"));
/// let layer = ErrorLayer::new().alerts(&alerts);
/// assert_eq!(alerts.suppressed(), 0);
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct Alerts {
    hook: Hook,
    gates: Arc<[Gate]>,
}

/// The rate of one category.
struct Gate {
    category: Category,
    limiter: RateLimiter,
    since_last: AtomicU64,
    in_all: AtomicU64,
}

impl Alerts {
    /// Tells `hook`, for each category five times at once at most, and then once in twelve seconds.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic: a test builds it")]
    pub fn new(hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        Self::builder(hook).build().expect("what alerts have by default can work")
    }

    /// Begins alerts with a rate of their own.
    pub fn builder(hook: impl Fn(&Alert) + Send + Sync + 'static) -> AlertsBuilder {
        AlertsBuilder { hook: Arc::new(hook), alerts: 5, per: Duration::from_secs(60) }
    }

    /// How many were kept back in all.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        let each = self.gates.iter().map(|gate| gate.in_all.load(Ordering::Relaxed));
        each.fold(0, u64::saturating_add)
    }

    pub(super) fn tell(&self, report: &Report<'_>) {
        let rejection = report.rejection;
        let critical = rejection.classification().severity() == Severity::Critical;
        if report.status.as_u16() < 500 && !critical {
            return;
        }
        let category = rejection.category();
        let Some(gate) = self.gates.iter().find(|gate| gate.category == category) else { return };
        if gate.limiter.try_acquire().is_err() {
            gate.since_last.fetch_add(1, Ordering::Relaxed);
            gate.in_all.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut error = rejection.to_string();
        for text in rejection.errors() {
            error.push_str(": ");
            error.push_str(&text);
        }
        let alert = Alert {
            status: report.status,
            category,
            reason: rejection.reason().to_owned(),
            policy: rejection.policy().map(str::to_owned),
            request_id: report.request_id().to_owned(),
            method: report.method().clone(),
            path: report.path().to_owned(),
            error,
            suppressed: gate.since_last.swap(0, Ordering::Relaxed),
        };
        let _panicked = catch_unwind(AssertUnwindSafe(|| (self.hook)(&alert)));
    }
}

impl From<&Self> for Alerts {
    fn from(alerts: &Self) -> Self {
        alerts.clone()
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("suppressed", &self.suppressed()).finish_non_exhaustive()
    }
}

/// Builds [`Alerts`].
///
/// ```
/// use std::time::Duration;
/// use recoup::axum::Alerts;
/// let error = Alerts::builder(|_| ()).at_most(0, Duration::from_secs(60)).build().unwrap_err();
/// assert_eq!(error.to_string(), "alerts: `at_most` is 0, but must be at least 1");
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct AlertsBuilder {
    hook: Hook,
    alerts: u32,
    per: Duration,
}

impl AlertsBuilder {
    /// For each category so many alerts at once at most, and then as many in `per`, evenly spaced. At least 1, in
    /// more than zero. Default: 5 in a minute.
    pub const fn at_most(mut self, alerts: u32, per: Duration) -> Self {
        (self.alerts, self.per) = (alerts, per);
        self
    }

    /// The alerts.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build(self) -> Result<Alerts, SettingError> {
        let check = Check("alerts");
        check.at_least_one("at_most", self.alerts)?;
        check.longer_than_zero("at_most", self.per)?;
        let gate = |category| {
            let limiter = RateLimiter::builder(self.alerts, self.per).burst(self.alerts).build();
            let limiter = limiter
                .map_err(|refused| check.refuse("at_most", (self.alerts, self.per), refused.allowed))?;
            Ok(Gate { category, limiter, since_last: AtomicU64::new(0), in_all: AtomicU64::new(0) })
        };
        let gates = Category::ALL.into_iter().map(gate).collect::<Result<_, SettingError>>()?;
        Ok(Alerts { hook: self.hook, gates })
    }
}

impl fmt::Debug for AlertsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertsBuilder").field("at_most", &(self.alerts, self.per)).finish_non_exhaustive()
    }
}
