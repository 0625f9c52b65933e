//! What a switch does to the output, from datagrams to datagrams: streams of ffmpeg's, the engine in its own time, and
//! decoders that must have nothing to say of what leaves.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    unreachable_pub,
    dead_code
)]

mod common;
#[path = "cuts/cues.rs"]
mod cues;
#[path = "cuts/feed.rs"]
mod feed;
#[path = "cuts/judge.rs"]
mod judge;
#[path = "cuts/open.rs"]
mod open;
#[path = "cuts/output.rs"]
mod output;
#[path = "cuts/parted.rs"]
mod parted;
#[path = "cuts/stage.rs"]
mod stage;
#[path = "splice/tape.rs"]
mod tape;

use std::collections::{BTreeMap, BTreeSet};

use changeover::engine::{ClockPolicy, Kind as Cut, Switch, What};
use changeover::switch::policy::Mode;
use changeover::switch::splice::Why;
use changeover::tr101290::Indicator;
use changeover::ts::Packet;
use changeover::ts::stream::Kind::{Audio, Splice, Video};
use changeover::units::{Pid, Pts90k, Ticks27M};

use feed::{CONSTANT, Feed, MS, h264, hevc, hevc_open, movie, mpeg2};
use output::{Output, off_line, units};
use stage::Stage;
use tape::Tape;

/// A picture lasts so many ticks of 90 kHz.
const FRAME: i64 = 3600;
/// The feeds of 50 switches last so many seconds.
const LONG: u32 = 40;
const SHORT: u32 = 12;

/// Other PIDs, of PMT and streams, another transport_stream_id, and other pictures and sound.
const ELSEWHERE: &str =
    "-mpegts_start_pid 0x321 -mpegts_pmt_start_pid 0x1234 -mpegts_transport_stream_id 77 -af volume=0.7 -vf negate";

/// The same 13 ms later, on a time line that begins 20 minutes on.
fn independent(tape: Tape) -> Tape {
    tape.moved(32_400_123_600).later(13 * MS)
}

/// A feed of constant rate, H.264 and AAC, and another such that is independent of it.
fn two(seconds: u32) -> Vec<Feed> {
    let main = movie(seconds, &h264(12), "aac", CONSTANT);
    let backup = movie(seconds, &h264(10), "aac", &format!("{CONSTANT} {ELSEWHERE}"));
    vec![main.into(), independent(backup).into()]
}

/// Two feeds of one stream, one of them in RTP, each of which loses 3 % of its datagrams, the main gone for three seconds.
/// What leaves is the source, byte for byte; of its null packets some may stand elsewhere, where each feed lost others.
fn identical(rate: &str, more: &str, seed: u64) {
    let tape = movie(40, &format!("{} -b:v {rate}", h264(25)), "aac", more);
    let died = 12_000 * MS..15_000 * MS;
    let fine = |at: i64| (1_500 * MS..11_000 * MS).contains(&at) || (18_000 * MS..38_000 * MS).contains(&at);
    let main = Feed::new(tape.clone()).in_rtp().lossy(0, seed, fine).silent(died);
    let backup = Feed::new(tape.clone().later(23 * MS)).packed(seed + 4).lossy(1, seed + 1, fine);
    let mut stage = Stage::new(vec![main, backup]);
    for (from, takes, first) in [(3_000 * MS, 4, 1), (19_000 * MS, 6, 0)] {
        stage.run(from);
        // in the second round the backup is on air, since the main died
        for n in 0..takes {
            stage.take((first + n) % 2);
            stage.run(stage.now() + 730 * MS);
        }
    }
    stage.run(39_000 * MS);
    let output = stage.finish();
    let told = output.switches();
    println!("{:?}", told.iter().map(|(at, switch)| (at / MS, switch.kind, switch.lost)).collect::<Vec<_>>());
    let programme = |packets: &[[u8; 188]]| -> Vec<(usize, [u8; 188])> {
        packets.iter().copied().enumerate().filter(|(_, packet)| Packet::new(packet).pid() != Pid::NULL).collect()
    };
    let (left, source) = (programme(&output.packets), programme(&tape.packets));
    let first = source.iter().position(|(_, packet)| *packet == left[0].1).unwrap();
    if let Some(((place, _), (wanted, _))) = left.iter().zip(&source[first..]).find(|((_, a), (_, b))| a != b) {
        panic!(
            "packet {wanted} of the source, of {} ms, is not what left at {} ms",
            tape.at[*wanted] / MS,
            output.at[*place] / MS
        );
    }
    assert!(left.len() > source.len() * 19 / 20, "{} of {}", left.len(), source.len());
    assert_eq!(output.kinds(), BTreeMap::from([("identical", 11)]));
    assert!(told.iter().all(|(_, switch)| (switch.lost, switch.repeated) == (Some(0), Some(0))), "{told:?}");
}

#[test]
fn identical_feeds_with_losses_and_other_packings_are_one_stream() {
    identical("1500k -maxrate 1500k", "", 1);
}

#[test]
fn identical_feeds_of_few_packets_are_one_stream() {
    for seed in 1..4 {
        identical("500k", "", seed);
    }
}

#[test]
fn identical_feeds_of_many_null_packets_are_one_stream() {
    identical("1500k", "-muxrate 4M", 1);
}

/// Two feeds in RTP with the same sequence numbers, each of which lost what lies beside what the other lost: what leaves is the
/// source, null packets and all, whichever of them is followed.
#[test]
fn identical_feeds_in_rtp_with_equal_numbers_are_the_source_to_the_packet() {
    let tape = movie(20, &format!("{} -b:v 1500k", h264(25)), "aac", "-muxrate 4M");
    let fine = |at: i64| (1_500 * MS..18_000 * MS).contains(&at);
    let feeds = || {
        let main = Feed::new(tape.clone()).lossy_beside(0, fine);
        let backup = Feed::new(tape.clone().later(23 * MS)).lossy_beside(1, fine);
        [main, backup]
    };
    let wrong = |feeds: [Feed; 2]| -> usize {
        let mut stage = Stage::new(feeds.into());
        stage.run(3_000 * MS);
        for n in 1..=10 {
            stage.take(n % 2);
            stage.run(stage.now() + 1_330 * MS);
        }
        stage.run(19_000 * MS);
        let output = stage.finish();
        assert_eq!(output.kinds(), BTreeMap::from([("identical", 10)]));
        let begins = |packet: &[u8; 188]| *packet == output.packets[0];
        let first = tape.packets.iter().position(begins).unwrap();
        assert!(output.packets.len() > tape.packets.len() * 9 / 10);
        output.packets.iter().zip(&tape.packets[first..]).filter(|(left, source)| left != source).count()
    };
    assert_eq!(wrong(feeds().map(Feed::in_rtp)), 0);
    assert!(wrong(feeds()) > 0, "without numbers nothing tells where the null packets were");
}

/// Two encoders of one source and one clock, switched 50 times, and how many pictures lead each group: they are missing.
fn locked(videos: [&str; 2], more: &str, leading: i64) -> Output {
    let rate = |rate: &str| format!("-b:v {rate} -maxrate {rate} -bufsize 200k -c:a aac -b:a 96k {more}");
    let bits = ["600k", "350k"];
    let [main, backup] = [0, 1].map(|n| feed::made(LONG, &format!("{} {}", videos[n], rate(bits[n]))));
    assert_ne!(main.packets[3000..3100], backup.packets[3000..3100]);
    let stamps = |tape: &Tape| units(&tape.packets, tape.pids(Video)[0]).iter().map(|u| u.stamps).collect::<Vec<_>>();
    assert_eq!(stamps(&main), stamps(&backup), "the encoders are locked");
    let pcrs: BTreeSet<u64> =
        [&main, &backup].iter().flat_map(|tape| &tape.packets).filter_map(|p| Some(Packet::new(p).pcr()?.0)).collect();
    let mut stage = Stage::new(vec![main.into(), Feed::new(backup.later(11 * MS))]);
    let takes = stage.alternate(50, 200 * MS, 3);
    let output = stage.finish();
    assert_eq!(takes, 50, "the feeds ended too early");
    assert_eq!(output.kinds(), BTreeMap::from([("locked", 50)]));
    output.is_clean();
    for kind in [Video, Audio] {
        for (unit, feed, origin) in output.lineage(kind) {
            assert_eq!(unit.stamps, origin.stamps, "{kind:?} of feed {feed} at packet {}", unit.place);
        }
    }
    for clock in output.clocks() {
        assert!(pcrs.contains(&clock.value.0), "PCR {:?} in packet {} is of no feed", clock.value, clock.place);
    }
    let holes = output.steps_outside(Video, FRAME..=FRAME);
    let missing = (1 + leading) * FRAME;
    assert!(holes.iter().all(|step| step.ticks == missing), "{holes:?}");
    // each is told
    for (at, switch) in output.switches() {
        let cost = switch.cost.unwrap();
        assert_eq!(cost.hole.nanos(), leading * FRAME * 100_000 / 9, "at {at}: {switch:?}");
        assert_eq!(i64::from(cost.left_out), leading, "at {at}: {switch:?}");
    }
    assert_eq!(holes.len(), if leading > 0 { 50 } else { 0 });
    // a frame is 1920 ticks
    assert_eq!(output.steps_outside(Audio, 1900..=3860), []);
    judge::ffmpeg(&output);
    output
}

#[test]
fn locked_feeds_of_constant_rate_are_switched_without_a_trace() {
    locked([&h264(12); 2], CONSTANT, 0);
}

#[test]
fn locked_feeds_of_variable_rate_are_switched_without_a_trace() {
    locked([&h264(12); 2], "", 0);
}

/// No time stamp is moved, so what leads a group of both is missing.
#[test]
fn locked_feeds_of_open_groups_are_switched_at_the_cost_of_what_leads_a_group() {
    // at these rates MPEG-2 has but one quantiser left, so the precision of DC is another
    let mpeg2 = [mpeg2(12), format!("{} -dc:v 10", mpeg2(12))];
    let all = [([hevc_open(12), hevc_open(12)], "hevc"), (mpeg2, "mpeg2")];
    std::thread::scope(|scope| {
        for ([main, backup], coding) in all {
            scope.spawn(move || {
                let output = locked([&main, &backup], CONSTANT, 2);
                judge::tscheck(&output);
                // mpeg2dec of GStreamer ends itself here, at an assertion of its own
                if coding == "hevc" {
                    judge::gstreamer(&output, coding, "aac");
                }
            });
        }
    });
}

/// By how many ticks of 90 kHz a unit was moved.
fn moved(unit: &output::Unit, origin: &output::Unit) -> i64 {
    (unit.stamps.0.step_from(origin.stamps.0)).rem_euclid(Pts90k::WRAP as i64)
}

/// From which feed, moved by how much, PES packet by PES packet, what repeats left out.
fn runs(output: &Output, kind: changeover::ts::stream::Kind) -> Vec<(usize, i64)> {
    let lineage = output.lineage(kind);
    let mut runs: Vec<_> = lineage.iter().map(|(unit, feed, origin)| (*feed, moved(unit, origin))).collect();
    runs.dedup();
    runs
}

/// Switches two independent feeds 50 times and holds what left to all that holds of any.
fn fifty(main: Tape, backup: Tape) -> Output {
    let mut stage = Stage::new(vec![main.into(), independent(backup).into()]);
    let takes = stage.alternate(50, 150 * MS, 9);
    let output = stage.finish();
    assert_eq!(output.kinds(), BTreeMap::from([("independent", takes)]));
    output.is_clean();
    judge::tscheck(&output);
    for (at, switch) in output.switches() {
        assert!(switch.planned, "at {at}: {switch:?}");
    }
    let pictures = runs(&output, Video);
    assert_eq!(pictures.len(), takes + 1, "each feed in turn, moved by one offset: {pictures:?}");
    assert_eq!(runs(&output, Audio), pictures, "sound goes with the pictures");
    output
}

/// At most so many pictures are missing at each switch: none but one that the two time lines make.
fn misses_at_most(output: &Output, pictures: i64) {
    no_hole(output, pictures);
    let waits: Vec<i64> = output.switches().iter().map(|(at, switch)| (at - switch.decided.nanos()) / MS).collect();
    assert_eq!(
        waits.len(),
        50,
        "the feeds ended too early, switches were told so many ms after they were decided: {waits:?}"
    );
}

fn no_hole(output: &Output, pictures: i64) {
    let longer = output.steps_outside(Video, FRAME - 2..=(1 + pictures) * FRAME + 2);
    assert!(longer.is_empty(), "{longer:?}, {:?}", near(output, longer[0].at));
}

/// The switch that was told nearest to a time.
fn near(output: &Output, at: i64) -> Option<(i64, Switch)> {
    output.switches().into_iter().min_by_key(|(told, _)| (told - at).abs())
}

/// Switches two feeds of one constant rate 50 times, and says by how many nanoseconds PCRs may be off the line of their neighbours.
fn fifty_constant(main: Tape, backup: Tape) -> (Output, i64) {
    let worst = |tape: &Tape| {
        let pid = tape.analysed().programs()[0].pcr_pid.unwrap();
        off_line(&output::clocks(&tape.packets, pid)).into_iter().map(|(off, _)| off).max().unwrap()
    };
    let most = worst(&main).max(worst(&backup)).max(500);
    (fifty(main, backup), most)
}

/// No PCR lies further off the line of its neighbours than so many nanoseconds.
fn stays_on_the_line(output: &Output, most: i64) {
    let off: Vec<_> = off_line(&output.clocks()).into_iter().filter(|(off, _)| *off > most).collect();
    let first = off.first().map(|(off, place)| (off, place, output.at[*place], near(output, output.at[*place])));
    assert!(
        off.is_empty(),
        "{} PCRs are off the line by up to {:?} ns, the first {first:?}",
        off.len(),
        off.iter().max()
    );
}

/// PIDs and codings are as at the start.
fn keeps_its_map(output: &Output) {
    let maps = output.maps();
    assert!(maps.iter().all(|map| (map.pcr, &map.streams) == (maps[0].pcr, &maps[0].streams)), "{maps:?}");
}

#[test]
fn h264_and_aac_go_over_fifty_times() {
    let backup = movie(LONG, &h264(10), "aac", &format!("{CONSTANT} {ELSEWHERE}"));
    let (output, most) = fifty_constant(movie(LONG, &h264(12), "aac", CONSTANT), backup);
    keeps_its_map(&output);
    judge::ffmpeg(&output);
    judge::gstreamer(&output, "h264", "aac");
    misses_at_most(&output, 1);
    stays_on_the_line(&output, most);
}

#[test]
fn h264_and_aac_of_variable_rate_go_over_fifty_times() {
    let output = fifty(movie(LONG, &h264(12), "aac", ""), movie(LONG, &h264(10), "aac", ELSEWHERE));
    keeps_its_map(&output);
    judge::ffmpeg(&output);
    judge::gstreamer(&output, "h264", "aac");
    misses_at_most(&output, 1);
}

#[test]
fn mpeg_2_and_mp2_go_over_fifty_times() {
    let backup = movie(LONG, &mpeg2(10), "mp2", &format!("{CONSTANT} {ELSEWHERE}"));
    let (output, most) = fifty_constant(movie(LONG, &mpeg2(12), "mp2", CONSTANT), backup);
    keeps_its_map(&output);
    judge::ffmpeg(&output);
    judge::gstreamer(&output, "mpeg2", "mp2");
    misses_at_most(&output, 1);
    stays_on_the_line(&output, most);
}

#[test]
fn hevc_of_open_groups_and_ac_3_go_over_fifty_times() {
    let backup = movie(LONG, &format!("{}:b-adapt=2", hevc_open(10)), "ac3", &format!("{CONSTANT} {ELSEWHERE}"));
    let (output, most) = fifty_constant(movie(LONG, &hevc_open(12), "ac3", CONSTANT), backup);
    keeps_its_map(&output);
    judge::ffmpeg(&output);
    judge::gstreamer(&output, "hevc", "ac3");
    misses_at_most(&output, 1);
    stays_on_the_line(&output, most);
}

/// The PMT says with a new version_number what the PIDs, which stay, now carry: `types` are the stream_types of each feed.
fn changes_its_map(output: &Output, types: [[u8; 2]; 2]) {
    let maps = output.maps();
    assert_eq!(maps.len(), output.switches().len() + 1, "{maps:?}");
    for (n, map) in maps.iter().enumerate() {
        let (found, pids): (Vec<u8>, Vec<u16>) = map.streams.iter().copied().unzip();
        assert_eq!(found, types[n % 2], "{map:?}");
        assert_eq!(pids, maps[0].streams.iter().map(|stream| stream.1).collect::<Vec<_>>());
        assert_eq!((map.pcr, usize::from(map.version)), (maps[0].pcr, (usize::from(maps[0].version) + n) % 32));
    }
}

#[test]
fn h264_and_mpeg_2_go_over_fifty_times() {
    let backup = movie(LONG, &mpeg2(10), "mp2", &format!("{CONSTANT} {ELSEWHERE}"));
    let (output, most) = fifty_constant(movie(LONG, &h264(12), "aac", CONSTANT), backup);
    changes_its_map(&output, [[0x1B, 0x0F], [0x02, 0x03]]);
    misses_at_most(&output, 2);
    stays_on_the_line(&output, most);
}

#[test]
fn h264_and_hevc_go_over_fifty_times() {
    let backup = movie(LONG, &hevc(10), "ac3", &format!("{CONSTANT} {ELSEWHERE}"));
    let (output, most) = fifty_constant(movie(LONG, &h264(12), "aac", CONSTANT), backup);
    changes_its_map(&output, [[0x1B, 0x0F], [0x24, 0x81]]);
    misses_at_most(&output, 2);
    stays_on_the_line(&output, most);
}

#[test]
fn a_main_that_stops_is_left_at_the_next_random_access_point() {
    for died in [5_000, 5_130, 5_260, 5_390].map(|ms| ms * MS) {
        let mut feeds = two(SHORT);
        feeds[0] = feeds[0].clone().silent(died..i64::MAX);
        let mut stage = Stage::new(feeds);
        stage.run(died);
        assert_eq!(stage.on_air(), 0);
        stage.told(0);
        let (at, switch) = stage.told(3_000 * MS).expect("a switch to the backup");
        assert_eq!((switch.to.index(), switch.planned, switch.kind.name()), (1, false, "independent"), "{switch:?}");
        // 200 ms until it is missed, 100 ms of delay, 400 ms from group to group, and what its pictures wait for in the buffer
        assert!(at < died + 1_600 * MS, "told {} ms after the main died", (at - died) / MS);
        stage.run(10_000 * MS);
        let output = stage.finish();
        assert_eq!(runs(&output, Video).len(), 2);
        let cost = switch.cost.expect("what it cost");
        let hole = output.steps(Video).iter().map(|step| step.ticks - FRAME).max().unwrap() * 100_000 / 9;
        // of the last pictures of the main some may be missing besides
        assert!((hole - cost.hole.nanos()).abs() <= 120 * MS, "{} ms were no picture: {switch:?}", hole / MS);
        assert!(cost.truncated <= 2, "{switch:?}");
        output.is_clean();
        judge::tscheck(&output);
    }
}

/// A tape whose PCR wraps at this time.
fn wrapping(tape: Tape, at: i64) -> Tape {
    let first = tape.packets.iter().position(|packet| Packet::new(packet).has_pcr()).unwrap();
    let pcr = Packet::new(&tape.packets[first]).pcr().unwrap();
    let before = (at - tape.at[first]) * 27 / 1000;
    tape.moved((Ticks27M::WRAP as i64 - pcr.0 as i64 - before) / 300 * 300)
}

#[test]
fn clocks_wrap_at_the_cut() {
    for n in 0..16 {
        let (which, wrap) = (n % 2, (3_600 + 120 * n as i64) * MS);
        let mut feeds = two(SHORT);
        feeds[which].tape = wrapping(feeds[which].tape.clone(), wrap);
        let mut stage = Stage::new(feeds);
        stage.run(3_500 * MS);
        let (at, switch) = stage.take(1);
        assert_eq!(switch.kind.name(), "independent", "the clock of feed {which} wraps at {wrap}");
        stage.run(at + 2_000 * MS);
        stage.take(0);
        stage.run(9_500 * MS);
        let output = stage.finish();
        output.is_clean();
        assert_eq!(
            runs(&output, Video).len(),
            3,
            "{:?} {:?} the clock of feed {which} wraps at {wrap}",
            runs(&output, Video),
            output.switches()
        );
        assert_eq!(runs(&output, Audio), runs(&output, Video));
        judge::ffmpeg(&output);
        no_hole(&output, 1);
    }
}

#[test]
fn two_programs_and_splice_information_go_over() {
    let programs = |gop: u32, more: &str| {
        let streams =
            "-map 0:v -map 1:a -map 0:v -map 1:a -program program_num=1:st=0:st=1 -program program_num=2:st=2:st=3";
        movie(20, &format!("{streams} {}", h264(gop)), "mp2", &format!("-muxrate 2M {more}"))
    };
    let main = cues::with(programs(12, ""), 0x1F0, 0x0A00_0000);
    let backup = cues::with(independent(programs(10, ELSEWHERE)), 0x2F0, 0x0B00_0000);
    let mut stage = Stage::new(vec![main.into(), backup.into()]);
    stage.alternate(10, 700 * MS, 4);
    let output = stage.finish();
    assert_eq!(output.kinds(), BTreeMap::from([("independent", 10)]));
    output.is_clean();
    judge::tscheck(&output);
    assert_eq!((output.pids(Video).len(), output.pids(Audio).len()), (2, 2));
    for kind in [Video, Audio] {
        for program in 0..2 {
            let lineage = output.lineage_of(kind, program);
            let feeds: BTreeSet<usize> = lineage.iter().map(|(_, feed, _)| *feed).collect();
            assert_eq!(feeds, BTreeSet::from([0, 1]), "{kind:?} of program {program}");
        }
    }
    cues::check(&output, &output.lineage(Video), output.pid(Splice));
    judge::ffmpeg(&output);
}

#[test]
fn a_mode_is_the_best_that_is_allowed() {
    let tape = movie(SHORT, &h264(12), "aac", CONSTANT);
    let same = || vec![Feed::new(tape.clone()), Feed::new(tape.clone().later(5 * MS))];
    for (feeds, mode, kind) in [
        (same(), Mode::Auto, "identical"),
        (same(), Mode::Merge, "identical"),
        (same(), Mode::Splice, "locked"),
        (same(), Mode::Cut, "cut"),
        (two(SHORT), Mode::Auto, "independent"),
        (two(SHORT), Mode::Merge, "independent"),
        (two(SHORT), Mode::Splice, "independent"),
        (two(SHORT), Mode::Cut, "cut"),
    ] {
        let mut stage = Stage::with(feeds, |channel| channel.mode = mode);
        stage.alternate(4, 500 * MS, 2);
        let output = stage.finish();
        assert_eq!(output.kinds(), BTreeMap::from([(kind, 4)]), "{mode:?}: {:#?}", output.switches());
        let analyser = output.analysed();
        assert_eq!(analyser.count(Indicator::ContinuityCountError).events(), 0, "{mode:?}");
        assert_eq!(analyser.count(Indicator::PcrDiscontinuityIndicatorError).events(), 0, "{mode:?}");
        assert_eq!(kind == "cut", output.switches().iter().any(|(_, switch)| switch.kind == Cut::Cut));
    }
}

#[test]
fn a_clock_that_is_not_to_be_moved_steps_with_a_sign() {
    let mut stage = Stage::with(two(20), |channel| channel.clock = ClockPolicy::Signal);
    assert_eq!(stage.alternate(6, 400 * MS, 2), 6);
    let output = stage.finish();
    let told = output.events.iter().filter(|event| matches!(event.what, What::ClockStep { .. })).count();
    let signalled = output.clocks().iter().filter(|clock| clock.signalled).count();
    assert_eq!((told, signalled), (6, 6), "{:#?}", output.switches());
    let analyser = output.analysed();
    assert_eq!(analyser.count(Indicator::ContinuityCountError).events(), 0);
    assert_eq!(analyser.count(Indicator::PcrDiscontinuityIndicatorError).events(), 0);
    let pcrs: BTreeSet<u64> =
        output.feeds.iter().flat_map(|f| &f.tape.packets).filter_map(|p| Some(Packet::new(p).pcr()?.0)).collect();
    assert!(output.clocks().iter().all(|clock| pcrs.contains(&clock.value.0)), "a PCR was moved");
    let stamps: BTreeSet<i64> = output
        .feeds
        .iter()
        .flat_map(|f| units(&f.tape.packets, f.pid(Video)))
        .map(|unit| unit.stamps.1.0 as i64)
        .collect();
    assert!(output.units(Video).iter().all(|unit| stamps.contains(&(unit.stamps.1.0 as i64))), "a DTS was moved");
}

#[test]
fn a_cut_makes_no_burst_and_no_hole() {
    let rate = "-muxrate 4M";
    let main = movie(20, &h264(12), "aac", rate);
    let backup = independent(movie(20, &h264(10), "aac", &format!("{rate} {ELSEWHERE}")));
    let other = h264(12).replace("ultrafast", "superfast");
    let locked = movie(20, &other, "aac", rate).later(20 * MS);
    for (backup, kind) in [(backup, "independent"), (locked, "locked")] {
        let mut stage = Stage::new(vec![main.clone().into(), backup.into()]);
        let takes = stage.alternate(15, 400 * MS, 6);
        let output = stage.finish();
        assert_eq!(output.kinds(), BTreeMap::from([(kind, takes)]));
        assert!(takes > 10);
        for (told, _) in output.switches() {
            let near = told - 500 * MS..told + 2_000 * MS;
            let from = output.at.partition_point(|at| *at < told);
            // 4 Mb/s are 26.6 packets in 10 ms
            for (n, at) in output.at.iter().enumerate().skip(from).take_while(|(_, at)| near.contains(at)) {
                let count = output.at[n..].partition_point(|later| *later < at + 10 * MS);
                assert!(count <= 53, "{count} packets in the 10 ms from {at} on, the cut was at {told}");
            }
            for pair in output.datagrams.windows(2).filter(|pair| near.contains(&pair[0])) {
                assert!(
                    pair[1] - pair[0] <= 25 * MS,
                    "nothing for {} ns from {}, the cut was at {told}",
                    pair[1] - pair[0],
                    pair[0]
                );
            }
        }
    }
}

#[test]
fn a_switch_is_what_was_foretold() {
    let tape = movie(LONG, &h264(12), "aac", CONSTANT);
    let locked = made_locked();
    let recoded = movie(LONG, &mpeg2(12), "aac", CONSTANT);
    let feeds = vec![
        Feed::new(tape.clone()),
        Feed::new(tape.clone().later(20 * MS)),
        Feed::new(locked.later(11 * MS)),
        independent(tape).into(),
        Feed::new(recoded.later(5 * MS)),
    ];
    let mut stage = Stage::new(feeds);
    stage.run(3_000 * MS);
    assert_eq!(stage.forecast(0), None, "it is on air");
    for (place, kind, fallback, recoded) in [
        (1, Cut::Identical, None, 0),
        (2, Cut::Locked, None, 0),
        (3, Cut::Independent, None, 0),
        (4, Cut::Independent, Some(Why::OtherCodecs), 1),
    ] {
        // looked at each second, a place of 100 ms in each 480 ms is seen sooner or later
        let mut seen = None;
        for _ in 0..40 {
            seen = stage.forecast(place);
            let is_place = seen.is_some_and(|seen| {
                assert_eq!((seen.kind, seen.recoded, seen.missing), (kind, recoded, 0), "input {place}: {seen:?}");
                seen.wait.is_some()
            });
            if is_place {
                break;
            }
            stage.run(stage.now() + 130 * MS);
        }
        let seen = seen.unwrap();
        let (_, switch) = stage.take(place);
        assert_eq!((switch.kind, switch.fallback), (kind, fallback), "input {place}");
        if let Some(wait) = seen.wait {
            assert_eq!((seen.fallback, seen.lost), (fallback, switch.lost), "input {place}");
            let hole = switch.cost.map_or(0, |cost| cost.hole.nanos());
            assert_eq!(seen.hole.unwrap().nanos(), hole, "input {place}");
            assert!(wait.nanos() <= 200 * MS, "input {place}: {wait:?}");
        }
        stage.take(0);
    }
    stage.finish().is_clean();
}

/// The movie of the other tests from an encoder of another rate on the same clock.
fn made_locked() -> Tape {
    feed::made(LONG, &format!("{} -b:v 350k -maxrate 350k -bufsize 200k -c:a aac -b:a 96k {CONSTANT}", h264(12)))
}
