//! A hedged call without its future: for somebody who makes the attempts, and keeps the time, himself.

use std::sync::Arc;

use super::latency::Stopwatch;
use super::plan::Plan;
use super::snapshot::Ventured;
use super::{Hedge, HedgeBuilder, Shared, Spare};
use crate::setting::SettingError;
use crate::time::{Instant, Now};

/// One hedged call whose attempts all answer in the end. It asks the plan, and tells what was learned, as the
/// future of a call does, at the times that it is told.
#[derive(Debug)]
pub(crate) struct Course<'h> {
    hedge: &'h Shared,
    plan: Plan,
    ventured: Ventured<'h>,
    watch: Stopwatch<'h>,
}

impl<'h> Course<'h> {
    /// The first attempt is made.
    pub(crate) fn begin(hedge: &'h Hedge, now: Instant) -> Self {
        let hedge = &*hedge.shared;
        let mut plan = Plan::new();
        plan.begin(hedge);
        let watch = Stopwatch::started(hedge.delay.learns(), &now.into());
        Self { hedge, plan, ventured: Ventured::none(&hedge.counts), watch }
    }

    /// When the next attempt is due, if one is: nobody has answered at `now`. To be asked once after each
    /// attempt that is made.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        self.plan.due(self.hedge, &now.into())
    }

    /// The number of the hedge that is to be made now that one is due, if it may be.
    pub(crate) fn launch(&mut self, now: Instant) -> Option<u32> {
        let number = self.plan.launch(self.hedge, &now.into())?;
        self.ventured.launched();
        self.hedge.tell_launched(number);
        Some(number)
    }

    /// The attempt of this number, 0 for the first, has answered before the others, which are dropped.
    pub(crate) fn answered(mut self, number: u32, now: Instant) {
        let now = Now::from(now);
        if number == 0 {
            self.watch.succeeded(&now);
        } else {
            self.ventured.won();
            self.watch.overtaken(&now);
        }
        self.hedge.earn(&now);
    }
}

impl HedgeBuilder {
    /// The hedge, whose time starts at `start`, and which asks what `like` makes of its budget.
    pub(crate) fn build_like(
        mut self,
        start: Instant,
        like: impl FnOnce(&dyn Spare) -> Option<Arc<dyn Spare>>,
    ) -> Result<Hedge, SettingError> {
        if let Some(budget) = self.budget.as_deref().and_then(like) {
            self.budget = Some(budget);
        }
        self.build_at(start)
    }
}
