//! Requests of HTTP.
//!
//! [`RecoveryLayer::http`] goes around any service that takes an [`http::Request`](::http::Request) and gives an
//! [`http::Response`](::http::Response): a client of hyper, a client's stack of tower-http, a router. It applies
//! the rules of [`recoup::http`](crate::http):
//!
//! - **What may be sent twice.** A request whose method is idempotent, or that has an `Idempotency-Key`; another
//!   one only when surely nothing was done of it.
//! - **When to come back.** A `Retry-After` wins over the backoff, and is never shortened.
//! - **What is whose fault.** [`Responses`] judge each response; the last one is given back as it is, whatever
//!   its status.
//! - **The body** is sent again from its begin, if it is there whole: [`ReplayBody`] is what the inner service gets.
//!   One that is too long to be kept can be sent again as a [`FreshBody`], which is made anew each time.
//! - **What one call wants for itself** stands in its request's extensions, as
//!   [`CallOptions`](crate::http::CallOptions).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::convert::Infallible;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Empty, Full};
//! use recoup::http::{CallOptions, ReplayBody};
//! use recoup::tower::RecoveryLayer;
//! use recoup::{Recovery, RetryPolicy};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! // It is overloaded for five seconds, says so, and then is well.
//! let begun = tokio::time::Instant::now();
//! let server = service_fn(move |_: Request<ReplayBody<Empty<bytes::Bytes>>>| async move {
//!     Ok::<_, Infallible>(match begun.elapsed().as_secs() {
//!         0..5 => Response::builder().status(503).header("retry-after", "5").body(Full::from("busy")).unwrap(),
//!         _ => Response::new(Full::from("well")),
//!     })
//! });
//! let recovery = Recovery::builder("orders").retry(RetryPolicy::single_client()).build()?;
//! let client = RecoveryLayer::http(recovery).layer(server);
//!
//! let request = Request::get("http://orders/7").body(Empty::new())?;
//! let response = client.clone().oneshot(request).await?;
//! assert_eq!((response.status(), begun.elapsed().as_secs()), (StatusCode::OK, 5));
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "well");
//! # Ok(()) }
//! ```
//!
//! # What the limits are for
//!
//! An attempt, and with it its limit in time and its slot, ends with the head of the response; of one that failed,
//! so much of the body is read as [`Requests::peek`] says. What is read of the body after that is the caller's own:
//! a long download is not cut short, a body that breaks off or stalls is the caller's to see, and it holds no slot.
//! To limit how many bodies are read at a time, let a [`Bulkhead`](crate::Bulkhead) of the caller's own go around
//! the call and the reading: `bulkhead.call(|| async { read(client.call(request).await?).await })`.
//!
//! Other clients' own retries under this layer are to be switched off, or both count. The legacy client of
//! hyper-util sends a request again on its own when a connection from its pool turns out to be closed before the
//! request was written; that is harmless, and is done once.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body::Body;

use super::layer::RecoveryLayer;
use super::protocol::{Call, Protocol};
use crate::adapters::http::{FreshBody, Outgoing, Peeked, ReplayBody, Requests, Responses};
use crate::attempt::Attempt;
use crate::call::CallContext;
use crate::classification::Classification;
use crate::error::CannotRepeat;
use crate::recovery::Recovery;

/// The rules of HTTP. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Http {
    // The calls share them.
    settings: Arc<Settings>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    requests: Requests,
    responses: Responses,
}

impl Http {
    /// The rules with their defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What responses mean. Default: [`Responses::new`].
    #[must_use]
    pub fn responses(mut self, responses: Responses) -> Self {
        Arc::make_mut(&mut self.settings).responses = responses;
        self
    }

    /// How requests are made ready to be sent again. Default: [`Requests::new`].
    #[must_use]
    pub fn requests(mut self, requests: Requests) -> Self {
        Arc::make_mut(&mut self.settings).requests = requests;
        self
    }
}

impl<E> RecoveryLayer<E, Http> {
    /// For requests of HTTP: see [`recoup::tower::http`](self).
    #[must_use]
    pub fn http(recovery: Recovery<E>) -> Self {
        Self::with(recovery, Http::new())
    }

    /// What responses mean. Default: [`Responses::new`].
    #[must_use]
    pub fn responses(self, responses: Responses) -> Self {
        Self { protocol: self.protocol.responses(responses), ..self }
    }

    /// How requests are made ready to be sent again. Default: [`Requests::new`].
    #[must_use]
    pub fn requests(self, requests: Requests) -> Self {
        Self { protocol: self.protocol.requests(requests), ..self }
    }
}

/// One request of HTTP with all its attempts.
pub struct HttpCall<B: Body> {
    outgoing: Outgoing<B>,
    settings: Arc<Settings>,
}

impl<B> Protocol<Request<B>> for Http
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Request = Request<ReplayBody<B>>;
    type Call = HttpCall<B>;

    fn begin(&self, request: Request<B>) -> HttpCall<B> {
        let settings = Arc::clone(&self.settings);
        HttpCall { outgoing: Outgoing::new(request, &settings.requests), settings }
    }
}

impl<B> Protocol<Request<FreshBody<B>>> for Http
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Request = Request<ReplayBody<B>>;
    type Call = HttpCall<B>;

    fn begin(&self, request: Request<FreshBody<B>>) -> HttpCall<B> {
        let settings = Arc::clone(&self.settings);
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, ());
        HttpCall { outgoing: Outgoing::from_fn(request, move || body.make(), &settings.requests), settings }
    }
}

impl<B, A> Call<Response<A>> for HttpCall<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    A: Body<Data = Bytes, Error: Send> + Send,
{
    type Request = Request<ReplayBody<B>>;
    type Response = Response<Peeked<A>>;

    fn context(&self) -> Option<CallContext<'static>> {
        Some(self.outgoing.context())
    }

    fn request(&self, attempt: Attempt) -> Self::Request {
        self.outgoing.request(attempt)
    }

    fn receive(&self, response: Response<A>) -> impl Future<Output = Self::Response> + Send {
        self.settings.requests.receive(response, &self.settings.responses)
    }

    fn judge(&self, response: &Self::Response) -> Option<Classification> {
        Requests::judge(response, &self.settings.responses)
    }

    fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.outgoing.may_repeat(failed)
    }
}

impl<B: Body> fmt::Debug for HttpCall<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall").field("outgoing", &self.outgoing).finish_non_exhaustive()
    }
}
