//! The service, and the future of one call.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tower_service::Service;

use super::cloned::Cloned;
use super::protocol::{Call, Protocol};
use crate::adapters::traced;
use crate::error::RecoveryError;
use crate::recovery::{Recovery, Using, execute_with_recovery};
use crate::sync::atomic::{AtomicBool, Ordering};

/// A service under a [`Recovery`]. Made by a [`RecoveryLayer`](super::RecoveryLayer), or by itself:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use recoup::tower::RecoveryService;
/// use recoup::Recovery;
/// use tower::{ServiceExt, service_fn};
///
/// let recovery = Recovery::builder("search").build()?;
/// let search = RecoveryService::new(service_fn(|_: u32| async { Err::<(), _>("busy") }), recovery);
/// let error = search.oneshot(7).await.unwrap_err();
/// assert_eq!(error.attempts(), 3);
/// assert_eq!(error.into_inner(), Some("busy"));
/// # Ok(()) }
/// ```
///
/// It is always ready: whether a call may be made is asked when it is made. See the
/// [module](super#who-is-asked-when).
pub struct RecoveryService<S, E, P = Cloned> {
    inner: S,
    recovery: Recovery<E>,
    protocol: P,
}

impl<S, E> RecoveryService<S, E> {
    /// For requests that can be cloned, and may be sent again whatever became of them.
    pub const fn new(inner: S, recovery: Recovery<E>) -> Self {
        Self::with(inner, recovery, Cloned)
    }
}

impl<S, E, P> RecoveryService<S, E, P> {
    /// For requests of which `protocol` knows more.
    pub const fn with(inner: S, recovery: Recovery<E>, protocol: P) -> Self {
        Self { inner, recovery, protocol }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, E, P, Req> Service<Req> for RecoveryService<S, E, P>
where
    E: Send + 'static,
    P: Protocol<Req, Request: 'static>,
    P::Call: Call<S::Response, Request = P::Request> + Send + Sync + 'static,
    <P::Call as Call<S::Response>>::Response: Send + 'static,
    S: Service<P::Request, Error = E> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
{
    type Response = <P::Call as Call<S::Response>>::Response;
    type Error = RecoveryError<E>;
    type Future = ResponseFuture<Self::Response, E>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let call = self.protocol.begin(request);
        // If somebody has made the instance ready before it was given to us, it is the one to use what it has
        // reserved: kept here, it would keep that for ever.
        let fresh = self.inner.clone();
        let inner = mem::replace(&mut self.inner, fresh);
        ResponseFuture { call: Box::pin(make(self.recovery.clone(), inner, call)) }
    }
}

/// One call. Whatever it is given is held in here, and comes back when this is dropped.
async fn make<S, E, C, Req>(
    recovery: Recovery<E>,
    mut inner: S,
    call: C,
) -> Result<C::Response, RecoveryError<E>>
where
    C: Call<S::Response, Request = Req> + Send + Sync,
    S: Service<Req, Error = E> + Clone + Send,
    S::Future: Send,
    S::Response: Send,
{
    let context = call.context();
    let using = match &context {
        Some(context) => recovery.with_context(context),
        None => Using::from(&recovery),
    };
    let (call, handed_over) = (&call, &AtomicBool::new(false));
    let attempts = traced(move |attempt| {
        // A clone is ready for nothing. So one instance is asked, and that very one takes the request. It is
        // dropped with the attempt, and what it has reserved with it.
        let fresh = inner.clone();
        let mut ready = mem::replace(&mut inner, fresh);
        async move {
            handed_over.store(false, Ordering::Relaxed);
            poll_fn(|cx| ready.poll_ready(cx)).await?;
            let request = call.request(attempt);
            handed_over.store(true, Ordering::Relaxed);
            let response = ready.call(request);
            // It has nothing more to do, and may be what keeps others waiting.
            drop(ready);
            Ok(call.receive(response.await?).await)
        }
    });
    execute_with_recovery(using, attempts)
        .judge(|response| call.judge(response))
        .repeat_if(|failed| {
            let failed = if handed_over.load(Ordering::Relaxed) { *failed } else { failed.unprocessed() };
            call.may_repeat(&failed)
        })
        .await
}

impl<S: Clone, E, P: Clone> Clone for RecoveryService<S, E, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), recovery: self.recovery.clone(), protocol: self.protocol.clone() }
    }
}

impl<S: fmt::Debug, E, P: fmt::Debug> fmt::Debug for RecoveryService<S, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryService")
            .field("inner", &self.inner)
            .field("recovery", &self.recovery)
            .field("protocol", &self.protocol)
            .finish()
    }
}

/// The future of a [`RecoveryService`]: one call with all its attempts.
///
/// # Cancel safety
///
/// Dropping it drops the attempt under way, or the wait, and gives back what it held: the slot and its place in
/// the queue, the token reserved for a retry, a probe's place, and what the inner service had reserved for it.
/// As with [`execute_with_recovery`], an attempt under way counts as abandoned, and no letter is written.
#[must_use = "futures do nothing unless awaited"]
pub struct ResponseFuture<Res, E> {
    call: BoxFuture<'static, Result<Res, RecoveryError<E>>>,
}

impl<Res, E> Future for ResponseFuture<Res, E> {
    type Output = Result<Res, RecoveryError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.as_mut().poll(cx)
    }
}

impl<Res, E> fmt::Debug for ResponseFuture<Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
