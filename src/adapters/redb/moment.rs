//! Moments of the wall clock in a fixed number of bytes.

use std::time::{Duration, SystemTime};

/// A moment of the wall clock: whole seconds since 1970, and nanoseconds. Ordered by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: i64,
    nanos: u32,
}

impl Moment {
    pub(super) const BYTES: usize = 12;

    pub(super) fn of(moment: SystemTime) -> Self {
        match moment.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanos: since.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
                match before.subsec_nanos() {
                    0 => Self { seconds, nanos: 0 },
                    nanos => Self { seconds: seconds.saturating_sub(1), nanos: 1_000_000_000 - nanos },
                }
            }
        }
    }

    /// The moment; the beginning of 1970 if the clock does not go there.
    pub(super) fn get(self) -> SystemTime {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let moment = match self.seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
            _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
        };
        let moment = moment.and_then(|moment| moment.checked_add(Duration::from_nanos(self.nanos.into())));
        moment.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    pub(super) fn written(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (seconds, nanos) = bytes.split_at_mut(8);
        seconds.copy_from_slice(&self.seconds.to_le_bytes());
        nanos.copy_from_slice(&self.nanos.to_le_bytes());
        bytes
    }

    /// What was written; the beginning of 1970 if it is too short.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let read = || {
            let (seconds, rest) = bytes.split_first_chunk::<8>()?;
            let nanos = rest.first_chunk::<4>()?;
            Some(Self { seconds: i64::from_le_bytes(*seconds), nanos: u32::from_le_bytes(*nanos) })
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
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
