//! What several tests need: an engine with its arena, fed with datagrams and times.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation)]

use changeover::engine::{Command, Engine, Event, Frames, HeapFrames, Setup, Snapshot};
use changeover::synth::{Feed, Settings};
use changeover::tr101290::{Analyser, Indicator};
use changeover::units::{InputId, Instant, Span, Ticks27M};

/// An engine that is driven as a driver drives it; what it sends and tells is kept.
pub struct Rig {
    pub engine: Engine,
    pub frames: HeapFrames,
    /// Each output datagram: when it left, and its bytes behind its RTP header.
    pub sent: Vec<(Instant, Vec<u8>)>,
    pub rtp: Vec<[u8; 12]>,
    pub events: Vec<Event>,
    pub now: Instant,
}

impl Rig {
    pub fn new(setup: &Setup) -> Self {
        let engine = Engine::new(setup, Instant::ZERO);
        let frames = HeapFrames::new(engine.frames_wanted());
        Self { engine, frames, sent: Vec::new(), rtp: Vec::new(), events: Vec::new(), now: Instant::ZERO }
    }

    pub fn collect(&mut self) {
        for datagram in self.engine.ready() {
            let mut bytes = Vec::new();
            for piece in datagram.pieces() {
                let from = usize::from(piece.offset);
                bytes.extend_from_slice(&self.frames.frame(piece.slot)[from..from + usize::from(piece.len)]);
            }
            self.sent.push((self.now, bytes));
            self.rtp.push(datagram.rtp);
        }
        self.engine.sent();
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
    }

    pub fn advance(&mut self, to: Instant) {
        loop {
            let due = self.engine.deadline();
            let step = due.min(to).max(self.now);
            self.now = step;
            self.engine.advance(&mut self.frames, step);
            self.collect();
            if self.engine.deadline() > to {
                break;
            }
        }
        self.now = to;
    }

    pub fn datagram(&mut self, input: u16, at: Instant, bytes: &[u8]) {
        self.advance(at);
        let slot = self.engine.take_slot().expect("a free frame");
        self.frames.frame_mut(slot)[..bytes.len()].copy_from_slice(bytes);
        self.engine.datagram(&mut self.frames, InputId(input), slot, bytes.len(), at);
        self.collect();
    }

    pub fn command(&mut self, command: Command) -> bool {
        let done = self.engine.command(&mut self.frames, command, self.now);
        self.collect();
        done
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.engine.snapshot(&mut snapshot);
        snapshot
    }

    /// The TS packets of the output.
    pub fn packets(&self) -> Vec<[u8; 188]> {
        self.sent.iter().flat_map(|(_, bytes)| bytes.as_chunks::<188>().0.to_vec()).collect()
    }
}

/// Datagrams of seven packets of a feed, and when each is sent: when its last packet is there.
pub struct Source {
    feed: Feed,
    offset: Span,
}

impl Source {
    /// A feed whose packets are sent `offset` after their time.
    pub fn new(settings: Settings, offset: Span) -> Self {
        Self { feed: Feed::new(settings), offset }
    }

    pub fn next_datagram(&mut self) -> (Instant, Vec<u8>) {
        let mut bytes = Vec::with_capacity(7 * 188);
        let mut at = Instant::ZERO;
        for _ in 0..7 {
            let packet = self.feed.next_packet();
            bytes.extend_from_slice(&packet.bytes);
            at = Instant::ZERO + Ticks27M::span(packet.at.0) + self.offset;
        }
        (at, bytes)
    }
}

/// An analyser over packets that follow one another at once: for what does not depend on time.
pub fn analyse(packets: &[[u8; 188]]) -> Analyser {
    let mut analyser = Analyser::new(&changeover::tr101290::Settings::default());
    for packet in packets {
        analyser.packet(Instant::ZERO, packet, &mut ());
    }
    analyser
}

pub fn errors(analyser: &Analyser, indicator: Indicator) -> u64 {
    analyser.count(indicator).events()
}
