//! What a TS packet costs: through the whole engine, and in the analyser alone.
//!
//! The traffic is made beforehand and lies in memory: 8 Mb/s in datagrams of seven packets, two inputs a channel, each
//! datagram copied into its frame as the kernel would write it (that copy is in the figures, sending is not). The driver
//! goes from deadline to deadline and empties the outbox after each step.
//! Datagrams leave as they came: what merging and pacing cost is in `switch`.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::hint::black_box;
use std::time::Duration;

use changeover::engine::{ChannelSetup, Engine, Frames, HeapFrames, InputSetup, Pace, Setup};
use changeover::health::{Limits, Profile};
use changeover::switch::policy::{Mode, Settings as Policy};
use changeover::synth::{Feed, Settings};
use changeover::tr101290::Analyser;
use changeover::units::{InputId, Instant, Span, Ticks27M};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const DATAGRAM: usize = 7 * 188;
/// Datagrams that each input gets before time counts: 200 ms.
const WARM_UP: usize = 152;

/// Datagrams of one feed and when the last packet of each is there.
fn traffic(datagrams: usize) -> Vec<(Instant, [u8; DATAGRAM])> {
    let mut feed = Feed::new(Settings::default());
    let mut datagram = || {
        let mut bytes = [0; DATAGRAM];
        let mut at = Instant::ZERO;
        for place in bytes.as_chunks_mut::<188>().0 {
            let packet = feed.next_packet();
            *place = packet.bytes;
            at = Instant::ZERO + Ticks27M::span(packet.at.0);
        }
        (at, bytes)
    };
    (0..datagrams).map(|_| datagram()).collect()
}

fn setup(channels: usize, delay: Span) -> Setup {
    let input = |priority| InputSetup { priority, limits: Limits::of(Profile::Standard), ..InputSetup::default() };
    let channel = || ChannelSetup {
        inputs: vec![input(100), input(50)],
        policy: Policy::default(),
        delay,
        mode: Mode::Cut,
        pace: Pace::Arrival,
        ..ChannelSetup::default()
    };
    Setup { channels: (0..channels).map(|_| channel()).collect() }
}

/// One feed to all inputs of an engine, as a driver hands it over.
struct Run {
    engine: Engine,
    frames: HeapFrames,
    inputs: u16,
    sent: usize,
}

impl Run {
    fn new(setup: &Setup) -> Self {
        let engine = Engine::new(setup, Instant::ZERO);
        let frames = HeapFrames::new(engine.frames_wanted());
        let inputs = setup.channels.iter().map(|c| c.inputs.len()).sum::<usize>() as u16;
        Self { engine, frames, inputs, sent: 0 }
    }

    fn collect(&mut self) {
        self.sent += self.engine.ready().len();
        self.engine.sent();
        while let Some(event) = self.engine.poll_event() {
            black_box(event);
        }
    }

    fn feed(&mut self, traffic: &[(Instant, [u8; DATAGRAM])]) {
        // the inputs' datagrams come one after the other and not at once
        let spread = 1_000_000 / i64::from(self.inputs);
        for (at, bytes) in traffic {
            for input in 0..self.inputs {
                let at = *at + Span::from_nanos(spread * i64::from(input));
                while self.engine.deadline() <= at {
                    self.engine.advance(&mut self.frames, at);
                    self.collect();
                }
                let slot = self.engine.take_slot().unwrap();
                self.frames.frame_mut(slot)[..DATAGRAM].copy_from_slice(bytes);
                self.engine.datagram(&mut self.frames, InputId(input), slot, DATAGRAM, at);
                self.collect();
            }
        }
    }
}

/// The engine is made anew for each round, outside the time, and fed until its delay lines are full and its memory is
/// there.
#[allow(clippy::disallowed_methods)]
fn timed(rounds: u64, setup: &Setup, traffic: &[(Instant, [u8; DATAGRAM])]) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        let mut run = Run::new(setup);
        let (before, traffic) = traffic.split_at(WARM_UP);
        run.feed(before);
        let started = std::time::Instant::now();
        run.feed(traffic);
        total += started.elapsed();
        assert!(black_box(run.sent) > 0);
    }
    total
}

fn engine(c: &mut Criterion) {
    for (unit, per_datagram) in [("packets", 7), ("datagrams", 1)] {
        let mut group = c.benchmark_group(format!("engine, {unit}"));
        group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4));
        for (channels, datagrams) in [(1, 7_600), (100, 760)] {
            let traffic = traffic(WARM_UP + datagrams);
            for delay in [0, 100] {
                let setup = setup(channels, Span::from_millis(delay));
                group.throughput(Throughput::Elements((datagrams * channels * 2 * per_datagram) as u64));
                let id = BenchmarkId::new(format!("{channels} channels"), format!("{delay} ms"));
                group.bench_function(id, |b| b.iter_custom(|rounds| timed(rounds, &setup, &traffic)));
            }
        }
    }
}

fn analyser(c: &mut Criterion) {
    let traffic = traffic(7_600);
    let mut group = c.benchmark_group("analyser, packets");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(7_600 * 7));
    group.bench_function("one input", |b| {
        b.iter_batched_ref(
            || Analyser::new(&changeover::tr101290::Settings::default()),
            |analyser| {
                for (at, bytes) in &traffic {
                    for packet in bytes.as_chunks::<188>().0 {
                        analyser.packet(*at, packet, &mut ());
                    }
                }
                assert_eq!(black_box(analyser.packets()), 7_600 * 7);
            },
            criterion::BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, analyser, engine);
criterion_main!(benches);
