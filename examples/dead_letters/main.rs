//! Dead letters, from the outage that made them to the last one delivered.
//!
//! ```text
//! cargo run --example dead_letters --features archive,redb
//! ```
//!
//! An analytics pipeline sends each event to three destinations over real TCP: a warehouse, an email service
//! and an ad network. Each has its own policies, wired in `destination.rs`, and that is the part to read first.
//! The email service dies in the middle of it. What cannot be delivered is written into a file, where an operator
//! looks at it, mends what has to be mended, and orders it to be sent again: see `operator.rs`. The rest is
//! scenery.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod client;
mod destination;
mod event;
mod load;
mod operator;
mod report;
mod server;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use recoup::{DeadLetterQueue as _, LetterFilter, LetterState, RedbQueue, Statistics};

use crate::destination::Destination;
use crate::event::EVENTS;
use crate::server::Server;

type Problem = Box<dyn Error>;

/// Far longer than the letters take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<ExitCode, Problem> {
    let folder = std::env::temp_dir().join(format!("recoup-dead-letters-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let told = tell(&folder.join("letters.redb")).await;
    std::fs::remove_dir_all(&folder)?;
    let broken = told?;
    for promise in &broken {
        println!("\nNOT KEPT: {promise}");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The whole story. Gives the promises that were not kept.
async fn tell(file: &Path) -> Result<Vec<String>, Problem> {
    let mut servers =
        [Server::start("warehouse").await?, Server::start("email").await?, Server::start("ads").await?];

    println!(
        "{EVENTS} events for each of three destinations. The email service dies after a quarter of them.\n"
    );
    let figures = Statistics::new();
    let queue = open(file).await?;
    let destinations = destinations(&servers, &queue, &figures)?;
    load::offer(&destinations, &mut servers).await?;
    let (seen, pushed) = (figures.snapshot(), queue.stats().await?.pushed);
    println!("{}", report::by_destination(&seen));
    println!("\nThe others were not held up. {pushed} letters are in the file, and the application stops.");
    queue.close().await?;

    println!("\nThe operator looks at what they died of: recoup dlq {} groups\n", file.display());
    operator::look(file).await?;
    println!(
        "\nThe email service is mended. The operator orders what is to be sent again, for each destination."
    );
    let runs = operator::order(file).await?;
    for server in &mut servers {
        server.come_back()?;
    }

    println!("\nThe application starts again, and finds the orders in its file.");
    let queue = open(file).await?;
    let destinations = self::destinations(&servers, &queue, &figures)?;
    let redrivers: Vec<_> = destinations.iter().map(|to| to.redrive_in_background()).collect();
    tokio::time::timeout(PATIENCE, operator::watch(&queue, &runs)).await??;
    for redriver in redrivers {
        redriver.abort();
    }

    println!("\nWhat failed once more is in quarantine, for a person to look at.");
    let aside = queue.peek(&LetterFilter::new().state(LetterState::Quarantined), 100).await?;
    for letter in &aside {
        let edited = operator::mend(&queue, letter).await?;
        let of = |destination: &&Arc<Destination>| Some(destination.name) == letter.destination.as_deref();
        if let Some(destination) = destinations.iter().find(of) {
            destination.redrive_one(edited).await?;
        }
    }

    println!("\nWhat was done by hand is written down:");
    operator::audit(&queue).await?;
    let stats = queue.stats().await?;
    queue.close().await?;
    let books = futures::future::join_all(servers.map(Server::close)).await;
    println!("\n{}", report::books(&books));
    Ok(report::broken_promises(&seen, &stats, aside.len(), &books))
}

/// The queue of the application. The defaults would quarantine a letter after three redrives; here a letter that
/// fails although its destination was mended is a matter for a person.
async fn open(file: &Path) -> Result<RedbQueue, Problem> {
    Ok(RedbQueue::builder().quarantine_after(1).open(file).await?)
}

fn destinations(
    servers: &[Server],
    queue: &RedbQueue,
    figures: &Statistics,
) -> Result<Vec<Arc<Destination>>, Problem> {
    let new = |server| Destination::new(server, queue.clone(), figures.clone()).map(Arc::new);
    Ok(servers.iter().map(new).collect::<Result<_, _>>()?)
}
