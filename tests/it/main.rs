//! Whole calls, by scenario, on a paused clock.
#![expect(missing_docs, reason = "tests are named as the claims they make")]

mod bad_input;
mod breaker_bugs;
mod breaker_care;
mod breaker_control;
mod breaker_model;
mod breaker_needs;
mod breaker_probes;
mod breaker_races;
mod breaker_reference;
mod breaker_watch;
mod budget_needs;
mod cancellation;
mod composition;
mod fallback;
mod floors;
mod letters;
mod reconnect;
mod retry_bugs;
mod retry_needs;
mod types;
mod testing_needs;
mod waiting;
