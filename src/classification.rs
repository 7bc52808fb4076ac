//! The one answer about an error that retry, breaker, dead letters and telemetry all read.

use std::fmt;
use std::time::Duration;

/// What kind of trouble an error is. Each kind has a [severity](Self::severity) and a default
/// [`Classification`].
///
/// | category | severity | try again | to the breaker |
/// |---|---|---|---|
/// | network, timeout, rate limited, service unavailable, external service, database, unknown | transient | yes | failure |
/// | resource exhausted | persistent | no | failure |
/// | authentication, authorization, validation, not found, conflict, business rule, internal | persistent | no | ignored |
/// | state corruption | critical | never | failure |
/// | security | critical | never | ignored |
///
/// ```
/// use recoup::{Category, Severity};
/// assert_eq!(Category::Timeout.severity(), Severity::Transient);
/// assert_eq!(Category::RateLimited.to_string(), "rate_limited");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Category {
    /// The connection failed: refused, reset, unreachable, a name that does not resolve.
    Network,
    /// No answer in time.
    Timeout,
    /// Refused because we ask too often (HTTP 429).
    RateLimited,
    /// The service says that it cannot serve now (HTTP 503).
    ServiceUnavailable,
    /// A service that we call failed in itself (HTTP 500, 502).
    ExternalService,
    /// The database or its connection failed.
    Database,
    /// Something finite is used up: quota, disk, memory, file handles.
    ResourceExhausted,
    /// We did not prove who we are (HTTP 401).
    Authentication,
    /// We may not do this (HTTP 403).
    Authorization,
    /// What we sent is not acceptable (HTTP 400, 422).
    Validation,
    /// What we asked for does not exist (HTTP 404).
    NotFound,
    /// What we want to change has changed (HTTP 409, 412).
    Conflict,
    /// A rule of the business forbids it.
    BusinessRule,
    /// State contradicts itself; going on would make it worse.
    StateCorruption,
    /// An attack, or a secret in the wrong place.
    Security,
    /// A fault of our own.
    Internal,
    /// Nobody could say.
    Unknown,
}

impl Category {
    /// Every category, in the order in which they are declared.
    pub const ALL: [Self; 17] = [
        Self::Network,
        Self::Timeout,
        Self::RateLimited,
        Self::ServiceUnavailable,
        Self::ExternalService,
        Self::Database,
        Self::ResourceExhausted,
        Self::Authentication,
        Self::Authorization,
        Self::Validation,
        Self::NotFound,
        Self::Conflict,
        Self::BusinessRule,
        Self::StateCorruption,
        Self::Security,
        Self::Internal,
        Self::Unknown,
    ];

    /// How bad an error of this kind is by default.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Network
            | Self::Timeout
            | Self::RateLimited
            | Self::ServiceUnavailable
            | Self::ExternalService
            | Self::Database
            | Self::Unknown => Severity::Transient,
            Self::ResourceExhausted
            | Self::Authentication
            | Self::Authorization
            | Self::Validation
            | Self::NotFound
            | Self::Conflict
            | Self::BusinessRule
            | Self::Internal => Severity::Persistent,
            Self::StateCorruption | Self::Security => Severity::Critical,
        }
    }

    /// The name in snake case, as it stands in logs, metrics and letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::ServiceUnavailable => "service_unavailable",
            Self::ExternalService => "external_service",
            Self::Database => "database",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Validation => "validation",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::BusinessRule => "business_rule",
            Self::StateCorruption => "state_corruption",
            Self::Security => "security",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How bad an error is: whether time may heal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// May be gone at the next attempt.
    Transient,
    /// Stays until somebody changes something.
    Persistent,
    /// Going on does harm. Never retried, whatever else the answer says.
    Critical,
}

/// Whether the same call is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Yes, after the policy's own backoff.
    Retry,
    /// Yes, but not before this long: the server said so. It wins over the backoff.
    RetryAfter(Duration),
    /// No: the same call would fail again.
    Stop,
}

/// What an error says about the health of the dependency that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// The dependency is in trouble: counts as failure.
    Failure,
    /// The dependency did its work, and the error is our affair: counts as success.
    Success,
    /// Says nothing either way: recorded nowhere.
    Ignored,
}

/// How one attempt ended, for those who keep count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The dependency did its work.
    Success,
    /// The dependency is in trouble.
    Failure,
    /// The attempt says nothing of the dependency; it is recorded nowhere.
    Ignored,
    /// The attempt was dropped before it ended.
    Abandoned,
}

impl From<Health> for Outcome {
    fn from(health: Health) -> Self {
        match health {
            Health::Failure => Self::Failure,
            Health::Success => Self::Success,
            Health::Ignored => Self::Ignored,
        }
    }
}

/// The one answer about an error. Made once per failed attempt by an
/// [`ErrorClassifier`](crate::ErrorClassifier) and read by everything that has to decide.
///
/// Starts from a [`Category`], whose defaults fit most errors, and is then bent where this error differs:
///
/// ```
/// use std::time::Duration;
/// use recoup::{Advice, Category, Classification, Health};
///
/// let answer = Classification::of(Category::RateLimited)
///     .retry_after(Duration::from_secs(2))
///     .status(429);
/// assert_eq!(answer.advice(), Advice::RetryAfter(Duration::from_secs(2)));
/// assert_eq!(answer.health(), Health::Failure);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Classification {
    category: Category,
    severity: Severity,
    advice: Advice,
    health: Health,
    status: Option<u16>,
    unprocessed: bool,
}

impl Classification {
    /// The default answer for errors of this category.
    #[must_use]
    pub const fn of(category: Category) -> Self {
        let severity = category.severity();
        let advice = match severity {
            Severity::Transient => Advice::Retry,
            Severity::Persistent | Severity::Critical => Advice::Stop,
        };
        let health = match category {
            Category::Authentication
            | Category::Authorization
            | Category::Validation
            | Category::NotFound
            | Category::Conflict
            | Category::BusinessRule
            | Category::Internal
            | Category::Security => Health::Ignored,
            _ => Health::Failure,
        };
        Self { category, severity, advice, health, status: None, unprocessed: false }
    }

    /// Another attempt is worth it, after the policy's own backoff.
    #[must_use]
    pub const fn retry(mut self) -> Self {
        self.advice = Advice::Retry;
        self
    }

    /// Another attempt is worth it, but not before `hint` has passed: the server said so.
    #[must_use]
    pub const fn retry_after(mut self, hint: Duration) -> Self {
        self.advice = Advice::RetryAfter(hint);
        self
    }

    /// The same call would fail again.
    #[must_use]
    pub const fn stop(mut self) -> Self {
        self.advice = Advice::Stop;
        self
    }

    /// Replaces the severity of the category.
    #[must_use]
    pub const fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// What the error says about the dependency, instead of the category's default.
    #[must_use]
    pub const fn counts_as(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// The status code that the error carried: of HTTP, of gRPC, of the operating system.
    #[must_use]
    pub const fn status(mut self, code: u16) -> Self {
        self.status = Some(code);
        self
    }

    /// The dependency surely did nothing of what was asked: it was never reached, or refused before it looked.
    /// So even a call that must not be made twice may be made again
    /// (see [`repeat_if`](crate::ExecuteWithRecovery::repeat_if)). Default: nobody can say.
    ///
    /// ```
    /// use std::io::{Error, ErrorKind};
    /// use recoup::{ErrorClassifier, IoErrors};
    ///
    /// let refused = IoErrors.classify(&Error::from(ErrorKind::ConnectionRefused));
    /// let reset = IoErrors.classify(&Error::from(ErrorKind::ConnectionReset));
    /// assert!(refused.is_unprocessed() && !reset.is_unprocessed());
    /// ```
    #[must_use]
    pub const fn unprocessed(mut self) -> Self {
        self.unprocessed = true;
        self
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn category(&self) -> Category {
        self.category
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Whether the same call is worth another attempt. A critical error never is.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self.severity {
            Severity::Critical => Advice::Stop,
            _ => self.advice,
        }
    }

    /// What the error says about the dependency.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// The status code that the error carried, if it had one.
    #[must_use]
    pub const fn status_code(&self) -> Option<u16> {
        self.status
    }

    /// Whether the dependency surely did nothing of what was asked.
    #[must_use]
    pub const fn is_unprocessed(&self) -> bool {
        self.unprocessed
    }

    /// The server's hint when to come back, if it gave one and another attempt is allowed.
    #[must_use]
    pub const fn hint(&self) -> Option<Duration> {
        match self.advice() {
            Advice::RetryAfter(hint) => Some(hint),
            _ => None,
        }
    }
}

impl From<Category> for Classification {
    fn from(category: Category) -> Self {
        Self::of(category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_errors_are_never_retried() {
        for category in Category::ALL {
            let answer = Classification::of(category).with_severity(Severity::Critical);
            assert_eq!(answer.retry().advice(), Advice::Stop);
            assert_eq!(answer.retry_after(Duration::from_secs(1)).hint(), None);
        }
    }

    #[test]
    fn transient_categories_retry_and_others_do_not() {
        for category in Category::ALL {
            let retries = Classification::of(category).advice() == Advice::Retry;
            assert_eq!(retries, category.severity() == Severity::Transient, "{category}");
        }
    }

    #[test]
    fn our_own_faults_say_nothing_of_the_dependency() {
        for category in [Category::Validation, Category::NotFound, Category::Internal] {
            assert_eq!(Classification::of(category).health(), Health::Ignored);
        }
    }
}
