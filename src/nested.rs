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
    /// How many calls listen, one inside of the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// How many listened when the note was left; 0 where there is none.
    static NOTED: Cell<u32> = const { Cell::new(0) };
    static WHO: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Listens to what the operation calls, until [`listened`]. If the operation unwinds in between, somebody
/// seems to listen for ever, and the next to give up leaves a note that nobody reads: no harm.
#[inline]
pub(crate) fn listen() {
    DEPTH.set(DEPTH.get().wrapping_add(1));
}

/// The poll is over. Who gave up in it can be [heard](heard), or must be [forgotten](clear).
#[inline]
pub(crate) fn listened() {
    DEPTH.set(DEPTH.get().wrapping_sub(1));
}

/// Forgets the note.
#[inline]
pub(crate) fn clear() {
    NOTED.set(0);
}

/// Notes that a call of ours gave up for good, or that a policy of ours refused.
#[inline]
pub(crate) fn note(who: &Arc<str>) {
    if DEPTH.get() > 0 {
        note_down(who);
    }
}

#[cold]
fn note_down(who: &Arc<str>) {
    NOTED.set(DEPTH.get());
    WHO.set(Some(Arc::clone(who)));
}

/// Who gave up within the last poll of the operation that was listened to, if anybody did.
#[cold]
pub(crate) fn heard() -> Option<Arc<str>> {
    take_from(DEPTH.get().wrapping_add(1))
}

/// Who has left a note for the call that listens, if anybody did. For one in between, who does not listen itself.
#[cold]
pub(crate) fn take() -> Option<Arc<str>> {
    take_from(DEPTH.get())
}

fn take_from(depth: u32) -> Option<Arc<str>> {
    let noted = NOTED.replace(0);
    (noted != 0 && noted == depth).then(|| WHO.take()).flatten()
}
