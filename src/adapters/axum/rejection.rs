//! A request that is not served, and all that is to be said of it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use super::format::Format;
use super::report::Report;
use super::request_id::RequestId;
use super::status::{sentence, status_of};
use crate::classification::{Category, Classification};
use crate::dead_letter::LetterId;

/// How long a caller is asked to stay away who was refused by a policy that cannot say until when.
pub(super) const COME_BACK: Duration = Duration::from_secs(1);

/// Why a request is not served: what a handler gives back instead of an answer.
///
/// Made by `?` from what recoup's calls and policies refuse with, or by hand. The inner error goes with it to
/// [alerts](super::Alerts) and, in development, into the body; in production nothing of its text leaves the server.
///
/// | from | status |
/// |---|---|
/// | [`Open`](crate::Open), [`Full`](crate::Full), [`Saturated`](crate::Saturated), [`Shed`](crate::Shed), [`CoolingDown`](crate::CoolingDown), [`Throttled`](crate::Throttled) | 503 with `Retry-After` |
/// | [`RateLimited`](crate::RateLimited) | 429 with `Retry-After` |
/// | [`TimedOut`](crate::TimedOut) | 504 |
/// | [`RecoveryError`](crate::RecoveryError) | as the policy that refused; 504 if time ran out; else by the [category](status_of) that its classifier gave the last error |
/// | [`CallError`](crate::CallError) | as the policy that refused, or as the box below |
/// | `Box<dyn Error + Send + Sync>` | as the first of all these in its chain of sources, of recoveries those that are [boxed](crate::RecoveryError::boxed) or of `std::io`; a failed connection 503, a timeout 504; else 500 |
///
/// `Retry-After` is in whole seconds, rounded up; where nobody knows when to come back it is one second.
///
/// As a response it is `application/problem+json` without a request id. An [`ErrorLayer`](super::ErrorLayer)
/// around the handler writes it anew, in the [`Format`] that it was given, and keeps the other headers.
///
/// ```
/// use http_body_util::BodyExt;
/// use recoup::axum::Rejection;
/// use recoup::{Recovery, RecoveryError, execute_with_recovery};
///
/// async fn user(users: &Recovery<std::io::Error>) -> Result<String, Rejection> {
///     let name = execute_with_recovery(users, async |_| {
///         Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "10.0.0.7: password `hunter2`"))
///     });
///     Ok(name.await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// # use axum_core::response::IntoResponse;
/// let users = Recovery::builder("users").classifier(recoup::IoErrors).build().unwrap();
/// let response = user(&users).await.into_response();
/// assert_eq!(response.status(), 503);
/// let body = response.into_body().collect().await.unwrap().to_bytes();
/// let body = String::from_utf8(body.to_vec()).unwrap();
/// assert!(body.contains(r#""policy":"users""#) && !body.contains("hunter2"));
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it is said to nobody until it is given back"]
pub struct Rejection {
    // In a box, so that the results of handlers that answer are not moved about with room for it.
    story: Box<Story>,
}

#[derive(Clone)]
struct Story {
    classification: Classification,
    status: Option<StatusCode>,
    reason: &'static str,
    detail: Cow<'static, str>,
    policy: Option<Arc<str>>,
    attempts: Option<u32>,
    retry_in: Option<Duration>,
    letter: Option<LetterId>,
    refusal: bool,
    members: Vec<(&'static str, String)>,
    error: Option<Arc<dyn Error + Send + Sync>>,
}

impl Rejection {
    /// A rejection of this kind, without an inner error. What a caller is told is a sentence about the category,
    /// until [`detail`](Self::detail) says more.
    ///
    /// ```
    /// use recoup::{Category, axum::Rejection};
    /// let rejection = Rejection::new(Category::Validation).detail("`name` is empty").member("field", "name");
    /// assert_eq!(rejection.status(), 400);
    /// ```
    pub fn new(answer: impl Into<Classification>) -> Self {
        let classification = answer.into();
        let story = Story {
            classification,
            status: None,
            reason: classification.category().name(),
            detail: Cow::Borrowed(sentence(classification.category())),
            policy: None,
            attempts: None,
            retry_in: classification.hint(),
            letter: None,
            refusal: false,
            members: Vec::new(),
            error: None,
        };
        Self { story: Box::new(story) }
    }

    /// What a caller is told, in words; in production too, so it must not hold what is nobody's business.
    /// Default: a sentence about the category.
    pub fn detail(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.story.detail = text.into();
        self
    }

    /// Answers with this status, whatever the category says. Default: [`status_of`] the category.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.story.status = Some(status);
        self
    }

    /// When it is worth asking again, as a `Retry-After` of an answer with 429, 503 or 529. Default: what the
    /// policy or the server that refused said.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.story.retry_in = Some(wait);
        self
    }

    /// One more member of the problem, for what a caller's program reads: the field that is wrong. A name that is
    /// in use already is left as it is. Default: none.
    pub fn member(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.story.members.push((name, value.into()));
        self
    }

    /// The error behind it, for alerts and for development. Default: none.
    pub fn caused_by(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.story.error = Some(Arc::from(error.into()));
        self
    }

    /// One of our own policies refused. It says in one word why, and its name.
    pub(super) fn refused(
        category: Category,
        reason: &'static str,
        policy: Option<&Arc<str>>,
        said: &impl fmt::Display,
    ) -> Self {
        let mut rejection = Self::new(category).detail(said.to_string()).because(reason);
        rejection.story.policy = policy.cloned();
        rejection.story.refusal = true;
        rejection
    }

    pub(super) fn because(mut self, reason: &'static str) -> Self {
        self.story.reason = reason;
        self
    }

    pub(super) fn back_in(mut self, wait: Option<Duration>) -> Self {
        self.story.retry_in = wait;
        self
    }

    pub(super) fn by(mut self, policy: &str, attempts: u32, letter: Option<LetterId>) -> Self {
        self.story.policy.get_or_insert_with(|| Arc::from(policy));
        self.story.attempts = Some(attempts);
        self.story.letter = letter;
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.own_status().unwrap_or_else(|| status_of(self.category()))
    }

    pub(super) const fn own_status(&self) -> Option<StatusCode> {
        self.story.status
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn category(&self) -> Category {
        self.story.classification.category()
    }

    /// All that was said of the error.
    #[must_use]
    pub const fn classification(&self) -> Classification {
        self.story.classification
    }

    /// Why, in one word: `circuit_open`, `bulkhead_full`, `rate_limited`, `deadline`, `attempts`, … or the name
    /// of the category.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.story.reason
    }

    /// The policy that refused, or the recovery that gave up.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.story.policy.as_deref()
    }

    /// How many attempts were made, if it comes from a call that counts them.
    #[must_use]
    pub const fn attempts(&self) -> Option<u32> {
        self.story.attempts
    }

    /// When it is worth asking again, if somebody said.
    #[must_use]
    pub const fn retry_in(&self) -> Option<Duration> {
        self.story.retry_in
    }

    /// The number of the dead letter that was written, if one was.
    #[must_use]
    pub const fn dead_letter(&self) -> Option<LetterId> {
        self.story.letter
    }

    /// Whether one of our own policies refused, so that it says nothing of who was to serve the request.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        self.story.refusal
    }

    /// The members that were [added](Self::member).
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.story.members.iter().map(|(name, value)| (*name, &**value))
    }

    /// The texts of the error behind it and of its sources, the outermost first. At most 64.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let outermost = self.story.error.as_deref().map(|error| error as &(dyn Error + 'static));
        std::iter::successors(outermost, |&error| error.source()).take(64).map(ToString::to_string).collect()
    }
}

/// What a caller may be told.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.story.detail)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("status", &self.status())
            .field("reason", &self.reason())
            .field("detail", &self.story.detail)
            .field("error", &self.story.error)
            .finish_non_exhaustive()
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.story.error.as_deref().map(|error| error as &(dyn Error + 'static))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response<Body> {
        let report = Report {
            rejection: &self,
            status: self.status(),
            request_id: &RequestId::none(),
            method: &Method::GET,
            path: "",
            development: false,
        };
        let mut response = Format::problem().response(&report);
        // For an `ErrorLayer` around it, which can say more.
        response.extensions_mut().insert(self);
        response
    }
}
