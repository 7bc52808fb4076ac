//! Requests of the client `reqwest`.
