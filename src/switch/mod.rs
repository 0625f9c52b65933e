//! Which input feeds the output, and how the cut is made.

pub mod align;
pub mod carrier;
pub mod cut;
pub mod policy;
pub mod slate;
mod store;

pub use align::Handle;
pub use store::Store;
