//! A panic in the caller's code reaches the caller once, and leaves everything in working order.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use futures::FutureExt as _;
use recoup::{
    Attempt, Backoff, Bulkhead, CallContext, Category, CircuitBreaker, CircuitState, Classification,
    ErrorChain, Event, FailedAttempt, HalfOpen, Observer, Outcome, Payload, Recovery, RecoveryError,
    RetryBudget, RetryPolicy, Window, execute_with_recovery, execute_with_recovery_mut, retry, timeout,
};

use super::world::{Alive, MS, Oops, RESERVE, SlowQueue, pending_for};

/// Whose code panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Closure,
    Future,
    FutureOfTheRetry,
    Classifier,
    Judge,
    /// In the describing of an error for a letter.
    Describe,
    /// At the event of this name.
    Observer(&'static str),
    BeforeRetry,
    BeforeRetryFuture,
    GiveUp,
    Payload,
    Push,
    PushFuture,
}

/// Goes off once, where it was laid.
#[derive(Debug)]
struct Bomb {
    laid: Where,
    gone_off: AtomicU32,
}

impl Bomb {
    fn at(&self, place: Where) {
        let goes_off = place == self.laid && self.gone_off.fetch_add(1, SeqCst) == 0;
        assert!(!goes_off, "boom");
    }
}

const fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::AttemptStarted { .. } => "started",
        Event::AttemptFailed { .. } => "failed",
        Event::RetryScheduled { .. } => "retry",
        Event::CallSucceeded { .. } => "succeeded",
        Event::GaveUp { .. } => "gave up",
        Event::LetterBuried { .. } => "buried",
        _ => "else",
    }
}

struct Minefield {
    bomb: Arc<Bomb>,
    living: Alive,
    breaker: CircuitBreaker,
    bulkhead: Bulkhead,
    budget: RetryBudget,
    recovery: Recovery<Oops>,
}

impl Minefield {
    fn with(laid: Where) -> Self {
        let bomb = Arc::new(Bomb { laid, gone_off: AtomicU32::new(0) });
        let at = || Arc::clone(&bomb);
        let breaker = CircuitBreaker::builder("b").window(Window::last_calls(1000)).build().unwrap();
        let bulkhead = Bulkhead::builder(1).build().unwrap();
        let budget = RetryBudget::builder().reserve(RESERVE).capacity(1000).share(1.0).no_trickle();
        let budget = budget.build().unwrap();
        let policy = RetryPolicy::backoff(Backoff::fixed(10 * MS)).max_attempts(2).budget(budget.clone());
        let [classifier, describe, observer, before, gave_up, push] = std::array::from_fn(|_| at());
        let queue = SlowQueue::trapped(move |polled| {
            push.at(if polled { Where::PushFuture } else { Where::Push });
        });
        let recovery = Recovery::builder("r")
            .classifier(move |_: &Oops| {
                classifier.at(Where::Classifier);
                Classification::of(Category::Network)
            })
            .retry(policy)
            .circuit_breaker(breaker.clone())
            .bulkhead(bulkhead.clone())
            .attempt_timeout(500 * MS)
            .dead_letters_described(queue, move |error| {
                describe.at(Where::Describe);
                ErrorChain::of(error)
            })
            .observer(Arc::new(move |event: &Event<'_>| observer.at(Where::Observer(name(event)))))
            .before_retry(move |_: FailedAttempt<'_, Oops>| {
                before.at(Where::BeforeRetry);
                let before = Arc::clone(&before);
                async move {
                    pending_for(1).await;
                    before.at(Where::BeforeRetryFuture);
                    ControlFlow::Continue(())
                }
            })
            .on_give_up(move |_| gave_up.at(Where::GiveUp))
            .build()
            .unwrap();
        Self { bomb, living: Alive::default(), breaker, bulkhead, budget, recovery }
    }

    async fn call(&self, succeeds: bool) -> Result<(), RecoveryError<Oops>> {
        let context = CallContext::new("op").payload(|| {
            self.bomb.at(Where::Payload);
            Payload::text("payload")
        });
        execute_with_recovery(self.recovery.with_context(&context), |attempt| {
            let living = self.living.born();
            self.bomb.at(Where::Closure);
            async move {
                let _living = living;
                pending_for(1).await;
                self.bomb.at(Where::Future);
                if !attempt.is_first() {
                    self.bomb.at(Where::FutureOfTheRetry);
                }
                if succeeds { Ok(()) } else { Err(Oops(attempt.number())) }
            }
        })
        .judge(|()| {
            self.bomb.at(Where::Judge);
            None
        })
        .await
    }

    async fn call_mut(&self, succeeds: bool) -> Result<(), RecoveryError<Oops>> {
        let context = CallContext::new("op").payload(|| {
            self.bomb.at(Where::Payload);
            Payload::text("payload")
        });
        let mut state = (Arc::clone(&self.bomb), self.living.clone());
        let op = async |(bomb, living): &mut (Arc<Bomb>, Alive), attempt: Attempt| {
            let _living = living.born();
            pending_for(1).await;
            bomb.at(Where::Future);
            if !attempt.is_first() {
                bomb.at(Where::FutureOfTheRetry);
            }
            if succeeds { Ok(()) } else { Err(Oops(attempt.number())) }
        };
        execute_with_recovery_mut(self.recovery.with_context(&context), &mut state, op).await
    }

    fn is_in_order(&self, failures: u64, tokens: u32) {
        let laid = self.bomb.laid;
        assert_eq!(self.living.now(), 0, "{laid:?}");
        assert_eq!((self.bulkhead.in_use(), self.bulkhead.queued()), (0, 0), "{laid:?}");
        assert_eq!(self.breaker.snapshot().failures, failures, "{laid:?}");
        assert_eq!(self.budget.tokens(), tokens, "{laid:?}");
    }
}

/// Where, whether the operation itself succeeds, and what breaker and budget must know afterwards: a failure
/// for each attempt that ran, and a token for each retry that was made and has failed.
const PANICS: [(Where, bool, u64, u32); 17] = [
    (Where::Closure, true, 1, RESERVE),
    (Where::Future, true, 1, RESERVE),
    (Where::FutureOfTheRetry, false, 2, RESERVE),
    (Where::Classifier, false, 1, RESERVE),
    (Where::Judge, true, 1, RESERVE),
    (Where::Describe, false, 1, RESERVE),
    (Where::Observer("started"), true, 0, RESERVE),
    (Where::Observer("failed"), false, 1, RESERVE),
    (Where::Observer("retry"), false, 1, RESERVE),
    (Where::Observer("succeeded"), true, 0, RESERVE + 1),
    (Where::Observer("gave up"), false, 2, RESERVE - 1),
    (Where::BeforeRetry, false, 1, RESERVE),
    (Where::BeforeRetryFuture, false, 1, RESERVE),
    (Where::GiveUp, false, 2, RESERVE - 1),
    (Where::Payload, false, 2, RESERVE - 1),
    (Where::Push, false, 2, RESERVE - 1),
    (Where::PushFuture, false, 2, RESERVE - 1),
];

#[tokio::test(start_paused = true)]
async fn c7_panic_reaches_the_caller_once_and_the_next_hundred_calls_work() {
    for (laid, succeeds, failures, tokens) in PANICS {
        for lending in [false, true] {
            if lending && matches!(laid, Where::Closure | Where::Judge) {
                continue; // it has neither
            }
            let field = Minefield::with(laid);
            let call = async |succeeds| {
                if lending { field.call_mut(succeeds).await } else { field.call(succeeds).await }
            };
            let panic = AssertUnwindSafe(call(succeeds)).catch_unwind().await.expect_err("it panics");
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"), "{laid:?}");
            field.is_in_order(failures, tokens);
            for nth in 1..=100 {
                call(true).await.unwrap();
                field.is_in_order(failures, tokens + nth);
            }
            assert!(call(false).await.unwrap_err().dead_letter().is_some(), "{laid:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c7_spawned_call_that_panics_takes_only_its_own_task() {
    for laid in [Where::Closure, Where::Future, Where::Classifier] {
        let field = Arc::new(Minefield::with(laid));
        let mine = Arc::clone(&field);
        let ended = tokio::spawn(async move { mine.call(laid != Where::Classifier).await }).await;
        assert!(ended.unwrap_err().is_panic());
        field.is_in_order(1, RESERVE);
        field.call(true).await.unwrap();
    }
}

/// The pass of an attempt is dropped by the panic of its operation, the circuit opens by that, and who watches
/// panics as well: two panics at once would abort the process.
#[tokio::test(start_paused = true)]
async fn c7_observer_that_panics_while_a_panic_unwinds_aborts_nothing() {
    let told = Arc::new(AtomicU32::new(0));
    for lending in [false, true] {
        let count = Arc::clone(&told);
        let observer = move |event: &Event<'_>| {
            if let Event::CircuitOpened { .. } = event {
                count.fetch_add(1, SeqCst);
                panic!("the observer too");
            }
        };
        let breaker = CircuitBreaker::builder("b").consecutive_failures(1).observer(Arc::new(observer));
        let breaker = breaker.build().unwrap();
        let bulkhead = Bulkhead::builder(1).build().unwrap();
        let recovery = Recovery::<Oops>::builder("r")
            .circuit_breaker(breaker.clone())
            .bulkhead(bulkhead.clone())
            .build()
            .unwrap();
        let call = async {
            if lending {
                let op = async |_: &mut u32, _: Attempt| -> Result<(), Oops> { panic!("the operation") };
                execute_with_recovery_mut(&recovery, &mut 0, op).await
            } else {
                let op = |_| -> std::future::Ready<Result<(), Oops>> { panic!("the operation") };
                execute_with_recovery(&recovery, op).await
            }
        };
        let panic = AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the operation"));
        assert_eq!(breaker.state(), CircuitState::Open);
        assert_eq!(bulkhead.in_use(), 0);
    }
    assert_eq!(told.load(SeqCst), 2);
}

/// Nobody unwinds when a cancelled call is dropped, so the observer's panic goes to who dropped it; but the
/// rest of the call still goes.
#[tokio::test(start_paused = true)]
async fn c7_observer_that_panics_in_a_drop_leaves_the_slot_free() {
    let observer = |event: &Event<'_>| {
        assert!(!matches!(event, Event::CircuitOpened { .. }), "the observer");
    };
    let breaker = CircuitBreaker::builder("b")
        .consecutive_failures(1)
        .abandoned(recoup::Abandoned::AsFailure)
        .observer(Arc::new(observer))
        .build()
        .unwrap();
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let recovery = Recovery::<Oops>::builder("r")
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .build()
        .unwrap();
    let op = |_| std::future::pending::<Result<(), Oops>>();
    let mut call = tokio_test::task::spawn(execute_with_recovery(&recovery, op));
    assert!(call.poll().is_pending());
    assert_eq!(bulkhead.in_use(), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call))).is_err());
    assert_eq!((bulkhead.in_use(), breaker.state()), (0, CircuitState::Open));
}

async fn burst() -> Result<(), Oops> {
    panic!("boom")
}

#[tokio::test(start_paused = true)]
async fn c7_policies_alone_survive_a_panic() {
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let fails = || async { Err::<(), _>(Oops(1)) };
    let never_made = || -> std::future::Ready<Result<(), Oops>> { panic!("boom") };
    let outcomes = [
        AssertUnwindSafe(breaker.call(burst).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(breaker.call(never_made).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(breaker.call_judged(fails, |_| panic!("boom")).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(bulkhead.call(burst).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(bulkhead.call(never_made).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(timeout(MS, burst).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(retry(never_made).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(retry(fails).when(|_| panic!("boom")).map(|_| ())).catch_unwind().await,
        AssertUnwindSafe(retry(fails).notify(|_| panic!("boom")).map(|_| ())).catch_unwind().await,
    ];
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"boom"));
    }
    assert_eq!((breaker.snapshot().calls, breaker.snapshot().failures), (3, 3));
    assert_eq!(bulkhead.in_use(), 0);
    for _ in 0..100 {
        breaker.call(|| bulkhead.call(|| async { Ok::<_, Oops>(()) })).await.unwrap();
    }
}

fn use_everything(breaker: &CircuitBreaker) {
    let _state = breaker.state();
    let _snapshot = breaker.snapshot();
    let _debug = format!("{breaker:?}");
    let _answer = breaker.call(|| async { Ok::<_, Oops>(()) }).now_or_never();
    let _permit = breaker.admit();
    breaker.force_open();
    let _rejected = breaker.call(|| async { Ok::<_, Oops>(()) }).now_or_never();
    drop(breaker.isolate());
    breaker.reset();
}

/// If an observer were told under the circuit's lock, this would hang.
#[tokio::test(start_paused = true)]
async fn c8_observer_may_use_the_breaker_that_tells_it() {
    let own: Arc<OnceLock<CircuitBreaker>> = Arc::default();
    let events = Arc::new(AtomicU32::new(0));
    let (inside, count) = (Arc::clone(&own), Arc::clone(&events));
    let depth = AtomicU32::new(0);
    let observer: Arc<dyn Observer> = Arc::new(move |_: &Event<'_>| {
        count.fetch_add(1, SeqCst);
        // What it does is told to it again; it answers once.
        if depth.fetch_add(1, SeqCst) == 0
            && let Some(breaker) = inside.get()
        {
            use_everything(breaker);
        }
        depth.fetch_sub(1, SeqCst);
    });
    let breaker = CircuitBreaker::builder("b")
        .consecutive_failures(1)
        .open_for(Backoff::fixed(100 * MS))
        .half_open(HalfOpen::probes(1))
        .observer(observer)
        .build()
        .unwrap();
    own.set(breaker.clone()).unwrap();

    for _ in 0..3 {
        breaker.admit().unwrap().settle(Outcome::Failure); // opens, and the observer resets it
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.force_open();
        assert_eq!(breaker.state(), CircuitState::Closed, "reset by its observer");
        tokio::time::advance(200 * MS).await;
    }
    assert!(events.load(SeqCst) >= 6);
    breaker.call(|| async { Ok::<_, Oops>(()) }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c8_observer_that_panics_at_every_event_wedges_no_state() {
    let panics = |_: &Event<'_>| panic!("at every event");
    let breaker = CircuitBreaker::builder("b")
        .consecutive_failures(1)
        .open_for(Backoff::fixed(100 * MS))
        .half_open(HalfOpen::probes(1))
        .no_ramp()
        .observer(Arc::new(panics))
        .build()
        .unwrap();
    let panicked = |act: &dyn Fn()| catch_unwind(AssertUnwindSafe(act)).is_err();
    for _ in 0..10 {
        assert!(panicked(&|| breaker.admit().unwrap().settle(Outcome::Failure)), "opened");
        assert_eq!(breaker.state(), CircuitState::Open);
        assert!(panicked(&|| drop(breaker.admit())), "rejected");
        tokio::time::advance(100 * MS).await;
        assert!(panicked(&|| drop(breaker.admit())), "half-open, and the place of the probe is free");
        assert!(panicked(&|| breaker.admit().unwrap().settle(Outcome::Success)), "closed");
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
    assert!(breaker.call(|| async { Ok::<_, Oops>(()) }).now_or_never().unwrap().is_ok());
}
