//! What is sent while nothing comes, or no input is healthy.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use changeover::engine::{ChannelSetup, Entry, Hole, InputSetup, Setup, What};
use changeover::health::{Limits, Profile};
use changeover::switch::policy::{LossAction, Settings as Policy};
use changeover::switch::slate::Clip;
use changeover::synth::{self, Settings};
use changeover::tr101290::Indicator;
use changeover::ts::Packet;
use changeover::units::{Instant, Pid, Span, Ticks27M};
use common::{Rig, Source, analyse, errors};

const RATE: u64 = 4_000_000;

fn ms(ms: u32) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

fn feed() -> Settings {
    Settings { bit_rate: RATE, start: Ticks27M(Ticks27M::WRAP - 81_000_000), ..Settings::default() }
}

fn clip() -> Box<Clip> {
    let settings = Settings {
        bit_rate: 2_000_000,
        video_pid: Pid::new(0x200),
        audio_pid: Pid::new(0x201),
        pmt_pid: Pid::new(0x300),
        seed: 9,
        ..Settings::default()
    };
    Box::new(Clip::new(&synth::recording(settings, Ticks27M(54_000_000))).unwrap())
}

/// One input that is silent from 3 s to 6 s, until 12 s.
fn run(change: impl FnOnce(&mut ChannelSetup)) -> Rig {
    let mut channel = ChannelSetup {
        inputs: vec![InputSetup { limits: Limits::of(Profile::Lenient), ..InputSetup::default() }; 2],
        delay: Span::from_millis(100),
        policy: Policy { on_loss_after: Span::from_millis(500), ..Policy::default() },
        ..ChannelSetup::default()
    };
    change(&mut channel);
    let mut rig = Rig::new(&Setup { channels: vec![channel] });
    let mut source = Source::new(feed(), Span::ZERO);
    let first = source.next_datagram().0;
    loop {
        let (at, bytes) = source.next_datagram();
        let at = Instant::ZERO + at.since(first);
        if at >= ms(12_000) {
            break;
        }
        if at < ms(3_000) || at >= ms(6_000) {
            rig.datagram(0, at, &bytes);
        }
    }
    rig.advance(ms(12_000));
    rig
}

/// The packets that left from one time to another.
fn between(rig: &Rig, from: Instant, to: Instant) -> Vec<[u8; 188]> {
    let sent = rig.sent.iter().filter(|(at, _)| (from..to).contains(at));
    sent.flat_map(|(_, bytes)| bytes.as_chunks::<188>().0.to_vec()).collect()
}

/// The PCRs of the output: the longest step of one, and the most that one stands off the time at which it leaves, against the
/// first.
fn clock(rig: &Rig) -> (Span, Span) {
    let sent = rig.sent.iter().flat_map(|(at, bytes)| bytes.as_chunks::<188>().0.iter().map(move |p| (*at, p)));
    let pcrs: Vec<(Instant, Ticks27M)> = sent.filter_map(|(at, p)| Some((at, Packet::new(p).pcr()?))).collect();
    let (start, first) = pcrs[0];
    let steps = pcrs.windows(2).map(|w| w[1].1.forward_from(w[0].1)).max().unwrap();
    let off = pcrs.iter().map(|(at, pcr)| {
        let by = pcr.forward_from(first).cast_signed() * 1000 / 27 - at.since(start).nanos();
        by.abs()
    });
    (Ticks27M::span(steps), Span::from_nanos(off.max().unwrap()))
}

fn assert_whole(rig: &Rig) {
    assert_but(rig, 0, 0);
}

/// What the feed itself lost is seen: at the most so many counters and PCRs that do not run on.
fn assert_but(rig: &Rig, counters: u64, clocks: u64) {
    let output = analyse(&rig.packets());
    for indicator in [
        Indicator::ContinuityCountError,
        Indicator::PcrDiscontinuityIndicatorError,
        Indicator::CrcError,
        Indicator::TransportError,
        Indicator::SyncByteError,
    ] {
        let first = output.count(indicator).latest().next().copied();
        let most = match indicator {
            Indicator::ContinuityCountError => counters,
            Indicator::PcrDiscontinuityIndicatorError => clocks,
            _ => 0,
        };
        assert!(errors(&output, indicator) <= most, "{} at {first:?}", indicator.name());
    }
}

#[test]
fn a_hole_keeps_its_carrier() {
    let rig = run(|_| {});
    assert_but(&rig, 4, 0);
    let told = |what| rig.events.iter().filter(|e| e.what == what).map(|e| e.at).collect::<Vec<_>>();
    let (none, some) = (told(What::NoneHealthy), told(What::SomeHealthy));
    assert_eq!((none.len(), some.len()), (1, 1), "{:?}", rig.events);
    assert!(none[0] < some[0], "{none:?} {some:?}");
    let (step, off) = clock(&rig);
    assert!(step <= Span::from_millis(100), "{step:?}");
    assert!(off <= Span::from_millis(50), "{off:?}");
    let hole = between(&rig, ms(3_500), ms(5_500));
    let channel = rig.snapshot().channels[0];
    // and before and after it, up to when the carrier's patience ends and the feed's packets leave again
    let filled = between(&rig, ms(3_100), ms(6_110)).len() as u64;
    assert!(channel.fillers > hole.len() as u64 && channel.fillers <= filled, "{} of {filled}", channel.fillers);
    assert!(!channel.filling);
    let bits = hole.len() as u64 * 188 * 8 / 2;
    assert!(bits.abs_diff(RATE) < RATE / 20, "{bits} bits a second");
    let pids = |pid: Pid| hole.iter().filter(|p| Packet::new(p).pid() == pid).count();
    assert!(pids(Pid::NULL) > hole.len() * 9 / 10);
    assert!((18..=22).contains(&pids(Pid::PAT)), "{}", pids(Pid::PAT));
    assert!(pids(feed().video_pid) >= 2_000 / 40, "PCRs: {}", pids(feed().video_pid));
}

#[test]
fn a_hole_may_be_silent() {
    let rig = run(|channel| channel.hole = Hole::Silent);
    assert_but(&rig, 4, 1);
    assert_eq!(between(&rig, ms(3_200), ms(6_000)), Vec::<[u8; 188]>::new());
    assert_eq!(rig.snapshot().channels[0].fillers, 0);
}

#[test]
fn nulls_take_the_place_of_an_output_that_no_input_feeds_well() {
    let rig = run(|channel| {
        channel.policy.on_loss = LossAction::Null;
        channel.hole = Hole::Silent;
    });
    assert_whole(&rig);
    let by = rig.events.iter().filter(|e| matches!(e.what, What::Replaced { by: LossAction::Null })).count();
    let restored = rig.events.iter().filter(|e| e.what == What::Restored).count();
    assert_eq!((by, restored), (1, 1), "{:?}", rig.events);
    // that says it already
    assert!(!rig.events.iter().any(|e| matches!(e.what, What::NoneHealthy | What::SomeHealthy)), "{:?}", rig.events);
    assert!(between(&rig, ms(3_150), ms(3_600)).is_empty(), "before its time");
    assert!(!between(&rig, ms(4_500), ms(5_000)).is_empty());
    let (step, _) = clock(&rig);
    assert!(step <= Span::from_secs(2), "{step:?}");
}

#[test]
fn an_output_may_stop() {
    let rig = run(|channel| channel.policy.on_loss = LossAction::Mute);
    assert_whole(&rig);
    assert!(between(&rig, ms(5_000), ms(6_000)).is_empty());
    assert!(!between(&rig, ms(11_500), ms(12_000)).is_empty());
}

#[test]
fn a_slate_is_played_in_a_loop_and_left_for_an_input_that_is_well_again() {
    for entry in [Entry::Next, Entry::Cached] {
        let rig = run(|channel| {
            channel.policy.on_loss = LossAction::Slate;
            channel.slate = Some(clip());
            channel.entry = entry;
        });
        assert_whole(&rig);
        let (step, off) = clock(&rig);
        assert!(step <= Span::from_millis(100), "{step:?}");
        assert!(off <= Span::from_millis(60), "{off:?}");
        let video = |from, to| {
            let packets = between(&rig, from, to);
            packets.iter().filter(|p| Packet::new(p).pid() == feed().video_pid && Packet::new(p).has_payload()).count()
        };
        // the clip's own rate, on the PID of the output's video, though its own is another
        assert!(video(ms(4_500), ms(5_500)) > 800, "{}", video(ms(4_500), ms(5_500)));
        assert!(video(ms(11_000), ms(12_000)) > 2_000, "{}", video(ms(11_000), ms(12_000)));
        assert!(rig.events.iter().any(|e| matches!(e.what, What::Replaced { by: LossAction::Slate })));
        assert!(rig.events.iter().any(|e| e.what == What::Restored), "{:?}", rig.events);
        // DTS rise on the video PID through all of it
        let mut last = None;
        for packet in rig.packets() {
            let packet = Packet::new(&packet);
            if packet.pid() == feed().video_pid
                && packet.payload_unit_start_indicator()
                && let Some(at) = changeover::ts::pes::Header::parse(packet.payload()).and_then(|h| h.decoding_time())
            {
                let step = last.replace(at).map_or(1, |last| at.step_from(last));
                assert!(step > 0, "{step}");
            }
        }
    }
}
