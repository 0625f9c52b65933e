//! Which input feeds the output, and how the cut is made.
pub mod policy;
