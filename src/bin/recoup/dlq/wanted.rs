//! What is wanted of dead letters, as it was said on the line.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use recoup::{ByHand, LetterId};

use crate::dlq::chosen::{Chosen, duration};
use crate::dlq::verb::Verb;
use crate::problem::Problem;

/// The variable that names the file if the line does not.
const FILE: &str = "RECOUP_DLQ";

/// What to do, with what.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) verb: Verb,
    pub(crate) file: PathBuf,
    /// What stands after the verb.
    pub(crate) words: Vec<OsString>,
    pub(crate) said: Said,
}

/// The options as they were said.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "as many as there are options without a value")]
pub(crate) struct Said {
    pub(crate) chosen: Chosen,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) all: bool,
    pub(crate) yes: bool,
    pub(crate) dry_run: bool,
    pub(crate) full: bool,
    pub(crate) raw: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<LetterId>,
    pub(crate) who: Option<String>,
    pub(crate) why: Option<String>,
    pub(crate) payload: Option<PathBuf>,
    pub(crate) redrive: Redriving,
    file: Option<PathBuf>,
    /// The names of all of them.
    names: Vec<String>,
}

/// How letters are to be sent again.
#[derive(Debug, Default)]
pub(crate) struct Redriving {
    pub(crate) rate: Option<f64>,
    pub(crate) no_ramp: bool,
    pub(crate) concurrency: Option<NonZeroU32>,
    pub(crate) to: Option<String>,
    pub(crate) stop_after: Option<NonZeroU32>,
    pub(crate) quarantine_after: Option<NonZeroU32>,
    pub(crate) post: Option<String>,
    pub(crate) headers: Vec<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempts: Option<NonZeroU32>,
}

/// What was asked for: something to do, or help.
#[derive(Debug)]
pub(crate) enum Asked {
    Help(Option<Verb>),
    Do(Box<Wanted>),
}

impl Asked {
    pub(crate) fn read(parser: &mut Parser) -> Result<Self, Problem> {
        let (mut said, mut words, mut help) = (Said::default(), Vec::new(), false);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => help = true,
                Arg::Short('q') => said.quiet = true,
                Arg::Long(name) => {
                    let name = name.to_owned();
                    said.take(&name, parser)?;
                }
                Arg::Value(word) => words.push(word),
                other @ Arg::Short(_) => {
                    let what = other.unexpected();
                    return Err(Problem::Bad(format!("{what}; `recoup dlq --help` says what there is")));
                }
            }
        }
        let verb = |words: &[OsString], at: usize| words.get(at)?.to_str().and_then(Verb::named);
        // A word that is no verb is the file; a file that is called like a verb can be named `./list`.
        let first = verb(&words, 0);
        if help {
            return Ok(Self::Help(first.or_else(|| verb(&words, 1))));
        }
        if first.is_none() && !words.is_empty() {
            if said.file.is_some() {
                return Err(Verb::unknown(&words[0].to_string_lossy()));
            }
            said.file = Some(words.remove(0).into());
        }
        let verb = match words.first() {
            None => Verb::Groups,
            Some(word) => {
                let word = word.to_string_lossy();
                Verb::named(&word).ok_or_else(|| Verb::unknown(&word))?
            }
        };
        let words = words.split_off(words.len().min(1));
        let file = said
            .file
            .clone()
            .or_else(|| std::env::var_os(FILE).filter(|it| !it.is_empty()).map(PathBuf::from));
        let file = file.ok_or_else(|| {
            Problem::Bad(format!("no file is named: `recoup dlq FILE {}`, or set {FILE}", verb.name()))
        })?;
        let mut wanted = Wanted { verb, file, words, said };
        wanted.fits_together()?;
        Ok(Self::Do(Box::new(wanted)))
    }
}

impl Said {
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), Problem> {
        if name != "header" && self.names.iter().any(|before| before == name) {
            return Err(Problem::bad(&format!("--{name}"), "said twice"));
        }
        self.names.push(name.to_owned());
        let mut text = || Ok::<String, Problem>(parser.value()?.string()?);
        match name {
            "json" => self.json = true,
            "quiet" => self.quiet = true,
            "all" => self.all = true,
            "yes" => self.yes = true,
            "dry-run" => self.dry_run = true,
            "full" => self.full = true,
            "raw" => self.raw = true,
            "no-ramp" => self.redrive.no_ramp = true,
            "file" => self.file = Some(parser.value()?.into()),
            "payload" => self.payload = Some(parser.value()?.into()),
            "limit" => self.limit = Some(number(name, &text()?)?),
            "after" => self.after = Some(LetterId::new(number(name, &text()?)?)),
            "by" => self.who = Some(text()?),
            "why" => self.why = Some(text()?),
            "rate" => self.redrive.rate = Some(rate(&text()?)?),
            "concurrency" => self.redrive.concurrency = Some(number(name, &text()?)?),
            "to" => self.redrive.to = Some(text()?),
            "stop-after" => self.redrive.stop_after = Some(number(name, &text()?)?),
            "quarantine-after" => self.redrive.quarantine_after = Some(number(name, &text()?)?),
            "post" => self.redrive.post = Some(text()?),
            "header" => self.redrive.headers.push(text()?),
            "attempts" => self.redrive.attempts = Some(number(name, &text()?)?),
            "timeout" => {
                let time = duration(&text()?).map_err(|why| Problem::bad("--timeout", why))?;
                self.redrive.timeout = Some(time);
            }
            "destination" | "operation" | "category" | "reason" | "fingerprint" | "tenant"
            | "correlation" | "key" | "id" | "state" | "older-than" | "younger-than" | "since" | "before" => {
                self.chosen.take(name, &text()?)?;
            }
            _ => {
                let what = format_args!("there is no such option; `recoup dlq --help` says what there is");
                return Err(Problem::bad(&format!("--{name}"), what));
            }
        }
        Ok(())
    }

    /// Who does it, and why.
    pub(crate) fn by(&self) -> ByHand {
        let user = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
        let by = self.who.clone().or_else(user).map_or_else(ByHand::default, ByHand::of);
        match &self.why {
            Some(why) => by.because(why),
            None => by,
        }
    }
}

impl Wanted {
    /// What says nothing together is refused, so that nobody believes it did.
    fn fits_together(&mut self) -> Result<(), Problem> {
        for name in &self.said.names {
            self.verb.takes(name)?;
        }
        let one_of = |a: &str, b: &str| {
            let both = [a, b].iter().all(|name| self.said.names.iter().any(|said| said == name));
            if both { Err(Problem::bad(&format!("--{a}"), format_args!("not with --{b}"))) } else { Ok(()) }
        };
        let pairs = [
            ("older-than", "before"),
            ("younger-than", "since"),
            ("raw", "json"),
            ("raw", "full"),
            ("post", "to"),
        ];
        pairs.into_iter().try_for_each(|(a, b)| one_of(a, b))?;
        let posting = ["header", "timeout", "attempts", "quarantine-after"];
        let alone = posting.iter().find(|name| self.said.names.iter().any(|said| said == *name));
        if let (Some(name), None) = (alone, &self.said.redrive.post) {
            return Err(Problem::bad(&format!("--{name}"), "only with --post"));
        }
        let acts = [Verb::Redrive, Verb::Quarantine, Verb::Reinstate, Verb::Purge].contains(&self.verb);
        if acts {
            // A letter's number may stand by itself.
            if let Some(word) = self.words.pop() {
                if self.said.names.iter().any(|name| name == "id") {
                    return Err(Problem::bad("--id", "said twice"));
                }
                self.said.chosen.take("id", &word.to_string_lossy())?;
            }
            if self.said.chosen.is_everything() && !self.said.all {
                let name = self.verb.name();
                return Err(Problem::Bad(format!(
                    "{name} which letters? Give a filter, a letter's number, or --all"
                )));
            }
            if self.said.all && !self.said.chosen.is_everything() {
                return Err(Problem::bad("--all", "not with a filter"));
            }
        }
        let most = match self.verb {
            Verb::Show | Verb::Edit | Verb::Export | Verb::Import => 1,
            Verb::Runs => 2,
            _ => 0,
        };
        match self.words.get(most) {
            Some(word) => Err(Problem::Bad(format!("{:?} is a word too many", word.to_string_lossy()))),
            None => Ok(()),
        }
    }

    /// The number of the letter that stands after the verb.
    pub(crate) fn letter(&self) -> Result<LetterId, Problem> {
        let word = self.words.first().ok_or_else(|| {
            Problem::Bad(format!("{0} which letter? `recoup dlq FILE {0} ID`", self.verb.name()))
        })?;
        let word = word.to_string_lossy();
        word.parse().map(LetterId::new).map_err(|_| Problem::Bad(format!("{word:?} is no letter's number")))
    }
}

fn number<T: std::str::FromStr>(name: &str, said: &str) -> Result<T, Problem> {
    let refused =
        |_| Problem::bad(&format!("--{name}"), format_args!("{said:?} is no whole number that fits"));
    said.parse().map_err(refused)
}

/// Checked here, because the smallest and the largest rates are no rates a person means.
fn rate(said: &str) -> Result<f64, Problem> {
    let refused = || Problem::bad("--rate", format_args!("{said:?} is not from 0.001 to 1000000 a second"));
    let rate: f64 = said.parse().map_err(|_| refused())?;
    if (0.001..=1_000_000.0).contains(&rate) { Ok(rate) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, Problem> {
        Asked::read(&mut Parser::from_args(line.split_whitespace()))
    }

    fn wanted(line: &str) -> Wanted {
        match asked(line).unwrap() {
            Asked::Do(wanted) => *wanted,
            Asked::Help(verb) => panic!("help of {verb:?}"),
        }
    }

    fn refused(line: &str) -> String {
        asked(line).map(|asked| format!("{asked:?}")).unwrap_err().to_string()
    }

    #[test]
    fn file_may_stand_first_or_be_named() {
        for line in
            ["a.redb", "a.redb groups", "groups --file a.redb", "--file a.redb", "--file=a.redb groups"]
        {
            let wanted = wanted(line);
            assert_eq!((wanted.verb, wanted.file.to_str()), (Verb::Groups, Some("a.redb")), "{line}");
        }
        assert_eq!(wanted("./list list").file.to_str(), Some("./list"));
        assert!(refused("a.redb lst").starts_with("\"lst\" is none of groups, list, "));
        assert!(refused("--file a.redb lst").starts_with("\"lst\" is none of groups, list, "));
    }

    #[test]
    fn help_is_of_the_verb_wherever_it_stands() {
        for (line, verb) in [
            ("--help", None),
            ("a.redb --help", None),
            ("redrive --help", Some(Verb::Redrive)),
            ("a.redb redrive --rate 5 -h", Some(Verb::Redrive)),
        ] {
            assert!(matches!(asked(line).unwrap(), Asked::Help(told) if told == verb), "{line}");
        }
    }

    #[test]
    fn what_changes_letters_must_be_told_which() {
        for verb in ["redrive", "quarantine", "reinstate", "purge"] {
            assert!(refused(&format!("f {verb}")).starts_with(&format!("{verb} which letters?")), "{verb}");
            assert!(refused(&format!("f {verb} --state any")).contains("which letters?"), "{verb}");
            assert!(refused(&format!("f {verb} --all --id 7")).contains("--all"), "{verb}");
            assert!(!wanted(&format!("f {verb} 7")).said.chosen.is_everything());
            assert!(refused(&format!("f {verb} 7 8")).contains("too many"));
            assert!(refused(&format!("f {verb} 7 --id 7")).contains("twice"));
            assert!(wanted(&format!("f {verb} --all")).said.all);
        }
    }

    #[test]
    fn options_that_say_nothing_together_are_refused() {
        for (line, why) in [
            ("f list --rate 5", "`--rate`: not with list"),
            ("f stats --destination x", "`--destination`: not with stats"),
            ("f list --destination a --destination b", "`--destination`: said twice"),
            ("f list --since 2026-11-22 --younger-than 2h", "not with --since"),
            ("f redrive 7 --attempts 2", "only with --post"),
            ("f redrive 7 --post http://a --to b", "not with --to"),
            ("f show 7 --raw --json", "not with --json"),
            ("f list 7", "too many"),
            ("f list --limit x", "no whole number"),
            ("f redrive 7 --rate NaN", "`--rate`"),
            ("f redrive 7 --rate 0", "`--rate`"),
            ("f redrive 7 --rate -1", "`--rate`"),
            ("f redrive 7 --rate inf", "`--rate`"),
            ("f redrive 7 --concurrency 0", "`--concurrency`"),
            ("f list --nonsense", "no such option"),
            ("f list --json=yes", "unexpected argument"),
            ("f list -x", "-x"),
        ] {
            let told = refused(line);
            assert!(told.contains(why), "{line}: {told}");
        }
    }
}
