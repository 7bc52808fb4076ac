//! A call that takes long is made once more beside itself, and whoever answers first wins.

mod allowance;
mod builder;
mod call;
#[cfg(feature = "lab")]
pub(crate) mod course;
mod delay;
mod histogram;
mod latency;
mod plan;
mod race;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
mod snapshot;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::allowance::Spare;
use self::allowance::{Extra, Refused};
pub use self::builder::HedgeBuilder;
pub use self::call::Hedged;
use self::call::Way;
use self::delay::Delay;
use self::snapshot::Counts;
pub use self::snapshot::HedgeSnapshot;
use crate::attempt::Attempt;
use crate::event::{Event, Observers};
use crate::time::{Instant, Now};

/// Makes a call once more when its answer takes longer than usual, and takes the first answer that comes.
///
/// It cuts off the long tail of a dependency that is mostly quick: with a hedge after the 95th percentile a
/// twentieth of the calls is made twice, and a caller waits long only if both are slow (J. Dean and
/// L. A. Barroso, *The Tail at Scale*, Communications of the ACM, 2013). All attempts run in the one future
/// of the call: nothing is spawned, and the losers are dropped before the winner's value is given back.
///
/// When the first attempt is hedged is said by how it is begun: [`after`](Self::after) a fixed time,
/// [`at_quantile`](Self::at_quantile) of what calls took lately, or [`when`](Self::when) a function says. An
/// attempt that fails is hedged at once. How much may be added to the load is bounded in three ways: by
/// [`max_attempts`](HedgeBuilder::max_attempts) for one call, by [`max_extra`](HedgeBuilder::max_extra) for
/// all of them together, and by a [`budget`](HedgeBuilder::budget) shared with the retries. Where one of them
/// is used up the hedge is left out, and nothing else happens: the call goes on.
///
/// A handle: clones count and learn together. Share it among all calls of one kind.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use std::time::Duration;
/// use recoup::{Attempt, Hedge, Idempotent, Instant};
///
/// let hedge = Hedge::after(Duration::from_millis(10)).no_max_extra().build()?;
///
/// let begun = Instant::now();
/// let answer = hedge.call(Idempotent(|attempt: Attempt| async move {
///     let stalls = attempt.hedge() == 0;
///     tokio::time::sleep(Duration::from_millis(if stalls { 1_800 } else { 5 })).await;
///     Ok::<_, &str>("found")
/// }));
/// assert_eq!(answer.await, Ok("found"));
/// assert_eq!(begun.elapsed(), Duration::from_millis(15));
/// assert_eq!((hedge.snapshot().launched, hedge.snapshot().won), (1, 1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hedge {
    shared: Arc<Shared>,
}

/// What the clones share.
struct Shared {
    name: Arc<str>,
    max_attempts: u32,
    delay: Delay,
    extra: Option<Extra>,
    budget: Option<Arc<dyn Spare>>,
    counts: Counts,
    observers: Observers,
}

/// An operation that may be done twice at once: reading does no harm, or the server knows an order by its key
/// and carries it out once.
///
/// A hedge takes no other. A retry repeats what has failed; a hedge repeats what may still succeed, so a
/// payment made through it would be made twice whenever the bank is slow. Nobody can see from outside which
/// operations stand that, so it is said where the call is written.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{Hedge, Idempotent};
/// let hedge = Hedge::at_quantile(0.95).build().unwrap();
/// assert_eq!(hedge.call(Idempotent(|_attempt| async { Ok::<_, ()>(7) })).await, Ok(7));
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Idempotent<F>(
    /// The operation. It is told which of those that race each other it is.
    pub F,
);

impl Hedge {
    /// Hedges an attempt that has not answered after `delay`, and each further one as long after that.
    /// Longer than zero; from thirty years it is never.
    pub fn after(delay: Duration) -> HedgeBuilder {
        HedgeBuilder::new(builder::Timing::After(delay))
    }

    /// Hedges an attempt once it has taken longer than this share of the first attempts did lately: above 0.0
    /// and at most 1.0, `0.95` for the 95th percentile. Each further one as long after that.
    ///
    /// Until there were [enough](HedgeBuilder::warm_up) to tell, nothing is hedged by time, unless a delay
    /// [for that while](HedgeBuilder::until_warm) is set. What is learned takes some ten kilobytes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Hedge, Idempotent};
    ///
    /// let hedge = Hedge::at_quantile(0.95).warm_up(20).build().unwrap();
    /// assert_eq!(hedge.snapshot().delay, None);
    /// for _ in 0..20 {
    ///     let call = hedge.call(Idempotent(|_| async {
    ///         tokio::time::sleep(Duration::from_millis(40)).await;
    ///         Ok::<_, ()>(())
    ///     }));
    ///     call.await.unwrap();
    /// }
    /// let delay = hedge.snapshot().delay.unwrap();
    /// assert!(delay >= Duration::from_millis(40) && delay <= Duration::from_millis(43));
    /// # }
    /// ```
    pub fn at_quantile(share: f64) -> HedgeBuilder {
        HedgeBuilder::new(builder::Timing::AtQuantile(share))
    }

    /// Hedges when `delay` says: it is given the number of the hedge that would be made, from 1, and says how
    /// long after the attempt before it that is. [`Duration::ZERO`] is at once, and anything from thirty years
    /// is never.
    ///
    /// It is called in the task of the call, once for each attempt that has to wait, and by
    /// [`snapshot`](Self::snapshot).
    ///
    /// ```
    /// use std::time::Duration;
    /// use recoup::Hedge;
    /// let hedge = Hedge::when(|hedge| Duration::from_millis(20) * hedge).max_attempts(3).build().unwrap();
    /// assert_eq!(hedge.snapshot().delay, Some(Duration::from_millis(20)));
    /// ```
    pub fn when(delay: impl Fn(u32) -> Duration + Send + Sync + 'static) -> HedgeBuilder {
        HedgeBuilder::new(builder::Timing::When(Arc::new(delay)))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// Makes one call of `op`, and hedges it.
    ///
    /// An attempt that fails is followed by the next hedge at once, if one is allowed. Otherwise the call goes
    /// on as long as an attempt is under way.
    ///
    /// # Errors
    ///
    /// When all attempts have failed, the error of the first, which the others merely followed. Theirs can be
    /// [kept](Hedged::siblings). An error that no other attempt can mend [ends](Hedged::stop_when) the race.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops all its attempts, and launches nothing more. If one of them panics, the others
    /// are dropped, and the panic goes on.
    #[inline]
    pub fn call<F, Fut, T, E>(&self, op: Idempotent<F>) -> Hedged<'_, F, Fut, E>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Hedged::new(&self.shared, op.0, Attempt::new(1, None), Way::Alone)
    }

    /// An operation whose every attempt is a race of attempts of `op`: for a retry, or a recovery.
    ///
    /// The whole race is one attempt there: within one attempt's time limit, in one slot of the bulkhead, with
    /// one answer for the circuit breaker. An attempt that fails is not hedged at once but left to the retry,
    /// which waits before it asks again; and the successes that pay into a shared budget are the retry's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{
    ///     Attempt, Hedge, Idempotent, Recovery, RetryBudget, RetryPolicy, execute_with_recovery,
    /// };
    ///
    /// let budget = RetryBudget::default();
    /// let hedge = Hedge::after(Duration::from_millis(10)).no_max_extra().budget(&budget).build().unwrap();
    /// let retry = RetryPolicy::exponential(Duration::from_millis(50)).budget(budget);
    /// let recovery = Recovery::<&str>::builder("search").retry(retry).build().unwrap();
    ///
    /// let search = hedge.around(Idempotent(|attempt: Attempt| async move {
    ///     match (attempt.number(), attempt.hedge()) {
    ///         (1, _) => Err("busy"),
    ///         (_, 0) => std::future::pending().await,
    ///         (retried, hedge) => Ok((retried, hedge)),
    ///     }
    /// }));
    /// assert_eq!(execute_with_recovery(&recovery, search).await.unwrap(), (2, 1));
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call): an attempt that is dropped, or cut short by its limit, drops all that race in
    /// it.
    pub fn around<'h, F, Fut, T, E>(
        &'h self,
        op: Idempotent<F>,
    ) -> impl Fn(Attempt) -> Hedged<'h, F, Fut, E> + Clone + use<'h, F, Fut, T, E>
    where
        F: Fn(Attempt) -> Fut + Clone,
        Fut: Future<Output = Result<T, E>>,
    {
        move |attempt| Hedged::new(&self.shared, op.0.clone(), attempt, Way::InRetry)
    }

    /// What it has done so far.
    #[must_use]
    pub fn snapshot(&self) -> HedgeSnapshot {
        self.shared.counts.snapshot(self.shared.delay.before(1))
    }
}

impl Shared {
    /// A call begins.
    #[inline]
    fn begin(&self) {
        self.counts.called();
        if let Some(extra) = &self.extra {
            extra.earn();
        }
    }

    /// A call that nobody repeats has succeeded.
    #[inline]
    fn earn(&self, now: &Now) {
        if let Some(budget) = &self.budget {
            budget.earn(now);
        }
    }

    /// Whether the load of one more attempt may be added now. What says yes has been paid.
    fn pay(&self, now: Instant) -> Result<(), Refused> {
        if let Some(extra) = &self.extra
            && !extra.take()
        {
            return Err(Refused::Extra);
        }
        if let Some(budget) = &self.budget
            && !budget.take(now)
        {
            if let Some(extra) = &self.extra {
                extra.give_back();
            }
            return Err(Refused::Budget);
        }
        Ok(())
    }

    #[cold]
    fn tell_launched(&self, hedge: u32) {
        self.observers.tell(|| Event::Hedged { policy: &self.name, hedge });
    }

    #[cold]
    fn tell_suppressed(&self, refused: Refused) {
        self.observers.tell(|| Event::Rejected { policy: &self.name, reason: refused.word() });
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("name", &self.name)
            .field("max_attempts", &self.max_attempts)
            .field("delay", &self.delay)
            .field("extra", &self.extra)
            .field("observers", &self.observers)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Idempotent<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idempotent(..)")
    }
}
