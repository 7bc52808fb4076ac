//! The bare operations: as little as an operation can do, and nothing that the compiler can look through.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// The number of an operation that goes well.
pub const FINE: u64 = 1;
/// The number of an operation that fails.
pub const FAILS: u64 = u64::MAX;

/// The error of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Failed(pub u64);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} failed", self.0)
    }
}

impl std::error::Error for Failed {}

/// What every policy is put around.
pub trait Operation: Future<Output = Result<u64, Failed>> + Send + 'static {
    /// An operation that goes well or fails, as its number says.
    fn new(number: u64) -> Self;
}

fn end(number: u64) -> Result<u64, Failed> {
    if black_box(number) == FAILS { Err(Failed(number)) } else { Ok(number) }
}

/// Ready at its first poll.
#[derive(Debug)]
pub struct Ready(u64);

impl Operation for Ready {
    fn new(number: u64) -> Self {
        Self(black_box(number))
    }
}

impl Future for Ready {
    type Output = Result<u64, Failed>;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(end(self.0))
    }
}

/// Pending once, and woken at once.
#[derive(Debug)]
pub struct Yields {
    number: u64,
    yielded: bool,
}

impl Operation for Yields {
    fn new(number: u64) -> Self {
        Self { number: black_box(number), yielded: false }
    }
}

impl Future for Yields {
    type Output = Result<u64, Failed>;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.yielded {
            return Poll::Ready(end(self.number));
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How many operations hang.
pub static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Pending for ever, with as much state as a small request has.
#[derive(Debug)]
pub struct Hangs {
    counted: bool,
    state: [u64; 15],
}

impl Operation for Hangs {
    fn new(number: u64) -> Self {
        Self { counted: false, state: black_box([number; 15]) }
    }
}

impl Future for Hangs {
    type Output = Result<u64, Failed>;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        black_box(&self.state);
        if !self.counted {
            self.counted = true;
            HANGING.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Pending
    }
}

/// The output of a future that does not have to wait.
///
/// # Panics
///
/// If it does have to wait.
pub fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("this future is meant to be ready at once"),
    }
}
