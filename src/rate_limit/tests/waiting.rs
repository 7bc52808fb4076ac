//! Those who wait for their turn, and those who watch.

use super::*;

fn poll_all(waiting: &mut [Spawn<AcquireRate<'_>>]) {
    for waiter in waiting {
        assert_pending!(waiter.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn waiter_is_woken_when_it_moves_up() {
    let limiter = limiter(1.0, 1);
    limiter.try_acquire().unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| task::spawn(limiter.acquire())).collect();
    poll_all(&mut waiting);
    drop(waiting.remove(0));
    assert!(waiting[0].is_woken(), "it is the first now");
    assert!(!waiting[1].is_woken(), "and its turn to leave is the other's business");
    assert_pending!(waiting[0].poll());
    tokio::time::advance(SECOND).await;
    assert!(waiting[0].is_woken());
    assert_ready_ok!(waiting[0].poll());
    assert!(waiting[1].is_woken());
}

#[tokio::test(start_paused = true)]
async fn waiters_are_woken_when_the_rate_is_raised() {
    let limiter = limiter(0.001, 1);
    limiter.try_acquire().unwrap();
    let mut waiting: Vec<_> = (0..2).map(|_| task::spawn(limiter.acquire())).collect();
    poll_all(&mut waiting);
    limiter.set_rate(1, SECOND).unwrap();
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_pending!(waiter.poll());
        tokio::time::advance(SECOND).await;
        assert_ready_ok!(waiter.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_look_holds_nobody_up() {
    let limiter = limiter(1.0, 1);
    limiter.try_acquire().unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| task::spawn(limiter.acquire())).collect();
    poll_all(&mut waiting);
    tokio::time::advance(2 * SECOND).await;
    assert_ready_ok!(waiting[1].poll());
    tokio::time::advance(SECOND).await;
    assert_ready_ok!(waiting[2].poll());
    assert_ready_ok!(waiting[0].poll());
}

#[tokio::test(start_paused = true)]
async fn those_who_matter_more_pass_those_who_wait() {
    let limiter = builder(1.0, 4).reserve(Priority::High, 0.25).max_wait(Duration::MAX).build().unwrap();
    let high = limiter.with_priority(Priority::High);
    let start = time::now();
    high.try_acquire_many(4).unwrap();
    let low: Vec<_> = (0..3).map(|_| limiter.book(1).unwrap()).collect();
    assert_eq!(low[0].at() - start, 2 * SECOND, "one is kept");
    let urgent = high.book(1).unwrap();
    assert_eq!(urgent.at() - start, SECOND);
    tokio::time::advance(2 * SECOND).await;
    assert!(urgent.leave().unwrap().is_none());
    let first = low.into_iter().next().unwrap().leave().unwrap().expect("it was passed");
    assert_eq!(first.at() - start, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn without_a_reserve_all_are_alike() {
    let limiter = limiter(1.0, 1);
    let start = time::now();
    limiter.try_acquire().unwrap();
    let low = limiter.with_priority(Priority::Low).book(1).unwrap();
    let critical = limiter.with_priority(Priority::Critical).book(1).unwrap();
    assert_eq!((low.at() - start, critical.at() - start), (SECOND, 2 * SECOND));
}

#[derive(Default)]
struct Refusals(AtomicUsize);

impl Observer for Refusals {
    fn on_event(&self, event: &Event<'_>) {
        if matches!(event, Event::Rejected { policy: "mail", reason: "rate" }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_of_each_refusal_once() {
    let seen = Arc::new(Refusals::default());
    let limiter = builder(1.0, 1).name("mail").observer(Arc::<Refusals>::clone(&seen)).build().unwrap();
    limiter.observe(Arc::<Refusals>::clone(&seen));
    limiter.try_acquire().unwrap();
    assert!(limiter.try_acquire().is_err());
    assert!(limiter.acquire().await.is_err());
    let called = limiter.call(async || Ok::<_, ()>(())).await;
    assert!(matches!(called, Err(CallError::Rejected(_))));
    assert_eq!(seen.0.load(Ordering::Relaxed), 3);
}

#[test]
fn who_need_not_wait_needs_no_runtime() {
    let limiter = limiter(1.0, 2);
    assert_ready_ok!(task::spawn(limiter.acquire()).poll());
    drop(limiter.book(1).unwrap());
    assert!(limiter.try_acquire().is_ok());
    drop(limiter.book(1).unwrap());
    assert!(format!("{limiter:?}").contains("rate limiter"));
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_limit_and_all_is_send() {
    fn is_send<T: Send + Sync>(_: &T) {}
    let limiter = limiter(1.0, 1);
    let clone = limiter.clone();
    is_send(&clone.acquire());
    is_send(&clone.call(async || Ok::<_, ()>(())));
    let booking = clone.book(1).unwrap();
    is_send(&booking);
    assert_eq!(limiter.snapshot().available, 0);
}

#[test]
fn threads_together_get_no_more_than_the_burst() {
    let limiter = RateLimiter::builder(1, 1000 * SECOND).burst(1_000).build().unwrap();
    let got: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1_000).filter(|_| limiter.try_acquire().is_ok()).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(got, 1_000);
}
