//! One destination with all that is done about its failures. None of it is shared with the others but the file of
//! dead letters, so what one destination suffers from, the others do not notice.

use std::sync::Arc;
use std::time::Duration;

use recoup::{
    Bulkhead, CallContext, Category, CircuitBreaker, HalfOpen, LetterId, Recovery, RedbQueue, RedriveError,
    Redriver, RetryBudget, RetryPolicy, RetryPolicyBuilder, SettingError, Statistics, Window,
    execute_with_recovery, redrive_one,
};
use tokio::task::JoinHandle;

use crate::Problem;
use crate::client::{Client, SendError, SendErrors};
use crate::event::Event;
use crate::server::Server;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What is done again, when and how often, depends on what went wrong. The waits are a tenth of what a pipeline
/// would choose, to keep the story short. What is not transient, such as a refused event, is never repeated.
fn retry() -> Result<RetryPolicyBuilder, SettingError> {
    let schedule = |base, longest| RetryPolicy::exponential(base).max_delay(longest);
    Ok(schedule(ms(50), ms(500))
        .max_attempts(3)
        .for_category(Category::Network, schedule(ms(50), ms(500)).max_attempts(4))
        .for_category(Category::ExternalService, schedule(ms(100), ms(750)).max_attempts(3))
        .for_category(Category::RateLimited, schedule(ms(250), ms(1500)).max_attempts(4))
        .for_category(Category::Timeout, schedule(ms(50), ms(250)).max_attempts(3))
        // Retries may be a fifth of what succeeds: they must not make an outage worse.
        .budget(RetryBudget::builder().share(0.2).reserve(30).build()?))
}

/// Where events go.
pub(crate) struct Destination {
    pub(crate) name: &'static str,
    client: Client,
    recovery: Recovery<SendError>,
}

impl Destination {
    pub(crate) fn new(server: &Server, queue: RedbQueue, figures: Statistics) -> Result<Self, SettingError> {
        let breaker = CircuitBreaker::builder(server.name)
            .window(Window::last_calls(20))
            .minimum_calls(10)
            .failure_rate(0.5)
            .open_for(ms(500))
            .half_open(HalfOpen::probes(3).successes(2));
        let recovery = Recovery::builder(server.name)
            .classifier(SendErrors)
            .retry(retry()?)
            .circuit_breaker(breaker)
            // A destination that hangs may hold so many events and no more.
            .bulkhead(Bulkhead::builder(32).queue(32))
            .attempt_timeout(ms(300))
            .deadline(Duration::from_secs(4))
            .dead_letters(queue)
            .observer(Arc::new(figures))
            .build()?;
        Ok(Self { name: server.name, client: Client(server.address), recovery })
    }

    /// Sends an event. If that is given up, its letter is in the file when this returns.
    pub(crate) async fn send(&self, event: &Event) {
        let call = CallContext::new("track")
            .destination(self.name)
            .with_idempotency_key(&event.key)
            .payload(|| event.payload());
        let sent = execute_with_recovery(self.recovery.with_context(&call), |_attempt| {
            self.client.send(&event.key, &event.json)
        });
        // The figures tell how it went, and the letter what went wrong.
        let _answer = sent.await;
    }

    /// Carries out what is ordered for this destination, until it is aborted: one line where a program starts.
    pub(crate) fn redrive_in_background(&self) -> JoinHandle<Result<(), RedriveError>> {
        let (name, client) = (self.name, self.client);
        let send = move |letter: Arc<_>, _attempt| async move { client.send_letter(&letter).await };
        let redriver = Redriver::new(&self.recovery, send)
            // Three recoveries share the queue: each takes what is for its own destination.
            .takes(move |run| run.order.destination() == Some(name))
            .poll_every(ms(100));
        tokio::spawn(redriver.into_future())
    }

    /// Sends one letter again, now.
    pub(crate) async fn redrive_one(&self, letter: LetterId) -> Result<(), Problem> {
        let client = self.client;
        let send = |letter: Arc<_>, _attempt| async move { client.send_letter(&letter).await };
        Ok(redrive_one(&self.recovery, letter, send).await?.result?)
    }
}
