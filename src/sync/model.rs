//! Models: small programs of two or three threads, run by a checker in every order, or in thousands.
//!
//! A model is a closure that builds something, lets threads race over it and gives what came of it. It is run
//! again and again: what it asserts holds in each order, and [`outcomes`] has what came of them all, so a test
//! can say that something never happens, and also that the race it is about was met.
//!
//! A thread that only looks is started last. Loom tries the orders in which one access comes before another
//! that it has seen come first, but it keeps only the last access to each atomic: it forgets that a thread
//! looked if the one that writes has looked in between.

#![expect(clippy::print_stdout, reason = "how many orders were run is what the command is for")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use super::made_of::checker;
pub(crate) use super::made_of::checker::thread;

/// Runs the model in order after order, and gives everything that came of it in any.
pub(crate) fn outcomes<T: Ord + Send + 'static>(
    model: impl Fn() -> T + Clone + Send + Sync + 'static,
) -> BTreeSet<T> {
    let (came, outcomes) = mpsc::channel();
    checker::run(move || came.send(model()).expect("who listens outlives the model"));
    let (mut orders, mut all) = (0, BTreeSet::new());
    for outcome in outcomes {
        orders += 1;
        all.insert(outcome);
    }
    println!("{}: {orders} orders, {} outcomes", std::thread::current().name().unwrap_or("?"), all.len());
    all
}

/// Waits for the future as an executor does: asleep until woken. If a wake-up is lost, all threads sleep, and
/// the checker says so.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let sleeper = Arc::new(Sleeper::here());
    let waker = Waker::from(Arc::clone(&sleeper));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}

/// A thread that sleeps between two polls, and is unparked only while it does. Loom forgets that a thread was
/// unparked if that thread then has to wait for a lock before it parks.
struct Sleeper {
    thread: thread::Thread,
    // Not a checker's: nothing changes turns between a look at them and what follows from it.
    woken: AtomicBool,
    asleep: AtomicBool,
}

impl Sleeper {
    fn here() -> Self {
        Self { thread: thread::current(), woken: AtomicBool::new(false), asleep: AtomicBool::new(false) }
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        if !self.woken.swap(false, Ordering::SeqCst) {
            thread::park();
            self.woken.store(false, Ordering::SeqCst);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}
