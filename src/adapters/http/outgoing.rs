//! One request, sent as often as it takes.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request};
use http_body::Body;
use http_body_util::Full;

use super::repeat::{IDEMPOTENCY_KEY, is_idempotent};
use super::replay::Stream;
use super::trace::{TRACEPARENT, TraceParent};
use super::{CallOptions, ReplayBody, Requests};
use crate::attempt::Attempt;
use crate::call::CallContext;
use crate::classification::Classification;
use crate::error::CannotRepeat;
use crate::random::Dice;
use crate::sync::Lock;

/// One request that can be sent again: for each attempt a request with the same head, key and body.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Full};
/// use recoup::http::{IDEMPOTENCY_KEY, Outgoing, Requests};
///
/// let request = http::Request::post("http://bank/charge").body(Full::from("7 EUR")).unwrap();
/// let outgoing = Outgoing::new(request, &Requests::new().add_keys());
///
/// let mut keys = Vec::new();
/// let sent = recoup::retry_with(|attempt| {
///     let request = outgoing.request(attempt);
///     keys.push(request.headers()[IDEMPOTENCY_KEY].clone());
///     async move {
///         let body = request.into_body().collect().await.unwrap().to_bytes();
///         if attempt.is_first() { Err("lost") } else { Ok(body) }
///     }
/// });
/// assert_eq!(sent.await, Ok(Bytes::from("7 EUR")));
/// assert_eq!(keys[0], keys[1]);
/// # }
/// ```
pub struct Outgoing<B: Body> {
    head: Parts,
    body: Kind<B>,
    options: CallOptions,
    idempotent: bool,
    key: Option<Key>,
    trace: Option<TraceParent>,
}

enum Kind<B> {
    Whole(Bytes),
    Stream(Arc<Stream<B>>),
    Made(Made<B>),
}

/// A body that is made anew for each attempt.
struct Made<B> {
    make: Box<dyn Fn() -> B + Send + Sync>,
    /// Those of the last attempt, and its hedges.
    last: Lock<Vec<Arc<Stream<B>>>>,
}

/// The key by which the server knows attempts of the call.
#[derive(Clone, Debug)]
struct Key {
    text: String,
    /// Made up here, and so replaced by one that somebody brings.
    made_up: bool,
}

impl<B> Outgoing<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Takes over `request`. What it wants for itself stands in its extensions, as [`CallOptions`].
    #[must_use]
    pub fn new(request: Request<B>, settings: &Requests) -> Self {
        let (head, body) = request.into_parts();
        let kind = match whole(&body) {
            Some(bytes) => Kind::Whole(bytes),
            None => Kind::Stream(Arc::new(Stream::new(body, settings.body_cap))),
        };
        Self::of(head, kind, settings)
    }

    /// As [`new`](Self::new), of a body whose bytes are there. They are shared, however many they are.
    #[must_use]
    pub fn from_bytes(request: Request<Bytes>, settings: &Requests) -> Self {
        let (head, bytes) = request.into_parts();
        Self::of(head, Kind::Whole(bytes), settings)
    }

    /// As [`new`](Self::new), of a body that `make` makes anew for each attempt: a file, or a form with files in it.
    /// However long it is, nothing of it is kept, and it can be sent as often as it can be made. It should be the
    /// same each time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use http_body_util::{BodyExt, Full};
    /// use recoup::http::{Outgoing, Requests};
    ///
    /// let file = || Full::<bytes::Bytes>::from("read anew from the disk");
    /// let request = http::Request::put("http://store/7").body(()).unwrap();
    /// let outgoing = Outgoing::from_fn(request, file, &Requests::new());
    /// let sent = recoup::retry_with(|attempt| {
    ///     let body = outgoing.request(attempt).into_body().collect();
    ///     async move {
    ///         let body = body.await.unwrap().to_bytes();
    ///         if attempt.is_first() { Err("lost") } else { Ok(body) }
    ///     }
    /// });
    /// assert_eq!(sent.await.unwrap(), "read anew from the disk");
    /// # }
    /// ```
    #[must_use]
    pub fn from_fn(
        request: Request<()>,
        make: impl Fn() -> B + Send + Sync + 'static,
        settings: &Requests,
    ) -> Self {
        let (head, ()) = request.into_parts();
        Self::of(head, Kind::Made(Made { make: Box::new(make), last: Lock::default() }), settings)
    }

    fn of(mut head: Parts, body: Kind<B>, settings: &Requests) -> Self {
        let options = head.extensions.get::<CallOptions>().cloned().unwrap_or_default().begun();
        let own = head.headers.get_all(IDEMPOTENCY_KEY).iter().find(|key| !key.is_empty());
        let given = options.key().filter(|key| !key.is_empty());
        let idempotent = is_idempotent(&head.method, &head.headers);
        let as_text = |key: &HeaderValue| String::from_utf8_lossy(key.as_bytes()).into_owned();
        let key = match (own, given) {
            (Some(own), _) => Some(Key { text: as_text(own), made_up: false }),
            (None, Some(given)) => {
                let text = as_text(given);
                head.headers.insert(IDEMPOTENCY_KEY, given.clone());
                Some(Key { text, made_up: false })
            }
            (None, None) if settings.add_keys && !idempotent => {
                let text = format!("{:032x}", Dice::Fresh.bits());
                head.headers.insert(IDEMPOTENCY_KEY, digits(&text));
                Some(Key { text, made_up: true })
            }
            (None, None) => None,
        };
        let says = options.says_idempotent();
        let idempotent = says.unwrap_or_else(|| is_idempotent(&head.method, &head.headers));
        let trace = trace_of(&head);
        Self { head, body, options, idempotent, key, trace }
    }
}

impl<B: Body> Outgoing<B> {
    /// The request of this attempt.
    ///
    /// A body of an earlier attempt gets no more from now on, unless this is a [hedge](Attempt::hedge) of it.
    #[must_use]
    pub fn request(&self, attempt: Attempt) -> Request<ReplayBody<B>> {
        let mut head = self.head.clone();
        if let Some(trace) = &self.trace {
            head.headers.insert(TRACEPARENT, digits(&trace.child().to_string()));
        }
        let body = match &self.body {
            Kind::Whole(bytes) => ReplayBody::whole(bytes.clone()),
            Kind::Stream(stream) => ReplayBody::read(Arc::clone(stream), stream.enter(attempt.hedge() > 0)),
            Kind::Made(made) => made.anew(attempt),
        };
        Request::from_parts(head, body)
    }

    /// What the call is about: method and path as its operation, the host as its destination, its key and its
    /// trace, and what its [`CallOptions`] want.
    #[must_use]
    pub fn context(&self) -> CallContext<'static> {
        let operation = match self.options.names() {
            Some(name) => name.to_owned(),
            None => format!("{} {}", self.head.method, self.head.uri.path()),
        };
        let mut call = CallContext::new(operation);
        if let Some(destination) = self.destination() {
            call = call.destination(destination);
        }
        if let Some(key) = &self.key {
            call = call.with_idempotency_key(key.text.as_str());
        }
        if let Some(trace) = &self.trace {
            call = call.traceparent(trace.to_string());
        }
        self.options.bend(call)
    }

    /// Takes up what `call` says of the same call, and gives it back as this request's [`CallOptions`] bend it: for
    /// who has a context already. The trace of the call is passed on if the request has none of its own, and its
    /// key stands for one that would be made up.
    pub fn adopt<'p>(&mut self, mut call: CallContext<'p>) -> CallContext<'p> {
        match &mut self.key {
            Some(key) if key.made_up => {
                if let Ok(value) = HeaderValue::from_str(call.idempotency_key())
                    && !value.is_empty()
                {
                    self.head.headers.insert(IDEMPOTENCY_KEY, value);
                    *key = Key { text: call.idempotency_key().to_owned(), made_up: false };
                }
            }
            Some(key) => call = call.with_idempotency_key(key.text.as_str()),
            None => {}
        }
        match self.trace {
            Some(trace) => call = call.traceparent(trace.to_string()),
            None => self.trace = call.trace().and_then(|text| text.parse().ok()),
        }
        self.options.bend(call)
    }

    /// Whether the request may be sent again after an attempt that failed like this; for
    /// [`repeat_if`](crate::ExecuteWithRecovery::repeat_if).
    ///
    /// To be asked when the attempt is over, with all its hedges. After a yes, what may still be sending the body
    /// in the background does not go beyond the cap, until another attempt begins or this value is dropped.
    ///
    /// # Errors
    ///
    /// [`CannotRepeat::NotIdempotent`] if it may have been done, and must not be done twice;
    /// [`CannotRepeat::NotReplayable`] if its body is not there any more.
    pub fn may_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.check(failed, Stream::hold)
    }

    /// As [`may_repeat`](Self::may_repeat), while attempts are under way: nobody has to wait because of the answer.
    ///
    /// # Errors
    ///
    /// As [`may_repeat`](Self::may_repeat).
    pub fn could_repeat(&self, failed: &Classification) -> Result<(), CannotRepeat> {
        self.check(failed, Stream::is_whole)
    }

    /// Whether the caller's own stream failed, of which the body is made: then no server is to blame.
    #[must_use]
    pub fn body_failed(&self) -> bool {
        match &self.body {
            Kind::Whole(_) => false,
            Kind::Stream(stream) => stream.has_failed(),
            Kind::Made(made) => made.has_failed(),
        }
    }

    /// Whether the request may be done twice without harm: as its [`CallOptions`] say, or else as
    /// [`is_idempotent`] does.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    fn check(&self, failed: &Classification, whole: fn(&Stream<B>) -> bool) -> Result<(), CannotRepeat> {
        if !self.idempotent && !failed.is_unprocessed() {
            return Err(CannotRepeat::NotIdempotent);
        }
        match &self.body {
            Kind::Stream(stream) if !whole(stream) => Err(CannotRepeat::NotReplayable),
            Kind::Made(made) if made.has_failed() => Err(CannotRepeat::NotReplayable),
            _ => Ok(()),
        }
    }

    /// To whom it goes, without the name and password that an address may carry.
    pub(in crate::adapters) fn destination(&self) -> Option<String> {
        let uri = &self.head.uri;
        match (uri.host(), uri.port_u16()) {
            (Some(host), Some(port)) => Some(format!("{host}:{port}")),
            (Some(host), None) => Some(host.to_owned()),
            (None, _) => Some(self.head.headers.get(http::header::HOST)?.to_str().ok()?.to_owned()),
        }
    }
}

impl<B: Body> Made<B> {
    fn anew(&self, attempt: Attempt) -> ReplayBody<B> {
        let stream = Arc::new(Stream::new((self.make)(), 0));
        let mut last = self.last.lock();
        let older = if attempt.hedge() > 0 { Vec::new() } else { std::mem::take(&mut *last) };
        last.push(Arc::clone(&stream));
        drop(last);
        for stream in older {
            stream.enter(false);
        }
        let place = stream.enter(false);
        ReplayBody::read(stream, place)
    }

    fn has_failed(&self) -> bool {
        self.last.lock().iter().any(|stream| stream.has_failed())
    }
}

/// The bytes of a body that is known to be made of them.
fn whole<B: Body<Data = Bytes> + 'static>(body: &B) -> Option<Bytes> {
    if body.is_end_stream() {
        return Some(Bytes::new());
    }
    let full = (body as &dyn Any).downcast_ref::<Full<Bytes>>()?.clone();
    let mut nobody = Context::from_waker(Waker::noop());
    match pin!(full).poll_frame(&mut nobody) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}

/// The one trace that the request says it is part of.
fn trace_of(head: &Parts) -> Option<TraceParent> {
    let mut values = head.headers.get_all(TRACEPARENT).iter();
    let (first, None) = (values.next()?, values.next()) else { return None };
    first.to_str().ok()?.parse().ok()
}

fn digits(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and dashes are a header's value")
}

impl<B: Body> Drop for Outgoing<B> {
    fn drop(&mut self) {
        if let Kind::Stream(stream) = &self.body {
            stream.let_go();
        }
    }
}

impl<B: Body> fmt::Debug for Outgoing<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.head.method)
            .field("path", &self.head.uri.path())
            .field("idempotent", &self.idempotent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
