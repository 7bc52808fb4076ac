//! What recoup is made of under `--cfg recoup_loom`: loom runs a model in every order that threads can have.

pub(crate) mod oneshot;

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};

/// Fewer than in a released recoup: each is a word that a model reads in turn.
pub(crate) const LINES: usize = 2;

/// The standard library's, with an order that loom sees: who finds a thing made comes after its making.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    made: atomic::AtomicBool,
    making: Mutex<()>,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            made: atomic::AtomicBool::new(false),
            making: Mutex::new(()),
            value: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.made.load(atomic::Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(made) = self.get() {
            return made;
        }
        let _turn = self.making.lock();
        let value = self.value.get_or_init(make);
        self.made.store(true, atomic::Ordering::Release);
        value
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        Self { made: atomic::AtomicBool::new(true), making: Mutex::new(()), value: value.into() }
    }
}

#[cfg(test)]
pub(crate) mod checker {
    pub(crate) use loom::thread;

    /// How many times one order may take a thread off while it could go on. Loom's authors found two or three
    /// to show nearly every bug; each more takes many times as long. `LOOM_MAX_PREEMPTIONS` changes it.
    const MAX_PREEMPTIONS: usize = 2;

    /// Runs the model in every order of its threads, and with every value that a load may give.
    pub(crate) fn run(model: impl Fn() + Send + Sync + 'static) {
        let mut orders = loom::model::Builder::new();
        orders.preemption_bound.get_or_insert(MAX_PREEMPTIONS);
        orders.max_branches = orders.max_branches.max(10_000);
        orders.check(model);
    }
}
