//! Captures in all the forms that are read, whole and damaged, and the one that is written.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write as _};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use changeover::replay::capture::{Capture, CaptureError, Figures, Merge};
use changeover::replay::pcapng::{Header, Writer};
use proptest::prelude::*;

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: u32 = 101;
const LINUX_SLL: u32 = 113;
const LINUX_SLL2: u32 = 276;

/// A datagram with all that is told of it, to keep.
type Kept = (i64, SocketAddr, SocketAddr, Vec<u8>);

/// Reads to the end or to the damage.
fn drain(capture: &mut Capture) -> (Vec<Kept>, Option<CaptureError>) {
    let mut kept = Vec::new();
    loop {
        match capture.read() {
            Ok(Some(d)) => kept.push((d.at, d.source, d.destination, d.payload.to_vec())),
            Ok(None) => return (kept, None),
            Err(error) => {
                assert!(matches!(capture.read(), Ok(None)), "damage is told once");
                return (kept, Some(error));
            }
        }
    }
}

fn open(bytes: Vec<u8>) -> Result<Capture, CaptureError> {
    Capture::read_from(Path::new("test.pcap"), Cursor::new(bytes))
}

fn read(bytes: Vec<u8>) -> (Vec<Kept>, Figures) {
    let mut capture = open(bytes).unwrap();
    let (kept, error) = drain(&mut capture);
    assert!(error.is_none(), "{error:?}");
    (kept, capture.figures().clone())
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

// Packets, by hand.

fn udp(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&[0x04, 0xD2, 0x13, 0x8C], len.as_slice(), &[0, 0], payload].concat()
}

/// From 10.0.0.1 to 239.1.1.1, with `options` and the flags and fragment offset of `fragment`.
fn ipv4(options: &[u8], fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let ihl = u8::try_from(5 + options.len() / 4).unwrap();
    let [t0, t1] = u16::try_from(20 + options.len() + payload.len()).unwrap().to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    let head = [0x40 | ihl, 0, t0, t1, 0, 1, f0, f1, 16, protocol, 0, 0, 10, 0, 0, 1, 239, 1, 1, 1];
    [&head, options, payload].concat()
}

/// From 2001:db8::1 to ff15::1, `next` being the number of what `payload` begins with.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let source = Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1).octets();
    let destination = Ipv6Addr::new(0xFF15, 0, 0, 0, 0, 0, 0, 1).octets();
    [&[0x60, 0, 0, 0, l0, l1, next, 16][..], &source, &destination, payload].concat()
}

fn ethernet(types: &[u8], payload: &[u8]) -> Vec<u8> {
    [&[1, 0, 0x5E, 1, 1, 1, 2, 0, 0, 0, 0, 1], types, payload].concat()
}

// Files, by hand.

fn word(big: bool, value: u32) -> [u8; 4] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn half(big: bool, value: u16) -> [u8; 2] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

/// A pcap of frames with their seconds, fractions and original lengths.
fn pcap(big: bool, nanos: bool, link: u32, frames: &[(u32, u32, usize, &[u8])]) -> Vec<u8> {
    let magic = if nanos { 0xA1B2_3C4D } else { 0xA1B2_C3D4 };
    let mut file = word(big, magic).to_vec();
    file.extend(half(big, 2));
    file.extend(half(big, 4));
    for value in [0, 0, 65_535, link] {
        file.extend(word(big, value));
    }
    for &(seconds, fraction, original, bytes) in frames {
        let len = u32::try_from(bytes.len()).unwrap();
        for value in [seconds, fraction, len, u32::try_from(original).unwrap()] {
            file.extend(word(big, value));
        }
        file.extend(bytes);
    }
    file
}

fn pcap_of(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let frames: Vec<_> = frames.iter().map(|frame| (1, 5, frame.len(), frame.as_slice())).collect();
    pcap(false, false, link, &frames)
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let len = word(big, u32::try_from(12 + body.len()).unwrap());
    [&word(big, kind), &len, body, &len].concat()
}

fn section(big: bool) -> Vec<u8> {
    let body = [&word(big, 0x1A2B_3C4D)[..], &half(big, 1), &half(big, 0), &[0xFF; 8]].concat();
    block(big, 0x0A0D_0D0A, &body)
}

/// An interface with its if_tsresol and if_tsoffset.
fn interface(big: bool, link: u16, resolution: Option<u8>, offset: Option<i64>) -> Vec<u8> {
    let mut body = [half(big, link), [0, 0], [0, 0], [0, 0]].concat();
    if let Some(resolution) = resolution {
        body.extend([half(big, 9), half(big, 1)].concat());
        body.extend([resolution, 0, 0, 0]);
    }
    if let Some(offset) = offset {
        body.extend([half(big, 14), half(big, 8)].concat());
        body.extend(if big { offset.to_be_bytes() } else { offset.to_le_bytes() });
    }
    block(big, 1, &body)
}

fn packet(big: bool, interface: u32, ticks: u64, bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap();
    let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xFFFF_FFFF).unwrap());
    let mut body: Vec<u8> = [interface, high, low, len, len].into_iter().flat_map(|value| word(big, value)).collect();
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
    block(big, 6, &body)
}

#[test]
fn pcap_is_read_in_both_byte_orders_and_resolutions() {
    let frame = ethernet(&[8, 0], &ipv4(&[], 0x4000, 17, &udp(b"payload")));
    for big in [false, true] {
        for (nanos, at) in [(false, 1_700_000_000_123_456_000), (true, 1_700_000_000_000_123_456)] {
            let (kept, figures) = read(pcap(big, nanos, ETHERNET, &[(1_700_000_000, 123_456, frame.len(), &frame)]));
            assert_eq!(kept, [(at, address("10.0.0.1:1234"), address("239.1.1.1:5004"), b"payload".to_vec())]);
            assert_eq!(figures, Figures { frames: 1, datagrams: 1, ..Figures::default() });
        }
    }
}

#[test]
fn every_link_layer_leads_to_the_same_datagram() {
    let v4 = ipv4(&[], 0, 17, &udp(b"ts"));
    let options = ipv4(&[1, 1, 1, 0], 0, 17, &udp(b"ts"));
    let mut padded = ethernet(&[8, 0], &v4);
    padded.resize(60, 0);
    for (link, frame) in [
        (ETHERNET, ethernet(&[8, 0], &v4)),
        (ETHERNET, padded),
        (ETHERNET, ethernet(&[8, 0], &options)),
        (ETHERNET, ethernet(&[0x81, 0, 0, 123, 8, 0], &v4)),
        (ETHERNET, ethernet(&[0x88, 0xA8, 0, 5, 0x81, 0, 0, 123, 8, 0], &v4)),
        (LINUX_SLL, [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], v4.as_slice()].concat()),
        (LINUX_SLL2, [&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], v4.as_slice()].concat()),
        (RAW, v4.clone()),
        (228, v4.clone()),
        (NULL, [&[2, 0, 0, 0], v4.as_slice()].concat()),
        (108, [&[0, 0, 0, 2], v4.as_slice()].concat()),
    ] {
        let (kept, _) = read(pcap_of(link, std::slice::from_ref(&frame)));
        let expected = (1_000_005_000, address("10.0.0.1:1234"), address("239.1.1.1:5004"), b"ts".to_vec());
        assert_eq!(kept, [expected], "{link} {frame:02x?}");
    }
}

#[test]
fn ipv6_is_read_through_its_extension_headers() {
    let extension = |next| [next, 0, 5, 2, 0, 0, 1, 0];
    let plain = ipv6(17, &udp(b"ts"));
    let extended = ipv6(0, &[&extension(60)[..], &extension(17), &udp(b"ts")].concat());
    let fragment = ipv6(44, &[&[17, 0, 0, 1, 0, 0, 0, 9][..], &udp(b"ts")].concat());
    for (link, ip) in [(229, &plain), (RAW, &plain), (RAW, &extended)] {
        let (kept, _) = read(pcap_of(link, std::slice::from_ref(ip)));
        let expected = (1_000_005_000, address("[2001:db8::1]:1234"), address("[ff15::1]:5004"), b"ts".to_vec());
        assert_eq!(kept, [expected]);
    }
    let (kept, figures) = read(pcap_of(ETHERNET, &[ethernet(&[0x86, 0xDD], &fragment)]));
    assert!(kept.is_empty());
    assert_eq!(figures, Figures { frames: 1, fragments: 1, ..Figures::default() });
}

#[test]
fn what_is_no_whole_datagram_is_counted_for_what_it_is() {
    let whole = ethernet(&[8, 0], &ipv4(&[], 0, 17, &udp(b"0123456789")));
    let frames = [
        whole.clone(),
        ethernet(&[8, 0], &ipv4(&[], 0x2000, 17, &udp(b"first fragment"))),
        ethernet(&[8, 0], &ipv4(&[], 0x0010, 17, b"a later fragment")),
        ethernet(&[8, 0], &ipv4(&[], 0, 6, &[0; 20])),
        ethernet(&[8, 0], &ipv4(&[0x94, 4, 0, 0], 0, 2, &[0x16, 0, 0, 0, 239, 1, 1, 1])),
        ethernet(&[8, 6], &[0; 28]),
        ethernet(&[0, 4], &[0x42, 0x42, 3, 0]),
        vec![],
    ];
    let (kept, figures) = read(pcap_of(ETHERNET, &frames));
    assert_eq!(kept.len(), 1);
    assert_eq!(figures, Figures { frames: 8, datagrams: 1, fragments: 2, other: 5, ..Figures::default() });

    // Cut short anywhere behind the link layer, it is no datagram any more.
    for len in 14..whole.len() {
        let (kept, figures) = read(pcap(false, false, ETHERNET, &[(1, 0, whole.len(), &whole[..len])]));
        assert!(kept.is_empty());
        assert_eq!(figures, Figures { frames: 1, truncated: 1, ..Figures::default() }, "cut to {len}");
    }

    // Nor is one that leaves its length to IP (RFC 2675 4).
    let mut unsized_udp = udp(b"0123456789");
    unsized_udp[4..6].fill(0);
    let frame = ethernet(&[8, 0], &ipv4(&[], 0, 17, &unsized_udp));
    let cut = &frame[..frame.len() - 1];
    let (kept, figures) = read(pcap(false, false, ETHERNET, &[(1, 0, frame.len(), &frame), (2, 0, frame.len(), cut)]));
    assert_eq!((kept.len(), figures.truncated), (1, 1));

    let (_, figures) = read(pcap_of(105, std::slice::from_ref(&whole)));
    assert_eq!(figures.unknown_links.into_iter().collect::<Vec<_>>(), [(105, 1)]);
}

#[test]
fn pcapng_interfaces_have_their_own_clocks() {
    let ip = ipv4(&[], 0, 17, &udp(b"ts"));
    let frame = ethernet(&[8, 0], &ip);
    for big in [false, true] {
        let mut file = section(big);
        file.extend(interface(big, 1, None, None));
        file.extend(interface(big, 101, Some(9), None));
        file.extend(interface(big, 101, Some(0x80 | 10), Some(100)));
        file.extend(interface(big, 101, Some(3), Some(-1)));
        file.extend(block(big, 5, &[0; 12])); // statistics
        file.extend(packet(big, 0, 1_700_000_000_123_456, &frame));
        file.extend(packet(big, 1, 1_700_000_000_123_456_789, &ip));
        file.extend(packet(big, 2, 5 * 1024 + 512, &ip));
        file.extend(packet(big, 3, 2_500, &ip));
        file.extend(block(big, 0x0BAD, &[0; 8])); // of no known type
        file.extend(block(big, 3, &[&word(big, u32::try_from(frame.len()).unwrap()), frame.as_slice()].concat()));
        // A new section forgets the interfaces of the old one.
        file.extend(section(!big));
        file.extend(interface(!big, 101, Some(6), None));
        file.extend(packet(!big, 0, 7, &ip));
        let (kept, figures) = read(file);
        let times: Vec<_> = kept.iter().map(|kept| kept.0).collect();
        assert_eq!(
            times,
            [1_700_000_000_123_456_000, 1_700_000_000_123_456_789, 105_500_000_000, 1_500_000_000, 7_000],
            "big-endian: {big}"
        );
        assert_eq!(figures, Figures { frames: 6, datagrams: 5, untimed: 1, backwards: 3, ..Figures::default() });
    }
}

#[test]
fn a_file_that_is_no_capture_is_named_so() {
    for (bytes, what) in [
        (&b""[..], "empty"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b"G@\x00\x10", "TS packets"),
        (b"channels:\n", "no magic number"),
    ] {
        let error = open(bytes.to_vec()).unwrap_err();
        assert!(matches!(error, CaptureError::Format { .. }));
        let text = error.to_string();
        assert!(text.contains("test.pcap: neither pcap nor pcapng") && text.contains(what), "{text}");
    }
    let error = Capture::open(Path::new("/nonexistent/capture")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/capture"));
}

#[test]
fn damage_is_told_with_how_far_the_file_could_be_read() {
    let frame = ethernet(&[8, 0], &ipv4(&[], 0, 17, &udp(b"ts")));
    let file = pcap_of(ETHERNET, &[frame.clone(), frame.clone()]);
    let (kept, error) = drain(&mut open(file[..file.len() - 1].to_vec()).unwrap());
    assert_eq!(kept.len(), 1);
    let begins = u64::try_from(24 + 16 + frame.len()).unwrap();
    assert!(matches!(error, Some(CaptureError::Damaged { byte, frames: 1, .. }) if byte == begins), "{error:?}");

    let mut endless = file;
    endless[24 + 8..24 + 12].copy_from_slice(&[0xFF; 4]);
    endless.resize(1 << 20, 0);
    let (kept, error) = drain(&mut open(endless).unwrap());
    assert!(kept.is_empty() && matches!(error, Some(CaptureError::Damaged { byte: 24, frames: 0, .. })), "{error:?}");

    // Lengths inside a block that contradict its own are found at once, without reading on for what is not there.
    let front = [section(false), interface(false, 1, None, None)].concat();
    let mut blocks = [front.clone(), packet(false, 0, 1, &frame)].concat();
    blocks[front.len() + 20] = 0xFF;
    blocks.extend(packet(false, 0, 2, &frame));
    let (kept, error) = drain(&mut open(blocks).unwrap());
    let text = error.unwrap().to_string();
    assert!(kept.is_empty() && text.contains(&format!("byte {}", front.len())) && text.contains("inside"), "{text}");

    let orphan = [section(false), packet(false, 3, 1, &frame)].concat();
    let (_, error) = drain(&mut open(orphan).unwrap());
    assert!(error.unwrap().to_string().contains("never described"));
}

#[test]
fn a_record_longer_than_the_buffer_is_read() {
    let frame = ethernet(&[8, 0], &ipv4(&[], 0, 17, &udp(b"ts")));
    let long = [frame.clone(), vec![0; 1 << 20]].concat();
    let (kept, figures) = read(pcap_of(ETHERNET, &[long, frame]));
    assert_eq!((kept.len(), figures.datagrams), (2, 2));
}

#[test]
fn captures_are_merged_by_time_and_a_damaged_one_ends_alone() {
    let folder = tempfile::tempdir().unwrap();
    let frame = |text: &str| ethernet(&[8, 0], &ipv4(&[], 0, 17, &udp(text.as_bytes())));
    let file = |name: &str, times: &[(u32, &str)], cut: usize| {
        let frames: Vec<_> = times.iter().map(|(at, text)| (*at, frame(text))).collect();
        let frames: Vec<_> = frames.iter().map(|(at, frame)| (*at, 0, frame.len(), frame.as_slice())).collect();
        let bytes = pcap(false, false, ETHERNET, &frames);
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        path
    };
    let paths = [
        file("a", &[(1, "a1"), (4, "a4"), (9, "a9")], 0),
        file("b", &[(1, "b1"), (2, "b2"), (5, "b5")], 1),
        file("c", &[(3, "c3")], 0),
    ];
    let mut merge = Merge::open(&paths).unwrap();
    let mut order = Vec::new();
    while let Some(datagram) = merge.read() {
        order.push(String::from_utf8(datagram.payload.to_vec()).unwrap());
    }
    assert_eq!(order, ["a1", "b1", "b2", "c3", "a4", "a9"]);
    assert_eq!(merge.figures().datagrams, 6);
    assert_eq!(merge.damage().len(), 1);
    assert!(merge.damage()[0].to_string().contains("b: damaged"));
}

fn sample(count: usize) -> (Vec<Kept>, Vec<u8>) {
    let addresses = [("127.0.0.1:5004", "239.20.1.1:5004"), ("[::1]:5004", "[ff15::1]:5004")];
    let mut writer = Writer::new(Vec::new()).unwrap();
    let mut kept = Vec::new();
    for index in 0..count {
        let (source, destination) = addresses[index % 2];
        let (source, destination) = (address(source), address(destination));
        let payload: Vec<u8> = (0..index * 188).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        let at = 1_700_000_000_000_000_000 + i64::try_from(index).unwrap() * 1_000_001;
        writer.write(at, Header { source, destination, ttl: 16, dscp: 34 }, &payload).unwrap();
        kept.push((at, source, destination, payload));
    }
    (kept, writer.finish().unwrap())
}

#[test]
fn what_is_written_is_read_back_equal() {
    let (written, bytes) = sample(8);
    assert_eq!(bytes, sample(8).1);
    assert_eq!(read(bytes).0, written);
}

#[test]
fn wireshark_finds_nothing_wrong_with_what_is_written() {
    let (written, bytes) = sample(8);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let fields = [
        "frame.time_epoch",
        "ip.dst",
        "ipv6.dst",
        "ip.ttl",
        "ipv6.hlim",
        "ip.dsfield.dscp",
        "ipv6.tclass.dscp",
        "udp.srcport",
        "udp.dstport",
        "udp.length",
        "ip.checksum.status",
        "udp.checksum.status",
        "_ws.malformed",
    ];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file.path()).args(["-n", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    // What the payload looks like is not the point, so nothing is to be made of it.
    command.args(["--disable-protocol", "rtp", "--disable-protocol", "mp2t", "--disable-heuristic", "rtp_udp"]);
    command.args(["-T", "fields", "-E", "separator=;"]).args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.output().expect("tshark cannot be run: install the package tshark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Vec<_> = written
        .iter()
        .map(|(at, source, destination, payload)| {
            let time = format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
            let (ports, len) = (format!("{};{}", source.port(), destination.port()), payload.len() + 8);
            let ip = destination.ip();
            if ip.is_ipv4() {
                format!("{time};{ip};;16;;34;;{ports};{len};1;1;")
            } else {
                format!("{time};;{ip};;16;;34;{ports};{len};;1;")
            }
        })
        .collect();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

/// A small capture of each kind.
fn small(kind: usize) -> Vec<u8> {
    let v4 = ipv4(&[1, 1, 1, 0], 0, 17, &udp(b"ts"));
    let v6 = ipv6(0, &[&[17, 0, 5, 2, 0, 0, 1, 0][..], &udp(b"ts")].concat());
    match kind {
        0 => pcap_of(ETHERNET, &[ethernet(&[0x81, 0, 0, 1, 8, 0], &v4), ethernet(&[0x86, 0xDD], &v6)]),
        1 => pcap(true, true, RAW, &[(1, 2, v4.len(), &v4), (1, 3, v6.len(), &v6)]),
        2 => pcap_of(LINUX_SLL2, &[[&[8, 0], [0; 18].as_slice(), &v4].concat(), vec![8, 0]]),
        3 => sample(3).1,
        _ => {
            let big = kind.is_multiple_of(2);
            [
                section(big),
                interface(big, 101, Some(0x80 | 20), Some(-5)),
                interface(big, 101, Some(9), None),
                packet(big, 1, 5, &v6),
                block(big, 4, &[&half(big, 1)[..], &half(big, 6), &[10, 0, 0, 1, b'a', 0, 0, 0], &[0; 4]].concat()),
                block(big, 5, &[0; 12]),
                block(big, 10, &[0; 12]),
                packet(big, 0, u64::MAX, &v4),
            ]
            .concat()
        }
    }
}

/// Reads what may be damaged; that it comes back at all is the point.
fn survives(bytes: Vec<u8>) {
    let len = bytes.len();
    if let Ok(mut capture) = open(bytes) {
        let (kept, _) = drain(&mut capture);
        let figures = capture.figures();
        assert_eq!(u64::try_from(kept.len()).unwrap(), figures.datagrams);
        assert!(figures.frames <= u64::try_from(len).unwrap() / 16);
    }
}

#[test]
fn no_truncation_panics() {
    for kind in 0..6 {
        let whole = small(kind);
        assert!(drain(&mut open(whole.clone()).unwrap()).1.is_none(), "{kind}");
        for len in 0..whole.len() {
            survives(whole[..len].to_vec());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_bytes_panic(
        kind in 0_usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = small(kind);
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        survives(bytes);
    }
}
