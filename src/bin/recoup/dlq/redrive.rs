//! Letters sent again: by the application, or from here.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use recoup::{
    Act, Attempt, CircuitBreaker, DeadLetter, DeadLetterQueue, Deed, Recovery, RedbQueue, RedriveOrder,
    RedriveRun, Redriver, RetryPolicy, RunState,
};
use serde_json::{Value, json};

use crate::bar::Bar;
use crate::dlq::book::OneRun;
use crate::dlq::change::Meant;
use crate::dlq::held::Held;
use crate::dlq::json;
use crate::dlq::post::{Endpoint, NotTaken};
use crate::dlq::runs;
use crate::dlq::text::count;
use crate::dlq::view::{View, now};
use crate::dlq::wanted::Wanted;
use crate::problem::Problem;

/// For an attempt, unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An endpoint that takes none of so many in a row takes none.
const STOP_AFTER: u32 = 20;

/// Each of them takes a thread.
pub(crate) const MOST_AT_ONCE: u32 = 256;

pub(crate) async fn run<Q: DeadLetterQueue + 'static>(
    queue: Q,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let order = order(wanted)?;
    let endpoint = wanted.said.redrive.post.as_deref().map(|url| endpoint(url, wanted)).transpose()?;
    let meant = Meant::of(&queue, order.filter()).await?;
    meant.tell(wanted, view)?;
    if meant.letters == 0 || wanted.said.dry_run {
        view.document(&done(wanted, meant.letters, None))?;
        return if meant.letters > 0 { view.say("nothing was done: --dry-run") } else { Ok(()) };
    }
    match endpoint {
        Some(endpoint) => post(queue, &endpoint, order, &meant, wanted, view).await,
        None => order_run(&queue, order, wanted, view).await,
    }
}

fn order(wanted: &Wanted) -> Result<RedriveOrder, Problem> {
    let (said, how) = (&wanted.said, &wanted.said.redrive);
    let mut order = RedriveOrder::builder(said.chosen.filter()).by(said.by()).ramp(!how.no_ramp);
    if let Some(rate) = how.rate {
        order = order.rate(rate);
    }
    if let Some(calls) = how.concurrency {
        order = order.concurrency(calls.get());
    }
    if let Some(to) = &how.to {
        order = order.to(to);
    }
    let usual = how.post.as_ref().map(|_| STOP_AFTER);
    if let Some(failures) = how.stop_after.map(NonZeroU32::get).or(usual) {
        order = order.stop_after(failures);
    }
    Ok(order.build()?)
}

/// Writes down that letters are about to be sent from here. A run of the application is written down as it begins.
pub(crate) async fn note(queue: &RedbQueue, wanted: &Wanted) -> Result<(), Problem> {
    let Some(url) = wanted.said.redrive.post.as_deref().filter(|_| !wanted.said.dry_run) else {
        return Ok(());
    };
    let filter = wanted.said.chosen.filter();
    // What will be refused was not done.
    endpoint(url, wanted)?;
    let letters = Meant::of(queue, &filter).await?.letters;
    if letters > 0 {
        queue.note(Act::new(now(), wanted.said.by(), Deed::Redriven, filter, letters)).await?;
    }
    Ok(())
}

/// Has the application do it.
async fn order_run(
    queue: &dyn DeadLetterQueue,
    order: RedriveOrder,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    let book = queue.runs().ok_or_else(runs::none)?;
    let run = book.begin(order, None).await?;
    view.document(&done(wanted, run.progress.meant, Some(&run)))?;
    let (id, letters) = (run.id, count(run.progress.meant, "letter"));
    view.line(format_args!(
        "marked run {id}: {letters}; the application that owns this file carries it out"
    ))?;
    let file = wanted.file.display();
    view.say(format_args!("`recoup dlq {file} runs {id}` tells where it stands, `runs cancel {id}` ends it"))
}

fn endpoint(url: &str, wanted: &Wanted) -> Result<Endpoint, Problem> {
    let how = &wanted.said.redrive;
    if how.concurrency.is_some_and(|calls| calls.get() > MOST_AT_ONCE) {
        return Err(Problem::bad("--concurrency", format_args!("with --post at most {MOST_AT_ONCE}")));
    }
    Endpoint::new(url, &how.headers, how.timeout.unwrap_or(TIMEOUT))
}

/// Does it from here.
async fn post<Q: DeadLetterQueue + 'static>(
    queue: Q,
    endpoint: &Endpoint,
    order: RedriveOrder,
    meant: &Meant,
    wanted: &Wanted,
    view: &mut View<'_>,
) -> Result<(), Problem> {
    view.flush()?;
    let queue = OneRun::new(queue, order, meant.letters, shown(meant.letters, view.is_quiet()));
    let queue = Arc::new(queue);
    let how = &wanted.said.redrive;
    let (timeout, attempts) = (how.timeout.unwrap_or(TIMEOUT), how.attempts.map_or(3, NonZeroU32::get));
    // An operator asked for it, and the breaker and `--stop-after` look after the endpoint.
    let retry = RetryPolicy::exponential(Duration::from_millis(200)).max_attempts(attempts).no_budget();
    let recovery = Recovery::<NotTaken>::builder("post")
        .classifier(|error: &NotTaken| error.classification)
        .retry(retry)
        .circuit_breaker(CircuitBreaker::builder("endpoint"))
        .dead_letters(Arc::clone(&queue))
        .shutdown(&queue.over)
        .build()?;
    let send = |letter: Arc<DeadLetter>, _: Attempt| {
        let endpoint = endpoint.clone();
        async move {
            let posted = tokio::task::spawn_blocking(move || endpoint.post(&letter)).await;
            posted.unwrap_or_else(|lost| Err(NotTaken::broken(&lost)))
        }
    };
    // All attempts and the waits between them fit, so that a letter is never with two at once.
    let longest = timeout.saturating_mul(attempts).saturating_mul(2).saturating_add(Duration::from_secs(60));
    let lease = longest.max(Duration::from_secs(300));
    let redriver = Redriver::new(&recovery, send).lease(lease).poll_every(Duration::from_millis(200));
    redriver.run().await.map_err(|error| Problem::Failed(error.to_string()))?;
    told(&queue.now(), wanted, view)
}

/// A bar that follows a run.
fn shown(letters: u64, quiet: bool) -> impl Fn(&RedriveRun) + Send + Sync + 'static {
    let bar = Held::new((Bar::new(1, quiet), 0.0));
    move |run| {
        let mut bar = bar.take();
        let done = share(run.progress.done(), letters);
        let more = done - bar.1;
        let words = format!("{} delivered, {} failed", run.progress.delivered, failed(run));
        let paused = matches!(run.state, RunState::Paused { .. });
        bar.0.step(more, if paused { "paused" } else { &words });
        bar.1 = done;
    }
}

/// How much of it is done, from 0 to 1.
pub(crate) fn share(done: u64, all: u64) -> f64 {
    let thousandths = u128::from(done) * 1000 / u128::from(all.max(1));
    f64::from(u32::try_from(thousandths.min(1000)).unwrap_or(1000)) / 1000.0
}

fn failed(run: &RedriveRun) -> u64 {
    [run.progress.failed, run.progress.quarantined, run.progress.unsettled]
        .into_iter()
        .fold(0, u64::saturating_add)
}

fn told(run: &RedriveRun, wanted: &Wanted, view: &mut View<'_>) -> Result<(), Problem> {
    view.document(&done(wanted, run.progress.delivered, Some(run)))?;
    let progress = &run.progress;
    let others = [
        (progress.failed, "failed"),
        (progress.quarantined, "failed and quarantined"),
        (progress.skipped, "skipped"),
        (progress.unsettled, "sent, but not settled"),
        (progress.untouched, "not tried"),
    ];
    let others = others.iter().filter(|(letters, _)| *letters > 0);
    let mut told = vec![format!("delivered {}", count(progress.delivered, "letter"))];
    told.extend(others.map(|(letters, what)| format!("{letters} {what}")));
    view.say(told.join(", "))?;
    view.flush()?;
    match (&run.state, failed(run)) {
        (RunState::Finished, 0) => Ok(()),
        (RunState::Finished, failed) => Err(Problem::Failed(format!("{} failed", count(failed, "letter")))),
        (state, _) => Err(Problem::Failed(state.to_string())),
    }
}

fn done(wanted: &Wanted, letters: u64, run: Option<&RedriveRun>) -> Value {
    json!({
        "did": wanted.verb.name(),
        "dry_run": wanted.said.dry_run,
        "posted": wanted.said.redrive.post.is_some(),
        "letters": letters,
        "by": json::by(&wanted.said.by()),
        "run": run.map(runs::json),
    })
}
