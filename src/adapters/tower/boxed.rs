//! The same, for services whose error is a box.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::layer::RecoveryLayer;
use super::service::{RecoveryService, ResponseFuture};
use crate::error::{Boxed, RecoveryError};

/// A [`RecoveryLayer`] whose services' errors are errors although those of the inner service are boxes. Made by
/// [`RecoveryLayer::boxed`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use recoup::tower::RecoveryLayer;
/// use recoup::{Category, Recovery, RecoveryError};
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
///
/// let recovery = Recovery::builder("search").classifier(|error: &BoxError| {
///     error.is::<tower::timeout::error::Elapsed>().then_some(Category::Timeout)
/// });
/// let search = ServiceBuilder::new()
///     .buffer(8) // takes only services whose error is one
///     .layer(RecoveryLayer::new(recovery.build()?).boxed())
///     .timeout(Duration::from_secs(1))
///     .service(service_fn(|_: u32| std::future::pending::<Result<u32, BoxError>>()));
///
/// let error = search.oneshot(7).await.unwrap_err();
/// let error = error.to_string();
/// assert!(error.contains("`search` gave up"), "{error}");
/// # Ok(()) }
/// ```
pub struct BoxedLayer<E, P> {
    layer: RecoveryLayer<E, P>,
}

impl<E, P> BoxedLayer<E, P> {
    pub(super) const fn new(layer: RecoveryLayer<E, P>) -> Self {
        Self { layer }
    }
}

impl<S, E, P: Clone> Layer<S> for BoxedLayer<E, P> {
    type Service = BoxedService<S, E, P>;

    fn layer(&self, inner: S) -> Self::Service {
        BoxedService { service: self.layer.layer(inner) }
    }
}

impl<E, P: Clone> Clone for BoxedLayer<E, P> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone() }
    }
}

impl<E, P: fmt::Debug> fmt::Debug for BoxedLayer<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedLayer").field("layer", &self.layer).finish()
    }
}

/// A [`RecoveryService`] whose errors are errors although those of the inner service are boxes. Made by a
/// [`BoxedLayer`].
pub struct BoxedService<S, E, P> {
    service: RecoveryService<S, E, P>,
}

impl<S, E, P, Req> Service<Req> for BoxedService<S, E, P>
where
    E: Into<Box<dyn Error + Send + Sync>>,
    RecoveryService<S, E, P>:
        Service<Req, Error = RecoveryError<E>, Future = ResponseFuture<Response<S, E, P, Req>, E>>,
{
    type Response = Response<S, E, P, Req>;
    type Error = RecoveryError<Boxed>;
    type Future = BoxedFuture<Self::Response, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx).map_err(RecoveryError::boxed)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        BoxedFuture { response: self.service.call(request) }
    }
}

type Response<S, E, P, Req> = <RecoveryService<S, E, P> as Service<Req>>::Response;

impl<S: Clone, E, P: Clone> Clone for BoxedService<S, E, P> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone() }
    }
}

impl<S: fmt::Debug, E, P: fmt::Debug> fmt::Debug for BoxedService<S, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedService").field("service", &self.service).finish()
    }
}

/// The future of a [`BoxedService`].
///
/// # Cancel safety
///
/// As [`ResponseFuture`].
#[must_use = "futures do nothing unless awaited"]
pub struct BoxedFuture<Res, E> {
    response: ResponseFuture<Res, E>,
}

impl<Res, E> Future for BoxedFuture<Res, E>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Res, RecoveryError<Boxed>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.response).poll(cx).map_err(RecoveryError::boxed)
    }
}

impl<Res, E> fmt::Debug for BoxedFuture<Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedFuture").finish_non_exhaustive()
    }
}
