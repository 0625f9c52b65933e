//! What it costs to merge two feeds, by packet of the output, against passing one through: in turn in one run, the least of
//! several turns each, since what else the machine does only adds.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::disallowed_methods, missing_docs)]

use std::hint::black_box;
use std::time::Instant as Clock;

use changeover::engine::{ChannelSetup, Engine, Frames, HeapFrames, InputSetup, Pace, Setup};
use changeover::health::{Limits, Profile};
use changeover::synth::{Feed, Settings};
use changeover::units::{InputId, Instant, Span, Ticks27M};

const PACKETS: usize = 7;
const DATAGRAM: usize = PACKETS * 188;
const DATAGRAMS: usize = 12_000;
const WARM_UP: usize = 2_000;
const TURNS: usize = 9;

/// Datagrams of a feed of 10 Mb/s.
fn traffic() -> Vec<(Instant, [u8; DATAGRAM])> {
    let mut feed = Feed::new(Settings { bit_rate: 10_000_000, ..Settings::default() });
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
    (0..DATAGRAMS).map(|_| datagram()).collect()
}

/// Nanoseconds for each packet that left.
fn turn(traffic: &[(Instant, [u8; DATAGRAM])], inputs: u16, pace: Pace) -> f64 {
    let input = InputSetup { limits: Limits::of(Profile::Standard), ..InputSetup::default() };
    let channel = ChannelSetup {
        inputs: vec![input; usize::from(inputs)],
        delay: Span::from_millis(100),
        pace,
        ..ChannelSetup::default()
    };
    let mut engine = Engine::new(&Setup { channels: vec![channel] }, Instant::ZERO);
    let mut frames = HeapFrames::new(engine.frames_wanted());
    let (mut sent, mut begun) = (0, Clock::now());
    for (n, (at, bytes)) in traffic.iter().enumerate() {
        if n == WARM_UP {
            (sent, begun) = (0, Clock::now());
        }
        for input in 0..inputs {
            let at = *at + Span::from_micros(300 * u32::from(input));
            loop {
                sent += engine.ready().len() * PACKETS;
                engine.sent();
                while let Some(event) = engine.poll_event() {
                    black_box(event);
                }
                if engine.deadline() > at {
                    break;
                }
                engine.advance(&mut frames, at);
            }
            let slot = engine.take_slot().unwrap();
            frames.frame_mut(slot)[..DATAGRAM].copy_from_slice(bytes);
            engine.datagram(&mut frames, InputId(input), slot, DATAGRAM, at);
        }
    }
    let spent = begun.elapsed().as_nanos() as f64;
    assert!(sent > (DATAGRAMS - WARM_UP - 1_000) * PACKETS);
    spent / sent as f64
}

fn main() {
    let traffic = traffic();
    println!("ns a packet of the output, the least of {TURNS} turns in turn");
    for (pace, name) in [(Pace::Pcr, "pcr"), (Pace::Arrival, "arrival")] {
        let mut least = [f64::MAX; 2];
        for _ in 0..TURNS {
            for (inputs, least) in [1, 2].into_iter().zip(&mut least) {
                *least = least.min(turn(&traffic, inputs, pace));
            }
        }
        let [one, two] = least;
        println!("pace {name:<8} one passed through {one:6.1}   two merged {two:6.1}   {:.2} times", two / one);
    }
}
