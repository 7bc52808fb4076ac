//! Arbitrary pushbacks of a server: each is a wait of so many milliseconds, or to stop, and what is told is read again.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use recoup::tonic::{Pushback, pushback};
use recoup_fuzz::Span;
use tonic::Status;

const KEY: &str = "grpc-retry-pushback-ms";
const MOST: Duration = Duration::from_millis(i32::MAX as u64);

fuzz_target!(|input: (Vec<Vec<u8>>, Span)| {
    let (values, span) = input;
    let mut headers = HeaderMap::new();
    for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        headers.append(KEY, value);
    }
    let count = headers.get_all(KEY).iter().count();
    match pushback(&headers) {
        None => assert_eq!(count, 0),
        Some(Pushback::Stop) => assert!(count > 0),
        Some(Pushback::After(wait)) => {
            let digits = headers[KEY].to_str().expect("digits are text");
            let millis: u128 = digits.parse().expect("a number");
            assert!(count == 1 && wait <= MOST && wait.as_millis() == millis);
        }
    }

    let span = Duration::from(span);
    let mut status = Status::unavailable("");
    Pushback::After(span).tell(&mut status);
    let told = pushback(&status.metadata().clone().into_headers());
    let Some(Pushback::After(read)) = told else { panic!("{told:?}") };
    assert!(read >= span.min(MOST) && read <= MOST, "{span:?} is told as {read:?}");
});
