//! The promises of a throttle, step by step.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A throttle, and the time.
struct Client {
    throttle: Throttle,
    now: Instant,
}

impl Client {
    fn new(builder: ThrottleBuilder) -> Self {
        let throttle = builder.seed(1).build().unwrap();
        let Learned::Adaptive(rules) = &throttle.0.learned else { panic!("it adapts") };
        let now = rules.origin;
        Self { throttle, now }
    }

    /// One that has seen so much that nothing is new to it.
    fn settled() -> Self {
        let mut client = Self::new(Throttle::builder());
        (0..20).for_each(|_| client.call(100 * MS, Call::Quick).unwrap());
        client
    }

    /// Calls after a pause, and says whether it was let through.
    fn call(&mut self, pause: Duration, how: Call) -> Result<(), Throttled> {
        self.now += pause;
        self.throttle.admit(Priority::Normal, &self.now.into())?;
        self.end(how);
        Ok(())
    }

    fn end(&self, how: Call) {
        let (now, limit) = (self.now.into(), Some(SECOND));
        let took = |took| Attempted { took: Some(took), limit, ..Attempted::default() };
        match how {
            Call::Quick => self.throttle.succeeded(&took(MS), &now),
            Call::Slow => self.throttle.succeeded(&took(900 * MS), &now),
            Call::Refused => self.throttle.failed(&Attempted { limit, ..Attempted::default() }, &now),
            Call::TimedOut => self.throttle.failed(&overload(), &now),
        }
    }

    /// Whether it may retry what ended like this. The token is spent.
    fn retry(&self, failed: &Attempted) -> Result<(), Withheld> {
        self.throttle.reserve(None, failed, &self.now.into()).map(Leave::spend)
    }

    fn seen(&self) -> ThrottleSnapshot {
        self.throttle.snapshot()
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Quick,
    Slow,
    Refused,
    TimedOut,
}

fn overload() -> Attempted {
    Attempted { limit: Some(SECOND), overload: true, ..Attempted::default() }
}

fn plain() -> Attempted {
    Attempted::default()
}

#[test]
#[cfg_attr(any(recoup_loom, recoup_shuttle), ignore = "their atomics and locks are larger")]
fn cell_takes_no_more_than_64_bytes() {
    assert!(size_of::<Cell>() <= 64, "{} bytes", size_of::<Cell>());
}

#[test]
fn run_of_failures_shuts_the_gate_until_something_succeeds() {
    let mut client = Client::settled();
    for _ in 0..2 {
        client.call(SECOND, Call::Refused).unwrap();
        assert_eq!(client.retry(&plain()), Ok(()));
    }
    client.call(SECOND, Call::Refused).unwrap();
    assert_eq!(client.retry(&plain()), Err(Withheld::Failing));
    assert_eq!(client.seen().holds_back, Some(Withheld::Failing));
    client.call(SECOND, Call::Quick).unwrap();
    client.call(SECOND, Call::Refused).unwrap();
    assert_eq!(client.retry(&plain()), Ok(()));
}

#[test]
fn where_chance_fails_many_three_in_a_row_mean_nothing() {
    let mut client = Client::settled();
    for _ in 0..20 {
        client.call(SECOND, Call::Refused).unwrap();
        client.call(SECOND, Call::Quick).unwrap();
    }
    assert!(client.seen().blips > 0.03);
    for _ in 0..3 {
        client.call(SECOND, Call::Refused).unwrap();
    }
    assert_eq!(client.retry(&plain()), Ok(()));
    client.call(SECOND, Call::Refused).unwrap();
    assert_eq!(client.retry(&plain()), Err(Withheld::Failing));
}

#[test]
fn nothing_is_paid_in_for_asking_or_by_the_second() {
    let client = Client::new(Throttle::builder().gate(u32::MAX));
    let spent = (0..1_000).take_while(|_| client.retry(&plain()).is_ok()).count();
    assert_eq!(spent, 10);
    let mut client = client;
    client.now += 3_600 * SECOND;
    assert_eq!(client.retry(&plain()), Err(Withheld::Spent));
    (0..5).for_each(|_| client.end(Call::Quick));
    assert_eq!((client.retry(&plain()), client.retry(&plain())), (Ok(()), Err(Withheld::Spent)));
}

#[test]
fn tokens_that_are_kept_are_for_retries_that_matter() {
    let builder = Throttle::builder().reserve(Priority::Critical, 0.2).reserve(Priority::High, 0.3);
    let client = Client::new(builder);
    let spent = |priority| {
        let failed = Attempted { priority, ..plain() };
        (0..20).take_while(|_| client.retry(&failed).is_ok()).count()
    };
    assert_eq!(Priority::ALL.map(spent), [5, 0, 3, 2], "from the lowest to the highest, ten in all");
}

#[test]
fn leave_that_is_dropped_gives_its_token_back() {
    let client = Client::settled();
    let leaves: Vec<_> =
        (0..10).map(|_| client.throttle.reserve(None, &plain(), &client.now.into()).unwrap()).collect();
    assert_eq!(client.retry(&plain()), Err(Withheld::Spent));
    drop(leaves);
    assert_eq!(client.seen().tokens.to_bits(), 10.0_f32.to_bits());
}

#[test]
fn client_without_history_does_not_retry_what_may_be_overload() {
    let mut client = Client::new(Throttle::builder());
    client.call(SECOND, Call::TimedOut).unwrap();
    assert_eq!(client.retry(&overload()), Err(Withheld::Unknown));
    assert_eq!(client.retry(&plain()), Ok(()), "but what is not");

    let mut alone = Client::new(Throttle::builder().without_history(1.0));
    alone.call(SECOND, Call::TimedOut).unwrap();
    assert_eq!(alone.retry(&overload()), Ok(()), "a client that is alone does");
}

#[test]
fn client_that_calls_rarely_seldom_retries_what_may_be_overload() {
    let tries = |pause: Duration| {
        let mut client = Client::new(Throttle::builder().capacity(1_000));
        (0..50).for_each(|_| client.call(pause, Call::Quick).unwrap());
        (0..200).filter(|_| client.retry(&overload()).is_ok()).count()
    };
    assert_eq!(tries(100 * MS), 200);
    let rare = tries(20 * SECOND);
    assert!((5..40).contains(&rare), "a tenth of them: {rare}");
}

#[test]
fn servers_hint_beats_everything_but_the_tokens() {
    let hinted = Attempted { hinted: true, ..overload() };
    let mut client = Client::new(Throttle::builder());
    (0..5).for_each(|_| {
        let _held_back = client.call(SECOND, Call::TimedOut);
    });
    assert_eq!(client.retry(&overload()), Err(Withheld::Failing));
    let retries = (0..100).filter(|_| client.retry(&hinted).is_ok()).count();
    assert_eq!(retries, 10);
}

#[test]
fn overload_cuts_first_attempts_and_clean_successes_raise_them_again() {
    let mut client = Client::settled();
    let let_through = (0..200).filter(|_| client.call(100 * MS, Call::TimedOut).is_ok()).count();
    assert!((20..80).contains(&let_through), "{let_through} of 200");
    assert!(client.seen().admission < 0.05);
    let mut calls = 0;
    while client.seen().admission < 1.0 {
        let _held_back = client.call(100 * MS, Call::Quick);
        calls += 1;
    }
    assert!(calls < 60, "six seconds later it is as before: {calls}");
}

#[test]
fn refused_connections_cut_nothing() {
    let mut client = Client::settled();
    (0..1_000).for_each(|_| client.call(100 * MS, Call::Refused).unwrap());
    assert_eq!(client.seen().overload.to_bits(), 0.0_f32.to_bits());
}

#[test]
fn slow_successes_are_marks_too() {
    let mut client = Client::settled();
    (0..50).for_each(|_| {
        let _held_back = client.call(100 * MS, Call::Slow);
    });
    let seen = client.seen();
    assert!(seen.overload > 0.5 && seen.admission < 1.0, "{seen:?}");
}

#[test]
fn burst_of_timeouts_that_began_together_is_one_event() {
    let mut client = Client::settled();
    (0..100).for_each(|_| client.call(Duration::ZERO, Call::TimedOut).unwrap());
    assert_eq!(client.seen().admission.to_bits(), 1.0_f32.to_bits());
}

#[test]
fn while_cut_some_go_through_at_least_every_two_seconds_and_a_half() {
    let mut client = Client::new(Throttle::builder().least_admission(0.000_001));
    (0..300).for_each(|_| {
        let _held_back = client.call(100 * MS, Call::TimedOut);
    });
    let mut last = client.now;
    for _ in 0..1_000 {
        if client.call(100 * MS, Call::TimedOut).is_ok() {
            last = client.now;
        }
        assert!(client.now - last <= 2_500 * MS + 100 * MS);
    }
}

#[test]
fn who_is_held_back_is_told_when_to_come_back_and_then_goes_through() {
    let mut client = Client::settled();
    let held_back = loop {
        if let Err(held_back) = client.call(50 * MS, Call::TimedOut) {
            break held_back;
        }
    };
    assert!(held_back.until > client.now);
    client.now = held_back.until;
    assert!(client.throttle.admit(Priority::Low, &client.now.into()).is_ok());
}

/// A settled client that went through an overload and was let back in.
fn let_back_in() -> Client {
    let mut client = Client::settled();
    (0..20).for_each(|_| {
        let _held_back = client.call(200 * MS, Call::TimedOut);
    });
    while client.seen().admission < 1.0 || client.seen().overload > 0.0 {
        let _held_back = client.call(200 * MS, Call::Quick);
    }
    client
}

/// How many timeouts, half a second apart, it takes until admission is cut.
fn until_cut(client: &mut Client) -> usize {
    (1..100)
        .find(|_| client.call(500 * MS, Call::TimedOut).is_err() || client.seen().admission < 1.0)
        .unwrap()
}

#[test]
fn who_was_let_back_in_sees_the_next_overload_sooner() {
    let mut client = let_back_in();
    assert_eq!(until_cut(&mut client), 1);
    assert_eq!(until_cut(&mut Client::settled()), 5);
}

#[test]
fn wariness_is_over_after_twenty_seconds() {
    let mut client = let_back_in();
    (0..21).for_each(|_| client.call(SECOND, Call::Quick).unwrap());
    assert_eq!(until_cut(&mut client), 5);
}

#[test]
fn a_timeout_now_and_then_does_not_keep_a_client_wary() {
    let mut client = let_back_in();
    for nth in 0..25 {
        let how = if nth % 5 == 0 { Call::TimedOut } else { Call::Quick };
        let _held_back = client.call(SECOND, how);
    }
    while client.seen().overload > 0.0 {
        let _held_back = client.call(100 * MS, Call::Quick);
    }
    assert_eq!(until_cut(&mut client), 5);
}

#[test]
fn evidence_is_forgotten_after_the_memory() {
    let mut client = Client::settled();
    (0..100).for_each(|_| {
        let _held_back = client.call(100 * MS, Call::TimedOut);
    });
    assert!(client.seen().admission < 1.0);
    assert!(client.call(61 * SECOND, Call::Quick).is_ok());
    let seen = client.seen();
    assert_eq!((seen.overload, seen.admission, seen.failures_in_a_row, seen.history), (0.0, 1.0, 0, 1));
}

#[test]
fn priorities_go_without_from_the_bottom() {
    let mut client = Client::settled();
    (0..12).for_each(|_| {
        let _held_back = client.call(200 * MS, Call::TimedOut);
    });
    let through = Priority::ALL.map(|priority| {
        (0..2_000).filter(|_| client.throttle.admit(priority, &client.now.into()).is_ok()).count()
    });
    assert!(through.is_sorted() && through[0] < through[3] / 2, "{through:?}");
}

#[test]
fn one_endpoint_knows_nothing_of_another() {
    let mut dead = Client::settled();
    let other = dead.throttle.fresh();
    (0..100).for_each(|_| {
        let _held_back = dead.call(100 * MS, Call::TimedOut);
    });
    let seen = other.snapshot();
    assert_eq!((seen.admission, seen.history, seen.failures_in_a_row), (1.0, 0, 0));
    let shared = dead.throttle.clone();
    assert!(shared.snapshot().admission < 1.0, "clones are one");
}

#[test]
fn calm_cell_learns_nothing_from_an_attempt_that_never_waited() {
    let client = Client::settled();
    let before = client.seen();
    // Without the time: with it, a call would be noted.
    let unread = Now::unread();
    client.throttle.succeeded(&Attempted::default(), &unread);
    assert!(client.throttle.admit(Priority::Normal, &unread).is_ok());
    assert_eq!(client.seen(), before);
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |builder: ThrottleBuilder| builder.build().unwrap_err().setting;
    let new = Throttle::builder;
    for bad in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert_eq!(refused(new().share(bad)), "share");
        assert_eq!(refused(new().overloaded_at(bad)), "overloaded_at");
        assert_eq!(refused(new().cut(bad)), "cut");
        assert_eq!(refused(new().least_admission(bad)), "least_admission");
        assert_eq!(refused(new().without_history(bad)), "without_history");
        assert_eq!(refused(new().slow_from(bad)), "slow_from");
    }
    assert_eq!(refused(new().capacity(0)), "capacity");
    assert_eq!(refused(new().gate(0)), "gate");
    assert_eq!(refused(new().history(256)), "history");
    for span in [Duration::ZERO, Duration::MAX] {
        assert_eq!(refused(new().memory(span)), "memory");
        assert_eq!(refused(new().probe_within(span)), "probe_within");
        assert_eq!(refused(new().trickle(span)), "trickle");
    }
}

fn how() -> impl Strategy<Value = Call> {
    prop_oneof![Just(Call::Quick), Just(Call::Slow), Just(Call::Refused), Just(Call::TimedOut)]
}

proptest! {
    /// Whatever happens, and however the clock runs, what it believes stays what it can be.
    #[test]
    fn what_it_believes_stays_within_its_bounds(
        calls in prop::collection::vec((0_u64..10_000_000_000, how(), any::<bool>()), 1..300),
        backwards in 0_u64..1_000,
    ) {
        let mut client = Client::new(Throttle::builder());
        let mut granted = 0_u32;
        let mut successes = 0_u32;
        for (pause, how, retry) in calls {
            if client.call(Duration::from_millis(pause), how).is_ok() {
                successes += u32::from(matches!(how, Call::Quick | Call::Slow));
            }
            // Another thread that read the clock a little earlier.
            let earlier = client.now - Duration::from_millis(backwards);
            client.throttle.succeeded(&Attempted { took: Some(MS), limit: Some(SECOND), ..plain() }, &earlier.into());
            successes += 1;
            granted += u32::from(retry && client.retry(&overload()).is_ok());
            let seen = client.seen();
            prop_assert!((0.0..=1.0).contains(&seen.overload), "{seen:?}");
            prop_assert!((0.02..=1.0).contains(&seen.admission), "{seen:?}");
            prop_assert!((0.0..=10.0).contains(&seen.tokens), "{seen:?}");
            prop_assert!((0.0..=1.0).contains(&seen.blips), "{seen:?}");
        }
        prop_assert!(f64::from(granted) <= 10.0 + 0.2 * f64::from(successes) + 1e-3);
    }
}
