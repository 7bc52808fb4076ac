//! Those who want to know what a queue does by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::destinations;
use super::fault::Io;
use super::find::Found;
use super::gauge::Gauge;
use super::numbers::Numbers;
use super::rules::Rules;
use super::tables::Tables;
use crate::dead_letter::{DeadLetter, Filling, Loss, QueueStats};

pub(super) type OnLoss = Arc<dyn Fn(&DeadLetter, Loss) + Send + Sync>;
pub(super) type OnFilling = Arc<dyn Fn(&QueueStats) + Send + Sync>;

/// They are called on the writer's thread, after the fact and with nothing held. A panic in one ends there.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub(super) on_loss: Option<OnLoss>,
    pub(super) on_filling: Option<OnFilling>,
    pub(super) filling: Filling,
}

impl Hooks {
    pub(super) const fn wants_losses(&self) -> bool {
        self.on_loss.is_some()
    }

    pub(super) fn tell(&mut self, lost: Vec<(Found, Loss)>, numbers: &Numbers, rules: &Rules, gauge: &Gauge) {
        if let Some(on_loss) = &self.on_loss {
            for (found, loss) in lost {
                if let Some(letter) = found.open() {
                    let _panicked = catch_unwind(AssertUnwindSafe(|| on_loss(&letter, loss)));
                }
            }
        }
        let Some(on_filling) = &self.on_filling else { return };
        let levels = [(numbers.held(), rules.capacity), (numbers.bytes, rules.max_bytes)];
        if !self.filling.crosses(levels) {
            return;
        }
        match stats(numbers, gauge) {
            Ok(stats) => {
                let _panicked = catch_unwind(AssertUnwindSafe(|| on_filling(&stats)));
            }
            // It could not be told, so the next batch tries it again.
            Err(_) => self.filling = Filling::default(),
        }
    }
}

fn stats(numbers: &Numbers, gauge: &Gauge) -> Io<QueueStats> {
    let transaction = gauge.database()?.begin_read()?;
    let tables = Tables::look(&transaction)?;
    Ok(numbers.seen(tables.oldest(numbers)?, destinations::counts(&tables)?))
}
