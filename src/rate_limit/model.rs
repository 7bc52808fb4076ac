//! The bucket against a plain one that counts tokens, whatever happens in whatever order.

use proptest::prelude::*;

use super::bucket::{Asked, Bucket};
use super::line::{Place, Rooms, Span, Terms, Who};
use crate::priority::{Priority, Reserves};

const BURST: u64 = 10;
const INTERVAL: u64 = 100;

/// Credit that grows by one in each nanosecond up to the whole burst, and a list of those who wait for it.
#[derive(Clone, Debug)]
struct Plain {
    interval: i128,
    rooms: Rooms,
    credit: i128,
    now: u64,
    waiting: Vec<(usize, Who)>,
    /// Who was let through, when, and with how much.
    left: Vec<(usize, u64, u64)>,
    /// Of those, the ones since the bucket was last idle, and not yet beyond giving back.
    fresh: Vec<usize>,
}

impl Plain {
    fn new(rooms: Rooms) -> Self {
        let interval = i128::from(INTERVAL);
        let credit = i128::from(rooms[3]) * interval;
        Self { interval, rooms, credit, now: 0, waiting: Vec::new(), left: Vec::new(), fresh: Vec::new() }
    }

    fn full(&self) -> i128 {
        i128::from(self.rooms[3]) * self.interval
    }

    fn pass(&mut self, time: i128) {
        self.credit += time;
        if self.credit > self.full() {
            self.credit = self.full();
            self.fresh.clear();
        }
        self.now += u64::try_from(time).unwrap();
    }

    fn missing(&self, who: Who) -> i128 {
        let kept = self.rooms[3] - self.rooms[who.priority as usize];
        (i128::from(who.weight + kept) * self.interval - self.credit).max(0)
    }

    fn take(&mut self, id: usize, who: Who) {
        self.credit -= i128::from(who.weight) * self.interval;
        self.left.push((id, self.now, who.weight));
        self.fresh.push(id);
    }

    fn head(&self) -> Option<usize> {
        (0..self.waiting.len()).min_by_key(|&at| (std::cmp::Reverse(self.waiting[at].1.rank), at))
    }

    fn go_to(&mut self, now: u64) {
        while let Some(head) = self.head() {
            let (id, who) = self.waiting[head];
            let missing = self.missing(who);
            if missing > i128::from(now - self.now) {
                break;
            }
            self.pass(missing);
            self.take(id, who);
            self.waiting.remove(head);
        }
        self.pass(i128::from(now - self.now));
    }

    /// When `id` will be let through if nobody does anything any more.
    fn due(&self, id: usize) -> u64 {
        let mut later = self.clone();
        later.go_to(self.now + 1_000_000_000);
        later.left.iter().find(|left| left.0 == id).unwrap().1
    }

    fn ask(&mut self, id: usize, who: Who) -> u64 {
        self.waiting.push((id, who));
        self.go_to(self.now);
        self.due(id)
    }

    fn give_back(&mut self, id: usize) {
        if self.fresh.last() == Some(&id) {
            self.fresh.pop();
            let at = self.left.iter().rposition(|left| left.0 == id).unwrap();
            let (_, _, weight) = self.left.remove(at);
            self.credit = (self.credit + i128::from(weight) * self.interval).min(self.full());
        }
    }

    /// In no window more than the burst and what the rate brings.
    fn check_windows(&self) {
        for (nth, (_, from, _)) in self.left.iter().enumerate() {
            let mut sum = 0;
            for (_, at, weight) in &self.left[nth..] {
                sum += weight * INTERVAL;
                assert!(sum <= self.rooms[3] * INTERVAL + (at - from), "from {from} to {at}: {sum}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Ask { weight: u64, priority: Priority, patience: u64 },
    Look(usize),
    Drop(usize),
    GiveBack(usize),
    SetInterval(u64),
    SetBurst(u64),
}

fn steps(with_changes: bool) -> impl Strategy<Value = Vec<Step>> {
    let priority = (0..4_usize).prop_map(|nth| Priority::ALL[nth]);
    let patience = prop_oneof![Just(0), 0..3_000_u64, Just(u64::MAX / 4)];
    let ask = (1..=8_u64, priority, patience);
    let change = u32::from(with_changes);
    let step = prop_oneof![
        4 => (0..400_u64).prop_map(Step::Pass),
        1 => (0..5_000_u64).prop_map(Step::Pass),
        6 => ask.prop_map(|(weight, priority, patience)| Step::Ask { weight, priority, patience }),
        2 => any::<usize>().prop_map(Step::Look),
        2 => any::<usize>().prop_map(Step::Drop),
        1 => any::<usize>().prop_map(Step::GiveBack),
        change => (1..300_u64).prop_map(Step::SetInterval),
        change => (8..30_u64).prop_map(Step::SetBurst),
    ];
    prop::collection::vec(step, 1..80)
}

fn reserves() -> impl Strategy<Value = Reserves> {
    let reserves = |normal, high, critical| {
        Reserves::default()
            .keep(Priority::Normal, normal)
            .keep(Priority::High, high)
            .keep(Priority::Critical, critical)
    };
    prop_oneof![
        Just(reserves(0.0, 0.0, 0.0)),
        Just(reserves(0.0, 0.2, 0.0)),
        Just(reserves(0.3, 0.3, 0.3)),
        Just(reserves(0.0, 0.0, 1.0)),
    ]
}

fn rooms(reserves: Reserves, burst: u64) -> Rooms {
    Priority::ALL.map(|priority| burst - reserves.kept_from(priority, burst))
}

fn who(reserves: Reserves, weight: u64, priority: Priority) -> Who {
    Who { weight, priority, rank: reserves.rank(priority) }
}

/// Plays the steps on both, and asserts that both say the same all the way.
fn play(reserves: Reserves, steps: &[Step], start: u64) -> (Plain, Bucket) {
    let mut plain = Plain::new(rooms(reserves, BURST));
    let bucket = Bucket::new(Terms { interval: INTERVAL, rooms: plain.rooms });
    let mut waiting: Vec<(usize, Place, u64)> = Vec::new();
    let mut taken: Vec<(usize, Span)> = Vec::new();
    for (id, step) in steps.iter().enumerate() {
        let now = start + plain.now;
        match *step {
            Step::Pass(time) => plain.go_to(plain.now + time),
            Step::Ask { weight, priority, patience } => {
                let who = who(reserves, weight, priority);
                let mut after = plain.clone();
                if weight > plain.rooms[priority as usize] {
                    assert_eq!(bucket.ask(who, now, now + patience).unwrap_err(), None);
                    continue;
                }
                let due = after.ask(id, who) + start;
                match bucket.ask(who, now, now + patience) {
                    Ok(Asked::Taken(span)) => {
                        assert_eq!(due, now);
                        taken.push((id, span));
                    }
                    Ok(Asked::Waits(place, at)) => {
                        assert!(at == due && at > now && at <= now + patience, "{at} is not {due}");
                        waiting.push((id, place, at));
                    }
                    Err(at) => {
                        assert_eq!(at, Some(due));
                        assert!(due > now + patience);
                        continue;
                    }
                }
                plain = after;
            }
            Step::Look(nth) if !waiting.is_empty() => {
                let nth = nth % waiting.len();
                let (id, place, _) = waiting[nth];
                // Who expects it now is told exactly.
                match bucket.look(place, 0, now, None) {
                    Ok(span) => {
                        assert!(plain.left.iter().any(|left| left.0 == id), "not before its moment");
                        taken.push((id, span));
                        waiting.remove(nth);
                    }
                    Err(at) => assert_eq!(at, plain.due(id) + start),
                }
            }
            Step::Drop(nth) if !waiting.is_empty() => {
                let (id, place, _) = waiting.remove(nth % waiting.len());
                bucket.go_away(place, now);
                match plain.waiting.iter().position(|waiting| waiting.0 == id) {
                    Some(at) => drop(plain.waiting.remove(at)),
                    None => plain.give_back(id),
                }
                plain.go_to(plain.now);
            }
            Step::GiveBack(nth) if !taken.is_empty() => {
                let (id, span) = taken.remove(nth % taken.len());
                bucket.give_back(span, now);
                plain.give_back(id);
                plain.go_to(plain.now);
            }
            Step::SetInterval(interval) => {
                bucket.set_interval(interval, now, |_| Ok::<_, ()>(())).unwrap();
                let used = (plain.full() - plain.credit) * i128::from(interval);
                let used = used.div_euclid(plain.interval) + i128::from(used.rem_euclid(plain.interval) > 0);
                plain.interval = i128::from(interval);
                plain.credit = plain.full() - used;
                // A span at the old price does not come back.
                plain.fresh.clear();
                taken.clear();
                waiting.retain(|waiting| plain.waiting.iter().any(|still| still.0 == waiting.0));
                plain.go_to(plain.now);
            }
            Step::SetBurst(burst) => {
                let rooms = rooms(reserves, burst);
                if plain.waiting.iter().any(|(_, who)| who.weight > rooms[who.priority as usize]) {
                    continue;
                }
                bucket.set_rooms(rooms, now, |_| Ok::<_, ()>(())).unwrap();
                let used = plain.full() - plain.credit;
                plain.rooms = rooms;
                plain.credit = plain.full() - used;
                plain.go_to(plain.now);
            }
            _ => {}
        }
    }
    (plain, bucket)
}

proptest! {
    #[test]
    fn never_more_than_the_burst_and_what_the_rate_brings_in_any_window(
        reserves in reserves(),
        steps in steps(false),
        start in prop_oneof![Just(0), Just(10 * 365 * 86_400 * 1_000_000_000_u64)],
    ) {
        play(reserves, &steps, start).0.check_windows();
    }

    #[test]
    fn plain_bucket_says_the_same_while_rate_and_burst_change(reserves in reserves(), steps in steps(true)) {
        play(reserves, &steps, 0);
    }

    /// Four worlds that differ in the priority of the last who asks.
    #[test]
    fn priorities_never_invert(reserves in reserves(), steps in steps(true), weight in 1..=8_u64) {
        let dues = Priority::ALL.map(|priority| {
            let (plain, bucket) = play(reserves, &steps, 0);
            match bucket.ask(who(reserves, weight, priority), plain.now, u64::MAX) {
                Ok(Asked::Taken(_)) => plain.now,
                Ok(Asked::Waits(_, due)) => due,
                Err(never) => never.unwrap_or(u64::MAX),
            }
        });
        prop_assert!(dues.is_sorted_by(|lower, higher| lower >= higher), "{dues:?}");
    }
}
