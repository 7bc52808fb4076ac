//! Arbitrary chains of errors: each gets an answer, is written down within its bounds, and nothing panics.
#![no_main]

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use recoup::{
    Advice, AttemptRecord, BoxedError, Category, Classification, Classified, DeadLetter, ErrorChain,
    ErrorClassifier, ErrorFrame, Health, History, IoErrors, Severity, SourceChain,
};
use recoup_fuzz::Span;

#[derive(Arbitrary, Debug)]
struct Input {
    answer: Vec<Bend>,
    links: Vec<Link>,
    text: String,
    attempts: Vec<(u32, Span)>,
}

/// One link of a chain, the outermost first.
#[derive(Arbitrary, Clone, Debug)]
enum Link {
    Plain(String),
    Os(i32),
    Kind(u8),
    Wrapped(u8, String),
    Classified(u8, Vec<Bend>, String),
    Boxed(String),
    Shared(String),
    /// Its source is itself.
    Circle,
    /// Its `Display` fails halfway.
    Mute(String),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Bend {
    Retry,
    RetryAfter(Span),
    Stop,
    Severity(u8),
    Health(u8),
    Status(u16),
}

fn bent(category: u8, bends: &[Bend]) -> Classification {
    let category = Category::ALL[usize::from(category) % Category::ALL.len()];
    bends.iter().fold(Classification::of(category), |answer, bend| match *bend {
        Bend::Retry => answer.retry(),
        Bend::RetryAfter(hint) => answer.retry_after(hint.into()),
        Bend::Stop => answer.stop(),
        Bend::Severity(which) => answer.with_severity(
            [Severity::Transient, Severity::Persistent, Severity::Critical][usize::from(which) % 3],
        ),
        Bend::Health(which) => {
            answer.counts_as([Health::Success, Health::Failure, Health::Ignored][usize::from(which) % 3])
        }
        Bend::Status(code) => answer.status(code),
    })
}

/// What holds for every answer, however it was bent.
fn is_consistent(answer: Classification) {
    if answer.severity() == Severity::Critical {
        assert_eq!(answer.advice(), Advice::Stop, "{answer:?}");
    }
    match answer.advice() {
        Advice::RetryAfter(hint) => assert_eq!(answer.hint(), Some(hint)),
        _ => assert_eq!(answer.hint(), None),
    }
}

#[derive(Debug)]
struct Told {
    message: String,
    fails: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
    circle: bool,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.fails { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if self.circle {
            Some(self)
        } else {
            self.source.as_deref().map(|source| source as &(dyn Error + 'static))
        }
    }
}

fn kind(which: u8) -> io::ErrorKind {
    use io::ErrorKind as Kind;
    let kinds = [
        Kind::ConnectionRefused,
        Kind::TimedOut,
        Kind::PermissionDenied,
        Kind::NotFound,
        Kind::InvalidData,
        Kind::Interrupted,
        Kind::WouldBlock,
        Kind::OutOfMemory,
        Kind::Unsupported,
        Kind::Other,
    ];
    kinds[usize::from(which) % kinds.len()]
}

type Boxed = Box<dyn Error + Send + Sync>;

fn told(message: &str, source: Option<Boxed>) -> Told {
    Told { message: message.to_owned(), fails: false, source, circle: false }
}

fn link(link: &Link, source: Option<Boxed>) -> Boxed {
    match link {
        Link::Plain(message) => told(message, source).into(),
        Link::Os(code) => io::Error::from_raw_os_error(*code).into(),
        Link::Kind(which) => io::Error::from(kind(*which)).into(),
        Link::Wrapped(which, message) => io::Error::new(kind(*which), told(message, source)).into(),
        Link::Classified(which, bends, message) => {
            Classified::<_>::new(told(message, source), bent(*which, bends)).into()
        }
        Link::Boxed(message) => told(message, Some(Box::new(told(message, source)))).into(),
        Link::Shared(message) => Box::new(Arc::new(told(message, source))),
        Link::Circle => Told { circle: true, ..told("round and round", None) }.into(),
        Link::Mute(message) => Told { fails: true, ..told(message, source) }.into(),
    }
}

fuzz_target!(|input: Input| {
    is_consistent(bent(input.attempts.len() as u8, &input.answer));

    let chain = input.links.iter().take(100).rev().fold(None, |source, next| Some(link(next, source)));
    let error: Boxed = chain.unwrap_or_else(|| told(&input.text, None).into());
    let plain = SourceChain::<BoxedError>::new();
    let answer = plain.classify(&error);
    is_consistent(answer);
    assert_eq!(answer, plain.clone().classify(&error), "the same error, the same answer");
    // What is added is asked first, and `Unknown` is no answer.
    let knowing = SourceChain::<BoxedError>::new().with(|_: &Told| Category::Unknown);
    assert_eq!(knowing.classify(&error).category(), answer.category());
    if let Some(io) = error.downcast_ref::<io::Error>() {
        is_consistent(IoErrors.classify(io));
    }

    let shown = ErrorChain::of(&*error);
    assert!(!shown.is_empty() && shown.frames().len() <= ErrorChain::MAX_FRAMES);
    assert!(shown.frames().iter().all(|frame| frame.message.len() <= 4096));
    let frame = ErrorFrame::new(&input.text);
    assert!(input.text.starts_with(&frame.message) && frame.message.len() <= 4096);
    assert!(frame.message == input.text || frame.message.len() > 4096 - 4, "cut too early");

    let mut history = History::default();
    for (number, took) in &input.attempts {
        let record = AttemptRecord::new(*number, SystemTime::UNIX_EPOCH, &input.text);
        history.push(record.took((*took).into()).delay_before(Duration::from(*took)));
    }
    assert_eq!(history.total() as usize, input.attempts.len());
    assert!(history.records().len() <= History::MAX_RECORDS);
    let letter =
        DeadLetter::new(&*input.text).error(shown).category(answer.category()).header(&*input.text, "");
    assert!(letter.size() >= input.text.len() as u64);
});
