//! Calls that surely came to nobody.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tonic::{Code, ConnectError, Status, TimeoutExpired};

use super::errors::{by_transport, chain};
use crate::classification::{Category, Classification, Health};
use crate::error::RecoveryError;

/// What became of a call of which the server surely did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// There is no connection, none could be made, or the channel takes no calls.
    NoConnection,
    /// It was not written before its connection was gone.
    NeverLeft,
    /// The server's library refused it before anybody looked at it.
    Refused,
}

impl Unsent {
    /// Reads it off an error of the transport. Of a call that another layer has given up nobody can say: it was the
    /// last of its attempts that came to nobody.
    pub(super) fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        if is_given_up(error) {
            return None;
        }
        if chain(error).any(|link| link.is::<ConnectError>() || link.is::<NotReady>()) {
            return Some(Self::NoConnection);
        }
        let answer = by_transport(error);
        if !answer.is_unprocessed() {
            return None;
        }
        // A stream that is refused, or left out by a `GOAWAY` in good order, was seen by the server's library.
        let refused = answer.category() == Category::ServiceUnavailable || answer.health() == Health::Ignored;
        Some(if refused { Self::Refused } else { Self::NeverLeft })
    }

    pub(super) fn classification(self) -> Classification {
        let answer = match self {
            Self::NoConnection | Self::NeverLeft => Classification::of(Category::Network),
            Self::Refused => Classification::of(Category::ServiceUnavailable),
        };
        answer.unprocessed()
    }
}

/// The inner service failed before it took the request.
#[derive(Debug)]
struct NotReady(Box<dyn Error + Send + Sync>);

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is not ready")
    }
}

impl Error for NotReady {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The status of an attempt that ended before its request was handed over.
pub(super) fn not_ready(error: Box<dyn Error + Send + Sync>) -> Status {
    let mut status = Status::unavailable("the channel is not ready");
    status.set_source(Arc::new(NotReady(error)));
    status
}

/// The status of an attempt that the transport ended. Where that gave no code, or one that says less than it
/// knows, it is told by the chain of sources.
pub(super) fn broken(error: Box<dyn Error + Send + Sync>) -> Status {
    let status = Status::from_error(error);
    let Some(source) = status.source() else { return status };
    if !matches!(status.code(), Code::Cancelled | Code::Unknown | Code::Internal) {
        return status;
    }
    let code = if is_late(source) {
        Code::DeadlineExceeded
    } else {
        match (by_transport(source), status.code()) {
            // `tonic` has `INTERNAL` or `CANCELLED` for a `GOAWAY`.
            (answer, _) if answer.is_unprocessed() => Code::Unavailable,
            // The stream was reset: that is what the server meant.
            (_, Code::Cancelled | Code::Internal) => return status,
            (answer, _) => match answer.category() {
                Category::Network | Category::ServiceUnavailable | Category::Timeout => Code::Unavailable,
                Category::RateLimited => Code::ResourceExhausted,
                Category::ExternalService | Category::Internal => Code::Internal,
                _ => return status,
            },
        }
    };
    recoded(&status, code)
}

/// Whether a layer of ours has done already what can be done.
pub(super) fn is_given_up(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(<dyn Error>::is::<RecoveryError<Status>>)
}

/// Whether a limit in time of the channel has cut the attempt short.
pub(super) fn is_late(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(<dyn Error>::is::<TimeoutExpired>)
}

/// The same status under another code. The one it was is its source.
fn recoded(status: &Status, code: Code) -> Status {
    let mut other = Status::new(code, status.message());
    other.set_source(Arc::new(status.clone()));
    other
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn found(status: &Status) -> Option<Unsent> {
        Unsent::find(status.source()?)
    }

    #[test]
    fn what_came_to_nobody_is_unavailable_and_known_for_it() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let status = broken(Box::new(ConnectError(refused().into())));
        assert_eq!((status.code(), found(&status)), (Code::Unavailable, Some(Unsent::NoConnection)));
        let status = not_ready("closed".into());
        assert_eq!((status.code(), found(&status)), (Code::Unavailable, Some(Unsent::NoConnection)));
        let reset = broken(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert_eq!((reset.code(), found(&reset)), (Code::Unavailable, None));
    }

    #[test]
    fn time_that_ran_out_on_this_side_is_the_deadline() {
        assert_eq!(broken(Box::new(TimeoutExpired(()))).code(), Code::DeadlineExceeded);
    }

    #[test]
    fn status_of_an_interceptor_is_handed_on_as_it_is() {
        let status = broken(Box::new(Status::unauthenticated("no token")));
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "no token"));
        assert!(status.source().is_none());
    }
}
