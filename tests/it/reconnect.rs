//! Connections that are meant to stay up.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test reads the paused clock itself")]

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use recoup::{Backoff, Jitter, Reconnect, Shutdown, reconnect};
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Doubling from one second up to eight, without chance.
fn doubling() -> Reconnect {
    let backoff = Backoff::exponential(SECOND).max_delay(8 * SECOND);
    Reconnect::builder().backoff(backoff).stable_after(60 * SECOND).build().unwrap()
}

/// What `reconnect` waits between connections that live so long, in seconds.
async fn waits(policy: Reconnect, lives: &[u32]) -> Vec<u64> {
    let (mut lives, mut waits, ended) = (lives.iter(), Vec::new(), Cell::new(None::<Instant>));
    let end = reconnect(policy, || {
        waits.extend(ended.get().map(|ended| ended.elapsed().as_secs()));
        let (life, ended) = (lives.next().copied(), &ended);
        async move {
            let Some(life) = life else { return ControlFlow::Break(()) };
            sleep(life * SECOND).await;
            ended.set(Some(Instant::now()));
            ControlFlow::Continue(())
        }
    });
    assert_eq!(end.await, Some(()));
    waits
}

#[tokio::test(start_paused = true)]
async fn need_r8_connection_that_yields_one_item_and_dies_keeps_the_delays_growing() {
    assert_eq!(waits(doubling(), &[1, 1, 0, 2, 1, 1]).await, [1, 2, 4, 8, 8, 8]);
}

#[tokio::test(start_paused = true)]
async fn need_r8_connection_that_was_stable_makes_the_next_delay_the_first_step() {
    assert_eq!(waits(doubling(), &[0, 0, 0, 61, 0]).await, [1, 2, 4, 1, 2]);
    assert_eq!(waits(doubling(), &[0, 0, 0, 60, 59]).await, [1, 2, 4, 1, 2], "a minute is enough");
    assert_eq!(waits(doubling(), &[0, 0, 0, 59]).await, [1, 2, 4, 8], "and less is not");
}

#[tokio::test(start_paused = true)]
async fn need_r8_own_loop_measures_from_wait_to_wait() {
    let mut policy = doubling();
    sleep(100 * SECOND).await; // before the first connection, which proves nothing
    for (life, wait) in [(0, 1), (1, 2), (1, 4), (59, 8), (61, 1), (59, 2)] {
        sleep(life * SECOND).await;
        let ended = Instant::now();
        assert_eq!(policy.wait().await, ControlFlow::Continue(()));
        assert_eq!(ended.elapsed(), wait * SECOND, "after a connection of {life} s");
    }
}

#[test]
fn defaults_grow_from_half_a_second_to_half_a_minute_with_equal_jitter() {
    for seed in 0..100 {
        let mut policy = Reconnect::builder().seed(seed).build().unwrap();
        for step in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let (delay, longest) = (policy.next_delay(SECOND), Duration::from_millis(step));
            assert!(delay >= longest / 2 && delay <= longest, "{delay:?} of {longest:?}");
        }
        assert!(policy.next_delay(60 * SECOND) <= SECOND / 2);
    }
}

#[test]
fn same_seed_gives_the_same_delays_and_clones_go_their_own_way() {
    let delays = |mut policy: Reconnect| (0..5).map(|_| policy.next_delay(SECOND)).collect::<Vec<_>>();
    let seeded = || Reconnect::builder().seed(7).build().unwrap();
    assert_eq!(delays(seeded()), delays(seeded()));
    let mut first = doubling();
    let mut second = first.clone();
    assert_eq!((first.next_delay(SECOND), first.next_delay(SECOND)), (SECOND, 2 * SECOND));
    assert_eq!(second.next_delay(SECOND), SECOND);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_wait_at_once() {
    let (shutdown, start) = (Shutdown::new(), Instant::now());
    let backoff = Backoff::fixed(3600 * SECOND);
    let policy = Reconnect::builder().backoff(backoff).shutdown(&shutdown).build().unwrap();
    let mut own = policy.clone();
    let driven = reconnect(policy, || async { ControlFlow::<()>::Continue(()) });
    let trigger = async {
        sleep(SECOND).await;
        shutdown.trigger();
    };
    let (driven, own, ()) = tokio::join!(driven, own.wait(), trigger);
    assert_eq!((driven, own), (None, ControlFlow::Break(())));
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn shutdown_drops_the_connection_under_way_and_makes_no_other() {
    struct Connection<'a>(&'a AtomicBool);
    impl Drop for Connection<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (shutdown, closed, runs) = (Shutdown::new(), AtomicBool::new(false), AtomicU32::new(0));
    let policy = Reconnect::builder().shutdown(&shutdown).build().unwrap();
    let mut driven = Box::pin(reconnect(policy.clone(), || async {
        runs.fetch_add(1, Ordering::Relaxed);
        let _connection = Connection(&closed);
        std::future::pending::<ControlFlow<()>>().await
    }));
    assert_eq!((&mut driven).now_or_never(), None);
    shutdown.trigger();
    assert_eq!((&mut driven).now_or_never(), Some(None));
    assert!(closed.load(Ordering::Relaxed), "dropped by the answer, not with the future");
    let late = reconnect(policy, || async {
        runs.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Break(())
    });
    assert_eq!(late.await, None);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_loop_drops_the_connection() {
    let held = std::sync::Arc::new(());
    let mut driven = Box::pin(reconnect(Reconnect::default(), || {
        let held = std::sync::Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
            ControlFlow::<()>::Continue(())
        }
    }));
    assert_eq!((&mut driven).now_or_never(), None);
    drop(driven);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn delays_of_zero_leave_room_for_others() {
    let free = || {
        let backoff = Backoff::from_fn(|lost| if lost < 1_000_000 { Duration::ZERO } else { SECOND });
        Reconnect::builder().backoff(backoff).build().unwrap()
    };
    let (done, runs) = (AtomicBool::new(false), AtomicU32::new(0));
    let driven = reconnect(free(), || async {
        runs.fetch_add(1, Ordering::Relaxed);
        if done.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let other = async {
        tokio::task::yield_now().await;
        done.store(true, Ordering::Relaxed);
    };
    assert_eq!(tokio::join!(driven, other).0, Some(()));
    assert!(runs.into_inner() < 10, "the other had its turn before the first wait that is one");
    let mut own = free();
    assert!(own.wait().now_or_never().is_none(), "a loop of one's own yields as well");
    assert_eq!(own.wait().await, ControlFlow::Continue(()));
}

#[tokio::test(start_paused = true)]
async fn dropped_wait_counts_as_waited_and_its_rest_is_not_life() {
    let mut policy = doubling();
    assert!(policy.wait().now_or_never().is_none());
    assert!(policy.wait().now_or_never().is_none());
    assert!(policy.wait().now_or_never().is_none()); // would have ended after 4 s
    advance(63 * SECOND).await;
    let start = Instant::now();
    assert_eq!(policy.wait().await, ControlFlow::Continue(()));
    assert_eq!(start.elapsed(), 8 * SECOND, "59 s at most were life");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let builder = Reconnect::builder;
    let jitter = Backoff::fixed(SECOND).jitter(Jitter::Proportional(f64::NAN));
    for (builder, setting) in [
        (builder().backoff(Backoff::none()), "backoff"),
        (builder().backoff(Backoff::delays([])), "delays"),
        (builder().backoff(jitter), "jitter"),
        (builder().stable_after(Duration::ZERO), "stable_after"),
    ] {
        assert_eq!(builder.build().unwrap_err().setting, setting);
    }
    let at_once_at_first = Backoff::delays([Duration::ZERO, SECOND]);
    assert!(builder().backoff(at_once_at_first).stable_after(Duration::MAX).build().is_ok());
}
