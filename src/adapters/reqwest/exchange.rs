//! One logical request over reqwest: what is sent each time, and what is learned from the answer.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::BodyExt;
use reqwest::{Body, Request, Response, ResponseBuilderExt, Url};

use super::followed::{Followed, Watched};
use crate::adapters::http::{CallOptions, FreshBody, Outgoing, Requests, Responses};
use crate::attempt::Attempt;
use crate::call::CallContext;
use crate::classification::Classification;
use crate::error::CannotRepeat;

/// One logical request, taken apart so that it can be sent again.
pub(super) struct Exchange {
    outgoing: Outgoing<Body>,
    content: Content,
    url: Url,
    timeout: Option<Duration>,
    requests: Requests,
    responses: Responses,
    pub(super) followed: Followed,
}

/// What the body is made of. What is no stream goes back to reqwest as it came: it can then send it along a
/// redirect, too, which it does with no body that it cannot clone.
enum Content {
    Nothing,
    Whole(Bytes),
    Stream,
}

/// An answer, and what is wrong with it.
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) failed: Option<Classification>,
}

impl Exchange {
    /// # Errors
    ///
    /// The URL is none that can be asked for.
    pub(super) fn new(
        mut request: Request,
        fresh: Option<FreshBody<Body>>,
        options: Option<CallOptions>,
        requests: Requests,
        responses: Responses,
    ) -> Result<Self, reqwest::Error> {
        let (url, timeout) = (request.url().clone(), request.timeout().copied());
        let content = match request.body_mut() {
            _ if fresh.is_some() => Content::Stream,
            None => Content::Nothing,
            Some(body) if body.as_bytes().is_some() => Content::Whole(whole(body)),
            Some(_) => Content::Stream,
        };
        let mut request = http::Request::<Body>::try_from(request)?;
        if let Some(options) = options {
            request.extensions_mut().insert(options);
        }
        let outgoing = match (&content, fresh) {
            (_, Some(fresh)) => Outgoing::from_fn(request.map(drop), move || fresh.make(), &requests),
            (Content::Stream, None) => Outgoing::new(request, &requests),
            (Content::Whole(bytes), None) => Outgoing::from_bytes(request.map(|_| bytes.clone()), &requests),
            (Content::Nothing, None) => Outgoing::from_bytes(request.map(|_| Bytes::new()), &requests),
        };
        Ok(Self { outgoing, content, url, timeout, requests, responses, followed: Followed::default() })
    }

    /// What the call is about: what was said of it, or else what the request says.
    pub(super) fn context<'c>(&mut self, given: Option<&'c CallContext<'_>>) -> CallContext<'c> {
        match given {
            Some(given) => self.outgoing.adopt(given.lent()),
            None => self.outgoing.context(),
        }
    }

    /// What is sent this time.
    pub(super) fn request(&self, attempt: Attempt) -> Request {
        let (mut head, replayed) = self.outgoing.request(attempt).into_parts();
        // The only way for extensions. The address is read from text there: here is one that can always be read.
        head.uri = http::Uri::from_static("http://replaced/");
        let body = match &self.content {
            Content::Nothing => Body::default(),
            Content::Whole(bytes) => Body::from(bytes.clone()),
            Content::Stream => Body::wrap(replayed),
        };
        let request = http::Request::from_parts(head, body);
        let mut request = Request::try_from(request).expect("only the address could be wrong");
        *request.url_mut() = self.url.clone();
        *request.timeout_mut() = self.timeout;
        if matches!(self.content, Content::Nothing) {
            *request.body_mut() = None;
        }
        request
    }

    /// Watches what is under way for redirects.
    pub(super) fn watch<Fut>(&self, attempt: Fut) -> Watched<Fut> {
        self.followed.watch(attempt)
    }

    /// Judges a response. If it may be a failure, its body is read so far that it can be judged; a good one is
    /// not touched.
    pub(super) async fn receive(&self, response: Response) -> Answered {
        let (status, headers) = (response.status(), response.headers());
        let failed = self.responses.judge(status, headers, &[]);
        if failed.is_none() && !self.responses.wants_body(status, headers) {
            return Answered { response, failed };
        }
        let url = response.url().clone();
        let response = self.requests.receive(http::Response::from(response), &self.responses).await;
        let failed = Requests::judge(&response, &self.responses);
        let mut response = response.map(Body::wrap);
        // The one thing that is lost on the way there and back, unless it is said.
        let address = http::Response::builder().url(url).body(()).expect("nothing was set that can be wrong");
        response.extensions_mut().extend(address.into_parts().0.extensions);
        Answered { response: Response::from(response), failed }
    }

    /// Whether the request may be sent again after such a failure.
    pub(super) fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        if failed.is_unprocessed() && self.followed.seen() {
            // Nothing was done by the last server. The first one has answered.
            return self.outgoing.may_repeat(&Classification::of(failed.category()));
        }
        self.outgoing.may_repeat(failed)
    }
}

/// The bytes of a body that is no stream, without a copy.
fn whole(body: &mut Body) -> Bytes {
    let frame = body.frame().now_or_never().flatten();
    frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok()).unwrap_or_default()
}
