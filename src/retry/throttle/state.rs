//! What has been seen, and the decisions that follow from it. Pure.

use std::time::Duration;

use super::rules::Rules;
use super::{Attempted, Withheld};
use crate::priority::Priority;
use crate::random::Dice;
use crate::time::Instant;

/// A mark moves the share of overload up by this part of the difference, a clean success down by twice that.
const UP: f32 = 0.15;
const DOWN: f32 = 0.3;

/// For so long after an overload it takes fewer marks to see the next: a share of the usual threshold, which each
/// mark approaches faster. A fleet that is let back in meets what it left, and the sooner it sees
/// that, the less its load swings.
const WARY_SECONDS: u8 = 20;
const WARY_FROM: f32 = 0.5;
const WARY_UP: f32 = 0.5;

/// Who calls more often than this sees the next overload soon enough.
const WARY_GAP: f32 = 0.1;

/// What is seen in that time makes it last longer only from here on: one timeout now and then, which some
/// dependencies always have, does not.
const BEYOND_DOUBT: f32 = 0.8;

/// A slow success of less weight than this is a clean one.
const MARK: f32 = 0.2;

/// Marks must have gone on for so long without a clean success before admission is cut: a burst of timeouts
/// that began together is one event.
const SPAN: f32 = 0.3;

/// Clean successes raise admission at most so often, by this factor and this much, or by this much a second.
const RAISE_EVERY: f32 = 0.1;
const RAISE: (f32, f32) = (1.5, 0.02);
const RAISE_A_SECOND: f32 = 0.5;

/// While admission is cut, a probe goes through every so many of the client's own gaps, but no sooner than this.
const PROBE_GAPS: f32 = 10.0;
const PROBE_NO_SOONER: f32 = 0.25;

/// A retry of an overload is made with a probability of a fifth of the client's calls in ten seconds: a client
/// that calls rarely cannot see in time what its retries do.
const CALLS_IN_TEN_SECONDS: f32 = 0.2 * 10.0;

/// From what share of failures on that were mended the gate is one wider.
const BLIPS: f32 = 0.03;

/// That share is learned quickly and forgotten slowly, so that a dependency which fails one attempt in ten by
/// chance is not taken for a better one after each run of luck. It is above [`BLIPS`] from about one in 150 on.
const BLIPS_UP: f32 = 0.1;
const BLIPS_DOWN: f32 = 0.01;

/// The time limit of an attempt that has none, for what goes by it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A share of overload below this is none.
const NOTHING: f32 = 0.01;

/// Milliseconds since the rules' origin, round and round: a cell that nobody asks for weeks may take what it
/// last saw for fresh, until the next attempt ends.
pub(super) type Tick = u32;

/// What has been seen. Times are ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) tokens: f32,
    /// The smoothed share of attempts that said overload.
    pub(super) overload: f32,
    /// The probability with which a first attempt is let through.
    pub(super) admission: f32,
    /// The mean time between the client's own calls, in seconds. Zero before there were two.
    pub(super) gap: f32,
    /// The share of attempts that failed and were mended.
    pub(super) blips: f32,
    asked_at: Tick,
    seen_at: Tick,
    clean_at: Tick,
    cut_at: Tick,
    raised_at: Tick,
    probe_at: Tick,
    pub(super) trickle_at: Tick,
    /// Failures since the last success.
    pub(super) run: u16,
    /// Attempts that ended within the memory, as far as the rules want to know.
    pub(super) seen: u8,
    /// The second in which the dependency was last overloaded beyond doubt; 0 is never, or long ago.
    wary: u8,
}

impl State {
    pub(super) fn new(rules: &Rules) -> Self {
        Self::with(rules.capacity())
    }

    /// One that has seen nothing and has these tokens.
    pub(super) const fn with(tokens: f32) -> Self {
        Self {
            tokens,
            overload: 0.0,
            admission: 1.0,
            gap: 0.0,
            blips: 0.0,
            asked_at: 0,
            seen_at: 0,
            clean_at: 0,
            cut_at: 0,
            raised_at: 0,
            probe_at: 0,
            trickle_at: 0,
            run: 0,
            seen: 0,
            wary: 0,
        }
    }

    /// Whether another quick success would change nothing.
    pub(super) fn is_calm(&self, rules: &Rules) -> bool {
        self.run == 0
            && self.admission >= 1.0
            && self.overload <= 0.0
            && self.tokens >= rules.capacity()
            && u32::from(self.seen) >= rules.settings.history
    }

    /// The client calls.
    pub(super) fn called(&mut self, now: Tick) {
        if self.asked_at != 0 {
            let gap = seconds(now, self.asked_at);
            self.gap = if self.gap <= 0.0 { gap } else { self.gap + 0.2 * (gap - self.gap) };
        }
        self.asked_at = now;
    }

    /// Whether all that was seen is older than the memory, or nothing was.
    pub(super) fn is_forgotten(&self, rules: &Rules, now: Instant) -> bool {
        self.seen == 0 || elapsed(rules.tick(now), self.seen_at) > rules.memory()
    }

    /// Forgets what is older than the memory.
    fn forget(&mut self, rules: &Rules, now: Tick) {
        if self.seen > 0 && elapsed(now, self.seen_at) > rules.memory() {
            let Self { tokens, gap, blips, asked_at, trickle_at, .. } = *self;
            *self = Self { tokens, gap, blips, asked_at, trickle_at, ..Self::new(rules) };
        }
    }

    pub(super) fn admit(&mut self, rules: &Rules, priority: Priority, now: Tick) -> Result<(), Duration> {
        self.called(now);
        self.forget(rules, now);
        if self.admission >= 1.0 {
            return Ok(());
        }
        // Shed from the bottom: the same order of priorities at every admission.
        let chance = match priority {
            Priority::Low => self.admission * self.admission,
            Priority::Normal => self.admission,
            Priority::High => self.admission.sqrt(),
            Priority::Critical => self.admission.sqrt().sqrt(),
        };
        let probe = self.probe_at.wrapping_sub(now);
        let due = probe == 0 || probe > u32::MAX / 2;
        if due || draw(&rules.dice) < chance {
            self.probe_next(rules, now);
            return Ok(());
        }
        Err(Duration::from_millis(probe.into()))
    }

    fn probe_next(&mut self, rules: &Rules, now: Tick) {
        let latest = rules.settings.probe_within.as_secs_f32();
        let wait = (PROBE_GAPS * self.gap).clamp(PROBE_NO_SOONER, latest);
        self.probe_at = now.wrapping_add(millis(wait * (0.75 + 0.5 * draw(&rules.dice))));
    }

    fn seen(&mut self, rules: &Rules, now: Tick) {
        self.forget(rules, now);
        if self.seen == 0 {
            (self.clean_at, self.cut_at, self.raised_at) = (now, now, now);
        }
        self.seen_at = now;
        if self.is_wary() && second(now).wrapping_sub(self.wary) >= WARY_SECONDS {
            self.wary = 0;
        }
        self.seen = self.seen.saturating_add(1);
    }

    pub(super) fn succeeded(&mut self, rules: &Rules, weight: f32, limit: Option<Duration>, now: Tick) {
        self.seen(rules, now);
        let mended = f32::from(self.run.min(3));
        let step = if mended > 0.0 { BLIPS_UP } else { BLIPS_DOWN };
        self.blips += step * (mended / (mended + 1.0) - self.blips);
        self.run = 0;
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        let earned = rules.settings.share as f32;
        self.tokens = (self.tokens + earned).min(rules.capacity());
        let step = if weight > self.overload { self.up() } else { DOWN };
        self.overload += step * (weight - self.overload);
        if weight >= MARK {
            self.cut(rules, limit, now);
            return;
        }
        if self.overload < NOTHING {
            self.overload = 0.0;
        }
        self.clean_at = now;
        let since = seconds(now, self.raised_at);
        if self.admission < 1.0 && since >= RAISE_EVERY {
            let by_factor = RAISE.0 * self.admission + RAISE.1;
            let by_time = self.admission + RAISE_A_SECOND * since.min(seconds(now, self.cut_at));
            self.admission = by_factor.max(by_time).min(1.0);
            self.raised_at = now;
        }
    }

    pub(super) fn failed(&mut self, rules: &Rules, ended: &Attempted, now: Tick) {
        self.seen(rules, now);
        self.run = self.run.saturating_add(1);
        if ended.overload {
            self.overload += self.up() * (1.0 - self.overload);
            self.cut(rules, ended.limit, now);
        }
    }

    /// Cuts admission if the overload goes on.
    fn cut(&mut self, rules: &Rules, limit: Option<Duration>, now: Tick) {
        #[expect(clippy::cast_possible_truncation, reason = "shares")]
        let [from, cut, least] = {
            let settings = &rules.settings;
            [settings.overloaded_at as f32, settings.cut as f32, settings.least_admission as f32]
        };
        let goes_on = seconds(now, self.clean_at) > SPAN;
        let beyond_doubt = self.overload > if self.is_wary() { BEYOND_DOUBT } else { from };
        let from = if self.is_wary() { from * WARY_FROM } else { from };
        if !goes_on || self.overload <= from {
            return;
        }
        let since = seconds(now, self.cut_at);
        if self.admission < 1.0 && since < limit.unwrap_or(PATIENCE).as_secs_f32() {
            return;
        }
        if self.admission >= 1.0 {
            self.probe_next(rules, now);
        }
        self.admission = (self.admission * cut).max(least);
        (self.cut_at, self.raised_at) = (now, now);
        if beyond_doubt && self.gap >= WARY_GAP {
            self.wary = second(now);
        }
    }

    fn is_wary(&self) -> bool {
        self.wary != 0
    }

    fn up(&self) -> f32 {
        if self.is_wary() { WARY_UP } else { UP }
    }

    /// Takes a token for a retry, or says why there is none.
    pub(super) fn reserve(&mut self, rules: &Rules, failed: &Attempted) -> Result<(), Withheld> {
        if !failed.hinted {
            if self.is_failing(rules) {
                return Err(Withheld::Failing);
            }
            if failed.overload {
                self.may_repeat_an_overload(rules)?;
            }
        }
        if self.tokens < 1.0 + rules.kept_from(failed.priority) {
            return Err(Withheld::Spent);
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Whether the run of failures has reached the gate.
    pub(super) fn is_failing(&self, rules: &Rules) -> bool {
        u32::from(self.run) >= rules.settings.gate.saturating_add(u32::from(self.blips > BLIPS))
    }

    fn may_repeat_an_overload(&self, rules: &Rules) -> Result<(), Withheld> {
        let settings = &rules.settings;
        if f64::from(self.overload) > settings.overloaded_at || self.admission < 1.0 {
            return Err(Withheld::Overloaded);
        }
        let often = if self.gap > 0.0 { CALLS_IN_TEN_SECONDS / self.gap } else { 1.0 };
        let known = u32::from(self.seen) >= settings.history;
        #[expect(clippy::cast_possible_truncation, reason = "a probability")]
        let blindly = settings.without_history as f32;
        let chance = if known { often.max(blindly) } else { blindly };
        match draw(&rules.dice) < chance {
            true => Ok(()),
            false if known => Err(Withheld::Rare),
            false => Err(Withheld::Unknown),
        }
    }
}

impl Rules {
    pub(super) fn tick(&self, now: Instant) -> Tick {
        let since = now.saturating_duration_since(self.origin);
        #[expect(clippy::cast_possible_truncation, reason = "round and round")]
        let seconds = since.as_secs() as Tick;
        seconds.wrapping_mul(1000).wrapping_add(since.subsec_millis())
    }

    /// The tokens that are for those who matter more.
    #[expect(clippy::cast_precision_loss, reason = "few tokens")]
    fn kept_from(&self, priority: Priority) -> f32 {
        let kept = self.settings.reserves.kept_from(priority, self.settings.capacity.into());
        u32::try_from(kept).unwrap_or(u32::MAX) as f32
    }

    #[expect(clippy::cast_precision_loss, reason = "few tokens")]
    pub(super) fn capacity(&self) -> f32 {
        self.settings.capacity as f32
    }

    fn memory(&self) -> u32 {
        ticks(self.settings.memory)
    }

    pub(super) fn period(&self) -> u32 {
        ticks(self.settings.trickle)
    }
}

/// Of a span that was checked to be at most a day.
fn ticks(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX / 4)
}

/// Ticks from `then` to `now`: none, if another thread was later.
pub(super) fn elapsed(now: Tick, then: Tick) -> u32 {
    let passed = now.wrapping_sub(then);
    if passed > u32::MAX / 2 { 0 } else { passed }
}

fn seconds(now: Tick, then: Tick) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "only short times matter")]
    let millis = elapsed(now, then) as f32;
    millis / 1000.0
}

/// The second of a tick, round and round within a byte, and never 0.
fn second(tick: Tick) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "round and round")]
    let second = (tick / 1000) as u8;
    second.max(1)
}

fn millis(seconds: f32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let millis = (seconds * 1000.0) as u32;
    millis
}

fn draw(dice: &Dice) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a probability")]
    let draw = dice.draw() as f32;
    draw
}
