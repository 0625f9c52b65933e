//! An engine with one channel, the feeds that it is given, and somebody who takes inputs.

use changeover::engine::{ChannelSetup, Command, Event, Forecast, InputSetup, Setup, Switch, What};
use changeover::health::{Criterion, Limit, Limits, Raise, Scope};
use changeover::switch::policy::{self, Failback};
use changeover::units::{InputId, Instant, Span};

use crate::common::Rig;
use crate::feed::{Chance, Feed, MS};
use crate::output::Output;

pub struct Stage {
    pub feeds: Vec<Feed>,
    rig: Rig,
    /// All datagrams in order: when, of which feed, and what.
    queue: std::vec::IntoIter<(i64, usize, Vec<u8>)>,
    next: Option<(i64, usize, Vec<u8>)>,
    /// How many events were looked at by [`Stage::take`].
    seen: usize,
}

/// A channel of so many inputs, 100 ms of delay, whose rules never return by themselves and leave an input only when nothing
/// comes of it for 200 ms.
pub fn channel(inputs: usize) -> ChannelSetup {
    let mut limits = Limits::NONE;
    let loss = Raise::Lasting(Span::from_millis(200));
    limits.set(Criterion::InputLoss, Some(Limit { raise: loss, clear: Span::from_secs(1), scope: Scope::ALL }));
    let input = |n: usize| InputSetup { priority: 100 - n as i32, limits, ..InputSetup::default() };
    ChannelSetup {
        inputs: (0..inputs).map(input).collect(),
        policy: policy::Settings { failback: Failback::Manual, max_per_minute: 0, ..policy::Settings::default() },
        delay: Span::from_millis(100),
        ..ChannelSetup::default()
    }
}

impl Stage {
    pub fn new(feeds: Vec<Feed>) -> Self {
        Self::with(feeds, |_| {})
    }

    /// With another setup than [`channel`].
    pub fn with(feeds: Vec<Feed>, change: impl FnOnce(&mut ChannelSetup)) -> Self {
        let mut channel = channel(feeds.len());
        change(&mut channel);
        let mut all: Vec<_> = feeds
            .iter()
            .enumerate()
            .flat_map(|(n, feed)| feed.datagrams().into_iter().map(move |(at, bytes)| (at, n, bytes)))
            .collect();
        all.sort_by_key(|(at, n, _)| (*at, *n));
        let mut queue = all.into_iter();
        let next = queue.next();
        Self { feeds, rig: Rig::new(&Setup { channels: vec![channel] }), queue, next, seen: 0 }
    }

    pub fn now(&self) -> i64 {
        self.rig.now.nanos()
    }

    /// When the first of the feeds ends.
    pub fn end(&self) -> i64 {
        self.feeds.iter().map(Feed::end).min().unwrap()
    }

    pub fn run(&mut self, until: i64) {
        while let Some((at, feed, bytes)) = self.next.take_if(|(at, ..)| *at <= until) {
            self.rig.datagram(feed as u16, Instant::from_nanos(at), &bytes);
            self.next = self.queue.next();
        }
        self.rig.advance(Instant::from_nanos(until.max(self.now())));
    }

    pub const fn rig(&mut self) -> &mut Rig {
        &mut self.rig
    }

    pub fn events(&self) -> &[Event] {
        &self.rig.events
    }

    pub fn switches(&self) -> Vec<(i64, Switch)> {
        self.rig.events.iter().filter_map(switch).collect()
    }

    pub fn on_air(&self) -> usize {
        self.switches().last().expect("something is on air").1.to.index()
    }

    /// What a switch to an input would cost.
    pub fn forecast(&self, input: usize) -> Option<Forecast> {
        self.rig.snapshot().inputs[input].forecast
    }

    /// The next switch that is told, within `limit`.
    pub fn told(&mut self, limit: i64) -> Option<(i64, Switch)> {
        let end = self.now() + limit;
        loop {
            let fresh = self.rig.events[self.seen..].iter().position(|event| switch(event).is_some());
            if let Some(fresh) = fresh {
                self.seen += fresh + 1;
                return switch(&self.rig.events[self.seen - 1]);
            }
            if self.now() >= end {
                return None;
            }
            self.run((self.now() + MS).min(end));
        }
    }

    /// Takes an input and waits until it is told that it is on air.
    pub fn take(&mut self, input: usize) -> (i64, Switch) {
        self.seen = self.rig.events.len();
        let now = self.now();
        assert!(self.rig.command(Command::Take(InputId(input as u16))), "input {input} cannot be taken at {now} ns");
        let told = self.told(13_000 * MS);
        let (at, switch) = told.unwrap_or_else(|| panic!("no switch to input {input} after the take at {now} ns"));
        assert_eq!(switch.to.index(), input, "taken at {now}, told at {at}: {switch:?}\n{:#?}", self.rig.events);
        (at, switch)
    }

    /// Starts, then takes the two inputs in turn, each up to `most` ns after the last was told, until 600 ms before the feeds
    /// end. How many times it did.
    pub fn alternate(&mut self, takes: usize, most: i64, seed: u64) -> usize {
        let mut chance = Chance(seed);
        self.run(3000 * MS);
        for n in 0..takes {
            if self.now() + 1200 * MS > self.end() {
                return n;
            }
            self.run(self.now() + chance.below(most));
            self.take(1 - self.on_air());
        }
        self.run(self.now() + 2000 * MS);
        takes
    }

    /// What left, with all that is still under way.
    pub fn finish(mut self) -> Output {
        self.run(self.now() + 200 * MS);
        Output::new(&self.rig, self.feeds)
    }
}

fn switch(event: &Event) -> Option<(i64, Switch)> {
    if let What::Switch(switch) = event.what { Some((event.at.nanos(), switch)) } else { None }
}
