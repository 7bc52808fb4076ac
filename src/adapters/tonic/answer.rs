//! What the head of a response says.

use http::{HeaderMap, Response, StatusCode};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

const DETAILS: &str = "grpc-status-details-bin";

/// A response whose head holds no failure, or the status that it is. The first is committed: it is handed on, and
/// the call is not made again.
pub(super) fn receive<B>(mut response: Response<B>) -> Result<Response<B>, Status> {
    tidy(response.headers_mut());
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::Ok => Ok(response),
        Some(status) => Err(status),
        None if response.status() == StatusCode::OK => Ok(response),
        None => Err(of_proxy(&response)),
    }
}

/// Takes out details that nobody could read: the client of `tonic` panics when it tries.
pub(super) fn tidy(headers: &mut HeaderMap) {
    // Only its own way of decoding says what it can read.
    if headers.contains_key(DETAILS) {
        let said = MetadataMap::from_headers(headers.clone());
        if said.get_bin(DETAILS).is_none_or(|details| details.to_bytes().is_err()) {
            headers.remove(DETAILS);
        }
    }
}

/// Somebody in between answered, who does not speak gRPC. The codes are those of gRPC, "HTTP to gRPC Status Code
/// Mapping".
fn of_proxy<B>(response: &Response<B>) -> Status {
    let code = match response.status() {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    let message = format!("the answer is {} of HTTP, without a status of gRPC", response.status().as_u16());
    let metadata = MetadataMap::from_headers(response.headers().clone());
    Status::with_metadata(code, message, metadata)
}

/// The failure that trailers tell of, if they do.
pub(super) fn failure(trailers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(trailers).filter(|status| status.code() != Code::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&'static str, &'static str)]) -> Result<(), Status> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        receive(response.body(()).unwrap()).map(|_| ())
    }

    #[test]
    fn status_in_the_head_is_a_failure_unless_it_is_ok() {
        let failed =
            head(200, &[("grpc-status", "14"), ("grpc-message", "a%20b"), ("x-id", "7")]).unwrap_err();
        assert_eq!((failed.code(), failed.message()), (Code::Unavailable, "a b"));
        assert_eq!(failed.metadata().get("x-id").unwrap(), "7");
        assert!(head(200, &[]).is_ok(), "it comes in the trailers");
        assert!(head(200, &[("grpc-status", "0")]).is_ok());
        assert_eq!(head(200, &[("grpc-status", "nonsense")]).unwrap_err().code(), Code::Unknown);
        assert_eq!(head(503, &[("grpc-status", "5")]).unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn answer_of_a_proxy_is_mapped_as_grpc_says() {
        for (http, code) in [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (429, Code::Unavailable),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
            (500, Code::Unknown),
            (204, Code::Unknown),
        ] {
            assert_eq!(head(http, &[("content-type", "text/html")]).unwrap_err().code(), code, "{http}");
        }
    }

    #[test]
    fn details_that_cannot_be_read_are_left_out_and_never_a_panic() {
        let of =
            |details| head(200, &[("grpc-status", "13"), ("grpc-status-details-bin", details)]).unwrap_err();
        assert_eq!(of("AQID").details(), [1, 2, 3]);
        assert_eq!(of("AQIDBA==").details(), [1, 2, 3, 4]);
        for bad in ["!", "A", "AQID=", "=", "A Q"] {
            assert!(of(bad).details().is_empty(), "{bad}");
        }
    }
}
