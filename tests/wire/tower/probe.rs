//! A service that minds how it is used.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use ::tower::Service;
use recoup::{Recovery, RecoveryBuilder, RetryPolicy};

pub(super) const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("busy")
    }
}

impl std::error::Error for Busy {}

/// What happened to the service, over all its clones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Ready,
    Called(u32),
}

/// What the service does with one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    Answer(u32),
    Fail,
    Hang,
}

/// Takes a request only if this very instance was asked for its readiness, and has not used it up. A clone is
/// ready for nothing. Before it is ready, and before it answers, it lets others run once.
pub(super) struct Probe {
    ready: bool,
    asked: u32,
    /// How often it is asked in vain; if it is ever ready.
    in_vain: Option<u32>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    script: Mutex<VecDeque<Does>>,
}

impl Probe {
    /// Does what the script says, and answers 7 at its end.
    pub(super) fn new(script: impl IntoIterator<Item = Does>) -> Self {
        let shared = Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() };
        Self { ready: false, asked: 0, in_vain: Some(1), shared: Arc::new(shared) }
    }

    pub(super) fn never_ready() -> Self {
        Self { in_vain: None, ..Self::new([]) }
    }

    /// Ready as soon as it is asked.
    pub(super) fn quick(script: impl IntoIterator<Item = Does>) -> Self {
        Self { in_vain: Some(0), ..Self::new(script) }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(super) fn calls(&self) -> usize {
        self.seen().iter().filter(|seen| matches!(seen, Seen::Called(_))).count()
    }

    /// How many clones there are, this one included.
    pub(super) fn alive(&self) -> usize {
        Arc::strong_count(&self.shared)
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { ready: false, asked: 0, shared, ..*self }
    }
}

impl Service<u32> for Probe {
    type Response = u32;
    type Error = Busy;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Busy>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Busy>> {
        let Some(in_vain) = self.in_vain else { return Poll::Pending };
        if self.asked < in_vain {
            self.asked += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.ready {
            self.ready = true;
            self.shared.seen.lock().unwrap().push(Seen::Ready);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called unready");
        self.asked = 0;
        self.shared.seen.lock().unwrap().push(Seen::Called(request));
        let does = self.shared.script.lock().unwrap().pop_front().unwrap_or(Does::Answer(7));
        Box::pin(async move {
            tokio::task::yield_now().await;
            match does {
                Does::Answer(answer) => Ok(answer),
                Does::Fail => Err(Busy),
                Does::Hang => std::future::pending().await,
            }
        })
    }
}

/// A recovery without a throttle that would have a mind of its own: 3 attempts, 10 ms apart.
pub(super) fn patient<E: 'static>() -> RecoveryBuilder<E> {
    Recovery::builder("probe").retry(RetryPolicy::fixed(10 * MS).max_attempts(3).no_budget())
}
