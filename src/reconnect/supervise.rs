//! The loop around a connection.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use pin_project_lite::pin_project;

use super::Reconnect;
use crate::shutdown::Shutdown;
use crate::time::{self, Instant};
use crate::timer::Timer;

/// Runs `connect_and_run` again and again, and waits between the runs as `policy` says.
///
/// A run is one connection from its making to its end. `Continue` asks for another one, however this one
/// ended; `Break` ends the loop with a value. A shutdown that the policy watches ends it too, with `None`: in
/// the middle of a wait or of a run, for a connection may live for days. A run that has to say goodbye watches
/// for that itself, and its policy does not.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::ops::ControlFlow;
/// use recoup::{Reconnect, reconnect};
///
/// let mut feed = vec![Err("refused"), Err("reset"), Ok("end of feed")].into_iter();
/// let end = reconnect(Reconnect::default(), || {
///     let connection = feed.next().expect("three connections are enough");
///     async move {
///         match connection {
///             Ok(last_word) => ControlFlow::Break(last_word),
///             Err(_lost) => ControlFlow::Continue(()),
///         }
///     }
/// })
/// .await;
/// assert_eq!(end, Some("end of feed"));
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping the future drops the run under way, or the wait.
pub fn reconnect<F, Fut, B>(policy: Reconnect, connect_and_run: F) -> Supervise<F, Fut>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = ControlFlow<B>>,
{
    let shutdown = policy.shutdown.as_ref().map(Shutdown::triggered);
    Supervise { connect_and_run, policy, shutdown, timer: Timer::idle(), stage: Stage::Next }
}

pin_project! {
    /// The future of [`reconnect`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Supervise<F, Fut> {
        connect_and_run: F,
        policy: Reconnect,
        shutdown: Option<BoxFuture<'static, ()>>,
        #[pin]
        timer: Timer,
        #[pin]
        stage: Stage<Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<Fut> {
        // A run is to begin.
        Next,
        // Polling a run.
        Running { #[pin] run: Fut, since: Instant },
        // The run is dropped by now.
        Waiting { until: Instant },
        Done,
    }
}

impl<F, Fut, B> Future for Supervise<F, Fut>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = ControlFlow<B>>,
{
    type Output = Option<B>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<B>> {
        let mut this = self.project();
        if this.shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
            *this.shutdown = None; // it must not be polled again
            this.stage.set(Stage::Done);
            return Poll::Ready(None);
        }
        loop {
            match this.stage.as_mut().project() {
                StageProj::Next => {
                    let run = (this.connect_and_run)();
                    this.stage.set(Stage::Running { run, since: time::now() });
                }
                StageProj::Running { run, since } => {
                    let end = ready!(run.poll(cx));
                    let now = time::now();
                    let lived = now.saturating_duration_since(*since);
                    this.stage.set(Stage::Done);
                    if let ControlFlow::Break(value) = end {
                        return Poll::Ready(Some(value));
                    }
                    let until = time::later_or_far(now, this.policy.next_delay(lived));
                    this.stage.set(Stage::Waiting { until });
                    if until <= now {
                        // A loop without waits must not keep its thread to itself, nor miss the shutdown.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                StageProj::Waiting { until } => {
                    ready!(this.timer.as_mut().poll_until(*until, cx));
                    this.timer.as_mut().disarm();
                    this.stage.set(Stage::Next);
                }
                StageProj::Done => panic!("polled after it was ready"),
            }
        }
    }
}

impl<F, Fut> fmt::Debug for Supervise<F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervise").field("policy", &self.policy).finish_non_exhaustive()
    }
}
