//! How a rejection is written.

use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::report::Report;
use super::status::overloaded;

type Own = Arc<dyn Fn(&Report<'_>) -> Response<Body> + Send + Sync>;

/// How a [`Rejection`](super::Rejection) is written. Default: [`problem`](Self::problem).
///
/// ```
/// use recoup::axum::{ErrorLayer, Format};
/// let layer = ErrorLayer::new().format(Format::anthropic());
/// # let _ = layer;
/// ```
#[derive(Clone, Default)]
pub struct Format(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Problem,
    ProblemTypes(Arc<str>),
    Anthropic,
    Own(Own),
}

impl Format {
    /// `application/problem+json` of RFC 9457. Its `type` is `about:blank`, so its `title` is the status in words;
    /// `detail` and `instance`, which is the request's path, are there when they are known. Beside them
    /// stand, each if it is known:
    ///
    /// | member | what it is |
    /// |---|---|
    /// | `category` | what kind of trouble, by [`Category::name`](crate::Category::name) |
    /// | `reason` | why, in one word: [`Rejection::reason`](super::Rejection::reason) |
    /// | `policy` | who refused or gave up |
    /// | `attempts` | how many were made |
    /// | `retry_after_ms` | when to come back, in milliseconds, rounded up |
    /// | `request_id` | by what to ask for it |
    /// | `dead_letter` | the number of its letter |
    /// | `errors` | the chain of errors, only in development |
    ///
    /// and what was [added](super::Rejection::member).
    #[must_use]
    pub const fn problem() -> Self {
        Self(Kind::Problem)
    }

    /// The same, with a `type` of one's own: `base` and the reason, as in
    /// `https://errors.example/circuit_open`.
    #[must_use]
    pub fn problem_types(base: impl Into<Arc<str>>) -> Self {
        Self(Kind::ProblemTypes(base.into()))
    }

    /// As Anthropic's API answers (docs.anthropic.com, "Errors"):
    /// `{"type":"error","error":{"type":"overloaded_error","message":"…"},"request_id":"…"}`.
    ///
    /// | status | becomes | type |
    /// |---|---|---|
    /// | 401 | 401 | `authentication_error` |
    /// | 403 | 403 | `permission_error` |
    /// | 404 | 404 | `not_found_error` |
    /// | 413 | 413 | `request_too_large` |
    /// | 429 | 429 | `rate_limit_error` |
    /// | other 4xx | itself | `invalid_request_error` |
    /// | 503, 504, 529 | 529 | `overloaded_error` |
    /// | other 5xx | 500 | `api_error` |
    ///
    /// The request's id is in the header `request-id` too. In development the chain of errors stands in
    /// `error.details`.
    #[must_use]
    pub const fn anthropic() -> Self {
        Self(Kind::Anthropic)
    }

    /// One's own. `Retry-After` and `x-request-id` are added if it did not set them. In production it should
    /// show nothing of [`Rejection::errors`](super::Rejection::errors).
    #[must_use]
    pub fn own<F>(write: F) -> Self
    where
        F: Fn(&Report<'_>) -> Response<Body> + Send + Sync + 'static,
    {
        Self(Kind::Own(Arc::new(write)))
    }

    pub(super) fn response(&self, report: &Report<'_>) -> Response<Body> {
        let mut response = match &self.0 {
            Kind::Problem => problem(report, "about:blank".to_owned()),
            Kind::ProblemTypes(base) => problem(report, format!("{base}{}", report.rejection.reason())),
            Kind::Anthropic => anthropic(report),
            Kind::Own(write) => write(report),
        };
        if let Some(seconds) = report.retry_after_seconds() {
            response.headers_mut().entry(RETRY_AFTER).or_insert(seconds.into());
        }
        if let Some(id) = report.request_id.header() {
            response.headers_mut().entry(super::request_id::X_REQUEST_ID).or_insert(id);
        }
        response
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Problem => "Format::problem()",
            Kind::ProblemTypes(_) => "Format::problem_types(..)",
            Kind::Anthropic => "Format::anthropic()",
            Kind::Own(_) => "Format::own(..)",
        })
    }
}

fn answer(status: StatusCode, media_type: &'static str, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn problem(report: &Report<'_>, kind: String) -> Response<Body> {
    let rejection = report.rejection;
    let mut members = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.entry(name).or_insert(value);
        }
    };
    say("type", Some(kind.into()));
    say("title", report.status.canonical_reason().map(Value::from));
    say("status", Some(report.status.as_u16().into()));
    say("detail", Some(report.to_string().into()));
    say("instance", Some(report.path).filter(|path| !path.is_empty()).map(Value::from));
    say("category", Some(rejection.category().name().into()));
    say("reason", Some(rejection.reason().into()));
    say("policy", rejection.policy().map(Value::from));
    say("attempts", rejection.attempts().map(Value::from));
    let milliseconds = |wait: std::time::Duration| wait.as_nanos().div_ceil(1_000_000);
    let wait = report.retry_in().map(|wait| u64::try_from(milliseconds(wait)).unwrap_or(u64::MAX));
    say("retry_after_ms", wait.map(Value::from));
    say("request_id", Some(report.request_id()).filter(|id| !id.is_empty()).map(Value::from));
    say("dead_letter", rejection.dead_letter().map(|letter| letter.to_string().into()));
    let errors = report.errors();
    say("errors", (!errors.is_empty()).then(|| errors.into()));
    for (name, value) in rejection.members() {
        say(name, Some(value.into()));
    }
    answer(report.status, "application/problem+json", &Value::Object(members))
}

fn anthropic(report: &Report<'_>) -> Response<Body> {
    let (status, kind) = match report.status.as_u16() {
        401 => (report.status, "authentication_error"),
        403 => (report.status, "permission_error"),
        404 => (report.status, "not_found_error"),
        413 => (report.status, "request_too_large"),
        429 => (report.status, "rate_limit_error"),
        503 | 504 | 529 => (overloaded(), "overloaded_error"),
        500.. => (StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
        _ => (report.status, "invalid_request_error"),
    };
    let mut body = json!({ "type": "error", "error": { "type": kind, "message": report.to_string() } });
    let errors = report.errors();
    if !errors.is_empty() {
        body["error"]["details"] = errors.into();
    }
    let mut response = match report.request_id() {
        "" => answer(status, "application/json", &body),
        id => {
            body["request_id"] = id.into();
            answer(status, "application/json", &body)
        }
    };
    if let Some(id) = report.request_id.header() {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    response
}
