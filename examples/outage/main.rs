//! An outage, lived through twice at the same time: by a bare client, and by one that goes through recoup.
//!
//! ```text
//! cargo run --example outage
//! ```
//!
//! Two equal payment servers follow one script: healthy, slow, failing, throttling, dead, back. Each is sent
//! the same 40 charges a second over real TCP. The bare client makes one attempt for each. The other is wired
//! below, in [`payments`], and that is the part to read; the rest is scenery. At the end the calls that were
//! given up are sent again from their dead letters, and a table compares.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod client;
mod load;
mod report;
mod screen;
mod script;
mod server;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use recoup::{
    Bulkhead, CallContext, CircuitBreaker, Cooldown, DeadLetterQueue, HalfOpen, LetterFilter, MemoryQueue,
    Payload, Ramp, Recovery, RedriveError, RetryBudget, RetryPolicy, SettingError, Window,
    execute_with_recovery, redrive,
};

use crate::client::{ChargeError, ChargeErrors, Client};
use crate::load::{Order, Side, offer};
use crate::report::{Letters, Round, broken_promises, table};
use crate::screen::{Screen, Watch};
use crate::script::Script;

/// Everything that is done about the failures of the payment server.
type Payments = Recovery<ChargeError>;

/// A healthy server answers in a few milliseconds: who has waited for 300 waits for nothing.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(300);

/// Built once, and shared by every call.
fn payments(letters: MemoryQueue, watch: Arc<Watch>) -> Result<Payments, SettingError> {
    // Retries mend what is short. Their waits double, and chance spreads those who failed together. The
    // attempts are many because a wait for the open circuit costs one too; what protects the server is the
    // budget: retries that fail again may be a fifth of what succeeds, and thirty to begin with.
    let retry = RetryPolicy::exponential(Duration::from_millis(50))
        .max_delay(Duration::from_millis(400))
        .max_attempts(20)
        .wait_for_open_circuit()
        .budget(RetryBudget::builder().share(0.2).reserve(30).build()?);

    // The breaker ends what is long. When most of the last 20 attempts failed, nobody asks for 400 ms; then
    // three probes do, and two of them must succeed. A probe is an attempt, so none holds its place for
    // longer than an attempt may take. One failure in five opens nothing: retries deal with that.
    let breaker = CircuitBreaker::builder("payments")
        .window(Window::last_calls(20))
        .minimum_calls(10)
        .failure_rate(0.6)
        .open_for(Duration::from_millis(400))
        .half_open(HalfOpen::probes(3).successes(2).lease(ATTEMPT_TIMEOUT))
        // Those who waited must not fall upon a server that has just got up.
        .ramp(Ramp::new(0.3, Duration::from_millis(500)));

    Recovery::builder("payments")
        .classifier(ChargeErrors)
        .retry(retry)
        .circuit_breaker(breaker)
        // When one call is told `Retry-After`, all of them wait, and then leave a few at a time. Without it
        // each call has to be told by itself.
        .cooldown(Cooldown::builder().burst(10))
        // A server that hangs may tie up 64 connections of ours and no more.
        .bulkhead(Bulkhead::builder(64).queue(64))
        .attempt_timeout(ATTEMPT_TIMEOUT)
        // Nobody looks at a payment page for longer. Attempts and waits must all fit.
        .deadline(Duration::from_secs(2))
        // What could not be done in time is not lost: it is written down with its key, and redriven.
        .dead_letters(letters)
        .observer(watch)
        .build()
}

/// One charge, through recoup. The context gives all its attempts one idempotency key, and its letter, should
/// there be one, that key and the order.
async fn charge(payments: &Payments, client: &Client, order: &Order) -> bool {
    let call = CallContext::new("charge")
        .destination("payments")
        .with_idempotency_key(&order.key)
        .payload(|| Payload::json(order.json.clone()));
    let key = call.idempotency_key();
    execute_with_recovery(payments.with_context(&call), |_| client.charge(key, &order.json)).await.is_ok()
}

/// Sends again what lies in the queue, through the same policies, and says how many letters arrived. Each goes
/// under the key that it had, so that a charge of which only the answer was lost is not made twice, and leaves
/// the queue once it has arrived and not before.
async fn send_again(payments: &Payments, client: &Client) -> Result<usize, RedriveError> {
    let report = redrive(payments, &LetterFilter::new(), |letter, _attempt| async move {
        let key = letter.idempotency_key.as_deref().unwrap_or_default();
        let order = letter.payload.as_ref().map_or(&[][..], |payload| &payload.bytes);
        client.charge(key, order).await
    })
    .await?;
    Ok(usize::try_from(report.delivered).unwrap_or(usize::MAX))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let script = Script::begin();
    let bare = Side::new("bare", script).await?;
    let with = Side::new("recoup", script).await?;
    let letters = MemoryQueue::default();
    let (watch, news) = Watch::new(script);
    let payments = payments(letters.clone(), Arc::clone(&watch))?;
    println!("{payments}\n");

    let one_attempt = offer(script, &bare.tally, |order| {
        let client = Arc::clone(&bare.client);
        async move { client.charge(&order.key, &order.json).await.is_ok() }
    });
    let recovering = offer(script, &with.tally, |order| {
        let (payments, client) = (payments.clone(), Arc::clone(&with.client));
        async move { charge(&payments, &client, &order).await }
    });
    let screen = Screen { script, sides: [&bare, &with], payments: &payments, watch: &watch, news: &news };
    let (alone, recovered) = screen.show_while(async { tokio::join!(one_attempt, recovering) }).await;

    let buried = usize::try_from(letters.stats().await?.pushed)?;
    println!("\nThe server is well again: redriving {buried} letters.");
    let began = script.elapsed();
    let redriven = send_again(&payments, &with.client).await?;
    let took = script.elapsed().saturating_sub(began);

    let alone = Round::new(alone, bare, Letters::default()).await;
    let recovered = Round::new(recovered, with, Letters { buried, redriven, took }).await;
    println!("\n{}", table(&alone, &recovered).join("\n"));

    let broken = broken_promises(&alone, &recovered);
    for promise in &broken {
        println!("\nNOT KEPT: {promise}");
    }
    println!("\nTook {:.1?} in all.", script.elapsed());
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
