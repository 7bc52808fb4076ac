//! Which responses are failures, and of what kind.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};

use super::answer::by_status;
use super::provider::{Provider, says_when};
use super::retry_after;
use crate::classification::{Advice, Classification};
use crate::time;

/// Says of a response whether it is a failure, and of what kind: the judge of responses.
///
/// The table is at the [module](super). A `Retry-After` is obeyed wherever another attempt is worth it; one of
/// zero leaves the wait to the backoff.
///
/// # Answers that are our own affair
///
/// Of 4xx only 408, 425 and 429 are failures. The others are answers: they are handed back as they are, and a
/// circuit breaker sees a success, as the server did its work. Who sees it differently says so by
/// [`status`](Self::status).
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
/// use recoup::{Advice, Category, http::Responses};
///
/// let responses = Responses::new();
/// let headers = HeaderMap::from_iter([(RETRY_AFTER, "2".parse().unwrap())]);
/// let busy = responses.judge(StatusCode::SERVICE_UNAVAILABLE, &headers, b"").unwrap();
/// assert_eq!(busy.category(), Category::ServiceUnavailable);
/// assert_eq!(busy.advice(), Advice::RetryAfter(Duration::from_secs(2)));
/// assert_eq!(responses.judge(StatusCode::NOT_FOUND, &headers, b""), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Responses {
    own: BTreeMap<u16, Option<Classification>>,
    providers: Vec<Provider>,
    body_limit: usize,
}

impl Responses {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { own: BTreeMap::new(), providers: Vec::new(), body_limit: 64 * 1024 }
    }

    /// Understands the error bodies of Anthropic's API and its like: what was agreed to be spent is spent, so
    /// that no further attempt is worth it ([`ResourceExhausted`](crate::Category::ResourceExhausted)). That is a
    /// 400, a 402, or a 429 without `Retry-After`, whose `error.details.error_code` says so
    /// (`enforced_spend_limit_reached`), or whose type or message does. A 529 is `overloaded_error`: worth another attempt, as everywhere.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use recoup::{Advice, Category, http::Responses};
    ///
    /// let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"spent",
    ///     "details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    /// let judge = |responses: Responses| {
    ///     responses.judge(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body).unwrap()
    /// };
    /// assert_eq!(judge(Responses::new()).advice(), Advice::Retry);
    /// assert_eq!(judge(Responses::new().anthropic()).advice(), Advice::Stop);
    /// assert_eq!(judge(Responses::new().anthropic()).category(), Category::ResourceExhausted);
    /// ```
    #[must_use]
    pub fn anthropic(self) -> Self {
        self.of(Provider::Anthropic)
    }

    /// Understands the error bodies of the API of `OpenAI` and its like: a 429 (or 402, 403) whose `error.code` or
    /// `error.type` is `insufficient_quota`, `billing_hard_limit_reached` or `billing_not_active` is not worth
    /// another attempt ([`ResourceExhausted`](crate::Category::ResourceExhausted)), with `Retry-After` or without.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use recoup::{Advice, http::Responses};
    ///
    /// let responses = Responses::new().openai();
    /// let advice = |code: &str| {
    ///     let body = format!(r#"{{"error":{{"message":"…","code":"{code}"}}}}"#);
    ///     responses.judge(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes()).unwrap().advice()
    /// };
    /// assert_eq!(advice("insufficient_quota"), Advice::Stop);
    /// assert_eq!(advice("rate_limit_exceeded"), Advice::Retry);
    /// ```
    #[must_use]
    pub fn openai(self) -> Self {
        self.of(Provider::OpenAi)
    }

    /// What responses with this status are: a [`Classification`], or `None` where they are good. It wins over the
    /// table and over bodies; a `Retry-After` is obeyed if it says that another attempt is worth it. The status
    /// is added to the answer.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use recoup::{Advice, Category, Classification, http::Responses};
    ///
    /// // A replica that lags does not know yet what was just written, and 501 is nothing to worry about.
    /// let lagging = Classification::of(Category::NotFound).retry();
    /// let responses = Responses::new().status(404, lagging).status(501, None);
    /// let judge = |status| responses.judge(status, &HeaderMap::new(), b"");
    /// assert_eq!(judge(StatusCode::NOT_FOUND).unwrap().advice(), Advice::Retry);
    /// assert_eq!(judge(StatusCode::NOT_IMPLEMENTED), None);
    /// ```
    #[must_use]
    pub fn status(mut self, code: u16, answer: impl Into<Option<Classification>>) -> Self {
        self.own.insert(code, answer.into().map(|answer| answer.status(code)));
        self
    }

    /// How long a body may be that is looked into, in bytes. A longer one says nothing. Default: 64 KiB.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Whether the body could change what [`judge`](Self::judge) says, so that it is worth reading.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use recoup::http::Responses;
    ///
    /// let (spent, none) = (StatusCode::TOO_MANY_REQUESTS, HeaderMap::new());
    /// assert!(!Responses::new().wants_body(spent, &none));
    /// assert!(Responses::new().openai().wants_body(spent, &none));
    /// ```
    #[must_use]
    pub fn wants_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        if self.providers.is_empty() || self.body_limit == 0 || self.own.contains_key(&status.as_u16()) {
            return false;
        }
        let wants = |says_when| self.providers.iter().any(|of| of.wants_body(status, says_when));
        // Dates are only read where that matters.
        wants(false) && (wants(true) || !says_when(headers, time::wall(time::now())))
    }

    /// What is wrong with the response, or `None` if it is good, or an answer that is our own affair. `body` is
    /// its body, as far as it was read; nothing, if it was not.
    #[must_use]
    pub fn judge(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Classification> {
        let answer = match self.own.get(&status.as_u16()) {
            Some(own) => *own,
            None => self.by_body(status, headers, body).or_else(|| by_status(status)),
        }?;
        if answer.advice() == Advice::Stop || !headers.contains_key(http::header::RETRY_AFTER) {
            return Some(answer);
        }
        match retry_after(headers, time::wall(time::now())) {
            Some(wait) if !wait.is_zero() => Some(answer.retry_after(wait)),
            _ => Some(answer),
        }
    }

    fn by_body(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Classification> {
        if body.is_empty() || body.len() > self.body_limit || !self.wants_body(status, headers) {
            return None;
        }
        let body = serde_json::from_slice(body).ok()?;
        self.providers.iter().find_map(|of| of.judge(status, &body))
    }

    fn of(mut self, provider: Provider) -> Self {
        if !self.providers.contains(&provider) {
            self.providers.push(provider);
        }
        self
    }
}

impl Default for Responses {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
