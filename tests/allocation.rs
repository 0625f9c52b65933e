//! The shard's side allocates nothing once it has started: ten seconds of traffic with switches in it.
#![allow(unsafe_code, clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use changeover::engine::{ChannelSetup, Command, Engine, Frames, GatherSetup, HeapFrames, InputSetup, Setup, Snapshot};
use changeover::health::{Criterion, Limit, Limits, PidScope, Raise};
use changeover::switch::policy::{Failback, Settings as Policy};
use changeover::synth::Settings;
use changeover::units::{InputId, Instant, Span};

use common::Source;

thread_local! {
    static ALLOCATIONS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Counts what this thread asks for while it is told to.
struct Counting;

fn count() {
    ALLOCATIONS.with(|a| a.set(a.get().map(|n| n + 1)));
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system's.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_engine_allocates_nothing_after_start() {
    let failback = Failback::Auto { after: Span::ZERO };
    let policy = Policy { failback, dwell: Span::ZERO, max_per_minute: 0, ..Policy::default() };
    let mut limits = Limits::default();
    let soon = Span::from_millis(100);
    limits.set(Criterion::InputLoss, Some(Limit { raise: Raise::Lasting(soon), clear: soon, pids: PidScope::ALL }));
    let input = |priority| InputSetup { priority, limits, ..InputSetup::default() };
    let channel = ChannelSetup {
        inputs: vec![input(2), input(1)],
        policy,
        delay: Span::from_millis(100),
        gather: GatherSetup::default(),
    };
    let mut engine = Engine::new(&Setup { channels: vec![channel] }, Instant::ZERO);
    let mut frames = HeapFrames::new(engine.frames_wanted());
    let mut snapshot = Snapshot::default();
    engine.snapshot(&mut snapshot);

    // the traffic is made beforehand: silence, lost packets and a take in every two seconds
    let mut traffic: Vec<(Instant, u16, Vec<u8>)> = Vec::new();
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
