//! What is to be seen while it happens: a few lines drawn over and over on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use recoup::{CircuitState, Event, Observer};
use tokio::time::timeout;

use crate::Payments;
use crate::load::{SLICE, Side, Tally};
use crate::script::{SCENES, Script, length};

/// Watches the calls and policies of a recovery, and hands on what is worth a line.
///
/// An observer is called in the middle of a call: it counts, and leaves the printing to others.
pub(crate) struct Watch {
    rejected: AtomicU32,
    letters: AtomicU32,
    script: Script,
    news: mpsc::Sender<String>,
}

impl Watch {
    /// A watcher, and where its news arrive.
    pub(crate) fn new(script: Script) -> (Arc<Self>, mpsc::Receiver<String>) {
        let (news, arriving) = mpsc::channel();
        let (rejected, letters) = Default::default();
        (Arc::new(Self { rejected, letters, script, news }), arriving)
    }
}

impl Observer for Watch {
    fn on_event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Rejected { .. } => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Event::LetterBuried { .. } => {
                self.letters.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Event::CircuitOpened { trip, open_for, .. } => {
                format!("circuit opened for {open_for:.1?}: {trip}")
            }
            Event::CircuitHalfOpened { .. } => "circuit half-open: a few probes go out".to_owned(),
            Event::CircuitClosed { .. } => "circuit closed".to_owned(),
            _ => return,
        };
        let _unread = self.news.send(format!("{}  {line}", time(self.script)));
    }
}

/// Where everything is shown.
pub(crate) struct Screen<'a> {
    pub(crate) script: Script,
    pub(crate) sides: [&'a Side; 2],
    pub(crate) payments: &'a Payments,
    pub(crate) watch: &'a Watch,
    pub(crate) news: &'a mpsc::Receiver<String>,
}

impl Screen<'_> {
    /// Shows how things stand, again and again, while `work` goes on.
    pub(crate) async fn show_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let terminal = io::stdout().is_terminal();
        let pause = Duration::from_millis(if terminal { 100 } else { 500 });
        let mut drawn = 0;
        loop {
            let done = timeout(pause, &mut work).await;
            drawn = self.draw(terminal, drawn);
            if let Ok(result) = done {
                return result;
            }
        }
    }

    /// Writes the news, and below them how things stand. Says how many lines can be drawn over.
    fn draw(&self, terminal: bool, drawn: usize) -> usize {
        let lines = if terminal { self.block() } else { vec![self.line()] };
        // Up over what was drawn, and away with it.
        let mut text = if drawn > 0 { format!("\x1b[{drawn}A\x1b[J") } else { String::new() };
        let drawn = if terminal { lines.len() } else { 0 };
        for line in self.news.try_iter().chain(lines) {
            text.push_str(&line);
            text.push('\n');
        }
        // One write, so that it does not flicker. That the reader has left ends nothing.
        let _left = io::stdout().lock().write_all(text.as_bytes());
        drawn
    }

    /// For a terminal, at most 80 columns wide: a line that wraps could not be drawn over.
    fn block(&self) -> Vec<String> {
        let now = self.script.scene();
        let scenes = SCENES.iter().enumerate().map(|(scene, (phase, _))| {
            let (on, off) = if scene == now { ("\x1b[7m ", " \x1b[0m") } else { ("", "") };
            format!("{on}{}{off}", phase.name())
        });
        let scenes = scenes.collect::<Vec<_>>().join(" › ");
        let mut lines = vec![String::new(), format!("{}  {scenes}", time(self.script))];
        lines.extend(self.sides.iter().map(|Side { name, tally, client, .. }| {
            let (good, bad) = (load(&tally.succeeded), load(&tally.failed));
            let attempts = client.all_attempts();
            format!("{name:>8}  {}  ok {good:>3}  failed {bad:>3}  attempts {attempts:>3}", spark(tally))
        }));
        lines.push(format!("{:>8}  {}", "", self.policies()));
        lines
    }

    /// For anything else.
    fn line(&self) -> String {
        let [bare, with] = self.sides.map(|Side { name, tally, client, .. }| {
            let (good, bad) = (load(&tally.succeeded), load(&tally.failed));
            format!("{name}: ok {good:>3} failed {bad:>3} attempts {:>3}", client.all_attempts())
        });
        format!(
            "{}  {:<7}  {bare}  {with}  {}",
            time(self.script),
            self.script.phase().name(),
            self.policies()
        )
    }

    /// How the policies stand.
    fn policies(&self) -> String {
        let circuit = match self.payments.circuit_breaker().map(recoup::CircuitBreaker::state) {
            Some(CircuitState::Open) => "OPEN",
            Some(CircuitState::HalfOpen) => "half-open",
            _ => "closed",
        };
        // A call that waits, for whatever reason, holds no slot.
        let running = self.payments.bulkhead().map_or(0, recoup::Bulkhead::in_use);
        let waiting = (self.sides[1].tally.open() as usize).saturating_sub(running);
        let budget = self.payments.retry_budget().map_or(0, recoup::RetryBudget::tokens);
        let (rejected, letters) = (load(&self.watch.rejected), load(&self.watch.letters));
        format!(
            "circuit {circuit}  waiting {waiting}  rejected {rejected}  letters {letters}  budget {budget}"
        )
    }
}

fn load(count: &AtomicU32) -> u32 {
    count.load(Ordering::Relaxed)
}

fn time(script: Script) -> String {
    format!("{:>6.1} s", script.elapsed().as_secs_f64())
}

/// A bar for each half second: the share of the calls offered in it that succeeded so far.
fn spark(tally: &Tally) -> String {
    const BARS: [char; 9] = ['▁', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let slices = length().as_millis().div_ceil(SLICE.as_millis()) as usize;
    let bar = |(good, bad): &(AtomicU32, AtomicU32)| match (load(good), load(bad)) {
        (0, 0) => '·',
        (good, bad) => BARS[(good * 8 / (good + bad)) as usize],
    };
    tally.slices.iter().take(slices).map(bar).collect()
}
