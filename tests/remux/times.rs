//! The times in packets, moved by one offset.

use super::rig::{Bytes, Rig, filled, packets, pat, pes, pid_of, plain, pmt, stamp};
use changeover::switch::remux::{Pcr, Sent};
use changeover::ts::pes::Header;
use changeover::ts::scte35::SpliceInfo;
use changeover::ts::section::Section;
use changeover::ts::{Packet, crc32};
use changeover::units::{Pts90k, Ticks27M};

const WRAP: u64 = 1 << 33;

/// A feed on air with an offset in ticks of 90 kHz: pictures with PCR, sound, splice information.
fn rig(offset: i64) -> Rig {
    let mut rig = Rig::new(1);
    rig.watch(
        0,
        &[
            pat(0, 1, 0, &[(1, 0x1000)]),
            pmt(0x1000, 0, 1, 0, 0x100, &[(0x1B, 0x100, &[]), (3, 0x101, &[]), (0x86, 0x103, b"\x05\x04CUEI")]),
        ],
    );
    rig.remux.enter(0, offset * 300);
    rig
}

fn only(out: &[Bytes]) -> Bytes {
    let [one] = out else { panic!("{} packets", out.len()) };
    *one
}

#[test]
fn all_times_move_by_the_same_and_wrap() {
    for offset in [1, -1, 5_000_000, -5_000_000, WRAP as i64 - 3, -(WRAP as i64)] {
        let mut rig = rig(offset);
        for base in [0, 1, 0x7FFF, 0x8000, 0x3FFF_FFFF, 0x4000_0000, WRAP - 1] {
            let moved = |base: u64| base.wrapping_add_signed(offset) % WRAP;
            let pcr = Ticks27M(base * 300 + 299);
            let bytes = pes(0xE0, base, Some((base + 9) % WRAP));
            let out = only(&rig.one(0, filled(0x100, 0, true, Some(pcr), &bytes)));
            let view = Packet::new(&out);
            assert_eq!(view.pcr(), Some(Ticks27M(moved(base) * 300 + 299)));
            let wanted = pes(0xE0, moved(base), Some(moved(base + 9)));
            assert_eq!(view.payload(), wanted, "{base:#x} by {offset}");
            assert_eq!(Header::parse(view.payload()).unwrap().dts, Some(Pts90k(moved(base + 9))));
        }
    }
}

#[test]
fn what_is_no_time_stays() {
    let mut rig = rig(1000);
    // no PES header; private_stream_2; no time stamps; PTS_DTS_flags 01; a header that is too short for its flags
    let mut forbidden = pes(0xE0, 5, Some(6));
    forbidden[7] = 0x40;
    let mut short = pes(0xE0, 5, None);
    short[8] = 4;
    let cases =
        [vec![0, 0, 2, 0xE0], pes(0xBF, 5, None), vec![0, 0, 1, 0xE0, 0, 0, 0x80, 0, 0, 1, 2, 3, 4], forbidden, short];
    for bytes in cases {
        let packet = filled(0x100, 0, true, None, &bytes);
        assert_eq!(only(&rig.one(0, packet)), packet, "{bytes:?}");
        let mut later = filled(0x100, 1, false, None, &pes(0xE0, 5, None));
        later[1] &= 0xBF;
        assert_eq!(only(&rig.one(0, later)), later);
    }
    // with an error nothing is believed
    let mut bad = filled(0x100, 0, true, Some(Ticks27M(27)), &pes(0xE0, 5, None));
    bad[1] |= 0x80;
    assert_eq!(only(&rig.one(0, bad)), bad);
    assert_eq!(rig.remux.counts().scrambled_unmoved, 0);
    let mut scrambled = filled(0x101, 0, true, None, &pes(0xC0, 5, None));
    scrambled[3] |= 0x80;
    assert!(!rig.remux.fit(0).scrambled);
    rig.watch(0, &[scrambled]);
    assert!(rig.remux.fit(0).scrambled);
    assert_eq!(only(&rig.one(0, scrambled)), scrambled);
    assert_eq!(rig.remux.counts().scrambled_unmoved, 1);
}

#[test]
fn the_adaptation_field_and_escr_move_too() {
    let mut rig = rig(-7);
    let clock = |base: u64| (base << 15 | 0x7E00 | 5).to_be_bytes();
    let mut p = plain(0x100, 1);
    p[3] = 0x31;
    // PCR, OPCR, splice_countdown, 2 private bytes, extension with ltw, piecewise rate and seamless splice
    p[4..6].copy_from_slice(&[100, 0x10 | 0x08 | 0x04 | 0x02 | 0x01]);
    p[6..12].copy_from_slice(&clock(3)[2..]);
    p[12..18].copy_from_slice(&clock(1000)[2..]);
    p[18..22].copy_from_slice(&[9, 2, 0xAA, 0xBB]);
    p[22..29].copy_from_slice(&[11, 0xE0 | 0x1F, 1, 2, 3, 4, 5]);
    p[29..34].copy_from_slice(&stamp(6, 90));
    p[34..105].fill(0xFF);
    p[105] = 0;
    let mut wanted = p;
    wanted[6..12].copy_from_slice(&clock(WRAP - 4)[2..]);
    wanted[12..18].copy_from_slice(&clock(993)[2..]);
    wanted[29..34].copy_from_slice(&stamp(6, 83));
    assert_eq!(only(&rig.one(0, p)), wanted);
    // its PCR taken out, the rest moves up
    rig.send_with(0, p, Pcr::Strip);
    let out = rig.out[rig.out.len() - 1];
    assert_eq!((out[5], &out[6..99]), (0x0F, &wanted[12..105]));
    assert_eq!((&out[99..105], &out[105..]), (&[0xFF; 6][..], &wanted[105..]));
    // fields that reach beyond the adaptation field
    for length in 1..30 {
        p[4] = length;
        rig.send(0, p);
        rig.send_with(0, p, Pcr::Strip);
    }

    let escr = |base: u64| {
        let all =
            3 << 46 | (base >> 30) << 43 | 1 << 42 | (base >> 15 & 0x7FFF) << 27 | 1 << 26 | (base & 0x7FFF) << 11;
        (all | 1 << 10 | 77 << 1 | 1u64).to_be_bytes()
    };
    let with = |pts, base| {
        let mut bytes = pes(0xE0, pts, None);
        bytes[7] |= 0x20;
        bytes[8] = 11;
        bytes.extend(&escr(base)[2..]);
        bytes
    };
    let out = only(&rig.one(0, filled(0x100, 2, true, None, &with(8, 0x1_2345_6780))));
    assert_eq!(Packet::new(&out).payload(), with(1, 0x1_2345_6779));
}

#[test]
fn a_header_in_two_packets_is_moved_in_both() {
    let before = pes(0xE0, 1000, Some(2000));
    let after = pes(0xE0, 1500, Some(2500));
    for split in 1..19 {
        let mut rig = rig(500);
        let first = filled(0x100, 3, true, None, &before[..split]);
        let mut second = filled(0x100, 4, false, None, &[&before[split..], &[0xEE; 20]].concat());
        second[1] &= 0xBF;
        // each as a legal duplicate as well
        for packet in [first, first, second, second] {
            assert_eq!(rig.send(0, packet), Sent::Packet);
        }
        assert_eq!(rig.out[0], rig.out[1]);
        assert_eq!(rig.out[2], rig.out[3]);
        let got = [Packet::new(&rig.out[0]).payload(), Packet::new(&rig.out[2]).payload()].concat();
        let is_within = (10..14).contains(&split) || (15..19).contains(&split);
        if is_within {
            assert!(rig.remux.counts().pes_split > 0, "{split}");
            continue;
        }
        assert_eq!(got[..19], after, "{split}");
        assert_eq!(rig.remux.counts().pes_split, 0);
        // a packet is missing between the two
        let mut rig = super::times::rig(500);
        rig.send(0, first);
        second[3] += 1;
        assert_eq!(only(&rig.one(0, second)), second);
    }
}

#[test]
fn a_time_in_two_packets_is_moved_where_both_are_there_when_the_first_leaves() {
    let with_escr = |pts, dts, escr: u64| {
        let mut bytes = pes(0xE0, pts, Some(dts));
        (bytes[7], bytes[8]) = (0xE0, 16);
        let all =
            (escr >> 30) << 43 | 1 << 42 | (escr >> 15 & 0x7FFF) << 27 | 1 << 26 | (escr & 0x7FFF) << 11 | 1 << 10;
        bytes.extend(&(all | 0xC000_0000_0001_u64).to_be_bytes()[2..]);
        bytes
    };
    let (before, after) = (with_escr(0xFFFF, WRAP - 1, 0x3FFF_FFFF), with_escr(0x1_0008, 8, 0x4000_0008));
    let mut parts: Vec<_> = (1..25).map(|split| vec![split]).collect();
    parts.extend([vec![4, 11, 12, 17], (1..25).collect(), vec![10, 10 + 2]]);
    for (counter, cuts) in (0..).zip(parts) {
        let mut rig = rig(9);
        let mut from = 0;
        let mut sent = Vec::new();
        for (at, to) in cuts.iter().copied().chain([25]).enumerate() {
            let more: &[u8] = if to == 25 { &[0xEE; 20] } else { &[] };
            let packet = filled(0x100, counter + at as u8, from == 0, None, &[&before[from..to], more].concat());
            // each as a legal duplicate as well, and sound between that begins like it
            sent.extend([packet, packet, filled(0x101, at as u8, true, None, &before[..4])]);
            from = to;
        }
        let handles: Vec<_> = sent.iter().map(|packet| rig.arrive(0, *packet)).collect();
        for handle in handles {
            assert_eq!(rig.leave(0, handle, Pcr::Keep), Sent::Packet);
        }
        let out: Vec<_> = rig.out.iter().filter(|packet| pid_of(packet) == 0x100).collect();
        for twice in out.chunks(2) {
            assert_eq!(twice[0], twice[1]);
        }
        let got: Vec<_> = out.iter().step_by(2).flat_map(|packet| Packet::new(packet).payload()).copied().collect();
        assert_eq!(got, [after.clone(), vec![0xEE; 20]].concat(), "{cuts:?}");
        assert_eq!(rig.remux.counts().pes_split, 0);
    }
}

#[test]
fn of_many_headers_in_two_packets_each_is_found_and_too_many_are_counted() {
    // waiting at a time, and those that are then found
    for (waiting, found) in [(64, 64), (70, 64)] {
        let mut rig = rig(9);
        for round in 0..3 {
            let parts = |n: u64| {
                let bytes = pes(0xE0, n << 8, None);
                let counter = (2 * n) as u8;
                [
                    filled(0x100, counter, true, None, &bytes[..12]),
                    filled(0x100, counter + 1, false, None, &bytes[12..]),
                ]
            };
            let sent = (0..waiting).flat_map(parts);
            let handles: Vec<_> = sent.map(|packet| rig.arrive(0, packet)).collect();
            rig.out.clear();
            for handle in handles {
                rig.leave(0, handle, Pcr::Keep);
            }
            for (n, parts) in (0..).zip(rig.out.chunks(2)).skip((waiting - found) as usize) {
                let got = [Packet::new(&parts[0]).payload(), Packet::new(&parts[1]).payload()].concat();
                assert_eq!(got, pes(0xE0, (n << 8) + 9, None));
            }
            assert_eq!(rig.remux.counts().pes_split, (round + 1) * (waiting - found));
        }
    }
}

#[test]
fn what_follows_another_packet_than_the_one_it_was_begun_in_is_no_part_of_it() {
    let bytes = pes(0xE0, 1000, None);
    let first = |counter| filled(0x100, counter, true, None, &bytes[..12]);
    let second = |counter| filled(0x100, counter, false, None, &bytes[12..]);
    let mut scrambled = second(1);
    scrambled[3] |= 0x80;
    let mut bad = second(1);
    bad[1] |= 0x80;
    for between in [second(2), first(1), scrambled, bad] {
        let mut rig = rig(9);
        let handles = [first(0), between].map(|packet| rig.arrive(0, packet));
        // of another feed it is not the same
        rig.arrive(1, second(1));
        for handle in handles {
            rig.leave(0, handle, Pcr::Keep);
        }
        assert_eq!(rig.out[0], first(0));
        assert!(rig.remux.counts().pes_split > 0);
    }
}

/// A time_signal with this pts_adjustment and so many bytes of an unknown descriptor.
fn splice(adjustment: u64, descriptors: usize, encrypted: bool) -> Vec<u8> {
    let mut loops = Vec::new();
    for part in vec![0x5A; descriptors].chunks(200) {
        loops.extend([0xEE, part.len() as u8]);
        loops.extend(part);
    }
    let mut s = vec![0xFC];
    s.extend((0x3000 | (11 + 5 + 2 + loops.len() + 4) as u16).to_be_bytes());
    let [_, _, _, high, low @ ..] = adjustment.to_be_bytes();
    s.extend([0, high | if encrypted { 0x80 } else { 0 }]);
    s.extend(low);
    s.extend([0, 0xFF, 0xF0, 5, 6, 0xFE, 0, 0, 0, 9]);
    s.extend((loops.len() as u16).to_be_bytes());
    s.extend(loops);
    s.extend(crc32(&s).to_be_bytes());
    s
}

fn moved_splice(out: &[Bytes]) -> SpliceInfo {
    let sections = super::rig::sections(out, 0x103);
    let [one] = sections.as_slice() else { panic!("{} sections", sections.len()) };
    SpliceInfo::parse(Section::new(one).unwrap()).unwrap()
}

#[test]
fn splice_information_moves_however_many_packets_it_takes() {
    for descriptors in [0, 140, 150, 170, 340, 500, 1000, 3500] {
        for (before, offset) in [(0, 77), (5, -6), (WRAP - 1, 1), (0x1234_5678, 0x1_0000_0000)] {
            let mut rig = rig(offset);
            let section = splice(before, descriptors, false);
            let sent = packets(0x103, 14, &section);
            for packet in &sent {
                rig.send(0, *packet);
                // others come between
                rig.send(0, plain(0x101, 0));
                // and a duplicate
                rig.send(0, *packet);
            }
            let kept: Vec<_> = rig.out.iter().filter(|p| pid_of(p) == 0x103).step_by(2).copied().collect();
            let info = moved_splice(&kept);
            assert_eq!(info.pts_adjustment, Pts90k(before.wrapping_add_signed(offset) % WRAP), "{descriptors}");
            // twice for a section in one packet, and for each of the first one otherwise
            assert_eq!(rig.remux.counts().splice_moved, 2);
        }
    }
}

#[test]
fn sections_behind_one_another_move_each() {
    let mut rig = rig(10);
    let (one, two, three) = (splice(1, 200, false), splice(2, 0, false), splice(3, 100, false));
    let mut all: Vec<Bytes> = Vec::new();
    let first = packets(0x103, 0, &one);
    let rest = &one[183..];
    all.push(first[0]);
    // the end of the first, the second, and the beginning of the third behind a pointer_field
    let mut payload = vec![rest.len() as u8];
    payload.extend(rest);
    payload.extend(&two);
    let head = 184 - payload.len();
    assert!((9..three.len()).contains(&head));
    payload.extend(&three[..head]);
    all.push(filled(0x103, 1, true, None, &payload[..183]));
    all[1] = plain(0x103, 1);
    all[1][1] |= 0x40;
    all[1][4..].copy_from_slice(&payload);
    all.push(filled(0x103, 2, false, None, &three[head..]));
    for packet in all {
        rig.send(0, packet);
    }
    let sections = super::rig::sections(&rig.out, 0x103);
    let times = sections.iter().map(|s| SpliceInfo::parse(Section::new(s).unwrap()).unwrap().pts_adjustment.0);
    assert_eq!(times.collect::<Vec<_>>(), [11, 12, 13]);
}

#[test]
fn splice_information_that_cannot_be_moved_is_counted() {
    let mut rig = rig(10);
    for descriptors in [0, 300] {
        for packet in packets(0x103, 0, &splice(1, descriptors, true)) {
            assert_eq!(only(&rig.one(0, packet)), packet);
        }
    }
    let mut broken = splice(1, 0, false);
    broken[20] ^= 1;
    let packet = packets(0x103, 2, &broken)[0];
    assert_eq!(only(&rig.one(0, packet)), packet);
    // parted within its head
    let whole = splice(1, 0, false);
    let first = filled(0x103, 3, true, None, &[&[0], &whole[..7]].concat());
    let second = filled(0x103, 4, false, None, &whole[7..]);
    assert_eq!(only(&rig.one(0, first)), first);
    assert_eq!(only(&rig.one(0, second)), second);
    let counts = rig.remux.counts();
    assert_eq!((counts.splice_moved, counts.splice_encrypted, counts.splice_unmoved), (0, 2, 2));
    // a section that lost its middle stays broken, and the next is moved
    let long = packets(0x103, 5, &splice(1, 500, false));
    rig.out.clear();
    rig.send(0, long[0]);
    rig.send(0, long[2]);
    rig.send(0, packets(0x103, 9, &splice(4, 0, false))[0]);
    assert_eq!(moved_splice(&rig.out[2..]).pts_adjustment, Pts90k(14));
}
