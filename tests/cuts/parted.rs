//! Sound whose PES headers lie in two packets.

use std::collections::{BTreeMap, VecDeque};

use changeover::ts::Packet;
use changeover::ts::stream::Kind::{Audio, Video};
use changeover::units::Pid;

use super::feed::MS;
use super::stage::Stage;
use super::tape::Tape;
use super::{runs, two};

/// Each third PES header of the sound lies in two packets. The packets of that PID move on, to where null packets were.
fn parted(mut tape: Tape) -> Tape {
    let pid = tape.pids(Audio)[0];
    let (mut starts, mut counter, mut waiting) = (0, 0, VecDeque::new());
    for place in &mut tape.packets {
        let bytes = *place;
        let packet = Packet::new(&bytes);
        let is_start = packet.payload_unit_start_indicator();
        if packet.pid() == pid {
            starts += usize::from(is_start);
            let (first, second) = packet.payload().split_at(FIRST);
            if is_start && starts.is_multiple_of(3) {
                waiting.extend([filled(&bytes, 0x40, first), filled(&bytes, 0, second)]);
            } else {
                waiting.push_back(bytes);
            }
        } else if packet.pid() != Pid::NULL {
            continue;
        }
        if let Some(next) = waiting.pop_front() {
            *place = next;
            place[3] = place[3] & 0xF0 | counter;
            counter = (counter + 1) & 0x0F;
        }
    }
    tape
}

/// So much of a header lies in the first of two packets.
const FIRST: usize = 12;

/// A packet of another's PID with this payload behind stuffing.
fn filled(other: &[u8; 188], start: u8, payload: &[u8]) -> [u8; 188] {
    let mut bytes = [0xFF; 188];
    let at = 188 - payload.len();
    bytes[..4].copy_from_slice(&[0x47, other[1] & 0x1F | start, other[2], 0x30]);
    bytes[4..6].copy_from_slice(&[at as u8 - 5, 0]);
    bytes[at..].copy_from_slice(payload);
    bytes
}

#[test]
fn times_in_two_packets_go_over() {
    let mut stage = Stage::new(two(20).into_iter().map(|feed| parted(feed.tape).into()).collect());
    stage.alternate(10, 700 * MS, 4);
    let output = stage.finish();
    assert_eq!(output.kinds(), BTreeMap::from([("independent", 10)]));
    assert_eq!(output.discontinuities(), []);
    let pid = output.pid(Audio);
    let is_parted = |packet: &Packet<'_>| {
        packet.pid() == pid && packet.payload_unit_start_indicator() && packet.payload().len() == FIRST
    };
    let parted = output.packets.iter().filter(|bytes| is_parted(&Packet::new(bytes))).count();
    assert!(parted > 100, "{parted}");
    assert_eq!(runs(&output, Video).len(), 11);
    assert_eq!(runs(&output, Audio), runs(&output, Video));
}
