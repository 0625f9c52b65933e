//! The parts put together: datagrams and times in, datagrams and events out.
//!
//! - Nothing here reads a clock, opens a socket, takes a lock or allocates after [`Engine::new`].
//! - The same calls give the same datagrams, bytes and events, whoever makes them: the live plane or a replay.
//! - Whatever falls due by time passing does so at its own time and in order, however late [`Engine::advance`] is called.

mod agenda;
mod channel;
mod event;
mod flow;
mod forecast;
mod gather;
mod joint;
mod line;
mod meter;
mod outbox;
mod output;
mod packets;
mod past;
mod path;
mod room;
mod setup;
mod slate;
mod slots;
mod snapshot;
mod transition;

pub use event::{Command, Cost, Event, InputState, Kind, Reason, Setting, Switch, What};
pub use forecast::Forecast;
pub use outbox::{MAX_PACKETS, OutDatagram, Outbox, Piece, RTP_HEADER};
pub use setup::{ChannelSetup, ClockPolicy, Entry, GatherSetup, Hole, InputSetup, MAX_INPUTS, Pace, Setup, Standby};
pub use slots::{FRAME_SIZE, Frames, HeapFrames, Slot, Slots};
pub use snapshot::{ChannelSnapshot, InputFigures, InputSnapshot, SHOWN, Snapshot};

use std::collections::VecDeque;

use crate::health::LinkFigures;
use crate::measure::arrivals;
use crate::tr101290::Analyser;
use crate::transport::WINDOW;
use crate::units::{ChannelId, InputId, Instant, Span};

use agenda::Agenda;
use channel::Channel;
use flow::Flow;
use output::Sending;
use path::Path;

/// Output datagrams that can wait to be sent.
const OUTBOX: usize = 512;
/// Events that can wait to be told.
const EVENTS: usize = 1024;
/// By how much a deadline is put off that did not move though all was done. None does, and a build with assertions says so;
/// on air, time must go on all the same.
const STUCK: Span = Span::from_millis(1);
/// Frames of a channel for packets that came from no input: those that wait to be sent, and the one that is filled.
const MADE: usize = 64;
/// Frames that the driver can hold to receive into.
const RECEIVING: usize = 256;

/// A pure state machine that runs the channels of its setup.
#[derive(Debug)]
pub struct Engine {
    slots: Slots,
    outbox: Outbox,
    events: Events,
    paths: Vec<Path>,
    channels: Vec<Channel>,
    /// The channel of each input.
    channel_of: Vec<usize>,
    /// When each input has something to do, and each channel.
    input_due: Agenda,
    channel_due: Agenda,
    /// An input was woken, or let go.
    woken: bool,
    now: Instant,
}

/// Events that wait to be told; when there are too many, the newest are lost and counted.
#[derive(Debug)]
struct Events {
    queue: VecDeque<Event>,
    lost: u64,
}

impl Events {
    fn push(&mut self, event: Event) {
        if self.queue.len() == EVENTS {
            self.lost += 1;
        } else {
            self.queue.push_back(event);
        }
    }
}

impl Engine {
    /// An engine for `setup` that begins at `now`.
    pub fn new(setup: &Setup, now: Instant) -> Self {
        let mut paths = Vec::new();
        let mut channels = Vec::new();
        let mut channel_of = Vec::new();
        for (i, channel) in setup.channels.iter().enumerate() {
            let first = paths.len();
            let inputs = channel.inputs.iter().take(MAX_INPUTS);
            paths.extend(inputs.enumerate().map(|(place, input)| Path::new(input, place, now)));
            channel_of.resize(paths.len(), i);
            let id = ChannelId(u16::try_from(i).unwrap_or(u16::MAX));
            channels.push(Channel::new(channel, id, first..paths.len(), now));
        }
        let held = setup.channels.iter().map(|c| Flow::frames(c) + c.inputs.len() * usize::from(WINDOW));
        let held: usize = held.sum();
        let frames = held + (OUTBOX + channels.len()) * MAX_PACKETS + RECEIVING + channels.len() * MADE;
        Self {
            slots: Slots::new(u32::try_from(frames).unwrap_or(u32::MAX)),
            outbox: Outbox::new(OUTBOX),
            events: Events { queue: VecDeque::with_capacity(EVENTS), lost: 0 },
            input_due: Agenda::new(paths.len(), now),
            channel_due: Agenda::new(channels.len(), now),
            paths,
            channels,
            channel_of,
            woken: false,
            now,
        }
    }

    /// How many frames the arena must have for this engine: the driver makes it once, before the first datagram.
    pub fn frames_wanted(&self) -> usize {
        self.slots.len()
    }

    /// A free frame to receive into; none while all are in use.
    #[inline]
    pub fn take_slot(&mut self) -> Option<Slot> {
        self.slots.take()
    }

    /// Gives back a frame from [`Engine::take_slot`] that received nothing.
    pub fn return_slot(&mut self, slot: Slot) {
        self.slots.release(slot);
    }

    /// A datagram of `len` bytes for `input`, received at `at` into `slot`, which the engine owns from here.
    /// Times may step back between inputs, by less than a round of the driver.
    #[inline]
    pub fn datagram<F: Frames>(&mut self, frames: &mut F, input: InputId, slot: Slot, len: usize, at: Instant) {
        let i = input.index();
        let Some(path) = self.paths.get_mut(i) else {
            self.slots.release(slot);
            return;
        };
        self.now = self.now.max(at);
        let channel = &mut self.channels[self.channel_of[i]];
        path.receive(frames, slot, len, at, &mut self.slots, channel);
        self.after(i, frames, at);
    }

    /// How the connection stands at `at` by which `input` comes, where it comes by one. To be told again and again, and at
    /// once when it begins or ends: what follows is done by [`Engine::advance`].
    pub fn link(&mut self, input: InputId, figures: &LinkFigures, at: Instant) {
        let at = at.max(self.now);
        let i = input.index();
        let Some(path) = self.paths.get_mut(i) else { return };
        path.link(at, figures);
        self.refresh_input(i);
    }

    /// Whether an input is to be received: one that rests until it is needed is not, and what comes of it all the same is let go.
    pub fn wants(&self, input: InputId) -> bool {
        self.paths.get(input.index()).is_some_and(Path::is_awake)
    }

    /// Whether another answer of [`Engine::wants`] was decided since it was last asked.
    #[inline]
    pub const fn has_woken(&mut self) -> bool {
        core::mem::replace(&mut self.woken, false)
    }

    /// What follows once the input at `i` did something.
    #[inline]
    fn after<F: Frames>(&mut self, i: usize, frames: &mut F, at: Instant) {
        let c = self.channel_of[i];
        if self.paths[i].arrived || self.paths[i].judge.has_changes() {
            self.settle(c, at);
        }
        self.refresh_input(i);
        let channel = &mut self.channels[c];
        channel.expire(i - channel.inputs.start, at, &mut self.slots);
        if channel.deadline() <= at {
            self.release(c, frames, at);
        } else {
            self.refresh_channel(c);
        }
    }

    fn settle(&mut self, c: usize, at: Instant) {
        if self.channels[c].settle(at, &mut self.paths, &mut self.slots, &mut self.events) {
            self.woken = true;
            for i in self.channels[c].inputs.clone() {
                self.refresh_input(i);
            }
        }
        self.refresh_channel(c);
    }

    #[inline]
    fn release<F: Frames>(&mut self, c: usize, frames: &mut F, at: Instant) {
        let channel = &mut self.channels[c];
        let (slots, outbox, events) = (&mut self.slots, &mut self.outbox, &mut self.events);
        channel.release(&mut Sending { now: at, frames, slots, outbox, events }, &self.paths);
        self.refresh_channel(c);
    }

    #[inline]
    fn refresh_input(&mut self, i: usize) {
        self.input_due.set(i, self.paths[i].deadline());
    }

    #[inline]
    fn refresh_channel(&mut self, c: usize) {
        let channel = &self.channels[c];
        self.channel_due.set(c, channel.chooser.deadline().min(channel.deadline()));
    }

    /// When [`Engine::advance`] has something to do, [`Instant::NEVER`] if only a datagram can change anything.
    #[inline]
    pub fn deadline(&self) -> Instant {
        self.input_due.earliest().min(self.channel_due.earliest())
    }

    /// Lets time pass until `now`: everything that falls due happens at its own time and in order. Where the outbox
    /// fills up it stops, and [`Engine::deadline`] stays in the past: send, then call it again.
    pub fn advance<F: Frames>(&mut self, frames: &mut F, now: Instant) {
        loop {
            let due = self.deadline();
            if due > now || due == Instant::NEVER || !self.outbox.has_room() {
                break;
            }
            self.now = self.now.max(due);
            let at = self.now;
            if self.channel_due.earliest() == due {
                let c = self.channel_due.first();
                self.fire_channel(c, frames, at);
                if self.channel_due.due(c) <= due && self.outbox.has_room() {
                    debug_assert!(false, "the channel {c} met its deadline and has it still");
                    self.channel_due.set(c, at + STUCK);
                }
            } else {
                let i = self.input_due.first();
                let channel = &mut self.channels[self.channel_of[i]];
                self.paths[i].advance(frames, at, &mut self.slots, channel);
                self.after(i, frames, at);
                if self.input_due.due(i) <= due && self.outbox.has_room() {
                    debug_assert!(false, "the input {i} met its deadline and has it still");
                    self.input_due.set(i, at + STUCK);
                }
            }
        }
        self.now = self.now.max(now.min(self.deadline()));
    }

    fn fire_channel<F: Frames>(&mut self, c: usize, frames: &mut F, at: Instant) {
        if self.channels[c].output.gather.deadline() <= at {
            self.channels[c].output.gather.flush(&mut self.outbox);
        }
        if self.channels[c].chooser.deadline() <= at {
            self.settle(c, at);
        }
        self.release(c, frames, at);
    }

    /// Does what a person asked for, at `now`. False when it cannot be done: no such input or channel, or an input
    /// that is not available was to be taken.
    pub fn command<F: Frames>(&mut self, frames: &mut F, command: Command, now: Instant) -> bool {
        let at = now.max(self.now);
        let input = match command {
            Command::Take(input) | Command::Hold(input) | Command::Enable(input, _) | Command::Prioritise(input, _) => {
                input
            }
            Command::Release(channel) => {
                let Some(held) = self.channels.get_mut(channel.index()) else { return false };
                let was = held.chooser.held().map(|i| held.inputs.start + i);
                held.chooser.release();
                if let Some(input) = was.and_then(|i| u16::try_from(i).ok()).map(InputId) {
                    let what = What::Set { input, setting: Setting::Released };
                    self.events.push(Event { at, channel, what });
                }
                self.settle(channel.index(), at);
                self.release(channel.index(), frames, at);
                return true;
            }
        };
        let i = input.index();
        let Some(path) = self.paths.get_mut(i) else { return false };
        let c = self.channel_of[i];
        let channel = &mut self.channels[c];
        let (place, chooser) = (i - channel.inputs.start, &mut channel.chooser);
        let setting = match command {
            Command::Take(_) | Command::Hold(_) if !path.enabled => return false,
            Command::Take(_) => {
                chooser.take(place);
                None
            }
            Command::Hold(_) => {
                chooser.hold(place);
                Some(Setting::Held)
            }
            Command::Enable(_, enabled) => {
                path.enabled = enabled;
                Some(if enabled { Setting::Enabled } else { Setting::Disabled })
            }
            Command::Prioritise(_, priority) => {
                path.priority = priority;
                Some(Setting::Priority(priority))
            }
            Command::Release(_) => None,
        };
        if let Some(setting) = setting {
            let channel = ChannelId(u16::try_from(c).unwrap_or(u16::MAX));
            self.events.push(Event { at, channel, what: What::Set { input, setting } });
        }
        self.settle(c, at);
        self.release(c, frames, at);
        true
    }

    /// The output datagrams that are ready to be sent.
    #[inline]
    pub fn ready(&self) -> &[OutDatagram] {
        self.outbox.ready()
    }

    /// The datagrams of [`Engine::ready`] were sent, or given up: their frames are free again.
    #[inline]
    pub fn sent(&mut self) {
        self.outbox.clear(&mut self.slots);
    }

    /// The oldest event that was not yet told.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.queue.pop_front()
    }

    /// When the datagrams of an input come; none where there is no such input.
    pub fn arrivals(&self, input: InputId, now: Instant) -> Option<arrivals::Figures> {
        Some(self.paths.get(input.index())?.arrivals(now))
    }

    /// The analyser of an input; none where there is no such input.
    pub fn analyser(&self, input: InputId) -> Option<&Analyser> {
        self.paths.get(input.index()).map(|path| &path.analyser)
    }

    /// Copies the state into `snapshot`, which allocates only the first time.
    pub fn snapshot(&self, snapshot: &mut Snapshot) {
        snapshot.at = self.now;
        snapshot.events_lost = self.events.lost;
        snapshot.inputs.resize(self.paths.len(), InputSnapshot::default());
        snapshot.channels.resize(self.channels.len(), ChannelSnapshot::default());
        for (path, into) in self.paths.iter().zip(&mut snapshot.inputs) {
            path.fill(into, self.now);
        }
        for (channel, into) in self.channels.iter().zip(&mut snapshot.channels) {
            channel.fill(into);
            for place in 0..channel.inputs.len() {
                let input = &mut snapshot.inputs[channel.inputs.start + place];
                input.state = channel.state(place, &self.paths);
                channel.flow.fill(place, input, self.now);
                if input.state == InputState::Warm {
                    input.kinship = None;
                }
                input.forecast = channel.forecast(place);
            }
        }
    }
}
