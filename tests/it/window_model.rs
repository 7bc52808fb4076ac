//! Windows against a naive recount: everything that ever happened is kept, and counted again at each look.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use std::time::Duration;

use proptest::prelude::*;
use recoup::{Abandoned, CircuitBreaker, Control, Outcome, Permit, Window};

#[derive(Clone, Debug)]
struct Settings {
    window: Kind,
    slow: Option<u64>,
    abandoned: Meaning,
}

/// Times are nanoseconds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Calls(u32),
    Span(u64),
    /// Both; the calls are what a snapshot shows.
    Both(u32, u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Ignore,
    AllAbandoned,
    Rate,
    AsFailure,
}

#[derive(Clone, Debug)]
enum Step {
    /// Comes in, and goes on.
    Admit,
    /// The call that came in so many calls ago ends, however late.
    Settle(usize, Outcome),
    Drop(usize),
    /// So many calls that come in and end at once.
    Burst(Outcome, u32),
    /// A moment passes.
    Advance(u64),
    /// So many hundredths of the window pass, from a part of a slice to many windows.
    Pass(u64),
    /// Forgets everything; who was let in before has no vote.
    Reset,
    /// Held by hand for a moment: nothing is forgotten, but who was let in before has no vote.
    Isolate,
    /// Counts nothing from now on, or again.
    Disable,
    ForceClosed,
}

fn settings() -> impl Strategy<Value = Settings> {
    let size = || prop_oneof![3 => 1_u32..8, 3 => 8_u32..70, 1 => 70_u32..400];
    let ms = 1_000_000_u64;
    let span = || {
        prop_oneof![
            Just(ms),
            (1_u64..200).prop_map(move |tens| tens * 10 * ms),
            Just(3_600_000 * ms),
            // Not to be cut into ten equal parts.
            ms..20 * ms,
        ]
    };
    let window = prop_oneof![
        size().prop_map(Kind::Calls),
        span().prop_map(Kind::Span),
        (size(), span()).prop_map(|(calls, span)| Kind::Both(calls, span)),
    ];
    let abandoned = prop_oneof![
        Just(Meaning::Ignore),
        Just(Meaning::AllAbandoned),
        Just(Meaning::Rate),
        Just(Meaning::AsFailure)
    ];
    let slow = proptest::option::of(prop_oneof![Just(1_u64), 1_u64..50]);
    (window, slow, abandoned).prop_map(move |(window, slow, abandoned)| Settings {
        window,
        slow: slow.map(|millis| millis * ms),
        abandoned,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        5 => Just(Outcome::Success),
        4 => Just(Outcome::Failure),
        1 => Just(Outcome::Ignored),
        2 => Just(Outcome::Abandoned),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Admit),
        16 => (0_usize..8, outcome()).prop_map(|(which, outcome)| Step::Settle(which, outcome)),
        3 => (0_usize..8).prop_map(Step::Drop),
        12 => (outcome(), prop_oneof![6 => Just(1_u32), 2 => 2_u32..20, 1 => 20_u32..200])
            .prop_map(|(outcome, times)| Step::Burst(outcome, times)),
        6 => prop_oneof![1_u64..1_000, 1_000_000_u64..60_000_000].prop_map(Step::Advance),
        8 => prop_oneof![6 => 1_u64..25, 3 => Just(10), 3 => 25_u64..120, 1 => 120_u64..5_000].prop_map(Step::Pass),
        1 => Just(Step::Reset),
        1 => Just(Step::Isolate),
        1 => prop_oneof![Just(Step::Disable), Just(Step::ForceClosed)],
    ]
}

/// One call that was let in.
#[derive(Clone, Copy)]
struct Ticket {
    votes: bool,
    /// What had been changed by hand when it was let in.
    age: u64,
    started: u64,
}

/// One call that has ended, and what there is to say of it.
#[derive(Clone, Copy)]
struct Ended {
    at: u64,
    failed: bool,
    slow: bool,
}

struct Recount {
    settings: Settings,
    now: u64,
    age: u64,
    disabled: bool,
    ended: Vec<Ended>,
}

impl Recount {
    fn admit(&self) -> Ticket {
        Ticket { votes: !self.disabled, age: self.age, started: self.now }
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        if !ticket.votes || ticket.age != self.age {
            return;
        }
        let slow = self.settings.slow.is_some_and(|limit| self.now - ticket.started > limit);
        let counts = match (outcome, self.settings.abandoned) {
            (Outcome::Ignored, _) => false,
            // Its length is known, whatever else is not.
            (Outcome::Abandoned, Meaning::Ignore | Meaning::AllAbandoned) => slow,
            _ => true,
        };
        let as_failure = self.settings.abandoned == Meaning::AsFailure;
        let failed = outcome == Outcome::Failure || outcome == Outcome::Abandoned && as_failure;
        if counts {
            self.ended.push(Ended { at: self.now, failed, slow });
        }
    }

    fn forget(&mut self) {
        self.ended.clear();
        self.age += 1;
    }

    /// Who stands in the window: surely, and perhaps.
    fn window(&self) -> [Vec<Ended>; 2] {
        match self.settings.window {
            Kind::Calls(size) | Kind::Both(size, _) => {
                let first = self.ended.len().saturating_sub(size as usize);
                [self.ended[first..].to_vec(), self.ended[first..].to_vec()]
            }
            Kind::Span(span) if span.is_multiple_of(10) => {
                // In steps of a tenth, counted from when the breaker was made.
                let slice = span / 10;
                let within = |ended: &&Ended| self.now / slice - ended.at / slice < 10;
                let within: Vec<Ended> = self.ended.iter().filter(within).copied().collect();
                [within.clone(), within]
            }
            Kind::Span(span) => {
                let younger = |than: u64| self.ended.iter().filter(move |ended| self.now - ended.at < than);
                [younger(span / 10 * 9).copied().collect(), younger(span + 1).copied().collect()]
            }
        }
    }
}

fn tally(window: &[Ended]) -> [u64; 3] {
    let count = |counts: fn(&Ended) -> bool| window.iter().filter(|ended| counts(ended)).count() as u64;
    [count(|_| true), count(|ended| ended.failed), count(|ended| ended.slow)]
}

fn build(settings: &Settings) -> CircuitBreaker {
    let span = Duration::from_nanos;
    let window = match settings.window {
        Kind::Calls(calls) => Window::last_calls(calls),
        Kind::Span(time) => Window::last(span(time)),
        Kind::Both(calls, time) => Window::last_calls(calls).and_last(span(time)),
    };
    let abandoned = match settings.abandoned {
        Meaning::Ignore => Abandoned::Ignore,
        Meaning::AllAbandoned => Abandoned::AllAbandoned,
        Meaning::Rate => Abandoned::Rate(0.5),
        Meaning::AsFailure => Abandoned::AsFailure,
    };
    let mut builder = CircuitBreaker::builder("window").window(window).minimum_calls(1).abandoned(abandoned);
    if let Some(limit) = settings.slow {
        builder = builder.slow_calls(span(limit), 1.0);
    }
    let breaker = builder.build().unwrap();
    breaker.force_closed(); // counts, and never opens
    breaker
}

async fn pass(recount: &mut Recount, nanos: u64) {
    tokio::time::advance(Duration::from_nanos(nanos)).await;
    recount.now += nanos;
}

async fn run(settings: Settings, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let breaker = build(&settings);
    let mut recount = Recount { settings, now: 0, age: 0, disabled: false, ended: Vec::new() };
    let mut running: Vec<(Permit<'_>, Ticket)> = Vec::new();
    for step in steps {
        match step {
            Step::Admit => running.push((breaker.admit().unwrap(), recount.admit())),
            Step::Settle(which, outcome) if which < running.len() => {
                let (permit, ticket) = running.remove(running.len() - 1 - which);
                permit.settle(outcome);
                recount.settle(ticket, outcome);
            }
            Step::Drop(which) if which < running.len() => {
                let (permit, ticket) = running.remove(running.len() - 1 - which);
                drop(permit);
                recount.settle(ticket, Outcome::Abandoned);
            }
            Step::Settle(..) | Step::Drop(_) => {}
            Step::Burst(outcome, times) => {
                for _ in 0..times {
                    breaker.admit().unwrap().settle(outcome);
                    recount.settle(recount.admit(), outcome);
                }
            }
            Step::Advance(nanos) => pass(&mut recount, nanos).await,
            Step::Pass(hundredths) => {
                let span = match recount.settings.window {
                    Kind::Calls(_) => 1_000_000_000,
                    Kind::Span(span) | Kind::Both(_, span) => span,
                };
                pass(&mut recount, span / 100 * hundredths).await;
            }
            Step::Reset => {
                breaker.reset();
                breaker.force_closed();
                recount.forget();
                recount.disabled = false;
            }
            Step::Isolate => {
                let held = breaker.isolate();
                prop_assert!(breaker.admit().is_err());
                drop(held);
                recount.age += 1;
            }
            Step::Disable if !recount.disabled => {
                breaker.disable();
                recount.age += 1;
                recount.disabled = true;
            }
            Step::ForceClosed if recount.disabled => {
                breaker.force_closed();
                recount.forget();
                recount.disabled = false;
            }
            Step::Disable => breaker.disable(),
            Step::ForceClosed => breaker.force_closed(),
        }
        let snapshot = breaker.snapshot();
        let control = if recount.disabled { Control::Disabled } else { Control::ForcedClosed };
        prop_assert_eq!(snapshot.control, control);
        let shown = [snapshot.calls, snapshot.failures, snapshot.slow_calls];
        let [surely, perhaps] = recount.window().map(|window| tally(&window));
        for (number, shown) in shown.into_iter().enumerate() {
            let (least, most) = (surely[number], perhaps[number]);
            prop_assert!((least..=most).contains(&shown), "{step:?}: {shown} of {surely:?} to {perhaps:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn window_equals_a_naive_recount(
        settings in settings(),
        steps in proptest::collection::vec(step(), 0..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(settings, steps))?;
    }
}
