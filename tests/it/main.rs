//! Whole calls, by scenario, on a paused clock.
#![expect(missing_docs, reason = "tests are named as the claims they make")]

mod cancellation;
mod fallback;
mod floors;
mod letters;
mod reconnect;
mod waiting;
