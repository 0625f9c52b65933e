//! What a datagram carries: TS packets as they are, or behind an RTP header; and RTP's order put right.
//!
//! A datagram of any bytes has an outcome, and each outcome is counted.

mod layout;
mod ordinal;
mod reorder;

use serde::Serialize;

pub use layout::{Layout, Rtp, read};
pub use ordinal::Ordinal;
pub use reorder::{Held, Reorder, Verdict, WINDOW};

/// How the datagrams of an input are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// TS packets as they are, or RTP (RFC 2250), recognised datagram by datagram.
    #[default]
    Auto,
    /// RTP only: a datagram without its header is counted and left out.
    Rtp,
}

/// What an input received, and what was wrong with it before it was a TS packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Datagrams received.
    pub datagrams: u64,
    /// Bytes of payload received, RTP headers included.
    pub bytes: u64,
    /// Datagrams that carry no TS packet at all.
    pub foreign: u64,
    /// Datagrams of a length that no whole number of packets makes, resynchronised on 0x47.
    pub odd: u64,
    /// RTP datagrams received.
    pub rtp: u64,
    /// RTP datagrams that never came, by the sequence numbers.
    pub rtp_lost: u64,
    /// RTP datagrams that came late and were put back in their place.
    pub rtp_reordered: u64,
    /// RTP datagrams that came again, or after their place had been given up.
    pub rtp_late: u64,
    /// Times that the RTP sequence began anew: another SSRC, or a jump that no reordering explains.
    pub rtp_restarts: u64,
}
