//! Which bounds a user's types must meet: no needless ones. And which auto traits ours have.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use recoup::{
    Attempt, Backoff, BreakerGroup, Bulkhead, CallContext, Category, CircuitBreaker, CircuitBreakers,
    Classification, Cooldown, DeadLetter, DeadLetterQueue, ErrorClassifier, Event, MemoryQueue, Observer,
    Open, PushError, Reason, Recovery, RecoveryError, RetryBudget, RetryPolicy, Shutdown, Timed,
    execute_with_recovery, execute_with_recovery_mut, retry, retry_with, timeout,
};

/// Neither `Clone` nor `Debug` nor `Display` nor `Sync`.
struct Bare(Cell<u32>);

/// Not even `Send`.
struct Here(Rc<u32>);

#[tokio::test(start_paused = true)]
async fn t2_error_and_value_need_no_bounds() {
    let policy = RetryPolicy::backoff(Backoff::none()).max_attempts(3).no_budget();
    let recovery = Recovery::<Bare>::builder("r").retry(policy.clone()).build().unwrap();
    let op = |attempt: Attempt| async move { Err::<Bare, _>(Bare(Cell::new(attempt.number()))) };
    let Err(error) = execute_with_recovery(&recovery, op).await else { panic!("it fails") };
    assert_eq!(error.into_inner().unwrap().0.get(), 3);

    let recovery = Recovery::<Here>::builder("r").retry(policy.clone()).build().unwrap();
    let op = |attempt: Attempt| async move { Err::<Here, _>(Here(Rc::new(attempt.number()))) };
    let Err(error) = execute_with_recovery(&recovery, op).await else { panic!("it fails") };
    assert_eq!(*error.into_inner().unwrap().0, 3);

    let policy = policy.build().unwrap();
    let Err(error) = retry_with(op).policy(&policy).await else { panic!("it fails") };
    assert_eq!(*error.0, 3);
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let fails = || async { Err::<Here, _>(Here(Rc::new(1))) };
    assert!(breaker.call(fails).await.is_err());
    assert!(bulkhead.call(fails).await.is_err());
    assert!(timeout(Duration::MAX, fails).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn t2_boxed_errors_are_errors_like_any_other() {
    let recovery = Recovery::<Box<dyn Error>>::builder("r").retry(RetryPolicy::never()).build().unwrap();
    let op = |_| async { Err::<(), Box<dyn Error>>("local".into()) };
    let error = execute_with_recovery(&recovery, op).await.unwrap_err();
    assert_eq!(error.inner().unwrap().to_string(), "local");

    let policy = RetryPolicy::never();
    let parsed = retry(|| async { Ok::<u8, Box<dyn Error>>("256".parse::<u8>()?) }).policy(&policy).await;
    assert!(parsed.unwrap_err().downcast_ref::<std::num::ParseIntError>().is_some());
}

#[tokio::test(start_paused = true)]
async fn t2_values_and_errors_may_borrow() {
    let text = String::from("too short");
    let recovery = Recovery::<&str>::builder("r").retry(RetryPolicy::never()).build().unwrap();
    let word = execute_with_recovery(&recovery, |_| async { text.split(' ').next().ok_or("none") }).await;
    assert_eq!(word.unwrap(), "too");

    let seen = RefCell::new(Vec::new());
    let error = execute_with_recovery(&recovery, |attempt| {
        let (seen, text) = (&seen, &text);
        async move {
            seen.borrow_mut().push(attempt.number());
            Err::<(), &str>(text.as_str())
        }
    })
    .await
    .unwrap_err();
    assert_eq!((error.into_inner(), seen.into_inner()), (Some("too short"), vec![1]));
}

fn shared<T: Send + Sync + Unpin + 'static>() {}
fn sent<T: Send>(_: &T) {}
fn unpinned<T: Unpin>(_: &T) {}
fn synced<T: Sync>(_: &T) {}

#[test]
fn handles_go_anywhere() {
    shared::<CircuitBreaker>();
    shared::<CircuitBreakers<String>>();
    shared::<BreakerGroup>();
    shared::<recoup::Isolation>();
    shared::<Bulkhead>();
    shared::<RetryPolicy>();
    shared::<RetryPolicy<Timed>>();
    shared::<RetryBudget>();
    shared::<Cooldown>();
    shared::<Shutdown>();
    shared::<MemoryQueue>();
    shared::<CallContext<'static>>();
    shared::<recoup::Using<'static, Bare>>();
    shared::<recoup::Permit<'static>>();
    shared::<recoup::Slot<'static>>();
    shared::<Open>();
    shared::<Reason>();
    shared::<PushError>();
    shared::<DeadLetter>();
    shared::<RecoveryError<std::io::Error>>();
    shared::<recoup::RecoveryBuilder<std::io::Error>>();
    shared::<recoup::CircuitBreakerBuilder>();
    shared::<recoup::RetryPolicyBuilder>();
    shared::<recoup::BulkheadBuilder>();
    // What the errors of the operation may not do, the recovery may all the same: it holds none.
    shared::<Recovery<Bare>>();
    shared::<Recovery<Here>>();
}

#[test]
fn futures_are_sent_whatever_they_share() {
    async fn op(_: Attempt) -> Result<(), std::io::Error> {
        Ok(())
    }
    let recovery = Recovery::builder("r").build().unwrap();
    let (breaker, bulkhead) =
        (CircuitBreaker::builder("b").build().unwrap(), Bulkhead::builder(1).build().unwrap());
    let call = execute_with_recovery(&recovery, op);
    sent(&call);
    let call = call.judge(|()| None);
    sent(&call);
    sent(&execute_with_recovery_mut(&recovery, &mut 0, async |_: &mut u32, _: Attempt| Ok(())));
    let call = retry_with(op)
        .when(|_| true)
        .before_retry(|_| async { std::ops::ControlFlow::Continue(()) })
        .on_give_up(|_| ())
        .deadline(Duration::MAX);
    sent(&call);
    let ready = || std::future::ready(Ok::<_, ()>(()));
    sent(&breaker.call(ready));
    sent(&bulkhead.call(ready));
    sent(&bulkhead.acquire());
    synced(&bulkhead.acquire());
    sent(&timeout(Duration::MAX, ready));
    // An error that is not `Sync` does not keep the future from being sent.
    let bare = Recovery::<Bare>::builder("r").build().unwrap();
    sent(&execute_with_recovery(&bare, |_| async { Err::<(), _>(Bare(Cell::new(1))) }));
    // Nothing of a call through a breaker needs a pin but its operation.
    unpinned(&breaker.call(ready));
}

#[tokio::test]
async fn traits_may_be_objects() {
    let classifier: Box<dyn ErrorClassifier<Bare> + Send + Sync> =
        Box::new(|_: &Bare| Classification::of(Category::Network));
    assert_eq!(classifier.classify(&Bare(Cell::new(1))).category(), Category::Network);
    let queue: Box<dyn DeadLetterQueue> = Box::new(MemoryQueue::default());
    assert!(queue.push(DeadLetter::new("op")).await.is_ok());
    let observer: Box<dyn Observer> = Box::new(|_: &Event<'_>| ());
    observer.on_event(&Event::Rejected { policy: "p", reason: "full" });
}
