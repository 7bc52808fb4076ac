//! When requests are made, and by whom.

use super::backend::exponential;
use super::scenario::{Arrivals, Fleet, Scenario};
use super::weather::Forecast;
use crate::random::Dice;

/// The requests of a whole fleet, one after the other.
///
/// Independent clients that each call by chance are together one stream that calls by chance, of which each
/// request is of anyone: so a fleet of a million costs no more than one of ten that offers as much.
#[derive(Debug)]
pub(super) struct Source {
    fleet: Fleet,
    shards: u32,
    forecast: Forecast,
    dice: Dice,
    next_at: u64,
    next_client: u32,
}

impl Source {
    pub(super) fn new(scenario: &Scenario, dice: Dice) -> Self {
        let (fleet, shards) = (scenario.fleet, scenario.backend.shards);
        let forecast = Forecast::new(scenario);
        let mut source = Self { fleet, shards, forecast, dice, next_at: 0, next_client: 0 };
        source.advance(0);
        source
    }

    /// When the next request is made.
    pub(super) const fn next_at(&self) -> u64 {
        self.next_at
    }

    /// Who makes it, and to which shard it belongs. The one after it is planned.
    pub(super) fn take(&mut self, now: u64) -> (u32, u32) {
        let client = match self.fleet.arrivals {
            Arrivals::Poisson => pick(&self.dice, self.fleet.clients),
            Arrivals::Even | Arrivals::Regular => {
                let client = self.next_client;
                self.next_client = (client + 1) % self.fleet.clients;
                client
            }
        };
        let shard = if self.shards == 1 { 0 } else { pick(&self.dice, self.shards) };
        self.advance(now);
        (client, shard)
    }

    fn advance(&mut self, mut now: u64) {
        // How many requests' worth of time it is to the next one.
        let mut gap = match self.fleet.arrivals {
            Arrivals::Poisson => exponential(&self.dice),
            Arrivals::Even => 0.5 + self.dice.draw(),
            Arrivals::Regular => 1.0,
        };
        loop {
            let (offered, until) = self.offered(now);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
            let next = now.saturating_add((gap / offered * 1e9) as u64);
            if next < until || until == u64::MAX {
                self.next_at = next;
                return;
            }
            gap -= span(until - now) * offered; // and the rest of it at another pace
            now = until;
        }
    }

    /// What the fleet offers in a second, and until when.
    fn offered(&mut self, now: u64) -> (f64, u64) {
        let offered = self.forecast.at(now).offered;
        let mut until = self.forecast.lasts_until(now);
        while until != u64::MAX && self.forecast.at(until).offered == offered {
            until = self.forecast.lasts_until(until);
        }
        (offered.unwrap_or_else(|| self.fleet.offered()), until)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a run is far shorter than 2^53 nanoseconds")]
fn span(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn pick(dice: &Dice, count: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the count")]
    let one = (dice.draw() * f64::from(count)) as u32;
    one.min(count - 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::{Fault, FaultKind};

    fn made(arrivals: Arrivals, seconds: std::ops::Range<u64>) -> Vec<u32> {
        let mut scenario = Scenario::spike(Fleet::new(50, 4.0));
        scenario.fleet.arrivals = arrivals;
        let second = Duration::from_secs(1);
        scenario.faults = vec![Fault::new(FaultKind::Spike { factor: 2.0 }, 100 * second, 100 * second)];
        let mut source = Source::new(&scenario, Dice::seeded(1));
        let mut clients = Vec::new();
        while source.next_at() < seconds.end * 1_000_000_000 {
            let at = source.next_at();
            let (client, _) = source.take(at);
            if at >= seconds.start * 1_000_000_000 {
                clients.push(client);
            }
        }
        clients
    }

    #[test]
    fn fleet_offers_what_it_says_and_a_spike_is_of_the_capacity() {
        for arrivals in [Arrivals::Poisson, Arrivals::Even] {
            let quiet = made(arrivals, 0..100).len();
            let spike = made(arrivals, 100..200).len();
            assert!(quiet.abs_diff(20_000) < 400, "{quiet}");
            assert!(spike.abs_diff(2 * 25_600) < 700, "{spike}");
        }
    }

    #[test]
    fn every_client_has_its_share_of_the_requests() {
        for (arrivals, most) in [(Arrivals::Poisson, 100), (Arrivals::Even, 5)] {
            let clients = made(arrivals, 0..100);
            for client in 0..50 {
                let share = clients.iter().filter(|&&by| by == client).count();
                assert!(share.abs_diff(400) < most, "{client}: {share}");
            }
        }
    }
}
