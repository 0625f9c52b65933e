//! Everything around the data plane: which shard runs what, the HTTP API, metrics, the log and the service manager.
//!
//! Nothing here can hold up a packet: control reads snapshots and drains events at its own pace, on its own threads,
//! and hands commands over without waiting.

pub mod complaints;
pub mod events;
pub mod figures;
pub mod http;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod rack;
pub mod shards;
pub mod srt;
pub mod supervisor;
pub mod take;
pub mod view;
