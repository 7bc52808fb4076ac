//! The layer, and what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tonic::Status;
use tower_layer::Layer;

use super::channel::RecoveryChannel;
use super::config::ServiceConfig;
use super::policy::{MethodPolicy, Throttling};
use crate::recovery::Recovery;
use crate::retry::RetryBudget;

/// Puts a [`Recovery`] around a channel, by the rules of gRPC for what may be made again: unary calls and streams
/// of all three kinds. Generated clients take what it makes in place of the channel.
///
/// The recovery says what is done about failures: its circuit breaker, bulkhead, limits and throttle hold for all
/// methods together. Its classifier has to know what a [`Status`] means, which [`GrpcErrors`](super::GrpcErrors)
/// does. A [`MethodPolicy`] says what is different for one method.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use std::time::Duration;
/// use recoup::tonic::{GrpcErrors, GrpcLayer, MethodPolicy, Retry};
/// use recoup::{CircuitBreaker, Recovery, RetryPolicy, Throttle};
/// use tonic::{Code, Status, body::Body};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let recovery = Recovery::builder("echo")
///     .classifier(GrpcErrors)
///     .retry(RetryPolicy::builder().throttle(Throttle::single_client()))
///     .circuit_breaker(CircuitBreaker::builder("echo"))
///     .deadline(Duration::from_secs(10))
///     .build()?;
/// let layer = GrpcLayer::new(recovery)
///     .idempotent("/echo.v1.Echo/Get")
///     .method(
///         "/echo.v1.Echo/Put",
///         MethodPolicy::new().retry(Retry::builder().codes([Code::Unavailable, Code::Aborted]).build()?),
///     );
///
/// # let sent = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
/// # let channel = service_fn(move |_: http::Request<Body>| {
/// #     let first = sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
/// #     std::future::ready(if first { Err(Status::aborted("changed")) } else { Ok(http::Response::new(Body::empty())) })
/// # });
/// // `channel` is a `tonic::transport::Channel`, and `EchoClient::new(layer.layer(channel))` a client.
/// let put = http::Request::post("http://echo/echo.v1.Echo/Put").body(Body::empty()).unwrap();
/// assert!(layer.layer(channel).oneshot(put).await.is_ok(), "made again after ABORTED");
/// # Ok(()) }
/// ```
///
/// # What is made again
///
/// A call is made again if its method is [idempotent](Self::idempotent), or a policy with
/// [`Retry`](super::Retry) is given for it. By default no method is, and only a call of which the server surely did
/// nothing is made again. What is read off the answer:
///
/// - A status in the head (*trailers only*) is a failure like any other. The head of an answer without one commits
///   the call: it is handed on, and whatever comes after it is the caller's to see. So a stream is never made again
///   once it has begun.
/// - What never left this side, or was refused by the server's library before anybody looked at it
///   (`REFUSED_STREAM`, `GOAWAY`), is made again at once whatever the policies say, and counts as no attempt: the
///   latter once in a call, the former up to five times. Who still fails so is retried as after any failure.
/// - `grpc-retry-pushback-ms` is obeyed: exactly so long, and then the backoff begins anew for a method with
///   [`Retry`](super::Retry); not at all if it is negative or malformed.
/// - Messages are kept while they are sent, up to [a cap](Self::body_cap). A call that sends more is sent once.
///
/// Attempts after the first carry `grpc-previous-rpc-attempts`. One deadline holds for all of them: the shortest of
/// the request's own `grpc-timeout`, the policy's, and the recovery's. Each attempt tells the server what is left of
/// it. The first two hold to the end of a stream, as gRPC has it; the recovery's limits end with the head.
///
/// Source: gRPC proposal A6, "gRPC Retry Design".
///
/// # How it ends
///
/// With a response, or with a [`Status`]: that of the last attempt, or one of ours. The circuit is open, there is
/// no slot, or the dependency is overloaded: `UNAVAILABLE`. The rate limiter has nothing left:
/// `RESOURCE_EXHAUSTED`. There is no time left: `DEADLINE_EXCEEDED`. The program ends: `CANCELLED`.
/// [`recovery_error`](super::recovery_error) reads off it what is known of the call.
///
/// An answer that fails after its head does so too late for a retry, but not for the circuit breaker, for which it
/// is one failure more while the circuit is closed, nor for the throttling. That the caller's own time is over
/// counts for nothing.
#[derive(Clone)]
pub struct GrpcLayer {
    settings: Arc<Settings>,
}

/// What a layer is told. Shared by all that it makes.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) recovery: Recovery<Status>,
    methods: BTreeMap<Box<str>, MethodPolicy>,
    idempotent: BTreeSet<Box<str>>,
    config: ServiceConfig,
    otherwise: MethodPolicy,
    pub(super) throttling: Option<RetryBudget>,
    pub(super) body_cap: usize,
}

impl GrpcLayer {
    /// A layer under which no method is known to be idempotent.
    #[must_use]
    pub fn new(recovery: Recovery<Status>) -> Self {
        let settings = Settings {
            recovery,
            methods: BTreeMap::new(),
            idempotent: BTreeSet::new(),
            config: ServiceConfig::default(),
            otherwise: MethodPolicy::new(),
            throttling: None,
            body_cap: 256 * 1024,
        };
        Self { settings: Arc::new(settings) }
    }

    /// What is different for the method with this path, such as `/echo.v1.Echo/Get`. Default: nothing.
    #[must_use]
    pub fn method(mut self, path: impl Into<Box<str>>, policy: MethodPolicy) -> Self {
        self.change().methods.insert(path.into(), policy);
        self
    }

    /// Declares that calls of the method with this path may be made twice: twice is as good as once.
    #[must_use]
    pub fn idempotent(mut self, path: impl Into<Box<str>>) -> Self {
        self.change().idempotent.insert(path.into());
        self
    }

    /// The policies of a gRPC service config, for the methods that have none of their own here, and its
    /// throttling. Default: none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use recoup::Recovery;
    /// use recoup::tonic::{GrpcErrors, GrpcLayer, ServiceConfig};
    ///
    /// let config: ServiceConfig = r#"{ "methodConfig": [{ "name": [{}], "timeout": "2s" }] }"#.parse()?;
    /// let recovery = Recovery::builder("echo").classifier(GrpcErrors).build()?;
    /// let layer = GrpcLayer::new(recovery).service_config(&config);
    /// # assert!(format!("{layer:?}").contains("2s"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn service_config(mut self, config: &ServiceConfig) -> Self {
        if let Some(throttling) = config.throttling() {
            self = self.throttling(throttling);
        }
        self.change().config = config.clone();
        self
    }

    /// The policy of methods that have none of their own. Default: one that says nothing.
    #[must_use]
    pub fn otherwise(mut self, policy: MethodPolicy) -> Self {
        self.change().otherwise = policy;
        self
    }

    /// Holds back retries and hedges of all methods by these numbers, instead of the throttle or budget of the
    /// recovery. The layers cloned from this one count together. Default: the recovery's.
    #[must_use]
    pub fn throttling(mut self, throttling: Throttling) -> Self {
        self.change().throttling = throttling.budget();
        self
    }

    /// How many bytes of a call's messages are kept so that they can be sent again. A call that sends more is
    /// sent once. Default: 256 KiB, as gRPC has it for each call.
    #[must_use]
    pub fn body_cap(mut self, bytes: usize) -> Self {
        self.change().body_cap = bytes;
        self
    }

    /// The recovery.
    #[must_use]
    pub fn recovery(&self) -> &Recovery<Status> {
        &self.settings.recovery
    }

    fn change(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Settings {
    pub(super) fn policy(&self, path: &str) -> MethodPolicy {
        let own = self.methods.get(path).or_else(|| self.config.method(path));
        let policy = own.unwrap_or(&self.otherwise).clone();
        if self.idempotent.contains(path) { policy.idempotent() } else { policy }
    }

    /// What is paid for each attempt that fails: the throttling, or a budget of the recovery by the same rules.
    pub(super) fn tokens(&self) -> Option<&RetryBudget> {
        let budget = self.recovery.retry_budget().filter(|budget| budget.is_grpc());
        self.throttling.as_ref().or(budget)
    }
}

impl<S> Layer<S> for GrpcLayer {
    type Service = RecoveryChannel<S>;

    fn layer(&self, inner: S) -> RecoveryChannel<S> {
        RecoveryChannel::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for GrpcLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcLayer").field(&self.settings).finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("recovery", &self.recovery)
            .field("methods", &self.methods)
            .field("idempotent", &self.idempotent)
            .field("config", &self.config)
            .field("otherwise", &self.otherwise)
            .field("throttling", &self.throttling)
            .field("body_cap", &self.body_cap)
            .finish()
    }
}
