//! Histories that are too long to be run in every order, and what loom cannot tell: it lets a plain store slip
//! between the two halves of a read-modify-write.

use super::*;

#[test]
fn result_racing_a_reset_of_a_timed_window_counts_whole_or_not_at_all() {
    let tallies = outcomes(|| {
        let start = now();
        let timed = Arc::new((TimeWindow::new(SPAN, start), start));
        timed.0.success(start);
        race::<(TimeWindow, Instant)>(
            &timed,
            &[
                |(window, at)| window.record(FAILED, *at),
                |(window, at)| window.success(*at),
                |(window, _)| window.reset(),
            ],
        );
        // A mark that outlived its call would show beside this one.
        timed.0.success(start);
        both(timed.0.tally(start))
    });
    assert_eq!(tallies, BTreeSet::from([(1, 0), (2, 0), (2, 1), (3, 1)]));
}

#[test]
fn long_histories_of_three_threads_are_counted_exactly() {
    let tallies = outcomes(|| {
        let start = now();
        let windows = Arc::new((CountWindow::new(100), TimeWindow::new(SPAN, start), start));
        let step: fn(&(CountWindow, TimeWindow, Instant)) = |(calls, time, start)| {
            for step in 0..8 {
                // Almost two spans pass on the way, so old slices are taken over as results come in.
                let at = *start + SPAN * step / 4;
                if step % 3 == 0 {
                    calls.record(FAILED);
                    time.record(FAILED, at);
                } else {
                    calls.success();
                    time.success(at);
                }
            }
        };
        race(&windows, &[step; 3]);
        let end = start + SPAN * 7 / 4;
        (both(windows.0.tally()), both(windows.1.tally(end)))
    });
    // Of the eight of each thread, those at 3/4 of a span after the first and before are gone.
    assert_eq!(tallies, BTreeSet::from([((24, 9), (12, 3))]));
}

#[test]
fn last_five_of_many_hold_the_failures_that_are_among_them() {
    let tallies = outcomes(|| {
        let window = Arc::new(CountWindow::new(5));
        race::<CountWindow>(
            &window,
            &[
                |window| (0..4).for_each(|_| window.record(FAILED)),
                |window| (0..4).for_each(|_| window.success()),
                |window| {
                    let Tally { calls, failed, .. } = window.tally();
                    assert!(failed <= calls && calls <= 5);
                    window.success();
                },
            ],
        );
        both(window.tally())
    });
    assert_eq!(tallies, (0..=4).map(|failed| (5, failed)).collect());
}
