//! A queue that outlives its process, or pretends to: it stays on a shelf. It breaks one promise, if asked to.
#![expect(clippy::disallowed_types, reason = "the crate's own lock is not public")]

mod faults;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use recoup::testing::conformance::{Place, QueueUnderTest};
use recoup::{
    Act, ByHand, DeadLetter, DeadLetterQueue, LeaseToken, Leased, LetterFilter, LetterGroup, LetterId,
    LetterState, MemoryQueue, Payload, PushError, PushErrorKind, QueueError, QueueStats, Receipt,
    SettleError, Settled, Settlement, Survives, WhenFull,
};

use super::builder;
pub(super) use faults::Fault;

/// Where the queues stay that are opened again.
pub(super) struct Shelf {
    fault: Fault,
    kept: Mutex<BTreeMap<String, Arc<Kept>>>,
}

/// What stays on the shelf.
struct Kept {
    fault: Fault,
    memory: Mutex<MemoryQueue>,
    capacity: u64,
    fails: AtomicBool,
    closed: AtomicBool,
    reopened: AtomicBool,
    damaged: Mutex<Option<LetterId>>,
    tokens: Mutex<BTreeMap<LetterId, LeaseToken>>,
    given: Mutex<BTreeMap<LetterId, DeadLetter>>,
    delivered: Mutex<Vec<DeadLetter>>,
    uncounted: Mutex<BTreeMap<LetterId, u32>>,
    fences_before: AtomicU64,
}

#[derive(Clone)]
struct Queue(Arc<Kept>);

fn any() -> LetterFilter {
    LetterFilter::new().any_state()
}

fn storage() -> String {
    "no space left on device".to_owned()
}

impl Shelf {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, kept: Mutex::default() }
    }

    fn at(&self, place: &Place) -> Arc<Kept> {
        let mut kept = self.kept.lock().unwrap();
        let fault = self.fault;
        let make = || {
            let (mut place, capacity) = (*place, place.settings.capacity as u64);
            fault.distort(&mut place.settings);
            Arc::new(Kept {
                fault,
                memory: Mutex::new(builder(&place).build().unwrap()),
                capacity,
                fails: AtomicBool::new(false),
                closed: AtomicBool::new(false),
                reopened: AtomicBool::new(false),
                damaged: Mutex::default(),
                tokens: Mutex::default(),
                given: Mutex::default(),
                delivered: Mutex::default(),
                uncounted: Mutex::default(),
                fences_before: AtomicU64::new(0),
            })
        };
        Arc::clone(kept.entry(place.to_string()).or_insert_with(make))
    }

    async fn reopen(&self, place: &Place, crashed: bool) -> Arc<dyn DeadLetterQueue> {
        let kept = self.at(place);
        let memory = kept.memory();
        kept.reopened.store(true, SeqCst);
        kept.closed.store(false, SeqCst);
        let by = ByHand::default();
        match self.fault {
            Fault::LosesAtRestart => kept.start_over(place),
            Fault::LosesAtCrash if crashed => kept.start_over(place),
            Fault::ReusesIdsAfterRestart if memory.stats().await.unwrap().held() == 0 => {
                kept.start_over(place);
            }
            Fault::BringsBackTheDelivered => {
                let delivered = std::mem::take(&mut *kept.delivered.lock().unwrap());
                for letter in delivered {
                    memory.push(letter).await.unwrap();
                }
            }
            Fault::ForgetsQuarantineAtRestart => drop(memory.reinstate(&any(), &by).await),
            Fault::TimeStartsAnewAtRestart => {
                memory.quarantine(&any(), &by).await.unwrap();
                memory.reinstate(&any(), &by).await.unwrap();
            }
            Fault::ForgetsDeliveriesInCrash if crashed => {
                for letter in memory.peek(&any(), usize::MAX).await.unwrap() {
                    kept.uncounted.lock().unwrap().insert(letter.id, letter.deliveries);
                }
            }
            Fault::FencesStartAnewAtRestart => {
                let last = kept.tokens.lock().unwrap().values().map(|token| token.fence()).max();
                kept.fences_before.store(last.unwrap_or(0), SeqCst);
            }
            _ => {}
        }
        Arc::new(Queue(kept))
    }
}

impl QueueUnderTest for Shelf {
    fn open<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        async move { Arc::new(Queue(self.at(place))) as Arc<dyn DeadLetterQueue> }.boxed()
    }

    fn restart<'a>(
        &'a self,
        place: &'a Place,
        _queue: Arc<dyn DeadLetterQueue>,
    ) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        self.reopen(place, false).boxed()
    }

    fn crash<'a>(
        &'a self,
        place: &'a Place,
        _queue: Arc<dyn DeadLetterQueue>,
    ) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        self.reopen(place, true).boxed()
    }

    fn fail_next_write(&self, place: &Place) -> bool {
        self.at(place).fails.store(true, SeqCst);
        true
    }

    fn damage<'a>(
        &'a self,
        place: &'a Place,
        _queue: Arc<dyn DeadLetterQueue>,
        letter: LetterId,
    ) -> BoxFuture<'a, Option<Arc<dyn DeadLetterQueue>>> {
        async move {
            let kept = self.at(place);
            if self.fault == Fault::GivesOutTheDamaged {
                *kept.damaged.lock().unwrap() = Some(letter);
            } else {
                kept.memory().discard(&any().id(letter), &ByHand::default()).await.unwrap();
            }
            Some(Arc::new(Queue(kept)) as Arc<dyn DeadLetterQueue>)
        }
        .boxed()
    }
}

impl Kept {
    fn memory(&self) -> MemoryQueue {
        self.memory.lock().unwrap().clone()
    }

    fn start_over(&self, place: &Place) {
        *self.memory.lock().unwrap() = builder(place).build().unwrap();
    }

    /// Whether this write fails, and is told so.
    fn fails(&self) -> bool {
        self.fails.swap(false, SeqCst) && self.fault != Fault::BelievesFailedWrites
    }

    /// A letter as this queue shows it.
    fn shown(&self, mut letter: DeadLetter) -> DeadLetter {
        let given = self.given.lock().unwrap().get(&letter.id).cloned();
        match self.fault {
            Fault::ChangesAByte => {
                if let Some(byte) = letter.payload.as_mut().and_then(|payload| payload.bytes.last_mut()) {
                    *byte ^= 1;
                }
            }
            Fault::ForgetsHeaders => letter.headers.clear(),
            Fault::BelievesTheCountsGiven => letter.redrives += given.map_or(0, |given| given.redrives),
            Fault::ChangesTheKey if letter.deliveries > 1 => letter.idempotency_key = Some("new".to_owned()),
            Fault::CountsLate if letter.state == LetterState::Leased => letter.deliveries -= 1,
            Fault::GivesOutTheDamaged if *self.damaged.lock().unwrap() == Some(letter.id) => {
                letter.payload = Some(Payload::text("gibberish"));
            }
            Fault::ReinstatesHalf if letter.state == LetterState::Ready && letter.attempts_total() > 3 => {
                letter.redrives += 2;
            }
            _ => {}
        }
        let uncounted = self.uncounted.lock().unwrap().get(&letter.id).copied();
        letter.deliveries -= uncounted.unwrap_or(0).min(letter.deliveries);
        letter
    }

    /// A filter as this queue understands it.
    fn understood(&self, filter: &LetterFilter) -> LetterFilter {
        match self.fault {
            Fault::IgnoresQuarantine => filter.clone().any_state(),
            _ => filter.clone(),
        }
    }
}

fn pend_once() -> impl Future<Output = ()> {
    let mut polled = false;
    std::future::poll_fn(move |cx| {
        if polled {
            return std::task::Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
}

impl DeadLetterQueue for Queue {
    fn push(&self, letter: DeadLetter) -> BoxFuture<'_, Result<Receipt, PushError>> {
        let memory = self.0.memory();
        async move {
            if self.0.fails() {
                return Err(PushError::new(letter, PushErrorKind::Storage(storage())));
            }
            let by = ByHand::default();
            match self.0.fault {
                Fault::Panics => panic!("by the fault"),
                Fault::ReusesIds if memory.stats().await.unwrap().held() == 0 => {
                    *self.0.memory.lock().unwrap() = MemoryQueue::default();
                }
                Fault::StoresInTwoSteps => {
                    let mut half = letter.clone();
                    half.payload = None;
                    let id = memory.push(half).await?.id;
                    pend_once().await;
                    memory.discard(&any().id(id), &by).await.unwrap();
                }
                Fault::LooksThenStores => {
                    let full = memory.stats().await.unwrap().held() >= self.0.capacity;
                    pend_once().await;
                    if full {
                        return Err(PushError::new(letter, PushErrorKind::Full));
                    }
                }
                Fault::SaysBeforeItStores if memory.stats().await.unwrap().pushed % 7 == 6 => {
                    return Ok(Receipt::new(LetterId::new(memory.stats().await.unwrap().pushed + 1)));
                }
                _ => {}
            }
            let given = letter.clone();
            let lacks_room = self.0.fault == Fault::DropsForNothing;
            let mut answer = self.0.memory().push(letter).await;
            match (&mut answer, self.0.fault) {
                (Ok(receipt), Fault::NamesNobodyDropped) => receipt.evicted.clear(),
                (Err(error), Fault::DropsInSilence) if error.kind == PushErrorKind::Full => {
                    return Ok(Receipt::new(LetterId::new(u64::MAX)));
                }
                (Err(error), Fault::KeepsWhatItRefuses) => error.letter.payload = None,
                (Err(error), Fault::TooLargeIsFull) => error.kind = PushErrorKind::Full,
                (Err(_), _) if lacks_room => {
                    memory.discard(&LetterFilter::new().state(LetterState::Ready), &by).await.unwrap();
                }
                _ => {}
            }
            if let Ok(receipt) = &answer {
                self.0.given.lock().unwrap().insert(receipt.id, given);
            }
            answer
        }
        .boxed()
    }

    fn peek<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, QueueError>> {
        async move {
            let limit = if self.0.fault == Fault::IgnoresLimits { usize::MAX } else { limit };
            if self.0.fault == Fault::ForgivesLostLeases {
                self.0.memory().reinstate(&any(), &ByHand::default()).await?;
            }
            let mut found = self.0.memory().peek(&self.0.understood(filter), limit).await?;
            match self.0.fault {
                Fault::LooksBackwards => found.reverse(),
                Fault::FindsByPrefix if *filter == any().destination("n2") => found.truncate(1),
                Fault::OverlooksTheLast if *filter != any() && *filter != LetterFilter::new() => {
                    found.pop();
                }
                Fault::FingerprintsOnce if !found.is_empty() => {
                    let first = self.0.given.lock().unwrap().values().next().cloned();
                    let old = first.map(|letter| letter.fingerprint());
                    found.retain(|letter| Some(letter.fingerprint()) == old || filter == &any());
                }
                _ => {}
            }
            Ok(found.into_iter().map(|letter| self.0.shown(letter)).collect())
        }
        .boxed()
    }

    fn lease<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
        time: Duration,
    ) -> BoxFuture<'a, Result<Vec<Leased>, QueueError>> {
        async move {
            if self.0.fails() {
                return Err(QueueError::Storage(storage()));
            }
            let memory = self.0.memory();
            let filter = self.0.understood(filter);
            let before = match self.0.fault {
                Fault::LeasesForNoTime => time.max(Duration::from_nanos(1)),
                Fault::LeasesTooLong => time.saturating_mul(2),
                Fault::LeasesTooShort => time / 2,
                _ => time,
            };
            let limit = if self.0.fault == Fault::IgnoresLimits { usize::MAX } else { limit };
            if self.0.fault == Fault::LeasesInTwoSteps {
                for first in memory.lease(&filter, limit, before).await? {
                    memory.settle(first.token, Settlement::untouched()).await.unwrap();
                }
                pend_once().await;
            }
            let mut leased = match self.0.fault {
                Fault::LooksThenLeases => {
                    let seen = memory.peek(&filter.clone().state(LetterState::Ready), limit).await?;
                    pend_once().await;
                    let mut leased = Vec::new();
                    for letter in seen {
                        let token = LeaseToken::new(letter.id, 0);
                        let one = memory.lease(&any().id(letter.id), 1, before).await?.pop();
                        leased.push(one.unwrap_or_else(|| Leased::new(letter, token)));
                    }
                    leased
                }
                _ => memory.lease(&filter, limit, before).await?,
            };
            if self.0.fault == Fault::LeasesTwice {
                for letter in memory.peek(&filter.clone().state(LetterState::Leased), limit).await? {
                    let token = self.0.tokens.lock().unwrap().get(&letter.id).copied();
                    leased.extend(token.map(|token| Leased::new(letter, token)));
                }
            }
            let fences_before = self.0.fences_before.load(SeqCst);
            for one in &mut leased {
                self.0.tokens.lock().unwrap().insert(one.token.letter(), one.token);
                one.letter = self.0.shown(one.letter.clone());
                let fence = one.token.fence().saturating_sub(fences_before);
                one.token = LeaseToken::new(one.token.letter(), fence);
            }
            Ok(leased)
        }
        .boxed()
    }

    fn settle(
        &self,
        token: LeaseToken,
        settlement: Settlement,
    ) -> BoxFuture<'_, Result<Settled, SettleError>> {
        async move {
            if self.0.fails() {
                return Err(SettleError::Storage(storage()));
            }
            let (memory, by) = (self.0.memory(), ByHand::default());
            let id = token.letter();
            let mut token = LeaseToken::new(id, token.fence() + self.0.fences_before.load(SeqCst));
            let (redriven, delivered) = (
                matches!(settlement, Settlement::Release { redriven: true, .. }),
                settlement == Settlement::Delivered,
            );
            let letter = memory.peek(&any().id(id), 1).await.unwrap().pop();
            match (self.0.fault, &settlement) {
                (Fault::ForgetsTheFence, _) => {
                    token = self.0.tokens.lock().unwrap().get(&id).copied().unwrap_or(token);
                }
                (Fault::ForgetsExtensions, Settlement::Extend(time)) if !time.is_zero() => {
                    return Ok(Settled::Extended);
                }
                (Fault::LosesTheReleased, Settlement::Release { .. }) => {
                    return memory.settle(token, Settlement::Delivered).await;
                }
                (Fault::SettlesInTwoSteps, Settlement::Delivered) => {
                    memory.settle(token, Settlement::untouched()).await?;
                    pend_once().await;
                    memory.discard(&any().id(id), &by).await.unwrap();
                    return Ok(Settled::Removed);
                }
                _ => {}
            }
            let mut answer = memory.settle(token, settlement).await;
            match self.0.fault {
                Fault::BuriesTheRedriven if redriven => {
                    memory.push(letter.clone().unwrap()).await.unwrap();
                }
                Fault::ReleasesTheQuarantined if answer == Ok(Settled::Quarantined) => {
                    memory.reinstate(&any().id(id), &by).await.unwrap();
                    answer = Ok(Settled::Released);
                }
                Fault::SettlesTwice if answer == Err(SettleError::Fenced) => answer = Ok(Settled::Released),
                Fault::GoneIsFenced if answer == Err(SettleError::Gone) => answer = Err(SettleError::Fenced),
                _ => {}
            }
            if delivered && answer.is_ok() {
                self.0.delivered.lock().unwrap().extend(letter);
            }
            answer
        }
        .boxed()
    }

    fn quarantine<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        async move {
            let memory = self.0.memory();
            let mut more = 0;
            if self.0.fault == Fault::QuarantinesTheLeased {
                for letter in memory.peek(&filter.clone().state(LetterState::Leased), usize::MAX).await? {
                    let token = self.0.tokens.lock().unwrap()[&letter.id];
                    memory.settle(token, Settlement::Quarantine).await.unwrap();
                    more += 1;
                }
            }
            Ok(memory.quarantine(filter, by).await? + more)
        }
        .boxed()
    }

    fn reinstate<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        async move { self.0.memory().reinstate(filter, by).await }.boxed()
    }

    fn discard<'a>(
        &'a self,
        filter: &'a LetterFilter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<u64, QueueError>> {
        async move {
            match self.0.fault {
                Fault::SparesTheLeased => {
                    let memory = self.0.memory();
                    let ready = memory.discard(&filter.clone().state(LetterState::Ready), by).await?;
                    Ok(ready + memory.discard(&filter.clone().state(LetterState::Quarantined), by).await?)
                }
                Fault::DiscardsTheOthersToo if *filter == any().operation("n1") => {
                    self.0.memory().discard(&any(), by).await
                }
                _ => self.0.memory().discard(filter, by).await,
            }
        }
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        old: LetterId,
        letter: DeadLetter,
        by: &'a ByHand,
    ) -> BoxFuture<'a, Result<Receipt, PushError>> {
        async move {
            match self.0.fault {
                Fault::ReplacesInTwoSteps => {
                    let receipt = self.push(letter).await?;
                    pend_once().await;
                    self.0.memory().discard(&any().id(old), by).await.unwrap();
                    Ok(receipt)
                }
                Fault::ReplacesWhatIsLeased => {
                    let leased = LetterFilter::new().state(LetterState::Leased).id(old);
                    if !self.0.memory().peek(&leased, 1).await.unwrap().is_empty() {
                        self.0.memory().discard(&leased, by).await.unwrap();
                        return self.push(letter).await;
                    }
                    self.0.memory().replace(old, letter, by).await
                }
                _ => self.0.memory().replace(old, letter, by).await,
            }
        }
        .boxed()
    }

    fn acts(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Act>, QueueError>> {
        async move {
            let mut acts = self.0.memory().acts(limit).await?;
            match self.0.fault {
                Fault::ForgetsDeeds => acts.clear(),
                Fault::ForgetsDeedsAtRestart if self.0.reopened.load(SeqCst) => acts.clear(),
                _ => {}
            }
            Ok(acts)
        }
        .boxed()
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats, QueueError>> {
        async move {
            let mut stats = self.0.memory().stats().await?;
            match self.0.fault {
                Fault::Hangs => std::future::pending().await,
                Fault::CountsBytesWrong => stats.bytes += stats.leased,
                Fault::ForgetsToCountExpiry => stats.pushed -= std::mem::take(&mut stats.expired),
                Fault::ClosesHalf if self.0.closed.load(SeqCst) => return Err(QueueError::Closed),
                Fault::LooksCount => drop(self.0.memory().lease(&any(), 1, Duration::MAX).await),
                _ => {}
            }
            Ok(stats)
        }
        .boxed()
    }

    fn survives(&self) -> Survives {
        Survives::Crash
    }

    fn push_all(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Vec<Result<Receipt, PushError>>> {
        async move {
            let mut answers = Vec::new();
            for letter in letters {
                answers.push(self.push(letter).await);
            }
            if self.0.fault == Fault::AnswersBackwards {
                answers.reverse();
            }
            answers
        }
        .boxed()
    }

    fn settle_all(
        &self,
        settlements: Vec<(LeaseToken, Settlement)>,
    ) -> BoxFuture<'_, Vec<Result<Settled, SettleError>>> {
        async move {
            let mut answers = Vec::new();
            for (token, settlement) in settlements {
                answers.push(self.settle(token, settlement).await);
            }
            if self.0.fault == Fault::AnswersBackwards {
                answers.reverse();
            }
            answers
        }
        .boxed()
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, QueueError>> {
        async move {
            let mut groups = self.0.memory().groups(filter, limit).await?;
            if self.0.fault == Fault::GroupsByHalf {
                for group in &mut groups {
                    group.letters = group.letters.min(100);
                }
            }
            Ok(groups)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        async move {
            self.0.closed.store(true, SeqCst);
            Ok(())
        }
        .boxed()
    }
}

/// The memory queue, its workers each in a task of their own.
pub(super) struct Threads;

impl QueueUnderTest for Threads {
    fn open<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Arc<dyn DeadLetterQueue>> {
        async move { Arc::new(builder(place).build().unwrap()) as Arc<dyn DeadLetterQueue> }.boxed()
    }

    fn in_a_task(&self, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        async move { tokio::spawn(work).await.unwrap() }.boxed()
    }
}

impl Fault {
    /// Faults that are a matter of settings.
    fn distort(self, is: &mut recoup::testing::conformance::Settings) {
        let moment = Duration::from_millis(10);
        match self {
            Self::ExpiresLate => is.time_to_live = is.time_to_live.map(|time| time + moment),
            Self::ExpiresEarly => {
                is.time_to_live = is.time_to_live.map(|time| time.saturating_sub(2 * moment));
            }
            Self::ExpiresAlways => is.time_to_live = Some(is.time_to_live.unwrap_or(1000 * 1000 * moment)),
            Self::NeverQuarantines => is.quarantine_after = u32::MAX,
            Self::QuarantinesEarly => is.quarantine_after = 1,
            Self::BytesUncapped => is.max_bytes = usize::MAX,
            Self::CountUncapped | Self::LooksThenStores => is.capacity = usize::MAX,
            Self::WaitsForEver => {
                if let WhenFull::Wait(_) = is.when_full {
                    is.when_full = WhenFull::Wait(Duration::MAX);
                }
            }
            Self::DoesNotWait => {
                if let WhenFull::Wait(_) = is.when_full {
                    is.when_full = WhenFull::Refuse;
                }
            }
            Self::RefusesInsteadOfDropping => is.when_full = WhenFull::Refuse,
            _ => {}
        }
    }
}
