//! Partitions of a bulkhead through a recovery: who gets whose slots, who lends them, and who gets none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use recoup::testing::{Happened, Recorder};
use recoup::{
    Attempt, Bulkhead, BulkheadBuilder, CallContext, CircuitBreaker, CircuitState, ErrorChain, Full,
    FullReason, HalfOpen, Instant, LetterFilter, MemoryQueue, Priority, Reason, Recovery, RecoveryError,
    RetryPolicy, Using, execute_with_recovery, execute_with_recovery_mut, redrive,
};
use tokio::task::JoinSet;
use tokio_test::task::{self, Spawn};

const MS: Duration = Duration::from_millis(1);
const WORK: Duration = Duration::from_millis(10);

#[expect(clippy::disallowed_methods, reason = "the paused clock")]
fn now() -> Instant {
    Instant::now()
}

fn over(bulkhead: BulkheadBuilder) -> Recovery<&'static str> {
    Recovery::builder("db").retry(RetryPolicy::fixed(MS).no_budget()).bulkhead(bulkhead).build().unwrap()
}

fn two_tenants() -> BulkheadBuilder {
    Bulkhead::builder(4).queue(1000).partition("quiet", 0.5).partition("noisy", 0.5)
}

fn of(partition: &str) -> CallContext<'static> {
    CallContext::new("query").partition(partition)
}

/// Slots taken and calls waiting: of all, then of each partition.
fn counts(recovery: &Recovery<&str>) -> Vec<(usize, usize)> {
    let snapshot = recovery.bulkhead().unwrap().snapshot();
    let parts = snapshot.partitions.iter().map(|part| (part.in_use, part.queued));
    std::iter::once((snapshot.in_use, snapshot.queued)).chain(parts).collect()
}

/// A call that has its slot, or waits for one, and never ends.
fn begun<'r>(
    recovery: &'r Recovery<&'static str>,
    context: &'r CallContext<'r>,
) -> Spawn<impl Future<Output = Result<(), RecoveryError<&'static str>>> + use<'r>> {
    let call = execute_with_recovery(recovery.with_context(context), |_| pending::<Result<(), &str>>());
    let mut call = task::spawn(call);
    assert!(call.poll().is_pending());
    call
}

fn full(error: &RecoveryError<&str>) -> Full {
    let Reason::BulkheadFull(full) = error.reason() else { panic!("{error}") };
    full.clone()
}

#[tokio::test(start_paused = true)]
async fn guaranteed_share_holds_under_a_flood_through_the_same_recovery() {
    let recovery = over(two_tenants());
    let mut flood = JoinSet::new();
    for _ in 0..400 {
        let recovery = recovery.clone();
        flood.spawn(async move {
            let context = of("noisy");
            let call = execute_with_recovery(recovery.with_context(&context), |_| async {
                tokio::time::sleep(WORK).await;
                Ok(())
            });
            call.await.map_err(|error| full(&error))
        });
    }
    tokio::time::sleep(WORK / 2).await;
    assert_eq!(counts(&recovery), [(4, 396), (0, 0), (4, 396)], "what is idle is lent");

    let (start, context) = (now(), of("quiet"));
    let call = || {
        execute_with_recovery(recovery.with_context(&context), |_| async {
            tokio::time::sleep(WORK).await;
            Ok(())
        })
    };
    for _ in 0..20 {
        let (first, second) = tokio::join!(call(), call());
        assert!(first.is_ok() && second.is_ok());
    }
    let ideal = 20 * WORK;
    let took = now() - start;
    assert!(took <= ideal + WORK, "once it has its slots back it waits for none but its own: {took:?}");
    assert!(counts(&recovery)[2].1 > 200, "while the flood goes on");
    assert!(flood.join_all().await.iter().all(Result::is_ok), "and nobody of it is refused");
    assert_eq!(counts(&recovery), [(0, 0); 3]);
}

#[tokio::test(start_paused = true)]
async fn unused_share_is_lent_and_comes_back_with_the_next_slot() {
    let recovery = over(two_tenants());
    let (quiet, noisy) = (of("quiet"), of("noisy"));
    let mut lent: Vec<_> = (0..4).map(|_| begun(&recovery, &noisy)).collect();
    let also_noisy = begun(&recovery, &noisy);
    let mine: Vec<_> = (0..3).map(|_| begun(&recovery, &quiet)).collect();
    assert_eq!(counts(&recovery), [(4, 4), (0, 3), (4, 1)]);
    drop(lent.pop());
    assert_eq!(counts(&recovery), [(4, 3), (1, 2), (3, 1)], "who waited longer has their guarantee already");
    drop(lent.pop());
    assert_eq!(counts(&recovery), [(4, 2), (2, 1), (2, 1)]);
    drop(lent.pop());
    assert_eq!(counts(&recovery), [(4, 1), (2, 1), (2, 0)], "each its own two, and no more");
    drop((mine, lent, also_noisy));
    assert_eq!(counts(&recovery), [(0, 0); 3]);
}

#[tokio::test(start_paused = true)]
async fn call_that_names_no_partition_takes_what_is_nobodys() {
    let recovery = over(Bulkhead::builder(4).queue(9).partition("a", 0.75));
    let (nobodys, of_a) = (CallContext::new("query"), of("a"));
    let mut a: Vec<_> = (0..4).map(|_| begun(&recovery, &of_a)).collect();
    let more_of_a = begun(&recovery, &of_a);
    let plain = execute_with_recovery(&recovery, |_| pending::<Result<(), &str>>());
    let mut plain = task::spawn(plain);
    assert!(plain.poll().is_pending());
    let contextual = begun(&recovery, &nobodys);
    assert_eq!(counts(&recovery), [(4, 3), (4, 1)]);
    drop(a.pop());
    assert!(plain.is_woken(), "one of four slots is guaranteed to those who name none");
    assert!(!contextual.is_woken() && !more_of_a.is_woken());
    assert_eq!(counts(&recovery), [(4, 2), (3, 1)]);
    drop(a.pop());
    assert!(more_of_a.is_woken(), "and three to it");
    assert_eq!(counts(&recovery), [(4, 1), (3, 0)]);
}

#[tokio::test(start_paused = true)]
async fn unknown_partition_gets_no_slot_and_is_told_why() {
    let recorder = Recorder::new();
    let bulkhead = two_tenants().name("pool").observer(recorder.observer());
    let recovery = Recovery::<&str>::builder("db")
        .circuit_breaker(CircuitBreaker::builder("db").consecutive_failures(1))
        .bulkhead(bulkhead)
        .build()
        .unwrap();
    let held: Vec<_> = (0..2).map(|_| recovery.bulkhead().unwrap().try_acquire().unwrap()).collect();
    for name in ["", "quie", "quiet ", "Quiet", "nobody"] {
        let asked = Cell::new(0);
        let context = of(name);
        let call = execute_with_recovery(recovery.with_context(&context), |_| {
            asked.set(asked.get() + 1);
            async { Ok::<_, &str>(()) }
        });
        let error = call.await.unwrap_err();
        assert_eq!(full(&error).reason, FullReason::NoSuchPartition, "{name:?}, though two slots are free");
        assert_eq!((asked.get(), error.attempts()), (0, 0));
        assert_eq!(error.to_string(), "`db` gave up after 0 attempts: bulkhead `pool` has no such partition");
        assert!(recovery.bulkhead().unwrap().partition(name).is_err(), "as a direct caller is");
    }
    drop(held);
    assert_eq!(counts(&recovery), [(0, 0); 3]);
    let told = recorder.events().into_iter().filter_map(|event| match event.what {
        Happened::Rejected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["no_such_partition"; 5], "once each");
    let breaker = recovery.circuit_breaker().unwrap().snapshot();
    assert_eq!((breaker.failures, breaker.calls), (0, 0), "the dependency did nothing wrong");
}

#[tokio::test(start_paused = true)]
async fn name_says_nothing_where_all_share_alike() {
    let context = of("tenant");
    for bulkhead in [Bulkhead::builder(2), Bulkhead::builder(2).reserve(Priority::High, 0.5)] {
        let recovery = over(bulkhead);
        let call = begun(&recovery, &context);
        assert_eq!(counts(&recovery), [(1, 0)]);
        drop(call);
        assert_eq!(counts(&recovery), [(0, 0)]);
    }
    let without = Recovery::<&str>::builder("db").build().unwrap();
    let call = execute_with_recovery(without.with_context(&context), |_| async { Ok(()) });
    assert_eq!(call.await.ok(), Some(()));
}

#[tokio::test(start_paused = true)]
async fn full_partition_refuses_in_the_words_that_a_direct_caller_gets() {
    let recorder = Recorder::new();
    let bulkhead = Bulkhead::builder(2).name("pool").queue(1).max_wait(WORK).partition("a", 0.5);
    let recovery = over(bulkhead.observer(recorder.observer()));
    let context = of("a");
    let _held: Vec<_> = (0..2).map(|_| begun(&recovery, &context)).collect();
    let call = || execute_with_recovery(recovery.with_context(&context), |_| async { Ok::<(), &str>(()) });

    let mut late = task::spawn(call());
    assert!(late.poll().is_pending());
    assert_eq!(counts(&recovery), [(2, 1), (2, 1)]);
    let direct = recovery.bulkhead().unwrap().partition("a").unwrap().acquire().await.unwrap_err();
    assert_eq!(direct.reason, FullReason::QueueFull);
    assert_eq!(full(&call().await.unwrap_err()), direct);

    tokio::time::advance(WORK).await;
    let Poll::Ready(Err(error)) = late.poll() else { panic!("it has waited for too long") };
    let direct = recovery.bulkhead().unwrap().partition("a").unwrap().acquire().await.unwrap_err();
    assert_eq!(direct.reason, FullReason::WaitedTooLong);
    assert_eq!(full(&error), direct);

    recovery.bulkhead().unwrap().close();
    let direct = recovery.bulkhead().unwrap().partition("a").unwrap().try_acquire().unwrap_err();
    assert_eq!(full(&call().await.unwrap_err()), direct);
    let told = recorder.events().into_iter().filter_map(|event| match event.what {
        Happened::Rejected { policy, reason } => Some((policy, reason)),
        _ => None,
    });
    let told: Vec<_> = told.map(|(policy, reason)| format!("{policy} {reason}")).collect();
    assert_eq!(told, ["pool full", "pool full", "pool full", "pool full", "pool closed", "pool closed"]);
}

#[tokio::test(start_paused = true)]
async fn full_queue_of_one_partition_refuses_nobody_of_another() {
    let recovery = over(Bulkhead::builder(2).queue(1).partition("a", 0.5).partition("b", 0.5));
    let (a, b) = (of("a"), of("b"));
    let mut held = vec![begun(&recovery, &a), begun(&recovery, &a)];
    let waits = begun(&recovery, &a);
    let refused = execute_with_recovery(recovery.with_context(&a), |_| async { Ok::<(), &str>(()) });
    assert_eq!(full(&refused.await.unwrap_err()).reason, FullReason::QueueFull);
    let other = begun(&recovery, &b);
    assert_eq!(counts(&recovery), [(2, 2), (2, 1), (0, 1)]);
    drop(held.pop());
    assert!(other.is_woken() && !waits.is_woken(), "one of the two slots is its own");
}

type Call<'c> = Spawn<Pin<Box<dyn Future<Output = bool> + 'c>>>;

/// A call that fails at first, with either of the two drivers.
fn fails_once<'c>(using: Using<'c, &'static str>, mutable: bool) -> Call<'c> {
    let operation = |attempt: Attempt| async move {
        tokio::time::sleep(MS).await;
        if attempt.is_first() { Err("once more") } else { Ok(()) }
    };
    task::spawn(if mutable {
        Box::pin(async move {
            let mut attempts = 0;
            let call =
                execute_with_recovery_mut(using, &mut attempts, async |attempts: &mut u32, attempt| {
                    *attempts += 1;
                    operation(attempt).await
                });
            call.await.is_ok()
        })
    } else {
        Box::pin(async move { execute_with_recovery(using, operation).await.is_ok() })
    })
}

/// What its partition has, and how many wait in it, after each poll of a call that fails once: in line, at work,
/// between its attempts, in line again, at work, done.
const STAGES: [(usize, usize); 6] = [(0, 1), (1, 0), (0, 0), (0, 1), (1, 0), (0, 0)];

/// Dropped at once after a poll, or when what it waits for has come and it does not know: then a slot is on its
/// way to it.
#[tokio::test(start_paused = true)]
async fn call_dropped_at_any_await_gives_back_to_its_own_partition() {
    let (context, elsewhere) = (of("quiet"), of("noisy"));
    for (mutable, woken, last) in [false, true]
        .iter()
        .flat_map(|m| [false, true].map(|w| (0..STAGES.len()).map(move |at| (*m, w, at))))
        .flatten()
    {
        let recovery = over(two_tenants());
        let mut others: Vec<_> = (0..4).map(|_| begun(&recovery, &elsewhere)).collect();
        let mut call = fails_once(recovery.with_context(&context), mutable);
        for (at, stage) in STAGES.into_iter().enumerate().take(last + 1) {
            let ended = call.poll();
            assert_eq!((counts(&recovery)[1], ended.is_ready()), (stage, at + 1 == STAGES.len()));
            if at == last && !woken {
                break;
            }
            match at {
                0 | 3 => drop(others.pop()),
                2 => others.push(begun(&recovery, &elsewhere)),
                _ => {}
            }
            if !matches!(at, 0 | 3) {
                tokio::time::advance(MS).await;
            }
        }
        let on_its_way = usize::from(woken && matches!(last, 0 | 3));
        let holds = if on_its_way == 1 { (1, 0) } else { STAGES[last] };
        assert_eq!(counts(&recovery)[1], holds);
        drop(call);
        let noisy = others.len();
        assert_eq!(counts(&recovery), [(noisy, 0), (0, 0), (noisy, 0)], "{mutable}, {woken}, {last}");
        drop(others);
        assert_eq!(counts(&recovery), [(0, 0); 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn call_dropped_with_a_slot_it_has_not_seen_passes_it_on() {
    let recovery = over(Bulkhead::builder(1).queue(9).partition("a", 0.5).partition("b", 0.5));
    let (a, b) = (of("a"), of("b"));
    let held = begun(&recovery, &a);
    let goes = begun(&recovery, &b);
    let mut stays = begun(&recovery, &a);
    drop(held);
    assert!(goes.is_woken());
    assert_eq!(counts(&recovery), [(1, 1), (0, 1), (1, 0)], "granted, and not taken yet");
    drop(goes);
    assert!(stays.is_woken() && stays.poll().is_pending());
    assert_eq!(counts(&recovery), [(1, 0), (1, 0), (0, 0)]);
}

/// Each attempt of one call comes as the same tenant: the slots that a retry takes are not nobody's.
#[tokio::test(start_paused = true)]
async fn retries_take_slots_of_the_same_partition_and_waits_between_hold_none() {
    let recovery = over(two_tenants());
    let context = of("noisy");
    let held = Cell::new(Vec::new());
    let call = execute_with_recovery(recovery.with_context(&context), |attempt| {
        held.set([held.take(), vec![counts(&recovery)[2].0]].concat());
        async move { if attempt.number() < 3 { Err("busy") } else { Ok(()) } }
    });
    let mut call = task::spawn(call);
    for _ in 0..2 {
        assert!(call.poll().is_pending());
        assert_eq!(counts(&recovery), [(0, 0); 3], "it waits to retry");
        tokio::time::advance(MS).await;
    }
    assert!(matches!(call.poll(), Poll::Ready(Ok(()))));
    assert_eq!(held.take(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn panic_of_an_operation_gives_its_slot_back_to_its_partition() {
    let recovery = over(two_tenants());
    let task = tokio::spawn({
        let recovery = recovery.clone();
        async move {
            let context = of("quiet");
            let call = execute_with_recovery(recovery.with_context(&context), |_| async {
                tokio::time::sleep(MS).await;
                std::panic::resume_unwind(Box::new("a bug")) as Result<Infallible, &str>
            });
            call.await.map(|never| match never {}).is_ok()
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(counts(&recovery), [(0, 0); 3]);
}

#[tokio::test(start_paused = true)]
async fn guarantee_comes_before_priority_and_priority_decides_who_is_lent_a_slot() {
    let recovery = over(two_tenants());
    let (quiet, noisy) = (of("quiet"), of("noisy"));
    let urgent = of("noisy").with_priority(Priority::Critical);
    let small = of("quiet").with_priority(Priority::Low);
    let mut held: Vec<_> = (0..4).map(|_| begun(&recovery, &noisy)).collect();
    let normal = begun(&recovery, &noisy);
    let critical = begun(&recovery, &urgent);
    let low = begun(&recovery, &small);
    drop(held.pop());
    assert!(low.is_woken(), "what is guaranteed to its tenant is for the least of its calls");
    let also_mine = begun(&recovery, &quiet);
    drop(held.pop());
    assert!(also_mine.is_woken() && !critical.is_woken());
    drop(held.pop());
    assert!(critical.is_woken() && !normal.is_woken(), "within one tenant who matters more is first");
    assert_eq!(counts(&recovery), [(4, 1), (2, 0), (2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn newcomer_who_matters_more_evicts_from_its_own_partition_only() {
    let recovery = over(Bulkhead::builder(1).queue(1).partition("a", 0.5).partition("b", 0.5));
    let (a, b) = (of("a"), of("b"));
    let high = of("a").with_priority(Priority::High);
    let _held = begun(&recovery, &a);
    let mut of_a = begun(&recovery, &a);
    let of_b = begun(&recovery, &b);
    let _newcomer = begun(&recovery, &high);
    let Poll::Ready(Err(error)) = of_a.poll() else { panic!("its place was taken") };
    assert_eq!(full(&error).reason, FullReason::Evicted);
    assert!(!of_b.is_woken());
    assert_eq!(counts(&recovery), [(1, 2), (1, 1), (0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn reserve_is_kept_in_every_partition_for_calls_that_matter_more() {
    let reserved = Bulkhead::builder(4).partition("a", 0.5).reserve(Priority::Critical, 0.5);
    let recovery = over(reserved);
    let normal = of("a");
    let critical = of("a").with_priority(Priority::Critical);
    let _held: Vec<_> = (0..2).map(|_| begun(&recovery, &normal)).collect();
    let refused = execute_with_recovery(recovery.with_context(&normal), |_| async { Ok::<(), &str>(()) });
    assert_eq!(full(&refused.await.unwrap_err()).reason, FullReason::QueueFull);
    let _kept: Vec<_> = (0..2).map(|_| begun(&recovery, &critical)).collect();
    assert_eq!(counts(&recovery), [(4, 0), (4, 0)]);
}

#[tokio::test(start_paused = true)]
async fn shard_of_a_dependency_is_called_with_the_slots_of_the_partition() {
    let recovery = over(two_tenants());
    let (context, shard) = (of("quiet"), recovery.shard("eu"));
    let call =
        execute_with_recovery(recovery.with_context(&context).on(&shard), |_| pending::<Result<(), &str>>());
    let mut call = task::spawn(call);
    assert!(call.poll().is_pending());
    assert_eq!(counts(&recovery), [(1, 0), (1, 0), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn refused_for_its_partition_a_call_leaves_the_one_probe_to_another() {
    let breaker = CircuitBreaker::builder("db").consecutive_failures(1).half_open(HalfOpen::probes(1));
    let recovery = Recovery::<&str>::builder("db")
        .retry(RetryPolicy::never())
        .circuit_breaker(breaker.open_for(MS))
        .bulkhead(two_tenants())
        .build()
        .unwrap();
    let fails = execute_with_recovery(&recovery, |_| async { Err::<(), _>("down") });
    assert!(fails.await.is_err());
    tokio::time::advance(MS).await;
    assert_eq!(recovery.circuit_breaker().unwrap().state(), CircuitState::HalfOpen);
    let (unknown, known) = (of("nobody"), of("quiet"));
    let refused = execute_with_recovery(recovery.with_context(&unknown), |_| async { Ok::<(), &str>(()) });
    let mut refused = task::spawn(refused);
    let Poll::Ready(Err(error)) = refused.poll() else { panic!("there is no such partition") };
    assert_eq!(full(&error).reason, FullReason::NoSuchPartition);
    let probe = begun(&recovery, &known);
    assert_eq!(counts(&recovery), [(1, 0), (1, 0), (0, 0)], "though the future of the first is still there");
    drop(probe);
}

/// Letters outlive the names of tenants: one of a partition that is gone must not stop a whole run.
#[tokio::test(start_paused = true)]
async fn redrive_of_a_letter_takes_what_is_nobodys() {
    let recovery = Recovery::<&str>::builder("db")
        .retry(RetryPolicy::never())
        .bulkhead(two_tenants())
        .dead_letters_described(MemoryQueue::default(), ErrorChain::from_display)
        .build()
        .unwrap();
    let context = of("quiet");
    let fails = execute_with_recovery(recovery.with_context(&context), |_| async { Err::<(), _>("down") });
    assert!(fails.await.unwrap_err().dead_letter().is_some());
    let report = redrive(&recovery, &LetterFilter::new(), |_, _| {
        let counts = counts(&recovery);
        async move {
            assert_eq!(counts, [(1, 0), (0, 0), (0, 0)]);
            Ok(())
        }
    });
    assert_eq!(report.await.unwrap().delivered, 1);
}
