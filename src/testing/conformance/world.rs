//! What the cases stand on: queues, the clock, and how a broken promise is told.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::under_test::{Place, QueueUnderTest, Settings};
use crate::classification::Category;
use crate::dead_letter::{
    AttemptRecord, ByHand, DeadLetter, DeadLetterQueue, DeadReason, Edited, ErrorChain, ErrorFrame,
    LeaseToken, Leased, LetterFilter, LetterId, LetterState, Origin, Payload, PushError, QueueError,
    QueueStats, SettleError, Survives,
};
use crate::sync::atomic::{AtomicU32, Ordering};

/// How long the cases lease a letter.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// A little, by a clock that ticks in milliseconds.
pub(super) const MOMENT: Duration = Duration::from_millis(10);

/// A moment less than this.
pub(super) const fn just_before(time: Duration) -> Duration {
    time.saturating_sub(MOMENT)
}

/// More than any case holds.
pub(super) const ALL: usize = 100_000;

/// Why a case ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    Broken(String),
    DoesNotApply(&'static str),
}

pub(super) type Proof<T = ()> = Result<T, Stop>;

pub(super) fn broken<T>(how: impl Into<String>) -> Proof<T> {
    Err(Stop::Broken(how.into()))
}

/// The queue must say this.
#[expect(clippy::needless_pass_by_value, reason = "most of what is compared is made for it")]
pub(super) fn same<T: PartialEq + Debug>(what: impl Display, found: T, expected: T) -> Proof {
    if found == expected {
        return Ok(());
    }
    broken(format!("{what}: found {found:?}, expected {expected:?}"))
}

/// This must be so.
pub(super) fn holds(what: impl Display, so: bool) -> Proof {
    if so { Ok(()) } else { broken(what.to_string()) }
}

impl From<QueueError> for Stop {
    fn from(error: QueueError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<PushError> for Stop {
    fn from(error: PushError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<SettleError> for Stop {
    fn from(error: SettleError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// One case.
pub(super) struct World<'u> {
    pub(super) under_test: &'u dyn QueueUnderTest,
    pub(super) case: &'static str,
    pub(super) made: AtomicU32,
}

impl<'u> World<'u> {
    /// A new queue with the default settings.
    pub(super) async fn queue(&self) -> Bed<'u> {
        self.queue_with(|_| ()).await
    }

    /// A new queue with other settings.
    pub(super) async fn queue_with(&self, set: impl FnOnce(&mut Settings)) -> Bed<'u> {
        let mut settings = Settings::default();
        set(&mut settings);
        let place = Place::new(self.case, self.made.fetch_add(1, Ordering::Relaxed), settings);
        let queue = self.under_test.open(&place).await;
        Bed { under_test: self.under_test, place, queue }
    }

    /// A new queue, if it outlives its process.
    pub(super) async fn durable(&self, set: impl FnOnce(&mut Settings)) -> Proof<Bed<'u>> {
        let bed = self.queue_with(set).await;
        if bed.survives() == Survives::Nothing {
            return Err(Stop::DoesNotApply("it says that it does not survive its process"));
        }
        Ok(bed)
    }

    pub(super) async fn wait(&self, time: Duration) {
        self.under_test.advance(time).await;
    }
}

/// A queue, and where it lives.
pub(super) struct Bed<'u> {
    under_test: &'u dyn QueueUnderTest,
    pub(super) place: Place,
    pub(super) queue: Arc<dyn DeadLetterQueue>,
}

impl Deref for Bed<'_> {
    type Target = dyn DeadLetterQueue;

    fn deref(&self) -> &Self::Target {
        &*self.queue
    }
}

impl Bed<'_> {
    /// Closed, and opened again.
    pub(super) async fn restarted(mut self) -> Proof<Self> {
        self.queue.close().await?;
        self.queue = self.under_test.restart(&self.place, self.queue).await;
        Ok(self)
    }

    /// Opened again without having been closed.
    pub(super) async fn crashed(mut self) -> Self {
        self.queue = self.under_test.crash(&self.place, self.queue).await;
        self
    }

    /// Opened again with this letter damaged.
    pub(super) async fn damaged(mut self, letter: LetterId) -> Option<Self> {
        self.queue = self.under_test.damage(&self.place, self.queue, letter).await?;
        Some(self)
    }

    pub(super) fn fail_next_write(&self) -> bool {
        self.under_test.fail_next_write(&self.place)
    }

    pub(super) async fn put(&self, letter: DeadLetter) -> Proof<LetterId> {
        Ok(self.push(letter).await?.id)
    }

    /// Letters of all kinds.
    pub(super) async fn all(&self) -> Proof<Vec<DeadLetter>> {
        Ok(self.peek(&LetterFilter::new().any_state(), ALL).await?)
    }

    pub(super) async fn only(&self) -> Proof<DeadLetter> {
        only(self.all().await?)
    }

    pub(super) async fn lease_ready(&self) -> Proof<Vec<Leased>> {
        Ok(self.lease(&LetterFilter::new(), ALL, LEASE).await?)
    }

    pub(super) async fn lease_one(&self) -> Proof<Leased> {
        only(self.lease_ready().await?)
    }

    /// The numbers, which must be those of the letters.
    pub(super) async fn counts(&self) -> Proof<QueueStats> {
        let (said, held) = (self.stats().await?, self.all().await?);
        same("the numbers, beside the letters counted again", &said, &recount(&held, &said))?;
        let gone = said.delivered + said.evicted + said.expired + said.discarded;
        same("pushed, beside what became of them", said.pushed, said.held() + gone)?;
        Ok(said)
    }
}

/// What is said of the letters held, counted; the totals are taken as they are.
pub(super) fn recount(held: &[DeadLetter], totals: &QueueStats) -> QueueStats {
    let of = |state| held.iter().map(|letter| u64::from(letter.state == state)).sum();
    let mut by_destination = BTreeMap::new();
    for destination in held.iter().filter_map(|letter| letter.destination.clone()) {
        *by_destination.entry(destination).or_default() += 1;
    }
    QueueStats {
        ready: of(LetterState::Ready),
        leased: of(LetterState::Leased),
        quarantined: of(LetterState::Quarantined),
        bytes: held.iter().map(DeadLetter::size).sum(),
        oldest: held.iter().map(|letter| letter.died_at).min(),
        by_destination,
        ..totals.clone()
    }
}

pub(super) fn only<T: Debug>(mut found: Vec<T>) -> Proof<T> {
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => broken("found nothing where one letter should be"),
        (Some(one), false) => broken(format!("found more than one letter: {one:?} and {found:?}")),
    }
}

pub(super) fn id(number: u64) -> LetterId {
    LetterId::new(number)
}

pub(super) fn ids_of(letters: &[DeadLetter]) -> Vec<LetterId> {
    letters.iter().map(|letter| letter.id).collect()
}

pub(super) fn tokens_of(leased: &[Leased]) -> Vec<LeaseToken> {
    leased.iter().map(|leased| leased.token).collect()
}

pub(super) fn by() -> ByHand {
    ByHand::of("conformance").because("to see what it does")
}

pub(super) fn any() -> LetterFilter {
    LetterFilter::new().any_state()
}

/// A moment of the wall clock that every store can write down.
pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

pub(super) fn letter() -> DeadLetter {
    DeadLetter::new("charge").died_at(at(0))
}

/// The nth of many, each with a payload of its own.
pub(super) fn nth(number: u64) -> DeadLetter {
    letter().payload(Payload::bytes(number.to_be_bytes())).idempotency_key(format!("key-{number}"))
}

/// A letter whose payload has this size.
pub(super) fn of_size(bytes: usize) -> DeadLetter {
    DeadLetter::new("").died_at(at(0)).payload(Payload::new("", vec![b'x'; bytes]))
}

pub(super) fn failure(number: u32) -> AttemptRecord {
    AttemptRecord::new(number, at(7), format!("failure {number}"))
}

/// A letter with something in every field.
pub(super) fn full() -> DeadLetter {
    let frames = [
        ErrorFrame::new("card declined: \"no\"\u{0}\n").type_name("bank::Error").code("E17"),
        ErrorFrame::new("é 🦀"),
    ];
    let record = failure(1)
        .took(Duration::from_nanos(1_234_567_891))
        .delay_before(Duration::from_millis(250))
        .category(Category::Network);
    let mut letter = DeadLetter::new("charge")
        .destination("payments/é")
        .payload(Payload::new("application/x-all-bytes", (0..=u8::MAX).collect::<Vec<_>>()).schema_version(7))
        .reason(DeadReason::CircuitOpen)
        .error(frames.into_iter().collect())
        .category(Category::Timeout)
        .status(504)
        .attempt(record)
        .attempt(failure(2))
        .died_at(at(3) + Duration::from_nanos(123_456_789))
        .correlation_id("request-1")
        .idempotency_key("order-7")
        .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .tenant("acme")
        .header("content-language", "de")
        .header("empty", "");
    letter.edited = Some(Box::new(Edited::new(id(4), [0xe5; 32], by(), at(5))));
    letter.origin = Some(Origin::new(u128::MAX - 1, id(u64::MAX - 1)));
    letter
}

/// A chain that names this letter's trouble.
pub(super) fn says(text: &str) -> ErrorChain {
    ErrorChain::from_display(&text)
}
