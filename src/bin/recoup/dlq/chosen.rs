//! Which letters are meant, as it was said on the line.

use std::time::{Duration, SystemTime};

use recoup::{Category, DeadReason, Fingerprint, LetterFilter, LetterId, LetterState};

use crate::problem::Problem;

pub(crate) const STATES: [(&str, LetterState); 3] = [
    ("ready", LetterState::Ready),
    ("leased", LetterState::Leased),
    ("quarantined", LetterState::Quarantined),
];

/// The letters that are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    filter: LetterFilter,
    /// What was said, to say it back.
    words: Vec<String>,
    state: Option<State>,
    id: Option<LetterId>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Any,
    Only(LetterState),
}

impl Chosen {
    /// Whether the option is one of these, and if so, what it says.
    pub(crate) fn take(&mut self, option: &str, said: &str) -> Result<(), Problem> {
        let filter = std::mem::take(&mut self.filter);
        let bad = |why: String| Problem::bad(&format!("--{option}"), why);
        self.filter = match option {
            "destination" => filter.destination(said),
            "operation" => filter.operation(said),
            "category" => {
                filter.category(one_of(Category::ALL.map(|it| (it.name(), it)), said).map_err(bad)?)
            }
            "reason" => filter.reason(one_of(DeadReason::ALL.map(|it| (it.name(), it)), said).map_err(bad)?),
            "fingerprint" => filter.fingerprint(fingerprint(said).map_err(bad)?),
            "tenant" => filter.tenant(said),
            "correlation" => filter.correlation_id(said),
            "key" => filter.idempotency_key(said),
            "older-than" => filter.older_than(duration(said).map_err(bad)?),
            "younger-than" => filter.younger_than(duration(said).map_err(bad)?),
            "since" => filter.died_since(moment(said).map_err(bad)?),
            "before" => filter.died_before(moment(said).map_err(bad)?),
            "id" => {
                let id =
                    LetterId::new(said.parse().map_err(|_| bad(format!("{said:?} is no letter's number")))?);
                self.id = Some(id);
                filter.id(id)
            }
            _ => {
                let any = STATES.map(|(name, state)| (name, State::Only(state)));
                let [ready, leased, quarantined] = any;
                self.state =
                    Some(one_of([ready, leased, quarantined, ("any", State::Any)], said).map_err(bad)?);
                filter
            }
        };
        self.words.push(format!("{option} {said}"));
        Ok(())
    }

    /// Nothing was said that leaves letters out.
    pub(crate) fn is_everything(&self) -> bool {
        self.words.is_empty() || (self.words.len() == 1 && matches!(self.state, Some(State::Any)))
    }

    /// Of each state that was said; else a letter that is named, in whatever state, and of others those that are not
    /// quarantined.
    pub(crate) fn filter(&self) -> LetterFilter {
        match (self.state, self.id) {
            (Some(State::Only(state)), _) => self.filter.clone().state(state),
            (Some(State::Any), _) | (None, Some(_)) => self.filter.clone().any_state(),
            (None, None) => self.filter.clone(),
        }
    }

    /// Of each state, unless one was said.
    pub(crate) fn any_state(&self) -> LetterFilter {
        match self.state {
            Some(State::Only(state)) => self.filter.clone().state(state),
            _ => self.filter.clone().any_state(),
        }
    }

    /// Only letters in this state. Another one that was said is refused.
    pub(crate) fn only(&self, state: LetterState, verb: &str) -> Result<LetterFilter, Problem> {
        match self.state {
            Some(State::Only(said)) if said != state => {
                let why = format_args!("{verb} is about letters that are {}", state_name(state));
                Err(Problem::bad("--state", why))
            }
            _ => Ok(self.filter.clone().state(state)),
        }
    }

    /// Whether quarantined letters are left out because nothing was said of states.
    pub(crate) const fn leaves_out_quarantined(&self) -> bool {
        self.state.is_none() && self.id.is_none()
    }

    /// As it was said.
    pub(crate) fn words(&self) -> String {
        if self.words.is_empty() { String::new() } else { format!(" ({})", self.words.join(", ")) }
    }
}

pub(crate) fn state_name(state: LetterState) -> &'static str {
    STATES.iter().find(|(_, known)| *known == state).map_or("", |(name, _)| name)
}

fn one_of<T, const N: usize>(known: [(&'static str, T); N], said: &str) -> Result<T, String> {
    let names = known.each_ref().map(|(name, _)| *name).join(", ");
    let found = known.into_iter().find(|(name, _)| *name == said);
    found.map(|(_, it)| it).ok_or_else(|| format!("{said:?} is none of {names}"))
}

/// Sixteen digits as `groups` shows them; fewer would be another group.
fn fingerprint(said: &str) -> Result<Fingerprint, String> {
    let hex = said.len() == 16 && said.bytes().all(|byte| byte.is_ascii_hexdigit());
    let read = hex.then(|| said.parse().ok()).flatten();
    read.ok_or_else(|| format!("{said:?} is not sixteen hexadecimal digits, as `groups` shows them"))
}

pub(crate) fn duration(said: &str) -> Result<Duration, String> {
    humantime::parse_duration(said).map_err(|_| format!("{said:?} is no time, as 2h, 30min or 3days"))
}

fn moment(said: &str) -> Result<SystemTime, String> {
    let day = said.len() == 10;
    let whole = if day { format!("{said}T00:00:00Z") } else { said.to_owned() };
    let read = humantime::parse_rfc3339_weak(&whole);
    read.map_err(|_| format!("{said:?} is no moment in UTC, as 2026-11-22T14:00:00Z, or a day"))
}

#[cfg(test)]
mod tests {
    use recoup::DeadLetter;

    use super::*;

    fn chosen(said: &[(&str, &str)]) -> Result<Chosen, Problem> {
        let mut chosen = Chosen::default();
        said.iter().try_for_each(|(option, said)| chosen.take(option, said))?;
        Ok(chosen)
    }

    fn refused(option: &str, said: &str) -> String {
        chosen(&[(option, said)]).unwrap_err().to_string()
    }

    #[test]
    fn each_option_means_what_its_name_says() {
        let at = humantime::parse_rfc3339("2026-11-22T14:00:00Z").unwrap();
        let mut letter = DeadLetter::new("charge")
            .destination("payments")
            .category(Category::Timeout)
            .reason(DeadReason::Exhausted)
            .tenant("acme")
            .correlation_id("batch-7")
            .idempotency_key("order-7")
            .died_at(at);
        letter.id = LetterId::new(7);
        let fingerprint = letter.fingerprint().to_string();
        for (option, yes, no) in [
            ("destination", "payments", "ads"),
            ("operation", "charge", "refund"),
            ("category", "timeout", "network"),
            ("reason", "exhausted", "permanent"),
            ("fingerprint", fingerprint.as_str(), "0123456789abcdef"),
            ("tenant", "acme", "other"),
            ("correlation", "batch-7", "batch"),
            ("key", "order-7", "order-8"),
            ("id", "7", "8"),
            ("state", "ready", "leased"),
            ("state", "any", "quarantined"),
            ("since", "2026-11-22", "2026-11-22T14:00:01Z"),
            ("before", "2026-11-22 14:00:01", "2026-11-22"),
            ("older-than", "0s", "5000years"),
            ("younger-than", "5000years", "0s"),
        ] {
            let mut letter = letter.clone();
            if option.ends_with("-than") {
                letter.died_at = crate::dlq::view::now() - Duration::from_secs(5);
            }
            assert!(chosen(&[(option, yes)]).unwrap().filter().matches(&letter), "{option} {yes}");
            assert!(!chosen(&[(option, no)]).unwrap().filter().matches(&letter), "{option} {no}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_all_that_is() {
        assert!(refused("category", "slow").contains("`--category`: \"slow\" is none of network, timeout, "));
        assert!(refused("reason", "bad").contains("exhausted, permanent"));
        assert_eq!(
            refused("state", "parked"),
            "`--state`: \"parked\" is none of ready, leased, quarantined, any"
        );
        assert!(refused("id", "-1").contains("no letter's number"));
        assert!(refused("fingerprint", "7").contains("sixteen"));
        assert!(refused("fingerprint", "+123456789abcdef").contains("sixteen"));
        assert!(refused("older-than", "soon").contains("as 2h"));
        assert!(refused("since", "yesterday").contains("no moment"));
        assert!(refused("since", "äöüßä").contains("no moment"), "ten bytes that are no day");
    }

    #[test]
    fn quarantined_letters_are_left_out_unless_they_are_named() {
        let mut letter = DeadLetter::new("charge");
        letter.id = LetterId::new(7);
        letter.state = LetterState::Quarantined;
        for (said, meant) in [
            (&[][..], false),
            (&[("operation", "charge")], false),
            (&[("id", "7")], true),
            (&[("state", "any")], true),
            (&[("state", "quarantined")], true),
            (&[("id", "7"), ("state", "ready")], false),
        ] {
            assert_eq!(chosen(said).unwrap().filter().matches(&letter), meant, "{said:?}");
        }
        assert!(chosen(&[]).unwrap().any_state().matches(&letter));
    }
}
