//! Letters of calls that were given up, and their redrive.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test reads the paused clock itself")]
#![expect(clippy::disallowed_types, reason = "the crate's own lock is not public")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use recoup::{
    Act, Attempt, ByHand, CallContext, Category, CircuitBreaker, Classification, DeadLetter, DeadLetterQueue,
    DeadReason, HalfOpen, LeaseToken, Leased, LetterFilter, LetterId, LetterState, MemoryQueue, Payload,
    PushError, PushErrorKind, QueueError, QueueStats, Reason, Receipt, Recovery, RecoveryBuilder,
    RedriveError, RetryBudget, RetryPolicy, RunBook, SettleError, Settled, Settlement, Shutdown, Stopped,
    WhenFull, execute_with_recovery, redrive, redrive_one,
};
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A memory queue whose storage can be made to fail or to take its time.
#[derive(Default)]
struct FaultQueue {
    memory: MemoryQueue,
    /// So many pushes fail from now on.
    failing_pushes: AtomicU32,
    pushing_takes: Duration,
    failing_settlements: AtomicBool,
    failing_leases: AtomicBool,
}

fn disk_full() -> String {
    "no space left on device".to_owned()
}

impl DeadLetterQueue for FaultQueue {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        async move {
            sleep(self.pushing_takes).await;
            let one_less = |left: u32| left.checked_sub(1);
            if self.failing_pushes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                return Err(PushError::new(letter, PushErrorKind::Storage(disk_full())));
            }
            self.memory.push(letter).await
        }
        .boxed()
    }

    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        self.memory.peek(filter, limit)
    }

    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        if self.failing_leases.load(Ordering::Relaxed) {
            return async { Err(QueueError::Storage(disk_full())) }.boxed();
        }
        self.memory.lease(filter, limit, time)
    }

    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>> {
        if self.failing_settlements.load(Ordering::Relaxed) {
            return async { Err(SettleError::Storage(disk_full())) }.boxed();
        }
        self.memory.settle(token, settlement)
    }

    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.memory.quarantine(filter, by)
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.memory.reinstate(filter, by)
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.memory.discard(filter, by)
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        self.memory.replace(old, letter, by)
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        self.memory.acts(limit)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        self.memory.stats()
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        self.memory.runs()
    }
}

/// Three attempts with waits of a second, and no budget that tests would have to fill.
fn builder(queue: impl DeadLetterQueue + 'static) -> RecoveryBuilder<io::Error> {
    let backoff = recoup::Backoff::fixed(SECOND);
    Recovery::builder("bank")
        .retry(RetryPolicy::backoff(backoff).max_attempts(3).jitter(recoup::Jitter::None).no_budget())
        .dead_letters(queue)
}

fn recovery(queue: &MemoryQueue) -> Recovery<io::Error> {
    builder(queue.clone()).build().unwrap()
}

async fn down(_: Attempt) -> io::Result<()> {
    Err(io::Error::other("bank is down"))
}

async fn still_down(_: Arc<DeadLetter>, _: Attempt) -> io::Result<()> {
    Err(io::Error::other("still down"))
}

async fn up(_: Arc<DeadLetter>, _: Attempt) -> io::Result<()> {
    Ok(())
}

/// Puts so many letters into the queue, of which no attempt is known.
async fn push(queue: &MemoryQueue, letters: u64) {
    for number in 1..=letters {
        let letter = DeadLetter::new("charge").idempotency_key(format!("order-{number}"));
        queue.push(letter).await.unwrap();
    }
}

async fn all(queue: &MemoryQueue) -> Vec<DeadLetter> {
    queue.peek(&LetterFilter::new().any_state(), usize::MAX).await.unwrap()
}

async fn only(queue: &MemoryQueue) -> DeadLetter {
    let mut letters = all(queue).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters.remove(0)
}

fn every() -> LetterFilter {
    LetterFilter::new()
}

// D1: never acknowledged before the letter is safe.

#[tokio::test(start_paused = true)]
async fn d1_letter_that_cannot_be_stored_comes_back_by_value_with_both_errors() {
    let queue = Arc::new(FaultQueue { failing_pushes: AtomicU32::new(2), ..FaultQueue::default() });
    let (recovery, spill) = (builder(Arc::clone(&queue)).build().unwrap(), MemoryQueue::default());
    for nth in 1..=3 {
        let body = format!("item {nth}");
        let call = CallContext::new("charge").with_idempotency_key(&body).payload(|| Payload::text(&body));
        let error = execute_with_recovery(recovery.with_context(&call), down).await.unwrap_err();
        assert_eq!(error.inner().unwrap().to_string(), "bank is down");
        if nth == 3 {
            assert_eq!(error.dead_letter(), Some(LetterId::new(1)), "the storage is back");
            assert!(error.burial_error().is_none());
            continue;
        }
        assert_eq!(error.dead_letter(), None);
        let refused = error.into_burial_error().unwrap();
        assert_eq!(refused.kind, PushErrorKind::Storage(disk_full()));
        assert_eq!(refused.letter.payload, Some(Payload::text(&body)));
        assert_eq!(refused.letter.attempts_total(), 3);
        spill.push(*refused.letter).await.unwrap();
    }
    let keys = |letters: Vec<DeadLetter>| {
        letters.into_iter().filter_map(|letter| letter.idempotency_key).collect::<Vec<_>>()
    };
    assert_eq!(keys(all(&spill).await), ["item 1", "item 2"], "kept elsewhere");
    assert_eq!(keys(all(&queue.memory).await), ["item 3"]);
}

#[tokio::test(start_paused = true)]
async fn d1_call_ends_only_once_its_letter_is_stored() {
    let queue = Arc::new(FaultQueue { pushing_takes: 10 * SECOND, ..FaultQueue::default() });
    let recovery = builder(Arc::clone(&queue)).retry(RetryPolicy::never()).build().unwrap();
    let mut call = Box::pin(execute_with_recovery(&recovery, down));
    assert!((&mut call).now_or_never().is_none());
    advance(Duration::from_millis(9_999)).await;
    assert!((&mut call).now_or_never().is_none(), "not stored yet");
    assert!(all(&queue.memory).await.is_empty());
    let error = call.await.unwrap_err();
    assert_eq!(error.dead_letter(), Some(only(&queue.memory).await.id));
}

#[tokio::test(start_paused = true)]
async fn letter_keeps_all_that_its_call_said_of_itself_and_so_does_its_redrive() {
    let queue = MemoryQueue::default();
    let recovery = builder(queue.clone()).retry(RetryPolicy::never()).build().unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = CallContext::new("charge")
        .destination("bank")
        .correlation_id("order-7")
        .tenant("acme")
        .traceparent(trace)
        .header("region", "eu");
    execute_with_recovery(recovery.with_context(&call), down).await.unwrap_err();
    let letter = only(&queue).await;
    assert_eq!((letter.operation.as_str(), letter.destination.as_deref()), ("charge", Some("bank")));
    assert_eq!((letter.correlation_id.as_deref(), letter.tenant.as_deref()), (Some("order-7"), Some("acme")));
    assert_eq!((letter.traceparent.as_deref(), letter.headers["region"].as_str()), (Some(trace), "eu"));
    redrive(&recovery, &every().tenant("acme"), still_down).await.unwrap();
    let redriven = only(&queue).await;
    assert_eq!(
        (redriven.redrives, redriven.tenant, redriven.traceparent),
        (1, letter.tenant, letter.traceparent)
    );
}

// D2: bounded, and never a silent drop.

#[tokio::test(start_paused = true)]
async fn d2_full_queue_hands_500_of_1500_letters_back() {
    let queue = MemoryQueue::builder().capacity(1000).build().unwrap();
    let recovery = builder(queue.clone()).retry(RetryPolicy::never()).build().unwrap();
    let mut handed_back = Vec::new();
    for nth in 1..=1500_u32 {
        let call = CallContext::new("charge").with_idempotency_key(nth.to_string());
        let error = execute_with_recovery(recovery.with_context(&call), down).await.unwrap_err();
        if let Some(refused) = error.into_burial_error() {
            assert_eq!(refused.kind, PushErrorKind::Full);
            handed_back.extend(refused.letter.idempotency_key);
        }
    }
    assert_eq!(handed_back, (1001..=1500).map(|nth: u32| nth.to_string()).collect::<Vec<_>>());
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.held(), stats.pushed, stats.evicted), (1000, 1000, 0));
}

#[tokio::test(start_paused = true)]
async fn d2_dropping_the_oldest_counts_and_names_each() {
    let named = Arc::new(Mutex::new(Vec::new()));
    let book = Arc::clone(&named);
    let queue = MemoryQueue::builder()
        .capacity(1000)
        .when_full(WhenFull::DropOldest)
        .on_loss(move |letter, _| book.lock().unwrap().push(letter.id.get()))
        .build()
        .unwrap();
    let recovery = builder(queue.clone()).retry(RetryPolicy::never()).build().unwrap();
    for _ in 1..=1500 {
        let error = execute_with_recovery(&recovery, down).await.unwrap_err();
        assert!(error.dead_letter().is_some());
    }
    assert_eq!(*named.lock().unwrap(), (1..=500).collect::<Vec<_>>());
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.held(), stats.pushed, stats.evicted), (1000, 1500, 500));
}

// D4: redrive is counted and does not loop.

#[tokio::test(start_paused = true)]
async fn d4_three_failed_redrives_are_one_entry_with_all_attempts_then_quarantined() {
    let queue = MemoryQueue::default();
    let recovery = recovery(&queue);
    let call = CallContext::new("charge").destination("bank").payload(|| Payload::text("3 EUR"));
    execute_with_recovery(recovery.with_context(&call), down).await.unwrap_err();
    let dead = only(&queue).await;
    for nth in 1..=3 {
        let report = redrive(&recovery, &every(), still_down).await.unwrap();
        assert_eq!((report.failed, report.quarantined), if nth < 3 { (1, 0) } else { (0, 1) });
        assert_eq!(only(&queue).await.redrives, nth);
    }
    let letter = only(&queue).await;
    assert_eq!((letter.id, letter.state), (dead.id, LetterState::Quarantined));
    assert_eq!(letter.attempts_total(), 12, "three of the call and three of each redrive");
    let first = &letter.attempts.records()[0];
    assert_eq!((first.number, first.message.as_str()), (1, "bank is down"), "the first stays for ever");
    let told: Vec<_> = letter.attempts.records()[1..].iter().map(|it| (it.number, &*it.message)).collect();
    assert_eq!(told, [1, 2, 3, 1, 2, 3, 1, 2, 3].map(|number| (number, "still down")));
    assert_eq!((letter.error.to_string().as_str(), letter.reason), ("still down", DeadReason::Exhausted));
    assert_eq!(
        (letter.payload, letter.died_at),
        (dead.payload, dead.died_at),
        "what was sent stays as it was"
    );
    assert_eq!(queue.stats().await.unwrap().pushed, 1, "no second letter");

    let report = redrive(&recovery, &every(), up).await.unwrap();
    assert_eq!((report.meant(), only(&queue).await.redrives), (0, 3), "bulk leaves it alone");
    let redriven = redrive_one(&recovery, dead.id, up).await.unwrap();
    assert_eq!(redriven.settled, Ok(Settled::Removed), "asked for by number, it is redriven");
    assert!(all(&queue).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn d4_redrive_has_a_fresh_allowance_of_attempts() {
    let queue = MemoryQueue::default();
    let recovery = recovery(&queue);
    execute_with_recovery(&recovery, down).await.unwrap_err();
    let numbers = Mutex::new(Vec::new());
    let third_time_lucky = |_: Arc<DeadLetter>, attempt: Attempt| {
        numbers.lock().unwrap().push(attempt.number());
        async move { if attempt.number() < 3 { Err(io::Error::other("not yet")) } else { Ok(()) } }
    };
    let report = redrive(&recovery, &every(), third_time_lucky).await.unwrap();
    assert_eq!((report.delivered, numbers.into_inner().unwrap()), (1, vec![1, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn d4_letter_is_there_until_its_call_succeeded() {
    let queue = MemoryQueue::default();
    push(&queue, 1).await;
    let (recovery, looked) = (recovery(&queue), AtomicU32::new(0));
    let report = redrive(&recovery, &every(), |letter, _| {
        let (queue, looked) = (&queue, &looked);
        async move {
            let stored = only(queue).await;
            assert_eq!((stored.id, stored.state), (letter.id, LetterState::Leased));
            looked.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    });
    assert_eq!(report.await.unwrap().delivered, 1);
    assert_eq!((looked.into_inner(), all(&queue).await.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn d4_crash_between_success_and_removal_repeats_under_the_same_key() {
    let queue = Arc::new(FaultQueue::default());
    push(&queue.memory, 1).await;
    queue.memory.push(DeadLetter::new("no key of its own")).await.unwrap();
    let recovery = builder(Arc::clone(&queue)).build().unwrap();
    let served = Mutex::new(Vec::new());
    let serve = |letter: Arc<DeadLetter>, _| {
        served.lock().unwrap().push((letter.id.get(), letter.idempotency_key.clone().unwrap()));
        async { Ok(()) }
    };
    queue.failing_settlements.store(true, Ordering::Relaxed); // as when the process dies right there
    for id in [1, 2] {
        let redriven = redrive_one(&recovery, LetterId::new(id), serve).await.unwrap();
        assert!(redriven.result.is_ok());
        assert_eq!(redriven.settled, Err(SettleError::Storage(disk_full())));
    }
    queue.failing_settlements.store(false, Ordering::Relaxed);
    let early = redrive(&recovery, &every(), serve).await.unwrap();
    assert_eq!((early.skipped, early.delivered), (2, 0), "still leased");
    advance(300 * SECOND).await;
    let late = redrive(&recovery, &every(), serve).await.unwrap();
    assert_eq!(late.delivered, 2);
    let served = served.into_inner().unwrap();
    assert_eq!(
        (&served[0], &served[1]),
        (&served[2], &served[3]),
        "a server that knows the keys does it once"
    );
    assert_eq!(served[0].1, "order-1");
    assert!(!served[1].1.is_empty() && served[1].1 != served[0].1);
}

#[tokio::test(start_paused = true)]
async fn d4_dropped_run_gives_its_letter_back_when_the_lease_ends() {
    let queue = MemoryQueue::default();
    push(&queue, 2).await;
    let recovery = recovery(&queue);
    let hangs = |_, _| std::future::pending::<io::Result<()>>();
    let mut run = Box::pin(redrive(&recovery, &every(), hangs).lease(60 * SECOND).into_future());
    assert!((&mut run).now_or_never().is_none());
    drop(run);
    let report = redrive(&recovery, &every(), up).await.unwrap();
    assert_eq!((report.delivered, report.skipped), (1, 1));
    advance(60 * SECOND).await;
    let letter = only(&queue).await;
    assert_eq!((letter.state, letter.redrives, letter.unsettled), (LetterState::Ready, 0, 1));
    assert_eq!(redrive(&recovery, &every(), up).await.unwrap().delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn d4_open_circuit_pauses_the_run_and_burns_nothing() {
    let queue = MemoryQueue::default();
    push(&queue, 5).await;
    let breaker = CircuitBreaker::builder("bank").build().unwrap();
    let recovery = builder(queue.clone()).circuit_breaker(breaker.clone()).build().unwrap();
    breaker.force_open();
    let calls = AtomicU32::new(0);
    for _ in 0..5 {
        let report = redrive(&recovery, &every(), |_, _| {
            calls.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
        let report = report.await.unwrap();
        assert!(matches!(report.stopped, Some(Stopped::Call(Reason::CircuitOpen(_)))), "{report:?}");
        assert_eq!((report.untouched, report.meant()), (5, 5));
    }
    assert_eq!(calls.into_inner(), 0);
    for letter in all(&queue).await {
        let counts = (letter.state, letter.redrives, letter.unsettled, letter.attempts_total());
        assert_eq!(counts, (LetterState::Ready, 0, 0, 0));
        assert_eq!(letter.reason, DeadReason::ByHand, "and nothing is told to it");
    }
    breaker.force_closed();
    assert_eq!(redrive(&recovery, &every(), up).await.unwrap().delivered, 5);
}

#[tokio::test(start_paused = true)]
async fn d4_letter_that_opens_the_circuit_is_counted_and_cannot_block_the_others_for_ever() {
    let queue = MemoryQueue::default();
    push(&queue, 2).await;
    let breaker = CircuitBreaker::builder("bank")
        .consecutive_failures(2)
        .open_for(60 * SECOND)
        .half_open(HalfOpen::probes(1));
    let recovery = builder(queue.clone()).circuit_breaker(breaker).build().unwrap();
    let first_is_poison = |letter: Arc<DeadLetter>, _| async move {
        if letter.id.get() == 1 { Err(io::Error::other("poison")) } else { Ok(()) }
    };
    let mut runs = 0;
    let delivered = loop {
        runs += 1;
        let report = redrive(&recovery, &every(), first_is_poison).await.unwrap();
        if report.delivered > 0 {
            break report.delivered;
        }
        assert!(matches!(report.stopped, Some(Stopped::Call(Reason::CircuitOpen(_)))), "{report:?}");
        assert_eq!(all(&queue).await[1].deliveries, 0, "the second letter is not even leased");
        assert!(runs < 5, "the second letter never had its turn: {report:?}");
        advance(3600 * SECOND).await;
    };
    assert_eq!(delivered, 1);
    let poison = only(&queue).await;
    assert_eq!((poison.state, poison.redrives), (LetterState::Quarantined, 3));
}

#[tokio::test(start_paused = true)]
async fn empty_budget_counts_the_attempt_that_was_made_and_goes_on() {
    let queue = MemoryQueue::default();
    push(&queue, 2).await;
    let empty = RetryBudget::builder().reserve(0).no_trickle().build().unwrap();
    let policy = RetryPolicy::fixed(SECOND).budget(empty);
    let recovery = builder(queue.clone()).retry(policy).build().unwrap();
    let report = redrive(&recovery, &every(), still_down).await.unwrap();
    assert_eq!((report.failed, report.stopped), (2, None));
    for letter in all(&queue).await {
        assert_eq!((letter.redrives, letter.reason), (1, DeadReason::Budget));
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_stops_the_run_and_keeps_what_was_tried_without_counting_it() {
    let queue = MemoryQueue::default();
    push(&queue, 3).await;
    let shutdown = Shutdown::new();
    let recovery = builder(queue.clone()).shutdown(&shutdown).build().unwrap();
    let report = redrive(&recovery, &every(), |_, _| {
        shutdown.trigger();
        async { Err::<(), _>(io::Error::other("reset")) }
    });
    let report = report.await.unwrap();
    assert_eq!(report.stopped, Some(Stopped::Call(Reason::ShutDown)));
    assert_eq!((report.failed, report.untouched, report.meant()), (1, 2, 3));
    let letters = all(&queue).await;
    assert_eq!((letters[0].redrives, letters[0].attempts_total()), (0, 1));
    let report = redrive(&recovery, &every(), up).await.unwrap();
    assert_eq!((report.untouched, report.delivered), (3, 0), "nothing is begun any more");
}

#[tokio::test(start_paused = true)]
async fn run_means_the_letters_of_its_beginning_and_chases_none() {
    let queue = MemoryQueue::default();
    push(&queue, 150).await; // more than are looked at together
    queue.push(DeadLetter::new("refund")).await.unwrap();
    let (recovery, calls) = (recovery(&queue), Mutex::new(Vec::new()));
    let report = redrive(&recovery, &LetterFilter::new().operation("charge"), |letter, _| {
        calls.lock().unwrap().push(letter.id.get());
        let queue = &queue;
        async move {
            queue.push(DeadLetter::new("charge")).await.unwrap();
            Err::<(), _>(io::Error::new(io::ErrorKind::InvalidInput, "no such account"))
        }
    });
    assert_eq!(report.await.unwrap().failed, 150);
    let calls = calls.into_inner().unwrap();
    assert_eq!(calls.len(), 450, "three attempts for each");
    assert!(calls.is_sorted(), "in the order of their numbers");
    assert_eq!(calls.last(), Some(&150));
}

#[tokio::test(start_paused = true)]
async fn letters_that_went_away_or_changed_meanwhile_are_skipped() {
    let queue = MemoryQueue::default();
    push(&queue, 4).await;
    let recovery = recovery(&queue);
    let report = redrive(&recovery, &every(), |letter, _| {
        let queue = &queue;
        async move {
            if letter.id.get() == 1 {
                let two = LetterFilter::new().id(LetterId::new(2));
                queue.discard(&two, &ByHand::default()).await.unwrap();
                let three = LetterFilter::new().id(LetterId::new(3));
                let leased = queue.lease(&three, 1, 60 * SECOND).await.unwrap().remove(0);
                queue.settle(leased.token, Settlement::Quarantine).await.unwrap();
            }
            Ok(())
        }
    });
    let report = report.await.unwrap();
    assert_eq!((report.delivered, report.skipped, report.meant()), (2, 2, 4));
    assert_eq!(only(&queue).await.id, LetterId::new(3));
}

#[tokio::test(start_paused = true)]
async fn call_ends_before_the_lease_does_and_is_written_down() {
    let queue = MemoryQueue::default();
    push(&queue, 1).await;
    let (recovery, start) = (recovery(&queue), Instant::now());
    let hangs = |_, _| std::future::pending::<io::Result<()>>();
    let report = redrive(&recovery, &every(), hangs).lease(100 * SECOND).await.unwrap();
    assert_eq!((report.failed, report.unsettled.len(), start.elapsed()), (1, 0, 90 * SECOND));
    let letter = only(&queue).await;
    assert_eq!((letter.redrives, letter.unsettled, letter.reason), (1, 0, DeadReason::Deadline));
    assert_eq!(letter.category, Some(Category::Timeout));
}

#[tokio::test(start_paused = true)]
async fn letter_discarded_under_its_call_is_told_of() {
    let queue = MemoryQueue::default();
    push(&queue, 2).await;
    let recovery = recovery(&queue);
    let report = redrive(&recovery, &every(), |letter, _| {
        let queue = &queue;
        async move {
            if letter.id.get() == 1 {
                queue.discard(&LetterFilter::new().id(letter.id), &ByHand::default()).await.unwrap();
            }
            Ok(())
        }
    });
    let report = report.await.unwrap();
    assert_eq!((report.unsettled.as_slice(), report.delivered), ([LetterId::new(1)].as_slice(), 1));
    assert!(report.is_complete());
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_queue_are_typed_and_lose_nothing_of_the_report() {
    let queue = Arc::new(FaultQueue::default());
    push(&queue.memory, 3).await;
    let recovery = builder(Arc::clone(&queue)).build().unwrap();
    let breaks = |letter: Arc<DeadLetter>, _| {
        queue.failing_leases.store(letter.id.get() == 1, Ordering::Relaxed);
        async { Ok(()) }
    };
    let report = redrive(&recovery, &every(), breaks).await.unwrap();
    assert_eq!((report.delivered, report.untouched), (1, 2));
    assert_eq!(report.stopped, Some(Stopped::Queue(QueueError::Storage(disk_full()))));

    queue.failing_leases.store(false, Ordering::Relaxed);
    queue.failing_settlements.store(true, Ordering::Relaxed);
    let report = redrive(&recovery, &every(), up).await.unwrap();
    let second = LetterId::new(2);
    assert_eq!((report.unsettled, report.untouched), (vec![second], 1));
    assert_eq!(report.stopped, Some(Stopped::Settle(second, SettleError::Storage(disk_full()))));

    let error = redrive_one(&recovery, second, up).await.unwrap_err();
    assert_eq!(error, RedriveError::NotAvailable(second), "leased still");
    let error = redrive_one(&recovery, LetterId::new(99), up).await.unwrap_err();
    assert_eq!(error.to_string(), "letter 99 is not in the queue, or leased");
    let error = redrive_one(&recovery, LetterId::new(3), up).lease(Duration::ZERO).await.unwrap_err();
    assert_eq!(error, RedriveError::Queue(QueueError::ZeroLease));
    let bare = Recovery::<io::Error>::builder("bank").build().unwrap();
    assert_eq!(redrive_one(&bare, second, up).await.unwrap_err(), RedriveError::NoQueue);
}

#[tokio::test(start_paused = true)]
async fn one_letter_gives_its_value_or_its_own_error() {
    let queue = MemoryQueue::default();
    push(&queue, 1).await;
    let recovery = builder(queue.clone())
        .classifier(|_: &io::Error| Classification::of(Category::Validation).status(422))
        .build()
        .unwrap();
    let id = LetterId::new(1);
    let redriven = redrive_one(&recovery, id, still_down).await.unwrap();
    let error = redriven.result.unwrap_err();
    assert_eq!((error.reason(), error.dead_letter()), (&Reason::Permanent, Some(id)));
    assert!(error.burial_error().is_none());
    assert_eq!(redriven.settled, Ok(Settled::Released));
    let letter = only(&queue).await;
    assert_eq!((letter.category, letter.status), (Some(Category::Validation), Some(422)));
    assert_eq!((letter.reason, letter.attempts_total()), (DeadReason::Permanent, 1));

    let redriven = redrive_one(&recovery, id, |letter, _| async move { Ok(letter.redrives) }).await.unwrap();
    assert_eq!((redriven.letter, redriven.result.unwrap()), (id, 1));
}

#[tokio::test(start_paused = true)]
async fn run_can_be_spawned_and_need_not_be() {
    let queue = MemoryQueue::default();
    push(&queue, 2).await;
    let recovery = recovery(&queue);
    let one = LetterFilter::new().id(LetterId::new(1));
    let own = recovery.clone();
    let spawned = tokio::spawn(async move { redrive(&own, &one, up).await });
    assert_eq!(spawned.await.unwrap().unwrap().delivered, 1);
    let not_send = std::rc::Rc::new(());
    let report = redrive(&recovery, &every(), |_, _| {
        let not_send = std::rc::Rc::clone(&not_send);
        async move {
            drop(not_send);
            Ok(())
        }
    });
    assert_eq!(report.run().await.unwrap().delivered, 1);
}

/// A value that was not good enough is an attempt like any other: the letter of a call that fails later tells
/// of it too.
#[tokio::test(start_paused = true)]
async fn letter_tells_of_attempts_that_gave_a_value_that_was_not_good_enough() {
    let queue = MemoryQueue::default();
    let recovery = Recovery::<io::Error>::builder("jobs")
        .retry(RetryPolicy::single_client())
        .dead_letters(queue.clone())
        .build()
        .unwrap();
    let error = recoup::execute_with_recovery(&recovery, |attempt| async move {
        if attempt.is_first() { Ok(503_u16) } else { Err(io::Error::other("gone")) }
    })
    .judge(|status| (*status >= 500).then(|| recoup::Category::ServiceUnavailable.into()))
    .await
    .unwrap_err();
    let letter = queue.peek(&LetterFilter::new(), 1).await.unwrap().remove(0);
    assert_eq!(letter.attempts_total(), error.attempts());
    let told: Vec<_> = letter.attempts.records().iter().map(|one| (one.number, &*one.message)).collect();
    assert_eq!(told, [(1, "the value was not good enough"), (2, "gone"), (3, "gone")]);
}

/// The error of an attempt is not what ended a call that could have gone on: the circuit was. The letter has both.
#[tokio::test(start_paused = true)]
async fn letter_of_a_call_that_an_open_circuit_ended_says_that_and_what_had_failed() {
    let queue = MemoryQueue::default();
    let breaker = CircuitBreaker::builder("db").consecutive_failures(1).open_for(60 * SECOND);
    let recovery = builder(queue.clone()).circuit_breaker(breaker).build().unwrap();
    let error = execute_with_recovery(&recovery, down).await.unwrap_err();
    let letter = only(&queue).await;
    assert_eq!((letter.reason, letter.attempts_total()), (DeadReason::CircuitOpen, 1));
    assert_eq!(letter.error.to_string(), error.reason().to_string());
    let failed = letter.attempts.last().unwrap();
    assert_eq!(failed.message, error.inner().unwrap().to_string());
    assert_ne!(failed.message, letter.error.to_string());
}

// D6: a dead item does not leave its batch pending for ever.

/// A batch of the user's own: its items share a correlation id, so its dead are in the queue by that name.
struct Batch<'q> {
    queue: &'q MemoryQueue,
    done: AtomicU32,
    completed: AtomicU32,
    succeeded: AtomicU32,
}

impl Batch<'_> {
    const NAME: &'static str = "batch-7";
    const ITEMS: u32 = 100;

    async fn dead(&self) -> Vec<LetterId> {
        let mine = LetterFilter::new().any_state().correlation_id(Self::NAME);
        self.queue.peek(&mine, usize::MAX).await.unwrap().into_iter().map(|letter| letter.id).collect()
    }

    /// An item has its fate: done, or a letter.
    async fn ended(&self) {
        let dead = u32::try_from(self.dead().await.len()).unwrap();
        let done = self.done.load(Ordering::SeqCst);
        if done + dead == Self::ITEMS && self.completed.load(Ordering::SeqCst) == 0 {
            self.completed.fetch_add(1, Ordering::SeqCst);
        }
        if done == Self::ITEMS {
            self.succeeded.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d6_batch_ends_with_its_dead_by_number_and_is_whole_once_they_are_redriven() {
    let queue = MemoryQueue::default();
    push(&queue, 5).await; // of nobody's batch
    let recovery = builder(queue.clone()).retry(RetryPolicy::never()).build().unwrap();
    let batch = Batch {
        queue: &queue,
        done: AtomicU32::new(0),
        completed: AtomicU32::new(0),
        succeeded: AtomicU32::new(0),
    };
    for item in 0..Batch::ITEMS {
        let call = CallContext::new("item").correlation_id(Batch::NAME);
        let call = execute_with_recovery(recovery.with_context(&call), |attempt| async move {
            if item % 33 == 7 { down(attempt).await } else { Ok(()) }
        });
        if call.await.is_ok() {
            batch.done.fetch_add(1, Ordering::SeqCst);
        }
        batch.ended().await;
    }
    let dead = batch.dead().await;
    assert_eq!(dead, [6, 7, 8].map(LetterId::new), "completed, with these dead");
    let told = || [&batch.completed, &batch.succeeded].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(told(), [1, 0]);

    let mine = LetterFilter::new().correlation_id(Batch::NAME);
    let report = redrive(&recovery, &mine, |_, _| async { Ok(()) }).await.unwrap();
    batch.done.fetch_add(u32::try_from(report.delivered).unwrap(), Ordering::SeqCst);
    batch.ended().await;
    assert_eq!((batch.dead().await, told()), (Vec::new(), [1, 1]));
    assert_eq!(all(&queue).await.len(), 5, "the others are left alone");
}
