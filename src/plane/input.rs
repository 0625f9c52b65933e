//! Input sockets, and the batch that is received from one of them into the arena.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::arena::Arena;
use super::clock::Now;
use super::error::OpenError;
use super::interface::Interfaces;
use super::srt::{Source, SrtStatus};
use super::sys::{self, ReceiveVector};
use super::watch::InputWatch;
use crate::config::InputPlan;
use crate::engine::{Frames, Slot};
use crate::units::{InputId, Instant};

/// The most datagrams that one system call receives.
pub(super) const BATCH: usize = 64;

/// What one input socket received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFigures {
    /// Datagrams received whole.
    pub datagrams: u64,
    /// Their bytes, without IP and UDP headers.
    pub bytes: u64,
    /// Datagrams longer than a frame (2,048 bytes), which were left out.
    pub truncated: u64,
    /// Datagrams that the kernel dropped because the receive buffer was full, as far as told: it tells with the next
    /// datagram that it keeps.
    pub dropped: u64,
    /// Datagrams received whole but left out because every frame of the arena was in use.
    pub starved: u64,
    /// Receive calls that failed.
    pub errors: u64,
    /// The error number of the last one (`errno(3)`), 0 where none did.
    pub last_errno: i32,
    /// The receive buffer that the kernel gave, in bytes, in the terms in which it is asked for.
    pub receive_buffer: usize,
}

/// A socket that receives what one input plan asks for, and nothing else.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) socket: Socket,
    pub(super) figures: SocketFigures,
    /// The stamp of the last datagram received. Stamps of one socket never step back.
    pub(super) last: Instant,
    drops: u32,
}

impl Input {
    /// Opens and binds it, and joins what can be joined by now; the watch sees to the rest.
    /// `rests` is its number, if it may rest: then it is not joined before it is needed.
    pub(super) fn open(
        plan: &InputPlan,
        interfaces: &Interfaces,
        rests: Option<InputId>,
    ) -> Result<(Self, Option<InputWatch>), OpenError> {
        let fail = |doing| move |source| OpenError::of(&plan.url, plan.address, doing, source);
        let domain = Domain::for_address(plan.address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(fail("open a socket"))?;
        socket.set_reuse_address(true).map_err(fail("share the address"))?;
        if plan.address.is_ipv6() {
            socket.set_only_v6(true).map_err(fail("keep IPv4 apart"))?;
        }
        match plan.address.ip() {
            // A socket takes part in no membership but its own, although others of the box may be on the same port.
            IpAddr::V4(group) if group.is_multicast() => socket.set_multicast_all_v4(false),
            IpAddr::V6(group) if group.is_multicast() => socket.set_multicast_all_v6(false),
            // An address that comes later, with its interface, can be bound by now.
            IpAddr::V4(_) => socket.set_freebind_v4(true),
            IpAddr::V6(_) => socket.set_freebind_v6(true),
        }
        .map_err(fail("keep other groups out"))?;
        let receive_buffer =
            size_receive_buffer(&socket, plan.receive_buffer).map_err(fail("size the receive buffer"))?;
        sys::stamp_and_count(socket.as_fd()).map_err(fail("have datagrams stamped"))?;
        let watch = InputWatch::open(&socket, plan, interfaces, rests)?;
        let figures = SocketFigures { receive_buffer, ..SocketFigures::default() };
        Ok((Self { socket, figures, last: Instant::from_nanos(i64::MIN), drops: 0 }, watch))
    }

    /// The address that it is bound to.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// Receives one batch and hands every datagram to `intake`, in order. How many came: when fewer than [`BATCH`],
    /// there are no more.
    #[inline]
    pub(super) fn receive<I: Intake>(
        &mut self,
        batch: &mut Batch,
        arena: &mut Arena,
        now: &Now,
        intake: &mut I,
    ) -> usize {
        batch.refill(arena, intake);
        let count = match batch.vector.receive(self.socket.as_fd(), &mut arena.0) {
            Ok(count) => count,
            Err(libc::EAGAIN | libc::EINTR) => 0,
            Err(errno) => {
                self.figures.errors += 1;
                self.figures.last_errno = errno;
                0
            }
        };
        for index in 0..count {
            let arrival = batch.vector.arrival(index);
            if let Some(drops) = arrival.drops {
                self.figures.dropped += u64::from(drops.wrapping_sub(self.drops));
                self.drops = drops;
            }
            self.last = now.stamped(arrival.stamp).max(self.last);
            if arrival.truncated {
                self.figures.truncated += 1;
                batch.vector.rearm(index);
                continue;
            }
            self.figures.datagrams += 1;
            self.figures.bytes += arrival.len as u64;
            if let Some(slot) = batch.slots[index] {
                intake.datagram(arena, slot, arrival.len, self.last);
                batch.put(index, intake.frame(), arena);
            } else {
                self.figures.starved += 1;
                batch.vector.rearm(index);
            }
        }
        count
    }
}

/// Where one input of a shard comes from.
#[derive(Debug)]
pub(super) enum Entry {
    /// A socket.
    Socket(Input),
    /// The ring of an SRT backend.
    Ring(Box<RingInput>),
}

impl Entry {
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(input) => input.socket.as_fd(),
            Self::Ring(input) => input.source.descriptor(),
        }
    }

    /// How it stands, if it is an input by SRT. What found the ring full counts as dropped.
    pub(super) fn srt(&mut self) -> Option<&SrtStatus> {
        match self {
            Self::Socket(_) => None,
            Self::Ring(input) => {
                let status = input.source.status();
                input.figures.dropped = status.overflow;
                Some(status)
            }
        }
    }

    /// What was received, in the terms of a socket.
    pub(super) fn figures(&self) -> SocketFigures {
        match self {
            Self::Socket(input) => input.figures,
            Self::Ring(input) => input.figures,
        }
    }

    /// The time of the last datagram received.
    pub(super) fn last(&self) -> Instant {
        match self {
            Self::Socket(input) => input.last,
            Self::Ring(input) => input.last,
        }
    }
}

/// An input that an SRT backend receives.
#[derive(Debug)]
pub(super) struct RingInput {
    pub(super) source: Source,
    pub(super) figures: SocketFigures,
    last: Instant,
}

impl RingInput {
    pub(super) fn new(source: Source, buffer: usize) -> Self {
        let figures = SocketFigures { receive_buffer: buffer, ..SocketFigures::default() };
        Self { source, figures, last: Instant::from_nanos(i64::MIN) }
    }

    /// Hands what is in the ring to `intake`, at most a [`BATCH`]. How many came.
    #[inline]
    pub(super) fn receive<I: Intake>(&mut self, arena: &mut Arena, now: &Now, intake: &mut I) -> usize {
        for count in 0..BATCH {
            let Ok(frame) = self.source.frames.peek() else { return count };
            let bytes = frame.bytes();
            self.last = frame.at.min(now.instant).max(self.last);
            self.figures.datagrams += 1;
            self.figures.bytes += bytes.len() as u64;
            // The message is no longer than a frame of the arena, which the types say of both.
            if let Some(slot) = intake.frame()
                && let Some(room) = arena.frame_mut(slot).get_mut(..bytes.len())
            {
                room.copy_from_slice(bytes);
                intake.datagram(arena, slot, bytes.len(), self.last);
            } else {
                self.figures.starved += 1;
            }
            let _ = self.source.frames.pop();
        }
        BATCH
    }
}

/// Asks for `bytes` of receive buffer, and returns what there is. The kernel doubles what it is asked for, for its own
/// bookkeeping, and tells the double.
fn size_receive_buffer(socket: &Socket, bytes: usize) -> std::io::Result<usize> {
    let forced = i32::try_from(bytes).is_ok_and(|bytes| sys::force_receive_buffer(socket.as_fd(), bytes).is_ok());
    if !forced {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(socket.recv_buffer_size()? / 2)
}

/// Where a batch goes.
pub(super) trait Intake {
    /// A free frame to receive into; none while all are in use.
    fn frame(&mut self) -> Option<Slot>;
    /// A datagram of `len` bytes that came at `at`, in a frame from [`Intake::frame`], which is the intake's again.
    fn datagram(&mut self, arena: &mut Arena, slot: Slot, len: usize, at: Instant);
}

/// The frames that the next batch is received into. This and [`Intake`] are the whole of the way in: another kind of
/// receiver fills frames of the same arena and hands them to the same intake.
///
/// Only frames that received something are replaced. Where there is none to replace one, the message points to a frame
/// that is private to the batch, so that the socket is emptied all the same.
#[derive(Debug)]
pub(super) struct Batch {
    vector: ReceiveVector,
    slots: [Option<Slot>; BATCH],
    missing: usize,
    spare: u32,
}

impl Batch {
    /// The frames of `arena` from `spare` on, as many as [`BATCH`], are its private ones.
    pub(super) fn new(arena: &Arena, spare: u32) -> Self {
        let vector = ReceiveVector::new(BATCH, &arena.0);
        let mut batch = Self { vector, slots: [None; BATCH], missing: 0, spare };
        for index in 0..BATCH {
            batch.put(index, None, arena);
        }
        batch
    }

    #[inline]
    fn put(&mut self, index: usize, slot: Option<Slot>, arena: &Arena) {
        self.slots[index] = slot;
        self.missing += usize::from(slot.is_none());
        let spare = u32::try_from(index).unwrap_or(0) + self.spare;
        let aimed = self.vector.aim(index, slot.unwrap_or(Slot(spare)), &arena.0);
        debug_assert!(aimed, "a frame outside the arena");
    }

    #[inline]
    fn refill<I: Intake>(&mut self, arena: &Arena, intake: &mut I) {
        if self.missing == 0 {
            return;
        }
        for index in 0..BATCH {
            if self.slots[index].is_none() {
                let Some(slot) = intake.frame() else { return };
                self.missing -= 1;
                self.put(index, Some(slot), arena);
            }
        }
    }
}
