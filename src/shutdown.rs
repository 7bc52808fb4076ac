//! A switch that wakes everything that waits, once and for all.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::sync::watch;

/// Tells calls that the program wants to end. Clones share the switch.
///
/// A call that waits, be it before another attempt, for a slot or out of a cooldown, ends at once with the last
/// real error that it has. An attempt under way is left to finish, and no other follows it; a call that need
/// not wait is made all the same.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use recoup::{RetryPolicy, Shutdown, retry};
///
/// let shutdown = Shutdown::new();
/// let policy = RetryPolicy::fixed(Duration::from_secs(300)).build().unwrap();
/// let call = retry(|| async { Err::<(), _>("down") }).policy(&policy).shutdown(&shutdown);
/// let (result, ()) = tokio::join!(call, async { shutdown.trigger() });
/// assert_eq!(result, Err("down"));
/// # }
/// ```
#[derive(Clone)]
pub struct Shutdown {
    switch: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    /// A switch that is off.
    #[must_use]
    pub fn new() -> Self {
        Self { switch: Arc::new(watch::Sender::new(false)) }
    }

    /// Switches it on; there is no off.
    pub fn trigger(&self) {
        self.switch.send_replace(true);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.switch.borrow()
    }

    /// Ready once it is on.
    pub(crate) fn triggered(&self) -> BoxFuture<'static, ()> {
        let mut watcher = self.switch.subscribe();
        // Keeping the sender alive: a switch that nobody can trigger any more must not look triggered.
        let switch = Arc::clone(&self.switch);
        Box::pin(async move {
            let _closed = watcher.wait_for(|on| *on).await;
            drop(switch);
        })
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("triggered", &self.is_triggered()).finish()
    }
}
