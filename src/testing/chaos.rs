//! Faults on purpose, to see how a program bears them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::random::Dice;
use crate::setting::{Check, SettingError};
use crate::sync::Lock;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{self, Instant, later_or_far};
use crate::timer::Timer;

/// Makes some calls fail and some wait, by chance. A cheap handle whose clones share the settings, so that
/// faults can be turned on and off while the program runs. Off until somebody sets it.
///
/// Put it innermost, around the operation itself: everything outside then sees its faults as the
/// dependency's.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use recoup::retry;
/// use recoup::testing::Chaos;
///
/// let chaos = Chaos::seeded(1);
/// chaos.fail(0.5).unwrap();
/// let mut failed = 0;
/// for _ in 0..1000 {
///     failed += u32::from(chaos.call(|| async { Ok(()) }, || "injected").await.is_err());
/// }
/// assert!((450..550).contains(&failed), "{failed}");
/// assert_eq!(chaos.injected(), u64::from(failed));
///
/// chaos.off();
/// assert!(retry(|| chaos.call(|| async { Ok(()) }, || "injected")).await.is_ok());
/// # }
/// ```
#[derive(Clone)]
pub struct Chaos {
    shared: Arc<Shared>,
}

struct Shared {
    dice: Dice,
    settings: Lock<Settings>,
    injected: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    fail: f64,
    slow: f64,
    latency: Duration,
}

impl Chaos {
    /// Faults by fresh chance, all off.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Dice::Fresh)
    }

    /// Faults by a seed, all off: the same calls in the same order meet the same faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::with(Dice::seeded(seed))
    }

    fn with(dice: Dice) -> Self {
        let (settings, injected) = (Lock::default(), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { dice, settings, injected }) }
    }

    /// From now on this share of the calls fails without being made, 0.0 to 1.0.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when the share is outside of that; nothing is changed then.
    pub fn fail(&self, share: f64) -> Result<(), SettingError> {
        check("fail", share)?;
        self.shared.settings.lock().fail = share;
        Ok(())
    }

    /// From now on this share of the calls waits for `latency` before it is made, 0.0 to 1.0.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when the share is outside of that; nothing is changed then.
    pub fn delay(&self, share: f64, latency: Duration) -> Result<(), SettingError> {
        check("delay", share)?;
        let mut settings = self.shared.settings.lock();
        (settings.slow, settings.latency) = (share, latency);
        Ok(())
    }

    /// No faults from now on.
    pub fn off(&self) {
        *self.shared.settings.lock() = Settings::default();
    }

    /// Whether any fault is on: for a banner that nobody can miss.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let settings = *self.shared.settings.lock();
        settings.fail > 0.0 || settings.slow > 0.0
    }

    /// How many faults it has made, failures and delays.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::Relaxed)
    }

    /// Makes the call, or does to it what chance says; `error` makes the error of one that is to fail.
    ///
    /// # Errors
    ///
    /// What `error` makes, or the operation's own.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the operation, or the wait before it.
    pub fn call<F, Fut, T, E>(&self, op: F, error: impl FnOnce() -> E) -> ChaosCall<F, Fut, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let settings = *self.shared.settings.lock();
        let fails = settings.fail > 0.0 && self.shared.dice.draw() < settings.fail;
        let slow = !fails && settings.slow > 0.0 && self.shared.dice.draw() < settings.slow;
        if fails || slow {
            self.shared.injected.fetch_add(1, Ordering::Relaxed);
        }
        let until = slow.then(|| later_or_far(time::now(), settings.latency));
        let stage = Stage::Before { until, timer: Timer::idle(), op: Some(op) };
        ChaosCall { error: fails.then(error), stage }
    }
}

fn check(setting: &'static str, share: f64) -> Result<(), SettingError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Check("chaos").refuse(setting, share, "at least 0.0 and at most 1.0"))
}

impl Default for Chaos {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chaos").field(&*self.shared.settings.lock()).finish()
    }
}

pin_project! {
    /// The future of [`Chaos::call`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct ChaosCall<F, Fut, E> {
        // Some: the call fails with this, and the operation is not called.
        error: Option<E>,
        #[pin]
        stage: Stage<F, Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, Fut> {
        // Waiting out the delay, if there is one.
        Before { until: Option<Instant>, #[pin] timer: Timer, op: Option<F> },
        Running { #[pin] attempt: Fut },
    }
}

impl<F, Fut, T, E> Future for ChaosCall<F, Fut, E>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(error) = this.error.take() {
            return Poll::Ready(Err(error));
        }
        loop {
            match this.stage.as_mut().project() {
                StageProj::Before { until, timer, op } => {
                    if let Some(until) = *until {
                        ready!(timer.poll_until(until, cx));
                    }
                    let op = op.take().expect("a call that is not begun has its operation");
                    this.stage.set(Stage::Running { attempt: op() });
                }
                StageProj::Running { attempt } => return attempt.poll(cx),
            }
        }
    }
}

impl<F, Fut, E> fmt::Debug for ChaosCall<F, Fut, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosCall").finish_non_exhaustive()
    }
}
