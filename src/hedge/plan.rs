//! Whether and when the next attempt of a race is launched.

use super::Shared;
use crate::sync::atomic::Ordering;
use crate::time::{Instant, Now};
use crate::timer;

/// Where one race stands. It is asked, and told what was done; it waits for nothing itself.
#[derive(Debug)]
pub(super) struct Plan {
    /// Attempts launched, the first included.
    launched: u32,
    next: Next,
    /// Whether a hedge was left out.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// Nobody had to wait since the last launch.
    Unasked,
    At(Instant),
    Never,
}

impl Plan {
    pub(super) const fn new() -> Self {
        Self { launched: 0, next: Next::Unasked, over: false }
    }

    /// Whether the call has begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.launched > 0
    }

    /// The first attempt is made.
    #[inline]
    pub(super) fn begin(&mut self, hedge: &Shared) {
        self.launched = 1;
        hedge.begin();
    }

    /// When the next attempt is due, if one is: those under way have to be waited for at `now`.
    pub(super) fn due(&mut self, hedge: &Shared, now: &Now) -> Option<Instant> {
        if self.over || self.launched >= hedge.max_attempts {
            return None;
        }
        if let Next::Unasked = self.next {
            let delay = hedge.delay.before(self.launched);
            self.next = delay.and_then(|delay| timer::ends(delay, now)).map_or(Next::Never, Next::At);
        }
        match self.next {
            Next::At(due) => Some(due),
            Next::Unasked | Next::Never => None,
        }
    }

    /// The number of the hedge to be launched at `now`, if it may be. It is paid for, and counts as launched.
    ///
    /// A hedge that is left out is not made up for: this call is not hedged any more.
    pub(super) fn launch(&mut self, hedge: &Shared, now: &Now) -> Option<u32> {
        if self.over || self.launched >= hedge.max_attempts {
            return None;
        }
        if let Err(refused) = hedge.pay(now.get()) {
            self.over = true;
            hedge.counts.suppressed.fetch_add(1, Ordering::Relaxed);
            hedge.tell_suppressed(refused);
            return None;
        }
        let number = self.launched;
        self.launched += 1;
        hedge.counts.launched.fetch_add(1, Ordering::Relaxed);
        self.next = Next::Unasked;
        Some(number)
    }
}
