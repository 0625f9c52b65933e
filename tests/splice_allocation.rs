//! A splicer allocates nothing once it is made.
#![allow(clippy::unwrap_used)]

mod counting;

use changeover::switch::Handle;
use changeover::switch::align::Leaving;
use changeover::switch::splice::{Entry, Kind, OnAir, Out, Outcome, Plan, Request, Settings, Side, Splicer};
use changeover::synth::{self, Feed};
use changeover::tr101290::{self, Analyser};
use changeover::ts::{Outline, Packet};
use changeover::units::{Instant, Span, Ticks27M};
use counting::ALLOCATIONS;

#[test]
fn nothing_is_allocated_once_it_is_made() {
    let feed = |seed, gop| {
        let mut feed = Feed::new(synth::Settings { bit_rate: 4_000_000, gop, seed, ..synth::Settings::default() });
        let packets: Vec<_> = (0..20_000).map(|_| feed.next_packet()).collect();
        let mut analyser = Analyser::new(&tr101290::Settings::default());
        packets.iter().for_each(|p| analyser.packet(Instant::ZERO, &p.bytes, &mut ()));
        (packets, analyser)
    };
    let feeds = [feed(1, 25), feed(2, 12)];
    let window = Span::from_millis(100);
    let mut splicer = Splicer::new(&Settings { feeds: 2, window, entry: Entry::Next, capacity: 4000 });
    ALLOCATIONS.set(Some(0));
    for (n, (_, analyser)) in feeds.iter().enumerate() {
        splicer.structure(n, analyser.programs(), analyser.streams(), |_| {});
    }
    let (mut given, mut back) = (0, 0);
    let mut running: Option<(Plan, usize)> = None;
    let (mut on_air, mut next, mut switches) = (OnAir { feed: 0, offset: 0, extra: 0 }, 0, 0);
    let mut count = |out| back += i32::from(matches!(out, Out::Send { .. } | Out::Drop(_)));
    for number in 0..20_000 {
        let now = Instant::ZERO + Ticks27M::span(feeds[0].0[number].at.0);
        for (feed, (packets, _)) in feeds.iter().enumerate() {
            splicer.watch(feed, number as u64, now, Packet::new(&packets[number].bytes));
        }
        if number % 3000 == 2999 && running.is_none() {
            let (from, to) = (Some(on_air), 1 - on_air.feed);
            let limit = Request::LIMIT_PLANNED;
            let request =
                Request { from, to, kind: Kind::Independent, planned: true, alive: true, constant: true, limit };
            assert!(splicer.begin(request, &[], now));
        }
        if let Outcome::Go(plan) = splicer.plan(now) {
            running = Some((plan, usize::try_from(plan.first).unwrap()));
        }
        let due = |packets: &[synth::Packet], number: usize, extra: i64| {
            let at = packets.get(number).map(|p| Ticks27M::span(p.at.0).nanos() + window.nanos() + extra);
            at.is_some_and(|at| at <= now.nanos())
        };
        while due(&feeds[on_air.feed].0, next, on_air.extra) {
            let bytes = &feeds[on_air.feed].0[next].bytes;
            let packet = Packet::new(bytes);
            let handle = Handle { frame: u32::try_from(next).unwrap(), offset: 0 };
            if running.is_some() {
                given += 1;
                let leaving = Leaving { handle, outline: Outline::of(packet), feed: on_air.feed, alone: false };
                splicer.packet(Side::Old, leaving, bytes, None, now, &mut count);
            } else {
                splicer.sent(on_air.feed, on_air.offset, packet, None);
            }
            if let Some(pcr) = packet.pcr() {
                let pcr = pcr.0.wrapping_add_signed(on_air.offset) % Ticks27M::WRAP;
                splicer.clock(Ticks27M(pcr), now);
            }
            next += 1;
        }
        while let Some((plan, number)) = running.filter(|(plan, n)| due(&feeds[plan.to].0, *n, plan.extra)) {
            given += 1;
            let bytes = &feeds[plan.to].0[number].bytes;
            let handle = Handle { frame: u32::try_from(number).unwrap(), offset: 1 };
            let leaving = Leaving { handle, outline: Outline::of(Packet::new(bytes)), feed: plan.to, alone: false };
            splicer.packet(Side::New, leaving, bytes, None, now, &mut count);
            running = Some((plan, number + 1));
        }
        splicer.advance(now, &mut count);
        let _ = splicer.cost(now);
        if let (true, Some((plan, number))) = (splicer.finished(now), running) {
            on_air = OnAir { feed: plan.to, offset: plan.offset, extra: plan.extra };
            (next, running, switches) = (number, None, switches + 1);
        }
    }
    splicer.cancel(&mut count);
    let allocations = ALLOCATIONS.take();
    assert_eq!((allocations, given), (Some(0), back));
    assert!(switches >= 3, "{switches}");
}
