//! Captures that hold SRT: what a receiver would have handed on.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use changeover::config::Plan;
use changeover::replay::capture::Capture;
use changeover::replay::pcapng::{Header, Writer};
use changeover::replay::{Summary, replay};
use changeover::synth;
use changeover::units::Ticks27M;

const START: i64 = 1_700_000_000_000_000_000;
const MILLISECOND: i64 = 1_000_000;
const PEER: &str = "10.0.0.9:40000";
const HERE: &str = "10.0.0.1:9000";

/// A channel that passes on what its one input gets, as it comes.
fn plan(url: &str) -> Plan {
    let text = format!(
        "channels:\n  - name: a\n    inputs:\n      - {{name: x, url: '{url}', health: {{input_loss: off}}}}\n    \
         switch: {{mode: cut, pace: arrival, delay: 0ms, hole: silent}}\n    outputs:\n      - url: udp://239.2.2.2:5000\n"
    );
    Plan::parse(&text).unwrap().0
}

/// A data packet (draft-sharabayko-srt-01 3.1): one message, in order, of key `key`.
fn data(sequence: u32, stamp: u32, key: u32, repeated: bool, payload: &[u8]) -> Vec<u8> {
    let second = 3 << 30 | 1 << 29 | key << 27 | u32::from(repeated) << 26 | 7;
    let words = [sequence & 0x7fff_ffff, second, stamp, 0x1234];
    [words.map(u32::to_be_bytes).concat().as_slice(), payload].concat()
}

/// Datagrams with their times, sources and destinations as a capture.
fn capture(path: &Path, datagrams: &[(i64, SocketAddr, SocketAddr, Vec<u8>)]) -> PathBuf {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for (at, source, destination, payload) in datagrams {
        writer.write(*at, Header { source: *source, destination: *destination, ttl: 8, dscp: 0 }, payload).unwrap();
    }
    std::fs::write(path, writer.finish().unwrap()).unwrap();
    path.to_owned()
}

/// Packets that came from the peer, each with its time in milliseconds.
fn from_peer(path: &Path, packets: &[(i64, Vec<u8>)]) -> PathBuf {
    let (peer, here) = (PEER.parse().unwrap(), HERE.parse().unwrap());
    let all: Vec<_> = packets.iter().map(|(at, p)| (START + at * MILLISECOND, peer, here, p.clone())).collect();
    capture(path, &all)
}

/// Replays: the summary, and what left with its times.
fn run(plan: &Plan, file: PathBuf) -> (Summary, Vec<(i64, Vec<u8>)>) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcapng");
    let summary = replay(plan, &[file], Some(&out), None).unwrap();
    let mut capture = Capture::open(&out).unwrap();
    let mut left = Vec::new();
    while let Some(datagram) = capture.read().unwrap() {
        left.push((datagram.at, datagram.payload.to_vec()));
    }
    (summary, left)
}

fn stream(seconds: u64) -> Vec<u8> {
    synth::recording(synth::Settings::default(), Ticks27M(seconds * 27_000_000))
}

/// Sequence numbers and time stamps begin again, packets overtake each other, one is repeated in time, one twice, one too
/// late, and one never.
#[test]
fn messages_leave_in_order_at_their_time() {
    let stream = stream(1);
    let messages: Vec<_> = stream.chunks_exact(7 * 188).take(12).collect();
    let packet = |i: u32, repeated| {
        let (sequence, stamp) = (0x7fff_fffb_u32.wrapping_add(i), 0xffff_0000_u32.wrapping_add(i * 10_000));
        data(sequence, stamp, 0, repeated, messages[usize::try_from(i).unwrap()])
    };
    let at = |i: i64| i * 10;
    let mut packets: Vec<(i64, Vec<u8>)> =
        [0, 1, 2, 4, 3, 6, 8, 10, 11].map(|i| (at(i64::from(i)), packet(i, false))).into();
    // 5 in time, and once more; 7 never, and 9 when 10 has left.
    packets.extend([(150, packet(5, true)), (151, packet(5, true)), (290 + 60, packet(9, true))]);
    packets.sort_by_key(|(at, _)| *at);
    let folder = tempfile::tempdir().unwrap();
    for (url, file) in [
        ("srt://:9000?latency=200ms", "listener"),
        ("srt://10.0.0.9:40000?latency=200ms", "caller"),
        ("srt://10.0.0.1:9000?latency=200ms&mode=listener", "bound"),
    ] {
        let (summary, left) = run(&plan(url), from_peer(&folder.path().join(file), &packets));
        let figures = summary.inputs[0].srt.unwrap();
        assert_eq!((figures.packets, figures.duplicates, figures.late, figures.missing), (12, 1, 1, 2), "{url}");
        let expected = [0, 1, 2, 3, 4, 5, 6, 8, 10, 11];
        assert_eq!(summary.inputs[0].datagrams, 10);
        let same = left.iter().map(|(_, payload)| payload).eq(expected.iter().map(|i| messages[*i]));
        assert!(same, "{} datagrams left", left.len());
        let times: Vec<_> = left.iter().map(|(at, _)| (at - START) / MILLISECOND).collect();
        assert_eq!(times, [200, 210, 220, 230, 240, 250, 260, 280, 300, 310]);
        assert!(summary.unwanted.is_empty(), "{:?}", summary.unwanted);
        assert!(summary.to_string().contains("a/x: 2 SRT packets that did not come in time"), "{summary}");
    }
}

#[test]
fn what_cannot_be_read_or_is_not_meant_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let message = [0x47; 1316];
    let packets = [(0, data(1, 0, 1, false, &message)), (1, data(2, 1000, 2, false, &message))];
    let (summary, left) = run(&plan("srt://:9000"), from_peer(&folder.path().join("a"), &packets));
    assert!(left.is_empty());
    assert_eq!(
        summary.warnings(),
        ["a/x: 2 encrypted SRT packets, which cannot be read: capture behind what decrypts them"]
    );

    // A second sender, which is refused; what is too short for a header, and control packets, are nothing.
    let (here, other) = (HERE.parse().unwrap(), "10.0.0.8:1".parse().unwrap());
    let of = |at, from, payload: Vec<u8>| (START + at * MILLISECOND, from, here, payload);
    let peer = PEER.parse().unwrap();
    let datagrams = [
        of(0, peer, data(1, 0, 0, false, &message)),
        of(1, other, data(9, 1000, 0, false, &message)),
        of(2, peer, vec![0; 15]),
        of(3, peer, [&[0x80, 2][..], &[0; 14]].concat()),
        of(4, peer, Vec::new()),
        (START + 5 * MILLISECOND, here, peer, vec![0; 44]),
    ];
    let file = capture(&folder.path().join("b"), &datagrams);
    let (summary, left) = run(&plan("srt://:9000"), file.clone());
    assert_eq!((left.len(), summary.inputs[0].srt.unwrap().refused), (1, 1));
    assert!(summary.unwanted.is_empty());
    let text = plan("srt://:9001");
    let (summary, _) = run(&text, file);
    assert!(summary.warnings()[0].contains("a/x got nothing"), "{:?}", summary.warnings());
    assert_eq!(summary.unwanted.len(), 3);
}

#[test]
fn a_sender_that_begins_again_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let message = [0x47; 1316];
    let shutdown = [0x8005_0000_u32, 0, 0, 0x1234].map(u32::to_be_bytes).concat();
    let packets = [
        (0, data(100, 0, 0, false, &message)),
        (10, shutdown),
        (20, data(5, 900_000_000, 0, false, &message)),
        // A time stamp from nowhere begins a new count.
        (30, data(6, 0, 0, false, &message)),
    ];
    let (summary, left) = run(&plan("srt://:9000?latency=100ms"), from_peer(&folder.path().join("a"), &packets));
    let times: Vec<_> = left.iter().map(|(at, _)| (at - START) / MILLISECOND).collect();
    assert_eq!(times, [100, 120, 130]);
    assert_eq!(summary.inputs[0].srt.unwrap().missing, 0);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn transmit(from: &str, to: &str, out: Stdio) -> Running {
    let mut command = Command::new("srt-live-transmit");
    command.args(["-q", "-loglevel:fatal", from, to]).stdout(out).stderr(Stdio::null());
    Running(command.spawn().expect("srt-live-transmit: apt install srt-tools"))
}

/// Two of srt-live-transmit with a relay between them that drops every twentieth data packet once and writes down what
/// gets through: the replay hands on what the receiver did. The latency outlasts a machine that stands still for a while.
#[test]
fn a_real_session_with_losses_is_replayed_as_its_receiver_had_it() {
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (feed, end) = (free(), free());
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    relay.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let middle = relay.local_addr().unwrap();
    let mut receiver = transmit(&format!("srt://:{end}?mode=listener&latency=2000"), "file://con", Stdio::piped());
    let mut out = receiver.0.stdout.take().unwrap();
    let received = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = std::sync::Arc::clone(&received);
    let reader = std::thread::spawn(move || {
        let mut part = [0; 65536];
        while let Ok(len @ 1..) = out.read(&mut part) {
            sink.lock().unwrap().extend_from_slice(&part[..len]);
        }
    });
    let _sender = transmit(&format!("udp://127.0.0.1:{feed}"), &format!("srt://{middle}?latency=2000"), Stdio::null());

    let stream = stream(2);
    let messages: Vec<_> = stream.chunks_exact(7 * 188).collect();
    let whole = messages.len() * 7 * 188;
    let feeder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (to, start) = (SocketAddr::from(([127, 0, 0, 1], end)), Instant::now());
    let (mut from, mut buffer, mut written) = (None, [0; 2048], Vec::new());
    let (mut fed, mut dropped, mut connected) = (0, 0, false);
    let mut next = Instant::now();
    // Its output is buffered, and the end of it stays there.
    let told = whole / 4096 * 4096;
    while received.lock().unwrap().len() < told {
        assert!(start.elapsed() < Duration::from_secs(60), "{} of {whole}", received.lock().unwrap().len());
        if let Ok((len, source)) = relay.recv_from(&mut buffer) {
            let datagram = &buffer[..len];
            let (at, back) = (START + i64::try_from(start.elapsed().as_nanos()).unwrap(), source == to);
            if !back {
                from = Some(source);
            }
            // An ACKACK to what came back means that data are flowing; a keepalive, that there is a connection.
            connected |= len >= 16 && datagram[0] == 0x80 && datagram[1] == 1;
            let first = len > 16 && datagram[0] < 0x80 && datagram[4] & 4 == 0;
            let number = u32::from_be_bytes(datagram[..4].try_into().unwrap());
            if !back && first && number % 20 == 0 && fed + 10 < messages.len() {
                dropped += 1;
            } else if let Some(peer) = from {
                let target = if back { peer } else { to };
                let _ = relay.send_to(datagram, target);
                written.push((at, if back { to } else { peer }, if back { peer } else { to }, datagram.to_vec()));
            }
        }
        while connected && fed < messages.len() && Instant::now() >= next {
            feeder.send_to(messages[fed], ("127.0.0.1", feed)).unwrap();
            fed += 1;
            next += Duration::from_millis(2);
        }
        next = if connected { next } else { Instant::now() };
    }
    drop(receiver);
    reader.join().unwrap();
    assert!(dropped > 5, "{dropped}");

    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&format!("srt://127.0.0.1:{end}?mode=listener&latency=2s"));
    let (summary, left) = run(&plan, capture(&folder.path().join("real"), &written));
    let figures = summary.inputs[0].srt.unwrap();
    assert_eq!((figures.missing, figures.encrypted, figures.refused), (0, 0, 0), "{figures:?}");
    let bytes: Vec<u8> = left.into_iter().flat_map(|(_, payload)| payload).collect();
    assert!(bytes == stream[..whole], "{} bytes of {whole}, {figures:?}", bytes.len());
    let received = received.lock().unwrap();
    assert!(bytes.starts_with(&received), "the receiver had {} other bytes", received.len());
}
