//! What each status means, if nobody says otherwise.

use http::StatusCode;

use crate::classification::{Category, Classification, Health};

/// `None` for what is good, and for answers that are our own affair.
pub(super) fn by_status(status: StatusCode) -> Option<Classification> {
    let answer = match status.as_u16() {
        ..=407 | 409..=424 | 426..=428 | 430..=499 => return None,
        408 | 504 => Category::Timeout.into(),
        // The server would not risk to do early data twice (RFC 8470): nothing was done, and nothing is wrong.
        425 => {
            Classification::of(Category::ServiceUnavailable).counts_as(Health::Ignored).unprocessed().retry()
        }
        429 => Category::RateLimited.into(),
        501 | 505 => Category::Validation.into(),
        503 | 529 => Category::ServiceUnavailable.into(),
        // What is no valid status is to be treated as one of 5xx (RFC 9110, section 15).
        500 | 502 | 506.. => Category::ExternalService.into(),
    };
    Some(answer.status(status.as_u16()))
}
