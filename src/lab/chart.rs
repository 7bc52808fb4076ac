//! A report as a picture: load, goodput and latency over time, policies side by side.

mod legend;
mod panel;
mod scale;
mod tails;

use std::fmt;
use std::time::Duration;

use self::legend::Legend;
use self::panel::Panel;
use self::scale::{Scale, grouped, plain};
use super::report::{Report, Run, Sample};
use super::scenario::{FaultKind, Scenario};

const WIDTH: f64 = 960.0;
/// Room for the numbers of the upright axis, and its unit.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
/// Of the title and what stands under it.
const HEAD: f64 = 66.0;
/// From the top of one panel to the top of the next.
const PANEL: f64 = 224.0;
/// Room for the axis of time.
const FOOT: f64 = 46.0;

/// More points than this on one line are not told apart on paper.
const POINTS: usize = 800;

impl Report {
    /// The report as an SVG picture: load at the backend, goodput and latency over time, one under the other, a
    /// line for each policy, the faults shaded.
    ///
    /// It stands on a white ground and uses no font but what is there, so it can be put into a document as it is.
    /// Colours can be told apart by those who see fewer of them, and each line has a dash pattern too.
    ///
    /// ```
    /// use recoup::RetryPolicy;
    /// use recoup::lab::{Contender, Fleet, Scenario, run};
    ///
    /// let default = Contender::new("default", RetryPolicy::builder());
    /// let report = run(&Scenario::outage(Fleet::new(5, 1.0)), &[default], 1)?;
    /// assert!(report.chart().starts_with("<svg"));
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    #[must_use]
    pub fn chart(&self) -> String {
        Chart(self).to_string()
    }
}

struct Chart<'a>(&'a Report);

impl Chart<'_> {
    fn panels(&self) -> [Panel; 3] {
        let capacity = self.0.scenario.backend.capacity();
        // All policies meet the same requests, so the first tells what was offered.
        let offered = self.0.runs.first().map(|run| line(run, mean(|sample| f64::from(sample.offered))));
        let lines = |value: &dyn Fn(&[Sample]) -> Option<f64>| -> Vec<_> {
            self.0.runs.iter().map(|run| line(run, value)).collect()
        };
        [
            Panel {
                title: "Load at the backend",
                unit: "attempts / s",
                lines: lines(&mean(|sample| f64::from(sample.load))),
                offered: offered.clone(),
                capacity: Some(capacity),
            },
            Panel {
                title: "Goodput: requests that ended well, by when they were made",
                unit: "requests / s",
                lines: lines(&mean(|sample| f64::from(sample.goodput))),
                offered,
                capacity: None,
            },
            Panel {
                title: "Latency of the requests that ended well, 99th percentile",
                unit: "seconds",
                lines: lines(&|some| some.iter().filter_map(|sample| sample.latency_p99).reduce(f64::max)),
                offered: None,
                capacity: None,
            },
        ]
    }

    fn subtitle(&self) -> String {
        let Scenario { fleet, faults, .. } = &self.0.scenario;
        let seconds = |span: Duration| plain(span.as_secs_f64());
        let (clients, rate) = (grouped(f64::from(fleet.clients)), plain(fleet.rate_per_client));
        let fleet = format!("{clients} clients × {rate}/s");
        let faults = faults.iter().map(|fault| {
            format!("{} from {} s for {} s", kind(fault.kind), seconds(fault.from), seconds(fault.lasting))
        });
        let seed = format!("seed {}", self.0.seed);
        let parts: Vec<String> = std::iter::once(fleet).chain(faults).chain([seed]).collect();
        parts.join(" · ")
    }
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let names: Vec<&str> = report.runs.iter().map(|run| run.policy.as_str()).collect();
        let legend = Legend::new(&names, !report.scenario.faults.is_empty(), WIDTH - LEFT - RIGHT);
        let panels = self.panels();
        let top = HEAD + legend.height();
        let bottom = panels.iter().fold(top, |bottom, _| bottom + PANEL);
        let height = bottom + FOOT - (PANEL - panel::HEIGHT - panel::TITLE);
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="{INK}">"#
        )?;
        writeln!(f, r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##)?;
        let title = escaped(&short(&report.scenario.name, 80));
        writeln!(f, r#"<text x="{LEFT}" y="30" font-size="20" font-weight="bold">{title}</text>"#)?;
        let subtitle = escaped(&short(&self.subtitle(), 125));
        writeln!(f, r#"<text x="{LEFT}" y="52" fill="{GREY}">{subtitle}</text>"#)?;
        legend.draw(f, LEFT, HEAD)?;
        let whole = report.scenario.ends().as_secs_f64();
        let time = Scale::new(whole, LEFT, WIDTH - RIGHT, 10.0).ending_at(whole);
        let faults: Vec<(f64, f64)> = report
            .scenario
            .faults
            .iter()
            .map(|fault| (time.at(fault.from.as_secs_f64()), time.at(fault.ends().as_secs_f64())))
            .collect();
        let mut y = top;
        for panel in &panels {
            panel.draw(f, y, &time, &faults)?;
            y += PANEL;
        }
        let axis = y - PANEL + panel::TITLE + panel::HEIGHT;
        for tick in time.ticks() {
            let x = time.at(tick);
            writeln!(
                f,
                r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                axis + 18.0,
                plain(tick)
            )?;
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        writeln!(
            f,
            r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">seconds from the start of the run</text>"#,
            axis + 37.0
        )?;
        f.write_str("</svg>\n")
    }
}

const INK: &str = "#222222";
const GREY: &str = "#555555";

/// One policy's line: when, and how much, if there is anything to show.
type Line = Vec<(f64, Option<f64>)>;

fn line(run: &Run, value: impl Fn(&[Sample]) -> Option<f64>) -> Line {
    let step = run.series.len().div_ceil(POINTS).max(1);
    run.series.chunks(step).map(|some| (some[0].at, value(some))).collect()
}

fn mean(value: impl Fn(&Sample) -> f64) -> impl Fn(&[Sample]) -> Option<f64> {
    move |some| {
        let count = some.iter().fold(0.0, |count, _| count + 1.0);
        Some(some.iter().map(&value).sum::<f64>() / count)
    }
}

fn kind(kind: FaultKind) -> String {
    match kind {
        FaultKind::Outage => "outage".to_owned(),
        FaultKind::BlackHole => "black hole".to_owned(),
        FaultKind::Spike { factor } => format!("spike of {} × capacity", plain(factor)),
        FaultKind::Errors { share } => format!("{} % errors", plain(share * 100.0)),
        FaultKind::Losses { share } => format!("{} % lost calls", plain(share * 100.0)),
        FaultKind::Brownout { factor } => format!("brownout, {} × service time", plain(factor)),
        FaultKind::DeadShards { shards } => format!("{shards} dead shards"),
    }
}

/// As many characters of a text as fit.
fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A text as XML can carry it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML has no way to write most of these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
