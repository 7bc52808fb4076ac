//! What a load shedder promises, whatever comes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::line::{Line, Refused, Rules, Ticket};
use super::*;
use crate::priority::{Priority, Reserves};
use crate::random::Dice;
use crate::time::{self, Instant};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Step {
    Arrive(Priority, Option<u64>),
    Done,
    /// The nth of those who wait goes away.
    Leave(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (select(Priority::ALL.to_vec()), proptest::option::of(0_u64..300)).prop_map(|(p, d)| Step::Arrive(p, d)),
        2 => Just(Step::Done),
        1 => (0_usize..64).prop_map(Step::Leave),
        2 => (0_u64..80).prop_map(Step::Pass),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Known {
    priority: Priority,
    deadline: Option<Instant>,
    arrived: Instant,
    ticket: Option<Ticket>,
}

/// Plays the steps and keeps books of its own: who waits, who is served, who was turned away.
struct Books {
    line: Line<usize>,
    rules: Rules,
    known: Vec<Known>,
    waiting: BTreeMap<usize, Known>,
    in_service: u64,
    ended: usize,
    now: Instant,
}

impl Books {
    fn new(slots: u64, queue: usize, share: f64) -> Self {
        let reserves = Reserves::default().keep(Priority::High, share);
        let rules = Rules { slots, queue, target: 10 * MS, interval: 100 * MS, reserves };
        let line = Line::new(rules.clone(), Dice::seeded(1));
        let (known, waiting) = (Vec::new(), BTreeMap::new());
        Self { line, rules, known, waiting, in_service: 0, ended: 0, now: time::now() }
    }

    fn play(&mut self, step: Step) {
        let mut refused = Vec::new();
        match step {
            Step::Pass(ms) => self.now += Duration::from_millis(ms),
            Step::Arrive(priority, deadline) => {
                let deadline = deadline.map(|ms| self.now + Duration::from_millis(ms));
                let number = self.known.len();
                let mut new = Known { priority, deadline, arrived: self.now, ticket: None };
                let late = deadline.is_some_and(|at| at <= self.now);
                if !late && self.line.start(priority) {
                    self.started(new);
                } else {
                    new.ticket = self.line.push(number, priority, deadline, self.now, &mut refused);
                    self.waiting.insert(number, new);
                }
                self.known.push(new);
            }
            Step::Leave(nth) => {
                let nth = nth.checked_rem(self.waiting.len()).and_then(|nth| self.waiting.keys().nth(nth));
                if let Some(&number) = nth {
                    let ticket = self.waiting[&number].ticket.expect("it waits");
                    assert_eq!(self.line.leave(ticket, self.now), Some(number));
                    assert_eq!(self.line.leave(ticket, self.now), None, "it left already");
                    self.waiting.remove(&number);
                    self.ended += 1;
                }
            }
            Step::Done if self.in_service > 0 => {
                self.line.done(self.now);
                self.in_service -= 1;
                self.ended += 1;
            }
            Step::Done => {}
        }
        self.turned_away(&mut refused);
        while let Some(number) = self.line.pop(self.now, &mut refused) {
            let next = self.waiting.remove(&number).expect("only one who waits is served");
            self.started(next);
            self.turned_away(&mut refused);
        }
        self.turned_away(&mut refused);
        self.balance();
    }

    fn started(&mut self, next: Known) {
        assert!(next.deadline.is_none_or(|at| at > self.now), "expired, and started: {next:?}");
        let higher =
            self.waiting.values().find(|other| other.priority > next.priority && !self.is_late(other));
        assert!(higher.is_none(), "{next:?} before {higher:?}");
        let kept = self.rules.reserves.kept_from(next.priority, self.rules.slots);
        self.in_service += 1;
        assert!(self.in_service + kept <= self.rules.slots, "a slot that was kept for others");
    }

    fn turned_away(&mut self, refused: &mut Vec<Refused<usize>>) {
        let gone: Vec<_> = refused
            .drain(..)
            .map(|Refused { item, why }| {
                self.ended += 1;
                (self.waiting.remove(&item).expect("only one who waits is turned away"), why)
            })
            .collect();
        for (gone, why) in gone {
            assert!(why.retry_in >= self.rules.target && why.retry_in < 60 * SECOND);
            if why.reason == ShedReason::Expired {
                assert!(self.is_late(&gone), "not late: {gone:?}");
                continue;
            }
            let kept = self.waiting.values().find(|kept| kept.priority < gone.priority);
            assert!(kept.is_none(), "{gone:?} went, and {kept:?} stayed");
            if why.reason == ShedReason::Overloaded {
                assert!(self.now - gone.arrived > self.rules.target);
            }
        }
    }

    fn is_late(&self, one: &Known) -> bool {
        one.deadline.is_some_and(|at| at <= self.now)
    }

    fn balance(&self) {
        assert!(self.in_service <= self.rules.slots && self.waiting.len() <= self.rules.queue);
        assert_eq!((self.line.in_service(), self.line.queued()), (self.in_service, self.waiting.len()));
        let served_or_waiting = usize::try_from(self.in_service).unwrap() + self.waiting.len();
        assert_eq!(served_or_waiting + self.ended, self.known.len(), "each is served, waits, or went");
        let idle = self.waiting.values().find(|one| {
            let kept = self.rules.reserves.kept_from(one.priority, self.rules.slots);
            self.in_service + kept < self.rules.slots
        });
        assert!(idle.is_none(), "{idle:?} waits, and there is a slot");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn priorities_hold_slots_are_a_cap_and_everybody_is_served_or_turned_away(
        slots in 1_u64..5,
        queue in 0_usize..12,
        share in select(vec![0.0, 0.3, 1.0]),
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let mut books = Books::new(slots, queue, share);
        for step in steps {
            books.play(step);
        }
        while books.in_service > 0 {
            books.play(Step::Done);
        }
        prop_assert_eq!(books.waiting.len(), 0, "nobody is left behind");
        prop_assert_eq!(books.ended, books.known.len());
    }
}

fn line(queue: usize) -> (Line<usize>, Instant) {
    let rules = Rules { slots: 1, queue, target: 10 * MS, interval: 100 * MS, reserves: Reserves::default() };
    (Line::new(rules, Dice::seeded(1)), time::now())
}

fn push(line: &mut Line<usize>, item: usize, at: Instant) -> Vec<(usize, ShedReason)> {
    let mut refused = Vec::new();
    line.push(item, Priority::Normal, None, at, &mut refused);
    refused.into_iter().map(|Refused { item, why }| (item, why.reason)).collect()
}

fn pop(line: &mut Line<usize>, at: Instant) -> (Option<usize>, Vec<usize>) {
    let mut refused = Vec::new();
    let next = line.pop(at, &mut refused);
    (next, refused.into_iter().map(|refused| refused.item).collect())
}

#[test]
fn order_turns_round_when_the_queue_stands_and_back_when_it_is_empty() {
    let (mut line, t) = line(64);
    assert!(line.start(Priority::Normal));
    for (n, ms) in [(0, 0), (1, 1), (2, 105), (3, 109)] {
        assert_eq!(push(&mut line, n, t + ms * MS), []);
    }
    line.done(t + 109 * MS);
    assert_eq!(pop(&mut line, t + 109 * MS), (Some(0), vec![]), "1 ms before an interval above the target");
    assert_eq!(line.standing_since(t + 111 * MS), Some(t + 110 * MS), "above it all along");
    line.done(t + 111 * MS);
    assert_eq!(pop(&mut line, t + 111 * MS), (Some(3), vec![1]), "the newest, and who waited too long goes");
    line.done(t + 112 * MS);
    assert_eq!(pop(&mut line, t + 112 * MS), (Some(2), vec![]));
    assert_eq!(line.standing_since(t + 112 * MS), None);
    assert_eq!([push(&mut line, 4, t + 113 * MS), push(&mut line, 5, t + 113 * MS)].concat(), []);
    line.done(t + 150 * MS);
    assert_eq!(pop(&mut line, t + 150 * MS), (Some(4), vec![]), "first come, first served");
}

#[test]
fn slot_is_not_left_without_work_because_all_waited_too_long() {
    let (mut line, t) = line(64);
    assert!(line.start(Priority::Normal));
    push(&mut line, 0, t);
    push(&mut line, 1, t);
    line.done(t + SECOND);
    assert_eq!(pop(&mut line, t + SECOND), (Some(1), vec![0]));
}

/// Threads read the clock before they take the lock.
#[test]
fn moment_before_the_latest_counts_as_the_latest() {
    let (mut line, t) = line(64);
    assert!(line.start(Priority::Normal));
    push(&mut line, 0, t + SECOND);
    push(&mut line, 1, t);
    assert_eq!(line.minimum_sojourn(t), Duration::ZERO);
    assert_eq!(line.standing_since(t + SECOND + 109 * MS), None);
    assert_eq!(line.standing_since(t + SECOND + 110 * MS), Some(t + SECOND + 110 * MS));
    line.done(t);
    assert_eq!(pop(&mut line, t), (Some(0), vec![]));
}

#[test]
fn full_queue_turns_away_who_would_be_served_last() {
    let (mut line, t) = line(3);
    assert!(line.start(Priority::Normal));
    for n in 0..3 {
        assert_eq!(push(&mut line, n, t), []);
    }
    assert_eq!(push(&mut line, 3, t), [(3, ShedReason::QueueFull)], "the newest, in order");
    let stood = t + 110 * MS;
    let overdue = [0, 1, 2].map(|n| (n, ShedReason::Overloaded));
    assert_eq!(push(&mut line, 4, stood), overdue);
    assert_eq!([push(&mut line, 5, stood), push(&mut line, 6, stood)].concat(), []);
    assert_eq!(push(&mut line, 7, stood), [(4, ShedReason::QueueFull)], "the oldest, the other way round");
    assert_eq!(line.shed(ShedReason::QueueFull), 2);
}

/// As long as somebody of a lower priority is kept, nobody above goes for having waited too long.
#[test]
fn lower_priorities_go_before_one_who_waited_too_long() {
    let (mut line, t) = line(64);
    assert!(line.start(Priority::Normal));
    let mut refused = Vec::new();
    line.push(0, Priority::High, None, t, &mut refused);
    line.push(1, Priority::Low, None, t + 105 * MS, &mut refused);
    line.push(2, Priority::High, None, t + 112 * MS, &mut refused);
    assert!(refused.is_empty(), "the low one is young, so the high one stays: {refused:?}");
    line.push(3, Priority::High, None, t + 116 * MS, &mut refused);
    let gone: Vec<usize> = refused.iter().map(|one| one.item).collect();
    assert_eq!(gone, [1, 0], "both waited too long, the low one first");
}

/// Between the moment at which a slot comes free and the one at which the line is served.
#[test]
fn nobody_passes_those_of_their_own_priority_who_wait() {
    let (mut line, t) = line(64);
    assert!(line.start(Priority::Normal));
    push(&mut line, 0, t);
    line.done(t);
    assert!(!line.start(Priority::Low) && !line.start(Priority::Normal));
    assert!(line.start(Priority::High));
    line.done(t);
    assert_eq!(pop(&mut line, t), (Some(0), vec![]));
}
