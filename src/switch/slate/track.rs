//! The PES packets of one PID: where they lie, when they are decoded, and whether they are whole.

use super::ClipError;
use super::grid::Grid;
use crate::tr101290::Stream;
use crate::ts::Packet;
use crate::ts::frames::Frames;
use crate::ts::pes::Header;
use crate::ts::pictures::Pictures;
use crate::ts::stream::Kind;
use crate::units::{Pid, Pts90k};

/// Bytes of a PES packet up to and with PES_packet_length.
const PREFIX: usize = 6;

/// One PES packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Its first transport packet, and its last.
    pub(super) first: usize,
    pub(super) last: usize,
    /// DTS in ticks of 90 kHz since the first of the stream, or what it would be where it has none.
    pub(super) dts: i64,
    /// Whether it has a PTS.
    pub(super) is_stamped: bool,
    /// Whether its DTS is no later than the one before.
    pub(super) falls: bool,
    /// Whether decoding can begin with it.
    pub(super) is_entry: bool,
    pub(super) is_whole: bool,
    /// Frames of sound that begin in it.
    frames: u64,
    /// PES_packet_length, where it is told.
    length: Option<usize>,
    /// Bytes that came.
    bytes: usize,
}

/// All of one PID.
pub(super) struct Track {
    pub(super) pid: Pid,
    pub(super) kind: Kind,
    pub(super) program: u16,
    pub(super) units: Vec<Unit>,
    /// Packets before which others are missing.
    breaks: Vec<usize>,
    /// Whether random access points can be told.
    pub(super) has_entries: bool,
    /// Samples of a frame of sound, and samples a second.
    frame: Option<(u64, u64)>,
}

impl Track {
    pub(super) fn read(grid: &Grid<'_>, stream: &Stream) -> Result<Self, ClipError> {
        let description = &stream.description;
        let mut reader = Reader {
            units: Vec::new(),
            open: None,
            breaks: Vec::new(),
            last: None,
            clock: None,
            pictures: description.pictures().map(Pictures::new),
            frames: description.frames().map(Frames::new),
        };
        for (i, packet) in grid.packets.iter().enumerate().filter(|(_, packet)| packet.pid() == stream.pid) {
            if reader.packet(i, *packet) {
                return Err(ClipError::Scrambled { pid: stream.pid, offset: grid.offset(i) });
            }
        }
        let last_is_stuffed = reader.last.is_some_and(is_stuffed);
        reader.close(last_is_stuffed);
        let length = reader.frames.as_ref().and_then(Frames::length);
        let has_entries = reader.pictures.is_some();
        let mut units = reader.units;
        fill_in(&mut units);
        Ok(Self {
            pid: stream.pid,
            kind: description.kind,
            program: stream.program,
            units,
            breaks: reader.breaks,
            has_entries,
            frame: length.map(|length| (u64::from(length.samples), u64::from(length.rate))),
        })
    }

    pub(super) fn unit(&self, number: usize) -> Option<&Unit> {
        self.units.get(number)
    }

    /// The first packet in `first`…`last` before which others are missing.
    pub(super) fn break_within(&self, first: usize, last: usize) -> Option<usize> {
        self.breaks.iter().copied().find(|at| (first + 1..=last).contains(at))
    }

    /// When what begins with unit `last` ends, in the ticks of the units' DTS.
    pub(super) fn end(&self, first: usize, last: usize) -> i64 {
        self.unit(last).map_or(0, |unit| unit.dts + self.duration(first, last))
    }

    /// How long unit `last` lasts: by its frames of sound, or as long as those from `first` on on average.
    pub(super) fn duration(&self, first: usize, last: usize) -> i64 {
        let Some(unit) = self.unit(last) else { return 0 };
        if let (Some((samples, rate)), 1..) = (self.frame, unit.frames) {
            let ticks = (unit.frames * samples * 90_000).div_ceil(rate.max(1));
            return i64::try_from(ticks).unwrap_or(i64::MAX);
        }
        let units = i64::try_from(last.saturating_sub(first)).unwrap_or(i64::MAX);
        let time = unit.dts - self.unit(first).map_or(0, |unit| unit.dts);
        (time + units / 2).checked_div(units).unwrap_or(0)
    }
}

/// Reads the packets of one PID in turn.
struct Reader<'a> {
    units: Vec<Unit>,
    open: Option<Unit>,
    breaks: Vec<usize>,
    /// The last packet with payload.
    last: Option<Packet<'a>>,
    /// The last PTS or DTS, and its ticks since the first.
    clock: Option<(Pts90k, i64)>,
    pictures: Option<Pictures>,
    frames: Option<Frames>,
}

impl<'a> Reader<'a> {
    /// The next packet of the PID; true where it is scrambled.
    fn packet(&mut self, i: usize, packet: Packet<'a>) -> bool {
        if !packet.has_payload() {
            return false;
        }
        if packet.is_scrambled() {
            return true;
        }
        if let Some(last) = self.last.replace(packet) {
            if is_repeat(last, packet) {
                return false;
            }
            if packet.continuity_counter() != last.continuity_counter().wrapping_add(1) & 0x0F {
                self.breaks.push(i);
                self.open = None;
                self.pictures.iter_mut().for_each(Pictures::reset);
            }
        }
        let (begins, payload) = (packet.payload_unit_start_indicator(), packet.payload());
        let mut scrambled = false;
        if begins {
            self.close(true);
            let header = Header::parse(payload);
            scrambled = header.is_some_and(|header| header.scrambled);
            self.open = header.map(|header| self.begin(i, packet, &header));
        }
        let picture = self.pictures.as_mut().and_then(|pictures| pictures.push(begins, payload));
        let started = self.frames.as_mut().map(|frames| frames.push(begins, payload)).unwrap_or_default();
        if let (true, Some(before)) = (begins, self.units.last_mut()) {
            before.frames += u64::from(started.before);
        }
        if let Some(unit) = &mut self.open {
            unit.last = i;
            unit.bytes += payload.len();
            unit.frames += u64::from(started.frames);
            if let Some(picture) = picture {
                unit.is_entry = picture.is_random_access();
            }
        }
        scrambled
    }

    fn begin(&mut self, i: usize, packet: Packet<'_>, header: &Header) -> Unit {
        let stamp = header.decoding_time();
        let (mut dts, mut falls) = (0, false);
        if let Some(stamp) = stamp {
            if let Some((last, ticks)) = self.clock {
                let step = stamp.step_from(last);
                falls = step <= 0;
                dts = ticks + step;
            }
            self.clock = Some((stamp, dts));
        }
        Unit {
            first: i,
            last: i,
            dts,
            is_stamped: stamp.is_some(),
            falls,
            is_entry: self.pictures.is_none() && packet.random_access_indicator(),
            is_whole: false,
            frames: 0,
            length: (header.packet_length > 0).then_some(usize::from(header.packet_length)),
            bytes: 0,
        }
    }

    /// The PES packet under way is over. `is_end` says that it is, where it tells no length.
    fn close(&mut self, is_end: bool) {
        if let Some(mut unit) = self.open.take() {
            unit.is_whole = unit.length.map_or(is_end, |length| unit.bytes >= length + PREFIX);
            self.units.push(unit);
        }
    }
}

/// Whether a packet is the one before once more (ISO/IEC 13818-1 2.4.3.3).
pub(super) fn is_repeat(before: Packet<'_>, packet: Packet<'_>) -> bool {
    before.has_payload()
        && before.continuity_counter() == packet.continuity_counter()
        && before.fingerprint() == packet.fingerprint()
}

/// Whether the adaptation field is longer than what stands in it, as only that of the last packet of a PES packet is.
fn is_stuffed(packet: Packet<'_>) -> bool {
    let &[_, _, _, control, length, flags, ..] = packet.bytes();
    if control & 0x20 == 0 {
        return false;
    }
    // transport_private_data and an extension have lengths of their own
    let needed = match flags & 0x1F {
        _ if length == 0 => return true,
        fields if fields & 0x03 != 0 => return false,
        fields => 1 + 6 * (fields >> 4 & 1) + 6 * (fields >> 3 & 1) + (fields >> 2 & 1),
    };
    length > needed
}

/// Gives units without a time stamp the time that they would have.
fn fill_in(units: &mut [Unit]) {
    let stamped: Vec<(usize, i64)> =
        units.iter().enumerate().filter(|(_, unit)| unit.is_stamped).map(|(i, unit)| (i, unit.dts)).collect();
    let number = |i: usize| i64::try_from(i).unwrap_or(i64::MAX);
    for (i, unit) in units.iter_mut().enumerate().filter(|(_, unit)| !unit.is_stamped) {
        let behind = stamped.partition_point(|(at, _)| *at < i).clamp(1, stamped.len().max(2) - 1);
        let (Some((from, start)), Some((to, end))) = (stamped.get(behind - 1), stamped.get(behind)) else { continue };
        unit.dts = start + (end - start) * (number(i) - number(*from)) / (number(*to) - number(*from)).max(1);
    }
}
