//! What hostile bytes are let loose on: one entry for each target, each of which panics where an invariant is broken.
//!
//! The fuzzer calls them with bytes of its own making, and `tests/corpus.rs` with every file of the corpus.

pub mod analyser;
pub mod capture;
pub mod config;
pub mod datagram;
