//! `recoup::tower`: over services that mind how they are used, over tower's own, and over real sockets.

mod drops;
mod http;
mod own;
mod probe;
mod readiness;
mod server;
