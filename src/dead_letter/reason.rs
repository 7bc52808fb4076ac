//! Why a call was given up.

use std::fmt;

/// Why a call was given up. It stands apart from the error, which says what went wrong.
///
/// ```
/// use recoup::DeadReason;
/// assert_eq!(DeadReason::CircuitOpen.name(), "circuit_open");
/// assert!(DeadReason::ALL.iter().any(|reason| reason.name() == "exhausted"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DeadReason {
    /// Every allowed attempt failed.
    Exhausted,
    /// The error was one that another attempt does not heal.
    Permanent,
    /// The call ran out of time.
    Deadline,
    /// The retry budget was empty.
    Budget,
    /// The circuit was open.
    CircuitOpen,
    /// Another policy refused: bulkhead or rate limit.
    Rejected,
    /// The caller went away, or everything was shut down.
    Cancelled,
    /// The process died in the middle of it, again and again.
    Crashed,
    /// What came in could not be read, so nothing was called.
    Undecodable,
    /// Its own time was over before it could be called.
    Expired,
    /// Taken out of the way because it is known to do harm.
    Quarantined,
    /// Somebody put it here.
    ByHand,
}

impl DeadReason {
    /// Every reason, in the order in which they are declared.
    pub const ALL: [Self; 12] = [
        Self::Exhausted,
        Self::Permanent,
        Self::Deadline,
        Self::Budget,
        Self::CircuitOpen,
        Self::Rejected,
        Self::Cancelled,
        Self::Crashed,
        Self::Undecodable,
        Self::Expired,
        Self::Quarantined,
        Self::ByHand,
    ];

    /// The name in snake case, as it stands in logs, metrics and stores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Permanent => "permanent",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::CircuitOpen => "circuit_open",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Crashed => "crashed",
            Self::Undecodable => "undecodable",
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
            Self::ByHand => "by_hand",
        }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_tell_reasons_apart() {
        let names: BTreeSet<_> = DeadReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DeadReason::ALL.len());
    }

    #[test]
    fn reason_is_shown_by_its_name_in_columns_too() {
        assert_eq!(format!("[{:<9}]", DeadReason::Budget), "[budget   ]");
    }
}
