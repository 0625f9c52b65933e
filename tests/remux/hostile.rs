//! Packets of chance: nothing panics, every handle comes back once, and no PID is one that there is not.

use std::collections::VecDeque;

use super::rig::{Bytes, Rig, packets, pat, plain, pmt_section};
use changeover::switch::Handle;
use changeover::switch::remux::{ClockPolicy, MAX_PROGRAMS, Pcr, Settings};
use changeover::ts::crc32;
use changeover::units::Ticks27M;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Enter(usize, i64),
    Cut(usize),
    Psi,
    Null,
    Packet(usize, Box<Bytes>, Pcr),
}

/// Bytes of chance that look like packets, their PIDs few so that they meet.
fn bytes() -> impl Strategy<Value = Bytes> {
    let pid = prop_oneof![Just(0u16), 0x20..0x28u16, 0x100..0x106u16, 0..0x2000u16];
    (pid, 0..=255u8, any::<u8>(), any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 188)).prop_map(
        |(pid, flags, control, length, kind, noise)| {
            let mut p: Bytes = noise.try_into().unwrap();
            let [high, low] = pid.to_be_bytes();
            p[0] = if kind == 0 { 0 } else { 0x47 };
            p[1] = flags & 0xC0 | high;
            if flags & 0x3F != 0 {
                p[1] &= 0x7F;
            }
            p[2] = low;
            p[3] = control & if kind < 20 { 0xFF } else { 0x3F };
            p[4] = if kind & 1 == 0 { length } else { length % 30 };
            if kind & 6 == 0 {
                let at = if p[3] & 0x20 == 0 { 4 } else { (5 + usize::from(p[4])).min(170) };
                p[at..at + 4].copy_from_slice(&[0, 0, 1, 0xE0]);
            }
            p
        },
    )
}

/// A PMT with an intact CRC_32 over chance.
fn table() -> impl Strategy<Value = Vec<Bytes>> {
    let stream = (prop_oneof![Just(2u8), Just(3), Just(0x86), Just(6), any::<u8>()], 0..0x2000u16, any::<bool>());
    let streams = prop::collection::vec(stream, 0..40);
    (0x20..0x28u16, 0..4u16, 0..0x2000u16, streams, any::<u8>(), 0..32u8, any::<u16>()).prop_map(
        |(pid, number, pcr, streams, counter, version, spoilt)| {
            let streams: Vec<(u8, u16, &[u8])> = streams
                .iter()
                .map(|(kind, pid, with)| {
                    let pid = if pid % 3 == 0 { 0x100 + pid % 8 } else { *pid };
                    (*kind, pid, if *with { &b"\x09\x04\x01\x00\xE1\x02\x0A\x04eng\x00"[..] } else { &[] })
                })
                .collect();
            let mut section = pmt_section(number, version, pcr, &[], &streams);
            if spoilt & 1 == 0 {
                let at = 8 + usize::from(spoilt) % (section.len() - 12);
                section[at] ^= 0x11;
                let end = section.len() - 4;
                let crc = crc32(&section[..end]);
                section[end..].copy_from_slice(&crc.to_be_bytes());
            }
            packets(pid, counter, &section)
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pcr = prop_oneof![Just(Pcr::Keep), Just(Pcr::Strip), any::<u64>().prop_map(|t| Pcr::Set(Ticks27M(t)))];
    let feed = 0..4usize;
    let programs = prop::collection::vec((0..4u16, prop_oneof![0x20..0x28u16, 0..0x2000u16]), 0..20);
    let one = prop_oneof![
        1 => (feed.clone(), prop_oneof![Just(0), any::<i64>()]).prop_map(|(feed, offset)| vec![Step::Enter(feed, offset)]),
        1 => feed.clone().prop_map(|feed| vec![Step::Cut(feed)]),
        1 => Just(vec![Step::Psi]),
        1 => Just(vec![Step::Null]),
        3 => (feed.clone(), programs, 0..32u8).prop_map(|(feed, programs, version)| {
            vec![Step::Packet(feed, Box::new(pat(version, 1, version, &programs)), Pcr::Keep)]
        }),
        4 => (feed.clone(), table()).prop_map(|(feed, packets)| {
            packets.into_iter().map(|packet| Step::Packet(feed, Box::new(packet), Pcr::Keep)).collect()
        }),
        30 => (feed, bytes(), pcr).prop_map(|(feed, bytes, pcr)| vec![Step::Packet(feed, Box::new(bytes), pcr)]),
    ];
    prop::collection::vec(one, 1..120).prop_map(|steps| steps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_every_handle_comes_back(steps in steps(), signal in any::<bool>(), full in any::<bool>()) {
        let clock = if signal { ClockPolicy::Signal } else { ClockPolicy::Continue };
        let mut rig = Rig::with(Settings { feeds: 3, clock });
        rig.heap.full = full;
        let mut waiting = VecDeque::new();
        let leave = |rig: &mut Rig, waiting: &mut VecDeque<(usize, Handle, Pcr)>| {
            if let Some((feed, handle, pcr)) = waiting.pop_front() {
                rig.leave(feed, handle, pcr);
            }
        };
        for step in steps {
            match step {
                Step::Enter(feed, offset) => rig.remux.enter(feed, offset),
                Step::Cut(feed) => rig.remux.cut(feed),
                Step::Psi => drop(rig.psi()),
                Step::Null => {
                    if let Some(handle) = rig.remux.null(&mut rig.heap) {
                        rig.heap.take(handle);
                    }
                }
                Step::Packet(feed, bytes, pcr) => {
                    waiting.push_back((feed, rig.arrive(feed, *bytes), pcr));
                    rig.remux.fit(feed);
                }
            }
            if waiting.len() > 8 {
                leave(&mut rig, &mut waiting);
            }
        }
        while !waiting.is_empty() {
            leave(&mut rig, &mut waiting);
        }
        prop_assert_eq!(rig.heap.open, 0);
        prop_assert!(rig.out.iter().all(|packet| packet[0] == 0x47));
    }
}

#[test]
fn more_programs_and_streams_than_there_is_room_for_are_counted() {
    let mut rig = Rig::new(3);
    let programs: Vec<_> = (1..=40u16).map(|number| (number, 0x800 + number)).collect();
    rig.watch(0, &[pat(0, 1, 0, &programs)]);
    assert_eq!(rig.remux.counts().left_out, 40 - MAX_PROGRAMS as u64);
    for feed in 0..3u16 {
        rig.watch(feed.into(), &[pat(1, 1, 1, &[(1, 0x30)])]);
        let streams: Vec<(u8, u16, &[u8])> =
            (0..180).map(|n| (0xA0 + feed as u8, 0x100 + feed * 0x400 + n, &[][..])).collect();
        rig.watch(feed.into(), &packets(0x30, 0, &pmt_section(1, 0, 0x1FFF, &[], &streams)));
        let fit = rig.remux.fit(feed.into());
        rig.remux.enter(feed.into(), 0);
        rig.psi();
        assert!(fit.left_out >= 52 && fit.known, "{fit:?}");
    }
    // a PMT section of 1025 bytes
    let before = rig.remux.counts().psi_too_long;
    let long = packets(0x30, 5, &pmt_section(1, 3, 0x1FFF, &[0x55; 1025 - 16], &[]));
    rig.watch(0, &long);
    assert_eq!(rig.remux.counts().psi_too_long, before + 1);
}

#[test]
fn a_handle_of_nobody_and_a_packet_without_sync_are_dropped() {
    let mut rig = Rig::new(1);
    rig.remux.enter(0, 0);
    let mut lost = plain(0x100, 0);
    lost[0] = 0;
    assert_eq!(rig.send(0, lost), changeover::switch::remux::Sent::Nothing);
    let handle = changeover::switch::Handle { frame: 9, offset: 9 };
    let outline = changeover::ts::Outline::of(changeover::ts::Packet::new(&plain(0x100, 0)));
    let sent = rig.remux.packet(0, handle, outline, Pcr::Keep, &mut rig.heap, &mut |_, _| {});
    assert_eq!((sent, rig.remux.counts().dropped_unreadable), (changeover::switch::remux::Sent::Nothing, 2));
    let memory = Settings { feeds: 17, clock: ClockPolicy::Continue }.memory();
    let of_two = Settings { feeds: 2, clock: ClockPolicy::Continue }.memory();
    assert!(of_two < 400_000 && memory < 1_300_000, "{of_two} and {memory} bytes");
}
