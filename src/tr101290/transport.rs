//! 2.1 Transport_error: table 5.0b. What such a packet says, its PID included, is not believed; it does not move the
//! continuity.

use super::Indicator;
use super::count::{Observer, Place, Sink};
use crate::ts::Packet;

/// Whether the packet must not be believed, which is counted.
#[inline]
pub(super) fn check<O: Observer>(packet: Packet<'_>, sink: &mut Sink<'_, O>) -> bool {
    let corrupt = packet.transport_error_indicator();
    if corrupt {
        sink.raise(Indicator::TransportError, Place::pid(packet.pid()));
    }
    corrupt
}
