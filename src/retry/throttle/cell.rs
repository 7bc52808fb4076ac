//! What one client has seen of one dependency, in 64 bytes.
//!
//! While all is well a cell is *calm*: there is nothing that one more quick success could teach it, except that
//! the client has called again, and that it wants to know no more than a hundred times a second. So a success
//! then costs one load. Everything else goes through the lock.

use std::time::Duration;

use super::rules::Rules;
use super::state::{State, Tick, elapsed};
use super::{Attempted, Withheld};
use crate::priority::Priority;
use crate::sync::Lock;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::time::{Instant, Now, later};

/// The word of a cell that is not calm. A calm one's is the time at which it last noted a call, in tens of
/// milliseconds.
const TROUBLED: u32 = 1 << 31;

/// A time before another by less than this, an hour, is an older one. By more: ticks have gone round.
const OLDER: u32 = 60 * 60 * 100;

#[derive(Debug)]
pub(super) struct Cell {
    word: AtomicU32,
    state: Lock<State>,
}

impl Cell {
    pub(super) fn new(rules: &Rules) -> Self {
        Self { word: AtomicU32::new(TROUBLED), state: Lock::new(State::new(rules)) }
    }

    /// One that never learns, and so is never calm.
    pub(super) fn unused() -> Self {
        Self { word: AtomicU32::new(TROUBLED), state: Lock::new(State::with(0.0)) }
    }

    #[inline(always)]
    pub(super) fn is_calm(&self) -> bool {
        self.word.load(Ordering::Relaxed) & TROUBLED == 0
    }

    /// Whether a first attempt may be made now, or when to come back.
    pub(super) fn admit(&self, rules: &Rules, priority: Priority, now: &Now) -> Result<(), Instant> {
        if self.is_calm() {
            return Ok(());
        }
        let at = now.get();
        let tick = rules.tick(at);
        self.state.lock().admit(rules, priority, tick).map_err(|wait| at + wait)
    }

    /// An attempt gave a value, after `took` of the `limit` that it had, if it had to wait at all.
    pub(super) fn succeeded(&self, rules: &Rules, ended: &Attempted, now: &Now) {
        let word = self.word.load(Ordering::Relaxed);
        let calm = word & TROUBLED == 0;
        if calm && ended.took.is_none() {
            return;
        }
        let tick = rules.tick(now.get());
        let weight = ended.weight(&rules.settings);
        if calm && weight <= 0.0 && word == coarse(tick) {
            return;
        }
        self.learn(rules, tick, calm, |state| state.succeeded(rules, weight, ended.limit, tick));
    }

    /// Whether it is calm, and the last call that was noted is no older than `then`. Nothing is taken from anything
    /// to find out, only compared: to subtract moments costs more than all the rest. It knows them for seven weeks
    /// from the origin; then ticks have gone round, and it takes everything for news.
    #[inline(always)]
    pub(super) fn has_noted(&self, rules: &Rules, then: Instant) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        let next = Duration::from_millis(10 * (u64::from(word) + 1));
        word & TROUBLED == 0 && later(rules.origin, next).is_some_and(|next| then < next)
    }

    /// While it was calm an attempt that began to wait `then` gave a value, and was not slow. What is older than
    /// the last that was noted is no news.
    pub(super) fn was_well(&self, rules: &Rules, then: Instant) {
        let word = self.word.load(Ordering::Relaxed);
        let tick = rules.tick(then);
        if word & TROUBLED == 0 && word.wrapping_sub(coarse(tick)) < OLDER {
            return;
        }
        self.learn(rules, tick, true, |state| state.succeeded(rules, 0.0, None, tick));
    }

    /// An attempt failed.
    #[cold]
    pub(super) fn failed(&self, rules: &Rules, ended: &Attempted, now: &Now) {
        let tick = rules.tick(now.get());
        let calm = self.is_calm();
        self.learn(rules, tick, calm, |state| state.failed(rules, ended, tick));
    }

    #[cold]
    fn learn(&self, rules: &Rules, tick: Tick, calm: bool, what: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        if calm {
            state.called(tick);
        }
        what(&mut state);
        let word = if state.is_calm(rules) { coarse(tick) } else { TROUBLED };
        self.word.store(word, Ordering::Relaxed);
    }

    /// Takes a token for a retry of an attempt that failed.
    pub(super) fn reserve(&self, rules: &Rules, failed: &Attempted) -> Result<(), Withheld> {
        let mut state = self.state.lock();
        state.reserve(rules, failed)?;
        self.word.store(TROUBLED, Ordering::Relaxed);
        Ok(())
    }

    /// The token was not needed.
    pub(super) fn give_back(&self, rules: &Rules) {
        let mut state = self.state.lock();
        state.tokens = (state.tokens + 1.0).min(rules.capacity());
    }

    /// How long until a caller who waits may retry though nothing succeeds.
    pub(super) fn next_trickle_in(&self, rules: &Rules, now: Instant) -> Duration {
        let passed = elapsed(rules.tick(now), self.state.lock().trickle_at);
        Duration::from_millis(rules.period().saturating_sub(passed).into())
    }

    /// Lets one who waited retry, if it is time.
    pub(super) fn take_trickle(&self, rules: &Rules, now: Instant) -> bool {
        let mut state = self.state.lock();
        let tick = rules.tick(now);
        let due = elapsed(tick, state.trickle_at) >= rules.period();
        if due {
            state.trickle_at = tick;
        }
        due
    }

    pub(super) fn state(&self) -> State {
        *self.state.lock()
    }
}

/// A tick as a calm cell remembers it.
fn coarse(tick: Tick) -> u32 {
    tick / 10
}
