//! What the errors of the operating system are.

use std::env::consts::FAMILY;
use std::io::{self, ErrorKind};

use crate::classification::{Category, Classification, Health, Severity};
use crate::classify::ErrorClassifier;

/// Knows `std::io::Error`, by its kind alone.
///
/// | kind | category | bent |
/// |---|---|---|
/// | `ConnectionRefused` | network | surely nothing was done |
/// | `ConnectionReset` `ConnectionAborted` `NotConnected` `BrokenPipe` `HostUnreachable` `NetworkUnreachable` `NetworkDown` `AddrNotAvailable` `UnexpectedEof` | network | |
/// | `TimedOut` | timeout | |
/// | `PermissionDenied` `ReadOnlyFilesystem` | authorization | |
/// | `NotFound` | not found | |
/// | `InvalidInput` `InvalidFilename` `IsADirectory` `NotADirectory` `NotSeekable` `ArgumentListTooLong` | validation | |
/// | `InvalidData` | external service | persistent, not retried |
/// | `AlreadyExists` `DirectoryNotEmpty` | conflict | |
/// | `OutOfMemory` `StorageFull` `QuotaExceeded` `FileTooLarge`, too many open files | resource exhausted | |
/// | `Unsupported` | internal | |
/// | `Interrupted` | unknown | says nothing of the dependency |
/// | `WouldBlock` and all others | unknown | |
///
/// - `InvalidData` is about what came back, not about what we sent: it counts against the peer. The same call
///   would be answered in the same way, so it is not retried.
/// - `WouldBlock` means that a thing is not ready, that a read timeout of a std socket is over (on Unix), or
///   that a limit is reached. The kind does not tell which, so it stays unknown, which is retried.
/// - `Interrupted` is a signal to our own process. It is retried and recorded nowhere.
/// - Too many open files has no stable kind: it is told by the code of the operating system.
///
/// The [status code](Classification::status_code) is that of the operating system, where the error has one
/// between 0 and 65535. What an `io::Error` wraps is not looked at: [`SourceChain`](crate::SourceChain) does.
///
/// ```
/// use std::io;
/// use recoup::{Category, ErrorClassifier, IoErrors};
///
/// let reset = io::Error::from(io::ErrorKind::ConnectionReset);
/// assert_eq!(IoErrors.classify(&reset).category(), Category::Network);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoErrors;

impl ErrorClassifier<io::Error> for IoErrors {
    fn classify(&self, error: &io::Error) -> Classification {
        let code = error.raw_os_error();
        let answer = match (FAMILY, code) {
            // EMFILE and ENFILE; ERROR_TOO_MANY_OPEN_FILES and WSAEMFILE.
            ("unix", Some(23 | 24)) | ("windows", Some(4 | 10024)) => Category::ResourceExhausted.into(),
            _ => by_kind(error.kind()),
        };
        match code.and_then(|code| u16::try_from(code).ok()) {
            Some(code) => answer.status(code),
            None => answer,
        }
    }
}

fn by_kind(kind: ErrorKind) -> Classification {
    let category = match kind {
        ErrorKind::ConnectionRefused => return Classification::of(Category::Network).unprocessed(),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::BrokenPipe
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable
        | ErrorKind::UnexpectedEof => Category::Network,
        ErrorKind::TimedOut => Category::Timeout,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Category::Authorization,
        ErrorKind::NotFound => Category::NotFound,
        ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::NotSeekable
        | ErrorKind::ArgumentListTooLong => Category::Validation,
        ErrorKind::InvalidData => {
            return Classification::of(Category::ExternalService).with_severity(Severity::Persistent).stop();
        }
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => Category::Conflict,
        ErrorKind::OutOfMemory
        | ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge => Category::ResourceExhausted,
        ErrorKind::Unsupported => Category::Internal,
        ErrorKind::Interrupted => {
            return Classification::of(Category::Unknown).counts_as(Health::Ignored);
        }
        _ => Category::Unknown,
    };
    category.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::Advice;

    fn of(kind: ErrorKind) -> Classification {
        IoErrors.classify(&io::Error::from(kind))
    }

    #[test]
    fn each_row_of_the_table_holds() {
        let table: [(&[ErrorKind], Category); 9] = [
            (
                &[
                    ErrorKind::ConnectionReset,
                    ErrorKind::ConnectionAborted,
                    ErrorKind::NotConnected,
                    ErrorKind::BrokenPipe,
                    ErrorKind::HostUnreachable,
                    ErrorKind::NetworkUnreachable,
                    ErrorKind::NetworkDown,
                    ErrorKind::AddrNotAvailable,
                    ErrorKind::UnexpectedEof,
                ],
                Category::Network,
            ),
            (&[ErrorKind::TimedOut], Category::Timeout),
            (&[ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem], Category::Authorization),
            (&[ErrorKind::NotFound], Category::NotFound),
            (
                &[
                    ErrorKind::InvalidInput,
                    ErrorKind::InvalidFilename,
                    ErrorKind::IsADirectory,
                    ErrorKind::NotADirectory,
                    ErrorKind::NotSeekable,
                    ErrorKind::ArgumentListTooLong,
                ],
                Category::Validation,
            ),
            (&[ErrorKind::AlreadyExists, ErrorKind::DirectoryNotEmpty], Category::Conflict),
            (
                &[
                    ErrorKind::OutOfMemory,
                    ErrorKind::StorageFull,
                    ErrorKind::QuotaExceeded,
                    ErrorKind::FileTooLarge,
                ],
                Category::ResourceExhausted,
            ),
            (&[ErrorKind::Unsupported], Category::Internal),
            (
                &[ErrorKind::WouldBlock, ErrorKind::WriteZero, ErrorKind::AddrInUse, ErrorKind::Other],
                Category::Unknown,
            ),
        ];
        for (kinds, category) in table {
            for kind in kinds {
                assert_eq!(of(*kind), Classification::of(category), "{kind:?}");
            }
        }
    }

    #[test]
    fn refused_connection_has_processed_nothing() {
        assert_eq!(of(ErrorKind::ConnectionRefused), Classification::of(Category::Network).unprocessed());
    }

    #[test]
    fn garbage_from_the_peer_counts_against_it_and_is_not_retried() {
        let answer = of(ErrorKind::InvalidData);
        assert_eq!(answer.category(), Category::ExternalService);
        assert_eq!((answer.advice(), answer.severity()), (Advice::Stop, Severity::Persistent));
        assert_eq!(answer.health(), Health::Failure);
    }

    #[test]
    fn interruption_is_retried_and_recorded_nowhere() {
        let answer = of(ErrorKind::Interrupted);
        assert_eq!((answer.category(), answer.advice()), (Category::Unknown, Advice::Retry));
        assert_eq!(answer.health(), Health::Ignored);
    }

    #[test]
    fn wrapped_errors_are_judged_by_the_kind_they_were_given() {
        let error = io::Error::new(ErrorKind::TimedOut, io::Error::from(ErrorKind::NotFound));
        assert_eq!(IoErrors.classify(&error).category(), Category::Timeout);
    }

    #[test]
    fn codes_of_the_system_are_told_and_too_many_open_files_is_exhaustion() {
        let codes = if FAMILY == "windows" { [4, 10024] } else { [23, 24] };
        for code in codes {
            let answer = IoErrors.classify(&io::Error::from_raw_os_error(code));
            assert_eq!(answer.category(), Category::ResourceExhausted, "{code}");
            assert_eq!(answer.status_code(), u16::try_from(code).ok());
        }
        let answer = IoErrors.classify(&io::Error::from_raw_os_error(2));
        assert_eq!((answer.category(), answer.status_code()), (Category::NotFound, Some(2)));
        let negative = IoErrors.classify(&io::Error::from_raw_os_error(-1));
        assert_eq!(negative.status_code(), None);
    }
}
