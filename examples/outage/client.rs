//! The caller's side of the wire: one charge over HTTP, what can go wrong with it, and what that means.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use recoup::{Category, Classification, ErrorClassifier, IoErrors};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::script::{Phase, Script};

/// Why a charge failed. An application's own type: recoup asks nothing of it but a classifier, and gives it
/// back whole.
#[derive(Debug, Error)]
pub(crate) enum ChargeError {
    /// The connection was refused or reset, or ended too early.
    #[error("the connection failed")]
    Connection(#[from] io::Error),
    /// The server answered, and not with a receipt.
    #[error("the server answered {status}")]
    Status { status: u16, retry_after: Option<Duration> },
}

/// Says what the errors mean. This is the one place that knows: retry, circuit breaker, cooldown and dead
/// letters all read the same answer.
///
/// A missed time limit is not in here: recoup cuts the attempt short itself and knows that it was a timeout.
pub(crate) struct ChargeErrors;

impl ErrorClassifier<ChargeError> for ChargeErrors {
    fn classify(&self, error: &ChargeError) -> Classification {
        let (status, retry_after) = match error {
            // Refused, reset, cut off: network. What io errors are is known already.
            ChargeError::Connection(error) => return IoErrors.classify(error),
            ChargeError::Status { status, retry_after } => (*status, *retry_after),
        };
        let answer = Classification::of(match status {
            429 => Category::RateLimited,
            503 => Category::ServiceUnavailable,
            500.. => Category::ExternalService,
            // Our own fault: sending it again would not help, and the server is not to blame.
            _ => Category::Validation,
        });
        let answer = answer.status(status);
        // The server knows best when it wants to be asked again.
        retry_after.map_or(answer, |hint| answer.retry_after(hint))
    }
}

/// An HTTP client that can do one thing.
pub(crate) struct Client {
    server: SocketAddr,
    script: Script,
    /// Attempts, by the phase in which they began.
    attempts: [AtomicU32; Phase::COUNT],
}

impl Client {
    pub(crate) fn new(server: SocketAddr, script: Script) -> Self {
        Self { server, script, attempts: Default::default() }
    }

    /// Makes one attempt to charge. The server charges a key once, however often it is asked.
    pub(crate) async fn charge(&self, key: &str, order: &[u8]) -> Result<(), ChargeError> {
        self.attempts[self.script.phase() as usize].fetch_add(1, Ordering::Relaxed);
        let mut stream = TcpStream::connect(self.server).await?;
        let length = order.len();
        let head = format!(
            "POST /charge HTTP/1.1\r\nHost: {}\r\nIdempotency-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            self.server
        );
        stream.write_all(&[head.as_bytes(), order].concat()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        understand(&answer)
    }

    pub(crate) fn attempts(&self, phase: Phase) -> u32 {
        self.attempts[phase as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn all_attempts(&self) -> u32 {
        self.attempts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

fn understand(answer: &str) -> Result<(), ChargeError> {
    // Without the blank line the connection broke before the whole answer was here.
    let (head, _) =
        answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof).map_err(io::Error::from)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(502);
    if status == 200 {
        return Ok(());
    }
    let retry_after = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        let seconds = name.eq_ignore_ascii_case("retry-after").then(|| value.trim().parse().ok())?;
        seconds.map(Duration::from_secs)
    });
    Err(ChargeError::Status { status, retry_after })
}
