//! Which input feeds the output, and how the cut is made.

pub mod align;
pub mod carrier;
pub mod policy;
pub mod remux;
pub mod slate;
pub mod splice;
mod store;

pub use align::Handle;
pub use store::Store;
