//! What a circuit promises in whatever order calls begin and end.
//!
//! Only `admit`, `settle` and `drops` know how a permit is made and ends: the models are about what is promised.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;
use std::sync::mpsc;

use super::*;
use crate::sync::atomic::AtomicBool;
use crate::sync::model::{outcomes, thread};
use crate::window::{Tally, Window};

const OPEN_FOR: Duration = Duration::from_secs(5);

fn admit(breaker: &CircuitBreaker, at: Instant) -> Option<Permit<'_>> {
    breaker.enter(&Now::from(at)).ok()
}

fn settle(mut permit: Permit<'_>, outcome: Outcome, at: Instant) {
    match outcome {
        Outcome::Success => permit.succeed(&Now::from(at)), // the way that needs no lock
        outcome => permit.settle_at(outcome, None, &Now::from(at)),
    }
}

/// Makes a call that ends with `outcome`, all at one moment. Whether it was let in.
fn call(breaker: &CircuitBreaker, outcome: Outcome, at: Instant) -> bool {
    admit(breaker, at).map(|permit| settle(permit, outcome, at)).is_some()
}

/// Opens after so many failures in a row and closes after one good probe of so many.
fn opens_after(failures: u32, probes: HalfOpen) -> CircuitBreakerBuilder {
    CircuitBreaker::builder("model")
        .no_failure_rate()
        .consecutive_failures(failures)
        .open_for(OPEN_FOR)
        .half_open(probes)
        .no_ramp()
}

/// What observers were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Opened(u64),
    HalfOpened(u64),
    Closed(u64),
}

impl Told {
    fn generation(&self) -> u64 {
        let (Self::Opened(generation) | Self::HalfOpened(generation) | Self::Closed(generation)) = *self;
        generation
    }
}

/// A breaker that keeps what it tells.
fn told(builder: CircuitBreakerBuilder) -> (CircuitBreaker, mpsc::Receiver<Told>) {
    let (tell, told) = mpsc::channel();
    let observer = move |event: &Event<'_>| {
        let change = match event {
            Event::CircuitOpened { generation, .. } => Told::Opened(*generation),
            Event::CircuitHalfOpened { generation, .. } => Told::HalfOpened(*generation),
            Event::CircuitClosed { generation, .. } => Told::Closed(*generation),
            _ => return,
        };
        tell.send(change).unwrap();
    };
    (builder.observer(Arc::new(observer)).build().unwrap(), told)
}

/// A breaker that has just been opened, and the moment from which it lets probes in.
fn opened(builder: CircuitBreakerBuilder) -> (CircuitBreaker, Instant) {
    let breaker = builder.build().unwrap();
    let now = breaker.core.origin;
    while breaker.snapshot().openings == 0 {
        assert!(call(&breaker, Outcome::Failure, now));
    }
    (breaker, now + OPEN_FOR)
}

type Thread<T> = thread::JoinHandle<T>;

/// Does something with the breaker in a thread of its own.
fn spawn<T: Send + 'static>(
    breaker: &CircuitBreaker,
    act: impl FnOnce(&CircuitBreaker) -> T + Send + 'static,
) -> Thread<T> {
    let breaker = breaker.clone();
    thread::spawn(move || act(&breaker))
}

fn join<T>(thread: Thread<T>) -> T {
    thread.join().unwrap()
}

mod opening {
    use super::*;

    #[test]
    fn nobody_who_knows_that_it_opened_is_admitted() {
        let came = outcomes(|| {
            let breaker = opens_after(1, HalfOpen::default()).build().unwrap();
            let now = breaker.core.origin;
            let known = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&known);
            let opener = spawn(&breaker, move |breaker| {
                call(breaker, Outcome::Failure, now);
                assert!(admit(breaker, now).is_none(), "who opened it knows");
                flag.store(true, Ordering::Release);
            });
            let caller = spawn(&breaker, move |breaker| {
                let first = admit(breaker, now).is_some();
                let known = known.load(Ordering::Acquire);
                let second = admit(breaker, now).is_some();
                assert!(!(known && second), "it was known to be open");
                assert!(first || !second, "who was turned away is not let in");
                (first, known, second)
            });
            join(opener);
            join(caller)
        });
        let (yes, no) = (true, false);
        assert_eq!(
            came,
            BTreeSet::from([(yes, no, yes), (yes, no, no), (yes, yes, no), (no, no, no), (no, yes, no)])
        );
    }

    #[test]
    fn success_that_races_with_the_opening_counts_before_it_or_not_at_all() {
        let came = outcomes(|| {
            let builder = CircuitBreaker::builder("model")
                .failure_rate(1.0)
                .minimum_calls(2)
                .window(Window::last_calls(10).and_last(Duration::from_secs(10)))
                .open_for(OPEN_FOR);
            let breaker = builder.build().unwrap();
            let now = breaker.core.origin;
            call(&breaker, Outcome::Failure, now);
            let (admitted, known) = mpsc::channel();
            let [fails, succeeds] = [Outcome::Failure, Outcome::Success].map(|outcome| {
                let admitted = admitted.clone();
                spawn(&breaker, move |breaker| {
                    let permit = admit(breaker, now);
                    admitted.send(permit.is_some()).unwrap();
                    if let Some(permit) = permit {
                        settle(permit, outcome, now);
                    }
                })
            });
            join(fails);
            join(succeeds);
            let admitted = known.try_iter().filter(|admitted| *admitted).count();
            let snapshot = breaker.snapshot();
            assert_eq!(snapshot.failures, 2);
            let open = snapshot.state == CircuitState::Open;
            assert_eq!(snapshot.generation, u64::from(open));
            assert!(open || snapshot.calls == 3, "{snapshot:?}");
            (open, admitted, snapshot.calls)
        });
        assert!(came.contains(&(false, 2, 3)), "the success came first: {came:?}");
        assert!(came.contains(&(true, 1, 2)), "the opening came first: {came:?}");
        assert!(came.contains(&(true, 2, 2)), "the success came too late: {came:?}");
    }

    #[test]
    fn failures_of_three_threads_open_it_once() {
        for threshold in [2, 3] {
            let came = outcomes(move || {
                let (breaker, told) = told(opens_after(threshold, HalfOpen::default()));
                let now = breaker.core.origin;
                let callers =
                    [0, 1, 2].map(|_| spawn(&breaker, move |breaker| call(breaker, Outcome::Failure, now)));
                let admitted = callers.map(join).into_iter().filter(|admitted| *admitted).count();
                let snapshot = breaker.snapshot();
                assert_eq!(told.try_iter().collect::<Vec<_>>(), [Told::Opened(1)]);
                assert_eq!((snapshot.state, snapshot.generation), (CircuitState::Open, 1));
                assert_eq!(snapshot.consecutive_failures, threshold, "late failures do not count");
                assert_eq!(snapshot.openings, 1);
                admitted
            });
            assert_eq!(came, (threshold as usize..=3).collect());
        }
    }

    #[test]
    fn rates_of_racing_results_are_exact() {
        let came = outcomes(|| {
            let builder = CircuitBreaker::builder("model")
                .failure_rate(0.5)
                .minimum_calls(2)
                .window(Window::last_calls(10).and_last(Duration::from_secs(10)))
                .open_for(OPEN_FOR);
            let (breaker, told) = told(builder);
            let now = breaker.core.origin;
            let callers = [Outcome::Failure, Outcome::Success]
                .map(|outcome| spawn(&breaker, move |breaker| call(breaker, outcome, now)));
            assert_eq!(callers.map(join), [true, true], "it opens with the last of them at the earliest");
            let tally = Tally { calls: 2, failed: 1, ..Tally::default() };
            assert_eq!(breaker.core.look(|_, counts| counts.tallies(now)), [Some(tally), Some(tally)]);
            let opened = told.try_iter().collect::<Vec<_>>();
            assert_eq!(breaker.snapshot().generation, opened.len() as u64);
            opened
        });
        // A success does not open it, so it stays closed when the success came last.
        assert_eq!(came, BTreeSet::from([vec![], vec![Told::Opened(1)]]));
    }

    #[test]
    fn last_place_in_a_group_is_taken_by_one() {
        let came = outcomes(|| {
            let group = BreakerGroup::new(0.5).unwrap();
            let breakers = [0, 1].map(|_| opens_after(1, HalfOpen::default()).group(&group).build().unwrap());
            let now = breakers[1].core.origin;
            let threads = [0, 1]
                .map(|nth: usize| spawn(&breakers[nth], move |breaker| call(breaker, Outcome::Failure, now)));
            assert_eq!(threads.map(join), [true, true]);
            assert_eq!(group.open(), 1);
            breakers.map(|breaker| breaker.snapshot().openings)
        });
        assert_eq!(came, BTreeSet::from([[0, 1], [1, 0]]));
    }

    #[test]
    fn nobody_comes_in_once_it_is_isolated() {
        let came = outcomes(|| {
            let breaker = opens_after(1, HalfOpen::default()).build().unwrap();
            let now = breaker.core.origin;
            let isolated = Arc::new(AtomicBool::new(false));
            let known = Arc::clone(&isolated);
            let operator = spawn(&breaker, move |breaker| {
                let isolation = breaker.isolate();
                assert!(admit(breaker, now).is_none());
                known.store(true, Ordering::Release);
                isolation
            });
            let caller = spawn(&breaker, move |breaker| {
                let known = isolated.load(Ordering::Acquire);
                let permit = admit(breaker, now);
                assert!(!(known && permit.is_some()));
                permit.is_some_and(|permit| {
                    settle(permit, Outcome::Success, now);
                    true
                })
            });
            let isolation = join(operator);
            let admitted = join(caller);
            drop(isolation);
            assert!(admit(&breaker, now).is_some());
            admitted
        });
        assert_eq!(came, BTreeSet::from([false, true]));
    }
}

mod probing {
    use std::mem::ManuallyDrop;

    use super::*;

    /// Asks to come in, as one who then never ends. Whether it was let in.
    fn stays(breaker: &CircuitBreaker, at: Instant) -> bool {
        admit(breaker, at).map(ManuallyDrop::new).is_some()
    }

    #[test]
    fn of_three_who_ask_at_the_end_of_the_open_time_exactly_the_quota_probes() {
        for quota in [1, 2] {
            let came = outcomes(move || {
                let (breaker, due) = opened(opens_after(1, HalfOpen::probes(quota)));
                let callers = [0, 1, 2].map(|_| spawn(&breaker, move |breaker| stays(breaker, due)));
                let let_in = callers.map(join);
                assert_eq!(let_in.iter().filter(|let_in| **let_in).count(), quota as usize);
                assert_eq!(breaker.snapshot().generation, 2, "half-open, once");
                let_in
            });
            assert_eq!(came.len(), 3, "each of them is the one that differs, in some order: {came:?}");
        }
    }

    #[test]
    fn dropped_probe_gives_its_place_back() {
        let came = outcomes(|| {
            let (breaker, due) = opened(opens_after(1, HalfOpen::probes(1)));
            let dropper = spawn(&breaker, move |breaker| admit(breaker, due).map(drop).is_some());
            let asker = spawn(&breaker, move |breaker| stays(breaker, due));
            let (came_and_went, stays_in) = (join(dropper), join(asker));
            assert!(came_and_went || stays_in);
            assert_eq!(stays(&breaker, due), !stays_in, "there is one place, and nobody else has it");
            (came_and_went, stays_in)
        });
        assert_eq!(came, BTreeSet::from([(true, true), (true, false), (false, true)]));
    }

    #[test]
    fn call_from_before_the_outage_has_no_say_in_the_probing() {
        for late in [Outcome::Failure, Outcome::Success, Outcome::Abandoned] {
            let came = outcomes(move || {
                let (breaker, told) = told(opens_after(1, HalfOpen::probes(2).successes(2)));
                let now = breaker.core.origin;
                let due = now + OPEN_FOR;
                let (held, old) = (breaker.clone(), breaker.clone());
                let stale = admit(&held, now).unwrap();
                call(&old, Outcome::Failure, now);
                let probes =
                    [0, 1].map(|_| spawn(&breaker, move |breaker| call(breaker, Outcome::Success, due)));
                settle(stale, late, due);
                assert_eq!(probes.map(join), [true, true]);
                let snapshot = breaker.snapshot();
                let told = told.try_iter().collect::<Vec<_>>();
                assert_eq!(told, [Told::Opened(1), Told::HalfOpened(2), Told::Closed(3)]);
                assert_eq!((snapshot.state, snapshot.generation), (CircuitState::Closed, 3));
                assert_eq!(snapshot.consecutive_failures, 0);
            });
            assert_eq!(came.len(), 1);
        }
    }

    #[test]
    fn probes_that_end_at_once_decide_once() {
        let came = outcomes(|| {
            let (breaker, told) = told(opens_after(1, HalfOpen::probes(3).successes(2)));
            let now = breaker.core.origin;
            let due = now + OPEN_FOR;
            call(&breaker, Outcome::Failure, now);
            let ends = [Outcome::Success, Outcome::Failure, Outcome::Success];
            let probes = ends.map(|end| spawn(&breaker, move |breaker| call(breaker, end, due)));
            assert_eq!(probes.map(join), [true; 3], "each is a probe, or comes after the closing");
            // Each tells what it changed after it has let go of the circuit, so another may tell first.
            let mut told = told.try_iter().collect::<Vec<_>>();
            told.sort_by_key(Told::generation);
            assert_eq!(told[..3], [Told::Opened(1), Told::HalfOpened(2), Told::Closed(3)]);
            told[3..].to_vec()
        });
        // The failure is a probe's, or comes after the closing and opens it again.
        assert_eq!(came, BTreeSet::from([vec![], vec![Told::Opened(4)]]));
    }

    /// The one race that is open on purpose: a success checks the generation, and counts itself later.
    #[test]
    fn success_counts_in_a_later_state_only_if_its_thread_slept_through_the_outage() {
        let came = outcomes(|| {
            let builder = CircuitBreaker::builder("model")
                .failure_rate(1.0)
                .minimum_calls(1)
                .window(Window::last_calls(10))
                .open_for(OPEN_FOR)
                .half_open(HalfOpen::probes(1))
                .no_ramp();
            let breaker = builder.build().unwrap();
            let now = breaker.core.origin;
            let outage = spawn(&breaker, move |breaker| {
                let opened = call(breaker, Outcome::Failure, now) && admit(breaker, now).is_none();
                let closed = call(breaker, Outcome::Success, now + OPEN_FOR);
                opened && closed
            });
            let success = spawn(&breaker, move |breaker| {
                let permit = admit(breaker, now)?;
                let generation = breaker.snapshot().generation;
                settle(permit, Outcome::Success, now);
                Some(generation)
            });
            let opened = join(outage);
            let admitted_in = join(success);
            let snapshot = breaker.snapshot();
            assert!(snapshot.state == CircuitState::Closed && snapshot.failures <= 1);
            (opened, admitted_in, snapshot.calls)
        });
        // At most this one call, and not if the circuit had changed before its thread settled it.
        assert!(came.contains(&(true, Some(0), 0)), "it was too late: {came:?}");
        assert!(came.contains(&(true, Some(0), 1)), "its thread slept: {came:?}");
        assert!(came.iter().all(|&(opened, _, calls)| !opened || calls <= 1), "{came:?}");
        assert!(
            came.iter().all(|&(_, known, calls)| !matches!(known, Some(1 | 2)) || calls == 0),
            "{came:?}"
        );
    }
}
