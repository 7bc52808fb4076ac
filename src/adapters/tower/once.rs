//! Requests that are sent once.

use std::fmt;

use super::protocol::{Call, Protocol};
use crate::attempt::Attempt;
use crate::classification::Classification;
use crate::error::CannotRepeat;
use crate::sync::Lock;

/// Requests that are sent at most once, and handed over as they are: for whatever cannot be cloned or must not
/// be done twice, and for servers, where everything of a recovery but its retries is wanted.
///
/// An attempt that ended before the request was handed over, because the inner service was not ready in time,
/// is made again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use recoup::tower::RecoveryLayer;
/// use recoup::{CannotRepeat, Reason, Recovery, RetryPolicy};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// struct Parcel; // of which there is only one
/// let recovery = Recovery::builder("post").retry(RetryPolicy::single_client()).build()?;
/// let post = RecoveryLayer::once(recovery).layer(service_fn(|_: Parcel| async { Err::<(), _>("lost") }));
/// let error = post.oneshot(Parcel).await.unwrap_err();
/// assert_eq!(error.reason(), &Reason::CannotRepeat(CannotRepeat::NotReplayable));
/// assert_eq!(error.attempts(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Once;

/// One request that is sent at most once.
pub struct OnceCall<Req>(Lock<Option<Req>>);

impl<Req> Protocol<Req> for Once {
    type Request = Req;
    type Call = OnceCall<Req>;

    fn begin(&self, request: Req) -> OnceCall<Req> {
        OnceCall(Lock::new(Some(request)))
    }
}

impl<Req: Send, Res: Send> Call<Res> for OnceCall<Req> {
    type Request = Req;
    type Response = Res;

    fn request(&self, _attempt: Attempt) -> Req {
        self.0.lock().take().expect("`may_repeat` refuses once the request is gone")
    }

    async fn receive(&self, response: Res) -> Res {
        response
    }

    fn judge(&self, _response: &Res) -> Option<Classification> {
        None
    }

    fn may_repeat(&self, _failed: &Classification) -> Result<(), CannotRepeat> {
        if self.0.lock().is_some() { Ok(()) } else { Err(CannotRepeat::NotReplayable) }
    }
}

impl<Req> fmt::Debug for OnceCall<Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCall").finish_non_exhaustive()
    }
}
