//! What makes an input unhealthy besides the indicators: over one input of an engine, in its own time.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

mod common;
mod plant;

use changeover::engine::{ChannelSetup, InputSetup, Setup, What};
use changeover::health::{Criterion, Limit, Limits, LinkFigures, Raise, Scope};
use changeover::synth::Settings;
use changeover::units::{BitRate, InputId, Instant, Pid, Span};

use common::{Rig, Source};
use plant::tables;

/// One feed into one input that is judged by one criterion alone.
struct Scene {
    rig: Rig,
    source: Source,
    next: (Instant, Vec<u8>),
}

impl Scene {
    fn new(criterion: Criterion, raise: Raise, scope: Scope, settings: Settings) -> Self {
        let mut limits = Limits::NONE;
        limits.set(criterion, Some(Limit { raise, clear: Span::from_secs(1), scope }));
        let channel =
            ChannelSetup { inputs: vec![InputSetup { limits, ..InputSetup::default() }], ..ChannelSetup::default() };
        let mut source = Source::new(settings, Span::ZERO);
        let next = source.next_datagram();
        Self { rig: Rig::new(&Setup { channels: vec![channel] }), source, next }
    }

    /// The feed until a time; `change` may change a packet.
    fn run(&mut self, until: Instant, mut change: impl FnMut(&mut [u8; 188])) {
        while self.next.0 <= until {
            let (at, mut bytes) = std::mem::replace(&mut self.next, self.source.next_datagram());
            bytes.as_chunks_mut::<188>().0.iter_mut().for_each(&mut change);
            self.rig.datagram(0, at, &bytes);
        }
        self.rig.advance(until);
    }

    /// When each criterion was raised and cleared, in order.
    fn changes(&self) -> Vec<(Instant, bool)> {
        let change = |what: &What| match what {
            What::Raised { .. } => Some(true),
            What::Cleared { .. } => Some(false),
            _ => None,
        };
        self.rig.events.iter().filter_map(|event| Some((event.at, change(&event.what)?))).collect()
    }
}

fn ms(ms: u32) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

fn pid(packet: &[u8; 188]) -> Pid {
    Pid::new(u16::from_be_bytes([packet[1], packet[2]]))
}

/// Makes a null packet of it.
fn null(packet: &mut [u8; 188]) {
    packet[1] = packet[1] & 0xA0 | 0x1F;
    packet[2] = 0xFF;
}

fn without(gone: Pid) -> impl FnMut(&mut [u8; 188]) {
    move |packet| {
        if pid(packet) == gone {
            null(packet);
        }
    }
}

fn lasting(ms: u32) -> Raise {
    Raise::Lasting(Span::from_millis(ms))
}

#[test]
fn a_video_pid_that_stops_is_absent_after_its_time_and_audio_is_another_matter() {
    let settings = Settings::default();
    for (criterion, gone, other) in [
        (Criterion::VideoPidAbsent, settings.video_pid, settings.audio_pid),
        (Criterion::AudioPidAbsent, settings.audio_pid, settings.video_pid),
    ] {
        let mut scene = Scene::new(criterion, lasting(200), Scope::ALL, settings.clone());
        scene.run(ms(2_000), |_| ());
        scene.run(ms(3_000), without(other));
        assert_eq!(scene.changes(), [], "{}", criterion.name());
        scene.run(ms(4_000), without(gone));
        let [(at, true)] = scene.changes()[..] else { panic!("{:?}", scene.changes()) };
        // its packets come at least every 72 ms
        assert!(at > ms(3_120) && at <= ms(3_200), "{at:?}");
        scene.run(ms(6_000), |_| ());
        let changes = scene.changes();
        assert!(changes.len() == 2 && !changes[1].1 && changes[1].0 >= ms(5_000), "{changes:?}");
    }
}

#[test]
fn a_pmt_that_drops_its_video_leaves_it_absent_and_one_that_never_had_any_does_not() {
    let mut scene = Scene::new(Criterion::VideoPidAbsent, lasting(200), Scope::ALL, Settings::default());
    let mut other = Scene::new(Criterion::VideoPidAbsent, lasting(200), Scope::ALL, Settings::default());
    scene.run(ms(1_000), |_| ());
    let pmt_pid = Settings::default().pmt_pid;
    let audio_only = |packet: &mut [u8; 188]| {
        if pid(packet) == pmt_pid {
            // the video becomes private data that nobody waits for, and the CRC_32 follows
            let length = usize::from(packet[7]) + 8;
            packet[5 + 12] = 0x05;
            let crc = mpeg2ts_reader::mpegts_crc::sum32(&packet[5..length - 4]);
            packet[length - 4..length].copy_from_slice(&crc.to_be_bytes());
        }
    };
    scene.run(ms(2_000), audio_only);
    let [(at, true)] = scene.changes()[..] else { panic!("{:?}", scene.changes()) };
    assert!(at > ms(1_200) && at <= ms(1_300), "{at:?}: the PMT comes every 100 ms");
    other.run(ms(2_000), audio_only);
    assert_eq!(other.changes(), []);
}

#[test]
fn a_rate_that_is_too_low_is_raised_after_its_time_and_so_is_none_at_all() {
    let raise = Raise::Below { rate: BitRate(6_000_000), lasting: Span::from_secs(1) };
    let mut scene = Scene::new(Criterion::BitRateBelow, raise, Scope::ALL, Settings::default());
    scene.run(ms(5_000), |_| ());
    assert_eq!(scene.changes(), [], "8 Mb/s, from the first packet on");
    scene.rig.advance(ms(8_000));
    let [(at, true)] = scene.changes()[..] else { panic!("{:?}", scene.changes()) };
    assert!(at > ms(5_890) && at <= ms(6_000), "{at:?}: the rate is looked at ten times a second");
    let mut slow =
        Scene::new(Criterion::BitRateBelow, raise, Scope::ALL, Settings { bit_rate: 5_000_000, ..Settings::default() });
    slow.run(ms(4_000), |_| ());
    let [(at, true)] = slow.changes()[..] else { panic!("{:?}", slow.changes()) };
    assert!(at > ms(1_890) && at <= ms(2_100), "{at:?}: a second to measure it, and a second too low");
}

#[test]
fn errors_of_another_program_do_not_count() {
    let raise = Raise::Counted { above: 0, within: Span::from_secs(1) };
    for (program, raised) in [(1, true), (2, false)] {
        let scope = Scope::of(&[], &[program]).unwrap();
        let mut scene = Scene::new(Criterion::ContinuityCountError, raise, scope, Settings::default());
        scene.run(ms(1_000), |_| ());
        let mut n = 0;
        let audio = Settings::default().audio_pid;
        scene.run(ms(2_000), |packet| {
            n += u32::from(pid(packet) == audio);
            if n == 5 {
                null(packet);
            }
        });
        assert_eq!(!scene.changes().is_empty(), raised, "program {program}");
    }
}

/// A stream of a PAT, a PMT of H.264 video and splice information, and a picture every 100 ms, one packet a datagram.
struct Programme {
    rig: Rig,
    counters: [u8; 0x2000],
    at: u32,
}

/// How long one round of packets is, in milliseconds.
const ROUND: u32 = 100;
const SPLICE: u16 = 0x102;

impl Programme {
    fn new(criterion: Criterion) -> Self {
        let scene = Scene::new(criterion, lasting(1_000), Scope::ALL, Settings::default());
        Self { rig: scene.rig, counters: [0; 0x2000], at: 0 }
    }

    fn send(&mut self, mut packet: [u8; 188], payload: &[u8]) {
        let counter = &mut self.counters[pid(&packet).index()];
        packet[3] = packet[3] & 0xF0 | *counter;
        *counter = (*counter + 1) % 16;
        if !payload.is_empty() {
            packet[4..].fill(0);
            packet[4..4 + payload.len()].copy_from_slice(payload);
        }
        self.rig.datagram(0, ms(self.at), &packet);
    }

    /// Rounds until a time, each picture with these captions, and splice information in each where `splices`.
    fn run(&mut self, until: u32, captions: [u8; 3], splices: bool) {
        let streams = [(0x1B, plant::VIDEO, &[][..]), (0x86, SPLICE, &[])];
        while self.at < until {
            self.send(plant::one_packet(0, &tables::pat(0, 0, &[(1, plant::PMT_1)])), &[]);
            self.send(plant::one_packet(plant::PMT_1, &tables::pmt_1(&streams)), &[]);
            if splices {
                // splice_null of every tier
                let null = [0xFC, 0x30, 17, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, 0, 0, 0, 0];
                self.send(plant::one_packet(SPLICE, &tables::seal(null.to_vec())), &[]);
            }
            let [flags, high, low] = captions;
            let pes = [0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
            // user data of ATSC in an SEI message with one construct, and a slice behind it
            let sei =
                [0, 0, 1, 6, 4, 14, 0xB5, 0, 0x31, b'G', b'A', b'9', b'4', 3, 0x41, 0xFF, flags, high, low, 0xFF, 0x80];
            let mut video = plant::filled(plant::VIDEO, 0);
            video[1] |= 0x40;
            self.send(video, &[&pes[..], &sei, &[0, 0, 1, 0x41, 0x9A, 0x21, 0x6C]].concat());
            self.at += ROUND;
            self.rig.advance(ms(self.at - 1));
        }
    }

    fn raised(&self) -> Vec<(Instant, bool)> {
        let change = |what: &What| match what {
            What::Raised { .. } => Some(true),
            What::Cleared { .. } => Some(false),
            _ => None,
        };
        self.rig.events.iter().filter_map(|event| Some((event.at, change(&event.what)?))).collect()
    }
}

/// A valid pair of CEA-608, the same of padding, and DTVCC.
const CEA608: [u8; 3] = [0xFC, 0x94, 0x2C];
const PADDING: [u8; 3] = [0xFC, 0x80, 0x80];
const DTVCC: [u8; 3] = [0xFF, 0x02, 0x21];

#[test]
fn splice_information_is_absent_once_it_has_not_come_for_its_time_or_never_came() {
    let mut programme = Programme::new(Criterion::Scte35Absent);
    programme.run(5_000, PADDING, true);
    assert_eq!(programme.raised(), []);
    programme.run(8_000, PADDING, false);
    assert_eq!(programme.raised(), [(ms(4_900 + 1_000), true)]);
    programme.run(10_000, PADDING, true);
    let [_, (cleared, false)] = programme.raised()[..] else { panic!("{:?}", programme.raised()) };
    assert!(cleared >= ms(9_000) && cleared <= ms(9_010), "{cleared:?}");
    let mut never = Programme::new(Criterion::Scte35Absent);
    never.run(2_000, PADDING, false);
    assert_eq!(never.raised(), [(ms(1_000), true)], "counted from the first packet");
}

#[test]
fn captions_are_absent_once_only_padding_comes() {
    for captions in [CEA608, DTVCC] {
        let mut programme = Programme::new(Criterion::CaptionsAbsent);
        programme.run(3_000, captions, false);
        assert_eq!(programme.raised(), []);
        programme.run(6_000, PADDING, false);
        assert_eq!(programme.raised(), [(ms(2_900 + 1_000), true)]);
        programme.run(9_000, captions, false);
        assert_eq!(programme.raised().len(), 2);
    }
}

/// A connection that began at `since` and has received 100 packets each 100 ms.
fn connection(since: u32, at: u32) -> LinkFigures {
    let packets = u64::from(at.saturating_sub(since));
    LinkFigures { is_up: true, since: ms(since), rtt: Span::from_millis(40), packets, unrecovered: 0 }
}

const DOWN: LinkFigures =
    LinkFigures { is_up: false, since: Instant::ZERO, rtt: Span::ZERO, packets: 0, unrecovered: 0 };

/// Tells how the connection stands every 100 ms, as a shard does; what was raised with which value, and what cleared.
fn told(criterion: Criterion, raise: Raise, until: u32, at: impl Fn(u32) -> LinkFigures) -> Vec<(u32, Option<u64>)> {
    let mut scene = Scene::new(criterion, raise, Scope::ALL, Settings::default());
    for now in (0..=until).step_by(100) {
        scene.rig.advance(ms(now));
        scene.rig.engine.link(InputId(0), &at(now), ms(now));
    }
    scene.rig.advance(ms(until + 99));
    let change = |what: &What| match what {
        What::Raised { value, .. } => Some(Some(*value)),
        What::Cleared { .. } => Some(None),
        _ => None,
    };
    let millis = |at: Instant| u32::try_from(at.nanos() / 1_000_000).unwrap();
    scene.rig.events.iter().filter_map(|event| Some((millis(event.at), change(&event.what)?))).collect()
}

#[test]
fn a_connection_that_ends_is_missed_after_its_time_and_a_short_break_is_not() {
    let at = |now| match now {
        0..1_000 | 3_000..3_200 | 4_000..6_000 => DOWN,
        1_000..3_000 => connection(1_000, now),
        3_200..4_000 => connection(3_200, now),
        _ => connection(6_000, now),
    };
    assert_eq!(
        told(Criterion::SrtDisconnected, lasting(500), 9_000, at),
        // at the start nobody is there yet; 200 ms without a connection are not enough; the judge looks each 5 ms while raised
        [(500, Some(500)), (2_000, None), (4_500, Some(500)), (7_000, None)]
    );
    // An input that comes by no connection is told nothing, and misses none.
    let mut scene = Scene::new(Criterion::SrtDisconnected, lasting(500), Scope::ALL, Settings::default());
    scene.run(ms(3_000), |_| ());
    assert_eq!(scene.changes(), []);
}

#[test]
fn a_relapse_while_a_connection_is_raised_begins_the_time_to_clear_anew() {
    let at = |now| match now {
        0..1_000 | 1_500..2_100 => DOWN,
        1_000..1_500 => connection(1_000, now),
        _ => connection(2_100, now),
    };
    assert_eq!(told(Criterion::SrtDisconnected, lasting(500), 4_000, at), [(500, Some(500)), (3_100, None)]);
}

#[test]
fn a_round_trip_that_is_too_long_for_its_time_is_raised_with_its_length() {
    let raise = Raise::Slower { than: Span::from_millis(300), lasting: Span::from_millis(1_000) };
    let at = |now| {
        let rtt = if (1_000..1_900).contains(&now) || (3_000..5_000).contains(&now) { 340 } else { 300 };
        LinkFigures { rtt: Span::from_millis(rtt), ..connection(0, now) }
    };
    assert_eq!(told(Criterion::SrtRttAbove, raise, 7_000, at), [(4_000, Some(340)), (6_000, None)]);
}

#[test]
fn a_share_that_was_not_recovered_is_raised_at_once_and_cleared_once_it_left_the_window() {
    let raise = Raise::Share { above: 1_000, within: Span::from_secs(1) };
    let lost = |most: u64| {
        move |now| {
            let unrecovered = if now >= 3_000 { most } else { 0 };
            LinkFigures { unrecovered, ..connection(0, now) }
        }
    };
    assert_eq!(told(Criterion::SrtUnrecovered, raise, 8_000, lost(1)), [], "one of a thousand is allowed");
    let changes = told(Criterion::SrtUnrecovered, raise, 8_000, lost(20));
    let [(3_000, Some(share)), (cleared, None)] = changes[..] else { panic!("{changes:?}") };
    assert!((18_000..=20_000).contains(&share), "{share}");
    assert!((5_000..=5_200).contains(&cleared), "a second until it left the window, and a second to clear: {cleared}");
    // Where none is allowed, one is too many.
    let raise = Raise::Share { above: 0, within: Span::from_secs(1) };
    assert_eq!(told(Criterion::SrtUnrecovered, raise, 4_000, lost(1)).len(), 1);
}
