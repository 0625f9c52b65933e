//! 1.2 Sync_byte_error: table 5.0a.
//!
//! The packet grid is the datagram's, so a packet with a wrong first byte is still a packet: it is counted, and what it
//! says is not believed.

use super::Indicator;
use super::count::{Observer, Place, Sink};
use crate::ts::Packet;

/// Whether the packet must not be believed, which is counted.
#[inline]
pub(super) fn check<O: Observer>(packet: Packet<'_>, sink: &mut Sink<'_, O>) -> bool {
    let corrupt = !packet.is_synchronised();
    if corrupt {
        sink.raise(Indicator::SyncByteError, Place::STREAM);
    }
    corrupt
}
