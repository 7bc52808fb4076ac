//! Archives that are not what was written: each is refused with its line named, and changes nothing.

use std::io::{self, BufReader, Cursor, Read};

use proptest::prelude::*;
use tokio_test::block_on;

use super::line::{Header, Line, Trailer, sealed};
use super::*;
use crate::dead_letter::{
    ByHand, DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Payload, QueueStats,
};

/// A small archive, with two letters.
fn archive() -> Vec<u8> {
    block_on(async {
        let queue = MemoryQueue::default();
        queue.push(DeadLetter::new("charge").payload(Payload::text("3 EUR"))).await.unwrap();
        queue.push(DeadLetter::new("mail").destination("smtp")).await.unwrap();
        let mut file = Vec::new();
        export(&queue, &LetterFilter::new(), &mut file, |_| {}).await.unwrap();
        file
    })
}

/// Why the file is refused, once it is sure that nothing of it was stored.
fn refused(file: &[u8]) -> ArchiveError {
    block_on(async {
        let queue = MemoryQueue::default();
        let error = import(&queue, Cursor::new(file), &ByHand::default(), |_| {}).await.unwrap_err();
        assert_eq!(error.done, Imported::default());
        assert_eq!(queue.stats().await, Ok(QueueStats::default()));
        let ImportErrorKind::Archive(error) = error.kind else { panic!("{error}") };
        error
    })
}

fn line_of(file: &[u8], at: usize) -> u64 {
    file[..at].split(|&byte| byte == b'\n').count() as u64
}

/// An archive of these lines, with sums that are right.
fn made_of(lines: &[&str]) -> Vec<u8> {
    let mut file = sealed(&Header::of(None));
    for line in lines {
        let content = line.strip_suffix('}').unwrap();
        let crc = crc32fast::hash(content.as_bytes());
        file.extend(format!("{content},\"crc\":\"{crc:08x}\"}}\n").bytes());
    }
    let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&file).into();
    file.extend(sealed(&Trailer::of(lines.len() as u64, sha256)));
    file
}

#[test]
fn d17_every_flipped_bit_is_refused_by_its_line() {
    let file = archive();
    for bit in 0..8 * file.len() {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = refused(&flipped);
        assert_eq!(error.line, line_of(&file, bit / 8), "bit {bit}: {error}");
    }
}

#[test]
fn d17_every_cut_is_refused_by_its_line() {
    let file = archive();
    for length in 0..file.len() {
        let error = refused(&file[..length]);
        assert!(matches!(error.kind, ArchiveErrorKind::CutShort), "{length} bytes: {error}");
        assert_eq!(error.line, line_of(&file, length), "{length} bytes: {error}");
    }
}

#[test]
fn lines_that_are_missing_doubled_or_swapped_are_refused() {
    let file = archive();
    let lines: Vec<&[u8]> = file.split_inclusive(|&byte| byte == b'\n').collect();
    let other = archive();
    let foreign = other.split_inclusive(|&byte| byte == b'\n').next().unwrap();
    let [head, one, two, end] = lines[..] else { panic!("{} lines", lines.len()) };
    for (mixed, count) in [
        (&[head, one, end][..], true),
        (&[head, one, one, two, end], true),
        (&[head, end], true),
        (&[head, two, one, end], false),
        (&[head, one, one, end], false),
        (&[foreign, one, two, end], false),
    ] {
        let error = refused(&mixed.concat());
        assert_eq!(error.line, mixed.len() as u64, "{error}");
        assert_eq!(matches!(error.kind, ArchiveErrorKind::Count(_)), count, "{error}");
        assert!(count || matches!(error.kind, ArchiveErrorKind::Digest), "{error}");
    }
    let error = refused(&[head, one, two, end, head].concat());
    assert!(matches!(error, ArchiveError { line: 5, kind: ArchiveErrorKind::NotTheEnd }), "{error}");
    let error = refused(&[one, two, end].concat());
    assert!(matches!(error, ArchiveError { line: 1, kind: ArchiveErrorKind::Foreign }), "{error}");
}

#[test]
fn foreign_files_are_called_so() {
    let mut gzip = vec![0x1f, 0x8b, 8, 0];
    gzip.resize(100_000, 0x5a);
    for file in [
        &gzip[..],
        b"\n",
        b"{}\n",
        b"{\"recoup\":\"settings\"}\n",
        b"\xef\xbb\xbf{\"recoup\":\"dead letters\"",
    ] {
        let error = refused(file);
        assert!(matches!(error, ArchiveError { line: 1, kind: ArchiveErrorKind::Foreign }), "{error}");
    }
}

#[test]
fn later_version_is_named_and_one_of_none_is_refused() {
    let header = |version| format!(r#"{{"recoup":"dead letters","version":{version},"new":[]}}{}"#, "\n");
    let error = refused(header(2).as_bytes());
    assert_eq!(error.to_string(), "line 1: the archive is of version 2, and this release reads up to 1");
    assert!(matches!(refused(header(0).as_bytes()).kind, ArchiveErrorKind::Checksum));
    let long = format!(r#"{{"recoup":"dead letters","version":1,"x":"{}"}}"#, "x".repeat(5000));
    assert!(matches!(refused(long.as_bytes()).kind, ArchiveErrorKind::TooLong(4096)));
}

#[test]
fn line_that_never_ends_is_refused_and_not_held() {
    let head = sealed(&Header::of(None));
    let endless = BufReader::new(head.as_slice().chain(io::repeat(b'x')));
    let error = verify(endless, |_| {}).unwrap_err();
    assert!(matches!(error, ArchiveError { line: 2, kind: ArchiveErrorKind::TooLong(MAX_LINE) }), "{error}");
}

#[test]
fn text_in_another_encoding_is_called_so() {
    let mut file = sealed(&Header::of(None));
    file.extend(b"{\"id\":1,\"operation\":\"gr\xfcn\",\"crc\":\"00000000\"}\n");
    let error = refused(&file);
    assert!(matches!(error, ArchiveError { line: 2, kind: ArchiveErrorKind::NotUtf8 }), "{error}");
}

#[test]
fn lines_that_say_what_cannot_be_are_refused_though_their_sums_are_right() {
    let good = r#"{"id":7,"operation":"op"}"#;
    assert_eq!(verify(&made_of(&[good])[..], |_| {}).unwrap().letters, 1);
    for bad in [
        r#"{"id":-1}"#,
        r#"{"state":"lost"}"#,
        r#"{"reason":"bored"}"#,
        r#"{"content_type":"a/b"}"#,
        r#"{"text":"of no type"}"#,
        r#"{"content_type":"a/b","text":"","base64":""}"#,
        r#"{"content_type":"a/b","base64":"?"}"#,
        r#"{"content_type":"a/b","base64":"AAA"}"#,
        r#"{"origin":{"queue":"zz","id":1}}"#,
        r#"{"died_at":"yesterday"}"#,
        r#"{"id":1,"id":2}"#,
    ] {
        let error = refused(&made_of(&[good, bad]));
        assert!(matches!(error, ArchiveError { line: 3, kind: ArchiveErrorKind::Unreadable(_) }), "{error}");
        assert!(!error.to_string().contains("line 1"), "{error}");
    }
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(refused(&made_of(&[&deep])).kind, ArchiveErrorKind::Unreadable(_)));
}

#[test]
fn d7_archive_of_a_release_that_said_less_or_more_is_read() {
    let letters = made_of(&[r#"{"id":7,"colour":"red"}"#, r#"{"headers":{"a":"b"},"operation":"op"}"#]);
    block_on(async {
        let queue = MemoryQueue::default();
        for known in [0, 2] {
            let imported = import(&queue, Cursor::new(&letters), &ByHand::default(), |_| {}).await.unwrap();
            assert_eq!(
                (imported.stored, imported.known),
                (2 - known, known),
                "an archive of no queue is known too"
            );
        }
    });
}

/// Reads so many bytes, and then fails.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("disk on fire")),
            read => Ok(read),
        }
    }
}

#[test]
fn file_that_cannot_be_read_on_is_no_archive_that_is_cut() {
    let mut file = archive();
    file.truncate(file.len() / 2);
    let error = verify(BufReader::new(Failing(Cursor::new(file))), |_| {}).unwrap_err();
    assert!(matches!(error.kind, ArchiveErrorKind::Io(_)), "{error}");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "disk on fire");
}

/// Takes so many bytes, and then fails.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn export_to_a_disk_that_is_full_says_so_wherever_it_happens() {
    block_on(async {
        let queue = MemoryQueue::default();
        queue.push(DeadLetter::new("charge")).await.unwrap();
        let all = LetterFilter::new();
        let whole = export(&queue, &all, io::sink(), |_| {}).await.unwrap().bytes;
        for room in 0..usize::try_from(whole).unwrap() {
            let error = export(&queue, &all, Full(room), |_| {}).await.unwrap_err();
            assert!(matches!(error, ExportError::Io(_)), "{error}");
        }
        assert_eq!(queue.stats().await.unwrap().ready, 1);
    });
}

#[test]
fn letter_of_a_line_too_long_is_not_exported() {
    block_on(async {
        let queue = MemoryQueue::builder().max_payload(MAX_LINE).build().unwrap();
        queue.push(DeadLetter::new("small")).await.unwrap();
        let large = queue
            .push(DeadLetter::new("op").payload(Payload::bytes(vec![0; MAX_LINE / 4 * 3])))
            .await
            .unwrap();
        let error = export(&queue, &LetterFilter::new(), io::sink(), |_| {}).await.unwrap_err();
        assert!(matches!(error, ExportError::TooLarge(id) if id == large.id), "{error}");
    });
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_imported_whole(bytes in any::<Vec<u8>>(), line in "\\{\\PC{0,60}\\}") {
        refused(&bytes);
        let file = made_of(&[&line]);
        // Most are no JSON, and none may be more than refused.
        if let Err(error) = verify(&file[..], |_| {}) {
            prop_assert_eq!(error.line, 2);
        }
    }
}

#[test]
fn every_line_begins_as_the_reader_tells_it_from_others() {
    let letter = sealed(&Line::of(&DeadLetter::new("op")));
    let end = sealed(&Trailer::of(0, [0; 32]));
    assert!(sealed(&Header::of(None)).starts_with(super::line::MAGIC));
    assert!(end.starts_with(super::line::END) && !letter.starts_with(super::line::END));
}
