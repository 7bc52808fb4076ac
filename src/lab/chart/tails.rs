//! How long hedged requests took as a picture: a bar for each hedge, under each percentile.

use std::fmt;

use super::legend::Stroke;
use super::scale::{Scale, grouped, plain};
use super::{GREY, HEAD, INK, RIGHT, WIDTH, escaped, short};
use crate::lab::fan_out::{Tail, Tails};

/// Room for the names of the hedges.
const NAMES: f64 = 300.0;
/// Room for the number behind the longest bar.
const NUMBER: f64 = 80.0;
const BAR: f64 = 16.0;
/// From the top of one bar to the top of the next.
const ROW: f64 = 24.0;
/// The title of a panel, and the room under the last.
const TITLE: f64 = 30.0;
const FOOT: f64 = 44.0;

/// A percentile, and what a tail says of it.
type Percentile = (&'static str, fn(&Tail) -> f64);

const PERCENTILES: [Percentile; 3] = [
    ("Median", |tail| tail.latency_p50),
    ("99th percentile", |tail| tail.latency_p99),
    ("99.9th percentile", |tail| tail.latency_p999),
];

impl Tails {
    /// The figures as an SVG picture: median, 99th and 99.9th percentile, a bar for each hedge, and what it added to
    /// the load.
    ///
    /// It stands on a white ground and uses no font but what is there, so it can be put into a document as it is.
    ///
    /// ```
    /// use recoup::Hedge;
    /// use recoup::lab::{FanOut, fan_out};
    ///
    /// let mut scenario = FanOut::tail_at_scale();
    /// scenario.requests = 10;
    /// let tails = fan_out(&scenario, &[Hedge::at_quantile(0.95)], 1)?;
    /// assert!(tails.chart().starts_with("<svg"));
    /// # Ok::<(), recoup::SettingError>(())
    /// ```
    #[must_use]
    pub fn chart(&self) -> String {
        Bars(self).to_string()
    }
}

struct Bars<'a>(&'a Tails);

impl fmt::Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tails { scenario, seed, tails } = self.0;
        let panel = tails.iter().fold(TITLE, |high, _| high + ROW) + ROW / 2.0;
        let height = HEAD + 3.0 * panel + FOOT;
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="{INK}">"#
        )?;
        writeln!(f, r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##)?;
        let title = escaped(&short(&scenario.name, 80));
        writeln!(f, r#"<text x="24" y="30" font-size="20" font-weight="bold">{title}</text>"#)?;
        let [requests, servers] = [scenario.requests, scenario.servers].map(|count| grouped(count.into()));
        let rate = plain(scenario.rate);
        writeln!(
            f,
            r#"<text x="24" y="52" fill="{GREY}">{requests} requests of {servers} calls each · {rate} a second · seed {seed}</text>"#
        )?;
        let longest = tails.iter().flat_map(|tail| PERCENTILES.map(|(_, time)| time(tail)));
        let scale = Scale::new(longest.fold(0.0, f64::max), NAMES, WIDTH - RIGHT - NUMBER, 6.0);
        let mut y = HEAD;
        for (title, time) in PERCENTILES {
            writeln!(f, r#"<text x="24" y="{:.1}" font-weight="bold">{title}</text>"#, y + 18.0)?;
            bars(f, tails, y + TITLE, &scale, time)?;
            y += panel;
        }
        axis(f, y, &scale)?;
        f.write_str("</svg>\n")
    }
}

/// The bars of one percentile.
fn bars(
    f: &mut fmt::Formatter<'_>,
    tails: &[Tail],
    mut y: f64,
    scale: &Scale,
    time: fn(&Tail) -> f64,
) -> fmt::Result {
    for (nth, tail) in tails.iter().enumerate() {
        let (colour, base) = (Stroke::of(nth).colour, y + 12.5);
        let name = escaped(&format!("{} (+{:.1} %)", short(&tail.hedge, 28), tail.extra * 100.0));
        writeln!(f, r#"<text x="{:.1}" y="{base:.1}" text-anchor="end">{name}</text>"#, NAMES - 8.0)?;
        let ends = scale.at(time(tail));
        // Nothing is so short that it is not there.
        let wide = (ends - NAMES).max(1.0);
        writeln!(f, r#"<rect x="{NAMES}" y="{y:.1}" width="{wide:.1}" height="{BAR}" fill="{colour}"/>"#)?;
        writeln!(f, r#"<text x="{:.1}" y="{base:.1}">{:.3} s</text>"#, NAMES + wide + 6.0, time(tail))?;
        y += ROW;
    }
    Ok(())
}

fn axis(f: &mut fmt::Formatter<'_>, y: f64, scale: &Scale) -> fmt::Result {
    let right = WIDTH - RIGHT - NUMBER;
    writeln!(f, r#"<path d="M{NAMES} {HEAD}V{y:.1}H{right}" fill="none" stroke="{INK}"/>"#)?;
    for tick in scale.ticks() {
        let (x, number) = (scale.at(tick), plain(tick));
        writeln!(f, r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{number}</text>"#, y + 18.0)?;
    }
    let middle = f64::midpoint(NAMES, right);
    let what = "seconds; in brackets, what hedges added to the calls";
    writeln!(f, r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">{what}</text>"#, y + 37.0)
}
