//! Sections put together from packets: ISO/IEC 13818-1 2.4.4.

/// The longest section with the long syntax: section_length is at most 4093.
pub const MAX_SECTION: usize = 4096;
/// Bytes before the contents of a section with the long syntax (2.4.4.3).
const LONG_HEADER: usize = 8;
const CRC_SIZE: usize = 4;

/// A whole section, table_id first.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a>(&'a [u8]);

impl<'a> Section<'a> {
    /// A view of the bytes of one section; none unless they are as many as section_length says.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (section_size(bytes)? == bytes.len()).then_some(Self(bytes))
    }

    /// The bytes, CRC_32 and all.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// table_id.
    pub fn table_id(self) -> u8 {
        self.0.first().copied().unwrap_or(0xFF)
    }

    /// Whether section_syntax_indicator is set: it has an extension, a version and a CRC_32.
    pub fn has_long_syntax(self) -> bool {
        self.0.get(1).is_some_and(|b| b & 0x80 != 0)
    }

    /// Whether CRC_32 over the whole is right (annex A).
    pub fn is_intact(self) -> bool {
        super::crc::crc32(self.0) == 0
    }

    /// The CRC_32 that it carries.
    pub fn crc(self) -> u32 {
        self.0.last_chunk().map_or(0, |b| u32::from_be_bytes(*b))
    }

    /// transport_stream_id of a PAT, program_number of a PMT.
    pub fn table_id_extension(self) -> u16 {
        self.0.get(3..5).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes)
    }

    /// version_number, 0…31.
    pub fn version_number(self) -> u8 {
        self.0.get(5).map_or(0, |b| b >> 1 & 0x1F)
    }

    /// current_next_indicator: whether it applies now.
    pub fn is_current(self) -> bool {
        self.0.get(5).is_some_and(|b| b & 1 != 0)
    }

    /// section_number.
    pub fn section_number(self) -> u8 {
        self.0.get(6).copied().unwrap_or(0)
    }

    /// last_section_number.
    pub fn last_section_number(self) -> u8 {
        self.0.get(7).copied().unwrap_or(0)
    }

    /// What stands between the long header and the CRC_32.
    pub fn contents(self) -> &'a [u8] {
        self.0.get(LONG_HEADER..self.0.len().saturating_sub(CRC_SIZE)).unwrap_or(&[])
    }
}

/// The size of the section that starts here, none while its first three bytes are not all there.
fn section_size(bytes: &[u8]) -> Option<usize> {
    let &[_, high, low, ..] = bytes else { return None };
    Some(3 + usize::from(u16::from_be_bytes([high & 0x0F, low])))
}

/// Puts the sections of one PID together. A section that is broken off by another, or that is longer than `N`, is
/// forgotten; a section never reaches across a break that the caller told of by [`Assembler::reset`].
#[derive(Clone, Debug)]
pub struct Assembler<const N: usize> {
    bytes: [u8; N],
    len: usize,
    collecting: bool,
}

impl<const N: usize> Default for Assembler<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0, collecting: false }
    }
}

impl<const N: usize> Assembler<N> {
    /// Forgets what was begun: the packets that should go on with it are missing.
    pub fn reset(&mut self) {
        self.len = 0;
        self.collecting = false;
    }

    /// Takes the payload of the PID's next packet and hands on each section that is whole now.
    pub fn push(&mut self, unit_start: bool, payload: &[u8], mut section: impl FnMut(Section<'_>)) {
        if !unit_start {
            self.collect(payload, &mut section);
            return;
        }
        let Some((&pointer, rest)) = payload.split_first() else { return };
        let Some((end, starts)) = rest.split_at_checked(usize::from(pointer)) else {
            self.reset();
            return;
        };
        if self.collecting {
            self.collect(end, &mut section);
        }
        self.reset();
        self.collecting = true;
        self.start(starts, &mut section);
    }

    /// Sections that lie in one packet are handed on where they are; only what is left over is copied.
    fn start(&mut self, mut bytes: &[u8], section: &mut impl FnMut(Section<'_>)) {
        // table_id 0xFF is stuffing: nothing follows it in this packet (2.4.4.1)
        while bytes.first().is_some_and(|&id| id != 0xFF) {
            let whole = section_size(bytes).and_then(|size| bytes.split_at_checked(size));
            let Some((one, rest)) = whole else {
                self.collect(bytes, section);
                return;
            };
            if let Some(one) = Section::new(one) {
                section(one);
            }
            bytes = rest;
        }
        self.reset();
    }

    fn collect(&mut self, payload: &[u8], section: &mut impl FnMut(Section<'_>)) {
        if !self.collecting {
            return;
        }
        let mut left = payload;
        loop {
            let wanted = section_size(&self.bytes[..self.len]).unwrap_or(3);
            if wanted > N {
                self.reset();
                return;
            }
            let (part, rest) = left.split_at(left.len().min(wanted - self.len));
            self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
            left = rest;
            match section_size(&self.bytes[..self.len]) {
                Some(size) if size == self.len => break,
                Some(_) if !left.is_empty() => {}
                Some(_) | None => return,
            }
        }
        if let Some(whole) = Section::new(&self.bytes[..self.len]) {
            section(whole);
        }
        self.len = 0;
        self.start(left, section);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, size: usize) -> Vec<u8> {
        let mut s = vec![id; size];
        let length = u16::try_from(size - 3).unwrap().to_be_bytes();
        s[1] = 0xB0 | length[0];
        s[2] = length[1];
        let crc = super::super::crc::crc32(&s[..size - 4]);
        s[size - 4..].copy_from_slice(&crc.to_be_bytes());
        s
    }

    /// The payloads of packets that carry `sections` back to back, `size` bytes of payload each.
    fn packets(sections: &[Vec<u8>], size: usize) -> Vec<(bool, Vec<u8>)> {
        let all: Vec<u8> = sections.concat();
        let starts: Vec<usize> = sections
            .iter()
            .scan(0, |at, s| {
                *at += s.len();
                Some(*at - s.len())
            })
            .collect();
        let mut out = Vec::new();
        let mut at = 0;
        while at < all.len() {
            let begins = starts.iter().copied().find(|s| (at..at + size - 1).contains(s));
            let mut payload = Vec::new();
            let room = if let Some(start) = begins {
                payload.push(u8::try_from(start - at).unwrap());
                size - 1
            } else {
                size
            };
            payload.extend(all[at..].iter().take(room));
            payload.resize(size, 0xFF);
            at += room;
            out.push((begins.is_some(), payload));
        }
        out
    }

    #[test]
    fn sections_come_out_whole_however_they_lie_in_packets() {
        let wanted: Vec<Vec<u8>> = [20, 3 + 9, 184, 500, 1024, 13].iter().map(|&n| section(2, n)).collect();
        for size in [184, 60, 20] {
            let mut got = Vec::new();
            let mut assembler = Assembler::<1024>::default();
            for (start, payload) in packets(&wanted, size) {
                assembler.push(start, &payload, |s| {
                    assert!(s.is_intact());
                    got.push(s.0.to_vec());
                });
            }
            assert_eq!(got, wanted, "{size} bytes a packet");
        }
    }

    #[test]
    fn what_is_too_long_or_broken_off_is_forgotten_and_the_next_one_found() {
        let mut assembler = Assembler::<1024>::default();
        let mut got = 0;
        assembler.push(true, &[&[0][..], &section(2, 1025)[..183]].concat(), |_| got += 1);
        for (start, payload) in packets(&[section(2, 400)], 184).into_iter().take(2) {
            assembler.push(start, &payload, |_| got += 1);
        }
        assembler.push(true, &[&[0][..], &section(2, 30)].concat(), |_| got += 1);
        assert_eq!(got, 1);
        assembler.push(true, &[200, 1, 2], |_| got += 1);
        assembler.push(false, &[1; 184], |_| got += 1);
        assembler.push(true, &[], |_| got += 1);
        assert_eq!(got, 1);
    }
}
