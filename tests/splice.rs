//! The splicer over whole streams: what leaves is held to what a decoder needs.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    unreachable_pub,
    dead_code
)]

#[path = "splice/rig.rs"]
mod rig;
#[path = "splice/tape.rs"]
mod tape;

use changeover::switch::splice::{Entry, Kind};
use changeover::synth::Settings;
use changeover::ts::stream::Kind as StreamKind;
use changeover::units::Ticks27M;

use rig::{MS, Rig};
use tape::Tape;

/// Chance, always the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as i64 % most
    }
}

fn synth(gop: u32, start: u64, seed: u64, seconds: u64) -> Tape {
    let settings = Settings { bit_rate: 3_000_000, gop, start: Ticks27M(start), seed, ..Settings::default() };
    Tape::synth(settings, seconds)
}

/// Switches to and fro at random moments and holds all that left to the rules.
fn to_and_fro(tapes: Vec<Tape>, window: i64, constant: bool, times: usize, seed: u64) -> Rig {
    let mut chance = Chance(seed);
    let mut rig = Rig::new(tapes, window, constant, Entry::Next);
    rig.run(1500 * MS);
    for n in 0..times {
        let end = rig.tapes.iter().map(|tape| *tape.at.last().unwrap()).min().unwrap();
        if rig.now + 6000 * MS > end {
            break;
        }
        rig.run(rig.now + chance.below(1000 * MS));
        let to = 1 - rig.on_air.unwrap().feed;
        rig.begin(rig.request(to, Kind::Independent, true, true));
        rig.finish(12_000 * MS);
        assert_eq!(rig.fallback, None, "switch {n}");
        assert_eq!(rig.switches.len(), n + 1);
        assert!(rig.switches[n].cost.is_some(), "switch {n} is not over: {:?}", rig.switches[n]);
    }
    let end = rig.now + 1000 * MS;
    rig.run(end);
    rig
}

/// What holds for every planned switch: `frame` is how long a picture lasts, in ticks of 90 kHz, `most` how many may be missing.
fn check(rig: &Rig, frame: i64, most: i64, sound: i64) {
    let video = rig.stream(StreamKind::Video, 0);
    assert_eq!(video.truncated, 0);
    assert_eq!(video.entries(), rig.switches.len());
    for step in video.steps() {
        assert!((frame - 2..=frame * (most + 1) + 2).contains(&step), "a step of {step} from picture to picture");
    }
    let audio = rig.stream(StreamKind::Audio, 0);
    assert_eq!(audio.truncated, 0);
    for step in audio.steps() {
        assert!((sound - 100..2 * sound + 2).contains(&step), "a step of {step} from sound to sound");
    }
    let (longest, off) = rig.clock();
    assert!(longest <= 100 * MS, "PCRs {longest} ns apart");
    assert!(off < MS, "a PCR is {off} ns off");
}

#[test]
fn synthetic_feeds_are_spliced_without_a_hole() {
    for constant in [true, false] {
        let tapes = vec![synth(25, 0, 1, 100), synth(12, 77_000_000_000, 2, 100).later(7 * MS)];
        let rig = to_and_fro(tapes, 100 * MS, constant, 60, 5);
        check(&rig, 3600, 1, 3 * 2160);
        let (most, least) = rig.rate(100 * MS, 1000 * MS, rig.now - 100 * MS);
        if constant {
            // 1504 bits each at 3 Mb/s: 199.5
            assert!(most <= 206 && least >= 196, "{least} to {most} packets in 100 ms");
        } else {
            assert!(most <= 400, "{most} packets in 100 ms");
        }
        assert!(rig.switches.len() >= 50, "{}", rig.switches.len());
    }
}

/// A stream of ffmpeg's: 20 s of 25 pictures a second, sound with one frame in each PES packet.
fn made(video: &str, delay: &str, rate: &str) -> Tape {
    Tape::ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=20 -f lavfi -i sine=sample_rate=48000:duration=20 {video} -b:v 500k \
         -maxrate 500k -bufsize 200k -c:a mp2 -b:a 128k -pes_payload_size 0 -muxdelay {delay} {rate}"
    ))
}

const H264: &str = "-c:v libx264 -preset ultrafast -g 30 -bf 3 -x264-params b-adapt=0:b-pyramid=normal:scenecut=0";
const H264_PLAIN: &str = "-c:v libx264 -preset ultrafast -g 25 -bf 0 -x264-params scenecut=0";
const MPEG2: &str = "-c:v mpeg2video -g 12 -bf 2 -sc_threshold 1000000000";
const MPEG2_CLOSED: &str = "-c:v mpeg2video -g 12 -bf 2 -flags +cgop -sc_threshold 1000000000";
const HEVC: &str = "-c:v libx265 -preset ultrafast -g 25 -x265-params log-level=none:bframes=4:open-gop=1:pools=1";
const CONSTANT: &str = "-muxrate 1.4M";

/// Two streams of ffmpeg's, to and fro, with a short and a long delay line.
fn made_pair(a: &Tape, b: &Tape, most: i64, rates: &[bool]) {
    let all = [(100, true, 3), (1000, true, 4), (0, true, 7), (0, false, 5), (100, false, 6)];
    for (window, constant, seed) in all.into_iter().filter(|(_, constant, _)| rates.contains(constant)) {
        let tapes = vec![a.clone(), b.clone().moved(123_456_789_000).later(13 * MS)];
        let rig = to_and_fro(tapes, window * MS, constant, 6, seed);
        for switch in &rig.switches {
            println!(
                "{window} {constant}: {:?} {:?} {} ms",
                switch.plan,
                switch.cost,
                (switch.done - switch.begun) / MS
            );
        }
        check(&rig, 3600, most, 2160);
        assert!(rig.switches.len() >= 2);
    }
}

#[test]
fn pictures_with_and_without_reordering_are_spliced() {
    made_pair(&made(H264, "0.7", CONSTANT), &made(H264_PLAIN, "0.3", CONSTANT), 2, &[true, false]);
}

#[test]
fn decoder_buffers_of_other_lengths_are_spliced() {
    made_pair(&made(H264, "0.9", CONSTANT), &made(H264, "0.2", CONSTANT), 1, &[true, false]);
}

#[test]
fn open_and_closed_groups_are_spliced() {
    made_pair(&made(MPEG2, "0.5", CONSTANT), &made(MPEG2_CLOSED, "0.3", CONSTANT), 1, &[true, false]);
}

#[test]
fn hevc_is_spliced() {
    made_pair(&made(HEVC, "0.7", CONSTANT), &made(H264, "0.7", CONSTANT), 1, &[true, false]);
}

#[test]
fn variable_rates_are_spliced() {
    made_pair(&made(H264, "0.7", ""), &made(H264, "0.3", ""), 1, &[false]);
}

#[test]
fn locked_feeds_lose_and_repeat_nothing() {
    let other = H264.replace("ultrafast", "veryfast");
    let tapes = [made(H264, "0.7", CONSTANT), made(&other, "0.7", CONSTANT)];
    for (skew, window) in [(0, 100), (40, 100), (-40, 100), (7, 50)] {
        let mut rig = Rig::new(
            vec![tapes[0].clone().later(50 * MS), tapes[1].clone().later((50 + skew) * MS)],
            window * MS,
            true,
            Entry::Next,
        );
        let mut chance = Chance(9);
        rig.run(1500 * MS);
        for n in 0..4 {
            rig.run(rig.now + chance.below(1000 * MS));
            let to = 1 - rig.on_air.unwrap().feed;
            rig.begin(rig.request(to, Kind::Locked, true, true));
            rig.finish(11_000 * MS);
            let switch = rig.switches[n];
            assert_eq!((rig.fallback, switch.plan.kind, switch.plan.offset), (None, Kind::Locked, 0));
            let cost = switch.cost.unwrap();
            assert_eq!((cost.hole.nanos(), cost.truncated, cost.left_out), (0, 0, 0), "{switch:?}");
        }
        let end = rig.now + 1000 * MS;
        rig.run(end);
        for (kind, step) in [(StreamKind::Video, 3600), (StreamKind::Audio, 2160)] {
            let track = rig.stream(kind, 0);
            assert_eq!(track.truncated, 0);
            assert!(track.steps().iter().all(|&s| (s - step).abs() <= 2), "{:?} {kind:?}", track.steps());
        }
        assert_eq!(rig.stream(StreamKind::Video, 0).entries(), 4);
        let (longest, off) = rig.clock();
        assert!(longest <= 100 * MS && off < MS, "{longest} {off}");
    }
}

#[test]
fn a_dead_feed_is_left_at_the_next_or_the_last_random_access_point() {
    let a = made(H264, "0.7", CONSTANT);
    let b = made(H264_PLAIN, "0.4", CONSTANT).moved(5_000_000_100);
    for (entry, died) in [Entry::Next, Entry::Cached].into_iter().flat_map(|e| (0..8).map(move |n| (e, 4000 + 170 * n)))
    {
        let mut rig = Rig::new(vec![a.clone().until(died * MS), b.clone()], 100 * MS, true, entry);
        rig.run((died + 60) * MS);
        rig.begin(rig.request(1, Kind::Independent, false, false));
        rig.finish(12_000 * MS);
        assert_eq!(rig.fallback, None);
        let switch = rig.switches[0];
        let cost = switch.cost.unwrap_or_else(|| panic!("{switch:?}"));
        if entry == Entry::Cached {
            // what the dead feed sent is presented first: its decoder's buffer is longer
            assert!(switch.plan.leaves.nanos() < (died + 700) * MS && cost.hole.nanos() == 0, "{switch:?}");
        } else {
            assert!(switch.plan.leaves.nanos() < (died + 1600) * MS, "{switch:?}");
        }
        let end = rig.now + 1000 * MS;
        rig.run(end);
        let video = rig.stream(StreamKind::Video, 0);
        assert_eq!(video.entries(), 1);
        assert!(cost.truncated <= 2, "{cost:?}");
        let hole = video.steps().into_iter().max().unwrap();
        // of the last group of pictures of the dead feed some may be missing besides
        assert!(hole * 100_000 / 9 <= cost.hole.nanos() + 161 * MS, "{hole} {cost:?}");
        rig.stream(StreamKind::Audio, 0).steps();
        assert!(rig.clock().1 < MS);
    }
}

#[test]
fn clocks_that_wrap_in_a_transition_do_no_harm() {
    let wrap = Ticks27M::WRAP;
    for n in 0..16_u64 {
        let tapes = if n % 2 == 0 {
            vec![synth(25, wrap - 60_000_000 - n * 2_000_000, 1, 9), synth(12, 5, 2, 9)]
        } else {
            vec![synth(25, 0, 1, 9), synth(12, wrap - 60_000_000 - n * 2_000_000, 2, 9)]
        };
        let rig = to_and_fro(tapes, 100 * MS, true, 1, 3 + n);
        check(&rig, 3600, 1, 3 * 2160);
        assert_eq!(rig.switches.len(), 1);
    }
}

#[test]
fn sound_alone_is_spliced() {
    let sound = |delay: &str| {
        Tape::ffmpeg(&format!(
            "-f lavfi -i sine=sample_rate=48000:duration=20 -c:a mp2 -b:a 128k -pes_payload_size 0 -muxdelay {delay} -muxrate 400k"
        ))
    };
    let tapes = vec![sound("0.5"), sound("0.2").moved(900_000_300)];
    let rig = to_and_fro(tapes, 100 * MS, true, 6, 8);
    let audio = rig.stream(StreamKind::Audio, 0);
    assert!(audio.steps().iter().all(|step| (2060..4322).contains(step)), "{:?}", audio.steps());
    assert!(rig.switches.len() > 3);
}

#[test]
fn other_programs_follow() {
    let two = |video: &str| {
        Tape::ffmpeg(&format!(
            "-f lavfi -i testsrc2=size=320x180:rate=25:duration=20 -f lavfi -i sine=sample_rate=48000:duration=20 \
             -map 0:v -map 1:a -map 0:v -map 1:a -program st=0:st=1 -program st=2:st=3 {video} -b:v 400k -maxrate 400k \
             -bufsize 200k -c:a mp2 -b:a 128k -pes_payload_size 0 -muxdelay 0.5 -muxrate 2M"
        ))
    };
    let tapes = vec![two(H264), two(H264_PLAIN).moved(44_000_100)];
    assert_eq!(tapes[0].pids(StreamKind::Video).len(), 2);
    let rig = to_and_fro(tapes, 100 * MS, true, 4, 8);
    check(&rig, 3600, 2, 2160);
    for kind in [StreamKind::Video, StreamKind::Audio] {
        let track = rig.stream(kind, 1);
        assert_eq!(track.truncated, 0);
        track.steps();
        if kind == StreamKind::Video {
            assert_eq!(track.entries(), rig.switches.len());
        }
    }
}

#[test]
fn a_switch_that_is_overtaken_gives_all_back() {
    let (a, b) = (made(H264, "0.3", CONSTANT), made(H264, "0.9", CONSTANT));
    let mut rig = Rig::new(vec![a, b], 100 * MS, true, Entry::Next);
    rig.run(2000 * MS);
    rig.begin(rig.request(1, Kind::Independent, true, true));
    while rig.switches.is_empty() {
        rig.run(rig.now + MS);
    }
    let leaves = rig.switches[0].plan.leaves.nanos();
    rig.run(leaves + 200 * MS);
    rig.cancel();
}

#[test]
fn what_cannot_be_spliced_is_told() {
    use changeover::switch::splice::Why;
    let mut blind = synth(25, 0, 2, 14);
    for bytes in &mut blind.packets {
        let packet = changeover::ts::Packet::new(bytes);
        if packet.pid().value() == 0x100 {
            bytes[3] |= 0x80;
        }
    }
    let mut rig = Rig::new(vec![synth(25, 0, 1, 14), blind], 100 * MS, true, Entry::Next);
    rig.run(1000 * MS);
    rig.begin(rig.request(1, Kind::Independent, true, true));
    rig.finish(12_000 * MS);
    assert_eq!(rig.fallback, Some(Why::Scrambled));
}

#[test]
fn an_emergency_in_which_the_old_feed_still_delivers_takes_what_there_is() {
    let a = made(H264, "0.7", CONSTANT);
    let b = made(H264_PLAIN, "0.4", CONSTANT).moved(-5_000_000_100);
    for (n, entry) in [Entry::Next, Entry::Cached].into_iter().cycle().take(8).enumerate() {
        let mut rig = Rig::new(vec![a.clone(), b.clone()], 100 * MS, true, entry);
        rig.run((3000 + 190 * n as i64) * MS);
        let begun = rig.now;
        rig.begin(rig.request(1, Kind::Independent, false, true));
        rig.finish(12_000 * MS);
        assert_eq!(rig.fallback, None);
        let switch = rig.switches[0];
        let cost = switch.cost.unwrap_or_else(|| panic!("{switch:?}"));
        assert!(cost.hole.nanos() <= 161 * MS, "{switch:?}");
        if entry == Entry::Cached {
            assert!(switch.plan.leaves.nanos() < begun + 600 * MS, "{begun} {switch:?}");
        }
        let end = rig.now + 1000 * MS;
        rig.run(end);
        let video = rig.stream(StreamKind::Video, 0);
        assert_eq!((video.entries(), video.truncated), (1, 0));
        assert!(video.steps().iter().all(|&step| step <= 5 * 3600 + 2), "{:?}", video.steps());
        rig.stream(StreamKind::Audio, 0).steps();
        assert!(rig.clock().1 < MS);
    }
}

#[test]
fn an_old_feed_that_dies_in_mid_transition_is_waited_for_no_longer() {
    let (a, b) = (made(H264, "0.3", CONSTANT), made(H264, "0.9", CONSTANT).moved(7_000_000_200));
    let mut truncated = 0;
    for n in 0..12 {
        let died = 3000 + n * 97;
        let mut rig = Rig::new(vec![a.clone().until(died * MS), b.clone()], 100 * MS, n % 2 == 0, Entry::Next);
        rig.run((died - 600) * MS);
        rig.begin(rig.request(1, Kind::Independent, n % 3 == 0, true));
        rig.finish(12_000 * MS);
        if rig.fallback.is_some() {
            // a planned one that found no place before is asked for again as what it has become
            rig.fallback = None;
            rig.begin(rig.request(1, Kind::Independent, false, false));
            rig.finish(4000 * MS);
        }
        let cost = rig.switches[0].cost.unwrap_or_else(|| panic!("{n}: {:?}", rig.switches));
        truncated += cost.truncated;
        let end = rig.now + 1000 * MS;
        rig.run(end);
        let video = rig.stream(StreamKind::Video, 0);
        assert_eq!((video.entries(), cost.overrun), (1, 0));
        video.steps();
        rig.stream(StreamKind::Audio, 0).steps();
        assert!(rig.clock().1 < MS);
    }
    assert!(truncated > 0);
}

#[test]
fn locked_feeds_survive_the_death_of_one() {
    let tapes = vec![made(H264, "0.7", CONSTANT).until(5000 * MS), made(H264, "0.7", CONSTANT)];
    let mut rig = Rig::new(tapes, 100 * MS, true, Entry::Next);
    rig.run(5060 * MS);
    rig.begin(rig.request(1, Kind::Locked, false, false));
    rig.finish(12_000 * MS);
    assert_eq!((rig.switches[0].plan.kind, rig.switches[0].plan.offset), (Kind::Locked, 0));
    let end = rig.now + 1000 * MS;
    rig.run(end);
    let video = rig.stream(StreamKind::Video, 0);
    assert_eq!(video.entries(), 1);
    video.steps();
    assert!(rig.clock().1 < MS);
}

#[test]
fn chance_never_makes_it_panic() {
    let mut chance = Chance(77);
    let mut tapes = vec![synth(12, 0, 1, 30), synth(12, 9_000_000, 2, 30), synth(12, 9_000_000, 3, 30)];
    for tape in &mut tapes {
        for _ in 0..20_000 {
            let place = chance.below(tape.packets.len() as i64) as usize;
            let (at, bit) = (chance.below(40) as usize, chance.below(8));
            if at > 0 {
                tape.packets[place][at] ^= 1 << bit;
            }
        }
    }
    let mut rig = Rig::new(vec![synth(12, 0, 1, 3); 3], 100 * MS, true, Entry::Cached);
    rig.tapes = tapes;
    let mut over = 0;
    for n in 0..80 {
        rig.run(rig.now + 50 * MS + chance.below(200 * MS));
        let (planned, alive, locked) = (n % 2 == 0, n % 3 > 0, n % 5 == 0);
        let kind = if locked { Kind::Locked } else { Kind::Independent };
        rig.constant = n % 4 > 0;
        rig.fallback = None;
        rig.begin(rig.request((n % 3) as usize, kind, planned, alive));
        rig.finish(chance.below(1500 * MS));
        over += rig.switches.iter().filter(|switch| switch.cost.is_some()).count();
        rig.give_up();
    }
    assert!(over > 0);
}

#[test]
fn jitter_of_the_network_is_borne() {
    let mut chance = Chance(12);
    let tapes = vec![synth(25, 0, 1, 40), synth(12, 77_000_000_000, 2, 40)];
    let tapes = tapes.into_iter().map(|tape| tape.in_datagrams(5 * MS, |most| chance.below(most))).collect();
    let rig = to_and_fro(tapes, 100 * MS, true, 15, 6);
    let video = rig.stream(StreamKind::Video, 0);
    assert_eq!((video.entries(), video.truncated), (rig.switches.len(), 0));
    assert!(video.steps().iter().all(|step| (3598..=7202).contains(step)), "{:?}", video.steps());
    let audio = rig.stream(StreamKind::Audio, 0);
    assert_eq!(audio.truncated, 0);
    audio.steps();
    let (longest, off) = rig.clock();
    assert!(longest <= 100 * MS && off < 12 * MS, "{longest} {off}");
}

#[test]
fn sections_are_not_torn() {
    let pid = changeover::units::Pid::new(0x1F0);
    let tapes = vec![
        made(H264, "0.7", CONSTANT).with_sections(pid, 5),
        made(H264, "0.5", CONSTANT).moved(81_000_000).with_sections(pid, 7),
    ];
    assert_eq!(tapes[0].pids(StreamKind::Splice), [pid]);
    let rig = to_and_fro(tapes, 100 * MS, true, 6, 21);
    check(&rig, 3600, 1, 2160);
    let (mut open, mut whole) = (None, [0, 0]);
    for sent in &rig.sent {
        let rig::What::Packet { feed, number, .. } = sent.what else { continue };
        let packet = changeover::ts::Packet::new(&rig.tapes[feed].packets[number as usize]);
        if packet.pid() != pid {
            continue;
        }
        if packet.payload_unit_start_indicator() {
            assert_eq!(open, None, "a section is torn");
            open = Some(feed);
        } else if sent.at > 1500 * MS || open.is_some() {
            assert_eq!(open.take(), Some(feed), "the end of another section");
            whole[feed] += 1;
        }
    }
    assert!(whole[0] > 10 && whole[1] > 10, "{whole:?}");
}

#[test]
fn no_output_bursts() {
    let tapes = vec![made(H264, "0.9", CONSTANT), made(H264, "0.3", CONSTANT).moved(81_000_000)];
    // 1.4 Mb/s are 9.3 packets in 10 ms
    for (constant, most) in [(true, 12), (false, 20)] {
        let rig = to_and_fro(tapes.clone(), 100 * MS, constant, 6, 31);
        let (high, low) = rig.rate(10 * MS, 1000 * MS, rig.now - 100 * MS);
        assert!(high <= most && (!constant || low >= 8), "{low} to {high} packets in 10 ms");
    }
}

#[test]
fn a_forecast_says_what_a_switch_would_cost() {
    use changeover::switch::splice::{Forecast, Why};
    let tapes = vec![synth(25, 0, 1, 9), synth(12, 5, 2, 9)];
    let mut rig = Rig::new(tapes, 100 * MS, true, Entry::Next);
    let at = |ms: i64| changeover::units::Instant::from_nanos(ms * MS);
    let request = rig.request(1, Kind::Independent, true, true);
    assert_eq!(rig.splicer.forecast(request, &[], at(0)), Some(Forecast::NotYet(Why::NoTimes)));
    let mut places = 0;
    for ms in (2000..4000).step_by(10) {
        rig.run(ms * MS);
        match rig.splicer.forecast(request, &[], at(ms)).unwrap() {
            Forecast::Place { kind, wait, hole } => {
                assert_eq!((kind, hole.nanos()), (Kind::Independent, 0));
                assert!(wait.nanos() < 200 * MS);
                places += 1;
            }
            Forecast::NotYet(why) | Forecast::Never(why) => assert_eq!(why, Why::NoPlace),
        }
    }
    // a random access point each 480 ms, and each 100 ms in the delay line
    assert!((30..90).contains(&places), "{places}");
}
