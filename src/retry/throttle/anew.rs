//! A throttle like another, in a time of its own.

use std::sync::Arc;

use super::Throttle;
use super::cell::Cell;
use super::rules::Rules;
use super::snapshot::Counts;
use crate::random::Dice;
use crate::time::Instant;

impl Throttle {
    /// A throttle with the same settings that has seen nothing yet, counts time from `origin` and draws from this
    /// seed, if its settings name no other.
    pub(crate) fn anew(&self, origin: Instant, seed: u64) -> Self {
        let settings = self.rules.settings.clone();
        let dice = Dice::seeded(settings.seed.unwrap_or(seed));
        let rules = Rules { settings, origin, dice, withheld: Counts::default() };
        Self { cell: Arc::new(Cell::new(&rules)), rules: Arc::new(rules) }
    }
}
