//! Recorded traffic through the engine: what happened once, to the packet, as often as wanted.
//!
//! Nothing here reads a clock. Time comes out of the capture (or, for a file of TS packets, out of its PCRs), so the
//! same input gives the same bytes.
pub mod analyse;
pub mod capture;
pub mod drive;
mod foresight;
mod frame;
mod grid;
pub mod journal;
pub mod kinship;
pub mod pair;
pub mod pcapng;
pub mod report;
pub mod source;
pub mod srt;
pub mod summary;
pub mod text;

pub use drive::{ReplayError, replay};
pub use summary::Summary;
