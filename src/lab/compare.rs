//! Policies side by side, over many faults by chance.

use std::fmt;
use std::sync::mpsc;
use std::thread;

use super::contender::Contender;
use super::draw::draw;
use super::run::run;
use crate::setting::SettingError;
use crate::sync::atomic::{AtomicU32, Ordering};

/// How policies stand to each other over many faults. Its `Display` is a table, the least regret first.
///
/// **Regret** is what choosing a policy for this fault has cost: the requests that were lost more than under the
/// best of the policies that were compared, in the very same fault, as a share of those offered.
///
/// ```
/// use recoup::lab::{Contender, compare};
///
/// let comparison = compare(&[Contender::no_retry()], 1, 190)?;
/// assert!(comparison.to_string().starts_with("1 faults by chance, seed 190\npolicy "));
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The seed that the faults were drawn from.
    pub seed: u64,
    /// One for each policy, in the order in which they were handed in.
    pub standings: Vec<Standing>,
}

/// How one policy stood over all the faults.
///
/// ```
/// use recoup::lab::{Contender, compare};
///
/// let alone = &compare(&[Contender::no_retry()], 1, 190)?.standings[0];
/// assert_eq!((alone.mean_regret(), alone.worst()), (0.0, Some((0, 0.0))), "nobody else did better");
/// # Ok::<(), recoup::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Standing {
    /// The name of the policy.
    pub policy: String,
    /// Its regret in each fault, in the order in which they were drawn, from 0.0 to 1.0.
    pub regrets: Vec<f64>,
    /// The numbers of the faults after which the fleet had not recovered when the run ended.
    pub stuck: Vec<u32>,
}

impl Standing {
    /// The mean of the regrets.
    #[must_use]
    pub fn mean_regret(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
        let draws = self.regrets.len().max(1) as f64;
        self.regrets.iter().sum::<f64>() / draws
    }

    /// The largest of them, and in which fault.
    #[must_use]
    pub fn worst(&self) -> Option<(u32, f64)> {
        (0_u32..).zip(self.regrets.iter().copied()).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// What became of one policy in one fault.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    lost: f64,
    stuck: bool,
}

/// Runs every policy through the same `draws` faults, drawn by chance from the seed as [`draw`] says, on as many
/// threads as the machine has cores. How many there are changes nothing in the result.
///
/// ```
/// use recoup::lab::{Contender, compare};
///
/// let contenders = [Contender::no_retry(), Contender::adaptive()];
/// let comparison = compare(&contenders, 1, 190)?;
/// let least = comparison.standings.iter().map(|standing| standing.regrets[0]).fold(1.0, f64::min);
/// assert_eq!(least, 0.0, "the best has nothing to regret");
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Errors
///
/// [`SettingError`], if a policy does not build.
pub fn compare(contenders: &[Contender], draws: u32, seed: u64) -> Result<Comparison, SettingError> {
    compare_told(contenders, draws, seed, |_| {})
}

/// As [`compare`], and tells how much of it is done, above 0.0 and up to 1.0, after each of the faults: for
/// whoever shows that to somebody who waits. It is told on the thread that called.
///
/// ```
/// use recoup::lab::{Contender, compare_told};
///
/// let mut told = Vec::new();
/// compare_told(&[Contender::no_retry()], 2, 190, |share| told.push(share))?;
/// assert_eq!(told, [0.5, 1.0]);
/// # Ok::<(), recoup::SettingError>(())
/// ```
///
/// # Errors
///
/// As [`compare`].
pub fn compare_told(
    contenders: &[Contender],
    draws: u32,
    seed: u64,
    mut tell: impl FnMut(f64),
) -> Result<Comparison, SettingError> {
    let mut outcomes = vec![Vec::new(); draws as usize];
    let next = AtomicU32::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (report, came) = mpsc::channel();
        for _ in 0..threads {
            let (report, next) = (report.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens any more once something went wrong.
                    if index >= draws || report.send((index, one(contenders, seed, index))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(report); // or it would be waited for
        for ((index, of_all), done) in came.into_iter().zip(1_u32..) {
            outcomes[index as usize] = of_all?;
            tell(f64::from(done) / f64::from(draws));
        }
        Ok::<(), SettingError>(())
    })?;
    let standings = contenders.iter().enumerate().map(|(nth, contender)| standing(nth, contender, &outcomes));
    Ok(Comparison { seed, standings: standings.collect() })
}

/// All policies in one fault.
fn one(contenders: &[Contender], seed: u64, index: u32) -> Result<Vec<Outcome>, SettingError> {
    let report = run(&draw(seed, index), contenders, seed.wrapping_add(u64::from(index)))?;
    let outcome = |run: &super::report::Run| Outcome {
        lost: 1.0 - run.figures.success,
        stuck: run.figures.recovery.is_stuck(),
    };
    Ok(report.runs.iter().map(outcome).collect())
}

fn standing(nth: usize, contender: &Contender, outcomes: &[Vec<Outcome>]) -> Standing {
    let regret = |of_all: &Vec<Outcome>| {
        let least = of_all.iter().map(|outcome| outcome.lost).fold(f64::INFINITY, f64::min);
        of_all[nth].lost - least
    };
    let stuck = (0_u32..).zip(outcomes).filter(|(_, of_all)| of_all[nth].stuck).map(|(index, _)| index);
    Standing {
        policy: contender.name().to_owned(),
        regrets: outcomes.iter().map(regret).collect(),
        stuck: stuck.collect(),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let draws = self.standings.first().map_or(0, |standing| standing.regrets.len());
        write!(f, "{draws} faults by chance, seed {}", self.seed)?;
        let mut by_regret: Vec<&Standing> = self.standings.iter().collect();
        by_regret.sort_by(|a, b| a.mean_regret().total_cmp(&b.mean_regret()));
        let wide = by_regret.iter().map(|standing| standing.policy.chars().count()).max().unwrap_or(0).max(6);
        write!(f, "\n{:wide$}  {:>11}  {:>12}  {:>5}", "policy", "mean regret", "worst regret", "stuck")?;
        for standing in by_regret {
            let worst = standing.worst().map_or(0.0, |(_, regret)| regret);
            write!(f, "\n{:wide$}  {:>9.1} %", standing.policy, standing.mean_regret() * 100.0)?;
            write!(f, "  {:>10.1} %  {:>5}", worst * 100.0, standing.stuck.len())?;
        }
        Ok(())
    }
}
