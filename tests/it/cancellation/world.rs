//! Everything that one call can hold, so small that each stage of a call is seen, and what must be true of it
//! once the call is gone.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use recoup::{
    Act, Attempt, Backoff, Bulkhead, ByHand, Category, CircuitBreaker, CircuitState, Classification,
    Cooldown, DeadLetter, DeadLetterQueue, Event, HalfOpen, Jitter, LeaseToken, Leased, LetterFilter,
    LetterId, MemoryQueue, Observer, Permit, PushError, QueueError, QueueStats, Receipt, Recovery,
    RetryBudget, RetryPolicy, RunBook, SettleError, Settled, Settlement, Shutdown, Slot,
};

pub(crate) const MS: Duration = Duration::from_millis(1);
/// What the budget starts with.
pub(crate) const RESERVE: u32 = 5;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Oops(pub(crate) u32);

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} failed", self.0)
    }
}

impl std::error::Error for Oops {}

/// Counts what is alive, and what ever was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alive(Arc<(AtomicU32, AtomicU32)>);

impl Alive {
    pub(crate) fn born(&self) -> Living {
        self.0.0.fetch_add(1, SeqCst);
        self.0.1.fetch_add(1, SeqCst);
        Living(self.clone())
    }

    pub(crate) fn now(&self) -> u32 {
        self.0.0.load(SeqCst)
    }

    pub(crate) fn ever(&self) -> u32 {
        self.0.1.load(SeqCst)
    }

    fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

pub(crate) struct Living(Alive);

impl Drop for Living {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, SeqCst);
    }
}

/// Pending so many times, waking itself each time.
pub(crate) async fn pending_for(mut polls: u32) {
    std::future::poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A queue that takes a few polls to store a letter, or to refuse it.
#[derive(Clone, Default)]
pub(crate) struct SlowQueue {
    pub(crate) stored: MemoryQueue,
    pub(crate) pushes: Alive,
    trap: Option<Arc<Trap>>,
}

/// Called as a push begins, and with `true` once its future was pending.
type Trap = dyn Fn(bool) + Send + Sync;

impl SlowQueue {
    pub(crate) fn on(stored: MemoryQueue) -> Self {
        Self { stored, ..Self::default() }
    }

    pub(crate) fn trapped(trap: impl Fn(bool) + Send + Sync + 'static) -> Self {
        Self { trap: Some(Arc::new(trap)), ..Self::default() }
    }

    fn tread(&self, polled: bool) {
        if let Some(trap) = &self.trap {
            trap(polled);
        }
    }
}

impl DeadLetterQueue for SlowQueue {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        self.tread(false);
        Box::pin(async move {
            let _living = self.pushes.born();
            pending_for(2).await;
            self.tread(true);
            self.stored.push(letter).await
        })
    }
    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        self.stored.peek(filter, limit)
    }
    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        self.stored.lease(filter, limit, time)
    }
    fn settle(&self, token: LeaseToken, how: Settlement) -> BoxFuture<'_, Result<Settled, SettleError>> {
        self.stored.settle(token, how)
    }
    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.stored.quarantine(filter, by)
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.stored.reinstate(filter, by)
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        self.stored.discard(filter, by)
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        self.stored.replace(old, letter, by)
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        self.stored.acts(limit)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        self.stored.stats()
    }

    fn runs(&self) -> Option<&dyn RunBook> {
        self.stored.runs()
    }
}

/// What the operation does: its first attempt fails after a few polls, its second does so well, or hangs.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) operations: Alive,
    pub(crate) second_succeeds: bool,
}

impl Script {
    pub(crate) async fn attempt(self, attempt: Attempt) -> Result<u32, Oops> {
        let _living = self.operations.born();
        pending_for(2).await;
        match attempt.number() {
            1 => Err(Oops(1)),
            number if self.second_succeeds => Ok(number),
            _ => std::future::pending().await,
        }
    }
}

/// Where a call is, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Unpolled,
    Cooling,
    Queued,
    /// It was given a slot that it has not taken yet.
    Granted,
    First,
    Hook,
    Backoff,
    Second,
    Probe,
    Burying,
}

pub(crate) struct World {
    pub(crate) script: Script,
    pub(crate) hooks: Alive,
    pub(crate) queue: SlowQueue,
    pub(crate) budget: RetryBudget,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) bulkhead: Bulkhead,
    pub(crate) recovery: Recovery<Oops>,
    pub(crate) policy: RetryPolicy,
    observer: Arc<dyn Observer>,
    name: Arc<str>,
}

impl World {
    pub(crate) async fn new(second_succeeds: bool) -> Self {
        let script = Script { operations: Alive::default(), second_succeeds };
        let (hooks, queue) = (Alive::default(), SlowQueue::default());
        let budget = RetryBudget::builder().reserve(RESERVE).share(1.0).no_trickle().build().unwrap();
        let breaker = CircuitBreaker::builder("breaker")
            .consecutive_failures(1)
            .open_for(Backoff::fixed(1000 * MS))
            .half_open(HalfOpen::probes(1))
            .no_ramp()
            .build()
            .unwrap();
        let bulkhead = Bulkhead::builder(1).queue(1).build().unwrap();
        let cooldown = Cooldown::builder().build().unwrap();
        let policy = RetryPolicy::backoff(Backoff::fixed(1200 * MS))
            .max_attempts(2)
            .jitter(Jitter::None)
            .budget(budget.clone());
        let observer: Arc<dyn Observer> = Arc::new(|_: &Event<'_>| {});
        let name: Arc<str> = "world".into();
        let living = hooks.clone();
        let recovery = Recovery::builder(Arc::clone(&name))
            .classifier(|_: &Oops| Classification::of(Category::Network))
            .retry(policy.clone())
            .circuit_breaker(breaker.clone())
            .bulkhead(bulkhead.clone())
            .cooldown(cooldown.clone())
            .attempt_timeout(350 * MS)
            .dead_letters(queue.clone())
            .observer(Arc::clone(&observer))
            .shutdown(&Shutdown::new())
            .before_retry(move |_| {
                let living = living.clone();
                async move {
                    let _living = living.born();
                    pending_for(2).await;
                    ControlFlow::Continue(())
                }
            })
            .build()
            .unwrap();
        let world = Self {
            script,
            hooks,
            queue,
            budget,
            breaker,
            bulkhead,
            recovery,
            policy: policy.build().unwrap(),
            observer,
            name,
        };
        world.start_to_cool(cooldown).await;
        world
    }

    /// Somebody else is told by the server to stay away for a while.
    async fn start_to_cool(&self, cooldown: Cooldown) {
        let other = Recovery::builder("other")
            .classifier(|_: &Oops| Classification::of(Category::RateLimited).retry_after(250 * MS))
            .retry(RetryPolicy::never())
            .cooldown(cooldown)
            .build()
            .unwrap();
        let refused =
            recoup::execute_with_recovery(&other, |_| async { Err::<(), _>(Oops(0)) }).await.unwrap_err();
        assert_eq!(refused.inner(), Some(&Oops(0)));
    }

    /// `others` is how many slots are in use by others.
    pub(crate) fn stage(&self, others: usize) -> Stage {
        match (self.script.operations.now(), self.script.operations.ever()) {
            (0, _) if self.bulkhead.queued() > 0 => Stage::Queued,
            (0, _) if self.hooks.now() > 0 => Stage::Hook,
            (0, _) if self.queue.pushes.now() > 0 => Stage::Burying,
            (0, _) if self.bulkhead.in_use() > others => Stage::Granted,
            (0, 0) => Stage::Cooling,
            (0, _) => Stage::Backoff,
            (_, 1) => Stage::First,
            _ if self.breaker.state() == CircuitState::HalfOpen => Stage::Probe,
            _ => Stage::Second,
        }
    }

    /// The handles of everything that calls share.
    pub(crate) fn handles(&self) -> [usize; 7] {
        [
            Arc::strong_count(&self.observer),
            Arc::strong_count(&self.name),
            Arc::strong_count(self.breaker.name()),
            Arc::strong_count(self.bulkhead.name()),
            self.script.operations.handles(),
            self.hooks.handles(),
            self.queue.pushes.handles(),
        ]
    }

    /// What the budget must hold: a retry that was made and failed has cost one, a success has paid one in,
    /// and whatever was cut off has cost nothing.
    pub(crate) fn owed(&self, running: bool, succeeded: bool) -> u32 {
        let retries = self.script.operations.ever().saturating_sub(1);
        let failed = retries - u32::from(retries > 0 && (running || succeeded));
        RESERVE - failed + u32::from(succeeded)
    }

    /// Everything is back, and the next one gets it.
    pub(crate) fn is_as_if_nobody_were_there(&self, tokens: u32, handles: [usize; 7], after: &str) {
        assert_eq!((self.bulkhead.in_use(), self.bulkhead.queued()), (0, 0), "bulkhead, {after}");
        let living = (self.script.operations.now(), self.hooks.now(), self.queue.pushes.now());
        assert_eq!(living, (0, 0, 0), "operations, hooks and pushes alive, {after}");
        assert_eq!(self.budget.tokens(), tokens, "budget, {after}");
        assert_eq!(self.handles(), handles, "handles, {after}");
        let slot: Slot<'_> = self.bulkhead.try_acquire().unwrap();
        drop(slot);
        let admitted: Option<Permit<'_>> = self.breaker.admit().ok();
        match self.breaker.state() {
            CircuitState::Open => assert!(admitted.is_none(), "an open circuit admits nobody, {after}"),
            state => assert!(admitted.is_some(), "a place in a {state:?} circuit is free, {after}"),
        }
        if let Some(permit) = admitted {
            permit.settle(recoup::Outcome::Ignored);
        }
    }
}
