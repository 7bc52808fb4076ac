//! The same seed and the same script give the same history, bit for bit.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use recoup::testing::{Chaos, Happened, Recorded, Recorder};
use recoup::{
    Attempt, Backoff, Bulkhead, CallContext, Category, CircuitBreaker, CircuitBreakers, CircuitSnapshot,
    Classification, Cooldown, DeadLetter, DeadLetterQueue, DelaySource, HalfOpen, Jitter, LetterFilter,
    MemoryQueue, OnEmptyBudget, Payload, Ramp, Reconnect, Recovery, RetryBudget, RetryPolicy, Statistics,
    StatisticsSnapshot, Window, execute_with_recovery,
};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Everything that can be seen of a run.
#[derive(Debug, PartialEq)]
struct History {
    events: Vec<Recorded>,
    letters: Vec<DeadLetter>,
    circuits: Vec<CircuitSnapshot>,
    counted: StatisticsSnapshot,
    /// By caller: how each of its calls ended, and after how long.
    answers: Vec<Vec<(String, Duration)>>,
    tokens: u32,
    injected: u64,
}

/// What the world does. It is the same whatever the seed of the policies, so it has dice of its own.
struct World(u64);

impl World {
    fn below(&mut self, sides: u64) -> u64 {
        // A linear congruence: its upper bits are random enough for a script.
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) % sides
    }

    /// How the server answers an attempt at this time: it is well, then down, then well, then slow.
    fn answer(&mut self, at: Duration) -> (Duration, Result<u64, u16>) {
        let dice = self.below(100);
        let (fails, slow) = match at.as_secs() % 20 {
            0..5 => (10, 0),
            5..10 => (95, 0),
            10..15 => (5, 5),
            _ => (5, 70),
        };
        let takes = if dice % 100 < slow { 400 * MS } else { MS * u32::try_from(self.below(30)).unwrap() };
        let result = if self.below(100) >= fails {
            Ok(dice)
        } else {
            Err([503, 500, 503, 429, 400, 503][usize::try_from(self.below(6)).unwrap()])
        };
        (takes, result)
    }
}

fn meaning(status: u16) -> Classification {
    match status {
        503 => Classification::of(Category::ServiceUnavailable).status(503),
        429 => Classification::of(Category::RateLimited).retry_after(150 * MS).status(429),
        400 => Category::Validation.into(),
        _ => Category::ExternalService.into(),
    }
}

/// Several callers of two dependencies, with every policy that draws or counts.
struct Scene {
    recorder: Recorder,
    statistics: Statistics,
    letters: MemoryQueue,
    payments: Recovery<u16>,
    mail: Recovery<u16>,
    hosts: CircuitBreakers<u64>,
    budget: RetryBudget,
    chaos: Chaos,
    begun: recoup::Instant,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let (recorder, statistics, letters) = (Recorder::new(), Statistics::new(), MemoryQueue::default());
        let budget = RetryBudget::builder().reserve(5).capacity(10).trickle(2 * SECOND).build().unwrap();
        let breaker = CircuitBreaker::builder("payments")
            .window(Window::last_calls(20).and_last(SECOND))
            .minimum_calls(5)
            .slow_calls(200 * MS, 0.5)
            .open_for(Backoff::exponential(300 * MS).max_delay(SECOND).jitter(Jitter::Full))
            .half_open(HalfOpen::probes(3).failure_rate(0.5))
            .ramp(Ramp::new(0.1, SECOND))
            .seed(seed);
        let payments = Recovery::builder("payments")
            .classifier(|status: &u16| meaning(*status))
            .retry(RetryPolicy::exponential(20 * MS).max_attempts(4).budget(budget.clone()).seed(seed))
            .circuit_breaker(breaker.clone())
            .bulkhead(Bulkhead::builder(1).queue(1).max_wait(15 * MS).name("payments"))
            .cooldown(Cooldown::builder().burst(2))
            .attempt_timeout(300 * MS)
            .deadline(SECOND)
            .dead_letters_described(letters.clone(), recoup::ErrorChain::from_display)
            .observer(recorder.observer())
            .observer(std::sync::Arc::new(statistics.clone()))
            .build()
            .unwrap();
        let waits = RetryPolicy::decorrelated(30 * MS)
            .max_attempts(6)
            .budget(budget.clone())
            .on_empty_budget(OnEmptyBudget::Wait(SECOND))
            .wait_for_open_circuit()
            .seed(seed.wrapping_add(1));
        let mail = Recovery::builder("mail")
            .classifier(|status: &u16| meaning(*status))
            .retry(waits)
            .circuit_breaker(payments.circuit_breaker().unwrap().clone())
            .observer(recorder.observer())
            .build()
            .unwrap();
        let observer = recorder.observer();
        let hosts = CircuitBreakers::new(4, move |host| {
            CircuitBreaker::builder(format!("host {host}"))
                .consecutive_failures(2)
                .open_for(Backoff::fixed(500 * MS).jitter(Jitter::Full))
                .seed(seed.wrapping_add(*host))
                .observer(observer.clone())
        });
        let (chaos, begun) = (Chaos::seeded(seed), recoup::Instant::now());
        chaos.fail(0.05).unwrap();
        let hosts = hosts.unwrap();
        Self { recorder, statistics, letters, payments, mail, hosts, budget, chaos, begun }
    }

    fn now(&self) -> Duration {
        recoup::Instant::now() - self.begun
    }

    async fn serve(&self, number: u64, caller: u64, attempt: u32) -> Result<u64, u16> {
        let mut world = World(caller << 40 | number << 8 | u64::from(attempt));
        world.below(1);
        let (takes, result) = world.answer(self.now());
        sleep(takes).await;
        self.chaos.call(|| async { result }, || 500).await
    }

    /// Forty calls of one caller; every eighth is dropped if it takes long.
    async fn calls(self: Rc<Self>, caller: u64) -> Vec<(String, Duration)> {
        let mut world = World(caller + 1_000);
        let mut answers = Vec::new();
        for number in 0..40 {
            sleep(MS * u32::try_from(world.below(500)).unwrap()).await;
            let begun = self.now();
            let context = CallContext::new("charge")
                .correlation_id(format!("{caller}-{number}"))
                .with_idempotency_key(format!("key {caller}-{number}"))
                .payload(|| Payload::json("{}"));
            let call = async {
                let attempt = |attempt: Attempt| self.serve(number, caller, attempt.number());
                match caller % 4 {
                    0 => execute_with_recovery(&self.mail, attempt).await.map_err(|e| e.to_string()),
                    1 => {
                        let host = self.hosts.get(&world.below(6));
                        let call = host.call(|| self.serve(number, caller, 1));
                        call.await.map_err(|e| e.to_string())
                    }
                    _ => {
                        let payments = self.payments.with_context(&context);
                        execute_with_recovery(payments, attempt).await.map_err(|e| e.to_string())
                    }
                }
            };
            let answer = if number % 8 == 7 {
                timeout(40 * MS, call)
                    .await
                    .map_or_else(|_| "dropped".to_owned(), |answer| format!("{answer:?}"))
            } else {
                format!("{:?}", call.await)
            };
            answers.push((answer, self.now().saturating_sub(begun)));
        }
        answers
    }

    async fn history(seed: u64) -> History {
        let scene = Rc::new(Self::new(seed));
        let local = LocalSet::new();
        let callers: Vec<_> =
            (0..16).map(|caller| local.spawn_local(Rc::clone(&scene).calls(caller))).collect();
        let mut answers = Vec::new();
        local
            .run_until(async {
                for caller in callers {
                    answers.push(caller.await.unwrap());
                }
            })
            .await;
        let mut letters = scene.letters.peek(&LetterFilter::new(), usize::MAX).await.unwrap();
        for letter in &mut letters {
            // The wall clock is for people, and goes on between two runs.
            letter.died_at = SystemTime::UNIX_EPOCH;
            let told = letter.attempts.records().iter().cloned();
            let told = told.map(|mut record| {
                record.at = SystemTime::UNIX_EPOCH;
                record
            });
            letter.attempts = recoup::History::restored(told.collect::<Vec<_>>(), letter.attempts.total());
        }
        let circuits = scene.hosts.all();
        let circuits = scene.payments.circuit_breaker().into_iter().chain(&circuits);
        History {
            events: scene.recorder.events(),
            letters,
            circuits: circuits.map(CircuitBreaker::snapshot).collect(),
            counted: scene.statistics.snapshot(),
            answers,
            tokens: scene.budget.tokens(),
            injected: scene.chaos.injected(),
        }
    }
}

fn on_a_clock_of_its_own<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run)
}

/// That nothing of the scene is missing in it: a history in which little happens is easily repeated.
fn tells_of_everything(history: &History) {
    let happened = |asked: fn(&Happened) -> bool| {
        let times = history.events.iter().filter(|event| asked(&event.what)).count();
        assert!(times > 0, "{:#?}", history.events.iter().map(ToString::to_string).collect::<Vec<_>>());
    };
    happened(|what| matches!(what, Happened::RetryScheduled { source: DelaySource::Backoff, .. }));
    happened(|what| matches!(what, Happened::RetryScheduled { source: DelaySource::Server, .. }));
    happened(|what| matches!(what, Happened::RetryScheduled { source: DelaySource::CircuitBreaker, .. }));
    happened(|what| matches!(what, Happened::CircuitOpened { trip: recoup::Trip::FailureRate { .. }, .. }));
    happened(|what| matches!(what, Happened::CircuitOpened { trip: recoup::Trip::SlowCallRate { .. }, .. }));
    happened(|what| matches!(what, Happened::CircuitOpened { trip: recoup::Trip::Probes { .. }, .. }));
    happened(|what| matches!(what, Happened::CircuitHalfOpened { .. }));
    happened(|what| matches!(what, Happened::CircuitClosed { .. }));
    happened(|what| matches!(what, Happened::CallSucceeded { attempts: 2.., .. }));
    happened(|what| matches!(what, Happened::Rejected { reason: "open", .. }));
    happened(|what| matches!(what, Happened::Rejected { reason: "full", .. }));
    happened(|what| matches!(what, Happened::GaveUp { reason: "permanent", .. }));
    happened(|what| matches!(what, Happened::GaveUp { reason: "budget", .. }));
    happened(|what| matches!(what, Happened::GaveUp { reason: "attempts", .. }));
    happened(|what| matches!(what, Happened::LetterBuried { .. }));
    assert!(history.answers.iter().flatten().any(|answer| answer.0 == "dropped"));
    assert!(history.events.len() > 1_000, "{}", history.events.len());
    assert!(history.injected > 0 && history.circuits.len() == 5);
}

#[test]
fn same_seed_and_script_give_the_same_history_bit_for_bit() {
    let run = |seed| move || on_a_clock_of_its_own(Scene::history(seed));
    let first = run(7)();
    tells_of_everything(&first);
    // The last run is another thread's, so that nothing that a thread remembers makes them alike.
    for again in [run(7)(), std::thread::spawn(run(7)).join().unwrap()] {
        for (event, repeated) in first.events.iter().zip(&again.events) {
            assert_eq!(event, repeated);
        }
        assert_eq!(first.circuits, again.circuits);
        assert_eq!(first, again);
    }
}

#[test]
fn another_seed_gives_another_history() {
    let [one, other] = [7, 8].map(|seed| on_a_clock_of_its_own(Scene::history(seed)));
    assert_ne!(one.events, other.events);
    assert_ne!(one.answers, other.answers);
}

/// What is built from one seeded builder has nothing to do with what else is built from it.
#[tokio::test(start_paused = true)]
async fn each_build_of_a_seeded_builder_draws_the_seed_from_its_beginning() {
    let waits = Backoff::fixed(SECOND).jitter(Jitter::Full);
    let breaker = CircuitBreaker::builder("b").open_for(waits).consecutive_failures(1).seed(3);
    let reconnect = Reconnect::builder().seed(3);
    let policy = RetryPolicy::fixed(SECOND).max_attempts(2).seed(3);
    let mut runs = Vec::new();
    for _ in 0..2 {
        let breaker = breaker.clone().build().unwrap();
        breaker.admit().unwrap().settle(recoup::Outcome::Failure);
        let connection = reconnect.clone().build().unwrap().next_delay(Duration::ZERO);
        let (recorder, policy) = (Recorder::new(), policy.clone());
        let recovery =
            Recovery::<()>::builder("r").retry(policy).observer(recorder.observer()).build().unwrap();
        execute_with_recovery(&recovery, |_| async { Err::<(), _>(()) }).await.unwrap_err();
        let delay = recorder.events().into_iter().find_map(|event| match event.what {
            Happened::RetryScheduled { delay, .. } => Some(delay),
            _ => None,
        });
        runs.push((breaker.snapshot().probe_in, connection, delay));
    }
    assert_eq!(runs[0].2, runs[1].2);
    assert_eq!(runs[0].1, runs[1].1);
    assert_eq!(runs[0].0, runs[1].0);
}

/// Two connections made from one template are two histories: neither shifts the other's waits.
#[test]
fn clone_of_a_seeded_reconnect_goes_its_own_way() {
    let mut one = Reconnect::builder().seed(3).build().unwrap();
    one.next_delay(Duration::ZERO);
    let mut other = one.clone();
    let waits = |reconnect: &mut Reconnect| [(); 5].map(|()| reconnect.next_delay(Duration::ZERO));
    assert_eq!(waits(&mut one), waits(&mut other));
}

#[test]
fn without_a_seed_no_two_histories_are_the_same() {
    let wait = || Reconnect::default().next_delay(Duration::ZERO);
    assert_ne!([wait(), wait(), wait()], [wait(), wait(), wait()]);
}
