//! What the errors of clients of HTTP are.

mod texts;

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use self::texts::Told;
use super::BodyError;
use crate::classification::{Category, Classification, Health};
use crate::classify::{AsError, ErrorClassifier, PlainError, SourceChain};

// As far as `SourceChain` looks.
const MAX_LINKS: usize = 64;

/// Knows the errors of hyper, h2, and the clients that are made of them, wherever in the chain of
/// [sources](Error::source) they lie.
///
/// | what happened | category | retried | counted | surely not processed |
/// |---|---|---|---|---|
/// | connection refused, host unreachable | network | yes | failure | yes |
/// | the name does not resolve | network | yes | failure | yes |
/// | no connection in time | timeout | yes | failure | yes |
/// | the certificate is not accepted | security | no | failure | yes |
/// | TLS cannot be agreed on | external service | no | failure | yes |
/// | the request never left its queue | network | yes | failure | yes |
/// | reset, or closed before the answer or in its head | network | yes | failure | |
/// | the task of the connection is gone, as with its runtime | network | yes | failure | |
/// | no answer in time | timeout | yes | failure | |
/// | `REFUSED_STREAM` | service unavailable | yes | failure | yes |
/// | `GOAWAY` in good order, of a stream it leaves out | network | yes | nowhere | yes |
/// | `GOAWAY` with an error, of a stream it leaves out | network | yes | failure | yes |
/// | `ENHANCE_YOUR_CALM` | rate limited | yes | failure | |
/// | another `RST_STREAM` | network | yes | failure | |
/// | garbage instead of HTTP | external service | no | failure | |
/// | the request's own body failed ([`BodyError`]) | internal | no | nowhere | |
/// | the client was used wrongly | internal | no | nowhere | |
/// | all else | as [`SourceChain`] says | | | |
///
/// "Surely not processed" is [`Classification::is_unprocessed`]: even a request that is not idempotent may be sent
/// again. What is reset or closed while the body of an answer is read is told by this table too, but that is for the
/// reader of the body to ask. Most of hyper's errors have no public kind that could be matched without depending on it; they are told
/// by their texts, each of which a test holds against the real client.
///
/// As of [`SourceChain`], the parameter says whether the type is an error or points to one, and is found by the
/// compiler:
///
/// ```
/// use std::{error::Error, io};
/// use recoup::{Category, ErrorClassifier, http::HttpErrors};
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert!(HttpErrors::new().classify(&refused).is_unprocessed());
/// let boxed: Box<dyn Error + Send + Sync> = refused.into();
/// assert_eq!(HttpErrors::new().classify(&boxed).category(), Category::Network);
/// ```
pub struct HttpErrors<By = PlainError> {
    by: PhantomData<fn() -> By>,
}

impl<By> HttpErrors<By> {
    /// The one there is.
    #[must_use]
    pub const fn new() -> Self {
        Self { by: PhantomData }
    }
}

impl<E: AsError<By> + ?Sized, By> ErrorClassifier<E> for HttpErrors<By> {
    fn classify(&self, error: &E) -> Classification {
        walk(error.as_error())
    }
}

fn walk(error: &(dyn Error + 'static)) -> Classification {
    let mut connecting = false;
    let links = std::iter::successors(Some(error), |&link| wrapped(link).or_else(|| link.source()));
    for link in links.take(MAX_LINKS) {
        if link.is::<BodyError>() {
            return Category::Internal.into();
        }
        match texts::tell(link) {
            Some(Told::Connecting) => connecting = true,
            Some(Told::Is(answer)) if connecting => return answer.unprocessed(),
            Some(Told::Is(answer)) => return answer,
            None => {}
        }
    }
    let answer = SourceChain::new().classify(error);
    if !connecting {
        return answer;
    }
    match answer.category() {
        // What never came to be is somebody else's fault, whatever the reason was.
        Category::Unknown => Classification::of(Category::Network),
        _ if answer.health() == Health::Ignored => answer.counts_as(Health::Failure),
        _ => answer,
    }
    .unprocessed()
}

/// What an `io::Error` wraps: its `source` is that one's source.
fn wrapped<'a>(link: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let io = link.downcast_ref::<std::io::Error>()?;
    io.get_ref().map(|error| error as &(dyn Error + 'static))
}

impl<By> Clone for HttpErrors<By> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<By> Copy for HttpErrors<By> {}

impl<By> Default for HttpErrors<By> {
    fn default() -> Self {
        Self::new()
    }
}

impl<By> fmt::Debug for HttpErrors<By> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpErrors")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};
    use std::sync::Arc;

    use super::*;
    use crate::classification::Advice;

    /// An error of another crate, as far as can be told from outside.
    struct Foreign {
        debug: &'static str,
        display: String,
        source: Option<Box<dyn Error + Send + Sync>>,
    }

    impl fmt::Debug for Foreign {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.debug)
        }
    }

    impl fmt::Display for Foreign {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.display)
        }
    }

    impl Error for Foreign {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
        }
    }

    fn says(display: impl Into<String>) -> Foreign {
        Foreign { debug: "Foreign", display: display.into(), source: None }
    }

    fn around(source: impl Into<Box<dyn Error + Send + Sync>>) -> Foreign {
        Foreign { source: Some(source.into()), ..says("outer") }
    }

    fn is<By>(error: &impl AsError<By>) -> Classification {
        HttpErrors::new().classify(error)
    }

    #[test]
    fn every_kind_of_error_type_is_served() {
        let text = "operation timed out";
        let boxed: Box<dyn Error + Send + Sync> = says(text).into();
        assert_eq!(is(&boxed).category(), Category::Timeout);
        assert_eq!(is(&says(text)).category(), Category::Timeout);
        assert_eq!(is(&anyhow::Error::new(says(text)).context("x")).category(), Category::Timeout);
        let shared: Arc<dyn ErrorClassifier<anyhow::Error> + Send + Sync> = Arc::new(HttpErrors::new());
        assert_eq!(shared.classify(&anyhow::Error::new(says(text))).category(), Category::Timeout);
        assert_eq!(format!("{:?}", HttpErrors::<PlainError>::default()), "HttpErrors");
    }

    #[test]
    fn text_is_told_by_its_begin_wherever_the_error_lies() {
        let deep = around(io::Error::other(around(says("operation timed out (60 s)"))));
        assert_eq!(is(&deep).category(), Category::Timeout);
        assert_eq!(is(&says("the operation timed out")).category(), Category::Unknown);
        assert_eq!(is(&says("")).category(), Category::Unknown);
        assert_eq!(is(&says("é".repeat(10_000))).category(), Category::Unknown);
        assert_eq!(
            is(&says(format!("operation timed out{}", "é".repeat(10_000)))).category(),
            Category::Timeout
        );
    }

    #[test]
    fn own_body_is_found_in_whatever_wraps_it() {
        let gone = around(io::Error::other(BodyError::gone()));
        assert_eq!((is(&gone).category(), is(&gone).health()), (Category::Internal, Health::Ignored));
        assert_eq!(is(&gone).advice(), Advice::Stop);
        assert!(!is(&gone).is_unprocessed());
    }

    #[test]
    fn what_fails_while_connecting_was_never_processed() {
        let connecting = |source: io::Error| Foreign {
            debug: "hyper_util::client::legacy::Error(Connect, ..)",
            ..around(source)
        };
        for kind in
            [ErrorKind::ConnectionReset, ErrorKind::TimedOut, ErrorKind::UnexpectedEof, ErrorKind::Other]
        {
            let (before, after) = (is(&connecting(kind.into())), is(&around(io::Error::from(kind))));
            assert!(before.is_unprocessed() && !after.is_unprocessed(), "{kind:?}");
            assert_eq!((before.advice(), before.health()), (Advice::Retry, Health::Failure));
        }
        let certificate = io::Error::new(ErrorKind::InvalidData, says("invalid peer certificate: Expired"));
        let certificate = is(&connecting(certificate));
        assert_eq!((certificate.category(), certificate.advice()), (Category::Security, Advice::Stop));
        assert_eq!((certificate.health(), certificate.is_unprocessed()), (Health::Failure, true));
        let tls = io::Error::new(ErrorKind::InvalidData, says("received fatal alert: ProtocolVersion"));
        let tls = is(&connecting(tls));
        assert_eq!((tls.category(), tls.advice()), (Category::ExternalService, Advice::Stop));
        assert_eq!((tls.health(), tls.is_unprocessed()), (Health::Failure, true));
        let denied = is(&connecting(ErrorKind::PermissionDenied.into()));
        assert_eq!((denied.health(), denied.is_unprocessed()), (Health::Failure, true));
    }

    #[test]
    fn chains_without_end_end() {
        #[derive(Debug)]
        struct Ring;
        impl fmt::Display for Ring {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("ring")
            }
        }
        impl Error for Ring {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert_eq!(is(&Ring).category(), Category::Unknown);
    }
}
