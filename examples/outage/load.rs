//! The offered load: as many calls a second whatever becomes of them, as users do.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval_at;

use crate::client::Client;
use crate::script::{Script, length};
use crate::server::Server;

/// Calls a second.
pub(crate) const RATE: u32 = 40;

/// The screen shows what became of the calls of each such slice of time.
pub(crate) const SLICE: Duration = Duration::from_millis(500);

/// One of the two runs: a client, and a server of its own.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) client: Arc<Client>,
    pub(crate) tally: Arc<Tally>,
}

impl Side {
    pub(crate) async fn new(name: &'static str, script: Script) -> io::Result<Self> {
        let server = Server::start(script).await?;
        let client = Arc::new(Client::new(server.address, script));
        Ok(Self { name, server, client, tally: Arc::default() })
    }
}

/// One thing to charge. Its key stays the same whoever sends it and however often.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) key: String,
    pub(crate) json: Vec<u8>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) succeeded: bool,
    /// Since the script began.
    pub(crate) at: Duration,
    pub(crate) took: Duration,
}

/// The numbers so far, for the screen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) offered: AtomicU32,
    pub(crate) succeeded: AtomicU32,
    pub(crate) failed: AtomicU32,
    /// Of the calls offered in each slice: how many succeeded, how many failed.
    pub(crate) slices: [(AtomicU32, AtomicU32); 32],
}

impl Tally {
    /// Calls that have begun and not ended.
    pub(crate) fn open(&self) -> u32 {
        let ended = self.succeeded.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed);
        self.offered.load(Ordering::Relaxed).saturating_sub(ended)
    }

    fn end(&self, began: Duration, succeeded: bool) {
        let slice = (began.as_millis() / SLICE.as_millis()) as usize;
        let (good, bad) = &self.slices[slice.min(self.slices.len() - 1)];
        let counts = if succeeded { [&self.succeeded, good] } else { [&self.failed, bad] };
        for count in counts {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Offers the load for as long as the script lasts, and waits for every call to end. `charge` makes one call
/// and says whether it succeeded.
pub(crate) async fn offer<F, Fut>(script: Script, tally: &Arc<Tally>, charge: F) -> Vec<Ended>
where
    F: Fn(Order) -> Fut,
    Fut: Future<Output = bool> + Send + 'static,
{
    // A tick that comes late is made up for: the load waits for nobody.
    let mut ticks = interval_at(script.start, Duration::from_secs(1) / RATE);
    let mut calls = JoinSet::new();
    for number in 1.. {
        ticks.tick().await;
        let began = script.elapsed();
        if began >= length() {
            break;
        }
        let order =
            Order { key: format!("order-{number}"), json: format!(r#"{{"order":{number}}}"#).into_bytes() };
        let (call, tally) = (charge(order), Arc::clone(tally));
        tally.offered.fetch_add(1, Ordering::Relaxed);
        calls.spawn(async move {
            let succeeded = call.await;
            tally.end(began, succeeded);
            let at = script.elapsed();
            Ended { succeeded, at, took: at.saturating_sub(began) }
        });
    }
    calls.join_all().await
}
