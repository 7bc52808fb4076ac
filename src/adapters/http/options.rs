//! What one call wants for itself.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderValue;

use crate::call::CallContext;
use crate::priority::Priority;
use crate::time::{Instant, earlier, later, now};

/// What one call wants for itself, as an extension of its request.
///
/// It shortens what the policies allow and never lengthens it. What is not set stays as it is.
///
/// ```
/// use std::time::Duration;
/// use recoup::{Priority, http::CallOptions};
///
/// let options = CallOptions::new().no_retry().timeout(Duration::from_millis(200)).priority(Priority::High);
/// let request = http::Request::get("http://suggest/?q=re").extension(options).body(()).unwrap();
/// assert!(request.extensions().get::<CallOptions>().is_some());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    most_attempts: Option<NonZeroU32>,
    attempt_timeout: Option<Duration>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    priority: Option<Priority>,
    idempotent: Option<bool>,
    key: Option<HeaderValue>,
    operation: Option<String>,
    correlation_id: Option<String>,
    tenant: Option<String>,
    partition: Option<String>,
}

impl CallOptions {
    /// Nothing of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many attempts the call may make at most, the first included.
    #[must_use]
    pub fn max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.most_attempts = Some(attempts);
        self
    }

    /// One attempt and no more, as [`max_attempts`](Self::max_attempts) of one.
    #[must_use]
    pub fn no_retry(self) -> Self {
        self.max_attempts(NonZeroU32::MIN)
    }

    /// How long each attempt may take.
    #[must_use]
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = Some(limit);
        self
    }

    /// How long the whole call may take, from its begin. With a [`deadline`](Self::deadline) too, the earlier
    /// one counts.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// When the whole call must have ended.
    #[must_use]
    pub fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(at);
        self
    }

    /// How much the call matters where something is scarce. Default: [`Priority::Normal`].
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Whether the request may be done twice without harm, whatever its method and headers say. Default: what
    /// [`is_idempotent`](super::is_idempotent) says.
    #[must_use]
    pub fn idempotent(mut self, yes: bool) -> Self {
        self.idempotent = Some(yes);
        self
    }

    /// The key by which the server knows attempts of this call, sent as
    /// [`IDEMPOTENCY_KEY`](super::IDEMPOTENCY_KEY) unless the request has one. For a call that is made again
    /// later, for example from its letter.
    #[must_use]
    pub fn idempotency_key(mut self, key: HeaderValue) -> Self {
        self.key = Some(key);
        self
    }

    /// What the call does, in events and letters. Default: method and path, without the query.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// What ties the call to others, in events and letters.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// On whose behalf the call is made: see [`CallContext::tenant`].
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// For whom the call is made, where a bulkhead keeps slots for them: see [`CallContext::partition`].
    #[must_use]
    pub fn partition(mut self, name: impl Into<String>) -> Self {
        self.partition = Some(name.into());
        self
    }

    pub(super) fn says_idempotent(&self) -> Option<bool> {
        self.idempotent
    }

    pub(super) fn key(&self) -> Option<&HeaderValue> {
        self.key.as_ref()
    }

    pub(super) fn names(&self) -> Option<&str> {
        self.operation.as_deref()
    }

    /// Starts the clock of a limit in time: it becomes a moment.
    pub(super) fn begun(mut self) -> Self {
        if let Some(limit) = self.timeout.take() {
            self.deadline = earlier(self.deadline, later(now(), limit));
        }
        self
    }

    /// The same call under these options.
    pub(super) fn bend<'p>(&self, mut call: CallContext<'p>) -> CallContext<'p> {
        if let Some(deadline) = earlier(self.deadline, call.latest_end()) {
            call = call.deadline(deadline);
        }
        if let Some(most) = self.most_attempts {
            let before = call.most_attempts().and_then(NonZeroU32::new);
            call = call.max_attempts(before.map_or(most, |before| before.min(most)));
        }
        if let Some(limit) = self.attempt_timeout {
            let before = call.shortest_attempt();
            call = call.attempt_timeout(before.map_or(limit, |before| before.min(limit)));
        }
        if let Some(priority) = self.priority {
            call = call.with_priority(priority);
        }
        if let Some(id) = &self.correlation_id {
            call = call.correlation_id(id.as_str());
        }
        if let Some(tenant) = &self.tenant {
            call = call.tenant(tenant.as_str());
        }
        if let Some(partition) = &self.partition {
            call = call.partition(partition.as_str());
        }
        call
    }
}
