//! Letters, groups, numbers and acts for programs. The names of fields stay as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use recoup::{
    Act, AttemptRecord, ByHand, DeadLetter, Edited, ErrorFrame, LetterGroup, Origin, Payload, QueueStats,
};
use serde_json::{Value, json};

use crate::dlq::chosen::state_name;
use crate::dlq::text::moment;

/// All about a letter; the bytes of its payload if `payload`.
pub(crate) fn letter(letter: &DeadLetter, payload: bool) -> Value {
    let frame =
        |frame: &ErrorFrame| json!({ "message": frame.message, "type": frame.type_name, "code": frame.code });
    let attempt = |record: &AttemptRecord| {
        json!({
            "number": record.number,
            "at": moment(record.at),
            "took_ms": record.took.map(milliseconds),
            "delay_before_ms": milliseconds(record.delay_before),
            "category": record.category.map(recoup::Category::name),
            "message": record.message,
        })
    };
    json!({
        "id": letter.id.get(),
        "state": state_name(letter.state),
        "operation": letter.operation,
        "destination": letter.destination,
        "fingerprint": letter.fingerprint().to_string(),
        "reason": letter.reason.name(),
        "category": letter.category.map(recoup::Category::name),
        "status": letter.status,
        "died_at": moment(letter.died_at),
        "error": letter.error.frames().iter().map(frame).collect::<Vec<_>>(),
        "attempts": {
            "total": letter.attempts.total(),
            "records": letter.attempts.records().iter().map(attempt).collect::<Vec<_>>(),
        },
        "deliveries": letter.deliveries,
        "redrives": letter.redrives,
        "unsettled": letter.unsettled,
        "idempotency_key": letter.idempotency_key,
        "correlation_id": letter.correlation_id,
        "traceparent": letter.traceparent,
        "tenant": letter.tenant,
        "headers": letter.headers,
        "edited": letter.edited.as_deref().map(edited),
        "origin": letter.origin.as_ref().map(origin),
        "payload": letter.payload.as_ref().map(|it| payload_of(it, payload)),
    })
}

/// As text where it is text, else in base 64.
fn payload_of(payload: &Payload, bytes: bool) -> Value {
    let mut value = json!({
        "content_type": payload.content_type,
        "schema_version": payload.schema_version,
        "size": payload.bytes.len(),
    });
    if bytes {
        match std::str::from_utf8(&payload.bytes) {
            Ok(text) => value["text"] = text.into(),
            Err(_) => value["base64"] = STANDARD.encode(&payload.bytes).into(),
        }
    }
    value
}

fn edited(edited: &Edited) -> Value {
    let hex = |half: &[u8]| half.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let (first, second) = edited.sha256.split_at(16);
    let sha256 = format!("{:032x}{:032x}", hex(first), hex(second));
    json!({ "from": edited.from.get(), "sha256": sha256, "by": by(&edited.by), "at": moment(edited.at) })
}

fn origin(origin: &Origin) -> Value {
    json!({ "queue": format!("{:032x}", origin.queue), "id": origin.id.get() })
}

pub(crate) fn by(by: &ByHand) -> Value {
    json!({ "who": by.who, "why": by.why })
}

pub(crate) fn group(group: &LetterGroup) -> Value {
    json!({
        "fingerprint": group.fingerprint.to_string(),
        "letters": group.letters,
        "first": moment(group.first),
        "last": moment(group.last),
        "destination": group.sample.destination,
        "operation": group.sample.operation,
        "message": group.sample.error.to_string(),
        "sample": group.sample.id.get(),
    })
}

pub(crate) fn stats(stats: &QueueStats) -> Value {
    json!({
        "held": stats.held(),
        "ready": stats.ready,
        "leased": stats.leased,
        "quarantined": stats.quarantined,
        "bytes": stats.bytes,
        "oldest": stats.oldest.map(moment),
        "by_destination": stats.by_destination,
        "pushed": stats.pushed,
        "delivered": stats.delivered,
        "evicted": stats.evicted,
        "expired": stats.expired,
        "discarded": stats.discarded,
    })
}

pub(crate) fn act(act: &Act) -> Value {
    json!({
        "at": moment(act.at),
        "by": by(&act.by),
        "deed": act.deed.name(),
        "letters": act.letters,
        "filter": act.filter.to_string(),
    })
}

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
