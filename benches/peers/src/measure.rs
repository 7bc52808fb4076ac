//! Takes times: of one thread by its CPU time, of two by what they get done while the clock runs.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use tokio::runtime::{Builder, Runtime};

use crate::door::Door;

/// How long a batch of calls takes, about.
const BATCH: Duration = Duration::from_millis(2);

/// How long threads run against each other in a round.
const RACE: Duration = Duration::from_millis(2);

/// How long rounds are made anew for each that is wanted, because others used the cores.
const PATIENCE: Duration = Duration::from_millis(400);

/// How many rounds are made.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// Of times.
    pub cost: usize,
    /// Of threads against each other.
    pub races: usize,
}

/// A runtime with a clock, on this thread.
///
/// # Panics
///
/// If there is none to be had.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Nanoseconds of a call through each door over those of a call of the bare operation.
///
/// Every round measures every door once, beginning with another one each time. Differences are taken within a
/// round, so that what disturbs the machine for longer than that falls on both sides; the median of them is told.
pub fn costs(runtime: &Runtime, bare: &Door, doors: &[Door], rounds: usize) -> Vec<f64> {
    let all: Vec<&Door> = std::iter::once(bare).chain(doors).collect();
    let batches: Vec<u64> = all.iter().map(|door| batch_size(runtime, door)).collect();
    let mut differences = vec![Vec::with_capacity(rounds); doors.len()];
    for round in 0..rounds {
        let mut taken = vec![0.0; all.len()];
        for place in 0..all.len() {
            let subject = (round + place) % all.len();
            taken[subject] = nanoseconds(runtime, all[subject], batches[subject]);
        }
        for (differences, taken_by_door) in differences.iter_mut().zip(&taken[1..]) {
            differences.push(taken_by_door - taken[0]);
        }
    }
    differences.into_iter().map(median).collect()
}

/// Nanoseconds of one call, in a batch of so many.
fn nanoseconds(runtime: &Runtime, door: &Door, calls: u64) -> f64 {
    let mut caller = door.caller();
    let start = ThreadTime::now();
    caller(runtime, calls);
    start.elapsed().as_secs_f64() * 1e9 / calls as f64
}

/// So many calls that a batch of them takes long enough to be measured, or as many as the door allows.
fn batch_size(runtime: &Runtime, door: &Door) -> u64 {
    let most = door.at_most.unwrap_or(u64::MAX);
    let mut calls = 64.min(most);
    loop {
        let taken = nanoseconds(runtime, door, calls) * calls as f64;
        if calls == most || taken >= BATCH.as_nanos() as f64 / 2.0 {
            return ((calls as f64 * BATCH.as_nanos() as f64 / taken) as u64).clamp(1, most);
        }
        calls = (calls * 4).min(most);
    }
}

/// What threads get done.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// What two get done together over what one gets done alone.
    pub ratio: f64,
    /// Million calls in a second, by two.
    pub millions: f64,
    /// Whether there were too few rounds in which the threads had the cores to themselves.
    pub disturbed: bool,
}

/// One race: calls in a second, and how long a thread had to wait for a core each time it wanted one, in seconds.
#[derive(Clone, Copy)]
struct Race {
    rate: f64,
    waited: f64,
}

/// How each door scales from one thread to two, in rounds as of [`costs`].
///
/// Two threads that share the cores with other programs run one after the other and never meet. So a round counts
/// only if its threads hardly waited for a core, and as many more are made as it takes, within reason.
/// (A thread that sleeps in a lock does not wait for a core, and waits for one shortly when it is woken.)
pub fn scalings(runtime: &Runtime, doors: &[Door], rounds: usize) -> Vec<Scaling> {
    let chunks: Vec<u64> = doors.iter().map(|door| (batch_size(runtime, door) / 40).max(1)).collect();
    let mut found = vec![Vec::new(); doors.len()];
    let began = Instant::now();
    for round in 0..rounds * 10 {
        if round >= rounds && began.elapsed() > PATIENCE * rounds as u32 {
            break;
        }
        for place in 0..doors.len() {
            let subject = (round + place) % doors.len();
            let quiet = found[subject].iter().filter(|(alone, two)| is_quiet(alone, two)).count();
            if quiet < rounds {
                let (door, chunk) = (&doors[subject], chunks[subject]);
                found[subject].push((race(door, chunk, 1), race(door, chunk, 2)));
            }
        }
    }
    found.into_iter().map(|rounds_made| scaling(rounds_made, rounds)).collect()
}

/// Less than the system lets a program run before it lets another: nobody was before us in the queue.
fn is_quiet(alone: &Race, two: &Race) -> bool {
    alone.waited.max(two.waited) < 20e-6
}

/// Of the quiet rounds; where there are too few, of the quietest.
fn scaling(mut found: Vec<(Race, Race)>, wanted: usize) -> Scaling {
    let (quiet, enough) = (found.iter().filter(|(a, b)| is_quiet(a, b)).count(), wanted.div_ceil(4));
    found.sort_by(|a, b| f64::total_cmp(&a.0.waited.max(a.1.waited), &b.0.waited.max(b.1.waited)));
    found.truncate(quiet.max(enough));
    let disturbed = quiet < enough;
    let ratio = median(found.iter().map(|(alone, two)| two.rate / alone.rate).collect());
    let millions = median(found.iter().map(|(_, two)| two.rate * 1e-6).collect());
    Scaling { ratio, millions, disturbed }
}

/// So many threads make calls for a while.
fn race(door: &Door, chunk: u64, threads: usize) -> Race {
    let start = Barrier::new(threads);
    let run = || {
        let (runtime, mut caller) = (runtime(), door.caller());
        let before = Queue::now();
        start.wait();
        let (began, mut done) = (Instant::now(), 0);
        while began.elapsed() < RACE {
            caller(&runtime, chunk);
            done += chunk;
        }
        Race { rate: done as f64 / began.elapsed().as_secs_f64(), waited: Queue::now().since(&before) }
    };
    thread::scope(|scope| {
        let runners: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ended = runners.into_iter().map(|runner| runner.join().expect("a thread that counts"));
        ended.fold(Race { rate: 0.0, waited: 0.0 }, |sum, one| Race {
            rate: sum.rate + one.rate,
            waited: sum.waited.max(one.waited),
        })
    })
}

/// How long this thread waited for a core so far, and how often it got one. Zero where the system does not tell.
struct Queue {
    waited: f64,
    turns: f64,
}

impl Queue {
    fn now() -> Self {
        let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut fields = told.split_whitespace().skip(1).map(|field| field.parse().unwrap_or_default());
        let mut next = || fields.next().unwrap_or_default();
        Self { waited: next(), turns: next() }
    }

    /// Seconds of waiting for each turn.
    fn since(&self, before: &Self) -> f64 {
        (self.waited - before.waited) * 1e-9 / (self.turns - before.turns).max(1.0)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
