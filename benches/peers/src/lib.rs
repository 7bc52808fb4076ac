//! Measures recoup beside released peers in one run. What is compared with what stands in `README.md`.
//!
//! [`case`] says what is measured and what the goal is, [`peers`] how each library does it, [`measure`],
//! [`instructions`], [`heap`] and [`resident`] take the figures, [`table`] prints them.
#![forbid(unsafe_code)]

pub mod case;
pub mod door;
pub mod heap;
pub mod instructions;
pub mod machine;
pub mod measure;
pub mod operation;
pub mod peers;
pub mod resident;
pub mod table;
