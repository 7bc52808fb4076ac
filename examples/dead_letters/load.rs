//! The events, one after the other, and each to all destinations at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::destination::Destination;
use crate::event::{DEATH, EVENTS, Event};
use crate::server::Server;

/// About sixty a second.
const EVERY: Duration = Duration::from_millis(16);

/// Sends all of them, and waits until each was delivered or given up.
pub(crate) async fn offer(destinations: &[Arc<Destination>], servers: &mut [Server; 3]) -> io::Result<()> {
    let mut sending = JoinSet::new();
    let mut clock = tokio::time::interval(EVERY);
    for number in 1..=EVENTS {
        clock.tick().await;
        if number == DEATH {
            servers[1].die().await?;
        }
        let event = Arc::new(Event::new(number));
        for destination in destinations {
            let (destination, event) = (Arc::clone(destination), Arc::clone(&event));
            sending.spawn(async move { destination.send(&event).await });
        }
    }
    sending.join_all().await;
    Ok(())
}
