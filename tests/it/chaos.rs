//! Faults on purpose.

use std::time::Duration;

use recoup::testing::Chaos;
use recoup::{CircuitBreaker, CircuitState};

/// With a share of 5 % and a seed, 4.5 to 5.5 % of 10,000 calls fail, and the same ones on every run.
#[tokio::test(start_paused = true)]
async fn x3_share_of_faults_is_what_was_set_and_can_be_repeated() {
    let run = || async {
        let chaos = Chaos::seeded(1);
        chaos.fail(0.05).unwrap();
        let mut failed = Vec::new();
        for number in 0..10_000 {
            if chaos.call(|| async { Ok(()) }, || "injected").await.is_err() {
                failed.push(number);
            }
        }
        assert_eq!(chaos.injected(), failed.len() as u64);
        failed
    };
    let failed = run().await;
    assert!((450..=550).contains(&failed.len()), "{}", failed.len());
    assert_eq!(failed, run().await);
}

#[tokio::test(start_paused = true)]
async fn x3_faults_are_turned_on_and_off_while_the_program_runs() {
    let chaos = Chaos::new();
    let breaker = CircuitBreaker::builder("db").consecutive_failures(3).build().unwrap();
    let call = || breaker.call(|| chaos.call(|| async { Ok(()) }, || "injected"));
    assert!(!chaos.is_on());
    assert!(call().await.is_ok());

    let operator = chaos.clone();
    operator.fail(1.0).unwrap();
    assert!(chaos.is_on(), "nobody can miss it");
    for _ in 0..3 {
        assert!(call().await.is_err());
    }
    assert_eq!(breaker.state(), CircuitState::Open);

    operator.off();
    breaker.reset();
    assert!(call().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn x3_delays_come_before_the_call_and_failures_instead_of_it() {
    let chaos = Chaos::new();
    chaos.delay(1.0, Duration::from_secs(2)).unwrap();
    let begun = tokio::time::timeout(Duration::from_millis(1_999), chaos.call(|| async { Ok(()) }, || ()));
    assert!(begun.await.is_err(), "still waiting");
    let begun = tokio::time::timeout(Duration::from_millis(2_001), chaos.call(|| async { Ok(()) }, || ()));
    assert_eq!(begun.await, Ok(Ok(())));

    chaos.fail(1.0).unwrap();
    let never = chaos.call(|| async { unreachable!("the call is not made") }, || "injected");
    assert_eq!(never.await, Err::<(), _>("injected"));
}

#[test]
fn shares_outside_the_whole_are_refused_and_change_nothing() {
    let chaos = Chaos::new();
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(chaos.fail(share).unwrap_err().setting, "fail");
        assert_eq!(chaos.delay(share, Duration::MAX).unwrap_err().setting, "delay");
    }
    assert!(!chaos.is_on());
}
