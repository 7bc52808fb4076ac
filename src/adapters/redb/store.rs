//! The open file, and how it is opened again after an error.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redb::Database;

use super::ballast::Ballast;
use super::fault::{Fault, Io};
use super::format::{self, Identity};
use super::gauge::Gauge;
use super::handle::Handle;
use super::numbers::Numbers;
use super::open_error::OpenErrorKind;
use super::place::{OnRepair, Place};
use super::rules::Rules;
use crate::time::{self, Instant};

/// After an error the file is opened again at once, and if that fails, after a wait that doubles between these.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// So long is waited for those who still read when the file is closed, in steps of a millisecond.
const CLOSING: u32 = 5000;

/// The file that a writer owns.
pub(super) struct Store {
    place: Place,
    on_repair: Option<OnRepair>,
    ballast: Ballast,
    broken: Option<Broken>,
    /// So many bytes the letters carried when the disk was full.
    full_with: u64,
}

/// The file failed. A handle that failed once is not asked again: what it says of its writes cannot be believed.
struct Broken {
    fault: Fault,
    /// The handle that failed. While somebody reads from it, there must be no other.
    old: Weak<Handle>,
    again_at: Instant,
    wait: Duration,
}

/// The file, who it is, whose rules hold, and when there is first something to do in it.
pub(super) type Opened = (Database, Identity, Rules, u64);

impl Store {
    pub(super) fn new(place: Place, on_repair: Option<OnRepair>) -> Self {
        let ballast = Ballast::beside(&place);
        Self { place, on_repair, ballast, broken: None, full_with: 0 }
    }

    /// Opens the file for the first time, with less ballast if the disk is full.
    pub(super) fn open(&mut self, rules: &Rules) -> Result<Opened, OpenErrorKind> {
        let mut opened = self.opened(rules);
        if matches!(opened, Err(OpenErrorKind::NoSpace)) {
            self.ballast.throw();
            opened = self.opened(rules);
        }
        self.ballast.take();
        opened
    }

    fn opened(&self, rules: &Rules) -> Result<Opened, OpenErrorKind> {
        let database = self.place.open(self.on_repair.as_ref())?;
        let (identity, rules, due) = format::prepare(&database, rules)?;
        Ok((database, identity, rules, due))
    }

    /// The open file. If it had to be opened again, the numbers as they are in it.
    pub(super) fn database(&mut self, gauge: &Gauge, rules: &Rules) -> Io<(Arc<Handle>, Option<Numbers>)> {
        let Some(broken) = &self.broken else { return Ok((gauge.database()?, None)) };
        let now = time::now();
        if now < broken.again_at || broken.old.strong_count() > 0 {
            return Err(broken.fault.clone());
        }
        let wait = (broken.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
        match self.opened(rules) {
            Ok((database, identity, _, due)) => {
                let database = Arc::new(Handle::Writes(database));
                gauge.set_due(due);
                gauge.show(Arc::clone(&database));
                self.broken = None;
                Ok((database, Some(identity.numbers)))
            }
            Err(kind) => {
                let fault = Fault::from(kind);
                let (again_at, old) = (time::later_or_far(now, wait), Weak::new());
                self.broken = Some(Broken { fault: fault.clone(), old, again_at, wait });
                if fault.no_space {
                    self.ballast.throw();
                }
                Err(fault)
            }
        }
    }

    /// The file failed: it is let go of, and opened again when it is next needed.
    pub(super) fn failed(&mut self, gauge: &Gauge, fault: &Fault) {
        if self.broken.is_none() {
            let old = gauge.hide(fault.clone()).map_or_else(|_| Weak::new(), |old| Arc::downgrade(&old));
            let (fault, again_at, wait) = (fault.clone(), time::now(), Duration::ZERO);
            self.broken = Some(Broken { fault, old, again_at, wait });
        }
        if fault.no_space {
            self.ballast.throw();
        }
    }

    /// So many bytes the letters carry now. Once half of them went, others have room in the file itself.
    pub(super) const fn holds(&mut self, bytes: u64) {
        if !self.only_drains() {
            self.full_with = bytes;
        } else if bytes <= self.full_with / 2 {
            self.ballast.forget();
        }
    }

    /// Whether the file failed and is not open again yet.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether letters can be taken out but not put in, because the disk is full.
    pub(super) const fn only_drains(&self) -> bool {
        self.ballast.is_thrown()
    }

    /// Saves what makes the file quick to open after a crash, and looks whether the disk has room again.
    pub(super) fn settle_down(&mut self, gauge: &Gauge) -> Io<()> {
        let mut transaction = gauge.database()?.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.commit()?;
        self.ballast.take_again();
        self.ballast.take();
        Ok(())
    }

    /// Closes the file. Whoever reads from it is waited for.
    pub(super) fn close(&mut self, gauge: &Gauge) -> Io<()> {
        if let Some(broken) = &self.broken {
            return Err(broken.fault.clone());
        }
        let settled = self.settle_down(gauge);
        let mut database = gauge.hide(Fault::new("the queue is closed"))?;
        for _ in 0..CLOSING {
            match Arc::try_unwrap(database) {
                Ok(database) => {
                    return settled.and(database.close());
                }
                Err(shared) => database = shared,
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        settled
    }
}
