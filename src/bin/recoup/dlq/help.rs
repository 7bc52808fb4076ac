//! What to say to those who ask what there is.

use crate::dlq::verb::Verb;

pub(crate) const ALL: &str = "\
See, send again and clear away the dead letters in a file.

Usage: recoup dlq FILE [verb] [options]
       recoup dlq FILE                   the groups: what letters died of, the largest group first
       recoup dlq --help, recoup dlq VERB --help

FILE is the file of a dead letter queue; it may be named by --file FILE too, or by the environment variable
RECOUP_DLQ, and be left out then. While an application has it open, nobody else can: stop the application,
or do in it what you want to do.

  groups      what letters died of, counted together
  list        letters, one a line
  show        all about one letter, its payload too
  redrive     have letters sent again, by the application or by HTTP
  quarantine  put letters aside: nothing sends them until they are reinstated
  reinstate   bring letters back from quarantine, their redrives counted from zero
  purge       remove letters for good
  export      write letters down as text, line by line
  import      take in letters that were exported
  stats       the numbers of the queue
  acts        what was done by hand, by whom and why
  runs        redrive runs: where they stand; one of them may be cancelled
  edit        replace a letter by one with another payload
  verify      read every letter, and recount
  compact     make the file as small as it can be

  --file FILE    the file
  --json         for programs: one JSON document, or one on each line for lists
  -q, --quiet    no progress, and no words about what is being done
  --help         this

Exit codes: 0 done, also if no letter is meant; 1 it failed, or for some letters; 2 asked for what cannot
be, with a line that names it.
";

/// How letters are chosen; told with each verb that takes them.
const FILTERS: &str = "
Which letters; all that is said must apply:
  --destination NAME     to exactly this destination
  --operation NAME       of exactly this operation
  --category NAME        whose error is of this category, as timeout
  --reason NAME          that died for this reason, as exhausted
  --fingerprint HEX      of this group
  --tenant NAME          of this tenant
  --correlation ID       with this correlation id
  --key KEY              with this idempotency key
  --id N                 this letter, in whatever state
  --state NAME           ready, leased, quarantined or any [all that are not quarantined]
  --older-than TIME      dead for longer, as 2h or 3days
  --younger-than TIME    dead for at most as long
  --since MOMENT         that died at this moment or later, as 2026-11-22T14:00:00Z, or a day
  --before MOMENT        that died before this moment
";

pub(crate) fn of(verb: Verb) -> String {
    let (usage, filters) = match verb {
        Verb::Groups => (GROUPS, true),
        Verb::List => (LIST, true),
        Verb::Show => (SHOW, false),
        Verb::Redrive => (REDRIVE, true),
        Verb::Quarantine => (QUARANTINE, true),
        Verb::Reinstate => (REINSTATE, true),
        Verb::Purge => (PURGE, true),
        Verb::Export => (EXPORT, true),
        Verb::Import => (IMPORT, false),
        Verb::Stats => (STATS, false),
        Verb::Acts => (ACTS, false),
        Verb::Runs => (RUNS, false),
        Verb::Edit => (EDIT, false),
        Verb::Verify => (VERIFY, false),
        Verb::Compact => (COMPACT, false),
    };
    let filters = if filters { FILTERS } else { "" };
    format!("{usage}{filters}\nFILE, --json and --quiet: see `recoup dlq --help`.\n")
}

const GROUPS: &str = "\
What letters died of: letters with the same kind of error at the same place, counted together.

Usage: recoup dlq FILE groups [options]

  --limit N              at most so many groups, the largest [20]
";

const LIST: &str = "\
Letters, one a line, in the order in which they were stored.

Usage: recoup dlq FILE list [options]

  --limit N              at most so many [50]
  --after ID             only letters after this one: the next page
  --full                 with --json: payloads too
";

const SHOW: &str = "\
All about one letter: why it died, each attempt, headers and payload.

Usage: recoup dlq FILE show ID [options]

  --full                 the whole payload, not its first 4 KiB
  --raw                  the bytes of the payload and nothing else
";

const REDRIVE: &str = "\
Have letters sent again.

Usage: recoup dlq FILE redrive (FILTERS | ID | --all) [options]
       recoup dlq FILE redrive (FILTERS | ID | --all) --post URL [options]

Without --post, a run is written into the file. The application that owns the file carries it out when it is
started next; `recoup dlq FILE runs` tells where it stands. With --post, the letters are sent from here:
each payload is the body of a POST with its content type, Idempotency-Key, traceparent and X-Correlation-Id.
An answer of 2xx is a delivery, and removes the letter. Any other is written on it; a busy or broken server
is tried again before that, and after failures in a row a circuit breaker makes a pause. If the command is
stopped before its end, letters that were under way come back when their leases end, after five minutes or
more; all others are as they were. An https URL is refused: have the application do it, which knows
certificates and secrets.

  --all                  all letters that are not quarantined, if no filter is given
  --dry-run              say what would be done, and do nothing
  --rate N               at most so many letters a second [no limit]
  --no-ramp              at that rate from the start [a tenth at first, doubled each second]
  --concurrency N        so many at once [1]
  --to NAME              to another destination than the letters'
  --stop-after N         stop when so many failed in a row [20 with --post, never without]
  --by NAME --why TEXT   who and why, for `recoup dlq FILE acts` [--by: your name here]

With --post:
  --post URL             where, as http://127.0.0.1:8080/orders
  --header 'NAME: TEXT'  one more header; may be repeated
  --timeout TIME         for each attempt [30s]
  --attempts N           for each letter [3]
  --quarantine-after N   put a letter aside when so many redrives failed [as the application]
";

const QUARANTINE: &str = "\
Put ready letters aside. Nothing sends them until they are reinstated, and they do not expire.

Usage: recoup dlq FILE quarantine (FILTERS | ID | --all) [options]

  --all                  all that are ready, if no filter is given
  --dry-run              say for how many, and do nothing
  --by NAME --why TEXT   who and why, for `recoup dlq FILE acts` [--by: your name here]
";

const REINSTATE: &str = "\
Bring letters back from quarantine. Their redrives count from zero, their time to live from now.

Usage: recoup dlq FILE reinstate (FILTERS | ID | --all) [options]

  --all                  all that are quarantined, if no filter is given
  --dry-run              say for how many, and do nothing
  --by NAME --why TEXT   who and why, for `recoup dlq FILE acts` [--by: your name here]
";

const PURGE: &str = "\
Remove letters for good. Asks first, unless it is told --yes; without a terminal it must be told.

Usage: recoup dlq FILE purge (FILTERS | ID | --all) [options]

  --all                  all that are not quarantined, if no filter is given; with --state any, all
  --yes                  do not ask
  --dry-run              say for how many, and do nothing
  --by NAME --why TEXT   who and why, for `recoup dlq FILE acts` [--by: your name here]
";

const EXPORT: &str = "\
Write letters down as text: a line for each, checksums, and a last line that shows that nothing is missing.

Usage: recoup dlq FILE export [OUT] [options]

OUT is the file to write, which must not be there yet; `-` or none is standard output. Letters of every
state are written unless --state says otherwise. Nothing is removed.
";

const IMPORT: &str = "\
Take in letters that were exported. All of it is checked first; letters that are here already, or were, are
left out and counted.

Usage: recoup dlq FILE import IN [options]

  --by NAME --why TEXT   who and why, for `recoup dlq FILE acts` [--by: your name here]
";

const STATS: &str = "\
The numbers of the queue: letters by state and by destination, how full it is, how old, and what became of
all that ever came in. What needs attention is red on a terminal: the oldest letter is older than a day, or
the queue is more than four fifths full.

Usage: recoup dlq FILE stats [options]
";

const ACTS: &str = "\
What was done by hand, the latest first: when, by whom, what, to how many letters, and why.

Usage: recoup dlq FILE acts [options]

  --limit N              at most so many [50]
";

const RUNS: &str = "\
Redrive runs: those that wait for the application, that are under way, and that ended.

Usage: recoup dlq FILE runs [options]               the latest first
       recoup dlq FILE runs N [options]             one of them
       recoup dlq FILE runs cancel N [options]      no letter more is sent by it

  --limit N              at most so many [20]
  --by NAME --why TEXT   with cancel: who and why [--by: your name here]
";

const EDIT: &str = "\
Replace a letter by one with another payload, which gets a number and an idempotency key of its own and says
what it was made of. The content type stays.

Usage: recoup dlq FILE edit ID --payload IN [options]

  --payload IN           the file with the new payload; `-` is standard input
  --by NAME --why TEXT   who and why, for `recoup dlq FILE acts` [--by: your name here]
";

const VERIFY: &str = "\
Read every letter and recount. Says which letters are damaged, and which numbers are wrong.

Usage: recoup dlq FILE verify [options]
";

const COMPACT: &str = "\
Make the file as small as it can be. Says how large it was and is.

Usage: recoup dlq FILE compact [options]
";
