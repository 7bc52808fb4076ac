//! How a queue comes to life: the file is opened, then its threads are started.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;

use redb::Builder;

use super::clock::Clock;
use super::format;
use super::gauge::Gauge;
use super::handle::Handle;
use super::hooks::Hooks;
use super::open_error::{OpenError, OpenErrorKind};
use super::place::{OnRepair, Place, kind};
use super::queue::{RedbQueue, Threads};
use super::reader;
use super::rules::Rules;
use super::store::Store;
use super::tables::Tables;
use super::writer::Writer;
use crate::sync::oneshot;
use crate::time::{self, Instant};

/// Does it on a thread of its own, and waits for that without holding up the task's.
pub(super) async fn apart<T: Send + 'static>(
    place: &Place,
    open: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let (answer, opened) = oneshot::channel();
    let started = start("recoup-opening", move || drop(answer.send(open())));
    let failed = |error: io::Error| place.error(OpenErrorKind::Storage(error.to_string()));
    started.map_err(failed)?;
    let lost = || place.error(OpenErrorKind::Damaged("it cannot be made sense of".to_owned()));
    opened.await.unwrap_or_else(|_| Err(lost()))
}

/// Opens what is there for reading and writing, or makes it.
pub(super) fn to_write(
    place: &Place,
    rules: Rules,
    hooks: Hooks,
    on_repair: Option<OnRepair>,
    now: Instant,
) -> Result<RedbQueue, OpenError> {
    let mut store = Store::new(place.clone(), on_repair);
    let (database, identity, rules, due) = store.open(&rules).map_err(|kind| place.error(kind))?;
    let clock = Clock::opened(now, identity.numbers.high_water);
    let gauge = Arc::new(Gauge::new(Arc::new(Handle::Writes(database)), due));
    let (numbers, shown) = (identity.numbers, Arc::clone(&gauge));
    let writer = Writer { store, gauge: shown, rules, clock, numbers, hooks, busy: true };
    let (requests, received) = mpsc::channel();
    let failed = |error: io::Error| place.error(OpenErrorKind::Storage(error.to_string()));
    start("recoup-dead-letters", move || writer.run(&received)).map_err(failed)?;
    let questions = start_reader(&gauge).map_err(failed)?;
    let threads = Threads { requests: Some(requests), questions };
    Ok(RedbQueue::new(gauge, threads, clock, rules, identity.queue))
}

/// Opens what is there for reading.
pub(super) fn to_read(place: &Place, rules: Rules) -> Result<RedbQueue, OpenError> {
    let Place::File(path) = place else { return Err(place.error(OpenErrorKind::Missing)) };
    let opened = catch_unwind(AssertUnwindSafe(|| Builder::new().open_read_only(path).map_err(kind)));
    let damaged = || Err(OpenErrorKind::Damaged("it cannot be made sense of".to_owned()));
    let look = |handle: &Handle| {
        let transaction = handle.begin_read()?;
        format::known(&transaction)?;
        let tables = Tables::look(&transaction)?;
        Ok((format::identity(&tables)?, Rules::known(&tables)?.unwrap_or(rules)))
    };
    let looked = opened.unwrap_or_else(|_| damaged()).and_then(|database| {
        let handle = Handle::Reads(database);
        look(&handle).map(|(identity, rules)| (handle, identity, rules))
    });
    let (handle, identity, rules) = looked.map_err(|kind| place.error(kind))?;
    let gauge = Arc::new(Gauge::new(Arc::new(handle), u64::MAX));
    let failed = |error: io::Error| place.error(OpenErrorKind::Storage(error.to_string()));
    let questions = start_reader(&gauge).map_err(failed)?;
    let clock = Clock::opened(time::now(), identity.numbers.high_water);
    Ok(RedbQueue::new(gauge, Threads { requests: None, questions }, clock, rules, identity.queue))
}

fn start_reader(gauge: &Arc<Gauge>) -> io::Result<mpsc::Sender<reader::Question>> {
    let (questions, received) = mpsc::channel();
    let gauge = Arc::clone(gauge);
    start("recoup-looking", move || reader::run(&gauge, &received))?;
    Ok(questions)
}

/// The one place where recoup starts threads: disks are waited for, and tasks must not wait.
fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
