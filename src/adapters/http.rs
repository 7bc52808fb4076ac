//! Calls of HTTP: what may be sent twice, when to come back, and what counts as whose fault.
//!
//! The rules of the protocol, for every client that speaks it with the types of the crate `http`. The modules
//! for `tower` and `reqwest` apply them; this one has them to use alone.
//!
//! # Responses
//!
//! [`Responses`] says of a response whether it is a failure. What it says of nothing, it takes for good:
//!
//! | status | category | retried | counted |
//! |---|---|---|---|
//! | 408 | timeout | yes | failure |
//! | 425 | service unavailable | yes | nowhere |
//! | 429 | rate limited | yes | failure |
//! | 500 | external service | yes | failure |
//! | 501 | validation | no | nowhere |
//! | 502 | external service | yes | failure |
//! | 503 | service unavailable | yes | failure |
//! | 504 | timeout | yes | failure |
//! | 505 | validation | no | nowhere |
//! | 529 | service unavailable | yes | failure |
//! | other 5xx, 600 to 999 | external service | yes | failure |
//! | other 4xx | none: an answer | no | success |
//! | 1xx to 3xx | none: good | no | success |
//!
//! "Retried" is only said of the error: [`may_repeat`] says whether this request may be sent twice. A
//! `Retry-After` is obeyed wherever it says yes.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use http::{HeaderMap, Method, StatusCode};
//! use recoup::CannotRepeat;
//! use recoup::http::{IDEMPOTENCY_KEY, Responses, may_repeat};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("retry-after", "2".parse()?);
//! let failed = Responses::new().judge(StatusCode::SERVICE_UNAVAILABLE, &headers, b"").unwrap();
//! assert_eq!(failed.hint(), Some(std::time::Duration::from_secs(2)));
//!
//! let mut request = HeaderMap::new();
//! assert_eq!(may_repeat(&Method::POST, &request, &failed), Err(CannotRepeat::NotIdempotent));
//! request.insert(IDEMPOTENCY_KEY, "order 7".parse()?);
//! assert_eq!(may_repeat(&Method::POST, &request, &failed), Ok(()));
//! # Ok(()) }
//! ```
//!
//! # Requests
//!
//! [`Outgoing`] is one request that can be sent again: same head, same key, same body. A
//! [`FreshBody`] is made anew for each attempt. [`CallOptions`] in the
//! request's extensions bend one call.
//!
//! # Errors
//!
//! [`HttpErrors`] knows what the errors of clients such as hyper and reqwest are.

mod answer;
mod body_error;
mod errors;
mod fresh;
mod kept;
mod options;
mod outgoing;
mod peek;
mod provider;
mod repeat;
mod replay;
mod requests;
mod responses;
mod retry_after;
mod trace;

pub use self::body_error::BodyError;
pub use self::errors::HttpErrors;
pub use self::fresh::FreshBody;
pub use self::options::CallOptions;
pub use self::outgoing::Outgoing;
pub use self::peek::{Peek, Peeked, peek};
pub use self::repeat::{IDEMPOTENCY_KEY, is_idempotent, may_repeat};
pub use self::replay::ReplayBody;
pub use self::requests::Requests;
pub use self::responses::Responses;
pub use self::retry_after::retry_after;
pub use self::trace::{InvalidTraceParent, TraceParent};
