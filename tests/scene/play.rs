//! A channel between two encoders, over multicast on the loopback interface: the main is killed, comes back, is taken
//! off the air and put on again, while all of the output is recorded.

use std::path::Path;
use std::process::{Command, Stdio};

use changeover::tr101290::{Analyser, Indicator, Settings};
use changeover::ts::PACKET_SIZE;
use changeover::units::Instant;
use serde_json::Value;

use super::{Process, Recorded, Recorder, Switcher, input, tool};

/// The main as TS packets in UDP, the backup in RTP, and so is the output.
const CONFIGURATION: &str = "
node: {name: test}
api: {listen: 127.0.0.1:8080}
channels:
  - name: news
    inputs:
      - {name: main, url: udp://239.1.1.1:5000, interface: lo, priority: 100}
      - {name: backup, url: rtp://239.1.1.2:5000, interface: lo, priority: 50}
    switch: {failback: {mode: auto, after: 1s}, dwell: 1s, max_per_minute: 0}
    health:
      input_loss: {raise: {for: 300ms}, clear: {for: 1s}}
      continuity_count_error: {raise: {above: 10, within: 1s}, clear: {for: 1s}}
    outputs:
      - {url: rtp://239.1.1.3:6000, interface: lo, ttl: 1}
";
/// What such a network namespace needs.
pub(crate) const NETWORK: &str = "ip link set lo multicast on; ip route add 224.0.0.0/4 dev lo";
/// Pictures a second of the encoders.
const PICTURES: f64 = 25.0;

/// An encoder: H.264 and AAC at a constant 8 Mb/s, to a group.
pub(crate) fn encoder(form: &str, to: &str, tone: u16) -> Process {
    let picture = format!("testsrc2=size=320x180:rate={PICTURES}");
    let sound = format!("sine=frequency={tone}:sample_rate=48000");
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-hide_banner", "-loglevel", "error"])
        .args(["-re", "-f", "lavfi", "-i", &picture, "-re", "-f", "lavfi", "-i", &sound])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-g", "12"])
        .args(["-pix_fmt", "yuv420p", "-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "1M"])
        .args(["-x264-params", "nal-hrd=cbr:force-cfr=1", "-c:a", "aac", "-b:a", "128k"])
        .args(["-muxrate", "8M", "-pcr_period", "20", "-f", form, to])
        .stdout(Stdio::null());
    Process::spawn(&mut command, "ffmpeg")
}

fn main_encoder() -> Process {
    encoder("mpegts", "udp://239.1.1.1:5000?pkt_size=1316&localaddr=127.0.0.1&ttl=1", 440)
}

fn backup_encoder() -> Process {
    encoder("rtp_mpegts", "rtp://239.1.1.2:5000?pkt_size=1328&localaddr=127.0.0.1&ttl=1", 880)
}

pub(crate) fn is_on(name: &str) -> impl Fn(&Value) -> bool {
    move |channel| channel["active"] == name
}

/// Plays it and records the output into `file`; to be called in a network namespace with [`NETWORK`].
pub(crate) fn play(folder: &Path, file: &Path) -> Recorded {
    let recorder = Recorder::start("239.1.1.3:6000", "lo", true, file);
    let switcher = Switcher::start(folder, CONFIGURATION);
    let main = main_encoder();
    let backup = backup_encoder();
    switcher.wait("both inputs are healthy, the main on air", |channel| {
        is_on("main")(channel)
            && input(channel, "main")["state"] == "active"
            && input(channel, "backup")["state"] == "hot"
            && input(channel, "backup")["packets"].as_u64() > Some(5_000)
    });
    switcher.wait_for_output(10_000);

    main.kill();
    let channel = switcher.wait("the backup is on air", is_on("backup"));
    assert_eq!(input(&channel, "main")["state"], "unhealthy", "{channel:#}");
    let raised = input(&channel, "main")["raised"].as_array().unwrap();
    assert!(raised.iter().any(|criterion| criterion == "input_loss"), "{channel:#}");
    switcher.wait_for_output(10_000);

    let main = main_encoder();
    switcher.wait("the main is on air again, by itself", is_on("main"));
    switcher.wait_for_output(10_000);

    let channel = switcher.take("backup");
    assert_eq!((&channel["active"], &channel["taken"]), (&"backup".into(), &"backup".into()), "{channel:#}");
    switcher.wait_for_output(10_000);
    assert_eq!(switcher.channel()["active"], "backup", "what was taken stays: {}", switcher.log());

    switcher.take("main");
    switcher.wait_for_output(10_000);
    let before = switcher.channel()["switches"].clone();
    backup.kill();
    switcher.wait("the loss of the backup is seen", |channel| input(channel, "backup")["state"] == "unhealthy");
    switcher.wait_for_output(10_000);
    let channel = switcher.channel();
    assert_eq!((&channel["active"], &channel["switches"]), (&"main".into(), &before), "{}", switcher.log());
    let backup_rtp = &input(&channel, "backup")["rtp"];
    assert!(backup_rtp["received"].as_u64() > Some(1_000) && backup_rtp["lost"] == 0, "{backup_rtp}");
    assert_eq!(channel["unsynchronised"], 0);

    main.kill();
    switcher.end();
    recorder.end()
}

/// What every judge can say of the recording: the analyser of this project and ffprobe.
pub(crate) fn judge(file: &Path, recorded: &Recorded) {
    let bytes = std::fs::read(file).unwrap();
    let (packets, rest) = bytes.as_chunks::<PACKET_SIZE>();
    assert!(rest.is_empty() && packets.len() > 50_000, "{} packets, {} bytes", packets.len(), rest.len());
    assert_eq!(recorded.rtp_errors, 0, "{recorded:?}");
    let mut analyser = Analyser::new(&Settings::default());
    for packet in packets {
        analyser.packet(Instant::ZERO, packet, &mut ());
    }
    for indicator in [
        Indicator::TsSyncLoss,
        Indicator::SyncByteError,
        Indicator::ContinuityCountError,
        Indicator::TransportError,
        Indicator::CrcError,
    ] {
        assert_eq!(analyser.count(indicator).events(), 0, "{}", indicator.name());
    }

    let path = file.to_str().unwrap();
    let entries = "stream=codec_type,codec_name,nb_read_frames";
    let arguments = ["-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", path];
    let output = tool("ffprobe", "ffmpeg", &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let probe: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (kind, codec, rate) in [("video", "h264", PICTURES), ("audio", "aac", 48_000.0 / 1_024.0)] {
        // Another one in "programs" would be the same.
        let streams = probe["streams"].as_array().unwrap();
        let stream = streams.iter().find(|stream| stream["codec_type"] == kind).unwrap_or_else(|| panic!("{probe:#}"));
        assert_eq!(stream["codec_name"], codec);
        let frames: f64 = stream["nb_read_frames"].as_str().unwrap().parse().unwrap();
        let due = recorded.seconds * rate;
        // Each of four cuts in the middle of pictures, and the time until a loss is certain, costs some.
        assert!((0.8 * due..1.05 * due).contains(&frames), "{kind}: {frames} frames, {due:.0} are due");
    }
}
