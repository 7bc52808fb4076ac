//! Clients and servers of gRPC.
