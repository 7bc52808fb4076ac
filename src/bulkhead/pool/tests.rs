//! What a pool promises, whatever comes in whatever order.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::time;

const PARTS: [&str; 3] = ["rest", "a", "b"];

#[derive(Clone, Debug)]
struct Setup {
    slots: u32,
    bound: u32,
    order: QueueOrder,
    high: f64,
    critical: f64,
    shares: Vec<f64>,
}

fn setup() -> impl Strategy<Value = Setup> {
    let order = prop_oneof![Just(QueueOrder::Fifo), Just(QueueOrder::Lifo), Just(QueueOrder::codel())];
    let reserve = || prop_oneof![2 => Just(0.0), 1 => 0.0..0.4_f64];
    let share = || 0.01..0.49_f64;
    (1_u32..9, 0_u32..5, order, reserve(), reserve(), proptest::collection::vec(share(), 0..3)).prop_map(
        |(slots, bound, order, high, critical, shares)| Setup { slots, bound, order, high, critical, shares },
    )
}

impl Setup {
    fn reserves(&self) -> Reserves {
        Reserves::NONE.keep(Priority::High, self.high).keep(Priority::Critical, self.critical)
    }

    fn pool(&self) -> Pool<u64> {
        let named = PARTS[1..].iter().zip(&self.shares);
        let partitions: Vec<_> = named.map(|(name, share)| (Arc::from(*name), *share)).collect();
        Pool::new(self.slots, self.order, self.reserves(), &partitions)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Try(usize, Priority),
    Enter(usize, Priority),
    Leave(usize),
    /// Gives a slot back, and hands out all that are free; or only as many as one who panics comes to.
    GiveBack(usize, Option<usize>),
    Resize(u32),
    Pass(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let priority = || proptest::sample::select(&Priority::ALL[..]);
    let step = prop_oneof![
        2 => (0_usize..3, priority()).prop_map(|(part, priority)| Step::Try(part, priority)),
        8 => (0_usize..3, priority()).prop_map(|(part, priority)| Step::Enter(part, priority)),
        2 => any::<usize>().prop_map(Step::Leave),
        5 => any::<usize>().prop_map(|which| Step::GiveBack(which, None)),
        1 => (any::<usize>(), 0_usize..2).prop_map(|(which, most)| Step::GiveBack(which, Some(most))),
        1 => (1_u32..9).prop_map(Step::Resize),
        2 => (1_u32..80).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..150)
}

/// One who waits, as the test knows them.
#[derive(Clone, Copy, Debug)]
struct Waits {
    part: usize,
    ticket: Ticket,
    since: Duration,
}

struct Storm {
    setup: Setup,
    pool: Pool<u64>,
    start: Instant,
    passed: Duration,
    waiting: BTreeMap<u64, Waits>,
    /// The parts that slots were taken of.
    held: Vec<usize>,
}

impl Storm {
    fn new(setup: Setup) -> Self {
        let (pool, start) = (setup.pool(), time::now());
        Self { setup, pool, start, passed: Duration::ZERO, waiting: BTreeMap::new(), held: Vec::new() }
    }

    fn now(&self) -> Now {
        Now::from(self.start + self.passed)
    }

    fn has_room_for(&self, priority: Priority) -> bool {
        let slots = u64::from(self.setup.slots);
        self.held.len() as u64 + self.setup.reserves().kept_from(priority, slots) < slots
    }

    /// Whether the part has less than the whole slots of its share.
    fn is_below(&self, part: usize) -> bool {
        let in_use = self.held.iter().filter(|held| **held == part).count();
        in_use < self.pool.parts()[part].guaranteed
    }

    /// The slot that `part` is about to have is not one that somebody else should have had.
    fn check_claim(&self, part: usize, priority: Priority, came_now: bool) -> Result<(), TestCaseError> {
        prop_assert!(self.has_room_for(priority), "{priority:?} took what is kept");
        for other in self.waiting.values().filter(|other| self.has_room_for(other.ticket.priority())) {
            let mine = (self.is_below(part), priority);
            let theirs = (self.is_below(other.part), other.ticket.priority());
            prop_assert!(mine >= theirs, "{mine:?} went before {other:?}, {theirs:?}");
            if part == other.part {
                prop_assert!(priority >= other.ticket.priority(), "{priority:?} inverted {other:?}");
            }
            prop_assert!(!came_now || part != other.part || mine > theirs, "{other:?} was passed");
        }
        Ok(())
    }

    fn serve(&mut self, most: Option<usize>) -> Result<(), TestCaseError> {
        for _ in 0..most.unwrap_or(usize::MAX) {
            match self.pool.next(&self.now()) {
                None => {
                    let able = self.waiting.values().find(|who| self.has_room_for(who.ticket.priority()));
                    prop_assert!(able.is_none(), "{able:?} sleeps beside a free slot");
                    break;
                }
                Some(Turn::Served(who)) => {
                    let served = self.waiting[&who];
                    self.check_claim(served.part, served.ticket.priority(), false)?;
                    self.check_order(served)?;
                    self.waiting.remove(&who);
                    self.held.push(served.part);
                }
                Some(Turn::Shed(who)) => {
                    let shed = self.waiting.remove(&who).unwrap();
                    let QueueOrder::CoDel { target, .. } = self.setup.order else { panic!("{shed:?}") };
                    prop_assert!(self.passed >= shed.since + target);
                }
            }
        }
        Ok(())
    }

    /// Of those who matter the same and wait at the same place, the right one was served.
    fn check_order(&self, served: Waits) -> Result<(), TestCaseError> {
        let equals: Vec<_> = self
            .waiting
            .values()
            .filter(|other| other.part == served.part && other.ticket.priority() == served.ticket.priority())
            .map(|other| other.ticket.number())
            .collect();
        let (oldest, newest) = (equals.iter().min(), equals.iter().max());
        let number = Some(served.ticket.number());
        match self.setup.order {
            QueueOrder::Fifo => prop_assert_eq!(number, oldest.copied()),
            QueueOrder::Lifo => prop_assert_eq!(number, newest.copied()),
            QueueOrder::CoDel { interval, .. } => {
                prop_assert!(number == oldest.copied() || number == newest.copied());
                prop_assert!(self.passed <= served.since + interval, "{served:?} should have been shed");
            }
        }
        Ok(())
    }

    fn enter(&mut self, who: u64, part: usize, priority: Priority) -> Result<(), TestCaseError> {
        let bound = self.setup.bound;
        let queued = |storm: &Self| storm.waiting.values().filter(|other| other.part == part).count();
        let before = queued(self);
        match self.pool.enter(part, priority, bound, || who, &self.now()) {
            Ok(Joined::Took) => {
                self.check_claim(part, priority, true)?;
                self.held.push(part);
            }
            Ok(Joined::Waits { ticket, evicted, .. }) => {
                prop_assert_eq!(evicted.is_some(), before == bound as usize);
                if let Some(evicted) = evicted {
                    let gone = self.waiting.remove(&evicted).unwrap();
                    prop_assert!(gone.part == part && gone.ticket.priority() < priority);
                    let lower = |other: &&Waits| other.part == part && other.ticket > gone.ticket;
                    prop_assert!(self.waiting.values().find(lower).is_none(), "{gone:?} is not the last");
                }
                self.waiting.insert(who, Waits { part, ticket, since: self.passed });
                prop_assert!(queued(self) <= bound as usize);
            }
            Err(FullReason::QueueFull) => {
                prop_assert_eq!(before, bound as usize);
                let below = |other: &&Waits| other.part == part && other.ticket.priority() < priority;
                prop_assert!(self.waiting.values().find(below).is_none(), "shed from the top");
            }
            Err(reason) => prop_assert!(false, "{reason:?}"),
        }
        Ok(())
    }

    fn step(&mut self, number: u64, step: &Step) -> Result<(), TestCaseError> {
        let parts = self.setup.shares.len() + 1;
        match *step {
            Step::Try(part, priority) => {
                if self.pool.take(part % parts, priority).is_ok() {
                    self.check_claim(part % parts, priority, true)?;
                    self.held.push(part % parts);
                } else {
                    let passes =
                        |other: &&Waits| other.ticket.priority() < priority && !self.is_below(other.part);
                    let in_the_way = self.waiting.values().filter(|other| !passes(other)).count();
                    prop_assert!(!self.has_room_for(priority) || in_the_way > 0);
                }
            }
            Step::Enter(part, priority) => self.enter(number, part % parts, priority)?,
            Step::Leave(which) if !self.waiting.is_empty() => {
                let who = *self.waiting.keys().nth(which % self.waiting.len()).unwrap();
                let Waits { part, ticket, .. } = self.waiting.remove(&who).unwrap();
                prop_assert_eq!(self.pool.leave(part, ticket), Some(who));
                prop_assert_eq!(self.pool.leave(part, ticket), None);
            }
            Step::GiveBack(which, most) if !self.held.is_empty() => {
                let part = self.held.swap_remove(which % self.held.len());
                self.pool.give_back(part);
                self.serve(most)?;
            }
            Step::Resize(slots) => {
                self.setup.slots = slots;
                self.pool.set_slots(slots);
                self.serve(None)?;
            }
            Step::Pass(ms) => self.passed += Duration::from_millis(ms.into()),
            Step::Leave(_) | Step::GiveBack(..) => {}
        }
        let Counts { slots, in_use, queued } = self.pool.counts();
        prop_assert_eq!(slots, self.setup.slots as usize);
        prop_assert_eq!((in_use, queued), (self.held.len(), self.waiting.len()), "nobody is lost");
        let guaranteed: usize = self.pool.parts().iter().map(|part| part.guaranteed).sum();
        prop_assert!(guaranteed <= slots, "{guaranteed} guaranteed");
        Ok(())
    }
}

proptest! {
    #[test]
    fn storm_of_priorities_and_partitions_breaks_no_promise(setup in setup(), steps in steps()) {
        let mut storm = Storm::new(setup);
        for (number, step) in steps.iter().enumerate() {
            storm.step(number as u64, step)?;
        }
        // Whatever is left is served or shed once slots come back.
        storm.serve(None)?;
        while !storm.held.is_empty() {
            storm.step(0, &Step::GiveBack(0, None))?;
        }
        prop_assert!(storm.waiting.is_empty());
    }

    #[test]
    fn guaranteed_share_is_reached_with_the_next_slots_that_come_back(
        slots in 1_u32..20,
        shares in proptest::collection::vec(0.01..0.49_f64, 2),
        lent_to in 0_usize..2,
        rivals in 0_u32..6,
    ) {
        let setup = Setup { slots, bound: 40, order: QueueOrder::Fifo, high: 0.0, critical: 0.0, shares };
        let mut pool = setup.pool();
        let guaranteed = pool.parts()[2].guaranteed;
        let share = setup.shares[1] * f64::from(slots);
        let rounded_off = share + ROUNDING - f64::from(u32::try_from(guaranteed).unwrap());
        prop_assert!((0.0..1.0).contains(&rounded_off), "{} of {}", guaranteed, share);
        for _ in 0..slots {
            prop_assert_eq!(pool.take(lent_to, Priority::Low), Ok(()), "what is unused is lent");
        }
        let now = Now::unread();
        let mut wait = |part, priority, who| {
            let joined = pool.enter(part, priority, setup.bound, || who, &now);
            matches!(joined, Ok(Joined::Waits { .. }))
        };
        for _ in 0..rivals {
            prop_assert!(wait(lent_to, Priority::Critical, 0));
        }
        for _ in 0..guaranteed {
            prop_assert!(wait(2, Priority::Low, 1));
        }
        // The lender's rivals are below their own share only once enough of it has come back.
        let kept = pool.parts()[lent_to].guaranteed;
        for _ in 0..guaranteed.min(slots as usize - kept) {
            pool.give_back(lent_to);
            prop_assert!(matches!(pool.next(&now), Some(Turn::Served(1))));
        }
        prop_assert_eq!(pool.parts()[2].in_use, guaranteed);
    }
}

fn take_all(pool: &mut Pool<u64>, part: usize, priority: Priority) -> usize {
    (0..100).take_while(|_| pool.take(part, priority).is_ok()).count()
}

#[test]
fn shares_and_reserves_follow_the_limit() {
    let partitions = [("a".into(), 0.5), ("b".into(), 0.25)];
    let reserves = Reserves::NONE.keep(Priority::Critical, 0.25);
    let mut pool = Pool::<u64>::new(8, QueueOrder::Fifo, reserves, &partitions);
    let guaranteed = |pool: &Pool<u64>| pool.parts().iter().map(|part| part.guaranteed).collect::<Vec<_>>();
    assert_eq!(guaranteed(&pool), [2, 4, 2]);
    assert_eq!(take_all(&mut pool, 1, Priority::Normal), 6);
    pool.set_slots(16);
    assert_eq!(guaranteed(&pool), [4, 8, 4]);
    assert_eq!(take_all(&mut pool, 2, Priority::High), 6, "four of sixteen are kept");
    pool.set_slots(1);
    assert_eq!(guaranteed(&pool), [0, 0, 0]);
    assert_eq!(take_all(&mut pool, 0, Priority::Critical), 0, "it drains");
    (0..6).for_each(|_| pool.give_back(1));
    (0..6).for_each(|_| pool.give_back(2));
    assert_eq!(take_all(&mut pool, 0, Priority::Low), 1, "nobody is shut out of an idle pool");
}

#[test]
fn guarantees_of_shares_that_are_no_exact_numbers_are_whole() {
    let tenths: Vec<_> = (0..10).map(|number| (Arc::from(number.to_string()), 0.1)).collect();
    for slots in [10, 30, 1_000_000_000, u32::MAX] {
        let pool = Pool::<u64>::new(slots, QueueOrder::Fifo, Reserves::NONE, &tenths);
        let parts = pool.parts();
        assert!(parts[1..].iter().all(|part| part.guaranteed == slots as usize / 10), "{slots}");
        assert_eq!(parts[0].guaranteed, 0, "{slots}: nothing is left");
    }
}

#[test]
fn lent_slot_goes_to_whose_partition_has_the_least_of_its_share() {
    let partitions = [("a".into(), 0.5), ("b".into(), 0.25)];
    let mut pool = Pool::new(8, QueueOrder::Fifo, Reserves::NONE, &partitions);
    let now = Now::unread();
    assert_eq!(take_all(&mut pool, 0, Priority::Normal), 8);
    for (part, who) in [(2, 2), (2, 2), (2, 2), (2, 2), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1)] {
        assert!(matches!(pool.enter(part, Priority::Normal, 9, || who, &now), Ok(Joined::Waits { .. })));
    }
    let served: Vec<_> = (0..8)
        .map(|_| {
            pool.give_back(0);
            match pool.next(&now) {
                Some(Turn::Served(who)) => who,
                _ => panic!("somebody waits"),
            }
        })
        .collect();
    // Both below their guarantee, then both lent to: always the one that is filled less, and the older of equals.
    assert_eq!(served, [1, 2, 1, 1, 2, 1, 1, 2]);
}

#[test]
fn those_without_a_share_are_served_when_nobody_else_wants() {
    let mut pool = Pool::new(2, QueueOrder::Fifo, Reserves::NONE, &[("a".into(), 1.0)]);
    assert_eq!(take_all(&mut pool, 0, Priority::Low), 2);
    let now = Now::unread();
    assert!(pool.enter(0, Priority::Normal, 1, || 0, &now).is_ok());
    assert!(pool.enter(1, Priority::Normal, 1, || 1, &now).is_ok());
    for who in [1, 0] {
        pool.give_back(0);
        assert!(matches!(pool.next(&now), Some(Turn::Served(next)) if next == who));
    }
}

#[test]
fn guarantee_of_one_priority_does_not_reach_into_what_is_kept_for_another() {
    let reserves = Reserves::NONE.keep(Priority::High, 0.5);
    let mut pool = Pool::<u64>::new(2, QueueOrder::Fifo, reserves, &[("a".into(), 1.0)]);
    assert_eq!(take_all(&mut pool, 1, Priority::Normal), 1);
    assert_eq!(take_all(&mut pool, 0, Priority::High), 1);
}
