//! For the tests of those who use recoup: an operation that plays a script, an observer that remembers, faults on
//! purpose, and proof that a queue of dead letters keeps its [promises](conformance).
//!
//! Behind the feature `testing`, which adds no crate. Together with a paused clock and a seed, a test says
//! exactly what a policy does, and says it the same on every run and on every machine:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), recoup::SettingError> {
//! use std::time::Duration;
//! use recoup::testing::{Recorder, Script};
//! use recoup::{Category, Classification, Recovery, RetryPolicy, Throttle, execute_with_recovery};
//!
//! // The policy that the program runs, with a seed, and as if it ran alone: see `Throttle::single_client`.
//! let policy = RetryPolicy::exponential(Duration::from_millis(100)).max_attempts(3).seed(1);
//! let recorder = Recorder::new();
//! let orders = Recovery::builder("orders")
//!     .classifier(|status: &u16| match status {
//!         503 => Classification::of(Category::ServiceUnavailable).status(503),
//!         _ => Classification::of(Category::Unknown),
//!     })
//!     .retry(policy.throttle(Throttle::single_client()))
//!     .attempt_timeout(Duration::from_secs(1))
//!     .observer(recorder.observer())
//!     .build()?;
//!
//! let server = Script::new().fail(503).hang().succeed("order 7");
//! let order = execute_with_recovery(&orders, |attempt| server.attempt(attempt)).await;
//!
//! assert_eq!(order.unwrap(), "order 7");
//! assert_eq!(
//!     recorder.timeline(),
//!     [
//!         "0ns orders attempt 1 started",
//!         "0ns orders attempt 1 failed: service_unavailable 503",
//!         "0ns orders waits 39.978128ms after attempt 1: backoff",
//!         "40ms orders attempt 2 started",
//!         "1.04s orders attempt 2 failed: timeout",
//!         "1.04s orders waits 33.789615ms after attempt 2: backoff",
//!         "1.074s orders attempt 3 started",
//!         "1.074s orders succeeded after 3 attempts",
//!     ]
//! );
//! assert_eq!(server.called_at(), [0, 40, 1074].map(Duration::from_millis));
//! # Ok(()) }
//! ```
//!
//! Waits end on whole milliseconds, because tokio's timers do.

mod chaos;
pub mod conformance;
mod recorded;
mod recorder;
mod script;

pub use self::chaos::{Chaos, ChaosCall};
pub use self::recorded::{Happened, Recorded, RecordedCall};
pub use self::recorder::Recorder;
pub use self::script::{Play, Script};
#[doc(inline)]
pub use super::__queue_suite as queue_suite;
#[doc(hidden)]
pub use super::{__queue_cases, __queue_tests};
