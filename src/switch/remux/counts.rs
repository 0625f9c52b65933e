//! What became of packets other than was meant.

use serde::Serialize;

/// What became of packets and tables other than was meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Packets of scrambled streams in which a PES packet began, whose times were to be moved and could not.
    pub scrambled_unmoved: u64,
    /// PES headers with a time that lies in two packets, which was not moved since the second was not there yet.
    pub pes_split: u64,
    /// Splice information whose pts_adjustment was moved.
    pub splice_moved: u64,
    /// Splice information that is encrypted, and left as it came.
    pub splice_encrypted: u64,
    /// Splice information that was not intact, of a newer protocol, or parted within its head, and left as it came.
    pub splice_unmoved: u64,
    /// Packets on PIDs that the feed's tables do not list and the output has for something else.
    pub dropped_unmapped: u64,
    /// Packets of a feed that is not on air, or never was, on PIDs that only the feed on air may send.
    pub dropped_off_air: u64,
    /// Packets that go on with sections whose beginning another feed did not send.
    pub dropped_midway: u64,
    /// Packets that do not begin with a sync byte, or with a handle that is nobody's.
    pub dropped_unreadable: u64,
    /// PCRs that were taken off a packet, to stand alone or nowhere.
    pub pcr_stripped: u64,
    /// Packets that were to be made, and for which there was no room in the store.
    pub no_room: u64,
    /// Starts of PMT sections longer than 1024 bytes, whose program is not mapped.
    pub psi_too_long: u64,
    /// Programs, streams and PIDs that found no place, each time tables were read.
    pub left_out: u64,
}
