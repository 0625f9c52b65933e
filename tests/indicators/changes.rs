//! Tables that change, and packets that come twice: what was known before must neither be lost nor counted again.

use changeover::tr101290::Indicator::{ContinuityCountError, PcrRepetitionError, PidError, PtsError};
use changeover::tr101290::{Analyser, Settings};
use changeover::units::Instant;

use crate::plant::tables::{self, Listed, STREAMS_1, pat, pmt};
use crate::plant::{
    AUDIO, DATA, Drive, Lane, Outcome, PCR_2, PMT_1, PMT_2, Stream, VIDEO, VIDEO_2, ms, on, packets, watch,
};

const LONG_DESCRIPTOR: [u8; 200] = {
    let mut descriptor = [7; 200];
    (descriptor[0], descriptor[1]) = (0x80, 198);
    descriptor
};

/// A PMT of three packets, in slots from 2,104 to 2,117, of which the second is there so often.
fn long_pmt(occurrences: usize) -> Stream {
    let more: [Listed; 2] = [(0x05, 0x300, &LONG_DESCRIPTOR), (0x05, 0x301, &LONG_DESCRIPTOR)];
    let parts = packets(PMT_1, &tables::pmt_1(&[&STREAMS_1[..], &more].concat()));
    assert_eq!(parts.len(), 3);
    let mut stream = Stream::lasting(2_120).without(Lane::Pmt1, 2_104..2_105);
    for (slot, part) in [2_104, 2_113, 2_117].into_iter().zip(parts) {
        stream = stream.with(slot, part);
    }
    (1..occurrences).fold(stream, |stream, again| stream.repeated(2_113, 2_113 + again))
}

#[test]
fn a_part_of_a_section_that_comes_twice_leaves_it_whole() {
    let outcome = watch(&long_pmt(2), Drive::ByDeadlines);
    assert_eq!(outcome.events, []);
    assert_eq!(outcome.analyser.streams().len(), 6);
}

#[test]
fn a_part_of_a_section_that_comes_three_times_is_an_error_of_continuity_and_leaves_it_whole() {
    let outcome = watch(&long_pmt(3), Drive::ByDeadlines);
    assert_eq!(outcome.events, [(ContinuityCountError, on(PMT_1, 1), ms(2_115))]);
    assert_eq!(outcome.analyser.streams().len(), 6);
}

/// Two PMT sections back to back in slots from 2,104 to 2,117: the second packet ends one and begins the other.
fn back_to_back() -> Stream {
    let streams = [&STREAMS_1[..], &[(0x05, 0x300, &LONG_DESCRIPTOR)]].concat();
    let section = tables::pmt_1(&streams);
    let (first, end) = section.split_at(183);
    let (begin, rest) = section.split_at(183 - end.len());
    let payloads = [[&[0], first].concat(), [&[end.len() as u8], end, begin].concat(), rest.to_vec()];
    let mut stream = Stream::lasting(2_120).without(Lane::Pmt1, 2_104..2_105);
    for ((slot, payload), start) in [2_104, 2_113, 2_117].into_iter().zip(payloads).zip([0x40, 0x40, 0]) {
        let mut packet = [0xFF; 188];
        packet[..4].copy_from_slice(&[0x47, start | 0x10, 0x00, 0x10]);
        packet[4..4 + payload.len()].copy_from_slice(&payload);
        stream = stream.with(slot, packet);
    }
    stream
}

#[test]
fn a_packet_that_ends_one_section_and_begins_another_may_come_twice() {
    for stream in [back_to_back(), back_to_back().repeated(2_113, 2_114), back_to_back().repeated(2_117, 2_118)] {
        let outcome = watch(&stream, Drive::ByDeadlines);
        assert_eq!(outcome.events, []);
        assert_eq!(outcome.analyser.streams().len(), 5);
    }
}

#[test]
fn a_pmt_whose_counter_stands_still_is_an_error_of_continuity_and_is_there() {
    let stream = Stream::lasting(3_000).numbered().all(Lane::Pmt1, 0..3_000, |packet| packet[3] = 0x10);
    let outcome = watch(&stream, Drive::ByDeadlines);
    // the second is a legal duplicate, each further one is not
    let expected: Vec<_> = (2..30).map(|i| (ContinuityCountError, on(PMT_1, 1), ms(100 * i + 4))).collect();
    assert_eq!(outcome.events, expected);
}

#[test]
fn a_part_of_a_section_that_is_lost_is_an_error_of_continuity_and_none_of_its_crc() {
    let stream = long_pmt(1).numbered().cleared(2_113..2_114);
    let outcome = watch(&stream, Drive::ByDeadlines);
    assert_eq!(outcome.events, [(ContinuityCountError, on(PMT_1, 1), ms(2_117))]);
    assert_eq!(outcome.analyser.streams().len(), 4);
}

#[test]
fn a_pid_that_is_missing_when_it_ceases_to_be_the_pcr_pid_clears_when_it_is_back() {
    // the video of the second program goes; while it is away, its PCRs go to another PID
    let stream = Stream::lasting(5_000).with_pcr_pid().without(Lane::Video2, 2_020..4_000);
    let stream = stream.replaced(Lane::Pmt2, 0..3_100, &tables::pmt_2(VIDEO_2));
    let stream = stream.without(Lane::Planted, 0..3_050);
    let outcome = watch(&stream, Drive::ByDeadlines);
    let video = on(VIDEO_2, 2);
    let expected = [(PcrRepetitionError, video, ms(2_111)), (PtsError, video, ms(2_707)), (PidError, video, ms(3_011))];
    assert_eq!(outcome.events, expected);
    assert_eq!(outcome.absent(), []);
    assert_eq!(outcome.analyser.streams().len(), 4);
    let pcr_pid = outcome.analyser.programs()[1].pcr_pid.map(|pid| pid.value());
    assert_eq!(pcr_pid, Some(PCR_2));
}

#[test]
fn a_stream_that_becomes_another_kind_is_held_to_the_limits_of_that_kind() {
    // private data, to which a later PMT gives the descriptor of AC-3
    let sound = [STREAMS_1[0], STREAMS_1[1], (0x06, DATA, &[0x6A, 1, 0][..])];
    let stream = Stream::lasting(4_000).replaced(Lane::Pmt1, 1_004..4_000, &tables::pmt_1(&sound));
    let stream = stream.without(Lane::Data, 2_004..4_000);
    let outcome = watch(&stream, Drive::ByDeadlines);
    let data = on(DATA, 1);
    // the payload of this PID has no PTS at all
    assert_eq!(outcome.events, [(PtsError, data, ms(1_704)), (PidError, data, ms(3_003))]);
}

#[test]
fn a_pid_that_moves_to_another_program_is_told_of_as_that_programs() {
    let first = [STREAMS_1[0], STREAMS_1[2]];
    let second: [Listed; 2] = [(0x1B, VIDEO_2, &[]), STREAMS_1[1]];
    let stream = Stream::lasting(4_000).replaced(Lane::Pmt2, 1_008..4_000, &pmt(2, VIDEO_2, &[], &second));
    let stream = stream.replaced(Lane::Pmt1, 1_104..4_000, &tables::pmt_1(&first));
    let stream = stream.without(Lane::Audio, 2_003..4_000).without(Lane::EcmAudio, 0..4_000);
    let outcome = watch(&stream, Drive::ByDeadlines);
    let audio = on(AUDIO, 2);
    assert_eq!(outcome.events, [(PtsError, audio, ms(2_702)), (PidError, audio, ms(3_002))]);
}

/// An analyser of PAT sections alone.
fn after(sections: &[Vec<u8>]) -> Analyser {
    let mut analyser = Analyser::new(&Settings::default());
    let mut counter = 0;
    for section in sections {
        for mut packet in packets(0, section) {
            packet[3] |= counter % 16;
            counter += 1;
            analyser.packet(Instant::ZERO, &packet, &mut ());
        }
    }
    analyser
}

fn numbers(analyser: &Analyser) -> Vec<u16> {
    let mut numbers: Vec<_> = analyser.programs().iter().map(|program| program.number).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_section_of_the_pat_that_goes_and_comes_back_is_read_again() {
    let whole = [pat(0, 1, &[(1, PMT_1)]), pat(1, 1, &[(2, PMT_2)])];
    let shorter = pat(0, 0, &[(1, PMT_1)]);
    assert_eq!(numbers(&after(&[&whole[..], std::slice::from_ref(&shorter)].concat())), [1]);
    assert_eq!(numbers(&after(&[&whole[..], &[shorter], &whole].concat())), [1, 2]);
}

#[test]
fn programs_that_change_places_between_sections_of_the_pat_stay() {
    let one_way = [pat(0, 1, &[(1, PMT_1)]), pat(1, 1, &[(2, PMT_2)])];
    let the_other = [pat(0, 1, &[(2, PMT_2)]), pat(1, 1, &[(1, PMT_1)])];
    assert_eq!(numbers(&after(&[&one_way[..], &the_other].concat())), [1, 2]);
    assert_eq!(numbers(&after(&[&one_way[..], &the_other, &one_way].concat())), [1, 2]);
}

#[test]
fn streams_that_share_an_ecm_pid_need_room_for_it_once() {
    let access: &[u8] = &[0x09, 4, 0x0B, 0, 0xE1, 0x03];
    let streams: Vec<Listed> = (0..8).map(|i| (0x05, 0x300 + i, access)).collect();
    let programs: Vec<_> = (1..=20).map(|number| (number, 0x1000 + number)).collect();
    let mut analyser = after(&[pat(0, 0, &programs)]);
    for &(number, pid) in &programs {
        for packet in packets(pid, &pmt(number, VIDEO, &[], &streams)) {
            analyser.packet(Instant::ZERO, &packet, &mut ());
        }
    }
    assert_eq!((analyser.streams().len(), analyser.left_out()), (160, 0));
}

#[test]
fn a_pat_that_lists_a_program_no_more_waits_for_nothing_of_it() {
    let only_first = pat(0, 0, &[(0, 0x10), (1, PMT_1)]);
    let stream = Stream::lasting(4_000).replaced(Lane::Pat, 2_100..4_000, &only_first);
    let stream = stream.without(Lane::Pmt2, 2_100..4_000).without(Lane::Video2, 2_100..4_000);
    let Outcome { events, analyser } = watch(&stream, Drive::ByDeadlines);
    assert_eq!(events, []);
    assert_eq!((numbers(&analyser), analyser.streams().len()), (vec![1], 3));
}
