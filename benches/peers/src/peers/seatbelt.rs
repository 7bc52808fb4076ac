//! seatbelt: a suite of layers over its own clock; no bulkhead, and one kind of breaker, over time.

use std::time::Duration;

use layered::{Execute, Service, Stack};
use seatbelt::breaker::Breaker;
use seatbelt::retry::Retry;
use seatbelt::timeout::Timeout;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tick::Clock;

use crate::case::{Op, What, Window};
use crate::door::{Door, Idle, idle, leak};
use crate::operation::{FAILS, FINE, Failed, Hangs, Operation, Ready, Yields, now};
use crate::peers::{ATTEMPT_TIMEOUT, healthy};

type Ended = Result<u64, Failed>;

pub(super) fn door(what: What) -> Option<Door> {
    with_clock(what, Clock::new_tokio())
}

/// The clock that seatbelt offers to those whom the exact one costs too much.
pub(super) fn door_with_coarse_clock(what: What) -> Option<Door> {
    match what {
        What::Retry => None, // reads no clock
        _ => with_clock(what, Clock::new_tokio().with_fast_instant(true)),
    }
}

fn with_clock(what: What, clock: Clock) -> Option<Door> {
    let context = &ResilienceContext::new(clock);
    match what {
        What::Retry => {
            let layers = (
                Retry::layer("retry", context)
                    .clone_input()
                    .max_retry_attempts(2)
                    .recovery_with(|e, _| judge(e)),
                Execute::new(Ready::new),
            );
            Some(of(leak(layers.into_service())).note("no budget"))
        }
        What::Breaker(window @ Window::TenSeconds) => {
            let service = leak(breaker(context, 20));
            healthy(window, |fine| {
                let _ = now(service.execute(if fine { FINE } else { FAILS }));
            });
            Some(of(service))
        }
        What::Rejection => {
            let service = leak(breaker(context, 1));
            for _ in 0..3 {
                let _ = now(service.execute(FAILS));
            }
            let rejected = now(service.execute(FINE));
            assert!(matches!(rejected, Err(Failed(REJECTED))), "the circuit is open: {rejected:?}");
            Some(of(service))
        }
        What::Breaker(_) => None,
        What::Pipeline(Op::Ready) => Some(pipeline::<Ready>(context)),
        What::Pipeline(Op::Yields) => Some(pipeline::<Yields>(context)),
        What::Pipeline(Op::Hangs) => Some(pipeline::<Hangs>(context)),
    }
}

const REJECTED: u64 = 503;

fn judge(ended: &Ended) -> RecoveryInfo {
    match ended {
        Ok(_) => RecoveryInfo::never(),
        Err(_) => RecoveryInfo::retry(),
    }
}

fn breaker(context: &ResilienceContext<u64, Ended>, minimum: u32) -> impl Service<u64, Out = Ended> + use<> {
    let layers = (
        Breaker::layer("breaker", context)
            .recovery_with(|ended, _| judge(ended))
            .rejected_input_error(|_, _| Failed(REJECTED))
            .failure_threshold(0.5)
            .min_throughput(minimum)
            .sampling_duration(Duration::from_secs(10))
            .break_duration(Duration::from_secs(3600)),
        Execute::new(Ready::new),
    );
    layers.into_service()
}

fn pipeline<O: Operation>(context: &ResilienceContext<u64, Ended>) -> Door {
    let layers = (
        Retry::layer("retry", context).clone_input().max_retry_attempts(2).recovery_with(|e, _| judge(e)),
        Breaker::layer("breaker", context)
            .recovery_with(|ended, _| judge(ended))
            .rejected_input_error(|_, _| Failed(REJECTED)),
        Timeout::layer("timeout", context).timeout(ATTEMPT_TIMEOUT).timeout_error(|_| Failed(408)),
        Execute::new(O::new),
    );
    of(leak(layers.into_service())).note("no bulkhead")
}

fn of(service: &'static (impl Service<u64, Out = Ended> + 'static)) -> Door {
    Door::shared(move || service.execute(FINE))
}

pub(super) fn idle_breaker(window: Window) -> Option<Idle> {
    if window != Window::TenSeconds {
        return None;
    }
    // One clock for all of them, as in a program.
    let context = ResilienceContext::new(Clock::new_tokio());
    idle(move || breaker(&context, 20))
}
