//! What left, taken apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use changeover::engine::{Event, Switch, What};
use changeover::tr101290::{Analyser, Indicator, Settings};
use changeover::ts::pes::Header;
use changeover::ts::section::Assembler;
use changeover::ts::stream::Kind;
use changeover::ts::{PACKET_SIZE, Packet};
use changeover::units::{Instant, Pid, Pts90k, Ticks27M};

use crate::common::Rig;
use crate::feed::Feed;

type Bytes = [u8; PACKET_SIZE];

pub struct Output {
    pub feeds: Vec<Feed>,
    pub packets: Vec<Bytes>,
    /// When each of them left.
    pub at: Vec<i64>,
    /// When each datagram left.
    pub datagrams: Vec<i64>,
    pub events: Vec<Event>,
}

/// A PES packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Of 90 kHz, without wraps.
    pub pts: i64,
    pub dts: i64,
    /// As they stand there.
    pub stamps: (Pts90k, Pts90k),
    /// The number of its first packet.
    pub place: usize,
    /// What follows its header.
    pub bytes: Vec<u8>,
}

/// A PCR.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The number of its packet.
    pub place: usize,
    pub value: Ticks27M,
    /// discontinuity_indicator.
    pub signalled: bool,
}

/// From one unit to the next as they are presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Of 90 kHz.
    pub ticks: i64,
    /// The first packet of the second, and when that left.
    pub place: usize,
    pub at: i64,
}

/// One PMT, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    pub version: u8,
    pub pcr: u16,
    /// stream_type and PID.
    pub streams: Vec<(u8, u16)>,
}

/// The PES packets of a PID; the last may not be whole.
pub fn units(packets: &[Bytes], pid: Pid) -> Vec<Unit> {
    let mut whole: Vec<(usize, Vec<u8>)> = Vec::new();
    for (place, bytes) in packets.iter().enumerate() {
        let packet = Packet::new(bytes);
        if packet.pid() != pid || !packet.has_payload() {
            continue;
        }
        if packet.payload_unit_start_indicator() {
            whole.push((place, Vec::new()));
        }
        if let Some((_, bytes)) = whole.last_mut() {
            bytes.extend_from_slice(packet.payload());
        }
    }
    let mut units: Vec<Unit> = Vec::new();
    for (place, bytes) in whole {
        let header = Header::parse(&bytes).unwrap_or_else(|| panic!("packet {place} of {pid:?} begins no PES packet"));
        let stamps = (header.pts.unwrap(), header.decoding_time().unwrap());
        let dts = units.last().map_or(stamps.1.0 as i64, |last| last.dts + stamps.1.step_from(last.stamps.1));
        let bytes = bytes[usize::from(header.size)..].to_vec();
        units.push(Unit { pts: dts + stamps.0.step_from(stamps.1), dts, stamps, place, bytes });
    }
    units
}

/// What an access unit becomes that video is entered with: the same where its coding has no mark for it or it needs none.
fn marked(bytes: &[u8], codec: &str) -> Vec<u8> {
    let mut marked = bytes.to_vec();
    for at in (3..bytes.len().saturating_sub(4)).filter(|at| bytes[at - 3..*at] == [0, 0, 1]) {
        match codec {
            // broken_link where not closed_gop
            "MPEG-2 video" if bytes[at] == 0xB8 && bytes[at + 4] & 0x40 == 0 => marked[at + 4] |= 0x20,
            // broken_link_flag
            "H.264" if bytes[at..at + 3] == [6, 6, 1] => marked[at + 3] |= 0x20,
            // CRA_NUT to BLA_W_LP
            "HEVC" if bytes[at] == 21 << 1 => marked[at] = 16 << 1,
            _ => {}
        }
    }
    marked
}

/// The PCRs of a PID.
pub fn clocks(packets: &[Bytes], pid: Pid) -> Vec<Clock> {
    let of = |(place, bytes)| {
        let packet = Packet::new(bytes);
        let value = packet.pcr().filter(|_| packet.pid() == pid)?;
        Some(Clock { place, value, signalled: packet.discontinuity_indicator() })
    };
    packets.iter().enumerate().filter_map(of).collect()
}

/// By how many nanoseconds each PCR but the first and the last lies off the line through its neighbours, and the number of its
/// packet: for constant rates.
pub fn off_line(clocks: &[Clock]) -> Vec<(i64, usize)> {
    let off = |three: &[Clock]| {
        let [a, b, c] = three else { unreachable!() };
        let (whole, part) = ((c.place - a.place) as f64, (b.place - a.place) as f64);
        let (steps, step) = (c.value.step_from(a.value) as f64, b.value.step_from(a.value) as f64);
        (((steps * part / whole - step).abs() * 1000.0 / 27.0) as i64, b.place)
    };
    clocks.windows(3).map(off).collect()
}

/// The sections of a PID, and the number of the packet in which each ends.
pub fn sections(packets: &[Bytes], pid: Pid) -> Vec<(usize, Vec<u8>)> {
    let mut assembler = Assembler::<4096>::default();
    let mut found = Vec::new();
    for (place, bytes) in packets.iter().enumerate() {
        let packet = Packet::new(bytes);
        if packet.pid() == pid && packet.has_payload() {
            assembler.push(packet.payload_unit_start_indicator(), packet.payload(), |section| {
                assert!(section.is_intact(), "CRC_32 of a section that ends in packet {place}");
                found.push((place, section.bytes().to_vec()));
            });
        }
    }
    found
}

pub fn analysed(packets: &[Bytes], at: &[i64]) -> Analyser {
    let mut analyser = Analyser::new(&Settings::default());
    for (bytes, at) in packets.iter().zip(at) {
        analyser.packet(Instant::from_nanos(*at), bytes, &mut ());
    }
    analyser
}

impl Output {
    pub fn new(rig: &Rig, feeds: Vec<Feed>) -> Self {
        let (mut packets, mut at) = (Vec::new(), Vec::new());
        for (when, bytes) in &rig.sent {
            packets.extend(bytes.as_chunks().0);
            at.resize(packets.len(), when.nanos());
        }
        let datagrams = rig.sent.iter().map(|(at, _)| at.nanos()).collect();
        Self { feeds, packets, at, datagrams, events: rig.events.clone() }
    }

    pub fn analysed(&self) -> Analyser {
        analysed(&self.packets, &self.at)
    }

    /// All switches but the start, and when each was told.
    pub fn switches(&self) -> Vec<(i64, Switch)> {
        let all = self.events.iter().filter_map(|event| {
            let What::Switch(switch) = event.what else { return None };
            switch.from.is_some().then_some((event.at.nanos(), switch))
        });
        all.collect()
    }

    /// How each switch was made, and how often.
    pub fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for (_, switch) in self.switches() {
            *kinds.entry(switch.kind.name()).or_default() += 1;
        }
        kinds
    }

    /// The first PID of a kind, by the PMTs of the first seconds.
    pub fn pid(&self, kind: Kind) -> Pid {
        self.pids(kind)[0]
    }

    pub fn pids(&self, kind: Kind) -> Vec<Pid> {
        let n = self.packets.len().min(2000);
        let analyser = analysed(&self.packets[..n], &self.at[..n]);
        analyser.streams().iter().filter(|s| s.description.kind == kind).map(|s| s.pid).collect()
    }

    pub fn units(&self, kind: Kind) -> Vec<Unit> {
        units(&self.packets, self.pid(kind))
    }

    pub fn clocks(&self) -> Vec<Clock> {
        let n = self.packets.len().min(2000);
        let pid = analysed(&self.packets[..n], &self.at[..n]).programs()[0].pcr_pid;
        clocks(&self.packets, pid.expect("a PCR_PID"))
    }

    /// Each PMT of the first program that is another than the one before.
    pub fn maps(&self) -> Vec<Map> {
        let n = self.packets.len().min(2000);
        let pid = analysed(&self.packets[..n], &self.at[..n]).programs()[0].pmt_pid;
        let mut maps: Vec<Map> = Vec::new();
        for (_, pmt) in sections(&self.packets, pid).iter().filter(|(_, section)| section[0] == 2) {
            let word = |at: usize| u16::from_be_bytes([pmt[at], pmt[at + 1]]);
            let mut streams = Vec::new();
            let mut at = 12 + usize::from(word(10) & 0xFFF);
            while at + 4 < pmt.len() {
                streams.push((pmt[at], word(at + 1) & 0x1FFF));
                at += 5 + usize::from(word(at + 3) & 0xFFF);
            }
            let map = Map { version: pmt[5] >> 1 & 0x1F, pcr: word(8) & 0x1FFF, streams };
            if maps.last() != Some(&map) {
                maps.push(map);
            }
        }
        maps
    }

    /// Where each PES packet of a kind came from: the feed and its place among the feed's, that is, of which feed it has all
    /// bytes. Panics where one is of none; the first and the last, which need not be whole, are left out.
    pub fn lineage(&self, kind: Kind) -> Vec<(Unit, usize, Unit)> {
        self.lineage_of(kind, 0)
    }

    /// The same of the streams at this place among those of the kind.
    pub fn lineage_of(&self, kind: Kind, place: usize) -> Vec<(Unit, usize, Unit)> {
        let mut known: HashMap<Vec<u8>, (usize, Unit, bool)> = HashMap::new();
        for (n, feed) in self.feeds.iter().enumerate() {
            let pid = feed.tape.pids(kind)[place];
            let codec = feed.tape.analysed().streams().iter().find(|s| s.pid == pid).unwrap().description.codec;
            for unit in units(&feed.tape.packets, pid) {
                let marked = marked(&unit.bytes, codec);
                if marked != unit.bytes {
                    known.insert(marked, (n, unit.clone(), true));
                }
                known.insert(unit.bytes.clone(), (n, unit, false));
            }
        }
        let all = units(&self.packets, self.pids(kind)[place]);
        let whole = all.get(1..all.len() - 1).unwrap_or_default().iter();
        let mut before = None;
        let found = whole.map(|unit| {
            let (feed, origin, is_marked) = known.get(&unit.bytes).unwrap_or_else(|| {
                panic!("{kind:?} at packet {}, {} bytes, dts {}: of no feed", unit.place, unit.bytes.len(), unit.dts)
            });
            let is_entry = before.replace(*feed).is_some_and(|before| before != *feed);
            let is_right = *is_marked == is_entry || is_entry && !known.values().any(|(_, of, is)| *is && of == origin);
            assert!(is_right, "packet {}: marked {is_marked}, entered {is_entry}", unit.place);
            (unit.clone(), *feed, origin.clone())
        });
        found.collect()
    }

    /// The steps from picture to picture, or from sound to sound, as they are presented, in ticks of 90 kHz.
    pub fn steps(&self, kind: Kind) -> Vec<Step> {
        let mut pts: Vec<(i64, usize)> = self.units(kind).iter().map(|unit| (unit.pts, unit.place)).collect();
        pts.sort_unstable();
        // of the last ones some that are presented before did not come any more
        pts.truncate(pts.len().saturating_sub(8));
        pts.windows(2)
            .map(|pair| Step { ticks: pair[1].0 - pair[0].0, place: pair[1].1, at: self.at[pair[1].1] })
            .collect()
    }

    /// Of those the ones that are not in a range.
    pub fn steps_outside(&self, kind: Kind, range: RangeInclusive<i64>) -> Vec<Step> {
        self.steps(kind).into_iter().filter(|step| !range.contains(&step.ticks)).collect()
    }

    /// Where a continuity_counter does not follow: the packet, when it left, its PID, its counter and the one before.
    pub fn discontinuities(&self) -> Vec<(usize, i64, Pid, u8, u8)> {
        let mut last: HashMap<Pid, u8> = HashMap::new();
        let mut found = Vec::new();
        for (place, bytes) in self.packets.iter().enumerate() {
            let packet = Packet::new(bytes);
            let (pid, counter) = (packet.pid(), packet.continuity_counter());
            if pid == Pid::NULL {
                continue;
            }
            let before = last.insert(pid, counter);
            let wanted = before.map(|before| before.wrapping_add(u8::from(packet.has_payload())) & 0x0F);
            if wanted.is_some_and(|wanted| wanted != counter) && !packet.discontinuity_indicator() {
                found.push((place, self.at[place], pid, counter, before.unwrap()));
            }
        }
        found
    }

    /// Without the PES packets that do not begin or do not end.
    pub fn trimmed(&self) -> Vec<Bytes> {
        let (mut first, mut last) = (HashMap::new(), HashMap::new());
        for (n, bytes) in self.packets.iter().enumerate() {
            let packet = Packet::new(bytes);
            if packet.payload_unit_start_indicator() {
                first.entry(packet.pid()).or_insert(n);
                last.insert(packet.pid(), n);
            }
        }
        let media: BTreeSet<Pid> = [Kind::Video, Kind::Audio].into_iter().flat_map(|kind| self.pids(kind)).collect();
        let kept = |(n, bytes): (usize, &Bytes)| {
            let pid = Packet::new(bytes).pid();
            let is_whole = !media.contains(&pid) || first.get(&pid) <= Some(&n) && last.get(&pid) > Some(&n);
            is_whole.then_some(*bytes)
        };
        self.packets.iter().enumerate().filter_map(kept).collect()
    }

    /// What holds for any output of a channel that does not signal steps: counters, PCRs and DTS run on, CRC_32 are right.
    pub fn is_clean(&self) -> Analyser {
        assert_eq!(self.discontinuities(), [], "continuity counters");
        let analyser = self.analysed();
        for indicator in [
            Indicator::ContinuityCountError,
            Indicator::PcrDiscontinuityIndicatorError,
            Indicator::CrcError,
            Indicator::SyncByteError,
        ] {
            assert_eq!(analyser.count(indicator).events(), 0, "{indicator:?}");
        }
        for clocks in self.clocks().windows(2) {
            let step = clocks[1].value.step_from(clocks[0].value);
            assert!((0..=2_700_000).contains(&step) && !clocks[1].signalled, "a PCR step of {step}: {clocks:?}");
        }
        for kind in [Kind::Video, Kind::Audio] {
            for pid in self.pids(kind) {
                for pair in units(&self.packets, pid).windows(2) {
                    let (a, b) = (&pair[0], &pair[1]);
                    assert!(
                        b.dts > a.dts,
                        "{kind:?}: DTS {} in packet {}, then {} in {}",
                        a.dts,
                        a.place,
                        b.dts,
                        b.place
                    );
                }
            }
        }
        analyser
    }
}
