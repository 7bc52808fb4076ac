//! Proof that a queue of dead letters keeps the promises of [`DeadLetterQueue`](crate::DeadLetterQueue).
//!
//! Whoever writes a queue says how one is opened, and gets a test for each promise:
//!
//! ```
//! use recoup::testing::conformance::Place;
//! use recoup::{MemoryQueue, QueueError};
//!
//! fn open(place: Place) -> impl Future<Output = MemoryQueue> + Send {
//!     let is = place.settings;
//!     let mut queue = MemoryQueue::builder()
//!         .capacity(is.capacity)
//!         .max_bytes(is.max_bytes)
//!         .max_payload(is.max_payload)
//!         .quarantine_after(is.quarantine_after)
//!         .when_full(is.when_full);
//!     if let Some(time) = is.time_to_live {
//!         queue = queue.time_to_live(time);
//!     }
//!     async { queue.build().unwrap() }
//! }
//!
//! // In a test, on tokio's paused clock: `memory::d5_letter_has_one_holder` and all the others.
//! recoup::testing::queue_suite!(memory, open);
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! // Or all of them at once, as a list.
//! let report = recoup::testing::conformance::run(&open).await;
//! assert!(report.is_proof(), "{report}");
//! assert!(report.passed().count() >= 40);
//! # }
//! ```
//!
//! The tests run on tokio's paused clock (`start_paused = true`), so none of them waits for real, and need
//! tokio's `macros` and `test-util` among the dev-dependencies.
//!
//! # Queues that outlive their process
//!
//! A queue that [`survives`](crate::DeadLetterQueue::survives) something is opened again at the same [`Place`]:
//! closed before ([restart](QueueUnderTest::restart)) and not ([crash](QueueUnderTest::crash)). A queue that
//! says it survives nothing is not asked: these cases are listed as not applying, never as passed. The same
//! holds for the faults that only its author can make: [`fail_next_write`](QueueUnderTest::fail_next_write) and
//! [`damage`](QueueUnderTest::damage).
//!
//! A paused clock runs on by itself while everybody waits, also for a thread that writes to a disk. A queue
//! with a thread of its own says how time goes on by [`advance`](QueueUnderTest::advance), as
//! `tokio::time::advance`, and keeps the clock still meanwhile: it does as long as a task of
//! `tokio::task::spawn_blocking` is alive.

mod by_hand;
mod cases;
mod dropped;
mod expiry;
mod faults;
mod filters;
mod leases;
mod letters;
mod limits;
mod model;
mod quarantine;
mod report;
mod restarts;
mod series;
mod under_test;
mod waiting;
mod workers;
mod world;

pub use self::cases::{check, names, prove, run};
pub use self::report::{CaseResult, Report, Verdict};
pub use self::under_test::{Place, QueueUnderTest, Settings};
