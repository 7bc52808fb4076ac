//! Moments of the wall clock in a fixed number of bytes.

use std::time::SystemTime;

use crate::envelope::written::WrittenMoment;

/// A moment of the wall clock. Ordered by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(WrittenMoment);

impl Moment {
    pub(super) const BYTES: usize = 12;

    pub(super) fn of(moment: SystemTime) -> Self {
        Self(WrittenMoment::of(moment))
    }

    /// The moment; the beginning of 1970 if the clock does not go there.
    pub(super) fn get(self) -> SystemTime {
        self.0.get()
    }

    pub(super) fn written(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (seconds, nanos) = bytes.split_at_mut(8);
        seconds.copy_from_slice(&self.0.0.to_le_bytes());
        nanos.copy_from_slice(&self.0.1.to_le_bytes());
        bytes
    }

    /// What was written; the beginning of 1970 if it is too short.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let read = || {
            let (seconds, rest) = bytes.split_first_chunk::<8>()?;
            let nanos = rest.first_chunk::<4>()?;
            Some(Self(WrittenMoment(i64::from_le_bytes(*seconds), u32::from_le_bytes(*nanos))))
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moment_comes_back_as_it_was_and_keeps_its_order() {
        let epoch = SystemTime::UNIX_EPOCH;
        let moments = [
            epoch - Duration::from_millis(86_400_500),
            epoch - Duration::from_secs(1),
            epoch - Duration::from_nanos(1),
            epoch,
            epoch + Duration::from_nanos(1),
            epoch + Duration::from_secs(1 << 33),
        ];
        let written: Vec<Moment> = moments.map(Moment::of).to_vec();
        assert!(written.is_sorted());
        for (moment, written) in moments.iter().zip(written) {
            assert_eq!(Moment::read(&written.written()).get(), *moment);
        }
        assert_eq!(Moment::read(&[1]), Moment::default());
    }
}
