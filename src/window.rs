//! Over which calls a rate is taken, and the counting of them: exact, and at a cost that does not depend on
//! the window's size.

mod count;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
mod time_slices;

use std::fmt;
use std::time::Duration;

pub(crate) use self::count::CountWindow;
pub(crate) use self::time_slices::TimeWindow;
use crate::setting::{Check, SettingError};

/// The calls over which a rate is taken: the last so many, those of the last so long, or both, where each
/// is judged by itself and one of them is enough.
///
/// ```
/// use std::time::Duration;
/// use recoup::Window;
/// let calls = Window::last_calls(100);
/// let either = Window::last_calls(100).and_last(Duration::from_secs(10));
/// assert_eq!(either.to_string(), "the last 100 calls or the last 10s");
/// # assert_eq!(calls.to_string(), "the last 100 calls");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub(crate) calls: Option<u32>,
    pub(crate) time: Option<Duration>,
}

impl Window {
    /// The last `calls` calls, however long ago they were.
    #[must_use]
    pub const fn last_calls(calls: u32) -> Self {
        Self { calls: Some(calls), time: None }
    }

    /// The calls of the last `span`. It slides in steps of a tenth of `span`: a call leaves the window
    /// between nine tenths and the whole of `span` after it ended. At least one millisecond.
    #[must_use]
    pub const fn last(span: Duration) -> Self {
        Self { calls: None, time: Some(span) }
    }

    /// Also the last `calls` calls.
    #[must_use]
    pub const fn and_last_calls(mut self, calls: u32) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Also the calls of the last `span`.
    #[must_use]
    pub const fn and_last(mut self, span: Duration) -> Self {
        self.time = Some(span);
        self
    }

    pub(crate) fn check(&self, check: Check) -> Result<(), SettingError> {
        if self.calls == Some(0) {
            return Err(check.refuse("window", 0, "at least 1 call"));
        }
        match self.time {
            Some(span) if span < TimeWindow::SHORTEST => {
                Err(check.refuse("window", span, "at least 1ms long"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.calls, self.time) {
            (Some(calls), Some(span)) => write!(f, "the last {calls} calls or the last {span:?}"),
            (Some(calls), None) => write!(f, "the last {calls} calls"),
            (None, Some(span)) => write!(f, "the last {span:?}"),
            (None, None) => f.write_str("no calls"),
        }
    }
}

/// What is remarkable about a call that was not a plain success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
    pub(crate) abandoned: bool,
}

/// What stands in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
    pub(crate) abandoned: u64,
}

impl Tally {
    /// The share that `part` is of all calls; of no calls, none.
    pub(crate) fn share(&self, part: u64) -> f64 {
        if self.calls == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 calls in one window")]
        let share = part as f64 / self.calls as f64;
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_says_which_calls_it_holds() {
        let second = Duration::from_secs(1);
        for (window, says) in [
            (Window::last_calls(7), "the last 7 calls"),
            (Window::last(second), "the last 1s"),
            (Window::last_calls(7).and_last(second), "the last 7 calls or the last 1s"),
        ] {
            assert_eq!(window.to_string(), says);
        }
    }
}
