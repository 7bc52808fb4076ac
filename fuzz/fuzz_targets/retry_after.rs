//! Arbitrary headers and bodies of responses: each gets an answer, a wait that was said as a number is never
//! shortened, and nothing panics.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use recoup::Advice;
use recoup::http::{Responses, retry_after};

#[derive(Arbitrary, Debug)]
struct Input {
    status: u16,
    values: Vec<Vec<u8>>,
    date: Option<Vec<u8>>,
    /// Seconds since the epoch, as the machine's clock has it.
    now: u32,
    body: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let mut headers = HeaderMap::new();
    for value in &input.values {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(RETRY_AFTER, value);
        }
    }
    if let Some(date) = input.date.and_then(|date| HeaderValue::from_bytes(&date).ok()) {
        headers.insert(DATE, date);
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(input.now.into());
    let wait = retry_after(&headers, now);
    for value in headers.get_all(RETRY_AFTER) {
        if let Some(seconds) = value.to_str().ok().and_then(|text| text.parse::<u32>().ok())
            && !value.as_bytes().starts_with(b"+")
        {
            assert!(wait.is_some_and(|wait| wait >= Duration::from_secs(seconds.into())));
        }
    }
    let Ok(status) = StatusCode::from_u16(input.status) else { return };
    let responses = Responses::new().anthropic().openai();
    if let Some(answer) = responses.judge(status, &headers, &input.body)
        && let Advice::RetryAfter(hint) = answer.advice()
    {
        assert!(!hint.is_zero());
    }
});
