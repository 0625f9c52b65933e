//! Whether an input is fit to be on air.
mod criterion;
pub use criterion::{Criterion, CriterionSet, Limit, Limits, Measure, PidScope, Profile, Raise};
