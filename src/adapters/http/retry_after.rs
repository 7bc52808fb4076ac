//! When the server said to come back.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};

/// How long to wait before the next request, as the response's `Retry-After` says; `None` if it says nothing
/// that can be understood.
///
/// Both forms of RFC 9110, section 10.2.3, are known: a number of seconds, and a date of HTTP. A date is
/// compared with the response's own `Date`, as the server's clock may differ from ours, and with `now` if there
/// is none. A wait is whole seconds, rounded up, so that it is never shorter than the server said. A date that
/// has passed is no wait at all. A number too large to be counted is the longest wait there is. Of several
/// values the longest wait counts; one that is malformed is passed over.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::HeaderMap;
/// use recoup::http::retry_after;
///
/// let wait = |value: &'static str| {
///     let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, value.parse().unwrap())]);
///     retry_after(&headers, SystemTime::UNIX_EPOCH)
/// };
/// assert_eq!(wait("120"), Some(Duration::from_secs(120)));
/// assert_eq!(wait("Thu, 01 Jan 1970 00:00:07 GMT"), Some(Duration::from_secs(7)));
/// assert_eq!(wait("-1"), None);
/// ```
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let now = || date(headers, &DATE).unwrap_or(now);
    headers.get_all(RETRY_AFTER).iter().filter_map(|value| wait(value.to_str().ok()?, now)).max()
}

fn wait(value: &str, now: impl Fn() -> SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits: the only way not to fit is to be too large.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let left = date.duration_since(now()).unwrap_or_default();
    let started = u64::from(left.subsec_nanos() > 0);
    Some(Duration::from_secs(left.as_secs().saturating_add(started)))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}
