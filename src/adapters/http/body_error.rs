//! Why a request's body ended too early.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A request's body ended too early, by our own doing: the stream that it was made of failed, or it is asked for
/// once more after it was given away.
///
/// The error of a [`ReplayBody`](super::ReplayBody). [`HttpErrors`](super::HttpErrors) finds it in the errors of
/// any client, and knows that the server is not to blame.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::io::Error;
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, StreamBody};
/// use recoup::http::{Outgoing, Requests};
///
/// let broken = futures::stream::iter([Err::<http_body::Frame<Bytes>, _>(Error::other("disk is gone"))]);
/// let request = http::Request::put("http://store/7").body(StreamBody::new(broken)).unwrap();
/// let outgoing = Outgoing::new(request, &Requests::new());
/// let error = recoup::retry_with(|attempt| outgoing.request(attempt).into_body().collect())
///     .when(|_| false)
///     .await
///     .unwrap_err();
/// assert_eq!(error.to_string(), "the request's body broke off");
/// assert!(!error.is_gone());
/// # }
/// ```
#[derive(Debug)]
pub struct BodyError {
    why: Why,
}

#[derive(Debug)]
enum Why {
    Failed(Arc<dyn Error + Send + Sync>),
    Gone,
}

impl BodyError {
    /// The stream that the body is made of failed.
    pub(super) fn failed(error: Arc<dyn Error + Send + Sync>) -> Self {
        Self { why: Why::Failed(error) }
    }

    /// What is asked for was given to another attempt.
    pub(super) const fn gone() -> Self {
        Self { why: Why::Gone }
    }

    /// Whether the body was given to another attempt, which goes on with it. Otherwise its stream failed.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self.why, Why::Gone)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            Why::Failed(_) => "the request's body broke off",
            Why::Gone => "the request's body is with another attempt",
        })
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::Failed(error) => Some(&**error),
            Why::Gone => None,
        }
    }
}
