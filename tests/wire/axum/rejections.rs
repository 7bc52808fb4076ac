//! What each way to fail is answered with.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use axum::response::IntoResponse;
use recoup::axum::{Rejection, status_of};
use recoup::{
    Bulkhead, CallError, Category, CircuitBreaker, Classification, ConcurrencyLimit, IoErrors, LoadShedder,
    Priority, RateLimiter, Recovery, RecoveryError, RetryPolicy, Shutdown, Throttle, execute_with_recovery,
    timeout,
};

use super::Answered;

const SECOND: Duration = Duration::from_secs(1);

type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a call that fails so, and what it is answered with.
fn failing(answer: impl Into<Classification>) -> recoup::RecoveryBuilder<io::Error> {
    let answer = answer.into();
    let once = RetryPolicy::builder().max_attempts(2).throttle(Throttle::single_client()).build().unwrap();
    Recovery::builder("store").classifier(move |_: &io::Error| answer).retry(once)
}

async fn error_of(recovery: &Recovery<io::Error>) -> RecoveryError<io::Error> {
    let failing = async |_| Err::<(), _>(io::Error::other("secret"));
    execute_with_recovery(recovery, failing).await.unwrap_err()
}

async fn answered(rejection: impl Into<Rejection>) -> Answered {
    Answered::of(rejection.into().into_response()).await
}

#[tokio::test(start_paused = true)]
async fn error_of_a_dependency_is_answered_by_its_category() {
    for category in Category::ALL {
        let recovery = failing(category).build().unwrap();
        let error = error_of(&recovery).await;
        let (attempts, reason) = (error.attempts(), error.reason().name());
        let answer = answered(error).await;
        assert_eq!(answer.status, status_of(category), "{category}");
        let body = answer.json();
        assert_eq!(body["category"], category.name());
        assert_eq!((&body["policy"], &body["attempts"]), (&"store".into(), &attempts.into()));
        assert_eq!(body["reason"], reason);
        assert_eq!(body["status"], answer.status.as_u16());
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["title"], answer.status.canonical_reason().unwrap());
        assert!(!answer.text.contains("secret"), "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test(start_paused = true)]
async fn hint_of_a_dependency_is_handed_on_where_the_status_has_one() {
    let hint = |category| Classification::of(category).retry_after(Duration::from_millis(1001)).status(1);
    for (category, header) in
        [(Category::RateLimited, "2"), (Category::ServiceUnavailable, "2"), (Category::ExternalService, "")]
    {
        let answer = answered(error_of(&failing(hint(category)).build().unwrap()).await).await;
        assert_eq!(answer.header("retry-after"), header, "{category}");
        let told = answer.json()["retry_after_ms"].as_u64();
        assert_eq!(told, (!header.is_empty()).then_some(1001));
    }
    let too_long = Classification::of(Category::ServiceUnavailable).retry_after(3600 * SECOND);
    let answer = answered(error_of(&failing(too_long).build().unwrap()).await).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "3600"));
    assert_eq!(answer.json()["reason"], "hint");
}

#[tokio::test(start_paused = true)]
async fn refusal_inside_a_call_is_answered_as_the_policy_that_refused() {
    let breaker =
        CircuitBreaker::builder("circuit").consecutive_failures(1).open_for(30 * SECOND).build().unwrap();
    let open = failing(Category::Network).circuit_breaker(breaker.clone()).build().unwrap();
    error_of(&open).await;
    let answer = answered(error_of(&open).await).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "30"));
    let body = answer.json();
    assert_eq!((&body["reason"], &body["policy"]), (&"circuit_open".into(), &"circuit".into()));
    breaker.force_open();
    let answer = answered(error_of(&open).await).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "nobody knows until when");

    let bulkhead = Bulkhead::builder(1).name("slots").build().unwrap();
    let full = failing(Category::Network).bulkhead(bulkhead.clone()).build().unwrap();
    let slot = bulkhead.try_acquire().unwrap();
    let answer = answered(error_of(&full).await).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(
        (&answer.json()["reason"], &answer.json()["policy"]),
        (&"bulkhead_full".into(), &"slots".into())
    );
    drop(slot);

    let one = RateLimiter::builder(1, 10 * SECOND).burst(1).name("rate");
    let limited = failing(Category::Validation).rate_limit(one).build().unwrap();
    error_of(&limited).await;
    let answer = answered(error_of(&limited).await).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "10"));

    let shutdown = Shutdown::new();
    shutdown.trigger();
    let down = failing(Category::Network).shutdown(&shutdown).build().unwrap();
    let answer = answered(error_of(&down).await).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.json()["reason"], "shutdown");
}

#[tokio::test(start_paused = true)]
async fn time_that_ran_out_is_504() {
    let never = async |_| std::future::pending::<Result<(), io::Error>>().await;
    let late = Recovery::<io::Error>::builder("slow").deadline(SECOND).build().unwrap();
    let answer = answered(execute_with_recovery(&late, never).await.unwrap_err()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (504, ""));
    assert_eq!(answer.json()["reason"], "deadline");

    let once = RetryPolicy::builder().max_attempts(1);
    let slow = Recovery::<io::Error>::builder("slow").retry(once).attempt_timeout(SECOND).build().unwrap();
    let answer = answered(execute_with_recovery(&slow, never).await.unwrap_err()).await;
    assert_eq!(answer.status, 504);

    // The deadline is why, whatever the last error was.
    let policy = RetryPolicy::exponential(10 * SECOND).throttle(Throttle::single_client()).build().unwrap();
    let cut = Recovery::builder("cut").classifier(IoErrors).retry(policy).deadline(SECOND).build().unwrap();
    let refused = async |_| Err::<(), _>(io::Error::from(ErrorKind::ConnectionRefused));
    let answer = answered(execute_with_recovery(&cut, refused).await.unwrap_err()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (504, &"deadline".into()));
}

#[tokio::test(start_paused = true)]
async fn policies_alone_are_answered_like_those_in_a_recovery() {
    let late = timeout(SECOND, std::future::pending::<Result<(), io::Error>>).await.unwrap_err();
    assert_eq!(answered(late).await.status, 504);

    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let failed = breaker.call(async || Err::<(), _>(io::Error::from(ErrorKind::ConnectionReset))).await;
    let answer = answered(failed.unwrap_err()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, ""), "its own error");
    breaker.force_open();
    assert_eq!(answered(breaker.admit().unwrap_err()).await.status, 503);

    let limit = ConcurrencyLimit::aimd().initial(1).min(1).build().unwrap();
    let _taken: Vec<_> = std::iter::from_fn(|| limit.try_enter(Priority::Critical).ok()).collect();
    assert_eq!(answered(limit.try_enter(Priority::Low).unwrap_err()).await.status, 503);

    let shedder = LoadShedder::builder(1).build().unwrap();
    let _serving = shedder.try_admit(recoup::Work::new()).unwrap();
    let shed = shedder.try_admit(recoup::Work::new()).unwrap_err();
    let wait = shed.retry_in;
    let answer = answered(shed).await;
    assert_eq!(answer.status, 503);
    let told = Duration::from_secs(answer.header("retry-after").parse().unwrap());
    assert!(told >= wait && told < wait.max(SECOND) + SECOND, "{told:?} for {wait:?}");
    let expired = recoup::Work::new().deadline(recoup::Instant::now());
    assert_eq!(answered(shedder.try_admit(expired).unwrap_err()).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn refusal_is_found_in_a_box_however_deep() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot list orders")]
    struct Wrapped(#[source] BoxError);

    let breaker = CircuitBreaker::builder("deep").build().unwrap();
    breaker.force_open();
    let error: BoxError = Box::new(Wrapped(Box::new(Wrapped(Box::new(breaker.admit().unwrap_err())))));
    let answer = answered(error).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["policy"]), (503, &"deep".into()));
    let recovery = failing(Category::Network).circuit_breaker(breaker).build().unwrap();
    for error in [BoxError::from(error_of(&recovery).await), error_of(&recovery).await.boxed().into()] {
        let answer = answered(BoxError::from(Wrapped(error))).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
        assert_eq!(
            (&answer.json()["reason"], &answer.json()["attempts"]),
            (&"circuit_open".into(), &0.into())
        );
    }
    // One that is in it by value is it.
    let teapot = Rejection::new(Category::Validation).detail("too hot");
    let error: BoxError = Box::new(teapot);
    assert_eq!(answered(error).await.json()["detail"], "too hot");
    let error: BoxError = Box::new(Wrapped(Box::new(Rejection::new(Category::Conflict))));
    assert_eq!(answered(error).await.status, 409);
    let error: CallError<Rejection, BoxError> = CallError::Rejected(Rejection::new(Category::NotFound));
    assert_eq!(answered(error).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn error_that_nobody_classified_is_ours_unless_a_connection_failed() {
    for (kind, status) in [
        (ErrorKind::ConnectionRefused, 503),
        (ErrorKind::ConnectionReset, 503),
        (ErrorKind::TimedOut, 504),
        // That we could not find or read something is not what we were asked.
        (ErrorKind::NotFound, 500),
        (ErrorKind::PermissionDenied, 500),
        (ErrorKind::InvalidInput, 500),
        (ErrorKind::Other, 500),
    ] {
        let error: BoxError = Box::new(io::Error::from(kind));
        assert_eq!(answered(error).await.status, status, "{kind:?}");
    }
    assert_eq!(answered(BoxError::from("odd")).await.status, 500);
}

#[tokio::test(start_paused = true)]
async fn rate_that_never_lets_it_through_is_429_without_a_moment() {
    let limiter = RateLimiter::builder(1, SECOND).burst(1).build().unwrap();
    let answer = answered(limiter.try_acquire_many(2).unwrap_err()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, ""));
}

#[test]
fn rejection_is_an_error_whose_sources_are_those_behind_it() {
    let inner = io::Error::other("x".parse::<u8>().unwrap_err());
    let rejection = Rejection::new(Category::Internal).caused_by(inner);
    assert_eq!(rejection.to_string(), "something went wrong");
    assert_eq!(rejection.errors()[0], "invalid digit found in string");
    assert!(rejection.source().is_some());
    assert!(size_of::<Result<(), Rejection>>() <= size_of::<usize>());
}

#[test]
fn chain_of_errors_that_bites_its_tail_does_no_harm() {
    #[derive(Debug)]
    struct Ring;
    impl std::fmt::Display for Ring {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("ring")
        }
    }
    impl Error for Ring {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Ring)
        }
    }
    assert_eq!(Rejection::from(BoxError::from(Box::new(Ring))).errors().len(), 64);
}
