//! When a server wants a call to be made again, as it says in the metadata of its status.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

/// The metadata in which a server says it (gRPC A6).
pub(crate) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What a server says about making a call again, in `grpc-retry-pushback-ms` (gRPC A6).
///
/// [`pushback`] reads it, [`tell`](Self::tell) writes it.
///
/// ```
/// use std::time::Duration;
/// use recoup::tonic::{Pushback, pushback};
/// use tonic::{Code, Status};
///
/// // In a handler that knows when it is worth coming back.
/// let mut status = Status::new(Code::Unavailable, "the index is being built");
/// Pushback::After(Duration::from_millis(250)).tell(&mut status);
/// assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "250");
///
/// // In the client.
/// let headers = status.metadata().clone().into_headers();
/// assert_eq!(pushback(&headers), Some(Pushback::After(Duration::from_millis(250))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Again after this time: not sooner, and not later by a backoff.
    After(Duration),
    /// Not again. A server says so with a negative number, and with everything that is none.
    Stop,
}

impl Pushback {
    /// Says it in the metadata of a status, instead of what stands there. In milliseconds, rounded up; more than
    /// a number of 32 bits holds (24 days) is said as that.
    pub fn tell(self, status: &mut Status) {
        let millis = match self {
            Self::After(wait) => i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX),
            Self::Stop => -1,
        };
        status.metadata_mut().insert(PUSHBACK, millis.into());
    }
}

/// Reads `grpc-retry-pushback-ms` from the headers or trailers that carry a status; `None` if the server says
/// nothing.
///
/// It is a number of 32 bits, in digits. What is negative, no number, too large, or said twice means not to
/// come back at all.
///
/// ```
/// use std::time::Duration;
/// use http::HeaderMap;
/// use recoup::tonic::{Pushback, pushback};
///
/// let mut trailers = HeaderMap::new();
/// assert_eq!(pushback(&trailers), None);
/// trailers.insert("grpc-retry-pushback-ms", "0".parse().unwrap());
/// assert_eq!(pushback(&trailers), Some(Pushback::After(Duration::ZERO)));
/// trailers.insert("grpc-retry-pushback-ms", "soon".parse().unwrap());
/// assert_eq!(pushback(&trailers), Some(Pushback::Stop));
/// ```
#[must_use]
pub fn pushback(headers: &HeaderMap) -> Option<Pushback> {
    let mut said = headers.get_all(PUSHBACK).iter();
    let value = said.next()?.as_bytes();
    let once = said.next().is_none();
    // `parse` alone would take a `+`.
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| once && digits);
    let millis = text.and_then(|text| text.parse::<i32>().ok()).and_then(|millis| u64::try_from(millis).ok());
    Some(millis.map_or(Pushback::Stop, |millis| Pushback::After(Duration::from_millis(millis))))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&[u8]]) -> Option<Pushback> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PUSHBACK, HeaderValue::from_bytes(value).unwrap());
        }
        pushback(&headers)
    }

    #[test]
    fn digits_are_milliseconds() {
        for (text, millis) in [("0", 0), ("250", 250), ("007", 7), ("2147483647", 2_147_483_647)] {
            assert_eq!(read(&[text.as_bytes()]), Some(Pushback::After(Duration::from_millis(millis))));
        }
    }

    #[test]
    fn what_is_no_number_of_32_bits_or_is_said_twice_is_to_stop() {
        for text in ["-1", "-0", "+5", "", " ", "1.5", "1e3", "soon", "2147483648", "99999999999999999999"] {
            assert_eq!(read(&[text.as_bytes()]), Some(Pushback::Stop), "{text:?}");
        }
        assert_eq!(read(&[b"\xff\xfe"]), Some(Pushback::Stop));
        assert_eq!(read(&[b"250", b"250"]), Some(Pushback::Stop));
    }

    #[test]
    fn what_is_told_is_at_least_what_was_meant_and_fits() {
        let told = |pushback: Pushback| {
            let mut status = Status::unavailable("");
            Pushback::Stop.tell(&mut status);
            pushback.tell(&mut status);
            status.metadata().get(PUSHBACK).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(told(Pushback::After(Duration::ZERO)), "0");
        assert_eq!(told(Pushback::After(Duration::from_nanos(1))), "1");
        assert_eq!(told(Pushback::After(Duration::from_micros(2001))), "3");
        assert_eq!(told(Pushback::After(Duration::MAX)), "2147483647");
        assert_eq!(told(Pushback::Stop), "-1");
    }

    proptest! {
        #[test]
        fn every_wait_that_fits_comes_back_as_it_was_told(millis in 0..=i32::MAX) {
            let wait = Pushback::After(Duration::from_millis(millis.unsigned_abs().into()));
            let mut status = Status::unavailable("");
            wait.tell(&mut status);
            prop_assert_eq!(pushback(&status.metadata().clone().into_headers()), Some(wait));
        }
    }
}
