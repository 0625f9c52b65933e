//! What the output really is, told from nothing but the datagrams that leave and the packets that were made for it.
//!
//! Invariants:
//! - The time in which tables, PIDs and clocks must come is that of the stream itself, so many nanoseconds a packet: a
//!   machine that is busy makes no fault of the content.
//! - A packet is known by all its bytes but its continuity counter and its discontinuity_indicator, which a cut may
//!   rewrite. Packets that come again and again (tables, null packets) are known, and have no place in the order.
//! - Where an RTP datagram is missing, that is the error: what follows is not held against what it lacks.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};

use super::fault::{AUDIO_PID, NULL_PACKET, VIDEO_PID};
use crate::synth::Packet;
use crate::tr101290::{Analyser, Indicator, Settings};
use crate::transport::{self, Framing, Rtp};
use crate::ts;
use crate::units::{Instant, Span};

/// Packets with a place in the order that are remembered: five seconds of 8 Mb/s.
const REMEMBERED: usize = 26_000;
/// Cuts that can wait to be fetched; more than that are no cuts.
const CUTS: usize = 256;

/// One packet of the source, as the judge remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    fingerprint: u64,
    /// Whether it is like no other, so that it has a place in the order.
    unique: bool,
}

impl Source {
    /// Of this packet.
    pub(super) fn of(bytes: &[u8; Packet::SIZE]) -> Self {
        let pid = ts::Packet::new(bytes).pid();
        Self { fingerprint: fingerprint(bytes), unique: pid == VIDEO_PID || pid == AUDIO_PID }
    }
}

/// A number of all bytes of a packet but those that a cut may rewrite.
fn fingerprint(bytes: &[u8; Packet::SIZE]) -> u64 {
    let mut bytes = *bytes;
    bytes[3] &= 0xF0;
    if bytes[3] & 0x20 != 0 && bytes[4] != 0 {
        bytes[5] &= 0x7F;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    hasher.finish()
}

/// A place of the output where the source does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// When the first packet behind it came.
    pub at: Instant,
    /// Packets of picture and sound that the output lacks.
    pub lost: u64,
    /// Packets of picture and sound that it has again.
    pub repeated: u64,
    /// The time without a datagram before it.
    pub gap: Span,
}

/// What was found up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Datagrams.
    pub datagrams: u64,
    /// TS packets.
    pub packets: u64,
    /// Events of each indicator, by [`Indicator::index`].
    pub counts: [u64; Indicator::COUNT],
    /// Times that the PCR stepped with a discontinuity_indicator.
    pub signalled_steps: u64,
    /// Datagrams that are no RTP with TS packets.
    pub foreign: u64,
    /// Times that the RTP sequence did not go on.
    pub sequence_errors: u64,
    /// RTP datagrams that are missing.
    pub sequence_missing: u64,
    /// Packets that the source does not have.
    pub unknown: u64,
    /// Packets whose place in the source was found.
    pub placed: u64,
    /// The longest time without a datagram.
    pub longest_gap: Span,
    /// Cuts that were not fetched in time.
    pub cuts_missed: u64,
}

impl Findings {
    /// Events of one indicator.
    pub const fn count(&self, indicator: Indicator) -> u64 {
        self.counts[indicator.index()]
    }
}

/// Judges one output.
#[derive(Debug)]
pub(super) struct Judge {
    /// From the fingerprint to the place in the order, for those that have one.
    known: HashMap<u64, Option<u64>>,
    order: VecDeque<u64>,
    places: u64,
    analyser: Analyser,
    /// What earlier analysers counted.
    before: [u64; Indicator::COUNT],
    /// The time that one packet takes.
    packet: Span,
    /// The place that comes next.
    next: Option<u64>,
    rtp: Option<Rtp>,
    last: Option<Instant>,
    cuts: Vec<Cut>,
    findings: Findings,
}

impl Judge {
    /// A judge of a stream of `bit_rate`.
    pub(super) fn new(bit_rate: u64) -> Self {
        let packet_ns = Packet::SIZE as u64 * 8 * 1_000_000_000 / bit_rate.max(1);
        Self {
            known: HashMap::from([(fingerprint(&NULL_PACKET), None)]),
            order: VecDeque::with_capacity(REMEMBERED),
            places: 0,
            analyser: Analyser::new(&Settings::default()),
            before: [0; Indicator::COUNT],
            packet: Span::from_nanos(packet_ns.cast_signed()),
            next: None,
            rtp: None,
            last: None,
            cuts: Vec::with_capacity(CUTS),
            findings: Findings::default(),
        }
    }

    /// The next packet of the source. To be told before the output can have it.
    pub(super) fn source(&mut self, source: Source) {
        if !source.unique {
            self.known.insert(source.fingerprint, None);
            return;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(source.fingerprint);
        self.known.insert(source.fingerprint, Some(self.places));
        self.places += 1;
    }

    /// The next datagram of the output, which came at `at`.
    pub(super) fn datagram(&mut self, bytes: &[u8], at: Instant) {
        self.findings.datagrams += 1;
        let gap = self.last.map_or(Span::ZERO, |last| at.since(last));
        self.last = Some(at);
        self.findings.longest_gap = self.findings.longest_gap.max(gap);
        let layout = transport::read(bytes, Framing::Rtp).filter(|layout| !layout.odd && layout.stride == 188);
        let Some((layout, rtp)) = layout.and_then(|layout| Some((layout, layout.rtp?))) else {
            self.findings.foreign += 1;
            return;
        };
        self.sequence(rtp);
        let payload = bytes.get(usize::from(layout.offset)..).unwrap_or_default();
        for packet in payload.as_chunks().0.iter().take(usize::from(layout.packets)) {
            self.packet(packet, at, gap);
        }
    }

    fn sequence(&mut self, rtp: Rtp) {
        let Some(last) = self.rtp.replace(rtp) else { return };
        let expected = last.sequence.wrapping_add(1);
        if rtp.ssrc == last.ssrc && rtp.sequence == expected {
            return;
        }
        self.findings.sequence_errors += 1;
        self.findings.sequence_missing += u64::from(rtp.sequence.wrapping_sub(expected));
        for (before, indicator) in self.before.iter_mut().zip(Indicator::ALL) {
            *before += self.analyser.count(indicator).events();
        }
        self.analyser = Analyser::new(&Settings::default());
        self.next = None;
    }

    fn packet(&mut self, bytes: &[u8; Packet::SIZE], at: Instant, gap: Span) {
        let nth = i64::try_from(self.findings.packets).unwrap_or(i64::MAX);
        self.analyser.packet(Instant::from_nanos(nth.saturating_mul(self.packet.nanos())), bytes, &mut ());
        self.findings.packets += 1;
        let packet = ts::Packet::new(bytes);
        self.findings.signalled_steps += u64::from(packet.has_pcr() && packet.discontinuity_indicator());
        let Some(&place) = self.known.get(&fingerprint(bytes)) else {
            self.findings.unknown += 1;
            return;
        };
        let Some(place) = place else { return };
        self.findings.placed += 1;
        let expected = self.next.replace(place + 1).unwrap_or(place);
        if place == expected {
            return;
        }
        if self.cuts.len() == CUTS {
            self.findings.cuts_missed += 1;
            return;
        }
        self.cuts.push(Cut { at, lost: place.saturating_sub(expected), repeated: expected.saturating_sub(place), gap });
    }

    /// The cuts since the last call.
    pub(super) fn take_cuts(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.cuts)
    }

    /// What was found up to now.
    pub(super) fn findings(&self) -> Findings {
        let mut findings = self.findings.clone();
        for (count, indicator) in findings.counts.iter_mut().zip(Indicator::ALL) {
            *count = self.before[indicator.index()] + self.analyser.count(indicator).events();
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::remux::{self, Pcr, Remux};
    use crate::switch::{Handle, Store};
    use crate::synth::{self, Feed};
    use crate::ts::{Outline, Packet};

    const BIT_RATE: u64 = 8_000_000;

    /// A source of which a test sends what it likes.
    struct Bench {
        judge: Judge,
        packets: Vec<[u8; 188]>,
        sequence: u16,
        ms: i64,
    }

    impl Bench {
        fn new(packets: usize) -> Self {
            let mut feed = Feed::new(synth::Settings { bit_rate: BIT_RATE, ..synth::Settings::default() });
            let packets: Vec<[u8; 188]> = (0..packets).map(|_| feed.next_packet().bytes).collect();
            let mut judge = Judge::new(BIT_RATE);
            packets.iter().for_each(|packet| judge.source(Source::of(packet)));
            Self { judge, packets, sequence: 65_530, ms: 0 }
        }

        fn send(&mut self, packets: &[[u8; 188]]) {
            for chunk in packets.chunks(7) {
                let mut datagram = vec![0x80, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
                datagram[2..4].copy_from_slice(&self.sequence.to_be_bytes());
                datagram.extend_from_slice(chunk.as_flattened());
                self.sequence = self.sequence.wrapping_add(1);
                self.judge.datagram(&datagram, Instant::from_nanos(self.ms * 1_000_000));
                self.ms += 1;
            }
        }

        fn unique(&self, range: std::ops::Range<usize>) -> u64 {
            self.packets[range].iter().filter(|packet| Source::of(packet).unique).count() as u64
        }
    }

    fn errors(findings: &Findings) -> u64 {
        findings.counts.iter().sum()
    }

    #[test]
    fn the_source_as_it_is_is_clean_and_every_packet_has_its_place() {
        let mut bench = Bench::new(20_000);
        let all = bench.packets.clone();
        bench.send(&all);
        let findings = bench.judge.findings();
        assert_eq!((findings.packets, errors(&findings)), (20_000, 0), "{findings:?}");
        assert_eq!((findings.unknown, findings.sequence_errors, findings.foreign), (0, 0, 0));
        assert_eq!(findings.placed, bench.unique(0..20_000));
        assert!(findings.placed > 16_000);
        assert_eq!(bench.judge.take_cuts(), []);
        assert_eq!(findings.longest_gap, Span::from_millis(1));
    }

    /// A packet on its way through a switch.
    struct One([u8; 188]);

    impl Store for One {
        fn bytes(&self, _: Handle) -> Option<&[u8; 188]> {
            Some(&self.0)
        }

        fn bytes_mut(&mut self, _: Handle) -> Option<&mut [u8; 188]> {
            Some(&mut self.0)
        }

        fn fresh(&mut self) -> Option<Handle> {
            None
        }

        fn release(&mut self, _: Handle) {}
    }

    #[test]
    fn a_cut_tells_what_is_lost_or_repeated_to_the_packet() {
        let mut bench = Bench::new(8_000);
        let all = bench.packets.clone();
        let mut remux = Remux::new(&remux::Settings { feeds: 1, clock: remux::ClockPolicy::Signal });
        let mut output = Vec::new();
        for range in [0..4_003, 3_600..6_000, 6_200..8_000] {
            remux.cut(0);
            for packet in &all[range] {
                let mut store = One(*packet);
                remux.watch(0, Packet::new(packet));
                let outline = Outline::of(Packet::new(packet));
                if !remux.passes(0, outline) {
                    remux.packet(0, Handle::default(), outline, Pcr::Keep, &mut store, &mut |_, _| unreachable!());
                }
                output.push(store.0);
            }
        }
        bench.send(&output[..4_003]);
        bench.ms += 49;
        bench.send(&output[4_003..]);
        let cuts = bench.judge.take_cuts();
        let told: Vec<(u64, u64, Span)> = cuts.iter().map(|cut| (cut.lost, cut.repeated, cut.gap)).collect();
        let (repeated, lost) = (bench.unique(3_600..4_003), bench.unique(6_000..6_200));
        assert_eq!(told, [(0, repeated, Span::from_millis(50)), (lost, 0, Span::from_millis(1))]);
        let findings = bench.judge.findings();
        assert_eq!((errors(&findings), findings.unknown), (0, 0), "{findings:?}");
        assert_eq!(findings.signalled_steps, 1, "the step back");
    }

    #[test]
    fn what_a_cut_must_not_do_is_found() {
        let mut bench = Bench::new(8_000);
        let all = bench.packets.clone();
        bench.send(&all[..4_000]);
        bench.send(&all[3_600..6_000]);
        let mut alien = all[6_000];
        alien[100] ^= 1;
        bench.send(&[alien]);
        let findings = bench.judge.findings();
        assert!(findings.count(Indicator::ContinuityCountError) > 0);
        assert_eq!(findings.count(Indicator::PcrDiscontinuityIndicatorError), 1);
        assert_eq!(findings.unknown, 1);
    }

    #[test]
    fn a_missing_datagram_is_one_error_of_the_sequence_and_of_nothing_else() {
        let mut bench = Bench::new(8_000);
        let all = bench.packets.clone();
        bench.send(&all[..3_500]);
        bench.sequence = bench.sequence.wrapping_add(3);
        bench.send(&all[3_521..]);
        bench.judge.datagram(&[1, 2, 3], Instant::ZERO);
        let findings = bench.judge.findings();
        assert_eq!((findings.sequence_errors, findings.sequence_missing), (1, 3));
        assert_eq!((errors(&findings), findings.foreign), (0, 1), "{findings:?}");
        assert_eq!(bench.judge.take_cuts(), []);
    }

    #[test]
    fn what_lies_too_far_back_is_no_longer_known() {
        let mut bench = Bench::new(REMEMBERED * 13 / 10);
        let first = bench.packets.iter().position(|packet| Source::of(packet).unique).unwrap();
        let first = bench.packets[first];
        bench.send(&[first]);
        assert_eq!(bench.judge.findings().unknown, 1);
        assert!(bench.judge.known.len() < REMEMBERED + 20);
    }
}
