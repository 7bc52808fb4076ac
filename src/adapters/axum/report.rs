//! What a format writes about.

use std::time::Duration;

use http::{Method, StatusCode};

use super::rejection::Rejection;
use super::request_id::RequestId;

/// A rejection with the request that it answers: what a [`Format`](super::Format) is given.
///
/// ```
/// # use axum_core::response::IntoResponse;
/// use recoup::axum::{Format, Report};
/// let plain = Format::own(|report: &Report<'_>| {
///     (report.status(), format!("{report}, see {}", report.request_id())).into_response()
/// });
/// # let _ = plain;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    pub(super) rejection: &'a Rejection,
    pub(super) status: StatusCode,
    pub(super) request_id: &'a RequestId,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) development: bool,
}

impl<'a> Report<'a> {
    /// Why the request is not served. Its [`errors`](Rejection::errors) are for nobody outside; see
    /// [`Report::errors`].
    pub const fn rejection(&self) -> &'a Rejection {
        self.rejection
    }

    /// The status that was decided on.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The request's id; empty where no [`ErrorLayer`](super::ErrorLayer) gave it one.
    #[must_use]
    pub fn request_id(&self) -> &'a str {
        self.request_id.as_str()
    }

    /// The request's method; `GET` where no layer has seen it.
    #[must_use]
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// The request's path, without its query; empty where no layer has seen it.
    #[must_use]
    pub const fn path(&self) -> &'a str {
        self.path
    }

    /// Whether details may be shown.
    #[must_use]
    pub const fn is_development(&self) -> bool {
        self.development
    }

    /// The texts of the error behind it and of its sources, in development; in production none.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        if self.development { self.rejection.errors() } else { Vec::new() }
    }

    /// When it is worth asking again, if the answer is one that says so: 429, 503, 529.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.rejection.retry_in().filter(|_| [429, 503, 529].contains(&self.status.as_u16()))
    }

    /// The same in whole seconds, as `Retry-After` has it: rounded up, and at least one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.retry_in()?;
        Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }
}

/// What the caller may be told.
impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rejection.fmt(f)
    }
}
