//! Runs a scenario under one policy after the other.

use super::contender::Contender;
use super::engine::Engine;
use super::report::{Report, Run};
use super::scenario::Scenario;
use crate::setting::SettingError;
use crate::time;

/// Runs the scenario under each of the policies, and says what came of it.
///
/// All of them meet the same requests at the same times. The same seed gives the same report.
///
/// ```
/// use std::time::Duration;
/// use recoup::RetryPolicy;
/// use recoup::lab::{Contender, Fleet, Scenario, run};
///
/// let storm = RetryPolicy::exponential(Duration::from_millis(50)).max_attempts(4).no_budget();
/// let contenders = [
///     Contender::new("no retry", RetryPolicy::builder().max_attempts(1).no_budget()),
///     Contender::new("three retries", storm),
/// ];
/// let report = run(&Scenario::outage(Fleet::new(20, 5.0)), &contenders, 1)?;
/// let [none, three] = [0, 1].map(|policy| report.runs[policy].figures.amplification.unwrap());
/// assert_eq!(none, 1.0);
/// assert!(three > 3.9, "an outage is met with four times the load");
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Errors
///
/// [`SettingError`] for the first setting of the scenario or of a policy that cannot work, or if a policy repeats
/// so often that the run would not end.
pub fn run(scenario: &Scenario, contenders: &[Contender], seed: u64) -> Result<Report, SettingError> {
    run_told(scenario, contenders, seed, |_| {})
}

/// As [`run`], and tells how much of it is done, from 0.0 to 1.0, at least once for each simulated second: for
/// whoever shows that to somebody who waits.
///
/// ```
/// use recoup::lab::{Contender, Fleet, Scenario, run_told};
///
/// let mut done = 0.0;
/// run_told(&Scenario::errors(Fleet::new(10, 1.0)), &[Contender::no_retry()], 1, |share| {
///     assert!(share >= done);
///     done = share;
/// })?;
/// assert_eq!(done, 1.0);
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Errors
///
/// As [`run`].
pub fn run_told(
    scenario: &Scenario,
    contenders: &[Contender],
    seed: u64,
    mut tell: impl FnMut(f64),
) -> Result<Report, SettingError> {
    scenario.check()?;
    #[expect(clippy::cast_precision_loss, reason = "a handful of policies")]
    let all = contenders.len() as f64;
    let mut runs = Vec::new();
    for (before, contender) in (0_u32..).zip(contenders) {
        runs.push(run_one(scenario, contender, seed, |share| tell((f64::from(before) + share) / all))?);
    }
    Ok(Report { scenario: scenario.clone(), seed, runs })
}

/// One policy's run of a scenario that was checked.
fn run_one(
    scenario: &Scenario,
    contender: &Contender,
    seed: u64,
    tell: impl FnMut(f64),
) -> Result<Run, SettingError> {
    // Any moment will do: it is the same for all that the clients are given, and only differences count.
    let start = time::now();
    let fleet = contender.equip(scenario, seed, start)?;
    let tally = Engine::new(scenario, &fleet, seed, start).run(tell)?;
    Ok(Run { policy: contender.name().to_owned(), figures: tally.figures(), series: tally.series() })
}
