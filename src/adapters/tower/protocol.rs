//! What is known of the requests and responses between a caller and a service.

use std::future::Future;

use crate::attempt::Attempt;
use crate::call::CallContext;
use crate::classification::Classification;
use crate::error::CannotRepeat;

/// What a [`RecoveryService`](super::RecoveryService) knows of the requests that it is given: how to make one
/// call of each.
///
/// Ready-made are [`Cloned`](super::Cloned), [`Once`](super::Once) and, with the feature `http`, the rules of
/// HTTP. A protocol of one's own says which responses are worth another attempt, for example:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use recoup::tower::{Call, Protocol, RecoveryLayer};
/// use recoup::{Attempt, CannotRepeat, Category, Classification, Recovery, RetryPolicy};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// /// Questions, to which "later" is no answer.
/// #[derive(Clone)]
/// struct Questions;
///
/// struct Question(&'static str);
///
/// impl Protocol<&'static str> for Questions {
///     type Request = &'static str;
///     type Call = Question;
///
///     fn begin(&self, request: &'static str) -> Question {
///         Question(request)
///     }
/// }
///
/// impl Call<String> for Question {
///     type Request = &'static str;
///     type Response = String;
///
///     fn request(&self, _attempt: Attempt) -> &'static str {
///         self.0
///     }
///
///     async fn receive(&self, response: String) -> String {
///         response
///     }
///
///     fn judge(&self, response: &String) -> Option<Classification> {
///         (response == "later").then(|| Category::ServiceUnavailable.into())
///     }
///
///     fn may_repeat(&self, _failed: &Classification) -> Result<(), CannotRepeat> {
///         Ok(())
///     }
/// }
///
/// let asked = Arc::new(AtomicU32::new(0));
/// let oracle = service_fn(move |question: &'static str| {
///     let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
///     async move { Ok::<_, std::io::Error>(if first { "later".to_owned() } else { format!("{question} 42.") }) }
/// });
/// let recovery = Recovery::builder("oracle").retry(RetryPolicy::single_client()).build()?;
/// let oracle = RecoveryLayer::with(recovery, Questions).layer(oracle);
/// assert_eq!(oracle.oneshot("Why?").await.unwrap(), "Why? 42.");
/// # Ok(()) }
/// ```
pub trait Protocol<Req> {
    /// What the inner service takes.
    type Request;
    /// One call: what is to be kept of a request so that it can be made again.
    type Call;

    /// Takes a request in.
    fn begin(&self, request: Req) -> Self::Call;
}

/// One call under a [`Protocol`], with all its attempts. `Res` is what the inner service answers.
pub trait Call<Res> {
    /// What the inner service takes.
    type Request;
    /// What the caller gets.
    type Response;

    /// What the call is about, for limits, letters and events. Asked once. Default: nothing is known.
    fn context(&self) -> Option<CallContext<'static>> {
        None
    }

    /// The request of one attempt. Asked when the inner service is ready to take it, and again only after
    /// [`may_repeat`](Self::may_repeat) has allowed it.
    fn request(&self, attempt: Attempt) -> Self::Request;

    /// Turns what the service answered into what the caller gets. It is part of the attempt, and so within its
    /// limits: what has to be read of a response before it can be judged is read here.
    fn receive(&self, response: Res) -> impl Future<Output = Self::Response> + Send;

    /// What is wrong with a response, if something is. The last response is given back whatever is said of it.
    fn judge(&self, response: &Self::Response) -> Option<Classification>;

    /// Whether the call may be made again, after an attempt that failed like this. An attempt whose request was
    /// never handed to the inner service is [unprocessed](Classification::is_unprocessed).
    ///
    /// # Errors
    ///
    /// Why it may not.
    fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat>;
}
