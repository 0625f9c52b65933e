//! A network-level MPEG transport stream switcher.
pub mod config;
pub mod control;
pub mod demo;
pub mod engine;
pub mod health;
pub mod measure;
pub mod plane;
pub mod replay;
pub mod switch;
pub mod synth;
pub mod tr101290;
pub mod transport;
pub mod ts;
pub mod units;
