//! A remux with a store in a vector, and feeds made by hand.

use changeover::switch::remux::{ClockPolicy, Pcr, Remux, Sent, Settings};
use changeover::switch::{Handle, Store};
use changeover::ts::{Outline, Packet, crc32};
use changeover::units::{Pid, Ticks27M};

pub type Bytes = [u8; 188];

/// Every packet that ever was, and whose it is.
#[derive(Default)]
pub struct Heap {
    packets: Vec<Option<Bytes>>,
    /// Handles given out that did not come back.
    pub open: usize,
    /// No room for packets out of nowhere.
    pub full: bool,
}

impl Heap {
    pub fn put(&mut self, bytes: Bytes) -> Handle {
        self.packets.push(Some(bytes));
        self.open += 1;
        Handle { frame: u32::try_from(self.packets.len() - 1).unwrap(), offset: 0 }
    }

    /// Takes a packet back; each comes back once.
    pub fn take(&mut self, handle: Handle) -> Bytes {
        self.open -= 1;
        self.packets[handle.frame as usize].take().expect("a handle comes back once")
    }
}

impl Store for Heap {
    fn bytes(&self, handle: Handle) -> Option<&Bytes> {
        self.packets.get(handle.frame as usize)?.as_ref()
    }

    fn bytes_mut(&mut self, handle: Handle) -> Option<&mut Bytes> {
        self.packets.get_mut(handle.frame as usize)?.as_mut()
    }

    fn fresh(&mut self) -> Option<Handle> {
        (!self.full).then(|| self.put([0xA5; 188]))
    }

    fn release(&mut self, handle: Handle) {
        self.take(handle);
    }
}

pub struct Rig {
    pub remux: Remux,
    pub heap: Heap,
    pub out: Vec<Bytes>,
    /// How many passed untouched.
    pub passed: usize,
}

impl Rig {
    pub fn new(feeds: usize) -> Self {
        Self::with(Settings { feeds, clock: ClockPolicy::Continue })
    }

    pub fn with(settings: Settings) -> Self {
        Self { remux: Remux::new(&settings), heap: Heap::default(), out: Vec::new(), passed: 0 }
    }

    pub fn watch(&mut self, feed: usize, packets: &[Bytes]) {
        for packet in packets {
            self.remux.watch(feed, Packet::new(packet));
        }
    }

    /// A packet arrives, to be sent later.
    pub fn arrive(&mut self, feed: usize, bytes: Bytes) -> Handle {
        let handle = self.heap.put(bytes);
        self.remux.watch(feed, Packet::new(&bytes));
        self.remux.note(feed, handle, Packet::new(&bytes));
        handle
    }

    pub fn send_with(&mut self, feed: usize, bytes: Bytes, pcr: Pcr) -> Sent {
        let handle = self.heap.put(bytes);
        self.leave(feed, handle, pcr)
    }

    pub fn leave(&mut self, feed: usize, handle: Handle, pcr: Pcr) -> Sent {
        let bytes = *self.heap.bytes(handle).unwrap();
        let outline = Outline::of(Packet::new(&bytes));
        if self.remux.passes(feed, outline) {
            let sent = self.heap.take(handle);
            assert_eq!(sent, bytes);
            self.out.push(sent);
            self.passed += 1;
            return Sent::Packet;
        }
        let mut before = Vec::new();
        let sent = self.remux.packet(feed, handle, outline, pcr, &mut self.heap, &mut |handle, outline| {
            before.push((handle, outline));
        });
        for (handle, outline) in before {
            let bytes = self.heap.take(handle);
            assert_eq!(outline, Outline::of(Packet::new(&bytes)));
            self.out.push(bytes);
        }
        let bytes = self.heap.take(handle);
        if sent == Sent::Packet {
            self.out.push(bytes);
        }
        sent
    }

    pub fn send(&mut self, feed: usize, bytes: Bytes) -> Sent {
        self.send_with(feed, bytes, Pcr::Keep)
    }

    /// Sends a packet and gives back what left.
    pub fn one(&mut self, feed: usize, bytes: Bytes) -> Vec<Bytes> {
        let from = self.out.len();
        self.send(feed, bytes);
        self.out[from..].to_vec()
    }

    pub fn psi(&mut self) -> Vec<Bytes> {
        let mut made = Vec::new();
        self.remux.psi(&mut self.heap, &mut |handle, _| made.push(handle));
        let made: Vec<_> = made.into_iter().map(|handle| self.heap.take(handle)).collect();
        self.out.extend(&made);
        made
    }

    /// Where a PID of a feed leaves.
    pub fn pid(&self, feed: usize, pid: u16) -> Option<u16> {
        self.remux.output_pid(feed, Pid::new(pid)).map(Pid::value)
    }
}

pub fn pid_of(packet: &Bytes) -> u16 {
    Packet::new(packet).pid().value()
}

pub fn counter_of(packet: &Bytes) -> u8 {
    packet[3] & 0x0F
}

/// A packet with payload all of one byte.
pub fn plain(pid: u16, counter: u8) -> Bytes {
    let mut p = [0x55; 188];
    let [high, low] = pid.to_be_bytes();
    p[..4].copy_from_slice(&[0x47, high, low, 0x10 | counter & 0x0F]);
    p
}

/// A packet of `payload` behind an adaptation field that fills the rest, with a PCR where there is one.
pub fn filled(pid: u16, counter: u8, start: bool, pcr: Option<Ticks27M>, payload: &[u8]) -> Bytes {
    let mut p = plain(pid, counter);
    p[1] |= if start { 0x40 } else { 0 };
    p[3] = if payload.is_empty() { 0x20 } else { 0x30 } | counter & 0x0F;
    let at = 188 - payload.len();
    p[4] = u8::try_from(at - 5).unwrap();
    p[5..at].fill(0xFF);
    if at > 5 {
        p[5] = 0;
    }
    if let Some(pcr) = pcr {
        p[5] = 0x10;
        let all = (pcr.0 / 300) << 15 | 0x7E00 | (pcr.0 % 300);
        p[6..12].copy_from_slice(&all.to_be_bytes()[2..]);
    }
    p[at..].copy_from_slice(payload);
    p
}

/// A PTS or DTS with its prefix.
pub fn stamp(prefix: u8, time: u64) -> [u8; 5] {
    let all = u64::from(prefix) << 36
        | (time >> 30 & 7) << 33
        | 1 << 32
        | (time >> 15 & 0x7FFF) << 17
        | 1 << 16
        | (time & 0x7FFF) << 1
        | 1;
    all.to_be_bytes()[3..].try_into().unwrap()
}

/// A PES packet's first bytes.
pub fn pes(stream_id: u8, pts: u64, dts: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, stream_id, 0, 0, 0x80, 0x80, 5];
    match dts {
        None => bytes.extend(stamp(2, pts)),
        Some(dts) => {
            bytes[7] = 0xC0;
            bytes[8] = 10;
            bytes.extend(stamp(3, pts));
            bytes.extend(stamp(1, dts));
        }
    }
    bytes
}

pub fn section(table_id: u8, extension: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![table_id];
    out.extend((0xB000 | u16::try_from(body.len() + 9).unwrap()).to_be_bytes());
    out.extend(extension.to_be_bytes());
    out.extend([0xC1 | version << 1, 0, 0]);
    out.extend(body);
    out.extend(crc32(&out).to_be_bytes());
    out
}

/// The packets of a section, their counters from `counter` on.
pub fn packets(pid: u16, counter: u8, section: &[u8]) -> Vec<Bytes> {
    let payload: Vec<u8> = core::iter::once(0).chain(section.iter().copied()).collect();
    let parts = payload.chunks(184).zip(0u8..);
    parts
        .map(|(part, n)| {
            let mut p = [0xFF; 188];
            let [high, low] = pid.to_be_bytes();
            let start = if n == 0 { 0x40 } else { 0 };
            p[..4].copy_from_slice(&[0x47, start | high, low, 0x10 | counter.wrapping_add(n) & 0x0F]);
            p[4..4 + part.len()].copy_from_slice(part);
            p
        })
        .collect()
}

pub fn pat(counter: u8, tsid: u16, version: u8, programs: &[(u16, u16)]) -> Bytes {
    let mut body = Vec::new();
    for (number, pid) in programs {
        body.extend(number.to_be_bytes());
        body.extend((0xE000 | pid).to_be_bytes());
    }
    packets(0, counter, &section(0, tsid, version, &body))[0]
}

/// A stream of a PMT: its type, PID and descriptors.
pub type Stream<'a> = (u8, u16, &'a [u8]);

pub fn pmt_section(number: u16, version: u8, pcr: u16, info: &[u8], streams: &[Stream<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend((0xE000 | pcr).to_be_bytes());
    body.extend((0xF000 | u16::try_from(info.len()).unwrap()).to_be_bytes());
    body.extend(info);
    for (stream_type, pid, descriptors) in streams {
        body.push(*stream_type);
        body.extend((0xE000 | pid).to_be_bytes());
        body.extend((0xF000 | u16::try_from(descriptors.len()).unwrap()).to_be_bytes());
        body.extend(*descriptors);
    }
    section(2, number, version, &body)
}

pub fn pmt(pid: u16, counter: u8, number: u16, version: u8, pcr: u16, streams: &[Stream<'_>]) -> Bytes {
    packets(pid, counter, &pmt_section(number, version, pcr, &[], streams))[0]
}

/// The sections of a PID, put together.
pub fn sections(packets: &[Bytes], pid: u16) -> Vec<Vec<u8>> {
    let mut assembler = changeover::ts::section::Assembler::<4096>::default();
    let mut found = Vec::new();
    for packet in packets.iter().map(Packet::new).filter(|packet| packet.pid().value() == pid) {
        assembler.push(packet.payload_unit_start_indicator(), packet.payload(), |section| {
            assert!(section.is_intact(), "CRC_32 on {pid:#x}");
            found.push(section.bytes().to_vec());
        });
    }
    found
}

/// The program_number and PMT PID of each program of the last PAT, and its version.
pub fn last_pat(packets: &[Bytes]) -> (u8, Vec<(u16, u16)>) {
    let pat = sections(packets, 0).pop().expect("a PAT");
    let word = |at: usize| u16::from_be_bytes([pat[at], pat[at + 1]]);
    let programs = (8..pat.len() - 4).step_by(4).map(|at| (word(at), word(at + 2) & 0x1FFF)).collect();
    (pat[5] >> 1 & 0x1F, programs)
}

/// The last PMT of a PID: version, program_number, PCR_PID, and each stream's type, PID and descriptors.
#[derive(Debug, PartialEq, Eq)]
pub struct Map {
    pub version: u8,
    pub number: u16,
    pub pcr: u16,
    pub streams: Vec<(u8, u16, Vec<u8>)>,
}

pub fn last_pmt(packets: &[Bytes], pid: u16) -> Map {
    let pmt = sections(packets, pid).pop().expect("a PMT");
    map_of(&pmt)
}

pub fn map_of(pmt: &[u8]) -> Map {
    let word = |at: usize| u16::from_be_bytes([pmt[at], pmt[at + 1]]);
    let mut at = 12 + usize::from(word(10) & 0xFFF);
    let mut streams = Vec::new();
    while at < pmt.len() - 4 {
        let length = usize::from(word(at + 3) & 0xFFF);
        streams.push((pmt[at], word(at + 1) & 0x1FFF, pmt[at + 5..at + 5 + length].to_vec()));
        at += 5 + length;
    }
    Map { version: pmt[5] >> 1 & 0x1F, number: word(3), pcr: word(8) & 0x1FFF, streams }
}
