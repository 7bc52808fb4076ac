//! Arbitrary texts and arbitrary service configs: each is read or refused with a place, what was read is within the
//! bounds of gRPC, and nothing panics.
#![no_main]

use std::fmt::Write as _;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use recoup::tonic::{MethodPolicy, ServiceConfig};
use tonic::Code;

#[derive(Arbitrary, Debug)]
enum Input {
    Text(String),
    Config { methods: Vec<Method>, throttling: Option<(Value, Value)> },
}

#[derive(Arbitrary, Debug)]
struct Method {
    names: Vec<(u8, u8)>,
    timeout: Option<Value>,
    wait: Option<Value>,
    retry: Option<[Value; 5]>,
    hedging: Option<[Value; 3]>,
}

/// A value of JSON, more often one that may stand there than chance would have it.
#[derive(Arbitrary, Debug)]
enum Value {
    Null,
    Flag(bool),
    Whole(i64),
    Small(u8),
    Float(f64),
    Seconds(u64, u32),
    Codes(Vec<u8>),
    Text(String),
    List(Vec<u16>),
}

impl Value {
    fn json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Small(number) => (number % 8).to_string(),
            Self::Float(number) => format!("{number:e}"),
            Self::Seconds(seconds, fraction) => format!("\"{seconds}.{fraction}s\""),
            Self::Codes(codes) => format!("{:?}", codes.iter().map(|code| code % 17).collect::<Vec<_>>()),
            Self::Text(text) => format!("\"{}\"", text.escape_unicode().to_string().replace(['{', '}'], "")),
            Self::List(items) => format!("{items:?}"),
        }
    }
}

fn json(methods: &[Method], throttling: Option<&(Value, Value)>) -> String {
    let mut text = "{ \"methodConfig\": [".to_owned();
    for (nth, method) in methods.iter().enumerate() {
        let names = method.names.iter().map(|(service, name)| match (service % 4, name % 4) {
            (0, 0) => "{}".to_owned(),
            (service, 0) => format!("{{ \"service\": \"s{service}\" }}"),
            (service, name) => format!("{{ \"service\": \"s{service}\", \"method\": \"m{name}\" }}"),
        });
        let comma = if nth == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{{ \"name\": [{}]", names.collect::<Vec<_>>().join(","));
        for (field, value) in [("timeout", &method.timeout), ("waitForReady", &method.wait)] {
            if let Some(value) = value {
                let _ = write!(text, ", \"{field}\": {}", value.json());
            }
        }
        let policies: [(&str, &[&str], Option<&[Value]>); 2] = [
            (
                "retryPolicy",
                &["maxAttempts", "initialBackoff", "maxBackoff", "backoffMultiplier", "retryableStatusCodes"],
                method.retry.as_ref().map(|values| &values[..]),
            ),
            (
                "hedgingPolicy",
                &["maxAttempts", "hedgingDelay", "nonFatalStatusCodes"],
                method.hedging.as_ref().map(|values| &values[..]),
            ),
        ];
        for (policy, fields, values) in policies {
            let Some(values) = values else { continue };
            let said =
                fields.iter().zip(values).map(|(field, value)| format!("\"{field}\": {}", value.json()));
            let _ = write!(text, ", \"{policy}\": {{ {} }}", said.collect::<Vec<_>>().join(", "));
        }
        text.push('}');
    }
    text.push(']');
    if let Some((most, ratio)) = throttling {
        let (most, ratio) = (most.json(), ratio.json());
        let _ = write!(text, ", \"retryThrottling\": {{ \"maxTokens\": {most}, \"tokenRatio\": {ratio} }}");
    }
    text.push('}');
    text
}

fn within_bounds(policy: &MethodPolicy) {
    assert!(policy.limit().is_none_or(|limit| limit > Duration::ZERO));
    assert!(policy.retries().is_none() || policy.hedges().is_none());
    if let Some(retry) = policy.retries() {
        assert!((2..=5).contains(&retry.max_attempts()));
        assert!(retry.initial_backoff() > Duration::ZERO && retry.max_backoff() > Duration::ZERO);
        assert!(retry.multiplier() > 0.0 && retry.multiplier().is_finite());
        assert!(retry.codes().count() > 0 && !retry.is_retryable(Code::Ok));
    }
    if let Some(hedging) = policy.hedges() {
        assert!((2..=5).contains(&hedging.max_attempts()));
        assert!(hedging.is_fatal(Code::Ok));
    }
}

fuzz_target!(|input: Input| {
    let text = match input {
        Input::Text(text) => text,
        Input::Config { methods, throttling } => json(&methods, throttling.as_ref()),
    };
    match ServiceConfig::from_json(&text) {
        Ok(config) => {
            for path in ["/s1/m1", "/s1/m2", "/s2/m1", "/s3", "", "/", &text] {
                if let Some(policy) = config.method(path) {
                    within_bounds(policy);
                }
            }
            if let Some(throttling) = config.throttling() {
                assert!(throttling.max_tokens() > 0.0 && throttling.max_tokens() <= 1000.0);
                assert!(throttling.token_ratio() > 0.0);
            }
        }
        Err(error) => assert!(!error.must.is_empty() && !error.to_string().is_empty()),
    }
});
