//! Streams that want to fill every list: nothing grows, what finds no room is counted, and each packet is accounted for.
//! Each is 200,000 packets long; that they end in a moment is the rest of what they show.

use changeover::tr101290::{Analyser, Indicator, MAX_PROGRAMS, MAX_STREAMS, Settings};
use changeover::units::{Instant, Pid, Span};

use crate::plant::tables::{Listed, cat, conditional_access, long, pat, pmt};
use crate::plant::{filled, packets};

const PACKETS: usize = 200_000;

/// An analyser that gets packets of 100 µs, with continuity counters that are right.
struct Bench {
    analyser: Analyser,
    counters: Vec<u8>,
    at: Instant,
}

impl Bench {
    fn new() -> Self {
        let analyser = Analyser::new(&Settings::default());
        Self { analyser, counters: vec![0; Pid::COUNT], at: Instant::ZERO }
    }

    fn packet(&mut self, mut packet: [u8; 188]) {
        let pid = usize::from(u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF);
        packet[3] = packet[3] & 0xF0 | self.counters[pid];
        self.counters[pid] = (self.counters[pid] + 1) % 16;
        self.at += Span::from_micros(100);
        while self.analyser.deadline() <= self.at {
            self.analyser.advance(self.analyser.deadline(), &mut ());
        }
        self.analyser.packet(self.at, &packet, &mut ());
    }

    fn section(&mut self, pid: u16, section: &[u8]) {
        packets(pid, section).into_iter().for_each(|packet| self.packet(packet));
    }

    fn is_full(&self) -> bool {
        self.analyser.packets() >= PACKETS as u64
    }

    fn count(&self, indicator: Indicator) -> u64 {
        self.analyser.count(indicator).events()
    }

    /// Packets in are packets accounted for.
    fn finish(&self) {
        let unread = self.count(Indicator::SyncByteError) + self.count(Indicator::TransportError);
        let by_pid: u64 = self.analyser.pids().map(|(_, packets)| packets).sum();
        assert_eq!(by_pid + unread, self.analyser.packets());
        assert!(self.is_full());
    }
}

/// 8,000 programs, each on a PID of its own as far as there are any, in 32 sections.
fn large_pat(version: u8) -> Vec<Vec<u8>> {
    let section = |n: u8| {
        let number = |i: u16| u16::from(n) * 250 + i + 1;
        let programs: Vec<_> = (0..250).map(|i| (number(i), 0x20 + number(i))).collect();
        let mut section = pat(n, 31, &programs);
        section[5] ^= (version % 32) << 1;
        section.truncate(section.len() - 4);
        crate::plant::tables::seal(section)
    };
    (0..32).map(section).collect()
}

#[test]
fn a_pat_of_8000_programs_fills_its_places_and_counts_the_rest_once() {
    let (mut bench, sections) = (Bench::new(), large_pat(0));
    while !bench.is_full() {
        sections.iter().for_each(|section| bench.section(0, section));
    }
    bench.finish();
    assert_eq!(bench.analyser.programs().len(), MAX_PROGRAMS);
    assert_eq!(bench.analyser.left_out(), 8_000 - MAX_PROGRAMS as u64);
    assert_eq!(bench.count(Indicator::PmtError2), MAX_PROGRAMS as u64);
    assert_eq!((bench.count(Indicator::CrcError), bench.count(Indicator::PatError2)), (0, 0));
}

#[test]
fn a_pat_of_8000_programs_that_changes_every_time_fills_no_more_places() {
    let (mut bench, mut rounds) = (Bench::new(), 0);
    let versions: Vec<_> = (0..32).map(large_pat).collect();
    while !bench.is_full() {
        versions[rounds % 32].iter().for_each(|section| bench.section(0, section));
        rounds += 1;
    }
    bench.finish();
    assert_eq!(bench.analyser.programs().len(), MAX_PROGRAMS);
    assert_eq!(bench.analyser.left_out(), rounds as u64 * (8_000 - MAX_PROGRAMS as u64));
}

#[test]
fn pmts_that_change_every_time_fill_no_more_places() {
    let mut bench = Bench::new();
    let programs: Vec<_> = (1..=200).map(|number| (number, 0x20 + number)).collect();
    let mut round = 0u16;
    while !bench.is_full() {
        bench.section(0, &pat(0, 0, &programs));
        for &(number, pid) in &programs {
            let elementary = |i: u16| 0x100 + (number * 31 + round * 7 + i * 13) % 0x1E00;
            let streams: Vec<Listed> =
                (0..30).map(|i| ([0x1B, 0x0F, 0x06][usize::from(i) % 3], elementary(i), &[][..])).collect();
            bench.section(pid, &pmt(number, elementary(0), &[elementary(31)], &streams));
        }
        round += 1;
    }
    bench.finish();
    assert_eq!((bench.analyser.programs().len(), bench.analyser.streams().len()), (MAX_PROGRAMS, MAX_STREAMS));
    assert!(bench.analyser.left_out() > 1_000_000, "{}", bench.analyser.left_out());
    assert_eq!(bench.count(Indicator::CrcError), 0);
}

#[test]
fn sections_that_never_end_are_begun_and_forgotten() {
    let mut bench = Bench::new();
    bench.section(0, &pat(0, 0, &[(0, 0x10), (1, 0x100)]));
    let tables = [(0, 0x00), (1, 0x01), (0x100, 0x02), (0x10, 0x40), (0x11, 0x42), (0x12, 0x4E), (0x14, 0x73)];
    for i in 0.. {
        for (pid, table_id) in tables {
            let mut packet = filled(pid, i);
            // every thousandth is a beginning, of 4,095 bytes or of as many as the PID cannot have
            if i % 1_000 == 0 {
                packet[1] |= 0x40;
                packet[4..8].copy_from_slice(&[0, table_id, 0xBF, 0xFD]);
            }
            bench.packet(packet);
        }
        if bench.is_full() {
            break;
        }
    }
    bench.finish();
    let indicators = [Indicator::ContinuityCountError, Indicator::SyncByteError];
    assert_eq!(indicators.map(|indicator| bench.count(indicator)), [0, 0]);
    assert_eq!((bench.count(Indicator::PatError2), bench.count(Indicator::PmtError2)), (1, 1));
}

#[test]
fn pids_that_change_with_every_packet_are_all_counted() {
    let mut bench = Bench::new();
    for i in 0..PACKETS {
        bench.packet(filled((i % Pid::COUNT) as u16, i));
    }
    bench.finish();
    assert_eq!(bench.analyser.pids().count(), Pid::COUNT);
    // all but 0x00 to 0x1F, the null packets and the base PID of ATSC
    assert_eq!(bench.count(Indicator::UnreferencedPid), 8_192 - 32 - 2);
    assert_eq!(bench.count(Indicator::ContinuityCountError), 0);
}

#[test]
fn a_cat_of_thousands_of_descriptors_fills_its_places_and_counts_the_rest() {
    let mut bench = Bench::new();
    let sections: Vec<_> = (0..32u16)
        .map(|n| {
            let pids: Vec<_> = (0..168).map(|i| 0x20 + n * 168 + i).collect();
            long(0x01, 0xFFFF, n as u8, 31, &conditional_access(&pids))
        })
        .collect();
    assert_eq!(cat(&[0; 168]).len(), sections[0].len());
    sections.iter().for_each(|section| bench.section(1, section));
    assert_eq!(bench.analyser.left_out(), 32 * 168 - 128);
    while !bench.is_full() {
        sections.iter().for_each(|section| bench.section(1, section));
    }
    bench.finish();
    assert_eq!((bench.count(Indicator::CrcError), bench.count(Indicator::CatError)), (0, 0));
}

#[test]
fn packets_of_chance_on_the_pids_of_the_tables_are_survived() {
    let mut bench = Bench::new();
    bench.section(0, &pat(0, 0, &[(0, 0x10), (1, 0x100)]));
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    while !bench.is_full() {
        let mut packet = [0; 188];
        packet.chunks_mut(8).for_each(|part| part.copy_from_slice(&next().to_be_bytes()[..part.len()]));
        packet[0] = 0x47;
        let pid = [0, 1, 0x10, 0x11, 0x12, 0x14, 0x100, 0x101][(next() % 8) as usize];
        let flags = u16::from(packet[1] & 0xE0) << 8;
        packet[1..3].copy_from_slice(&(flags | pid).to_be_bytes());
        bench.packet(packet);
    }
    bench.finish();
    assert!(bench.count(Indicator::TransportError) > 90_000);
}
