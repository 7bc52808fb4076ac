//! What the windows promise in whatever order results come in.

#![expect(clippy::unwrap_used, reason = "a thread or a setting that fails, fails the model")]

#[cfg(all(test, recoup_shuttle))]
mod by_chance;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::sync::model::{outcomes, thread};
use crate::time::{Instant, now};

const FAILED: Mark = Mark { failed: true, slow: false, abandoned: false };
const SPAN: Duration = Duration::from_secs(10);

/// Calls and failures.
fn both(tally: Tally) -> (u64, u64) {
    (tally.calls, tally.failed)
}

/// Runs each of the steps in a thread of its own and waits for them all.
fn race<W: Send + Sync + 'static>(window: &Arc<W>, steps: &[fn(&W)]) {
    let threads = steps.iter().map(|&step| {
        let window = Arc::clone(window);
        thread::spawn(move || step(&window))
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

mod of_calls {
    use super::*;

    #[test]
    fn tally_of_racing_results_is_exact() {
        let tallies = outcomes(|| {
            let window = Arc::new(CountWindow::new(10));
            race(
                &window,
                &[
                    |window| {
                        window.success();
                        window.success();
                    },
                    |window| {
                        window.record(FAILED);
                        window.success();
                    },
                    |window| window.record(FAILED),
                ],
            );
            both(window.tally())
        });
        assert_eq!(tallies, BTreeSet::from([(5, 2)]));
    }

    #[test]
    fn failure_leaves_a_window_of_two_exactly_when_two_more_came_after_it() {
        let tallies = outcomes(|| {
            let window = Arc::new(CountWindow::new(2));
            race(
                &window,
                &[|window| window.success(), |window| window.record(FAILED), |window| window.success()],
            );
            both(window.tally())
        });
        assert_eq!(tallies, BTreeSet::from([(2, 0), (2, 1)]));
    }

    #[test]
    fn tally_amid_results_is_one_that_was_true_at_some_moment() {
        let tallies = outcomes(|| {
            let window = Arc::new(CountWindow::new(10));
            let fails = Arc::clone(&window);
            let failing = thread::spawn(move || {
                fails.record(FAILED);
                fails.record(FAILED);
            });
            let looks = Arc::clone(&window);
            let looking = thread::spawn(move || both(looks.tally()));
            failing.join().unwrap();
            looking.join().unwrap()
        });
        assert_eq!(tallies, BTreeSet::from([(0, 0), (1, 1), (2, 2)]));
    }

    #[test]
    fn failure_racing_a_reset_counts_whole_or_not_at_all() {
        let tallies = outcomes(|| {
            let window = Arc::new(CountWindow::new(10));
            window.record(FAILED);
            race(&window, &[|window| window.record(FAILED), |window| window.reset()]);
            both(window.tally())
        });
        assert_eq!(tallies, BTreeSet::from([(0, 0), (1, 1)]));
    }

    #[test]
    fn success_racing_a_reset_counts_whole_or_not_at_all() {
        let tallies = outcomes(|| {
            let window = Arc::new(CountWindow::new(10));
            window.record(FAILED);
            race(&window, &[|window| window.success(), |window| window.reset()]);
            both(window.tally())
        });
        assert_eq!(tallies, BTreeSet::from([(0, 0), (1, 0)]));
    }
}

mod in_time {
    use super::*;

    type Timed = (TimeWindow, Instant);

    fn window() -> Arc<Timed> {
        let start = now();
        Arc::new((TimeWindow::new(SPAN, start), start))
    }

    #[test]
    fn tally_of_racing_results_is_exact() {
        let tallies = outcomes(|| {
            let timed = window();
            race::<Timed>(
                &timed,
                &[
                    |(window, at)| {
                        window.success(*at);
                        window.success(*at);
                    },
                    |(window, at)| {
                        window.record(FAILED, *at);
                        window.success(*at);
                    },
                    |(window, at)| window.record(FAILED, *at),
                ],
            );
            both(timed.0.tally(timed.1))
        });
        assert_eq!(tallies, BTreeSet::from([(5, 2)]));
    }

    #[test]
    fn place_of_an_old_slice_is_taken_over_once_and_nothing_is_lost() {
        let tallies = outcomes(|| {
            let timed = window();
            timed.0.record(FAILED, timed.1);
            race::<Timed>(
                &timed,
                &[
                    |(window, start)| window.success(*start + SPAN),
                    |(window, start)| window.record(FAILED, *start + SPAN),
                    |(window, start)| window.success(*start + SPAN),
                ],
            );
            both(timed.0.tally(timed.1 + SPAN))
        });
        assert_eq!(tallies, BTreeSet::from([(3, 1)]));
    }

    #[test]
    fn late_result_racing_with_the_slice_that_follows_it_never_counts_in_it() {
        let tallies = outcomes(|| {
            let timed = window();
            race::<Timed>(
                &timed,
                &[
                    |(window, start)| window.record(FAILED, *start),
                    |(window, start)| window.success(*start + SPAN),
                    |(window, start)| window.record(FAILED, *start + SPAN),
                ],
            );
            both(timed.0.tally(timed.1 + SPAN))
        });
        assert_eq!(tallies, BTreeSet::from([(2, 1)]));
    }
}
