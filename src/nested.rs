//! How an outer retry learns that an inner one has given up already, so that attempts do not multiply.
//!
//! The inner call leaves a note when it gives up for good, and the outer one reads it if its operation fails
//! in that very poll. The note lives from there to there: the outer call listens for the length of one poll of
//! its operation, and forgets what it heard after every poll that did not end in an error. So nothing of it
//! outlives a poll, and a call that succeeds pays a few stores for it. Where nobody listens, nothing is noted.
//! Of several calls in one poll the last has the last word. A task spawned in between has polls of its own:
//! nothing is known across `tokio::spawn`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static GAVE_UP: Cell<bool> = const { Cell::new(false) };
    static WHO: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Whether somebody farther out was listening before.
#[derive(Clone, Copy)]
pub(crate) struct Before(bool);

/// Listens to what the operation calls, until [`listened`]. If the operation unwinds in between, somebody
/// seems to listen for ever, and the next to give up leaves a note that nobody reads: no harm.
#[inline]
pub(crate) fn listen() -> Before {
    GAVE_UP.set(false);
    Before(LISTENING.replace(true))
}

/// The poll is over. Who gave up in it can be [taken](take), or must be [forgotten](clear).
#[inline]
pub(crate) fn listened(before: Before) {
    LISTENING.set(before.0);
}

/// Forgets the note.
#[inline]
pub(crate) fn clear() {
    GAVE_UP.set(false);
}

/// Notes that a call of ours gave up for good, or that a policy of ours refused.
#[inline]
pub(crate) fn note(who: &Arc<str>) {
    if LISTENING.get() {
        note_down(who);
    }
}

#[cold]
fn note_down(who: &Arc<str>) {
    GAVE_UP.set(true);
    WHO.set(Some(Arc::clone(who)));
}

/// Who gave up within the last poll of the operation, if anybody did.
#[cold]
pub(crate) fn take() -> Option<Arc<str>> {
    GAVE_UP.replace(false).then(|| WHO.take()).flatten()
}
