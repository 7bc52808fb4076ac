//! Why a retry is not made, in a word.

use std::fmt;

/// Why a throttle let a retry not be made.
///
/// ```
/// use recoup::Withheld;
/// assert_eq!(Withheld::Failing.to_string(), "nothing has succeeded for too long");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Withheld {
    /// All tokens are spent, and successes have earned no new one.
    Spent,
    /// A run of failures has reached the gate: first attempts only, until one succeeds.
    Failing,
    /// The dependency is overloaded.
    Overloaded,
    /// The attempt ended in what may be overload, and too little has been seen to tell.
    Unknown,
    /// The attempt ended in what may be overload, and the client calls too rarely to see what its retries do.
    Rare,
    /// Retries after errors of this category have not helped: of the last ones fewer than 5 in 100. One in
    /// twenty is still made, to find out.
    Hopeless,
}

impl Withheld {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 6] =
        [Self::Spent, Self::Failing, Self::Overloaded, Self::Unknown, Self::Rare, Self::Hopeless];

    /// In one word, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spent => "budget",
            Self::Failing => "failing",
            Self::Overloaded => "overloaded",
            Self::Unknown => "unknown",
            Self::Rare => "rare",
            Self::Hopeless => "hopeless",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spent => "retry tokens are spent",
            Self::Failing => "nothing has succeeded for too long",
            Self::Overloaded => "dependency is overloaded",
            Self::Unknown => "too little is known of the dependency",
            Self::Rare => "calls are too rare to see what retries do",
            Self::Hopeless => "retries of such errors have not helped",
        })
    }
}
