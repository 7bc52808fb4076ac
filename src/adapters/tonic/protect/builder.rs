//! Which policies protect a server, and what they are told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::request::Parts;

use super::{Priorities, ProtectLayer, Rules};
use crate::bulkhead::Bulkhead;
use crate::concurrency_limit::ConcurrencyLimit;
use crate::load_shedder::LoadShedder;
use crate::priority::Priority;
use crate::random::Dice;
use crate::rate_limit::RateLimiter;
use crate::setting::{Check, SettingError};

const CHECK: Check = Check("protect layer");

/// Builds a [`ProtectLayer`]. Policies are taken as handles: whoever keeps a clone can look at them, and set them.
///
/// ```
/// use std::time::Duration;
/// use recoup::tonic::ProtectLayer;
///
/// let error = ProtectLayer::builder().come_back(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.to_string(), "protect layer: `come_back` is 0ns, but must be longer than zero");
/// let error = ProtectLayer::builder().priority_from("no key").build().unwrap_err();
/// assert_eq!(error.setting, "priority_from");
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ProtectLayerBuilder {
    rules: Rules,
    key: Option<String>,
}

impl ProtectLayerBuilder {
    pub(super) const fn new() -> Self {
        let rules = Rules {
            rate_limiter: None,
            load_shedder: None,
            bulkhead: None,
            concurrency_limit: None,
            priority: Priorities::AllAlike,
            come_back: Duration::from_millis(100),
            dice: Dice::Fresh,
            until_body_ends: false,
        };
        Self { rules, key: None }
    }

    /// Refuses what comes too often: `RESOURCE_EXHAUSTED`. A call waits for its turn as long as the limiter lets it.
    /// Default: none.
    pub fn rate_limiter(mut self, limiter: &RateLimiter) -> Self {
        self.rules.rate_limiter = Some(limiter.clone());
        self
    }

    /// Refuses what cannot be answered in time: `UNAVAILABLE`. A call's deadline is its `grpc-timeout`; without
    /// one it is the shedder's usual. Default: none.
    pub fn load_shedder(mut self, shedder: &LoadShedder) -> Self {
        self.rules.load_shedder = Some(shedder.clone());
        self
    }

    /// Refuses what there is no slot for, nor a place in the queue: `UNAVAILABLE`. Default: none.
    pub fn bulkhead(mut self, bulkhead: &Bulkhead) -> Self {
        self.rules.bulkhead = Some(bulkhead.clone());
        self
    }

    /// Refuses more at once than the server bears, as far as its answers tell: `UNAVAILABLE`. An answer is a sample
    /// of how long one takes; `RESOURCE_EXHAUSTED`, `UNAVAILABLE` and `DEADLINE_EXCEEDED` from the server itself are
    /// overload; other failures, and calls that the client gave up, tell nothing.
    ///
    /// How long a call takes is measured to the head of its answer, or to its end with
    /// [`until_body_ends`](Self::until_body_ends). Streams that last as long as somebody listens are no such
    /// measure: put the layer around services without them, or let the time to the head count. Default: none.
    pub fn concurrency_limit(mut self, limit: &ConcurrencyLimit) -> Self {
        self.rules.concurrency_limit = Some(limit.clone());
        self
    }

    /// How much a call matters, to those policies that ask. Default: [`Priority::Normal`]. It takes the place of
    /// [`priority_from`](Self::priority_from).
    pub fn priority<F>(mut self, of: F) -> Self
    where
        F: Fn(&Parts) -> Priority + Send + Sync + 'static,
    {
        self.rules.priority = Priorities::Said(Box::new(of));
        self.key = None;
        self
    }

    /// How much a call matters is said by its metadata of this key: the [name](Priority::name) of a priority, in
    /// whatever case. Without it, and for every other value: [`Priority::Normal`]. It takes the place of
    /// [`priority`](Self::priority).
    ///
    /// A caller can say there what it wants. Believe only callers whom you trust, or take the key off on the way in.
    pub fn priority_from(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How long a caller should stay away of whom the refusing policy cannot say when there will be room, longer
    /// than zero. Each is told another time, by chance between one and three times that. Who is refused by the rate
    /// limiter, which knows, is told up to twice that more. Default: 100 ms.
    pub const fn come_back(mut self, wait: Duration) -> Self {
        self.rules.come_back = wait;
        self
    }

    /// Holds the slots of the load shedder, the bulkhead and the concurrency limit until the status after the last
    /// message of the answer is sent, or the answer is dropped. For streams, which are work for as long as they
    /// last; it lets clients who read slowly hold what others could have. Default: they come back when the
    /// head of the answer is there. That is when a unary call is done, and when a stream begins.
    pub const fn until_body_ends(mut self) -> Self {
        self.rules.until_body_ends = true;
        self
    }

    /// Draws the times to come back from this seed, so that a run can be repeated. Those of the load shedder have
    /// [a seed of their own](crate::LoadShedderBuilder::seed). Default: every draw is fresh.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.dice = Dice::seeded(seed);
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first setting that cannot work.
    pub fn build(mut self) -> Result<ProtectLayer, SettingError> {
        CHECK.longer_than_zero("come_back", self.rules.come_back)?;
        if let Some(key) = self.key {
            let text = |key: &HeaderName| !key.as_str().ends_with("-bin");
            let named = HeaderName::try_from(&key).ok().filter(text);
            let refused = || CHECK.refuse("priority_from", &key, "a key of metadata that is text");
            self.rules.priority = Priorities::Metadata(named.ok_or_else(refused)?);
        }
        Ok(ProtectLayer { rules: Arc::new(self.rules) })
    }
}

impl fmt::Debug for ProtectLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectLayerBuilder").field("rules", &self.rules).field("key", &self.key).finish()
    }
}
