//! What a load shedder is for: a server under more load than it can bear, event by event in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::line::{Line, Rules};
use crate::priority::{Priority, Reserves};
use crate::random::Dice;
use crate::time::{self, Instant};

const SLOTS: usize = 10;
const SERVICE: Duration = Duration::from_millis(50);
const CAPACITY: f64 = 200.0;
const DEADLINE: Duration = Duration::from_millis(500);

/// One request: when it comes, and how much it matters.
struct Request {
    at: Instant,
    priority: Priority,
}

/// The queue in front of ten slots.
trait Queue {
    fn arrive(&mut self, request: usize, asked: &Request);
    fn done(&mut self, now: Instant);
    fn next(&mut self, now: Instant) -> Option<usize>;
}

/// What most servers have: first come, first served, and at most 2 s of work in the queue.
struct Fifo {
    free: usize,
    queue: VecDeque<usize>,
}

impl Queue for Fifo {
    fn arrive(&mut self, request: usize, _asked: &Request) {
        if self.queue.len() < 400 {
            self.queue.push_back(request);
        }
    }

    fn done(&mut self, _now: Instant) {
        self.free += 1;
    }

    fn next(&mut self, _now: Instant) -> Option<usize> {
        self.free = self.free.checked_sub(1)?;
        let next = self.queue.pop_front();
        if next.is_none() {
            self.free += 1;
        }
        next
    }
}

impl Queue for Line<usize> {
    fn arrive(&mut self, request: usize, asked: &Request) {
        self.push(request, asked.priority, Some(asked.at + DEADLINE), asked.at, &mut Vec::new());
    }

    fn done(&mut self, now: Instant) {
        Line::done(self, now);
    }

    fn next(&mut self, now: Instant) -> Option<usize> {
        self.pop(now, &mut Vec::new())
    }
}

fn line() -> Line<usize> {
    let rules = Rules {
        slots: SLOTS as u64,
        queue: 400,
        target: DEADLINE / 10,
        interval: Duration::from_millis(100),
        reserves: Reserves::default(),
    };
    Line::new(rules, Dice::seeded(1))
}

/// Requests that come by chance at so many times the capacity, for so long after the others.
fn load(requests: &mut Vec<Request>, start: Instant, times: f64, span: Duration, dice: &Dice) -> Instant {
    let (mut at, end) = (start, start + span);
    loop {
        at += Duration::from_secs_f64(-(1.0 - dice.draw()).ln() / (CAPACITY * times));
        if at >= end {
            return end;
        }
        let priority = if dice.draw() < 0.1 { Priority::High } else { Priority::Normal };
        requests.push(Request { at, priority });
    }
}

/// For each request, when its answer came, if one did.
fn run(mut queue: impl Queue, requests: &[Request], dice: &Dice) -> Vec<Option<Instant>> {
    let mut answers = vec![None; requests.len()];
    let mut ends: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
    let mut coming = requests.iter().enumerate().peekable();
    loop {
        let end = ends.peek().map(|Reverse((at, _))| *at);
        let now = match (end, coming.peek()) {
            (Some(end), None) => end,
            (Some(end), Some((_, next))) if end <= next.at => end,
            (_, Some((_, next))) => next.at,
            (None, None) => return answers,
        };
        if end == Some(now) {
            let Reverse((at, request)) = ends.pop().expect("just seen");
            answers[request] = Some(at);
            queue.done(now);
        } else if let Some((request, asked)) = coming.next() {
            queue.arrive(request, asked);
        }
        while let Some(request) = queue.next(now) {
            ends.push(Reverse((now + SERVICE.mul_f64(0.5 + dice.draw()), request)));
        }
    }
}

/// The share of those who were answered before their deadline.
fn goodput<'a>(answered: impl IntoIterator<Item = (&'a Request, &'a Option<Instant>)>) -> f64 {
    let (mut good, mut all) = (0.0, 0.0);
    for (asked, answer) in answered {
        all += 1.0;
        good += f64::from(u8::from(answer.is_some_and(|at| at < asked.at + DEADLINE)));
    }
    good / all
}

#[test]
fn at_1_2_times_the_capacity_a_queue_answers_nearly_nobody_in_time_and_the_shedder_nearly_all_it_can() {
    let (dice, mut requests) = (Dice::seeded(1), Vec::new());
    load(&mut requests, time::now(), 1.2, Duration::from_secs(30), &dice);
    let fifo = run(Fifo { free: SLOTS, queue: VecDeque::new() }, &requests, &dice);
    let shed = run(line(), &requests, &dice);
    let (fifo, shed) = (goodput(requests.iter().zip(&fifo)), goodput(requests.iter().zip(&shed)));
    println!("in time: fifo {fifo:.3}, shedder {shed:.3}");
    assert!(fifo < 0.2, "{fifo}");
    assert!(shed >= 0.7, "{shed}");
}

#[test]
fn at_three_times_the_capacity_those_who_matter_are_answered_and_after_it_everybody() {
    let (dice, mut requests) = (Dice::seeded(2), Vec::new());
    let second = Duration::from_secs(1);
    let over = load(&mut requests, time::now(), 3.0, 10 * second, &dice);
    load(&mut requests, over, 0.7, 10 * second, &dice);
    let answers = run(line(), &requests, &dice);
    let of = |wanted: &dyn Fn(&Request) -> bool| {
        goodput(requests.iter().zip(&answers).filter(|(asked, _)| wanted(asked)))
    };
    let storm = |asked: &Request| asked.at < over;
    let high = of(&|asked| storm(asked) && asked.priority == Priority::High);
    let normal = of(&|asked| storm(asked) && asked.priority == Priority::Normal);
    let after = of(&|asked| asked.at > over + second);
    println!("in time: high {high:.3}, normal {normal:.3}, after {after:.3}");
    assert!(high > 0.99, "{high}");
    assert!((0.2..0.35).contains(&normal), "what is left for them: {normal}");
    assert!(after > 0.99, "{after}");
}

#[test]
fn burst_that_drains_by_itself_is_served_in_order_and_nobody_is_turned_away() {
    let (t, dice) = (time::now(), Dice::seeded(3));
    let requests: Vec<_> = (0..30).map(|_| Request { at: t, priority: Priority::Normal }).collect();
    let answers = run(line(), &requests, &dice);
    assert!(answers.iter().all(Option::is_some), "{answers:?}");
    // Those in the third round of ten come after those in the first, however long each takes.
    assert!(answers[..10].iter().max() < answers[20..].iter().min());
}
