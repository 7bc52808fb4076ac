use proptest::prelude::*;

use super::*;
use crate::dead_letter::chain::{ErrorChain, ErrorFrame};

fn says(text: &str) -> Fingerprint {
    DeadLetter::new("op").error(ErrorChain::from_display(&text)).fingerprint()
}

#[test]
fn numbers_ids_addresses_and_quotations_do_not_count() {
    let pairs = [
        ("took 31ms", "took 4.5s"),
        ("no route to 10.0.0.7:8080", "no route to 192.168.1.1:80"),
        ("job 6f1e-aa02 lost", "job 0c9b-17ff lost"),
        ("user 'ana' unknown", "user 'Müller, Bo' unknown"),
        ("at 2026-11-22T10:00:00Z", "at 2027-01-01T00:00:01Z"),
    ];
    for (one, other) in pairs {
        assert_eq!(says(one), says(other), "{one} | {other}");
    }
}

#[test]
fn words_and_fields_do_count() {
    let all = [
        says("can't connect"),
        says("can't read"),
        says("it isn't 'so"),
        DeadLetter::new("op").fingerprint(),
        DeadLetter::new("op").destination("").fingerprint(),
        DeadLetter::new("op").status(7).fingerprint(),
        DeadLetter::new("other").fingerprint(),
        DeadLetter::new("op").error(ErrorChain::from_display(&"x").type_name("T")).fingerprint(),
        DeadLetter::new("op").error([ErrorFrame::new("x").code("T")].into_iter().collect()).fingerprint(),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn hash_is_fnv_1a() {
    // Test vectors of the authors: the empty input and "foobar".
    let mut hash = Fnv::new();
    assert_eq!(hash.0, 0xcbf2_9ce4_8422_2325);
    b"foobar".iter().for_each(|&byte| hash.byte(byte));
    assert_eq!(hash.0, 0x8594_4171_f739_67e8);
}

/// Messages of one line are one group; those of different lines are not. What HTTP clients, databases, brokers, TLS,
/// DNS, the operating system and others say, as it is found in bug reports.
const GROUPS: &[&[&str]] = &[
    // HTTP clients and gRPC
    &[
        "error sending request for url (https://api.example.com/v1/users/17?page=2&q=shoes)",
        "error sending request for url (https://api.example.com/v1/users/4711?q=caf%C3%A9)",
        "error sending request for url (https://api.example.com/v1/users/3)",
    ],
    &["connection closed before message completed"],
    &[
        "operation timed out after 30001 milliseconds with 0 out of 0 bytes received",
        "operation timed out after 5 seconds with 1234 out of 99999 bytes received",
        "operation timed out after 1.5s with 10 out of 20 KiB received",
    ],
    &["client error (SendRequest): http2 error: stream error received: refused stream before processing"],
    &["429 Too Many Requests: retry after 1 second", "429 Too Many Requests: retry after 30 seconds"],
    &["503 Service Unavailable"],
    &["504 Gateway Timeout"],
    &["status: Unavailable, message: \"error trying to connect\", details: []"],
    &["status: DeadlineExceeded, message: \"Timeout expired\", details: []"],
    // Postgres and other databases
    &[
        "duplicate key value violates unique constraint \"users_email_key\": Key (email)=(ana@a.example) already exists.",
        "duplicate key value violates unique constraint \"users_email_key\": Key (email)=(Bo M\u{fc}ller, at home) already exists.",
    ],
    &["duplicate key value violates unique constraint \"users_name_key\": Key (name)=(Ana) already exists."],
    &[
        "deadlock detected: Process 14023 waits for ShareLock on transaction 738; blocked by process 14021.",
        "deadlock detected: Process 7 waits for ShareLock on transaction 9; blocked by process 8.",
    ],
    &["could not serialize access due to concurrent update"],
    &["sorry, too many clients already"],
    &["canceling statement due to statement timeout"],
    &[
        "password authentication failed for user \"app\"",
        "password authentication failed for user \u{201c}reports\u{201d}",
    ],
    &["Lock wait timeout exceeded; try restarting transaction"],
    &["MOVED 3999 127.0.0.1:6381", "MOVED 12182 10.0.0.9:6379"],
    // Kafka and other brokers
    &[
        "Local: Message timed out (after 300001 ms in queue) for orders-0, orders-3",
        "Local: Message timed out (after 5 ms in queue) for orders-7",
    ],
    &["Broker: Not leader for partition orders-3 [3]", "Broker: Not leader for partition orders-11 [11]"],
    &["Local: Queue full"],
    &[
        "channel exception: 404, NOT_FOUND - no queue 'mail' in vhost '/'",
        "channel exception: 404, NOT_FOUND - no queue 'orders.eu' in vhost 'live'",
    ],
    // TLS
    &[
        "invalid peer certificate: certificate expired: verification time 1767225600 (UNIX), but certificate is not valid after 1764547200 (1 seconds ago)",
        "invalid peer certificate: certificate expired: verification time 1767225900 (UNIX), but certificate is not valid after 1764547200 (300 seconds ago)",
    ],
    &["invalid peer certificate: UnknownIssuer"],
    &["received fatal alert: HandshakeFailure"],
    &[
        "x509: certificate is valid for a1.example.com, a2.example.com, not b1.example.com",
        "x509: certificate is valid for c7.example.com, not b2.example.com",
    ],
    // DNS
    &["failed to lookup address information: Name or service not known"],
    &["failed to lookup address information: Temporary failure in name resolution"],
    &[
        "dial tcp: lookup db-7.internal on 10.0.0.2:53: no such host",
        "dial tcp: lookup db-12.internal on 10.0.3.2:53: no such host",
    ],
    // The operating system
    &["Connection refused (os error 111)", "Connection refused (os error 61)"],
    &["Connection reset by peer (os error 104)"],
    &["Broken pipe (os error 32)"],
    &["No space left on device (os error 28)"],
    &["Too many open files (os error 24)"],
    &[
        "open /var/spool/upload/5f1c9b7e-6a1d-4c7b-9d1e-0a2b3c4d5e6f.part: permission denied",
        "open /var/spool/upload/0a2b3c4d-9d1e-4c7b-6a1d-5f1c9b7e6a1d.part: permission denied",
    ],
    &["open /var/spool/upload/7.part: no such file or directory"],
    // Mail, and what programs say of their own
    &[
        "550 5.1.1 <ana@a.example>: Recipient address rejected: User unknown",
        "550 5.1.1 <bo.b@mail.b.example>: Recipient address rejected: User unknown",
    ],
    &["order 17 of 'Ana' (EUR 3.50) was declined", "order 4711 of 'Bo' (EUR 1200) was declined"],
    &["order 17 was not found"],
    &["missing field `amount` at line 1 column 34", "missing field `currency` at line 12 column 7"],
    &["invalid type: null, expected a string at line 1 column 34"],
    &["can't connect to it"],
    &["can't read it"],
];

#[test]
fn real_messages_are_grouped_as_a_person_would() {
    let mut seen = std::collections::BTreeMap::new();
    for group in GROUPS {
        for text in *group {
            assert_eq!(says(text), says(group[0]), "one group:\n{text}\n{}", group[0]);
        }
        if let Some(other) = seen.insert(says(group[0]), group[0]) {
            panic!("two groups:\n{other}\n{}", group[0]);
        }
    }
    assert!(GROUPS.len() >= 30);
}

proptest! {
    #[test]
    fn any_text_has_a_fingerprint_that_is_its_own(text in proptest::collection::vec(any::<char>(), 0..60)) {
        let text = String::from_iter(text);
        prop_assert_eq!(says(&text), says(&text.clone()));
        prop_assert_eq!(says(&text).to_string().parse(), Ok(says(&text)));
    }

    #[test]
    fn other_digits_make_no_other_group(
        template in "[a-zA-Z .,:;()\\[\\]_/@?='\"`-]{0,20}[0-9][a-zA-Z0-9 .,:;()\\[\\]_/@?='\"`-]{0,30}",
        digits in "[0-9]{60}",
    ) {
        let mut digits = digits.chars();
        let other: String = template
            .chars()
            .map(|c| if c.is_ascii_digit() { digits.next().unwrap_or(c) } else { c })
            .collect();
        prop_assert_eq!(says(&template), says(&other), "{} | {}", template, other);
    }

    #[test]
    fn other_ids_make_no_other_group(
        before in "[a-z]{1,8} ",
        one in "[a-f]{0,3}[0-9][0-9a-f]{0,12}(-[0-9a-f]{1,8}){0,3}",
        other in "[a-f]{0,3}[0-9][0-9a-f]{0,12}(-[0-9a-f]{1,8}){0,3}",
        after in " [a-z]{1,8}",
    ) {
        prop_assert_eq!(says(&format!("{before}{one}{after}")), says(&format!("{before}{other}{after}")));
    }

    #[test]
    fn what_is_quoted_makes_no_other_group(
        before in "[a-z]{1,8} ",
        mark in proptest::sample::select(&["\"\"", "''", "``", "\u{201c}\u{201d}", "\u{ab}\u{bb}"][..]),
        one in "[^\"'`\u{201c}\u{201d}\u{ab}\u{bb}]{0,12}",
        other in "[^\"'`\u{201c}\u{201d}\u{ab}\u{bb}]{0,12}",
        after in " [a-z]{1,8}",
    ) {
        let marks: Vec<char> = mark.chars().collect();
        let quoted = |text: &str| says(&format!("{before}{}{text}{}{after}", marks[0], marks[1]));
        prop_assert_eq!(quoted(&one), quoted(&other));
    }

    #[test]
    fn other_words_make_another_group(one in "[a-z]{1,8}", other in "[a-z]{1,8}") {
        prop_assume!(one != other);
        prop_assert_ne!(says(&format!("it is {one} again")), says(&format!("it is {other} again")));
    }
}

#[test]
fn marks_that_never_end_are_marks() {
    for mark in ["'", " '", "\u{201c}", "=(", "#"] {
        let text = mark.repeat(4096 / mark.len());
        assert_ne!(says(&text), says(&text[..text.len() - mark.len()]), "{mark}");
        assert_ne!(says(&format!("{mark}one")), says(&format!("{mark}two")), "{mark}");
    }
}
