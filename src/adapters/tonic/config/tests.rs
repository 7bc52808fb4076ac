//! Which service configs are read, and which are refused, where.

use std::time::Duration;

use proptest::prelude::*;
use tonic::Code;

use super::*;

const RETRY: &str =
    r#""maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2"#;

fn read(text: &str) -> ServiceConfig {
    ServiceConfig::from_json(text).unwrap()
}

/// A config whose only method config, for all methods, has these fields.
fn method(fields: &str) -> Result<MethodPolicy, String> {
    let text = format!(r#"{{ "methodConfig": [{{ "name": [{{}}], {fields} }}] }}"#);
    let config = ServiceConfig::from_json(&text).map_err(|error| error.to_string())?;
    Ok(config.method("/any.Service/Method").unwrap().clone())
}

fn retry_with(codes: &str) -> Result<MethodPolicy, String> {
    method(&format!(r#""retryPolicy": {{ {RETRY}, "retryableStatusCodes": {codes} }}"#))
}

#[test]
fn method_is_found_by_its_name_or_else_its_service_or_else_for_all() {
    let config = read(
        r#"{ "methodConfig": [
            { "name": [{ "service": "a.A", "method": "One" }, { "service": "b.B" }], "timeout": "1s" },
            { "name": [{ "service": "a.A" }], "timeout": "2s" },
            { "name": [{}], "timeout": "3s" },
            { "name": [], "timeout": "4s" },
            { "timeout": "5s" }
        ] }"#,
    );
    let limit = |path| config.method(path).and_then(MethodPolicy::limit).map(|limit| limit.as_secs());
    for (path, seconds) in [
        ("/a.A/One", 1),
        ("/b.B/One", 1),
        ("/a.A/Two", 2),
        ("/a.A/one", 2),
        ("/c.C/One", 3),
        ("/a.A", 3),
        ("", 3),
        ("/", 3),
        ("no path", 3),
    ] {
        assert_eq!(limit(path), Some(seconds), "{path:?}");
    }
    assert_eq!(read("{}").method("/a.A/One"), None);
}

#[test]
fn whole_policy_is_read() {
    let policy = method(
        r#""timeout": "1.000000001s", "waitForReady": true,
           "retryPolicy": { "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "30s",
                            "backoffMultiplier": 1.5, "retryableStatusCodes": ["UNAVAILABLE", "aborted", 8] }"#,
    )
    .unwrap();
    assert_eq!((policy.limit(), policy.waits_for_ready()), (Some(Duration::new(1, 1)), Some(true)));
    let retry = policy.retries().unwrap();
    assert_eq!(retry.max_attempts(), 4);
    assert_eq!(
        (retry.initial_backoff(), retry.max_backoff()),
        (Duration::from_millis(100), Duration::from_secs(30))
    );
    assert!((retry.multiplier() - 1.5).abs() < f64::EPSILON);
    let codes: Vec<_> = retry.codes().collect();
    assert_eq!(codes, [Code::ResourceExhausted, Code::Aborted, Code::Unavailable]);

    let hedging = r#""maxAttempts": 3, "hedgingDelay": "0.05s", "nonFatalStatusCodes": [14]"#;
    let policy = method(&format!(r#""hedgingPolicy": {{ {hedging} }}"#)).unwrap();
    let hedging = policy.hedges().unwrap();
    assert_eq!((hedging.max_attempts(), hedging.delay()), (3, Duration::from_millis(50)));
    assert!(!hedging.is_fatal(Code::Unavailable) && hedging.is_fatal(Code::Aborted));

    let config = read(r#"{ "retryThrottling": { "maxTokens": 1000, "tokenRatio": 0.5 } }"#);
    assert_eq!(config.throttling(), Some(Throttling::new(1000.0, 0.5).unwrap()));
}

#[test]
fn hedges_without_a_delay_begin_at_once_and_any_failure_of_theirs_is_fatal() {
    let policy = method(r#""hedgingPolicy": { "maxAttempts": 2 }"#).unwrap();
    let hedging = policy.hedges().unwrap();
    assert_eq!((hedging.delay(), hedging.non_fatal_codes().count()), (Duration::ZERO, 0));
}

#[test]
fn a6_more_than_five_attempts_are_taken_as_five() {
    for (said, attempts) in
        [("2", 2), ("5", 5), ("6", 5), ("4294967296", 5), ("1e300", 5), ("3.0", 3), ("\"4\"", 4)]
    {
        let hedging = method(&format!(r#""hedgingPolicy": {{ "maxAttempts": {said} }}"#)).unwrap();
        assert_eq!(hedging.hedges().unwrap().max_attempts(), attempts, "{said}");
    }
}

#[test]
fn every_code_is_known_by_its_name_and_by_its_number() {
    let all = "CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED \
               RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE \
               DATA_LOSS UNAUTHENTICATED";
    for (name, number) in all.split_whitespace().zip(1..) {
        for said in [format!("[{name:?}]"), format!("[{:?}]", name.to_lowercase()), format!("[{number}]")] {
            let codes: Vec<_> = retry_with(&said).unwrap().retries().unwrap().codes().collect();
            assert_eq!(codes, [Code::from_i32(number)], "{said}");
        }
    }
    let must = "must be a status code, by its name or as a number from 0 to 16";
    for said in ["17", "-1", "1.5", "\"CANCELED\"", "\"14\"", "\"\"", "null", "[]"] {
        let error = retry_with(&format!("[14, {said}]")).unwrap_err();
        assert_eq!(error, format!("methodConfig[0].retryPolicy.retryableStatusCodes[1]: {must}"), "{said}");
    }
}

#[test]
fn error_says_where_it_is_and_what_must_be_there() {
    let retry = |fields: &str| format!(r#""retryPolicy": {{ {fields}, "retryableStatusCodes": [14] }}"#);
    let both = format!(r#"{}, "hedgingPolicy": {{ "maxAttempts": 2 }}"#, retry(RETRY));
    let swapped = |from: &str, to: &str| retry(&RETRY.replace(from, to));
    let seconds = "must be a number of seconds like \"1.5s\", and not negative";
    for (fields, expected) in [
        (r#""timeout": "-1s""#.to_owned(), format!("timeout: {seconds}")),
        (r#""timeout": "1""#.to_owned(), format!("timeout: {seconds}")),
        (r#""timeout": 1"#.to_owned(), "timeout: must be a string".to_owned()),
        (r#""timeout": "0s""#.to_owned(), "timeout: must be longer than zero".to_owned()),
        (r#""waitForReady": "yes""#.to_owned(), "waitForReady: must be `true` or `false`".to_owned()),
        (r#""retryPolicy": []"#.to_owned(), "retryPolicy: must be an object".to_owned()),
        (r#""retryPolicy": {}"#.to_owned(), "retryPolicy.maxAttempts: must be there".to_owned()),
        (swapped("3", "1"), "retryPolicy.maxAttempts: must be at least 2".to_owned()),
        (swapped("3", "0"), "retryPolicy.maxAttempts: must be at least 2".to_owned()),
        (swapped("3", "-2"), "retryPolicy.maxAttempts: must be a whole number, and not negative".to_owned()),
        (swapped("3", "2.5"), "retryPolicy.maxAttempts: must be a whole number, and not negative".to_owned()),
        (swapped("3", "true"), "retryPolicy.maxAttempts: must be a number".to_owned()),
        (swapped("3", "\"NaN\""), "retryPolicy.maxAttempts: must be a number".to_owned()),
        (swapped("0.1s", "0s"), "retryPolicy.initialBackoff: must be longer than zero".to_owned()),
        (swapped("\"1s\"", "\"0.0s\""), "retryPolicy.maxBackoff: must be longer than zero".to_owned()),
        (swapped(": 2", ": 0"), "retryPolicy.backoffMultiplier: must be finite and above 0.0".to_owned()),
        (swapped(": 2", ": \"inf\""), "retryPolicy.backoffMultiplier: must be a number".to_owned()),
        (swapped("\"maxBackoff\"", "\"max_backoff\""), "retryPolicy.maxBackoff: must be there".to_owned()),
        (
            r#""hedgingPolicy": { "maxAttempts": 1 }"#.to_owned(),
            "hedgingPolicy.maxAttempts: must be at least 2".to_owned(),
        ),
        (
            r#""hedgingPolicy": { "maxAttempts": 2, "nonFatalStatusCodes": ["OK"] }"#.to_owned(),
            "hedgingPolicy.nonFatalStatusCodes: must be without `Ok`".to_owned(),
        ),
        (
            r#""hedgingPolicy": { "maxAttempts": 2, "hedgingDelay": "soon" }"#.to_owned(),
            format!("hedgingPolicy.hedgingDelay: {seconds}"),
        ),
        (r#""timeout": "1s", "timeout": "2s""#.to_owned(), "timeout: must not stand there twice".to_owned()),
    ] {
        assert_eq!(method(&fields).unwrap_err(), format!("methodConfig[0].{expected}"), "{fields}");
    }
    assert_eq!(
        method(&both).unwrap_err(),
        "methodConfig[0]: must not have both `retryPolicy` and `hedgingPolicy`"
    );
    let codes = "methodConfig[0].retryPolicy.retryableStatusCodes: must be at least one code, and not `Ok`";
    assert_eq!(retry_with("[]").unwrap_err(), codes);
    assert_eq!(retry_with("[\"OK\"]").unwrap_err(), codes);
}

#[test]
fn no_two_configs_have_one_name() {
    let twice = |first: &str, second: &str| {
        let text = format!(
            r#"{{ "methodConfig": [{{ "name": [{first}] }}, {{ "name": [{{"service": "z"}}, {second}] }}] }}"#
        );
        ServiceConfig::from_json(&text).map_err(|error| error.to_string())
    };
    let refused = Err("methodConfig[1].name[1]: must be a name that does not stand before".to_owned());
    for name in [r#"{"service": "a", "method": "b"}"#, r#"{"service": "a"}"#, "{}"] {
        assert_eq!(twice(name, name), refused, "{name}");
    }
    assert_eq!(twice(r#"{"service": "a"}"#, r#"{"service": "a", "method": ""}"#), refused);
    assert!(twice(r#"{"service": "a"}"#, r#"{"service": "a", "method": "b"}"#).is_ok());
    let error = twice("{}", r#"{"method": "b"}"#).unwrap_err();
    assert_eq!(error, "methodConfig[1].name[1]: must say a `service` beside its `method`");
    assert_eq!(twice("7", "{}").unwrap_err(), "methodConfig[0].name[0]: must be an object");
}

#[test]
fn throttling_has_its_ranges() {
    let throttling = |most: &str, ratio: &str| {
        let text = format!(r#"{{ "retryThrottling": {{ "maxTokens": {most}, "tokenRatio": {ratio} }} }}"#);
        ServiceConfig::from_json(&text).map_err(|error| error.path)
    };
    assert!(throttling("1000", "0.001").is_ok() && throttling("\"10\"", "1").is_ok());
    for most in ["0", "-1", "1000.001", "1001", "\"x\"", "[]"] {
        assert_eq!(throttling(most, "1"), Err("retryThrottling.maxTokens".to_owned()), "{most}");
    }
    for ratio in ["0", "-0.5", "0.0004", "\"x\"", "{}"] {
        assert_eq!(throttling("1", ratio), Err("retryThrottling.tokenRatio".to_owned()), "{ratio}");
    }
    let error = ServiceConfig::from_json(r#"{ "retryThrottling": {} }"#).unwrap_err();
    assert_eq!(error.to_string(), "retryThrottling.maxTokens: must be there");
}

#[test]
fn what_is_not_known_is_ignored_and_null_is_nothing() {
    let config = read(
        r#"{ "loadBalancingConfig": [{ "round_robin": {} }], "retryThrottling": null,
             "methodConfig": [{ "name": [{ "service": "a.A", "method": null, "port": 1 }], "timeout": null,
                                "maxRequestMessageBytes": "4096", "retryPolicy": null }] }"#,
    );
    assert_eq!(config.method("/a.A/One"), Some(&MethodPolicy::new()));
    assert_eq!(config.throttling(), None);
}

#[test]
fn what_is_no_json_or_no_object_is_refused() {
    let deep = "[".repeat(100_000);
    for text in ["", "{", "{} {}", "\u{0}", "{\"a\": 1e999}", &deep] {
        let error = ServiceConfig::from_json(text).unwrap_err();
        assert!(error.path.is_empty() && error.must.starts_with("must be JSON: "), "{error}");
    }
    for text in ["[]", "null", "7", "\"x\""] {
        assert_eq!(ServiceConfig::from_json(text).unwrap_err().to_string(), "must be an object");
    }
    let error = ServiceConfig::from_json(r#"{ "methodConfig": {} }"#).unwrap_err();
    assert_eq!(error.to_string(), "methodConfig: must be a list");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", path in ".*") {
        if let Ok(config) = ServiceConfig::from_json(&text) {
            let _ = config.method(&path);
        }
    }

    #[test]
    fn no_value_anywhere_makes_it_panic(
        field in "timeout|waitForReady|retryPolicy|hedgingPolicy|name",
        value in r#"-?[0-9]{1,30}(\.[0-9]{1,12})?(e[0-9]{1,3})?|"-?[0-9.]{0,25}s?"|\[\]|\{\}|true|null"#,
    ) {
        drop(ServiceConfig::from_json(&format!(r#"{{ "methodConfig": [{{ "{field}": {value} }}] }}"#)));
        drop(method(&format!(r#""retryPolicy": {{ "maxAttempts": {value}, "initialBackoff": {value} }}"#)));
    }
}
