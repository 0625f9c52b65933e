//! What the analysis of TR 101 290 costs a packet, against a look at each packet's first 64 bytes and against the crate
//! `dvb-conformance`, which watches the same indicators.
//!
//! The same 100 MB in datagrams of seven packets come in ten parts, and everybody takes a part in turn, each of them another
//! one, so that nobody finds in the cache what another fetched. What else the machine does can only add to a turn: of each
//! part counts the least of all rounds, and the sum of these. The streams are real where `CHANGEOVER_SHARED` names the
//! folder of real streams, one of ours otherwise; continuity counters and clocks go on where a stream begins anew. The same is
//! measured once more with packets that are in the cache. Then the number of PIDs grows, and the number of inputs that take turns.
//!
//! Run as `cargo bench --bench analyse`, or one part of it alone: `cargo bench --bench analyse -- others`, `-- growth` or `-- memory`.
#![allow(unsafe_code, reason = "the processor time of the thread is asked of the kernel")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::hint::black_box;
use std::mem::zeroed;
use std::path::Path;
use std::time::Duration;

use changeover::engine::{ChannelSetup, Engine, Frames, HeapFrames, InputSetup, Pace, Setup, Slot};
use changeover::health::{Limits, Profile};
use changeover::replay::source::Source;
use changeover::switch::policy::{Mode, Settings as Policy};
use changeover::synth::Feed;
use changeover::tr101290::{Analyser, Indicator, Settings};
use changeover::ts::{PACKET_SIZE, Packet};
use changeover::units::{BitRate, InputId, Instant, Pid, Span, Ticks27M};
use dvb_conformance::ConformanceMonitor;
use mpeg2ts_reader::mpegts_crc::sum32;

const PER_DATAGRAM: usize = 7;
const BYTES: usize = 100_000_000;
const DATAGRAMS: usize = BYTES / (PER_DATAGRAM * PACKET_SIZE);
/// The parts that everybody takes in turn.
const PARTS: usize = 10;
/// Of these the first are not counted: they bring what an input has to begin with.
const UNCOUNTED: usize = 2;
/// How often each part is taken.
const ROUNDS: usize = 15;
const ROUNDS_IN_CACHE: usize = 5;
/// A program, and a multiplex of eight.
const REAL: [&str; 2] =
    ["streams/tsduck-test/arte-dvbt-cc-errors_test-089_concat.ts", "streams/tsduck-test/rai-dvbt-mux-22M_test-108.ts"];
/// Of the multiplex: the tables, and the PMT, video, sound and teletext of its four television programs.
const TELEVISION: [u16; 20] = [
    0, 0x10, 0x11, 0x12, 0x100, 0x101, 0x102, 0x118, 0x200, 0x201, 0x202, 0x208, 0x28A, 0x28B, 0x28C, 0x2B2, 0x240,
    0x241, 0x242, 0x257,
];
/// So many parts lie between two that take turns, which is more than caches hold.
const APART: usize = 3;

type Bytes = [u8; PACKET_SIZE];

/// Seven packets, and when the last of them came.
struct Datagram {
    at: Instant,
    packets: [Bytes; PER_DATAGRAM],
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing to test here: run it by `cargo bench --bench analyse`");
        return;
    }
    let wants = |name: &str| {
        !std::env::args()
            .any(|argument| ["others", "growth", "memory"].contains(&argument.as_str()) && argument != name)
    };
    if wants("others") {
        against_others();
    }
    if wants("growth") {
        growth();
    }
    if wants("memory") {
        memory();
    }
}

fn against_others() {
    match std::env::var_os("CHANGEOVER_SHARED") {
        Some(folder) => {
            let [arte, rai] = REAL.map(|name| read(&Path::new(&folder).join(name)));
            compare("a program of 14 PIDs", &arte);
            compare("four programs of a multiplex and null packets, 21 PIDs", &thinned(&rai));
            compare("a multiplex of 8 programs, 41 PIDs", &rai);
        }
        None => {
            let feed = Feed::new(changeover::synth::Settings::default()).take(20_000).map(own);
            compare("a feed of our own", &feed.collect::<Vec<_>>());
        }
    }
}

/// Null packets for all but [`TELEVISION`], so that the rate stays as it is.
fn thinned(once: &[(Instant, Bytes)]) -> Vec<(Instant, Bytes)> {
    let thin = |&(at, bytes): &(Instant, Bytes)| {
        if TELEVISION.contains(&Packet::new(&bytes).pid().value()) {
            return (at, bytes);
        }
        let mut null = [0xFF; PACKET_SIZE];
        null[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
        (at, null)
    };
    once.iter().map(thin).collect()
}

type Take<'a> = Box<dyn FnMut(usize, &[Datagram]) + 'a>;

/// One that takes parts in turn.
struct Competitor<'a> {
    name: &'static str,
    /// Takes a part, the first of all being number 0.
    take: Take<'a>,
    /// The least that each part took, in nanoseconds.
    least: [f64; PARTS],
}

impl<'a> Competitor<'a> {
    fn new(name: &'static str, take: impl FnMut(usize, &[Datagram]) + 'a) -> Self {
        Self { name, take: Box::new(take), least: [f64::MAX; PARTS] }
    }

    fn turn(&mut self, part: usize, datagrams: &[Datagram]) {
        let before = processor_ns();
        (self.take)(part, datagrams);
        self.least[part] = self.least[part].min(processor_ns() - before);
    }

    /// Nanoseconds a packet.
    fn per_packet(&self, part: usize) -> f64 {
        self.least[UNCOUNTED..].iter().sum::<f64>() / (part * PER_DATAGRAM * (PARTS - UNCOUNTED)) as f64
    }
}

fn compare(name: &str, once: &[(Instant, Bytes)]) {
    let traffic = datagrams(once, DATAGRAMS);
    let size = traffic.len() / PARTS;
    let mut found = String::new();
    let (mut monitor, settings) = (ConformanceMonitor::new(), Settings::default());
    let analysis = |contents| {
        let settings = Settings { contents, ..settings };
        let mut analyser = Analyser::new(&settings);
        move |part, datagrams: &[Datagram]| {
            if part == 0 {
                analyser = Analyser::new(&settings);
            }
            feed(&mut analyser, datagrams);
            (part == PARTS - 1).then(|| raised(&analyser))
        }
    };
    let (mut indicators, mut contents) = (analysis(false), analysis(true));
    let mut all = [
        Competitor::new("first 64 bytes", |_, datagrams| look(datagrams)),
        Competitor::new("indicators", |part, datagrams| _ = indicators(part, datagrams)),
        Competitor::new("with contents", |part, datagrams| found = contents(part, datagrams).unwrap_or_default()),
        Competitor::new("dvb-conformance", |part, datagrams| {
            if part == 0 {
                monitor = ConformanceMonitor::new();
            }
            conformance(&mut monitor, datagrams);
        }),
    ];
    for step in 0..ROUNDS * PARTS + APART * all.len() {
        for (place, competitor) in all.iter_mut().enumerate() {
            let turn = step.checked_sub(place * APART).filter(|turn| *turn < ROUNDS * PARTS);
            if let Some(part) = turn.map(|turn| turn % PARTS) {
                competitor.turn(part, &traffic[part * size..][..size]);
            }
        }
    }
    println!(
        "\n{name}: {DATAGRAMS} datagrams; ns a packet, of each tenth the least of {ROUNDS} interleaved turns, since noise only adds"
    );
    let ns = all.each_ref().map(|competitor| competitor.per_packet(size));
    let [look, indicators, contents, other] = ns;
    let list: Vec<String> = all.iter().zip(ns).map(|(it, ns)| format!("{} {ns:.1}", it.name)).collect();
    println!("{}", list.join("   "));
    for (name, ns) in [("indicators", indicators), ("with contents", contents)] {
        println!("{name}: {:.2} of the look, {:.1} times as fast as dvb-conformance", ns / look, other / ns);
    }
    drop(all);
    println!("{found}");
    in_cache(&traffic);
}

/// The same with packets that the cache holds, as it does those of a datagram that has only just been received: they are read before
/// the time counts.
fn in_cache(traffic: &[Datagram]) {
    const CHUNK: usize = 500;
    let chunks: Vec<_> = traffic.chunks_exact(CHUNK).collect();
    let mut least = vec![[f64::MAX; 3]; chunks.len()];
    for _ in 0..ROUNDS_IN_CACHE {
        let mut analyser = Analyser::new(&Settings { contents: false, ..Settings::default() });
        let mut monitor = ConformanceMonitor::new();
        for (chunk, least) in chunks.iter().zip(&mut least) {
            let takes: [&mut dyn FnMut(); 3] =
                [&mut || look(chunk), &mut || feed(&mut analyser, chunk), &mut || conformance(&mut monitor, chunk)];
            for (take, least) in takes.into_iter().zip(least) {
                black_box(chunk.iter().flat_map(|it| it.packets.as_flattened()).fold(0, |all, byte| all ^ byte));
                let before = processor_ns();
                take();
                *least = least.min(processor_ns() - before);
            }
        }
    }
    let counted = &least[least.len() * UNCOUNTED / PARTS..];
    let ns = |i: usize| counted.iter().map(|it| it[i]).sum::<f64>() / (counted.len() * CHUNK * PER_DATAGRAM) as f64;
    let [look, indicators, other] = [0, 1, 2].map(ns);
    println!(
        "in the cache: first 64 bytes {look:.1}   indicators {indicators:.1}   dvb-conformance {other:.1}: {:.2} of the look, {:.1} times as fast as dvb-conformance",
        indicators / look,
        other / indicators
    );
}

fn growth() {
    println!("\nns a packet as PIDs and inputs grow, the least of {ROUNDS} interleaved turns, since noise only adds");
    let sizes = [(2, 1), (20, 1), (200, 1), (2, 400), (20, 400), (200, 400)];
    let traffic = sizes.map(|(pids, inputs)| {
        let once = mux(pids, DATAGRAMS * PER_DATAGRAM / inputs);
        in_turn(&once, inputs)
    });
    let mut least = sizes.map(|_| f64::MAX);
    for _ in 0..ROUNDS {
        for ((traffic, (_, inputs)), least) in traffic.iter().zip(sizes).zip(&mut least) {
            *least = least.min(analyse(traffic, inputs));
        }
    }
    for ((pids, inputs), ns) in sizes.into_iter().zip(least) {
        println!("{pids:>4} PIDs, {inputs:>3} inputs: {ns:6.1}, {:.2} of the least", ns / least[0]);
    }
}

/// What inputs of 50 PIDs hold, their frames left aside: those that are in the delay line and on the way.
fn memory() {
    const INPUTS: usize = 200;
    let traffic = datagrams(&mux(50, 40_000), 20_000);
    let input = || InputSetup { limits: Limits::of(Profile::Standard), ..InputSetup::default() };
    let channel = || ChannelSetup {
        inputs: vec![input(), input()],
        policy: Policy::default(),
        delay: Span::ZERO,
        // the analysis alone
        mode: Mode::Cut,
        pace: Pace::Arrival,
        ..ChannelSetup::default()
    };
    let setup = Setup { channels: (0..INPUTS / 2).map(|_| channel()).collect() };
    let wanted = Engine::new(&setup, Instant::ZERO).frames_wanted();
    let mut frames = HeapFrames::new(wanted);
    (0..wanted).for_each(|i| frames.frame_mut(Slot(u32::try_from(i).unwrap_or(0))).fill(1));
    let before = resident();
    let mut engine = Engine::new(&setup, Instant::ZERO);
    let made = resident();
    for datagram in &traffic[..2_000] {
        for input in 0..u16::try_from(INPUTS).unwrap_or(0) {
            while engine.deadline() <= datagram.at {
                engine.advance(&mut frames, datagram.at);
                engine.sent();
            }
            while engine.poll_event().is_some() {}
            let slot = engine.take_slot().expect("a frame is free");
            frames.frame_mut(slot)[..PER_DATAGRAM * PACKET_SIZE].copy_from_slice(datagram.packets.as_flattened());
            engine.datagram(&mut frames, InputId(input), slot, PER_DATAGRAM * PACKET_SIZE, datagram.at);
            engine.sent();
        }
    }
    let kib = |bytes: usize| bytes / INPUTS / 1024;
    println!(
        "\nresident KiB an input of 50 PIDs, frames left aside: {} made, {} fed",
        kib(made - before),
        kib(resident() - before)
    );
}

/// Bytes of memory that are there.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the kernel tells a number") * 4096
}

fn processor_ns() -> f64 {
    // SAFETY: the kernel fills a structure of plain numbers, for which zero is a value, and which lives through the call.
    let time = unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        time
    };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Reads each packet's first 64 bytes.
fn look(traffic: &[Datagram]) {
    let mut sum = 0u64;
    for packet in traffic.iter().flat_map(|datagram| &datagram.packets) {
        for word in packet[..64].as_chunks::<8>().0 {
            sum ^= u64::from_le_bytes(*word);
        }
    }
    black_box(sum);
}

fn feed(analyser: &mut Analyser, datagrams: &[Datagram]) {
    for datagram in datagrams {
        for packet in &datagram.packets {
            analyser.packet(datagram.at, packet, &mut ());
        }
    }
}

fn raised(analyser: &Analyser) -> String {
    let raised = Indicator::ALL.into_iter().map(|i| (i, analyser.count(i).events())).filter(|(_, n)| *n > 0);
    let list: Vec<String> = raised.map(|(i, n)| format!("{} {n}", i.name())).collect();
    let list = if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
    format!("{} packets, {} PIDs; raised: {list}", analyser.packets(), analyser.pids().count())
}

/// Datagrams of several inputs in turn, each through its input's own analyser; the processor time a packet. What every
/// input has to begin with, and a quarter of the traffic, come before the time counts.
fn analyse(traffic: &[Datagram], inputs: usize) -> f64 {
    let mut analysers: Vec<Analyser> = (0..inputs).map(|_| Analyser::new(&Settings::default())).collect();
    let mut round = |traffic: &[Datagram]| {
        for round in traffic.chunks_exact(inputs) {
            for (datagram, analyser) in round.iter().zip(&mut analysers) {
                feed(analyser, core::slice::from_ref(datagram));
            }
        }
    };
    let (before, timed) = traffic.split_at(traffic.len() / inputs / 4 * inputs);
    round(before);
    let began = processor_ns();
    round(timed);
    (processor_ns() - began) / (timed.len() * PER_DATAGRAM) as f64
}

fn conformance(monitor: &mut ConformanceMonitor, datagrams: &[Datagram]) {
    for datagram in datagrams {
        let at = Duration::from_nanos(datagram.at.nanos().unsigned_abs());
        for packet in &datagram.packets {
            black_box(monitor.feed(packet, at).len());
        }
    }
    black_box(monitor.stats().packets);
}

fn own(packet: changeover::synth::Packet) -> (Instant, Bytes) {
    (Instant::ZERO + Ticks27M::span(packet.at.0), packet.bytes)
}

fn read(file: &Path) -> Vec<(Instant, Bytes)> {
    let mut source = Source::open(file, BitRate(10_000_000)).expect("the stream is there");
    let mut packets = Vec::new();
    while let Some(timed) = source.read().expect("the stream can be read") {
        packets.push((timed.at, *timed.packet));
    }
    packets
}

/// As many datagrams as are asked for of a stream that begins anew at its end, with counters and clocks that go on.
fn datagrams(once: &[(Instant, Bytes)], count: usize) -> Vec<Datagram> {
    let span = once.last().map_or(Span::ZERO, |(at, _)| at.since(Instant::ZERO));
    let (step, mut counters) = (Span::from_nanos(span.nanos() / once.len() as i64), [0u8; Pid::COUNT]);
    let mut all = once.iter().cycle().enumerate().map(|(i, (at, bytes))| {
        let mut passed = Span::ZERO;
        for _ in 0..i / once.len() {
            passed = Span::from_nanos(passed.nanos() + span.nanos() + step.nanos());
        }
        let mut bytes = *bytes;
        let packet = Packet::new(&bytes);
        let (pid, pcr, payload) = (packet.pid(), packet.pcr(), packet.has_payload());
        let counter = &mut counters[pid.index()];
        *counter = (*counter + u8::from(payload)) & 0x0F;
        bytes[3] = bytes[3] & 0xF0 | *counter;
        if let Some(pcr) = pcr {
            put_pcr(&mut bytes, (pcr.0 + u64::try_from(passed.nanos()).unwrap_or(0) * 27 / 1000) % Ticks27M::WRAP);
        }
        (*at + passed, bytes)
    });
    let mut datagram = || {
        let mut at = Instant::ZERO;
        let packets = std::array::from_fn(|_| {
            let (time, bytes) = all.next().expect("a cycle has no end");
            at = time;
            bytes
        });
        Datagram { at, packets }
    };
    (0..count).map(|_| datagram()).collect()
}

/// The datagrams of several inputs as they come, one of each in turn, all of the same stream.
fn in_turn(once: &[(Instant, Bytes)], inputs: usize) -> Vec<Datagram> {
    let one = datagrams(once, DATAGRAMS / inputs);
    one.iter()
        .flat_map(|datagram| (0..inputs).map(|_| Datagram { at: datagram.at, packets: datagram.packets }))
        .collect()
}

fn put_pcr(bytes: &mut Bytes, pcr: u64) {
    let (base, extension) = (pcr / 300, pcr % 300);
    bytes[6..10].copy_from_slice(&u32::try_from(base >> 1).unwrap_or(0).to_be_bytes());
    bytes[10] = u8::try_from(base & 1).unwrap_or(0) << 7 | 0x7E | u8::try_from(extension >> 8).unwrap_or(0);
    bytes[11] = u8::try_from(extension & 0xFF).unwrap_or(0);
}

/// A constant rate of 20 Mb/s in one program of `pids` PIDs, tables included, which come one after the other.
fn mux(pids: usize, packets: usize) -> Vec<(Instant, Bytes)> {
    const STEP: i64 = 75_200;
    const FIRST: u16 = 0x200;
    let streams = u16::try_from(pids).unwrap_or(u16::MAX) - 1;
    let mut counters = vec![0u8; Pid::COUNT];
    let mut finish = |pid: u16, start: bool, mut bytes: Bytes| {
        let counter = &mut counters[usize::from(pid)];
        *counter = (*counter + 1) & 0x0F;
        let [high, low] = pid.to_be_bytes();
        bytes[..3].copy_from_slice(&[0x47, high | u8::from(start) << 6, low]);
        bytes[3] |= 0x10 | *counter;
        bytes
    };
    let one = |i: usize| {
        let time = i as i64 * STEP;
        let mut bytes = [u8::try_from(i % 251).unwrap_or(0); PACKET_SIZE];
        bytes[3] = 0;
        let (pid, start) = match i % 500 {
            0 => (0, table(&mut bytes, &[0, 0xB0, 0, 0, 1, 0xC1, 0, 0, 0, 1, 0xE1, 0])),
            1 if pids > 2 => {
                let mut pmt = vec![2, 0xB0, 0, 0, 1, 0xC1, 0, 0, 0xE2, 0, 0xF0, 0];
                // as many as fit into a packet are declared; the others come all the same
                for pid in (FIRST..).take(usize::from(streams).min(32)) {
                    let [high, low] = pid.to_be_bytes();
                    pmt.extend([0x1B, 0xE0 | high, low, 0xF0, 0]);
                }
                (0x100, table(&mut bytes, &pmt))
            }
            _ => {
                let turn = u16::try_from(i % usize::from(streams)).unwrap_or(0);
                let round = i / usize::from(streams);
                let start = round.is_multiple_of(40);
                if start {
                    // a PES packet that begins with a delimiter and goes on with a slice
                    bytes[4..18].copy_from_slice(&[0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1]);
                    bytes[18..30].copy_from_slice(&[0, 0, 0, 1, 9, 0x10, 0, 0, 1, 0x41, 0x9A, 0x21]);
                } else if turn == 0 && i % 400 < usize::from(streams) {
                    bytes[3] = 0x20;
                    bytes[4..6].copy_from_slice(&[7, 0x10]);
                    put_pcr(&mut bytes, time.unsigned_abs() * 27 / 1000);
                }
                (FIRST + turn, start)
            }
        };
        (Instant::from_nanos(time), finish(pid, start, bytes))
    };
    (0..packets).map(one).collect()
}

fn table(bytes: &mut Bytes, section: &[u8]) -> bool {
    let mut section = section.to_vec();
    let length = u16::try_from(section.len() + 4 - 3).expect("it fits a packet").to_be_bytes();
    section[1] |= length[0];
    section[2] = length[1];
    let crc = sum32(&section);
    section.extend(crc.to_be_bytes());
    bytes[4] = 0;
    bytes[5..].fill(0xFF);
    bytes[5..5 + section.len()].copy_from_slice(&section);
    true
}
