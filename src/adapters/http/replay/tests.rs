//! What each attempt gets of a body.

#[cfg(test)]
mod copies;
#[cfg(test)]
mod woken;

use std::collections::VecDeque;
use std::task::Wake;

use http::HeaderMap;
use http_body_util::BodyExt;
use proptest::prelude::*;

use super::*;
use crate::sync::Lock;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// A body that gives what a test puts into it, and says how big it is if it knows.
#[derive(Clone, Default)]
struct Fed {
    shared: Arc<Lock<Feed>>,
    exact: Option<u64>,
}

#[derive(Default)]
struct Feed {
    steps: VecDeque<Step>,
    waker: Option<std::task::Waker>,
    dropped: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Data(Vec<u8>),
    Trailers(HeaderMap),
    Fails,
    /// Pending once, and woken at once.
    Waits,
    Panics,
    Ends,
}

impl Fed {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        let fed = Self::default();
        fed.shared.lock().steps = steps.into_iter().collect();
        fed
    }

    fn feed(&self, step: Step) {
        let mut shared = self.shared.lock();
        shared.steps.push_back(step);
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(std::task::Waker::wake);
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut shared = self.shared.lock();
        let Some(step) = shared.steps.pop_front() else {
            shared.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(shared);
        match step {
            Step::Data(data) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Step::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Step::Fails => Poll::Ready(Some(Err(std::io::Error::other("disk is gone")))),
            Step::Waits => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Panics => panic!("in the stream"),
            Step::Ends => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

struct Gone(Arc<Lock<Feed>>);
impl Drop for Gone {
    fn drop(&mut self) {
        self.0.lock().dropped = true;
    }
}

fn data(text: &str) -> Step {
    Step::Data(text.as_bytes().to_vec())
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("checksum".parse().unwrap(), "7".parse().unwrap())])
}

fn stream(body: Fed, cap: usize) -> Arc<Stream<Fed>> {
    Arc::new(Stream::new(body, cap))
}

fn attempt(stream: &Arc<Stream<Fed>>) -> ReplayBody<Fed> {
    ReplayBody::read(Arc::clone(stream), stream.enter(false))
}

fn hedge(stream: &Arc<Stream<Fed>>) -> ReplayBody<Fed> {
    ReplayBody::read(Arc::clone(stream), stream.enter(true))
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

fn poll(body: &mut ReplayBody<Fed>, count: &Arc<Count>) -> Polled {
    let waker = std::task::Waker::from(Arc::clone(count));
    Pin::new(body).poll_frame(&mut Context::from_waker(&waker))
}

/// The next bytes; none at the end, an error's text, or "…" if it waits.
fn next(body: &mut ReplayBody<Fed>) -> String {
    match poll(body, &Arc::default()) {
        Poll::Pending => "…".to_owned(),
        Poll::Ready(None) => String::new(),
        Poll::Ready(Some(Err(error))) => error.to_string(),
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Err(frame) => format!("{:?}", frame.into_trailers().unwrap()),
        },
    }
}

const GONE: &str = "the request's body is with another attempt";

#[tokio::test]
async fn next_attempt_gets_what_was_sent_and_goes_on_from_there() {
    let fed = Fed::of([data("one "), data("two "), data("three"), Step::Trailers(trailers())]);
    let stream = stream(fed, 100);
    let mut first = attempt(&stream);
    assert_eq!([next(&mut first), next(&mut first)], ["one ", "two "]);
    drop(first);
    assert!(stream.is_whole());
    for _ in 0..3 {
        let whole = attempt(&stream).collect().await.unwrap();
        assert_eq!(whole.trailers(), Some(&trailers()));
        assert_eq!(whole.to_bytes(), "one two three");
    }
}

#[test]
fn h1_body_over_the_cap_is_sent_once_and_nothing_is_kept() {
    let fed = Fed::of([data("12345"), data("678"), data("90123"), data("456"), Step::Ends]);
    let stream = stream(fed, 8);
    let mut first = attempt(&stream);
    assert_eq!([next(&mut first), next(&mut first)], ["12345", "678"]);
    assert!(stream.is_whole(), "it just fits");
    assert_eq!(next(&mut first), "90123");
    assert!(!stream.is_whole());
    assert_eq!(stream.state.lock().kept.len(), 0);
    assert_eq!([next(&mut first), next(&mut first)], ["456", ""]);
    let mut second = attempt(&stream);
    assert_eq!(next(&mut second), GONE, "never an empty body");
}

#[test]
fn known_length_over_the_cap_is_not_kept_but_untouched_it_can_be_sent_again() {
    let fed = Fed { exact: Some(9), ..Fed::of([data("12345"), data("6789")]) };
    let stream = stream(fed, 8);
    let first = attempt(&stream);
    assert_eq!(first.size_hint().exact(), Some(9));
    drop(first);
    assert!(stream.is_whole(), "the connection was refused: nobody asked for it");
    let mut second = attempt(&stream);
    assert_eq!((next(&mut second).as_str(), second.size_hint().exact()), ("12345", Some(4)));
    assert!(!stream.is_whole());
    assert_eq!((next(&mut second).as_str(), second.size_hint().exact()), ("6789", Some(0)));
}

#[test]
fn size_is_right_on_every_attempt() {
    let fed = Fed { exact: Some(5), ..Fed::of([data("12"), data("345"), Step::Ends]) };
    let stream = stream(fed, 8);
    let mut first = attempt(&stream);
    assert_eq!(first.size_hint().exact(), Some(5));
    next(&mut first);
    assert_eq!(first.size_hint().exact(), Some(3));
    let mut second = attempt(&stream);
    assert_eq!(second.size_hint().exact(), Some(5));
    while !next(&mut second).is_empty() {}
    assert!(second.is_end_stream());
    let third = attempt(&stream);
    assert_eq!((third.size_hint().exact(), third.is_end_stream()), (Some(5), false));
}

#[test]
fn length_of_a_stream_is_known_once_it_has_ended() {
    let stream = stream(Fed::of([data("12"), data("345"), Step::Ends]), 8);
    let mut first = attempt(&stream);
    assert_eq!(first.size_hint().exact(), None);
    while !next(&mut first).is_empty() {}
    assert_eq!(attempt(&stream).size_hint().exact(), Some(5));
}

#[test]
fn older_attempt_gets_no_more_once_a_newer_one_has_begun() {
    let fed = Fed::of([data("a"), data("b"), Step::Ends]);
    let stream = stream(fed, 8);
    let (mut old, mut new) = (attempt(&stream), attempt(&stream));
    assert_eq!(next(&mut old), GONE);
    assert_eq!(next(&mut old), "", "nothing after an error");
    assert_eq!([next(&mut new), next(&mut new), next(&mut new)], ["a", "b", ""]);
}

#[test]
fn old_attempt_that_waits_is_told_that_it_is_over() {
    let stream = stream(Fed::default(), 8);
    let (mut old, count) = (attempt(&stream), Arc::<Count>::default());
    assert!(poll(&mut old, &count).is_pending());
    let _new = attempt(&stream);
    assert_eq!(count.woken(), 1);
    assert_eq!(next(&mut old), GONE);
}

#[test]
fn hedges_read_side_by_side_and_the_one_beyond_the_cap_goes_on() {
    let fed = Fed::of([data("123"), data("456"), data("789"), Step::Ends]);
    let stream = stream(fed, 6);
    let (mut one, mut other) = (attempt(&stream), hedge(&stream));
    assert_eq!([next(&mut one), next(&mut other)], ["123", "123"]);
    assert_eq!([next(&mut other), next(&mut one)], ["456", "456"]);
    assert_eq!(next(&mut other), "789");
    assert_eq!(next(&mut one), GONE);
    assert_eq!(next(&mut other), "");
}

#[test]
fn body_stays_within_the_cap_between_the_yes_and_the_next_attempt() {
    let fed = Fed::of([data("123"), data("456"), data("789"), Step::Ends]);
    let stream = stream(fed, 6);
    let mut old = attempt(&stream);
    assert_eq!(next(&mut old), "123");
    assert!(stream.hold());
    assert_eq!(next(&mut old), "456", "what fits is of use to the next one, too");
    let count = Arc::<Count>::default();
    assert!(poll(&mut old, &count).is_pending());
    assert!(stream.is_whole());
    let mut new = attempt(&stream);
    assert_eq!(count.woken(), 1);
    assert_eq!(next(&mut old), GONE);
    assert_eq!([next(&mut new), next(&mut new), next(&mut new)], ["123456", "789", ""]);
}

#[test]
fn body_goes_on_once_it_is_clear_that_no_attempt_comes() {
    let fed = Fed::of([data("123"), data("456"), Step::Ends]);
    let stream = stream(fed, 5);
    let (mut only, count) = (attempt(&stream), Arc::<Count>::default());
    assert_eq!(next(&mut only), "123");
    assert!(stream.hold());
    assert!(poll(&mut only, &count).is_pending());
    stream.let_go();
    assert_eq!(count.woken(), 1);
    assert_eq!([next(&mut only), next(&mut only)], ["456", ""]);
    assert!(!stream.hold(), "a no holds nobody back");
}

#[test]
fn attempt_that_is_cut_off_never_seems_to_be_at_the_end() {
    let stream = stream(Fed::of([data("12"), data("34"), Step::Ends]), 2);
    let mut old = attempt(&stream);
    assert_eq!(next(&mut old), "12");
    let mut new = attempt(&stream);
    while !next(&mut new).is_empty() {}
    assert!(new.is_end_stream() && !old.is_end_stream(), "half of a body, taken for all of it");
    assert_eq!(next(&mut old), GONE);
}

#[test]
fn task_that_goes_with_its_waker_takes_its_body_along() {
    /// Holds a body, as a task does that is held by nothing but its waker.
    struct Task(#[expect(dead_code, reason = "dropped with it")] Lock<Option<ReplayBody<Fed>>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let stream = stream(Fed::default(), 8);
    let (mut body, other) = (attempt(&stream), hedge(&stream));
    let waker = std::task::Waker::from(Arc::new(Task(Lock::new(Some(other)))));
    assert!(Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(poll(&mut body, &Arc::default()).is_pending(), "the old waker is gone, and nothing hangs");
}

#[test]
fn error_of_the_stream_is_told_to_every_attempt() {
    let stream = stream(Fed::of([data("1"), Step::Fails]), 8);
    let mut first = attempt(&stream);
    next(&mut first);
    let Poll::Ready(Some(Err(error))) = poll(&mut first, &Arc::default()) else { panic!("an error") };
    assert_eq!(error.source().unwrap().to_string(), "disk is gone");
    assert!(!stream.is_whole() && stream.has_failed());
    let mut second = attempt(&stream);
    assert_eq!([next(&mut second), next(&mut second)], ["1", "the request's body broke off"]);
}

#[test]
fn stream_that_panics_is_gone_and_nobody_waits_for_it() {
    let stream = stream(Fed::of([data("1"), Step::Panics]), 8);
    let (mut one, mut other) = (attempt(&stream), hedge(&stream));
    next(&mut one);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| next(&mut one)));
    assert!(caught.is_err());
    assert!(!stream.is_whole());
    assert_eq!([next(&mut other), next(&mut other)], ["1", GONE]);
}
