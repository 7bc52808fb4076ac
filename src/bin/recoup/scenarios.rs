//! Runs scenarios, and says what came of them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use recoup::SettingError;
use recoup::lab::{self, Report, Tails};

use crate::arguments::Wanted;
use crate::bar::Bar;
use crate::named::Subject;
use crate::problem::Problem;
use crate::writers;

/// Runs what is wanted and tells it, in order, each as soon as it is there.
pub(crate) fn run(wanted: &Wanted, out: &mut impl Write) -> Result<(), Problem> {
    let mut output = Output::open(wanted)?;
    // One job is one policy in one scenario, so that all cores have something to do until the end.
    let jobs: Vec<(usize, usize)> = (0..wanted.subjects.len())
        .flat_map(|subject| {
            let many = match &wanted.subjects[subject] {
                Subject::Scenario(_) => wanted.contenders.len(),
                Subject::Contention => 1,
                Subject::FanOut(_, hedges) => hedges.len(),
            };
            (0..many).map(move |contender| (subject, contender))
        })
        .collect();
    let mut bar = Bar::new(jobs.len(), wanted.quiet);
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        for _ in 0..threads {
            let (tell, next, jobs) = (tell.clone(), &next, &jobs);
            scope.spawn(move || {
                while let Some(&(subject, contender)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut told = 0.0;
                    let came = job(wanted, subject, contender, |share| {
                        // In steps that a bar can show; who has stopped listening needs no more of them.
                        if share - told >= 0.05 {
                            let _ = tell.send(Told::More(share - told));
                            told = share;
                        }
                    });
                    if tell.send(Told::Done(subject, contender, 1.0 - told, came)).is_err() {
                        return; // something went wrong, and nobody listens any more
                    }
                }
            });
        }
        drop(tell);
        let mut waiting: Vec<Vec<Option<Came>>> = Vec::new();
        waiting.resize_with(wanted.subjects.len(), Vec::new);
        for (subject, contender) in &jobs {
            waiting[*subject].resize_with(contender + 1, || None);
        }
        let mut ready = 0;
        for told in told {
            let (subject, contender, share, came) = match told {
                Told::More(share) => {
                    bar.step(share, "");
                    continue;
                }
                Told::Done(subject, contender, share, came) => (subject, contender, share, came?),
            };
            bar.step(share, &came.name());
            waiting[subject][contender] = Some(came);
            while ready < waiting.len() && waiting[ready].iter().all(Option::is_some) {
                let parts = std::mem::take(&mut waiting[ready]).into_iter().flatten();
                if let Some(whole) = parts.reduce(Came::and) {
                    bar.hide();
                    output.tell(&whole, ready, out)?;
                }
                ready += 1;
            }
        }
        Ok::<(), Problem>(())
    })?;
    output.close()
}

/// What a worker tells.
enum Told {
    /// How much more of its job is done.
    More(f64),
    /// What came of which job, and how much of it was not told before.
    Done(usize, usize, f64, Result<Came, SettingError>),
}

/// What came of a subject, or of one policy in it.
enum Came {
    Report(Box<Report>),
    Contention(writers::Table),
    Tails(Box<Tails>),
}

fn job(
    wanted: &Wanted,
    subject: usize,
    contender: usize,
    tell: impl FnMut(f64),
) -> Result<Came, SettingError> {
    match &wanted.subjects[subject] {
        Subject::Scenario(scenario) => {
            let contenders = &wanted.contenders[contender..=contender];
            lab::run_told(scenario, contenders, wanted.seed, tell)
                .map(|report| Came::Report(Box::new(report)))
        }
        Subject::Contention => writers::run(wanted.seed).map(Came::Contention),
        Subject::FanOut(scenario, hedges) => {
            let hedges = &hedges[contender..=contender];
            lab::fan_out_told(scenario, hedges, wanted.seed, tell).map(|tails| Came::Tails(Box::new(tails)))
        }
    }
}

impl Came {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Report(mut all), Self::Report(one)) => {
                all.runs.extend(one.runs);
                Self::Report(all)
            }
            (Self::Tails(mut all), Self::Tails(one)) => {
                all.tails.extend(one.tails);
                Self::Tails(all)
            }
            (came, _) => came,
        }
    }

    /// A name for its picture, and the picture, if it has one.
    fn picture(&self) -> Option<(String, String)> {
        match self {
            Self::Report(report) => {
                let fleet = &report.scenario.fleet;
                let name = format!(
                    "{}-{}x{}",
                    file_name(&report.scenario.name),
                    fleet.clients,
                    fleet.rate_per_client
                );
                Some((name, report.chart()))
            }
            Self::Tails(tails) => Some((file_name(&tails.scenario.name), tails.chart())),
            Self::Contention(_) => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Report(report) => {
                let policy = report.runs.first().map_or("", |run| run.policy.as_str());
                format!("{}: {policy}", report.scenario.name)
            }
            Self::Contention(_) => "contention".to_owned(),
            Self::Tails(tails) => {
                let hedge = tails.tails.first().map_or("", |tail| tail.hedge.as_str());
                format!("{}: {hedge}", tails.scenario.name)
            }
        }
    }
}

/// Where it goes. Files are opened before anything is run: who cannot write should know at once.
struct Output<'a> {
    wanted: &'a Wanted,
    json: Option<(&'a Path, File)>,
    reports: Vec<String>,
    charts: Vec<PathBuf>,
    tables: usize,
}

impl<'a> Output<'a> {
    fn open(wanted: &'a Wanted) -> Result<Self, Problem> {
        if let Some(folder) = &wanted.charts {
            fs::create_dir_all(folder).map_err(|error| Problem::Write(folder.clone(), error))?;
        }
        let json = wanted.json.as_deref().map(open).transpose()?;
        Ok(Self { wanted, json, reports: Vec::new(), charts: Vec::new(), tables: 0 })
    }

    fn tell(&mut self, came: &Came, subject: usize, out: &mut impl Write) -> Result<(), Problem> {
        let (table, json) = match came {
            Came::Report(report) => (report.to_string(), self.json.is_some().then(|| report.to_json())),
            Came::Contention(table) => (table.to_string(), self.json.is_some().then(|| table.to_json())),
            Came::Tails(tails) => (tails.to_string(), self.json.is_some().then(|| tails.to_json())),
        };
        self.reports.extend(json);
        if let Some(folder) = &self.wanted.charts
            && let Some((name, chart)) = came.picture()
        {
            let mut path = folder.join(format!("{name}.svg"));
            if self.charts.contains(&path) {
                path = folder.join(format!("{name}-{}.svg", subject + 1));
            }
            fs::write(&path, chart).map_err(|error| Problem::Write(path.clone(), error))?;
            self.charts.push(path);
        }
        if self.wanted.quiet {
            return Ok(());
        }
        let gap = if self.tables > 0 { "\n" } else { "" };
        self.tables += 1;
        writeln!(out, "{gap}{table}").and_then(|()| out.flush()).map_err(Problem::Output)
    }

    fn close(self) -> Result<(), Problem> {
        match self.json {
            Some((path, file)) => write_list(path, file, &self.reports),
            None => Ok(()),
        }
    }
}

pub(crate) fn open(path: &Path) -> Result<(&Path, File), Problem> {
    File::create(path).map(|file| (path, file)).map_err(|error| Problem::Write(path.to_owned(), error))
}

/// Writes down a list, one entry on a line.
pub(crate) fn write_list(path: &Path, mut file: File, entries: &[String]) -> Result<(), Problem> {
    let written = writeln!(file, "[{}]", entries.join(",\n"));
    written.map_err(|error| Problem::Write(path.to_owned(), error))
}

/// Of letters and digits, whatever the scenario is called.
fn file_name(scenario: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = scenario.chars().take(60).map(safe).collect();
    name.trim_start_matches('.').to_owned()
}
