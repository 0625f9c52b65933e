//! What other analysers get wrong, each by its name.

use changeover::engine::{ChannelSetup, GatherSetup, InputSetup, Setup};
use changeover::switch::policy::Settings as Policy;
use changeover::tr101290::Indicator::{
    self, CatError, ContinuityCountError, CrcError, EitActualError, NitActualError, PatError2,
    PcrDiscontinuityIndicatorError, PcrRepetitionError, PidError, PmtError2, PtsError, SdtActualError,
    SiRepetitionError, SyncByteError, TdtError, TsSyncLoss,
};
use changeover::tr101290::Place;
use changeover::transport::Framing;
use changeover::units::{Instant, Span};

use crate::common::Rig;
use crate::plant::{
    AUDIO, DATA, Drive, Lane, Outcome, PMT_1, PMT_2, Stream, VIDEO, VIDEO_2, ms, on, pid_of, scramble, spoil, watch,
    watch_until,
};

fn count(outcome: &Outcome, indicator: Indicator) -> u64 {
    outcome.analyser.count(indicator).events()
}

/// Each packet so many times, one behind the other.
fn each_packet(times: usize) -> Stream {
    let mut stream = Stream::lasting(6_000).numbered();
    let slots = std::mem::take(&mut stream.slots);
    let again = |slot: &crate::plant::Slot, time: usize| {
        let mut slot = *slot;
        slot.at += time as i64 * 1_000;
        slot
    };
    stream.slots = slots.iter().flat_map(|slot| (0..times).map(move |time| again(slot, time))).collect();
    stream
}

#[test]
fn a_legal_duplicate_is_no_error_of_any_kind() {
    let outcome = watch(&each_packet(2), Drive::ByDeadlines);
    assert_eq!(outcome.events, [], "each packet of all PIDs and tables twice");
}

#[test]
fn a_third_occurrence_is_an_error_of_continuity_and_of_nothing_else() {
    let stream = each_packet(3);
    let outcome = watch(&stream, Drive::ByDeadlines);
    let carrying = stream.slots.iter().filter(|slot| pid_of(&slot.bytes) != 0x1FFF).count() as u64 / 3;
    assert_eq!(count(&outcome, ContinuityCountError), carrying);
    assert_eq!((outcome.events.len() as u64, outcome.analyser.missing()), (carrying, 0));
}

#[test]
fn what_was_never_there_alarms_and_clears_when_it_comes() {
    for (lane, pid, alarms) in [
        (Lane::Pat, 0, &[(PatError2, ms(500))][..]),
        (Lane::Pmt2, PMT_2, &[(PmtError2, ms(500))]),
        (Lane::Audio, AUDIO, &[(PtsError, ms(704)), (PidError, ms(1_004))]),
    ] {
        for (slots, comes) in [(0..2_000, true), (0..3_000, false)] {
            let outcome = watch(&Stream::lasting(3_000).without(lane, slots), Drive::ByDeadlines);
            let of_it = outcome.events.iter().filter(|event| event.1.pid.is_some_and(|it| it.value() == pid));
            assert_eq!(of_it.map(|event| (event.0, event.2)).collect::<Vec<_>>(), alarms, "{lane:?}");
            let mut wanted: Vec<_> = alarms.iter().map(|alarm| alarm.0).collect();
            wanted.sort_unstable();
            assert_eq!(outcome.absent(), if comes { vec![] } else { wanted }, "{lane:?} comes: {comes}");
        }
    }
}

#[test]
fn a_pat_with_a_wrong_crc_is_counted_each_time_and_is_no_pat() {
    let stream = Stream::lasting(4_000).all(Lane::Pat, 2_001..4_000, spoil);
    let outcome = watch(&stream, Drive::ByDeadlines);
    assert_eq!((count(&outcome, CrcError), count(&outcome, PatError2)), (19, 1));
    assert_eq!(outcome.events.len(), 20);
    assert_eq!(outcome.absent(), [PatError2]);
    assert_eq!(outcome.analyser.programs().len(), 2, "what was known before stays");
}

#[test]
fn sync_loss_drops_no_packet_in_silence() {
    let mut stream = Stream::lasting(5_000);
    for slot in &mut stream.slots[2_000..3_000] {
        slot.bytes[0] = 0;
    }
    let outcome = watch(&stream, Drive::ByDeadlines);
    assert_eq!((count(&outcome, SyncByteError), count(&outcome, TsSyncLoss)), (1_000, 1));
    assert!(outcome.accounts_for(5_000));
    let lost = |pid| outcome.analyser.pids().find(|it| it.0.value() == pid).map(|it| it.1);
    assert_eq!([lost(0), lost(VIDEO), lost(DATA)], [Some(40), Some(600), Some(200)], "four of five seconds");
}

#[test]
fn scrambled_packets_without_a_cat_are_missed_by_the_timer_alone() {
    let stream = Stream::lasting(2_006).without(Lane::Cat, 0..2_006).without(Lane::Emm, 0..2_006);
    let stream = stream.edited(2_005, scramble);
    let outcome = watch_until(&stream, Drive::ByDeadlines, ms(2_600));
    let of_cat: Vec<_> = outcome.events.iter().filter(|event| event.0 == CatError).collect();
    assert_eq!(of_cat, [&(CatError, Place::STREAM, ms(2_505))]);
}

#[test]
fn two_seconds_without_a_pts_are_one_event_and_a_state_that_ends() {
    let stream = Stream::lasting(5_000).without_pts(Lane::Video, 2_002..4_001);
    let outcome = watch(&stream, Drive::ByDeadlines);
    assert_eq!(outcome.events, [(PtsError, on(VIDEO, 1), ms(2_701))]);
    assert_eq!(outcome.absent(), []);
    assert_eq!(watch_until(&stream, Drive::ByDeadlines, ms(2_701)).absent(), []);
}

#[test]
fn pcrs_of_one_program_180_ms_apart_are_missed_each_time() {
    let mut stream = Stream::lasting(4_000);
    for slot in (9..4_000).step_by(20).filter(|slot| slot / 20 % 9 != 0) {
        stream = stream.without_pcr(Lane::Video, slot..slot + 1);
    }
    let expected: Vec<_> = (0..22)
        .flat_map(|i| {
            let last = 9 + 180 * i;
            let late = (PcrRepetitionError, on(VIDEO, 1), ms(last + 100));
            [late, (PcrDiscontinuityIndicatorError, on(VIDEO, 1), ms(last + 180))]
        })
        .collect();
    for drive in [Drive::ByDeadlines, Drive::ByPackets] {
        // the last PCR is at 3,969 ms
        assert_eq!(watch(&stream, drive).events, expected);
    }
}

#[test]
fn an_input_that_vanishes_alarms_for_each_thing_at_its_limit_with_no_later_packet() {
    let stream = Stream::lasting(2_000);
    let expected = [
        (PcrRepetitionError, on(VIDEO, 1), 1_989 + 100),
        (PcrRepetitionError, on(VIDEO_2, 2), 1_991 + 100),
        (PatError2, on(0, 0), 1_900 + 500),
        (PmtError2, on(PMT_1, 1), 1_904 + 500),
        (PmtError2, on(PMT_2, 2), 1_908 + 500),
        (PtsError, on(VIDEO, 1), 1_981 + 700),
        (PtsError, on(AUDIO, 1), 1_982 + 700),
        (PtsError, on(VIDEO_2, 2), 1_987 + 700),
        (PidError, on(AUDIO, 1), 1_986 + 1_000),
        (PidError, on(VIDEO, 1), 1_989 + 1_000),
        (PidError, on(VIDEO_2, 2), 1_991 + 1_000),
        (SdtActualError, on(0x11, 0), 1_520 + 2_000),
        (EitActualError, on(0x12, 0), 1_532 + 2_000),
        (EitActualError, on(0x12, 0), 1_564 + 2_000),
        (PidError, on(DATA, 1), 1_983 + 5_000),
        (SiRepetitionError, on(0x11, 0), 24 + 10_000),
        (SiRepetitionError, on(0x11, 0), 28 + 10_000),
        (SiRepetitionError, on(0x12, 0), 36 + 10_000),
        (SiRepetitionError, on(0x10, 0), 48 + 10_000),
        (NitActualError, on(0x10, 0), 1_016 + 10_000),
        (TdtError, on(0x14, 0), 40 + 30_000),
        (SiRepetitionError, on(0x14, 0), 44 + 30_000),
    ]
    .map(|(indicator, place, at)| (indicator, place, ms(at)));
    for drive in [Drive::ByDeadlines, Drive::ByPackets] {
        let outcome = watch_until(&stream, drive, ms(100_000));
        assert_eq!(outcome.events, expected);
        assert_eq!(outcome.analyser.deadline(), Instant::NEVER, "once, and not again and again");
    }
    for (n, &(_, _, at)) in expected.iter().enumerate().filter(|(n, _)| *n != 12) {
        let before = watch_until(&stream, Drive::ByDeadlines, at - 1).events.len();
        assert_eq!((before, watch_until(&stream, Drive::ByDeadlines, at).events.len()), (n, n + 1));
    }
}

/// How a datagram carries its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carriage {
    Plain,
    Rtp,
    /// 204 bytes a packet.
    Coded,
}

fn datagram(packets: &[[u8; 188]], carriage: Carriage, sequence: usize) -> Vec<u8> {
    let [high, low] = (sequence as u16).to_be_bytes();
    let mut bytes = Vec::new();
    if carriage == Carriage::Rtp {
        bytes.extend([0x80, 33, high, low, 0, 0, 0, 0, 0, 0, 0, 7]);
    }
    for packet in packets {
        bytes.extend(packet);
        if carriage == Carriage::Coded {
            bytes.extend([0; 16]);
        }
    }
    bytes
}

#[test]
fn all_packets_of_a_datagram_are_counted_whether_it_has_1_or_10() {
    const PACKETS: usize = 2_520;
    let stream = Stream::lasting(PACKETS).numbered();
    let packets: Vec<_> = stream.slots.iter().map(|slot| slot.bytes).collect();
    let mixed = [10, 1, 7, 2, 9, 3, 8, 4, 6, 5, 10, 10, 1];
    let sizes: Vec<Vec<usize>> = (1..=10).map(|n| vec![n]).chain([mixed.to_vec()]).collect();
    for carriage in [Carriage::Plain, Carriage::Rtp, Carriage::Coded] {
        for sizes in &sizes {
            let framing = if carriage == Carriage::Rtp { Framing::Rtp } else { Framing::Auto };
            let inputs = vec![InputSetup { framing, ..InputSetup::default() }];
            let (policy, gather) = (Policy::default(), GatherSetup::default());
            let channel =
                ChannelSetup { inputs, policy, delay: Span::from_millis(20), gather, ..ChannelSetup::default() };
            let mut rig = Rig::new(&Setup { channels: vec![channel] });
            let (mut at, mut sent) = (0, 0);
            for &size in sizes.iter().cycle() {
                let Some(some) = packets.get(at..packets.len().min(at + size)).filter(|some| !some.is_empty()) else {
                    break;
                };
                at += some.len();
                let arrival = Instant::ZERO + Span::from_millis(at as u32);
                rig.datagram(0, arrival, &datagram(some, carriage, sent));
                sent += 1;
            }
            rig.advance(Instant::ZERO + Span::from_millis(PACKETS as u32 + 50));
            let input = &rig.snapshot().inputs[0];
            let of = format!("{carriage:?}, {sizes:?} packets each");
            assert_eq!((input.packets, input.transport.datagrams), (PACKETS as u64, sent as u64), "{of}");
            assert_eq!((input.transport.foreign, input.transport.odd, input.overrun), (0, 0, 0), "{of}");
            for indicator in [ContinuityCountError, SyncByteError, TsSyncLoss, CrcError] {
                assert_eq!(input.counts[indicator.index()], 0, "{of}: {}", indicator.name());
            }
            assert!(rig.packets() == packets, "{of}: they leave as they came");
        }
    }
}
