//! One panel: an axis, the faults behind it, and a line for each policy.

use std::fmt::{self, Write};

use super::legend::{Stroke, dashes};
use super::scale::{Scale, plain};
use super::{INK, LEFT, Line, RIGHT, WIDTH};

/// The room in which lines are drawn.
pub(super) const HEIGHT: f64 = 170.0;
/// The room of the title above it.
pub(super) const TITLE: f64 = 24.0;

pub(super) const BAND: &str = "#ececf3";
const RULE: &str = "#d5d5d5";

pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    /// In the order of the policies.
    pub(super) lines: Vec<Line>,
    pub(super) offered: Option<Line>,
    pub(super) capacity: Option<f64>,
}

impl Panel {
    /// Draws it with its title at `y`.
    pub(super) fn draw(
        &self,
        f: &mut fmt::Formatter<'_>,
        y: f64,
        time: &Scale,
        faults: &[(f64, f64)],
    ) -> fmt::Result {
        let (top, bottom, right) = (y + TITLE, y + TITLE + HEIGHT, WIDTH - RIGHT);
        let scale = Scale::new(self.most(), bottom, top, 4.0);
        let title = self.title;
        writeln!(f, r#"<text x="{LEFT}" y="{:.1}" font-weight="bold">{title}</text>"#, y + 15.0)?;
        for (from, to) in faults {
            let wide = (to - from).max(1.0);
            writeln!(
                f,
                r#"<rect x="{from:.1}" y="{top:.1}" width="{wide:.1}" height="{HEIGHT}" fill="{BAND}"/>"#
            )?;
        }
        for tick in scale.ticks() {
            let at = scale.at(tick);
            writeln!(f, r#"<path d="M{LEFT} {at:.1}H{right}" stroke="{RULE}"/>"#)?;
            let number = plain(tick);
            writeln!(
                f,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{number}</text>"#,
                LEFT - 8.0,
                at + 4.5
            )?;
        }
        for tick in time.ticks() {
            writeln!(f, r#"<path d="M{:.1} {bottom:.1}v5" stroke="{INK}"/>"#, time.at(tick))?;
        }
        writeln!(f, r#"<path d="M{LEFT} {top:.1}V{bottom:.1}H{right}" fill="none" stroke="{INK}"/>"#)?;
        let middle = f64::midpoint(top, bottom);
        writeln!(
            f,
            r#"<text transform="translate(18 {middle:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
            self.unit
        )?;
        if let Some(capacity) = self.capacity {
            stroke(f, &Stroke::CAPACITY, &format!("M{LEFT} {:.1}H{right}", scale.at(capacity)))?;
        }
        if let Some(offered) = &self.offered {
            stroke(f, &Stroke::OFFERED, &path(offered, time, &scale))?;
        }
        for (nth, line) in self.lines.iter().enumerate() {
            stroke(f, &Stroke::of(nth), &path(line, time, &scale))?;
        }
        Ok(())
    }

    /// The highest of all that is shown.
    fn most(&self) -> f64 {
        let numbers = self.lines.iter().chain(&self.offered).flatten().filter_map(|(_, number)| *number);
        numbers.chain(self.capacity).filter(|number| number.is_finite()).fold(0.0, f64::max)
    }
}

fn stroke(f: &mut fmt::Formatter<'_>, stroke: &Stroke, path: &str) -> fmt::Result {
    if path.is_empty() {
        return Ok(());
    }
    let Stroke { colour, wide, .. } = stroke;
    writeln!(
        f,
        r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{wide}" stroke-linejoin="round"{}/>"#,
        dashes(stroke)
    )
}

/// The line, broken where there is nothing to show.
fn path(line: &Line, time: &Scale, scale: &Scale) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for (at, number) in line {
        match number {
            Some(number) if number.is_finite() => {
                let (x, y) = (time.at(*at), scale.at(*number));
                // A point with nothing on either side is a line of no length, which round ends make visible.
                let _ = write!(path, "{pen}{x:.1} {y:.1}"); // a text takes all that is written to it
                if pen == 'M' {
                    let _ = write!(path, "h0.1");
                }
                pen = 'L';
            }
            _ => pen = 'M',
        }
    }
    path
}
