//! The ways in, each against an operation in this process that fails a few times and then works.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Duration;

use recoup::{
    Attempt, Category, CircuitBreaker, Classification, ErrorClassifier, Recovery, RetryPolicy,
    execute_with_recovery, retry, retry_with,
};

#[derive(Debug, thiserror::Error)]
#[error("busy for {0:?}")]
struct Busy(Duration);

/// Works from its `works_from`th attempt on.
async fn fetch(attempt: Attempt, works_from: u32) -> Result<&'static str, Busy> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    println!("   attempt {}", attempt.number());
    if attempt.number() < works_from { Err(Busy(Duration::from_millis(80))) } else { Ok("Ada") }
}

/// What an error means: what kind of trouble it is, whether to try again, and when.
struct BusyErrors;

impl ErrorClassifier<Busy> for BusyErrors {
    fn classify(&self, Busy(hint): &Busy) -> Classification {
        Classification::of(Category::ServiceUnavailable).retry_after(*hint)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("One line: at most three attempts, waits with jitter, the operation's own error.");
    let port = retry(async || "80".parse::<u16>()).await?; // `retry_with` also says which attempt it is
    println!("   {port}, and {}", retry_with(|attempt| fetch(attempt, 3)).await?);

    println!("Tuned: five attempts, quicker, and only for what is worth it.");
    let policy = RetryPolicy::exponential(Duration::from_millis(20)).max_attempts(5).build()?;
    let user = retry_with(|attempt| fetch(attempt, 5)).policy(&policy).when(|busy| busy.0.as_secs() < 1);
    println!("   {}", user.await?);

    println!("Wired: built once, shared by every caller of the service.");
    let users = Recovery::builder("users")
        .classifier(BusyErrors)
        .retry(policy)
        .circuit_breaker(CircuitBreaker::builder("users").consecutive_failures(3))
        .attempt_timeout(Duration::from_millis(500))
        .build()?;
    for works_from in [2, 9] {
        match execute_with_recovery(&users, |attempt| fetch(attempt, works_from)).await {
            Ok(name) => println!("   {name}"),
            Err(error) => println!("   {error}. Ask again in {:.1?}.", error.retry_in().unwrap_or_default()),
        }
    }
    Ok(())
}
