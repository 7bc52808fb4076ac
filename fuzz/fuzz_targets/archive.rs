//! Arbitrary lines of an archive, with sums that are right or not: each is refused or imported whole, and nothing
//! panics.
#![no_main]

use std::io::Cursor;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use recoup::archive::{export, import, verify};
use recoup::{ByHand, DeadLetter, DeadLetterQueue, LetterFilter, MemoryQueue, Payload};

#[derive(Arbitrary, Debug)]
struct Input {
    /// What is pushed and exported first.
    operation: String,
    destination: Option<String>,
    payload: Vec<u8>,
    headers: Vec<(String, String)>,
    /// Where the archive is changed then, and how.
    at: usize,
    cut: usize,
    insert: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (queue, all, by) = (MemoryQueue::default(), LetterFilter::new().any_state(), ByHand::default());
        let mut letter = DeadLetter::new(input.operation).payload(Payload::bytes(input.payload));
        letter.destination = input.destination;
        letter.headers = input.headers.into_iter().collect();
        if queue.push(letter).await.is_err() {
            return;
        }
        let mut file = Vec::new();
        export(&queue, &all, &mut file, |_| {}).await.expect("memory takes it");
        let contents = verify(&file[..], |_| {}).expect("it was just written");

        let mut changed = file.clone();
        let at = input.at % (file.len() + 1);
        let end = at.saturating_add(input.cut % 64).min(file.len());
        changed.splice(at..end, input.insert);
        let other = MemoryQueue::default();
        let imported = import(&other, Cursor::new(&changed), &by, |_| {}).await;
        assert_eq!(imported.is_ok(), verify(&changed[..], |_| {}).is_ok());
        let stored = other.stats().await.expect("memory answers").pushed;
        if changed == file {
            assert_eq!(stored, contents.letters);
        } else {
            assert!(imported.is_err() && stored == 0, "a changed archive was believed");
        }
    });
});
