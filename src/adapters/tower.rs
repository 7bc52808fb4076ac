//! A recovery around any service of the tower kind.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io::{Error, ErrorKind};
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! use recoup::tower::RecoveryLayer;
//! use recoup::{Bulkhead, CircuitBreaker, IoErrors, Reason, Recovery, RetryPolicy};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! // Built once. Everything that the layer is put around shares it.
//! let breaker = CircuitBreaker::builder("inventory").build()?;
//! let recovery = Recovery::builder("inventory")
//!     .classifier(IoErrors)
//!     .retry(RetryPolicy::exponential(Duration::from_millis(50)).max_attempts(3))
//!     .circuit_breaker(breaker.clone())
//!     .bulkhead(Bulkhead::builder(64))
//!     .deadline(Duration::from_secs(10))
//!     .build()?;
//!
//! let calls = Arc::new(AtomicU32::new(0));
//! let counted = Arc::clone(&calls);
//! let inventory = ServiceBuilder::new()
//!     .layer(RecoveryLayer::new(recovery))
//!     .concurrency_limit(8) // a retry waits for its turn like everybody else
//!     .service(service_fn(move |item: &'static str| {
//!         let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
//!         async move { if first { Err(Error::from(ErrorKind::ConnectionReset)) } else { Ok(item.len()) } }
//!     }));
//!
//! assert_eq!(inventory.clone().oneshot("lamp").await?, 4);
//! assert_eq!(calls.load(Ordering::Relaxed), 2);
//!
//! breaker.force_open();
//! let error = inventory.oneshot("lamp").await.unwrap_err();
//! assert!(matches!(error.reason(), Reason::CircuitOpen(_)));
//! assert_eq!(calls.load(Ordering::Relaxed), 2, "nobody was asked");
//! # Ok(()) }
//! ```
//!
//! # What may be sent again
//!
//! That depends on the requests, so each [`Protocol`] says it, and each layer is made for one:
//!
//! | made by | requests | sent again | responses |
//! |---|---|---|---|
//! | [`RecoveryLayer::new`] | that can be cloned | after each error that is worth it | all good |
//! | [`RecoveryLayer::once`] | of any kind | never, once they were handed over | all good |
//! | `RecoveryLayer::http`, with the feature `http` | of HTTP | if HTTP allows it, bodies included | judged by status, headers and body |
//! | [`RecoveryLayer::with`] | of one's own | as one says | as one says |
//!
//! # Who is asked when
//!
//! The service that the layer makes is always ready, as it does not know of whom a call will need something. Each
//! attempt asks first the recovery (deadline, circuit, rate, bulkhead), and then the inner service whether it is
//! ready. So an open circuit answers at once although the inner service would not be ready for long; and whoever
//! waits for the inner service does so within the limits of the attempt, holding its slot. A layer outside of this
//! one that sheds load when what is inside of it is not ready never sheds: the recovery's bulkhead is there for
//! that.
//!
//! Each attempt asks an instance of its own, the very one that then takes its request: a clone of a service need
//! not be ready because another one is. Whatever a dropped call had of the inner service goes back with it.
//! Services that cannot be cloned, such as tower's rate limit or its balancer, go behind tower's buffer.
//!
//! # What is shared
//!
//! A layer is often applied more than once: a server of axum applies it to each route and each connection. Limits
//! that are made when a layer is applied then limit each of those alone. This one is given its [`Recovery`] when it
//! is made, and so its bulkhead limits all of them together. A server whose recovery must never retry uses
//! [`RecoveryLayer::once`].
//!
//! # Errors
//!
//! What a call ends with is a [`RecoveryError`](crate::RecoveryError), with the inner service's own error in it. It
//! is an error itself if that is one; over services whose error is a box (tower's buffer, time limit or shedder),
//! [`RecoveryLayer::boxed`] makes it one. What those errors are worth the [classifier](crate::ErrorClassifier) of
//! the recovery says:
//!
//! ```
//! use recoup::{Category, ErrorClassifier};
//! use tower::{BoxError, load_shed, timeout};
//!
//! let classifier = |error: &BoxError| match error {
//!     error if error.is::<timeout::error::Elapsed>() => Some(Category::Timeout),
//!     error if error.is::<load_shed::error::Overloaded>() => Some(Category::ResourceExhausted),
//!     _ => None, // unknown: worth another attempt, and counted as a failure
//! };
//! let error: BoxError = timeout::error::Elapsed::new().into();
//! assert_eq!(classifier.classify(&error).category(), Category::Timeout);
//! ```
//!
//! # What it costs
//!
//! A call allocates its future, and clones the inner service twice and the recovery's handle once; over HTTP it
//! also writes down what the call is about. Each attempt has a [span](crate::traced).
//!
//! [`Recovery`]: crate::Recovery

mod boxed;
mod cloned;
#[cfg(feature = "http")]
pub mod http;
mod layer;
mod once;
mod protocol;
mod service;

pub use self::boxed::{BoxedFuture, BoxedLayer, BoxedService};
pub use self::cloned::{Cloned, ClonedCall};
pub use self::layer::RecoveryLayer;
pub use self::once::{Once, OnceCall};
pub use self::protocol::{Call, Protocol};
pub use self::service::{RecoveryService, ResponseFuture};
