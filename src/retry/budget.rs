//! How many retries a whole program may make: a share of what succeeds, and a trickle over time.

#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::setting::{Check, SettingError};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{self, Instant};

/// One token, in the unit that everything here is counted in.
const TOKEN: u64 = 1_000_000;

/// A fifth. A tenth cannot carry a dependency that fails one attempt in ten by chance, because retries fail
/// too; a fifth can, and still adds no more than a fifth to the load of an outage.
const DEFAULT_SHARE: u64 = TOKEN / 5;

/// Enough for a program that has just started to ride out a hiccup before its first success.
const DEFAULT_RESERVE: u32 = 10;

/// What a good hour may save up for a bad minute.
const DEFAULT_CAPACITY: u32 = 100;

/// Keeps a pool of workers from being stuck for ever, and a fleet of a thousand from adding more than some
/// thirty attempts a second.
const DEFAULT_TRICKLE: Duration = Duration::from_secs(30);

/// The most tokens that one success may be worth.
const MAX_SHARE: f64 = 1_000.0;

/// A store of tokens, of which each retry costs one: when it is empty, failures are no longer repeated, so
/// that retries do not multiply the load of a dependency that is down.
///
/// Each success pays in a [share](RetryBudgetBuilder::share) of a token, and a slow
/// [trickle](RetryBudgetBuilder::trickle) adds one now and then. Nothing is paid in for merely asking. The
/// token of a retry that succeeds comes back, and so does that of one that is dropped: failures cost.
///
/// A handle: clones share one store. Share it among all calls of one dependency. It is counted exactly, in
/// millionths of a token, without a lock or a task; while it is full a success only reads it.
///
/// ```
/// use recoup::RetryBudget;
///
/// let budget = RetryBudget::builder().share(0.1).reserve(5).capacity(50).build()?;
/// assert_eq!(budget.tokens(), 5);
/// assert_eq!(RetryBudget::default().tokens(), 10);
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone)]
pub struct RetryBudget(Option<Arc<Bucket>>);

struct Bucket {
    /// What is in it, in millionths of a token.
    level: AtomicU64,
    /// Up to where the trickle has been paid out, in nanoseconds since `start`: always whole periods, so
    /// that no part of one is lost.
    paid_until: AtomicU64,
    start: Instant,
    share: u64,
    capacity: u64,
    /// Nanoseconds for each token of the trickle.
    period: Option<NonZeroU64>,
}

impl RetryBudget {
    /// A budget with settings of its own.
    pub const fn builder() -> RetryBudgetBuilder {
        RetryBudgetBuilder::new()
    }

    /// A budget that always has a token and counts nothing. Retries then multiply the load of an outage by
    /// the number of attempts: only for a caller who is alone.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self(None)
    }

    /// The whole tokens that are there now; `u32::MAX` if unlimited.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens_at(time::now())
    }

    fn tokens_at(&self, now: Instant) -> u32 {
        let Some(bucket) = &self.0 else { return u32::MAX };
        bucket.pay_trickle(now);
        bucket.tokens()
    }

    /// Pays in for one success.
    pub(crate) fn deposit(&self) {
        if let Some(bucket) = &self.0 {
            bucket.add(bucket.share);
        }
    }

    /// Takes one token out, if there is one.
    pub(crate) fn reserve(&self, now: Instant) -> Option<Token> {
        let Some(bucket) = &self.0 else { return Some(Token(None)) };
        bucket.pay_trickle(now);
        bucket.take().then(|| Token(Some(Arc::clone(bucket))))
    }

    /// How long until there is a token though nothing succeeds: zero if there is one, `None` if never.
    /// Somebody else may take it first.
    pub(crate) fn next_token_in(&self, now: Instant) -> Option<Duration> {
        let Some(bucket) = &self.0 else { return Some(Duration::ZERO) };
        bucket.pay_trickle(now);
        if bucket.tokens() > 0 {
            return Some(Duration::ZERO);
        }
        let due = bucket.paid_until.load(Ordering::Relaxed).checked_add(bucket.period?.get())?;
        Some(Duration::from_nanos(due.saturating_sub(bucket.age(now))))
    }
}

impl Default for RetryBudget {
    /// The settings that [`RetryBudgetBuilder`] starts from.
    fn default() -> Self {
        RetryBudgetBuilder::new().open()
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("RetryBudget(unlimited)"),
            Some(bucket) => fmt::Debug::fmt(bucket, f),
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("tokens", &self.tokens())
            .field("capacity", &(self.capacity / TOKEN))
            .finish_non_exhaustive()
    }
}

// Every order is relaxed: the two numbers guard no other memory, and each is only changed by
// compare-and-swap. All payments are capped sums, so it does not matter in which order they arrive, as long
// as the trickle is paid out before anything is taken.
impl Bucket {
    fn tokens(&self) -> u32 {
        u32::try_from(self.level.load(Ordering::Relaxed) / TOKEN).unwrap_or(u32::MAX)
    }

    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(age).unwrap_or(u64::MAX)
    }

    /// Pays in, up to the capacity. One load, and no write, when it is full.
    fn add(&self, amount: u64) {
        let mut level = self.level.load(Ordering::Relaxed);
        while level < self.capacity {
            let raised = level.saturating_add(amount).min(self.capacity);
            match self.level.compare_exchange_weak(level, raised, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(actual) => level = actual,
            }
        }
    }

    fn take(&self) -> bool {
        let mut level = self.level.load(Ordering::Relaxed);
        while let Some(rest) = level.checked_sub(TOKEN) {
            match self.level.compare_exchange_weak(level, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(actual) => level = actual,
            }
        }
        false
    }

    /// Pays in one token for each period that has ended. Who moves the mark owns those periods, so each is
    /// paid once; another who looks between the two steps may miss a token by that instant, but it comes.
    fn pay_trickle(&self, now: Instant) {
        let Some(period) = self.period else { return };
        let age = self.age(now);
        let mut paid = self.paid_until.load(Ordering::Relaxed);
        loop {
            let periods = age.saturating_sub(paid) / period;
            if periods == 0 {
                return;
            }
            let mark = paid + periods * period.get();
            match self.paid_until.compare_exchange_weak(paid, mark, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.add(periods.saturating_mul(TOKEN)),
                Err(actual) => paid = actual,
            }
        }
    }
}

/// A token taken out for a retry that may still not be made. Dropped, it goes back, up to the capacity.
#[must_use = "a token dropped at once goes back into the budget"]
pub(crate) struct Token(Option<Arc<Bucket>>);

impl Token {
    /// The retry is made: the token is gone.
    pub(crate) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(bucket) = &self.0 {
            bucket.add(TOKEN);
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// The settings of a [`RetryBudget`].
///
/// ```
/// use recoup::RetryBudget;
///
/// let error = RetryBudget::builder().capacity(5).build().unwrap_err();
/// assert_eq!(error.setting, "capacity"); // the default reserve of 10 does not fit
/// assert!(RetryBudget::builder().capacity(5).reserve(5).build().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RetryBudgetBuilder {
    share: f64,
    reserve: u32,
    capacity: u32,
    trickle: Duration,
}

impl RetryBudgetBuilder {
    const fn new() -> Self {
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
        let share = DEFAULT_SHARE as f64 / TOKEN as f64;
        Self { share, reserve: DEFAULT_RESERVE, capacity: DEFAULT_CAPACITY, trickle: DEFAULT_TRICKLE }
    }

    /// How many tokens each success pays in: 0.2 is one retry for five successes. At least a millionth and
    /// at most 1000.0; kept to the nearest millionth. Default: 0.2.
    pub const fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// How many tokens it starts with. May be zero: then nothing is repeated before something succeeded or
    /// trickled in. Default: 10.
    pub const fn reserve(mut self, tokens: u32) -> Self {
        self.reserve = tokens;
        self
    }

    /// The most tokens it holds; what is paid in beyond is lost. At least 1, and at least the reserve.
    /// Default: 100.
    pub const fn capacity(mut self, tokens: u32) -> Self {
        self.capacity = tokens;
        self
    }

    /// A token is added each time so much time has passed, whether anything succeeds or not, counted from
    /// when the budget is built. Longer than zero; `Duration::MAX` is none. Default: 30 s.
    ///
    /// It lets a pool whose every call fails try again now and then. Each member of a fleet has one of its
    /// own, so keep it slow.
    pub const fn trickle(mut self, period: Duration) -> Self {
        self.trickle = period;
        self
    }

    /// Nothing is added by time alone: a budget once empty stays empty until something succeeds.
    pub const fn no_trickle(mut self) -> Self {
        self.trickle = Duration::MAX;
        self
    }

    /// Opens the budget.
    ///
    /// # Errors
    ///
    /// Names the setting that cannot work: a `share` out of its range, a `capacity` of zero or below the
    /// reserve, a `trickle` of zero.
    pub fn build(self) -> Result<RetryBudget, SettingError> {
        let check = Check("retry budget");
        let least_share = 1.0 / f64::from(1_000_000);
        if !(least_share..=MAX_SHARE).contains(&self.share) {
            return Err(check.refuse("share", self.share, "at least 0.000001 and at most 1000.0"));
        }
        check.at_least_one("capacity", self.capacity)?;
        if self.capacity < self.reserve {
            return Err(check.refuse("capacity", self.capacity, "at least the reserve"));
        }
        check.longer_than_zero("trickle", self.trickle)?;
        Ok(self.open())
    }

    fn open(self) -> RetryBudget {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 10^9")]
        let share = (self.share * 1e6).round() as u64;
        RetryBudget(Some(Arc::new(Bucket {
            level: AtomicU64::new(u64::from(self.reserve) * TOKEN),
            paid_until: AtomicU64::new(0),
            start: time::now(),
            share,
            capacity: u64::from(self.capacity) * TOKEN,
            // A period that 64 bits cannot count is longer than five centuries: never.
            period: u64::try_from(self.trickle.as_nanos()).ok().and_then(NonZeroU64::new),
        })))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn empty() -> RetryBudgetBuilder {
        RetryBudget::builder().reserve(0).capacity(1_000_000).no_trickle()
    }

    /// Spends all there is and says how much it was.
    fn drain(budget: &RetryBudget, now: Instant) -> u32 {
        let tokens = std::iter::from_fn(|| budget.reserve(now));
        tokens.map(Token::spend).count().try_into().unwrap()
    }

    fn start(budget: &RetryBudget) -> Instant {
        budget.0.as_ref().unwrap().start
    }

    fn level(budget: &RetryBudget) -> u64 {
        budget.0.as_ref().unwrap().level.load(Ordering::Relaxed)
    }

    #[test]
    fn deposits_add_up_exactly_to_their_share() {
        for (share, expected) in [
            (0.01, 1_000),
            (0.1, 10_000),
            (0.2, 20_000),
            (0.33, 33_000),
            (0.6, 60_000),
            (0.9, 90_000),
            (1.0, 100_000),
            (2.5, 250_000),
        ] {
            let budget = empty().share(share).build().unwrap();
            (0..100_000).for_each(|_| budget.deposit());
            assert_eq!(drain(&budget, start(&budget)), expected, "{share}");
        }
    }

    #[test]
    fn sixty_percent_is_sixty_percent_at_every_step() {
        let budget = empty().share(0.6).build().unwrap();
        let mut retries = 0;
        for successes in 1..=1_000 {
            budget.deposit();
            if let Some(token) = budget.reserve(start(&budget)) {
                token.spend();
                retries += 1;
            }
            assert_eq!(retries, successes * 6 / 10);
        }
    }

    #[test]
    fn asking_pays_nothing_in() {
        let budget = empty().build().unwrap();
        for _ in 0..1_000 {
            assert!(budget.reserve(start(&budget)).is_none());
        }
        assert_eq!(level(&budget), 0);
    }

    #[test]
    fn exactly_what_is_there_can_be_reserved_and_dropping_gives_it_back() {
        let budget = RetryBudget::builder().reserve(200).capacity(200).no_trickle().build().unwrap();
        let now = start(&budget);
        let mut held: Vec<_> = (0..1_000).filter_map(|_| budget.reserve(now)).collect();
        assert_eq!(held.len(), 200);
        held.truncate(150);
        assert_eq!(budget.tokens_at(now), 50);
        assert_eq!(drain(&budget, now), 50);
        held.into_iter().for_each(Token::spend);
        assert_eq!(budget.tokens_at(now), 0);
    }

    #[test]
    fn token_held_through_a_panic_comes_back() {
        let budget = RetryBudget::builder().reserve(1).no_trickle().build().unwrap();
        let held = budget.reserve(start(&budget)).unwrap();
        assert_eq!(budget.tokens(), 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = held;
            panic!("while held");
        }));
        assert!(panicked.is_err());
        assert_eq!(budget.tokens(), 1);
    }

    #[test]
    fn returned_token_does_not_overfill() {
        let budget = RetryBudget::builder().reserve(1).capacity(1).share(1.0).no_trickle().build().unwrap();
        let held = budget.reserve(start(&budget)).unwrap();
        budget.deposit();
        drop(held);
        assert_eq!(level(&budget), TOKEN);
    }

    #[test]
    fn trickle_revives_an_empty_budget() {
        let budget = empty().trickle(30 * SECOND).build().unwrap();
        let now = start(&budget);
        assert_eq!(budget.next_token_in(now), Some(30 * SECOND));
        let before = now + 30 * SECOND - Duration::from_nanos(1);
        assert!(budget.reserve(before).is_none());
        assert_eq!(budget.next_token_in(before), Some(Duration::from_nanos(1)));
        budget.reserve(now + 30 * SECOND).unwrap().spend();
        assert!(budget.reserve(now + 30 * SECOND).is_none());
        assert_eq!(drain(&budget, now + 100 * SECOND), 2, "the remainder is carried");
        assert_eq!(budget.next_token_in(now + 100 * SECOND), Some(20 * SECOND));
        assert_eq!(drain(&budget, now + 120 * SECOND), 1);
    }

    #[test]
    fn trickle_asked_for_often_is_not_lost_to_rounding() {
        let budget = empty().trickle(Duration::from_nanos(7)).build().unwrap();
        let now = start(&budget);
        let spent: u32 = (0..=10_000).map(|ns| drain(&budget, now + Duration::from_nanos(ns))).sum();
        assert_eq!(spent, 10_000 / 7);
    }

    #[test]
    fn full_budget_saves_up_no_time() {
        let budget = RetryBudget::builder().reserve(3).capacity(3).trickle(SECOND).build().unwrap();
        let later = start(&budget) + 1_000 * SECOND;
        assert_eq!(drain(&budget, later), 3);
        assert_eq!(drain(&budget, later), 0);
        assert_eq!(drain(&budget, later + SECOND), 1);
    }

    #[test]
    fn time_that_runs_backwards_or_very_far_does_no_harm() {
        let budget = empty().capacity(5).trickle(Duration::from_nanos(1)).build().unwrap();
        let now = start(&budget);
        assert_eq!(budget.tokens_at(now - SECOND), 0);
        let far = time::later_or_far(now, Duration::MAX);
        assert_eq!(drain(&budget, far), 5);
        assert_eq!(drain(&budget, now + SECOND), 0, "an earlier moment is not paid again");
        assert!(budget.next_token_in(now).is_some());
    }

    #[test]
    fn without_a_trickle_empty_stays_empty() {
        for builder in [empty().no_trickle(), empty().trickle(Duration::MAX)] {
            let budget = builder.build().unwrap();
            let far = time::later_or_far(start(&budget), Duration::MAX);
            assert_eq!(budget.next_token_in(far), None);
            assert!(budget.reserve(far).is_none());
            (0..5).for_each(|_| budget.deposit());
            assert_eq!(budget.next_token_in(far), Some(Duration::ZERO));
        }
    }

    #[test]
    fn unlimited_never_runs_out() {
        let budget = RetryBudget::unlimited();
        budget.deposit();
        for _ in 0..1_000 {
            budget.reserve(time::now()).unwrap().spend();
        }
        assert_eq!((budget.tokens(), budget.next_token_in(time::now())), (u32::MAX, Some(Duration::ZERO)));
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_follow_the_paused_clock_and_clones_share_them() {
        let budget = RetryBudget::default();
        drain(&budget, time::now());
        tokio::time::advance(61 * SECOND).await;
        assert_eq!(budget.clone().tokens(), 2);
        assert_eq!(format!("{budget:?}"), "RetryBudget { tokens: 2, capacity: 100, .. }");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let refused = |builder: RetryBudgetBuilder| builder.build().unwrap_err().setting;
        for share in [0.0, -0.2, 1e-9, 1_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(refused(RetryBudget::builder().share(share)), "share");
        }
        assert_eq!(refused(RetryBudget::builder().capacity(0).reserve(0)), "capacity");
        assert_eq!(refused(RetryBudget::builder().reserve(101)), "capacity");
        assert_eq!(refused(RetryBudget::builder().trickle(Duration::ZERO)), "trickle");
        for share in [0.000_001, 1_000.0] {
            assert!(RetryBudget::builder().share(share).build().is_ok());
        }
        let largest = RetryBudget::builder().capacity(u32::MAX).reserve(u32::MAX).build().unwrap();
        assert_eq!(largest.tokens(), u32::MAX);
    }

    #[test]
    fn threads_lose_and_invent_nothing() {
        const EACH: u64 = 20_000;
        let budget = empty().reserve(1_000).share(0.33).build().unwrap();
        let now = start(&budget);
        let spent: u64 = thread::scope(|scope| {
            let workers: Vec<_> = (0..8_u64)
                .map(|worker| {
                    let budget = &budget;
                    scope.spawn(move || {
                        let mut spent = 0;
                        for turn in 0..EACH {
                            budget.deposit();
                            match budget.reserve(now) {
                                Some(token) if (turn + worker) % 3 == 0 => {
                                    token.spend();
                                    spent += 1;
                                }
                                token => drop(token),
                            }
                        }
                        spent
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert!(spent > 0);
        assert_eq!(level(&budget), 1_000 * TOKEN + 8 * EACH * 330_000 - spent * TOKEN);
    }

    #[test]
    fn threads_pay_each_period_of_the_trickle_once() {
        const STEPS: u64 = 20_000;
        let budget = empty().trickle(Duration::from_nanos(3)).build().unwrap();
        let now = start(&budget);
        let spent: u32 = thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| {
                    let budget = &budget;
                    scope.spawn(move || {
                        (0..=STEPS).map(|ns| drain(budget, now + Duration::from_nanos(ns))).sum::<u32>()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let rest = drain(&budget, now + Duration::from_nanos(STEPS));
        assert_eq!(u64::from(spent + rest), STEPS / 3);
    }

    #[test]
    fn threads_never_hold_more_than_the_capacity() {
        let budget = empty().reserve(5).capacity(5).share(2.5).build().unwrap();
        let now = start(&budget);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        drop(budget.reserve(now));
                        budget.deposit();
                        assert!(level(&budget) <= 5 * TOKEN);
                    }
                });
            }
        });
        assert_eq!(level(&budget), 5 * TOKEN);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Deposit,
        Reserve,
        Drop,
        Spend,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Deposit),
            4 => Just(Step::Reserve),
            1 => Just(Step::Drop),
            2 => Just(Step::Spend),
            2 => (0_u64..5_000).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn any_history_matches_a_naive_model(
            share in 1_u32..3_000_000,
            reserve in 0_u32..5,
            room in 1_u32..8,
            period in 1_u64..4_000,
            steps in prop::collection::vec(step(), 0..400),
        ) {
            let budget = RetryBudget::builder()
                .share(f64::from(share) / 1e6)
                .reserve(reserve)
                .capacity(reserve + room)
                .trickle(Duration::from_nanos(period))
                .build()
                .unwrap();
            let start = start(&budget);
            let token = i128::from(TOKEN);
            let capacity = i128::from(reserve + room) * token;
            // The model pays its trickle at once, one nanosecond after the other.
            let (mut level_then, mut ns) = (i128::from(reserve) * token, 0_u64);
            let mut held = Vec::new();
            for step in steps {
                let now = start + Duration::from_nanos(ns);
                match step {
                    Step::Deposit => {
                        budget.deposit();
                        level_then = capacity.min(level_then + i128::from(share));
                    }
                    Step::Reserve => {
                        let got = budget.reserve(now);
                        prop_assert_eq!(got.is_some(), level_then >= token);
                        if let Some(got) = got {
                            held.push(got);
                            level_then -= token;
                        }
                    }
                    Step::Drop => if held.pop().is_some() {
                        level_then = capacity.min(level_then + token);
                    },
                    Step::Spend => if let Some(got) = held.pop() {
                        got.spend();
                    },
                    Step::Wait(wait) => for _ in 0..wait {
                        ns += 1;
                        if ns % period == 0 {
                            level_then = capacity.min(level_then + token);
                        }
                    },
                }
                let now = start + Duration::from_nanos(ns);
                if let Step::Reserve = step {
                    let wait = budget.next_token_in(now).unwrap();
                    let expected = if level_then >= token { 0 } else { period - ns % period };
                    prop_assert_eq!(wait, Duration::from_nanos(expected));
                }
            }
            let end = start + Duration::from_nanos(ns);
            prop_assert_eq!(i128::from(budget.tokens_at(end)), level_then / token);
            prop_assert_eq!(i128::from(level(&budget)), level_then);
        }
    }
}
