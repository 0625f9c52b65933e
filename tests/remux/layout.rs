//! Which PID takes whose place, and what PAT and PMT say.

use super::rig::{
    Rig, counter_of, filled, last_pat, last_pmt, map_of, packets, pat, pid_of, plain, pmt, pmt_section, section,
    sections,
};
use changeover::switch::remux::{ClockPolicy, Fit, Pcr, Sent, Settings};
use changeover::ts::Packet;
use changeover::units::{Pid, Ticks27M};

const ENG: &[u8] = b"\x0A\x04eng\x00";
const FRA: &[u8] = b"\x0A\x04fra\x00";
const DEU: &[u8] = b"\x0A\x04deu\x00";
const CUE: &[u8] = b"\x05\x04CUEI";

/// H.264, two sounds, splice information.
fn first(rig: &mut Rig, feed: usize, version: u8) {
    rig.watch(
        feed,
        &[
            pat(0, 7, 5, &[(1, 0x1000)]),
            pmt(
                0x1000,
                0,
                1,
                version,
                0x100,
                &[(0x1B, 0x100, &[]), (3, 0x101, ENG), (3, 0x102, FRA), (0x86, 0x103, CUE)],
            ),
        ],
    );
}

/// The same things in another order on other PIDs, and one sound more.
fn second(rig: &mut Rig, feed: usize) {
    rig.watch(
        feed,
        &[
            pat(0, 8, 9, &[(4, 0x50)]),
            pmt(
                0x50,
                0,
                4,
                30,
                0x64,
                &[(3, 0x60, DEU), (3, 0x61, FRA), (3, 0x62, ENG), (0x1B, 0x64, &[]), (0x86, 0x101, CUE)],
            ),
        ],
    );
}

fn listed(rig: &mut Rig) -> Vec<u16> {
    let made = rig.psi();
    last_pmt(&made, 0x1000).streams.iter().map(|stream| stream.1).collect()
}

#[test]
fn streams_take_the_place_of_their_like() {
    let mut rig = Rig::new(3);
    first(&mut rig, 0, 31);
    second(&mut rig, 1);
    rig.remux.enter(0, 0);
    let made = rig.psi();
    assert_eq!((last_pat(&made), last_pmt(&made, 0x1000).version), ((5, vec![(1, 0x1000)]), 31));
    let fit = rig.remux.fit(1);
    assert_eq!(fit, Fit { known: true, added: 1, ..Fit::default() });
    assert!(fit.has_same_codecs() && !rig.remux.fit(2).known);
    rig.remux.enter(1, 0);
    let pids = [0x60, 0x61, 0x62, 0x64, 0x101].map(|pid| rig.pid(1, pid));
    assert_eq!(pids, [0x60, 0x102, 0x101, 0x100, 0x103].map(Some));
    let made = rig.psi();
    assert_eq!(last_pat(&made), (5, vec![(1, 0x1000)]), "the PAT says what it said");
    let map = last_pmt(&made, 0x1000);
    assert_eq!((map.version, map.number, map.pcr), (0, 1, 0x100));
    let streams: Vec<_> = map.streams.iter().map(|(kind, pid, bytes)| (*kind, *pid, bytes.as_slice())).collect();
    assert_eq!(streams, [(3, 0x60, DEU), (3, 0x102, FRA), (3, 0x101, ENG), (0x1B, 0x100, &[]), (0x86, 0x103, CUE)]);
    assert_eq!(rig.remux.fit(0).missing, 1, "the first has no German");
    assert_eq!(rig.heap.open, 0);
}

#[test]
fn pids_and_versions_are_the_same_after_fifty_swaps() {
    let mut rig = Rig::new(3);
    first(&mut rig, 0, 0);
    second(&mut rig, 1);
    // a picture of another coding and one sound
    rig.watch(
        2,
        &[pat(0, 1, 0, &[(1, 0x1000)]), pmt(0x1000, 0, 1, 0, 0x101, &[(0x24, 0x101, &[]), (0x0F, 0x60, DEU)])],
    );
    rig.remux.enter(0, 0);
    let mut version = 0;
    for swap in 0..50 {
        rig.remux.enter(1, 0);
        version = (version + 1) % 32;
        assert_eq!(listed(&mut rig), [0x60, 0x102, 0x101, 0x100, 0x103], "swap {swap}");
        assert_eq!(last_pmt(&rig.out, 0x1000).version, version);
        rig.psi();
        rig.remux.enter(1, 300);
        rig.psi();
        assert_eq!(last_pmt(&rig.out, 0x1000).version, version, "nothing changed");
        if swap % 3 == 0 {
            let fit = rig.remux.fit(2);
            assert_eq!((fit.recoded, fit.missing, fit.added), (2, 3, 0), "swap {swap}");
            rig.remux.enter(2, 0);
            version = (version + 1) % 32;
            // German sound takes the place of German sound, though that is coded otherwise
            assert_eq!(listed(&mut rig), [0x100, rig.pid(2, 0x60).unwrap()], "swap {swap}");
            assert_eq!(last_pmt(&rig.out, 0x1000).pcr, 0x100);
        }
        rig.remux.enter(0, 0);
        version = (version + 1) % 32;
        assert_eq!(listed(&mut rig), [0x100, 0x101, 0x102, 0x103], "swap {swap}");
        assert_eq!(last_pat(&rig.out).0, 5);
    }
}

#[test]
fn a_pmt_that_changes_on_air_is_followed_when_it_is_sent() {
    let mut rig = Rig::new(2);
    first(&mut rig, 0, 3);
    second(&mut rig, 1);
    rig.remux.enter(0, 0);
    rig.remux.enter(1, 0);
    rig.psi();
    assert_eq!(last_pmt(&rig.out, 0x1000).version, 4);
    let new =
        pmt(0x50, 1, 4, 31, 0x64, &[(0x1B, 0x64, &[]), (3, 0x62, ENG), (6, 0x66, b"\x59\x08deu\x10\0\x01\0\x01")]);
    rig.watch(1, &[new]);
    rig.psi();
    assert_eq!(last_pmt(&rig.out, 0x1000).version, 4, "it is still in the delay line");
    assert_eq!(rig.send(1, new), Sent::Packet);
    let map = last_pmt(&rig.out, 0x1000);
    assert_eq!(map.version, 5);
    assert_eq!(map.streams.iter().map(|stream| stream.1).collect::<Vec<_>>(), [0x100, 0x101, 0x66]);
    // while the first feed alone is on air its own goes through
    let mut rig = Rig::new(1);
    first(&mut rig, 0, 3);
    rig.remux.enter(0, 0);
    let own = pmt(0x1000, 9, 1, 8, 0x300, &[(0x24, 0x300, &[]), (3, 0x100, ENG)]);
    assert_eq!(rig.one(0, own), [own]);
    assert_eq!((rig.pid(0, 0x300), rig.pid(0, 0x100), rig.pid(0, 0x101)), (Some(0x300), Some(0x100), None));
}

#[test]
fn the_tables_go_out_in_the_places_of_the_feed() {
    let mut rig = Rig::new(2);
    let long: Vec<_> = (0..60u16).map(|n| (0x0F, 0x300 + n, ENG)).collect();
    let section = pmt_section(1, 0, 0x300, &[], &long);
    let of_first = packets(0x1000, 4, &section);
    assert_eq!(of_first.len(), 4);
    rig.watch(0, &[pat(0, 7, 0, &[(1, 0x1000)])]);
    rig.watch(0, &of_first);
    rig.watch(1, &[pat(0, 7, 0, &[(1, 0x40)]), pmt(0x40, 0, 1, 0, 0x41, &[(0x0F, 0x41, ENG)])]);
    rig.remux.enter(0, 0);
    // half of it is out when the other feed comes: it is finished first
    rig.send(0, of_first[0]);
    rig.send(0, of_first[1]);
    rig.remux.enter(1, 0);
    let short = |counter| pmt(0x40, counter, 1, 0, 0x41, &[(0x0F, 0x41, ENG)]);
    for counter in [1, 2, 3] {
        assert_eq!(rig.send(1, short(counter)), Sent::Packet);
    }
    let sent = sections(&rig.out, 0x1000);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], section);
    assert_eq!(map_of(&sent[1]).streams, [(0x0F, 0x300, ENG.to_vec())]);
    assert_eq!(rig.out.iter().map(counter_of).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
    // and the long one again needs four places
    rig.out.clear();
    rig.remux.enter(0, 0);
    rig.send(0, of_first[0]);
    rig.remux.enter(1, 0);
    assert_eq!(rig.psi().len(), 3 + 1 + 1);
    let sent = sections(&rig.out, 0x1000);
    assert_eq!((sent.len(), map_of(&sent[0]).streams.len(), map_of(&sent[1]).streams.len()), (2, 60, 1));
    assert_eq!((map_of(&sent[0]).version, map_of(&sent[1]).version), (2, 3));
    let mut rest = short(5);
    rest[1] &= 0xBF;
    assert_eq!(rig.send(1, rest), Sent::Nothing, "a place with nothing to send");
    assert_eq!(rig.send(0, of_first[0]), Sent::Nothing, "not on air");
}

#[test]
fn two_programs_find_their_like() {
    let mut rig = Rig::new(2);
    rig.watch(
        0,
        &[
            pat(0, 7, 1, &[(1, 0x1000), (2, 0x1001)]),
            pmt(0x1000, 0, 1, 1, 0x100, &[(2, 0x100, &[]), (3, 0x101, ENG)]),
            pmt(0x1001, 0, 2, 1, 0x200, &[(2, 0x200, &[]), (3, 0x201, ENG)]),
        ],
    );
    // program 2 under its number, 5 in the order; both PMTs on one PID
    rig.watch(
        1,
        &[
            pat(0, 9, 1, &[(2, 0x20), (5, 0x20), (6, 0x22)]),
            pmt(0x20, 0, 2, 1, 0x31, &[(2, 0x31, &[]), (3, 0x32, ENG)]),
            pmt(0x20, 1, 5, 1, 0x41, &[(2, 0x41, &[]), (3, 0x42, ENG)]),
            pmt(0x22, 0, 6, 1, 0x51, &[(2, 0x51, &[])]),
        ],
    );
    rig.remux.enter(0, 0);
    rig.remux.enter(1, 0);
    let pids = [0x31, 0x32, 0x41, 0x42, 0x51].map(|pid| rig.pid(1, pid).unwrap());
    assert_eq!(pids, [0x200, 0x201, 0x100, 0x101, 0x51]);
    let place = |counter| pmt(0x20, counter, 5, 1, 0x41, &[(2, 0x41, &[]), (3, 0x42, ENG)]);
    rig.send(1, pat(1, 9, 1, &[(2, 0x20), (5, 0x20), (6, 0x22)]));
    rig.send(1, place(2));
    rig.send(1, place(3));
    assert_eq!(last_pat(&rig.out), (2, vec![(1, 0x1000), (2, 0x1001), (6, 0x22)]));
    assert_eq!(last_pmt(&rig.out, 0x1000).number, 1);
    let two = last_pmt(&rig.out, 0x1001);
    assert_eq!((two.number, two.pcr, two.version), (2, 0x200, 1), "it says what it said");
    assert_eq!(rig.remux.pcr_pids().map(Pid::value).collect::<Vec<_>>(), [0x100, 0x200, 0x51]);
    rig.remux.enter(0, 0);
    rig.psi();
    assert_eq!(last_pat(&rig.out), (3, vec![(1, 0x1000), (2, 0x1001)]), "what is not there is not listed");
}

#[test]
fn conditional_access_keeps_its_pids_while_they_are_free() {
    let ca = |pid: u16| [9, 4, 0x01, 0, 0xE0 | pid.to_be_bytes()[0], pid.to_be_bytes()[1]];
    let mut rig = Rig::new(2);
    rig.watch(0, &[pat(0, 7, 1, &[(1, 0x1000)])]);
    rig.watch(0, &packets(0x1000, 0, &pmt_section(1, 0, 0x100, &ca(0x500), &[(2, 0x100, &[])])));
    rig.watch(1, &[pat(0, 7, 1, &[(1, 0x30)])]);
    rig.watch(1, &packets(0x30, 0, &pmt_section(1, 0, 0x200, &ca(0x100), &[(2, 0x200, &ca(0x501))])));
    rig.remux.enter(0, 0);
    rig.remux.enter(1, 0);
    assert_eq!([0x100, 0x501, 0x200].map(|pid| rig.pid(1, pid).unwrap()), [0x101, 0x501, 0x100]);
    let made = rig.psi();
    let section = sections(&made, 0x1000).pop().unwrap();
    assert_eq!(section[12..18], ca(0x101));
    assert_eq!(last_pmt(&made, 0x1000).streams, [(2, 0x100, ca(0x501).to_vec())]);
}

#[test]
fn what_no_pmt_lists_passes_where_it_is_in_nobodys_way() {
    let mut rig = Rig::new(2);
    first(&mut rig, 0, 0);
    second(&mut rig, 1);
    rig.remux.enter(0, 0);
    for pid in [1, 0x11, 0x12, 0x700] {
        assert_eq!(rig.one(0, plain(pid, 3)), [plain(pid, 3)]);
    }
    rig.remux.enter(1, 0);
    for (pid, wanted) in [(1, Sent::Packet), (0x11, Sent::Packet), (0x700, Sent::Packet), (0x102, Sent::Nothing)] {
        let mut packet = plain(pid, 9);
        packet[1] |= 0x40;
        packet[4] = 0;
        assert_eq!(rig.send(1, packet), wanted, "{pid:#x}");
        assert_eq!(rig.send(0, plain(0x11, 4)), Sent::Nothing, "not on air");
    }
    assert_eq!(counter_of(&rig.out[rig.out.len() - 1]), 4);
    let counts = rig.remux.counts();
    assert_eq!((counts.dropped_unmapped, counts.dropped_off_air), (1, 4));
    // the first one's streams still go out
    assert_eq!(rig.send(0, plain(0x101, 4)), Sent::Packet);
}

#[test]
fn pcrs_find_the_outputs_pid() {
    let own_pid = |rig: &mut Rig, feed| {
        rig.watch(
            feed,
            &[pat(0, 7, 1, &[(1, 0x1000)]), pmt(0x1000, 0, 1, 0, 0x1F0, &[(2, 0x100, &[]), (3, 0x101, ENG)])],
        );
    };
    let on_audio = |rig: &mut Rig, feed| {
        rig.watch(feed, &[pat(0, 7, 1, &[(1, 0x1000)]), pmt(0x1000, 0, 1, 0, 0x61, &[(2, 0x60, &[]), (3, 0x61, ENG)])]);
    };
    let ms = |n: u64| Ticks27M(n * 27_000);
    let mut rig = Rig::new(3);
    own_pid(&mut rig, 0);
    on_audio(&mut rig, 1);
    rig.remux.enter(0, 0);
    rig.send(0, filled(0x1F0, 0, false, Some(ms(1000)), &[]));
    rig.remux.enter(1, 0);
    let out = rig.one(1, filled(0x61, 5, false, Some(ms(1040)), &[7; 100]));
    assert_eq!(out.iter().map(pid_of).collect::<Vec<_>>(), [0x1F0, 0x101]);
    assert_eq!((Packet::new(&out[0]).pcr(), Packet::new(&out[0]).has_payload()), (Some(ms(1040)), false));
    assert_eq!((Packet::new(&out[1]).pcr(), Packet::new(&out[1]).payload()), (None, &[7; 100][..]));
    let out = rig.one(1, filled(0x61, 5, false, Some(ms(1080)), &[]));
    assert_eq!((out.len(), pid_of(&out[0]), Packet::new(&out[0]).pcr()), (1, 0x1F0, Some(ms(1080))));
    // a PCR where none belongs
    let out = rig.one(1, filled(0x60, 5, false, Some(ms(9)), &[7; 50]));
    assert_eq!((out.len(), pid_of(&out[0]), Packet::new(&out[0]).pcr()), (1, 0x100, None));
    assert_eq!(rig.remux.counts().pcr_stripped, 2);
    assert_eq!(rig.remux.poll_step(), None);

    // and the other way: from a PID of its own to the pictures'
    let mut rig = Rig::new(3);
    on_audio(&mut rig, 0);
    own_pid(&mut rig, 1);
    rig.remux.enter(0, 0);
    rig.send(0, plain(0x61, 11));
    rig.remux.enter(1, 0);
    let out = rig.one(1, filled(0x1F0, 0, false, Some(ms(10)), &[]));
    assert_eq!((pid_of(&out[0]), counter_of(&out[0])), (0x61, 11));
    assert_eq!(counter_of(&rig.one(1, plain(0x101, 2))[0]), 12);
    assert_eq!(rig.send(1, filled(0x1F0, 0, false, None, &[])), Sent::Nothing);
    let handle = rig.remux.pcr_only(Pid::new(0x61), ms(20), &mut rig.heap).unwrap();
    assert_eq!(counter_of(&rig.heap.take(handle)), 12);
    let handle = rig.remux.null(&mut rig.heap).unwrap();
    assert_eq!(pid_of(&rig.heap.take(handle)), 0x1FFF);
    rig.heap.full = true;
    assert_eq!(rig.remux.null(&mut rig.heap), None);
    assert_eq!(rig.remux.counts().no_room, 1);
}

#[test]
fn a_step_of_the_clock_is_signalled_once() {
    let mut rig = Rig::with(Settings { feeds: 2, clock: ClockPolicy::Signal });
    first(&mut rig, 0, 0);
    second(&mut rig, 1);
    let ms = |n: u64| Ticks27M(n * 27_000);
    rig.remux.enter(0, 0);
    rig.send(0, filled(0x100, 0, false, Some(ms(1000)), &[1]));
    rig.remux.enter(1, 999_999_999);
    let out = rig.one(1, filled(0x64, 0, false, Some(ms(960)), &[1]));
    assert!(Packet::new(&out[0]).discontinuity_indicator());
    assert_eq!(Packet::new(&out[0]).pcr(), Some(ms(960)));
    let step = rig.remux.poll_step().unwrap();
    assert_eq!((step.pid.value(), step.ticks), (0x100, -40 * 27_000));
    let out = rig.one(1, filled(0x64, 1, false, Some(ms(5000)), &[1]));
    assert!(!Packet::new(&out[0]).discontinuity_indicator(), "the source's own");
    rig.remux.cut(0);
    rig.send_with(0, filled(0x100, 1, false, Some(ms(1)), &[1]), Pcr::Set(ms(5050)));
    let last = rig.out[rig.out.len() - 1];
    assert_eq!((Packet::new(&last).pcr(), Packet::new(&last).discontinuity_indicator()), (Some(ms(5050)), false));
    assert_eq!((rig.remux.poll_step(), rig.remux.last_pcr(Pid::new(0x100))), (None, Some(ms(5050))));
}

#[test]
fn a_feed_that_nothing_is_known_of_is_taken_to_be_like_the_output() {
    let mut rig = Rig::new(2);
    first(&mut rig, 0, 0);
    rig.remux.enter(0, 0);
    rig.send(0, plain(0x100, 5));
    rig.remux.enter(1, 0);
    let out = rig.one(1, plain(0x100, 1));
    assert_eq!((pid_of(&out[0]), counter_of(&out[0])), (0x100, 6));
    // then it says what it is
    rig.send(1, pat(0, 8, 9, &[(4, 0x50)]));
    assert_eq!(last_pat(&rig.out), (5, vec![(1, 0x1000)]), "its program takes the place of the first's");
    rig.send(1, pmt(0x50, 0, 4, 30, 0x64, &[(3, 0x60, DEU), (0x1B, 0x64, &[])]));
    assert_eq!((rig.pid(1, 0x64), rig.pid(1, 0x60)), (Some(0x100), Some(0x101)));
    assert_eq!(rig.send(1, plain(0x100, 2)), Sent::Nothing);

    // and once more after the tables are made here: what it has in the place of a PMT is none to pass on
    let mut rig = Rig::new(3);
    first(&mut rig, 0, 0);
    second(&mut rig, 1);
    rig.remux.enter(0, 0);
    rig.remux.enter(1, 0);
    rig.remux.enter(2, 0);
    let theirs = pmt(0x1000, 3, 1, 17, 0x100, &[(2, 0x100, &[])]);
    assert_eq!(rig.send(2, theirs), Sent::Packet);
    let map = last_pmt(&rig.out, 0x1000);
    assert_eq!((map.version, map.streams.len()), (1, 5));
}

#[test]
fn no_section_goes_on_with_another_feeds() {
    let mut rig = Rig::new(2);
    first(&mut rig, 0, 0);
    second(&mut rig, 1);
    let sdt = |fill: u8| section(0x42, 1, 0, &[fill; 190]);
    let [ours, theirs] = [1, 2].map(|fill| packets(0x11, 6, &sdt(fill)));
    rig.remux.enter(0, 0);
    rig.send(0, ours[0]);
    rig.remux.enter(1, 0);
    assert_eq!(rig.send(1, theirs[1]), Sent::Nothing);
    // the end of one, and behind it the beginning of the next, with and without an adaptation field
    for field in [0, 1, 2, 20] {
        let mut rig = Rig::new(2);
        first(&mut rig, 0, 0);
        second(&mut rig, 1);
        rig.remux.enter(0, 0);
        rig.send(0, ours[0]);
        rig.remux.enter(1, 0);
        for tail in [1, 2, 3, 100, 140] {
            let room = 184 - field - 1 - tail;
            let mut payload = vec![tail as u8];
            payload.extend(vec![0xAB; tail]);
            payload.extend(&sdt(3)[..room]);
            let packet = if field == 0 {
                let mut packet = plain(0x11, 1);
                packet[1] |= 0x40;
                packet[4..].copy_from_slice(&payload);
                packet
            } else {
                filled(0x11, 1, true, None, &payload)
            };
            rig.remux.enter(1, 0);
            let out = rig.one(1, packet);
            assert_eq!(Packet::new(&out[0]).payload()[0], 0);
            assert_eq!(Packet::new(&out[0]).payload()[1..], sdt(3)[..room]);
            assert!(!Packet::new(&out[0]).has_pcr());
            assert_eq!(rig.send(1, filled(0x11, 2, false, None, &sdt(3)[room..])), Sent::Packet);
            assert_eq!(sections(&rig.out, 0x11).pop(), Some(sdt(3)));
        }
        // a start that starts nothing
        rig.remux.enter(1, 0);
        let mut payload = [0xAB; 184];
        payload[0] = 183;
        let mut packet = plain(0x11, 1);
        packet[1] |= 0x40;
        packet[4..].copy_from_slice(&payload);
        assert_eq!(rig.send(1, packet), Sent::Nothing);
        assert_eq!(rig.remux.counts().dropped_midway, 1);
    }
}

#[test]
fn programs_that_share_a_clock_each_get_theirs() {
    let mut rig = Rig::new(2);
    rig.watch(
        0,
        &[
            pat(0, 7, 1, &[(1, 0x1000), (2, 0x1001)]),
            pmt(0x1000, 0, 1, 1, 0x100, &[(2, 0x100, &[])]),
            pmt(0x1001, 0, 2, 1, 0x200, &[(2, 0x200, &[])]),
        ],
    );
    rig.watch(
        1,
        &[
            pat(0, 7, 1, &[(1, 0x20), (2, 0x21)]),
            pmt(0x20, 0, 1, 1, 0x30, &[(2, 0x30, &[])]),
            pmt(0x21, 0, 2, 1, 0x30, &[(2, 0x40, &[])]),
        ],
    );
    rig.remux.enter(0, 0);
    for pid in [0x100, 0x200] {
        rig.send(0, filled(pid, 7, false, Some(Ticks27M(27_000)), &[1]));
    }
    rig.remux.enter(1, 300);
    let out = rig.one(1, filled(0x30, 0, false, Some(Ticks27M(54_000)), &[1]));
    let seen: Vec<_> = out.iter().map(|p| (pid_of(p), counter_of(p), Packet::new(p).pcr())).collect();
    assert_eq!(seen, [(0x200, 7, Some(Ticks27M(54_300))), (0x100, 8, Some(Ticks27M(54_300)))]);
    rig.heap.full = true;
    assert_eq!(rig.one(1, filled(0x30, 1, false, Some(Ticks27M(81_000)), &[1])).len(), 1);
    assert_eq!(rig.remux.counts().no_room, 1);
    // it is the same clock that both go by, whoever asks for no PCR
    let before = rig.out.len();
    rig.send_with(1, filled(0x30, 2, false, Some(Ticks27M(81_000)), &[1]), Pcr::Strip);
    assert!(rig.out[before..].iter().all(|packet| !Packet::new(packet).has_pcr()));
}
