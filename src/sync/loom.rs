//! What recoup is made of under `--cfg recoup_loom`: loom runs a model in every order that threads can have.

pub(crate) mod oneshot;

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};

#[cfg(test)]
pub(crate) mod checker {
    pub(crate) use loom::thread;

    /// How many times one order may take a thread off while it could go on. Loom's authors found two or three
    /// to show nearly every bug; each more takes many times as long. `LOOM_MAX_PREEMPTIONS` changes it.
    const MAX_PREEMPTIONS: usize = 3;

    /// Runs the model in every order of its threads, and with every value that a load may give.
    pub(crate) fn run(model: impl Fn() + Send + Sync + 'static) {
        let mut orders = loom::model::Builder::new();
        orders.preemption_bound.get_or_insert(MAX_PREEMPTIONS);
        orders.max_branches = orders.max_branches.max(10_000);
        orders.check(model);
    }
}
