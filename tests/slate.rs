//! A clip in a loop: what leaves is one stream, turn after turn; and what cannot be played is told, whatever it is.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use changeover::switch::slate::{Clip, ClipError, MAX_SIZE, Player};
use changeover::synth::{self, Settings};
use changeover::ts::Packet;
use changeover::ts::pes::Header;
use changeover::units::{Instant, Pid, Pts90k, Span, Ticks27M};

const SECOND: u64 = 27_000_000;
const TURNS: u64 = 20;

fn recording(settings: Settings, milliseconds: u64) -> Vec<u8> {
    synth::recording(settings, Ticks27M(milliseconds * 27_000))
}

/// Runs a program of FFmpeg's; what it printed, and what it complained of.
fn tool(program: &str, arguments: &str) -> (Vec<u8>, String) {
    match Command::new(program).args(arguments.split_whitespace()).stdin(Stdio::null()).output() {
        Ok(output) => {
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} {arguments}: {complaints}");
            (output.stdout, complaints)
        }
        Err(error) => panic!("{program} does not run ({error}): install Debian's package `ffmpeg`"),
    }
}

/// H.264 with B-pictures and AAC, made by FFmpeg.
fn encoded(folder: &Path, arguments: &str) -> Vec<u8> {
    let file = folder.join("made.ts");
    let path = file.to_str().unwrap();
    let video = "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000";
    let coding = "-c:v libx264 -threads 1 -preset veryfast -bf 3 -g 25 -pix_fmt yuv420p -c:a aac -b:a 96k";
    tool("ffmpeg", &format!("-nostdin -v error {video} {coding} {arguments} -f mpegts -y {path}"));
    std::fs::read(file).unwrap()
}

/// Writes a stamp of 33 bits over the one that is there.
fn write_stamp(at: &mut [u8], stamp: u64) {
    let part = |shift: u32, mask: u64| u8::try_from(stamp >> shift & mask).unwrap();
    at[0] = at[0] & 0xF1 | part(30, 7) << 1;
    at[1] = part(22, 0xFF);
    at[2] = part(15, 0x7F) << 1 | 1;
    at[3] = part(7, 0xFF);
    at[4] = part(0, 0x7F) << 1 | 1;
}

/// A packet with its counter, and PCR, PTS and DTS moved by so many ticks of 27 MHz.
fn moved(bytes: &[u8; 188], counter: u8, ticks: u64) -> [u8; 188] {
    let mut out = *bytes;
    let packet = Packet::new(bytes);
    if packet.pid() != Pid::NULL {
        out[3] = out[3] & 0xF0 | counter;
    }
    if let Some(pcr) = packet.pcr() {
        let pcr = (pcr.0 + ticks) % Ticks27M::WRAP;
        out[6..12].copy_from_slice(&((pcr / 300) << 15 | 0x7E00 | (pcr % 300)).to_be_bytes()[2..]);
    }
    let payload = packet.payload();
    if packet.payload_unit_start_indicator()
        && let Some(Header { pts: Some(pts), dts, .. }) = Header::parse(payload)
    {
        let at = 188 - payload.len() + 9;
        let stamp = |stamp: Pts90k| (stamp.0 + ticks / 300) % Pts90k::WRAP;
        write_stamp(&mut out[at..], stamp(pts));
        if let Some(dts) = dts {
            write_stamp(&mut out[at + 5..], stamp(dts));
        }
    }
    out
}

/// The bytes of the elementary streams' PES packets, each with its DTS.
type Units = BTreeMap<u16, Vec<(Option<Pts90k>, Vec<u8>)>>;

/// Takes the PES packets apart, without their stamps. `is_loop` says that counters have to run on.
fn units<'a>(packets: impl Iterator<Item = &'a [u8; 188]>, is_loop: bool) -> Units {
    let mut units = Units::new();
    let mut counters: BTreeMap<u16, u8> = BTreeMap::new();
    for (i, bytes) in packets.enumerate() {
        let packet = Packet::new(bytes);
        let pid = packet.pid().value();
        if pid == 0x1FFF {
            continue;
        }
        let (counter, step) = (packet.continuity_counter(), u8::from(packet.has_payload()));
        if let Some(last) = counters.insert(pid, counter) {
            assert!(!is_loop || counter == (last + step) & 15, "packet {i} of PID {pid:#x}");
        }
        let payload = packet.payload();
        if packet.payload_unit_start_indicator() && payload.starts_with(&[0, 0, 1]) {
            let header = Header::parse(payload).unwrap();
            let body = payload[usize::from(header.size)..].to_vec();
            units.entry(pid).or_default().push((header.decoding_time(), body));
        } else if let Some((_, body)) = units.get_mut(&pid).and_then(|units| units.last_mut()) {
            body.extend(payload);
        }
    }
    units
}

/// So many turns, played by deadlines, with what is due wherever it has to be; and when each packet was due.
fn played(clip: &Clip, turns: u64) -> (Vec<[u8; 188]>, Vec<Instant>) {
    let mut player = Player::new(clip.clone());
    assert_eq!(player.deadline(), Instant::NEVER);
    assert!(player.next_due(Instant::NEVER).is_none());
    let begin = Instant::from_nanos(7_000_000_001);
    player.start(begin);
    let length = player.length();
    let (mut packets, mut times) = (Vec::new(), Vec::new());
    while packets.len() < clip.packets() * usize::try_from(turns).unwrap() {
        let at = player.deadline();
        assert!(player.next_due(at - Span::from_nanos(1)).is_none());
        let frame = player.next_due(at).unwrap();
        assert_eq!(frame.due, at);
        packets.push(moved(frame.bytes, frame.counter, frame.turn * length));
        times.push(at);
    }
    assert!(times.is_sorted() && times[0] == begin);
    if turns > 2 {
        assert_eq!(times[clip.packets() * 2], begin + Ticks27M::span(2 * length));
    }
    (packets, times)
}

/// Holds turns of a clip to all that a feed has to be, and to the file that it was made of.
fn judge(file: &[u8], clip: &Clip) -> (Vec<[u8; 188]>, Units) {
    let (packets, times) = played(clip, TURNS);
    assert_eq!(clip.length() % 300, 0);

    let mut clocks: BTreeMap<Pid, (Ticks27M, Instant, i64)> = BTreeMap::new();
    for (bytes, at) in packets.iter().zip(&times) {
        let packet = Packet::new(bytes);
        assert!(!packet.discontinuity_indicator());
        let Some(pcr) = packet.pcr() else { continue };
        if let Some((last, before, sum)) = clocks.get_mut(&packet.pid()) {
            let step = pcr.step_from(*last);
            assert!((0..=2_700_000).contains(&step), "PCR by {step} ticks at {at:?}");
            *sum += step - at.since(*before).nanos() * 27 / 1000;
            assert!(sum.abs() < 27_000, "the PCR is {sum} ticks off the time at which it leaves");
            (*last, *before) = (pcr, *at);
        } else {
            clocks.insert(packet.pid(), (pcr, *at, 0));
        }
    }
    assert!(!clocks.is_empty());
    let longest = times.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(longest <= Span::from_millis(100), "nothing for {longest:?}");

    let own = units(packets.iter(), true);
    let of_file = units(file.as_chunks::<188>().0.iter(), false);
    for (pid, units) in &own {
        let turns = usize::try_from(TURNS).unwrap();
        assert_eq!(units.len() % turns, 0, "PID {pid:#x}");
        let stamps: Vec<Pts90k> = units.iter().filter_map(|(dts, _)| *dts).collect();
        for pair in stamps.windows(2) {
            assert!((1..90_000).contains(&pair[1].step_from(pair[0])), "DTS of PID {pid:#x}: {pair:?}");
        }
        // every turn is a stretch of the file's PES packets, whole
        let one: Vec<&Vec<u8>> = units[..units.len() / turns].iter().map(|(_, body)| body).collect();
        let all: Vec<&Vec<u8>> = of_file[pid].iter().map(|(_, body)| body).collect();
        assert!(all.windows(one.len()).any(|part| part == one), "PID {pid:#x}");
        for (i, (_, body)) in units.iter().enumerate() {
            assert!(body == one[i % one.len()], "PES packet {i} of PID {pid:#x}");
        }
    }
    (packets, own)
}

/// Packets of each PID for a second, in a stream of so many ticks.
fn rates<'a>(packets: impl Iterator<Item = &'a [u8; 188]>, ticks: u64) -> BTreeMap<u16, f64> {
    let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
    packets.for_each(|bytes| *counts.entry(Packet::new(bytes).pid().value()).or_default() += 1);
    let seconds = f64::from(u32::try_from(ticks / 27_000).unwrap()) / 1e3;
    counts.into_iter().map(|(pid, count)| (pid, f64::from(count) / seconds)).collect()
}

#[test]
fn a_synthetic_recording_goes_on_for_ever_across_the_wraps() {
    // 20 turns of 5 s from 30 s before both wraps
    let settings = Settings { start: Ticks27M(Ticks27M::WRAP - 30 * SECOND), ..Settings::default() };
    let file = recording(settings, 5_000);
    let clip = Clip::new(&file).unwrap();
    // ends with whole pictures and whole PES packets of three frames
    assert!((4 * SECOND..=SECOND * 52 / 10).contains(&clip.length()), "{}", clip.length());
    assert!(clip.bit_rate().0.abs_diff(8_000_000) < 100_000, "{}", clip.bit_rate());
    let (packets, units) = judge(&file, &clip);
    assert_eq!(units[&0x100].len() % 25, 0, "{}", units[&0x100].len());
    let (own, of_file) = (
        rates(packets.iter(), clip.length() * TURNS),
        rates(file.as_chunks::<188>().0.iter(), 5 * SECOND + SECOND / 20),
    );
    for (pid, rate) in of_file {
        // of a table that comes every 500 ms one more or less counts
        assert!((own[&pid] - rate).abs() < 0.25 + rate * 0.03, "PID {pid:#x}: {} of {rate} packets/s", own[&pid]);
    }
    let first: Vec<u16> = packets.iter().take(3).map(|bytes| Packet::new(bytes).pid().value()).collect();
    assert_eq!(first, [0, 0x1000, 0x100], "PAT, PMT, and the picture that decoding begins with");
}

#[test]
fn packets_of_any_size_are_the_same_clip() {
    let file = recording(Settings::default(), 2_000);
    let coded: Vec<u8> = file.chunks(188).flat_map(|packet| [packet, &[0xA5; 16]].concat()).collect();
    let (plain, coded) = (Clip::new(&file).unwrap(), Clip::new(&coded).unwrap());
    assert_eq!(played(&plain, 3), played(&coded, 3));
    let timed: Vec<u8> = file.chunks(188).flat_map(|packet| [&[1, 2, 0x47, 4][..], packet].concat()).collect();
    assert_eq!(played(&plain, 3), played(&Clip::new(&timed).unwrap(), 3), "and with a time in front");
    // from within a packet, to within a packet
    let part = Clip::new(&file[100..file.len() - 50]).unwrap();
    assert!(part.length() <= plain.length() && part.length() >= SECOND);
}

#[test]
fn a_part_of_a_recording_begins_and_ends_where_it_can() {
    let file = recording(Settings { gop: 12, ..Settings::default() }, 8_000);
    for (from, to) in [(1, 20_000), (1_234, 30_000), (5_000, 12_345), (7_777, 40_001)] {
        let part = &file[from * 188..to * 188];
        let clip = Clip::new(part).unwrap();
        let (packets, units) = judge(part, &clip);
        let first = packets.iter().map(Packet::new).find(|packet| packet.pid().value() == 0x100).unwrap();
        assert!(first.random_access_indicator() && first.payload_unit_start_indicator(), "{from}…{to}");
        // 40 ms a picture: a whole number of them, and how long the sound is may make it a little longer
        let pictures = u64::try_from(units[&0x100].len()).unwrap() / TURNS;
        let (video, length) = (pictures * SECOND / 25, clip.length());
        assert!((video..=video + SECOND / 5).contains(&length), "{from}…{to}: {pictures} pictures in {length}");
    }
}

#[test]
fn what_ffmpeg_made_is_decoded_over_every_seam_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, pictures) in [("-t 2", 50), ("-t 3 -muxrate 3M", 75), ("-t 1.3 -pes_payload_size 300", 33)] {
        let file = encoded(folder.path(), arguments);
        let clip = Clip::new(&file).unwrap();
        let (packets, units) = judge(&file, &clip);
        let has_b = units[&0x100].iter().any(|(dts, _)| dts.is_some());
        assert!(has_b && units.contains_key(&0x101));
        let per_turn = units[&0x100].len() / 20;
        assert!((pictures - 4..=pictures).contains(&per_turn), "{arguments}: {per_turn} pictures");
        let path = folder.path().join("loop.ts");
        std::fs::write(&path, packets.concat()).unwrap();
        let path = path.to_str().unwrap();
        let (_, complaints) = tool("ffmpeg", &format!("-nostdin -v warning -xerror -i {path} -f null -"));
        assert_eq!(complaints, "", "{arguments}");
        let entries = "-show_entries stream=codec_name,nb_read_frames -of csv=p=0";
        let (counted, _) = tool("ffprobe", &format!("-v error -count_frames {entries} -i {path}"));
        let counted = String::from_utf8(counted).unwrap();
        assert!(counted.contains(&format!("h264,{}", per_turn * 20)), "{arguments}: {counted}");
    }
}

/// A packet of a stream that has ended: its PCR is all that is left of it.
fn silence(packet: &mut [u8; 188]) {
    if Packet::new(packet).has_pcr() {
        packet[1] &= 0x1F;
        packet[3] = packet[3] & 0x0F | 0x20;
        packet[4] = 183;
        packet[5] = 0x10;
        packet[12..].fill(0xFF);
    } else {
        packet[1..].fill(0xFF);
        packet[1] = 0x1F;
        packet[3] = 0x10;
    }
}

#[test]
fn a_stream_that_goes_on_for_longer_is_cut() {
    let file = recording(Settings::default(), 4_000);
    for ending in [0x100, 0x101] {
        let file = with(&file, |i, packet| {
            if i * 1_504 > 8_000 * 1_600 && pid(packet) == ending {
                silence(packet);
            }
            true
        });
        let clip = Clip::new(&file).unwrap();
        let (_, units) = judge(&file, &clip);
        let seconds = Ticks27M::span(clip.length()).seconds();
        assert!((1.3..1.9).contains(&seconds), "{seconds} s where PID {ending:#x} ends at 1.6 s");
        let turns = f64::from(u32::try_from(TURNS).unwrap());
        let count = |pid: u16| f64::from(u32::try_from(units[&pid].len()).unwrap()) / turns;
        // pictures of 40 ms, and packets of three frames of 24 ms
        let (video, audio) = (count(0x100) * 0.040, count(0x101) * 0.072);
        assert!(
            (video - audio).abs() < 0.15 && video.max(audio) > seconds - 0.15,
            "{video} s and {audio} s of {seconds}"
        );
    }
}

#[test]
fn pcrs_that_are_far_apart_get_others_between_them() {
    // one PCR in ten is left, and those of the last 800 ms are not: up to 300 ms apart, and more over the seam
    let file = recording(Settings::default(), 3_000);
    let mut pcrs = 0;
    let sparse = with(&file, |i, packet| {
        if Packet::new(packet).has_pcr() {
            pcrs += 1;
            if pcrs % 10 != 2 || i * 1_504 > 8_000 * 2_200 {
                packet[5] &= !0x10;
            }
        }
        true
    });
    let (whole, clip) = (Clip::new(&file).unwrap(), Clip::new(&sparse).unwrap());
    judge(&sparse, &clip);
    assert!(clip.length().abs_diff(whole.length()) < 27_000);
    let more = clip.packets() - whole.packets();
    assert!((60..90).contains(&more), "{more} packets with a PCR for 3 s");
}

/// The packets of a file, changed or left out.
fn with(file: &[u8], mut change: impl FnMut(usize, &mut [u8; 188]) -> bool) -> Vec<u8> {
    let mut packets = file.as_chunks::<188>().0.to_vec();
    let mut number = 0;
    packets.retain_mut(|packet| {
        number += 1;
        change(number - 1, packet)
    });
    packets.concat()
}

fn pid(packet: &[u8; 188]) -> u16 {
    Packet::new(packet).pid().value()
}

#[test]
fn what_cannot_be_played_is_told_and_why() {
    let file = recording(Settings::default(), 3_000);
    let null = [&[0x47, 0x1F, 0xFF, 0x10][..], &[0xFF; 184]].concat();
    let mut sync_lost = file.clone();
    sync_lost[188 * 1_000] = 0;
    let is_video = |packet: &[u8; 188]| pid(packet) == 0x100;
    let mut pcrs = 0;
    let video = Pid::new(0x100);
    for (what, bytes, expected) in [
        ("nothing", vec![], ClipError::Empty),
        ("too much", vec![0x47; MAX_SIZE + 1], ClipError::TooLarge { size: MAX_SIZE + 1 }),
        ("text", b"once upon a time ".repeat(1_000), ClipError::NotTransportStream),
        ("a part of a packet", file[..187].to_vec(), ClipError::NotTransportStream),
        ("null packets", null.repeat(1_000), ClipError::NoPat),
        ("sync lost", sync_lost, ClipError::LostSync { offset: 188_000 }),
        (
            "damaged",
            with(&file, |i, p| {
                p[1] |= if i == 900 { 0x80 } else { 0 };
                true
            }),
            ClipError::Damaged { offset: 900 * 188 },
        ),
        ("no PAT", with(&file, |_, p| pid(p) != 0), ClipError::NoPat),
        ("no PMT", with(&file, |_, p| pid(p) != 0x1000), ClipError::NoPmt),
        (
            "no PCR",
            with(&file, |_, p| {
                if is_video(p) && p[3] & 0x20 != 0 {
                    p[5] &= !0x10;
                }
                true
            }),
            ClipError::NoPcr,
        ),
        (
            "a PCR",
            with(&file, |_, p| {
                if is_video(p) && Packet::new(p).has_pcr() {
                    pcrs += 1;
                    p[5] &= if pcrs > 1 { !0x10 } else { 0xFF };
                }
                true
            }),
            ClipError::NoPcr,
        ),
        ("no video", with(&file, |_, p| !is_video(p)), ClipError::NoRandomAccess { pid: video }),
        (
            "no random access",
            with(&file, |_, p| {
                // the start codes of sequence headers are others
                if let Some(at) = p.windows(4).position(|code| code == [0, 0, 1, 0xB3]) {
                    p[at + 3] = 0xB5;
                }
                true
            }),
            ClipError::NoRandomAccess { pid: video },
        ),
        (
            "scrambled",
            with(&file, |i, p| {
                p[3] |= if is_video(p) && i > 500 { 0x80 } else { 0 };
                true
            }),
            ClipError::Scrambled {
                pid: video,
                offset: 188
                    * file.as_chunks::<188>().0.iter().enumerate().position(|(i, p)| is_video(p) && i > 500).unwrap(),
            },
        ),
        ("too short", recording(Settings::default(), 200), ClipError::TooShort { length: 0 }),
    ] {
        let error = Clip::new(&bytes).unwrap_err();
        let is_alike = match (&error, &expected) {
            (ClipError::TooShort { length }, ClipError::TooShort { .. }) => *length < SECOND / 2,
            _ => error == expected,
        };
        assert!(is_alike, "{what}: {error:?}");
        assert!(error.to_string().len() > 15 && !error.to_string().contains("{"), "{error}");
    }
}

#[test]
fn what_is_broken_in_the_middle_is_told_with_its_place() {
    let file = recording(Settings::default(), 3_000);
    let missing = (5_000..).find(|i| pid(&file.as_chunks::<188>().0[*i]) == 0x101).unwrap();
    let error = Clip::new(&with(&file, |i, _| i != missing)).unwrap_err();
    assert!(
        matches!(error, ClipError::Missing { pid, offset } if pid.value() == 0x101 && offset > missing * 188),
        "{error}"
    );
    // sound that jumps an hour ahead ends there, and the pictures with it
    let mut count = 0;
    let ahead = with(&file, |_, packet| {
        let begins = pid(packet) == 0x101 && Packet::new(packet).payload_unit_start_indicator();
        count += i32::from(begins);
        if begins && count > 20 {
            *packet = moved(packet, packet[3] & 15, 3_600 * SECOND);
        }
        true
    });
    let clip = Clip::new(&ahead).unwrap();
    judge(&ahead, &clip);
    assert!((SECOND * 13 / 10..SECOND * 16 / 10).contains(&clip.length()), "20 packets of 72 ms: {}", clip.length());
    // two recordings, one behind the other
    let other = recording(Settings { start: Ticks27M(500 * SECOND), ..Settings::default() }, 3_000);
    let error = Clip::new(&[&file[..], &other].concat()).unwrap_err();
    assert!(matches!(error, ClipError::Clock { offset, .. } if offset > file.len()), "{error}");
    assert!(error.to_string().contains("PID 0x100 at byte "), "{error}");
    let other = recording(Settings { audio_pid: Pid::new(0x102), ..Settings::default() }, 3_000);
    assert!(Clip::new(&[&file[..file.len() / 376 * 188], &other].concat()).is_err());
}

#[test]
fn a_time_of_day_that_has_passed_is_not_said_again() {
    let file = recording(Settings::default(), 2_000);
    let mut bytes = file.clone();
    for at in [3_000, 4_000] {
        let mut time = [0xFF; 188];
        time[..5].copy_from_slice(&[0x47, 0x40, 0x14, 0x10, 0]);
        bytes.splice(at * 188..at * 188, time);
    }
    let clip = Clip::new(&bytes).unwrap();
    assert!(played(&clip, 1).0.iter().all(|packet| pid(packet) != 0x14));
    assert_eq!(clip.packets(), Clip::new(&file).unwrap().packets());
}

#[test]
fn hostile_files_never_make_it_panic() {
    let file = recording(Settings { bit_rate: 2_000_000, ..Settings::default() }, 1_500);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut chance = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(n).unwrap()).unwrap()
    };
    let noise: Vec<u8> = (0..100_000).map(|_| u8::try_from(chance(256)).unwrap()).collect();
    assert_eq!(Clip::new(&noise).unwrap_err(), ClipError::NotTransportStream);
    let noise: Vec<u8> = noise.chunks(187).flat_map(|bytes| [&[0x47][..], bytes].concat()).collect();
    assert!(Clip::new(&noise).is_err());
    let mut clips = 0;
    for round in 0..300 {
        let mut bytes = file.clone();
        bytes.truncate(if round % 3 == 0 { chance(file.len()) } else { file.len() });
        for _ in 0..round % 40 {
            let packets = (bytes.len() / 188).max(1);
            // heads are where it hurts
            let at = chance(packets) * 188 + 1 + chance(if round % 2 == 0 { 30 } else { 187 });
            let value = u8::try_from(chance(256)).unwrap();
            bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
        }
        if let Ok(clip) = Clip::new(&bytes) {
            clips += 1;
            played(&clip, 3);
        }
    }
    assert!(clips > 10, "{clips}");
}
