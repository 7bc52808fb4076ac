//! A way to make calls, such that all libraries are driven by the same loop.

use std::any::Any;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::runtime::Runtime;
use tokio::task::unconstrained;

/// Makes so many calls, one after the other.
pub type Caller = Box<dyn FnMut(&Runtime, u64) + Send>;
/// Makes so many breakers, and gives them to be kept.
pub type Idle = Box<dyn Fn(usize) -> Box<dyn Any>>;

type Hold = Box<dyn Fn(usize) -> Box<dyn Any> + Send + Sync>;
type Spawn = Box<dyn Fn(&Runtime, usize) + Send + Sync>;

/// One kind of call of one library.
pub struct Door {
    /// What is missing, or other than asked: `no bulkhead`.
    pub note: &'static str,
    /// The most calls that may be made before the state is made anew.
    pub at_most: Option<u64>,
    caller: Box<dyn Fn() -> Caller + Send + Sync>,
    hold: Hold,
    spawn: Spawn,
}

impl Door {
    /// A door that everybody may use at once, as it is.
    pub fn shared<F, Fut>(call: F) -> Self
    where
        F: Fn() -> Fut + Copy + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Send,
    {
        Self::each(move || call)
    }

    /// A door of which each thread gets a handle of its own, before the clock is started.
    pub fn each<H, F, Fut>(handle: H) -> Self
    where
        H: Fn() -> F + Copy + Send + Sync + 'static,
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Send,
    {
        Self {
            note: "",
            at_most: None,
            caller: Box::new(move || {
                let mut call = handle();
                // Unconstrained: what tokio makes a task yield for every 128 operations is not the libraries' cost.
                Box::new(move |runtime, calls| {
                    runtime.block_on(unconstrained(async {
                        for _ in 0..calls {
                            black_box(call().await);
                        }
                    }));
                })
            }),
            hold: Box::new(move |calls| {
                let mut call = handle();
                let mut futures = Vec::with_capacity(calls);
                for _ in 0..calls {
                    let mut future = Box::pin(call());
                    let poll = Pin::as_mut(&mut future).poll(&mut Context::from_waker(Waker::noop()));
                    assert!(poll.is_pending(), "only calls under way are held");
                    futures.push(future);
                }
                Box::new(futures)
            }),
            spawn: Box::new(move |runtime, calls| {
                let (_entered, mut call) = (runtime.enter(), handle());
                for _ in 0..calls {
                    drop(runtime.spawn(call()));
                }
            }),
        }
    }

    /// Says what is missing, or other than asked.
    #[must_use]
    pub fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// Says that the cost depends on how many calls were made.
    #[must_use]
    pub fn at_most(mut self, calls: u64) -> Self {
        self.at_most = Some(calls);
        self
    }

    /// Somebody who makes calls.
    pub fn caller(&self) -> Caller {
        (self.caller)()
    }

    /// So many calls, each polled once and found pending, each in a box of its own.
    pub fn hold(&self, calls: usize) -> Box<dyn Any> {
        (self.hold)(calls)
    }

    /// Spawns so many calls.
    pub fn spawn(&self, runtime: &Runtime, calls: usize) {
        (self.spawn)(runtime, calls);
    }
}

/// Breakers that nobody calls.
pub fn idle<B: 'static>(make: impl Fn() -> B + 'static) -> Option<Idle> {
    Some(Box::new(move |breakers| Box::new((0..breakers).map(|_| make()).collect::<Vec<B>>())))
}

/// Something that lives as long as the program, so that calls may borrow it wherever they are.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
