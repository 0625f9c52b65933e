//! Files of TS packets: how they are cut into packets, and what time each packet has.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::path::Path;

use changeover::replay::source::{Figures, LOOK_AHEAD, Source, SourceError};
use changeover::ts::PACKET_SIZE;
use changeover::units::BitRate;
use proptest::prelude::*;

const WRAP: u64 = (1 << 33) * 300;

/// A packet with payload only, numbered in its last bytes.
fn plain(pid: u16, number: u32) -> [u8; PACKET_SIZE] {
    let mut packet = [0xFF; PACKET_SIZE];
    let [p0, p1] = pid.to_be_bytes();
    packet[..4].copy_from_slice(&[0x47, p0, p1, 0x10]);
    packet[PACKET_SIZE - 4..].copy_from_slice(&number.to_be_bytes());
    packet
}

/// A packet with a PCR, in ticks of 27 MHz.
fn with_pcr(pid: u16, pcr: u64, discontinuity: bool) -> [u8; PACKET_SIZE] {
    let mut packet = plain(pid, 0);
    let (base, extension) = (pcr / 300, pcr % 300);
    let bits = base << 15 | 0x3F << 9 | extension;
    packet[3] = 0x30;
    packet[4] = 7;
    packet[5] = 0x10 | u8::from(discontinuity) << 7;
    packet[6..12].copy_from_slice(&bits.to_be_bytes()[2..]);
    packet
}

/// One packet a millisecond from `start` (in milliseconds of PCR), every tenth with a PCR.
fn clocked(pid: u16, start: u64, count: u64) -> Vec<[u8; PACKET_SIZE]> {
    let packet = |index: u64| {
        if index.is_multiple_of(10) {
            with_pcr(pid, (start + index) * 27_000 % WRAP, false)
        } else {
            plain(pid, u32::try_from(index).unwrap())
        }
    };
    (0..count).map(packet).collect()
}

fn open(bytes: Vec<u8>) -> Result<Source<Cursor<Vec<u8>>>, SourceError> {
    Source::read_from(Path::new("test.ts"), Cursor::new(bytes), BitRate(188 * 8 * 1_000))
}

/// Times in nanoseconds, packets, figures.
fn read(bytes: Vec<u8>) -> (Vec<i64>, Vec<[u8; PACKET_SIZE]>, Figures) {
    let mut source = open(bytes).unwrap();
    let (mut times, mut packets) = (Vec::new(), Vec::new());
    while let Some(timed) = source.read().unwrap() {
        assert_eq!(timed.index, u64::try_from(packets.len()).unwrap());
        times.push(timed.at.nanos());
        packets.push(*timed.packet);
    }
    assert!(times.is_sorted());
    (times, packets, source.figures())
}

fn millis(times: &[i64]) -> Vec<i64> {
    times.iter().map(|time| (time + 500_000) / 1_000_000).collect()
}

#[test]
fn packets_are_told_apart_in_every_size_and_nothing_is_lost() {
    let packets = clocked(0x100, 0, 40);
    for (size, front, behind) in [(188, 0, 0), (192, 4, 0), (204, 0, 16)] {
        for garbage in [0, 1, 3, 100, 1000] {
            for partial in [0, 50] {
                let mut bytes = vec![0x12; garbage];
                for packet in &packets {
                    bytes.extend(vec![0x34; front]);
                    bytes.extend(packet);
                    bytes.extend(vec![0x56; behind]);
                }
                bytes.extend(vec![0x78; front.min(partial)]);
                bytes.extend(&packets[0][..partial]);
                let (times, got, figures) = read(bytes);
                assert_eq!(got, packets, "{size} bytes after {garbage}");
                assert_eq!(times, (0..40).map(|ms| ms * 1_000_000).collect::<Vec<_>>());
                let expected = Figures {
                    packet_size: size,
                    packets: 40,
                    leading_bytes: u64::try_from(garbage).unwrap(),
                    trailing_bytes: u64::try_from(partial + front.min(partial)).unwrap(),
                    pcr_pid: Some(0x100),
                    ..Figures::default()
                };
                assert_eq!(figures, expected);
            }
        }
    }
}

#[test]
fn what_has_no_packets_is_refused_with_what_was_looked_for() {
    let noise: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for bytes in [Vec::new(), vec![0x47; 100], vec![0; 10_000], noise] {
        let error = open(bytes).unwrap_err();
        assert!(error.to_string().contains("188, 192 nor 204"), "{error}");
    }
    // A file of one packet is one.
    assert_eq!(read(plain(5, 1).to_vec()).1, [plain(5, 1)]);
}

#[test]
fn packets_with_a_bad_sync_byte_stay_in_their_grid() {
    let mut packets = clocked(0x100, 0, 60);
    for bad in [0, 20, 30, 31, 32, 33, 34, 35, 36] {
        packets[bad][0] = 0xB8;
    }
    let (times, got, figures) = read(packets.concat());
    assert_eq!(got, packets);
    assert_eq!((figures.leading_bytes, figures.resynchronisations), (0, 0));
    // The PCRs of packets 20 and 30 are not trusted, so their time comes from those around them.
    assert_eq!(millis(&times), (0..60).collect::<Vec<_>>());
}

#[test]
fn packets_are_found_again_where_bytes_are_missing_or_too_many() {
    let packets = clocked(0x100, 0, 60);
    let all = packets.concat();
    let at = 20 * PACKET_SIZE + 50;
    for bytes in [[&all[..at], &all[at + 100..]].concat(), [&all[..at], &[0; 77], &all[at..]].concat()] {
        let (_, got, figures) = read(bytes);
        assert_eq!(figures.resynchronisations, 1);
        assert_eq!(got[..20], packets[..20]);
        assert_eq!(got[got.len() - 35..], packets[25..]);
        let bad = got.iter().filter(|packet| packet[0] != 0x47).count();
        assert_eq!(bad, 2, "sync is lost by two bad bytes in a row");
    }
}

#[test]
fn time_goes_on_across_wraps_and_discontinuities() {
    // A wrap of the PCR is no discontinuity.
    let (times, _, figures) = read(clocked(0x100, WRAP / 27_000 - 15, 50).concat());
    assert_eq!((millis(&times), figures.discontinuities), ((0..50).collect(), 0));

    // A step back, a step of more than 10 s and a flagged one each begin anew at the last rate.
    for (start, flagged) in [(0, false), (5_000_000, false), (1_040, true), (1_500, true)] {
        let mut packets = clocked(0x100, 1_000, 30);
        packets.extend(clocked(0x100, start, 30));
        if flagged {
            packets[30] = with_pcr(0x100, start * 27_000, true);
        }
        let (times, _, figures) = read(packets.concat());
        assert_eq!((millis(&times), figures.discontinuities), ((0..60).collect(), 1), "{start} {flagged}");
    }

    // A step of up to 10 s is time that passed.
    let mut packets = clocked(0x100, 1_000, 30);
    packets.extend(clocked(0x100, 3_000, 30));
    let (times, _, figures) = read(packets.concat());
    assert_eq!((times[59], figures.discontinuities), (2_029_000_000, 0));
}

#[test]
fn time_before_the_first_pcr_and_after_the_last_is_at_the_nearest_rate() {
    let mut packets: Vec<_> = (0..7).map(|number| plain(0x100, number)).collect();
    // Another PID's PCRs come later and are none of its business.
    packets.extend(clocked(0x100, 9_000, 11));
    packets.extend(clocked(0x200, 0, 10));
    packets.extend((0..5).map(|number| plain(0x100, number)));
    let (times, _, figures) = read(packets.concat());
    assert_eq!(millis(&times), (0..33).collect::<Vec<_>>());
    assert_eq!((figures.pcr_pid, figures.assumed_packets), (Some(0x100), 0));
}

#[test]
fn without_a_pcr_the_given_bit_rate_makes_the_time() {
    let packets: Vec<_> = (0..20).map(|number| plain(0x100, number)).collect();
    let (times, _, figures) = read(packets.concat());
    assert_eq!(times, (0..20).map(|ms| ms * 1_000_000).collect::<Vec<_>>());
    assert_eq!((figures.pcr_pid, figures.assumed_packets), (None, 20));
    assert_eq!(figures.assumed_bit_rate, Some(188 * 8 * 1_000));
}

#[test]
fn a_pid_that_stops_sending_pcrs_gives_way_to_another() {
    let mut packets = clocked(0x100, 0, 21);
    packets.extend(vec![plain(0x1FFF, 0); LOOK_AHEAD]);
    packets.extend(clocked(0x200, 70_000, 30));
    let (times, _, figures) = read(packets.concat());
    assert_eq!(millis(&times), (0..i64::try_from(packets.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!((figures.pcr_pid, figures.assumed_packets), (Some(0x200), 0));
}

#[test]
fn a_pcr_that_comes_twice_does_not_stop_time() {
    let mut packets = clocked(0x100, 0, 11);
    packets.push(packets[10]);
    packets.extend((0..5).map(|number| plain(0x100, number)));
    let (times, ..) = read(packets.concat());
    assert_eq!(millis(&times[10..]), [10, 10, 11, 12, 13, 14, 15]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_file_panics_or_turns_time_back(
        size in prop::sample::select(vec![0_usize, 4, 16]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes: Vec<u8> = clocked(0x100, 5, 60).iter().flat_map(|p| [p.as_slice(), &[0; 16][..size]].concat()).collect();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        let cut = cut.index(bytes.len());
        bytes.drain(..cut / 2);
        if open(bytes.clone()).is_ok() {
            read(bytes);
        }
    }
}
