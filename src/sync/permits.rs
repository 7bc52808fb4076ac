//! A number of permits that are waited for in order.

pub(crate) use tokio::sync::{OwnedSemaphorePermit, Semaphore};
