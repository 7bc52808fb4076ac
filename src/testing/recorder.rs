//! An observer that remembers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::recorded::{Happened, Recorded};
use crate::event::{Event, Observer};
use crate::sync::Lock;
use crate::time::{self, Instant};

/// Remembers every event in the order in which it was told. A cheap handle; clones share what they remember.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::testing::{Happened, Recorder, Script};
/// use recoup::{Recovery, RetryPolicy, execute_with_recovery};
///
/// let recorder = Recorder::new();
/// let recovery = Recovery::builder("mail")
///     .retry(RetryPolicy::never())
///     .observer(recorder.observer())
///     .build()
///     .unwrap();
/// let server = Script::<(), _>::new().fail("busy");
/// execute_with_recovery(&recovery, |attempt| server.attempt(attempt)).await.unwrap_err();
///
/// assert_eq!(
///     recorder.lines(),
///     [
///         "mail attempt 1 started",
///         "mail attempt 1 failed: unknown",
///         "mail gave up after 1 attempt: attempts",
///     ]
/// );
/// assert_eq!(recorder.count(|what| matches!(what, Happened::GaveUp { attempts: 1, .. })), 1);
/// # }
/// ```
#[derive(Clone)]
pub struct Recorder {
    tape: Arc<Tape>,
}

/// What the clones share.
struct Tape {
    made: Instant,
    events: Lock<Vec<Recorded>>,
}

impl Recorder {
    /// A recorder that remembers nothing yet. Times count from now: make it inside the test.
    #[must_use]
    pub fn new() -> Self {
        Self { tape: Arc::new(Tape { made: time::now(), events: Lock::default() }) }
    }

    /// Itself, to be handed to whatever it shall watch. It is the same observer each time, so a policy that
    /// gets it twice tells it once.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.tape) as Arc<dyn Observer>
    }

    /// What happened, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Recorded> {
        self.tape.events.lock().clone()
    }

    /// What happened, in order, each in a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.events().iter().map(ToString::to_string).collect()
    }

    /// As [`lines`](Self::lines), each with its time in front, counted from when the recorder was made.
    #[must_use]
    pub fn timeline(&self) -> Vec<String> {
        self.events().iter().map(|event| format!("{:?} {event}", event.at)).collect()
    }

    /// When something happened that is asked for, counted from when the recorder was made.
    #[must_use]
    pub fn times(&self, mut asked: impl FnMut(&Happened) -> bool) -> Vec<Duration> {
        self.events().iter().filter(|event| asked(&event.what)).map(|event| event.at).collect()
    }

    /// How often something happened that is asked for.
    #[must_use]
    pub fn count(&self, asked: impl FnMut(&Happened) -> bool) -> usize {
        self.times(asked).len()
    }

    /// Forgets what happened so far. Times still count from when it was made.
    pub fn clear(&self) {
        let forgotten = std::mem::take(&mut *self.tape.events.lock());
        drop(forgotten); // outside the lock
    }
}

impl Observer for Tape {
    fn on_event(&self, event: &Event<'_>) {
        let what = Happened::from(event);
        let mut events = self.events.lock();
        // Under the lock, so that no line stands before an earlier one.
        let at = time::now().saturating_duration_since(self.made);
        events.push(Recorded { at, what });
    }
}

impl Observer for Recorder {
    fn on_event(&self, event: &Event<'_>) {
        self.tape.on_event(event);
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lines()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::{Recovery, execute_with_recovery};
    use crate::retry::RetryPolicy;
    use crate::testing::Script;

    const CLOSED: Event<'static> = Event::CircuitClosed { breaker: "db", generation: 1 };

    #[tokio::test(start_paused = true)]
    async fn times_count_from_the_making_of_the_recorder() {
        tokio::time::advance(Duration::from_secs(5)).await;
        let recorder = Recorder::new();
        recorder.on_event(&CLOSED);
        tokio::time::advance(Duration::from_millis(1500)).await;
        recorder.observer().on_event(&CLOSED);
        assert_eq!(recorder.timeline(), ["0ns circuit db closed", "1.5s circuit db closed"]);
        assert_eq!(recorder.times(|_| true), [Duration::ZERO, Duration::from_millis(1500)]);
    }

    #[test]
    fn clones_share_what_they_remember_and_forget_it_together() {
        let recorder = Recorder::new();
        let other = recorder.clone();
        recorder.on_event(&CLOSED);
        assert_eq!(other.events(), recorder.events());
        assert_eq!(other.events().len(), 1);
        other.clear();
        assert_eq!(recorder.lines(), <[&str; 0]>::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_recovery_that_is_given_it_twice_tells_it_once() {
        let recorder = Recorder::new();
        let recovery = Recovery::<()>::builder("db")
            .retry(RetryPolicy::never())
            .observer(recorder.observer())
            .observer(recorder.clone().observer())
            .build()
            .unwrap();
        let script = Script::new().succeed(());
        execute_with_recovery(&recovery, |attempt| script.attempt(attempt)).await.unwrap();
        assert_eq!(recorder.lines(), ["db attempt 1 started", "db succeeded after 1 attempt"]);
    }
}
