//! What a backend does: sockets that can be dialled, listened on, read and written without waiting. All that is common to
//! backends (who calls again when, who may come in, who is silent or slow) is not here.

use std::net::SocketAddr;
use std::sync::Arc;

use super::access::Door;
use super::event::{MemberState, Reason, Rejection};
use super::ring::Frame;
use crate::config::{Interface, SrtPlan};
use crate::units::{Instant, Span};

/// A socket of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SocketId(pub(super) i32);

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Into the shard.
    In,
    /// Out of it.
    Out,
}

/// What a socket is told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) url: String,
    pub(super) plan: SrtPlan,
    /// The peer's address, or that to listen on.
    pub(super) address: SocketAddr,
    /// The interface to use; none leaves it to the routing table.
    pub(super) interface: Option<Interface>,
    /// Its address in the family of `address`, looked up before each call.
    pub(super) local: Option<SocketAddr>,
    pub(super) direction: Direction,
}

/// What could not be done, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) doing: &'static str,
    pub(super) why: Why,
}

/// Why something could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The kernel refused (`errno(3)`).
    System(i32),
    /// The backend did, with a number of its own.
    Backend(i32),
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        match fault.why {
            Why::System(errno) => Self::System(errno),
            Why::Backend(code) => Self::Backend(code),
        }
    }
}

/// How far a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not yet connected.
    Connecting,
    /// Connected.
    Up,
    /// No more.
    Down,
}

/// What came of a receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message, with its time.
    Message,
    /// Nothing, for now.
    Nothing,
    /// The connection is no more.
    Down,
}

/// What came of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way.
    Yes,
    /// The send buffer is full.
    Full,
    /// The connection is no more.
    Down,
}

/// What a backend measured on one connection since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) rtt: Span,
    pub(super) latency: Span,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) retransmitted: u64,
    pub(super) dropped: u64,
    pub(super) undecrypted: u64,
    pub(super) buffer: Span,
    pub(super) bandwidth: u64,
    /// Acknowledgements of the receiver, as they reached the sender.
    pub(super) acknowledgements: u64,
}

/// A backend as one worker has it.
pub(super) trait Library: Send {
    /// Waits at most `timeout` until there is something to read, to accept, or to learn about any socket, and puts each
    /// such socket into `ready`.
    fn wait(&mut self, timeout: Span, ready: &mut Vec<SocketId>);
    /// Whether [`Library::wait`] returns as well when the worker's bell rings.
    fn hears_the_bell(&self) -> bool {
        false
    }
    /// How long what is to be sent may wait at most, so that several messages are sent at a time.
    fn longest_nap(&self) -> Span {
        Span::ZERO
    }
    /// Begins to call; the outcome is learned by [`Library::wait`] and [`Library::phase`].
    fn dial(&mut self, settings: &Settings) -> Result<SocketId, Fault>;
    /// Listens; whoever calls is let in by `door`.
    fn listen(&mut self, settings: &Settings, door: &Arc<Door>) -> Result<SocketId, Fault>;
    /// The next caller that waits at a listener.
    fn accept(&mut self, listener: SocketId, settings: &Settings) -> Option<(SocketId, SocketAddr)>;
    /// A call was answered: from now on the socket is waited for as one that data comes from or goes to.
    fn connected(&mut self, socket: SocketId, direction: Direction);
    /// A call was answered, and is not to be waited for until [`Library::connected`] says so.
    fn hold(&mut self, socket: SocketId);
    /// What counts up with the signs of life of a peer that is sent to: acknowledgements, or what it asked for again.
    fn signs(&mut self, socket: SocketId) -> u64;
    /// How far a socket is.
    fn phase(&mut self, socket: SocketId) -> Phase;
    /// Why a socket that is down did not connect.
    fn rejection(&mut self, socket: SocketId) -> Rejection;
    /// Receives one message.
    fn receive(&mut self, socket: SocketId, now: Instant, frame: &mut Frame) -> Received;
    /// Sends one message, that was ready to be sent at `at`.
    fn send(&mut self, socket: SocketId, at: Instant, message: &[u8]) -> Sent;
    /// The stream id that a caller sent.
    fn stream_id(&mut self, socket: SocketId) -> Option<String>;
    /// The length of the key in bytes, 0 without encryption.
    fn key_length(&mut self, socket: SocketId) -> u8;
    /// What was measured.
    fn measure(&mut self, socket: SocketId, direction: Direction) -> Option<Measured>;
    /// Datagrams that the kernel dropped, since this was last asked, at the UDP socket that `socket` listens or called by; none
    /// where that is not known.
    fn kernel_drops(&mut self, socket: SocketId) -> Option<u64>;
    /// How the ways of a bond stand; nothing where it is none.
    fn members(&mut self, _socket: SocketId, _found: &mut Vec<(SocketAddr, MemberState)>) {}
    /// Closes it, whatever it is.
    fn close(&mut self, socket: SocketId);
}
