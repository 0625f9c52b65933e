//! ETSI TR 101 290 V1.4.1, clause 5.2, packet by packet.
mod indicator;
mod settings;
pub use indicator::Indicator;
pub use settings::Settings;
