//! The future of a call: moves between stages, and asks the plan at each turn.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::aside::{Aside, Before};
use super::attempt::{self, Cut};
use super::judge::Judge;
use super::pass::{Given, Pass, Plain};
use super::plan::{Instead, Plan};
use super::policies::{Gives, Policies};
use crate::attempt::Attempt;
use crate::classification::{Classification, Outcome};
use crate::error::RecoveryError;
use crate::time::Now;
use crate::timer::{Timer, TimerPlace};

pin_project! {
    /// One call under way. Everything it was given is owned by its stage and comes back when that is dropped.
    ///
    /// What a call needs that succeeds at its first attempt is held in place. The rest is kept with what has
    /// gone wrong, in the plan's box, so that the calls for which all is well do not carry it.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Drive<'r, P, F, Fut, T, E>
    where
        P: Gives,
    {
        op: F,
        // Before the plan: the operation is dropped first, then the pass gives back what it was given.
        #[pin]
        stage: Stage<Fut>,
        // For the attempt's limits and for waits, which never overlap. Where there are no limits, it has no room, and
        // a wait has its own.
        #[pin]
        timer: P::Timer,
        plan: Plan<'r, P, E, Option<Aside<'r, T, E>>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<Fut> {
        // Nothing has been asked of anybody yet.
        New,
        // Polling the operation.
        Running { #[pin] attempt: Fut },
        // Waiting for something else: see there.
        Aside,
        Done,
    }
}

impl<'r, P: Gives, F, Fut, T, E> Drive<'r, P, F, Fut, T, E> {
    #[inline]
    pub(crate) fn new(policies: P, op: F) -> Self {
        Self { op, stage: Stage::New, timer: P::Timer::idle(), plan: Plan::new(policies) }
    }

    /// The same call under other policies, with the hooks that it has; for setters that come before the first
    /// poll.
    #[inline(always)]
    pub(crate) fn under<Q: Gives<Hooks = P::Hooks>>(
        self,
        change: impl FnOnce(P) -> Q,
    ) -> Drive<'r, Q, F, Fut, T, E> {
        let Plan { policies, past, .. } = self.plan;
        let mut drive = Drive::new(change(policies), self.op);
        drive.plan.past = past;
        drive
    }

    /// The user's hooks, for setters that come before the first poll.
    pub(crate) fn hooks(&mut self) -> &mut P::Hooks {
        self.plan.hooks()
    }

    /// The policies, for setters that come before the first poll.
    pub(crate) fn policies(&mut self) -> &mut P {
        &mut self.plan.policies
    }
}

impl<'r, P, F, Fut, T, E> Future for Drive<'r, P, F, Fut, T, E>
where
    P: Policies<'r, E> + Judge<T>,
    E: 'r,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, RecoveryError<E>>;

    // A call to which nobody has more to say than yes, and whose operation is ready at once, goes straight down
    // through here, inlined where it is awaited: going there and back took a quarter of a retry. Every other one goes
    // on out of line.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        let StageProj::New = this.stage.as_mut().project() else { return self.poll_again(cx) };
        let Some(plain) = this.plan.begin_plainly() else { return self.go_on(None, cx) };
        let Plan { policies, pass, .. } = this.plan;
        let given = Given::new(plain, pass);
        let attempt = (this.op)(Attempt::FIRST);
        this.stage.set(Stage::Running { attempt });
        let StageProj::Running { attempt } = this.stage.as_mut().project() else { unreachable!() };
        match attempt::poll_operation(attempt, cx) {
            Poll::Ready(Ok(value)) => {
                // The operation goes before what it was given.
                this.stage.set(Stage::Done);
                match policies.judge(&value) {
                    None => {
                        given.succeed(&Now::unread());
                        this.plan.succeeded_plainly();
                        Poll::Ready(Ok(value))
                    }
                    Some(answer) => {
                        drop(given);
                        self.not_good_enough(value, answer, cx)
                    }
                }
            }
            Poll::Pending => {
                let plain = given.taken();
                self.waits_plainly(plain, cx)
            }
            failed @ Poll::Ready(_) => {
                drop(given);
                self.go_on(Some(failed), cx)
            }
        }
    }
}

/// Gives the place in the timer wheel back, if there is one.
#[inline(always)]
fn disarm(timer: Pin<&mut impl TimerPlace>) {
    if let Some(timer) = timer.timer() {
        timer.disarm();
    }
}

/// What a call ends with, if it does.
type End<T, E> = Option<Result<T, RecoveryError<E>>>;

impl<'r, P, F, Fut, T, E> Drive<'r, P, F, Fut, T, E>
where
    P: Policies<'r, E> + Judge<T>,
    E: 'r,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    /// The attempt that was begun plainly has to wait.
    #[inline(never)]
    fn waits_plainly(
        mut self: Pin<&mut Self>,
        plain: Plain<'r>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RecoveryError<E>>> {
        let this = self.as_mut().project();
        this.plan.pass.keep(plain, Outcome::Abandoned);
        if let Some(timer) = this.timer.timer()
            && let Some(at) = this.plan.first_look(&Now::unread())
            && timer.arm(at, cx).is_pending()
        {
            return Poll::Pending;
        }
        self.pends(cx)
    }

    /// The attempt under way is pending: until one of its limits has come.
    #[inline(never)]
    fn pends(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, RecoveryError<E>>> {
        let mut this = self.as_mut().project();
        this.plan.pass.assume(Outcome::Abandoned);
        let cut = ready!(attempt::poll_limits(this.plan, this.timer.as_mut(), cx));
        this.stage.set(Stage::Done);
        disarm(this.timer);
        match self.as_mut().failed(Err(cut)) {
            Some(end) => Poll::Ready(end),
            None => self.go_on(None, cx),
        }
    }

    /// Not for the first time. An attempt that was pending and now gives a value needs nothing more than this.
    #[inline(never)]
    fn poll_again(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, RecoveryError<E>>> {
        let mut this = self.as_mut().project();
        let StageProj::Running { attempt } = this.stage.as_mut().project() else {
            return self.go_on(None, cx);
        };
        this.plan.pass.assume(Outcome::Failure);
        match attempt::poll_operation(attempt, cx) {
            Poll::Pending => self.pends(cx),
            Poll::Ready(Ok(value)) => {
                this.plan.slow |= this.timer.as_mut().timer().is_some_and(|timer| timer.has_come());
                this.stage.set(Stage::Done);
                disarm(this.timer);
                match this.plan.policies.judge(&value) {
                    None => {
                        this.plan.succeeded(&Now::unread());
                        Poll::Ready(Ok(value))
                    }
                    Some(answer) => self.not_good_enough(value, answer, cx),
                }
            }
            failed @ Poll::Ready(_) => self.go_on(Some(failed), cx),
        }
    }

    /// Whatever is not plain. `polled` is what the attempt has answered, if it was polled already.
    #[inline(never)]
    fn go_on(
        mut self: Pin<&mut Self>,
        mut polled: Option<Poll<Result<T, E>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RecoveryError<E>>> {
        loop {
            let mut this = self.as_mut().project();
            let end = match this.stage.as_mut().project() {
                StageProj::New => match this.plan.begin(&Now::unread()) {
                    Ok(()) => {
                        self.as_mut().start();
                        None
                    }
                    Err(instead) => self.as_mut().turn(instead, None),
                },
                StageProj::Running { attempt } => {
                    let ended = match polled.take() {
                        Some(polled) => attempt::limited(polled, this.plan, this.timer.as_mut(), cx),
                        None => attempt::poll(attempt, this.plan, this.timer.as_mut(), cx),
                    };
                    let ended = ready!(ended);
                    // The operation goes before any wait: it must not hold on to anything meanwhile.
                    this.stage.set(Stage::Done);
                    disarm(this.timer);
                    match ended {
                        Ok(Ok(value)) => match this.plan.policies.judge(&value) {
                            None => {
                                this.plan.succeeded(&Now::unread());
                                return Poll::Ready(Ok(value));
                            }
                            Some(answer) => self.as_mut().unfinished(value, answer),
                        },
                        Ok(Err(error)) => self.as_mut().failed(Ok(error)),
                        Err(cut) => self.as_mut().failed(Err(cut)),
                    }
                }
                StageProj::Aside => ready!(self.as_mut().poll_aside(cx)),
                StageProj::Done => panic!("polled after it was ready"),
            };
            if let Some(end) = end {
                return Poll::Ready(end);
            }
        }
    }

    /// The attempt gave a value that is not good enough.
    #[cold]
    fn not_good_enough(
        mut self: Pin<&mut Self>,
        value: T,
        answer: Classification,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RecoveryError<E>>> {
        match self.as_mut().unfinished(value, answer) {
            Some(end) => Poll::Ready(end),
            None => self.go_on(None, cx),
        }
    }

    #[inline]
    fn start(self: Pin<&mut Self>) {
        let mut this = self.project();
        let attempt = (this.op)(this.plan.attempt());
        this.stage.set(Stage::Running { attempt });
    }

    #[cold]
    fn failed(self: Pin<&mut Self>, result: Result<E, Cut>) -> End<T, E> {
        let mut this = self;
        let instead = this.as_mut().project().plan.failed(result, &Now::unread());
        this.turn(instead, None)
    }

    #[cold]
    fn unfinished(self: Pin<&mut Self>, value: T, answer: Classification) -> End<T, E> {
        let mut this = self;
        let instead = this.as_mut().project().plan.unfinished(answer, &Now::unread());
        this.turn(instead, Some(value))
    }

    /// Goes another way than into an attempt. `kept` is the value of the last one, if it had one that was not
    /// good enough.
    #[cold]
    fn turn(self: Pin<&mut Self>, instead: Instead<'r>, kept: Option<T>) -> End<T, E> {
        let mut this = self.project();
        let reason = match Before::new(instead, this.plan) {
            Ok(before) => {
                this.plan.past().side = Some(Aside::Before(before, kept, None));
                this.stage.set(Stage::Aside);
                return None;
            }
            Err(reason) => reason,
        };
        this.stage.set(Stage::Done);
        if let Some(value) = kept {
            this.plan.give_up_with_a_value(reason, &Now::unread());
            return Some(Ok(value));
        }
        let (error, burial) = this.plan.give_up(reason, &Now::unread());
        let Some(push) = burial else { return Some(Err(error)) };
        this.plan.past().side = Some(Aside::Burying(push, error));
        this.stage.set(Stage::Aside);
        None
    }

    #[cold]
    fn poll_aside(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End<T, E>> {
        let mut this = self.as_mut().project();
        match this.plan.past().side.take().expect("who steps aside has something to wait for") {
            Aside::Before(mut before, kept, mut spare) => {
                let timer = match this.timer.as_mut().timer() {
                    Some(timer) => timer,
                    None => spare.get_or_insert_with(|| Box::pin(Timer::idle())).as_mut(),
                };
                match before.poll(this.plan, timer, cx) {
                    Poll::Ready(begun) => {
                        disarm(this.timer);
                        Poll::Ready(match begun {
                            Ok(()) => {
                                drop((kept, spare));
                                self.start();
                                None
                            }
                            Err(instead) => self.turn(instead, kept),
                        })
                    }
                    Poll::Pending => {
                        this.plan.past().side = Some(Aside::Before(before, kept, spare));
                        Poll::Pending
                    }
                }
            }
            Aside::Burying(mut push, mut error) => match push.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    this.stage.set(Stage::Done);
                    this.plan.buried(answer, &mut error);
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Pending => {
                    this.plan.past().side = Some(Aside::Burying(push, error));
                    Poll::Pending
                }
            },
        }
    }
}

impl<P: Gives, F, Fut, T, E> fmt::Debug for Drive<'_, P, F, Fut, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("attempts", &self.plan.attempts).finish_non_exhaustive()
    }
}
