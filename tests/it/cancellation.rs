//! A call that is dropped gives everything back, wherever it is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crowd;
mod handles;
mod limits;
mod panics;
mod world;

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::ControlFlow;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use recoup::{
    Attempt, Backoff, Bulkhead, CircuitBreaker, CircuitState, HalfOpen, Outcome, PushErrorKind, Recovery,
    RetryPolicy, Transient, execute_with_recovery, execute_with_recovery_mut, retry_mut, retry_with, timeout,
};
use tokio_test::task;

use self::world::{Alive, MS, Oops, Script, Stage, World, pending_for};

/// When a call that still runs is dropped: at once after a poll, or only when something has woken it, which
/// is when a slot is granted or a moment has come that it has not seen yet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drops {
    AtOnce,
    OnceWoken,
}

/// Makes the same call again and again and drops it after its first poll, its second, its third, until it
/// ends by itself. Tells the stages that it was dropped in.
///
/// Between polls time passes in steps, and the call is polled only when it was woken.
async fn at_every_poll<C>(second_succeeds: bool, drops: Drops, call: C) -> BTreeSet<Stage>
where
    C: for<'w> Fn(&'w World) -> LocalBoxFuture<'w, bool>,
{
    let mut stages = BTreeSet::new();
    for polls in 0.. {
        assert!(polls < 100, "it never ends");
        let world = World::new(second_succeeds).await;
        let handles = world.handles();
        // Somebody else is in the only slot for a while.
        let slots = world.bulkhead.clone();
        let mut other = Some(slots.try_acquire().unwrap());
        let mut steps = 0;
        let mut step = async || {
            tokio::time::advance(100 * MS).await;
            steps += 1;
            assert!(steps < 200, "nobody wakes it after {polls} polls");
            if steps == 6 {
                other = None;
            }
        };

        let mut running = task::spawn(call(&world));
        let mut ended = None;
        for nth in 0..polls {
            while nth > 0 && !running.is_woken() {
                step().await;
            }
            if let Poll::Ready(succeeded) = running.poll() {
                assert_eq!(nth + 1, polls, "the shorter runs were dropped before this end");
                ended = Some(succeeded);
            }
        }
        while drops == Drops::OnceWoken && polls > 0 && ended.is_none() && !running.is_woken() {
            step().await;
        }
        let stage = if polls == 0 { Stage::Unpolled } else { world.stage(usize::from(other.is_some())) };
        let attempt_running = world.script.operations.now() > 0;
        drop(running);
        drop(other);
        forget_who_gave_up().await;

        let after = format!("dropped {drops:?} in {stage:?} after {polls} polls");
        let tokens = world.owed(attempt_running, ended == Some(true));
        world.is_as_if_nobody_were_there(tokens, handles, &after);
        // Later on it serves the next call, whatever this one has left behind.
        tokio::time::advance(10_000 * MS).await;
        let next = execute_with_recovery(&world.recovery, |_| async { Ok::<_, Oops>("next") }).await;
        assert_eq!(next.unwrap(), "next", "{after}");
        world.is_as_if_nobody_were_there(tokens + 1, handles, &after);
        assert_eq!(world.breaker.state(), CircuitState::Closed, "{after}");

        if let Some(succeeded) = ended {
            assert_eq!(succeeded, second_succeeds);
            return stages;
        }
        stages.insert(stage);
    }
    unreachable!("it ends, or has failed above")
}

/// A thread remembers the name of the call that gave up last, until another does.
async fn forget_who_gave_up() {
    let policy = RetryPolicy::backoff(Backoff::none()).no_budget().build().unwrap();
    retry_with(|_| async { Err::<(), _>(()) }).policy(&policy).await.unwrap_err();
}

/// Everything that the whole pipeline goes through.
const PIPELINE: [Stage; 9] = [
    Stage::Unpolled,
    Stage::Cooling,
    Stage::Queued,
    Stage::Granted,
    Stage::First,
    Stage::Hook,
    Stage::Backoff,
    Stage::Probe,
    Stage::Burying,
];

async fn pipeline_at_every_poll<C>(call: C)
where
    C: Copy + for<'w> Fn(&'w World) -> LocalBoxFuture<'w, bool>,
{
    for drops in [Drops::AtOnce, Drops::OnceWoken] {
        let mut stages = BTreeSet::from(PIPELINE);
        // What wakes it in the queue is a slot of its own.
        stages.remove(if drops == Drops::AtOnce { &Stage::Granted } else { &Stage::Queued });
        let failing = at_every_poll(false, drops, call).await;
        assert_eq!(failing, stages, "every stage was dropped");
        let succeeding = at_every_poll(true, drops, call).await;
        stages.remove(&Stage::Burying);
        assert_eq!(succeeding, stages, "every stage was dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn execute_with_recovery_gives_everything_back_at_every_poll() {
    pipeline_at_every_poll(|world| {
        let call = execute_with_recovery(&world.recovery, |attempt| world.script.clone().attempt(attempt));
        call.map(|result| result.is_ok()).boxed_local()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn execute_with_recovery_mut_gives_everything_back_at_every_poll() {
    pipeline_at_every_poll(|world| {
        async move {
            let mut script = world.script.clone();
            execute_with_recovery_mut(
                &world.recovery,
                &mut script,
                async |script: &mut Script, attempt: Attempt| script.clone().attempt(attempt).await,
            )
            .await
            .is_ok()
        }
        .boxed_local()
    })
    .await;
}

/// What a retry alone goes through: it has nothing to cool down, to queue for or to probe.
fn retry_stages(hook: bool) -> BTreeSet<Stage> {
    let mut stages = BTreeSet::from([Stage::Unpolled, Stage::First, Stage::Backoff, Stage::Second]);
    if hook {
        stages.insert(Stage::Hook);
    }
    stages
}

#[tokio::test(start_paused = true)]
async fn retry_with_hooks_gives_everything_back_at_every_poll() {
    for drops in [Drops::AtOnce, Drops::OnceWoken] {
        for succeeds in [true, false] {
            let stages = at_every_poll(succeeds, drops, |world| {
                retry_with(|attempt| world.script.clone().attempt(attempt))
                    .policy(&world.policy)
                    .attempt_timeout(350 * MS)
                    .before_retry(|_| async {
                        let _living = world.hooks.born();
                        pending_for(2).await;
                        ControlFlow::Continue(())
                    })
                    .on_give_up(|error| assert_eq!(error.attempts(), 2))
                    .map(|result| result.is_ok())
                    .boxed_local()
            })
            .await;
            assert_eq!(stages, retry_stages(true));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retry_mut_gives_everything_back_at_every_poll() {
    for drops in [Drops::AtOnce, Drops::OnceWoken] {
        let stages = at_every_poll(true, drops, |world| {
            async move {
                let mut script = world.script.clone();
                let op = async |script: &mut Script, attempt: Attempt| script.clone().attempt(attempt).await;
                retry_mut(&world.policy, &Transient, &mut script, op).await.is_ok()
            }
            .boxed_local()
        })
        .await;
        assert_eq!(stages, retry_stages(false));
    }
}

/// Drops `make`'s future after its nth poll for every n, waking the world in between, and asks `back`.
async fn alone_at_every_poll<F: Future>(make: impl Fn() -> F, back: impl Fn(usize)) -> usize {
    for polls in 0.. {
        let mut running = task::spawn(make());
        let mut ended = false;
        for _ in 0..polls {
            ended = running.poll().is_ready();
            tokio::time::advance(100 * MS).await;
        }
        drop(running);
        back(polls);
        if ended {
            return polls;
        }
    }
    unreachable!("it ends")
}

#[tokio::test(start_paused = true)]
async fn breaker_call_gives_its_probes_place_back_at_every_poll() {
    let breaker = CircuitBreaker::builder("b")
        .consecutive_failures(1)
        .open_for(Duration::from_secs(1))
        .half_open(HalfOpen::probes(3))
        .build()
        .unwrap();
    breaker.admit().unwrap().settle(Outcome::Failure);
    tokio::time::advance(Duration::from_secs(1)).await;
    let living = Alive::default();
    let call = || {
        breaker.call(|| async {
            let _living = living.born();
            pending_for(4).await;
            Ok::<_, Oops>(())
        })
    };
    let polls = alone_at_every_poll(call, |polls| {
        assert_eq!(living.now(), 0);
        let free = if polls < 5 { 3 } else { 2 }; // a probe that gave a result keeps its place
        let permits: Vec<_> = std::iter::from_fn(|| breaker.admit().ok()).collect();
        assert_eq!(permits.len(), free, "after {polls} polls");
        for permit in permits {
            permit.settle(Outcome::Ignored);
        }
    })
    .await;
    assert_eq!((polls, living.ever()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn bulkhead_call_gives_its_slot_and_its_place_back_at_every_poll() {
    for queued in [false, true] {
        let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
        let living = Alive::default();
        let call = || {
            let slot = queued.then(|| bulkhead.try_acquire().unwrap());
            // The one before leaves only when this one has been polled twice.
            let before = async move {
                let slot = slot;
                pending_for(2).await;
                drop(slot);
            };
            let call = bulkhead.call(|| async {
                let _living = living.born();
                pending_for(2).await;
                Ok::<_, Oops>(())
            });
            futures::future::join(call, before)
        };
        let polls = alone_at_every_poll(call, |polls| {
            assert_eq!((bulkhead.in_use(), bulkhead.queued(), living.now()), (0, 0, 0), "{polls}");
            assert!(bulkhead.try_acquire().is_ok());
        })
        .await;
        assert_eq!(polls, if queued { 6 } else { 3 });
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_drops_its_operation_at_every_poll() {
    let living = Alive::default();
    let call = || {
        timeout(350 * MS, || async {
            let _living = living.born();
            std::future::pending::<Result<(), Oops>>().await
        })
    };
    let polls = alone_at_every_poll(call, |_| assert_eq!(living.now(), 0)).await;
    assert_eq!((polls, living.ever()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn letter_that_is_refused_comes_back_with_both_errors() {
    let queue = recoup::MemoryQueue::builder().capacity(1).build().unwrap();
    let recovery =
        Recovery::<Oops>::builder("charge").retry(RetryPolicy::never()).dead_letters(queue).build().unwrap();
    let fail = || execute_with_recovery(&recovery, |_| async { Err::<(), _>(Oops(7)) });
    assert!(fail().await.unwrap_err().dead_letter().is_some());
    let error = fail().await.unwrap_err();
    assert_eq!(error.inner(), Some(&Oops(7)), "the operation's own error");
    assert_eq!(error.dead_letter(), None);
    let refused = error.burial_error().expect("the push error");
    assert_eq!(refused.kind, PushErrorKind::Full);
    let letter = error.into_burial_error().expect("and the letter").letter;
    assert_eq!((letter.operation.as_str(), letter.attempts.records().len()), ("charge", 1));
}
