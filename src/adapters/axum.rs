//! What a server of `axum` answers when a policy refuses.
