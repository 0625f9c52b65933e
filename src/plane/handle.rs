//! The four crossings between a shard and control: commands in, events out, retired parts out, the latest snapshot out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::input::SocketFigures;
use super::output::{OutputFigures, OutputSocket};
use super::srt::{SrtEvent, SrtStatus};
use super::sys::Bell;
use super::watch::Watch;
use crate::engine;
use crate::units::ChannelId;

/// What a shard can be told to do.
#[derive(Debug)]
pub enum Command {
    /// What a person asks of a channel.
    Engine(engine::Command),
    /// Send by this socket from now on; the one it replaces comes back as [`Retired`].
    Output {
        /// The channel.
        channel: ChannelId,
        /// Which of its outputs.
        index: usize,
        /// The socket.
        socket: OutputSocket,
    },
    /// Return from [`Shard::run`](super::Shard::run).
    Stop,
}

/// The command could not be taken, because too many wait or the shard has stopped; it comes back.
#[derive(Debug, thiserror::Error)]
#[error("the shard takes no more commands for now")]
pub struct Full(pub Command);

/// What a shard no longer needs and does not close itself, since that takes time.
#[derive(Debug)]
pub enum Retired {
    /// The socket of an output that was given another one, or that the shard has no such output for.
    Output(OutputSocket),
}

/// A shard at a moment.
#[derive(Clone, Debug, Default)]
pub struct PlaneSnapshot {
    /// Its engine.
    pub engine: engine::Snapshot,
    /// Its input sockets, in the order of the engine's inputs.
    pub inputs: Vec<SocketFigures>,
    /// Its outputs by channel.
    pub outputs: Vec<Vec<OutputFigures>>,
    /// How the inputs by SRT stand, in the order of the engine's inputs; none for those by UDP.
    pub srt_inputs: Vec<Option<SrtStatus>>,
    /// How the outputs by SRT stand, by channel; none for those by UDP.
    pub srt_outputs: Vec<Vec<Option<SrtStatus>>>,
    /// What to add to an [`Instant`](crate::units::Instant)'s nanoseconds to have nanoseconds since the Unix epoch.
    pub realtime_offset_ns: i64,
    /// Rounds of its loop since the start.
    pub rounds: u64,
    /// Datagrams that were left out because every frame of the arena was in use, on all inputs together.
    pub starved: u64,
    /// Events that found the channel to control full.
    pub events_lost: u64,
    /// Commands that were done.
    pub commands_done: u64,
    /// Commands that could not be done: no such input, channel or output, or an input that is not available.
    pub commands_refused: u64,
    /// The processor that the shard is kept on; none where it is not, or could not be.
    pub cpu: Option<usize>,
    /// Processor time that the shard's thread has used, in nanoseconds.
    pub processor_ns: u64,
}

impl PlaneSnapshot {
    /// Events of SRT inputs and outputs that found the channel to control full.
    pub fn srt_events_lost(&self) -> u64 {
        let all = self.srt_inputs.iter().chain(self.srt_outputs.iter().flatten());
        all.flatten().map(|status| status.events_lost).sum()
    }
}

/// What wakes and stops a shard.
#[derive(Debug)]
pub(super) struct Signal {
    pub(super) bell: Bell,
    stop: AtomicBool,
}

impl Signal {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { bell: Bell::new()?, stop: AtomicBool::new(false) })
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
    }
}

/// Control's end of a shard. When it is dropped the shard stops.
///
/// Events and retired parts are to be polled (`try_recv`, `try_iter`): a receiver that blocks would have the shard's
/// thread wake it, which takes a lock and a system call.
#[derive(Debug)]
pub struct ShardHandle {
    /// What happened, in order. Bounded: what control does not fetch in time is counted in
    /// [`PlaneSnapshot::events_lost`].
    pub events: Receiver<engine::Event>,
    /// What happened to inputs and outputs by SRT, straight from the threads of their backends. Bounded as the others; what
    /// is lost is counted in [`SrtStatus::events_lost`].
    pub srt_events: Receiver<SrtEvent>,
    /// What the shard no longer needs. While this is full the shard takes no command.
    pub retired: Receiver<Retired>,
    /// What to refresh about once a second.
    pub watch: Vec<Watch>,
    pub(super) commands: Sender<Command>,
    pub(super) signal: Arc<Signal>,
    pub(super) snapshots: triple_buffer::Output<PlaneSnapshot>,
}

impl ShardHandle {
    /// Has the shard do something, in its next round.
    ///
    /// # Errors
    /// [`Full`] gives the command back.
    pub fn command(&self, command: Command) -> Result<(), Full> {
        self.commands.try_send(command).map_err(|refused| Full(refused.into_inner()))?;
        self.signal.bell.ring();
        Ok(())
    }

    /// The latest snapshot: one is taken every 100 ms, after commands, and when the shard stops.
    pub fn snapshot(&mut self) -> &PlaneSnapshot {
        self.snapshots.read()
    }

    /// Has the shard return from [`Shard::run`](super::Shard::run) after its present round, however many commands wait.
    pub fn stop(&self) {
        self.signal.stop();
    }
}

impl Drop for ShardHandle {
    fn drop(&mut self) {
        self.stop();
    }
}
