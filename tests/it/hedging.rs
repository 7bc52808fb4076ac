//! Hedged calls: who wins, who is dropped, and what is not launched.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

mod learning;
mod limits;
mod retries;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use recoup::testing::Recorder;
use recoup::{Attempt, Hedge, HedgeBuilder, Idempotent, Instant};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn build(hedge: HedgeBuilder) -> Hedge {
    hedge.no_max_extra().build().unwrap()
}

/// What one attempt does.
#[derive(Clone, Copy)]
enum Does {
    Answers(u64),
    Fails(u64),
    Panics(u64),
    Hangs,
}

/// Attempts that do as they are told, and counts of those that were made and are still alive.
#[derive(Default)]
struct World {
    made: Cell<u32>,
    live: Cell<u32>,
    made_at: RefCell<Vec<Duration>>,
}

struct Alive<'w>(&'w World);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.live.set(self.0.live.get() - 1);
    }
}

/// An attempt gives the number of its hedge, as its value or as its error.
type Running<'w> = Pin<Box<dyn Future<Output = Result<u32, u32>> + 'w>>;

impl World {
    fn attempts<'w>(&'w self, does: &'w [Does]) -> Idempotent<impl Fn(Attempt) -> Running<'w> + Clone> {
        let begun = Instant::now();
        Idempotent(move |attempt: Attempt| {
            let number = attempt.hedge();
            let does = does[usize::try_from(number).unwrap()];
            self.made.set(self.made.get() + 1);
            self.live.set(self.live.get() + 1);
            self.made_at.borrow_mut().push(begun.elapsed());
            let alive = Alive(self);
            let running: Running<'w> = Box::pin(async move {
                let _alive = alive;
                match does {
                    Does::Answers(after) => {
                        tokio::time::sleep(ms(after)).await;
                        Ok(number)
                    }
                    Does::Fails(after) => {
                        tokio::time::sleep(ms(after)).await;
                        Err(number)
                    }
                    Does::Panics(after) => {
                        tokio::time::sleep(ms(after)).await;
                        panic!("attempt {number} panics")
                    }
                    Does::Hangs => pending().await,
                }
            });
            running
        })
    }
}

// ## C1: losers stop, and a caller's drop stops all.

#[tokio::test(start_paused = true)]
async fn c1_second_of_three_wins_and_the_others_are_dropped_before_its_value_is_given_back() {
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(3)), World::default());
    let begun = Instant::now();
    let mut call = pin!(hedge.call(world.attempts(&[Does::Hangs, Does::Answers(25), Does::Hangs])));
    assert_eq!(call.as_mut().await, Ok(1));
    // The future itself is still there.
    assert_eq!((world.made.get(), world.live.get()), (3, 0));
    assert_eq!(begun.elapsed(), ms(35));
    assert_eq!(*world.made_at.borrow(), [ms(0), ms(10), ms(20)]);
    let seen = hedge.snapshot();
    assert_eq!((seen.calls, seen.launched, seen.won, seen.wasted, seen.suppressed), (1, 2, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn c1_first_that_answers_after_all_wins_and_the_hedge_is_dropped() {
    let (hedge, world) = (build(Hedge::after(ms(10))), World::default());
    let mut call = pin!(hedge.call(world.attempts(&[Does::Answers(15), Does::Hangs])));
    assert_eq!(call.as_mut().await, Ok(0));
    assert_eq!((world.made.get(), world.live.get()), (2, 0));
    let seen = hedge.snapshot();
    assert_eq!((seen.launched, seen.won, seen.wasted), (1, 0, 1));
}

/// Elsewhere a call that was cancelled while it waited launched its hedge nonetheless.
#[tokio::test(start_paused = true)]
async fn c1_call_dropped_in_the_delay_launches_nothing_further() {
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(3)), World::default());
    let call = hedge.call(world.attempts(&[Does::Hangs; 3]));
    assert!(tokio::time::timeout(ms(5), call).await.is_err());
    tokio::time::sleep(ms(1_000)).await;
    assert_eq!((world.made.get(), world.live.get()), (1, 0));
    assert_eq!((hedge.snapshot().calls, hedge.snapshot().launched), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn c1_all_fail_the_first_error_is_returned_after_all_were_awaited() {
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(3)), World::default());
    let begun = Instant::now();
    let mut siblings = Vec::new();
    let does = [Does::Fails(50), Does::Fails(200), Does::Fails(90)];
    let call = hedge.call(world.attempts(&does)).siblings(&mut siblings);
    assert_eq!(call.await, Err(0));
    assert_eq!(begun.elapsed(), ms(210), "the last to fail was awaited");
    assert_eq!(siblings, [2, 1], "in the order of their failures");
    assert_eq!((world.made.get(), world.live.get()), (3, 0));
    assert_eq!((hedge.snapshot().won, hedge.snapshot().wasted), (0, 2));
}

/// Elsewhere a histogram bounded at ten seconds made slower services fail.
#[tokio::test(start_paused = true)]
async fn c1_services_of_a_millisecond_to_an_hour_never_error() {
    for service in [1, 20, 1_000, 60_000, 3_600_000] {
        let hedge = build(Hedge::at_quantile(0.95).warm_up(20).memory(ms(1)));
        for call in 0..100 {
            let takes = service + service * (call % 7) / 10;
            let answer = hedge.call(Idempotent(|_| async move {
                tokio::time::sleep(ms(takes)).await;
                Ok::<_, ()>(())
            }));
            answer.await.unwrap();
        }
        let delay = hedge.snapshot().delay.unwrap();
        assert!(delay >= ms(service) && delay <= ms(service) * 2, "{delay:?} of {service} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn c1_dropped_after_any_number_of_polls_nothing_is_left_and_nothing_is_launched() {
    const DOES: [&[Does]; 4] = [
        &[Does::Hangs, Does::Hangs, Does::Answers(7)],
        &[Does::Fails(3), Does::Hangs, Does::Answers(30)],
        &[Does::Fails(12), Does::Fails(1), Does::Fails(20)],
        &[Does::Answers(14), Does::Fails(2), Does::Hangs],
    ];
    for does in DOES {
        for polls in 0..45 {
            let (hedge, world) = (build(Hedge::after(ms(5)).max_attempts(3)), World::default());
            let mut call = Box::pin(hedge.call(world.attempts(does)));
            let mut ended = false;
            for _ in 0..polls {
                if ended {
                    break;
                }
                ended = call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
                assert!(!ended || world.live.get() == 0, "dropped before the end is told");
                tokio::time::advance(ms(1)).await;
            }
            let made = world.made.get();
            drop(call);
            tokio::time::advance(ms(100)).await;
            assert_eq!((world.made.get(), world.live.get()), (made, 0), "after {polls} polls");
            let seen = hedge.snapshot();
            assert_eq!(seen.launched, u64::from(made.saturating_sub(1)));
            assert_eq!(seen.launched, seen.won + seen.wasted, "each was used, or was in vain");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c1_panic_of_one_attempt_drops_the_others_at_once() {
    for does in [[Does::Panics(15), Does::Hangs], [Does::Hangs, Does::Panics(5)]] {
        let (hedge, world) = (build(Hedge::after(ms(10))), World::default());
        let mut call = Box::pin(hedge.call(world.attempts(&does)));
        let panicked = loop {
            let polled = AssertUnwindSafe(|| call.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            match catch_unwind(polled) {
                Ok(Poll::Pending) => tokio::time::advance(ms(1)).await,
                Ok(Poll::Ready(end)) => panic!("{end:?}"),
                Err(panic) => break panic,
            }
        };
        assert!(panicked.downcast_ref::<String>().is_some_and(|told| told.ends_with("panics")));
        assert_eq!((world.made.get(), world.live.get()), (2, 0), "though the call is still there");
        assert_eq!(hedge.snapshot().wasted, 1);
    }
}

// ## What a failure does.

#[tokio::test(start_paused = true)]
async fn failure_is_hedged_at_once_and_the_delay_starts_anew() {
    let (hedge, world) = (build(Hedge::after(ms(50)).max_attempts(4)), World::default());
    let does = [Does::Fails(20), Does::Hangs, Does::Fails(3), Does::Answers(1)];
    assert_eq!(hedge.call(world.attempts(&does)).await, Ok(3));
    assert_eq!(*world.made_at.borrow(), [ms(0), ms(20), ms(70), ms(73)]);
}

#[tokio::test(start_paused = true)]
async fn failure_of_the_first_waits_for_those_under_way() {
    let (hedge, world) = (build(Hedge::after(ms(10))), World::default());
    let mut siblings = vec![9];
    let call = hedge.call(world.attempts(&[Does::Fails(20), Does::Answers(30)])).siblings(&mut siblings);
    assert_eq!(call.await, Ok(1));
    assert_eq!(siblings, [9, 0]);
}

#[tokio::test(start_paused = true)]
async fn fatal_error_of_any_attempt_ends_the_race() {
    for (does, error, others) in [
        ([Does::Fails(20), Does::Hangs, Does::Hangs], 0, vec![]),
        ([Does::Hangs, Does::Fails(5), Does::Hangs], 1, vec![]),
        ([Does::Fails(1), Does::Fails(5), Does::Hangs], 1, vec![0]),
    ] {
        let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(3)), World::default());
        let mut siblings = Vec::new();
        let mut call = Box::pin(
            hedge.call(world.attempts(&does)).stop_when(|failed| *failed == error).siblings(&mut siblings),
        );
        assert_eq!(call.as_mut().await, Err(error));
        assert_eq!(world.live.get(), 0);
        drop(call);
        assert_eq!(siblings, others);
    }
}

// ## When.

#[test]
fn prompt_answer_needs_neither_timer_nor_runtime() {
    for hedge in [Hedge::after(ms(10)), Hedge::at_quantile(0.95)] {
        let hedge = build(hedge);
        let mut call = pin!(hedge.call(Idempotent(|_| async { Ok::<_, ()>(7) })));
        assert_eq!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(7)));
    }
}

#[tokio::test(start_paused = true)]
async fn clock_that_jumps_an_hour_launches_one_hedge_and_not_all_that_were_due() {
    let (hedge, world) = (build(Hedge::after(ms(10)).max_attempts(5)), World::default());
    let mut call = Box::pin(hedge.call(world.attempts(&[Does::Hangs; 5])));
    let mut poll = || assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    poll();
    tokio::time::advance(ms(3_600_000)).await;
    poll();
    assert_eq!(world.made.get(), 2);
    tokio::time::advance(ms(9)).await;
    poll();
    assert_eq!(world.made.get(), 2);
    tokio::time::advance(ms(1)).await;
    poll();
    assert_eq!(world.made.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn delay_of_a_function_is_asked_for_each_hedge_by_its_number() {
    let world = World::default();
    let hedge = build(Hedge::when(|hedge| [ms(0), ms(0), ms(30)][hedge as usize - 1]).max_attempts(4));
    let call = hedge.call(world.attempts(&[Does::Hangs, Does::Hangs, Does::Hangs, Does::Answers(0)]));
    assert_eq!(call.await, Ok(3));
    assert_eq!(*world.made_at.borrow(), [ms(0), ms(0), ms(0), ms(30)]);
}

#[tokio::test(start_paused = true)]
async fn never_is_a_delay_too() {
    for hedge in [Hedge::after(Duration::MAX), Hedge::when(|_| Duration::MAX)] {
        let (hedge, world) = (build(hedge), World::default());
        let call = hedge.call(world.attempts(&[Does::Hangs, Does::Hangs]));
        assert!(tokio::time::timeout(ms(1_000_000_000), call).await.is_err());
        assert_eq!(world.made.get(), 1);
        let mended = hedge.call(world.attempts(&[Does::Fails(1), Does::Answers(1)]));
        assert_eq!(mended.await, Ok(1), "what fails is hedged all the same");
    }
}

#[tokio::test(start_paused = true)]
async fn observer_is_told_of_hedges_launched_and_left_out() {
    let recorder = Recorder::new();
    let hedge = Hedge::after(ms(10)).name("search").max_extra(0.5).observer(recorder.observer());
    let (hedge, world) = (hedge.build().unwrap(), World::default());
    for _ in 0..3 {
        hedge.call(world.attempts(&[Does::Answers(25), Does::Hangs])).await.unwrap();
    }
    assert_eq!(
        recorder.lines(),
        ["search refused: max_extra", "search launched hedge 1", "search refused: max_extra"]
    );
    assert_eq!(hedge.snapshot().suppressed, 2);
}

#[test]
fn future_may_be_moved_between_threads() {
    fn goes_anywhere<T: Send>(it: T) -> T {
        it
    }
    let hedge = build(Hedge::at_quantile(0.9));
    drop(goes_anywhere(hedge.call(Idempotent(|_| async { Ok::<_, String>(7) }))));
    drop(goes_anywhere(hedge.around(Idempotent(|_| async { Ok::<_, String>(7) }))));
}
