//! pts_adjustment of splice information, moved where it stands: ANSI/SCTE 35 clause 9.6.
//!
//! A section that lies in one packet is rewritten as a whole. In one that goes on in other packets pts_adjustment stands in the
//! first and CRC_32 in the last: what a change of the one does to the other hangs on nothing between them, since CRC_32 is
//! linear. So no packet has to wait, and a section that was broken stays so.

use crate::ts::crc32;
use crate::ts::scte35::{TABLE_ID, move_pts};
use crate::ts::section::MAX_SECTION;
use crate::units::Pts90k;

/// Bytes up to the end of pts_adjustment.
const HEAD: usize = 9;
const CRC_SIZE: usize = 4;

/// What became of the sections of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) moved: u64,
    /// Encrypted, and left alone.
    pub(super) encrypted: u64,
    /// Not intact, or of a newer protocol, or with a head in two packets, and left alone.
    pub(super) unmoved: u64,
}

/// The section under way on a PID.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sections {
    /// Its size; 0 where none is under way.
    size: u16,
    /// How many bytes went by.
    at: u16,
    /// What CRC_32 changes by.
    crc: u32,
}

impl Sections {
    /// Takes the payload of the PID's next packet.
    pub(super) fn packet(&mut self, start: bool, payload: &mut [u8], ticks: i64) -> Outcome {
        let mut outcome = Outcome::default();
        if !start {
            self.go_on(payload);
            return outcome;
        }
        let Some((&mut pointer, rest)) = payload.split_first_mut() else { return outcome };
        let Some((end, mut starts)) = rest.split_at_mut_checked(usize::from(pointer)) else {
            *self = Self::default();
            return outcome;
        };
        self.go_on(end);
        *self = Self::default();
        while let [table_id, rest @ ..] = &*starts {
            // stuffing
            if *table_id == 0xFF {
                return outcome;
            }
            let size = match *rest {
                [high, low, ..] => 3 + usize::from(u16::from_be_bytes([high & 0x0F, low])),
                _ => usize::MAX,
            };
            if size > starts.len() {
                self.begin(starts, size, ticks, &mut outcome);
                return outcome;
            }
            let (one, behind) = starts.split_at_mut(size);
            if one.first() == Some(&TABLE_ID) {
                if is_encrypted(one) {
                    outcome.encrypted += 1;
                } else if move_pts(one, ticks) {
                    outcome.moved += 1;
                } else {
                    outcome.unmoved += 1;
                }
            }
            starts = behind;
        }
        outcome
    }

    /// The first part of a section that is longer than the packet.
    fn begin(&mut self, part: &mut [u8], size: usize, ticks: i64, outcome: &mut Outcome) {
        if part.first() != Some(&TABLE_ID) {
            return;
        }
        let Some(head) = part.first_chunk_mut::<HEAD>().filter(|_| size > HEAD + CRC_SIZE && size <= MAX_SECTION)
        else {
            outcome.unmoved += 1;
            return;
        };
        if is_encrypted(head) {
            outcome.encrypted += 1;
            return;
        }
        // protocol_version
        if head[3] != 0 {
            outcome.unmoved += 1;
            return;
        }
        let before = *head;
        let [_, _, _, _, flags, low @ ..] = before;
        let old = u64::from(flags & 1) << 32 | u64::from(u32::from_be_bytes(low));
        let new = old.wrapping_add(ticks.cast_unsigned()) & (Pts90k::WRAP - 1);
        let [_, _, _, high, low @ ..] = new.to_be_bytes();
        head[4] = flags & 0xFE | high;
        head[5..].copy_from_slice(&low);
        let mut change = [0u8; MAX_SECTION];
        for ((to, before), after) in change.iter_mut().zip(before).zip(&*head) {
            *to = before ^ after;
        }
        let body = size - CRC_SIZE;
        let crc = crc32(change.get(..body).unwrap_or(&[])) ^ crc32([0; MAX_SECTION].get(..body).unwrap_or(&[]));
        *self = Self { size: u16::try_from(size).unwrap_or(0), at: u16::try_from(part.len()).unwrap_or(0), crc };
        // some of CRC_32 may be here already
        self.put_crc(part, 0);
        outcome.moved += 1;
    }

    fn go_on(&mut self, payload: &mut [u8]) {
        if self.size == 0 {
            return;
        }
        let from = usize::from(self.at);
        let left = usize::from(self.size).saturating_sub(from).min(payload.len());
        let (part, _) = payload.split_at_mut(left);
        self.put_crc(part, from);
        self.at += u16::try_from(left).unwrap_or(0);
        if self.at >= self.size {
            *self = Self::default();
        }
    }

    /// Changes the bytes of CRC_32 that lie in `part`, which begins at byte `from` of the section.
    fn put_crc(&self, part: &mut [u8], from: usize) {
        let first = usize::from(self.size) - CRC_SIZE;
        for (at, change) in (first..).zip(self.crc.to_be_bytes()) {
            if let Some(byte) = at.checked_sub(from).and_then(|at| part.get_mut(at)) {
                *byte ^= change;
            }
        }
    }
}

/// encrypted_packet.
fn is_encrypted(section: &[u8]) -> bool {
    section.get(4).is_some_and(|byte| byte & 0x80 != 0)
}
