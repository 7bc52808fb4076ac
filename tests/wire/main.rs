//! Real clients and servers over real sockets: each rule of the wire, as somebody outside sees it.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]
#![expect(clippy::disallowed_types, reason = "the library's own lock is not public")]
#![expect(clippy::disallowed_methods, reason = "tests read the paused clock")]

mod axum;
mod http;
mod reqwest;
mod scripted;
mod store_proxy;
mod tonic;
mod tower;
