//! What the types let a caller write, and what they promise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod futures;
mod hooks;
mod writing;

use std::convert::Infallible;
use std::error::Error;
use std::process::Command;

use recoup::{
    Attempt, Backoff, Boxed, Bulkhead, CallContext, CallError, CircuitBreaker, PushErrorKind, Reason,
    Recovery, RecoveryError, RetryPolicy, execute_with_recovery, retry, timeout,
};

type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Debug, PartialEq, Eq)]
struct Oops;

impl std::fmt::Display for Oops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the operation")
    }
}

impl Error for Oops {}

fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect()
}

async fn gives_up<E>(make: impl Fn() -> E) -> RecoveryError<E> {
    let policy = RetryPolicy::backoff(Backoff::none()).max_attempts(3).no_budget();
    let recovery = Recovery::<E>::builder("r").retry(policy).build().unwrap();
    let Err(error) = execute_with_recovery(&recovery, |_| std::future::ready(Err::<(), _>(make()))).await
    else {
        panic!("every attempt fails")
    };
    error
}

#[tokio::test(start_paused = true)]
async fn t3_one_match_tells_how_a_call_ended() {
    let said = |result: Result<u32, RecoveryError<Oops>>| match result {
        Ok(value) => format!("value {value}"),
        Err(error) => match (error.reason(), error.inner()) {
            (Reason::CircuitOpen(open), _) => format!("open {}", open.breaker),
            (Reason::BulkheadFull(full), _) => format!("full {}", full.bulkhead),
            (Reason::CoolingDown(_) | Reason::DeadlineExceeded, _) => "late".to_owned(),
            (reason, Some(Oops)) => format!("failed, {}", reason.name()),
            (reason, None) => format!("no attempt, {}", reason.name()),
        },
    };
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let bulkhead = Bulkhead::builder(1).name("k").build().unwrap();
    let recovery = Recovery::builder("r")
        .retry(RetryPolicy::never())
        .circuit_breaker(breaker.clone())
        .bulkhead(bulkhead.clone())
        .build()
        .unwrap();
    let ask = |result: Result<u32, Oops>| {
        let mut result = Some(result);
        execute_with_recovery(&recovery, move |_| std::future::ready(result.take().unwrap()))
    };
    assert_eq!(said(ask(Ok(7)).await), "value 7");
    assert_eq!(said(ask(Err(Oops)).await), "failed, attempts");
    let slot = bulkhead.try_acquire();
    assert_eq!(said(ask(Ok(7)).await), "full k");
    drop(slot);
    breaker.force_open();
    assert_eq!(said(ask(Ok(7)).await), "open b");
}

#[tokio::test(start_paused = true)]
async fn t3_source_chain_reaches_the_operations_error() {
    let error = gives_up(|| Oops).await;
    let whole = chain(&error);
    assert_eq!(whole, ["`r` gave up after 3 attempts: no attempt is left", "the operation"]);
    assert_eq!(error.source().unwrap().downcast_ref::<Oops>(), Some(&Oops));

    let boxed = gives_up(|| BoxError::from(Oops)).await.boxed();
    assert_eq!(chain(&boxed), whole);
    let into: BoxError = boxed.into();
    assert!(into.downcast_ref::<RecoveryError<Boxed>>().is_some());

    let anyhow = gives_up(|| anyhow::Error::new(Oops).context("while charging")).await.boxed();
    let anyhow = anyhow::Error::new(anyhow);
    let told: Vec<String> = anyhow.chain().map(ToString::to_string).collect();
    assert_eq!(told, [&*whole[0], "while charging", "the operation"]);
    assert!(anyhow.root_cause().downcast_ref::<Oops>().is_some());
}

#[tokio::test(start_paused = true)]
async fn t3_operation_that_cannot_fail_needs_no_error_type() {
    let recovery = Recovery::<Infallible>::builder("r").build().unwrap();
    let result = execute_with_recovery(&recovery, |_| async { Ok::<_, Infallible>(7) }).await;
    assert_eq!(result.unwrap(), 7);
    let Ok(value) = retry(|| async { Ok::<_, Infallible>(7) }).await;
    assert_eq!(value, 7);
}

#[tokio::test(start_paused = true)]
async fn t3_errors_of_single_policies_keep_the_operations_error_by_value() {
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    match breaker.call(|| async { Err::<(), _>(Oops) }).await {
        Err(CallError::Operation(Oops)) => {}
        other => panic!("{other:?}"),
    }
    let error = gives_up(|| Oops).await.map(|Oops| 7);
    assert_eq!(error.into_inner(), Some(7));
    assert!(matches!(PushErrorKind::Storage("disk".into()), PushErrorKind::Storage(_)));
}

/// How much larger the future of a call is than that of its operation.
#[expect(clippy::print_stdout, reason = "seen with --nocapture")]
fn overhead<F: Future>(name: &str, call: &F, operation: usize) -> usize {
    let (whole, over) = (size_of_val(call), size_of_val(call) - operation);
    println!("{name}: {whole} bytes for an operation of {operation}, {over} more");
    over
}

#[test]
fn futures_are_little_larger_than_their_operation() {
    const MOST: usize = 400;
    async fn small(_: Attempt) -> Result<u64, Oops> {
        Ok(1)
    }
    async fn large(attempt: Attempt) -> Result<u64, Oops> {
        let page = [1_u8; 4096];
        small(attempt).await?;
        std::future::ready(()).await;
        Ok(page.iter().map(|byte| u64::from(*byte)).sum())
    }
    fn size_of_future<F: Future>(_: impl Fn(Attempt) -> F) -> usize {
        size_of::<F>()
    }
    let recovery = Recovery::<Oops>::builder("r").build().unwrap();
    let breaker = CircuitBreaker::builder("b").build().unwrap();
    let bulkhead = Bulkhead::builder(1).build().unwrap();
    let policy = RetryPolicy::default();
    let context = CallContext::new("op");
    let (little, much) = (size_of_future(small), size_of_future(large));
    let plain = async || Ok::<_, Oops>(1);
    let ready = size_of_val(&plain());
    for (name, over) in [
        ("execute_with_recovery", overhead("small", &execute_with_recovery(&recovery, small), little)),
        ("execute_with_recovery", overhead("large", &execute_with_recovery(&recovery, large), much)),
        (
            "with a context",
            overhead("context", &execute_with_recovery(recovery.with_context(&context), small), little),
        ),
        ("retry_with", overhead("retry", &recoup::retry_with(small).policy(&policy), little)),
        ("breaker", overhead("breaker", &breaker.call(plain), ready)),
        ("bulkhead", overhead("bulkhead", &bulkhead.call(plain), ready)),
        ("timeout", overhead("timeout", &timeout(std::time::Duration::MAX, plain), ready)),
    ] {
        assert!(over <= MOST, "{name}: {over}");
    }
    assert!(size_of::<RecoveryError<Oops>>() <= 128, "{}", size_of::<RecoveryError<Oops>>());
    println!("RecoveryError of nothing: {} bytes", size_of::<RecoveryError<Oops>>());
}

/// What cannot work does not compile, and the message says what to write instead. The messages are the
/// compiler's own, so they are compared with those of the version that wrote them down, and with no other.
#[test]
fn t1_what_cannot_work_is_told_by_the_compiler() {
    const WRITTEN_DOWN_BY: &str = "rustc 1.95.";
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(compiler).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_ref().is_ok_and(|version| version.starts_with(WRITTEN_DOWN_BY)) {
        eprintln!(
            "SKIPPED t1_what_cannot_work_is_told_by_the_compiler: needs {WRITTEN_DOWN_BY}, is {version:?}"
        );
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/it/types/fail/*.rs");
}

/// Everything that a program without a feature takes in besides this crate.
#[test]
fn t6_at_most_22_crates_come_along() {
    const MOST: usize = 22;
    let tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--edges", "normal,build", "--prefix", "none", "--offline", "--package", "recoup"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let Ok(tree) = tree else {
        println!("SKIPPED: there is no cargo here to ask for the tree");
        return;
    };
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let name_and_version = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let mut crates: Vec<String> = tree.lines().map(name_and_version).collect();
    crates.retain(|name| !name.is_empty() && !name.starts_with("recoup "));
    crates.sort();
    crates.dedup();
    println!("{} crates: {crates:?}", crates.len());
    assert!(!crates.is_empty() && crates.len() <= MOST, "{crates:?}");
}
