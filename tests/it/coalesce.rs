//! One call for all who ask for the same thing.

use std::future::{Future, pending, ready};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use recoup::{Coalesce, RetryPolicy, retry, timeout};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_test::{assert_pending, assert_ready_eq, task};

const MS: Duration = Duration::from_millis(1);

/// Counts how often it is called, and gives the number of the call after so many polls.
#[derive(Default)]
struct Dependency(AtomicU32);

impl Dependency {
    fn call(&self, polls: u32) -> impl Future<Output = u32> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            for _ in 0..polls {
                yield_now().await;
            }
            number
        }
    }

    fn calls(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_make_exactly_one_call_and_all_have_its_answer() {
    let (users, dependency) = (Coalesce::new(), Dependency::default());
    let answers = join_all((0..100).map(|_| users.call("ada", || dependency.call(3)))).await;
    assert_eq!((answers, dependency.calls()), (vec![1; 100], 1));
    assert_eq!((users.len(), users.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn answer_is_not_kept_and_other_keys_are_other_calls() {
    let (users, dependency) = (Coalesce::new(), Dependency::default());
    assert_eq!(users.call("ada", || dependency.call(0)).await, 1);
    assert_eq!(users.call("ada", || dependency.call(1)).await, 2);
    let (ada, bob) =
        tokio::join!(users.call("ada", || dependency.call(1)), users.call("bob", || dependency.call(1)));
    assert_eq!((ada, bob), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn leader_dropped_at_any_await_hands_the_call_to_the_one_who_waits_longest() {
    for at in 0..=3 {
        let (users, dependency) = (Coalesce::new(), Dependency::default());
        let mut leader = task::spawn(users.call(7, || dependency.call(3)));
        for _ in 0..at {
            assert_pending!(leader.poll());
        }
        let call = || task::spawn(users.call(7, || dependency.call(1)));
        let (mut heir, mut last) = (call(), call());
        if at > 0 {
            assert_pending!(heir.poll());
            assert_pending!(last.poll());
            assert_eq!((dependency.calls(), users.waiting()), (1, 2));
        }
        drop(leader);
        let before = u32::from(at > 0);
        assert_eq!(dependency.calls(), before, "nothing runs in a drop");
        assert_eq!((heir.is_woken(), last.is_woken()), (at > 0, false), "one is woken, once");
        assert_pending!(heir.poll());
        assert_pending!(last.poll());
        assert_ready_eq!(heir.poll(), before + 1);
        assert!(last.is_woken());
        assert_ready_eq!(last.poll(), before + 1);
        assert_eq!((dependency.calls(), users.len()), (before + 1, 0), "made once more");
    }
}

#[tokio::test(start_paused = true)]
async fn heir_that_is_gone_or_goes_passes_the_call_on() {
    let (users, dependency) = (Coalesce::new(), Dependency::default());
    let call = || task::spawn(users.call(7, || dependency.call(1)));
    let (mut leader, mut gone, mut goes, mut last) = (call(), call(), call(), call());
    assert_pending!(leader.poll());
    assert_pending!(gone.poll());
    assert_pending!(goes.poll());
    assert_pending!(last.poll());
    drop(gone);
    drop(leader);
    assert!(goes.is_woken() && !last.is_woken());
    drop(goes); // with the lead in it, before it was polled
    assert!(last.is_woken());
    assert_pending!(last.poll());
    assert_ready_eq!(last.poll(), 2);
    assert_eq!((dependency.calls(), users.len(), users.waiting()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn any_number_of_heirs_that_go_one_after_the_other_lose_nothing() {
    let users = Coalesce::new();
    let mut callers: Vec<_> = (0..1000).map(|_| task::spawn(users.call(7, pending::<u32>))).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    let mut last = task::spawn(users.call(7, || ready(1)));
    assert_pending!(last.poll());
    callers.into_iter().for_each(drop);
    assert_ready_eq!(last.poll(), 1);
    assert!(users.is_empty());
}

/// The other libraries' bug U1: a key whose callers have all gone stays for ever.
#[tokio::test(start_paused = true)]
async fn u1_key_is_forgotten_when_all_its_callers_have_gone() {
    let users = Coalesce::new();
    for key in 0..100 {
        let call = || task::spawn(users.call(key, pending::<()>));
        let (mut leader, mut waits) = (call(), call());
        assert_pending!(leader.poll());
        assert_pending!(waits.poll());
        match key % 2 {
            0 => drop((leader, waits)),
            _ => drop((waits, leader)),
        }
    }
    drop(users.call(1, pending::<()>));
    assert_eq!((users.len(), users.waiting()), (0, 0));
}

/// The other libraries' bug T9: those who wait are polled millions of times, and fail when the leader is gone.
#[tokio::test(start_paused = true)]
async fn t9_those_who_wait_sleep_until_there_are_news() {
    let (users, dependency) = (Coalesce::new(), Dependency::default());
    let polls = AtomicUsize::new(0);
    let caller = |patience: Duration| {
        let mut call = Box::pin(timeout(patience, || {
            users.call(7, || async {
                sleep(300 * MS).await;
                Ok::<_, ()>(dependency.call(0).await)
            })
        }));
        std::future::poll_fn({
            let polls = &polls;
            move |cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                call.as_mut().poll(cx)
            }
        })
    };
    let callers = std::iter::once(caller(100 * MS)).chain((0..50).map(|_| caller(Duration::from_secs(60))));
    let ends = join_all(callers).await;
    assert!(ends[0].is_err(), "the leader gave up");
    assert!(ends[1..].iter().all(|end| *end == Ok(1)));
    assert!(polls.load(Ordering::Relaxed) <= 51 * 4, "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn panic_of_the_leader_hands_the_call_on_at_once() {
    let (users, dependency) = (Coalesce::new(), Dependency::default());
    let calls = || -> std::future::Ready<u32> { panic!("before there is a future") };
    let mut waits = task::spawn(users.call(7, || dependency.call(0)));
    let broken = users.call(7, calls);
    assert!(AssertUnwindSafe(broken).catch_unwind().await.is_err());
    assert!(users.is_empty());

    let mut broken = Box::pin(users.call(7, || async {
        yield_now().await;
        panic!("in it")
    }));
    assert!(futures_poll(broken.as_mut()).is_none());
    assert_pending!(waits.poll());
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| futures_poll(broken.as_mut())));
    assert!(panicked.is_err());
    assert!(waits.is_woken(), "though the broken one is still there");
    assert_ready_eq!(waits.poll(), 1);
    drop(broken);
    assert!(users.is_empty());
}

/// One poll by hand.
fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Fails to be cloned the second time.
struct Brittle(Arc<AtomicU32>);

impl Clone for Brittle {
    fn clone(&self) -> Self {
        assert_ne!(self.0.fetch_add(1, Ordering::Relaxed), 1, "brittle");
        Self(Arc::clone(&self.0))
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_miss_the_answer_for_a_clone_that_panics_ask_anew() {
    let (things, clones) = (Coalesce::new(), Arc::new(AtomicU32::new(0)));
    let call = || {
        things.call(7, || {
            let thing = Brittle(Arc::clone(&clones));
            async {
                yield_now().await;
                thing
            }
        })
    };
    let mut leader = Box::pin(call());
    assert!(futures_poll(leader.as_mut()).is_none());
    let mut others: Vec<_> = (0..3).map(|_| task::spawn(call())).collect();
    for other in &mut others {
        assert!(other.poll().is_pending());
    }
    assert!(std::panic::catch_unwind(AssertUnwindSafe(|| futures_poll(leader.as_mut()))).is_err());
    assert!(others.iter().all(task::Spawn::is_woken));
    assert!(others[0].poll().is_ready());
    assert!(others[1].poll().is_pending());
    assert!(others[2].poll().is_pending());
    assert!(others[1].poll().is_ready());
    assert!(others[2].poll().is_ready());
    assert!(things.is_empty());
}

#[tokio::test(start_paused = true)]
async fn beyond_the_capacity_each_caller_calls_for_itself() {
    let users: Coalesce<u32, u32> = Coalesce::builder().capacity(1).build().unwrap();
    let dependency = Dependency::default();
    let mut first = task::spawn(users.call(1, || dependency.call(1)));
    assert_pending!(first.poll());
    let (second, third, fourth) = tokio::join!(
        users.call(2, || dependency.call(1)),
        users.call(2, || dependency.call(1)),
        users.clone().call(1, || dependency.call(1)).now_or_never().map_or(ready(0), ready),
    );
    assert_eq!((second, third, fourth, users.len()), (2, 3, 0, 1), "alone, alone, and waits for the first");
    assert_ready_eq!(first.poll(), 1);
    assert!(Coalesce::builder().capacity(0).build::<u32, u32>().is_err());
    assert!(Coalesce::builder().capacity(usize::MAX).build::<u32, u32>().is_ok());
}

/// A retry in the call gave up for all of them: a retry around one that waited repeats as little as one around
/// the leader.
#[tokio::test(start_paused = true)]
async fn retry_around_one_who_waited_does_not_multiply_the_attempts() {
    let (users, attempts) = (Coalesce::<u32, Result<(), &str>>::new(), AtomicU32::new(0));
    let policy = RetryPolicy::builder().max_attempts(3).no_budget().build().unwrap();
    let caller = || {
        retry(|| {
            users.call(7, || {
                retry(|| {
                    attempts.fetch_add(1, Ordering::Relaxed);
                    async {
                        sleep(MS).await;
                        Err("down")
                    }
                })
                .policy(&policy)
                .into_future()
            })
        })
        .policy(&policy)
        .into_future()
    };
    let ends = join_all((0..5).map(|_| caller())).await;
    assert_eq!(ends, [Err("down"); 5]);
    assert_eq!(attempts.into_inner(), 3);
}

#[tokio::test]
async fn threads_that_race_all_get_an_answer_and_leave_nothing_behind() {
    let (users, dependency) = (Coalesce::<u32, u32>::new(), Dependency::default());
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (users, dependency) = (&users, &dependency);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    for n in 0..500 {
                        let call = users.call(n % 3, || dependency.call(2));
                        if (n + thread) % 5 == 0 {
                            let _dropped = call.now_or_never();
                        } else {
                            assert!(call.await > 0);
                        }
                    }
                });
            });
        }
    });
    assert!(dependency.calls() <= 8 * 500);
    assert_eq!((users.len(), users.waiting()), (0, 0));
}
