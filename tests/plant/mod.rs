//! A clean stream with much of everything in it, and faults to plant there.
//!
//! A packet comes every millisecond, so that a place in the stream is a time: slot 2,100 begins 2,100 ms after the first. The
//! rate is constant, the PCRs are exact, and each thing has its slots, see [`lane_of`]. A fault changes what is in a slot or
//! when it arrives, to the nanosecond; the continuity counters are put in last, unless [`Stream::numbered`] is called before
//! a fault that is one of them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation)]

pub mod tables;

use std::ops::Range;

use changeover::tr101290::{Analyser, Indicator, Observer, Place, Settings};
use changeover::ts::Packet;
use changeover::units::{Instant, Pid, Ticks27M};
use mpeg2ts_reader::mpegts_crc::sum32;

pub const VIDEO: u16 = 0x100;
pub const AUDIO: u16 = 0x101;
pub const DATA: u16 = 0x102;
pub const ECM: u16 = 0x103;
pub const ECM_AUDIO: u16 = 0x104;
pub const EMM: u16 = 0x105;
pub const VIDEO_2: u16 = 0x200;
pub const PCR_2: u16 = 0x201;
pub const PMT_1: u16 = 0x1000;
pub const PMT_2: u16 = 0x1001;

/// When the first packet comes, in nanoseconds of the engine's time.
const ORIGIN: i64 = 1_000_000_007;
/// Ticks from one packet to the next.
pub const TICKS: u64 = 27_000;

/// A time in nanoseconds from the first packet.
pub const fn ms(ms: i64) -> i64 {
    ms * 1_000_000
}

/// A PID of a program, 0 for none.
pub const fn on(pid: u16, program: u16) -> Place {
    Place { pid: Some(Pid::new(pid)), program: if program == 0 { None } else { Some(program) } }
}

/// What a slot carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Null,
    Pat,
    Pmt1,
    Pmt2,
    Cat,
    Ecm,
    EcmAudio,
    Emm,
    NitActual,
    NitOther,
    SdtActual,
    SdtOther,
    Bat,
    EitPresent,
    EitFollowing,
    EitOther,
    Tdt,
    Tot,
    Video,
    Audio,
    Data,
    Video2,
    Planted,
}

/// What the clean stream has in a slot.
const fn lane_of(slot: usize) -> Lane {
    match (slot % 20, slot % 100, slot % 500, slot % 2_000, slot % 5_000) {
        (1 | 5 | 9, ..) => Lane::Video,
        (2 | 6, ..) => Lane::Audio,
        (3, ..) => Lane::Data,
        (7 | 11, ..) => Lane::Video2,
        (_, 19, ..) => Lane::Ecm,
        (_, 39, ..) => Lane::Emm,
        (_, 59, ..) => Lane::EcmAudio,
        (_, 0, ..) => Lane::Pat,
        (_, 4, ..) => Lane::Pmt1,
        (_, 8, ..) => Lane::Pmt2,
        (_, 12, ..) => Lane::Cat,
        (_, _, 20, ..) => Lane::SdtActual,
        (_, _, 32, ..) => Lane::EitPresent,
        (_, _, 64, ..) => Lane::EitFollowing,
        (_, _, _, 16 | 1_016, _) => Lane::NitActual,
        (_, _, _, 24, _) => Lane::SdtOther,
        (_, _, _, 28, _) => Lane::Bat,
        (_, _, _, 36, _) => Lane::EitOther,
        (_, _, _, 48, _) => Lane::NitOther,
        (.., 40) => Lane::Tdt,
        (.., 44) => Lane::Tot,
        _ => Lane::Null,
    }
}

/// A packet and when it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub lane: Lane,
    /// In nanoseconds from the first packet.
    pub at: i64,
    pub bytes: [u8; 188],
}

/// The packets of a stream, by their slots, and how long it is watched.
#[derive(Clone, Debug)]
pub struct Stream {
    pub slots: Vec<Slot>,
    numbered: bool,
}

pub fn null() -> [u8; 188] {
    let mut packet = [0xFF; 188];
    packet[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
    packet
}

/// A packet with the payload that the place of its slot makes unlike any other.
pub fn filled(pid: u16, slot: usize) -> [u8; 188] {
    let mut packet = [0; 188];
    let [high, low] = pid.to_be_bytes();
    packet[..4].copy_from_slice(&[0x47, high, low, 0x10]);
    for (i, byte) in packet[4..].iter_mut().enumerate() {
        *byte = (slot >> (i % 4 * 8)) as u8 ^ (i as u8 | 0x80);
    }
    packet
}

fn with_pts(pid: u16, slot: usize, stream_id: u8) -> [u8; 188] {
    let mut packet = filled(pid, slot);
    packet[1] |= 0x40;
    let pts = slot as u64 * 90 + 45_000;
    let pts = [pts >> 29 & 0x0E | 0x21, pts >> 22, pts >> 14 | 1, pts >> 7, pts << 1 | 1].map(|bits| bits as u8);
    packet[4..13].copy_from_slice(&[0, 0, 1, stream_id, 0, 0, 0x80, 0x80, 5]);
    packet[13..18].copy_from_slice(&pts);
    packet
}

fn with_pcr(pid: u16, slot: usize, pcr: u64) -> [u8; 188] {
    let mut packet = filled(pid, slot);
    packet[3] |= 0x20;
    packet[4..6].copy_from_slice(&[7, 0x10]);
    put_pcr(&mut packet, pcr);
    packet
}

fn put_pcr(packet: &mut [u8; 188], pcr: u64) {
    let pcr = pcr % Ticks27M::WRAP;
    let (base, extension) = (pcr / 300, pcr % 300);
    let field = base << 15 | 0x7E00 | extension;
    packet[6..12].copy_from_slice(&field.to_be_bytes()[2..]);
}

/// A packet with an adaptation field and no payload.
pub fn bare(pid: u16) -> [u8; 188] {
    let mut packet = [0xFF; 188];
    let [high, low] = pid.to_be_bytes();
    packet[..6].copy_from_slice(&[0x47, high, low, 0x20, 183, 0]);
    packet
}

/// A section of up to 183 bytes in a packet of its own.
pub fn one_packet(pid: u16, section: &[u8]) -> [u8; 188] {
    let [packet] = packets(pid, section)[..] else { panic!("{} bytes", section.len()) };
    packet
}

/// A section in as many packets as it needs.
pub fn packets(pid: u16, section: &[u8]) -> Vec<[u8; 188]> {
    let with_pointer = [&[0], section].concat();
    let parts = with_pointer.chunks(184).enumerate().map(|(i, part)| {
        let mut packet = [0xFF; 188];
        let [high, low] = pid.to_be_bytes();
        packet[..4].copy_from_slice(&[0x47, high | if i == 0 { 0x40 } else { 0 }, low, 0x10]);
        packet[4..4 + part.len()].copy_from_slice(part);
        packet
    });
    parts.collect()
}

pub fn pid_of(packet: &[u8; 188]) -> u16 {
    Packet::new(packet).pid().value()
}

/// transport_scrambling_control says so.
pub fn scramble(packet: &mut [u8; 188]) {
    packet[3] |= 0x80;
}

/// A bit of the CRC_32 is wrong, of the section at the start of the packet.
pub fn spoil(packet: &mut [u8; 188]) {
    let end = 5 + section_size(packet);
    packet[end - 1] ^= 1;
}

/// A bit of the contents is another, and the CRC_32 right.
pub fn touch(packet: &mut [u8; 188]) {
    let end = 5 + section_size(packet);
    let is_long = packet[6] & 0x80 != 0;
    // the version_number, or a second
    packet[if is_long { 10 } else { 12 }] ^= 2;
    let crc = sum32(&packet[5..end - 4]).to_be_bytes();
    packet[end - 4..end].copy_from_slice(&crc);
}

fn section_size(packet: &[u8; 188]) -> usize {
    3 + usize::from(u16::from_be_bytes([packet[6] & 0x0F, packet[7]]))
}

impl Stream {
    /// So many packets of the clean stream, watched until the time of the next.
    pub fn lasting(slots: usize) -> Self {
        Self::starting(slots, 0)
    }

    /// The same, with a clock that shows so many ticks at the first packet.
    pub fn starting(slots: usize, clock: u64) -> Self {
        let slot = |i| {
            let lane = lane_of(i);
            Slot { lane, at: ms(i as i64), bytes: clean(lane, i, clock) }
        };
        Self { slots: (0..slots).map(slot).collect(), numbered: false }
    }

    /// Null packets in place of what `lane` has in these slots.
    pub fn without(mut self, lane: Lane, slots: Range<usize>) -> Self {
        for slot in self.of(lane, slots) {
            (slot.lane, slot.bytes) = (Lane::Null, null());
        }
        self
    }

    fn of(&mut self, lane: Lane, slots: Range<usize>) -> impl Iterator<Item = &mut Slot> {
        self.slots[slots].iter_mut().filter(move |slot| slot.lane == lane)
    }

    /// Null packets in these slots.
    pub fn cleared(mut self, slots: Range<usize>) -> Self {
        for slot in &mut self.slots[slots] {
            (slot.lane, slot.bytes) = (Lane::Null, null());
        }
        self
    }

    /// A slot that arrives at another time.
    pub fn arriving(mut self, slot: usize, at: i64) -> Self {
        self.slots[slot].at = at;
        self
    }

    /// A slot that arrives so many nanoseconds before its time.
    pub fn early(self, slot: usize, ns: i64) -> Self {
        let at = self.slots[slot].at - ns;
        self.arriving(slot, at)
    }

    /// A slot that arrives so many nanoseconds after its time.
    pub fn late(self, slot: usize, ns: i64) -> Self {
        self.early(slot, -ns)
    }

    /// A change to the packet of a slot.
    pub fn edited(mut self, slot: usize, edit: impl FnOnce(&mut [u8; 188])) -> Self {
        edit(&mut self.slots[slot].bytes);
        self
    }

    /// A change to what `lane` has in these slots.
    pub fn all(mut self, lane: Lane, slots: Range<usize>, edit: impl Fn(&mut [u8; 188])) -> Self {
        self.of(lane, slots).for_each(|slot| edit(&mut slot.bytes));
        self
    }

    /// A packet in a slot that had a null packet.
    pub fn with(mut self, slot: usize, packet: [u8; 188]) -> Self {
        let place = &mut self.slots[slot];
        assert_eq!(place.lane, Lane::Null, "slot {slot}");
        (place.lane, place.bytes) = (Lane::Planted, packet);
        self
    }

    /// A packet of this PID in every twentieth slot.
    pub fn with_pid(self, pid: u16, slots: Range<usize>) -> Self {
        slots.step_by(20).fold(self, |stream, slot| stream.with(slot, filled(pid, slot)))
    }

    /// Another section in place of those that `lane` has in these slots.
    pub fn replaced(self, lane: Lane, slots: Range<usize>, section: &[u8]) -> Self {
        self.all(lane, slots, |packet| *packet = one_packet(pid_of(packet), section))
    }

    /// What stands in one slot, in another too, which arrives then.
    pub fn again(self, from: usize, to: usize, at: i64) -> Self {
        let packet = self.slots[from].bytes;
        self.with(to, packet).arriving(to, at)
    }

    /// A second occurrence of a packet, its counter included.
    pub fn repeated(self, from: usize, to: usize) -> Self {
        let copy = self.numbered();
        let bytes = copy.slots[from].bytes;
        copy.with(to, bytes)
    }

    /// No PCR in these slots.
    pub fn without_pcr(self, lane: Lane, slots: Range<usize>) -> Self {
        self.all(lane, slots, |packet| {
            if Packet::new(packet).has_pcr() {
                packet[5] &= !0x10;
            }
        })
    }

    /// A PCR that is so many ticks off.
    pub fn pcr_off(self, slot: usize, ticks: i64) -> Self {
        self.edited(slot, |packet| {
            let pcr = Packet::new(packet).pcr().unwrap().0;
            put_pcr(packet, pcr.wrapping_add_signed(Ticks27M::WRAP.cast_signed()).wrapping_add_signed(ticks));
        })
    }

    /// A clock that jumps by so many ticks: all PCRs of `lane` from this slot on.
    pub fn clock_jumps(mut self, lane: Lane, from: usize, ticks: i64) -> Self {
        for slot in from..self.slots.len() {
            if self.slots[slot].lane == lane && Packet::new(&self.slots[slot].bytes).has_pcr() {
                self = self.pcr_off(slot, ticks);
            }
        }
        self
    }

    /// The second program's PCRs on a PID that carries nothing else.
    pub fn with_pcr_pid(mut self) -> Self {
        let end = self.slots.len();
        for slot in (13..end).step_by(20) {
            let mut packet = bare(PCR_2);
            packet[5] = 0x10;
            put_pcr(&mut packet, slot as u64 * TICKS);
            self = self.with(slot, packet);
        }
        self.replaced(Lane::Pmt2, 0..end, &tables::pmt_2(PCR_2))
    }

    /// No PTS in these slots.
    pub fn without_pts(self, lane: Lane, slots: Range<usize>) -> Self {
        self.all(lane, slots, |packet| {
            if Packet::new(packet).starts_with_pts() {
                packet[11] &= 0x3F;
            }
        })
    }

    /// The continuity counters, in the order of arrival.
    pub fn numbered(mut self) -> Self {
        if self.numbered {
            return self;
        }
        self.numbered = true;
        let mut order: Vec<_> = (0..self.slots.len()).collect();
        order.sort_by_key(|&slot| self.slots[slot].at);
        let mut next = [0u8; Pid::COUNT];
        for slot in order {
            let packet = &mut self.slots[slot].bytes;
            let next = &mut next[usize::from(pid_of(packet))];
            let has_payload = packet[3] & 0x10 != 0;
            packet[3] = packet[3] & 0xF0 | if has_payload { *next } else { next.wrapping_sub(1) & 0x0F };
            *next = (*next + u8::from(has_payload)) % 16;
        }
        self
    }

    /// The counters of a PID are so much further from this slot on.
    pub fn counting_on(self, pid: u16, from: usize, by: u8) -> Self {
        let mut stream = self.numbered();
        for slot in stream.slots[from..].iter_mut().filter(|slot| pid_of(&slot.bytes) == pid) {
            slot.bytes[3] = slot.bytes[3] & 0xF0 | slot.bytes[3].wrapping_add(by) & 0x0F;
        }
        stream
    }

    /// Only some of the null packets, as a multiplex of no constant rate.
    pub fn at_no_constant_rate(self) -> Self {
        let mut stream = self.numbered();
        let mut seed = 1u32;
        stream.slots.retain(|slot| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            slot.lane != Lane::Null || seed >> 30 == 0
        });
        stream
    }
}

fn clean(lane: Lane, slot: usize, clock: u64) -> [u8; 188] {
    let pcr = clock + slot as u64 * TICKS;
    let table = |pid: Pid, section: Vec<u8>| one_packet(pid.value(), &section);
    match (lane, slot % 20) {
        (Lane::Null | Lane::Planted, _) => null(),
        (Lane::Pat, _) => table(Pid::PAT, tables::both_programs()),
        (Lane::Pmt1, _) => one_packet(PMT_1, &tables::pmt_1(&tables::STREAMS_1)),
        (Lane::Pmt2, _) => one_packet(PMT_2, &tables::pmt_2(VIDEO_2)),
        (Lane::Cat, _) => table(Pid::CAT, tables::emm_cat()),
        (Lane::Ecm, _) => one_packet(ECM, &tables::short(0x80, &[1; 20])),
        (Lane::EcmAudio, _) => one_packet(ECM_AUDIO, &tables::short(0x80, &[2; 20])),
        (Lane::Emm, _) => one_packet(EMM, &tables::short(0x82, &[3; 20])),
        (Lane::NitActual, _) => table(Pid::NIT, tables::nit(0x40, 1)),
        (Lane::NitOther, _) => table(Pid::NIT, tables::nit(0x41, 2)),
        (Lane::SdtActual, _) => table(Pid::SDT, tables::sdt(0x42, 1, true)),
        (Lane::SdtOther, _) => table(Pid::SDT, tables::sdt(0x46, 2, true)),
        (Lane::Bat, _) => table(Pid::SDT, tables::bat()),
        (Lane::EitPresent, _) => table(Pid::EIT, tables::eit(0x4E, 0)),
        (Lane::EitFollowing, _) => table(Pid::EIT, tables::eit(0x4E, 1)),
        (Lane::EitOther, _) => table(Pid::EIT, tables::eit(0x4F, 0)),
        (Lane::Tdt, _) => table(Pid::TDT, tables::tdt()),
        (Lane::Tot, _) => table(Pid::TDT, tables::tot()),
        (Lane::Video, 9) => with_pcr(VIDEO, slot, pcr),
        (Lane::Video, 1) => with_pts(VIDEO, slot, 0xE0),
        (Lane::Video, _) => filled(VIDEO, slot),
        (Lane::Audio, 2) => with_pts(AUDIO, slot, 0xC0),
        (Lane::Audio, _) => filled(AUDIO, slot),
        (Lane::Data, _) => filled(DATA, slot),
        (Lane::Video2, 7) => with_pts(VIDEO_2, slot, 0xE0),
        (Lane::Video2, _) => with_pcr(VIDEO_2, slot, pcr),
    }
}

/// Which indicator, where and when, in nanoseconds from the first packet.
pub type Event = (Indicator, Place, i64);

struct Raised(Vec<Event>);

impl Observer for Raised {
    fn event(&mut self, at: Instant, indicator: Indicator, place: Place) {
        self.0.push((indicator, place, at.nanos() - ORIGIN));
    }
}

/// How time is told to the analyser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// From each deadline to the next, as a driver lets it pass.
    ByDeadlines,
    /// By the packets alone, and once at the end.
    ByPackets,
}

/// What came of a stream.
pub struct Outcome {
    pub events: Vec<Event>,
    pub analyser: Analyser,
}

impl Outcome {
    /// The indicators whose absence lasts at the end.
    pub fn absent(&self) -> Vec<Indicator> {
        Indicator::ALL.into_iter().filter(|&i| self.analyser.is_absent(i)).collect()
    }

    /// Whether each packet has its PID, or is counted as unreadable.
    pub fn accounts_for(&self, packets: usize) -> bool {
        let count = |indicator| self.analyser.count(indicator).events();
        let unread = count(Indicator::SyncByteError) + count(Indicator::TransportError);
        let by_pid: u64 = self.analyser.pids().map(|(_, packets)| packets).sum();
        self.analyser.packets() == packets as u64 && by_pid + unread == packets as u64
    }
}

/// The analyser over a stream, until the time of the slot after its last.
pub fn watch(stream: &Stream, drive: Drive) -> Outcome {
    let stream = stream.clone().numbered();
    let end = stream.slots.last().map_or(0, |slot| slot.at) / ms(1) * ms(1) + ms(1);
    watch_until(&stream, drive, end)
}

/// The analyser over a stream, until a time.
pub fn watch_until(stream: &Stream, drive: Drive, end: i64) -> Outcome {
    let Stream { mut slots, .. } = stream.clone().numbered();
    slots.sort_by_key(|slot| slot.at);
    let mut analyser = Analyser::new(&Settings::default());
    let mut raised = Raised(Vec::new());
    for slot in &slots {
        let at = Instant::from_nanos(ORIGIN + slot.at);
        if drive == Drive::ByDeadlines {
            pass(&mut analyser, at, &mut raised);
        }
        analyser.packet(at, &slot.bytes, &mut raised);
    }
    let end = Instant::from_nanos(ORIGIN + end);
    match drive {
        Drive::ByDeadlines => pass(&mut analyser, end, &mut raised),
        Drive::ByPackets => analyser.advance(end, &mut raised),
    }
    Outcome { events: raised.0, analyser }
}

fn pass(analyser: &mut Analyser, to: Instant, raised: &mut Raised) {
    while analyser.deadline() <= to {
        analyser.advance(analyser.deadline(), raised);
    }
}
