//! Clients and servers of gRPC.

mod echo;
