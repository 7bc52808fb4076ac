//! How each library does what is measured: one module each.

mod backon;
mod by_hand;
mod failsafe;
mod floor;
mod recloser;
mod recoup;
mod seatbelt;
mod tokio_retry;
mod tower;
mod tower_resilience;

use crate::case::{What, Window};
use crate::door::{Door, Idle};

/// What stands where in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// recoup.
    Recoup,
    /// A released library, or several put together by hand.
    Peer,
    /// Written by hand, without settings: what cannot be beaten.
    Floor,
}

/// Who is measured.
pub struct Subject {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it stands in the table.
    pub role: Role,
    /// How it makes such a call, if it can.
    pub door: fn(What) -> Option<Door>,
    /// How it makes such a breaker, if it can.
    pub idle: fn(Window) -> Option<Idle>,
}

const fn peer(
    name: &'static str,
    door: fn(What) -> Option<Door>,
    idle: fn(Window) -> Option<Idle>,
) -> Subject {
    Subject { name, role: Role::Peer, door, idle }
}

fn no_breaker(_: Window) -> Option<Idle> {
    None
}

/// The suites that have columns of their own.
pub const SUITES: [&str; 2] = ["seatbelt", "tower-resilience"];

/// Everybody.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "recoup", role: Role::Recoup, door: recoup::door, idle: recoup::idle_breaker },
    peer("backon", backon::door, no_breaker),
    peer("tokio-retry", tokio_retry::door, no_breaker),
    peer("tower", tower::door, no_breaker),
    peer("recloser", recloser::door, recloser::idle_breaker),
    peer("failsafe", failsafe::door, failsafe::idle_breaker),
    peer(SUITES[0], seatbelt::door, seatbelt::idle_breaker),
    peer("seatbelt, coarse clock", seatbelt::door_with_coarse_clock, no_breaker),
    peer(SUITES[1], tower_resilience::door, tower_resilience::idle_breaker),
    peer("by hand", by_hand::door, no_breaker),
    Subject { name: "floor", role: Role::Floor, door: floor::door, idle: floor::idle_breaker },
];

/// More slots than calls, so that no call waits for one.
const SLOTS: usize = 1_000_000;

/// Far longer than any call.
const ATTEMPT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// Gives a breaker a past: as many calls as its window holds, of which one in a hundred failed.
fn healthy(window: Window, mut call: impl FnMut(bool)) {
    let calls = match window {
        Window::Run => 10,
        Window::Calls(calls) => calls,
        Window::TenSeconds => 1_000,
    };
    (1..=calls).for_each(|number| call(number % 100 != 0));
}
