//! The synthetic feeds as another hears and sees them: FFmpeg decodes them without a word of complaint.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use changeover::synth::{self, Settings, picture};
use changeover::units::Ticks27M;

const WIDTH: usize = 720;
const HEIGHT: usize = 576;
const SECONDS: u64 = 5;

/// Runs `program`, which comes with FFmpeg.
fn run(program: &str, arguments: &[&str], file: &Path) -> Output {
    let file = file.to_str().expect("a path in UTF-8");
    let arguments = arguments.iter().map(|&a| if a == "FILE" { file } else { a });
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => panic!("{program} does not run ({error}): install Debian's package `ffmpeg`"),
    }
}

/// What was printed, where nothing was complained of.
fn unblemished(output: Output, settings: &Settings) -> Vec<u8> {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{settings:?}:\n{complaints}");
    output.stdout
}

/// The number that a picture shows; its luma alone.
fn number(luma: &[u8]) -> Option<u32> {
    (0..picture::DIGITS).try_fold(0, |number, place| {
        let dots = core::array::from_fn(|y| {
            core::array::from_fn(|x| {
                let column = (picture::DIGITS_LEFT + 4 * place + x) * picture::DOT + picture::DOT / 2;
                let row = (picture::DIGITS_TOP + y) * picture::DOT + picture::DOT / 2;
                luma[row * WIDTH + column] > 128
            })
        });
        (0..10).find(|&value| picture::digit(value) == Some(dots)).map(|value| number * 10 + u32::from(value))
    })
}

#[test]
fn ffmpeg_decodes_every_picture_and_every_frame_without_a_warning() {
    let wrap = Ticks27M::WRAP;
    for settings in [
        Settings::default(),
        Settings { start: Ticks27M(wrap - 27_000_000), seed: 4, gop: 12, ..Settings::default() },
        Settings { bit_rate: 1_000_000, seed: 1, ..Settings::default() },
        Settings { bit_rate: 3_000_001, gop: 1, seed: 2, ..Settings::default() },
        Settings { bit_rate: 40_000_000, seed: 3, ..Settings::default() },
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("feed.ts");
        let feed = synth::recording(settings.clone(), Ticks27M(SECONDS * 27_000_000));
        std::fs::write(&file, feed).expect("the feed is written");

        // as picky as its decoders can be
        let picky = "crccheck+bitstream+buffer+careful+compliant+aggressive";
        let decode = ["-nostdin", "-v", "warning", "-err_detect", picky, "-i", "FILE", "-f", "null", "-"];
        unblemished(run("ffmpeg", &decode, &file), &settings);

        let count = "-v warning -count_frames -show_entries stream=codec_name,nb_read_frames -of csv=p=0 -i";
        let mut count: Vec<&str> = count.split(' ').collect();
        count.push("FILE");
        let counted = unblemished(run("ffprobe", &count, &file), &settings);
        let counted = String::from_utf8(counted).expect("ffprobe writes UTF-8");
        let frames = |codec: &str| -> usize {
            let line = counted.lines().find_map(|l| l.strip_prefix(codec)).unwrap_or_else(|| panic!("{counted}"));
            line.trim_matches(',').parse().unwrap_or_else(|_| panic!("{counted}"))
        };
        // what begins in the time, and up to a picture or a PES packet of audio more
        assert!((125..=126).contains(&frames("mpeg2video")), "{settings:?}: {counted}");
        assert!((208..=213).contains(&frames("mp2")), "{settings:?}: {counted}");
    }
}

#[test]
fn the_pictures_show_their_numbers_in_order() {
    let settings = Settings { gop: 12, ..Settings::default() };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("feed.ts");
    std::fs::write(&file, synth::recording(settings.clone(), Ticks27M(2 * 27_000_000))).expect("the feed is written");
    let decode = "-nostdin -v warning -i FILE -map 0:v -f rawvideo -pix_fmt yuv420p -fps_mode passthrough -";
    let decode: Vec<&str> = decode.split(' ').collect();
    let pictures = unblemished(run("ffmpeg", &decode, &file), &settings);
    let size = WIDTH * HEIGHT * 3 / 2;
    assert_eq!(pictures.len() % size, 0);
    let numbers: Vec<Option<u32>> = pictures.chunks_exact(size).map(number).collect();
    assert!((50..=51).contains(&numbers.len()));
    assert!(numbers.iter().copied().eq((0..).map(Some).take(numbers.len())), "{numbers:?}");
}

#[test]
fn the_service_has_its_name_and_its_language() {
    let settings = Settings { service_name: "Étude 1".to_owned(), language: *b"fra", ..Settings::default() };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("feed.ts");
    std::fs::write(&file, synth::recording(settings.clone(), Ticks27M(27_000_000))).expect("the feed is written");
    let show = "-v warning -show_entries program_tags=service_name:stream_tags=language -of default=nw=1 FILE";
    let show: Vec<&str> = show.split(' ').collect();
    let shown = unblemished(run("ffprobe", &show, &file), &settings);
    let shown = String::from_utf8(shown).expect("ffprobe writes UTF-8");
    assert!(shown.contains("TAG:service_name=Étude 1"), "{shown}");
    assert!(shown.contains("TAG:language=fra"), "{shown}");
}
