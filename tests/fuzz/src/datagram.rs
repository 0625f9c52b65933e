//! Any datagrams at any times, with commands between them, through an engine of two channels.
//!
//! The bytes are a list of operations; every text of bytes is one. What is held to:
//!
//! - nothing panics, and time always goes on;
//! - what is sent lies in frames, on a packet's first byte, and is no more than fits;
//! - every frame is free again once all is over.
//!
//! An operation is a byte, its kind in the low three bits, and what the kind wants behind it:
//!
//! | kind | what | then |
//! |---|---|---|
//! | 0, 1 | a datagram as it is, to input bits 3… modulo 5, of which there is no fifth | length (2 bytes, the low one first), bytes |
//! | 2, 3 | a datagram built of packets, to that input | see [`built`] |
//! | 4 | time passes | unit in bits 0 and 1 (10 µs, 1 ms, 20 ms, 200 ms), how many less one in bits 2… |
//! | 5 | a command, bits 3… modulo 6 | the input or channel |
//! | 6 | the driver sends (bit 3 set) or does not | |
//! | 7 | the next datagrams are stamped that many times 10 µs before they are handed over | |

use changeover::engine::{
    ChannelSetup, Command, Engine, FRAME_SIZE, Frames, GatherSetup, HeapFrames, InputSetup, Setup, Snapshot,
};
use changeover::health::{Limits, Profile};
use changeover::switch::policy::{Failback, LossAction, Order, Settings as Policy};
use changeover::transport::Framing;
use changeover::units::{ChannelId, InputId, Instant, Span};
use mpeg2ts_reader::mpegts_crc;

const INPUTS: u16 = 4;
const UNITS: [Span; 4] = [Span::from_micros(10), Span::from_millis(1), Span::from_millis(20), Span::from_millis(200)];
/// The longest that one run lasts: time costs the most of all operations.
const LONGEST: Instant = Instant::from_nanos(6_000_000_000);
/// By then every delay, wait and hold of the setup is over.
const REST: Span = Span::from_millis(200);

/// A channel with a delay, RTP put back in order and little patience, and one that passes on at once and may mute.
pub fn setup() -> Setup {
    let limits = Limits::of(Profile::Strict);
    let plain = InputSetup { capacity: 64, ..InputSetup::default() };
    let rtp = InputSetup { framing: Framing::Rtp, priority: -1, limits, ..plain };
    let failback = Failback::Auto { after: Span::from_millis(20) };
    let quick = Policy { failback, dwell: Span::ZERO, max_per_minute: 0, ..Policy::default() };
    let delayed = ChannelSetup {
        inputs: vec![InputSetup { limits, ..plain }, rtp.clone()],
        policy: quick,
        delay: Span::from_millis(50),
        ..ChannelSetup::default()
    };
    let at_once = ChannelSetup {
        inputs: vec![InputSetup { capacity: 1, ..plain }, InputSetup { reorder: Span::ZERO, ..rtp }],
        policy: Policy { order: Order::Random, on_loss: LossAction::Mute, ..quick },
        delay: Span::ZERO,
        gather: GatherSetup { packets: 3, ..GatherSetup::default() },
        ..ChannelSetup::default()
    };
    Setup { channels: vec![delayed, at_once] }
}

/// One run: `data` is the list of operations.
pub fn run(data: &[u8]) {
    let setup = setup();
    let engine = Engine::new(&setup, Instant::ZERO);
    let frames = HeapFrames::new(engine.frames_wanted());
    let most = setup.channels.iter().map(|c| usize::from(c.gather.packets) * 188).collect();
    let mut scene = Scene {
        engine,
        frames,
        most,
        now: Instant::ZERO,
        skew: Span::ZERO,
        sends: true,
        snapshot: Snapshot::default(),
    };
    let mut bytes = Bytes(data);
    while let Some(op) = bytes.next() {
        scene.operation(op, &mut bytes);
    }
    scene.rest();
}

/// A reader that gives zeros, and less than was asked for, where the bytes end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

struct Scene {
    engine: Engine,
    frames: HeapFrames,
    /// The bytes of a full datagram, by channel.
    most: Vec<usize>,
    now: Instant,
    skew: Span,
    sends: bool,
    snapshot: Snapshot,
}

impl Scene {
    fn operation(&mut self, op: u8, bytes: &mut Bytes<'_>) {
        let (kind, value) = (op & 7, op >> 3);
        match kind {
            0 | 1 => {
                let len = usize::from(bytes.word()) % (FRAME_SIZE + 1);
                self.datagram(u16::from(value % 5), bytes.take(len));
            }
            2 | 3 => self.datagram(u16::from(value % 5), &built(bytes)),
            4 => {
                let step = bytes.byte();
                let units = i64::from(step >> 2) + 1;
                self.pass(Span::from_nanos(UNITS[usize::from(step & 3)].nanos() * units));
            }
            5 => self.command(value, bytes.byte()),
            6 => {
                self.sends = value & 1 == 1;
                self.collect();
            }
            _ => self.skew = Span::from_nanos(UNITS[0].nanos() * i64::from(value)),
        }
    }

    fn datagram(&mut self, input: u16, bytes: &[u8]) {
        let Some(slot) = self.engine.take_slot() else { return };
        self.frames.frame_mut(slot)[..bytes.len()].copy_from_slice(bytes);
        let at = Instant::ZERO.max(self.now - self.skew);
        self.engine.datagram(&mut self.frames, InputId(input), slot, bytes.len(), at);
        self.collect();
    }

    fn command(&mut self, which: u8, of: u8) {
        let input = InputId(u16::from(of) % (INPUTS + 1));
        let command = match which % 6 {
            0 => Command::Take(input),
            1 => Command::Hold(input),
            2 => Command::Release(ChannelId(input.0 % 3)),
            3 => Command::Enable(input, true),
            4 => Command::Enable(input, false),
            _ => Command::Prioritise(input, i32::from(of) - 100),
        };
        let done = self.engine.command(&mut self.frames, command, self.now);
        assert!(!done || input.0 < INPUTS || matches!(command, Command::Release(_)), "there is no such input");
        self.collect();
    }

    /// Lets time pass as a driver does: from deadline to deadline, and everything sent in between.
    fn pass(&mut self, span: Span) {
        let until = (self.now + span).min(LONGEST);
        while self.now < until {
            let due = self.engine.deadline();
            self.now = due.max(self.now).min(until);
            self.engine.advance(&mut self.frames, self.now);
            let idle = self.engine.ready().is_empty();
            self.collect();
            if !self.sends && self.engine.deadline() <= self.now {
                // nobody sends: what is due waits
                self.now = until;
            } else {
                assert!(!idle || self.engine.deadline() > self.now, "time stands still at {:?}", self.now);
            }
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            assert!(event.channel.index() < self.most.len());
        }
        if !self.sends {
            return;
        }
        for datagram in self.engine.ready() {
            let mut len = 0;
            for piece in datagram.pieces() {
                let (from, to) = (usize::from(piece.offset), usize::from(piece.offset) + usize::from(piece.len));
                let bytes = self.frames.frame(piece.slot).get(from..to).expect("a piece lies in its frame");
                let (packets, rest) = bytes.as_chunks::<188>();
                assert!(!packets.is_empty() && rest.is_empty(), "pieces are whole packets");
                assert!(packets.iter().all(|p| p[0] == 0x47), "what is sent is synchronised");
                len += bytes.len();
            }
            assert!((1..=self.most[datagram.channel.index()]).contains(&len), "{len} bytes in a datagram");
        }
        self.engine.sent();
    }

    /// All that waits is over, and then no frame may be in use.
    fn rest(mut self) {
        self.engine.snapshot(&mut self.snapshot);
        self.sends = true;
        self.skew = Span::ZERO;
        self.collect();
        let end = self.now + REST;
        while self.now < end {
            self.now = self.engine.deadline().max(self.now).min(end);
            self.engine.advance(&mut self.frames, self.now);
            let idle = self.engine.ready().is_empty();
            self.collect();
            assert!(!idle || self.engine.deadline() > self.now, "time stands still at {:?}", self.now);
        }
        // a standby lets go of what is over when something comes
        for input in 0..INPUTS {
            self.datagram(input, b"x");
        }
        let mut free = 0;
        while self.engine.take_slot().is_some() {
            free += 1;
        }
        // of each channel, the frames that packets are made in, and of the datagram that is being filled
        let missing = self.engine.frames_wanted() - free;
        assert!(missing <= 6, "{missing} frames are not free");
        self.engine.snapshot(&mut self.snapshot);
        let total: u64 = self.snapshot.inputs.iter().map(|i| i.transport.datagrams).sum();
        let foreign: u64 = self.snapshot.inputs.iter().map(|i| i.transport.foreign).sum();
        assert!(foreign <= total);
    }
}

/// A datagram of packets: a byte with their number less one, modulo 7, in bits 0 to 2, RTP in bit 3, another SSRC in bit
/// 4, 16 bytes of outer code behind each packet in bit 5, and in bit 6 whether sections get a CRC_32 that is right. With
/// RTP, the sequence number. For each packet three bytes of its header behind the sync byte, the number of bytes that
/// follow it, and these; the rest is 0xFF.
fn built(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let flags = bytes.byte();
    let mut out = Vec::with_capacity(FRAME_SIZE);
    if flags & 0x08 != 0 {
        let [high, low] = bytes.word().to_be_bytes();
        out.extend_from_slice(&[0x80, 33, high, low, 0, 0, 0, 0, 0, 0, 0, flags & 0x10]);
    }
    for _ in 0..=(flags & 7) % 7 {
        let mut packet = [0xFF; 188];
        packet[..4].copy_from_slice(&[0x47, bytes.byte(), bytes.byte(), bytes.byte()]);
        let len = usize::from(bytes.byte());
        let body = bytes.take(len.min(184));
        packet[4..4 + body.len()].copy_from_slice(body);
        if flags & 0x40 != 0 && packet[3] & 0x30 == 0x10 {
            seal(&mut packet);
        }
        out.extend_from_slice(&packet);
        if flags & 0x20 != 0 {
            out.extend_from_slice(&[0; 16]);
        }
    }
    out
}

/// Makes the CRC_32 of the section right that starts in this packet and ends in it.
fn seal(packet: &mut [u8; 188]) -> Option<()> {
    let start = 5 + usize::from(packet[4]);
    let section = packet.get_mut(start..)?;
    let len = 3 + (usize::from(*section.get(1)? & 0x0F) << 8 | usize::from(*section.get(2)?));
    let (body, crc) = section.get_mut(..len)?.split_last_chunk_mut::<4>()?;
    *crc = mpegts_crc::sum32(body).to_be_bytes();
    Some(())
}
