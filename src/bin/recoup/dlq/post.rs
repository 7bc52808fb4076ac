//! Letters sent to an HTTP endpoint.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use recoup::{Category, Classification, DeadLetter};
use ureq::http::{HeaderName, HeaderValue, StatusCode};
use ureq::{Agent, Timeout};

use crate::problem::Problem;

/// So much of an answer is written on the letter.
const ANSWER: u64 = 1024;

/// Headers that say how a message travels. They are of the connection that carried the letter once.
const NOT_CARRIED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where letters are sent, and how.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    agent: Agent,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Endpoint {
    /// Checks what was said of it.
    pub(crate) fn new(url: &str, headers: &[String], timeout: Duration) -> Result<Self, Problem> {
        if url.starts_with("https:") {
            let why = "https is not spoken here: leave --post out, and the application sends the letters; or \
                       name an http address of a proxy that speaks https for you";
            return Err(Problem::bad("--post", why));
        }
        let known: Result<ureq::http::Uri, _> = url.parse();
        let whole = known.ok().filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if whole.is_none() {
            let why = format_args!("{url:?} is no address as http://127.0.0.1:8080/orders");
            return Err(Problem::bad("--post", why));
        }
        if timeout.is_zero() {
            return Err(Problem::bad("--timeout", "must be longer than zero"));
        }
        let headers = headers.iter().map(|said| header(said)).collect::<Result<_, _>>()?;
        // A redirect would be followed without its body: it is an answer like others that are no 2xx.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .max_idle_connections_per_host(256)
            .user_agent(concat!("recoup/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: config.build().into(), url: url.to_owned(), headers })
    }

    /// Sends one letter, and waits for the answer on this thread.
    pub(crate) fn post(&self, letter: &DeadLetter) -> Result<(), NotTaken> {
        let mut request = self.agent.post(&self.url);
        for (name, value) in self.headers_of(letter) {
            request = request.header(name, value);
        }
        let body = letter.payload.as_ref().map_or(&[][..], |payload| &payload.bytes);
        let mut answer = request.send(body).map_err(|error| NotTaken::of(&error))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let after = answer.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
        let said = answer.body_mut().with_config().limit(ANSWER).lossy_utf8(true).read_to_string();
        Err(NotTaken::answered(answer.status(), after.map(Duration::from_secs), &said.unwrap_or_default()))
    }

    /// Those of the letter, those that say what it is, and those that were said, where the last one counts. What
    /// HTTP cannot carry is left out.
    fn headers_of(&self, letter: &DeadLetter) -> BTreeMap<String, HeaderValue> {
        let own = letter.headers.iter().map(|(name, value)| (name.as_str(), Some(value)));
        let of_ours = [
            ("content-type", letter.payload.as_ref().map(|payload| &payload.content_type)),
            ("idempotency-key", letter.idempotency_key.as_ref()),
            ("traceparent", letter.traceparent.as_ref()),
            ("x-correlation-id", letter.correlation_id.as_ref()),
        ];
        let mut headers = BTreeMap::new();
        for (name, value) in own.chain(of_ours) {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = value.and_then(|value| HeaderValue::from_str(value).ok());
            if let (Ok(name), Some(value)) = (name, value)
                && !NOT_CARRIED.contains(&name.as_str())
            {
                headers.insert(name.as_str().to_owned(), value);
            }
        }
        let said = self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone()));
        headers.extend(said);
        headers
    }
}

fn header(said: &str) -> Result<(HeaderName, HeaderValue), Problem> {
    let read = said.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    let (name, value) = read.ok_or_else(|| {
        // It may hold a secret, so only its name is said back.
        let name: String = said.chars().take_while(|c| *c != ':').collect();
        Problem::bad("--header", format_args!("{name:?} is not said as 'Name: text'"))
    })?;
    if NOT_CARRIED.contains(&name.as_str()) && name != "proxy-authorization" {
        return Err(Problem::bad("--header", format_args!("{name:?} is not for you to say")));
    }
    Ok((name, value))
}

/// The endpoint did not take a letter.
#[derive(Debug)]
pub(crate) struct NotTaken {
    pub(crate) classification: Classification,
    message: String,
}

impl NotTaken {
    fn answered(status: StatusCode, after: Option<Duration>, said: &str) -> Self {
        let code = status.as_u16();
        let category: Classification = match code {
            // The same key is being worked on: draft-ietf-httpapi-idempotency-key-header, section 2.6.
            409 => Classification::of(Category::Conflict).retry(),
            401 => Category::Authentication.into(),
            403 => Category::Authorization.into(),
            404 | 410 => Category::NotFound.into(),
            408 | 425 | 504 => Category::Timeout.into(),
            429 => Category::RateLimited.into(),
            503 => Category::ServiceUnavailable.into(),
            500..=599 => Category::ExternalService.into(),
            _ => Category::Validation.into(),
        };
        let classification = match after.filter(|_| matches!(code, 429 | 503)) {
            Some(after) => category.retry_after(after),
            None => category,
        };
        let said = said.trim();
        let message = format!("HTTP {status}{}{said}", if said.is_empty() { "" } else { ": " });
        Self { classification: classification.status(code), message }
    }

    fn of(error: &ureq::Error) -> Self {
        let category = match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve)
            | ureq::Error::Io(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed => Category::Network,
            ureq::Error::Timeout(_) => Category::Timeout,
            ureq::Error::Protocol(_) => Category::ExternalService,
            _ => Category::Internal,
        };
        Self { classification: category.into(), message: error.to_string() }
    }

    pub(crate) fn broken(why: &impl fmt::Display) -> Self {
        Self { classification: Category::Internal.into(), message: why.to_string() }
    }
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for NotTaken {}

#[cfg(test)]
mod tests {
    use recoup::{Advice, Payload};

    use super::*;

    fn endpoint(url: &str, headers: &[&str]) -> Result<Endpoint, Problem> {
        let headers: Vec<String> = headers.iter().map(|&it| it.to_owned()).collect();
        Endpoint::new(url, &headers, Duration::from_secs(1))
    }

    #[test]
    fn what_no_letter_can_be_sent_to_is_refused() {
        for (url, why) in [
            ("https://example.com/", "https is not spoken here"),
            ("example.com", "no address"),
            ("ftp://example.com", "no address"),
            ("http://", "no address"),
            ("", "no address"),
            ("http://a b", "no address"),
        ] {
            let told = endpoint(url, &[]).unwrap_err().to_string();
            assert!(told.starts_with("`--post`: ") && told.contains(why), "{url}: {told}");
        }
        for said in ["Authorization Bearer", ": x", "a b: c", "x: \u{7}", "Content-Length: 7"] {
            assert!(
                endpoint("http://a", &[said]).unwrap_err().to_string().starts_with("`--header`: "),
                "{said}"
            );
        }
        let told = endpoint("http://a", &["Authorization Bearer: s3cret\n"]).unwrap_err().to_string();
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn letter_is_sent_with_what_says_what_it_is() {
        let letter = DeadLetter::new("charge")
            .payload(Payload::json("{}"))
            .idempotency_key("order-7")
            .traceparent("00-a-b-01")
            .header("X-Shop", "7")
            .header("Content-Type", "text/plain")
            .header("idempotency-key", "another")
            .header("Host", "evil")
            .header("content-length", "999")
            .header("x-bad", "a\r\nInjected: yes")
            .header("x bad", "a");
        let endpoint = endpoint("http://a", &["Authorization: Bearer t", "x-shop: 8"]).unwrap();
        let headers = endpoint.headers_of(&letter);
        let told: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(
            told,
            [
                ("authorization", "Bearer t"),
                ("content-type", "application/json"),
                ("idempotency-key", "order-7"),
                ("traceparent", "00-a-b-01"),
                ("x-shop", "8"),
            ]
        );
    }

    #[test]
    fn answers_say_whether_to_try_again() {
        for (code, category, advice) in [
            (301, Category::Validation, Advice::Stop),
            (400, Category::Validation, Advice::Stop),
            (401, Category::Authentication, Advice::Stop),
            (404, Category::NotFound, Advice::Stop),
            (409, Category::Conflict, Advice::Retry),
            (429, Category::RateLimited, Advice::RetryAfter(Duration::from_secs(7))),
            (500, Category::ExternalService, Advice::Retry),
            (503, Category::ServiceUnavailable, Advice::RetryAfter(Duration::from_secs(7))),
        ] {
            let status = StatusCode::from_u16(code).unwrap();
            let answered = NotTaken::answered(status, Some(Duration::from_secs(7)), " no \n").classification;
            assert_eq!((answered.category(), answered.advice()), (category, advice), "{code}");
            assert_eq!(answered.status_code(), Some(code));
        }
        let told = NotTaken::answered(StatusCode::NOT_FOUND, None, " gone \n").to_string();
        assert_eq!(told, "HTTP 404 Not Found: gone");
    }
}
