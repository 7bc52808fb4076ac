//! What the errors of reqwest are.

use std::error::Error as _;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::adapters::http::{BodyError, HttpErrors, Responses};
use crate::classification::{Category, Classification, Severity};
use crate::classify::ErrorClassifier;

/// Knows `reqwest::Error`: by what reqwest says of it, and below that by its sources.
///
/// | what happened | category | retried | surely nothing was done |
/// |---|---|---|---|
/// | the request could not be built: URL, header, scheme | validation | no | |
/// | the host's name was not found | network | yes | yes |
/// | nobody listens there: connection refused | network | yes | yes |
/// | no connection in time: `connect_timeout` | timeout | yes | yes |
/// | the certificate is not trusted | security | never | yes |
/// | the other side does not speak TLS | external service | no | yes |
/// | the connection broke while TLS was agreed upon | network | yes | yes |
/// | no answer in time: `timeout`, `read_timeout` | timeout | yes | |
/// | reset or closed before the answer, or within its head | network | yes | |
/// | the stream was refused (HTTP/2 `REFUSED_STREAM`) | service unavailable | yes | yes |
/// | the connection says goodbye and leaves this stream out (HTTP/2 `GOAWAY`) | network | yes | yes |
/// | the same, and may have looked at this stream | network | yes | |
/// | the answer is no HTTP | external service | no | |
/// | the request's own body failed, which is a stream | internal | no | |
/// | redirected in a loop, or too often | external service | no | |
/// | an answer with an error status, made an error by `error_for_status` | that of its status | as its status | |
/// | the answer's body broke off | network | yes | |
/// | the answer's body is not what it should be: JSON, text, encoding | external service | no | |
///
/// All of them count against the server, but those of its own making: what cannot be built, a body that failed, and
/// 4xx. Below reqwest's own questions it is [`HttpErrors`] that knows them, by the texts of hyper and h2.
///
/// An error says nothing of whether a request may be sent twice: [`Recover`](super::Recover) and
/// [`RecoveryMiddleware`](super::RecoveryMiddleware) look at the method, at the headers, and at the last column.
/// Of an error after a redirect that column cannot know: it is about the server that was tried last.
///
/// The last two rows are for operations that read the body themselves, as
/// `retry(|| async { client.get(url).send().await?.json::<User>().await })` does.
///
/// ```
/// use recoup::reqwest::ReqwestErrors;
/// use recoup::{Category, ErrorClassifier, SourceChain};
///
/// let error = reqwest::Client::new().get("no address").build().unwrap_err();
/// assert_eq!(ReqwestErrors.classify(&error).category(), Category::Validation);
///
/// // Within errors of one's own, or an `anyhow::Error`.
/// let errors = SourceChain::new().with(|error: &reqwest::Error| ReqwestErrors.classify(error));
/// assert_eq!(errors.classify(&anyhow::Error::from(error)).category(), Category::Validation);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReqwestErrors;

impl ErrorClassifier<reqwest::Error> for ReqwestErrors {
    fn classify(&self, error: &reqwest::Error) -> Classification {
        if let Some(status) = error.status() {
            return of_status(status);
        }
        if error.is_builder() {
            return Category::Validation.into();
        }
        if error.is_redirect() || error.is_upgrade() {
            return malformed();
        }
        let by_sources = HttpErrors::new().classify(error);
        // What the sources tell for sure, reqwest's questions would only blur: a body of ours that took too long.
        if is_our_body(error) {
            return by_sources;
        }
        if error.is_timeout() {
            return at_connect(error, Category::Timeout.into());
        }
        if error.is_dns() {
            return Classification::of(Category::Network).unprocessed();
        }
        match by_sources.category() {
            Category::Unknown if error.is_decode() => malformed(),
            _ => at_connect(error, by_sources),
        }
    }
}

/// The answer came, and is not what it should be. It would be the same again.
fn malformed() -> Classification {
    Classification::of(Category::ExternalService).with_severity(Severity::Persistent).stop()
}

/// Before there is a connection nothing was sent.
fn at_connect(error: &reqwest::Error, answer: Classification) -> Classification {
    if error.is_connect() { answer.unprocessed() } else { answer }
}

fn is_our_body(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(link) = next {
        if link.is::<BodyError>() {
            return true;
        }
        next = link.source();
    }
    false
}

fn of_status(status: StatusCode) -> Classification {
    let judged = Responses::new().judge(status, &HeaderMap::new(), &[]);
    judged.unwrap_or_else(|| {
        let category = match status.as_u16() {
            401 | 407 => Category::Authentication,
            403 | 451 => Category::Authorization,
            404 | 410 => Category::NotFound,
            409 | 412 => Category::Conflict,
            _ => Category::Validation,
        };
        Classification::of(category).status(status.as_u16())
    })
}
