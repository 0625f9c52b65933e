//! Where the fuzzer begins: streams, configurations and captures that are right, and some that are nearly so.

use std::io::Cursor;
use std::net::SocketAddr;

use changeover::replay::pcapng::{Header, Writer};
use changeover::synth::{Feed, Settings};

const RAW: u8 = 0;
const BUILT: u8 = 2;
const TIME: u8 = 4;
const COMMAND: u8 = 5;
const SENDING: u8 = 6;

/// Each seed: its target, its name and its bytes.
pub fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.push((target, format!("seed-{name}"), bytes));
    add("datagram", "two-inputs", two_inputs(|_, _| true));
    add("datagram", "main-lost", two_inputs(|n, input| input == 1 || n < 4));
    add("datagram", "rtp-order", rtp(&[1, 2, 4, 3, 5, 5, 9, 8, 100, 101, 40_000, 65_535, 0]));
    add("datagram", "odd-lengths", odd_lengths());
    add("datagram", "sections", sections());
    add("datagram", "commands", commands());
    add("datagram", "full-outbox", full_outbox());
    add("analyser", "stream", stream(300));
    add("analyser", "stream-of-services", services());
    let example = include_str!("../../config/changeover.yaml");
    add("config", "example", example.as_bytes().to_vec());
    for (name, from, to) in MUTATIONS {
        assert!(SMALL.contains(from), "{name} changes nothing");
        add("config", name, SMALL.replacen(from, to, 1).into_bytes());
    }
    add("capture", "pcapng", capture());
    let mut cut = capture();
    cut.truncate(cut.len() - 77);
    add("capture", "pcapng-cut", cut);
    add("capture", "ts", stream(60));
    let mut shifted = stream(40);
    shifted.drain(188 * 20 + 5..188 * 20 + 90);
    add("capture", "ts-shifted", shifted);
    let coded: Vec<u8> = stream(30).chunks(188).flat_map(|p| [p, &[0; 16]].concat()).collect();
    add("capture", "ts-204", coded);
    add("capture", "pcap", pcap());
    seeds
}

/// Splice information with a PMT that lists it, and a CAT, among a stream.
fn services() -> Vec<u8> {
    let mut out = stream(40);
    let mut section = |pid: u16, bytes: &[u8]| {
        let mut section = bytes.to_vec();
        let length = u16::try_from(section.len() + 4 - 3).unwrap().to_be_bytes();
        section[1] |= length[0];
        section[2] = length[1];
        section.extend(mpeg2ts_reader::mpegts_crc::sum32(&section).to_be_bytes());
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, 0x40 | high, low, 0x10, 0];
        packet.extend(section);
        packet.resize(188, 0xFF);
        out.extend(packet);
    };
    section(0, &[0, 0xB0, 0, 0, 1, 0xC3, 0, 0, 0, 1, 0xF0, 0]);
    let video = [0x1B, 0xE1, 0, 0xF0, 0];
    let sound = [0x0F, 0xE1, 1, 0xF0, 0];
    let splice = [0x86, 0xE1, 2, 0xF0, 0];
    section(0x1000, &[&[2, 0xB0, 0, 0, 1, 0xC3, 0, 0, 0xE1, 0, 0xF0, 0], &video[..], &sound, &splice].concat());
    section(1, &[1, 0xB0, 0, 0xFF, 0xFF, 0xC1, 0, 0, 9, 4, 1, 0, 0xE1, 3]);
    let command = [0, 0, 0, 7, 0x7F, 0xEF, 0xFE, 0, 0, 0, 0, 0, 1, 0, 0];
    section(0x102, &[&[0xFC, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, 13, 5], &command[..13], &[0, 0]].concat());
    out.extend(stream(200));
    out
}

fn feed(packets: usize) -> impl FnMut() -> Vec<u8> {
    // tables at their closest and little video: a short seed has some of all
    let mut feed = Feed::new(Settings { bit_rate: 1_000_000, ..Settings::default() });
    move || (0..packets).flat_map(|_| feed.next_packet().bytes).collect()
}

fn stream(packets: usize) -> Vec<u8> {
    feed(packets)()
}

fn datagram(out: &mut Vec<u8>, input: u8, bytes: &[u8]) {
    out.push(RAW | input << 3);
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend_from_slice(bytes);
}

/// `units` of 1 ms.
fn pass(out: &mut Vec<u8>, units: u8) {
    out.extend_from_slice(&[TIME, (units - 1) << 2 | 1]);
}

fn two_inputs(comes: impl Fn(u8, u8) -> bool) -> Vec<u8> {
    let (mut main, mut backup) = (feed(2), feed(2));
    let mut out = Vec::new();
    for n in 0..16 {
        for (input, feed) in [(0, &mut main as &mut dyn FnMut() -> Vec<u8>), (2, &mut backup)] {
            let bytes = feed();
            if comes(n, input) {
                datagram(&mut out, input, &bytes);
            }
            pass(&mut out, 10);
        }
    }
    out.extend_from_slice(&[TIME, 19 << 2 | 3]);
    out
}

fn rtp(sequences: &[u16]) -> Vec<u8> {
    let mut feed = feed(2);
    let mut out = Vec::new();
    for sequence in sequences {
        let [high, low] = sequence.to_be_bytes();
        let datagram_of = [&[0x80, 33, high, low, 0, 0, 0, 0, 1, 2, 3, 4][..], &feed()].concat();
        datagram(&mut out, 1, &datagram_of);
        datagram(&mut out, 3, &datagram_of);
        pass(&mut out, 5);
    }
    out
}

fn odd_lengths() -> Vec<u8> {
    let bytes = stream(7);
    let mut out = Vec::new();
    for len in [0, 1, 187, 188, 189, 204, 376, 500] {
        for (input, from) in [(0, 0), (2, 3)] {
            datagram(&mut out, input, &bytes[from..from + len]);
        }
    }
    out
}

/// Tables with little in them, built so that their CRC_32 is right whatever becomes of them.
fn sections() -> Vec<u8> {
    let pat = [0, 0, 0xB0, 13, 0, 1, 0xC1, 0, 0, 0, 1, 0xF0, 0x00, 0, 0, 0, 0];
    let pmt = [
        0, 2, 0xB0, 29, 0, 1, 0xC1, 0, 0, 0xE1, 0x00, 0xF0, 0, 0x1B, 0xE1, 0x00, 0xF0, 0, 0x06, 0xE1, 0x01, 0xF0, 6,
        0x0A, 4, b'e', b'n', b'g', 0, 0, 0, 0, 0,
    ];
    let cat = [0, 1, 0xB0, 9, 0xFF, 0xFF, 0xC1, 0, 0, 0, 0, 0, 0];
    let mut out = Vec::new();
    for counter in 0..3 {
        for input in [0, 2] {
            out.extend_from_slice(&[BUILT | input << 3, 0x40 | 4]);
            for (pid, body) in [([0x40, 0], &pat[..]), ([0x50, 0], &pmt), ([0x40, 1], &cat)] {
                out.extend_from_slice(&[pid[0], pid[1], 0x10 | counter, u8::try_from(body.len()).unwrap()]);
                out.extend_from_slice(body);
            }
            // a PCR alone, and a PTS that is scrambled
            out.extend_from_slice(&[0x01, 0x00, 0x20, 8, 183, 0x10, 0, counter, 0, 0, 0, 0]);
            out.extend_from_slice(&[0x41, 0x01, 0x90 | counter, 9, 0, 0, 1, 0xC0, 0, 0, 0x80, 0x80, 5]);
        }
        pass(&mut out, 40);
    }
    out.extend_from_slice(&[TIME, 3 << 2 | 3]);
    out
}

fn commands() -> Vec<u8> {
    let mut out = two_inputs(|_, _| true);
    out.truncate(out.len() / 4);
    for command in 0..6 {
        for input in [0, 1, 2, 4, 255] {
            out.extend_from_slice(&[COMMAND | command << 3, input]);
            pass(&mut out, 30);
        }
    }
    out
}

/// The driver sends nothing while more comes than the outbox holds.
fn full_outbox() -> Vec<u8> {
    let mut out = vec![SENDING];
    for counter in 0..=255 {
        for _ in 0..2 {
            // seven packets of one PID with no bytes of their own
            out.extend_from_slice(&[BUILT | 2 << 3, 6]);
            (0..7).for_each(|_| out.extend_from_slice(&[0x01, 0x00, 0x10 | counter & 15, 0]));
        }
        if counter == 40 {
            pass(&mut out, 60);
        }
    }
    out.push(SENDING | 1 << 3);
    pass(&mut out, 64);
    out
}

const SMALL: &str = "node:\n  name: n\nchannels:\n  - name: news\n    inputs:\n      - name: main\n        url: rtp://239.1.1.1:5004\n        priority: 100\n      - name: backup\n        url: udp://0.0.0.0:5006\n    switch: {failback: {mode: auto, after: 10s}, delay: 100ms}\n    health:\n      profile: standard\n      pid_error: {raise: {for: 1s}, clear: {for: 5s}, pids: [0x100]}\n    outputs:\n      - url: rtp://239.20.1.1:5004\n";

const MUTATIONS: [(&str, &str, &str); 12] = [
    ("small", "node:", "node:"),
    ("unknown-key", "priority", "priorty"),
    ("no-unit", "100ms", "100"),
    ("huge", "10s", "99999999999999999999s"),
    ("negative", "1s", "-1s"),
    ("twice", "backup", "main"),
    ("port", "5006", "65536"),
    ("pid", "0x100", "0x2000, &a [*a]"),
    ("nul", "news", "ne\u{0}ws"),
    ("wide", "news", "\u{1F600}\u{202E}"),
    ("tab", "    switch", "\tswitch"),
    ("open", "[0x100]", "[0x100"),
];

fn capture() -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let v4 = Header { source: address("192.0.2.1:1000"), destination: address("239.1.1.1:5004"), ttl: 5, dscp: 0 };
    let v6 = Header { source: address("[::1]:1000"), destination: address("[ff05::1]:5004"), ttl: 5, dscp: 46 };
    let mut feed = feed(2);
    for (at, header) in (1i64..).map(|n| n * 1_700_000_000).zip([v4, v6, v4, v6]) {
        writer.write(at, header, &feed()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Classic pcap of Ethernet frames (link type 1) with a VLAN tag, the second of them cut short.
fn pcap() -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xA1B2_C3D4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let payload = stream(1);
    let mut frame = vec![1, 0, 0x5E, 1, 1, 1, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0, 5, 0x08, 0x00];
    frame.extend_from_slice(&[0x45, 0, 0, 216, 0, 0, 0, 0, 5, 17, 0, 0, 192, 0, 2, 1, 239, 1, 1, 1]);
    frame.extend_from_slice(&[0x03, 0xE8, 0x13, 0x8C, 0, 196, 0, 0]);
    frame.extend_from_slice(&payload);
    for kept in [frame.len(), 100] {
        for word in [1_700_000_000u32, 5, u32::try_from(kept).unwrap(), u32::try_from(frame.len()).unwrap()] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&frame[..kept]);
    }
    out
}
