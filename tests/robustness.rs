//! Damage of every kind, and anything at any time: nothing panics, all is accounted for, and the output keeps its rules.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod common;

use std::collections::{HashMap, HashSet};

use changeover::engine::{ChannelSetup, ClockPolicy, Command, Entry, GatherSetup, Hole, InputSetup, Pace, Setup, What};
use changeover::health::CriterionSet;
use changeover::switch::policy::{Failback, LossAction, Mode, Settings as Policy};
use changeover::synth::{Feed, Settings};
use changeover::tr101290::{Analyser, Indicator, Settings as Limits};
use changeover::transport::{self, Framing};
use changeover::ts::Packet;
use changeover::units::{ChannelId, InputId, Instant, Pid, Span, Ticks27M};

use common::{Rig, Source, analyse, errors};

const PACKETS: usize = 200;
const DATAGRAM: usize = 7 * 188;

/// Datagrams of 200 packets of a feed with much of everything in it.
fn datagrams() -> Vec<Vec<u8>> {
    let mut feed = Feed::new(Settings { bit_rate: 1_000_000, ..Settings::default() });
    let stream: Vec<u8> = (0..PACKETS).flat_map(|_| feed.next_packet().bytes).collect();
    stream.chunks(DATAGRAM).map(<[u8]>::to_vec).collect()
}

/// One input on air through a short delay.
fn one_input() -> Setup {
    let inputs = vec![InputSetup::default()];
    let gather = GatherSetup::default();
    Setup {
        channels: vec![ChannelSetup {
            inputs,
            policy: Policy::default(),
            delay: Span::from_millis(1),
            gather,
            hole: Hole::Silent,
            ..ChannelSetup::default()
        }],
    }
}

fn packets_of(bytes: &[u8], framing: Framing) -> Vec<&[u8; 188]> {
    let Some(layout) = transport::read(bytes, framing) else { return Vec::new() };
    let from = |i| usize::from(layout.offset) + i * usize::from(layout.stride);
    (0..usize::from(layout.packets)).map(|i| bytes[from(i)..].first_chunk().unwrap()).collect()
}

/// An engine and an analyser that get the same datagrams, and what they must have counted.
struct Bench {
    rig: Rig,
    analyser: Analyser,
    datagrams: u64,
    packets: u64,
    foreign: u64,
    unsynchronised: u64,
    sent: u64,
}

impl Bench {
    fn new() -> Self {
        let mut rig = Rig::new(&one_input());
        rig.command(Command::Hold(InputId(0)));
        let analyser = Analyser::new(&Limits::default());
        Self { rig, analyser, datagrams: 0, packets: 0, foreign: 0, unsynchronised: 0, sent: 0 }
    }

    /// The packets of a datagram, which begins with one, are as many as its length has room for. Where they lie is for
    /// the layout to say: a length cut to a multiple of 204 looks like packets with outer code.
    fn feed(&mut self, bytes: &[u8]) {
        let at = self.rig.now + Span::from_micros(100);
        self.rig.datagram(0, at, bytes);
        self.sent += self.rig.sent.drain(..).map(|(_, bytes)| bytes.len() as u64 / 188).sum::<u64>();
        self.rig.rtp.clear();
        let packets = packets_of(bytes, Framing::Auto);
        // one packet is only believed in a length of its own
        let room = bytes.len() / 188;
        assert_eq!(packets.len(), if room == 1 && ![188, 204].contains(&bytes.len()) { 0 } else { room });
        self.datagrams += 1;
        self.packets += packets.len() as u64;
        self.foreign += u64::from(packets.is_empty());
        for packet in packets {
            self.unsynchronised += u64::from(packet[0] != 0x47);
            self.analyser.packet(at, packet, &mut ());
        }
    }

    fn finish(mut self) {
        self.rig.advance(self.rig.now + Span::from_secs(1));
        self.sent += self.rig.sent.drain(..).map(|(_, bytes)| bytes.len() as u64 / 188).sum::<u64>();
        let snapshot = self.rig.snapshot();
        let (input, channel) = (&snapshot.inputs[0], &snapshot.channels[0]);
        assert_eq!((input.transport.datagrams, input.transport.foreign), (self.datagrams, self.foreign));
        assert_eq!((input.packets, self.analyser.packets()), (self.packets, self.packets));
        let by_pid: u64 = self.analyser.pids().map(|(_, packets)| packets).sum();
        let unread =
            errors(&self.analyser, Indicator::SyncByteError) + errors(&self.analyser, Indicator::TransportError);
        assert_eq!(by_pid + unread, self.packets, "each packet has a PID or is counted as unreadable");
        assert_eq!((channel.packets, channel.unsynchronised), (self.sent, self.unsynchronised));
        assert_eq!(self.sent + self.unsynchronised, self.packets, "held on it, all that can be sent is sent");
        assert_eq!((input.overrun, snapshot.events_lost), (0, 0));
        assert_no_slot_is_missing(&mut self.rig);
    }
}

/// Lets go of what standbys hold, and then takes all frames and gives them back.
fn assert_no_slot_is_missing(rig: &mut Rig) {
    rig.advance(rig.now + Span::from_secs(20));
    let inputs = rig.snapshot().inputs.len() as u16;
    for input in 0..inputs {
        rig.datagram(input, rig.now, b"x");
    }
    let slots: Vec<_> = std::iter::from_fn(|| rig.engine.take_slot()).collect();
    // those that packets are made in, and of a datagram that is being filled
    let missing = rig.engine.frames_wanted() - slots.len();
    assert!(missing <= 3, "{missing} frames of {} are not free", rig.engine.frames_wanted());
    slots.into_iter().rev().for_each(|slot| rig.engine.return_slot(slot));
}

#[test]
fn every_flipped_bit_is_survived_and_accounted_for() {
    let mut bench = Bench::new();
    for datagram in datagrams() {
        let mut bytes = datagram.clone();
        for bit in 0..datagram.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            bench.feed(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if bit % 101 == 0 {
                bench.feed(&bytes);
            }
        }
    }
    assert!(bench.datagrams > 300_000);
    bench.finish();
}

#[test]
fn every_truncation_is_survived_and_accounted_for() {
    let mut bench = Bench::new();
    for datagram in datagrams() {
        for len in 0..=datagram.len() {
            bench.feed(&datagram[..len]);
        }
    }
    bench.finish();
}

/// xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const INPUTS: u16 = 3;
/// The one that sends RTP.
const RTP: u16 = 1;

/// What may happen to the feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faults {
    /// Pauses after which a feed goes on where it was, foreign datagrams, RTP out of order and twice: the packets of each
    /// input have no error.
    Whole,
    /// Losses, damage and noise as well.
    Broken,
}

/// One input's feed: its next datagram, and how long it has paused so far.
struct Line {
    source: Source,
    next: (Instant, Vec<u8>),
    paused: Span,
    sequence: u16,
    /// Of RTP: one that was put off behind its successor.
    put_off: Option<Vec<u8>>,
}

impl Line {
    fn new(input: u16, random: &mut Random) -> Self {
        let settings = Settings {
            bit_rate: 1_000_000,
            seed: u64::from(input) + 1,
            start: Ticks27M(random.below(Ticks27M::WRAP)),
            ..Settings::default()
        };
        let mut source = Source::new(settings, Span::from_micros(700 * u32::from(input)));
        let next = source.next_datagram();
        let sequence = random.below(65_536) as u16;
        Self { source, next, paused: Span::ZERO, sequence, put_off: None }
    }

    fn due(&self) -> Instant {
        self.next.0 + self.paused
    }

    fn take(&mut self) -> (Instant, Vec<u8>) {
        let at = self.due();
        (at, std::mem::replace(&mut self.next, self.source.next_datagram()).1)
    }

    fn in_rtp(&mut self, payload: &[u8]) -> Vec<u8> {
        let [high, low] = self.sequence.to_be_bytes();
        self.sequence = self.sequence.wrapping_add(1);
        [&[0x80, 33, high, low, 0, 0, 0, 0, 0, 0, 0, 7], payload].concat()
    }
}

/// What a switch never rewrites of a packet: its end, unless it is of a table, or times may stand there.
fn essence(packet: &[u8; 188]) -> Option<[u8; 128]> {
    let p = Packet::new(packet);
    let is_table = p.pid().value() < 0x20 || p.pid() == Settings::default().pmt_pid || p.pid() == Pid::NULL;
    (!is_table && p.has_payload() && !p.payload_unit_start_indicator()).then(|| *packet.last_chunk().unwrap())
}

struct Scene {
    rig: Rig,
    lines: Vec<Line>,
    faults: Faults,
    random: Random,
    came: HashSet<[u8; 128]>,
    seed: u64,
}

impl Scene {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..8).for_each(|_| _ = random.next());
        let framing = |input| if input == RTP { Framing::Rtp } else { Framing::Auto };
        let input =
            |input| InputSetup { priority: -i32::from(input), framing: framing(input), ..InputSetup::default() };
        let policy = Policy {
            failback: Failback::Auto { after: Span::from_millis(500) },
            dwell: Span::from_millis(200),
            max_per_minute: 0,
            on_loss: [LossAction::Stay, LossAction::Mute, LossAction::Null][random.below(3) as usize],
            on_loss_after: Span::from_millis(300),
            ..Policy::default()
        };
        let channel = ChannelSetup {
            inputs: (0..INPUTS).map(input).collect(),
            policy,
            delay: [Span::ZERO, Span::from_millis(30), Span::from_millis(100)][random.below(3) as usize],
            gather: GatherSetup { packets: 1 + random.below(7) as u8, ..GatherSetup::default() },
            mode: [Mode::Auto, Mode::Splice, Mode::Cut][random.below(3) as usize],
            clock: [ClockPolicy::Continue, ClockPolicy::Signal][random.below(2) as usize],
            pace: [Pace::Pcr, Pace::Arrival][random.below(2) as usize],
            entry: [Entry::Next, Entry::Cached][random.below(2) as usize],
            hole: [Hole::Carrier, Hole::Silent][random.below(2) as usize],
            ..ChannelSetup::default()
        };
        let rig = Rig::new(&Setup { channels: vec![channel] });
        let lines = (0..INPUTS).map(|input| Line::new(input, &mut random)).collect();
        Self { rig, lines, faults, random, came: HashSet::new(), seed }
    }

    fn run(&mut self, until: Instant) {
        loop {
            let input = (0..INPUTS).min_by_key(|&i| self.lines[usize::from(i)].due()).unwrap();
            if self.lines[usize::from(input)].due() > until {
                break;
            }
            self.step(input);
            if self.random.one_in(150) {
                self.command();
            }
        }
        self.rig.advance(until);
    }

    fn hand_over(&mut self, input: u16, at: Instant, bytes: &[u8]) {
        let framing = if input == RTP { Framing::Rtp } else { Framing::Auto };
        self.came.extend(packets_of(bytes, framing).into_iter().filter_map(essence));
        self.rig.datagram(input, at, bytes);
    }

    /// The next datagram of an input, and what may happen to it or before it.
    fn step(&mut self, input: u16) {
        let line = &mut self.lines[usize::from(input)];
        if self.random.one_in(600) && line.put_off.is_none() {
            line.paused = Span::from_millis(line.paused.millis() as u32 + 20 + self.random.below(1_500) as u32);
            return;
        }
        let (at, mut bytes) = line.take();
        if self.random.one_in(20) {
            let noise = self.noise(187);
            self.hand_over(input, at, &noise);
        }
        let line = &mut self.lines[usize::from(input)];
        if input == RTP {
            bytes = line.in_rtp(&bytes);
            if let Some(earlier) = line.put_off.take() {
                self.hand_over(input, at, &bytes);
                bytes = earlier;
            } else if self.random.one_in(10) {
                line.put_off = Some(bytes);
                return;
            }
            if self.random.one_in(10) {
                self.hand_over(input, at, &bytes);
            }
        }
        if self.faults == Faults::Broken && self.random.one_in(10) {
            self.break_one(input, at, bytes);
        } else {
            self.hand_over(input, at, &bytes);
        }
    }

    fn noise(&mut self, most: u64) -> Vec<u8> {
        let len = self.random.below(most + 1);
        (0..len).map(|_| if self.random.one_in(4) { 0x47 } else { self.random.next() as u8 }).collect()
    }

    fn break_one(&mut self, input: u16, at: Instant, mut bytes: Vec<u8>) {
        match self.random.below(6) {
            0 => return,
            1 => bytes.truncate(self.random.below(bytes.len() as u64) as usize),
            2 => bytes = self.noise(1_500),
            3 => {
                for _ in 0..=self.random.below(40) {
                    let bit = self.random.below(bytes.len() as u64 * 8) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
            4 => {
                let cut = self.random.below(bytes.len() as u64) as usize;
                bytes.drain(..cut);
            }
            _ => {
                let line = &mut self.lines[usize::from(input)];
                line.sequence = line.sequence.wrapping_add(self.random.next() as u16);
            }
        }
        self.hand_over(input, at, &bytes);
    }

    fn command(&mut self) {
        let input = InputId(self.random.below(u64::from(INPUTS) + 1) as u16);
        let command = match self.random.below(6) {
            0 => Command::Take(input),
            1 => Command::Hold(input),
            2 | 3 => Command::Release(ChannelId(0)),
            4 => Command::Enable(input, !self.random.one_in(3)),
            _ => Command::Prioritise(input, self.random.below(7) as i32 - 3),
        };
        self.rig.command(command);
    }

    /// What holds whatever came. Returns how many packets were sent, and how many switches and steps there were.
    fn check(&mut self) -> [u64; 3] {
        let seed = self.seed;
        assert_no_slot_is_missing(&mut self.rig);
        let packets = self.rig.packets();
        let strange = packets.iter().position(|p| essence(p).is_some_and(|essence| !self.came.contains(&essence)));
        assert_eq!(strange, None, "seed {seed}: the first packet that no input had");
        let sequences: Vec<u16> = self.rig.rtp.iter().map(|h| u16::from_be_bytes([h[2], h[3]])).collect();
        assert!(sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1)), "seed {seed}: RTP runs on");
        let snapshot = self.rig.snapshot();
        assert_eq!(snapshot.events_lost, 0, "seed {seed}");
        // a datagram that is being filled is on its way
        assert!(snapshot.channels[0].packets - packets.len() as u64 <= 7, "seed {seed}");
        let [switches, steps] = self.check_events();
        if self.faults == Faults::Whole {
            let output = analyse(&packets);
            for indicator in [Indicator::ContinuityCountError, Indicator::PcrDiscontinuityIndicatorError] {
                let first = output.count(indicator).latest().next().copied();
                assert_eq!(errors(&output, indicator), 0, "seed {seed}: {} at {first:?}", indicator.name());
            }
        }
        [packets.len() as u64, switches, steps]
    }

    /// The events alone tell what the snapshot says, so none is missing; and a step of a PCR is told where it was
    /// signalled.
    fn check_events(&self) -> [u64; 2] {
        let seed = self.seed;
        let snapshot = self.rig.snapshot();
        let mut raised: HashMap<InputId, CriterionSet> = HashMap::new();
        let (mut active, mut switches, mut muted, mut steps) = (None, 0, false, 0u64);
        let mut last = Instant::ZERO;
        for event in &self.rig.events {
            assert!(event.at >= last, "seed {seed}: events are in order");
            last = event.at;
            match event.what {
                What::Raised { input, criterion, .. } => {
                    let set = raised.entry(input).or_default();
                    assert!(!set.contains(criterion), "seed {seed}: {} twice", criterion.name());
                    set.insert(criterion);
                }
                What::Cleared { input, criterion } => {
                    let set = raised.entry(input).or_default();
                    assert!(set.contains(criterion), "seed {seed}: {} was not raised", criterion.name());
                    set.remove(criterion);
                }
                What::Switch(switch) => {
                    assert_eq!(switch.from, active, "seed {seed}: switches make a chain");
                    active = Some(switch.to);
                    switches += 1;
                }
                What::Muted | What::Unmuted => {
                    assert_ne!(muted, event.what == What::Muted, "seed {seed}");
                    muted = event.what == What::Muted;
                }
                What::ClockStep { .. } => steps += 1,
                What::Arrived { .. }
                | What::Set { .. }
                | What::Needed { .. }
                | What::NotNeeded { .. }
                | What::NotTaken { .. }
                | What::Kinship { .. }
                | What::Replaced { .. }
                | What::Restored
                | What::NoneHealthy
                | What::SomeHealthy => {}
            }
        }
        assert_eq!((switches, muted), (snapshot.channels[0].switches, snapshot.channels[0].muted), "seed {seed}");
        for (i, input) in (0..).zip(&snapshot.inputs) {
            assert_eq!(raised.get(&InputId(i)).copied().unwrap_or_default(), input.raised, "seed {seed}: input {i}");
        }
        if self.faults == Faults::Whole {
            // a feed of its own never sets it
            let packets = self.rig.packets();
            let signalled = packets.iter().filter(|p| Packet::new(p).discontinuity_indicator()).count() as u64;
            assert_eq!(signalled, steps, "seed {seed}: steps that were sent and steps that were told");
        }
        [switches, steps]
    }
}

fn run(seeds: impl Iterator<Item = u64>, faults: Faults) {
    let mut totals = [0; 3];
    for seed in seeds {
        let mut scene = Scene::new(seed, faults);
        scene.run(Instant::ZERO + Span::from_secs(30));
        totals.iter_mut().zip(scene.check()).for_each(|(total, n)| *total += n);
    }
    let [packets, switches, steps] = totals;
    println!("{packets} packets, {switches} switches, {steps} steps");
    assert!(packets > 30_000 && switches > 25 && steps > 10, "too little came of it: {totals:?}");
}

/// Seeds at which something was found once.
const FOUND: [u64; 0] = [];

#[test]
fn the_output_is_right_whatever_happens_to_whole_feeds() {
    run(FOUND.into_iter().chain(1..=6), Faults::Whole);
}

#[test]
fn the_output_is_made_of_the_inputs_whatever_happens_to_broken_feeds() {
    run(FOUND.into_iter().chain(101..=106), Faults::Broken);
}
