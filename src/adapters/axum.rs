//! What a server of `axum` answers when a policy refuses, and how it is protected by policies.
//!
//! - [`Rejection`] is what a handler gives back when a call of its own failed: `?` makes it of every error of recoup's.
//! - [`ErrorLayer`] writes rejections in one [`Format`], gives requests their [`RequestId`], tells [`Alerts`] of what
//!   somebody should hear of, and turns errors of services, and panics if that is wanted, into answers.
//! - [`ProtectLayer`] puts a bulkhead, a rate limiter, a load shedder, a circuit breaker, a time limit around a
//!   route or a router.
//!
//! All are services of HTTP and depend on `axum-core` only.
//!
//! ```
//! use std::io::{Error, ErrorKind};
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use recoup::axum::{ErrorLayer, ProtectLayer, Rejection};
//! use recoup::{Bulkhead, IoErrors, Recovery, execute_with_recovery};
//!
//! async fn user(users: Recovery<Error>) -> Result<String, Rejection> {
//!     let call = async |_| Err(Error::new(ErrorKind::ConnectionRefused, "10.0.0.7:5432"));
//!     Ok(execute_with_recovery(&users, call).await?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
//! let users = Recovery::builder("users").classifier(IoErrors).build()?;
//! let app: Router = Router::new()
//!     .route("/user", get(move || user(users.clone())))
//!     .layer(ProtectLayer::builder().bulkhead(Bulkhead::builder(64).queue(128)).timeout(Duration::from_secs(5)).build()?)
//!     .layer(ErrorLayer::new());
//! # use tower::ServiceExt;
//! let response = app.oneshot(http::Request::get("/user").body(axum::body::Body::empty()).unwrap()).await.unwrap();
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//! # Ok(()) }
//! ```

mod alert;
mod errors;
mod format;
mod from;
mod protect;
mod rejection;
mod report;
mod request_id;
mod rewrite;
mod status;

pub use self::alert::{Alert, Alerts, AlertsBuilder};
pub use self::errors::{ErrorFuture, ErrorLayer, ErrorService};
pub use self::format::Format;
pub use self::protect::{ProtectFuture, ProtectLayer, ProtectLayerBuilder, ProtectService};
pub use self::rejection::Rejection;
pub use self::report::Report;
pub use self::request_id::{RequestId, X_REQUEST_ID};
pub use self::status::status_of;
