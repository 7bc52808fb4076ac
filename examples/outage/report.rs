//! What it came to, side by side, and whether that is what was promised.

use std::time::Duration;

use crate::load::{Ended, RATE, Side};
use crate::script::{Phase, death};
use crate::server::Ledger;

/// The numbers of one run.
pub(crate) struct Round {
    ended: Vec<Ended>,
    letters: Letters,
    /// Requests that the server read while it was slow, failing, throttling.
    requests: [u32; 3],
    /// Connections tried while nobody listened.
    knocks: u32,
    attempts: u32,
    ledger: Ledger,
    took: Duration,
}

/// What became of the calls that were given up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Letters {
    pub(crate) buried: usize,
    pub(crate) redriven: usize,
    /// How long the redrive took.
    pub(crate) took: Duration,
}

impl Round {
    /// Ends a run and adds up. It lasted until its last call ended, or its last letter arrived.
    pub(crate) async fn new(ended: Vec<Ended>, side: Side, letters: Letters) -> Self {
        let requests =
            [Phase::Slow, Phase::Failing, Phase::Throttling].map(|phase| side.server.requests(phase));
        let (knocks, attempts) = (side.client.attempts(Phase::Dead), side.client.all_attempts());
        let last = ended.iter().map(|call| call.at).max().unwrap_or_default();
        let took = last + letters.took;
        Self { ended, letters, requests, knocks, attempts, ledger: side.server.close().await, took }
    }

    fn offered(&self) -> usize {
        self.ended.len()
    }

    fn succeeded(&self) -> usize {
        self.ended.iter().filter(|call| call.succeeded).count()
    }

    fn delivered(&self) -> usize {
        self.succeeded() + self.letters.redriven
    }

    fn share(&self, calls: usize) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred calls")]
        let share = calls as f64 / self.offered().max(1) as f64;
        format!("{calls} ({:.1} %)", share * 100.0)
    }

    /// The latency that this share of the successes did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let mut took: Vec<_> =
            self.ended.iter().filter(|call| call.succeeded).map(|call| call.took).collect();
        took.sort_unstable();
        let rank = (took.len() * percent).div_ceil(100).saturating_sub(1);
        took.get(rank).copied().unwrap_or_default()
    }

    /// How long after the server's return the first second begins in which at least 99 % of the calls that
    /// ended were successes, and calls ended at no less than half the usual rate.
    fn full_service(&self) -> Option<Duration> {
        let (_, returns) = death();
        (0..30).map(|tenth| Duration::from_millis(100 * tenth)).find(|wait| {
            let from = returns + *wait;
            let second = from..from + Duration::from_secs(1);
            let ended = self.ended.iter().filter(|call| second.contains(&call.at));
            let (all, good) =
                ended.fold((0, 0), |(all, good), call| (all + 1, good + u32::from(call.succeeded)));
            all >= RATE / 2 && good * 100 >= all * 99
        })
    }
}

/// The table, line by line.
pub(crate) fn table(bare: &Round, recovered: &Round) -> Vec<String> {
    let row = |what: &str, of: &dyn Fn(&Round) -> String| {
        format!("{what:<42}{:>16}{:>16}", of(bare), of(recovered))
    };
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let full = |round: &Round| {
        round.full_service().map_or("never".to_owned(), |wait| format!("{:.1} s", wait.as_secs_f64()))
    };
    vec![
        format!("{:<42}{:>16}{:>16}", "", "bare", "with recoup"),
        row("calls offered", &|round| round.offered().to_string()),
        row("  succeeded", &|round| round.share(round.succeeded())),
        row("  succeeded, letters redriven included", &|round| round.share(round.delivered())),
        row("  lost", &|round| (round.offered() - round.delivered()).to_string()),
        row("attempts made, redrives included", &|round| round.attempts.to_string()),
        row("  read by the server while slow", &|round| round.requests[0].to_string()),
        row("  read by the server while failing", &|round| round.requests[1].to_string()),
        row("  read by the server while it said 429", &|round| round.requests[2].to_string()),
        row("  refused while it was dead", &|round| round.knocks.to_string()),
        row("full service, after the server was back", &full),
        row("latency of a success, p50", &|round| millis(round.percentile(50))),
        row("latency of a success, p99", &|round| millis(round.percentile(99))),
        row("letters buried", &|round| round.letters.buried.to_string()),
        row("  and redriven", &|round| round.letters.redriven.to_string()),
        row("requests under a key already charged", &|round| round.ledger.repeated.to_string()),
        row("orders charged", &|round| round.ledger.charged().to_string()),
        row("orders charged twice", &|round| round.ledger.charged_twice().to_string()),
        row("seconds taken", &|round| format!("{:.1}", round.took.as_secs_f64())),
    ]
}

/// What was promised and not kept. Only what must hold on the slowest machine.
pub(crate) fn broken_promises(bare: &Round, recovered: &Round) -> Vec<&'static str> {
    let Letters { buried, redriven, .. } = recovered.letters;
    let promises = [
        (
            recovered.delivered() >= bare.delivered(),
            "recoup delivered fewer calls than went through without it",
        ),
        (recovered.succeeded() + buried == recovered.offered(), "a call neither succeeded nor left a letter"),
        (redriven == buried, "a letter could not be redriven to a healthy server"),
        (recovered.ledger.charged() >= recovered.delivered(), "a success was never charged"),
        (bare.ledger.charged_twice() + recovered.ledger.charged_twice() == 0, "an order was charged twice"),
    ];
    promises.into_iter().filter_map(|(kept, complaint)| (!kept).then_some(complaint)).collect()
}
