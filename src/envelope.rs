//! How letters are written down: for stores and archives.
//!
//! A letter is written in three parts, by how often they change. The *body* is what the letter carries: it is
//! written once. The *story* is how its call failed: it is written again when a redrive fails. Where the letter
//! stands in its queue is the queue's own to write.
//!
//! Body and story are JSON behind a version, the payload follows the body's JSON byte for byte, and a CRC-32
//! over all of it ends each part: storage that went bad is seen, not believed.
//!
//! ```text
//! body   version:1  length of the JSON:4 LE  JSON  payload  CRC-32:4 LE
//! story  version:1                           JSON           CRC-32:4 LE
//! ```

#[cfg(feature = "redb")]
pub(crate) mod act;
#[cfg(feature = "redb")]
mod damaged;
#[cfg(feature = "redb")]
mod filter;
#[cfg(feature = "redb")]
pub(crate) mod part;
#[cfg(feature = "redb")]
pub(crate) mod run;
mod unreadable;
pub(crate) mod written;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(all(test, feature = "redb"))]
mod tests;
