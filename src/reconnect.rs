//! Connections that are meant to stay up: made again and again, with waits in between that forget the past
//! only once a connection has proved itself.

mod supervise;

use std::fmt;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

pub use self::supervise::{Supervise, reconnect};
use crate::backoff::{Backoff, Jitter};
use crate::random::Dice;
use crate::setting::{Check, SettingError};
use crate::shutdown::Shutdown;
use crate::time::{self, Instant};
use crate::timer::Timer;

/// How long to wait before a lost connection is made again.
///
/// Waits grow from one lost connection to the next. They start over only after a connection that
/// [lived long enough](ReconnectBuilder::stable_after): one that opens, answers once and dies each time does
/// not reset them, and one that was healthy for hours does. There is no limit on how often.
///
/// It is what one connection has been through, so a clone goes its own way from then on. [`reconnect`] runs
/// the whole loop; [`wait`](Self::wait) is for a loop of your own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use std::time::Duration;
/// use recoup::{Backoff, Reconnect};
///
/// let second = Duration::from_secs(1);
/// let mut reconnect = Reconnect::builder().backoff(Backoff::exponential(second)).build()?;
/// assert_eq!(reconnect.next_delay(Duration::ZERO), second);
/// assert_eq!(reconnect.next_delay(5 * second), 2 * second, "it lived, but not for a minute");
/// assert_eq!(reconnect.next_delay(61 * second), second);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Reconnect {
    backoff: Backoff,
    stable_after: Duration,
    shutdown: Option<Shutdown>,
    dice: Dice,
    /// Connections lost since one was stable.
    lost: u32,
    previous: Option<Duration>,
    /// When the last wait was over, or would have been: the connection after it lives since then.
    since: Option<Instant>,
}

impl Reconnect {
    /// Starts from the defaults.
    pub fn builder() -> ReconnectBuilder {
        ReconnectBuilder { reconnect: Self::unchecked() }
    }

    fn unchecked() -> Self {
        Self {
            backoff: Backoff::exponential(Duration::from_millis(500)).jitter(Jitter::Equal),
            stable_after: Duration::from_secs(60),
            shutdown: None,
            dice: Dice::Fresh,
            lost: 0,
            previous: None,
            since: None,
        }
    }

    /// How long to wait after a connection that lived for `lived`; one that was never made lived for no time.
    /// Looks at no clock and waits for nothing: for those who keep the time themselves.
    pub fn next_delay(&mut self, lived: Duration) -> Duration {
        if lived >= self.stable_after {
            (self.lost, self.previous) = (0, None);
        }
        self.lost = self.lost.saturating_add(1);
        let delay = self.backoff.delay(self.lost, self.previous, self.dice.draw());
        self.previous = Some(delay);
        delay
    }

    /// Waits before the connection is made again. How long the last one lived is measured from the end of the
    /// wait before. `Break` once the shutdown that it watches is triggered, at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use recoup::Reconnect;
    /// # let mut runs = 0;
    /// # let mut run = async || { runs += 1; runs < 4 };
    /// let mut reconnect = Reconnect::default();
    /// while run().await && reconnect.wait().await.is_continue() {}
    /// # assert_eq!(runs, 4);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// A wait that is dropped counts as one that was waited: the next is longer.
    pub async fn wait(&mut self) -> ControlFlow<()> {
        let now = time::now();
        let lived = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let until = time::later_or_far(now, self.next_delay(lived));
        // Also for a wait that is dropped: what follows has not lived before it would have been over.
        self.since = Some(until);
        let mut shutdown = self.shutdown.as_ref().map(Shutdown::triggered);
        let mut timer = pin!(Timer::idle());
        let mut yielded = false;
        poll_fn(|cx| {
            if shutdown.as_mut().is_some_and(|switch| switch.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(ControlFlow::Break(()));
            }
            // A loop without waits must not keep its thread to itself.
            if until <= now && !std::mem::replace(&mut yielded, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            timer.as_mut().poll_until(until, cx).map(ControlFlow::Continue)
        })
        .await
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::unchecked()
    }
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("backoff", &self.backoff)
            .field("stable_after", &self.stable_after)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Reconnect`].
///
/// ```
/// use recoup::{Backoff, Reconnect};
/// let error = Reconnect::builder().backoff(Backoff::none()).build().unwrap_err();
/// assert_eq!((error.policy, error.setting), ("reconnect", "backoff"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ReconnectBuilder {
    reconnect: Reconnect,
}

impl ReconnectBuilder {
    /// The waits, with their jitter and cap. One that never waits is refused: a server that is down would be
    /// called in a circle. Default: [`Backoff::exponential`] from 500 ms up to 30 s with [`Jitter::Equal`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.reconnect.backoff = backoff;
        self
    }

    /// How long a connection has to live to make the waits start over, longer than zero. Default: 60 s.
    pub fn stable_after(mut self, time: Duration) -> Self {
        self.reconnect.stable_after = time;
        self
    }

    /// Ends the loop as soon as the program wants to end. Default: nothing does.
    pub fn shutdown(mut self, shutdown: &Shutdown) -> Self {
        self.reconnect.shutdown = Some(shutdown.clone());
        self
    }

    /// The seed of the jitter, so that a run can be repeated. Default: fresh randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.reconnect.dice = Dice::seeded(seed);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`SettingError`], naming the first setting that cannot work.
    pub fn build(self) -> Result<Reconnect, SettingError> {
        const CHECK: Check = Check("reconnect");
        let Self { reconnect } = self;
        reconnect.backoff.check(CHECK)?;
        if reconnect.backoff.bounds(u32::MAX).max.is_zero() {
            return Err(CHECK.refuse("backoff", Duration::ZERO, "longer than zero in the end"));
        }
        CHECK.longer_than_zero("stable_after", reconnect.stable_after)?;
        Ok(reconnect)
    }
}

impl TryFrom<ReconnectBuilder> for Reconnect {
    type Error = SettingError;

    fn try_from(builder: ReconnectBuilder) -> Result<Self, SettingError> {
        builder.build()
    }
}
