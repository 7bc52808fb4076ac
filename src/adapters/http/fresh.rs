//! Bodies that are made anew.

use std::fmt;
use std::sync::Arc;

/// Stands where a request has its body, if that is made anew for each attempt: a file, or anything else that can be
/// read from its begin again. However long it is, nothing of it is kept, and it can be sent as often as it can be
/// made. It should be the same each time.
///
/// Layers with the rules of HTTP take it in place of a body; [`Outgoing::from_fn`](super::Outgoing::from_fn) is for
/// who has no layer.
///
/// ```
/// use http_body_util::Full;
/// use recoup::http::FreshBody;
///
/// let body = FreshBody::new(|| Full::<bytes::Bytes>::from("read anew from the disk"));
/// let request = http::Request::put("http://store/7").body(body).unwrap();
/// # let _ = request;
/// ```
pub struct FreshBody<B> {
    make: Arc<dyn Fn() -> B + Send + Sync>,
}

impl<B> FreshBody<B> {
    /// A body that `make` makes.
    #[must_use]
    pub fn new(make: impl Fn() -> B + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make) }
    }

    /// One more of it.
    #[must_use]
    pub fn make(&self) -> B {
        (self.make)()
    }
}

impl<B> Clone for FreshBody<B> {
    fn clone(&self) -> Self {
        Self { make: Arc::clone(&self.make) }
    }
}

impl<B> fmt::Debug for FreshBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreshBody")
    }
}
