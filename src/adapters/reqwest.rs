//! Requests of the client `reqwest`.
//!
//! ```
//! # async fn show() -> Result<(), Box<dyn std::error::Error>> {
//! use recoup::{Recovery, reqwest::{Recover, ReqwestErrors}};
//! # let (client, url) = (reqwest::Client::new(), "http://127.0.0.1:1/users/7");
//! let recovery = Recovery::builder("users").classifier(ReqwestErrors).build()?;
//! let user = client.get(url).recover(&recovery).send().await?;
//! # Ok(()) }
//! ```
//!
//! [`Recover::recover`] stands between what reqwest's builder sets and `send`. A request is then sent again when
//! that can help and cannot harm:
//!
//! - **What failed.** [`Responses`](crate::http::Responses) says which responses are failures: 408, 425, 429,
//!   5xx but 501 and 505. They are tried again, never before the time that `Retry-After` names, and the last of
//!   them is given back as it is. [`ReqwestErrors`] says it of errors.
//! - **What may be sent twice.** GET, HEAD, OPTIONS, TRACE, PUT, DELETE, and whatever has an `Idempotency-Key`.
//!   Other requests only if the failed attempt surely did nothing: no connection, a stream that was refused.
//! - **What can be sent twice.** Bodies of known bytes are shared. A stream (`Body::wrap_stream`, a file, a
//!   multipart form) is kept while it is sent, up to [a cap](crate::http::Requests::body_cap). Beyond the cap the
//!   request is sent once, like any request of reqwest, and never again, unless its body can be made anew:
//!   [`body_with`](Recovering::body_with).
//!
//! How often and after what waits is the [`Recovery`](crate::Recovery)'s affair, as is everything else that it has
//! wired. Its default lets a program without history not retry its first timeouts and 503s, as is right in a
//! fleet; [`Throttle::single_client`](crate::Throttle::single_client) is for a program that calls alone.
//!
//! # Switch reqwest's own retries off
//!
//! ```
//! let client = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
//! # let _ = client;
//! ```
//!
//! A client of reqwest 0.13 sends a request again by itself, up to twice, when an HTTP/2 server refuses its stream
//! or says goodbye (`GOAWAY`, `NO_ERROR`). That is safe, but it is done at once, without a wait or a limit in
//! common with the retries here: three attempts become nine requests. And nobody counts them: neither attempts,
//! spans, breaker nor budget know of them. Here the same cases are retried with a wait, and counted. (Below even
//! that, hyper sends a request once more of which not a byte was written to a connection that turned out closed.)
//!
//! # Redirects
//!
//! reqwest follows redirects itself, within one attempt. What is sent again is the whole, from the first address
//! on. A failure at a later hop says that the first server has answered, so a request that must not be made twice
//! is not sent again after it, not even if the last server was never reached.
//!
//! # Limits in time
//!
//! `RequestBuilder::timeout` and the client's timeouts are limits of one attempt, its response's body included: each
//! attempt has them anew. The recovery's `attempt_timeout` ends with the response's head (and what was read of a
//! failed response's body), and so does the slot of a bulkhead; whoever then reads the body does so without them. The
//! recovery's `deadline` is over all attempts and waits.
//!
//! # Dead connections
//!
//! A retry does not go into a connection that broke: reqwest opens another. One that went silent is found by
//! the limit of an attempt, and closed with it over HTTP/1.1. Over HTTP/2 that limit ends a stream and no connection,
//! and the next attempt would go into the same one: give the client an `http2_keep_alive_interval`.
//!
//! # Failed responses
//!
//! Before a response that may be a failure is judged, up to [64 KiB](crate::http::Requests::peek) of its body are read. If that
//! is all of it, the connection can be used again. What was read is given back with the response, and an error
//! that was met comes where it was met. URL, status, version, headers, extensions, remote address and length are
//! kept. What changes is the text of an error while the body is read: it is wrapped once more. Good responses are
//! not touched at all.
//!
//! # Without this
//!
//! A plain closure works, too, if one attempt is more than a request. It must say itself what may be repeated:
//!
//! ```
//! # async fn show(recovery: recoup::Recovery<reqwest::Error>, client: reqwest::Client, url: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let user: String = recoup::execute_with_recovery(&recovery, |_| async {
//!     client.get(url).send().await?.error_for_status()?.text().await
//! })
//! .await?;
//! # Ok(()) }
//! ```

mod errors;
mod exchange;
mod followed;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod recovering;

pub use self::errors::ReqwestErrors;
#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::RecoveryMiddleware;
pub use self::recovering::{Recover, Recovering, Sending};
