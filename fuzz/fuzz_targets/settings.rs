//! Arbitrary values into every builder: it refuses by the name of a setting, or what it built serves calls.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use recoup::{
    Abandoned, Attempt, Bulkhead, BulkheadBuilder, Category, CircuitBreaker, CircuitBreakerBuilder,
    CircuitSnapshot, Classification, Cooldown, CooldownBuilder, DeadLetterQueue, ErrorChain, FirstAttempts,
    HalfOpen, LetterFilter, MemoryQueue, MemoryQueueBuilder, Nested, OnEmptyBudget, Ramp, Recovery,
    RetryBudget, RetryBudgetBuilder, RetryPolicy, RetryPolicyBuilder, SettingError, WhenFull, Window,
    execute_with_recovery, retry_with, timeout,
};
use recoup_fuzz::{Count, Share, Span, Waits, names_a_setting, on_a_paused_clock};

#[derive(Arbitrary, Debug)]
struct Input {
    retry: Option<Retry>,
    budget: Option<Budget>,
    breaker: Option<Breaker>,
    bulkhead: Option<Slots>,
    cooldown: Option<Pause>,
    letters: Option<Letters>,
    attempt_timeout: Option<Span>,
    deadline: Option<Span>,
    letter_timeout: Option<Span>,
    /// One call after the other, with what its attempts do.
    calls: Vec<Call>,
}

#[derive(Arbitrary, Debug)]
struct Retry {
    waits: Option<Waits>,
    attempts: Option<Count>,
    unlimited: bool,
    attempt_timeout: Option<Span>,
    deadline: Option<Span>,
    max_hint: Option<Span>,
    clamp_hints: bool,
    no_budget: bool,
    patience: Option<Span>,
    nested: bool,
    wait_for_open_circuit: bool,
    throttled: Option<(Waits, Count)>,
    seed: u64,
}

#[derive(Arbitrary, Debug)]
struct Budget {
    share: Option<Share>,
    reserve: Option<Count>,
    capacity: Option<Count>,
    trickle: Option<Span>,
}

#[derive(Arbitrary, Debug)]
struct Breaker {
    window: Option<(Option<Count>, Option<Span>)>,
    failure_rate: Option<Option<Share>>,
    slow: Option<(Span, Share)>,
    consecutive: Option<Count>,
    minimum: Option<Count>,
    judge_successes: bool,
    abandoned: Option<Option<Share>>,
    open_for: Option<Waits>,
    max_hint: Option<Span>,
    reset_after: Option<Span>,
    half_open: Option<(Count, Option<Count>, Option<Share>, Option<Span>)>,
    ramp: Option<Option<(Share, Span)>>,
    restored: Option<(Option<Span>, Count)>,
    seed: u64,
}

#[derive(Arbitrary, Debug)]
struct Slots {
    slots: usize,
    queue: usize,
    max_wait: Option<Span>,
    later: Option<usize>,
}

#[derive(Arbitrary, Debug)]
struct Pause {
    max: Option<Span>,
    burst: Option<Count>,
    fail_fast: bool,
}

#[derive(Arbitrary, Debug)]
struct Letters {
    capacity: Option<usize>,
    max_bytes: Option<usize>,
    max_payload: Option<usize>,
    drop_oldest: bool,
    time_to_live: Option<Span>,
    quarantine_after: Option<Count>,
}

#[derive(Arbitrary, Debug)]
struct Call {
    attempts: Vec<(Span, Answer)>,
    /// Who calls gives up after so long.
    patience: Span,
    /// What is done by hand before it.
    hand: Option<Hand>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Answer {
    Value,
    Failure(u8),
    Hint(Span),
    Hangs,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Hand {
    Open,
    Close,
    Disable,
    Observe,
    Automatic,
    Reset,
    Isolate,
}

const SETTINGS: [&str; 36] = [
    "abandoned",
    "attempt_timeout",
    "backoff",
    "burst",
    "capacity",
    "consecutive_failures",
    "deadline",
    "decorrelated",
    "delays",
    "factor",
    "failure_rate",
    "half_open.failure_rate",
    "half_open.lease",
    "half_open.probes",
    "half_open.successes",
    "jitter",
    "letter_timeout",
    "max",
    "max_attempts",
    "max_bytes",
    "max_delay",
    "max_hint",
    "max_payload",
    "max_wait",
    "minimum_calls",
    "on_empty_budget",
    "open_for",
    "quarantine_after",
    "queue",
    "ramp",
    "share",
    "slots",
    "slow_calls",
    "time_to_live",
    "trickle",
    "window",
];

/// Sets what there is to be set.
macro_rules! set {
    ($builder:expr, $($setter:ident: $value:expr),* $(,)?) => {{
        let mut builder = $builder;
        $(if let Some(value) = $value { builder = builder.$setter(value.into()); })*
        builder
    }};
}

impl Budget {
    fn builder(&self) -> RetryBudgetBuilder {
        set!(RetryBudget::builder(), share: self.share, reserve: self.reserve, capacity: self.capacity, trickle: self.trickle)
    }
}

impl Retry {
    fn builder(&self, budget: Option<&RetryBudget>) -> RetryPolicyBuilder {
        let mut builder = set!(RetryPolicy::builder(), max_attempts: self.attempts, max_hint: self.max_hint)
            .seed(self.seed);
        if let Some(waits) = &self.waits {
            builder = builder.backoff(waits.backoff());
        }
        if self.unlimited {
            builder = builder.unlimited_attempts();
        }
        if self.clamp_hints {
            builder = builder.clamp_hints();
        }
        if self.wait_for_open_circuit {
            builder = builder.wait_for_open_circuit();
        }
        if self.nested {
            builder = builder.nested(Nested::Allow);
        }
        if let Some(patience) = self.patience {
            builder = builder.on_empty_budget(OnEmptyBudget::Wait(patience.into()));
        }
        if let Some((waits, attempts)) = &self.throttled {
            let throttled = RetryPolicy::backoff(waits.backoff()).max_attempts((*attempts).into());
            builder = builder.for_category(Category::RateLimited, throttled);
        }
        match budget {
            Some(budget) => builder.budget(budget.clone()),
            None if self.no_budget => builder.no_budget(),
            None => builder,
        }
    }
}

impl Breaker {
    fn builder(&self) -> CircuitBreakerBuilder {
        let mut builder = set!(
            CircuitBreaker::builder("b"),
            consecutive_failures: self.consecutive,
            minimum_calls: self.minimum,
            max_hint: self.max_hint,
            reset_after: self.reset_after,
        )
        .seed(self.seed);
        if let Some((calls, span)) = self.window {
            let span = span.map(Duration::from);
            builder = builder.window(match (calls.map(u32::from), span) {
                (Some(calls), Some(span)) => Window::last_calls(calls).and_last(span),
                (Some(calls), None) => Window::last_calls(calls),
                (None, span) => Window::last(span.unwrap_or_default()),
            });
        }
        match self.failure_rate {
            None => {}
            Some(None) => builder = builder.no_failure_rate(),
            Some(Some(share)) => builder = builder.failure_rate(share.into()),
        }
        if let Some((limit, share)) = self.slow {
            builder = builder.slow_calls(limit.into(), share.into());
        }
        if self.judge_successes {
            builder = builder.judge_successes();
        }
        match self.abandoned {
            None => {}
            Some(None) => builder = builder.abandoned(Abandoned::AsFailure),
            Some(Some(share)) => builder = builder.abandoned(Abandoned::Rate(share.into())),
        }
        if let Some(waits) = &self.open_for {
            builder = builder.open_for(waits.backoff());
        }
        if let Some((probes, successes, share, lease)) = self.half_open {
            let probes = HalfOpen::probes(probes.into());
            builder =
                builder.half_open(set!(probes, successes: successes, failure_rate: share, lease: lease));
        }
        match self.ramp {
            None => {}
            Some(None) => builder = builder.no_ramp(),
            Some(Some((start, over))) => builder = builder.ramp(Ramp::new(start.into(), over.into())),
        }
        if let Some((probe_in, openings)) = self.restored {
            builder =
                builder.restore(&CircuitSnapshot::open("b", probe_in.map(Duration::from), openings.into()));
        }
        builder
    }
}

impl Slots {
    fn builder(&self) -> BulkheadBuilder {
        set!(Bulkhead::builder(self.slots).queue(self.queue), max_wait: self.max_wait)
    }
}

impl Pause {
    fn builder(&self) -> CooldownBuilder {
        let first = if self.fail_fast { FirstAttempts::FailFast } else { FirstAttempts::Wait };
        set!(Cooldown::builder().first_attempts(first), max: self.max, burst: self.burst)
    }
}

impl Letters {
    fn builder(&self) -> MemoryQueueBuilder {
        let rule = if self.drop_oldest { WhenFull::DropOldest } else { WhenFull::Refuse };
        set!(
            MemoryQueue::builder().when_full(rule),
            capacity: self.capacity,
            max_bytes: self.max_bytes,
            max_payload: self.max_payload,
            time_to_live: self.time_to_live,
            quarantine_after: self.quarantine_after,
        )
    }
}

fn meaning(answer: Answer) -> Classification {
    match answer {
        Answer::Failure(which) => Category::ALL[usize::from(which) % Category::ALL.len()].into(),
        Answer::Hint(hint) => Classification::of(Category::RateLimited).retry_after(hint.into()),
        Answer::Value | Answer::Hangs => Category::Unknown.into(),
    }
}

fn recovery(input: &Input) -> Result<Recovery<Answer>, SettingError> {
    let budget = input.budget.as_ref().map(|budget| budget.builder().build()).transpose()?;
    let mut builder = Recovery::builder("fuzz").classifier(|answer: &Answer| meaning(*answer));
    if let Some(retry) = &input.retry {
        let policy = retry.builder(budget.as_ref());
        builder = match (retry.attempt_timeout, retry.deadline) {
            (None, None) => builder.retry(policy),
            (Some(limit), None) => builder.retry(policy.attempt_timeout(limit.into())),
            (None, Some(limit)) => builder.retry(policy.deadline(limit.into())),
            (Some(attempt), Some(call)) => {
                builder.retry(policy.attempt_timeout(attempt.into()).deadline(call.into()))
            }
        };
    }
    if let Some(breaker) = &input.breaker {
        builder = builder.circuit_breaker(breaker.builder());
    }
    if let Some(bulkhead) = &input.bulkhead {
        builder = builder.bulkhead(bulkhead.builder());
    }
    if let Some(cooldown) = &input.cooldown {
        builder = builder.cooldown(cooldown.builder());
    }
    if let Some(letters) = &input.letters {
        builder = builder.dead_letters_described(letters.builder().build()?, |error| {
            ErrorChain::from_display(&format!("{error:?}"))
        });
    }
    set!(builder, attempt_timeout: input.attempt_timeout, deadline: input.deadline, letter_timeout: input.letter_timeout)
        .build()
}

/// What an attempt does. After the last one that is written every attempt succeeds, so a call ends.
async fn attempt(attempts: &[(Span, Answer)], attempt: Attempt) -> Result<(), Answer> {
    match attempts.get(attempt.number() as usize - 1) {
        None => Ok(()),
        Some((takes, answer)) => {
            let takes = Duration::from(*takes);
            if !takes.is_zero() {
                tokio::time::sleep(takes.min(Duration::from_secs(1 << 30))).await;
            }
            match answer {
                Answer::Value => Ok(()),
                Answer::Hangs => std::future::pending().await,
                failure => Err(*failure),
            }
        }
    }
}

async fn serve(recovery: &Recovery<Answer>, input: &Input) {
    let mut isolation = None;
    for call in input.calls.iter().take(20) {
        if let (Some(breaker), Some(hand)) = (recovery.circuit_breaker(), call.hand) {
            match hand {
                Hand::Open => breaker.force_open(),
                Hand::Close => breaker.force_closed(),
                Hand::Disable => breaker.disable(),
                Hand::Observe => breaker.observe_only(),
                Hand::Automatic => breaker.automatic(),
                Hand::Reset => breaker.reset(),
                Hand::Isolate => isolation = isolation.is_none().then(|| breaker.isolate()),
            }
        }
        let attempts = &call.attempts[..call.attempts.len().min(50)];
        let patience = Duration::from(call.patience).min(Duration::from_secs(1 << 30));
        let made = execute_with_recovery(recovery, |number| attempt(attempts, number));
        if let Ok(Err(error)) = tokio::time::timeout(patience, made).await {
            assert!(!error.to_string().is_empty());
            let _when = error.retry_in();
        }
        if let Some(breaker) = recovery.circuit_breaker() {
            let snapshot = breaker.snapshot();
            assert!(
                snapshot.failures <= snapshot.calls && snapshot.slow_calls <= snapshot.calls,
                "{snapshot:?}"
            );
            assert!((0.0..=1.0).contains(&snapshot.failure_rate()));
        }
        if let Some(bulkhead) = recovery.bulkhead() {
            assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0), "nobody is inside");
        }
        // A bare retry refuses nothing, whatever time it is given.
        let limits =
            [input.attempt_timeout, input.deadline].map(|limit| limit.map_or(Duration::MAX, Duration::from));
        let bare =
            retry_with(|number| attempt(attempts, number)).attempt_timeout(limits[0]).deadline(limits[1]);
        let _answer = tokio::time::timeout(patience, bare).await;
        let once = timeout(limits[0], || std::future::ready(Ok::<_, ()>(7)));
        assert_eq!(once.await, Ok(7), "an answer that is there is given, whatever the limit");
    }
    if let (Some(bulkhead), Some(Some(slots))) =
        (recovery.bulkhead(), input.bulkhead.as_ref().map(|bulkhead| bulkhead.later))
        && let Err(error) = bulkhead.set_slots(slots)
    {
        names_a_setting(&error, &["slots"]);
    }
    if let Some(letters) = recovery.dead_letters() {
        let kept = letters.peek(&LetterFilter::new(), usize::MAX).await.expect("it is in memory");
        let stats = letters.stats().await.expect("it is in memory");
        assert!(kept.len() as u64 <= stats.ready + stats.leased + stats.quarantined, "{stats:?}");
    }
}

fuzz_target!(|input: Input| {
    on_a_paused_clock(async {
        match recovery(&input) {
            Ok(recovery) => {
                assert!(!recovery.to_string().is_empty() && !format!("{recovery:?}").is_empty());
                serve(&recovery, &input).await;
            }
            Err(error) => names_a_setting(&error, &SETTINGS),
        }
    });
});
