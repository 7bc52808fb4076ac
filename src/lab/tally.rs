//! Counts what happens in one run, and makes the figures of it.

use std::time::Duration;

use super::report::{Figures, Recovered, Sample};
use super::scenario::Scenario;

/// Nanoseconds in one step of the count: a tenth of a second.
const STEP: u64 = 100_000_000;

/// Steps in one second.
const SECOND: usize = 10;

/// How long goodput must stay where it was before the faults, in steps, before the fleet has recovered.
const STAYS: usize = 50;

/// In how many steps goodput must be back at once: shorter, and chance decides.
const AT_ONCE: usize = 5;

/// What counts as having recovered: this share of the goodput before the faults, or what cannot be told from it.
/// A backend that never serves more than 93 of a hundred serves 91 at times, faults or not.
const AS_BEFORE: f64 = 0.99;

/// How long "after the faults" is, in steps.
const AFTERMATH: usize = 300;

/// What happened, by the time at which it did. Requests belong to the step in which they were made.
#[derive(Debug)]
pub(super) struct Tally {
    steps: Vec<Step>,
    seconds: Vec<Latencies>,
    all: Latencies,
    warm_up: usize,
    trouble: Option<(usize, usize)>,
    wasted: u64,
    held_back: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    offered: u32,
    load: u32,
    good: u32,
}

impl Tally {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let steps = step(scenario.ends() + Duration::from_nanos(STEP - 1)); // the last may be a part of one
        let trouble = scenario.trouble().map(|(from, ends)| (step(from), step(ends)));
        Self {
            steps: vec![Step::default(); steps],
            seconds: vec![Latencies::default(); steps.div_ceil(SECOND)],
            all: Latencies::default(),
            warm_up: step(scenario.warm_up),
            trouble,
            wasted: 0,
            held_back: 0,
        }
    }

    /// A request is made.
    pub(super) fn offered(&mut self, now: u64) {
        if let Some(step) = self.at(now) {
            step.offered += 1;
        }
    }

    /// An attempt reaches the backend.
    pub(super) fn reached(&mut self, now: u64) {
        if let Some(step) = self.at(now) {
            step.load += 1;
        }
    }

    /// The backend has served a caller who had gone.
    pub(super) fn wasted(&mut self, now: u64) {
        if index(now) >= self.warm_up && self.at(now).is_some() {
            self.wasted += 1;
        }
    }

    /// A request that was made at `born` was turned away by the client's own policies.
    pub(super) fn held_back(&mut self, born: u64) {
        if index(born) >= self.warm_up && self.at(born).is_some() {
            self.held_back += 1;
        }
    }

    /// A request that was made at `born` has ended well.
    pub(super) fn succeeded(&mut self, born: u64, now: u64) {
        let Some(step) = self.at(born) else { return };
        step.good += 1;
        let latency = now - born;
        self.seconds[index(born) / SECOND].add(latency);
        if index(born) >= self.warm_up {
            self.all.add(latency);
        }
    }

    fn at(&mut self, time: u64) -> Option<&mut Step> {
        self.steps.get_mut(index(time))
    }

    pub(super) fn figures(&self) -> Figures {
        let counted = Sum::of(self.steps.get(self.warm_up..).unwrap_or_default());
        let within = self.trouble.map(|(from, ends)| self.sum(from, ends));
        let after = self.trouble.map(|(_, ends)| self.sum(ends, ends + AFTERMATH));
        Figures {
            offered: counted.offered,
            succeeded: counted.good,
            backend_calls: counted.load,
            held_back: self.held_back,
            wasted: self.wasted,
            amplification: within.and_then(|sum| share(sum.load, sum.offered)),
            success: counted.goodput().unwrap_or(1.0),
            goodput_in_fault: within.and_then(Sum::goodput),
            goodput_after: after.and_then(Sum::goodput),
            recovery: self.recovery(),
            latency_p50: self.all.quantile(0.5).unwrap_or(0.0),
            latency_p99: self.all.quantile(0.99).unwrap_or(0.0),
        }
    }

    pub(super) fn series(&self) -> Vec<Sample> {
        let seconds = self.steps.chunks(SECOND).zip(&self.seconds).zip(0_u32..);
        let sample = |((steps, latencies), second): ((&[Step], &Latencies), u32)| {
            let sum = Sum::of(steps);
            let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
            Sample {
                at: f64::from(second),
                offered: count(sum.offered),
                load: count(sum.load),
                goodput: count(sum.good),
                latency_p50: latencies.quantile(0.5),
                latency_p99: latencies.quantile(0.99),
            }
        };
        seconds.map(sample).collect()
    }

    /// The later half of the time before the faults says what is normal: by then the fleet has settled.
    fn recovery(&self) -> Recovered {
        let Some((from, ends)) = self.trouble else { return Recovered::NoFault };
        let normal = self.sum(from / 2, from).goodput().unwrap_or(1.0);
        let good = |from: usize, steps: usize| {
            let sum = self.sum(from, from + steps);
            from + steps <= self.steps.len()
                && sum.goodput().is_none_or(|goodput| goodput >= AS_BEFORE * normal - sum.chance(normal))
        };
        let back = (ends..self.steps.len()).find(|&step| good(step, AT_ONCE) && good(step, STAYS));
        match back {
            #[expect(clippy::cast_precision_loss, reason = "a run has fewer steps than 2^53")]
            Some(step) => Recovered::After((step - ends) as f64 / SECOND as f64),
            None => Recovered::Never,
        }
    }

    fn sum(&self, from: usize, to: usize) -> Sum {
        let to = to.min(self.steps.len());
        Sum::of(self.steps.get(from..to).unwrap_or_default())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    offered: u64,
    load: u64,
    good: u64,
}

impl Sum {
    /// By how much a share falls short by chance, of so many: two standard deviations.
    #[expect(clippy::cast_precision_loss, reason = "a run has fewer requests than 2^53")]
    fn chance(&self, share: f64) -> f64 {
        2.0 * (share * (1.0 - share).max(0.0) / self.offered.max(1) as f64).sqrt()
    }

    fn of(steps: &[Step]) -> Self {
        steps.iter().fold(Self::default(), |sum, step| Self {
            offered: sum.offered + u64::from(step.offered),
            load: sum.load + u64::from(step.load),
            good: sum.good + u64::from(step.good),
        })
    }

    fn goodput(self) -> Option<f64> {
        share(self.good, self.offered)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn index(time: u64) -> usize {
    usize::try_from(time / STEP).unwrap_or(usize::MAX)
}

fn step(time: Duration) -> usize {
    usize::try_from(time.as_nanos() / u128::from(STEP)).unwrap_or(usize::MAX)
}

/// How long things took, to about three hundredths.
#[derive(Clone, Debug, Default)]
struct Latencies {
    counts: Vec<u32>,
    total: u64,
}

/// Slots for each doubling.
const FINE: u32 = 16;

impl Latencies {
    fn add(&mut self, nanos: u64) {
        let slot = slot(nanos);
        if self.counts.len() <= slot {
            self.counts.resize(slot + 1, 0);
        }
        self.counts[slot] += 1;
        self.total += 1;
    }

    /// In seconds; the middle of the slot that it lies in.
    fn quantile(&self, share: f64) -> Option<f64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a count, and a share of it"
        )]
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        let slot = self.counts.iter().position(|&count| {
            below += u64::from(count);
            below >= rank
        })?;
        Some(middle(slot))
    }
}

/// From a microsecond on; what is shorter is in the first slot.
fn slot(nanos: u64) -> usize {
    let micros = (nanos / 1_000).max(1);
    let doublings = micros.ilog2();
    // What is left after the highest bit, in sixteenths of it.
    let part = ((u128::from(micros) * u128::from(FINE)) >> doublings) - u128::from(FINE);
    doublings as usize * FINE as usize + usize::try_from(part).unwrap_or(0)
}

fn middle(slot: usize) -> f64 {
    let fine = FINE as usize;
    #[expect(clippy::cast_precision_loss, reason = "at most 64 times 16")]
    let (doublings, part) = ((slot / fine) as f64, (slot % fine) as f64);
    doublings.exp2() * (1.0 + (part + 0.5) / f64::from(FINE)) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{Fault, FaultKind, Fleet};

    const SECONDS: u64 = 1_000_000_000;

    /// Ten requests a tenth of a second for 60 s, with a fault from 20 s to 30 s; `lost` says which are lost, by
    /// their number in the tenth.
    fn counted(lost: impl Fn(u64, u64) -> bool) -> Figures {
        let mut scenario = Scenario::quiet(Fleet::new(1, 100.0));
        let second = Duration::from_secs(1);
        scenario.faults = vec![Fault::new(FaultKind::Outage, 20 * second, 10 * second)];
        (scenario.warm_up, scenario.after) = (10 * second, 30 * second);
        let mut tally = Tally::new(&scenario);
        for tenth in 0..700 {
            for nth in 0..10 {
                let at = tenth * STEP + nth * STEP / 10;
                tally.offered(at);
                tally.reached(at);
                if !lost(tenth, nth) {
                    tally.succeeded(at, at + SECONDS / 5);
                }
            }
        }
        tally.figures()
    }

    #[test]
    fn fleet_has_recovered_once_goodput_is_back_and_stays() {
        let within = |tenth: u64| (200..300).contains(&tenth);
        let after = |more: u64| counted(move |tenth, _| (200..300 + more).contains(&tenth)).recovery;
        assert_eq!(after(0), Recovered::After(0.0));
        assert_eq!(after(1), Recovered::After(0.1));
        assert_eq!(after(73), Recovered::After(7.3));
        assert_eq!(after(300), Recovered::Never);
        // A moment of luck is no recovery, and 98 % are not 99 %.
        let lucky = counted(|tenth, _| within(tenth) || (300..340).contains(&tenth) && tenth / 5 != 62);
        assert_eq!(lucky.recovery, Recovered::After(4.0));
        let nearly = counted(|tenth, nth| tenth >= 200 && (within(tenth) || (tenth % 5, nth) == (0, 0)));
        assert_eq!(nearly.recovery, Recovered::Never);
        // Who was not better before has recovered when it is as before.
        let always = counted(|tenth, nth| within(tenth) || (tenth % 5, nth) == (0, 0));
        assert_eq!(always.recovery, Recovered::After(0.0));
    }

    #[test]
    fn figures_are_of_what_was_made_when() {
        let figures = counted(|tenth, nth| (200..300).contains(&tenth) && nth < 4 || tenth >= 450 && nth < 1);
        assert_eq!((figures.offered, figures.backend_calls), (5_000, 5_000));
        assert_eq!(figures.succeeded, 5_000 - 400 - 150);
        assert_eq!(figures.amplification, Some(1.0));
        assert_eq!(figures.goodput_in_fault, Some(0.6));
        assert_eq!(figures.goodput_after, Some(0.95));
        assert!((figures.latency_p50 / 0.2 - 1.0).abs() < 0.04, "{}", figures.latency_p50);
    }

    #[test]
    fn latencies_are_kept_to_three_hundredths() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for micros in 1..=10_000 {
            latencies.add(micros * 1_000);
        }
        for (share, seconds) in [(0.5, 0.005), (0.99, 0.0099), (1.0, 0.01), (0.0, 0.000_001)] {
            let kept = latencies.quantile(share).unwrap();
            assert!((kept / seconds - 1.0).abs() < 0.04, "{share} {kept}");
        }
        for nanos in [0, 1, 999, u64::MAX / 2, u64::MAX] {
            latencies.add(nanos); // no slot is out of reach
        }
    }
}
