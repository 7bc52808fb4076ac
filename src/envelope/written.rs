//! The words in which a letter is written down. Fields may be added; none is ever renamed or given another
//! meaning, and one that is missing has a default: what was written by an older release can always be read.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::unreadable::Unreadable;
use crate::classification::Category;
use crate::dead_letter::{
    AttemptRecord, ByHand, DeadLetter, DeadReason, Edited, ErrorChain, ErrorFrame, History, LetterId, Origin,
};

/// A moment of the wall clock: whole seconds since 1970, before it negative, and nanoseconds. Ordered by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct WrittenMoment(pub(crate) i64, pub(crate) u32);

impl WrittenMoment {
    pub(crate) fn of(moment: SystemTime) -> Self {
        match moment.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let (seconds, nanos) = match before.subsec_nanos() {
                    0 => (before.as_secs(), 0),
                    nanos => (before.as_secs().saturating_add(1), 1_000_000_000 - nanos),
                };
                Self(i64::try_from(seconds).map_or(i64::MIN, |seconds| -seconds), nanos)
            }
        }
    }

    /// The moment; the beginning of 1970 if the clock does not go there.
    pub(crate) fn get(self) -> SystemTime {
        let Self(seconds, nanos) = self;
        let (whole, part) = (Duration::from_secs(seconds.unsigned_abs()), Duration::from_nanos(nanos.into()));
        let moment = match seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
            _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
        };
        moment.and_then(|moment| moment.checked_add(part)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// A length of time: whole seconds and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenSpan(u64, u32);

impl WrittenSpan {
    pub(super) fn of(span: Duration) -> Self {
        Self(span.as_secs(), span.subsec_nanos())
    }

    pub(super) fn get(self) -> Duration {
        Duration::from_secs(self.0).saturating_add(Duration::from_nanos(self.1.into()))
    }
}

/// What a letter carries, but for the bytes of its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WrittenBody {
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    died_at: WrittenMoment,
    /// Of the payload; without it there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<WrittenEdit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<WrittenOrigin>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenEdit {
    from: u64,
    sha256: [u8; 32],
    at: WrittenMoment,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// The queue's number is hexadecimal text: JSON's numbers are not that wide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct WrittenOrigin {
    queue: String,
    id: u64,
}

impl WrittenBody {
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let payload = letter.payload.as_ref();
        let edited = letter.edited.as_deref().map(|Edited { from, sha256, by, at }| WrittenEdit {
            from: from.get(),
            sha256: *sha256,
            at: WrittenMoment::of(*at),
            who: by.who.clone(),
            why: by.why.clone(),
        });
        let origin = letter
            .origin
            .map(|origin| WrittenOrigin { queue: format!("{:x}", origin.queue), id: origin.id.get() });
        Self {
            operation: letter.operation.clone(),
            destination: letter.destination.clone(),
            died_at: WrittenMoment::of(letter.died_at),
            content_type: payload.map(|payload| payload.content_type.clone()),
            schema_version: payload.and_then(|payload| payload.schema_version),
            correlation_id: letter.correlation_id.clone(),
            idempotency_key: letter.idempotency_key.clone(),
            traceparent: letter.traceparent.clone(),
            tenant: letter.tenant.clone(),
            headers: letter.headers.clone(),
            edited,
            origin,
        }
    }

    /// Writes all of it into the letter, but for the payload.
    ///
    /// # Errors
    ///
    /// The queue that it came from has a number that is none. Without it, the letter could come in twice.
    pub(crate) fn fill(self, letter: &mut DeadLetter) -> Result<(), Unreadable> {
        letter.operation = self.operation;
        letter.destination = self.destination;
        letter.died_at = self.died_at.get();
        letter.correlation_id = self.correlation_id;
        letter.idempotency_key = self.idempotency_key;
        letter.traceparent = self.traceparent;
        letter.tenant = self.tenant;
        letter.headers = self.headers;
        letter.edited = self.edited.map(|edit| {
            let mut by = ByHand::default();
            (by.who, by.why) = (edit.who, edit.why);
            Box::new(Edited::new(LetterId::new(edit.from), edit.sha256, by, edit.at.get()))
        });
        let origin = |WrittenOrigin { queue, id }| {
            let number = u128::from_str_radix(&queue, 16);
            let number = number.map_err(|_| Unreadable(format!("`{queue}` is no queue")))?;
            Ok(Origin::new(number, LetterId::new(id)))
        };
        letter.origin = self.origin.map(origin).transpose()?;
        Ok(())
    }
}

/// How a letter's call failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WrittenStory {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error: Vec<WrittenFrame>,
    attempts_total: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<WrittenAttempt>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenFrame {
    message: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct WrittenAttempt {
    number: u32,
    at: WrittenMoment,
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<WrittenSpan>,
    delay_before: WrittenSpan,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    message: String,
}

impl WrittenStory {
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let frame = |frame: &ErrorFrame| WrittenFrame {
            message: frame.message.clone(),
            type_name: frame.type_name.clone(),
            code: frame.code.clone(),
        };
        let attempt = |record: &AttemptRecord| WrittenAttempt {
            number: record.number,
            at: WrittenMoment::of(record.at),
            took: record.took.map(WrittenSpan::of),
            delay_before: WrittenSpan::of(record.delay_before),
            category: record.category.map(|category| category.name().to_owned()),
            message: record.message.clone(),
        };
        Self {
            reason: letter.reason.name().to_owned(),
            category: letter.category.map(|category| category.name().to_owned()),
            status: letter.status,
            error: letter.error.frames().iter().map(frame).collect(),
            attempts_total: letter.attempts_total(),
            attempts: letter.attempts.records().iter().map(attempt).collect(),
        }
    }

    /// Writes all of it into the letter.
    ///
    /// # Errors
    ///
    /// The reason or a category has a name that no release up to this one gave.
    pub(crate) fn fill(self, letter: &mut DeadLetter) -> Result<(), Unreadable> {
        // Without a reason it is the one that a new letter has.
        let named = (!self.reason.is_empty()).then_some(self.reason);
        letter.reason = named.as_deref().map_or(Ok(DeadReason::ByHand), reason)?;
        letter.category = self.category.as_deref().map(category).transpose()?;
        letter.status = self.status;
        let frame = |frame: WrittenFrame| {
            let mut read = ErrorFrame::new(frame.message);
            (read.type_name, read.code) = (frame.type_name, frame.code);
            read
        };
        letter.error = self.error.into_iter().map(frame).collect::<ErrorChain>();
        let attempt = |written: WrittenAttempt| {
            let mut record = AttemptRecord::new(written.number, written.at.get(), written.message)
                .delay_before(written.delay_before.get());
            record.took = written.took.map(WrittenSpan::get);
            record.category = written.category.as_deref().map(category).transpose()?;
            Ok(record)
        };
        let records = self.attempts.into_iter().map(attempt).collect::<Result<Vec<_>, Unreadable>>()?;
        letter.attempts = History::restored(records, self.attempts_total);
        Ok(())
    }
}

pub(super) fn reason(name: &str) -> Result<DeadReason, Unreadable> {
    let known = DeadReason::ALL.into_iter().find(|reason| reason.name() == name);
    known.ok_or_else(|| Unreadable(format!("`{name}` is no reason")))
}

pub(super) fn category(name: &str) -> Result<Category, Unreadable> {
    let known = Category::ALL.into_iter().find(|category| category.name() == name);
    known.ok_or_else(|| Unreadable(format!("`{name}` is no category")))
}
