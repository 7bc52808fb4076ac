//! failsafe: a breaker over a run of failures, or over an average that fades.

use std::time::Duration;

use failsafe::futures::CircuitBreaker;
use failsafe::{Config, FailurePolicy, StateMachine, backoff, failure_policy};

use crate::case::{What, Window};
use crate::door::{Door, Idle, idle, leak};
use crate::operation::{FAILS, FINE, Operation, Ready, now};
use crate::peers::healthy;

pub(super) fn door(what: What) -> Option<Door> {
    match what {
        What::Breaker(Window::Run) => Some(closed(Window::Run, run(5))),
        What::Breaker(Window::TenSeconds) => {
            Some(closed(Window::TenSeconds, average()).note("an average, no window"))
        }
        What::Rejection => {
            let breaker = leak(run(1));
            drop(now(breaker.call(Ready::new(FAILS))));
            let rejected = now(breaker.call(Ready::new(FINE)));
            assert!(matches!(rejected, Err(failsafe::Error::Rejected)), "the circuit is open");
            Some(Door::shared(move || breaker.call(Ready::new(FINE))))
        }
        _ => None,
    }
}

fn closed<P>(window: Window, breaker: StateMachine<P, ()>) -> Door
where
    P: FailurePolicy + Send + Sync + 'static,
{
    let breaker = leak(breaker);
    healthy(window, |fine| {
        drop(now(breaker.call(Ready::new(if fine { FINE } else { FAILS }))));
    });
    Door::shared(move || breaker.call(Ready::new(FINE)))
}

type Run = failure_policy::ConsecutiveFailures<backoff::Constant>;
type Average = failure_policy::SuccessRateOverTimeWindow<backoff::Constant>;

fn run(failures: u32) -> StateMachine<Run, ()> {
    let hour = backoff::constant(Duration::from_secs(3600));
    Config::new().failure_policy(failure_policy::consecutive_failures(failures, hour)).build()
}

fn average() -> StateMachine<Average, ()> {
    let (window, hour) = (Duration::from_secs(10), backoff::constant(Duration::from_secs(3600)));
    Config::new().failure_policy(failure_policy::success_rate_over_time_window(0.5, 20, window, hour)).build()
}

pub(super) fn idle_breaker(window: Window) -> Option<Idle> {
    match window {
        Window::Run => idle(|| run(5)),
        Window::TenSeconds => idle(average),
        Window::Calls(_) => None,
    }
}
