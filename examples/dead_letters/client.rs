//! The caller's side of the wire: one event, one line, one answer; what can go wrong, and what that means.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use recoup::{Category, Classification, DeadLetter, ErrorClassifier, IoErrors};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Why an event was not delivered. An application's own type.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    /// The connection was refused or reset, or ended too early.
    #[error("the connection failed")]
    Connection(#[from] io::Error),
    /// The destination answered, and did not take it.
    #[error("answered {status} {text}")]
    Refused { status: u16, text: String },
    /// It asks for patience.
    #[error("answered 429, come back later")]
    TooMany { retry_after: Duration },
}

/// Says what the errors mean, once for retry, breaker, letters and figures. A missed time limit is not in here:
/// recoup cuts the attempt short itself and knows that it was a timeout.
pub(crate) struct SendErrors;

impl ErrorClassifier<SendError> for SendErrors {
    fn classify(&self, error: &SendError) -> Classification {
        match error {
            SendError::Connection(error) => IoErrors.classify(error),
            SendError::TooMany { retry_after } => {
                Classification::of(Category::RateLimited).status(429).retry_after(*retry_after)
            }
            SendError::Refused { status, .. } => Classification::of(match status {
                401 => Category::Authentication,
                500.. => Category::ExternalService,
                // Our own fault: sending it again would not help, and the destination is not to blame.
                _ => Category::Validation,
            })
            .status(*status),
        }
    }
}

/// Sends events to one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) SocketAddr);

impl Client {
    /// Makes one attempt.
    pub(crate) async fn send(self, key: &str, json: &str) -> Result<(), SendError> {
        let mut stream = TcpStream::connect(self.0).await?;
        stream.write_all(format!("{key} {json}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        // Without the end of the line the connection broke before the whole answer was here.
        let answer = answer.strip_suffix('\n').ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let (status, text) = answer.split_once(' ').unwrap_or((answer, ""));
        match status.parse().unwrap_or(502) {
            200 => Ok(()),
            429 => {
                let wait = text.parse().unwrap_or(100);
                Err(SendError::TooMany { retry_after: Duration::from_millis(wait) })
            }
            status => Err(SendError::Refused { status, text: text.to_owned() }),
        }
    }

    /// Sends again what a letter carries, under the key that it had.
    pub(crate) async fn send_letter(self, letter: &DeadLetter) -> Result<(), SendError> {
        let json = letter.payload.as_ref().map_or(&[][..], |payload| &payload.bytes);
        self.send(letter.idempotency_key.as_deref().unwrap_or_default(), &String::from_utf8_lossy(json)).await
    }
}
