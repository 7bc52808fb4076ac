//! How an outer retry learns that an inner one has given up already, so that attempts do not multiply.
//!
//! The inner call leaves a note when it gives up for good, and the outer one reads it if its operation fails
//! in that very poll. The note lives from there to there: it is cleared before every poll of an operation and
//! after every one that did not end in an error, so nothing of it outlives a poll, and a call that succeeds
//! pays two stores for it. Of several calls in one poll the last has the last word. A task spawned in between
//! has polls of its own: nothing is known across `tokio::spawn`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

thread_local! {
    static GAVE_UP: Cell<bool> = const { Cell::new(false) };
    static WHO: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Forgets the note. Called around each poll of an operation.
pub(crate) fn clear() {
    GAVE_UP.set(false);
}

/// Notes that a call of ours gave up for good, or that a policy of ours refused.
#[cold]
pub(crate) fn note(who: &Arc<str>) {
    GAVE_UP.set(true);
    WHO.set(Some(Arc::clone(who)));
}

/// Who gave up within the last poll of the operation, if anybody did.
#[cold]
pub(crate) fn take() -> Option<Arc<str>> {
    GAVE_UP.replace(false).then(|| WHO.take()).flatten()
}
