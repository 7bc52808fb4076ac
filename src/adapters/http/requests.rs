//! How requests are prepared for being sent again.

use bytes::Bytes;
use http::Response;
use http_body::Body;

use super::peek::{Peek, Peeked, peek};
use super::responses::Responses;
use crate::classification::Classification;

/// How requests are prepared for being sent again, and how much of the answer is read to judge it.
///
/// ```
/// use recoup::http::Requests;
///
/// // Uploads of up to 1 MiB are kept while they are sent; POST gets a key, as this server knows keys.
/// let requests = Requests::new().body_cap(1 << 20).add_keys();
/// # let _ = requests;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    pub(super) body_cap: usize,
    pub(super) add_keys: bool,
    peek: usize,
}

impl Requests {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { body_cap: 64 * 1024, add_keys: false, peek: 64 * 1024 }
    }

    /// How many bytes of a streamed body are kept while it is sent, so that it can be sent again. A body that is
    /// longer is sent once. A body that is [`Full`](http_body_util::Full) or empty is shared and needs no keeping.
    /// Zero keeps nothing. Default: 64 KiB.
    #[must_use]
    pub const fn body_cap(mut self, bytes: usize) -> Self {
        self.body_cap = bytes;
        self
    }

    /// Gives each request that is not idempotent an [`IDEMPOTENCY_KEY`](super::IDEMPOTENCY_KEY), the same on
    /// every attempt of a call, so that it can be sent again. For servers that honour it: from others it takes
    /// the work twice. A key that the request has already stays. Default: no key is added.
    #[must_use]
    pub const fn add_keys(mut self) -> Self {
        self.add_keys = true;
        self
    }

    /// How many bytes of the body of a response that failed are read before it is judged. What is read to its
    /// end leaves a connection that can be used again. Default: 64 KiB.
    #[must_use]
    pub const fn peek(mut self, bytes: usize) -> Self {
        self.peek = bytes;
        self
    }

    /// Reads the begin of a response that `responses` takes for a failure, or may, once it sees the body. A good
    /// one is given back at once, unread. A body that stalls is waited for as long as the attempt may take.
    ///
    /// # Cancel safety
    ///
    /// As [`peek`].
    pub fn receive<B: Body<Data = Bytes>>(&self, response: Response<B>, responses: &Responses) -> Peek<B> {
        let (status, headers) = (response.status(), response.headers());
        let failed = responses.wants_body(status, headers) || responses.judge(status, headers, &[]).is_some();
        peek(response, if failed { self.peek } else { 0 })
    }

    /// What `responses` says of a response that was [received](Self::receive).
    #[must_use]
    pub fn judge<B: Body<Data = Bytes>>(
        response: &Response<Peeked<B>>,
        responses: &Responses,
    ) -> Option<Classification> {
        responses.judge(response.status(), response.headers(), response.body().seen())
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self::new()
    }
}
