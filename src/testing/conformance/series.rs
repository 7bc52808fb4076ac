//! D3, D15: long series of random steps, beside a model.

use std::time::Duration;

use crate::classification::Category;
use crate::dead_letter::{
    DeadLetter, Failed, LeaseToken, LetterFilter, LetterState, Payload, Settlement, WhenFull,
};
use crate::random::Dice;
use crate::testing::conformance::model::Model;
use crate::testing::conformance::under_test::Settings;
use crate::testing::conformance::world::{
    Bed, Proof, Stop, World, at, broken, by, failure, id, letter, same, says,
};

const STEPS: usize = 600;

/// Leases end on half seconds and letters on quarters, while everything happens on whole ones: so nothing
/// happens just when something ends, which two clocks may see in two ways.
const HALF: Duration = Duration::from_millis(500);

fn small(is: &mut Settings) {
    is.capacity = 12;
    is.quarantine_after = 2;
    is.time_to_live = Some(Duration::from_millis(60_250));
}

/// Draws steps; each seed has its own, the same on every machine.
struct Draw(Dice);

impl Draw {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small number")]
    fn below(&self, end: u32) -> u64 {
        (self.0.draw() * f64::from(end)) as u64
    }

    fn seconds(&self, from: u32, end: u32) -> Duration {
        Duration::from_secs(u64::from(from) + self.below(end - from))
    }

    fn letter(&self) -> DeadLetter {
        let letter = letter()
            .payload(Payload::bytes(vec![7; usize::try_from(self.below(90)).unwrap_or(0)]))
            .error(says(&format!("failure {}", self.below(9))))
            .died_at(at(self.below(20)));
        match self.below(3) {
            0 => letter,
            destination => letter.destination(format!("to {destination}")),
        }
    }

    fn filter(&self) -> LetterFilter {
        let new = LetterFilter::new();
        match self.below(8) {
            0..4 => new,
            4 => new.any_state(),
            5 => new.state(LetterState::Quarantined),
            6 => new.any_state().destination(format!("to {}", 1 + self.below(2))),
            _ => new.any_state().after(id(self.below(200))),
        }
    }

    fn settlement(&self) -> Settlement {
        match self.below(8) {
            0..2 => Settlement::Delivered,
            2 => Settlement::untouched(),
            3 => Settlement::Quarantine,
            4 => Settlement::Extend(self.seconds(1, 30) + HALF),
            nth => {
                let failed =
                    Failed::from(failure(u32::try_from(nth).unwrap_or(0)).category(Category::Network));
                Settlement::redrive_failed(failed.error(says(&format!("again {}", self.below(99)))))
            }
        }
    }
}

/// A queue and its model, and the leases given so far.
struct Pair<'u> {
    bed: Bed<'u>,
    model: Model,
    tokens: Vec<LeaseToken>,
    draw: Draw,
}

impl<'u> Pair<'u> {
    fn new(bed: Bed<'u>, seed: u64) -> Self {
        let model = Model::new(bed.place.settings);
        Self { bed, model, tokens: Vec::new(), draw: Draw(Dice::seeded(seed)) }
    }

    async fn step(&mut self, world: &World<'_>) -> Proof {
        match self.draw.below(20) {
            0..6 => self.push().await,
            6..10 => self.lease().await,
            10..15 => self.settle().await,
            15 => {
                let filter = self.draw.filter();
                let expected = self.model.quarantine(&filter);
                same(
                    format!("quarantined by {filter:?}"),
                    self.bed.quarantine(&filter, &by()).await?,
                    expected,
                )
            }
            16 => {
                let filter = self.draw.filter();
                let expected = self.model.reinstate(&filter);
                same(format!("reinstated by {filter:?}"), self.bed.reinstate(&filter, &by()).await?, expected)
            }
            17 if self.draw.below(3) == 0 => {
                let filter = self.draw.filter();
                let expected = self.model.discard(&filter);
                same(format!("removed by {filter:?}"), self.bed.discard(&filter, &by()).await?, expected)
            }
            _ => {
                let time = self.draw.seconds(1, 25);
                self.model.wait(time);
                world.wait(time).await;
                Ok(())
            }
        }
    }

    async fn push(&mut self) -> Proof {
        let letter = self.draw.letter();
        let room = self.model.room();
        match (self.bed.push(letter.clone()).await, room) {
            (Ok(receipt), Ok(evicted)) => {
                same("the letters dropped", &receipt.evicted, &evicted)?;
                self.model.push(letter, receipt.id, &evicted);
                Ok(())
            }
            (Err(error), Err(kind)) => same("refused", (*error.letter, error.kind), (letter, kind)),
            (pushed, room) => broken(format!("push: found {pushed:?}, expected {room:?}")),
        }
    }

    async fn lease(&mut self) -> Proof {
        let (filter, limit) = (self.draw.filter(), usize::try_from(self.draw.below(4)).unwrap_or(0));
        let time = self.draw.seconds(1, 30) + HALF;
        let leased = self.bed.lease(&filter, limit, time).await?;
        let found: Vec<_> = leased.iter().map(|leased| leased.letter.clone()).collect();
        same(format!("leased by {filter:?}"), found, self.model.lease(&filter, limit))?;
        for leased in leased {
            self.tokens.push(leased.token);
            self.model.lent(leased.letter, leased.token, time);
        }
        Ok(())
    }

    /// Tokens are kept after they are used: many of them are old.
    async fn settle(&mut self) -> Proof {
        let recent = u32::try_from(self.tokens.len().min(6)).unwrap_or(0);
        let back = usize::try_from(self.draw.below(recent)).unwrap_or(0);
        let Some(&token) = self.tokens.iter().rev().nth(back) else { return Ok(()) };
        let how = self.draw.settlement();
        let expected = self.model.settle(token, how.clone());
        same(format!("{how:?} of {token:?}"), self.bed.settle(token, how).await, expected)
    }

    async fn compare(&self) -> Proof {
        same("the letters", self.bed.all().await?, self.model.letters())?;
        same("the numbers", self.bed.counts().await?, self.model.stats())
    }
}

/// How the queue ends after each step, to be opened again.
#[derive(Clone, Copy)]
enum Ends {
    Never,
    Closed,
    /// Four times of five it is not closed before.
    Crashed,
}

impl Ends {
    async fn after(self, step: usize, bed: Bed<'_>) -> Proof<Bed<'_>> {
        match self {
            Self::Never => Ok(bed),
            Self::Crashed if step % 5 < 4 => Ok(bed.crashed().await),
            Self::Closed | Self::Crashed => bed.restarted().await,
        }
    }
}

async fn series<'u>(world: &World<'u>, bed: Bed<'u>, steps: usize, seed: u64, ends: Ends) -> Proof {
    let mut pair = Pair::new(bed, seed);
    for step in 0..steps {
        let at = |when, stop| match stop {
            Stop::Broken(how) => Stop::Broken(format!("{when} step {step} of seed {seed}: {how}")),
            other @ Stop::DoesNotApply(_) => other,
        };
        pair.step(world).await.map_err(|stop| at("in", stop))?;
        pair.compare().await.map_err(|stop| at("after", stop))?;
        pair.bed = ends.after(step, pair.bed).await.map_err(|stop| at("opened again after", stop))?;
        pair.compare().await.map_err(|stop| at("opened again after", stop))?;
    }
    Ok(())
}

pub(super) async fn d15_numbers_hold_over_a_random_series(world: &World<'_>) -> Proof {
    for (seed, rule) in [(1, WhenFull::Refuse), (2, WhenFull::DropOldest), (3, WhenFull::Refuse)] {
        let bed = world
            .queue_with(|is| {
                small(is);
                is.when_full = rule;
            })
            .await;
        series(world, bed, STEPS, seed, Ends::Never).await?;
    }
    Ok(())
}

pub(super) async fn d3_restart_after_each_step_changes_nothing(world: &World<'_>) -> Proof {
    let bed = world.durable(small).await?;
    series(world, bed, STEPS / 4, 4, Ends::Closed).await
}

pub(super) async fn d3_crash_after_each_step_changes_nothing(world: &World<'_>) -> Proof {
    let bed = world.durable(small).await?;
    series(world, bed, STEPS / 4, 5, Ends::Crashed).await
}
