//! Whatever happens, a limit stays what it can be.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Enter(Priority),
    /// The call that was let in so many ago ends so.
    Settle(usize, Outcome),
    Drop(usize),
    Advance(Duration),
    /// The clock of the next step shows an earlier time.
    Back(Duration),
    Bounds(usize, usize),
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(&Priority::ALL[..])
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        (1_u64..2000).prop_map(Duration::from_millis),
        (1_u64..100_000).prop_map(Duration::from_secs),
        Just(Duration::from_secs(60 * 60 * 24 * 365 * 30)),
        Just(Duration::MAX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Success),
        2 => Just(Outcome::Failure),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Abandoned),
    ];
    prop_oneof![
        20 => priority().prop_map(Step::Enter),
        15 => (0_usize..40, outcome).prop_map(|(at, outcome)| Step::Settle(at, outcome)),
        2 => (0_usize..40).prop_map(Step::Drop),
        8 => span().prop_map(Step::Advance),
        1 => span().prop_map(Step::Back),
        1 => (0_usize..40, 0_usize..60).prop_map(|(min, max)| Step::Bounds(min, max)),
    ]
}

fn builds() -> impl Strategy<Value = ConcurrencyLimit> {
    let ready = |limit: Result<ConcurrencyLimit, SettingError>| limit.unwrap();
    (0..3, 1_usize..20, 0.0..0.5_f64, 0.0..0.5_f64).prop_map(move |(formula, initial, high, critical)| {
        fn set<A>(
            builder: ConcurrencyLimitBuilder<A>,
            initial: usize,
            shares: (f64, f64),
        ) -> ConcurrencyLimitBuilder<A> {
            let builder = builder.initial(initial).max(40).window(MS).seed(1);
            builder.reserve(Priority::High, shares.0).reserve(Priority::Critical, shares.1)
        }
        let shares = (high, critical);
        match formula {
            0 => ready(set(ConcurrencyLimit::aimd().slow_after(SECOND), initial, shares).build()),
            1 => ready(set(ConcurrencyLimit::vegas(), initial, shares).build()),
            _ => ready(set(ConcurrencyLimit::gradient2().smoothing(1.0), initial, shares).build()),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn g6_whatever_happens_nobody_is_let_in_above_the_limit_and_the_limit_keeps_its_bounds(
        limit in builds(),
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut bounds = (1, 40);
        let mut now = time::now();
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Enter(priority) => {
                    let before = limit.snapshot();
                    let entered = limit.try_enter_at(priority, &Now::from(now));
                    let limit_now = limit.snapshot().limit_now;
                    match entered {
                        Ok(call) => {
                            held.push(call);
                            prop_assert!(held.len() <= limit_now);
                        }
                        Err(saturated) => {
                            prop_assert_eq!(saturated.limit_now, limit_now);
                            prop_assert!(before.in_flight > 0, "an idle limit shuts nobody out");
                        }
                    }
                }
                Step::Settle(at, outcome) if at < held.len() => {
                    held.swap_remove(at).settle_at(outcome, &Now::from(now));
                }
                Step::Drop(at) if at < held.len() => drop(held.swap_remove(at)),
                Step::Advance(span) => now = time::later(now, span).unwrap_or(now),
                Step::Back(span) => now = now.checked_sub(span).unwrap_or(now),
                Step::Bounds(min, max) => {
                    let allowed = min > 0 && max >= min;
                    prop_assert_eq!(limit.set_bounds(min, max).is_ok(), allowed);
                    bounds = if allowed { (min, max) } else { bounds };
                }
                Step::Settle(..) | Step::Drop(_) => {}
            }
            let snapshot = limit.snapshot();
            let within = bounds.0..=bounds.1;
            prop_assert!(within.contains(&snapshot.limit) && within.contains(&snapshot.limit_now));
            prop_assert_eq!(snapshot.in_flight, held.len());
            prop_assert!(snapshot.latency.is_none_or(|latency| latency <= Duration::from_secs(3600)));
        }
        drop(held);
        prop_assert_eq!(limit.in_flight(), 0);
    }

    #[test]
    fn who_matters_more_is_never_refused_where_one_who_matters_less_is_let_in(
        limit in builds(),
        taken in 0_usize..40,
        (one, other) in (priority(), priority()),
    ) {
        let _taken: Vec<_> = (0..taken).map_while(|_| limit.try_enter(Priority::Critical).ok()).collect();
        let lower = limit.try_enter(one.min(other)).is_ok();
        let higher = limit.try_enter(one.max(other)).is_ok();
        prop_assert!(higher || !lower);
    }

    #[test]
    fn g6_garbage_latencies_do_no_lasting_harm(
        garbage in prop::collection::vec(span(), 1..60),
        formula in 0..2,
    ) {
        let mut world = match formula {
            0 => World::new(ConcurrencyLimit::vegas()),
            _ => World::new(ConcurrencyLimit::gradient2()),
        };
        for took in garbage {
            let took = took.min(100_000 * SECOND);
            let calls = world.limit.snapshot().limit_now;
            world.calls(calls, took, Outcome::Success);
        }
        // A dependency that serves fifty at once, each for a tenth of a second.
        for _ in 0..800 {
            let calls = world.limit.snapshot().limit_now;
            let waits = u32::try_from(calls).unwrap().max(50);
            world.calls(calls, 2 * MS * waits, Outcome::Success);
        }
        let limit = world.limit.limit();
        prop_assert!((40..=62).contains(&limit), "{:?}", world.limit);
    }
}
