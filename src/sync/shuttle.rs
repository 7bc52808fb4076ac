//! What recoup is made of under `--cfg recoup_shuttle`: shuttle runs a model in thousands of orders by chance.

pub(crate) mod oneshot;

pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
// What is put in it is made before or is empty, and neither takes a turn: no thread waits for another.
pub(crate) use std::sync::OnceLock;

/// Fewer than in a released recoup: each is a word that a model reads in turn.
pub(crate) const LINES: usize = 2;

#[cfg(test)]
pub(crate) mod checker {
    use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
    use shuttle::{Config, Runner};

    pub(crate) use shuttle::thread;

    /// Orders of each kind for one model. `RECOUP_SCHEDULES` changes it.
    const SCHEDULES: usize = 5_000;

    /// The same orders each time. `RECOUP_SEED` changes it.
    const SEED: u64 = 1;

    /// How many changes of turn a bug may need for the second kind of order to look for it.
    const DEPTH: usize = 3;

    /// Runs the model in orders by pure chance, and in orders by chance among those in which threads go on
    /// for long and few changes of turn decide.
    pub(crate) fn run(model: impl Fn() + Send + Sync + Clone + 'static) {
        let schedules = setting("RECOUP_SCHEDULES").unwrap_or(SCHEDULES);
        let seed = setting("RECOUP_SEED").unwrap_or(SEED);
        run_by(RandomScheduler::new_from_seed(seed, schedules), model.clone());
        run_by(PctScheduler::new_from_seed(seed, DEPTH, schedules), model);
    }

    fn run_by(scheduler: impl Scheduler + 'static, model: impl Fn() + Send + Sync + 'static) {
        let mut config = Config::new();
        config.stack_size = 0x4_0000; // the code is not optimized
        Runner::new(scheduler, config).run(model);
    }

    fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok()?.parse().ok()
    }
}
