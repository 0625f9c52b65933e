//! The times in a packet, moved where they stand: PCR and OPCR (ISO/IEC 13818-1 2.4.3.4), DTS_next_AU, and PTS, DTS and
//! ESCR of a PES header (2.4.3.6).

use crate::ts::{PACKET_SIZE, pes};
use crate::units::{Pts90k, Ticks27M};

const MASK: u64 = Pts90k::WRAP - 1;
/// Bytes of a PES header up to and with PES_header_data_length.
pub(super) const FIXED: usize = 9;

/// Flags of an adaptation field.
const PCR: u8 = 0x10;
const OPCR: u8 = 0x08;
const SPLICING_POINT: u8 = 0x04;
const PRIVATE_DATA: u8 = 0x02;
const EXTENSION: u8 = 0x01;

/// `ticks` of 90 kHz later.
const fn moved(base: u64, ticks: i64) -> u64 {
    // two's complement wraps at 2^64, of which 2^33 is a divisor
    base.wrapping_add(ticks.cast_unsigned()) & MASK
}

/// A PCR that much later: PCR and PTS move by the same.
pub(super) const fn moved_pcr(pcr: Ticks27M, ticks: i64, nudge: i64) -> Ticks27M {
    Ticks27M(moved(pcr.0 / 300, ticks) * 300 + pcr.0 % 300).later(nudge)
}

/// Moves a time of 3, 15 and 15 bits, each with a marker bit behind it: PTS, DTS, DTS_next_AU, and the base of ESCR.
fn move_marked(field: &mut [u8], ticks: i64) {
    let Some(field) = field.first_chunk_mut::<5>() else { return };
    let [a, b, c, d, e] = *field;
    let all = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
    let base = (all >> 33 & 7) << 30 | (all >> 17 & 0x7FFF) << 15 | all >> 1 & 0x7FFF;
    let base = moved(base, ticks);
    let bits = (base >> 30) << 33 | (base >> 15 & 0x7FFF) << 17 | (base & 0x7FFF) << 1;
    let kept = all & !(7 << 33 | 0x7FFF << 17 | 0x7FFF << 1);
    let [_, _, _, moved @ ..] = (kept | bits).to_be_bytes();
    *field = moved;
}

/// ESCR: its base lies two bits higher in six bytes, as 3, 15 and 15 bits too.
fn move_escr(field: &mut [u8], ticks: i64) {
    let Some(field) = field.first_chunk_mut::<6>() else { return };
    let [a, b, c, d, e, f] = *field;
    let all = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let base = (all >> 43 & 7) << 30 | (all >> 27 & 0x7FFF) << 15 | all >> 11 & 0x7FFF;
    let base = moved(base, ticks);
    let bits = (base >> 30) << 43 | (base >> 15 & 0x7FFF) << 27 | (base & 0x7FFF) << 11;
    let kept = all & !(7 << 43 | 0x7FFF << 27 | 0x7FFF << 11);
    let [_, _, moved @ ..] = (kept | bits).to_be_bytes();
    *field = moved;
}

/// Writes a PCR into six bytes, the reserved bits set.
pub(super) fn put_pcr(field: &mut [u8], pcr: Ticks27M) {
    let pcr = pcr.0 % Ticks27M::WRAP;
    let [_, _, bytes @ ..] = ((pcr / 300) << 15 | 0x7E00 | (pcr % 300)).to_be_bytes();
    if let Some(field) = field.first_chunk_mut() {
        *field = bytes;
    }
}

/// The PCR of a packet that has one.
pub(super) fn set_pcr(bytes: &mut [u8; PACKET_SIZE], pcr: Ticks27M) {
    put_pcr(&mut bytes[6..], pcr);
}

/// Takes the PCR out of a packet that has one. Its six bytes become stuffing, which stands at the end of the field.
pub(super) fn strip_pcr(bytes: &mut [u8; PACKET_SIZE]) {
    let end = (5 + usize::from(bytes[4])).min(PACKET_SIZE);
    if end >= 12 {
        bytes.copy_within(12..end, 6);
        bytes[end - 6..end].fill(0xFF);
        bytes[5] &= !PCR;
    }
}

/// Moves OPCR and DTS_next_AU of the adaptation field.
pub(super) fn move_adaptation(bytes: &mut [u8; PACKET_SIZE], ticks: i64) {
    if bytes[3] & 0x20 == 0 || bytes[4] == 0 {
        return;
    }
    let end = (5 + usize::from(bytes[4])).min(PACKET_SIZE);
    let flags = bytes[5];
    if flags & (OPCR | EXTENSION) == 0 {
        return;
    }
    let mut at = if flags & PCR != 0 { 12 } else { 6 };
    if flags & OPCR != 0 {
        if let Some(field) = bytes.get_mut(at..at + 6).filter(|_| at + 6 <= end)
            && let [a, b, c, d, e, f] = *field
        {
            let all = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
            let [_, _, moved @ ..] = (moved(all >> 15, ticks) << 15 | all & 0x7FFF).to_be_bytes();
            field.copy_from_slice(&moved);
        }
        at += 6;
    }
    if flags & EXTENSION == 0 {
        return;
    }
    at += usize::from(flags & SPLICING_POINT != 0);
    if flags & PRIVATE_DATA != 0 {
        at += 1 + bytes.get(at).map_or(0, |&length| usize::from(length));
    }
    let Some(&[length, flags]) = bytes.get(at..end).and_then(<[u8]>::first_chunk) else { return };
    let end = end.min(at + 1 + usize::from(length));
    // seamless_splice_flag; ltw_flag takes two bytes before it, piecewise_rate_flag three
    if flags & 0x20 != 0 {
        at += 2 + if flags & 0x80 != 0 { 2 } else { 0 } + if flags & 0x40 != 0 { 3 } else { 0 };
        if let Some(field) = bytes.get_mut(at..at + 5).filter(|_| at + 5 <= end) {
            move_marked(field, ticks);
        }
    }
}

/// Moves the DTS of a PES header that lies in this payload as a whole, where it has one.
pub(super) fn move_dts(payload: &mut [u8], ticks: i64) {
    // PTS_DTS_flags 11: the DTS stands behind the PTS
    if ticks != 0
        && pes::Header::parse(payload).is_some_and(|header| header.dts.is_some())
        && let Some(field) = payload.get_mut(FIXED + 5..FIXED + 10)
    {
        move_marked(field, ticks);
    }
}

/// The times in a PES header that begins like this: where each begins, and its size.
fn times(fixed: [u8; FIXED]) -> impl Iterator<Item = (usize, usize)> {
    let [zero, null, one, stream_id, _, _, first, flags, length] = fixed;
    let is_header = [zero, null, one] == [0, 0, 1] && first & 0xC0 == 0x80 && has_header(stream_id);
    let end = FIXED + if is_header { usize::from(length) } else { 0 };
    let mut at = FIXED;
    [(0x80, 5), (0x40, 5), (0x20, 6)].into_iter().filter_map(move |(flag, size)| {
        // 01 of PTS_DTS_flags is forbidden
        if flags & flag == 0 || flag == 0x40 && flags & 0x80 == 0 {
            return None;
        }
        let begin = at;
        at += size;
        (at <= end).then_some((begin, size))
    })
}

/// Where the last time in a PES header that begins like this ends; [`FIXED`] where it has none.
pub(super) fn times_end(fixed: [u8; FIXED]) -> usize {
    times(fixed).last().map_or(FIXED, |(begin, size)| begin + size)
}

/// A PES header under way: how much of it went by, and its first bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Bytes that went by; 0 where none is under way.
    at: u8,
    fixed: [u8; FIXED],
}

impl Head {
    /// Whether a header goes on in the next payload, unless another begins in it.
    pub(super) const fn is_under_way(&self) -> bool {
        self.at > 0
    }

    /// Moves the times of the PES header that begins or goes on in this payload. False where one lies across its end and not all of
    /// the header was `known`: the first of its bytes hang on the last.
    pub(super) fn packet(
        &mut self,
        start: bool,
        payload: &mut [u8],
        ticks: i64,
        known: Option<[u8; pes::Head::MAX]>,
    ) -> bool {
        if start {
            self.at = 0;
        } else if self.at == 0 {
            return true;
        }
        let from = usize::from(self.at);
        for (to, byte) in self.fixed.iter_mut().skip(from).zip(payload.iter()) {
            *to = *byte;
        }
        let to = from + payload.len();
        // too little of it even to know its length
        let end = if to < FIXED { FIXED } else { times_end(self.fixed) };
        self.at = if to < end { u8::try_from(to).unwrap_or(0) } else { 0 };
        if to < FIXED {
            return true;
        }
        let moved = known.map(|mut header| {
            Self::default().packet(true, &mut header, ticks, None);
            header
        });
        let mut whole = true;
        for (begin, size) in times(self.fixed) {
            let behind = begin + size;
            if behind <= from || begin >= to {
                continue;
            }
            let field = begin.checked_sub(from).and_then(|begin| payload.get_mut(begin..begin + size));
            match (field, &moved) {
                (Some(field), _) if size == 5 => move_marked(field, ticks),
                (Some(field), _) => move_escr(field, ticks),
                (None, Some(moved)) => {
                    let part = begin.max(from)..behind.min(to);
                    let field = payload.get_mut(part.start - from..part.end - from);
                    if let Some((field, moved)) = field.zip(moved.get(part)) {
                        field.copy_from_slice(moved);
                    }
                }
                // counted once, where it begins
                (None, None) => whole &= begin < from,
            }
        }
        whole
    }
}

/// Whether a PES packet with this stream_id has more of a header than its length.
fn has_header(stream_id: u8) -> bool {
    pes::Header::parse(&[0, 0, 1, stream_id, 0, 0, 0x80, 0, 0]).is_some_and(|head| head.size > 6)
}
