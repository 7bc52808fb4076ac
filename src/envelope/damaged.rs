//! Why what was written down cannot be read.

use std::fmt;

use super::unreadable::Unreadable;

/// Why what was written down cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Damaged {
    /// It ends too early.
    Short,
    /// Its sum is not that of its bytes.
    Checksum,
    /// It was written by a later release, in this version.
    Newer(u8),
    /// It is whole, but says what cannot be.
    Unreadable(String),
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("it ends too early"),
            Self::Checksum => f.write_str("its checksum is wrong"),
            Self::Newer(version) => write!(f, "it is of version {version}, written by a later release"),
            Self::Unreadable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Damaged {}

impl From<Unreadable> for Damaged {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable.0)
    }
}
