//! `retry`: the one-liner, and what can be said about it.

mod single;

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use self::single::Single;
use crate::attempt::Attempt;
use crate::call::{
    BeforeRetry, Drive, FailedAttempt, Judge, Judging, LendingOperation, Lent, Until, When, drive_mut,
};
use crate::classification::Classification;
use crate::classify::{ErrorClassifier, Transient};
use crate::error::RecoveryError;
use crate::retry::{CallLimits, RetryPolicy, RetryRules, TimeLimits, Timed, Untimed};
use crate::shutdown::Shutdown;

/// The rules of a `retry` that was given no policy.
static PLAIN: RetryRules = RetryRules::plain();

/// Calls `op` until it succeeds: at most 3 times, after waits with full jitter that start at 100 ms.
///
/// Every error is retried unless [`when`](Retry::when) or a [`classifier`](Retry::classifier) says
/// otherwise. What comes back is the operation's own error. A retry without a policy has nothing that
/// outlives it, so no budget either: calls that are made often should share a [`policy`](Retry::policy).
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), &'static str> {
/// # use std::sync::atomic::{AtomicU32, Ordering};
/// # let calls = AtomicU32::new(0);
/// # let fetch = || { let n = calls.fetch_add(1, Ordering::Relaxed); async move { if n < 2 { Err("busy") } else { Ok(n) } } };
/// let answer = recoup::retry(|| fetch()).await?;
/// assert_eq!(answer, 2);
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// The operation's last error, as it was.
///
/// # Cancel safety
///
/// Dropping the future drops the attempt under way, or the wait; the token reserved for a retry goes back to
/// the budget.
#[inline]
pub fn retry<'p, F, Fut, T, E>(mut op: F) -> Retry<'p, impl FnMut(Attempt) -> Fut, Fut, T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    retry_with(move |_| op())
}

/// As [`retry`], where the operation is told which attempt it is.
///
/// # Errors
///
/// The operation's last error, as it was.
///
/// # Cancel safety
///
/// As [`retry`].
#[inline]
pub fn retry_with<'p, F, Fut, T, E>(op: F) -> Retry<'p, F, Fut, T, E>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    Retry { drive: Drive::new(Single::new(&PLAIN, Transient), op) }
}

/// As [`retry`], where every attempt is lent `state` anew. The future is `Send` whatever it borrows.
///
/// Whether an error is retried is `classifier`'s answer; [`Transient`] retries all.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{Attempt, RetryPolicy, Transient, retry_mut};
///
/// struct Client { sent: u32 }
/// impl Client {
///     async fn send(&mut self) -> Result<u32, &'static str> {
///         self.sent += 1;
///         if self.sent < 3 { Err("busy") } else { Ok(self.sent) }
///     }
/// }
///
/// let policy = RetryPolicy::default();
/// let mut client = Client { sent: 0 };
/// let sent = retry_mut(&policy, &Transient, &mut client, async |client: &mut Client, _: Attempt| {
///     client.send().await
/// })
/// .await;
/// assert_eq!(sent, Ok(3));
/// # }
/// ```
///
/// # Errors
///
/// The operation's last error, as it was.
///
/// # Cancel safety
///
/// As [`retry`]. What a dropped attempt has done to `state` stays done.
pub fn retry_mut<'p, S, T, E, F>(
    policy: &'p RetryPolicy,
    classifier: &'p (dyn ErrorClassifier<E> + Send + Sync),
    state: &'p mut S,
    op: F,
) -> impl Future<Output = Result<T, E>> + Send + use<'p, S, T, E, F>
where
    S: Send + ?Sized,
    T: Send,
    E: Send + 'p,
    F: for<'a> LendingOperation<&'a mut S, T, E> + Send + 'p,
{
    let policies = Single::new(policy.rules(), Lent(classifier));
    async move { drive_mut(policies, state, op).await.map_err(own_error) }
}

/// The operation's error of a call that nothing but the operation can have ended.
fn own_error<E>(error: RecoveryError<E>) -> E {
    error
        .into_inner()
        .expect("an untimed retry without other policies ends by an error of its operation only")
}

pin_project! {
    /// The future of [`retry`]. Its setters come before the first poll; everything has a default.
    ///
    /// `C` says what errors and values mean, `L` whether time is limited: under [`Timed`] limits it ends in a
    /// [`RecoveryError`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Retry<'p, F, Fut, T, E, C = Transient, L = Untimed>
    where
        L: TimeLimits,
    {
        #[pin]
        drive: Drive<'p, Single<'p, E, C, L>, F, Fut, T, E>,
    }
}

// A setter that would undo an earlier one is only there before that: what is said once is not lost.
impl<'p, F, Fut, T, E, C> Retry<'p, F, Fut, T, E, C>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    /// How often, after what waits, and within which limits; calls that share a policy share its budget.
    /// Default: at most 3 attempts, waits with full jitter from 100 ms, no budget.
    /// Time limits of this call's own come after it, because they override the policy's.
    #[inline]
    pub fn policy<M: TimeLimits>(self, policy: &'p RetryPolicy<M>) -> Retry<'p, F, Fut, T, E, C, M> {
        let rules = policy.rules();
        self.with(|single| Single { rules, ..single.limited(M::keep(rules.limits())) })
    }
}

impl<'p, F, Fut, T, E, L> Retry<'p, F, Fut, T, E, Transient, L>
where
    L: TimeLimits,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    /// Retries only the errors for which `retryable` says `true`. What is said of values comes after it.
    #[inline]
    pub fn when<W: Fn(&E) -> bool>(self, retryable: W) -> Retry<'p, F, Fut, T, E, When<W>, L> {
        self.with(|single| single.judged_by(|_| When(retryable)))
    }

    /// Who says what an error means. Default: [`Transient`], which retries all of them. What is said of
    /// values comes after it.
    #[inline]
    pub fn classifier(
        self,
        classifier: &'p (dyn ErrorClassifier<E> + Send + Sync),
    ) -> Retry<'p, F, Fut, T, E, Lent<'p, E>, L> {
        self.with(|single| single.judged_by(|_| Lent(classifier)))
    }
}

impl<'p, F, Fut, T, E, C, L> Retry<'p, F, Fut, T, E, C, L>
where
    L: TimeLimits,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    /// Retries also values: those of which `judge` says what is wrong with them. When the attempts end, the
    /// last value is given back as it is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::{Category, retry};
    /// let status = retry(|| async { Ok::<u16, &str>(503) })
    ///     .judge(|status| (*status >= 500).then(|| Category::ServiceUnavailable.into()))
    ///     .await;
    /// assert_eq!(status, Ok(503), "after three attempts");
    /// # }
    /// ```
    #[inline]
    pub fn judge<J>(self, judge: J) -> Retry<'p, F, Fut, T, E, Judging<C, J>, L>
    where
        J: Fn(&T) -> Option<Classification>,
    {
        self.with(|single| single.judged_by(|inner| Judging { inner, judge }))
    }

    /// Retries until `done` says `true` of a value: for work that is asked after until it is finished.
    #[inline]
    pub fn until<D: Fn(&T) -> bool>(self, done: D) -> Retry<'p, F, Fut, T, E, Until<C, D>, L> {
        self.with(|single| single.judged_by(|inner| Until { inner, done }))
    }

    /// How long one attempt may take. Overrides the policy's. Nothing is refused here: of no time at all an
    /// attempt is polled once, and cut short if it has to wait; `Duration::MAX` is for ever.
    pub fn attempt_timeout(self, limit: Duration) -> Retry<'p, F, Fut, T, E, C, Timed> {
        self.with(|single| {
            let limits = CallLimits { attempt: Some(limit), ..L::get(single.limits) };
            single.limited(limits)
        })
    }

    /// How long the whole call may take, with all its attempts and waits. Overrides the policy's. Nothing is
    /// refused here: of no time at all the first attempt is polled once; `Duration::MAX` is for ever.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Reason, retry};
    /// let error = retry(|| std::future::pending::<Result<(), &str>>())
    ///     .deadline(Duration::from_secs(2))
    ///     .await
    ///     .unwrap_err();
    /// assert_eq!(error.reason(), &Reason::DeadlineExceeded);
    /// # }
    /// ```
    pub fn deadline(self, limit: Duration) -> Retry<'p, F, Fut, T, E, C, Timed> {
        self.with(|single| {
            let limits = CallLimits { call: Some(limit), ..L::get(single.limits) };
            single.limited(limits)
        })
    }

    /// Ends the wait, with the last error, as soon as the program wants to end.
    pub fn shutdown(mut self, shutdown: &'p Shutdown) -> Self {
        self.drive.policies().shutdown = Some(shutdown);
        self
    }

    /// Is told of each failed attempt that will be repeated, before the wait. The last call wins, between
    /// this and [`before_retry`](Self::before_retry).
    pub fn notify(mut self, mut hook: impl FnMut(FailedAttempt<'_, E>) + Send + 'p) -> Self {
        let hook: Box<BeforeRetry<'p, E>> = Box::new(move |failed| {
            hook(failed);
            None
        });
        self.drive.hooks().before_retry = Some(hook);
        self
    }

    /// Runs before each wait, and may break the call off. Async, so that it can fetch what the next attempt
    /// needs; what it borrows of the failed attempt it must read before its first `await`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::ops::ControlFlow;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// let token = AtomicU32::new(1);
    /// let answer = recoup::retry(|| async {
    ///     match token.load(Ordering::Relaxed) { 1 => Err("expired"), token => Ok(token) }
    /// })
    /// .before_retry(|_failed| async {
    ///     token.store(2, Ordering::Relaxed); // fetched anew
    ///     ControlFlow::Continue(())
    /// })
    /// .await;
    /// assert_eq!(answer, Ok(2));
    /// # }
    /// ```
    pub fn before_retry<H>(mut self, mut hook: impl FnMut(FailedAttempt<'_, E>) -> H + Send + 'p) -> Self
    where
        H: Future<Output = ControlFlow<()>> + Send + 'p,
    {
        let hook: Box<BeforeRetry<'p, E>> = Box::new(move |failed| Some(Box::pin(hook(failed))));
        self.drive.hooks().before_retry = Some(hook);
        self
    }

    /// Is told when the call ends without a value.
    pub fn on_give_up(mut self, hook: impl FnMut(&RecoveryError<E>) + Send + 'p) -> Self {
        self.drive.hooks().gave_up = Some(Box::new(hook));
        self
    }

    // So that a chain of setters comes to nothing but the settings.
    #[inline(always)]
    fn with<D, M: TimeLimits>(
        self,
        change: impl FnOnce(Single<'p, E, C, L>) -> Single<'p, E, D, M>,
    ) -> Retry<'p, F, Fut, T, E, D, M> {
        Retry { drive: self.drive.under(change) }
    }
}

impl<'p, F, Fut, T, E, C> Future for Retry<'p, F, Fut, T, E, C, Untimed>
where
    E: 'p,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: ErrorClassifier<E> + Judge<T>,
{
    type Output = Result<T, E>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().drive.poll(cx)).map_err(own_error))
    }
}

impl<'p, F, Fut, T, E, C> Future for Retry<'p, F, Fut, T, E, C, Timed>
where
    E: 'p,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: ErrorClassifier<E> + Judge<T>,
{
    type Output = Result<T, RecoveryError<E>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().drive.poll(cx)
    }
}

impl<F, Fut, T, E, C, L: TimeLimits> fmt::Debug for Retry<'_, F, Fut, T, E, C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("drive", &self.drive).finish()
    }
}
