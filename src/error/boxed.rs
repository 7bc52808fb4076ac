//! An error whose type is a box.

use std::error::Error;
use std::fmt;

/// An error in a box, as an error: made by [`RecoveryError::boxed`](super::RecoveryError::boxed).
pub struct Boxed(pub(super) Box<dyn Error + Send + Sync>);

impl Boxed {
    /// The box.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Boxed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
