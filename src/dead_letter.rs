//! Dead letters: calls that were given up, kept with all that is needed to try them again.
//!
//! A [`DeadLetter`] says what was called, with what, why it failed and how often. A [`DeadLetterQueue`] keeps
//! letters until somebody delivers, discards or quarantines them; [`MemoryQueue`] keeps them in this process.
//!
//! A letter goes round like this:
//!
//! ```text
//! push ──▶ Ready ──lease──▶ Leased ──Delivered──▶ gone
//!            ▲                 │
//!            ├──Release────────┤   or the lease runs out
//!            │                 ▼
//!            └────reinstate──── Quarantined   redriven too often, never settled, or put aside by hand
//! ```

mod by_hand;
mod chain;
mod error;
mod filling;
mod filter;
mod fingerprint;
mod groups;
mod history;
mod lease;
mod letter;
mod memory;
mod payload;
mod queue;
mod reason;
mod redacted;
mod restore;
mod runs;
mod settlement;
mod shared;
mod stats;
mod texts;

pub(crate) use crate::dead_letter::by_hand::MAX_ACTS;
pub use crate::dead_letter::by_hand::{Act, ByHand, Deed};
pub use crate::dead_letter::chain::{ErrorChain, ErrorFrame};
pub use crate::dead_letter::error::{PushError, PushErrorKind, QueueError, SettleError};
pub(crate) use crate::dead_letter::filling::Filling;
pub use crate::dead_letter::filter::LetterFilter;
pub use crate::dead_letter::fingerprint::Fingerprint;
pub(crate) use crate::dead_letter::groups::Grouping;
pub use crate::dead_letter::groups::LetterGroup;
pub use crate::dead_letter::history::{AttemptRecord, History};
pub use crate::dead_letter::lease::{LeaseToken, Leased, Receipt};
pub use crate::dead_letter::letter::{DeadLetter, Edited, LetterId, LetterState, Origin};
pub use crate::dead_letter::memory::{Loss, MemoryQueue, MemoryQueueBuilder, WhenFull};
pub use crate::dead_letter::payload::Payload;
pub use crate::dead_letter::queue::{DeadLetterQueue, MAX_UNSETTLED, Survives};
pub use crate::dead_letter::reason::DeadReason;
pub use crate::dead_letter::redacted::{Redacted, Redactor};
pub(crate) use crate::dead_letter::runs::MAX_RUNS;
pub use crate::dead_letter::runs::{
    RedriveOrder, RedriveOrderBuilder, RedriveRun, RunBook, RunError, RunId, RunOwner, RunProgress, RunState,
};
pub use crate::dead_letter::settlement::{Failed, Settled, Settlement};
pub use crate::dead_letter::stats::QueueStats;
