//! The analyser over a synthetic feed in which one thing is wrong: what it raises, when, where, and that nothing else moves.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use changeover::synth::{Feed, Settings as FeedSettings};
use changeover::tr101290::{Analyser, Indicator, MAX_PROGRAMS, Observer, Place, Settings};
use changeover::units::{Instant, Pid, Span, Ticks27M};
use mpeg2ts_reader::mpegts_crc::sum32;

/// What was raised, in order.
#[derive(Default)]
struct Raised(Vec<(Instant, Indicator, Option<Pid>)>);

impl Observer for Raised {
    fn event(&mut self, at: Instant, indicator: Indicator, place: Place) {
        self.0.push((at, indicator, place.pid));
    }
}

struct Bench {
    analyser: Analyser,
    raised: Raised,
    feed: Feed,
    /// When each kind of thing was last seen by this bench itself.
    last: [Instant; 4],
}

const PAT: usize = 0;
const PMT: usize = 1;
const VIDEO: usize = 2;
const PCR: usize = 3;

fn pid_of(packet: &[u8; 188]) -> u16 {
    u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF
}

fn null(packet: &mut [u8; 188]) {
    packet[1] = packet[1] & 0xA0 | 0x1F;
    packet[2] = 0xFF;
}

fn ms(ms: u32) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

impl Bench {
    fn new() -> Self {
        let analyser = Analyser::new(&Settings::default());
        Self { analyser, raised: Raised::default(), feed: Feed::new(FeedSettings::default()), last: [Instant::ZERO; 4] }
    }

    /// Time goes from one deadline to the next, as a driver lets it.
    fn advance(&mut self, to: Instant) {
        while self.analyser.deadline() <= to {
            let due = self.analyser.deadline();
            self.analyser.advance(due, &mut self.raised);
        }
    }

    /// The feed until a time; `fault` may change a packet, or keep it back.
    fn run(&mut self, until: Instant, mut fault: impl FnMut(&mut [u8; 188]) -> bool) {
        loop {
            let packet = self.feed.next_packet();
            let at = Instant::ZERO + Ticks27M::span(packet.at.0);
            let mut bytes = packet.bytes;
            if fault(&mut bytes) {
                self.advance(at);
                self.analyser.packet(at, &bytes, &mut self.raised);
                let settings = FeedSettings::default();
                match Pid::new(pid_of(&bytes)) {
                    Pid::PAT => self.last[PAT] = at,
                    pid if pid == settings.pmt_pid => self.last[PMT] = at,
                    pid if pid == settings.video_pid => {
                        self.last[VIDEO] = at;
                        if changeover::ts::Packet::new(&bytes).has_pcr() {
                            self.last[PCR] = at;
                        }
                    }
                    _ => {}
                }
            }
            if at >= until {
                self.advance(until);
                return;
            }
        }
    }

    fn absent(&self) -> Vec<Indicator> {
        Indicator::ALL.into_iter().filter(|&i| self.analyser.is_absent(i)).collect()
    }
}

const FINE: fn(&mut [u8; 188]) -> bool = |_| true;

#[test]
fn a_clean_feed_raises_nothing() {
    let mut bench = Bench::new();
    bench.run(ms(10_000), FINE);
    assert_eq!(bench.raised.0, []);
    assert_eq!(bench.analyser.pids().map(|(_, packets)| packets).sum::<u64>(), bench.analyser.packets());
    assert_eq!((bench.analyser.programs().len(), bench.analyser.streams().len()), (1, 2));
}

#[test]
fn a_pat_that_stops_alarms_at_its_limit_with_no_further_one_and_clears_when_it_is_back() {
    let mut bench = Bench::new();
    bench.run(ms(2_000), FINE);
    bench.run(ms(4_000), |packet| {
        if pid_of(packet) == 0 {
            null(packet);
        }
        true
    });
    let due = bench.last[PAT] + Span::from_millis(500);
    assert_eq!(bench.raised.0, [(due, Indicator::PatError2, Some(Pid::PAT))]);
    assert_eq!(bench.absent(), [Indicator::PatError2]);
    bench.run(ms(5_000), FINE);
    assert_eq!(bench.absent(), []);
}

#[test]
fn a_pmt_that_stops_alarms_though_packets_of_its_pid_go_on() {
    let pmt_pid = FeedSettings::default().pmt_pid;
    let mut bench = Bench::new();
    bench.run(ms(2_000), FINE);
    let last = bench.last[PMT];
    bench.run(ms(4_000), |packet| {
        if pid_of(packet) == pmt_pid.value() {
            packet[5] = 0xC0; // another table_id: its CRC_32 is of no table that is watched
        }
        true
    });
    assert_eq!(bench.raised.0, [(last + Span::from_millis(500), Indicator::PmtError2, Some(pmt_pid))]);
}

#[test]
fn a_video_pid_that_vanishes_is_missed_with_its_pcr_and_pts_each_at_its_own_limit() {
    let video = FeedSettings::default().video_pid;
    let mut bench = Bench::new();
    bench.run(ms(2_000), FINE);
    bench.run(ms(4_000), |packet| {
        if pid_of(packet) == video.value() {
            null(packet);
        }
        true
    });
    let [_, _, last_video, last_pcr] = bench.last;
    let at = |indicator| bench.raised.0.iter().filter(|r| r.1 == indicator).map(|r| (r.0, r.2)).collect::<Vec<_>>();
    assert_eq!(at(Indicator::PcrRepetitionError), [(last_pcr + Span::from_millis(100), Some(video))]);
    assert_eq!(at(Indicator::PidError), [(last_video + Span::from_secs(1), Some(video))]);
    let [(pts, Some(pid))] = at(Indicator::PtsError)[..] else { panic!("{:?}", bench.raised.0) };
    assert!(pid == video && pts <= last_video + Span::from_millis(700) && pts > last_video + Span::from_millis(600));
    assert_eq!(bench.raised.0.len(), 3);
}

#[test]
fn a_silent_input_alarms_for_all_that_it_owed() {
    let mut bench = Bench::new();
    bench.run(ms(2_000), FINE);
    bench.advance(ms(10_000));
    let absent = [
        Indicator::PatError2,
        Indicator::PmtError2,
        Indicator::PidError,
        Indicator::PcrRepetitionError,
        Indicator::PtsError,
        Indicator::SdtActualError,
    ];
    assert_eq!(bench.absent(), absent);
    let first = |indicator| bench.analyser.count(indicator).first().unwrap();
    assert_eq!(first(Indicator::PatError2), bench.last[PAT] + Span::from_millis(500));
    assert_eq!(bench.analyser.deadline(), Instant::NEVER, "once, and not again and again");
}

#[test]
fn a_pid_that_was_never_there_alarms_and_clears_when_it_comes() {
    let audio = FeedSettings::default().audio_pid;
    let mut bench = Bench::new();
    let missing = move |packet: &mut [u8; 188]| {
        if pid_of(packet) == audio.value() {
            null(packet);
        }
        true
    };
    bench.run(ms(3_000), missing);
    let raised: Vec<_> = bench.raised.0.iter().map(|r| (r.1, r.2)).collect();
    assert_eq!(raised, [(Indicator::PtsError, Some(audio)), (Indicator::PidError, Some(audio))]);
    bench.run(ms(3_500), FINE);
    assert_eq!(bench.absent(), []);
}

#[test]
fn a_table_with_a_wrong_crc_is_counted_and_not_believed() {
    let mut bench = Bench::new();
    bench.run(ms(1_000), FINE);
    bench.run(ms(1_900), |packet| {
        if pid_of(packet) == 0 {
            packet[14] ^= 1;
        }
        true
    });
    let raised: Vec<_> = bench.raised.0.iter().map(|r| r.1).collect();
    let crc = raised.iter().filter(|&&i| i == Indicator::CrcError).count();
    assert_eq!((crc, raised.len()), (9, 10), "nine tables, and the absence of a right one: {raised:?}");
    assert_eq!(bench.analyser.programs().len(), 1);
}

#[test]
fn scrambled_packets_need_a_cat() {
    let video = FeedSettings::default().video_pid;
    let mut bench = Bench::new();
    bench.run(ms(1_000), FINE);
    bench.run(ms(3_000), |packet| {
        if pid_of(packet) == video.value() {
            packet[3] |= 0x80;
        }
        true
    });
    let [(at, Indicator::CatError, None)] = bench.raised.0[..] else { panic!("{:?}", bench.raised.0) };
    assert!(at >= ms(1_500) && at < ms(1_510), "{at:?}");
    bench.run(ms(5_000), FINE);
    assert_eq!(bench.absent(), []);
}

#[test]
fn pcrs_too_far_apart_are_seen_by_the_timer_and_a_jump_by_its_value() {
    let mut bench = Bench::new();
    bench.run(ms(1_000), FINE);
    let mut n = 0;
    bench.run(ms(2_000), |packet| {
        // five of six are taken out: 180 ms from one to the next
        if changeover::ts::Packet::new(packet).has_pcr() {
            n += 1;
            if n % 6 != 0 {
                packet[5] &= !0x10;
            }
        }
        true
    });
    let count = |bench: &Bench, indicator| bench.analyser.count(indicator).events();
    assert_eq!(count(&bench, Indicator::PcrRepetitionError), 6);
    assert_eq!(count(&bench, Indicator::PcrDiscontinuityIndicatorError), 5, "their difference is outside 0…100 ms too");

    let mut bench = Bench::new();
    bench.run(ms(1_000), FINE);
    let mut jumped = false;
    bench.run(ms(2_000), |packet| {
        if changeover::ts::Packet::new(packet).has_pcr() && !jumped {
            packet[6] ^= 0x10;
            jumped = true;
        }
        true
    });
    assert_eq!(count(&bench, Indicator::PcrDiscontinuityIndicatorError), 2, "there and back");
    assert_eq!(count(&bench, Indicator::PcrRepetitionError), 0, "a jump is no interval");
}

#[test]
fn what_a_hostile_pat_announces_has_bounds() {
    let mut analyser = Analyser::new(&Settings::default());
    let mut raised = Raised::default();
    let (mut counter, mut number) = (0u8, 0u16);
    for section_number in 0..4u8 {
        let mut section = vec![0, 0xB0, 0, 0, 1, 0xC1, section_number, 3];
        for _ in 0..250 {
            number += 1;
            section.extend(number.to_be_bytes());
            section.extend((0xE100 + number).to_be_bytes());
        }
        let length = (section.len() + 4 - 3) as u16;
        section[1..3].copy_from_slice(&(0xB000 | length).to_be_bytes());
        section.extend(sum32(&section).to_be_bytes());
        section.insert(0, 0);
        for (i, part) in section.chunks(184).enumerate() {
            let mut packet = [0xFF; 188];
            packet[..4].copy_from_slice(&[0x47, if i == 0 { 0x40 } else { 0 }, 0, 0x10 | counter]);
            packet[4..4 + part.len()].copy_from_slice(part);
            counter = (counter + 1) % 16;
            analyser.packet(Instant::ZERO, &packet, &mut raised);
        }
    }
    assert_eq!(raised.0, []);
    assert_eq!(analyser.programs().len(), MAX_PROGRAMS);
    assert_eq!(analyser.left_out(), 1_000 - MAX_PROGRAMS as u64);
}
