//! What recoup is made of under `--cfg recoup_shuttle`: shuttle runs a model in thousands of orders by chance.

pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
