//! Whether an input is fit to be on air.
mod criterion;
mod judge;
mod limits;
mod link;
mod scope;
pub use criterion::{Criterion, CriterionSet, Measure};
pub use judge::{Change, Evidence, Judge};
pub use limits::{Limit, Limits, Profile, Raise};
pub use link::{LinkFigures, LinkWatch};
pub use scope::Scope;
