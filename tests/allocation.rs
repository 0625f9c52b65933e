//! The shard's side allocates nothing once it has started: ten seconds of traffic with switches in it, through the engine in
//! its own time and through a live shard.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "traffic has a pace")]

mod common;
mod counting;

use std::net::UdpSocket;
use std::thread;
use std::time::{self, Duration};

use changeover::config::{InputPlan, OutputPlan};
use changeover::engine::{ChannelSetup, Command, Engine, Frames, HeapFrames, InputSetup, Setup, Snapshot, Standby};
use changeover::health::{Criterion, Limit, Limits, Raise, Scope};
use changeover::measure::{Accuracy, Arrivals, Clock, Rates};
use changeover::plane::{self, Shard, ShardSetup};
use changeover::switch::policy::{Failback, Settings as Policy};
use changeover::synth::Settings;
use changeover::units::{InputId, Instant, Pid, Span, Ticks27M};

use common::Source;
use counting::ALLOCATIONS;

/// One channel of two inputs that is quick to leave the first and quick to return; `standby` is the second's.
fn setup(standby: Standby) -> Setup {
    let failback = Failback::Auto { after: Span::ZERO };
    let policy = Policy { failback, dwell: Span::ZERO, max_per_minute: 0, ..Policy::default() };
    let mut limits = Limits::default();
    let soon = Span::from_millis(100);
    limits.set(Criterion::InputLoss, Some(Limit { raise: Raise::Lasting(soon), clear: soon, scope: Scope::ALL }));
    let input = |priority| InputSetup { priority, limits, ..InputSetup::default() };
    let channel = ChannelSetup {
        inputs: vec![input(2), InputSetup { standby, ..input(1) }],
        policy,
        delay: Span::from_millis(100),
        ..ChannelSetup::default()
    };
    Setup { channels: vec![channel] }
}

/// Ten seconds of two feeds: in every two, the main is silent once, and both lose datagrams.
fn traffic() -> Vec<(Instant, u16, Vec<u8>)> {
    let mut traffic = Vec::new();
    for (input, offset) in [(0, Span::ZERO), (1, Span::from_millis(40))] {
        let mut source = Source::new(Settings::default(), offset);
        loop {
            let (at, bytes) = source.next_datagram();
            if at > Instant::ZERO + Span::from_secs(10) {
                break;
            }
            let phase = at.nanos() / 1_000_000 % 2_000;
            let lost =
                input == 0 && (500..900).contains(&phase) || (1_200..1_300).contains(&phase) && at.nanos() % 3 == 0;
            if !lost {
                traffic.push((at, input, bytes));
            }
        }
    }
    traffic.sort_by_key(|t| t.0);
    traffic
}

#[test]
fn a_live_shard_allocates_nothing_after_start() {
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let receiver = free();
    let addresses = [free(), free()].map(|socket| socket.local_addr().unwrap());
    let inputs = addresses.map(|address| InputPlan {
        name: "in".to_owned(),
        url: format!("udp://{address}"),
        address,
        interface: None,
        sources: Vec::new(),
        receive_buffer: 1 << 20,
        domain: None,
        srt: None,
    });
    let address = receiver.local_addr().unwrap();
    let url = format!("rtp://{address}");
    let output = OutputPlan { url, rtp: true, address, interface: None, ttl: 1, dscp: 0, srt: None };
    let (shard, mut handle) = Shard::open(&ShardSetup {
        name: "shard".to_owned(),
        engine: setup(Standby::Hot),
        inputs: inputs.to_vec(),
        outputs: vec![vec![output]],
        cpu: None,
    })
    .unwrap();
    let running = thread::spawn(move || {
        ALLOCATIONS.set(Some(0));
        let stopped = shard.run();
        (ALLOCATIONS.replace(None).unwrap(), stopped)
    });
    let sender = free();
    let began = time::Instant::now();
    for (i, (at, input, bytes)) in traffic().iter().enumerate() {
        let due = Duration::from_nanos(at.nanos().unsigned_abs());
        thread::sleep(due.saturating_sub(began.elapsed()));
        sender.send_to(bytes, addresses[usize::from(*input)]).unwrap();
        if i % 1_000 == 999 {
            handle.command(plane::Command::Engine(Command::Take(InputId(*input)))).unwrap();
        }
        while handle.events.try_recv().is_ok() {}
    }
    let switches = handle.snapshot().engine.channels[0].switches;
    handle.stop();
    let (allocations, _stopped) = running.join().unwrap();
    assert_eq!(allocations, 0);
    assert!(switches >= 5, "{switches}");
}

#[test]
fn the_engine_allocates_nothing_after_start() {
    // the second comes and goes with the need for it
    for standby in [Standby::Hot, Standby::Warm { connect: Span::ZERO }] {
        runs_without_allocating(standby);
    }
}

fn runs_without_allocating(standby: Standby) {
    let mut engine = Engine::new(&setup(standby), Instant::ZERO);
    let mut frames = HeapFrames::new(engine.frames_wanted());
    let mut snapshot = Snapshot::default();
    engine.snapshot(&mut snapshot);

    let traffic = traffic();
    let (mut sent, mut events) = (0usize, 0u64);
    ALLOCATIONS.set(Some(0));
    for (i, (at, input, bytes)) in traffic.iter().enumerate() {
        while engine.deadline() <= *at {
            engine.advance(&mut frames, *at);
            sent += engine.ready().len();
            engine.sent();
        }
        let slot = engine.take_slot().unwrap();
        frames.frame_mut(slot)[..bytes.len()].copy_from_slice(bytes);
        engine.datagram(&mut frames, InputId(*input), slot, bytes.len(), *at);
        if i % 1_000 == 999 {
            engine.command(&mut frames, Command::Take(InputId(*input)), *at);
            engine.snapshot(&mut snapshot);
        }
        sent += engine.ready().len();
        engine.sent();
        while engine.poll_event().is_some() {
            events += 1;
        }
    }
    let allocations = ALLOCATIONS.replace(None).unwrap();
    engine.snapshot(&mut snapshot);
    assert_eq!(allocations, 0);
    assert!(snapshot.channels[0].switches > 6, "{}", snapshot.channels[0].switches);
    assert!(sent > 6_000 && events > 20, "{sent} datagrams, {events} events");
}

#[test]
fn measures_allocate_nothing_once_they_are_made() {
    let (mut accuracy, mut clock) = (Accuracy::new(), Clock::new());
    let (mut arrivals, mut rates) = (Arrivals::new(), Rates::new());
    let (mut errors, mut pids) = (0, 0);
    ALLOCATIONS.set(Some(0));
    for i in 0..20_000u32 {
        // every fourth second has another pace than the others, and one in 50 PCRs is off
        let at = Instant::ZERO + Span::from_micros(700 * i + i / 1_000 % 4 * (i % 7) * 90);
        arrivals.datagram(at, 1_316);
        if i % 40 == 0 {
            let pcr = Ticks27M(u64::from(i) * 18_900 + u64::from(i % 2_000 == 0) * 900);
            accuracy.pcr(at, u64::from(i) * 7, pcr, false, &mut |_| errors += 1);
            clock.pcr(at, pcr, false);
        }
        if i % 1_000 == 0 {
            rates.sample(at, (0..i / 10).zip(0..).map(|(n, pid)| (Pid::new(pid), u64::from(n * i))));
            arrivals.figures(at);
            accuracy.figures(at);
            clock.figures(at);
            pids = rates.figures().pids.len();
        }
    }
    let allocations = ALLOCATIONS.replace(None).unwrap();
    assert_eq!(allocations, 0);
    assert_eq!((errors, pids), (10, 64));
}
