//! Faults by chance, that nobody has tuned a policy to.

use std::time::Duration;

use super::scenario::{Arrivals, Backend, Discipline, Fault, FaultKind, Fleet, QueueBound, Scenario, Spread};
use crate::random::Dice;

/// The most that a drawn fleet offers in a second, so that a hundred draws take a minute.
const MOST_OFFERED: f64 = 5_000.0;

/// The most clients of a drawn fleet.
const MOST_CLIENTS: f64 = 100_000.0;

/// How long each fleet settles before its fault, and is watched after it, in seconds.
const QUIET: u64 = 30;
const AFTER: u64 = 60;

/// Draws a scenario by chance. The same seed and index give the same one.
///
/// What is drawn, evenly unless said otherwise:
///
/// - the backend: 4 to 256 servers (by doublings), a mean service time of 5 to 200 ms (by magnitude) that is
///   fixed, exponential or log-normal with a sigma of 0.3 to 1.2; one to ten shards;
/// - patience: 5 to 50 times the service time (by magnitude), from 50 ms to 5 s;
/// - a queue for 0.2 to 10 times that patience (by magnitude); seven in ten are plain, the others managed or
///   without the calls whose callers have gone; every other backend loses up to a fifth of its speed as it fills;
/// - load: 40 to 85 % of the capacity, at most 5,000 requests a second, made by clients of whom each makes 0.02
///   to 100 a second (by magnitude), by chance or evenly;
/// - the fault, for 3 to 90 s (by magnitude): an outage, a black hole, a spike to 1.05 to 2 times the capacity,
///   2 to 60 % errors, 1 to 40 % losses, a brownout of 2 to 20 times the service time (by magnitude), or some
///   dead shards.
///
/// ```
/// use recoup::lab::draw;
/// assert_eq!(draw(1, 7), draw(1, 7));
/// assert_ne!(draw(1, 7), draw(1, 8));
/// assert!((0..100).all(|index| draw(1, index).check().is_ok()));
/// ```
#[must_use]
pub fn draw(seed: u64, index: u32) -> Scenario {
    // Far from the seeds that the runs of these scenarios draw from.
    let chance = Chance(Dice::seeded(!seed.rotate_left(17).wrapping_add(u64::from(index) << 40)));
    let backend = chance.backend();
    let mean = backend.service.as_secs_f64();
    let timeout = (mean * chance.magnitude(5.0, 50.0)).clamp(0.05, 5.0);
    let backend =
        Backend { queue: QueueBound::Work(seconds(timeout * chance.magnitude(0.2, 10.0))), ..backend };
    let fleet = chance.fleet(backend.capacity());
    let fault = chance.fault(backend.shards);
    Scenario {
        name: format!("draw {index}"),
        fleet,
        backend,
        timeout: seconds(timeout),
        faults: vec![fault],
        warm_up: Duration::from_secs(QUIET),
        after: Duration::from_secs(AFTER),
    }
}

struct Chance(Dice);

impl Chance {
    fn backend(&self) -> Backend {
        let shards = if self.one_in(2) { 1 } else { self.whole(2, 10) };
        let service = self.magnitude(0.005, 0.2);
        // Servers enough for the most that is offered, and no more.
        let most = (MOST_OFFERED * service).max(4.0);
        let servers = self.magnitude(4.0, 256.0).min(most);
        // All shards alike: one with a server fewer would be all but overloaded on a quiet day.
        let servers = (servers / f64::from(shards)).round().max(1.0) * f64::from(shards);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "4 to 256")]
        let mut backend = Backend::new(servers as u32, seconds(service));
        backend.shards = shards;
        backend.spread = match self.whole(0, 2) {
            0 => Spread::Fixed,
            1 => Spread::Exponential,
            _ => Spread::LogNormal { sigma: self.between(0.3, 1.2) },
        };
        if self.one_in(2) {
            backend.slowdown = self.between(0.0, 0.2);
        }
        match self.whole(1, 10) {
            1 => backend.skip_expired = true,
            2 | 3 => {
                let target = seconds(service.max(0.005));
                backend.discipline = Discipline::CoDelLifo { target, interval: 20 * target };
            }
            _ => {}
        }
        backend
    }

    fn fleet(&self, capacity: f64) -> Fleet {
        let offered = (capacity * self.between(0.4, 0.85)).min(MOST_OFFERED);
        let clients = (offered / self.magnitude(0.02, 100.0)).clamp(1.0, MOST_CLIENTS).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 100,000")]
        let mut fleet = Fleet::new(clients as u32, offered / clients);
        if self.one_in(2) {
            fleet.arrivals = Arrivals::Even;
        }
        fleet
    }

    fn fault(&self, shards: u32) -> Fault {
        let kind = match self.whole(1, 7) {
            1 => FaultKind::Outage,
            2 => FaultKind::BlackHole,
            3 => FaultKind::Spike { factor: self.between(1.05, 2.0) },
            4 => FaultKind::Errors { share: self.between(0.02, 0.6) },
            5 => FaultKind::Losses { share: self.between(0.01, 0.4) },
            6 if shards > 1 => FaultKind::DeadShards { shards: self.whole(1, shards / 2) },
            _ => FaultKind::Brownout { factor: self.magnitude(2.0, 20.0) },
        };
        Fault::new(kind, Duration::from_secs(QUIET), seconds(self.magnitude(3.0, 90.0)))
    }

    fn between(&self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.0.draw()
    }

    /// From `least` to `most`, of which each magnitude is as likely as the others.
    fn magnitude(&self, least: f64, most: f64) -> f64 {
        self.between(least.ln(), most.ln()).exp()
    }

    /// From `least` to `most`, both included.
    fn whole(&self, least: u32, most: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the two")]
        let drawn = self.between(f64::from(least), f64::from(most) + 1.0) as u32;
        drawn.clamp(least, most)
    }

    fn one_in(&self, chances: u32) -> bool {
        self.whole(1, chances) == 1
    }
}

/// Of a number that is at most some hundreds.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
