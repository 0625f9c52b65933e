//! Counts the audio frames of a PID by their headers, jumping from one to the next.

mod header;

use super::pes::Body;
use header::Header;

/// How the sound is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Layers I to III of ISO/IEC 11172-3 and 13818-3.
    Mpeg,
    /// AAC in ADTS (ISO/IEC 13818-7 6.2).
    Adts,
    /// AAC in LATM and LOAS (ISO/IEC 14496-3 1.7).
    Loas,
    /// AC-3 and E-AC-3 (ETSI TS 102 366), told apart frame by frame.
    Ac3,
}

/// How long a frame lasts, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Samples of each channel, 1…65535.
    pub samples: u16,
    /// Samples a second, never 0.
    pub rate: u32,
}

/// What began in a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// Frames whose header was completed in this packet, of which [`before`](Self::before) are none. An E-AC-3 frame
    /// counts with all its substreams as one.
    pub frames: u16,
    /// Frames, at most one, whose header ended in this packet but began in the PES packet before the one that starts
    /// here: the PTS of the one that starts here is not theirs.
    pub before: u16,
    /// Whether there was no header where one had to be, and sync was lost.
    pub lost: bool,
}

/// Bytes that are searched for a header like the ones before. After that any will do.
const LOYAL: u16 = 8_192;
/// Bytes of one PES packet in which no header was found, after which it is given up: more than the longest frame twice.
const GIVEN_UP: u16 = 20_000;

/// Walks the frames of one audio PID.
#[derive(Clone, Debug)]
pub struct Frames {
    codec: Codec,
    sync: Sync,
    body: Body,
    /// Bytes until the next header.
    left: u16,
    /// The beginning of a header that goes on in the next packet.
    held: [u8; header::SIZE],
    len: u8,
    /// How many of them came before the PES packet under way.
    early: u8,
    /// Bytes passed over since sync was lost.
    searched: u16,
    /// What all headers of the stream have in common; 0 while none is known.
    format: u32,
    /// Whether that was ever confirmed by a second header.
    confirmed: bool,
    samples: u16,
    rate: u32,
    losses: u32,
}

/// What is known of where frames begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// Nothing.
    Searching,
    /// One header was found, and none after it yet.
    Tentative,
    /// Headers stood where they had to be.
    Locked,
}

impl Frames {
    /// An audio PID of which nothing came yet.
    pub const fn new(codec: Codec) -> Self {
        Self {
            codec,
            sync: Sync::Searching,
            body: Body::new(),
            left: 0,
            held: [0; header::SIZE],
            len: 0,
            early: 0,
            searched: 0,
            format: 0,
            confirmed: false,
            samples: 0,
            rate: 0,
            losses: 0,
        }
    }

    /// How long each frame lasts, by the latest header; none while that is not known.
    pub fn length(&self) -> Option<Length> {
        (self.rate > 0 && self.samples > 0).then_some(Length { samples: self.samples, rate: self.rate })
    }

    /// How often sync was lost.
    pub const fn losses(&self) -> u32 {
        self.losses
    }

    /// Whether the latest headers stood where they had to be, so that what is counted is what there is.
    pub const fn is_locked(&self) -> bool {
        matches!(self.sync, Sync::Locked)
    }

    /// Takes the payload of the PID's next packet, which is not scrambled.
    #[inline]
    pub fn push(&mut self, unit_start: bool, payload: &[u8]) -> Started {
        let bytes = self.body.push(unit_start, payload);
        let mut started = Started::default();
        if unit_start {
            self.early = self.len;
            self.searched = if self.sync == Sync::Searching { self.searched.min(LOYAL) } else { 0 };
            self.align(bytes, &mut started);
        }
        match u16::try_from(bytes.len()) {
            // most packets lie within a frame
            Ok(len) if len <= self.left => self.left -= len,
            _ => self.walk(bytes, &mut started),
        }
        started
    }

    /// A PES packet that says that it begins with a frame, and does: if one should still go on, bytes of it are lost.
    fn align(&mut self, bytes: &[u8], started: &mut Started) {
        if !self.body.is_aligned() || (self.left == 0 && self.len == 0) || self.sync == Sync::Searching {
            return;
        }
        let header = bytes.first_chunk().and_then(|bytes| Header::read(self.codec, bytes));
        // what begins there is found by the search that follows, at its first byte
        if header.is_some_and(|header| header.format == self.format) {
            self.lose(started);
            (self.left, self.len, self.early) = (0, 0, 0);
        }
    }

    fn walk(&mut self, mut bytes: &[u8], started: &mut Started) {
        loop {
            let jump = bytes.len().min(usize::from(self.left));
            self.left -= u16::try_from(jump).unwrap_or(self.left);
            bytes = bytes.get(jump..).unwrap_or(&[]);
            if self.sync == Sync::Searching && self.len == 0 {
                if self.searched >= GIVEN_UP {
                    return;
                }
                let passed = bytes.iter().position(|&b| b == self.codec.sync_byte()).unwrap_or(bytes.len());
                self.searched = self.searched.saturating_add(u16::try_from(passed).unwrap_or(u16::MAX));
                bytes = bytes.get(passed..).unwrap_or(&[]);
            }
            if bytes.is_empty() {
                return;
            }
            let Some((_, free)) = self.held.split_at_mut_checked(usize::from(self.len)) else { return };
            let (part, rest) = bytes.split_at(bytes.len().min(free.len()));
            for (to, &byte) in free.iter_mut().zip(part) {
                *to = byte;
                self.len += 1;
            }
            bytes = rest;
            if usize::from(self.len) < header::SIZE {
                return;
            }
            match Header::read(self.codec, &self.held) {
                Some(header) if self.accepts(&header) => self.begin(&header, started),
                _ => self.refuse(started),
            }
        }
    }

    /// Whether a header is one of this stream.
    const fn accepts(&self, header: &Header) -> bool {
        match self.sync {
            Sync::Searching => self.format == 0 || self.format == header.format || self.searched >= LOYAL,
            Sync::Tentative => self.format == header.format,
            Sync::Locked => true,
        }
    }

    /// A frame whose header is held.
    fn begin(&mut self, header: &Header, started: &mut Started) {
        if self.sync == Sync::Searching {
            self.sync = Sync::Tentative;
            self.confirmed &= self.format == header.format;
        } else {
            self.sync = Sync::Locked;
            self.confirmed = true;
        }
        self.searched = 0;
        self.format = header.format;
        self.left = header.size.saturating_sub(u16::from(self.len));
        if header.is_first {
            if self.early > 0 {
                started.before += 1;
            } else {
                started.frames += 1;
            }
            if let Some(length) = header.length {
                (self.samples, self.rate) = (length.samples, length.rate);
            }
        }
        (self.len, self.early) = (0, 0);
    }

    /// What is held is no header: on to the next byte that one could begin with.
    fn refuse(&mut self, started: &mut Started) {
        if self.sync != Sync::Searching {
            self.lose(started);
        }
        let next = self.held.iter().skip(1).position(|&b| b == self.codec.sync_byte());
        let passed = next.map_or(header::SIZE, |n| n + 1);
        self.held.rotate_left(passed);
        let passed = u8::try_from(passed).unwrap_or(self.len);
        self.len -= passed.min(self.len);
        self.early -= passed.min(self.early);
        self.searched = self.searched.saturating_add(u16::from(passed));
    }

    fn lose(&mut self, started: &mut Started) {
        if self.sync == Sync::Locked {
            self.losses = self.losses.saturating_add(1);
            started.lost = true;
        }
        if !self.confirmed {
            self.format = 0;
        }
        self.sync = Sync::Searching;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u16 = 576;

    /// A PES packet of this payload.
    fn pes(aligned: bool, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
        let flags = if aligned { 0x84 } else { 0x80 };
        [&[0, 0, 1, 0xC0, length[0], length[1], flags, 0x80, 5, 0x21, 0, 1, 0, 1], payload].concat()
    }

    /// MPEG-1 layer II at 192 kb/s and 48 kHz, with headers inside that are none of this stream's.
    fn sound(frames: usize) -> Vec<u8> {
        let mut frame = vec![0xFF; usize::from(FRAME)];
        frame[..4].copy_from_slice(&[0xFF, 0xFD, 0xA4, 0x04]);
        frame[100..104].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x04]);
        frame.repeat(frames)
    }

    /// What each PES packet begins, when packets of `size` bytes part it.
    fn walk(frames: &mut Frames, packets: &[Vec<u8>], size: usize) -> Vec<u32> {
        let mut counts: Vec<u32> = Vec::new();
        for packet in packets {
            for (n, part) in packet.chunks(size).enumerate() {
                let started = frames.push(n == 0, part);
                if let (true, Some(last)) = (n == 0, counts.last_mut()) {
                    *last += u32::from(started.before);
                } else {
                    assert_eq!(started.before, 0);
                }
                if n == 0 {
                    counts.push(0);
                }
                *counts.last_mut().unwrap() += u32::from(started.frames);
            }
        }
        counts
    }

    #[test]
    fn each_frame_counts_where_its_first_byte_is() {
        let sound = sound(12);
        for cut in 1..sound.len() {
            // three PES packets, parted at any two places; the second may begin in the middle of a header
            let second = (cut + 1729).min(sound.len());
            let parts = [&sound[..cut], &sound[cut..second], &sound[second..]];
            let packets = parts.map(|part| pes(false, part));
            let begun = |to: usize| to.div_ceil(usize::from(FRAME));
            let wanted =
                [begun(cut), begun(second) - begun(cut), 12 - begun(second)].map(|n| u32::try_from(n).unwrap());
            let mut frames = Frames::new(Codec::Mpeg);
            assert_eq!(walk(&mut frames, &packets, 184), wanted, "{cut}");
            assert_eq!(frames.losses(), 0);
            assert_eq!(frames.length(), Some(Length { samples: 1152, rate: 48_000 }));
        }
    }

    #[test]
    fn it_does_not_matter_how_packets_part_it() {
        let packets: Vec<_> = sound(30).chunks(1728).map(|part| pes(true, part)).collect();
        for size in 21..400 {
            let mut frames = Frames::new(Codec::Mpeg);
            assert_eq!(walk(&mut frames, &packets, size), [3; 10], "{size} bytes a packet");
            assert!(frames.is_locked());
        }
    }

    #[test]
    fn a_lost_packet_costs_what_was_in_it() {
        for aligned in [false, true] {
            for lost in 1..40 {
                let packets: Vec<_> = sound(40).chunks(2304).map(|part| pes(aligned, part)).collect();
                let mut frames = Frames::new(Codec::Mpeg);
                let (mut at, mut counted) = (0, 0);
                for packet in &packets {
                    for (n, part) in packet.chunks(184).enumerate() {
                        at += 1;
                        if at != 26 + lost {
                            counted += u32::from(frames.push(n == 0, part).frames);
                        }
                    }
                }
                // of a PES packet whose head is lost nothing is taken
                let head = (26 + lost) % 13 == 1;
                assert!(if head { counted >= 35 } else { counted >= 38 }, "{counted} of 40 without packet {lost}");
                assert!(frames.losses() <= 1 && frames.is_locked());
            }
        }
    }

    #[test]
    fn noise_is_searched_and_given_up() {
        let mut frames = Frames::new(Codec::Adts);
        assert_eq!(frames.push(true, &pes(false, &[0xFF; 300])).frames, 0);
        for _ in 0..1000 {
            assert_eq!(frames.push(false, &[0xFF; 184]), Started::default());
        }
        assert!(frames.length().is_none() && frames.losses() == 0);
        assert!(size_of::<Frames>() <= 64, "{}", size_of::<Frames>());
    }

    #[test]
    fn a_header_in_noise_is_not_believed_twice() {
        let mut frames = Frames::new(Codec::Mpeg);
        // layer III in the middle of what is nothing, then layer II for good
        let first = [&[0; 50][..], &[0xFF, 0xFB, 0x90, 0x04], &[0; 600], &sound(6)].concat();
        let started = frames.push(true, &pes(false, &first));
        assert_eq!((started.frames, started.lost, frames.is_locked()), (7, false, true));
        // another format takes over: searched for, then believed
        let mut third = vec![0; 417];
        third[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x04]);
        let noise = [&[0; 9000][..], &third.repeat(5)].concat();
        let started = frames.push(true, &pes(false, &noise));
        assert_eq!((started.frames, started.lost, frames.losses()), (5, true, 1));
        assert_eq!(frames.length(), Some(Length { samples: 1152, rate: 44_100 }));
    }

    #[test]
    fn chance_never_makes_it_panic() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        };
        for codec in [Codec::Mpeg, Codec::Adts, Codec::Loas, Codec::Ac3] {
            let mut frames = Frames::new(codec);
            let mut counted = 0;
            for n in 0..30_000 {
                let mut payload: Vec<u8> = (0..usize::from(byte()) % 185).map(|_| byte()).collect();
                for b in &mut payload {
                    *b = [*b, 0xFF, 0xF1, 0x0B, 0x77, 0x56, 0xE0, 0x20, 0, 0x80][usize::from(*b) % 10];
                }
                if n % 5 == 0 {
                    payload.splice(0..0, [0, 0, 1, 0xC0, 0, 0, 0x84, 0, 0]);
                }
                counted += u32::from(frames.push(n % 5 == 0, &payload).frames);
            }
            assert!(counted > 50, "{codec:?}: {counted}");
        }
    }
}
