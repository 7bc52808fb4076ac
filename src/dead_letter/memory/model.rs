//! Random histories, against a model that is too simple to be wrong.

use crate::dead_letter::by_hand::ByHand;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::dead_letter::error::{PushErrorKind, SettleError};
use crate::dead_letter::filter::LetterFilter;
use crate::dead_letter::history::AttemptRecord;
use crate::dead_letter::letter::{DeadLetter, LetterId, LetterState};
use crate::dead_letter::memory::WhenFull;
use crate::dead_letter::memory::ledger::Ledger;
use crate::dead_letter::memory::rules::Rules;
use crate::dead_letter::payload::Payload;
use crate::dead_letter::queue::LeaseToken;
use crate::dead_letter::settlement::{Settled, Settlement};
use crate::dead_letter::stats::QueueStats;
use crate::time;

const CAPACITY: usize = 6;
const MAX_BYTES: usize = 300;
const MAX_PAYLOAD: usize = 90;
const LIVES: u64 = 50;
const QUARANTINE_AFTER: u32 = 2;

#[derive(Clone, Debug)]
enum Step {
    Push { bytes: usize, destination: u8 },
    Lease { which: Which, limit: usize, seconds: u64 },
    Settle { nth: usize, how: How },
    Reinstate { id: u64 },
    Discard { which: Which },
    Wait { seconds: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Which {
    NotQuarantined,
    Any,
    Quarantined,
    To(u8),
    After(u64),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Delivered,
    Untouched,
    Failed,
    Quarantine,
    Extend(u64),
}

impl Which {
    fn filter(self) -> LetterFilter {
        let filter = LetterFilter::new();
        match self {
            Self::NotQuarantined => filter,
            Self::Any => filter.any_state(),
            Self::Quarantined => filter.state(LetterState::Quarantined),
            Self::To(destination) => filter.destination(destination.to_string()),
            Self::After(id) => filter.after(LetterId::new(id)),
        }
    }
}

impl How {
    fn settlement(self) -> Settlement {
        match self {
            Self::Delivered => Settlement::Delivered,
            Self::Untouched => Settlement::untouched(),
            Self::Failed => Settlement::redrive_failed(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "no")),
            Self::Quarantine => Settlement::Quarantine,
            Self::Extend(seconds) => Settlement::Extend(Duration::from_secs(seconds)),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let which = || {
        prop_oneof![
            3 => Just(Which::NotQuarantined),
            1 => Just(Which::Any),
            1 => Just(Which::Quarantined),
            1 => (0_u8..3).prop_map(Which::To),
            1 => (0_u64..20).prop_map(Which::After),
        ]
    };
    let how = prop_oneof![
        1 => Just(How::Delivered),
        1 => Just(How::Untouched),
        3 => Just(How::Failed),
        1 => Just(How::Quarantine),
        1 => (1_u64..30).prop_map(How::Extend),
    ];
    prop_oneof![
        6 => (0_usize..100, 0_u8..3).prop_map(|(bytes, destination)| Step::Push { bytes, destination }),
        5 => (which(), 0_usize..4, 1_u64..30)
            .prop_map(|(which, limit, seconds)| Step::Lease { which, limit, seconds }),
        5 => (any::<usize>(), how).prop_map(|(nth, how)| Step::Settle { nth, how }),
        1 => (1_u64..30).prop_map(|id| Step::Reinstate { id }),
        1 => which().prop_map(|which| Step::Discard { which }),
        4 => (0_u64..25).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// A queue that looks at every letter for everything.
#[derive(Default)]
struct Model {
    drops: bool,
    now: u64,
    letters: Vec<Entry>,
    totals: QueueStats,
    fence: u64,
}

#[derive(Clone)]
struct Entry {
    letter: DeadLetter,
    expires: u64,
    lease: Option<(u64, u64, bool)>, // fence, until, was quarantined
}

impl Model {
    fn bytes(&self) -> u64 {
        self.letters.iter().map(|entry| entry.letter.size()).sum()
    }

    fn sweep(&mut self) {
        for entry in &mut self.letters {
            if let Some((_, until, was_quarantined)) = entry.lease
                && until <= self.now
            {
                entry.letter.unsettled += 1;
                entry.give_back(was_quarantined || entry.letter.unsettled >= 3);
            }
        }
        let before = self.letters.len();
        let now = self.now;
        self.letters.retain(|entry| entry.letter.state != LetterState::Ready || entry.expires > now);
        self.totals.expired += (before - self.letters.len()) as u64;
    }

    fn push(&mut self, mut letter: DeadLetter) -> Result<Vec<u64>, PushErrorKind> {
        if letter.payload.as_ref().unwrap().bytes.len() > MAX_PAYLOAD {
            return Err(PushErrorKind::TooLarge);
        }
        let (kept, mut evicted) = (self.letters.clone(), Vec::new());
        while self.letters.len() >= CAPACITY || self.bytes() + letter.size() > MAX_BYTES as u64 {
            let oldest = self.letters.iter().position(|entry| entry.letter.state == LetterState::Ready);
            let (true, Some(oldest)) = (self.drops, oldest) else {
                self.letters = kept;
                return Err(PushErrorKind::Full);
            };
            evicted.push(self.letters.remove(oldest).letter.id.get());
        }
        self.totals.evicted += evicted.len() as u64;
        self.totals.pushed += 1;
        letter.id = LetterId::new(self.totals.pushed);
        self.letters.push(Entry { letter, expires: self.now + LIVES, lease: None });
        Ok(evicted)
    }

    fn lease(&mut self, filter: &LetterFilter, limit: usize, seconds: u64) -> Vec<(DeadLetter, LeaseToken)> {
        let mut leased = Vec::new();
        for entry in &mut self.letters {
            let free = entry.lease.is_none() && filter.matches(&entry.letter);
            if free && leased.len() < limit {
                self.fence += 1;
                let was_quarantined = entry.letter.state == LetterState::Quarantined;
                entry.lease = Some((self.fence, self.now + seconds, was_quarantined));
                entry.letter.state = LetterState::Leased;
                entry.letter.deliveries += 1;
                leased.push((entry.letter.clone(), LeaseToken::new(entry.letter.id, self.fence)));
            }
        }
        leased
    }

    fn settle(&mut self, token: LeaseToken, how: How) -> Result<Settled, SettleError> {
        let at = self.letters.iter().position(|entry| entry.letter.id == token.letter());
        let at = at.ok_or(SettleError::Gone)?;
        let entry = &mut self.letters[at];
        let Some((_, _, was_quarantined)) = entry.lease.filter(|lease| lease.0 == token.fence()) else {
            return Err(SettleError::Fenced);
        };
        match how {
            How::Delivered => {
                self.letters.remove(at);
                self.totals.delivered += 1;
                return Ok(Settled::Removed);
            }
            How::Extend(seconds) => {
                entry.lease = Some((token.fence(), self.now + seconds, was_quarantined));
                return Ok(Settled::Extended);
            }
            How::Quarantine => entry.give_back(true),
            How::Untouched => entry.give_back(was_quarantined || entry.letter.redrives >= QUARANTINE_AFTER),
            How::Failed => {
                let fits = self.letters.iter().map(|entry| entry.letter.size()).sum::<u64>() + 2;
                let text = if fits <= MAX_BYTES as u64 { "no" } else { "" };
                let entry = &mut self.letters[at];
                entry.letter.attempts.push(AttemptRecord::new(1, SystemTime::UNIX_EPOCH, text));
                entry.letter.redrives += 1;
                entry.give_back(was_quarantined || entry.letter.redrives >= QUARANTINE_AFTER);
            }
        }
        let quarantined = self.letters[at].letter.state == LetterState::Quarantined;
        Ok(if quarantined { Settled::Quarantined } else { Settled::Released })
    }

    fn reinstate(&mut self, id: u64) -> bool {
        let quarantined = |entry: &&mut Entry| {
            entry.letter.id == LetterId::new(id) && entry.letter.state == LetterState::Quarantined
        };
        let Some(entry) = self.letters.iter_mut().find(quarantined) else { return false };
        (entry.letter.redrives, entry.letter.unsettled) = (0, 0);
        entry.expires = self.now + LIVES;
        entry.give_back(false);
        true
    }

    fn discard(&mut self, filter: &LetterFilter) -> usize {
        let before = self.letters.len();
        self.letters.retain(|entry| !filter.matches(&entry.letter));
        let removed = before - self.letters.len();
        self.totals.discarded += removed as u64;
        removed
    }

    /// Every number, counted from the letters.
    fn stats(&self) -> QueueStats {
        let of = |state| self.letters.iter().filter(|entry| entry.letter.state == state).count() as u64;
        let mut by_destination = BTreeMap::new();
        for destination in self.letters.iter().filter_map(|entry| entry.letter.destination.clone()) {
            *by_destination.entry(destination).or_default() += 1;
        }
        QueueStats {
            ready: of(LetterState::Ready),
            leased: of(LetterState::Leased),
            quarantined: of(LetterState::Quarantined),
            bytes: self.bytes(),
            oldest: self.letters.iter().map(|entry| entry.letter.died_at).min(),
            by_destination,
            ..self.totals.clone()
        }
    }
}

impl Entry {
    fn give_back(&mut self, quarantines: bool) {
        self.lease = None;
        self.letter.state = if quarantines { LetterState::Quarantined } else { LetterState::Ready };
    }
}

/// Letters die in no particular order, so that the oldest is not always the first.
fn letter(bytes: usize, destination: u8) -> DeadLetter {
    let letter = DeadLetter::new("op")
        .payload(Payload::new("", vec![7; bytes]))
        .died_at(SystemTime::UNIX_EPOCH + Duration::from_secs(bytes as u64 * 7 % 13));
    if destination == 0 { letter } else { letter.destination(destination.to_string()) }
}

fn run(steps: Vec<Step>, drops: bool) {
    let start = time::now();
    let mut ledger = Ledger::new(Rules {
        capacity: CAPACITY,
        max_bytes: MAX_BYTES,
        max_payload: MAX_PAYLOAD,
        when_full: if drops { WhenFull::DropOldest } else { WhenFull::Refuse },
        time_to_live: Some(Duration::from_secs(LIVES)),
        quarantine_after: QUARANTINE_AFTER,
    });
    let mut model = Model { drops, ..Model::default() };
    let mut tokens: Vec<LeaseToken> = Vec::new();
    let mut lost = 0;

    for step in steps {
        if let Step::Wait { seconds } = step {
            model.now += seconds;
        }
        let now = start + Duration::from_secs(model.now);
        model.sweep();
        ledger.sweep(now);
        match step {
            Step::Push { bytes, destination } => {
                let given = letter(bytes, destination);
                let expected = model.push(given.clone());
                match ledger.push(given.clone(), now) {
                    Ok(receipt) => {
                        assert_eq!(receipt.id.get(), model.totals.pushed);
                        assert_eq!(Ok(receipt.evicted.iter().map(|id| id.get()).collect()), expected);
                    }
                    Err(error) => {
                        assert_eq!(*error.letter, given);
                        assert_eq!(Err(error.kind), expected);
                    }
                }
            }
            Step::Lease { which, limit, seconds } => {
                let filter = which.filter();
                let leased = ledger.lease(&filter, limit, Duration::from_secs(seconds), now);
                let leased: Vec<_> =
                    leased.into_iter().map(|(letter, token)| ((*letter).clone(), token)).collect();
                tokens.extend(leased.iter().map(|(_, token)| *token));
                assert_eq!(leased, model.lease(&filter, limit, seconds));
            }
            Step::Settle { nth, how } if !tokens.is_empty() => {
                // Tokens are kept after they are used: many of them are old.
                let token = tokens[tokens.len() - 1 - nth % tokens.len().min(5)];
                assert_eq!(ledger.settle(token, how.settlement(), now), model.settle(token, how));
            }
            Step::Settle { .. } | Step::Wait { .. } => {}
            Step::Reinstate { id } => {
                let one = LetterFilter::new().id(LetterId::new(id));
                assert_eq!(ledger.reinstate(&one, &ByHand::default(), now), u64::from(model.reinstate(id)));
            }
            Step::Discard { which } => {
                let removed = ledger.discard(&which.filter(), &ByHand::default(), now);
                assert_eq!(removed.len(), model.discard(&which.filter()));
            }
        }
        let held = ledger.peek(&LetterFilter::new().any_state(), usize::MAX);
        assert!(held.iter().map(|letter| &**letter).eq(model.letters.iter().map(|entry| &entry.letter)));
        let stats = ledger.stats();
        assert_eq!(stats, model.stats());
        let gone = stats.delivered + stats.evicted + stats.expired + stats.discarded;
        assert_eq!(stats.pushed, stats.held() + gone);
        lost += ledger.take_lost().len() as u64;
        assert_eq!(lost, stats.evicted + stats.expired, "each loss is told once");
    }
}

proptest! {
    #[test]
    fn random_histories_go_as_in_the_model(
        steps in proptest::collection::vec(step(), 0..150),
        drops in any::<bool>(),
    ) {
        run(steps, drops);
    }
}
