//! Prints what was found.

use std::collections::HashMap;

use crate::case::{Case, Measured};
use crate::peers::{Role, SUBJECTS, SUITES};

/// One figure: of one subject in one case.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// Nanoseconds, a ratio, bytes or allocations: what the case measures.
    pub value: f64,
    /// Instructions beside nanoseconds, or million calls in a second beside a ratio.
    pub second: Option<f64>,
    /// What is missing, or other than asked.
    pub note: String,
    /// Whether other programs kept the cores too busy for this to be trusted. Shown with a mark, and not ranked.
    pub disturbed: bool,
}

/// All figures, by the key of the case and the name of the subject.
pub type Figures = HashMap<(String, String), Figure>;

/// The row of a case, as found.
struct Row<'f> {
    case: &'f Case,
    figures: Vec<(&'static str, Role, &'f Figure)>,
}

impl<'f> Row<'f> {
    fn new(case: &'f Case, figures: &'f Figures) -> Self {
        let found = |name: &str| figures.get(&(case.key.to_owned(), name.to_owned()));
        let figures = SUBJECTS.iter().filter_map(|s| Some((s.name, s.role, found(s.name)?))).collect();
        Self { case, figures }
    }

    fn of(&self, name: &str) -> Option<&'f Figure> {
        self.figures.iter().find(|(of, ..)| *of == name).map(|(.., figure)| *figure)
    }

    fn recoup(&self) -> Option<&'f Figure> {
        self.of("recoup")
    }

    fn peers(&self) -> impl Iterator<Item = (&'static str, &'f Figure)> {
        self.figures
            .iter()
            .filter(|(_, role, _)| *role == Role::Peer)
            .map(|(name, _, figure)| (*name, *figure))
    }

    /// The best peer by what the case measures, whatever it lacks.
    fn best(&self) -> Option<(&'static str, &'f Figure)> {
        self.peers().min_by(|a, b| self.cost(a.1).total_cmp(&self.cost(b.1)))
    }

    /// The smaller, the better.
    fn cost(&self, figure: &Figure) -> f64 {
        if self.case.measured.more_is_better() { -figure.value } else { figure.value }
    }

    fn cell(&self, figure: Option<&Figure>) -> String {
        figure.map_or_else(|| "-".to_owned(), |figure| show(self.case.measured, figure))
    }
}

/// The whole report.
pub fn report(cases: &[&Case], figures: &Figures) -> String {
    let rows: Vec<Row<'_>> = cases.iter().map(|case| Row::new(case, figures)).collect();
    [main_table(&rows), everybody(&rows), not_met(&rows), not_first(&rows)].join("\n")
}

fn main_table(rows: &[Row<'_>]) -> String {
    let [seatbelt, tower_resilience] = SUITES;
    let mut table = format!(
        "| case | must | recoup | best peer | {seatbelt} | {tower_resilience} | floor |\n|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let best = row
            .best()
            .map_or_else(|| "-".into(), |(name, figure)| format!("{name} {}", row.cell(Some(figure))));
        let cells = [
            row.case.title.to_owned(),
            goal(row.case),
            format!("**{}**", row.cell(row.recoup())),
            best,
            row.cell(row.of(seatbelt)),
            row.cell(row.of(tower_resilience)),
            row.cell(row.of("floor")),
        ];
        table += &format!("| {} |\n", cells.join(" | "));
    }
    table
}

/// Those who have no column in the main table.
fn everybody(rows: &[Row<'_>]) -> String {
    let others = || SUBJECTS.iter().filter(|s| s.role == Role::Peer && !SUITES.contains(&s.name));
    let names: Vec<&str> = others().map(|s| s.name).collect();
    let mut table = format!(
        "The other peers:\n\n| case | {} |\n|---{}|\n",
        names.join(" | "),
        "|---".repeat(names.len())
    );
    for row in rows {
        let cells: Vec<String> = names.iter().map(|name| row.cell(row.of(name))).collect();
        table += &format!("| {} | {} |\n", row.case.title, cells.join(" | "));
    }
    table
}

fn not_met(rows: &[Row<'_>]) -> String {
    let mut lines = String::from("Goals that are not met:\n\n");
    let before = lines.len();
    for row in rows {
        let (Some(recoup), goal) = (row.recoup(), row.case.goal) else { continue };
        // As it is shown: what a million breakers or calls share is a thousandth of a byte of each.
        let figure = match row.case.measured {
            Measured::Idle(_) | Measured::FutureSize => recoup.value.round(),
            _ => recoup.value,
        };
        let value = goal.value.is_some_and(|bound| match row.case.measured.more_is_better() {
            true => figure < bound,
            false => figure > bound,
        });
        let instructions = goal.instructions.zip(recoup.second).is_some_and(|(most, counted)| counted > most);
        if value || instructions {
            lines +=
                &format!("- {}: {}, goal {}\n", row.case.title, row.cell(Some(recoup)), self::goal(row.case));
        }
    }
    if lines.len() == before { "All goals are met.\n".into() } else { lines }
}

fn not_first(rows: &[Row<'_>]) -> String {
    let mut lines = String::from("Where recoup is not first:\n\n");
    let before = lines.len();
    for row in rows {
        let Some(recoup) = row.recoup() else { continue };
        let counted = matches!(row.case.measured, Measured::Cost(_));
        let ahead: Vec<String> = row
            .peers()
            .filter(|(_, peer)| {
                let fewer = counted && peer.second.zip(recoup.second).is_some_and(|(peer, ours)| peer < ours);
                fewer || row.cost(peer) < row.cost(recoup)
            })
            .map(|(name, peer)| format!("{name} {}", row.cell(Some(peer))))
            .collect();
        if !ahead.is_empty() {
            let ours = row.cell(Some(recoup));
            lines += &format!("- {}: recoup {ours}; {}\n", row.case.title, ahead.join("; "));
        }
    }
    if lines.len() == before { "recoup is first everywhere.\n".into() } else { lines }
}

fn show(measured: Measured, figure: &Figure) -> String {
    let Figure { value, second, note, disturbed } = figure;
    let note = match (note.is_empty(), disturbed) {
        (_, false) => note.clone(),
        (true, true) => "cores were busy".to_owned(),
        (false, true) => format!("{note}; cores were busy"),
    };
    let shown = match (measured, second) {
        (Measured::Cost(_), None) => format!("{value:+.1} ns"),
        (Measured::Cost(_), Some(instructions)) => format!("{value:+.1} ns, {instructions:+.0} instr"),
        (Measured::Scaling(_), millions) => format!("{value:.2} × ({:.1} M/s)", millions.unwrap_or_default()),
        (Measured::InFlight, _) => format!("{value:.2} ×"),
        (Measured::FutureSize, _) => format!("op + {value:.0} B"),
        (Measured::Idle(_), _) => format!("{value:.0} B"),
        (Measured::AllocationsOnSuccess | Measured::AllocationsOnRejection, _) => format!("{value:.0}"),
    };
    if note.is_empty() { shown } else { format!("{shown} ({note})") }
}

fn goal(case: &Case) -> String {
    let value = case.goal.value.map(|bound| match case.measured {
        Measured::Cost(_) => format!("+{bound} ns"),
        Measured::Scaling(_) | Measured::InFlight => format!("{bound} ×"),
        Measured::FutureSize => format!("op + {bound} B"),
        Measured::Idle(_) => format!("{bound} B"),
        Measured::AllocationsOnSuccess | Measured::AllocationsOnRejection => format!("{bound}"),
    });
    let instructions = case.goal.instructions.map(|most| format!("+{most} instr"));
    value.into_iter().chain(instructions).collect::<Vec<_>>().join(", ")
}
