//! A shard: one thread that owns an engine, its sockets and its arena, and runs to completion.
//!
//! A round is one wait, then for each socket that has something a batch from the kernel to the engine and what is ready
//! from the engine to the kernel, then the time that has passed, then control. In a round nothing is allocated or freed,
//! no lock is taken and nothing is written to a log.
//!
//! Invariants:
//! - The engine's time never passes a datagram that may still wait in a socket: where a socket was not emptied, time
//!   goes only as far as its last stamp.
//! - Whatever a socket says is counted and never ends a round.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::arena::Arena;
use super::clock::Now;
use super::error::OpenError;
use super::handle::{Command, PlaneSnapshot, Retired, ShardHandle, Signal};
use super::input::{BATCH, Batch, Entry, Input, Intake, RingInput};
use super::interface::Interfaces;
use super::output::{Outlet, Output, OutputSocket};
use super::srt::{End, Place, Sink, Source, SrtState, SrtStatus};
use super::sys::{self, Epoll};
use super::watch::{OutputWatch, Watch};
use crate::config::{InputPlan, OutputPlan};
use crate::engine::{self, Engine, Event, Slot, Standby};
use crate::health::LinkFigures;
use crate::units::{ChannelId, InputId, Instant, Span};

/// How often the state is told.
const SNAPSHOT: Span = Span::from_millis(100);
/// The engine's deadlines are met this late at most, so that those close together share one wake-up and one system call
/// an output. It is a fifth of the time between two datagrams of 10 Mb/s.
const TOGETHER: Span = Span::from_micros(200);
/// Batches read from one socket before the next has its turn: 512 datagrams are half a second of 10 Mb/s.
const TURNS: usize = 8;
/// After a round with so many datagrams, the time is read again before waiting: until then it has hardly passed.
const LONG_ROUND: usize = 32;
/// The offset to Unix time is told anew when it is off by more than this: two readings of the clocks are never the same, and
/// one moment should not be told as two.
const STEADY_NS: u64 = 1_000_000;
const EVENTS: usize = 4096;
const COMMANDS: usize = 256;
const RETIRED: usize = 256;
const BELL: u64 = u64::MAX;

/// What a shard is built from.
#[derive(Clone, Debug, Default)]
pub struct ShardSetup {
    /// The name of its thread; Linux shows the first 15 bytes.
    pub name: String,
    /// What its engine runs.
    pub engine: engine::Setup,
    /// Where the inputs come from, in the order of the engine's [`InputId`]s.
    pub inputs: Vec<InputPlan>,
    /// Where the output of each channel goes.
    pub outputs: Vec<Vec<OutputPlan>>,
    /// The processor to keep the thread on, if that can be had.
    pub cpu: Option<usize>,
}

/// A shard that is open but not running.
#[derive(Debug)]
pub struct Shard {
    name: String,
    cpu: Option<usize>,
    core: Core,
    inputs: Vec<Entry>,
    batch: Batch,
    epoll: Epoll,
    signal: Arc<Signal>,
    commands: Receiver<Command>,
    retired: Sender<Retired>,
    events: Sender<Event>,
    snapshots: triple_buffer::Input<PlaneSnapshot>,
    /// The latest time that the engine was told.
    advanced: Instant,
    snapshot_due: Instant,
    /// As it is told: see [`STEADY_NS`].
    realtime_offset_ns: i64,
    rounds: u64,
    events_lost: u64,
    commands_done: u64,
    commands_refused: u64,
}

/// All that a shard was made of, to be dropped where it holds up nobody.
#[derive(Debug)]
pub struct Stopped(#[expect(dead_code, reason = "kept to be dropped elsewhere")] Shard);

/// The engine, its memory and its way out.
#[derive(Debug)]
struct Core {
    engine: Engine,
    arena: Arena,
    outlet: Outlet,
}

impl Core {
    /// Sends what is ready. False where nothing was.
    #[inline]
    fn flush(&mut self) -> bool {
        if self.engine.ready().is_empty() {
            return false;
        }
        self.outlet.send(self.engine.ready(), &self.arena);
        self.engine.sent();
        true
    }

    /// Lets everything happen that is due at `now`.
    fn advance(&mut self, now: Instant) {
        loop {
            let deadline = self.engine.deadline();
            if deadline > now {
                return;
            }
            self.engine.advance(&mut self.arena, now);
            // A deadline that stays although nothing had to be sent first would stay for ever.
            if !self.flush() && self.engine.deadline() == deadline {
                return;
            }
        }
    }
}

/// Hands the datagrams of one input to the engine.
struct Feed<'a> {
    engine: &'a mut Engine,
    input: InputId,
    /// No other input has anything from before this time, so that what is due before a datagram happens before it.
    alone: Instant,
}

impl Intake for Feed<'_> {
    #[inline]
    fn frame(&mut self) -> Option<Slot> {
        self.engine.take_slot()
    }

    #[inline]
    fn datagram(&mut self, arena: &mut Arena, slot: Slot, len: usize, at: Instant) {
        if self.engine.deadline() < at.min(self.alone) {
            self.engine.advance(arena, at.min(self.alone));
        }
        self.engine.datagram(arena, self.input, slot, len, at);
    }
}

impl Shard {
    /// Opens everything, so that nothing can go wrong later that a person should be told now. An interface, address or
    /// route that is not there is no error: the input or output works as soon as a [`Watch`] finds it.
    ///
    /// # Errors
    /// The first thing that could not be opened, by the URL of its input or output.
    pub fn open(setup: &ShardSetup) -> Result<(Self, ShardHandle), OpenError> {
        let system = |doing| move |source| OpenError::System { doing, source };
        let engine_inputs = setup.engine.channels.iter().map(|channel| channel.inputs.len()).sum();
        for (what, engine, sockets) in [
            ("inputs", engine_inputs, setup.inputs.len()),
            ("channels", setup.engine.channels.len(), setup.outputs.len()),
        ] {
            if engine != sockets {
                return Err(OpenError::Mismatch { what, engine, sockets });
            }
        }
        let interfaces = Interfaces::read().map_err(system("read the network interfaces"))?;
        let now = Now::read();
        let engine = Engine::new(&setup.engine, now.instant);
        let spare = u32::try_from(engine.frames_wanted())
            .map_err(|_| system("map the arena")(io::ErrorKind::OutOfMemory.into()))?;
        let arena = Arena::new(engine.frames_wanted() + BATCH).map_err(system("map the arena"))?;
        let signal = Arc::new(Signal::new().map_err(system("make an eventfd"))?);
        let epoll = Epoll::new(setup.inputs.len() + 1).map_err(system("make an epoll"))?;
        epoll.add(signal.bell.file().as_fd(), BELL).map_err(system("wait for the eventfd"))?;

        let mut watch = Vec::with_capacity(setup.inputs.len());
        let mut inputs = Vec::with_capacity(setup.inputs.len());
        let (srt_events_out, srt_events) = bounded(EVENTS);
        let standbys = setup.engine.channels.iter().flat_map(|channel| &channel.inputs).map(|input| input.standby);
        for ((id, plan), standby) in (0_u16..).map(InputId).zip(&setup.inputs).zip(standbys) {
            let input = match &plan.srt {
                Some(srt) => {
                    let interface = plan.interface.as_ref();
                    let (end, events) = (End::Input(id), &srt_events_out);
                    let place = Place { url: &plan.url, plan: srt, address: plan.address, interface, end, events };
                    Entry::Ring(Box::new(RingInput::new(Source::open(&place, engine.wants(id))?, srt.buffer)))
                }
                None => {
                    let rests = (standby != Standby::Hot).then_some(id);
                    let (input, input_watch) = Input::open(plan, &interfaces, rests)?;
                    watch.extend(input_watch.map(Watch::Input));
                    Entry::Socket(input)
                }
            };
            epoll
                .add(input.descriptor(), u64::from(id.0))
                .map_err(|source| OpenError::of(&plan.url, plan.address, "wait for the socket", source))?;
            inputs.push(input);
        }
        let mut outputs = Vec::with_capacity(setup.outputs.len());
        for (channel, plans) in (0_u16..).map(ChannelId).zip(&setup.outputs) {
            let mut of_channel = Vec::with_capacity(plans.len());
            for (index, plan) in plans.iter().enumerate() {
                if let Some(srt) = &plan.srt {
                    let interface = plan.interface.as_ref();
                    let (end, events) = (End::Output { channel, index }, &srt_events_out);
                    let place = Place { url: &plan.url, plan: srt, address: plan.address, interface, end, events };
                    of_channel.push(Output::by_ring(Sink::open(&place)?));
                    continue;
                }
                let socket = OutputSocket::open(plan, &interfaces)?;
                watch.push(Watch::Output(OutputWatch::new(plan, channel, index, socket.as_ref())));
                of_channel.push(Output::new(socket));
            }
            outputs.push(of_channel);
        }

        let (commands, commands_in) = bounded(COMMANDS);
        let (events_out, events) = bounded(EVENTS);
        let (retired_out, retired) = bounded(RETIRED);
        let mut first = PlaneSnapshot {
            inputs: inputs.iter().map(Entry::figures).collect(),
            srt_inputs: inputs.iter_mut().map(|input| input.srt().cloned()).collect(),
            srt_outputs: outputs
                .iter_mut()
                .map(|of: &mut Vec<Output>| of.iter_mut().map(|output| output.srt().cloned()).collect())
                .collect(),
            outputs: outputs.iter().map(|of| of.iter().map(|output| output.figures).collect()).collect(),
            realtime_offset_ns: now.realtime_offset_ns,
            ..PlaneSnapshot::default()
        };
        engine.snapshot(&mut first.engine);
        let (snapshots, snapshots_out) = triple_buffer::triple_buffer(&first);
        let batch = Batch::new(&arena, spare);
        let outlet = Outlet::new(outputs, &arena);
        let shard = Self {
            name: setup.name.clone(),
            cpu: setup.cpu,
            core: Core { engine, arena, outlet },
            inputs,
            batch,
            epoll,
            signal: Arc::clone(&signal),
            commands: commands_in,
            retired: retired_out,
            events: events_out,
            snapshots,
            advanced: now.instant,
            snapshot_due: now.instant,
            realtime_offset_ns: now.realtime_offset_ns,
            rounds: 0,
            events_lost: 0,
            commands_done: 0,
            commands_refused: 0,
        };
        Ok((shard, ShardHandle { events, srt_events, retired, watch, commands, signal, snapshots: snapshots_out }))
    }

    /// Runs on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn spawn(self) -> io::Result<JoinHandle<Stopped>> {
        thread::Builder::new().name(self.name.clone()).spawn(move || self.run())
    }

    /// Runs on this thread until it is told to stop, and gives back everything.
    pub fn run(mut self) -> Stopped {
        self.cpu = self.cpu.filter(|&cpu| super::thread::pin(cpu).is_ok());
        super::thread::wake_promptly();
        let mut now = Now::read();
        let mut received = 0;
        while !self.signal.stopped() {
            let since = if received > LONG_ROUND { Now::read().instant } else { now.instant };
            let ready = self.epoll.wait(self.patience(since).nanos());
            now = Now::read();
            received = self.round(ready, &now);
        }
        self.tell(&now);
        Stopped(self)
    }

    /// How long to wait for datagrams.
    fn patience(&self, now: Instant) -> Span {
        self.core.engine.deadline().since(now).max(TOGETHER).min(self.snapshot_due.since(now))
    }

    /// One round, for `ready` of the epoll's. How many datagrams were received.
    fn round(&mut self, ready: usize, now: &Now) -> usize {
        self.rounds += 1;
        let mut received = 0;
        let mut rung = false;
        let mut horizon = now.instant;
        let alone = if ready == 1 { now.instant } else { Instant::LONG_AGO };
        for index in 0..ready {
            let token = self.epoll.token(index);
            let place = usize::try_from(token).ok();
            let Some(input) = place.and_then(|place| self.inputs.get_mut(place)) else {
                rung |= token == BELL;
                continue;
            };
            // Fewer than 2^16 inputs: an engine's InputId counts no more.
            let Ok(id) = u16::try_from(token) else { continue };
            let mut full = true;
            if let Entry::Ring(ring) = input {
                ring.source.hear();
            }
            for _ in 0..TURNS {
                let mut feed = Feed { engine: &mut self.core.engine, input: InputId(id), alone };
                let arena = &mut self.core.arena;
                let count = match input {
                    Entry::Socket(input) => input.receive(&mut self.batch, arena, now, &mut feed),
                    Entry::Ring(input) => input.receive(arena, now, &mut feed),
                };
                self.core.flush();
                received += count;
                full = count == BATCH;
                if !full {
                    break;
                }
            }
            if full {
                horizon = horizon.min(input.last());
                if let Entry::Ring(ring) = input {
                    ring.source.ring();
                }
            }
        }
        self.advanced = self.advanced.max(horizon);
        self.core.advance(self.advanced);
        self.tell_events();

        let due = now.instant >= self.snapshot_due;
        // Control may have had to make room first, without ringing again.
        let commanded = (rung || due) && self.take_commands();
        let woken = self.core.engine.has_woken() && self.wake();
        if commanded || due || woken {
            self.tell(now);
        }
        received
    }

    fn tell_events(&mut self) {
        while let Some(event) = self.core.engine.poll_event() {
            self.events_lost += u64::from(self.events.try_send(event).is_err());
        }
    }

    /// Does what control asks for. False where it asks for nothing.
    fn take_commands(&mut self) -> bool {
        self.signal.bell.hush();
        let mut any = false;
        // A command may retire something, which must have a place to go.
        while !self.retired.is_full() {
            let Ok(command) = self.commands.try_recv() else { break };
            any = true;
            let done = match command {
                Command::Engine(command) => {
                    let Core { engine, arena, .. } = &mut self.core;
                    engine.command(arena, command, self.advanced)
                }
                Command::Output { channel, index, socket } => self.replace_output(channel, index, socket),
                Command::Stop => {
                    self.signal.stop();
                    true
                }
            };
            *if done { &mut self.commands_done } else { &mut self.commands_refused } += 1;
            self.core.flush();
        }
        if any {
            self.core.advance(self.advanced);
            self.tell_events();
        }
        any
    }

    fn replace_output(&mut self, channel: ChannelId, index: usize, socket: OutputSocket) -> bool {
        let output = self.core.outlet.outputs.get_mut(channel.index()).and_then(|of| of.get_mut(index));
        let (old, done) = match output {
            Some(output) => match output.replace(socket) {
                Ok(old) => (old, true),
                Err(socket) => (Some(socket), false),
            },
            None => (Some(socket), false),
        };
        if let Some(old) = old {
            // There is room, unless control is gone, and then nobody minds who closes it.
            let _ = self.retired.try_send(Retired::Output(old));
        }
        done
    }

    /// Has inputs called or let go that the engine wants otherwise than before. Groups are joined and left by control, which
    /// reads of it in the snapshot. True, so that one is taken at once.
    #[cold]
    fn wake(&self) -> bool {
        for (id, input) in (0_u16..).map(InputId).zip(&self.inputs) {
            if let Entry::Ring(ring) = input {
                ring.source.want(self.core.engine.wants(id));
            }
        }
        true
    }

    /// Lets the engine know how the connections stand that inputs come by.
    fn tell_links(&mut self) {
        for (id, input) in (0_u16..).map(InputId).zip(&mut self.inputs) {
            if let Some(status) = input.srt() {
                self.core.engine.link(id, &link_figures(status), self.advanced);
            }
        }
        self.core.advance(self.advanced);
        self.tell_events();
    }

    /// Tells the state.
    fn tell(&mut self, now: &Now) {
        self.tell_links();
        if self.core.engine.deadline() > self.advanced {
            // Nothing is due, but rates and absences are to be told as of now.
            self.core.engine.advance(&mut self.core.arena, self.advanced);
            self.core.flush();
            self.tell_events();
        }
        let snapshot = self.snapshots.input_buffer_mut();
        self.core.engine.snapshot(&mut snapshot.engine);
        snapshot.starved = 0;
        let inputs = snapshot.inputs.iter_mut().zip(&mut snapshot.srt_inputs);
        for ((figures, srt), input) in inputs.zip(&mut self.inputs) {
            if let (Some(told), Some(status)) = (srt, input.srt()) {
                told.copy(status);
            }
            *figures = input.figures();
            snapshot.starved += figures.starved;
        }
        let outputs = snapshot.outputs.iter_mut().zip(&mut snapshot.srt_outputs);
        for ((figures, srt), outputs) in outputs.zip(&mut self.core.outlet.outputs) {
            for ((figures, srt), output) in figures.iter_mut().zip(srt).zip(outputs) {
                if let (Some(told), Some(status)) = (srt, output.srt()) {
                    told.copy(status);
                }
                *figures = output.figures;
            }
        }
        if self.realtime_offset_ns.abs_diff(now.realtime_offset_ns) > STEADY_NS {
            self.realtime_offset_ns = now.realtime_offset_ns;
        }
        snapshot.realtime_offset_ns = self.realtime_offset_ns;
        snapshot.rounds = self.rounds;
        snapshot.events_lost = self.events_lost;
        snapshot.commands_done = self.commands_done;
        snapshot.commands_refused = self.commands_refused;
        snapshot.cpu = self.cpu;
        snapshot.processor_ns = u64::try_from(sys::thread_ns()).unwrap_or(0);
        self.snapshots.publish();
        self.snapshot_due = now.instant + SNAPSHOT;
    }
}

/// An input by SRT has one connection at most.
fn link_figures(status: &SrtStatus) -> LinkFigures {
    let is_up = status.state == SrtState::Up;
    let none = LinkFigures { is_up, since: Instant::ZERO, rtt: Span::ZERO, packets: 0, unrecovered: 0 };
    status.connections.iter().flatten().next().map_or(none, |connection| LinkFigures {
        is_up,
        since: connection.since,
        rtt: connection.rtt,
        packets: connection.packets,
        unrecovered: connection.dropped,
    })
}
