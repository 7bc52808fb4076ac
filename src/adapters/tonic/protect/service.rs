//! The way of one call through the policies.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tonic::server::NamedService;
use tower_service::Service;

use super::admit::{Asked, admit};
use super::held::{is_trailers_only, of_head};
use super::{ProtectBody, Refusal, Rules};

/// A service in a [`ProtectLayer`](super::ProtectLayer). It is always ready: the policies are asked before its inner
/// service's readiness, and that is waited for in the answer.
///
/// ```
/// use recoup::tonic::{ProtectLayer, ProtectService};
/// use tonic::server::NamedService;
/// use tower::Layer;
///
/// struct EchoServer; // made by tonic's generator
/// impl NamedService for EchoServer {
///     const NAME: &'static str = "echo.v1.Echo";
/// }
/// let service: ProtectService<_> = ProtectLayer::builder().build()?.layer(EchoServer);
/// fn name<S: NamedService>(_: &S) -> &'static str { S::NAME }
/// assert_eq!(name(&service), "echo.v1.Echo");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProtectService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> ProtectService<S> {
    pub(super) const fn new(inner: S, rules: Arc<Rules>) -> Self {
        Self { inner, rules }
    }
}

/// It goes by the name of what is in it, so that a router of tonic takes it.
impl<S: NamedService> NamedService for ProtectService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, A, B> Service<Request<A>> for ProtectService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    A: Send + 'static,
    B: Body + 'static,
{
    type Response = Response<ProtectBody<B>>;
    type Error = S::Error;
    type Future = ProtectFuture<B, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let asked = Asked::of(self.rules.priority(&parts), &parts.headers);
        let request = Request::from_parts(parts, body);
        // Kept here, what somebody had it reserve before it was given to us would be kept for ever.
        let fresh = self.inner.clone();
        let inner = mem::replace(&mut self.inner, fresh);
        let served = serve(Arc::clone(&self.rules), asked, inner, request);
        ProtectFuture { served: Box::pin(served) }
    }
}

type Served<B, E> = Pin<Box<dyn Future<Output = Result<Response<ProtectBody<B>>, E>> + Send>>;

pin_project! {
    /// The answer of a [`ProtectService`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
    /// use recoup::tonic::ProtectLayer;
    /// use tonic::body::Body;
    /// use tower::{Layer, Service, service_fn};
    ///
    /// let inner = service_fn(|_: http::Request<Body>| async { Ok::<_, ()>(http::Response::new(Body::empty())) });
    /// let mut service = ProtectLayer::builder().build()?.layer(inner);
    /// let mut late = http::Request::new(Body::empty());
    /// late.headers_mut().insert("grpc-timeout", "0m".parse().unwrap());
    /// let answer = service.call(late).await.unwrap();
    /// assert_eq!(answer.headers()["grpc-status"], "4", "DEADLINE_EXCEEDED");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the inner service. What a policy refuses is an answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves every queue. Dropped while it is served, it drops the inner service's future
    /// first and then gives all slots back.
    #[must_use = "futures do nothing unless polled"]
    pub struct ProtectFuture<B, E> {
        served: Served<B, E>,
    }
}

impl<B, E> Future for ProtectFuture<B, E> {
    type Output = Result<Response<ProtectBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().served.as_mut().poll(cx)
    }
}

impl<B, E> fmt::Debug for ProtectFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectFuture").finish_non_exhaustive()
    }
}

async fn serve<S, A, B>(
    rules: Arc<Rules>,
    asked: Asked,
    mut inner: S,
    request: Request<A>,
) -> Result<Response<ProtectBody<B>>, S::Error>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
{
    let held = match admit(&rules, asked).await {
        Ok(held) => held,
        Err(refusal) => return Ok(refuse(&rules, refusal)),
    };
    // The very instance that was ready takes the call.
    poll_fn(|cx| inner.poll_ready(cx)).await?;
    let (parts, body) = inner.call(request).await?.into_parts();
    let goes_on = !body.is_end_stream() && !is_trailers_only(&parts);
    let body = if rules.until_body_ends && goes_on {
        ProtectBody::new(body, Some(held))
    } else {
        held.settle(of_head(&parts));
        ProtectBody::new(body, None)
    };
    Ok(Response::from_parts(parts, body))
}

fn refuse<B>(rules: &Rules, refusal: Refusal) -> Response<ProtectBody<B>> {
    let mut response = rules.status(&refusal).into_http::<()>().map(|()| ProtectBody::empty());
    response.extensions_mut().insert(refusal);
    response
}
