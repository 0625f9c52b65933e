//! Where the packets lie that are to be sent.

use super::Handle;
use crate::ts::PACKET_SIZE;

/// The memory of an arena, packet by packet.
pub trait Store {
    /// The bytes of a packet; none where the handle is nobody's.
    fn bytes(&self, handle: Handle) -> Option<&[u8; PACKET_SIZE]>;
    /// The bytes of a packet, to be rewritten by the one who sends it.
    fn bytes_mut(&mut self, handle: Handle) -> Option<&mut [u8; PACKET_SIZE]>;
    /// Room for a packet that came from nowhere, its bytes undefined; none while all is in use.
    fn fresh(&mut self) -> Option<Handle>;
    /// Gives a packet back that is not sent.
    fn release(&mut self, handle: Handle);
}
