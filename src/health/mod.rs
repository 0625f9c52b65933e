//! Whether an input is fit to be on air.
mod criterion;
mod judge;
pub use criterion::{Criterion, CriterionSet, Limit, Limits, Measure, PidScope, Profile, Raise};
pub use judge::{Change, Evidence, Judge};
