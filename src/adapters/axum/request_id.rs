//! The id by which a request is found again.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::random::Dice;

/// The header that carries a request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id by which a request is found again: in its answer, in alerts, in the calls that it causes.
///
/// An [`ErrorLayer`](super::ErrorLayer) takes it from the request's `x-request-id` if that is well-formed: 1 to
/// 128 letters, digits and `-_.:/+=@` of ASCII. Else it makes one of 128 random bits, as 32 hexadecimal digits.
/// It hands it on in the request's header and extensions, and sends it back.
///
/// Handlers take it as an argument; without a layer it is a new one.
///
/// ```
/// use recoup::CallContext;
/// use recoup::axum::RequestId;
///
/// async fn handler(id: RequestId) -> String {
///     let call = CallContext::new("charge").correlation_id(id.as_str());
///     format!("{id}")
/// }
/// # let _ = handler;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that a request came with, if it has exactly one and that is well-formed.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(X_REQUEST_ID).iter();
        let (id, None) = (all.next()?.to_str().ok()?, all.next()) else { return None };
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
        ((1..=128).contains(&id.len()) && id.bytes().all(known)).then(|| Self(Arc::from(id)))
    }

    pub(super) fn new() -> Self {
        Self(format!("{:032x}", Dice::Fresh.bits()).into())
    }

    /// Of a request that nobody gave one to.
    pub(super) fn none() -> Self {
        Self(Arc::from(""))
    }

    /// As the value of a header; none if it is empty.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok().filter(|value| !value.is_empty())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let given = parts.extensions.get::<Self>().cloned();
        Ok(given.or_else(|| Self::of(&parts.headers)).unwrap_or_else(Self::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::of(&headers).map(|id| id.to_string())
    }

    #[test]
    fn id_is_taken_only_if_it_is_well_formed_and_the_only_one() {
        assert_eq!(of(&[b"8f-14:e_45/f+c=e@a."]).as_deref(), Some("8f-14:e_45/f+c=e@a."));
        assert_eq!(of(&[&[b'a'; 128]]).unwrap().len(), 128);
        for bad in [&b""[..], b"two words", b"<script>", b"\"", b"a\tb", b"caf\xc3\xa9", &[b'a'; 129]] {
            assert_eq!(of(&[bad]), None, "{bad:?}");
        }
        assert_eq!(of(&[b"one", b"two"]), None, "which of them is nobody's guess");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn made_id_is_well_formed_and_new() {
        let (one, other) = (RequestId::new(), RequestId::new());
        assert_eq!((one.as_str().len(), one == other), (32, false));
        let headers = HeaderMap::from_iter([(X_REQUEST_ID, one.header().unwrap())]);
        assert_eq!(RequestId::of(&headers), Some(one));
        assert_eq!(RequestId::none().header(), None);
    }
}
