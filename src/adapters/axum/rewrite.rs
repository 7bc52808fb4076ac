//! What stays of an answer that is written anew.

use axum_core::body::Body;
use axum_core::response::Response;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;

use super::rejection::Rejection;

/// Stands in the extensions of an answer that an `ErrorLayer` has seen to: one further out lets it pass, and tells
/// nobody again.
#[derive(Clone, Copy)]
pub(super) struct SeenTo {
    /// The status before the format changed it.
    pub(super) status: StatusCode,
    /// Whether there were alerts to be told.
    pub(super) is_told: bool,
}

pub(super) fn seen_to(response: &Response<Body>) -> Option<SeenTo> {
    response.extensions().get::<SeenTo>().copied()
}

pub(super) fn see_to(response: &mut Response<Body>, seen: SeenTo) {
    response.extensions_mut().insert(seen);
}

/// Whether it surely has no body.
pub(super) fn is_bare(response: &Response<Body>) -> bool {
    response.body().size_hint().exact() == Some(0)
}

/// The answer `after`, with what a handler has put around the answer `before` that it stands for. `own_hint` is
/// the `Retry-After` that nobody but the rejection put there.
pub(super) fn over(before: Response<Body>, after: Response<Body>, own_hint: Option<u64>) -> Response<Body> {
    let (mut kept, _) = before.into_parts();
    let (after, body) = after.into_parts();
    for about_the_body in
        [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, TRANSFER_ENCODING]
    {
        kept.headers.remove(about_the_body);
    }
    if own_hint.is_some_and(|hint| kept.headers.get(RETRY_AFTER) == Some(&HeaderValue::from(hint))) {
        kept.headers.remove(RETRY_AFTER);
    }
    for name in
        after.headers.keys().filter(|name| !kept.headers.contains_key(*name)).cloned().collect::<Vec<_>>()
    {
        for value in after.headers.get_all(&name) {
            kept.headers.append(name.clone(), value.clone());
        }
    }
    kept.status = after.status;
    kept.extensions.extend(after.extensions);
    Response::from_parts(kept, body)
}

/// What was rejected, for a layer further out that judges answers.
pub(super) fn remember(response: &mut Response<Body>, rejection: &Rejection) {
    response.extensions_mut().insert(rejection.clone());
}
