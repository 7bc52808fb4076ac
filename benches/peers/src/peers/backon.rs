//! backon: retries.

use backon::{ExponentialBuilder, Retryable};

use crate::case::What;
use crate::door::Door;
use crate::operation::{FINE, Failed, Operation, Ready};

pub(super) fn door(what: What) -> Option<Door> {
    (what == What::Retry).then(|| {
        Door::shared(move || {
            (|| Ready::new(FINE))
                .retry(ExponentialBuilder::default().with_jitter().with_max_times(2))
                .when(|error: &Failed| error.0 != 7)
        })
        .note("no budget")
    })
}
