//! A subscriber that remembers spans and lines.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test reads the paused clock, and the crate's own lock is not for tests"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Event, Level, Metadata, Subscriber};

/// A handle on what was logged on this thread since it was installed.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

struct Shared {
    most: Level,
    made: Instant,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    spans: Vec<Span>,
    lines: Vec<Line>,
    /// The spans that are entered now, the innermost last.
    within: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) target: String,
    pub(crate) parent: Option<usize>,
    pub(crate) fields: BTreeMap<&'static str, String>,
    pub(crate) entered: u32,
    pub(crate) opened: Duration,
    pub(crate) closed: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) within: Option<usize>,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl Line {
    pub(crate) fn message(&self) -> &str {
        self.fields.get("message").map_or("", String::as_str)
    }
}

impl Log {
    /// Remembers what this thread logs at `most` and above, until the guard is dropped.
    pub(crate) fn install(most: Level) -> (Self, DefaultGuard) {
        let log = Self(Arc::new(Shared { most, made: Instant::now(), seen: Mutex::default() }));
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.seen().spans.clone()
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.seen().lines.clone()
    }

    /// How many spans are entered now.
    pub(crate) fn depth(&self) -> usize {
        self.seen().within.len()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap()
    }
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64() - 1).unwrap()
}

impl Subscriber for Log {
    /// Tests beside this one have logs with other levels, so each is asked each time.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.0.most
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut seen = self.seen();
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = if attributes.is_contextual() { seen.within.last().copied() } else { None };
        let metadata = attributes.metadata();
        seen.spans.push(Span {
            name: metadata.name(),
            target: metadata.target().to_owned(),
            parent,
            fields: fields.0,
            entered: 0,
            opened: self.0.made.elapsed(),
            closed: None,
        });
        Id::from_u64(seen.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        self.seen().spans[index(span)].fields.extend(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, target) = (*event.metadata().level(), event.metadata().target().to_owned());
        let mut seen = self.seen();
        let within = seen.within.last().copied();
        seen.lines.push(Line { level, target, within, fields: fields.0 });
    }

    fn enter(&self, span: &Id) {
        let mut seen = self.seen();
        seen.spans[index(span)].entered += 1;
        seen.within.push(index(span));
    }

    fn exit(&self, span: &Id) {
        let left = self.seen().within.pop();
        assert_eq!(left, Some(index(span)), "spans are left in the order in which they were entered");
    }

    fn try_close(&self, span: Id) -> bool {
        self.seen().spans[index(&span)].closed = Some(self.0.made.elapsed());
        true
    }
}

/// Every field as text.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
