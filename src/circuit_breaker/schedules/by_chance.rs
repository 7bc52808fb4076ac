//! Histories that are too long to be run in every order, and what loom cannot tell: it lets a plain store slip
//! between the two halves of a read-modify-write.

use super::*;

#[test]
fn success_ends_a_run_of_failures_before_or_after_one_more() {
    let runs = outcomes(|| {
        let breaker = opens_after(9, HalfOpen::default()).build().unwrap();
        let now = breaker.core.origin;
        call(&breaker, Outcome::Failure, now);
        let callers = [Outcome::Failure, Outcome::Success]
            .map(|outcome| spawn(&breaker, move |breaker| call(breaker, outcome, now)));
        assert_eq!(callers.map(join), [true, true]);
        breaker.snapshot().consecutive_failures
    });
    assert_eq!(runs, BTreeSet::from([0, 1]));
}

#[test]
fn rates_of_three_threads_are_exact() {
    let came = outcomes(|| {
        let builder = CircuitBreaker::builder("model")
            .failure_rate(0.6)
            .minimum_calls(6)
            .window(Window::last_calls(10).and_last(Duration::from_secs(10)))
            .open_for(OPEN_FOR);
        let (breaker, told) = told(builder);
        let now = breaker.core.origin;
        let callers = [Outcome::Failure, Outcome::Success, Outcome::Failure].map(|outcome| {
            spawn(&breaker, move |breaker| [call(breaker, outcome, now), call(breaker, outcome, now)])
        });
        assert_eq!(callers.map(join), [[true; 2]; 3], "it opens with the last of them at the earliest");
        let tally = Tally { calls: 6, failed: 4, ..Tally::default() };
        assert_eq!(breaker.core.look(|_, counts| counts.tallies(now)), [Some(tally), Some(tally)]);
        told.try_iter().collect::<Vec<_>>()
    });
    assert_eq!(came, BTreeSet::from([vec![], vec![Told::Opened(1)]]));
}

/// Three threads that each live through an outage: what each of them meets is told once, and counts up.
#[test]
fn whole_outages_of_three_threads_are_told_without_a_gap() {
    let came = outcomes(|| {
        let (breaker, told) = told(opens_after(2, HalfOpen::probes(2).successes(1)));
        let now = breaker.core.origin;
        let callers = [Outcome::Failure, Outcome::Failure, Outcome::Success].map(|outcome| {
            spawn(&breaker, move |breaker| {
                for step in 0..4 {
                    let at = now + OPEN_FOR * step;
                    let outcome = if step == 2 { Outcome::Success } else { outcome };
                    match admit(breaker, at) {
                        Some(permit) if step == 3 => drop(permit),
                        Some(permit) => settle(permit, outcome, at),
                        None => {}
                    }
                }
            })
        });
        for caller in callers {
            join(caller);
        }
        let snapshot = breaker.snapshot();
        let mut told = told.try_iter().collect::<Vec<_>>();
        told.sort_by_key(Told::generation);
        let generations = told.iter().map(Told::generation);
        assert!(generations.eq(1..=snapshot.generation), "each change is told, and once: {told:?}");
        for (change, next) in told.iter().zip(&told[1.min(told.len())..]) {
            let follows = matches!(
                (change, next),
                (Told::Opened(_), Told::HalfOpened(_))
                    | (Told::HalfOpened(_), Told::Opened(_) | Told::Closed(_))
                    | (Told::Closed(_), Told::Opened(_))
            );
            assert!(follows, "{change:?} and then {next:?}");
        }
        let last = told.last().map_or(CircuitState::Closed, |change| match change {
            Told::Opened(_) => CircuitState::Open,
            Told::HalfOpened(_) => CircuitState::HalfOpen,
            Told::Closed(_) => CircuitState::Closed,
        });
        let open = snapshot.state != CircuitState::Closed;
        assert_eq!(open, last != CircuitState::Closed, "{told:?} and {snapshot:?}");
        told.len()
    });
    assert!(came.contains(&0) && came.iter().any(|changes| *changes > 3), "{came:?}");
}

/// Whoever drops its probe makes room for another, whatever the others do meanwhile.
#[test]
fn places_of_probes_are_all_there_after_a_crowd_has_come_and_gone() {
    let came = outcomes(|| {
        let (breaker, due) = opened(opens_after(1, HalfOpen::probes(2)));
        let inside = Arc::new(AtomicU64::new(0));
        let callers = [0, 1, 2].map(|_| {
            let inside = Arc::clone(&inside);
            spawn(&breaker, move |breaker| {
                let mut probed = 0;
                for _ in 0..3 {
                    if let Some(permit) = admit(breaker, due) {
                        probed += 1;
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2, "more than two probes");
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                }
                probed
            })
        });
        let probed: i32 = callers.map(join).into_iter().sum();
        let (first, second) = (admit(&breaker, due), admit(&breaker, due));
        assert!(first.is_some() && second.is_some() && admit(&breaker, due).is_none());
        probed
    });
    assert!(came.contains(&9) && came.len() > 1, "some are turned away, in some order: {came:?}");
}
