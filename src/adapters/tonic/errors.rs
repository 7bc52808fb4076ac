//! What the statuses of gRPC mean.

use std::error::Error;

use http::HeaderMap;
use tonic::{Code, Status};

use super::pushback::{Pushback, pushback};
use super::unsent::{Unsent, is_given_up, is_late};
use crate::adapters::http::HttpErrors;
use crate::classification::{Advice, Category, Classification, Health, Severity};
use crate::classify::{BoxedError, ErrorClassifier};

/// Knows the statuses of gRPC: by their code, by what the server says of coming back, and where there was no
/// answer, by the error of the transport in their chain of [sources](Error::source).
///
/// | code | category | retried | counted |
/// |---|---|---|---|
/// | `OK` | internal | no | nowhere |
/// | `CANCELLED` | unknown | no | nowhere |
/// | `UNKNOWN` | external service | no | failure |
/// | `INVALID_ARGUMENT` | validation | no | nowhere |
/// | `DEADLINE_EXCEEDED` | timeout | no | failure |
/// | `NOT_FOUND` | not found | no | nowhere |
/// | `ALREADY_EXISTS` | conflict | no | nowhere |
/// | `PERMISSION_DENIED` | authorization | no | nowhere |
/// | `RESOURCE_EXHAUSTED` | resource exhausted | no | failure |
/// | `RESOURCE_EXHAUSTED` with a pushback | rate limited | after it | failure |
/// | `FAILED_PRECONDITION` | business rule | no | nowhere |
/// | `ABORTED` | conflict | no | nowhere |
/// | `OUT_OF_RANGE` | validation | no | nowhere |
/// | `UNIMPLEMENTED` | internal | no | nowhere |
/// | `INTERNAL` | external service | no | failure |
/// | `UNAVAILABLE` | service unavailable | yes | failure |
/// | `DATA_LOSS` | state corruption | never | failure |
/// | `UNAUTHENTICATED` | authentication | no | nowhere |
///
/// `ABORTED` and `FAILED_PRECONDITION` are worth another attempt only of what led up to the call. After
/// `DEADLINE_EXCEEDED` the caller's own time is over. The codes are those of gRPC, "Status codes and their use".
///
/// A `grpc-retry-pushback-ms` is obeyed where the answer is to come again: that time is the
/// [hint](Classification::hint), and one that is negative or malformed ends the call.
///
/// A status with `CANCELLED`, `UNKNOWN`, `INTERNAL` or `UNAVAILABLE` that comes from an error of the transport is
/// what [`HttpErrors`] says of that: a `GOAWAY` surfaces as `CANCELLED`, and is a call that may be made again.
///
/// ```
/// use std::time::Duration;
/// use recoup::tonic::{GrpcErrors, Pushback};
/// use recoup::{Advice, ErrorClassifier, Health};
/// use tonic::Status;
///
/// let mut busy = Status::unavailable("starting");
/// assert_eq!(GrpcErrors.classify(&busy).advice(), Advice::Retry);
/// Pushback::After(Duration::from_millis(250)).tell(&mut busy);
/// assert_eq!(GrpcErrors.classify(&busy).advice(), Advice::RetryAfter(Duration::from_millis(250)));
/// assert_eq!(GrpcErrors.classify(&Status::cancelled("by the caller")).health(), Health::Ignored);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcErrors;

impl ErrorClassifier<Status> for GrpcErrors {
    fn classify(&self, status: &Status) -> Classification {
        let answer = status.source().and_then(|source| by_source(status.code(), source));
        let answer = answer.unwrap_or_else(|| by_code(status));
        told(answer, status.metadata().as_ref()).status(number(status.code()))
    }
}

fn number(code: Code) -> u16 {
    u16::try_from(i32::from(code)).unwrap_or(u16::MAX)
}

fn by_code(status: &Status) -> Classification {
    let category = match status.code() {
        // Not an error; who classifies it has lost the way.
        Code::Ok | Code::Unimplemented => Category::Internal,
        Code::Cancelled => {
            return Classification::of(Category::Unknown)
                .with_severity(Severity::Persistent)
                .stop()
                .counts_as(Health::Ignored);
        }
        Code::Unknown | Code::Internal => {
            return Classification::of(Category::ExternalService).with_severity(Severity::Persistent).stop();
        }
        Code::InvalidArgument | Code::OutOfRange => Category::Validation,
        Code::DeadlineExceeded => return Classification::of(Category::Timeout).stop(),
        Code::NotFound => Category::NotFound,
        Code::AlreadyExists | Code::Aborted => Category::Conflict,
        Code::PermissionDenied => Category::Authorization,
        Code::ResourceExhausted => match pushback(status.metadata().as_ref()) {
            Some(Pushback::After(_)) => Category::RateLimited,
            Some(Pushback::Stop) | None => Category::ResourceExhausted,
        },
        Code::FailedPrecondition => Category::BusinessRule,
        Code::Unavailable => Category::ServiceUnavailable,
        Code::DataLoss => Category::StateCorruption,
        Code::Unauthenticated => Category::Authentication,
    };
    category.into()
}

/// What the transport says, where it speaks and not the server.
fn by_source(code: Code, source: &(dyn Error + 'static)) -> Option<Classification> {
    let silent = matches!(code, Code::Cancelled | Code::Unknown | Code::Internal | Code::Unavailable);
    if !silent || is_given_up(source) {
        return None;
    }
    if let Some(unsent) = Unsent::find(source) {
        let answer = by_transport(source);
        // A certificate that is no good is none the next time either.
        let hopeless = answer.category() == Category::Security;
        return Some(if hopeless { answer.unprocessed() } else { unsent.classification() });
    }
    if is_late(source) {
        return Some(Classification::of(Category::Timeout).stop());
    }
    let answer = by_transport(source);
    (answer.category() != Category::Unknown).then_some(answer)
}

pub(super) fn by_transport(error: &(dyn Error + 'static)) -> Classification {
    HttpErrors::<BoxedError>::new().classify(error)
}

/// The error and all its sources, as far as it makes sense to look.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    const MOST: usize = 64;
    std::iter::successors(Some(error), |&link| link.source()).take(MOST)
}

/// The same answer, and what the server says of coming back.
pub(super) fn told(answer: Classification, headers: &HeaderMap) -> Classification {
    match (pushback(headers), answer.advice()) {
        (None, _) | (_, Advice::Stop) => answer,
        (Some(Pushback::After(wait)), _) => answer.retry_after(wait),
        (Some(Pushback::Stop), _) => answer.stop(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use tonic::{ConnectError, TimeoutExpired};

    use super::*;

    fn of(code: Code) -> Classification {
        GrpcErrors.classify(&Status::new(code, "scripted"))
    }

    #[test]
    fn all_seventeen_codes_are_what_the_table_says() {
        use Category::*;
        let table = [
            (Internal, Advice::Stop, Health::Ignored),
            (Unknown, Advice::Stop, Health::Ignored),
            (ExternalService, Advice::Stop, Health::Failure),
            (Validation, Advice::Stop, Health::Ignored),
            (Timeout, Advice::Stop, Health::Failure),
            (NotFound, Advice::Stop, Health::Ignored),
            (Conflict, Advice::Stop, Health::Ignored),
            (Authorization, Advice::Stop, Health::Ignored),
            (ResourceExhausted, Advice::Stop, Health::Failure),
            (BusinessRule, Advice::Stop, Health::Ignored),
            (Conflict, Advice::Stop, Health::Ignored),
            (Validation, Advice::Stop, Health::Ignored),
            (Internal, Advice::Stop, Health::Ignored),
            (ExternalService, Advice::Stop, Health::Failure),
            (ServiceUnavailable, Advice::Retry, Health::Failure),
            (StateCorruption, Advice::Stop, Health::Failure),
            (Authentication, Advice::Stop, Health::Ignored),
        ];
        for (number, expected) in (0_u16..).zip(table) {
            let answer = of(Code::from_i32(number.into()));
            assert_eq!((answer.category(), answer.advice(), answer.health()), expected, "{number}");
            assert_eq!(answer.status_code(), Some(number));
            assert!(!answer.is_unprocessed());
        }
    }

    #[test]
    fn pushback_is_obeyed_where_the_answer_is_to_come_again() {
        let pushed = |code, value: &'static str| {
            let mut status = Status::new(code, "scripted");
            status.metadata_mut().insert("grpc-retry-pushback-ms", value.parse().unwrap());
            GrpcErrors.classify(&status)
        };
        let wait = Duration::from_millis(250);
        assert_eq!(pushed(Code::Unavailable, "250").advice(), Advice::RetryAfter(wait));
        for no in ["-1", "soon", ""] {
            assert_eq!(pushed(Code::Unavailable, no).advice(), Advice::Stop, "{no:?}");
            assert_eq!(pushed(Code::ResourceExhausted, no).category(), Category::ResourceExhausted);
        }
        let limited = pushed(Code::ResourceExhausted, "250");
        assert_eq!((limited.category(), limited.hint()), (Category::RateLimited, Some(wait)));
        assert_eq!(pushed(Code::InvalidArgument, "250").advice(), Advice::Stop, "it would fail again");
    }

    #[test]
    fn transport_has_the_word_where_the_server_did_not_speak() {
        let sourced = |code, source: Arc<dyn Error + Send + Sync>| {
            let mut status = Status::new(code, "");
            status.set_source(source);
            GrpcErrors.classify(&status)
        };
        let refused = || Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        for code in [Code::Cancelled, Code::Unknown, Code::Internal, Code::Unavailable] {
            let answer = sourced(code, refused());
            assert!(answer.is_unprocessed() && answer.category() == Category::Network, "{code:?}");
        }
        assert_eq!(sourced(Code::NotFound, refused()).category(), Category::NotFound, "the server's answer");
        let wrong = io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: Expired");
        let wrong = sourced(Code::Unavailable, Arc::new(ConnectError(wrong.into())));
        assert_eq!((wrong.category(), wrong.advice()), (Category::Security, Advice::Stop));
        assert!(wrong.is_unprocessed());
        let late = sourced(Code::Cancelled, Arc::new(TimeoutExpired(())));
        assert_eq!((late.category(), late.advice()), (Category::Timeout, Advice::Stop));
        let unheard_of = sourced(Code::Cancelled, Arc::new(io::Error::other("something")));
        assert_eq!(unheard_of.health(), Health::Ignored);
    }
}
