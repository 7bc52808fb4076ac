//! A layer around a server's handlers, so that whatever goes wrong becomes an answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{Method, Request, StatusCode, Uri};
use tower_layer::Layer;
use tower_service::Service;

use super::alert::Alerts;
use super::format::Format;
use super::rejection::Rejection;
use super::report::Report;
use super::request_id::{RequestId, X_REQUEST_ID};
use super::rewrite::{self, SeenTo};
use crate::classification::Category;

/// Turns whatever goes wrong behind it into answers of one format, with the request's id, and tells of it.
///
/// - A [`Rejection`] that a handler gave back, or a [`ProtectLayer`](super::ProtectLayer) behind it, is written in
///   the layer's [format](Self::format). Headers that the handler added stay, and so does a status that it put in
///   front, as in `(StatusCode::IM_A_TEAPOT, rejection)`.
/// - An error of the service behind it is made a [`Rejection`] and written likewise. So the whole never fails, which
///   is what axum asks of a service: a [`RecoveryService`](crate::tower) can be a route.
/// - All other answers pass as they are, with the request's id.
/// - [Alerts](Self::alerts) are told of every answer of 500 and above, and of every critical error.
///
/// It is asked last and answers first: put it around all other layers, with `Router::layer` as the last one. Where
/// there are two around each other, the one further in writes the answer, and of those that have alerts the innermost
/// tells them.
///
/// ```
/// use axum::{Router, routing::get};
/// use recoup::Category;
/// use recoup::axum::{Alerts, ErrorLayer, Format, Rejection};
///
/// async fn order() -> Result<String, Rejection> {
///     Err(Rejection::new(Category::NotFound).detail("there is no order 7"))
/// }
///
/// let app: Router = Router::new().route("/orders/7", get(order)).layer(
///     ErrorLayer::new()
///         .format(Format::problem_types("https://shop.example/errors/"))
///         .alerts(Alerts::new(|alert| eprintln!("{alert}")))
///         .catch_panics(),
/// );
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// # use tower::ServiceExt;
/// # let app: axum::Router = axum::Router::new().route("/orders/7", axum::routing::get(|| async {
/// #     recoup::axum::Rejection::new(recoup::Category::NotFound)
/// # })).layer(recoup::axum::ErrorLayer::new());
/// let request = http::Request::get("/orders/7").header("x-request-id", "42").body(axum::body::Body::empty());
/// let response = app.oneshot(request.unwrap()).await.unwrap();
/// assert_eq!((response.status().as_u16(), &response.headers()["x-request-id"]), (404, &"42".parse().unwrap()));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ErrorLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    format: Format,
    development: bool,
    alerts: Option<Alerts>,
    catches_panics: bool,
    fills_bare: bool,
    statuses: BTreeMap<Category, StatusCode>,
}

impl ErrorLayer {
    /// A layer that writes problems as in production, tells nobody, and lets panics pass.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// How rejections are written. Default: [`Format::problem`].
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        self.with(|settings| settings.format = format)
    }

    /// Whether the texts of inner errors are shown to the caller. They may hold anything: addresses, statements,
    /// secrets. Default: no.
    #[must_use]
    pub fn development(self, development: bool) -> Self {
        self.with(|settings| settings.development = development)
    }

    /// Who is told of every answer of 500 and above, and of every critical error. Default: nobody.
    #[must_use]
    pub fn alerts(self, alerts: impl Into<Alerts>) -> Self {
        self.with(|settings| settings.alerts = Some(alerts.into()))
    }

    /// Answers 500 when the service behind it panics, before the head of its answer is there. Default: the panic
    /// passes, and ends the connection's task. What panicked is dropped; state that it shares with others must
    /// bear that. A body that panics while it is sent is not caught, nor is a format.
    #[must_use]
    pub fn catch_panics(self) -> Self {
        self.with(|settings| settings.catches_panics = true)
    }

    /// Writes answers of 400 and above too that have no body, as a router's own 404 and 405. Default: they pass as
    /// they are.
    #[must_use]
    pub fn fill_bare_errors(self) -> Self {
        self.with(|settings| settings.fills_bare = true)
    }

    /// Answers errors of this category with this status. A rejection's [own](Rejection::with_status) goes first.
    /// Default: [`status_of`](super::status_of) it.
    #[must_use]
    pub fn status_for(self, category: Category, status: StatusCode) -> Self {
        self.with(|settings| {
            settings.statuses.insert(category, status);
        })
    }
}

impl<S> Layer<S> for ErrorLayer {
    type Service = ErrorService<S>;

    fn layer(&self, inner: S) -> ErrorService<S> {
        ErrorService { inner, settings: Arc::clone(&self.settings) }
    }
}

/// A service in an [`ErrorLayer`]. It is always ready: its inner service's readiness is waited for in the answer.
#[derive(Clone, Debug)]
pub struct ErrorService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B> Service<Request<B>> for ErrorService<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Error: Into<Rejection>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ErrorFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ErrorFuture {
        // Kept here, what somebody had it reserve before it was given to us would be kept for ever.
        let fresh = self.inner.clone();
        let inner = mem::replace(&mut self.inner, fresh);
        let settings = Arc::clone(&self.settings);
        let asked = Asked::of(&mut request);
        let answering = async move {
            let serving = serve(inner, request);
            let served = if settings.catches_panics {
                let caught = AssertUnwindSafe(serving).catch_unwind().await;
                caught.unwrap_or_else(|payload| Err(Rejection::panicked(&*payload)))
            } else {
                serving.await
            };
            Ok(settings.answer(served, &asked))
        };
        ErrorFuture { answering: Box::pin(answering) }
    }
}

/// Waits until the very instance that takes the request is ready for it.
async fn serve<S, B>(mut inner: S, request: Request<B>) -> Result<Response<Body>, Rejection>
where
    S: Service<Request<B>>,
    S::Response: IntoResponse,
    S::Error: Into<Rejection>,
{
    poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
    inner.call(request).await.map(IntoResponse::into_response).map_err(Into::into)
}

/// The answer of an [`ErrorService`]. Never fails.
///
/// # Cancel safety
///
/// Dropped, it drops the inner service's future, and tells nobody.
#[must_use = "futures do nothing unless polled"]
pub struct ErrorFuture {
    answering: Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>,
}

impl Future for ErrorFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answering.as_mut().poll(cx)
    }
}

impl fmt::Debug for ErrorFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorFuture").finish_non_exhaustive()
    }
}

/// What is kept of the request for its answer.
struct Asked {
    id: RequestId,
    method: Method,
    uri: Uri,
}

impl Asked {
    /// Gives the request its id, for those behind.
    fn of<B>(request: &mut Request<B>) -> Self {
        // One that a layer further out has given is the one that it will answer with.
        let given = request.extensions().get::<RequestId>().cloned();
        let id = given.or_else(|| RequestId::of(request.headers())).unwrap_or_else(RequestId::new);
        if let Some(value) = id.header() {
            request.headers_mut().insert(X_REQUEST_ID, value);
        }
        request.extensions_mut().insert(id.clone());
        Self { id, method: request.method().clone(), uri: request.uri().clone() }
    }
}

impl Settings {
    fn answer(&self, served: Result<Response<Body>, Rejection>, asked: &Asked) -> Response<Body> {
        let mut response = match served {
            Ok(response) => match rewrite::seen_to(&response) {
                Some(seen) => self.pass_on(response, seen, asked),
                None => self.first(response, asked),
            },
            Err(rejection) => {
                let status = self.status(&rejection);
                self.write(None, &rejection, status, asked)
            }
        };
        if let Some(id) = asked.id.header() {
            // Whatever stands there, ours is the one under which alerts have it.
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }

    /// An answer that no layer has seen yet.
    fn first(&self, mut response: Response<Body>, asked: &Asked) -> Response<Body> {
        let Some(rejection) = response.extensions_mut().remove::<Rejection>() else {
            return self.pass(response, asked);
        };
        // What somebody has changed on the way is meant so.
        let changed = response.status() != rejection.status();
        let status = if changed { response.status() } else { self.status(&rejection) };
        self.write(Some(response), &rejection, status, asked)
    }

    /// An answer that a layer further in has seen to. If that had nobody to tell, this may have.
    fn pass_on(&self, mut response: Response<Body>, seen: SeenTo, asked: &Asked) -> Response<Body> {
        if !seen.is_told {
            let known = response.extensions().get::<Rejection>();
            let rejection = known.cloned().unwrap_or_else(|| Rejection::bare(seen.status));
            let is_told = self.tell(&self.report(&rejection, seen.status, asked));
            rewrite::see_to(&mut response, SeenTo { is_told, ..seen });
        }
        response
    }

    fn status(&self, rejection: &Rejection) -> StatusCode {
        let by_category = || self.statuses.get(&rejection.category()).copied();
        rejection.own_status().or_else(by_category).unwrap_or_else(|| rejection.status())
    }

    fn report<'a>(&self, rejection: &'a Rejection, status: StatusCode, asked: &'a Asked) -> Report<'a> {
        Report {
            rejection,
            status,
            request_id: &asked.id,
            method: &asked.method,
            path: asked.uri.path(),
            development: self.development,
        }
    }

    /// Writes the rejection anew, and keeps what a handler has put around it.
    fn write(
        &self,
        before: Option<Response<Body>>,
        rejection: &Rejection,
        status: StatusCode,
        asked: &Asked,
    ) -> Response<Body> {
        let report = self.report(rejection, status, asked);
        let is_told = self.tell(&report);
        let mut response = self.format.response(&report);
        if let Some(before) = before {
            let own_hint = Report { status: rejection.status(), ..report }.retry_after_seconds();
            response = rewrite::over(before, response, own_hint);
        }
        rewrite::see_to(&mut response, SeenTo { status, is_told });
        rewrite::remember(&mut response, rejection);
        response
    }

    /// An answer that a handler has written itself.
    fn pass(&self, mut response: Response<Body>, asked: &Asked) -> Response<Body> {
        let status = response.status();
        let fills = self.fills_bare && status.as_u16() >= 400 && rewrite::is_bare(&response);
        if fills {
            return self.write(Some(response), &Rejection::bare(status), status, asked);
        }
        if status.as_u16() >= 500 {
            let is_told = self.tell(&self.report(&Rejection::bare(status), status, asked));
            rewrite::see_to(&mut response, SeenTo { status, is_told });
        }
        response
    }

    /// Whether there is somebody to tell.
    fn tell(&self, report: &Report<'_>) -> bool {
        self.alerts.as_ref().inspect(|alerts| alerts.tell(report)).is_some()
    }
}
