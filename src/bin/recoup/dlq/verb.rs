//! What can be done with dead letters, and which options go with it.

use crate::problem::Problem;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Groups,
    List,
    Show,
    Redrive,
    Quarantine,
    Reinstate,
    Purge,
    Export,
    Import,
    Stats,
    Acts,
    Runs,
    Edit,
    Verify,
    Compact,
}

const NAMED: [(&str, Verb); 15] = [
    ("groups", Verb::Groups),
    ("list", Verb::List),
    ("show", Verb::Show),
    ("redrive", Verb::Redrive),
    ("quarantine", Verb::Quarantine),
    ("reinstate", Verb::Reinstate),
    ("purge", Verb::Purge),
    ("export", Verb::Export),
    ("import", Verb::Import),
    ("stats", Verb::Stats),
    ("acts", Verb::Acts),
    ("runs", Verb::Runs),
    ("edit", Verb::Edit),
    ("verify", Verb::Verify),
    ("compact", Verb::Compact),
];

const FILTERS: [&str; 14] = [
    "destination",
    "operation",
    "category",
    "reason",
    "fingerprint",
    "tenant",
    "correlation",
    "key",
    "id",
    "state",
    "older-than",
    "younger-than",
    "since",
    "before",
];

impl Verb {
    pub(crate) fn named(word: &str) -> Option<Self> {
        NAMED.iter().find(|(name, _)| *name == word).map(|(_, verb)| *verb)
    }

    pub(crate) fn name(self) -> &'static str {
        NAMED.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }

    /// A word that is no verb, with all that are.
    pub(crate) fn unknown(word: &str) -> Problem {
        let all = NAMED.map(|(name, _)| name).join(", ");
        Problem::Bad(format!("{word:?} is none of {all}; `recoup dlq --help` says more"))
    }

    /// Whether it changes what is stored.
    pub(crate) const fn changes(self) -> bool {
        matches!(
            self,
            Self::Redrive
                | Self::Quarantine
                | Self::Reinstate
                | Self::Purge
                | Self::Import
                | Self::Edit
                | Self::Compact
        )
    }

    /// Whether it takes the letters that a filter means.
    const fn takes_a_filter(self) -> bool {
        matches!(
            self,
            Self::Groups
                | Self::List
                | Self::Redrive
                | Self::Quarantine
                | Self::Reinstate
                | Self::Purge
                | Self::Export
        )
    }

    /// What it takes beside a filter, `--file`, `--json` and `--quiet`.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Groups | Self::Acts => &["limit"],
            Self::List => &["limit", "after", "full"],
            Self::Show => &["full", "raw"],
            Self::Redrive => &[
                "all",
                "by",
                "why",
                "dry-run",
                "rate",
                "no-ramp",
                "concurrency",
                "to",
                "stop-after",
                "quarantine-after",
                "post",
                "header",
                "timeout",
                "attempts",
            ],
            Self::Quarantine | Self::Reinstate => &["all", "by", "why", "dry-run"],
            Self::Purge => &["all", "by", "why", "dry-run", "yes"],
            Self::Runs => &["limit", "by", "why"],
            Self::Import => &["by", "why"],
            Self::Edit => &["by", "why", "payload"],
            Self::Export | Self::Stats | Self::Verify | Self::Compact => &[],
        }
    }

    /// Options that say nothing to this verb are refused, so that nobody believes they did.
    pub(crate) fn takes(self, option: &str) -> Result<(), Problem> {
        let known = ["file", "json", "quiet"].contains(&option)
            || (self.takes_a_filter() && FILTERS.contains(&option))
            || self.options().contains(&option);
        let name = self.name();
        let says = format_args!("not with {name}; `recoup dlq {name} --help` says what is");
        if known { Ok(()) } else { Err(Problem::bad(&format!("--{option}"), says)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::help;

    #[test]
    fn help_of_each_verb_names_each_of_its_options() {
        for (name, verb) in NAMED {
            let help = help::of(verb);
            assert!(help.contains(&format!("recoup dlq FILE {name}")), "{name}");
            for option in verb.options() {
                assert!(help.contains(&format!("--{option}")), "{name} --{option}");
            }
            for option in FILTERS {
                let told = help.contains(&format!("\n  --{option}"));
                assert_eq!(told, verb.takes_a_filter(), "{name} --{option}");
            }
            assert!(help::ALL.contains(&format!("\n  {name}")), "{name}");
        }
    }
}
