//! Redrives that are written down: what was asked, how far it came, and who carries it out.
//!
//! A [`RedriveOrder`] is begun in a [`RunBook`] and becomes a [`RedriveRun`], which goes round like this:
//!
//! ```text
//! begin ──▶ Waiting ──▶ Running ◀──▶ Paused     an open circuit, a shutdown
//!                          │
//!                          ├──▶ Finished        every letter had its turn
//!                          ├──▶ Stopped         too many failures in a row
//!                          └──▶ Cancelled       by hand
//! ```

mod book;
mod order;
mod run;

/// So many runs are remembered. Those that are over make room for new ones, and then those whose owner left them
/// behind: a program that carries none of them on must not run out of room because it drops futures.
pub(crate) const MAX_RUNS: usize = 1000;

pub use self::book::{RunBook, RunError};
pub use self::order::{RedriveOrder, RedriveOrderBuilder};
pub use self::run::{RedriveRun, RunId, RunOwner, RunProgress, RunState};
