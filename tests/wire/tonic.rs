//! Clients and servers of gRPC.

mod client;
mod echo;
