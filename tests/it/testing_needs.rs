//! What a test of a policy needs: one clock that can be paused, a seed, a script and a recorder.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test reads the paused clock")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use recoup::testing::{Happened, Recorder, Script};
use recoup::{
    Category, CircuitBreaker, CircuitState, Classification, Jitter, Recovery, RetryPolicy,
    execute_with_recovery, retry,
};
use tokio::time::Instant;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The Rust sources under `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Whether a line of code reads a clock, or hands on the function that does.
fn reads_a_clock(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["Instant::now", "SystemTime::now", "UNIX_EPOCH.elapsed", "Utc::now", "Local::now"]
        .iter()
        .any(|clock| code.contains(clock))
}

#[test]
fn x1_no_clock_is_read_outside_the_one_place() {
    assert!(reads_a_clock("let at = std::time::SystemTime::now();"), "the gate can see");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 30, "the sources are where they were");
    let mut readers = Vec::new();
    // The command is a program: it tells people ages by their own clock.
    for file in files.into_iter().filter(|file| !file.starts_with(src.join("bin"))) {
        for (at, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            if reads_a_clock(line) {
                let file = file.strip_prefix(&src).unwrap();
                readers.push((file.to_owned(), format!("{}:{}", file.display(), at + 1)));
            }
        }
    }
    let (home, elsewhere): (Vec<_>, Vec<_>) =
        readers.into_iter().partition(|(file, _)| file == Path::new("time.rs"));
    assert!(!home.is_empty(), "the one place reads it");
    assert!(elsewhere.is_empty(), "the clock is read in {elsewhere:?}");
}

/// Fails three times, with waits of `wait` in between, and gives how long that took by its own clock.
async fn three_attempts(wait: Duration) -> (Vec<Duration>, Duration) {
    let policy = RetryPolicy::fixed(wait).max_attempts(3).jitter(Jitter::None).build().unwrap();
    let script = Script::<(), _>::new().fail_times(3, "down");
    let begun = Instant::now();
    assert_eq!(retry(|| script.call()).policy(&policy).await, Err("down"));
    (script.called_at(), begun.elapsed())
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn x1_paused_clocks_in_parallel_threads_do_not_disturb_each_other() {
    // The two take turns, one step of its own clock each, so each is half-way whenever the other moves.
    let (to_b, from_a) = mpsc::channel();
    let (to_a, from_b) = mpsc::channel();
    let walk = |step: Duration, tell: mpsc::Sender<()>, hear: mpsc::Receiver<()>, first: bool| {
        move || {
            paused().block_on(async move {
                let begun = Instant::now();
                let script = Script::<(), _>::new().always_fail("down");
                if first {
                    tell.send(()).unwrap();
                }
                for n in 1..=20_u32 {
                    hear.recv().unwrap();
                    tokio::time::advance(step).await;
                    assert_eq!(begun.elapsed(), step * n, "only its own steps count");
                    let _down = script.call().await;
                    let _gone = tell.send(());
                }
                let steps: Vec<Duration> = (1..=20).map(|n| step * n).collect();
                assert_eq!(script.called_at(), steps);
                three_attempts(step).await
            })
        }
    };
    let seconds = std::thread::spawn(walk(ms(1000), to_b, from_b, true));
    let days = std::thread::spawn(walk(ms(86_400_000), to_a, from_a, false));
    for (thread, step) in [(seconds, ms(1000)), (days, ms(86_400_000))] {
        let (called_at, took) = thread.join().unwrap();
        assert_eq!(called_at, [Duration::ZERO, step, step * 2]);
        assert_eq!(took, step * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn x1_an_advance_wakes_who_slept_before_it_and_who_sleeps_after_it() {
    let script = Script::<(), _>::new().fail_times(2, "down");
    let policy = RetryPolicy::fixed(ms(300_000)).max_attempts(2).jitter(Jitter::None).build().unwrap();
    let mut call = tokio_test::task::spawn(retry(|| script.call()).policy(&policy));

    tokio::time::advance(ms(300_000)).await; // nobody sleeps yet: it must not count for who sleeps later
    assert!(call.poll().is_pending());
    assert_eq!(script.called_at(), [ms(300_000)]);
    tokio::time::advance(ms(299_999)).await;
    assert!(call.poll().is_pending());
    assert_eq!(script.calls(), 1);
    tokio::time::advance(ms(1)).await;
    assert!(call.is_woken());
    assert_eq!(call.poll(), std::task::Poll::Ready(Err("down")));
    assert_eq!(script.called_at(), [ms(300_000), ms(600_000)]);
}

#[tokio::test(start_paused = true)]
async fn x1_a_breaker_of_thirty_seconds_is_tested_without_waiting() {
    let recorder = Recorder::new();
    let breaker = CircuitBreaker::builder("db")
        .consecutive_failures(5)
        .open_for(ms(30_000))
        .observer(recorder.observer())
        .build()
        .unwrap();
    let script = Script::new().fail_times(100, "down").always_succeed(());
    while breaker.state() == CircuitState::Closed {
        breaker.call(|| script.call()).await.unwrap_err();
    }
    assert_eq!(recorder.timeline(), ["0ns circuit db opened: 5 failures in a row"]);
    tokio::time::advance(ms(29_999)).await;
    let calls = script.calls();
    breaker.call(|| script.call()).await.unwrap_err();
    assert_eq!(script.calls(), calls, "still open");
    tokio::time::advance(ms(1)).await;
    let _probe = breaker.call(|| script.call()).await;
    assert_eq!(script.calls(), calls + 1, "a probe went through");
}

/// What a user's test of a user's policy looks like: 503, then no answer, then the order.
async fn order(jitter: Jitter) -> (Vec<Duration>, Vec<String>) {
    let recorder = Recorder::new();
    let policy = RetryPolicy::exponential(ms(100))
        .max_attempts(3)
        .jitter(jitter)
        .throttle(recoup::Throttle::single_client())
        .seed(1);
    let orders = Recovery::builder("orders")
        .classifier(|category: &Category| Classification::of(*category))
        .retry(policy)
        .observer(recorder.observer())
        .build()
        .unwrap();
    let server = Script::new().fail(Category::ServiceUnavailable).fail(Category::Timeout).succeed(7);
    let order = execute_with_recovery(&orders, |attempt| server.attempt(attempt)).await;
    assert_eq!(order.unwrap(), 7);
    assert_eq!(server.attempts(), [1, 2, 3]);
    let started = recorder.times(|what| matches!(what, Happened::AttemptStarted { .. }));
    assert_eq!(started, server.called_at(), "the recorder and the script have one clock");
    (started, recorder.timeline())
}

#[tokio::test(start_paused = true)]
async fn x2_calls_come_at_the_very_times_that_the_policy_says() {
    let (called_at, timeline) = order(Jitter::None).await;
    assert_eq!(called_at, [ms(0), ms(100), ms(300)]);
    assert_eq!(
        timeline,
        [
            "0ns orders attempt 1 started",
            "0ns orders attempt 1 failed: service_unavailable",
            "0ns orders waits 100ms after attempt 1: backoff",
            "100ms orders attempt 2 started",
            "100ms orders attempt 2 failed: timeout",
            "100ms orders waits 200ms after attempt 2: backoff",
            "300ms orders attempt 3 started",
            "300ms orders succeeded after 3 attempts",
        ]
    );
}

#[test]
fn x2_with_a_seed_jitter_is_the_same_on_every_run() {
    // Written down, so that a change of the dice shows; and each run has a runtime and a clock of its own.
    for _ in 0..20 {
        let (called_at, timeline) = paused().block_on(order(Jitter::Full));
        assert_eq!(called_at, [ms(0), ms(40), ms(74)]);
        assert!(timeline.contains(&"0ns orders waits 39.978128ms after attempt 1: backoff".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn x2_a_preview_bounds_what_the_recorder_saw() {
    let policy = RetryPolicy::exponential(ms(100)).max_attempts(8).no_budget().seed(9).build().unwrap();
    let preview = policy.preview(7);
    let recorder = Recorder::new();
    let recovery = Recovery::builder("orders").retry(policy).observer(recorder.observer()).build().unwrap();
    let server = Script::<(), _>::new().always_fail("down");
    execute_with_recovery(&recovery, |attempt| server.attempt(attempt)).await.unwrap_err();
    let mut waits = 0;
    for event in recorder.events() {
        if let Happened::RetryScheduled { delay, .. } = event.what {
            let bounds = &preview[waits];
            assert!(bounds.min <= delay && delay <= bounds.max, "{delay:?} within {bounds:?}");
            waits += 1;
        }
    }
    assert_eq!(waits, 7);
}
