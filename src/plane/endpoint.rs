//! One socket in or out without a shard, over the same parts: for whatever reads or makes a single stream.

use std::io;
use std::net::SocketAddr;

use crossbeam_channel::{Receiver as Events, bounded};

use super::arena::Arena;
use super::clock::Now;
use super::error::OpenError;
use super::input::{BATCH, Batch, Entry, Input, Intake, RingInput, SocketFigures};
use super::interface::Interfaces;
use super::output::OutputSocket;
use super::srt::{End, Place, Source, SrtEvent, SrtStatus};
use super::sys::Epoll;
use super::watch::{Change, InputWatch};
use crate::config::{InputPlan, OutputPlan};
use crate::engine::{Frames, Slot};
use crate::units::{InputId, Instant, Span};

/// Events of SRT that can wait to be asked for.
const EVENTS: usize = 256;

/// Receives what one input plan asks for.
#[derive(Debug)]
pub struct Receiver {
    entry: Entry,
    watch: Option<InputWatch>,
    srt_events: Events<SrtEvent>,
    epoll: Epoll,
    arena: Arena,
    batch: Batch,
    free: Vec<Slot>,
    realtime_offset_ns: i64,
}

impl Receiver {
    /// Opens and binds it, and joins what can be joined by now; by SRT it begins to call or to listen.
    ///
    /// # Errors
    /// When the kernel refuses, or what carries SRT is not there. An interface or address that is not there is no error, nor is a
    /// peer that does not answer.
    pub fn open(plan: &InputPlan) -> Result<Self, OpenError> {
        let system = |doing| move |source| OpenError::System { doing, source };
        let interfaces = Interfaces::read().map_err(system("read the network interfaces"))?;
        let (told, srt_events) = bounded(EVENTS);
        let (entry, watch) = match &plan.srt {
            Some(srt) => {
                let (interface, end) = (plan.interface.as_ref(), End::Input(InputId(0)));
                let place = Place { url: &plan.url, plan: srt, address: plan.address, interface, end, events: &told };
                (Entry::Ring(Box::new(RingInput::new(Source::open(&place, true)?, srt.buffer))), None)
            }
            None => {
                let (input, watch) = Input::open(plan, &interfaces, None)?;
                (Entry::Socket(input), watch)
            }
        };
        let epoll = Epoll::new(1).map_err(system("make an epoll"))?;
        epoll.add(entry.descriptor(), 0).map_err(system("wait for the socket"))?;
        let frames = u32::try_from(BATCH).unwrap_or(u32::MAX);
        let arena = Arena::new(2 * BATCH).map_err(system("map the arena"))?;
        let batch = Batch::new(&arena, frames);
        let free = (0..frames).rev().map(Slot).collect();
        let realtime_offset_ns = Now::read().realtime_offset_ns;
        Ok(Self { entry, watch, srt_events, epoll, arena, batch, free, realtime_offset_ns })
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
        match &mut self.entry {
            Entry::Socket(input) => input.receive(&mut self.batch, &mut self.arena, &now, &mut hand),
            Entry::Ring(input) => {
                input.source.hear();
                let count = input.receive(&mut self.arena, &now, &mut hand);
                if count == BATCH {
                    input.source.ring();
                }
                count
            }
        }
    }

    /// How its connection stands, if it comes by SRT.
    pub fn srt(&mut self) -> Option<&SrtStatus> {
        self.entry.srt()
    }

    /// What happened to its connection since the last call.
    pub fn srt_events(&self) -> impl Iterator<Item = SrtEvent> {
        self.srt_events.try_iter()
    }

    /// Joins what could not be joined before, as a [`Watch`](super::Watch) does; to be called about once a second.
    pub fn refresh(&mut self, interfaces: &Interfaces) -> Change {
        self.watch.as_mut().map_or(Change::None, |watch| watch.refresh(interfaces))
    }

    /// What was received, and what was not.
    pub fn figures(&self) -> SocketFigures {
        self.entry.figures()
    }

    /// The address that it is bound to; none while it waits for its interface, and by SRT.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.entry {
            Entry::Socket(input) => input.local_address(),
            Entry::Ring(_) => None,
        }
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
        if plan.srt.is_some() {
            let why = "a single stream is sent by UDP and RTP alone: use udp:// or rtp:// here";
            return Err(OpenError::Srt { url: plan.url.clone(), why: why.to_owned() });
        }
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
