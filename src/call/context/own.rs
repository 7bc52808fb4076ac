//! What one call has instead of its recovery's, for protocols that have rules for each method.

use super::{CallContext, Own};

impl CallContext<'_> {
    /// Makes the call under `own`, where that says something, instead of what the recovery has.
    pub(crate) fn under(mut self, own: Own) -> Self {
        self.own = Some(Box::new(own));
        self
    }
}
