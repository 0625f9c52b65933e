//! Views of a transport stream over borrowed bytes: ISO/IEC 13818-1 clause 2.4.
//!
//! Nothing here copies, allocates or trusts a length that the bytes announce. The tables' syntax (PAT, PMT,
//! descriptors) is read by mpeg2ts-reader; what is here is what the packet path needs for every packet.

pub mod access_units;
mod crc;
pub mod frames;
mod packet;
pub mod pes;
pub mod pictures;
mod pid_table;
pub mod scte35;
pub mod sdt;
pub mod section;
pub mod stream;

pub use crc::crc32;
pub use packet::{Outline, PACKET_SIZE, Packet, SYNC_BYTE};
pub use pid_table::PidTable;
