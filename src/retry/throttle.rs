//! What a client holds back from a dependency, by what it has seen of it.

#[cfg(feature = "lab")]
mod anew;
mod cell;
mod cubic;
mod leave;
mod quick;
mod rules;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
mod snapshot;
mod sre;
mod state;
mod tally;
#[cfg(test)]
mod tests;
mod withheld;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use self::cell::Cell;
use self::cubic::Cubic;
pub(crate) use self::leave::Leave;
use self::rules::Rules;
pub use self::rules::ThrottleBuilder;
pub use self::snapshot::ThrottleSnapshot;
use self::sre::Sre;
pub use self::tally::RetriesSeen;
use self::tally::Tally;
pub use self::withheld::Withheld;
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
/// - **Where retries have not helped, they are not made.** For each [`Category`] it keeps how many of its
///   retries succeeded. Once 20 have been seen, and fewer than 5 in 100 helped, only one in twenty is made, to
///   find out, until one helps.
/// - **While marks go on, first attempts are cut** by two fifths at a time, and raised again on clean
///   successes. Some always go through, to find out.
///
/// What is held back ends in the operation's own error, or for a first attempt in [`Throttled`], which says
/// when it is worth asking again. A server's own hint beats all of this but the tokens. An open circuit needs
/// nothing of it: a call that meets one ends at once, or waits until it closes if the policy says so, and
/// teaches the throttle nothing.
///
/// A handle: clones share what was seen. Keep one for each endpoint or shard: of ten shards of which one is
/// dead, one throttle for all would hold back from the other nine.
///
/// A cell takes 64 bytes, and what became of its retries 192 more once there are any. While all is well a success costs
/// two loads, and at most a hundred times a second a short lock, and the clock is not read for it: a success that
/// had to wait is dated from when it began to, which every call knows that waits. How long a success took matters
/// from [`slow_from`](ThrottleBuilder::slow_from) on. A timer says that it has come to that, the one that would have
/// cut the attempt short later, and only then is the clock read. So an attempt without a limit is never slow, and
/// one that took an hour is dated an hour ago.
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
/// [`sre`](Self::sre) and [`aws_adaptive`](Self::aws_adaptive) are throttles of others, by their own rules; what
/// became of retries is counted with them, too, and holds nothing back.
///
/// # Where it is from
///
/// Tokens that successes earn are those of gRPC's retry throttling (proposal A6) and of the AWS SDKs; that a
/// fleet must not be given a reserve per client, and the gate, come from simulating fleets of 10 to 1,000,000
/// clients in faults of all kinds. The lab (feature `lab`) repeats that.
#[derive(Clone)]
pub struct Throttle(Arc<Seen>);

/// What clones share, behind one pointer: to see that all is well takes two loads.
struct Seen {
    /// What one that adapts has seen. That of another kind is never calm.
    cell: Cell,
    learned: Learned,
    tally: Tally,
}

/// The rules by which it is judged, and what those of other kinds have seen.
enum Learned {
    Adaptive(Arc<Rules>),
    Sre(Box<Sre>),
    Cubic(Box<Cubic>),
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
        Self::new(Learned::Adaptive(Arc::new(rules)))
    }

    fn new(learned: Learned) -> Self {
        let cell = match &learned {
            Learned::Adaptive(rules) => Cell::new(rules),
            Learned::Sre(_) | Learned::Cubic(_) => Cell::unused(),
        };
        Self(Arc::new(Seen { cell, learned, tally: Tally::default() }))
    }

    /// A throttle with the same settings that has seen nothing yet: for another endpoint, shard or key.
    #[must_use]
    pub fn fresh(&self) -> Self {
        let learned = match &self.0.learned {
            Learned::Adaptive(rules) => Learned::Adaptive(Arc::clone(rules)),
            Learned::Sre(sre) => Learned::Sre(Box::new(sre.fresh())),
            Learned::Cubic(_) => Learned::Cubic(Box::new(Cubic::new())),
        };
        Self::new(learned)
    }

    /// Whether nobody else holds it, and it knows nothing that matters.
    pub(crate) fn equals_a_fresh_one(&self) -> bool {
        let harmless = match &self.0.learned {
            Learned::Adaptive(rules) => {
                self.0.cell.is_calm() || self.0.cell.state().is_forgotten(rules, time::now())
            }
            Learned::Sre(sre) => sre.seen(time::now()).1 <= 0.0,
            Learned::Cubic(cubic) => !cubic.seen(time::now()).limits,
        };
        harmless && Arc::strong_count(&self.0) == 1
    }

    /// What it has seen, and what it makes of it.
    #[must_use]
    pub fn snapshot(&self) -> ThrottleSnapshot {
        match &self.0.learned {
            Learned::Adaptive(rules) => ThrottleSnapshot::of(&self.0.cell.state(), rules, &self.0.tally),
            Learned::Sre(sre) => ThrottleSnapshot::of_sre(sre, &self.0.tally, time::now()),
            Learned::Cubic(cubic) => ThrottleSnapshot::of_cubic(cubic, &self.0.tally, time::now()),
        }
    }

    /// Whether all is so well that a first attempt is let through, and that a success which never had to wait
    /// teaches nothing.
    #[inline(always)]
    pub(crate) fn is_calm(&self) -> bool {
        self.0.cell.is_calm()
    }

    /// Whether a first attempt may be made.
    pub(crate) fn admit(&self, priority: Priority, now: &Now) -> Result<(), Throttled> {
        match &self.0.learned {
            Learned::Adaptive(rules) => self.0.cell.admit(rules, priority, now),
            Learned::Sre(sre) => sre.admit(now.get()),
            Learned::Cubic(cubic) => cubic.admit(now.get()),
        }
        .map_err(|until| Throttled { until })
    }

    /// An attempt ended with a value.
    pub(crate) fn succeeded(&self, ended: &Attempted, now: &Now) {
        match &self.0.learned {
            Learned::Adaptive(rules) => self.0.cell.succeeded(rules, ended, now),
            Learned::Sre(sre) => sre.succeeded(now.get()),
            Learned::Cubic(cubic) => cubic.succeeded(now.get()),
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, ended: &Attempted, now: &Now) {
        match &self.0.learned {
            Learned::Adaptive(rules) => self.0.cell.failed(rules, ended, now),
            Learned::Sre(sre) => sre.failed(ended, now.get()),
            Learned::Cubic(cubic) => cubic.failed(ended, now.get()),
        }
    }

    /// An attempt ended in an error that says nothing of the dependency, but that it answered.
    pub(crate) fn answered(&self, now: &Now) {
        match &self.0.learned {
            Learned::Adaptive(..) => {}
            Learned::Sre(sre) => sre.succeeded(now.get()),
            Learned::Cubic(cubic) => cubic.succeeded(now.get()),
        }
    }

    /// A retry after an error of this category ended, and whether it helped.
    pub(crate) fn repeated(&self, category: Category, helped: bool) {
        self.0.tally.repeated(category, helped);
    }

    /// Takes a token for a retry of an attempt that failed, or says why there is none. `error` is the category
    /// of what it repeats, if that is an error.
    pub(crate) fn reserve(
        &self,
        error: Option<Category>,
        failed: &Attempted,
        now: &Now,
    ) -> Result<Leave, Withheld> {
        self.take(error, failed, now).inspect_err(|why| self.0.tally.withheld(*why))
    }

    fn take(&self, error: Option<Category>, failed: &Attempted, now: &Now) -> Result<Leave, Withheld> {
        match &self.0.learned {
            Learned::Adaptive(rules) => {
                self.0.cell.reserve(rules, failed)?;
                let leave = Leave::token(self);
                // Asked last, so that the few that are let through to find out are made.
                match error.filter(|_| !failed.hinted) {
                    Some(error) if !self.0.tally.may_help(error) => Err(Withheld::Hopeless),
                    _ => Ok(leave),
                }
            }
            Learned::Sre(sre) => {
                sre.admit(now.get()).map_err(|_| Withheld::Overloaded)?;
                Ok(Leave::free())
            }
            Learned::Cubic(cubic) => {
                let cost = cubic.reserve(failed, now.get())?;
                Ok(Leave::cost(self, cost))
            }
        }
    }

    /// How long a caller who waits must wait for a retry that nothing but time allows. More than nothing,
    /// where nothing was allowed just now.
    pub(crate) fn next_trickle_in(&self, now: Instant) -> Duration {
        match &self.0.learned {
            Learned::Adaptive(rules) => self.0.cell.next_trickle_in(rules, now),
            Learned::Sre(sre) => sre.next_slice_in(now),
            Learned::Cubic(cubic) => cubic.next_retry_in(now),
        }
    }

    /// Lets a caller who has waited retry, if nobody was faster.
    pub(crate) fn take_trickle(&self, now: Instant) -> bool {
        match &self.0.learned {
            Learned::Adaptive(rules) => self.0.cell.take_trickle(rules, now),
            // Asked again, they say by themselves whether the wait was enough.
            Learned::Sre(_) | Learned::Cubic(_) => false,
        }
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
    /// What kind of trouble it failed with.
    pub(crate) category: Option<Category>,
    /// How much its call matters.
    pub(crate) priority: Priority,
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
        let category = Some(answer.category());
        says_something.then_some(Self { limit, overload, hinted, category, ..Self::default() })
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
