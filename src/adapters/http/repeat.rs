//! What may be sent twice.

use http::header::HeaderName;
use http::{HeaderMap, Method};

use crate::classification::Classification;
use crate::error::CannotRepeat;

/// The header by whose value a server knows a request that it has done already:
/// draft-ietf-httpapi-idempotency-key-header.
///
/// ```
/// assert_eq!(recoup::http::IDEMPOTENCY_KEY, "idempotency-key");
/// ```
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether a request may be done twice without harm: its method is idempotent (RFC 9110, section 9.2.2: GET,
/// HEAD, OPTIONS, TRACE, PUT, DELETE), or it has an [`IDEMPOTENCY_KEY`] that is not empty.
///
/// ```
/// use http::{HeaderMap, Method};
/// use recoup::http::{IDEMPOTENCY_KEY, is_idempotent};
///
/// let mut headers = HeaderMap::new();
/// assert!(is_idempotent(&Method::PUT, &headers));
/// assert!(!is_idempotent(&Method::POST, &headers));
/// headers.insert(IDEMPOTENCY_KEY, "order-7".parse().unwrap());
/// assert!(is_idempotent(&Method::POST, &headers));
/// ```
#[must_use]
pub fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.get_all(IDEMPOTENCY_KEY).iter().any(|key| !key.is_empty())
}

/// Whether a request may be sent again after an attempt that failed like this: because it
/// [is idempotent](is_idempotent), or because the attempt was surely
/// [not processed](Classification::is_unprocessed).
///
/// ```
/// use http::{HeaderMap, Method};
/// use recoup::{CannotRepeat, Category, Classification, http::may_repeat};
///
/// let (none, lost) = (HeaderMap::new(), Classification::of(Category::Network));
/// assert_eq!(may_repeat(&Method::GET, &none, &lost), Ok(()));
/// assert_eq!(may_repeat(&Method::POST, &none, &lost), Err(CannotRepeat::NotIdempotent));
/// assert_eq!(may_repeat(&Method::POST, &none, &lost.unprocessed()), Ok(()));
/// ```
///
/// # Errors
///
/// [`CannotRepeat::NotIdempotent`].
pub fn may_repeat(method: &Method, headers: &HeaderMap, failed: &Classification) -> Result<(), CannotRepeat> {
    if failed.is_unprocessed() || is_idempotent(method, headers) {
        return Ok(());
    }
    Err(CannotRepeat::NotIdempotent)
}
