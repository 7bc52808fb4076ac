//! What recoup is made of under `--cfg recoup_loom`: loom runs a model in every order that threads can have.

pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
