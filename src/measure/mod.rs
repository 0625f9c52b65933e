//! Figures of one input that are no indicators in themselves: how exact its PCRs are and how its clock runs, when its
//! datagrams come, and what each PID takes.
//!
//! - Each is fed on its own and is cheap where it is fed; what costs more is reckoned when figures are asked for.
//! - Nothing grows, and nothing that is fed is too wild for them.

pub mod accuracy;
pub mod arrivals;
pub mod clock;
mod line;
pub mod rates;

pub use accuracy::{Accuracy, Inaccuracy};
pub use arrivals::Arrivals;
pub use clock::Clock;
pub use rates::Rates;
