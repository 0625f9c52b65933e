//! changeover
pub mod units;
