//! What a call holds while it is served.

use http::HeaderMap;
use http::response::Parts;
use tonic::{Code, Status};

use super::Refusal;
use crate::bulkhead::OwnedSlot;
use crate::classification::Outcome;
use crate::concurrency_limit::OwnedInFlight;
use crate::load_shedder::Serving;

/// The slots of one call. Dropped, they come back and tell nothing.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) in_flight: Option<OwnedInFlight>,
    pub(super) _serving: Option<Serving>,
    pub(super) _slot: Option<OwnedSlot>,
}

impl Held {
    /// Gives everything back, and tells the concurrency limit how the call ended.
    pub(super) fn settle(self, outcome: Outcome) {
        if let Some(in_flight) = self.in_flight {
            in_flight.settle(outcome);
        }
    }
}

/// Whether the head of an answer is all of it: the status is there already.
pub(super) fn is_trailers_only(parts: &Parts) -> bool {
    parts.headers.contains_key("grpc-status")
}

/// What the head of an answer says of the load: trailers only, or that a good answer begins.
pub(super) fn of_head(parts: &Parts) -> Outcome {
    if parts.extensions.get::<Refusal>().is_some() || !parts.status.is_success() {
        return Outcome::Ignored;
    }
    Status::from_header_map(&parts.headers).map_or(Outcome::Success, |status| of_code(status.code()))
}

/// What the trailers of an answer say. A stream without a status broke off.
pub(super) fn of_trailers(trailers: &HeaderMap) -> Outcome {
    Status::from_header_map(trailers).map_or(Outcome::Ignored, |status| of_code(status.code()))
}

fn of_code(code: Code) -> Outcome {
    match code {
        Code::Ok => Outcome::Success,
        Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded => Outcome::Failure,
        _ => Outcome::Ignored,
    }
}
