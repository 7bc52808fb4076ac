//! The retry budget against a naive reference: only calls that succeed, fail, wait and are dropped touch it.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use recoup::{
    Attempt, Category, Classification, Jitter, OnEmptyBudget, Reason, Recovery, RetryBudget, RetryPolicy,
    execute_with_recovery, retry_with,
};

/// Times are microseconds, tokens millionths, so that every number is exact.
const MILLI: u64 = 1_000;
const TOKEN: u64 = 1_000_000;

#[derive(Clone, Debug)]
struct Settings {
    share: u64,
    reserve: u64,
    capacity: u64,
    trickle: Option<u64>,
    /// Of both kinds of calls that share the budget.
    policies: [Policy; 2],
}

#[derive(Clone, Copy, Debug)]
struct Policy {
    attempts: u32,
    delay: u64,
    /// How long it waits for a token.
    patience: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Value,
    Failure,
    /// A failure with a hint of the server.
    ComeBackIn(u64),
    Permanent,
}

#[derive(Clone, Debug)]
enum Step {
    /// A call begins, under one of the policies, through `retry` or a recovery.
    Begin {
        policy: usize,
        recovery: bool,
    },
    /// The attempt of one call ends so.
    End(usize, Answer),
    /// A call of one attempt, from its beginning to its end.
    Whole(Answer),
    Drop(usize),
    Advance(u64),
}

fn settings() -> impl Strategy<Value = Settings> {
    let share = prop_oneof![Just(200_000_u64), Just(1), Just(TOKEN), 1_u64..3 * TOKEN, Just(1_000 * TOKEN)];
    let trickle = proptest::option::of(prop_oneof![1_u64..100, 1_000_u64..60_000, Just(7 * MILLI)]);
    let policy = (1_u32..5, prop_oneof![Just(0_u64), 1_u64..40], proptest::option::of(1_u64..100)).prop_map(
        |(attempts, delay, patience)| Policy {
            attempts,
            delay: delay * MILLI,
            patience: patience.map(|patience| patience * MILLI),
        },
    );
    let room = (1_u64..12).prop_flat_map(|capacity| (0..=capacity, Just(capacity)));
    (share, room, trickle, [policy.clone(), policy]).prop_map(|(share, room, trickle, policies)| Settings {
        share,
        reserve: room.0,
        capacity: room.1,
        trickle,
        policies,
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Value),
        8 => Just(Answer::Failure),
        1 => (1_u64..50).prop_map(|millis| Answer::ComeBackIn(millis * MILLI)),
        1 => Just(Answer::Permanent),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_usize..2, any::<bool>()).prop_map(|(policy, recovery)| Step::Begin { policy, recovery }),
        16 => (0_usize..6, answer()).prop_map(|(which, answer)| Step::End(which, answer)),
        4 => answer().prop_map(Step::Whole),
        3 => (0_usize..6).prop_map(Step::Drop),
        8 => prop_oneof![1_u64..10, 20_u64..60].prop_map(Step::Advance),
    ]
}

/// The store of tokens, written from the documentation.
struct Reference {
    settings: Settings,
    now: u64,
    level: u64,
}

impl Reference {
    fn pay(&mut self, amount: u64) {
        self.level = (self.level + amount).min(self.settings.capacity * TOKEN);
    }

    fn advance(&mut self, by: u64) {
        let periods = |now: u64| self.settings.trickle.map_or(0, |period| now / period);
        let tokens = periods(self.now + by) - periods(self.now);
        self.now += by;
        self.pay(tokens * TOKEN);
    }

    fn take(&mut self) -> bool {
        let there = self.level >= TOKEN;
        self.level -= if there { TOKEN } else { 0 };
        there
    }

    /// When the trickle adds the next one.
    fn next(&self) -> Option<u64> {
        self.settings.trickle.map(|period| (self.now / period + 1) * period)
    }
}

/// One call, as the documentation has it.
struct Call {
    policy: Policy,
    attempts: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// An attempt is under way; a retry holds a token.
    Attempt {
        token: bool,
    },
    /// Waits, with its token.
    Waits {
        until: u64,
    },
    /// Waits until there should be a token, but not past the end of its patience.
    WaitsForToken {
        until: u64,
        no_later_than: u64,
    },
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Value,
    Permanent,
    Attempts,
    Budget,
}

impl Call {
    fn new(policy: Policy) -> Self {
        Self { policy, attempts: 1, stage: Stage::Attempt { token: false } }
    }

    fn end(&mut self, answer: Answer, store: &mut Reference) {
        let Stage::Attempt { token } = self.stage else { return };
        let delay = match answer {
            Answer::Value => {
                store.pay(if token { TOKEN } else { 0 });
                store.pay(store.settings.share);
                self.stage = Stage::Ended(End::Value);
                return;
            }
            Answer::Permanent => {
                self.stage = Stage::Ended(End::Permanent);
                return;
            }
            Answer::Failure => self.policy.delay,
            Answer::ComeBackIn(hint) => hint,
        };
        if self.attempts >= self.policy.attempts {
            self.stage = Stage::Ended(End::Attempts);
            return;
        }
        let until = store.now + delay;
        self.stage = if store.take() {
            Stage::Waits { until }
        } else if let Some(patience) = self.policy.patience {
            Self::wait_for_token(until, store.now + patience, store)
        } else {
            Stage::Ended(End::Budget)
        };
        self.go_on(store);
    }

    fn wait_for_token(until: u64, no_later_than: u64, store: &Reference) -> Stage {
        match store.next() {
            Some(next) if next <= no_later_than => {
                Stage::WaitsForToken { until: until.max(next), no_later_than }
            }
            _ => Stage::Ended(End::Budget),
        }
    }

    /// Looks at the clock.
    fn go_on(&mut self, store: &mut Reference) {
        match self.stage {
            Stage::Waits { until } if store.now >= until => {
                self.attempts += 1;
                self.stage = Stage::Attempt { token: true };
            }
            Stage::WaitsForToken { until, no_later_than } if store.now >= until => {
                if store.take() {
                    self.attempts += 1;
                    self.stage = Stage::Attempt { token: true };
                } else {
                    self.stage = Self::wait_for_token(store.now, no_later_than, store);
                }
            }
            _ => {}
        }
    }

    fn drop(self, store: &mut Reference) {
        if matches!(self.stage, Stage::Attempt { token: true } | Stage::Waits { .. }) {
            store.pay(TOKEN);
        }
    }
}

fn meaning(answer: Answer) -> Classification {
    match answer {
        Answer::Permanent => Category::Validation.into(),
        Answer::ComeBackIn(micros) => {
            Classification::of(Category::RateLimited).retry_after(Duration::from_micros(micros))
        }
        _ => Category::Network.into(),
    }
}

/// Both doors, over one budget.
struct Doors {
    budget: RetryBudget,
    policies: [RetryPolicy; 2],
    recoveries: [Recovery<Answer>; 2],
}

impl Doors {
    fn new(settings: &Settings) -> Self {
        let micros = |micros: u64| Duration::from_micros(micros);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let share = settings.share as f64 / TOKEN as f64;
        let budget = RetryBudget::builder()
            .share(share)
            .reserve(settings.reserve.try_into().unwrap())
            .capacity(settings.capacity.try_into().unwrap())
            .trickle(settings.trickle.map_or(Duration::MAX, micros))
            .build()
            .unwrap();
        let policies = settings.policies.map(|policy| {
            let patience =
                policy.patience.map_or(OnEmptyBudget::Fail, |most| OnEmptyBudget::Wait(micros(most)));
            RetryPolicy::fixed(micros(policy.delay))
                .jitter(Jitter::None)
                .max_attempts(policy.attempts)
                .budget(budget.clone())
                .on_empty_budget(patience)
                .build()
                .unwrap()
        });
        let recoveries = policies.clone().map(|policy| {
            let builder = Recovery::builder("model").classifier(|answer: &Answer| meaning(*answer));
            builder.retry(policy).build().unwrap()
        });
        Self { budget, policies, recoveries }
    }
}

struct Running<'d> {
    future: Pin<Box<dyn Future<Output = Option<End>> + 'd>>,
    /// What the attempt under way will answer when it is polled.
    answer: Rc<RefCell<Option<Answer>>>,
    attempts: Rc<Cell<u32>>,
    reference: Call,
}

impl<'d> Running<'d> {
    fn new(doors: &'d Doors, settings: &Settings, policy: usize, recovery: bool) -> Self {
        let (answer, attempts) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        let (given, made) = (Rc::clone(&answer), Rc::clone(&attempts));
        let op = move |attempt: Attempt| {
            made.set(attempt.number());
            let given = Rc::clone(&given);
            poll_fn(move |_| match given.borrow_mut().take() {
                None => Poll::Pending,
                Some(Answer::Value) => Poll::Ready(Ok(())),
                Some(other) => Poll::Ready(Err(other)),
            })
        };
        let classifier = |answer: &Answer| meaning(*answer);
        let future: Pin<Box<dyn Future<Output = Option<End>>>> = if recovery {
            let call = execute_with_recovery(&doors.recoveries[policy], op);
            Box::pin(async move {
                Some(match call.await.map_err(|error| error.reason().clone()) {
                    Ok(()) => End::Value,
                    Err(Reason::Permanent) => End::Permanent,
                    Err(Reason::AttemptsExhausted) => End::Attempts,
                    Err(Reason::BudgetExhausted) => End::Budget,
                    Err(other) => panic!("{other}"),
                })
            })
        } else {
            // It gives the operation's own error, which does not say why.
            Box::pin(async move {
                let call = retry_with(op).policy(&doors.policies[policy]).classifier(&classifier);
                call.await.ok().map(|()| End::Value)
            })
        };
        Self { future, answer, attempts, reference: Call::new(settings.policies[policy]) }
    }

    /// Polls it as the runtime would. `false` when it has ended.
    fn poll(&mut self) -> Result<bool, TestCaseError> {
        let ended = self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        prop_assert_eq!(self.attempts.get(), self.reference.attempts);
        match (ended, self.reference.stage) {
            (Poll::Ready(Some(end)), Stage::Ended(expected)) => prop_assert_eq!(end, expected),
            (Poll::Ready(None), Stage::Ended(expected)) => prop_assert_ne!(expected, End::Value),
            (Poll::Pending, Stage::Ended(expected)) => prop_assert!(false, "goes on after {:?}", expected),
            (Poll::Ready(end), stage) => prop_assert!(false, "ended with {:?} in {:?}", end, stage),
            (Poll::Pending, _) => return Ok(true),
        }
        Ok(false)
    }
}

async fn run(settings: Settings, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let doors = Doors::new(&settings);
    let mut store = Reference { level: settings.reserve * TOKEN, settings: settings.clone(), now: 0 };
    let mut calls: Vec<Running<'_>> = Vec::new();
    for step in steps {
        match step {
            Step::Begin { policy, recovery } => {
                let mut call = Running::new(&doors, &settings, policy, recovery);
                prop_assert!(call.poll()?);
                calls.push(call);
            }
            Step::Whole(answer) => {
                let mut call = Running::new(&doors, &settings, 0, true);
                prop_assert!(call.poll()?);
                *call.answer.borrow_mut() = Some(answer);
                call.reference.end(answer, &mut store);
                if call.poll()? {
                    call.reference.drop(&mut store);
                }
            }
            Step::End(which, answer) if which < calls.len() => {
                let call = &mut calls[which];
                if matches!(call.reference.stage, Stage::Attempt { .. }) {
                    *call.answer.borrow_mut() = Some(answer);
                    call.reference.end(answer, &mut store);
                    if !call.poll()? {
                        calls.remove(which);
                    }
                }
            }
            Step::Drop(which) if which < calls.len() => {
                let Running { future, reference, .. } = calls.remove(which);
                drop(future);
                reference.drop(&mut store);
            }
            Step::End(..) | Step::Drop(_) => {}
            Step::Advance(millis) => {
                tokio::time::advance(Duration::from_millis(millis)).await;
                store.advance(millis * MILLI);
                // Who waited longest is polled first, in the model as in the world.
                let mut going_on = Vec::new();
                for mut call in calls {
                    call.reference.go_on(&mut store);
                    if call.poll()? {
                        going_on.push(call);
                    }
                }
                calls = going_on;
            }
        }
        prop_assert_eq!(u64::from(doors.budget.tokens()), store.level / TOKEN, "after {:?}", step);
    }
    Ok(())
}

proptest! {
    #[test]
    fn budget_holds_what_a_naive_reference_holds(
        settings in settings(),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(settings, steps))?;
    }
}
