//! The texts by which errors are told that have no type that can be named. The one place for them.
//!
//! Each is held against the real crate by a test over sockets, but for the last, whose crate needs a TLS stack.

use std::error::Error;
use std::fmt::{self, Write};

use crate::classification::{Category, Classification, Health, Severity};

/// What the text of one link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It happened before there was a connection; the link's sources say what.
    Connecting,
    Is(Classification),
}

/// How a link's text has to begin, and what it says then. The first that fits counts.
type Known = (&'static str, fn() -> Told);

/// By `Debug`: there hyper and hyper-util name themselves, and the kind.
const BY_DEBUG: &[Known] = &[
    ("hyper_util::client::legacy::Error(Connect", || Told::Connecting),
    ("hyper_util::client::legacy::Error(User", misused),
    ("hyper::Error(Canceled", never_left),
    ("hyper::Error(IncompleteMessage", network),
    ("hyper::Error(Parse(", garbage),
    // Whoever drove the connection is gone, with its runtime for example, and the request may have been sent.
    ("hyper::Error(User(DispatchGone)", network),
    ("hyper::Error(User(", misused),
];

/// By `Display`, of those whose `Debug` says less.
const BY_DISPLAY: &[Known] = &[
    // hyper-util's connector.
    ("dns error", || Told::Connecting),
    ("tcp connect error", || Told::Connecting),
    // h2, whose frames of these kinds come from the server ("received") or are our own doing ("detected").
    ("stream error received: refused stream before processing any application logic", refused_stream),
    ("stream error received: detected excessive load generating behavior", too_much),
    ("stream error received: ", network),
    // hyper resets the stream of a request whose body failed, and does not say why.
    ("stream error sent by user: ", misused),
    ("connection error received: not a result of an error", going_away),
    // A stream sees it only if the server will not look at it: h2 lets the others end.
    ("connection error received: ", never_left),
    ("stream error detected: ", garbage),
    ("connection error detected: ", garbage),
    // Limits in time of hyper, reqwest, tokio, tonic.
    ("operation timed out", timeout),
    ("keep-alive timed out", timeout),
    ("deadline has elapsed", timeout),
    ("Timeout expired", timeout),
    // rustls.
    ("invalid peer certificate", certificate),
];

/// What is known of this link by its text.
pub(super) fn tell(link: &(dyn Error + 'static)) -> Option<Told> {
    let mut text = Begin::default();
    let known = |known: &[Known], text: &Begin| {
        known.iter().find(|(begin, _)| text.as_str().starts_with(begin)).map(|(_, told)| told())
    };
    // It fails once there is enough of it.
    let _ = write!(text, "{link:?}");
    known(BY_DEBUG, &text).or_else(|| {
        text = Begin::default();
        let _ = write!(text, "{link}");
        known(BY_DISPLAY, &text)
    })
}

fn network() -> Told {
    Told::Is(Category::Network.into())
}

fn never_left() -> Told {
    Told::Is(Classification::of(Category::Network).unprocessed())
}

fn going_away() -> Told {
    Told::Is(Classification::of(Category::Network).unprocessed().counts_as(Health::Ignored))
}

fn refused_stream() -> Told {
    Told::Is(Classification::of(Category::ServiceUnavailable).unprocessed())
}

fn too_much() -> Told {
    Told::Is(Category::RateLimited.into())
}

fn garbage() -> Told {
    Told::Is(Classification::of(Category::ExternalService).with_severity(Severity::Persistent).stop())
}

fn misused() -> Told {
    Told::Is(Category::Internal.into())
}

fn timeout() -> Told {
    Told::Is(Category::Timeout.into())
}

fn certificate() -> Told {
    Told::Is(Classification::of(Category::Security).counts_as(Health::Failure).unprocessed())
}

/// The begin of a text, and no more of it: an error may have written a book.
#[derive(Default)]
struct Begin {
    text: String,
}

impl Begin {
    /// As long as the longest text that is known.
    const LENGTH: usize = 96;

    fn as_str(&self) -> &str {
        &self.text
    }
}

impl Write for Begin {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = Self::LENGTH - self.text.len();
        if part.len() > room {
            let end = (0..=room).rev().find(|&at| part.is_char_boundary(at)).unwrap_or(0);
            self.text.push_str(&part[..end]);
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}
