//! tokio-retry: retries.

use tokio_retry::RetryIf;
use tokio_retry::strategy::{ExponentialBackoff, jitter};

use crate::case::What;
use crate::door::Door;
use crate::operation::{FINE, Failed, Operation, Ready};

pub(super) fn door(what: What) -> Option<Door> {
    (what == What::Retry).then(|| {
        Door::shared(move || {
            let waits = ExponentialBackoff::from_millis(100).map(jitter).take(2);
            RetryIf::start(waits, || Ready::new(FINE), |error: &Failed| error.0 != 7)
        })
        .note("no budget")
    })
}
