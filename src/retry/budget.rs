//! How many retries a whole program may make: one question, and several well-known answers.

#[cfg(feature = "lab")]
mod anew;
mod aws;
mod bucket;
mod envoy;
mod finagle;
mod grpc;
mod level;
#[cfg(feature = "tonic")]
mod of_grpc;
#[cfg(all(test, any(recoup_loom, recoup_shuttle)))]
mod schedules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::aws::Aws;
use self::bucket::Bucket;
pub use self::bucket::RetryBudgetBuilder;
use self::envoy::Envoy;
use self::finagle::Finagle;
use self::grpc::Grpc;
use crate::classification::{Advice, Category, Classification, Health};
use crate::time::{self, Instant, Now};

/// A store of tokens, of which each retry costs one: when it is empty, failures are no longer repeated, so
/// that retries do not multiply the load of a dependency that is down.
///
/// Each success pays in a [share](RetryBudgetBuilder::share) of a token, and a slow
/// [trickle](RetryBudgetBuilder::trickle) adds one now and then. Nothing is paid in for merely asking. The
/// token of a retry that succeeds comes back, and so does that of one that is dropped: failures cost.
///
/// A handle: clones share one store. Share it among all calls of one dependency. It is counted exactly, in
/// millionths of a token, without a lock or a task; while it is full a success only reads it.
///
/// ```
/// use recoup::RetryBudget;
///
/// let budget = RetryBudget::builder().share(0.1).reserve(5).capacity(50).build()?;
/// assert_eq!(budget.tokens(), 5);
/// assert_eq!(RetryBudget::default().tokens(), 10);
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Budgets of others
///
/// Those whose rules are known from elsewhere are here as they are there, for who must do as the rest of a
/// fleet does. None of them is better than the default: what each is weak at stands beside it.
///
/// | budget | a retry needs | what pays in | by time |
/// |---|---|---|---|
/// | [`builder`](Self::builder) | a token | each success, a share | a slow trickle |
/// | [`finagle`](Self::finagle) | a fifth of the requests of 10 s, and 100 | each request | 10 a second |
/// | [`aws_standard`](Self::aws_standard) | 14 of 500 tokens, or 5 if throttled | each success, 1 | nothing |
/// | [`grpc`](Self::grpc) | more than 5 of 10 tokens | each success, 0.1 | nothing |
/// | [`envoy`](Self::envoy) | fewer retries under way than a fifth of the requests, or than 3 | — | — |
#[derive(Clone)]
pub struct RetryBudget(Kind);

#[derive(Clone)]
enum Kind {
    Unlimited,
    Bucket(Arc<Bucket>),
    Finagle(Arc<Finagle>),
    Aws(Arc<Aws>),
    Grpc(Arc<Grpc>),
    Envoy(Arc<Envoy>),
}

impl RetryBudget {
    /// A budget with settings of its own.
    pub const fn builder() -> RetryBudgetBuilder {
        RetryBudgetBuilder::new()
    }

    /// A budget that always has a token and counts nothing. Retries then multiply the load of an outage by
    /// the number of attempts: only for a caller who is alone.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self(Kind::Unlimited)
    }

    /// The whole tokens that are there now; `u32::MAX` if unlimited. Of [`finagle`](Self::finagle) and
    /// [`envoy`](Self::envoy), which have none, how many retries could begin now.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens_at(time::now())
    }

    fn tokens_at(&self, now: Instant) -> u32 {
        match &self.0 {
            Kind::Unlimited => u32::MAX,
            Kind::Bucket(bucket) => bucket.tokens_at(now),
            Kind::Finagle(finagle) => finagle.retries_left(now),
            Kind::Aws(aws) => aws.tokens(),
            Kind::Grpc(grpc) => grpc.tokens(),
            Kind::Envoy(envoy) => envoy.retries_left(),
        }
    }

    /// The first attempt of a call begins.
    #[inline]
    pub(crate) fn began(&self, now: &Now) -> Option<Active> {
        match &self.0 {
            Kind::Finagle(finagle) => finagle.deposit(now.get()),
            Kind::Envoy(envoy) => return Some(Active(Envoy::begin(envoy))),
            Kind::Unlimited | Kind::Bucket(_) | Kind::Aws(_) | Kind::Grpc(_) => {}
        }
        None
    }

    /// Pays in for one success, of a first attempt or of a retry.
    #[inline]
    pub(crate) fn deposit(&self, of_a_retry: bool) {
        match &self.0 {
            Kind::Bucket(bucket) => bucket.deposit(),
            Kind::Aws(aws) if !of_a_retry => aws.deposit(), // to a retry its own cost comes back
            Kind::Grpc(grpc) => grpc.deposit(),
            Kind::Unlimited | Kind::Finagle(_) | Kind::Aws(_) | Kind::Envoy(_) => {}
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, answer: &Classification) {
        if let Kind::Grpc(grpc) = &self.0
            && Self::counts(answer)
        {
            grpc.failed();
        }
    }

    /// Whether a failure is worth a retry, or one that the dependency asks not to make. What was the caller's own
    /// mistake says nothing of the dependency.
    pub(crate) fn counts(answer: &Classification) -> bool {
        answer.advice() != Advice::Stop || answer.health() == Health::Failure
    }

    /// Takes out what a retry of an attempt that failed like this costs, if there is enough.
    pub(crate) fn reserve(&self, failed: Category, now: Instant) -> Option<Token> {
        let taken = match &self.0 {
            Kind::Unlimited => Taken::Nothing,
            Kind::Bucket(bucket) => bucket.take(now).then(|| Taken::Bucket(Arc::clone(bucket)))?,
            Kind::Finagle(finagle) => Taken::Finagle(Arc::clone(finagle), finagle.take(now)?),
            Kind::Aws(aws) => Taken::Aws(Arc::clone(aws), aws.take(failed)?),
            Kind::Grpc(grpc) => grpc.allows().then_some(Taken::Nothing)?,
            Kind::Envoy(envoy) => envoy.take().then(|| Taken::Envoy(Arc::clone(envoy)))?,
        };
        Some(Token(taken))
    }

    /// How long until a retry may be made though nothing succeeds: zero if it may now, `None` if never.
    /// Somebody else may be faster.
    pub(crate) fn next_token_in(&self, failed: Category, now: Instant) -> Option<Duration> {
        let now_or_never = |now: bool| now.then_some(Duration::ZERO);
        match &self.0 {
            Kind::Unlimited => Some(Duration::ZERO),
            Kind::Bucket(bucket) => bucket.next_token_in(now),
            Kind::Finagle(finagle) => finagle.next_retry_in(now),
            Kind::Aws(aws) => now_or_never(aws.affords(failed)),
            Kind::Grpc(grpc) => now_or_never(grpc.allows()),
            Kind::Envoy(envoy) => now_or_never(envoy.retries_left() > 0),
        }
    }
}

impl Default for RetryBudget {
    /// The settings that [`RetryBudgetBuilder`] starts from.
    fn default() -> Self {
        RetryBudgetBuilder::new().open()
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Unlimited => f.write_str("RetryBudget(unlimited)"),
            Kind::Bucket(bucket) => fmt::Debug::fmt(bucket, f),
            Kind::Finagle(_) => f.write_str("RetryBudget(finagle)"),
            Kind::Aws(aws) => write!(f, "RetryBudget(aws standard, {} tokens)", aws.tokens()),
            Kind::Grpc(grpc) => write!(f, "RetryBudget(gRPC, {} tokens)", grpc.tokens()),
            Kind::Envoy(envoy) => fmt::Debug::fmt(envoy, f),
        }
    }
}

/// A call that counts as under way, until it is dropped.
#[derive(Debug)]
#[must_use = "a call that is dropped at once is not under way"]
pub(crate) struct Active(#[expect(dead_code, reason = "held to be dropped")] envoy::Request);

/// What a retry costs, taken out for one that may still not be made. Dropped, it goes back, up to the
/// capacity.
#[must_use = "a token dropped at once goes back into the budget"]
pub(crate) struct Token(Taken);

enum Taken {
    Nothing,
    Bucket(Arc<Bucket>),
    /// In which slice of time.
    Finagle(Arc<Finagle>, u64),
    Aws(Arc<Aws>, u64),
    Envoy(Arc<Envoy>),
}

impl Token {
    /// The retry begins. Where the attempt itself is what costs, nothing comes back from now on.
    pub(crate) fn made(&mut self) {
        if let Taken::Finagle(..) = self.0 {
            self.0 = Taken::Nothing;
        }
    }

    /// The retry failed: the token is gone. Of retries that are counted while they are under way, it was one.
    pub(crate) fn spend(mut self) {
        if !matches!(self.0, Taken::Envoy(_)) {
            self.0 = Taken::Nothing;
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        match &self.0 {
            Taken::Nothing => {}
            Taken::Bucket(bucket) => bucket.give_back(),
            Taken::Finagle(finagle, slice) => finagle.give_back(*slice),
            Taken::Aws(aws, cost) => aws.give_back(*cost),
            Taken::Envoy(envoy) => envoy.ended(),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}
