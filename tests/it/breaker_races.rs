//! Threads against each other: the fast path and the lock agree.

use std::sync::atomic::{AtomicUsize, Ordering};

use recoup::{CircuitBreaker, HalfOpen, Outcome};

use crate::breaker_watch::report;

/// A success between two failures was forgotten when it came while the second one was being counted: the
/// run then went on as if it had not been, and the circuit opened too early.
#[test]
fn success_that_races_with_a_failure_still_breaks_the_run() {
    const ROUNDS: usize = 50_000;
    let breaker = CircuitBreaker::builder("race").no_failure_rate().consecutive_failures(u32::MAX);
    let breaker = breaker.build().unwrap();
    let meeting = Meeting::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let permit = breaker.admit().unwrap();
                meeting.wait(4 * round + 2);
                permit.settle(Outcome::Success);
                meeting.wait(4 * round + 4);
            }
        });
        let mut worst = 0;
        for round in 0..ROUNDS {
            report(&breaker, Outcome::Success);
            report(&breaker, Outcome::Failure);
            let permit = breaker.admit().unwrap();
            meeting.wait(4 * round + 2);
            permit.settle(Outcome::Failure);
            meeting.wait(4 * round + 4);
            worst = worst.max(breaker.snapshot().consecutive_failures);
        }
        // Whichever came first: one failure since the success, or none.
        assert!(worst <= 1, "{worst} in a row");
    });
}

/// Where two threads meet, spinning, so that they leave as close together as can be.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    /// Comes, and goes on when `arrivals` have been counted.
    fn wait(&self, arrivals: usize) {
        self.0.fetch_add(1, Ordering::AcqRel);
        let mut looks = 0_u32;
        while self.0.load(Ordering::Acquire) < arrivals {
            looks += 1;
            if looks.is_multiple_of(1_000) {
                std::thread::yield_now();
            }
        }
    }
}

const NANOSECOND: std::time::Duration = std::time::Duration::from_nanos(1);

/// 29 of 100 is a share of 0.29, but in floating point a hundred times 0.29 is less than 29.
#[tokio::test(start_paused = true)]
async fn share_of_failed_probes_is_not_rounded_down() {
    for probes in 1..=200_u32 {
        for allowed in 0..probes {
            let share = f64::from(allowed) / f64::from(probes);
            let half_open = HalfOpen::probes(probes).failure_rate(share);
            let breaker = CircuitBreaker::builder("probes")
                .consecutive_failures(1)
                .open_for(NANOSECOND)
                .half_open(half_open)
                .build()
                .unwrap();
            report(&breaker, Outcome::Failure);
            tokio::time::advance(NANOSECOND).await;
            (0..allowed).for_each(|_| report(&breaker, Outcome::Failure));
            assert_eq!(breaker.snapshot().openings, 1, "{allowed} of {probes} may fail");
            report(&breaker, Outcome::Failure);
            assert_eq!(breaker.snapshot().openings, 2, "one more than {allowed} of {probes} may not");
        }
    }
}
