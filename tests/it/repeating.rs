//! Calls that must not be made again, whatever their error says.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests read the paused clock and hold what they see in plain locks; an error of the set-up fails them"
)]

use std::cell::Cell;
use std::io::{Error, ErrorKind};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use recoup::{
    CallContext, CannotRepeat, Category, Classification, Event, IoErrors, MemoryQueue, Nested, Observer,
    Reason, Recovery, RecoveryBuilder, RetryPolicy, execute_with_recovery, retry,
};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> RecoveryBuilder<Error> {
    let retry = RetryPolicy::exponential(SECOND).max_attempts(4).no_budget();
    Recovery::builder("bank").classifier(IoErrors).retry(retry)
}

fn once(failed: &Classification) -> Result<(), CannotRepeat> {
    if failed.is_unprocessed() { Ok(()) } else { Err(CannotRepeat::NotIdempotent) }
}

#[tokio::test(start_paused = true)]
async fn attempt_that_took_too_long_is_not_repeated_where_it_may_have_been_done() {
    let recovery = builder().attempt_timeout(SECOND).build().unwrap();
    let made = Cell::new(0);
    let hangs = |_| {
        made.set(made.get() + 1);
        std::future::pending::<Result<(), Error>>()
    };
    let error = execute_with_recovery(&recovery, hangs).repeat_if(once).await.unwrap_err();
    assert_eq!((made.get(), error.attempts()), (1, 1));
    assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotIdempotent));
    assert!(error.is_timeout());

    let error = execute_with_recovery(&recovery, hangs).await.unwrap_err();
    assert_eq!(error.attempts(), 4, "without the question it is repeated");
}

#[tokio::test(start_paused = true)]
async fn attempt_that_surely_did_nothing_is_repeated() {
    let recovery = builder().build().unwrap();
    let refused = |_| async { Err::<(), _>(Error::from(ErrorKind::ConnectionRefused)) };
    let error = execute_with_recovery(&recovery, refused).repeat_if(once).await.unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 4));
}

#[tokio::test(start_paused = true)]
async fn error_that_is_permanent_is_called_so_and_nobody_is_asked() {
    let recovery = builder().build().unwrap();
    let asked = Cell::new(false);
    let call = execute_with_recovery(&recovery, |_| async { Err::<(), _>(Error::from(ErrorKind::NotFound)) });
    let ask = |_: &Classification| {
        asked.set(true);
        Err(CannotRepeat::Committed)
    };
    let error = call.repeat_if(ask).await.unwrap_err();
    assert_eq!((error.reason(), asked.get()), (&Reason::Permanent, false));
}

#[tokio::test(start_paused = true)]
async fn value_that_is_not_good_enough_comes_back_if_it_cannot_be_asked_for_again() {
    let recovery = builder().build().unwrap();
    let busy = |status: &u32| (*status == 503).then(|| Category::ServiceUnavailable.into());
    let call = execute_with_recovery(&recovery, |attempt| async move { Ok(502 + attempt.number()) });
    let call = call.judge(busy).repeat_if(|_| Err(CannotRepeat::NotReplayable));
    assert_eq!(call.await.unwrap(), 503);
    // The other way round, and with two questions, of which the first that says no has the word.
    let call = execute_with_recovery(&recovery, |attempt| async move { Ok(502 + attempt.number()) });
    let call = call.repeat_if(|_| Ok(())).repeat_if(|_| Ok(())).judge(busy);
    assert_eq!(call.await.unwrap(), 504);
}

#[derive(Default)]
struct Reasons(Mutex<Vec<&'static str>>);

impl Observer for Reasons {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::GaveUp { reason, .. } = event {
            self.0.lock().unwrap().push(*reason);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn why_is_seen_by_observers_in_letters_and_by_a_retry_around_it() {
    let reasons = std::sync::Arc::new(Reasons::default());
    let letters = MemoryQueue::default();
    let recovery = builder().observer(reasons.clone()).dead_letters(letters.clone()).build().unwrap();
    let around = RetryPolicy::fixed(SECOND).max_attempts(3).nested(Nested::Stop).build().unwrap();
    let made = Cell::new(0);
    let error = retry(|| {
        let call = execute_with_recovery(&recovery, |_| {
            made.set(made.get() + 1);
            async { Err::<(), _>(Error::from(ErrorKind::ConnectionReset)) }
        });
        call.repeat_if(once)
    })
    .policy(&around)
    .await
    .unwrap_err();
    assert_eq!(made.get(), 1, "whoever repeats it outside does it twice all the same");
    assert_eq!(*reasons.0.lock().unwrap(), ["not_idempotent"]);
    assert!(error.dead_letter().is_some());
}

#[tokio::test(start_paused = true)]
async fn f4_one_call_may_be_given_fewer_attempts_and_less_time_and_never_more() {
    let recovery = builder().attempt_timeout(2 * SECOND).build().unwrap();
    let attempts = async |call: CallContext<'static>| {
        let fails = |_| async { Err::<(), _>(Error::from(ErrorKind::ConnectionReset)) };
        execute_with_recovery(recovery.with_context(&call), fails).await.unwrap_err()
    };
    let call = || CallContext::new("read");
    let most = |most| NonZeroU32::new(most).unwrap();
    for (given, made) in [(1, 1), (3, 3), (4, 4), (5, 4), (u32::MAX, 4)] {
        let error = attempts(call().max_attempts(most(given))).await;
        assert_eq!((error.attempts(), error.reason()), (made, &Reason::AttemptsExhausted), "{given}");
    }
    assert_eq!(attempts(call()).await.attempts(), 4);

    for (given, took) in [(Duration::ZERO, Duration::ZERO), (SECOND, SECOND), (Duration::MAX, 2 * SECOND)] {
        let call = call().attempt_timeout(given).max_attempts(NonZeroU32::MIN);
        let begun = recoup::Instant::now();
        let hangs = |_| std::future::pending::<Result<(), Error>>();
        let error = execute_with_recovery(recovery.with_context(&call), hangs).await.unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(begun.elapsed(), took, "{given:?}");
    }
}
