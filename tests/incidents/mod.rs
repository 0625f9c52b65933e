//! Incidents made of synthetic feeds: two streams, what befalls them on the way, and the capture of it all.
//!
//! Nothing here is left to chance or to a clock: the same incident makes the same capture, byte for byte.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation)]

pub mod scenes;
pub mod verify;

use std::net::SocketAddr;
use std::ops::Range;

use changeover::replay::pcapng::{Header, Writer};
use changeover::synth::{Feed, Settings};
use changeover::units::{Pid, Ticks27M};

/// The capture time of the start of all feeds, in nanoseconds since the Unix epoch.
pub const START: i64 = 1_700_000_000_000_000_000;
pub const MILLISECOND: i64 = 1_000_000;

pub type Ts = [u8; 188];

/// A TS packet, and when it is sent, in nanoseconds from the start of the feeds.
#[derive(Clone, Copy)]
pub struct Packet {
    pub at: i64,
    pub bytes: Ts,
}

impl Packet {
    pub fn pid(&self) -> Pid {
        Pid::new(u16::from_be_bytes([self.bytes[1], self.bytes[2]]))
    }
}

/// A datagram, and when it is captured, in nanoseconds from the start of the feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    pub at: i64,
    pub bytes: Vec<u8>,
}

/// The packets that a feed sends in the first `ms` milliseconds.
pub fn feed(settings: Settings, ms: i64) -> Vec<Packet> {
    let sent =
        Feed::new(settings).map(|packet| Packet { at: Ticks27M::span(packet.at.0).nanos(), bytes: packet.bytes });
    sent.take_while(|packet| packet.at < ms * MILLISECOND).collect()
}

/// Puts null packets in the place of those of `pid` that are sent within `ms`, as a multiplexer does that gets no more of
/// it.
pub fn starve(packets: &mut [Packet], pid: Pid, ms: Range<i64>) {
    for packet in packets.iter_mut().filter(|packet| within(packet.at, &ms) && packet.pid() == pid) {
        packet.bytes = [0xFF; 188];
        packet.bytes[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
    }
}

pub fn within(at: i64, ms: &Range<i64>) -> bool {
    (ms.start * MILLISECOND..ms.end * MILLISECOND).contains(&at)
}

/// The datagrams of one sender in the order in which they arrive.
#[derive(Clone, Default)]
pub struct Stream(pub Vec<Datagram>);

impl Stream {
    /// Packets put into datagrams of so many packets, `sizes` again and again; each is sent with its last packet.
    pub fn of(packets: &[Packet], sizes: &[usize]) -> Self {
        let mut rest = packets;
        let mut datagrams = Vec::new();
        for &size in sizes.iter().cycle() {
            let Some((now, later)) = rest.split_at_checked(size) else { break };
            let bytes = now.iter().flat_map(|packet| packet.bytes).collect();
            datagrams.push(Datagram { at: now[size - 1].at, bytes });
            rest = later;
        }
        Self(datagrams)
    }

    /// The datagrams with 16 bytes in the place of an outer code behind each packet (204 bytes a packet).
    pub fn coded(mut self) -> Self {
        for datagram in &mut self.0 {
            let (packets, _) = datagram.bytes.as_chunks::<188>();
            datagram.bytes = packets.iter().flat_map(|packet| packet.iter().copied().chain([0; 16])).collect();
        }
        self
    }

    /// The datagrams in RTP (RFC 3550, payload type 33), the first with the sequence number `first`.
    pub fn rtp(mut self, ssrc: u32, first: u16) -> Self {
        let mut sequence = first;
        for datagram in &mut self.0 {
            let timestamp = (datagram.at / 1_000 * 9 / 100) as u32;
            let mut bytes = vec![0x80, 33];
            bytes.extend(sequence.to_be_bytes());
            bytes.extend(timestamp.to_be_bytes());
            bytes.extend(ssrc.to_be_bytes());
            bytes.append(&mut datagram.bytes);
            datagram.bytes = bytes;
            sequence = sequence.wrapping_add(1);
        }
        self
    }

    /// Nothing of what would arrive within `ms` does.
    pub fn silent(mut self, ms: Range<i64>) -> Self {
        self.0.retain(|datagram| !within(datagram.at, &ms));
        self
    }

    /// The datagrams of these numbers do not arrive.
    pub fn without(self, lost: &[usize]) -> Self {
        Self(self.0.into_iter().enumerate().filter(|(n, _)| !lost.contains(n)).map(|(_, datagram)| datagram).collect())
    }

    /// All arrives `ms` later.
    pub fn late(mut self, ms: i64) -> Self {
        for datagram in &mut self.0 {
            datagram.at += ms * MILLISECOND;
        }
        self
    }

    /// From one address to another.
    pub fn between(self, source: &str, destination: &str) -> Flow {
        Flow { source: source.parse().unwrap(), destination: destination.parse().unwrap(), stream: self }
    }
}

/// A stream on its way.
pub struct Flow {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub stream: Stream,
}

/// What happened, to be captured and replayed.
pub struct Incident {
    /// The name of its files.
    pub name: &'static str,
    /// One for each input, in the order of its configuration.
    pub flows: Vec<Flow>,
    /// How many continuity count errors of the sources themselves the output passes on.
    pub passed_on: u64,
}

impl Incident {
    /// The main feed and the backup as they go through IPv4.
    pub fn new(name: &'static str, main: Stream, backup: Stream) -> Self {
        let main = main.between("10.1.1.1:40000", "239.10.1.1:5004");
        let backup = backup.between("10.1.2.1:40000", "239.10.1.2:5004");
        Self { name, flows: vec![main, backup], passed_on: 0 }
    }

    /// The capture, in the order of time.
    pub fn capture(&self) -> Vec<u8> {
        let mut all: Vec<(&Flow, &Datagram)> =
            self.flows.iter().flat_map(|flow| flow.stream.0.iter().map(move |datagram| (flow, datagram))).collect();
        all.sort_by_key(|(_, datagram)| datagram.at);
        let mut writer = Writer::new(Vec::new()).unwrap();
        for (flow, datagram) in all {
            let header = Header { source: flow.source, destination: flow.destination, ttl: 16, dscp: 34 };
            writer.write(START + datagram.at, header, &datagram.bytes).unwrap();
        }
        writer.finish().unwrap()
    }

    /// The engine's time of something that was captured at `at`: it counts from the first datagram.
    pub fn seconds(&self, at: i64) -> f64 {
        let first = self.flows.iter().filter_map(|flow| flow.stream.0.first()).map(|datagram| datagram.at).min();
        (at - first.unwrap()) as f64 / 1e9
    }
}
