//! One table of the output: the section that is to be sent, and how much of one was.

use super::pmt::{LONGEST, seal};
use crate::ts::{PACKET_SIZE, Packet, SYNC_BYTE};
use crate::units::Pid;

/// Payload of a packet.
const ROOM: usize = PACKET_SIZE - 4;

/// A table of one section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    section: [u8; LONGEST],
    len: u16,
    /// What is being sent, which a change of the section does not touch.
    sending: [u8; LONGEST],
    sending_len: u16,
    /// How much of it was sent; 0 between two sections.
    sent: u16,
}

impl Default for Table {
    fn default() -> Self {
        Self { section: [0; LONGEST], len: 0, sending: [0; LONGEST], sending_len: 0, sent: 0 }
    }
}

impl Table {
    /// The section, once there is one.
    pub(super) fn section(&self) -> Option<&[u8]> {
        self.section.get(..usize::from(self.len)).filter(|bytes| !bytes.is_empty())
    }

    /// Takes a section as a feed sent it, version and all.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if let (Some(to), Ok(len)) = (self.section.get_mut(..bytes.len()), u16::try_from(bytes.len())) {
            to.copy_from_slice(bytes);
            self.len = len;
        }
    }

    /// Takes a section whose contents count: version_number rises by one where they are others than so far.
    pub(super) fn offer(&mut self, bytes: &mut [u8]) {
        let Some(old) = self.section() else {
            self.take(bytes);
            return;
        };
        let Some(&version) = old.get(5) else { return };
        if contents(old).eq(contents(bytes)) {
            return;
        }
        if let Some(byte) = bytes.get_mut(5) {
            *byte = 0xC1 | version.wrapping_add(2) & 0x3E;
        }
        seal(bytes);
        self.take(bytes);
    }

    /// Whether a section was begun and not finished.
    pub(super) const fn is_midway(&self) -> bool {
        self.sent > 0
    }

    /// Writes the next packet: of the section that was begun, or of a new one where `start` allows. False where there is
    /// nothing to send.
    pub(super) fn packet(&mut self, pid: Pid, start: bool, bytes: &mut [u8; PACKET_SIZE]) -> bool {
        if !self.is_midway() {
            if !start || self.len == 0 {
                return false;
            }
            self.sending = self.section;
            self.sending_len = self.len;
        }
        let first = self.sent == 0;
        let rest = self.sending.get(usize::from(self.sent)..usize::from(self.sending_len)).unwrap_or(&[]);
        let part = rest.get(..ROOM - usize::from(first)).unwrap_or(rest);
        let [high, low] = pid.value().to_be_bytes();
        *bytes = [0xFF; PACKET_SIZE];
        bytes[..5].copy_from_slice(&[SYNC_BYTE, high | if first { 0x40 } else { 0 }, low, 0x10, 0]);
        let from = 4 + usize::from(first);
        if let Some(to) = bytes.get_mut(from..from + part.len()) {
            to.copy_from_slice(part);
        }
        self.sent = if part.len() == rest.len() { 0 } else { self.sent + u16::try_from(part.len()).unwrap_or(0) };
        true
    }

    /// Takes note of a packet with this very section that a feed's own place carried.
    pub(super) fn follow(&mut self, packet: Packet<'_>) {
        let payload = packet.payload();
        let (from, part) = if packet.payload_unit_start_indicator() {
            let Some((&pointer, rest)) = payload.split_first() else { return };
            (0, rest.get(usize::from(pointer)..).unwrap_or(&[]))
        } else if self.is_midway() {
            (usize::from(self.sent), payload)
        } else {
            return;
        };
        let section = self.section().unwrap_or(&[]);
        let rest = section.get(from..).unwrap_or(&[]);
        // longer than what is left, it is the end; otherwise it goes on, if it is of this section at all
        let goes_on = part.len() < rest.len() && rest.starts_with(part) && !part.is_empty();
        self.sent = if goes_on { u16::try_from(from + part.len()).unwrap_or(0) } else { 0 };
        if goes_on && from == 0 {
            self.sending = self.section;
            self.sending_len = self.len;
        }
    }
}

/// What of a section a change of version must go with: all but version_number and CRC_32.
fn contents(section: &[u8]) -> impl Iterator<Item = u8> {
    let end = section.len().saturating_sub(4);
    section.iter().take(end).enumerate().map(|(at, &byte)| if at == 5 { byte & 1 } else { byte })
}
