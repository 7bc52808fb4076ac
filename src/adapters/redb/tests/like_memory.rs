//! Random histories: a queue in a file answers as one in memory does.

use proptest::prelude::*;

use super::*;
use crate::classification::Category;
use crate::dead_letter::{
    AttemptRecord, ByHand, ErrorChain, LeaseToken, LetterState, MemoryQueue, Settlement, WhenFull,
};

/// Nothing is over at a whole second, and time passes in whole ones: from one run to the next the clock is that on
/// the wall, which is not as exact as to end something at the very moment.
const LIVES: Duration = Duration::from_millis(50_500);
const PART: Duration = Duration::from_millis(250);

#[derive(Clone, Debug)]
enum Step {
    Push { bytes: usize, destination: u8, error: u8 },
    Replace { old: u64, bytes: usize },
    Lease { which: Which, limit: usize, seconds: u64 },
    Settle { nth: usize, how: How },
    Quarantine { which: Which },
    Reinstate { which: Which },
    Discard { which: Which },
    Wait { seconds: u64 },
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    NotQuarantined,
    Any,
    Quarantined,
    To(u8),
    Error(u8),
    After(u64),
    One(u64),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Delivered,
    Untouched,
    Failed(u8),
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
            Self::Error(error) => filter.category(category(error)).any_state(),
            Self::After(id) => filter.after(LetterId::new(id)),
            Self::One(id) => filter.id(LetterId::new(id)).any_state(),
        }
    }
}

fn category(error: u8) -> Category {
    if error == 0 { Category::Timeout } else { Category::Network }
}

impl How {
    fn settlement(self) -> Settlement {
        match self {
            Self::Delivered => Settlement::Delivered,
            Self::Untouched => Settlement::untouched(),
            Self::Failed(error) => {
                let record = AttemptRecord::new(1, SystemTime::UNIX_EPOCH, "no").category(category(error));
                Settlement::redrive_failed(record)
            }
            Self::Quarantine => Settlement::Quarantine,
            Self::Extend(0) => Settlement::Extend(Duration::ZERO),
            Self::Extend(seconds) => Settlement::Extend(Duration::from_secs(seconds) + PART),
        }
    }
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        4 => Just(Which::NotQuarantined),
        1 => Just(Which::Any),
        2 => Just(Which::Quarantined),
        2 => (0_u8..4).prop_map(Which::To),
        2 => (0_u8..2).prop_map(Which::Error),
        1 => (0_u64..20).prop_map(Which::After),
        1 => (0_u64..20).prop_map(Which::One),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        1 => Just(How::Delivered),
        1 => Just(How::Untouched),
        3 => (0_u8..2).prop_map(How::Failed),
        1 => Just(How::Quarantine),
        1 => (0_u64..30).prop_map(How::Extend),
    ];
    prop_oneof![
        8 => (0_usize..100, 0_u8..3, 0_u8..2)
            .prop_map(|(bytes, destination, error)| Step::Push { bytes, destination, error }),
        1 => (0_u64..20, 0_usize..100).prop_map(|(old, bytes)| Step::Replace { old, bytes }),
        6 => (which(), 0_usize..4, 1_u64..30)
            .prop_map(|(which, limit, seconds)| Step::Lease { which, limit, seconds }),
        6 => (any::<usize>(), how).prop_map(|(nth, how)| Step::Settle { nth, how }),
        1 => which().prop_map(|which| Step::Quarantine { which }),
        1 => which().prop_map(|which| Step::Reinstate { which }),
        1 => which().prop_map(|which| Step::Discard { which }),
        5 => (0_u64..25).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Reopen),
    ]
}

/// Letters die in no particular order, so that the oldest is not always the first.
fn dead(bytes: usize, destination: u8, error: u8) -> DeadLetter {
    let letter = DeadLetter::new("op")
        .payload(Payload::new("", vec![7; bytes]))
        .category(category(error))
        .error(ErrorChain::from_display(&if error == 0 { "late" } else { "lost" }))
        .died_at(SystemTime::UNIX_EPOCH + Duration::from_secs(bytes as u64 * 7 % 13));
    if destination == 0 { letter } else { letter.destination(destination.to_string()) }
}

async fn open(backend: &Lasting, rule: WhenFull) -> RedbQueue {
    let builder = RedbQueue::builder().capacity(6).max_bytes(320).max_payload(90).when_full(rule);
    let builder = builder.quarantine_after(2).time_to_live(LIVES);
    builder.in_backend(backend.clone()).await.unwrap()
}

async fn compare(steps: Vec<Step>, rule: WhenFull) {
    let model = MemoryQueue::builder().capacity(6).max_bytes(320).max_payload(90).when_full(rule);
    let model = model.quarantine_after(2).time_to_live(LIVES).build().unwrap();
    let backend = Lasting::new();
    let mut queue = open(&backend, rule).await;
    let (mut tokens, by): (Vec<LeaseToken>, _) = (Vec::new(), ByHand::of("ana"));
    for step in steps {
        match step.clone() {
            Step::Push { bytes, destination, error } => {
                let letter = dead(bytes, destination, error);
                assert_eq!(queue.push(letter.clone()).await, model.push(letter).await);
            }
            Step::Replace { old, bytes } => {
                let (old, letter) = (LetterId::new(old), dead(bytes, 1, 0));
                let replaced = queue.replace(old, letter.clone(), &by).await;
                assert_eq!(replaced, model.replace(old, letter, &by).await);
            }
            Step::Lease { which, limit, seconds } => {
                let (filter, time) = (which.filter(), Duration::from_secs(seconds) + PART);
                let leased = queue.lease(&filter, limit, time).await.unwrap();
                assert_eq!(leased, model.lease(&filter, limit, time).await.unwrap(), "{step:?}");
                tokens.extend(leased.iter().map(|leased| leased.token));
            }
            Step::Settle { nth, how } => {
                if let Some(&token) = tokens.get(nth % tokens.len().max(1)) {
                    let settled = queue.settle(token, how.settlement()).await;
                    assert_eq!(settled, model.settle(token, how.settlement()).await, "{step:?}");
                }
            }
            Step::Quarantine { which } => {
                let quarantined = queue.quarantine(&which.filter(), &by).await;
                assert_eq!(quarantined, model.quarantine(&which.filter(), &by).await);
            }
            Step::Reinstate { which } => {
                let reinstated = queue.reinstate(&which.filter(), &by).await;
                assert_eq!(reinstated, model.reinstate(&which.filter(), &by).await);
            }
            Step::Discard { which } => {
                let discarded = queue.discard(&which.filter(), &by).await;
                assert_eq!(discarded, model.discard(&which.filter(), &by).await);
            }
            Step::Wait { seconds } => tokio::time::advance(Duration::from_secs(seconds)).await,
            Step::Reopen => {
                queue.close().await.unwrap();
                queue = open(&backend, rule).await;
            }
        }
        same(&queue, &model, &step).await;
    }
    let acts = |acts: Vec<crate::dead_letter::Act>| -> Vec<_> {
        acts.into_iter().map(|act| (act.by, act.deed, act.filter, act.letters)).collect()
    };
    assert_eq!(acts(queue.acts(99).await.unwrap()), acts(model.acts(99).await.unwrap()));
}

async fn same(queue: &RedbQueue, model: &MemoryQueue, step: &Step) {
    assert_eq!(stats(queue).await, model.stats().await.unwrap(), "{step:?}");
    let filters = [
        all(),
        LetterFilter::new(),
        LetterFilter::new().destination("1"),
        all().destination("2"),
        LetterFilter::new().state(LetterState::Ready),
        LetterFilter::new().category(Category::Timeout),
        all().fingerprint(dead(0, 1, 1).fingerprint()),
    ];
    for filter in filters {
        let seen = queue.peek(&filter, 4).await.unwrap();
        assert_eq!(seen, model.peek(&filter, 4).await.unwrap(), "{step:?}: {filter:?}");
        let groups = queue.groups(&filter, 3).await.unwrap();
        assert_eq!(groups, model.groups(&filter, 3).await.unwrap(), "{step:?}: {filter:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn d1_to_d15_queue_in_a_file_answers_as_one_in_memory(
        steps in proptest::collection::vec(step(), 1..60),
        drops in any::<bool>(),
    ) {
        let rule = if drops { WhenFull::DropOldest } else { WhenFull::Refuse };
        let paused = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        paused.unwrap().block_on(compare(steps, rule));
    }
}
