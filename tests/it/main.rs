//! Whole calls, by scenario, on a paused clock.

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
mod chaos;
mod composition;
mod determinism;
mod fallback;
mod floors;
mod letters;
mod reconnect;
mod retry_bugs;
mod retry_needs;
mod statistics;
mod telemetry;
mod testing_needs;
mod types;
mod waiting;
