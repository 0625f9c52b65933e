//! Sound and pictures whose PES headers lie in two packets.

use std::collections::{BTreeMap, VecDeque};

use changeover::ts::Packet;
use changeover::ts::stream::Kind::{self, Audio, Video};
use changeover::units::Pid;

use super::feed::MS;
use super::stage::Stage;
use super::tape::Tape;
use super::{SHORT, judge, runs, two};

/// One in so many PES headers of a PID lies in two packets. The packets of that PID move on, to where null packets were.
fn parted(mut tape: Tape, kind: Kind, one_in: usize) -> Tape {
    let pid = tape.pids(kind)[0];
    let (mut starts, mut counter, mut waiting) = (0, 0, VecDeque::new());
    for place in &mut tape.packets {
        let bytes = *place;
        let packet = Packet::new(&bytes);
        let is_start = packet.payload_unit_start_indicator();
        if packet.pid() == pid {
            starts += usize::from(is_start);
            if is_start && starts.is_multiple_of(one_in) {
                let (first, second) = packet.payload().split_at(FIRST);
                waiting.extend([filled(&bytes, 0x40, first), filled(&bytes, 0, second)]);
            } else {
                waiting.push_back(bytes);
            }
        } else if packet.pid() != Pid::NULL {
            continue;
        }
        if let Some(next) = waiting.pop_front() {
            *place = next;
            counter = (counter + u8::from(next[3] & 0x10 != 0)) & 0x0F;
            place[3] = place[3] & 0xF0 | counter;
        }
    }
    tape
}

/// So much of a header lies in the first of two packets.
const FIRST: usize = 12;

/// A packet of another's PID with this payload behind stuffing, and with its PCR where it begins a PES packet.
fn filled(other: &[u8; 188], start: u8, payload: &[u8]) -> [u8; 188] {
    let mut bytes = [0xFF; 188];
    let at = 188 - payload.len();
    bytes[..4].copy_from_slice(&[0x47, other[1] & 0x1F | start, other[2], 0x30]);
    bytes[4..6].copy_from_slice(&[at as u8 - 5, 0]);
    if start > 0 && Packet::new(other).has_pcr() {
        bytes[5..12].copy_from_slice(&other[5..12]);
    }
    bytes[at..].copy_from_slice(payload);
    bytes
}

#[test]
fn times_in_two_packets_go_over() {
    for (kind, one_in) in [(Audio, 3), (Audio, 1), (Video, 1)] {
        let feeds = two(SHORT).into_iter().map(|feed| parted(feed.tape, kind, one_in).into());
        let mut stage = Stage::new(feeds.collect());
        stage.alternate(6, 700 * MS, 4);
        let output = stage.finish();
        assert_eq!(output.kinds(), BTreeMap::from([("independent", 6)]));
        output.is_clean();
        let pid = output.pid(kind);
        let is_parted = |packet: &Packet<'_>| {
            packet.pid() == pid && packet.payload_unit_start_indicator() && packet.payload().len() == FIRST
        };
        let parted = output.packets.iter().filter(|bytes| is_parted(&Packet::new(bytes))).count();
        assert!(parted > 10, "{parted}");
        assert_eq!(runs(&output, Video).len(), 7);
        assert_eq!(runs(&output, Audio), runs(&output, Video), "{kind:?} {one_in}");
        judge::ffmpeg(&output);
    }
}
