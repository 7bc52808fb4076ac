//! Clients and servers of gRPC.

mod pushback;

pub use self::pushback::{Pushback, pushback};
