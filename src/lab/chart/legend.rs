//! Which line is which policy's.

use std::fmt;

use super::{escaped, short};

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) colour: &'static str,
    pub(super) dash: &'static str,
    pub(super) wide: f64,
}

/// Told apart by those who see fewer colours, and in grey: Okabe and Ito, "Color Universal Design", 2008, without
/// the yellow, which is lost on white.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9"];

/// As many as have no divisor in common with the colours, so that 35 lines differ.
const DASHES: [&str; 5] = ["", "9 3", "3 3", "12 3 3 3", "6 2 2 2 2 2"];

impl Stroke {
    pub(super) const OFFERED: Self = Self { colour: "#444444", dash: "1 3", wide: 1.6 };
    pub(super) const CAPACITY: Self = Self { colour: "#888888", dash: "", wide: 1.0 };

    /// Of the policy with this number.
    pub(super) fn of(nth: usize) -> Self {
        Self { colour: COLOURS[nth % COLOURS.len()], dash: DASHES[nth % DASHES.len()], wide: 1.8 }
    }
}

/// The attribute for the dashes of a stroke, if it has any.
pub(super) fn dashes(stroke: &Stroke) -> String {
    match stroke.dash {
        "" => String::new(),
        dash => format!(r#" stroke-dasharray="{dash}""#),
    }
}

const LINE: f64 = 22.0;
/// Of the stroke that is shown, and of the gaps beside its name.
const SAMPLE: f64 = 34.0;
const GAP: f64 = 8.0;
/// More than the mean width of a letter, so that nothing overlaps in any font.
const LETTER: f64 = 7.6;
const LONGEST: usize = 40;

enum Shown {
    Line(Stroke),
    Band,
}

/// Samples with their names, from left to right and on as many lines as it takes.
pub(super) struct Legend(Vec<(f64, f64, Shown, String)>, f64);

impl Legend {
    pub(super) fn new(policies: &[&str], has_faults: bool, width: f64) -> Self {
        let mut entries: Vec<(Shown, String)> = policies
            .iter()
            .enumerate()
            .map(|(nth, name)| (Shown::Line(Stroke::of(nth)), short(name, LONGEST)))
            .collect();
        entries.push((Shown::Line(Stroke::OFFERED), "offered".to_owned()));
        entries.push((Shown::Line(Stroke::CAPACITY), "capacity".to_owned()));
        if has_faults {
            entries.push((Shown::Band, "fault".to_owned()));
        }
        let (mut x, mut y, mut placed) = (0.0, 0.0, Vec::new());
        for (shown, name) in entries {
            let wide = name.chars().fold(SAMPLE + 3.0 * GAP, |wide, _| wide + LETTER);
            if x > 0.0 && x + wide > width {
                (x, y) = (0.0, y + LINE);
            }
            placed.push((x, y, shown, name));
            x += wide;
        }
        Self(placed, y + LINE)
    }

    pub(super) fn height(&self) -> f64 {
        self.1 + GAP
    }

    pub(super) fn draw(&self, f: &mut fmt::Formatter<'_>, left: f64, top: f64) -> fmt::Result {
        for (x, y, shown, name) in &self.0 {
            let (x, y) = (left + x, top + y + LINE / 2.0);
            match shown {
                Shown::Line(stroke) => writeln!(
                    f,
                    r#"<path d="M{x:.1} {y:.1}h{SAMPLE}" stroke="{}" stroke-width="{}"{}/>"#,
                    stroke.colour,
                    stroke.wide,
                    dashes(stroke)
                )?,
                Shown::Band => writeln!(
                    f,
                    r#"<rect x="{x:.1}" y="{:.1}" width="{SAMPLE}" height="12" fill="{}"/>"#,
                    y - 6.0,
                    super::panel::BAND
                )?,
            }
            let name = escaped(name);
            writeln!(f, r#"<text x="{:.1}" y="{:.1}">{name}</text>"#, x + SAMPLE + GAP, y + 4.5)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_five_policies_are_drawn_differently() {
        let strokes: Vec<Stroke> = (0..35).map(Stroke::of).collect();
        for (at, stroke) in strokes.iter().enumerate() {
            assert!(!strokes[..at].contains(stroke), "{at}");
        }
    }

    #[test]
    fn no_name_of_a_legend_stands_on_another() {
        let names = ["a", "a policy with a rather long name", "b", &"w".repeat(200), "c", "d", "e", "f", "g"];
        let legend = Legend::new(&names, true, 800.0);
        for pair in legend.0.windows(2) {
            let (x, y, _, name) = &pair[0];
            let letters = name.chars().fold(0.0, |wide, _| wide + LETTER);
            assert!(pair[1].1 > *y || pair[1].0 >= x + SAMPLE + GAP + letters, "{name}");
            assert!(x + SAMPLE + GAP + letters <= 800.0, "{name}");
        }
        assert!(legend.height() > 2.0 * LINE);
    }
}
