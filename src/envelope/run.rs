//! The words in which a redrive is written down. The same holds for them as for those of a letter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::damaged::Damaged;
use super::filter::WrittenFilter;
use super::part::{parsed, text, unsealed};
use super::written::{WrittenMoment, WrittenSpan};
use crate::dead_letter::{
    ByHand, Fingerprint, LetterId, RedriveOrder, RedriveRun, RunId, RunOwner, RunProgress, RunState,
};

/// A redrive, as bytes.
pub(crate) fn run(run: &RedriveRun) -> Vec<u8> {
    text(&WrittenRun::of(run))
}

/// The redrive that was written down.
pub(crate) fn open_run(part: &[u8]) -> Result<RedriveRun, Damaged> {
    parsed::<WrittenRun>(unsealed(part)?)?.read()
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenRun {
    id: u64,
    order: WrittenOrder,
    created_at: WrittenMoment,
    up_to: u64,
    state: String,
    /// What goes with the state: why it is paused or stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Who cancelled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<WrittenBy>,
    progress: WrittenProgress,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<WrittenOwner>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, u64>,
    revision: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenOrder {
    filter: WrittenFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    ramp: bool,
    concurrency: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_after: Option<u32>,
    by: WrittenBy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenBy {
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenProgress {
    meant: u64,
    delivered: u64,
    failed: u64,
    quarantined: u64,
    skipped: u64,
    unsettled: u64,
    untouched: u64,
    in_a_row: u32,
    reached: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenOwner {
    who: String,
    lease: WrittenSpan,
}

impl WrittenBy {
    fn of(by: &ByHand) -> Self {
        Self { who: by.who.clone(), why: by.why.clone() }
    }

    fn read(self) -> ByHand {
        let mut by = ByHand::default();
        (by.who, by.why) = (self.who, self.why);
        by
    }
}

impl WrittenOrder {
    fn of(order: &RedriveOrder) -> Self {
        Self {
            filter: WrittenFilter::of(order.filter()),
            rate: order.rate(),
            ramp: order.ramp(),
            concurrency: order.concurrency(),
            to: order.to().map(str::to_owned),
            dry_run: order.dry_run(),
            stop_after: order.stop_after(),
            by: WrittenBy::of(order.by()),
        }
    }

    fn read(self) -> Result<RedriveOrder, Damaged> {
        let mut order = RedriveOrder::builder(self.filter.read()?)
            .ramp(self.ramp)
            .concurrency(self.concurrency)
            .dry_run(self.dry_run)
            .by(self.by.read());
        if let Some(rate) = self.rate {
            order = order.rate(rate);
        }
        if let Some(to) = self.to {
            order = order.to(to);
        }
        if let Some(failures) = self.stop_after {
            order = order.stop_after(failures);
        }
        order.build().map_err(|error| Damaged::Unreadable(error.to_string()))
    }
}

impl WrittenProgress {
    fn of(progress: &RunProgress) -> Self {
        let &RunProgress {
            meant,
            delivered,
            failed,
            quarantined,
            skipped,
            unsettled,
            untouched,
            in_a_row,
            ..
        } = progress;
        let reached = progress.reached.get();
        let open = progress.open.iter().map(|id| id.get()).collect();
        Self { meant, delivered, failed, quarantined, skipped, unsettled, untouched, in_a_row, reached, open }
    }

    fn read(self) -> RunProgress {
        let mut progress = RunProgress::meaning(self.meant);
        progress.delivered = self.delivered;
        progress.failed = self.failed;
        progress.quarantined = self.quarantined;
        progress.skipped = self.skipped;
        progress.unsettled = self.unsettled;
        progress.untouched = self.untouched;
        progress.in_a_row = self.in_a_row;
        progress.reached = LetterId::new(self.reached);
        progress.open = self.open.into_iter().map(LetterId::new).collect();
        progress
    }
}

impl WrittenRun {
    fn of(run: &RedriveRun) -> Self {
        let (why, by) = match &run.state {
            RunState::Paused { why } | RunState::Stopped { why } => (Some(why.clone()), None),
            RunState::Cancelled { by } => (None, Some(WrittenBy::of(by))),
            RunState::Waiting | RunState::Running | RunState::Finished => (None, None),
        };
        let owner = run
            .owner
            .as_ref()
            .map(|owner| WrittenOwner { who: owner.who.clone(), lease: WrittenSpan::of(owner.lease) });
        Self {
            id: run.id.get(),
            order: WrittenOrder::of(&run.order),
            created_at: WrittenMoment::of(run.created_at),
            up_to: run.up_to.get(),
            state: run.state.name().to_owned(),
            why,
            by,
            progress: WrittenProgress::of(&run.progress),
            owner,
            groups: run.groups.iter().map(|(group, letters)| (group.to_string(), *letters)).collect(),
            revision: run.revision,
        }
    }

    fn read(self) -> Result<RedriveRun, Damaged> {
        let (id, up_to, created_at) = (RunId::new(self.id), LetterId::new(self.up_to), self.created_at.get());
        let mut run = RedriveRun::new(id, self.order.read()?, created_at, up_to, 0);
        let why = self.why.unwrap_or_default();
        run.state = match self.state.as_str() {
            "waiting" => RunState::Waiting,
            "running" => RunState::Running,
            "paused" => RunState::Paused { why },
            "finished" => RunState::Finished,
            "cancelled" => RunState::Cancelled { by: self.by.unwrap_or_default().read() },
            "stopped" => RunState::Stopped { why },
            other => return Err(Damaged::Unreadable(format!("`{other}` is no state of a redrive"))),
        };
        run.progress = self.progress.read();
        run.owner = self.owner.map(|owner| RunOwner::new(owner.who, owner.lease.get()));
        let group = |(group, letters): (String, u64)| {
            let read = group.parse::<Fingerprint>();
            let read = read.map_err(|_| Damaged::Unreadable(format!("`{group}` is no fingerprint")))?;
            Ok((read, letters))
        };
        run.groups = self.groups.into_iter().map(group).collect::<Result<_, Damaged>>()?;
        run.revision = self.revision;
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::classification::Category;
    use crate::dead_letter::LetterFilter;

    fn full(state: RunState) -> RedriveRun {
        let filter = LetterFilter::new().category(Category::Timeout).tenant("acme").any_state();
        let order = RedriveOrder::builder(filter)
            .rate(0.1)
            .ramp(false)
            .concurrency(7)
            .to("elsewhere")
            .dry_run(true)
            .stop_after(3)
            .by(ByHand::of("ana").because("fixed"));
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_800_000_000_000_000_001);
        let mut run = RedriveRun::new(RunId::new(9), order.build().unwrap(), at, LetterId::new(70), 12);
        run.state = state;
        run.owner = Some(RunOwner::new("me", Duration::from_millis(30_001)));
        run.progress.delivered = 1;
        run.progress.failed = 2;
        run.progress.quarantined = 3;
        run.progress.skipped = 4;
        run.progress.unsettled = 5;
        run.progress.untouched = 6;
        run.progress.in_a_row = 7;
        run.progress.reached = LetterId::new(8);
        run.progress.open = vec![LetterId::new(2), LetterId::new(5)];
        run.groups.insert(Fingerprint::new(0xabc), 11);
        run.revision = 41;
        run
    }

    #[test]
    fn redrive_comes_back_as_it_was_in_every_state() {
        let why = || "the circuit is open".to_owned();
        for state in [
            RunState::Waiting,
            RunState::Running,
            RunState::Paused { why: why() },
            RunState::Finished,
            RunState::Cancelled { by: ByHand::of("bo") },
            RunState::Stopped { why: why() },
        ] {
            let written = full(state);
            assert_eq!(open_run(&run(&written)), Ok(written));
        }
    }

    #[test]
    fn changed_bytes_are_no_other_redrive() {
        let written = run(&full(RunState::Running));
        for at in 0..written.len() {
            for bit in 0..8 {
                let mut changed = written.clone();
                changed[at] ^= 1 << bit;
                assert!(open_run(&changed).is_err(), "bit {bit} of byte {at}");
            }
            assert!(open_run(&written[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn order_that_cannot_be_carried_out_is_not_read_as_another() {
        let mut written = WrittenRun::of(&full(RunState::Waiting));
        written.order.concurrency = 0;
        assert!(written.clone().read().is_err());
        written.order.concurrency = 1;
        written.state = "resting".to_owned();
        assert!(written.read().is_err());
    }
}
