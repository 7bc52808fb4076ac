//! The layer.

use std::fmt;

use tower_layer::Layer;

use super::boxed::BoxedLayer;
use super::cloned::Cloned;
use super::once::Once;
use super::service::RecoveryService;
use crate::recovery::Recovery;

/// Puts a [`Recovery`] around services. All services that it makes, and their clones, share that one recovery:
/// a bulkhead of 2 lets 2 attempts through over all of them, however often the layer is applied.
///
/// `P` says what is known of the requests: see [`Protocol`](super::Protocol).
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use std::convert::Infallible;
/// use std::future::pending;
/// use futures::FutureExt;
/// use recoup::tower::RecoveryLayer;
/// use recoup::{Bulkhead, Reason, Recovery};
/// use tower::{Layer, Service, service_fn};
///
/// let recovery = Recovery::builder("reports").bulkhead(Bulkhead::builder(1)).build()?;
/// let layer = RecoveryLayer::new(recovery);
/// let mut reports = layer.layer(service_fn(|_: u32| pending::<Result<u32, Infallible>>()));
/// let mut others = layer.layer(service_fn(|n: u32| async move { Ok::<_, Infallible>(n) }));
///
/// let mut waits = Box::pin(reports.call(1));
/// assert!(waits.as_mut().now_or_never().is_none());
/// let refused = others.call(2).await.unwrap_err();
/// assert!(matches!(refused.reason(), Reason::BulkheadFull(_)), "the only slot is taken");
///
/// drop(waits);
/// assert_eq!(others.call(2).await.unwrap(), 2);
/// # Ok(()) }
/// ```
pub struct RecoveryLayer<E, P = Cloned> {
    pub(super) recovery: Recovery<E>,
    pub(super) protocol: P,
}

impl<E> RecoveryLayer<E> {
    /// For requests that can be cloned, and may be sent again whatever became of them.
    #[must_use]
    pub const fn new(recovery: Recovery<E>) -> Self {
        Self { recovery, protocol: Cloned }
    }
}

impl<E> RecoveryLayer<E, Once> {
    /// For requests of any kind, each sent at most once: see [`Once`].
    #[must_use]
    pub const fn once(recovery: Recovery<E>) -> Self {
        Self { recovery, protocol: Once }
    }
}

impl<E, P> RecoveryLayer<E, P> {
    /// For requests of which `protocol` knows more.
    #[must_use]
    pub const fn with(recovery: Recovery<E>, protocol: P) -> Self {
        Self { recovery, protocol }
    }

    /// For services whose error is a box, such as those of tower's own buffer or time limit: the error then is
    /// a [`RecoveryError`](crate::RecoveryError) that is an error itself, so that it goes into a box again.
    #[must_use]
    pub fn boxed(self) -> BoxedLayer<E, P> {
        BoxedLayer::new(self)
    }

    /// The recovery.
    #[must_use]
    pub const fn recovery(&self) -> &Recovery<E> {
        &self.recovery
    }
}

impl<S, E, P: Clone> Layer<S> for RecoveryLayer<E, P> {
    type Service = RecoveryService<S, E, P>;

    fn layer(&self, inner: S) -> Self::Service {
        RecoveryService::with(inner, self.recovery.clone(), self.protocol.clone())
    }
}

impl<E, P: Clone> Clone for RecoveryLayer<E, P> {
    fn clone(&self) -> Self {
        Self { recovery: self.recovery.clone(), protocol: self.protocol.clone() }
    }
}

impl<E, P: fmt::Debug> fmt::Debug for RecoveryLayer<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryLayer")
            .field("recovery", &self.recovery)
            .field("protocol", &self.protocol)
            .finish()
    }
}
