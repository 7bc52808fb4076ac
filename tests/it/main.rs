//! Whole calls, by scenario, on a paused clock.

mod fallback;
mod floors;
