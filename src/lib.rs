//! changeover
pub mod synth;
pub mod units;
