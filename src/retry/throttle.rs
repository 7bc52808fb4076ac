//! What a client holds back from a dependency, by what it has seen of it.

mod cell;
mod rules;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use self::cell::Cell;
use self::rules::Rules;
pub use self::rules::ThrottleBuilder;
pub use self::snapshot::ThrottleSnapshot;
use crate::classification::{Advice, Category, Classification, Health};
use crate::priority::Priority;
use crate::time::{self, Instant, Now};

/// Holds back what would make an outage worse: retries first, and while a dependency is overloaded first
/// attempts too. On by default in every [`RetryPolicy`](crate::RetryPolicy).
///
/// It goes by evidence, that of the client alone:
///
/// - **A retry costs a token**, and only successes earn them, a fifth of one each. Nothing is paid in for
///   merely asking, and nothing by the second: a fleet would multiply it.
/// - **A run of failures ends retries** to a dependency until something succeeds. Three in a row, and what
///   answers nothing gets first attempts only.
/// - **Overload counts for more** than a lost packet. A timeout, a refusal (429, 503) and a success that took
///   long are marks of it. After one, a retry is made only by a client that has seen enough to know, and that
///   calls often enough to notice what its retries do.
/// - **While marks go on, first attempts are cut** by two fifths at a time, and raised again on clean
///   successes. Some always go through, to find out.
///
/// What is held back ends in the operation's own error, or for a first attempt in [`Throttled`], which says
/// when it is worth asking again. A server's own hint beats all of this but the tokens.
///
/// A handle: clones share what was seen. Keep one for each endpoint or shard: of ten shards of which one is
/// dead, one throttle for all would hold back from the other nine.
///
/// A cell takes 64 bytes. While all is well a success costs one load, and at most a hundred times a second a
/// short lock; the clock is read for attempts that had to wait, and for no others.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{RetryPolicy, retry};
///
/// let policy = RetryPolicy::default();
/// let throttle = policy.throttle().unwrap();
/// for _ in 0..10 {
///     let down = retry(async || Err::<(), _>("connection refused")).policy(&policy).await;
///     assert_eq!(down, Err("connection refused"));
/// }
/// let seen = throttle.snapshot();
/// assert_eq!(seen.failures_in_a_row, 12, "two retries in all, and then ten calls were one attempt each");
/// assert_eq!(seen.admission, 1.0, "refused connections are no overload");
/// # }
/// ```
///
/// # Where it is from
///
/// Tokens that successes earn are those of gRPC's retry throttling (proposal A6) and of the AWS SDKs; that a
/// fleet must not be given a reserve per client, and the gate, come from simulating fleets of 10 to 1,000,000
/// clients in faults of all kinds. The lab (feature `lab`) repeats that.
#[derive(Clone)]
pub struct Throttle {
    cell: Arc<Cell>,
    rules: Arc<Rules>,
}

impl Throttle {
    /// Starts from the defaults, which are for a [`fleet`](Self::fleet).
    pub const fn builder() -> ThrottleBuilder {
        ThrottleBuilder::fleet()
    }

    /// For one of many clients. The default.
    #[must_use]
    pub fn fleet() -> Self {
        Self::builder().unchecked()
    }

    /// For a program that calls a service alone, or as one of a few: it retries its first timeout although it
    /// knows nothing yet. In a fleet that would keep an overload alive; see
    /// [`without_history`](ThrottleBuilder::without_history).
    #[must_use]
    pub fn single_client() -> Self {
        Self::builder().without_history(1.0).unchecked()
    }

    fn adaptive(rules: Rules) -> Self {
        Self { cell: Arc::new(Cell::new(&rules)), rules: Arc::new(rules) }
    }

    /// A throttle with the same settings that has seen nothing yet: for another endpoint, shard or key.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { cell: Arc::new(Cell::new(&self.rules)), rules: Arc::clone(&self.rules) }
    }

    /// Whether nobody else holds it, and it knows nothing that matters.
    pub(crate) fn equals_a_fresh_one(&self) -> bool {
        let forgotten = || self.cell.state().is_forgotten(&self.rules, time::now());
        Arc::strong_count(&self.cell) == 1 && (self.is_calm() || forgotten())
    }

    /// What it has seen, and what it makes of it.
    #[must_use]
    pub fn snapshot(&self) -> ThrottleSnapshot {
        ThrottleSnapshot::of(&self.cell.state(), &self.rules)
    }

    /// Whether all is so well that a first attempt is let through, and that a success which never had to wait
    /// teaches nothing.
    #[inline(always)]
    pub(crate) fn is_calm(&self) -> bool {
        self.cell.is_calm()
    }

    /// Whether a first attempt may be made.
    pub(crate) fn admit(&self, priority: Priority, now: &Now) -> Result<(), Throttled> {
        self.cell.admit(&self.rules, priority, now).map_err(|until| Throttled { until })
    }

    /// An attempt ended with a value.
    pub(crate) fn succeeded(&self, ended: &Attempted, now: &Now) {
        self.cell.succeeded(&self.rules, ended, now);
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, ended: &Attempted, now: &Now) {
        self.cell.failed(&self.rules, ended, now);
    }

    /// Takes a token for a retry of an attempt that failed, or says why there is none.
    pub(crate) fn reserve(&self, failed: &Attempted) -> Result<Leave, Withheld> {
        self.cell.reserve(&self.rules, failed).inspect_err(|why| self.rules.withheld.count(*why))?;
        Ok(Leave(Some(self.clone())))
    }

    /// How long a caller who waits must wait for a retry that nothing but time allows.
    pub(crate) fn next_trickle_in(&self, now: Instant) -> Duration {
        self.cell.next_trickle_in(&self.rules, now)
    }

    /// Lets a caller who has waited retry, if nobody was faster.
    pub(crate) fn take_trickle(&self, now: Instant) -> bool {
        self.cell.take_trickle(&self.rules, now)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::fleet()
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.snapshot(), f)
    }
}

/// How an attempt ended, as far as a throttle wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempted {
    /// How long it took, if it had to wait at all.
    pub(crate) took: Option<Duration>,
    /// How long it might have taken.
    pub(crate) limit: Option<Duration>,
    /// Whether it failed in a way that means overload.
    pub(crate) overload: bool,
    /// Whether the server said when to come back.
    pub(crate) hinted: bool,
}

impl Attempted {
    /// An attempt that failed like this; `None` if that says nothing about the dependency.
    pub(crate) fn failed(answer: &Classification, limit: Option<Duration>) -> Option<Self> {
        let overload = matches!(
            answer.category(),
            Category::Timeout | Category::RateLimited | Category::ServiceUnavailable
        );
        let hinted = matches!(answer.advice(), Advice::RetryAfter(_));
        let says_something = overload || answer.health() == Health::Failure;
        says_something.then_some(Self { took: None, limit, overload, hinted })
    }

    /// How much a success looks like overload, from 0.0 to 1.0.
    fn weight(&self, rules: &ThrottleBuilder) -> f32 {
        let (Some(took), Some(limit)) = (self.took, self.limit) else { return 0.0 };
        let beyond = took.as_secs_f64() / limit.as_secs_f64() - rules.slow_from;
        if beyond <= 0.0 {
            return 0.0; // most of them, and all where the limit is none
        }
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        let weight = (beyond / (1.0 - rules.slow_from)).clamp(0.0, 1.0) as f32;
        weight
    }
}

/// Leave for one retry. Dropped, its token goes back.
#[must_use = "a leave dropped at once goes back"]
pub(crate) struct Leave(Option<Throttle>);

impl Leave {
    /// The retry failed: the token is gone.
    pub(crate) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(throttle) = &self.0 {
            throttle.cell.give_back(&throttle.rules);
        }
    }
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leave").finish_non_exhaustive()
    }
}

/// The dependency is overloaded, and this first attempt was held back: it was not made.
///
/// ```
/// use recoup::Throttled;
/// fn says_when(held_back: &Throttled) -> bool {
///     held_back.to_string() == "dependency is overloaded" && held_back.until > recoup::Instant::now()
/// }
/// # let _ = says_when;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("dependency is overloaded")]
#[non_exhaustive]
pub struct Throttled {
    /// When it is worth asking again: the first who asks then goes through.
    pub until: Instant,
}

impl Throttled {
    /// How long until it is worth asking again.
    #[must_use]
    pub fn retry_in(&self) -> Duration {
        self.until.saturating_duration_since(time::now())
    }
}

/// Why a throttle let a retry not be made.
///
/// ```
/// use recoup::Withheld;
/// assert_eq!(Withheld::Failing.to_string(), "nothing has succeeded for too long");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Withheld {
    /// All tokens are spent, and successes have earned no new one.
    Spent,
    /// A run of failures has reached the gate: first attempts only, until one succeeds.
    Failing,
    /// The dependency is overloaded.
    Overloaded,
    /// The attempt ended in what may be overload, and too little has been seen to tell.
    Unknown,
    /// The attempt ended in what may be overload, and the client calls too rarely to see what its retries do.
    Rare,
}

impl Withheld {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 5] = [Self::Spent, Self::Failing, Self::Overloaded, Self::Unknown, Self::Rare];

    /// In one word, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spent => "budget",
            Self::Failing => "failing",
            Self::Overloaded => "overloaded",
            Self::Unknown => "unknown",
            Self::Rare => "rare",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spent => "retry tokens are spent",
            Self::Failing => "nothing has succeeded for too long",
            Self::Overloaded => "dependency is overloaded",
            Self::Unknown => "too little is known of the dependency",
            Self::Rare => "calls are too rare to see what retries do",
        })
    }
}
