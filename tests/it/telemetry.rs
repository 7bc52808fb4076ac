//! What stands in the log, and which spans there are.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod log;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use recoup::testing::Script;
use recoup::{
    CallContext, CallInfo, Category, CircuitBreaker, Classification, DelaySource, ErrorChain, Event, Jitter,
    MemoryQueue, Observer, Recovery, RetryPolicy, TracingObserver, Trip, attribute, execute_with_recovery,
    traced,
};
use tracing::Level;

use self::log::{Line, Log};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn recovery(policy: RetryPolicy) -> Recovery<&'static str> {
    Recovery::builder("payments").retry(policy).attempt_timeout(ms(1000)).build().unwrap()
}

fn three_fixed() -> RetryPolicy {
    RetryPolicy::fixed(ms(500)).max_attempts(3).jitter(Jitter::None).no_budget().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn o1_each_attempt_has_a_span_of_its_own_and_the_waits_are_in_none() {
    let (log, _guard) = Log::install(Level::TRACE);
    let recovery = recovery(three_fixed());
    let script = Script::new().after(ms(20)).fail_times(2, "busy").after(ms(20)).succeed(7);

    let request = tracing::info_span!("request");
    let call = execute_with_recovery(&recovery, traced(|attempt| script.attempt(attempt)));
    let answer = tracing::Instrument::instrument(call, request).await;
    assert_eq!(answer.unwrap(), 7);

    let spans = log.spans();
    assert_eq!(spans[0].name, "request");
    let attempts = &spans[1..];
    let field = |name: &str| -> Vec<Option<&str>> {
        attempts.iter().map(|span| span.fields.get(name).map(String::as_str)).collect()
    };
    assert_eq!(field(attribute::ATTEMPT_INDEX), [Some("1"), Some("2"), Some("3")]);
    assert_eq!(field(attribute::RESEND_COUNT), [None, Some("1"), Some("2")]);
    assert_eq!(field(attribute::ATTEMPT_OUTCOME), [Some("error"), Some("error"), Some("ok")]);
    for (span, begun) in attempts.iter().zip([0, 520, 1040]) {
        assert_eq!((span.name, &*span.target), ("recoup.attempt", "recoup"));
        assert_eq!(span.parent, Some(0), "siblings below the caller's span");
        assert_eq!(span.entered, 2 + 1, "at its call, and around each of its two polls");
        assert_eq!((span.opened, span.closed), (ms(begun), Some(ms(begun + 20))), "work, not waiting");
    }
    assert_eq!(log.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn o1_what_an_attempt_logs_stands_in_its_span() {
    let (log, _guard) = Log::install(Level::TRACE);
    let recovery = recovery(three_fixed());
    let op = traced(|attempt: recoup::Attempt| {
        tracing::info!("called");
        async move {
            tracing::info!("polled");
            if attempt.is_first() { Err("busy") } else { Ok(()) }
        }
    });
    execute_with_recovery(&recovery, op).await.unwrap();
    let lines: Vec<_> = log.lines().iter().map(|line| (line.message().to_owned(), line.within)).collect();
    let expected = [("called", 0), ("polled", 0), ("called", 1), ("polled", 1)];
    assert_eq!(lines, expected.map(|(line, span)| (line.to_owned(), Some(span))));
}

/// Logs a line when it is dropped.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        tracing::info!("farewell");
    }
}

#[tokio::test(start_paused = true)]
async fn o1_an_attempt_that_is_cut_short_ends_as_dropped_within_its_span() {
    let (log, _guard) = Log::install(Level::TRACE);
    let recovery = recovery(three_fixed());
    let op = traced(|attempt: recoup::Attempt| {
        let farewell = Farewell;
        async move {
            let _held = farewell;
            if attempt.is_first() {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    execute_with_recovery(&recovery, op).await.unwrap();
    let outcomes: Vec<_> =
        log.spans().iter().map(|span| span.fields[attribute::ATTEMPT_OUTCOME].clone()).collect();
    assert_eq!(outcomes, ["dropped", "ok"]);
    assert_eq!(log.spans()[0].closed, Some(ms(1000)), "not held over the wait");
    let within: Vec<_> = log.lines().iter().map(|line| line.within).collect();
    assert_eq!(within, [Some(0), Some(1)], "what it held goes within its span");
}

#[tokio::test(start_paused = true)]
async fn o1_an_attempt_that_panics_says_so_and_leaves_its_span() {
    let (log, _guard) = Log::install(Level::TRACE);
    let recovery = recovery(three_fixed());
    let script = Script::<(), _>::new().panic("out of cheese");
    let call = execute_with_recovery(&recovery, traced(|attempt| script.attempt(attempt)));
    assert!(AssertUnwindSafe(call).catch_unwind().await.is_err());
    assert_eq!(log.spans()[0].fields[attribute::ATTEMPT_OUTCOME], "panicked");
    assert!(log.spans()[0].closed.is_some());
    assert_eq!(log.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn o1_a_traced_operation_can_be_spawned() {
    let recovery = Arc::new(recovery(three_fixed()));
    let script = Script::new().fail("busy").succeed(7);
    let call = async move {
        execute_with_recovery(&*recovery, traced(|attempt| script.attempt(attempt))).await.unwrap()
    };
    assert_eq!(tokio::spawn(call).await.unwrap(), 7);
}

/// One of each event.
fn one_of_each() -> Vec<(Event<'static>, Level, &'static str)> {
    let mut call = CallInfo::default();
    call.name = "payments";
    call.operation = Some("charge");
    call.destination = Some("eu");
    call.correlation_id = Some("order-7");
    let trip = Trip::ConsecutiveFailures { failures: 5 };
    let classification = Classification::of(Category::Timeout).status(504);
    let (took, delay, category) = (ms(1500), ms(250), Category::Timeout);
    let source = DelaySource::Server;
    vec![
        (Event::AttemptStarted { call, attempt: 1 }, Level::TRACE, "attempt_started"),
        (Event::AttemptFailed { call, attempt: 1, classification }, Level::DEBUG, "attempt_failed"),
        (
            Event::RetryScheduled { call, attempt: 1, delay, source, category },
            Level::DEBUG,
            "retry_scheduled",
        ),
        (Event::CallSucceeded { call, attempts: 1, took }, Level::TRACE, "call_succeeded"),
        (Event::CallSucceeded { call, attempts: 2, took }, Level::DEBUG, "call_succeeded"),
        (
            Event::GaveUp { call, attempts: 3, took, reason: "attempts", category: Some(category) },
            Level::WARN,
            "gave_up",
        ),
        (
            Event::GaveUp { call, attempts: 0, took, reason: "circuit_open", category: None },
            Level::DEBUG,
            "gave_up",
        ),
        (Event::NestedRetry { outer: "a", inner: "b" }, Level::WARN, "nested_retry"),
        (Event::Rejected { policy: "db", reason: "full" }, Level::DEBUG, "rejected"),
        (Event::Hedged { policy: "search", hedge: 1 }, Level::DEBUG, "hedged"),
        (
            Event::CircuitOpened { breaker: "db", trip, open_for: ms(30_000), generation: 1 },
            Level::WARN,
            "circuit_opened",
        ),
        (Event::CircuitWouldOpen { breaker: "db", trip }, Level::INFO, "circuit_would_open"),
        (Event::CircuitHeldClosed { breaker: "db", trip }, Level::INFO, "circuit_held_closed"),
        (Event::CircuitHalfOpened { breaker: "db", generation: 2 }, Level::INFO, "circuit_half_opened"),
        (Event::CircuitClosed { breaker: "db", generation: 3 }, Level::INFO, "circuit_closed"),
        (Event::LetterBuried { call, letter: 7 }, Level::WARN, "letter_buried"),
        (Event::LetterRefused { call }, Level::ERROR, "letter_refused"),
    ]
}

#[test]
fn every_event_is_told_once_at_its_level_under_its_name() {
    let (log, _guard) = Log::install(Level::TRACE);
    let events = one_of_each();
    for (event, ..) in &events {
        TracingObserver::new().on_event(event);
    }
    let lines = log.lines();
    assert_eq!(lines.len(), events.len());
    for (line, (_, level, name)) in lines.iter().zip(&events) {
        assert_eq!((line.level, &*line.fields[attribute::EVENT]), (*level, *name));
        assert_eq!(line.target, "recoup");
        assert!(!line.message().is_empty(), "{line:?}");
    }
}

#[test]
fn fields_are_those_of_the_table_and_carry_what_the_event_knows() {
    let (log, _guard) = Log::install(Level::TRACE);
    for (event, ..) in one_of_each() {
        TracingObserver::new().on_event(&event);
    }
    let lines = log.lines();
    let of = |name: &str| lines.iter().find(|line| line.fields[attribute::EVENT] == name).unwrap();
    let has = |line: &Line, fields: &[(&str, &str)]| {
        for (name, value) in fields {
            assert_eq!(line.fields.get(name).map(String::as_str), Some(*value), "{name} of {line:?}");
        }
    };
    has(
        of("attempt_failed"),
        &[
            (attribute::PIPELINE, "payments"),
            (attribute::OPERATION, "charge"),
            (attribute::DESTINATION, "eu"),
            (attribute::CORRELATION_ID, "order-7"),
            (attribute::ATTEMPT_INDEX, "1"),
            (attribute::ERROR_TYPE, "timeout"),
            (attribute::STATUS, "504"),
        ],
    );
    has(
        of("retry_scheduled"),
        &[(attribute::RETRY_DELAY, "0.25"), (attribute::RETRY_DELAY_SOURCE, "server")],
    );
    has(
        of("gave_up"),
        &[
            (attribute::ATTEMPT_COUNT, "3"),
            (attribute::REASON, "attempts"),
            (attribute::ERROR_TYPE, "timeout"),
            (attribute::CALL_DURATION, "1.5"),
        ],
    );
    has(
        of("circuit_opened"),
        &[
            (attribute::STRATEGY, "db"),
            (attribute::CIRCUIT_STATE, "open"),
            (attribute::CIRCUIT_TRIP, "5 failures in a row"),
            (attribute::CIRCUIT_OPEN_FOR, "30.0"),
            (attribute::CIRCUIT_GENERATION, "1"),
        ],
    );
    has(of("letter_buried"), &[(attribute::LETTER, "7")]);
    has(of("hedged"), &[(attribute::STRATEGY, "search"), (attribute::HEDGE, "1")]);
    has(of("nested_retry"), &[(attribute::PIPELINE, "a"), (attribute::INNER, "b")]);

    let table: BTreeSet<&str> = include_str!("../../src/adapters/attribute.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | [`")?.split('`').nth(2))
        .collect();
    assert_eq!(table.len(), 23, "the table is read");
    for line in &lines {
        for field in line.fields.keys().filter(|field| **field != "message") {
            assert!(table.contains(field), "`{field}` is not in the table");
        }
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let (log, _guard) = Log::install(Level::TRACE);
    let observer = TracingObserver::new();
    let mut call = CallInfo::default();
    call.name = "payments";
    let classification = Classification::of(Category::Network);
    observer.on_event(&Event::AttemptFailed { call, attempt: 1, classification });
    let open_for = Duration::MAX;
    observer.on_event(&Event::CircuitOpened { breaker: "db", trip: Trip::Manual, open_for, generation: 1 });
    let lines = log.lines();
    for absent in [attribute::OPERATION, attribute::DESTINATION, attribute::CORRELATION_ID, attribute::STATUS]
    {
        assert!(!lines[0].fields.contains_key(absent), "{absent}");
    }
    assert!(!lines[1].fields.contains_key(attribute::CIRCUIT_OPEN_FOR), "until somebody resets it");
}

#[tokio::test(start_paused = true)]
async fn o4_a_hundred_thousand_retries_do_not_fill_the_disk() {
    let (log, _guard) = Log::install(Level::INFO);
    let policy = RetryPolicy::fixed(Duration::from_micros(100)).max_attempts(101).no_budget();
    let recovery = Recovery::builder("payments")
        .retry(policy)
        .observer(Arc::new(TracingObserver::new()))
        .build()
        .unwrap();
    let mut retries = 0;
    for _ in 0..1000 {
        let script = Script::new().fail_times(100, "busy").succeed(());
        execute_with_recovery(&recovery, |attempt| script.attempt(attempt)).await.unwrap();
        retries += script.calls() - 1;
    }
    assert_eq!(retries, 100_000);
    assert_eq!(log.lines().len(), 0, "{:?}", log.lines().first());
}

#[tokio::test(start_paused = true)]
async fn o4_giving_up_and_changes_of_state_are_told_once() {
    let (log, _guard) = Log::install(Level::INFO);
    let observer: Arc<dyn Observer> = Arc::new(TracingObserver::new());
    let breaker =
        CircuitBreaker::builder("bank").consecutive_failures(3).open_for(ms(30_000)).build().unwrap();
    let build = |name: &str| {
        Recovery::builder(name)
            .retry(RetryPolicy::never())
            .circuit_breaker(breaker.clone())
            .observer(Arc::clone(&observer))
            .build()
            .unwrap()
    };
    let (reads, writes) = (build("reads"), build("writes"));
    let script = Script::new().fail_times(3, "down").always_succeed(());
    for n in 0..1000 {
        let recovery = if n % 2 == 0 { &reads } else { &writes };
        execute_with_recovery(recovery, |attempt| script.attempt(attempt)).await.unwrap_err();
    }
    tokio::time::advance(ms(60_000)).await;
    for _ in 0..1000 {
        // Probes, and then the ramp, let some of these through and turn the others away.
        let _some = execute_with_recovery(&reads, |attempt| script.attempt(attempt)).await;
        tokio::time::advance(ms(100)).await;
    }
    let told: Vec<_> = log
        .lines()
        .iter()
        .map(|line| (line.level, line.fields[attribute::EVENT].clone()))
        .map(|(level, event)| format!("{level} {event}"))
        .collect();
    let expected = [
        "WARN gave_up",
        "WARN gave_up",
        "WARN circuit_opened",
        "WARN gave_up",
        "INFO circuit_half_opened",
        "INFO circuit_closed",
    ];
    assert_eq!(told, expected, "and not a word on the 997 calls that were turned away");
}

#[tokio::test(start_paused = true)]
async fn a_buried_call_is_told_with_the_number_of_its_letter() {
    let (log, _guard) = Log::install(Level::WARN);
    let recovery = Recovery::<&str>::builder("mail")
        .retry(RetryPolicy::never())
        .dead_letters_described(MemoryQueue::default(), ErrorChain::from_display)
        .observer(Arc::new(TracingObserver::new()))
        .build()
        .unwrap();
    let call = CallContext::new("send").destination("smtp.example");
    let script = Script::<(), _>::new().fail("full");
    let error = execute_with_recovery(recovery.with_context(&call), |attempt| script.attempt(attempt))
        .await
        .unwrap_err();
    let lines = log.lines();
    let events: Vec<_> = lines.iter().map(|line| &*line.fields[attribute::EVENT]).collect();
    assert_eq!(events, ["letter_buried", "gave_up"]);
    assert_eq!(lines[0].fields[attribute::LETTER], error.dead_letter().unwrap().get().to_string());
    assert_eq!(lines[0].fields[attribute::DESTINATION], "smtp.example");
}
