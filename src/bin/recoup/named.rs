//! Scenarios, fleets and policies by their names.

use std::fs;
use std::path::Path;
use std::time::Duration;

use recoup::HedgeBuilder;
use recoup::lab::{Backend, Contender, FanOut, Fleet, Scenario};

use crate::hedges;
use crate::problem::Problem;

/// What a policy is tried on.
#[derive(Debug)]
pub(crate) enum Subject {
    Scenario(Box<Scenario>),
    /// S1, whose writers have backoffs and no other policy.
    Contention,
    /// S6, whose calls have hedges and no other policy.
    FanOut(Box<FanOut>, Vec<HedgeBuilder>),
}

type Ready = fn(Fleet) -> Scenario;

const READY: [(&str, Ready); 4] = [
    ("outage", Scenario::outage),
    ("spike", Scenario::spike),
    ("errors", Scenario::errors),
    ("brownout", Scenario::brownout),
];

pub(crate) const CONTENTION: &str = "contention";
pub(crate) const HEDGING: &str = "hedging";

type Named = fn() -> Contender;

const CONTENDERS: [(&str, Named); 12] = [
    ("default", Contender::adaptive),
    ("none", Contender::no_retry),
    ("full-jitter", Contender::full_jitter),
    ("token-budget", Contender::token_budget),
    ("finagle", Contender::finagle),
    ("grpc", Contender::grpc),
    ("aws", Contender::aws_standard),
    ("envoy", Contender::envoy),
    ("sre", Contender::sre),
    ("aws-adaptive", Contender::aws_adaptive),
    ("breaker-calls", Contender::breaker_of_calls),
    ("breaker-time", Contender::breaker_of_time),
];

/// What scenarios are run with if nobody says otherwise: few enough to be looked at.
pub(crate) fn usual() -> Vec<Contender> {
    vec![
        Contender::adaptive(),
        Contender::no_retry(),
        Contender::full_jitter(),
        Contender::finagle(),
        Contender::grpc(),
        Contender::breaker_of_calls(),
    ]
}

/// The policies of a list of names.
pub(crate) fn contenders(list: &str) -> Result<Vec<Contender>, Problem> {
    let one = |name: &str| {
        let known = CONTENDERS.iter().find(|(known, _)| *known == name);
        known.map(|(_, contender)| contender()).ok_or_else(|| {
            let known = CONTENDERS.map(|(known, _)| known).join(", ");
            Problem::bad("--against", format_args!("{name:?} is none of {known}"))
        })
    };
    list.split(',').map(|name| one(name.trim())).collect()
}

/// The fleets of a list like `5000x1,50x100`.
pub(crate) fn fleets(list: &str) -> Result<Vec<Fleet>, Problem> {
    list.split(',').map(|fleet| one_fleet(fleet.trim())).collect()
}

fn one_fleet(said: &str) -> Result<Fleet, Problem> {
    let refused = |why: &str| Problem::bad("--fleet", format_args!("{said:?}: {why}"));
    let Some((clients, rate)) = said.split_once('x') else {
        return Err(refused("must be clients x requests per second of each, as 5000x1"));
    };
    let clients: u64 = clients.trim().parse().map_err(|_| refused("`clients` must be a whole number"))?;
    let clients = u32::try_from(clients).map_err(|_| refused("`clients` do not fit into memory"))?;
    let rate = rate.trim().parse().map_err(|_| refused("`rate_per_client` must be a number"))?;
    let fleet = Fleet::new(clients, rate);
    // With a backend that nobody can object to, so that it is the fleet that is named.
    let mut quiet = Scenario::quiet(fleet);
    quiet.backend = Backend::new(1, Duration::from_millis(10));
    quiet.check().map_err(|error| refused(&error.to_string()))?;
    Ok(fleet)
}

/// Every ready scenario over every fleet, and what is hedged.
pub(crate) fn all(fleets: &[Fleet]) -> Result<Vec<Subject>, Problem> {
    let mut all = subjects(&READY.map(|(name, _)| name.to_owned()), Some(fleets))?;
    all.extend(hedges::subjects());
    Ok(all)
}

/// The scenarios of these names and files, over these fleets.
pub(crate) fn subjects(names: &[String], fleets: Option<&[Fleet]>) -> Result<Vec<Subject>, Problem> {
    let mut subjects = Vec::new();
    for name in names {
        if let Some((_, ready)) = READY.iter().find(|(ready, _)| ready == name) {
            for fleet in fleets.unwrap_or(&[Fleet::new(5_000, 1.0)]) {
                let scenario = ready(*fleet);
                scenario.check()?;
                subjects.push(Subject::Scenario(Box::new(scenario)));
            }
            continue;
        }
        if fleets.is_some() {
            let why =
                format_args!("not with {name:?}, which has its own; name outage, spike, errors or brownout");
            return Err(Problem::bad("--fleet", why));
        }
        match name.as_str() {
            CONTENTION => subjects.push(Subject::Contention),
            HEDGING => subjects.extend(hedges::subjects()),
            _ => subjects.push(file(name)?),
        }
    }
    Ok(subjects)
}

fn file(name: &str) -> Result<Subject, Problem> {
    let path = Path::new(name);
    let text = fs::read_to_string(path).map_err(|error| {
        let ready = READY.map(|(ready, _)| ready).join(", ");
        Problem::bad(
            "--scenario",
            format_args!("{name:?} is none of {ready}, {CONTENTION}, {HEDGING}, and no file: {error}"),
        )
    })?;
    let scenario = Scenario::from_toml(&text).map_err(|error| Problem::in_file(path, &error))?;
    Ok(Subject::Scenario(Box::new(scenario)))
}

/// The policy of a file, by the file's name unless it has another.
pub(crate) fn policy(path: &Path) -> Result<Contender, Problem> {
    let text = fs::read_to_string(path)
        .map_err(|error| Problem::bad("--policy", format_args!("{}: {error}", path.display())))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Contender::from_toml(name, &text).map_err(|error| Problem::in_file(path, &error))
}
