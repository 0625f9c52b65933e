//! Groups of H.264 that refer to what was before, and a feed that dies while it is entered.

use changeover::engine::Command;
use changeover::ts::stream::Kind::{Audio, Video};
use changeover::units::InputId;

use crate::feed::{CONSTANT, Feed, MS, h264, h264_open, movie};
use crate::stage::Stage;
use crate::{ELSEWHERE, LONG, SHORT, fifty_constant, independent, judge, misses_at_most, no_hole, stays_on_the_line};

/// At a recovery point decoders keep what they decoded before, and say so. Where IDR pictures come as well a planned switch waits
/// for one.
#[test]
fn h264_of_open_groups_is_entered_at_an_idr_picture() {
    let forced = "-forced-idr 1 -force_key_frames expr:gte(t,n_forced*0.96)";
    let backup = movie(LONG, &h264_open(10), "aac", &format!("{CONSTANT} {forced} {ELSEWHERE}"));
    let (output, most) = fifty_constant(movie(LONG, &h264_open(12), "aac", &format!("{CONSTANT} {forced}")), backup);
    assert!(output.switches().len() > 25, "{}", output.switches().len());
    judge::ffmpeg(&output);
    judge::gstreamer(&output, "h264", "aac");
    no_hole(&output, 1);
    stays_on_the_line(&output, most);
}

/// Where no IDR picture comes a recovery point is what there is.
#[test]
fn h264_of_open_groups_alone_goes_over_fifty_times() {
    let backup = movie(LONG, &h264_open(10), "aac", &format!("{CONSTANT} {ELSEWHERE}"));
    let (output, most) = fifty_constant(movie(LONG, &h264_open(12), "aac", CONSTANT), backup);
    misses_at_most(&output, 1);
    stays_on_the_line(&output, most);
}

/// Three feeds with two streams of sound each. Of the second feed's other sound nothing comes, though its PMT lists it: for as long
/// as that is waited for, a transition to it lasts.
fn three() -> Vec<Feed> {
    let streams = |gop| format!("-map 0:v -map 1:a -map 1:a {}", h264(gop));
    let main = movie(SHORT, &streams(12), "aac", "-muxrate 1600k");
    let backup = independent(movie(SHORT, &streams(10), "aac", &format!("-muxrate 1600k {ELSEWHERE}")));
    let third = main.clone().moved(5_400_000_000).later(29 * MS);
    let other = backup.pids(Audio)[1];
    vec![main.into(), Feed::new(backup).without(other), third.into()]
}

#[test]
fn a_switch_is_told_within_a_second_and_an_emergency_does_not_wait_for_its_end() {
    let mut stage = Stage::new(three());
    stage.run(3_500 * MS);
    let taken = stage.now();
    let (told, _) = stage.take(1);
    stage.run(told + 200 * MS);
    let output = stage.finish();
    let (entry, ..) = output.lineage(Video).into_iter().find(|(_, feed, _)| *feed == 1).unwrap();
    let entered = output.at[entry.place];
    assert!((entered..=entered + 1_000 * MS).contains(&told), "entered at {entered}, told at {told}");
    // it dies from before it is entered to after it was told; the limit is 200 ms
    let mut cut_short = 0;
    for died in (taken..=told + 600 * MS).step_by(130 * MS as usize) {
        let mut feeds = three();
        feeds[1] = feeds[1].clone().silent(died..i64::MAX);
        let mut stage = Stage::new(feeds);
        stage.run(taken);
        assert!(stage.rig().command(Command::Take(InputId(1))));
        stage.run(died + 6_000 * MS);
        assert_ne!(stage.on_air(), 1, "died at {died}");
        let output = stage.finish();
        output.is_clean();
        let switches = output.switches();
        if let Some((at, left)) = switches.iter().find(|(_, switch)| switch.from == Some(InputId(1))) {
            assert!(left.decided.nanos() <= died + 210 * MS, "died at {died}: {left:?}");
            assert!(*at < died + 2_600 * MS, "died at {died}, told at {at}: {left:?}");
            cut_short += 1;
        }
    }
    assert!(cut_short > 4, "{cut_short}");
}
