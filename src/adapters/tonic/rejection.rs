//! How a call of the layer ends without an answer.

use std::error::Error;
use std::sync::Arc;

use tonic::{Code, Status};

use super::errors::chain;
use crate::error::{Reason, RecoveryError};

/// What the layer knows of a call that ended in `status`: who gave up and why, and after how many attempts. None if
/// the status did not come from a layer of ours.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use recoup::tonic::{GrpcErrors, GrpcLayer, recovery_error};
/// use recoup::{Reason, Recovery};
/// use tonic::{Status, body::Body};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let away = service_fn(|_: http::Request<Body>| async {
///     Err::<http::Response<Body>, _>(Status::unavailable("away"))
/// });
/// let recovery = Recovery::builder("echo").classifier(GrpcErrors).build()?;
/// let channel = GrpcLayer::new(recovery).layer(away);
///
/// let put = http::Request::post("http://echo/echo.v1.Echo/Put").body(Body::empty()).unwrap();
/// let status = channel.oneshot(put).await.unwrap_err();
/// let known = recovery_error(&status).unwrap();
/// assert_eq!((status.message(), known.attempts()), ("away", 1));
/// assert!(matches!(known.reason(), Reason::CannotRepeat(_)), "nobody said that the method is idempotent");
/// # Ok(()) }
/// ```
#[must_use]
pub fn recovery_error(status: &Status) -> Option<&RecoveryError<Status>> {
    chain(status.source()?).find_map(|link| link.downcast_ref())
}

/// The status with which a call ends: that of its last attempt, or one of ours, and what is known of the call as
/// its source.
pub(super) fn status(error: RecoveryError<Status>) -> Status {
    let mut status = match error.inner() {
        // Cut short, it has no answer; one that an attempt before it had is older.
        Some(last) if !error.story.timed_out => Status::with_details_and_metadata(
            last.code(),
            last.message(),
            last.details().to_vec().into(),
            last.metadata().clone(),
        ),
        _ => Status::new(code(&error), error.reason().to_string()),
    };
    status.set_source(Arc::new(error));
    status
}

fn code(error: &RecoveryError<Status>) -> Code {
    if error.is_timeout() {
        return Code::DeadlineExceeded;
    }
    match error.reason() {
        Reason::RateLimited(_) => Code::ResourceExhausted,
        Reason::ShutDown | Reason::StoppedByHook => Code::Cancelled,
        _ => Code::Unavailable,
    }
}
