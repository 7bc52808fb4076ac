//! The entrance.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{Judged, Using};
use crate::attempt::Attempt;
use crate::call::{
    AnyValue, Drive, Judge, Judging, LendingOperation, Refines, Repeating, Repeats, drive_mut,
};
use crate::classification::Classification;
use crate::error::{CannotRepeat, RecoveryError};

/// Makes one call of `op` under everything that the recovery has wired: an attempt, and as many more as it
/// takes and the policies allow.
///
/// `recovery` is `&recovery`, or [`recovery.with_context(&call)`](super::Recovery::with_context) for a call
/// about which more is known.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{CircuitBreaker, Recovery, execute_with_recovery};
///
/// let recovery = Recovery::<&str>::builder("search")
///     .circuit_breaker(CircuitBreaker::builder("search"))
///     .build()
///     .unwrap();
/// let found = execute_with_recovery(&recovery, |attempt| async move {
///     if attempt.is_first() { Err("busy") } else { Ok("needle") }
/// })
/// .await;
/// assert_eq!(found.unwrap(), "needle");
/// # }
/// ```
///
/// # Errors
///
/// [`RecoveryError`], which says who gave up and why and keeps the operation's own error whole.
///
/// # Cancel safety
///
/// Dropping the future drops the attempt under way, or the wait, and gives back what it held: the slot and
/// its place in the queue, the token reserved for a retry, a probe's place. An attempt under way counts as
/// abandoned for the circuit breaker. No letter is written for a call that was dropped; one that is dropped
/// while its letter is being stored has it stored whole or not at all.
#[inline]
pub fn execute_with_recovery<'r, F, Fut, T, E>(
    recovery: impl Into<Using<'r, E>>,
    op: F,
) -> ExecuteWithRecovery<'r, F, Fut, T, E>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    ExecuteWithRecovery { drive: Drive::new(Judged::any(recovery.into()), op) }
}

/// As [`execute_with_recovery`], where every attempt is lent `state` anew. The future is `Send` whatever it
/// borrows.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::{Attempt, Recovery, execute_with_recovery_mut};
///
/// let recovery = Recovery::<&str>::builder("log").build().unwrap();
/// let mut lines = Vec::new();
/// execute_with_recovery_mut(&recovery, &mut lines, async |lines: &mut Vec<u32>, attempt: Attempt| {
///     lines.push(attempt.number());
///     if attempt.is_first() { Err("busy") } else { Ok(()) }
/// })
/// .await
/// .unwrap();
/// assert_eq!(lines, [1, 2]);
/// # }
/// ```
///
/// # Errors
///
/// As [`execute_with_recovery`].
///
/// # Cancel safety
///
/// As [`execute_with_recovery`]. What a dropped attempt has done to `state` stays done.
pub fn execute_with_recovery_mut<'r, S, T, E, F>(
    recovery: impl Into<Using<'r, E>>,
    state: &'r mut S,
    op: F,
) -> impl Future<Output = Result<T, RecoveryError<E>>> + Send
where
    S: Send + ?Sized,
    T: Send,
    E: Send + 'r,
    F: for<'a> LendingOperation<&'a mut S, T, E> + Send + 'r,
{
    drive_mut(Judged::any(recovery.into()), state, op)
}

pin_project! {
    /// The future of [`execute_with_recovery`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct ExecuteWithRecovery<'r, F, Fut, T, E, J = AnyValue> {
        #[pin]
        pub(super) drive: Drive<'r, Judged<'r, E, J>, F, Fut, T, E>,
    }
}

impl<'r, F, Fut, T, E, J> ExecuteWithRecovery<'r, F, Fut, T, E, J> {
    /// Treats values too as failures: those of which `judge` says what is wrong with them. When the attempts
    /// end, the last value is given back as it is, and no letter is written.
    pub fn judge<K>(self, judge: K) -> ExecuteWithRecovery<'r, F, Fut, T, E, Judging<J, K>>
    where
        K: Fn(&T) -> Option<Classification>,
    {
        let change = |Judged { using, judge: inner }| Judged { using, judge: Judging { inner, judge } };
        ExecuteWithRecovery { drive: self.drive.under(change) }
    }

    /// Makes the call again only where `may` allows it, too. It is asked after each attempt that was worth
    /// another one, an attempt that took too long included, and told what is known of it. What it answers
    /// stands in [`Reason::CannotRepeat`](crate::Reason::CannotRepeat).
    ///
    /// For calls that must not be made twice, unless the first time surely did nothing:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::io::{Error, ErrorKind};
    /// use recoup::{CannotRepeat, Classification, IoErrors, Reason, Recovery, execute_with_recovery};
    ///
    /// let recovery = Recovery::builder("bank").classifier(IoErrors).build().unwrap();
    /// let once = |failed: &Classification| match failed.is_unprocessed() {
    ///     true => Ok(()),
    ///     false => Err(CannotRepeat::NotIdempotent),
    /// };
    /// let charge = execute_with_recovery(&recovery, |attempt| async move {
    ///     let kind = if attempt.is_first() { ErrorKind::ConnectionRefused } else { ErrorKind::ConnectionReset };
    ///     Err::<(), _>(Error::from(kind))
    /// });
    /// let error = charge.repeat_if(once).await.unwrap_err();
    /// assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent));
    /// assert_eq!(error.attempts(), 2);
    /// # }
    /// ```
    pub fn repeat_if<R>(self, may: R) -> ExecuteWithRecovery<'r, F, Fut, T, E, Repeating<J, R>>
    where
        R: Fn(&Classification) -> Result<(), CannotRepeat>,
    {
        let change = |Judged { using, judge: inner }| Judged { using, judge: Repeating { inner, may } };
        ExecuteWithRecovery { drive: self.drive.under(change) }
    }
}

impl<'r, F, Fut, T, E, J> Future for ExecuteWithRecovery<'r, F, Fut, T, E, J>
where
    E: 'r,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    J: Judge<T> + Repeats + Refines<E>,
{
    type Output = Result<T, RecoveryError<E>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().drive.poll(cx)
    }
}

impl<F, Fut, T, E, J> fmt::Debug for ExecuteWithRecovery<'_, F, Fut, T, E, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecuteWithRecovery").field("drive", &self.drive).finish()
    }
}
