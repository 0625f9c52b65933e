//! Splice information (ANSI/SCTE 35): put into a stream in place of null packets, and looked at in the output.

use changeover::ts::scte35::SpliceInfo;
use changeover::ts::section::Section;
use changeover::ts::stream::Kind;
use changeover::ts::{Packet, crc32};
use changeover::units::{Pid, Pts90k};

use crate::output::{Output, Unit, sections};
use crate::tape::Tape;

/// Every so many null packets one makes room.
const EVERY: usize = 40;
/// pts_adjustment as it is sent: from where it wraps in some of the feeds.
const ADJUSTMENT: u64 = Pts90k::WRAP - 1_000;
/// In an encrypted section, which no PTS is to be looked for in.
const ENCRYPTED: u8 = 0x80;

/// A splice_insert for this PTS; every third is encrypted.
fn insert(event: u32, pts: u64) -> Vec<u8> {
    let flags = if event.is_multiple_of(3) { ENCRYPTED } else { 0 };
    let [_, _, _, a, rest @ ..] = ADJUSTMENT.to_be_bytes();
    let mut section = vec![0xFC, 0x30, 32, 0, flags | a & 1];
    section.extend(rest);
    section.extend([0, 0xFF, 0xF0, 15, 5]);
    section.extend(event.to_be_bytes());
    section.extend([0x7F, 0xCF]);
    let [_, _, _, a, rest @ ..] = pts.to_be_bytes();
    section.push(0xFE | a & 1);
    section.extend(rest);
    section.extend([0, 1, 0, 0, 0, 0]);
    section.extend(crc32(&section).to_be_bytes());
    section
}

fn event_id(section: &[u8]) -> u32 {
    u32::from_be_bytes(section[14..18].try_into().unwrap())
}

/// A stream with splice information on a PID that its first PMT lists, the splice_event_ids from `first` on.
pub fn with(mut tape: Tape, pid: u16, first: u32) -> Tape {
    let pmt = tape.analysed().programs()[0].pmt_pid;
    let [high, low] = pid.to_be_bytes();
    let (mut nulls, mut event, mut counter, mut pcr) = (0, first, 0, 0);
    for bytes in &mut tape.packets {
        let packet = Packet::new(bytes);
        pcr = packet.pcr().map_or(pcr, |pcr| pcr.0);
        if packet.pid() == pmt && packet.payload_unit_start_indicator() {
            // section_length grows by an entry, which lies where CRC_32 was
            let end = 8 + usize::from(u16::from_be_bytes([bytes[6] & 0x0F, bytes[7]])) - 4;
            bytes[end..end + 5].copy_from_slice(&[0x86, 0xE0 | high, low, 0xF0, 0]);
            bytes[7] += 5;
            let crc = crc32(&bytes[5..end + 5]);
            bytes[end + 5..end + 9].copy_from_slice(&crc.to_be_bytes());
        } else if packet.pid() == Pid::NULL {
            nulls += 1;
            if nulls % EVERY == 0 {
                let section = insert(event, (pcr / 300 + 360_000) % Pts90k::WRAP);
                bytes.fill(0xFF);
                bytes[..5].copy_from_slice(&[0x47, 0x40 | high, low, 0x10 | counter, 0]);
                bytes[5..5 + section.len()].copy_from_slice(&section);
                (event, counter) = (event + 1, (counter + 1) & 0x0F);
            }
        }
    }
    tape
}

/// Each section left once, moved by what the pictures next to it were moved by; those that are encrypted as they came.
pub fn check(output: &Output, pictures: &[(Unit, usize, Unit)], pid: Pid) {
    let mut sent = Vec::new();
    let sources = output.feeds.iter().map(|feed| sections(&feed.tape.packets, feed.pid(Kind::Splice)));
    let sources: Vec<_> = sources.collect();
    for (place, section) in sections(&output.packets, pid) {
        let event = event_id(&section);
        let feed = usize::from(event >> 24 == 0x0B);
        let (_, origin) = sources[feed].iter().find(|(_, it)| event_id(it) == event).expect("a section of a feed");
        sent.push(event);
        if event.is_multiple_of(3) {
            assert_eq!(&section, origin, "an encrypted section is touched");
            continue;
        }
        let near = pictures.iter().filter(|(_, of, _)| *of == feed).min_by_key(|(unit, ..)| unit.place.abs_diff(place));
        let (unit, _, picture) = near.unwrap();
        let moved = unit.stamps.0.step_from(picture.stamps.0);
        let info = SpliceInfo::parse(Section::new(&section).unwrap()).unwrap();
        let wanted = (ADJUSTMENT as i64 + moved).rem_euclid(Pts90k::WRAP as i64);
        assert_eq!(info.pts_adjustment.0 as i64, wanted, "event {event:#x} in packet {place}");
        assert_eq!(section[14..31], origin[14..31], "event {event:#x}: the command itself stays");
    }
    assert!(sent.iter().any(|event| event >> 24 == 0x0A) && sent.iter().any(|event| event >> 24 == 0x0B), "{sent:x?}");
    let count = sent.len();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), count, "a section left twice");
}
