//! The same as a middleware of reqwest-middleware.

use std::mem;

use async_trait::async_trait;
use reqwest::{Body, Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::ReqwestErrors;
use super::exchange::{Answered, Exchange};
use super::recovering::never_built;
use crate::adapters::http::{CallOptions, FreshBody, Requests, Responses};
use crate::adapters::traced;
use crate::attempt::Attempt;
use crate::classification::Classification;
use crate::classify::{BoxedError, ErrorClassifier, SourceChain};
use crate::recovery::{Recovery, Using, execute_with_recovery};
use crate::sync::Lock;

/// Sends the requests of a `reqwest_middleware` client under a [`Recovery`]: what
/// [`Recover`](super::Recover) does for one request, for all of them.
///
/// Put it where the middlewares that are to run once for each call stand before it, and those that are to run
/// anew for each attempt, such as one that signs requests, behind it. All of them see the same extensions. While
/// an attempt is under way, its [`Attempt`] is among them. [`CallOptions`] among them are obeyed.
///
/// Behind it nothing should poll the request in a task of its own: a redirect on the way to an error would go
/// unseen, and a request that must not be made twice could be sent again after it.
///
/// A request whose body is a stream is never refused: see [`Requests::body_cap`]. One that is too long to be kept can be
/// made anew for each attempt: by a [`FreshBody<reqwest::Body>`](FreshBody) among the extensions, in place of the
/// request's own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use recoup::reqwest::{RecoveryMiddleware, ReqwestErrors};
/// use recoup::{Recovery, RecoveryError, RetryPolicy};
/// use reqwest_middleware::{ClientBuilder, Error};
///
/// let policy = RetryPolicy::exponential(Duration::from_millis(1)).max_attempts(3);
/// let recovery = Recovery::builder("users").classifier(ReqwestErrors).retry(policy).build().unwrap();
///
/// let client = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
/// let client = ClientBuilder::new(client).with(RecoveryMiddleware::new(recovery)).build();
///
/// let Err(Error::Middleware(error)) = client.get("http://127.0.0.1:1/users/7").send().await else { panic!() };
/// let error: RecoveryError<Error> = error.downcast().unwrap();
/// assert_eq!(error.attempts(), 3);
/// assert!(error.into_inner().unwrap().is_connect());
/// # }
/// ```
///
/// # Errors
///
/// A call that fails ends in `reqwest_middleware::Error::Middleware`, and the error in it is a
/// [`RecoveryError`](crate::RecoveryError)`<reqwest_middleware::Error>`: `downcast` finds it, through contexts
/// that others have added, and with it the attempts, the reason, and the last error whole. A response that counts
/// as a failure is no error: the last one is given back as it is.
///
/// # Cancel safety
///
/// As [`execute_with_recovery`]. The extensions are there again when the call's future is dropped, as the attempt
/// under way has left them.
#[derive(Clone, Debug)]
pub struct RecoveryMiddleware {
    recovery: Recovery<Error>,
    responses: Responses,
    requests: Requests,
}

impl RecoveryMiddleware {
    /// Requests under this recovery.
    #[must_use]
    pub fn new(recovery: Recovery<Error>) -> Self {
        Self { recovery, responses: Responses::new(), requests: Requests::new() }
    }

    /// Which responses are failures. Default: [`Responses::new`].
    #[must_use]
    pub fn responses(mut self, responses: Responses) -> Self {
        self.responses = responses;
        self
    }

    /// How requests are prepared for being sent again: what is kept of their bodies, whether they get a key.
    /// Default: [`Requests::new`].
    #[must_use]
    pub fn requests(mut self, requests: Requests) -> Self {
        self.requests = requests;
        self
    }
}

#[async_trait]
impl Middleware for RecoveryMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let using = Using::from(&self.recovery);
        let fresh = extensions.get::<FreshBody<Body>>().cloned();
        let options = extensions.get::<CallOptions>().cloned();
        let exchange = Exchange::new(request, fresh, options, self.requests.clone(), self.responses.clone());
        let mut exchange = match exchange {
            Ok(exchange) => exchange,
            Err(error) => return Err(Error::middleware(never_built(using, Error::from(error)).await)),
        };
        let context = exchange.context(None);
        let extensions = Lock::new(extensions);
        let answered = execute_with_recovery(
            using.about(&context),
            traced(|attempt| {
                let (exchange, next, extensions) = (&exchange, next.clone(), &extensions);
                let request = exchange.request(attempt);
                exchange.watch(async move {
                    let mut lent = Lent::take(extensions, attempt);
                    let response = next.run(request, &mut lent.extensions).await;
                    if let Err(Error::Middleware(_)) = response {
                        // Of whatever it was: the answer may have been there already.
                        exchange.followed.note();
                    }
                    Ok(exchange.receive(response?).await)
                })
            }),
        );
        let answered = answered
            .judge(|answered: &Answered| answered.failed)
            .repeat_if(|failed| exchange.may_repeat(failed))
            .await
            .map_err(Error::middleware)?;
        Ok(answered.response)
    }
}

/// The caller's extensions while an attempt has them. They go back when it ends, or is dropped.
struct Lent<'l, 'e> {
    home: &'l Lock<&'e mut http::Extensions>,
    extensions: http::Extensions,
    /// The attempt of somebody around this that was among them.
    around: Option<Attempt>,
}

impl<'l, 'e> Lent<'l, 'e> {
    fn take(home: &'l Lock<&'e mut http::Extensions>, attempt: Attempt) -> Self {
        let mut extensions = mem::take(&mut **home.lock());
        let around = extensions.insert(attempt);
        Self { home, extensions, around }
    }
}

impl Drop for Lent<'_, '_> {
    fn drop(&mut self) {
        match self.around {
            Some(attempt) => drop(self.extensions.insert(attempt)),
            None => drop(self.extensions.remove::<Attempt>()),
        }
        **self.home.lock() = mem::take(&mut self.extensions);
    }
}

/// An error of the client is what it is. Of another middleware's error, the sources say what it is.
impl ErrorClassifier<Error> for ReqwestErrors {
    fn classify(&self, error: &Error) -> Classification {
        match error {
            Error::Reqwest(error) => self.classify(error),
            Error::Middleware(error) => {
                SourceChain::<BoxedError>::new().with::<reqwest::Error>(*self).classify(error)
            }
        }
    }
}
