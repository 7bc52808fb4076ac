//! The breaker against a naive reference, over random settings and random histories.
#![expect(clippy::unwrap_used, reason = "what helps a test panics for it")]

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use proptest::prelude::*;
use recoup::{
    Abandoned, Backoff, CircuitBreaker, CircuitState, Control, HalfOpen, Isolation, Observer, Outcome,
    Permit, Window,
};

use crate::breaker_reference::{Meaning, Reference, Settings, Ticket};
use crate::breaker_watch::{Seen, watch};

#[derive(Clone, Debug)]
enum Step {
    /// Comes in, and goes on.
    Admit,
    /// The call that came in so many calls ago ends.
    Settle(usize, Outcome),
    /// It is dropped.
    Drop(usize),
    /// A call comes in and ends at once.
    Call(Outcome),
    Advance(u64),
    Control(Control),
    Reset,
    Isolate,
    EndIsolation,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Success),
        5 => Just(Outcome::Failure),
        1 => Just(Outcome::Ignored),
        2 => Just(Outcome::Abandoned),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let control = prop_oneof![
        4 => Just(Control::Automatic),
        1 => Just(Control::ForcedOpen),
        1 => Just(Control::ForcedClosed),
        1 => Just(Control::Disabled),
        2 => Just(Control::ObserveOnly),
    ];
    prop_oneof![
        12 => Just(Step::Admit),
        12 => (0_usize..6, outcome()).prop_map(|(which, outcome)| Step::Settle(which, outcome)),
        3 => (0_usize..6).prop_map(Step::Drop),
        16 => outcome().prop_map(Step::Call),
        8 => prop_oneof![1_u64..50, Just(20), Just(100), 50_u64..400].prop_map(Step::Advance),
        2 => control.prop_map(Step::Control),
        1 => Just(Step::Reset),
        1 => Just(Step::Isolate),
        2 => Just(Step::EndIsolation),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![
        (1_u32..12).prop_map(|calls| (Some(calls), None)),
        (1_u64..40).prop_map(|tens| (None, Some(tens * 10))),
        (1_u32..12, 1_u64..40).prop_map(|(calls, tens)| (Some(calls), Some(tens * 10))),
    ];
    let abandoned = prop_oneof![
        Just(Meaning::Ignore),
        Just(Meaning::AllAbandoned),
        Just(Meaning::RatePercent(40)),
        Just(Meaning::AsFailure),
    ];
    let rates = (1_u32..8, prop_oneof![Just(30_u64), Just(50), Just(100)], any::<bool>());
    let slow = proptest::option::of((prop_oneof![Just(20_u64), Just(100), 1_u64..80], Just(50_u64)));
    let probing = (1_u32..6).prop_flat_map(|probes| {
        (
            Just(probes),
            proptest::option::of(1..=probes),
            prop_oneof![Just(0_u32), Just(25), Just(50)],
            1_u64..200,
        )
    });
    (window, rates, slow, proptest::option::of(1_u32..5), abandoned, 1_u64..150, probing).prop_map(
        |(
            (last_calls, last_time),
            (minimum, failure_percent, judge),
            slow,
            consecutive,
            abandoned,
            open_for,
            probing,
        )| {
            let (probes, successes, probe_percent, lease) = probing;
            Settings {
                last_calls,
                last_time,
                minimum: last_calls.map_or(minimum, |calls| minimum.min(calls)),
                failure_percent,
                slow,
                consecutive,
                judge_successes: judge,
                abandoned,
                open_for,
                probes,
                successes,
                probe_percent,
                lease,
            }
        },
    )
}

fn share(percent: u64) -> f64 {
    f64::from(u32::try_from(percent).unwrap()) / 100.0
}

fn build(settings: &Settings, observer: Arc<dyn Observer>) -> CircuitBreaker {
    let ms = Duration::from_millis;
    let window = match (settings.last_calls, settings.last_time) {
        (Some(calls), None) => Window::last_calls(calls),
        (None, Some(span)) => Window::last(ms(span)),
        (calls, span) => Window::last_calls(calls.unwrap()).and_last(ms(span.unwrap())),
    };
    let mut half_open = HalfOpen::probes(settings.probes)
        .failure_rate(share(settings.probe_percent.into()))
        .lease(ms(settings.lease));
    if let Some(successes) = settings.successes {
        half_open = half_open.successes(successes);
    }
    let abandoned = match settings.abandoned {
        Meaning::Ignore => Abandoned::Ignore,
        Meaning::AllAbandoned => Abandoned::AllAbandoned,
        Meaning::RatePercent(percent) => Abandoned::Rate(share(percent)),
        Meaning::AsFailure => Abandoned::AsFailure,
    };
    let mut builder = CircuitBreaker::builder("model")
        .window(window)
        .minimum_calls(settings.minimum)
        .failure_rate(share(settings.failure_percent))
        .abandoned(abandoned)
        .open_for(Backoff::fixed(ms(settings.open_for)))
        .half_open(half_open)
        .no_ramp()
        .observer(observer);
    if let Some((limit, percent)) = settings.slow {
        builder = builder.slow_calls(ms(limit), share(percent));
    }
    if let Some(failures) = settings.consecutive {
        builder = builder.consecutive_failures(failures);
    }
    if settings.judge_successes {
        builder = builder.judge_successes();
    }
    builder.build().unwrap()
}

/// What the events have said so far. Each opening has an end, and nothing is told twice.
struct Told {
    seen: Receiver<Seen>,
    state: CircuitState,
    generation: u64,
    would_have_opened: u32,
}

impl Told {
    fn listen(&mut self) -> Result<(), TestCaseError> {
        for seen in self.seen.try_iter() {
            let (state, generation) = match seen {
                Seen::Opened { generation, .. } => (CircuitState::Open, generation),
                Seen::HalfOpened(generation) => (CircuitState::HalfOpen, generation),
                Seen::Closed(generation) => (CircuitState::Closed, generation),
                Seen::WouldOpen(_) => {
                    self.would_have_opened += 1;
                    continue;
                }
                Seen::HeldClosed(_) => return Err(TestCaseError::fail("it is in no group")),
            };
            prop_assert_ne!(state, self.state, "told twice");
            prop_assert!(generation > self.generation, "{} after {}", generation, self.generation);
            (self.state, self.generation) = (state, generation);
        }
        Ok(())
    }
}

async fn run(settings: Settings, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (observer, seen) = watch();
    let breaker = build(&settings, observer);
    let mut reference = Reference::new(settings);
    let mut told = Told { seen, state: CircuitState::Closed, generation: 0, would_have_opened: 0 };
    let mut running: Vec<(Permit<'_>, Ticket)> = Vec::new();
    let mut isolations: Vec<Isolation> = Vec::new();
    for step in steps {
        match step {
            Step::Admit | Step::Call(_) => {
                let (permit, ticket) = (breaker.admit(), reference.admit());
                prop_assert_eq!(permit.is_ok(), ticket.is_some(), "{:?}", step);
                if let (Ok(permit), Some(ticket)) = (permit, ticket) {
                    if let Step::Call(outcome) = step {
                        permit.settle(outcome);
                        reference.settle(ticket, outcome);
                    } else {
                        running.push((permit, ticket));
                    }
                }
            }
            Step::Settle(which, outcome) if which < running.len() => {
                let (permit, ticket) = running.remove(running.len() - 1 - which);
                permit.settle(outcome);
                reference.settle(ticket, outcome);
            }
            Step::Drop(which) if which < running.len() => {
                let (permit, ticket) = running.remove(running.len() - 1 - which);
                drop(permit);
                reference.settle(ticket, Outcome::Abandoned);
            }
            Step::Settle(..) | Step::Drop(_) => {}
            Step::Advance(millis) => {
                tokio::time::advance(Duration::from_millis(millis)).await;
                reference.now += millis;
            }
            Step::Control(control) => {
                match control {
                    Control::ForcedOpen => breaker.force_open(),
                    Control::ForcedClosed => breaker.force_closed(),
                    Control::Disabled => breaker.disable(),
                    Control::ObserveOnly => breaker.observe_only(),
                    _ => breaker.automatic(),
                }
                reference.take_control(control);
            }
            Step::Reset => {
                breaker.reset();
                reference.reset();
            }
            Step::Isolate => {
                isolations.push(breaker.isolate());
                reference.isolate(isolations.len().try_into().unwrap());
            }
            Step::EndIsolation => {
                isolations.pop();
                reference.isolate(isolations.len().try_into().unwrap());
            }
        }
        told.listen()?;
        let snapshot = breaker.snapshot();
        prop_assert_eq!(snapshot.state, reference.shown(), "{:?}", step);
        prop_assert_eq!(told.state, reference.met(), "{:?}", step);
        prop_assert_eq!(told.would_have_opened, reference.would_have_opened);
        prop_assert_eq!(snapshot.control, reference.control);
        prop_assert_eq!(snapshot.probes, reference.probes(), "{:?}", step);
        prop_assert_eq!(snapshot.consecutive_failures, reference.failures_in_a_row(), "{:?}", step);
        let [calls, failures, slow, _] = reference.shown_window();
        prop_assert_eq!((snapshot.calls, snapshot.failures, snapshot.slow_calls), (calls, failures, slow));
    }
    Ok(())
}

proptest! {
    #[test]
    fn breaker_does_what_a_naive_reference_does(
        settings in settings(),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(settings, steps))?;
    }
}
