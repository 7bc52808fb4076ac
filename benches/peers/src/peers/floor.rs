//! Written by hand, with the bookkeeping that the calls need and nothing else: no settings, events, names or
//! half-open state. What recoup costs above this is what it does more.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::case::{Op, What, Window};
use crate::door::{Door, Idle, idle, leak};
use crate::operation::{FINE, Failed, Hangs, Operation, Ready, Yields};
use crate::peers::{ATTEMPT_TIMEOUT, SLOTS};

pub(super) fn door(what: What) -> Option<Door> {
    Some(match what {
        What::Retry => {
            let budget = leak(Budget(AtomicU64::new(100)));
            Door::shared(move || budget.retry(|| Ready::new(FINE)))
        }
        What::Breaker(Window::Run) => {
            let run = leak(Run::default());
            Door::shared(move || run.call(|| Ready::new(FINE)))
        }
        What::Breaker(Window::Calls(_)) => {
            let calls = leak(Calls::default());
            Door::shared(move || calls.call(Ready::new(FINE))).note("one counter for all threads")
        }
        What::Breaker(Window::TenSeconds) => {
            let slices = leak(Slices::new());
            Door::shared(move || slices.call(Ready::new(FINE))).note("reads `Instant::now`")
        }
        What::Rejection => {
            let run = leak(Run(AtomicU64::new(OPEN)));
            Door::shared(move || run.call(|| Ready::new(FINE)))
        }
        What::Pipeline(Op::Ready) => pipeline::<Ready>(),
        What::Pipeline(Op::Yields) => pipeline::<Yields>(),
        What::Pipeline(Op::Hangs) => pipeline::<Hangs>(),
    })
}

/// What comes out of a closed or an open circuit.
#[derive(Debug)]
enum Error {
    Open,
    Full,
    TimedOut,
    Operation,
}

impl From<Failed> for Error {
    fn from(_: Failed) -> Self {
        Self::Operation
    }
}

/// Tokens for retries.
struct Budget(AtomicU64);

impl Budget {
    async fn retry<F, Fut>(&self, mut op: F) -> Result<u64, Failed>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<u64, Failed>> + Send,
    {
        match op().await {
            Ok(value) => {
                let tokens = self.0.load(Ordering::Relaxed);
                if tokens < 100 {
                    self.0.store(tokens + 1, Ordering::Relaxed);
                }
                Ok(value)
            }
            Err(error) => Box::pin(again(op, error)).await,
        }
    }
}

/// What is rarely needed takes no room in the future that is always needed.
async fn again<Fut: Future<Output = Result<u64, Failed>>>(
    mut op: impl FnMut() -> Fut,
    mut error: Failed,
) -> Result<u64, Failed> {
    for wait in [100, 200] {
        if error.0 == 7 {
            break;
        }
        sleep(Duration::from_millis(wait)).await;
        match op().await {
            Ok(value) => return Ok(value),
            Err(last) => error = last,
        }
    }
    Err(error)
}

/// The state of a breaker that counts failures in a row: so many, or open.
#[derive(Default)]
struct Run(AtomicU64);

const OPEN: u64 = u64::MAX;

impl Run {
    /// A shared line is read, and written only when something has changed.
    async fn call<Fut: Future<Output = Result<u64, Failed>>>(
        &self,
        op: impl FnOnce() -> Fut,
    ) -> Result<u64, Error> {
        if self.0.load(Ordering::Acquire) == OPEN {
            return Err(Error::Open);
        }
        let ended = op().await;
        self.learn(ended.is_ok());
        Ok(ended?)
    }

    fn learn(&self, fine: bool) {
        let failures = self.0.load(Ordering::Relaxed);
        if fine && failures != 0 {
            self.0.store(0, Ordering::Relaxed);
        } else if !fine {
            self.0.store(if failures == 4 { OPEN } else { failures + 1 }, Ordering::Release);
        }
    }
}

/// A breaker over the last n calls: their number, and beside it the state that says whether it is open. Of calls
/// that fail it would keep the numbers.
#[derive(Default)]
struct Calls {
    state: AtomicU64,
    calls: AtomicU64,
}

impl Calls {
    async fn call<O: Operation>(&self, op: O) -> Result<u64, Error> {
        if self.state.load(Ordering::Acquire) == OPEN {
            return Err(Error::Open);
        }
        let ended = op.await;
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if ended.is_err() {
            self.state.store(number, Ordering::Release);
        }
        Ok(ended?)
    }
}

/// A breaker over ten seconds: a word for each, with the second in its upper half and its calls in the lower.
struct Slices {
    origin: Instant,
    state: AtomicU64,
    seconds: [AtomicU64; 10],
}

impl Slices {
    fn new() -> Self {
        Self { origin: Instant::now(), state: AtomicU64::default(), seconds: Default::default() }
    }

    async fn call<O: Operation>(&self, op: O) -> Result<u64, Error> {
        if self.state.load(Ordering::Acquire) == OPEN {
            return Err(Error::Open);
        }
        let ended = op.await;
        let second = self.origin.elapsed().as_secs();
        let slice = &self.seconds[usize::try_from(second % 10).expect("below ten")];
        if slice.load(Ordering::Relaxed) >> 32 == second {
            slice.fetch_add(1, Ordering::Relaxed);
        } else {
            slice.store(second << 32 | 1, Ordering::Relaxed);
        }
        if ended.is_err() {
            self.state.store(second, Ordering::Release);
        }
        Ok(ended?)
    }
}

/// Breaker, slots and a timer that is not touched before the operation is pending.
#[derive(Default)]
struct Pipeline {
    breaker: Run,
    taken: AtomicU64,
}

/// Gives its slot back.
struct Slot<'p>(&'p AtomicU64);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Pipeline {
    async fn call<O: Operation>(&self) -> Result<u64, Error> {
        if self.breaker.0.load(Ordering::Acquire) == OPEN {
            return Err(Error::Open);
        }
        let taken = self.taken.fetch_add(1, Ordering::Acquire);
        let _slot = Slot(&self.taken);
        if taken >= SLOTS as u64 {
            return Err(Error::Full);
        }
        let (mut op, mut timer) = (pin!(O::new(FINE)), pin!(None));
        let in_time = poll_fn(|cx| {
            if let Poll::Ready(ended) = op.as_mut().poll(cx) {
                return Poll::Ready(Ok(ended));
            }
            if timer.is_none() {
                timer.set(Some(sleep(ATTEMPT_TIMEOUT)));
            }
            timer.as_mut().as_pin_mut().expect("just set").poll(cx).map(|()| Err(Error::TimedOut))
        });
        let ended = in_time.await?;
        self.breaker.learn(ended.is_ok());
        Ok(ended?)
    }
}

fn pipeline<O: Operation>() -> Door {
    let pipeline = leak(Pipeline::default());
    Door::shared(move || pipeline.call::<O>())
}

pub(super) fn idle_breaker(window: Window) -> Option<Idle> {
    match window {
        Window::Run => idle(Run::default),
        Window::Calls(_) => idle(Calls::default),
        Window::TenSeconds => idle(Slices::new),
    }
}
