//! A throttle like another, in a time of its own.

use std::sync::Arc;

use super::cubic::Cubic;
use super::rules::Rules;
use super::sre::Sre;
use super::{Learned, Throttle};
use crate::random::Dice;
use crate::time::Instant;

impl Throttle {
    /// A throttle with the same settings that has seen nothing yet and counts time from `origin`. It draws from
    /// this seed, if its settings name no other.
    pub(crate) fn anew(&self, origin: Instant, seed: u64) -> Self {
        Self::new(match &self.0.learned {
            Learned::Adaptive(rules) => {
                let settings = rules.settings.clone();
                let dice = Dice::seeded(settings.seed.unwrap_or(seed));
                Learned::Adaptive(Arc::new(Rules { settings, origin, dice }))
            }
            Learned::Sre(sre) => {
                Learned::Sre(Box::new(Sre { start: origin, ..Sre::new(sre.k, Dice::seeded(seed)) }))
            }
            Learned::Cubic(_) => Learned::Cubic(Box::new(Cubic { start: origin, ..Cubic::new() })),
        })
    }

    /// One more like this one, which was made [anew](Self::anew), for the client of this number. What adapts
    /// shares its settings and its draws with the others, so that a million of them fit into memory.
    pub(crate) fn one_more(&self, origin: Instant, seed: u64) -> Self {
        match &self.0.learned {
            Learned::Adaptive(..) => self.fresh(),
            Learned::Sre(_) | Learned::Cubic(_) => self.anew(origin, seed),
        }
    }
}
