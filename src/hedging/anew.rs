//! A hedge like another, in a time of its own.

use std::any::Any;
use std::sync::Arc;

use crate::hedge::{Hedge, HedgeBuilder, Spare};
use crate::retry::{RetryBudget, Throttle};
use crate::setting::SettingError;
use crate::time::Instant;

impl HedgeBuilder {
    /// A hedge with these settings that has seen nothing yet, and whose time starts at `start`. A budget or a
    /// throttle that was handed to the builder is not asked, but another like it.
    pub(crate) fn anew(&self, start: Instant, seed: u64) -> Result<Hedge, SettingError> {
        self.clone().build_like(start, |spare| like(spare, start, seed))
    }
}

/// Another one like this.
fn like(spare: &dyn Spare, start: Instant, seed: u64) -> Option<Arc<dyn Spare>> {
    let spare = spare as &dyn Any;
    let budget = spare.downcast_ref().map(|budget: &RetryBudget| Arc::new(budget.anew(start)) as _);
    budget
        .or_else(|| spare.downcast_ref().map(|throttle: &Throttle| Arc::new(throttle.anew(start, seed)) as _))
}
