//! An operation that does what a test wrote down.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::attempt::Attempt;
use crate::sync::Lock;
use crate::time::{self, Instant, Now};
use crate::timer::{self, Timer};

/// An operation that plays a script: one step for each call, in the order in which they were written.
///
/// A call that comes after the last step panics and says so: a test that is called more often than it
/// thought is wrong. Where any number of calls is right, [`always_fail`](Self::always_fail) and
/// [`always_succeed`](Self::always_succeed) say what they get. Clones play the same script on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::testing::Script;
/// use recoup::{RetryPolicy, retry};
///
/// let policy = RetryPolicy::fixed(Duration::from_secs(2)).build().unwrap();
/// let script = Script::new().fail_times(1, "busy").after(Duration::from_secs(3)).succeed(7);
///
/// let answer = retry(|| script.call()).policy(&policy).attempt_timeout(Duration::from_secs(5)).await;
///
/// assert_eq!(answer.unwrap(), 7);
/// assert_eq!(script.calls(), 2);
/// assert_eq!(script.called_at()[0], Duration::ZERO);
/// assert_eq!((script.live(), script.dropped(), script.left()), (0, 0, 0));
/// # }
/// ```
pub struct Script<T, E> {
    stage: Arc<Lock<Stage<T, E>>>,
}

/// What the clones share.
struct Stage<T, E> {
    made: Instant,
    steps: VecDeque<Step<T, E>>,
    /// What a call gets after the last step.
    always: Option<Always<T, E>>,
    /// How long the next step that is written waits.
    before_next: Duration,
    calls: Vec<Call>,
    live: u64,
    most_live: u64,
    dropped: u64,
}

struct Call {
    at: Duration,
    /// Its number, if the caller told it.
    attempt: Option<u32>,
}

struct Step<T, E> {
    wait: Duration,
    act: Act<T, E>,
}

enum Act<T, E> {
    End(Result<T, E>),
    Hang,
    Panic(String),
}

/// A result that can be given any number of times, and how to make it again.
struct Always<T, E> {
    wait: Duration,
    result: Result<T, E>,
    again: Again<T, E>,
}

type Again<T, E> = fn(&Result<T, E>) -> Option<Result<T, E>>;

impl<T, E> Script<T, E> {
    /// A script without steps. [`called_at`](Self::called_at) counts from now: make it inside the test.
    #[must_use]
    pub fn new() -> Self {
        let stage = Stage {
            made: time::now(),
            steps: VecDeque::new(),
            always: None,
            before_next: Duration::ZERO,
            calls: Vec::new(),
            live: 0,
            most_live: 0,
            dropped: 0,
        };
        Self { stage: Arc::new(Lock::new(stage)) }
    }

    /// A step that succeeds.
    #[must_use]
    pub fn succeed(self, value: T) -> Self {
        self.step(Act::End(Ok(value)))
    }

    /// A step that fails.
    #[must_use]
    pub fn fail(self, error: E) -> Self {
        self.step(Act::End(Err(error)))
    }

    /// So many steps that fail alike. A wait said before them is had by each of them.
    #[must_use]
    pub fn fail_times(mut self, times: u32, error: E) -> Self
    where
        E: Clone,
    {
        let wait = std::mem::take(&mut self.stage.lock().before_next);
        for _ in 0..times {
            self = self.after(wait).fail(error.clone());
        }
        self
    }

    /// A step that never ends; it can only be dropped.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(Act::Hang)
    }

    /// A step that panics, in the poll in which it would have ended.
    #[must_use]
    pub fn panic(self, message: impl Into<String>) -> Self {
        self.step(Act::Panic(message.into()))
    }

    /// The next step that is written comes only after this long. Said twice, the waits add up.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        {
            let mut stage = self.stage.lock();
            stage.before_next = stage.before_next.saturating_add(wait);
        }
        self
    }

    /// Every call after the last step fails so.
    #[must_use]
    pub fn always_fail(self, error: E) -> Self
    where
        E: Clone,
    {
        self.always(Err(error), |result| result.as_ref().err().map(|error| Err(error.clone())))
    }

    /// Every call after the last step succeeds so.
    #[must_use]
    pub fn always_succeed(self, value: T) -> Self
    where
        T: Clone,
    {
        self.always(Ok(value), |result| result.as_ref().ok().map(|value| Ok(value.clone())))
    }

    /// Calls the operation: for `retry(|| script.call())`. The step is taken now, and played when the future is
    /// polled.
    ///
    /// # Panics
    ///
    /// If the script has ended.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has used its step up, and is counted by [`dropped`](Self::dropped).
    #[track_caller]
    pub fn call(&self) -> Play<T, E> {
        self.play(None)
    }

    /// Calls the operation as an attempt, whose number is remembered: for
    /// `execute_with_recovery(&recovery, |attempt| script.attempt(attempt))`.
    ///
    /// # Panics
    ///
    /// If the script has ended.
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    #[track_caller]
    pub fn attempt(&self, attempt: Attempt) -> Play<T, E> {
        self.play(Some(attempt.number()))
    }

    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.stage.lock().calls.len()
    }

    /// When it was called, counted from when the script was made.
    #[must_use]
    pub fn called_at(&self) -> Vec<Duration> {
        self.stage.lock().calls.iter().map(|call| call.at).collect()
    }

    /// The numbers of the attempts that [`attempt`](Self::attempt) was told, in the order of the calls.
    #[must_use]
    pub fn attempts(&self) -> Vec<u32> {
        self.stage.lock().calls.iter().filter_map(|call| call.attempt).collect()
    }

    /// How many calls are under way: neither ended nor dropped.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.stage.lock().live
    }

    /// The most calls that were ever under way at once.
    #[must_use]
    pub fn most_live(&self) -> u64 {
        self.stage.lock().most_live
    }

    /// How many calls were dropped before they ended.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.stage.lock().dropped
    }

    /// How many steps nobody has called for yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.stage.lock().steps.len()
    }

    fn step(self, act: Act<T, E>) -> Self {
        {
            let mut stage = self.stage.lock();
            let wait = std::mem::take(&mut stage.before_next);
            stage.steps.push_back(Step { wait, act });
        }
        self
    }

    fn always(self, result: Result<T, E>, again: Again<T, E>) -> Self {
        let replaced = {
            let mut stage = self.stage.lock();
            let wait = std::mem::take(&mut stage.before_next);
            stage.always.replace(Always { wait, result, again })
        };
        drop(replaced); // outside the lock: it may be the user's code that runs
        self
    }

    #[track_caller]
    fn play(&self, attempt: Option<u32>) -> Play<T, E> {
        let mut stage = self.stage.lock();
        let at = time::now().saturating_duration_since(stage.made);
        stage.calls.push(Call { at, attempt });
        let step = stage.steps.pop_front().or_else(|| {
            // The one place where another's code runs under the lock: a `Clone`. To share the value instead
            // would ask for `Sync` of every value and error of a test.
            let always = stage.always.as_ref()?;
            (always.again)(&always.result).map(|result| Step { wait: always.wait, act: Act::End(result) })
        });
        let Some(Step { wait, act }) = step else {
            let calls = stage.calls.len();
            drop(stage);
            panic!("the script has ended: nothing is written for call {calls}, {at:?} after it was made");
        };
        stage.live += 1;
        stage.most_live = stage.most_live.max(stage.live);
        drop(stage);
        let until = if wait.is_zero() { Until::Now } else { Until::FirstPoll(wait) };
        let place = Place { stage: Arc::clone(&self.stage), ended: false };
        Play { timer: Timer::idle(), until, act: Some(act), place }
    }
}

impl<T, E> Default for Script<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, E> Clone for Script<T, E> {
    fn clone(&self) -> Self {
        Self { stage: Arc::clone(&self.stage) }
    }
}

impl<T, E> fmt::Debug for Script<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.stage.lock();
        f.debug_struct("Script")
            .field("calls", &stage.calls.len())
            .field("left", &stage.steps.len())
            .field("live", &stage.live)
            .field("dropped", &stage.dropped)
            .finish()
    }
}

/// When a step's wait is over.
enum Until {
    Now,
    /// The wait begins with the first poll.
    FirstPoll(Duration),
    At(Instant),
    Never,
}

pin_project! {
    /// One call of a [`Script`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Play<T, E> {
        #[pin]
        timer: Timer,
        until: Until,
        act: Option<Act<T, E>>,
        place: Place<T, E>,
    }
}

/// A call's place among those under way. Dropped before the call ended, it counts as dropped.
struct Place<T, E> {
    stage: Arc<Lock<Stage<T, E>>>,
    ended: bool,
}

impl<T, E> Place<T, E> {
    fn end(&mut self) {
        self.ended = true;
        self.stage.lock().live -= 1;
    }
}

impl<T, E> Drop for Place<T, E> {
    fn drop(&mut self) {
        if !self.ended {
            let mut stage = self.stage.lock();
            stage.live -= 1;
            stage.dropped += 1;
        }
    }
}

impl<T, E> Future for Play<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let now = Now::unread();
        if let Until::FirstPoll(wait) = *this.until {
            *this.until = timer::ends(wait, &now).map_or(Until::Never, Until::At);
        }
        match *this.until {
            Until::At(until) => ready!(this.timer.as_mut().poll_at(&now, until, cx)),
            Until::Never => return Poll::Pending,
            Until::Now | Until::FirstPoll(_) => {}
        }
        this.timer.as_mut().disarm();
        *this.until = Until::Now;
        match this.act.take().expect("polled after it was ready") {
            Act::Hang => {
                *this.until = Until::Never;
                Poll::Pending
            }
            Act::End(result) => {
                this.place.end();
                Poll::Ready(result)
            }
            Act::Panic(message) => {
                this.place.end();
                panic!("{message}");
            }
        }
    }
}

impl<T, E> fmt::Debug for Play<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Play").field("ended", &self.place.ended).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use futures::FutureExt;
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn steps_are_played_in_the_order_in_which_they_were_written() {
        let script = Script::new().fail("a").fail_times(2, "b").succeed(7);
        assert_eq!(script.left(), 4);
        assert_eq!(script.call().await, Err("a"));
        assert_eq!(script.call().await, Err("b"));
        assert_eq!(script.call().await, Err("b"));
        assert_eq!(script.call().await, Ok(7));
        assert_eq!((script.calls(), script.left()), (4, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_too_many_panics_and_tells_its_number() {
        let script = Script::new().succeed(());
        let _ended: Result<(), ()> = script.call().await;
        let panic = catch_unwind(AssertUnwindSafe(|| drop(script.call()))).unwrap_err();
        let message = panic.downcast::<String>().unwrap();
        assert!(message.contains("script has ended") && message.contains("call 2"), "{message}");
        assert_eq!(script.calls(), 2, "and the lock still works");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_always_comes_after_the_steps() {
        let script = Script::new().after(SECOND).always_fail("down").succeed(1);
        assert_eq!(script.call().await, Ok(1));
        for _ in 0..10 {
            assert_eq!(script.call().await, Err("down"));
        }
        let every_second: Vec<Duration> = (0..10).map(|n| SECOND * n).collect();
        assert_eq!(script.called_at()[1..], every_second);
        let script = Script::<_, ()>::new().always_succeed("up");
        assert_eq!(script.call().await, Ok("up"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_had_by_the_next_step_only() {
        let script = Script::<_, ()>::new().after(SECOND).after(SECOND).succeed(1).succeed(2).after(SECOND);
        let begun = time::now();
        assert_eq!(script.call().await, Ok(1));
        assert_eq!(begun.elapsed(), SECOND * 2);
        assert_eq!(script.call().await, Ok(2));
        assert_eq!(begun.elapsed(), SECOND * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_several_failures_has_the_wait() {
        let script = Script::<(), _>::new().after(SECOND).fail_times(2, "slow").fail("fast");
        let begun = time::now();
        let mut ended = Vec::new();
        for _ in 0..3 {
            let error = script.call().await.unwrap_err();
            ended.push((error, begun.elapsed()));
        }
        assert_eq!(ended, [("slow", SECOND), ("slow", SECOND * 2), ("fast", SECOND * 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_begins_with_the_first_poll() {
        let script = Script::<_, ()>::new().after(SECOND).succeed(1);
        let call = script.call();
        tokio::time::advance(SECOND * 5).await;
        let begun = time::now();
        assert_eq!(call.await, Ok(1));
        assert_eq!(begun.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_under_way_are_counted_until_they_end_or_are_dropped() {
        let script = Script::<_, ()>::new().hang().after(Duration::MAX).succeed(1).succeed(2);
        let mut hung = task::spawn(script.call());
        let mut slow = task::spawn(script.call());
        let mut quick = task::spawn(script.call());
        assert_eq!((script.live(), script.dropped()), (3, 0));
        assert_pending!(hung.poll());
        assert_pending!(hung.poll());
        assert_pending!(slow.poll());
        assert_eq!(assert_ready!(quick.poll()), Ok(2));
        assert_eq!((script.live(), script.dropped()), (2, 0));
        drop((hung, slow, quick));
        assert_eq!((script.live(), script.dropped(), script.most_live()), (0, 2, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_panics_ends_its_call() {
        let script = Script::<(), ()>::new().panic("out of cheese");
        let panic = AssertUnwindSafe(script.call()).catch_unwind().await.unwrap_err();
        assert_eq!(*panic.downcast::<String>().unwrap(), "out of cheese");
        assert_eq!((script.live(), script.dropped()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_a_script_plays_can_be_spawned() {
        let script = Script::<_, ()>::new().after(SECOND).succeed(1);
        assert_eq!(tokio::spawn(script.call()).await.unwrap(), Ok(1));
    }
}
