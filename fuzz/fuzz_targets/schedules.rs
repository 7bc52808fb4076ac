//! Any backoff: no panic, no wait outside of its bounds, and none above the cap.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use recoup::testing::{Happened, Recorder};
use recoup::{Reconnect, Recovery, RetryPolicy, execute_with_recovery};
use recoup_fuzz::{Count, Schedule, Span, Waits, names_a_setting, on_a_paused_clock};

#[derive(Arbitrary, Debug)]
struct Input {
    waits: Waits,
    rows: Count,
    attempts: u8,
    seed: u64,
    /// How long each connection lived.
    lived: Vec<Span>,
    stable_after: Span,
}

const BACKOFF: [&str; 6] = ["backoff", "factor", "jitter", "delays", "decorrelated", "max_delay"];

fuzz_target!(|input: Input| {
    let backoff = input.waits.backoff();
    let preview = backoff.preview(input.rows.small());
    assert_eq!(preview.len(), input.rows.small());
    let growing = matches!(
        input.waits.schedule,
        Schedule::Linear(_) | Schedule::Exponential(_) | Schedule::Fibonacci(_)
    );
    let cap = input.waits.max_delay.map(Duration::from).or(growing.then_some(Duration::from_secs(30)));
    for row in &preview {
        assert!(row.min <= row.max, "{row:?}");
        assert!(cap.is_none_or(|cap| row.max <= cap), "{row:?} is above the cap");
    }

    let policy = RetryPolicy::backoff(backoff.clone())
        .max_attempts((input.attempts % 12).into())
        .no_budget()
        .seed(input.seed)
        .build();
    match policy {
        Err(error) => names_a_setting(&error, &[&BACKOFF[..], &["max_attempts"]].concat()),
        Ok(policy) => {
            if input.waits.grows() {
                for pair in preview.windows(2) {
                    assert!(pair[0].max <= pair[1].max && pair[0].min <= pair[1].min, "{pair:?} shrinks");
                }
            }
            let attempts = policy.max_attempts().expect("it was set") as usize;
            let bounds = policy.preview(usize::MAX);
            assert_eq!(bounds.len(), attempts - 1);
            let recorder = Recorder::new();
            let recovery = Recovery::<()>::builder("r").retry(policy).observer(recorder.observer()).build();
            let recovery = recovery.expect("nothing else was set");
            let ended = on_a_paused_clock(execute_with_recovery(&recovery, |_| async { Err::<(), ()>(()) }));
            assert_eq!(ended.unwrap_err().attempts() as usize, attempts);
            let waited = recorder.events().into_iter().filter_map(|event| match event.what {
                Happened::RetryScheduled { delay, .. } => Some(delay),
                _ => None,
            });
            let waited: Vec<Duration> = waited.collect();
            assert_eq!(waited.len(), bounds.len());
            for (delay, bounds) in waited.iter().zip(&bounds) {
                // A wait that no clock can count ends in thirty years.
                let least = bounds.min.min(Duration::from_secs(60 * 60 * 24 * 365 * 30));
                assert!((least..=bounds.max).contains(delay), "{delay:?} is not in {bounds:?}");
            }
        }
    }

    let stable_after = Duration::from(input.stable_after);
    match Reconnect::builder().backoff(backoff.clone()).stable_after(stable_after).seed(input.seed).build() {
        Err(error) => names_a_setting(&error, &[&BACKOFF[..], &["stable_after"]].concat()),
        Ok(mut reconnect) => {
            let bounds = backoff.preview(input.lived.len());
            let mut lost = 0;
            for lived in input.lived {
                if Duration::from(lived) >= stable_after {
                    lost = 0;
                }
                let delay = reconnect.next_delay(lived.into());
                assert!(
                    (bounds[lost].min..=bounds[lost].max).contains(&delay),
                    "{delay:?}: {:?}",
                    bounds[lost]
                );
                lost += 1;
            }
        }
    }
});
