//! Programs of others that say what they think of an output.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use crate::output::Output;

/// What a program says of a file, which must be nothing.
fn silent(program: &str, package: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).env("GST_DEBUG", "1").env("GST_DEBUG_NO_COLOR", "1").output();
    let ran =
        ran.unwrap_or_else(|error| panic!("{program} does not run ({error}): install Debian's package `{package}`"));
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let is_fine = ran.status.success() && said.is_empty();
    assert!(is_fine, "{program} {}:\n{said}", arguments.join(" "));
}

/// ffmpeg decodes all pictures and sound without a word.
pub fn ffmpeg(output: &Output) {
    with_file(output, |name| {
        let all =
            ["-v", "error", "-xerror", "-threads", "1", "-i", name, "-map", "0:v", "-map", "0:a", "-f", "null", "-"];
        silent("ffmpeg", "ffmpeg", &all);
    });
}

/// The elements of GStreamer that decode each coding, and the Debian packages that have them.
const ELEMENTS: [(&str, &str, &str); 8] = [
    ("tsdemux", "gstreamer1.0-plugins-bad", "tsdemux"),
    ("h264", "gstreamer1.0-plugins-bad", "h264parse ! openh264dec"),
    ("hevc", "gstreamer1.0-plugins-bad", "h265parse ! libde265dec"),
    ("mpeg2", "gstreamer1.0-plugins-ugly", "mpegvideoparse ! mpeg2dec"),
    ("aac", "gstreamer1.0-plugins-bad", "aacparse ! faad"),
    ("mp2", "gstreamer1.0-plugins-good", "mpegaudioparse ! mpg123audiodec"),
    ("ac3", "gstreamer1.0-plugins-ugly", "ac3parse ! a52dec"),
    ("fakesink", "libgstreamer1.0-0", "fakesink"),
];

fn elements(coding: &str) -> &'static str {
    let (_, package, elements) = *ELEMENTS.iter().find(|(name, ..)| *name == coding).unwrap();
    for element in elements.split(" ! ") {
        let found = Command::new("gst-inspect-1.0").args(["--exists", element]).status();
        let found = found.unwrap_or_else(|error| {
            panic!("gst-inspect-1.0 does not run ({error}): install Debian's package `gstreamer1.0-tools`")
        });
        assert!(found.success(), "GStreamer has no {element}: install Debian's package `{package}`");
    }
    elements
}

/// GStreamer decodes pictures and sound of these codings without a word, by decoders that are none of ffmpeg's.
pub fn gstreamer(output: &Output, video: &str, audio: &str) {
    let (video, audio) = (elements(video), elements(audio));
    let (demux, sink) = (elements("tsdemux"), elements("fakesink"));
    with_file(output, |name| {
        let pipeline = format!(
            "-q filesrc location={name} ! {demux} name=d d. ! queue ! {video} ! {sink} d. ! queue ! {audio} ! {sink}"
        );
        let arguments: Vec<&str> = pipeline.split(' ').collect();
        silent("gst-launch-1.0", "gstreamer1.0-tools", &arguments);
    });
}

/// A judge that shares no code with this project, where it is at hand.
pub fn tscheck(output: &Output) {
    let Some(folder) = std::env::var_os("CHANGEOVER_SHARED") else {
        let _ = writeln!(io::stderr(), "not run: CHANGEOVER_SHARED names no folder with a judge");
        return;
    };
    let tool = Path::new(&folder).join("tools/tscheck");
    with_file(output, |name| {
        let ran = Command::new(&tool).args([name, "--expect", "cc=0,pcr_jumps=0,dts_backwards=0,crc=0"]).output();
        let ran = ran.unwrap_or_else(|error| panic!("tools/tscheck does not run, install `python3`: {error}"));
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    });
}

fn with_file(output: &Output, judge: impl FnOnce(&str)) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.ts");
    fs::write(&file, output.trimmed().as_flattened()).unwrap();
    judge(file.to_str().unwrap());
}
