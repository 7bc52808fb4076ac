//! The future of a call: moves between stages, and asks the plan at each turn.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use pin_project_lite::pin_project;

use super::attempt::{self, Pass};
use super::judge::Judge;
use super::plan::{Begin, Next, Plan, Then, Wait};
use super::policies::Policies;
use super::queue::Queue;
use crate::attempt::Attempt;
use crate::dead_letter::{PushError, Receipt};
use crate::error::{Reason, RecoveryError};
use crate::time::{Instant, Now};
use crate::timer::Timer;

pin_project! {
    /// One call under way. Everything it was given is owned by its stage and comes back when that is dropped.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Drive<'r, P, F, Fut, T, E> {
        op: F,
        plan: Plan<'r, P, E>,
        // For the attempt's limit and for waits, which never overlap.
        #[pin]
        timer: Timer,
        #[pin]
        stage: Stage<'r, Fut, T, E>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<'r, Fut, T, E> {
        // Nothing has been asked of anybody yet.
        New,
        // Waiting for a slot.
        Queued { queue: Queue<'r>, value: Option<T> },
        // Polling the operation. The attempt is dropped first, then the pass gives back what it was given.
        Running { #[pin] attempt: Fut, pass: Option<Pass<'r>> },
        // The user's hook has its say before the wait. A value that was not good enough is kept until the
        // next attempt begins: if there is none, it is what the call ends with.
        Asking { hook: BoxFuture<'r, ControlFlow<()>>, wait: Option<Wait>, value: Option<T> },
        // Waiting; holds no slot.
        Waiting {
            until: Instant,
            then: Option<Then>,
            shutdown: Option<BoxFuture<'static, ()>>,
            value: Option<T>,
        },
        // Waiting for the letter to be stored.
        Burying { push: BoxFuture<'r, Result<Receipt, PushError>>, error: Option<Box<RecoveryError<E>>> },
        Done,
    }
}

impl<P, F, Fut, T, E> Drive<'_, P, F, Fut, T, E> {
    pub(crate) fn new(policies: P, op: F) -> Self {
        Self { op, plan: Plan::new(policies), timer: Timer::idle(), stage: Stage::New }
    }

    /// What it was made of; for setters that come before the first poll.
    pub(crate) fn into_parts(self) -> (P, F) {
        (self.plan.policies, self.op)
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let mut kept = None;
            let begin = match this.stage.as_mut().project() {
                StageProj::New => this.plan.begin(&Now::unread()),

                StageProj::Queued { queue, value } => {
                    let answer = ready!(queue.poll(this.timer.as_mut(), cx));
                    kept = value.take();
                    this.timer.as_mut().disarm();
                    match answer {
                        Ok((permit, slot)) => this.plan.got_slot(permit, slot, &Now::unread()),
                        Err(reason) => Begin::Refused(reason),
                    }
                }

                StageProj::Running { attempt, pass } => {
                    let held = pass.as_mut().expect("an attempt holds its pass until it ends");
                    let ended = ready!(attempt::poll(attempt, held, this.plan, this.timer.as_mut(), cx));
                    let pass = pass.take().expect("an attempt holds its pass until it ends");
                    this.timer.as_mut().disarm();
                    // The operation goes before any wait: it must not hold on to anything meanwhile.
                    this.stage.set(Stage::Done);
                    let next = match ended {
                        Ok(Ok(value)) => match this.plan.policies.judge(&value) {
                            None => {
                                this.plan.succeeded(pass);
                                return Poll::Ready(Ok(value));
                            }
                            Some(answer) => {
                                kept = Some(value);
                                this.plan.unfinished(answer, pass)
                            }
                        },
                        Ok(Err(error)) => this.plan.failed(Ok(error), pass),
                        Err(cut) => this.plan.failed(Err(cut), pass),
                    };
                    match next {
                        Next::Wait(wait) => Begin::Wait(wait),
                        Next::Ask(hook, wait) => {
                            this.stage.set(Stage::Asking { hook, wait: Some(wait), value: kept });
                            continue;
                        }
                        Next::GiveUp(reason) => Begin::Refused(reason),
                    }
                }

                StageProj::Asking { hook, wait, value } => {
                    let answer = hook.as_mut().poll(cx);
                    if answer.is_pending() {
                        ready!(attempt::poll_deadline(this.plan, this.timer.as_mut(), cx));
                    }
                    kept = value.take();
                    match answer {
                        Poll::Ready(ControlFlow::Continue(())) => {
                            Begin::Wait(wait.take().expect("a hook is asked about one wait"))
                        }
                        Poll::Ready(ControlFlow::Break(())) => Begin::Refused(Reason::StoppedByHook),
                        Poll::Pending => Begin::Refused(Reason::DeadlineExceeded),
                    }
                }

                StageProj::Waiting { until, then, shutdown, value } => {
                    if shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
                        kept = value.take();
                        Begin::Refused(Reason::ShutDown)
                    } else {
                        ready!(this.timer.as_mut().poll_until(*until, cx));
                        kept = value.take();
                        this.timer.as_mut().disarm();
                        this.plan.waited(then.take().expect("a wait ends once"))
                    }
                }

                StageProj::Burying { push, error } => {
                    let burial = ready!(push.as_mut().poll(cx));
                    let mut error = *error.take().expect("a call is buried once");
                    this.stage.set(Stage::Done);
                    this.plan.buried(burial, &mut error);
                    return Poll::Ready(Err(error));
                }

                StageProj::Done => panic!("polled after it was ready"),
            };

            match begin {
                Begin::Go(pass) => {
                    drop(kept);
                    let attempt = (this.op)(this.plan.attempt());
                    this.stage.set(Stage::Running { attempt, pass: Some(pass) });
                }
                Begin::Queue(queue) => this.stage.set(Stage::Queued { queue, value: kept }),
                Begin::Wait(Wait { until, then }) => {
                    let (then, shutdown) = (Some(then), this.plan.shutdown());
                    this.stage.set(Stage::Waiting { until, then, shutdown, value: kept });
                }
                Begin::Refused(reason) => {
                    this.stage.set(Stage::Done);
                    if let Some(value) = kept {
                        this.plan.give_up_with_a_value(reason);
                        return Poll::Ready(Ok(value));
                    }
                    let (error, burial) = this.plan.give_up(reason);
                    let Some(push) = burial else { return Poll::Ready(Err(error)) };
                    this.stage.set(Stage::Burying { push, error: Some(Box::new(error)) });
                }
            }
        }
    }
}

impl<P, F, Fut, T, E> fmt::Debug for Drive<'_, P, F, Fut, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("attempts", &self.plan.attempts).finish_non_exhaustive()
    }
}
