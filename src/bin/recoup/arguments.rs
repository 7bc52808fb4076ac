//! What the command is told on its line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use recoup::lab::{Contender, Fleet};

use crate::dlq::Asked;
use crate::named::{self, Subject};
use crate::problem::Problem;

pub(crate) const LAB_HELP: &str = "\
See what policies do to a backend in trouble, in a simulated fleet of clients.

Usage: recoup lab [options]             scenarios, a table for each
       recoup lab regret [options]      many faults by chance, one table for all

Without --scenario it runs outage, spike, errors and brownout over three fleets, and hedging.

  --scenario NAME|FILE   outage, spike, errors, brownout, contention, hedging, or a TOML file; may be repeated
                         (contention and hedging compare backoffs and hedges of their own)
  --all                  those five; what happens without --scenario
  --fleet LIST           clients x requests per second of each, as 5000x1,50x100
                         [5000x1 with --scenario, 5000x1,50x100,1000000x0.005 without; a file names its own]
  --policy FILE          a policy of your own from a TOML file; may be repeated
  --against LIST         what to compare with:
                           default       what recoup does if nothing else is said
                           none          one attempt, and no other
                           full-jitter   three retries after full jitter, and nothing that holds them back
                           token-budget  the same, a tenth of a retry for each success
                           finagle       the same, within Finagle's budget
                           grpc          the same, under gRPC's throttling
                           aws           the same, within the quota of the AWS SDKs
                           envoy         the same, within Envoy's budget
                           sre           the same, under the SRE book's client throttling
                           aws-adaptive  the same, under the AWS SDKs' adaptive rate
                           breaker-calls the same, under a breaker over the last 100 calls
                           breaker-time  the same, under a breaker over the last 30 s
                         [default,none,full-jitter,finagle,grpc,breaker-calls; regret: all of them]
  --seed N               of all that is left to chance; the same seed gives the same report [1]
  --draws N              regret: how many faults [100]
  --json FILE            write the reports down as a JSON list
  --charts DIR           write an SVG picture of each report into this folder
  --quiet                say nothing that is not wrong
  --help                 this

Exit codes: 0 done, 1 a file could not be written, 2 asked for what cannot be, with a line that names it.

Examples: recoup lab --scenario spike --charts charts
          recoup lab --scenario mine.toml --policy careful.toml --against default,none
";

/// The fleets over which all scenarios are run.
const FLEETS: [(u32, f64); 3] = [(5_000, 1.0), (50, 100.0), (1_000_000, 0.005)];

/// The most faults by chance: a day's work.
const MOST_DRAWS: u32 = 100_000;

#[derive(Debug)]
pub(crate) enum Order {
    Help,
    LabHelp,
    Version,
    Lab(Lab),
    Dlq(Asked),
}

#[derive(Debug)]
pub(crate) enum Lab {
    Scenarios(Wanted),
    Regret(Wanted),
}

/// What is to be run, and where what came of it goes.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) seed: u64,
    pub(crate) draws: u32,
    pub(crate) json: Option<PathBuf>,
    pub(crate) charts: Option<PathBuf>,
    pub(crate) quiet: bool,
}

/// The options as they were said.
#[derive(Debug, Default)]
struct Said {
    regret: bool,
    all: bool,
    scenarios: Vec<String>,
    fleets: Option<Vec<Fleet>>,
    policies: Vec<PathBuf>,
    against: Option<Vec<Contender>>,
    seed: Option<u64>,
    draws: Option<u32>,
    json: Option<PathBuf>,
    charts: Option<PathBuf>,
    quiet: bool,
}

impl Order {
    pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, Problem> {
        let mut parser = Parser::from_args(arguments);
        match parser.next()? {
            None | Some(Arg::Long("help") | Arg::Short('h')) => Ok(Self::Help),
            Some(Arg::Long("version") | Arg::Short('V')) => Ok(Self::Version),
            Some(Arg::Value(word)) if word == "help" => Ok(Self::Help),
            Some(Arg::Value(word)) if word == "lab" => match Said::read(&mut parser)? {
                None => Ok(Self::LabHelp),
                Some(said) => said.understood().map(Self::Lab),
            },
            Some(Arg::Value(word)) if word == "dlq" => Asked::read(&mut parser).map(Self::Dlq),
            Some(other) => {
                Err(Problem::Bad(format!("{}; `recoup --help` says what there is", other.unexpected())))
            }
        }
    }
}

impl Said {
    /// `None` for who asks for help.
    fn read(parser: &mut Parser) -> Result<Option<Self>, Problem> {
        let mut said = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Value(word) if word == "regret" && !said.regret => said.regret = true,
                Arg::Long("all") => said.all = true,
                Arg::Long("scenario") => said.scenarios.push(parser.value()?.string()?),
                Arg::Long("fleet") => said.fleets = Some(named::fleets(&parser.value()?.string()?)?),
                Arg::Long("policy") => said.policies.push(parser.value()?.into()),
                Arg::Long("against") => said.against = Some(named::contenders(&parser.value()?.string()?)?),
                Arg::Long("seed") => said.seed = Some(number("--seed", &parser.value()?.string()?)?),
                Arg::Long("draws") => said.draws = Some(number("--draws", &parser.value()?.string()?)?),
                Arg::Long("json") => said.json = Some(parser.value()?.into()),
                Arg::Long("charts") => said.charts = Some(parser.value()?.into()),
                Arg::Long("quiet") | Arg::Short('q') => said.quiet = true,
                other => {
                    let what = other.unexpected();
                    return Err(Problem::Bad(format!("{what}; `recoup lab --help` says what there is")));
                }
            }
        }
        Ok(Some(said))
    }

    fn understood(self) -> Result<Lab, Problem> {
        self.fits_together()?;
        let draws = self.draws.unwrap_or(100);
        if !(1..=MOST_DRAWS).contains(&draws) {
            return Err(Problem::bad("--draws", format_args!("{draws} is not from 1 to {MOST_DRAWS}")));
        }
        let mut contenders = Vec::new();
        for path in &self.policies {
            contenders.push(named::policy(path)?);
        }
        let usual = || if self.regret { Contender::references() } else { named::usual() };
        contenders.extend(self.against.unwrap_or_else(usual));
        let subjects = match (self.regret, self.scenarios.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => {
                let usual = || FLEETS.iter().map(|&(clients, rate)| Fleet::new(clients, rate)).collect();
                named::all(&self.fleets.unwrap_or_else(usual))?
            }
            (false, false) => named::subjects(&self.scenarios, self.fleets.as_deref())?,
        };
        let wanted = Wanted {
            subjects,
            contenders,
            seed: self.seed.unwrap_or(1),
            draws,
            json: self.json,
            charts: self.charts,
            quiet: self.quiet,
        };
        Ok(if self.regret { Lab::Regret(wanted) } else { Lab::Scenarios(wanted) })
    }

    /// Options that say nothing together are refused, so that nobody believes they did.
    fn fits_together(&self) -> Result<(), Problem> {
        let scenarios = !self.scenarios.is_empty();
        let only =
            |these: &[&str]| scenarios && self.scenarios.iter().all(|name| these.contains(&name.as_str()));
        let (writers, apart) = (only(&[named::CONTENTION]), only(&[named::CONTENTION, named::HEDGING]));
        let policies = self.against.is_some() || !self.policies.is_empty();
        let clash = [
            ("--charts", self.charts.is_some() && writers, "not with contention, which has no pictures"),
            (
                "--policy",
                policies && apart,
                "not with contention or hedging, nor --against: they have what they compare",
            ),
            ("--all", self.all && (scenarios || self.regret), "not with --scenario, nor with regret"),
            ("--scenario", scenarios && self.regret, "not with regret, which draws its own"),
            ("--fleet", self.fleets.is_some() && self.regret, "not with regret, which draws its own"),
            ("--charts", self.charts.is_some() && self.regret, "not with regret, which has no pictures"),
            ("--draws", self.draws.is_some() && !self.regret, "only with `recoup lab regret`"),
        ];
        match clash.iter().find(|(_, clashes, _)| *clashes) {
            Some((option, _, why)) => Err(Problem::bad(option, why)),
            None => Ok(()),
        }
    }
}

fn number<T: std::str::FromStr>(option: &str, said: &str) -> Result<T, Problem> {
    said.parse()
        .map_err(|_| Problem::bad(option, format_args!("{said:?} is no whole number from 0 up that fits")))
}
