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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn says(values: &[&str], date: Option<&'static str>, now: SystemTime) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        }
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers, now)
    }

    fn seconds(value: &str) -> Option<u64> {
        says(&[value], None, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_digits_and_saturate() {
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds(" 120\t"), Some(120));
        assert_eq!(seconds("0007"), Some(7));
        assert_eq!(seconds("18446744073709551615"), Some(u64::MAX));
        assert_eq!(seconds("99999999999999999999"), Some(u64::MAX));
        assert_eq!(seconds(&"9".repeat(10_000)), Some(u64::MAX));
        for garbage in ["", "-1", "+1", "1.5", "1,5", "1e9", "infinity", "1 000"] {
            assert_eq!(seconds(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn all_three_forms_of_dates_are_read() {
        assert_eq!(seconds("Fri, 02 Jan 1970 00:00:00 GMT"), Some(86_400));
        assert_eq!(seconds("Friday, 02-Jan-70 00:00:00 GMT"), Some(86_400));
        assert_eq!(seconds("Fri Jan  2 00:00:00 1970"), Some(86_400));
        for garbage in ["Wed, 31 Feb", "Wed, 31 Feb 2026 00:00:00 GMT", "Fri, 02 Jan 1970 00:00:00 CET"] {
            assert_eq!(seconds(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn date_is_never_earlier_than_the_server_said_and_past_ones_are_no_wait() {
        let (date, half) = ("Thu, 01 Jan 1970 00:00:10 GMT", Duration::from_millis(500));
        assert_eq!(says(&[date], None, NOW + half), Some(Duration::from_secs(10)));
        assert_eq!(
            says(&[date], None, NOW + Duration::from_nanos(9_999_999_999)),
            Some(Duration::from_secs(1))
        );
        assert_eq!(says(&[date], None, NOW + Duration::from_secs(10)), Some(Duration::ZERO));
        assert_eq!(says(&[date], None, NOW + Duration::from_secs(11)), Some(Duration::ZERO));
    }

    #[test]
    fn the_servers_own_clock_counts() {
        let date = "Thu, 01 Jan 1970 00:00:10 GMT";
        let ours_is_fast = NOW + Duration::from_secs(3600);
        assert_eq!(says(&[date], Some("Thu, 01 Jan 1970 00:00:07 GMT"), ours_is_fast), Some(3 * SECOND));
        assert_eq!(says(&[date], Some("yesterday"), NOW), Some(10 * SECOND));
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn of_several_values_the_longest_wait_counts() {
        assert_eq!(says(&["1", "30", "2"], None, NOW), Some(30 * SECOND));
        assert_eq!(says(&["-1", "Thu, 01 Jan 1970 00:00:10 GMT", "x", "2"], None, NOW), Some(10 * SECOND));
        assert_eq!(says(&[], None, NOW), None);
    }

    #[test]
    fn values_that_are_no_text_are_passed_over() {
        let mut headers = HeaderMap::new();
        headers.append(RETRY_AFTER, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        assert_eq!(retry_after(&headers, NOW), None);
        headers.append(RETRY_AFTER, HeaderValue::from_static("5"));
        assert_eq!(retry_after(&headers, NOW), Some(5 * SECOND));
    }
}
