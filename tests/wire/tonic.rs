//! Clients and servers of gRPC.

mod client;
mod config;
mod echo;
mod server;
