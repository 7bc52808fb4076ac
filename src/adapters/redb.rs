//! Dead letters in a file of the embedded database redb.

mod asking;
mod ballast;
mod builder;
mod by_hand;
mod care;
mod clock;
mod command;
mod damage;
mod destinations;
mod fault;
mod find;
mod format;
mod gathered;
mod gauge;
mod handle;
mod hooks;
mod leases;
mod ledger;
mod line;
mod making;
mod moment;
mod numbers;
mod open_error;
mod opening;
mod place;
mod prepared;
mod queue;
mod reader;
mod recount;
mod restoring;
mod row;
mod rules;
mod runs;
mod store;
mod tables;
mod view;
mod writer;

pub use self::builder::RedbQueueBuilder;
pub use self::care::Verified;
pub use self::open_error::{OpenError, OpenErrorKind};
pub use self::queue::RedbQueue;
pub use self::recount::{Recounted, WrongNumber};

#[cfg(test)]
mod tests;
