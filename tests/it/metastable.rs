//! An outage must not outlive its cause: three layers that all retry, over a backend with little to spare.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use recoup::{
    Category, Classification, Instant, Nested, Recovery, RecoveryError, RetryPolicy, RetryPolicyBuilder,
    execute_with_recovery,
};
use tokio::task::LocalSet;

const SECOND: Duration = Duration::from_secs(1);

/// What the callers ask for in a second, all together, and what the backend can do.
const OFFERED: u32 = 250;
const CAPACITY: u32 = OFFERED * 6 / 5;

/// The outage, in seconds of the run.
const FROM: usize = 20;
const ENDS: usize = 28;

/// How the backend fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outage {
    /// It stands still, as in a long collection of garbage: calls queue up, until there is no more room.
    Stalls,
    /// Every call is turned away at once, as by a proxy in front of it.
    TurnsAway,
    /// Nobody listens.
    Refuses,
}

/// Serves one call after the other. Work whose caller has gone is done all the same, for it is in the queue.
struct Backend {
    outage: Outage,
    start: Instant,
    /// When all that is in the queue is done.
    free: Cell<Instant>,
    /// How many calls came in each second.
    load: RefCell<Vec<u32>>,
    /// How many requests that were made in each second ended well.
    good: RefCell<Vec<u32>>,
}

impl Backend {
    fn new(outage: Outage, seconds: usize) -> Self {
        let (start, none) = (Instant::now(), vec![0; seconds]);
        Self {
            outage,
            start,
            free: Cell::new(start),
            load: RefCell::new(none.clone()),
            good: RefCell::new(none),
        }
    }

    fn second(&self) -> usize {
        usize::try_from((Instant::now() - self.start).as_secs()).unwrap()
    }

    fn count(counts: &RefCell<Vec<u32>>, second: usize) {
        if let Some(count) = counts.borrow_mut().get_mut(second) {
            *count += 1;
        }
    }

    async fn serve(&self) -> Result<(), Category> {
        let (now, second) = (Instant::now(), self.second());
        Self::count(&self.load, second);
        let is_on = (FROM..ENDS).contains(&second);
        let works_from = match self.outage {
            Outage::Stalls if is_on => self.start + Duration::from_secs(ENDS as u64),
            Outage::TurnsAway if is_on => return Err(Category::ServiceUnavailable),
            Outage::Refuses if is_on => return Err(Category::Network),
            _ => now,
        };
        let begins = self.free.get().max(works_from);
        if begins - works_from > 2 * SECOND {
            return Err(Category::ServiceUnavailable);
        }
        self.free.set(begins + SECOND / CAPACITY);
        tokio::time::sleep_until(self.free.get()).await;
        Ok(())
    }
}

/// The three layers that one client's calls go through, each with its own retries.
struct Layers([Recovery<Category>; 3]);

impl Layers {
    /// Each layer of each client draws its own waits, and the same ones in every run of the test.
    fn new(policy: fn() -> RetryPolicyBuilder, client: u64) -> Self {
        let seeds = Cell::new(3 * client);
        let layer = |name| {
            let policy = policy().seed(seeds.replace(seeds.get() + 1));
            Recovery::builder(name).classifier(|c: &Category| Classification::of(*c)).retry(policy)
        };
        let nearest = layer("storage").attempt_timeout(SECOND / 2);
        Self([layer("page"), layer("service"), nearest].map(|layer| layer.build().unwrap()))
    }

    async fn call(&self, backend: &Backend) -> Result<(), RecoveryError<Category>> {
        let [page, service, storage] = &self.0;
        execute_with_recovery(page, |_| async {
            let answer = execute_with_recovery(service, |_| async {
                execute_with_recovery(storage, |_| backend.serve()).await.map_err(|error| category(&error))
            });
            answer.await.map_err(|error| category(&error))
        })
        .await
    }
}

/// What a layer tells the one above it.
fn category(error: &RecoveryError<Category>) -> Category {
    error.inner().copied().unwrap_or(if error.is_timeout() {
        Category::Timeout
    } else {
        Category::ServiceUnavailable
    })
}

/// What came of a run, for each second, as a share of what was offered in it.
#[derive(Debug)]
struct Lived {
    load: Vec<f64>,
    good: Vec<f64>,
}

impl Lived {
    /// The most load of one second, from the outage on.
    fn peak(&self) -> f64 {
        self.load[FROM..].iter().copied().fold(0.0, f64::max)
    }
}

async fn run(clients: u64, outage: Outage, seconds: usize, policy: fn() -> RetryPolicyBuilder) -> Lived {
    let clients: Rc<Vec<Layers>> = Rc::new((0..clients).map(|client| Layers::new(policy, client)).collect());
    let backend = Rc::new(Backend::new(outage, seconds));
    let calls = LocalSet::new();
    calls
        .run_until(async {
            for (nth, turn) in (0..seconds * OFFERED as usize).zip(0_u32..) {
                tokio::time::sleep_until(backend.start + SECOND / OFFERED * turn).await;
                let (clients, backend) = (Rc::clone(&clients), Rc::clone(&backend));
                tokio::task::spawn_local(async move {
                    let made = backend.second();
                    if clients[nth % clients.len()].call(&backend).await.is_ok() {
                        Backend::count(&backend.good, made);
                    }
                });
            }
            // Shorter than a full queue: what is left of the load cannot be served in time now that no more comes.
            tokio::time::sleep(SECOND).await;
        })
        .await;
    let shares = |counts: &RefCell<Vec<u32>>| {
        counts.borrow().iter().map(|count| f64::from(*count) / f64::from(OFFERED)).collect()
    };
    Lived { load: shares(&backend.load), good: shares(&backend.good) }
}

/// Three attempts in each layer, whatever the others do.
fn plain() -> RetryPolicyBuilder {
    RetryPolicy::exponential(SECOND / 10).max_attempts(3).no_budget().nested(Nested::Allow)
}

#[tokio::test(start_paused = true)]
async fn g7_plain_retries_in_three_layers_keep_the_backend_down_when_the_outage_is_long_over() {
    for (clients, outage) in [(1, Outage::Stalls), (1_000, Outage::Refuses)] {
        let lived = run(clients, outage, ENDS + 15, plain).await;
        assert!(lived.good[..FROM].iter().all(|good| *good >= 0.99), "well before it: {lived:?}");
        assert!(lived.peak() > 25.0, "three times three times three: {lived:?}");
        assert!(lived.load[ENDS..].iter().all(|load| *load > 2.0), "{lived:?}");
        assert!(
            lived.good[ENDS + 10..].iter().all(|good| *good < 0.01),
            "nobody is served in time: {lived:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn g7_defaults_in_three_layers_add_nothing_to_an_outage_and_let_it_end() {
    for outage in [Outage::Stalls, Outage::TurnsAway] {
        for clients in [1, 1_000] {
            let lived = run(clients, outage, ENDS + 30, RetryPolicy::builder).await;
            assert!(lived.good[..FROM].iter().all(|good| *good >= 0.99), "well before it: {lived:?}");
            assert!(lived.peak() <= 1.15, "{clients} {outage:?} {lived:?}");
            assert!(
                lived.good[ENDS + 10..].iter().all(|good| *good > 0.99),
                "{clients} {outage:?} {lived:?}"
            );
        }
    }
}

/// A refused connection is no sign of overload, so a client that was well until then makes its two retries once,
/// before it knows better. For one that calls often this is nothing; a thousand that call once in four seconds
/// make three calls of each for that long, and no more: one layer makes them. The backend is not there to be
/// harmed by it.
#[tokio::test(start_paused = true)]
async fn g7_refused_connections_are_retried_by_one_layer_at_the_beginning_and_by_none_at_the_end() {
    for (clients, peak) in [(1, 1.15), (1_000, 3.1)] {
        let lived = run(clients, Outage::Refuses, ENDS + 20, RetryPolicy::builder).await;
        assert!(lived.peak() <= peak, "{clients} {lived:?}");
        assert!(lived.load[ENDS - 2..].iter().all(|load| *load <= 1.05), "{clients} {lived:?}");
        assert!(lived.good[ENDS..].iter().all(|good| *good > 0.99), "back at once: {clients} {lived:?}");
    }
}
