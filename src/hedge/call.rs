//! The future of a hedged call: polls the race, and launches what its plan says.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Shared;
use super::latency::Stopwatch;
use super::plan::Plan;
use super::race::{Fatal, Race};
use crate::attempt::Attempt;
use crate::time::Now;
use crate::timer::Timer;

/// Who makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nobody repeats it: a failure is hedged at once, and a success is paid in.
    Alone,
    /// A retry, which does both.
    InRetry,
}

pin_project! {
    /// The future of [`Hedge::call`](super::Hedge::call). Its setters come before the first poll.
    ///
    /// The first attempt is polled in place, and nothing is allocated until it is hedged. A timer is set only
    /// if it has to wait.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Hedge, Idempotent};
    /// let hedge = Hedge::after(Duration::from_millis(50)).build().unwrap();
    /// let hedged = hedge.call(Idempotent(|_| async { Ok::<_, ()>(7) }));
    /// assert_eq!(hedged.await, Ok(7));
    /// # }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Hedged<'h, F, Fut, E> {
        hedge: &'h Shared,
        op: F,
        told: Attempt,
        way: Way,
        fatal: Option<Box<Fatal<'h, E>>>,
        siblings: Option<&'h mut Vec<E>>,
        plan: Plan,
        #[pin]
        first: Option<Fut>,
        race: Race<'h, Fut, E>,
        #[pin]
        timer: Timer,
        // After the first attempt: it learns then that this was cut short.
        watch: Stopwatch<'h>,
    }
}

/// The first attempt during one poll. It is dropped with this, at the end as by a panic, unless the race goes
/// on.
struct Lap<'a, Fut> {
    first: Pin<&'a mut Option<Fut>>,
    goes_on: bool,
}

impl<Fut> Drop for Lap<'_, Fut> {
    fn drop(&mut self) {
        if !self.goes_on {
            self.first.set(None);
        }
    }
}

impl<'h, F, Fut, E> Hedged<'h, F, Fut, E> {
    #[inline]
    pub(super) fn new(hedge: &'h Shared, op: F, told: Attempt, way: Way) -> Self {
        Self {
            hedge,
            op,
            told,
            way,
            fatal: None,
            siblings: None,
            plan: Plan::new(),
            first: None,
            race: Race::new(hedge),
            timer: Timer::idle(),
            watch: Stopwatch::stopped(),
        }
    }

    /// Ends the race with an error for which `fatal` says `true`: no other attempt will do better. Default:
    /// none is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Hedge, Idempotent};
    /// let hedge = Hedge::after(Duration::from_millis(50)).no_max_extra().build().unwrap();
    /// let answer = hedge.call(Idempotent(|_| async { Err::<(), _>("no such user") }));
    /// assert_eq!(answer.stop_when(|error| *error == "no such user").await, Err("no such user"));
    /// assert_eq!(hedge.snapshot().launched, 0);
    /// # }
    /// ```
    pub fn stop_when(mut self, fatal: impl Fn(&E) -> bool + Send + 'h) -> Self {
        self.fatal = Some(Box::new(fatal));
        self
    }

    /// Adds to `errors` those of the attempts that failed, but for the one that the call ends with. They come
    /// in the order of their failures, the first attempt's last. Default: they are dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use recoup::{Attempt, Hedge, Idempotent};
    /// let hedge = Hedge::after(Duration::from_millis(50)).max_attempts(3).no_max_extra().build().unwrap();
    /// let mut others = Vec::new();
    /// let answer = hedge.call(Idempotent(|attempt: Attempt| async move { Err::<(), _>(attempt.hedge()) }));
    /// assert_eq!(answer.siblings(&mut others).await, Err(0));
    /// assert_eq!(others, [1, 2]);
    /// # }
    /// ```
    pub fn siblings(mut self, errors: &'h mut Vec<E>) -> Self {
        self.siblings = Some(errors);
        self
    }
}

impl<F, Fut, T, E> Future for Hedged<'_, F, Fut, E>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (hedge, alone) = (*this.hedge, *this.way == Way::Alone);
        // All that races is held here for the length of a poll: however it ends, but by waiting, it is dropped.
        let mut race = std::mem::replace(this.race, Race::new(hedge));
        let mut lap = Lap { first: this.first, goes_on: false };
        if !this.plan.has_begun() {
            this.plan.begin(hedge);
            *this.watch = Stopwatch::started(hedge.delay.learns(), &Now::unread());
            lap.first.set(Some((this.op)(*this.told)));
        }
        loop {
            let failed = match race.turn(lap.first.as_mut(), this.watch, this.fatal.as_deref(), cx) {
                ControlFlow::Continue(failed) => failed,
                ControlFlow::Break(end) => {
                    if end.is_ok() && alone {
                        hedge.earn(&Now::unread());
                    }
                    race.hand_over(this.siblings.as_deref_mut());
                    return Poll::Ready(end);
                }
            };
            let now = Now::unread();
            let mut launch = |plan: &mut Plan, race: &mut Race<'_, Fut, E>| {
                let Some(number) = plan.launch(hedge, &now) else { return false };
                race.launch(|| (this.op)(this.told.hedged(number)));
                hedge.tell_launched(number);
                true
            };
            // What failed is followed at once, one for one.
            let at_once = if alone { failed } else { 0 };
            if (0..at_once).filter(|_| launch(this.plan, &mut race)).count() > 0 {
                continue;
            }
            if lap.first.is_none() && race.is_empty() {
                let first = race.end();
                race.hand_over(this.siblings.as_deref_mut());
                return Poll::Ready(Err(first));
            }
            let Some(due) = this.plan.due(hedge, &now) else {
                this.timer.disarm();
                break;
            };
            if this.timer.as_mut().poll_at(&now, due, cx).is_pending() {
                break;
            }
            if !launch(this.plan, &mut race) {
                this.timer.disarm();
                break;
            }
        }
        lap.goes_on = true;
        *this.race = race;
        Poll::Pending
    }
}

impl<F, Fut, E> fmt::Debug for Hedged<'_, F, Fut, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedged")
            .field("hedge", &self.hedge.name)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
