//! The bytes of a stream that are kept to be sent again.

use bytes::Bytes;

/// The begin of a stream, up to a cap. Bytes are copied: a frame may be a small part of a large buffer, which it
/// would keep whole.
#[derive(Debug)]
pub(super) struct Kept {
    cap: usize,
    chunks: Vec<Bytes>,
    pub(super) chunked: usize,
    /// What came after the chunks. It becomes one when somebody reads it.
    pub(super) tail: Vec<u8>,
}

impl Kept {
    pub(super) const fn up_to(cap: usize) -> Self {
        Self { cap, chunks: Vec::new(), chunked: 0, tail: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.chunked + self.tail.len()
    }

    /// Whether `data` fit and is kept. Otherwise nothing of it is.
    pub(super) fn push(&mut self, data: &[u8]) -> bool {
        let Some(room) = self.cap.checked_sub(self.len()).filter(|&room| data.len() <= room) else {
            return false;
        };
        let spare = self.tail.capacity() - self.tail.len();
        if data.len() > spare {
            // Doubling, but never beyond the cap.
            self.tail.reserve_exact(data.len().max(self.tail.len()).min(room));
        }
        self.tail.extend_from_slice(data);
        true
    }

    /// What stands at `offset`: as much of it as lies together. None at the end.
    pub(super) fn at(&mut self, offset: usize) -> Option<Bytes> {
        if offset >= self.len() {
            return None;
        }
        if offset >= self.chunked {
            // Without the room that was for more of it.
            let chunk = Bytes::from(std::mem::take(&mut self.tail).into_boxed_slice());
            self.chunked += chunk.len();
            self.chunks.push(chunk);
        }
        let mut begin = 0;
        self.chunks.iter().find_map(|chunk| {
            let within = offset - begin;
            begin += chunk.len();
            (within < chunk.len()).then(|| chunk.slice(within..))
        })
    }

    /// Frees everything. Nothing more is kept.
    pub(super) fn give_up(&mut self) {
        *self = Self::up_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_takes_no_more_memory_than_its_bytes() {
        let mut kept = Kept::up_to(64);
        for _ in 0..33 {
            assert!(kept.push(b"x"));
        }
        assert_eq!(kept.at(0).map(|bytes| bytes.len()), Some(33));
        let chunk = kept.chunks.pop().unwrap().try_into_mut().unwrap();
        assert_eq!(chunk.capacity(), 33);
    }
}
