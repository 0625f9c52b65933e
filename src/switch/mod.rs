//! Which input feeds the output, and how the cut is made.

pub mod cut;
pub mod policy;
