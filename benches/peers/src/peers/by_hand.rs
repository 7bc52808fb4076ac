//! What one puts together without a suite: backon around recloser around tokio's semaphore and timeout.

use backon::{ExponentialBuilder, Retryable};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::case::{Op, What};
use crate::door::{Door, leak};
use crate::operation::{FINE, Failed, Hangs, Operation, Ready, Yields};
use crate::peers::{ATTEMPT_TIMEOUT, SLOTS, recloser};

pub(super) fn door(what: What) -> Option<Door> {
    match what {
        What::Pipeline(Op::Ready) => Some(pipeline::<Ready>()),
        What::Pipeline(Op::Yields) => Some(pipeline::<Yields>()),
        What::Pipeline(Op::Hangs) => Some(pipeline::<Hangs>()),
        What::Retry | What::Breaker(_) | What::Rejection => None,
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "the errors are carried as a program would, and nobody looks at them here")]
enum Error {
    Operation(Failed),
    TimedOut,
    Full,
}

fn pipeline<O: Operation>() -> Door {
    let breaker = leak(recloser::breaker(100));
    let slots = leak(Semaphore::new(SLOTS));
    Door::shared(move || {
        (|| breaker.call(attempt::<O>(slots)))
            .retry(ExponentialBuilder::default().with_jitter().with_max_times(2))
            .when(|error| !matches!(error, ::recloser::Error::Rejected))
    })
    .note("no budget")
}

async fn attempt<O: Operation>(slots: &'static Semaphore) -> Result<u64, Error> {
    let _slot = slots.acquire().await.map_err(|_| Error::Full)?;
    match timeout(ATTEMPT_TIMEOUT, O::new(FINE)).await {
        Ok(ended) => ended.map_err(Error::Operation),
        Err(_) => Err(Error::TimedOut),
    }
}
