//! recloser: a breaker over the last n calls.

use std::time::Duration;

use recloser::{AsyncRecloser, Recloser};

use crate::case::{What, Window};
use crate::door::{Door, Idle, idle, leak};
use crate::operation::{FAILS, FINE, Operation, Ready, now};
use crate::peers::healthy;

pub(super) fn door(what: What) -> Option<Door> {
    match what {
        What::Breaker(window @ Window::Calls(calls)) => {
            let breaker = leak(breaker(calls));
            healthy(window, |fine| {
                drop(now(breaker.call(Ready::new(if fine { FINE } else { FAILS }))));
            });
            Some(Door::shared(move || breaker.call(Ready::new(FINE))))
        }
        What::Rejection => {
            let breaker = leak(breaker(1));
            for _ in 0..3 {
                drop(now(breaker.call(Ready::new(FAILS))));
            }
            let rejected = now(breaker.call(Ready::new(FINE)));
            assert!(matches!(rejected, Err(recloser::Error::Rejected)), "the circuit is open");
            Some(Door::shared(move || breaker.call(Ready::new(FINE))))
        }
        _ => None,
    }
}

pub(super) fn breaker(calls: u32) -> AsyncRecloser {
    let calls = usize::try_from(calls).expect("a number of calls");
    Recloser::custom().error_rate(0.5).closed_len(calls).open_wait(Duration::from_secs(3600)).build().into()
}

pub(super) fn idle_breaker(window: Window) -> Option<Idle> {
    match window {
        Window::Calls(calls) => idle(move || breaker(calls)),
        Window::Run | Window::TenSeconds => None,
    }
}
