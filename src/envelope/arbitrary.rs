//! Letters of every kind, for the tests of those who write letters down.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use crate::classification::Category;
use crate::dead_letter::{
    AttemptRecord, ByHand, DeadLetter, DeadReason, Edited, ErrorChain, ErrorFrame, History, LetterId,
    LetterState, Origin, Payload,
};

/// Any characters, control characters and those outside the first plane among them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(any::<char>(), 0..12).prop_map(String::from_iter),
        Just("\u{0}\"\\/\u{7f}\n\r\t\u{2028}\u{feff}\u{10ffff}".to_owned()),
        "[a-z]{0,8}",
    ]
}

/// From the first moment that the clock can say to the last.
fn moment() -> impl Strategy<Value = SystemTime> {
    let seconds = prop_oneof![any::<i64>(), -2_i64..2, Just(i64::MIN), Just(i64::MAX)];
    (seconds, prop_oneof![0_u32..1_000_000_000, Just(0), Just(999_999_999)]).prop_map(|(seconds, nanos)| {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let moment = if seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)
        };
        moment
            .and_then(|moment| moment.checked_add(Duration::new(0, nanos)))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    })
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![any::<Duration>(), Just(Duration::ZERO), Just(Duration::MAX)]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..4, any::<u32>(), Just(u32::MAX)]
}

fn category() -> impl Strategy<Value = Option<Category>> {
    of(proptest::sample::select(&Category::ALL[..]))
}

fn payload() -> impl Strategy<Value = Payload> {
    let bytes = prop_oneof![vec(any::<u8>(), 0..40), text().prop_map(String::into_bytes)];
    (text(), of(any::<u32>()), bytes).prop_map(|(content_type, version, bytes)| {
        let mut payload = Payload::new(content_type, bytes);
        payload.schema_version = version;
        payload
    })
}

fn error() -> impl Strategy<Value = ErrorChain> {
    let frame = (text(), of(text()), of(text())).prop_map(|(message, type_name, code)| {
        let mut frame = ErrorFrame::new(message);
        (frame.type_name, frame.code) = (type_name, code);
        frame
    });
    vec(frame, 0..4).prop_map(ErrorChain::from_iter)
}

fn history() -> impl Strategy<Value = History> {
    let record = (number(), moment(), of(span()), span(), category(), text());
    let record = record.prop_map(|(number, at, took, delay, category, message)| {
        let mut record = AttemptRecord::new(number, at, message).delay_before(delay);
        (record.took, record.category) = (took, category);
        record
    });
    (vec(record, 0..13), number()).prop_map(|(records, total)| History::restored(records, total))
}

fn edited() -> impl Strategy<Value = Box<Edited>> {
    (any::<u64>(), any::<[u8; 32]>(), of(text()), of(text()), moment()).prop_map(
        |(from, sha256, who, why, at)| {
            let mut by = ByHand::default();
            (by.who, by.why) = (who, why);
            Box::new(Edited::new(LetterId::new(from), sha256, by, at))
        },
    )
}

fn origin() -> impl Strategy<Value = Origin> {
    (any::<u128>(), any::<u64>()).prop_map(|(queue, id)| Origin::new(queue, LetterId::new(id)))
}

fn state() -> impl Strategy<Value = LetterState> {
    prop_oneof![Just(LetterState::Ready), Just(LetterState::Leased), Just(LetterState::Quarantined)]
}

/// A letter with anything in every field, but without a number.
pub(crate) fn letter() -> impl Strategy<Value = DeadLetter> {
    let call = (text(), of(text()), of(payload()), moment(), btree_map(text(), text(), 0..3));
    let failure =
        (proptest::sample::select(&DeadReason::ALL[..]), error(), category(), of(any::<u16>()), history());
    let names = (of(text()), of(text()), of(text()), of(text()));
    let past = (of(edited()), of(origin()));
    let standing = (number(), number(), number(), state());
    (call, failure, names, past, standing).prop_map(|(call, failure, names, past, standing)| {
        let mut letter = DeadLetter::new(call.0).died_at(call.3);
        (letter.destination, letter.payload) = (call.1, call.2);
        letter.headers = call.4.into_iter().collect::<BTreeMap<_, _>>();
        (letter.reason, letter.error, letter.category, letter.status, letter.attempts) = failure;
        (letter.correlation_id, letter.idempotency_key, letter.traceparent, letter.tenant) = names;
        (letter.edited, letter.origin) = past;
        (letter.deliveries, letter.redrives, letter.unsettled, letter.state) = standing;
        letter
    })
}
