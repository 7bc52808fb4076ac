#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::damaged::Damaged;
use super::filter::WrittenFilter;
use super::part::{body, open, story};
use super::*;
use crate::classification::Category;
use crate::dead_letter::{
    AttemptRecord, ByHand, DeadLetter, DeadReason, Edited, ErrorChain, ErrorFrame, LetterFilter, LetterId,
    LetterState, Origin, Payload,
};

/// The letter as it comes back: where it stands in its queue is not written down here.
fn kept(mut letter: DeadLetter) -> DeadLetter {
    (letter.deliveries, letter.redrives, letter.unsettled) = (0, 0, 0);
    letter.state = LetterState::Ready;
    letter
}

/// Something in every field.
fn full() -> DeadLetter {
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 250);
    let frames = [
        ErrorFrame::new("cannot charge").type_name("PaymentError").code("P-7"),
        ErrorFrame::new("connection refused"),
    ];
    let mut letter = DeadLetter::new("charge")
        .destination("payments")
        .payload(Payload::new("application/x-thing", [0, 1, 254, 255]).schema_version(3))
        .reason(DeadReason::Exhausted)
        .error(frames.into_iter().collect::<ErrorChain>())
        .category(Category::Network)
        .status(503)
        .attempt(AttemptRecord::new(1, at(10), "refused").took(Duration::from_millis(1500)))
        .attempt(
            AttemptRecord::new(2, at(12), "refused")
                .delay_before(Duration::from_millis(100))
                .category(Category::Timeout),
        )
        .died_at(at(13))
        .correlation_id("request-1")
        .idempotency_key("order-7")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .tenant("acme")
        .header("region", "eu");
    let by = ByHand::of("ana").because("wrong amount");
    letter.edited = Some(Box::new(Edited::new(LetterId::new(4), [7; 32], by, at(14))));
    letter.origin = Some(Origin::new(0xfeed, LetterId::new(2)));
    letter
}

/// `full()` as the first release wrote it. These bytes are never changed: what they say must open for ever.
const FULL_BODY: &str = include_str!("version_1/full.body");
const FULL_STORY: &str = include_str!("version_1/full.story");

/// Bytes from hexadecimal, however many a line.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A part of this content, in this version.
fn sealed(version: u8, content: &[u8]) -> Vec<u8> {
    let mut part = vec![version];
    part.extend(content);
    let crc = crc32fast::hash(&part);
    part.extend(crc.to_le_bytes());
    part
}

fn sealed_body(version: u8, head: &str, payload: &[u8]) -> Vec<u8> {
    let mut content = u32::try_from(head.len()).unwrap().to_le_bytes().to_vec();
    content.extend(head.bytes());
    content.extend(payload);
    sealed(version, &content)
}

fn sealed_story(version: u8, json: &str) -> Vec<u8> {
    sealed(version, json.as_bytes())
}

proptest! {
    #[test]
    fn any_letter_comes_back_as_it_was(letter in arbitrary::letter()) {
        prop_assert_eq!(open(&body(&letter), &story(&letter)), Ok(kept(letter)));
    }

    #[test]
    fn any_bytes_are_a_letter_or_an_error(body in any::<Vec<u8>>(), story in any::<Vec<u8>>()) {
        // Once as they are, and once so that the sum is right and what it guards is looked at.
        let _either = open(&body, &story);
        let _either = open(&sealed(1, &body), &sealed(1, &story));
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let (body, story) = (body(&full()), story(&full()));
    for bit in 0..8 * body.len() {
        let mut flipped = body.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&flipped, &story), Err(Damaged::Checksum), "bit {bit} of the body");
    }
    for bit in 0..8 * story.len() {
        let mut flipped = story.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&body, &flipped), Err(Damaged::Checksum), "bit {bit} of the story");
    }
}

#[test]
fn every_cut_is_seen() {
    let (body, story) = (body(&full()), story(&full()));
    for length in 0..body.len() {
        assert!(open(&body[..length], &story).is_err(), "{length} bytes of the body");
    }
    for length in 0..story.len() {
        assert!(open(&body, &story[..length]).is_err(), "{length} bytes of the story");
    }
}

#[test]
fn d7_old_envelopes_still_open_after_an_upgrade() {
    assert_eq!(open(&bytes(FULL_BODY), &bytes(FULL_STORY)), Ok(full()));
    let small = open(
        &sealed_body(1, r#"{"operation":"charge","died_at":[1,5]}"#, b""),
        &sealed_story(1, r#"{"reason":"exhausted","attempts_total":3}"#),
    );
    let moment = SystemTime::UNIX_EPOCH + Duration::new(1, 5);
    let mut expected = DeadLetter::new("charge").died_at(moment).reason(DeadReason::Exhausted);
    expected.attempts = crate::dead_letter::History::restored([], 3);
    assert_eq!(small, Ok(expected));
}

#[test]
fn d7_missing_fields_have_defaults_and_unknown_ones_are_passed_over() {
    let nothing = open(&sealed_body(1, "{}", b""), &sealed_story(1, "{}"));
    assert_eq!(nothing, Ok(DeadLetter::new("").died_at(SystemTime::UNIX_EPOCH)));

    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let more = format!(r#"{{"operation":"charge","colour":"red","shape":{{"sides":[1,{deep}]}}}}"#);
    let opened = open(&sealed_body(1, &more, b""), &sealed_story(1, r#"{"reason":"budget","mood":"bad"}"#));
    assert_eq!(
        opened.map(|letter| (letter.operation, letter.reason)),
        Ok(("charge".into(), DeadReason::Budget))
    );
}

#[test]
fn d7_version_from_the_future_is_named() {
    let (head, story) = (sealed_body(2, "{}", b""), sealed_story(1, "{}"));
    assert_eq!(open(&head, &story), Err(Damaged::Newer(2)));
    assert_eq!(open(&sealed_body(1, "{}", b""), &sealed_story(255, "\u{1}")), Err(Damaged::Newer(255)));
    assert!(matches!(open(&sealed_body(0, "{}", b""), &story), Err(Damaged::Unreadable(_))));
}

#[test]
fn hostile_parts_are_errors() {
    let story = || sealed_story(1, "{}");
    // A length beyond the end, and the largest there is.
    for length in [3_u32, 100, u32::MAX] {
        let mut content = length.to_le_bytes().to_vec();
        content.extend(b"{}");
        assert_eq!(open(&sealed(1, &content), &story()), Err(Damaged::Short), "{length}");
    }
    for head in [
        String::new(),
        "{".to_owned(),
        "[[1,2]".to_owned(),
        r#"{"origin":{"queue":"xyz","id":1}}"#.to_owned(),
        r#"{"operation":"a","operation":"b"}"#.to_owned(),
        r#"{"died_at":[9223372036854775808,0]}"#.to_owned(),
        format!(r#"{{"headers":{}1{}}}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000)),
        format!(r#"{{"died_at":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        let opened = open(&sealed_body(1, &head, b""), &story());
        assert!(matches!(opened, Err(Damaged::Unreadable(_))), "{head:.60} {opened:?}");
    }
    for json in [r#"{"reason":"bored"}"#, r#"{"category":"weather"}"#, r#"{"attempts":[{"category":"no"}]}"#]
    {
        let opened = open(&sealed_body(1, "{}", b""), &sealed_story(1, json));
        assert!(matches!(opened, Err(Damaged::Unreadable(_))), "{json} {opened:?}");
    }
}

#[test]
fn moments_and_spans_that_no_clock_can_say_are_moments_all_the_same() {
    for seconds in [i64::MIN, -1, 0, 1, i64::MAX] {
        for nanos in [0, 999_999_999, 1_000_000_000, u32::MAX] {
            let head = format!(r#"{{"died_at":[{seconds},{nanos}]}}"#);
            let json = format!(
                r#"{{"attempts":[{{"at":[{seconds},{nanos}],"took":[{max},{nanos}],"delay_before":[{max},{nanos}]}}]}}"#,
                max = u64::MAX
            );
            let opened = open(&sealed_body(1, &head, b""), &sealed_story(1, &json)).unwrap();
            // What it was taken for can be written again, and stays.
            assert_eq!(open(&body(&opened), &story(&opened)), Ok(opened));
        }
    }
}

#[test]
fn history_that_is_too_long_is_cut_to_what_is_kept_of_any() {
    let records = vec![r#"{"number":1}"#; 1000].join(",");
    let json = format!(r#"{{"attempts_total":5,"attempts":[{records}]}}"#);
    let opened = open(&sealed_body(1, "{}", b""), &sealed_story(1, &json)).unwrap();
    assert_eq!((opened.attempts.records().len(), opened.attempts_total()), (10, 1000));
}

#[test]
fn every_reason_and_category_can_be_read_back() {
    for reason in DeadReason::ALL {
        for category in Category::ALL {
            let letter = DeadLetter::new("op").reason(reason).category(category);
            assert_eq!(open(&body(&letter), &story(&letter)), Ok(letter));
        }
    }
}

#[test]
fn every_filter_comes_back_and_none_that_says_what_cannot_be() {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_nanos(17);
    let id = LetterId::new;
    for filter in [
        LetterFilter::new(),
        LetterFilter::new().destination("d").operation("o").category(Category::Conflict),
        LetterFilter::new().reason(DeadReason::ByHand).idempotency_key("k").tenant("t"),
        LetterFilter::new().fingerprint(full().fingerprint()).id(id(1)).after(id(0)).up_to(id(u64::MAX)),
        LetterFilter::new().died_since(moment).died_before(moment).any_state(),
        LetterFilter::new().state(LetterState::Ready),
        LetterFilter::new().state(LetterState::Leased),
        LetterFilter::new().state(LetterState::Quarantined),
    ] {
        let json = serde_json::to_string(&WrittenFilter::of(&filter)).unwrap();
        let read: WrittenFilter = serde_json::from_str(&json).unwrap();
        assert_eq!(read.read(), Ok(filter), "{json}");
    }
    for json in
        [r#"{"state":"lost"}"#, r#"{"reason":""}"#, r#"{"category":"no"}"#, r#"{"fingerprint":"xyz"}"#]
    {
        let read: WrittenFilter = serde_json::from_str(json).unwrap();
        assert!(read.read().is_err(), "{json}");
    }
    assert!(serde_json::from_str::<WrittenFilter>(r#"{"colour":"red"}"#).is_err(), "it means fewer letters");
}
