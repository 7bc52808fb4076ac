//! Real clients and servers over real sockets: each rule of the wire, as somebody outside sees it.

mod axum;
mod http;
mod reqwest;
mod scripted;
mod tonic;
mod tower;
