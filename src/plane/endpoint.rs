//! One socket in or out without a shard, over the same parts: for whatever reads or makes a single stream.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use super::arena::Arena;
use super::clock::Now;
use super::error::OpenError;
use super::input::{BATCH, Batch, Input, Intake, SocketFigures};
use super::interface::Interfaces;
use super::output::OutputSocket;
use super::sys::Epoll;
use super::watch::{Change, InputWatch};
use crate::config::{InputPlan, OutputPlan};
use crate::engine::{Frames, Slot};
use crate::units::{Instant, Span};

/// Receives what one input plan asks for.
#[derive(Debug)]
pub struct Receiver {
    input: Input,
    watch: Option<InputWatch>,
    epoll: Epoll,
    arena: Arena,
    batch: Batch,
    free: Vec<Slot>,
    realtime_offset_ns: i64,
}

impl Receiver {
    /// Opens and binds it, and joins what can be joined by now.
    ///
    /// # Errors
    /// When the kernel refuses. An interface or address that is not there is no error.
    pub fn open(plan: &InputPlan) -> Result<Self, OpenError> {
        let system = |doing| move |source| OpenError::System { doing, source };
        refuse_srt(&plan.url, plan.srt.is_some())?;
        let interfaces = Interfaces::read().map_err(system("read the network interfaces"))?;
        let (input, watch) = Input::open(plan, &interfaces, None)?;
        let epoll = Epoll::new(1).map_err(system("make an epoll"))?;
        epoll.add(input.socket.as_fd(), 0).map_err(system("wait for the socket"))?;
        let frames = u32::try_from(BATCH).unwrap_or(u32::MAX);
        let arena = Arena::new(2 * BATCH).map_err(system("map the arena"))?;
        let batch = Batch::new(&arena, frames);
        let free = (0..frames).rev().map(Slot).collect();
        Ok(Self { input, watch, epoll, arena, batch, free, realtime_offset_ns: Now::read().realtime_offset_ns })
    }

    /// Waits at most `timeout` for datagrams, hands each with the time it came at to `each`, in order, and returns how
    /// many there were; more may be waiting when it returns 64.
    pub fn recv_batch(&mut self, timeout: Span, each: impl FnMut(&[u8], Instant)) -> usize {
        if self.epoll.wait(timeout.nanos()) == 0 {
            return 0;
        }
        let now = Now::read();
        self.realtime_offset_ns = now.realtime_offset_ns;
        let mut hand = Hand { free: &mut self.free, each };
        self.input.receive(&mut self.batch, &mut self.arena, &now, &mut hand)
    }

    /// Joins what could not be joined before, as a [`Watch`](super::Watch) does; to be called about once a second.
    pub fn refresh(&mut self, interfaces: &Interfaces) -> Change {
        self.watch.as_mut().map_or(Change::None, |watch| watch.refresh(interfaces))
    }

    /// What was received, and what was not.
    pub fn figures(&self) -> SocketFigures {
        self.input.figures
    }

    /// The address that it is bound to; none while it waits for its interface.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.input.local_address()
    }

    /// The time now, on the clock of the datagrams' times.
    pub fn now(&self) -> Instant {
        Now::read().instant
    }

    /// What to add to the nanoseconds of the last batch's times to have nanoseconds since the Unix epoch.
    pub fn realtime_offset_ns(&self) -> i64 {
        self.realtime_offset_ns
    }
}

struct Hand<'a, F> {
    free: &'a mut Vec<Slot>,
    each: F,
}

impl<F: FnMut(&[u8], Instant)> Intake for Hand<'_, F> {
    fn frame(&mut self) -> Option<Slot> {
        self.free.pop()
    }

    fn datagram(&mut self, arena: &mut Arena, slot: Slot, len: usize, at: Instant) {
        (self.each)(arena.frame(slot).get(..len).unwrap_or_default(), at);
        self.free.push(slot);
    }
}

/// Sends to where one output plan says.
#[derive(Debug)]
pub struct Sender(OutputSocket);

impl Sender {
    /// Opens it.
    ///
    /// # Errors
    /// When the kernel refuses, or the interface, address or route is not there.
    pub fn open(plan: &OutputPlan) -> Result<Self, OpenError> {
        refuse_srt(&plan.url, plan.srt.is_some())?;
        let interfaces =
            Interfaces::read().map_err(|source| OpenError::System { doing: "read the network interfaces", source })?;
        let socket = OutputSocket::connect(plan, &interfaces)
            .map_err(|(doing, source)| OpenError::of(&plan.url, plan.address, doing, source))?;
        // One who sends a single stream has time to wait for room.
        socket.socket.set_nonblocking(false).map_err(|source| OpenError::Socket {
            url: plan.url.clone(),
            doing: "open a socket",
            source,
        })?;
        Ok(Self(socket))
    }

    /// Sends one datagram as it is: whoever wants an RTP header before it puts it there.
    ///
    /// # Errors
    /// What the kernel said; the next datagram may go all the same.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.socket.send(datagram).map(drop)
    }

    /// The address that it sends from.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.0.socket.local_addr().ok()?.as_socket()
    }
}

/// What receives or sends a single stream does so by UDP and RTP alone.
fn refuse_srt(url: &str, srt: bool) -> Result<(), OpenError> {
    let why = "SRT is received and sent by channels alone: use udp:// or rtp:// here";
    if srt { Err(OpenError::Srt { url: url.to_owned(), why: why.to_owned() }) } else { Ok(()) }
}
