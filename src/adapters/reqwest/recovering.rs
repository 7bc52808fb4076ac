//! `recover`: between a request that is built and its being sent.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use reqwest::{Body, RequestBuilder, Response};

use super::exchange::{Answered, Exchange};
use crate::adapters::http::{CallOptions, FreshBody, Requests, Responses};
use crate::adapters::traced;
use crate::call::CallContext;
use crate::error::{CannotRepeat, RecoveryError};
use crate::recovery::{Shard, Using, execute_with_recovery};

/// Sends requests under a [`Recovery`](crate::Recovery).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use recoup::reqwest::{Recover, ReqwestErrors};
/// use recoup::{Reason, Recovery, RetryPolicy};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::exponential(Duration::from_millis(1)).max_attempts(3);
/// let recovery = Recovery::builder("users").classifier(ReqwestErrors).retry(policy).build().unwrap();
///
/// let client = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
/// let error = client.get("http://127.0.0.1:1/users/7").recover(&recovery).send().await.unwrap_err();
/// assert_eq!((error.reason(), error.attempts()), (&Reason::AttemptsExhausted, 3));
/// assert!(error.into_inner().unwrap().is_connect());
/// # }
/// ```
pub trait Recover: sealed::Sealed + Sized {
    /// Puts the request under a recovery: `&recovery`, [`recovery.on(&shard)`](crate::Recovery::on) or
    /// [`recovery.with_context(&call)`](crate::Recovery::with_context). What else there is to say comes
    /// before [`send`](Recovering::send).
    fn recover<'r>(self, recovery: impl Into<Using<'r, reqwest::Error>>) -> Recovering<'r>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for reqwest::RequestBuilder {}
}

impl Recover for RequestBuilder {
    fn recover<'r>(self, recovery: impl Into<Using<'r, reqwest::Error>>) -> Recovering<'r> {
        Recovering {
            builder: self,
            using: recovery.into(),
            responses: Responses::default(),
            requests: Requests::default(),
            fresh: None,
            options: None,
        }
    }
}

/// A request about to be sent under a recovery; made by [`Recover::recover`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use recoup::http::{CallOptions, Requests, Responses};
/// use recoup::reqwest::{Recover, ReqwestErrors};
/// use recoup::{CallContext, Recovery};
///
/// let recovery = Recovery::builder("model").classifier(ReqwestErrors).build().unwrap();
/// let client = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
/// let call = CallContext::new("summarise").correlation_id("chat-7");
///
/// let error = client
///     .post("http://127.0.0.1:1/v1/messages")
///     .body("{}")
///     .recover(&recovery)
///     .context(&call)
///     .responses(Responses::new().anthropic())
///     .requests(Requests::new().add_keys())
///     .options(CallOptions::new().no_retry())
///     .send()
///     .await
///     .unwrap_err();
/// assert_eq!(error.attempts(), 1);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct Recovering<'r> {
    builder: RequestBuilder,
    using: Using<'r, reqwest::Error>,
    responses: Responses,
    requests: Requests,
    fresh: Option<FreshBody<Body>>,
    options: Option<CallOptions>,
}

impl<'r> Recovering<'r> {
    /// Which responses are failures. Default: [`Responses::new`].
    pub fn responses(mut self, responses: Responses) -> Self {
        self.responses = responses;
        self
    }

    /// How the request is prepared for being sent again: what is kept of its body, whether it gets a key.
    /// Default: [`Requests::new`].
    pub fn requests(mut self, requests: Requests) -> Self {
        self.requests = requests;
        self
    }

    /// How the request's body is made, anew for each attempt, in place of the one that it has: for a file, or
    /// anything else that is too long to be [kept](Requests::body_cap) and can be read from its begin again. It
    /// should be the same each time. Default: the request's own body.
    ///
    /// ```
    /// # async fn show(client: reqwest::Client, recovery: &recoup::Recovery<reqwest::Error>) -> Result<(), Box<dyn std::error::Error>> {
    /// use recoup::reqwest::Recover;
    /// use reqwest::Body;
    ///
    /// // Or the pieces of a file.
    /// let pieces = || futures::stream::iter((0..1_000_000).map(|n| Ok::<_, std::io::Error>(format!("{n}\n"))));
    /// let upload = client.put("http://store/7").recover(recovery).body_with(move || Body::wrap_stream(pieces()));
    /// upload.send().await?;
    /// # Ok(()) }
    /// ```
    pub fn body_with<B: Into<Body>>(mut self, make: impl Fn() -> B + Send + Sync + 'static) -> Self {
        self.fresh = Some(FreshBody::new(move || make().into()));
        self
    }

    /// What this call wants for itself: fewer attempts, less time. Default: those among the request's
    /// extensions, if it was made of an `http::Request` that has them, or none.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// What the call is about, for letters and events; its key is the request's, if requests
    /// [get keys](Requests::add_keys), and its trace the request's, if the request has none. Default: made of the
    /// request: `GET /users/7` to its host.
    pub fn context(mut self, call: &'r CallContext<'_>) -> Self {
        self.using = self.using.about(call);
        self
    }

    /// To which shard of the dependency the call goes: it has a throttle and a circuit of its own.
    pub fn shard(mut self, shard: &'r Shard) -> Self {
        self.using = self.using.on(shard);
        self
    }

    /// Sends the request, and again if that can help and cannot harm.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`], with the last error of reqwest whole. A response that counts as a failure is no error:
    /// the last one is given back as it is.
    ///
    /// # Cancel safety
    ///
    /// As [`execute_with_recovery`]. A request under way is given up as reqwest does it: over HTTP/1.1 its
    /// connection is closed, over HTTP/2 its stream is reset; the server may have done its work.
    pub fn send(self) -> Sending<'r> {
        Sending { call: Box::pin(self.run()) }
    }

    async fn run(self) -> Result<Response, RecoveryError<reqwest::Error>> {
        let Self { builder, using, responses, requests, fresh, options } = self;
        let (client, request) = builder.build_split();
        let exchange =
            request.and_then(|request| Exchange::new(request, fresh, options, requests, responses));
        let mut exchange = match exchange {
            Ok(exchange) => exchange,
            Err(error) => return Err(never_built(using, error).await),
        };
        let context = exchange.context(using.context());
        let using = using.about(&context);
        let answered = execute_with_recovery(
            using,
            traced(|attempt| {
                let sent = exchange.watch(client.execute(exchange.request(attempt)));
                let exchange = &exchange;
                async move { Ok(exchange.receive(sent.await?).await) }
            }),
        );
        let answered = answered
            .judge(|answered: &Answered| answered.failed)
            .repeat_if(|failed| exchange.may_repeat(failed))
            .await?;
        Ok(answered.response)
    }
}

/// A request that cannot be built fails as any other does: counted, told, and written down.
pub(super) async fn never_built<E>(using: Using<'_, E>, error: E) -> RecoveryError<E> {
    let mut error = Some(error);
    let fails = |_| ready(Err::<Response, _>(error.take().expect("it is not made again")));
    let failed = execute_with_recovery(using, fails).repeat_if(|_| Err(CannotRepeat::NotReplayable));
    failed.await.map(drop).expect_err("there is nothing but its error")
}

/// The future of [`Recovering::send`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sending<'r> {
    call: BoxFuture<'r, Result<Response, RecoveryError<reqwest::Error>>>,
}

impl Future for Sending<'_> {
    type Output = Result<Response, RecoveryError<reqwest::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.as_mut().poll(cx)
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}
