//! What each response is.

use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use proptest::prelude::*;

use super::*;
use crate::classification::{Category, Health};

const SECOND: Duration = Duration::from_secs(1);

fn headers(values: &[(HeaderName, &str)]) -> HeaderMap {
    values.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

fn judge(
    responses: &Responses,
    status: u16,
    retry_after: Option<&str>,
    body: &str,
) -> Option<Classification> {
    let headers = headers(&retry_after.map(|value| (RETRY_AFTER, value)).into_iter().collect::<Vec<_>>());
    responses.judge(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
}

/// The rows of the module's table that this status could be in, the most particular one first.
fn rows(status: u16) -> Vec<String> {
    let mut rows = vec![status.to_string()];
    rows.push(
        match status {
            100..=399 => "1xx to 3xx",
            400..=499 => "other 4xx",
            _ => "other 5xx, 600 to 999",
        }
        .to_owned(),
    );
    rows
}

#[test]
fn table_of_statuses_is_what_the_code_says() {
    let table: BTreeMap<&str, Vec<&str>> = include_str!("../../http.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .map(|row| row.trim_end_matches(" |").split(" | ").collect::<Vec<_>>())
        .map(|cells| (cells[0], cells[1..].to_vec()))
        .collect();
    let mut named = 0;
    for status in 100..=999 {
        let rows = rows(status);
        named += usize::from(table.contains_key(rows[0].as_str()));
        let row = rows.iter().find_map(|row| table.get(row.as_str())).expect("every status has a row");
        let answer = judge(&Responses::new(), status, None, "");
        let category = match answer {
            None if status < 400 => "none: good".to_owned(),
            None => "none: an answer".to_owned(),
            Some(answer) => answer.category().name().replace('_', " "),
        };
        let retried = answer.is_some_and(|answer| answer.advice() == Advice::Retry);
        let counted = match answer.map_or(Health::Success, |answer| answer.health()) {
            Health::Success => "success",
            Health::Failure => "failure",
            Health::Ignored => "nowhere",
        };
        assert_eq!(row, &[category.as_str(), if retried { "yes" } else { "no" }, counted], "{status}");
        assert_eq!(answer.and_then(|answer| answer.status_code()), answer.map(|_| status));
    }
    assert_eq!(named, 10, "rows that name one status");
}

#[test]
fn only_early_data_is_surely_not_processed() {
    for status in 100..=999 {
        let answer = judge(&Responses::new(), status, None, "");
        assert_eq!(answer.is_some_and(|answer| answer.is_unprocessed()), status == 425, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn r1_both_forms_of_retry_after_give_the_same_wait() {
    let in_two_seconds = httpdate::fmt_http_date(time::wall(time::now()) + 2 * SECOND);
    for value in ["2", in_two_seconds.as_str()] {
        let answer = judge(&Responses::new(), 503, Some(value), "").unwrap();
        assert_eq!(answer.advice(), Advice::RetryAfter(2 * SECOND), "{value}");
    }
    tokio::time::advance(5 * SECOND).await;
    let passed = judge(&Responses::new(), 503, Some(&in_two_seconds), "").unwrap();
    assert_eq!(passed.advice(), Advice::Retry, "the paused clock has passed it");
}

#[test]
fn r1_garbage_leaves_the_wait_to_the_backoff() {
    let garbage = [
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x10",
        "1 2",
        "1s",
        "soon",
        "Wed, 31 Feb",
        "NaN",
        "٣",
        "0",
        "00",
        "Wed, 31 Feb 2026 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ];
    for value in garbage {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let answer = Responses::new().judge(StatusCode::SERVICE_UNAVAILABLE, &headers, b"").unwrap();
        assert_eq!(answer.advice(), Advice::Retry, "{value:?}");
    }
}

#[test]
fn retry_after_is_obeyed_only_where_another_attempt_is_worth_it() {
    let advice =
        |status, body| judge(&Responses::new().openai(), status, Some("9"), body).map(|is| is.advice());
    assert_eq!(advice(429, ""), Some(Advice::RetryAfter(9 * SECOND)));
    assert_eq!(advice(425, ""), Some(Advice::RetryAfter(9 * SECOND)));
    assert_eq!(advice(999, ""), Some(Advice::RetryAfter(9 * SECOND)));
    assert_eq!(advice(501, ""), Some(Advice::Stop));
    assert_eq!(advice(404, ""), None);
    assert_eq!(advice(301, ""), None);
    assert_eq!(advice(429, r#"{"error":{"code":"insufficient_quota"}}"#), Some(Advice::Stop));
}

#[test]
fn own_answers_win_over_the_table_and_over_bodies() {
    let retried = Classification::of(Category::NotFound).retry();
    let responses = Responses::new()
        .openai()
        .status(404, retried)
        .status(503, None)
        .status(429, Classification::of(Category::BusinessRule));
    let spent = r#"{"error":{"code":"insufficient_quota"}}"#;
    assert_eq!(judge(&responses, 404, None, ""), Some(retried.status(404)));
    assert_eq!(judge(&responses, 404, Some("3"), "").unwrap().advice(), Advice::RetryAfter(3 * SECOND));
    assert_eq!(judge(&responses, 503, Some("3"), ""), None);
    assert_eq!(judge(&responses, 429, Some("3"), spent).unwrap().category(), Category::BusinessRule);
    assert_eq!(judge(&responses, 429, Some("3"), spent).unwrap().advice(), Advice::Stop);
    assert!(!responses.wants_body(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new()));
}

#[test]
fn anthropic_spend_limits_are_permanent_and_everything_else_is_not() {
    let responses = Responses::new().anthropic();
    let error = |kind: &str, details: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"{details}}},"request_id":"r"}}"#)
    };
    let spent = error("rate_limit_error", r#","details":{"error_code":"enforced_spend_limit_reached"}"#);
    let limited = error("rate_limit_error", "");
    let overloaded = error("overloaded_error", "");
    let is = |status, when, body: &str| {
        judge(&responses, status, when, body).map(|answer| (answer.category(), answer.advice()))
    };
    let exhausted = Some((Category::ResourceExhausted, Advice::Stop));
    assert_eq!(is(429, None, &spent), exhausted);
    assert_eq!(is(400, None, &spent), exhausted);
    assert_eq!(is(402, None, &error("billing_error", "")), exhausted);
    let low =
        r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to go on"}}"#;
    assert_eq!(is(400, None, low), exhausted);
    assert_eq!(is(429, None, &limited), Some((Category::RateLimited, Advice::Retry)));
    let later = Some((Category::RateLimited, Advice::RetryAfter(7 * SECOND)));
    assert_eq!(is(429, Some("7"), &limited), later);
    assert_eq!(is(429, Some("7"), &spent), later, "the server says when it ends");
    assert_eq!(is(429, Some("-7"), &spent), exhausted, "it says nothing that can be understood");
    assert_eq!(is(529, None, &overloaded), Some((Category::ServiceUnavailable, Advice::Retry)));
    assert_eq!(is(529, None, &spent), Some((Category::ServiceUnavailable, Advice::Retry)));
    assert_eq!(is(400, None, &error("invalid_request_error", "")), None);
    assert_eq!(is(200, None, &spent), None);
}

#[test]
fn openai_quotas_are_permanent_and_rate_limits_are_not() {
    let is = |status, when, field: &str, code: &str| {
        let body = format!(r#"{{"error":{{"message":"m","{field}":"{code}"}}}}"#);
        judge(&Responses::new().openai(), status, when, &body)
            .map(|answer| (answer.category(), answer.advice()))
    };
    let exhausted = Some((Category::ResourceExhausted, Advice::Stop));
    assert_eq!(is(429, None, "code", "insufficient_quota"), exhausted);
    assert_eq!(is(429, Some("20"), "type", "insufficient_quota"), exhausted);
    assert_eq!(is(403, None, "code", "billing_not_active"), exhausted);
    assert_eq!(is(429, None, "code", "rate_limit_exceeded"), Some((Category::RateLimited, Advice::Retry)));
    assert_eq!(is(429, None, "message", "insufficient_quota"), Some((Category::RateLimited, Advice::Retry)));
    assert_eq!(is(403, None, "code", "unsupported_country"), None);
}

#[test]
fn bodies_that_are_no_json_or_too_long_say_nothing() {
    let spent = r#"{"error":{"code":"insufficient_quota"}}"#;
    let responses = Responses::new().openai().anthropic().openai();
    let deep = "[".repeat(60_000);
    let text =
        [&spent[..20], "{", "null", "[1,2]", "\"x\"", "1e999", deep.as_str(), r#"{"error":[{"code":1}]}"#];
    for body in text {
        let answer = judge(&responses, 429, None, body).unwrap();
        assert_eq!(answer.advice(), Advice::Retry, "{body:.20}");
    }
    let answer = responses.judge(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), b"\xff{\"error\":\xfe}");
    assert_eq!(answer.unwrap().advice(), Advice::Retry);
    let exact = Responses::new().openai().body_limit(spent.len());
    assert_eq!(judge(&exact, 429, None, spent).unwrap().advice(), Advice::Stop);
    let short = Responses::new().openai().body_limit(spent.len() - 1);
    assert_eq!(judge(&short, 429, None, spent).unwrap().advice(), Advice::Retry);
    assert!(!Responses::new().openai().body_limit(0).wants_body(StatusCode::FORBIDDEN, &HeaderMap::new()));
}

#[test]
fn body_is_wanted_only_where_it_matters() {
    let wants = |responses: &Responses, status: u16, when: Option<&str>| {
        let when: Vec<_> = when.map(|value| (RETRY_AFTER, value)).into_iter().collect();
        responses.wants_body(StatusCode::from_u16(status).unwrap(), &headers(&when))
    };
    let (anthropic, openai) = (Responses::new().anthropic(), Responses::new().openai());
    assert!(wants(&anthropic, 429, None) && wants(&anthropic, 400, Some("1")));
    assert!(!wants(&anthropic, 429, Some("1")) && !wants(&anthropic, 529, None));
    assert!(wants(&anthropic, 429, Some("soon")));
    assert!(wants(&openai, 429, Some("1")) && wants(&openai, 402, None) && !wants(&openai, 500, None));
    assert!(wants(&openai.anthropic(), 429, Some("1")));
    assert!(!wants(&Responses::new(), 429, None));
}

proptest! {
    /// Whatever a server sends, there is an answer, and nothing panics.
    #[test]
    fn anything_has_an_answer(
        status in 100_u16..1000,
        when in proptest::collection::vec(any::<u8>(), 0..40),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = http::HeaderValue::from_bytes(&when) {
            headers.insert(RETRY_AFTER, value);
        }
        let responses = Responses::new().anthropic().openai();
        let answer = responses.judge(StatusCode::from_u16(status).unwrap(), &headers, &body);
        prop_assert_eq!(answer.is_none(), status < 500 && ![408, 425, 429].contains(&status));
    }
}
