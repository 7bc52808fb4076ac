//! The situations, and what can be seen of each from the server's side.

use std::future::Future;

use bytes::Bytes;
use http::Method;

use crate::scripted::{Answer, Received, Scripted};

/// A request, before a client makes it its own.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) method: Method,
    pub(crate) url: String,
    /// Under which key the server would know it again.
    pub(crate) key: Option<&'static str>,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Whole(Bytes),
    /// A stream of pieces, of which nothing is known before.
    Streamed(Vec<Bytes>),
}

/// How the call ended for its caller: the status, or an error in a few words.
pub(crate) type Ended = Result<u16, String>;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Situation {
    RetryAfterSeconds,
    RetryAfterDate,
    RetryAfterTooLong,
    StreamedBody,
    StreamedBodyOverTheCap,
    Post,
    PostWithKey,
    GetReset,
    PostReset,
    NotImplemented,
}

const HOUR: &str = "3600";

impl Situation {
    pub(crate) const ALL: [Self; 10] = [
        Self::RetryAfterSeconds,
        Self::RetryAfterDate,
        Self::RetryAfterTooLong,
        Self::StreamedBody,
        Self::StreamedBodyOverTheCap,
        Self::Post,
        Self::PostWithKey,
        Self::GetReset,
        Self::PostReset,
        Self::NotImplemented,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::RetryAfterSeconds => "GET; 503 with `Retry-After: 1`, then 200",
            Self::RetryAfterDate => "GET; 429 with `Retry-After` as a date two seconds ahead, then 200",
            Self::RetryAfterTooLong => "GET; 503 with `Retry-After: 3600` for ever",
            Self::StreamedBody => "PUT of a stream of 4 KiB; 503, then 200",
            Self::StreamedBodyOverTheCap => "PUT of a stream of 1 MiB; 503, then 200",
            Self::Post => "POST; 503, then 200",
            Self::PostWithKey => "POST with an `Idempotency-Key`; 503, then 200",
            Self::GetReset => "GET; the connection is reset after the request, then 200",
            Self::PostReset => "POST; the connection is reset after the request, then 200",
            Self::NotImplemented => "GET; 501 for ever",
        }
    }

    fn script(self) -> Vec<Answer> {
        let busy = || Answer::status(503);
        match self {
            Self::RetryAfterSeconds => vec![busy().header("retry-after", 1)],
            Self::RetryAfterDate => {
                // A date has whole seconds: two ahead, rounded up, is between two and three.
                let at = std::time::SystemTime::now() + std::time::Duration::from_millis(2_999);
                vec![Answer::status(429).header("retry-after", httpdate::fmt_http_date(at))]
            }
            Self::RetryAfterTooLong => vec![busy().header("retry-after", HOUR); 8],
            Self::NotImplemented => vec![Answer::status(501); 8],
            Self::StreamedBody | Self::StreamedBodyOverTheCap | Self::Post | Self::PostWithKey => {
                vec![busy()]
            }
            Self::GetReset | Self::PostReset => vec![Answer::Reset],
        }
    }

    fn request(self, server: &Scripted) -> Plain {
        let piece = Bytes::from(vec![b'x'; 1024]);
        let (method, key, body) = match self {
            Self::StreamedBody => (Method::PUT, None, Body::Streamed(vec![piece; 4])),
            Self::StreamedBodyOverTheCap => (Method::PUT, None, Body::Streamed(vec![piece; 1024])),
            Self::Post | Self::PostReset => (Method::POST, None, Body::Whole(piece)),
            Self::PostWithKey => (Method::POST, Some("order-7"), Body::Whole(piece)),
            _ => (Method::GET, None, Body::Empty),
        };
        Plain { method, url: server.url("/"), key, body }
    }

    /// Has `send` make the request, and tells what came of it.
    pub(crate) async fn play<F, Fut>(self, send: F) -> String
    where
        F: FnOnce(Plain) -> Fut,
        Fut: Future<Output = Ended>,
    {
        let server = Scripted::http1(self.script()).await;
        let ended = send(self.request(&server)).await;
        let received = server.received();
        let end = match ended {
            Ok(status) => status.to_string(),
            Err(error) => format!("error: {error}"),
        };
        format!("{} → {end}{}", times(&received), self.remark(&received))
    }

    /// What else is worth seeing.
    fn remark(self, received: &[Received]) -> String {
        let [first, .., last] = received else { return String::new() };
        match self {
            Self::RetryAfterSeconds | Self::RetryAfterDate | Self::RetryAfterTooLong => {
                let after = (received[1].at - first.at).as_secs_f64();
                format!(", again after {after:.1} s")
            }
            Self::StreamedBody | Self::StreamedBodyOverTheCap | Self::PostWithKey | Self::Post => {
                let same = if first.body == last.body { "the same bytes" } else { "**other bytes**" };
                format!(", {same}")
            }
            _ => String::new(),
        }
    }
}

fn times(received: &[Received]) -> String {
    match received.len() {
        0 => "not sent".to_owned(),
        1 => "sent once".to_owned(),
        2 => "sent twice".to_owned(),
        more => format!("sent {more} times"),
    }
}
