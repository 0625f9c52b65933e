//! The backend that libsrt is, loaded at run time: nothing is needed to build, and an administrator's updates of the
//! library take effect.
//!
//! Arrival: libsrt gives each message the time at which it was to be delivered, which is the time at which the sender
//! sent it plus the latency, on the clock of this box. That time is used, rather than the one at which a thread came to
//! fetch the message, so that the spacing of datagrams is the sender's own. What jitter the network made is gone from
//! it, as SRT means it to be: figures of jitter tell of the sender, not of the way.
//!
//! A listener has a UDP socket of ours, so that the kernel can be told which handshakes not to hand over ([`gate`]).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::access::{Door, Verdict};
use super::drops::Drops;
use super::event::{MemberState, Rejection};
use super::library::{Direction, Fault, Library, Measured, Phase, Received, Sent, Settings, SocketId, Why};
use super::ring::{Frame, LONGEST};
use crate::config::{Bond, BondMode, Role, Secret};
use crate::plane::sys as kernel;
use crate::units::{Instant, Span};
use bond::Group;
use entrance::Entrance;
use layout::{Event, Statistics};
use sys::{Failure, Libsrt, Missing, Opt};

mod bond;
mod entrance;
mod gate;
mod layout;
mod sys;

/// `SRTS_CONNECTED`; what is less is not there yet, what is more is no more.
const CONNECTED: i32 = 5;
/// `SRT_KM_S_SECURED`.
const SECURED: i32 = 2;
/// `SRT_EASYNCSND`: the send buffer is full.
const SEND_FULL: i32 = 6001;
/// `SRT_EASYNCRCV`: there is no message.
const NOTHING: i32 = 6002;
/// `SRT_ECONGEST`.
const CONGESTED: i32 = 6004;
/// Callers that may wait to be accepted.
const BACKLOG: i32 = 64;
/// The bytes of an Ethernet frame for IPv4 that are not headers of IPv4 and UDP, by which libsrt counts its buffers.
const UNIT: usize = 1472;
/// The smallest and largest buffers that are asked for, in packets: some 36 bytes of each are taken with the first
/// handshake.
const PACKETS: (usize, usize) = (4096, 1 << 18);
/// The buffer of the direction in which nothing goes.
const UNUSED: usize = 256;
/// Sockets that one wait can name.
const EVENTS: usize = 256;
/// How long a message may wait to be sent with others. The receiver is told when it was ready, so it delivers it no later for that.
const NAP: Span = Span::from_millis(5);
/// How far back the time of a message is believed.
const OLDEST: Span = Span::from_secs(1);

static LIBSRT: OnceLock<Result<Libsrt, Missing>> = OnceLock::new();
/// The entrances of all listeners, by number. The library is given the number, so that a late call finds none rather
/// than memory that is no more.
static ENTRANCES: Mutex<BTreeMap<usize, Arc<Entrance>>> = Mutex::new(BTreeMap::new());

/// The library, or why it cannot be had and what to do about it.
fn library() -> Result<&'static Libsrt, String> {
    LIBSRT.get_or_init(Libsrt::load).as_ref().map_err(|missing| match missing {
        Missing::Library(said) => {
            format!("libsrt 1.5 is not installed: install the package libsrt1.5-openssl or libsrt1.5-gnutls ({said})")
        }
        Missing::Function(name) => format!("the libsrt that is installed has no {name}: version 1.5 is needed"),
        Missing::Start => "libsrt could not be started".to_owned(),
    })
}

/// The version of libsrt, as `1.5.1`.
///
/// # Errors
/// When it is not installed, or not of use: what to do about it.
pub(super) fn version() -> Result<String, String> {
    let version = library()?.version();
    Ok(format!("{}.{}.{}", version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF))
}

/// Whether the library was built with bonding.
///
/// # Errors
/// As [`version`].
pub(super) fn bonds() -> Result<bool, String> {
    static BONDS: OnceLock<bool> = OnceLock::new();
    let library = library()?;
    Ok(*BONDS.get_or_init(|| library.group(bond::BROADCAST).map(|group| library.close(group)).is_ok()))
}

fn now() -> Instant {
    Instant::from_nanos(kernel::monotonic_ns())
}

/// What a caller is told; called by the library on a thread of its own.
fn knock(key: usize, socket: i32, peer: SocketAddr, stream_id: &str) -> bool {
    let Ok(library) = library() else { return false };
    let Some(entrance) = ENTRANCES.lock().get(&key).cloned() else { return false };
    match entrance.knock(socket, peer, stream_id, now()) {
        Verdict::Admit(passphrase) => {
            let passphrase = passphrase.map_or("", Secret::reveal);
            library.set_text(socket, Opt::Passphrase, passphrase).is_ok()
        }
        Verdict::Refuse(rejection) => {
            library.set_reject_reason(socket, rejection.0);
            false
        }
    }
}

/// One worker's view of the library.
#[derive(Debug)]
pub(super) struct Backend {
    library: &'static Libsrt,
    epoll: i32,
    events: Vec<Event>,
    /// Listeners and the numbers of their entrances.
    listeners: BTreeMap<SocketId, (usize, Arc<Entrance>)>,
    next_entrance: usize,
    /// Bonds that were dialled.
    groups: BTreeMap<SocketId, Group>,
    /// Of listeners, and of calls that were answered.
    drops: BTreeMap<SocketId, Drops>,
    /// The last message that was received was the last that this has for now.
    drained: Option<SocketId>,
    /// What to add to the library's time in ns to have an [`Instant`]'s.
    offset_ns: i64,
}

impl Backend {
    pub(super) fn new(direction: Direction) -> io::Result<Self> {
        let library = library().map_err(io::Error::other)?;
        let epoll = library.epoll().map_err(|failure| io::Error::other(format!("libsrt error {}", failure.code)))?;
        // The two workers share the entrances, and so must not number them alike.
        let next_entrance = usize::from(direction == Direction::Out);
        let events = vec![Event::default(); EVENTS];
        Ok(Self {
            library,
            epoll,
            events,
            listeners: BTreeMap::new(),
            next_entrance,
            groups: BTreeMap::new(),
            drops: BTreeMap::new(),
            drained: None,
            offset_ns: 0,
        })
    }

    /// What all sockets are told before they listen or call.
    fn prepare(&self, socket: i32, settings: &Settings) -> Result<(), Failure> {
        let plan = &settings.plan;
        let library = self.library;
        library.set(socket, Opt::SendBlocks, 0)?;
        library.set(socket, Opt::ReceiveBlocks, 0)?;
        library.set(socket, Opt::LatencyMs, milliseconds(plan.latency))?;
        library.set(socket, Opt::ConnectMs, milliseconds(plan.connect))?;
        library.set(socket, Opt::PeerIdleMs, milliseconds(plan.idle))?;
        let payload = match settings.direction {
            Direction::In => LONGEST,
            Direction::Out => usize::from(plan.payload).min(LONGEST),
        };
        library.set(socket, Opt::PayloadSize, whole(payload))?;
        // Room for what is on the way, and as much again for what is late.
        let packets = (2 * plan.buffer / 1316).clamp(PACKETS.0, PACKETS.1);
        let (receive, send) = match settings.direction {
            Direction::In => (packets, UNUSED),
            Direction::Out => (UNUSED, packets),
        };
        library.set(socket, Opt::FlightPackets, whole(receive))?;
        library.set(socket, Opt::ReceiveBuffer, whole(receive * UNIT))?;
        library.set(socket, Opt::SendBuffer, whole(send * UNIT))?;
        if let Some(length) = plan.key_length {
            library.set(socket, Opt::KeyLength, i32::from(length))?;
        }
        if let Some(passphrase) = &plan.passphrase {
            library.set_text(socket, Opt::Passphrase, passphrase.reveal())?;
        }
        if bond::addresses(settings).any(|address| address.is_ipv6()) {
            library.set(socket, Opt::Ipv6Only, 1)?;
        }
        Ok(())
    }

    fn try_dial(&self, socket: i32, settings: &Settings) -> Result<(), (&'static str, Failure)> {
        let fail = |doing: &'static str| move |failure: Failure| (doing, failure);
        self.prepare(socket, settings).map_err(fail("set the options of the socket"))?;
        if let Some(stream_id) = &settings.plan.stream_id {
            self.library.set_text(socket, Opt::StreamId, stream_id).map_err(fail("set the stream id"))?;
        }
        let rendezvous = settings.plan.role == Role::Rendezvous;
        if rendezvous {
            self.library.set(socket, Opt::Rendezvous, 1).map_err(fail("meet"))?;
        }
        let local = match (settings.local, settings.address) {
            (Some(local), _) => Some(local),
            (None, SocketAddr::V4(_)) if rendezvous => Some(SocketAddr::from(([0; 4], settings.address.port()))),
            (None, SocketAddr::V6(_)) if rendezvous => Some(SocketAddr::from(([0_u16; 8], settings.address.port()))),
            (None, _) => None,
        };
        if let Some(mut local) = local {
            if rendezvous {
                local.set_port(settings.address.port());
            }
            self.library.bind(socket, local).map_err(fail("bind the address"))?;
        }
        self.library.epoll_add(self.epoll, socket, sys::IN | sys::OUT | sys::ERROR).map_err(fail("wait for it"))?;
        self.library.connect(socket, settings.address).map_err(fail("call"))
    }

    fn dial_bonded(&mut self, settings: &Settings, mode: BondMode) -> Result<SocketId, Fault> {
        let socket = self.library.group(bond::kind(mode)).map_err(|failure| fault("make a bond", failure))?;
        let prepared = self.prepare(socket, settings).and_then(|()| match &settings.plan.stream_id {
            Some(stream_id) => self.library.set_text(socket, Opt::StreamId, stream_id),
            None => Ok(()),
        });
        let group = prepared
            .and_then(|()| self.library.epoll_add(self.epoll, socket, sys::IN | sys::OUT | sys::ERROR))
            .map_err(|failure| fault("set the options of the bond", failure))
            .and_then(|()| Group::call(self.library, socket, settings, now()));
        match group {
            Ok(group) => {
                self.groups.insert(SocketId(socket), group);
                Ok(SocketId(socket))
            }
            Err(fault) => {
                self.library.close(socket);
                Err(fault)
            }
        }
    }

    fn try_listen(
        &self,
        socket: i32,
        settings: &Settings,
        key: usize,
        door: &Arc<Door>,
    ) -> Result<Arc<Entrance>, (&'static str, Failure)> {
        let fail = |doing: &'static str| move |failure: Failure| (doing, failure);
        self.prepare(socket, settings).map_err(fail("set the options of the socket"))?;
        let mut address = settings.address;
        if let Some(local) = settings.local
            && address.ip().is_unspecified()
        {
            address = SocketAddr::new(local.ip(), address.port());
        }
        if settings.plan.bond.is_some() {
            self.library.set(socket, Opt::GroupConnect, 1).map_err(fail("take bonds"))?;
        }
        let (entrance, udp) = Entrance::open(address, Arc::clone(door), settings.plan.idle).map_err(|error| {
            ("bind the address", Failure { code: 0, errno: error.raw_os_error().unwrap_or(libc::EIO) })
        })?;
        let entrance = Arc::new(entrance);
        self.library.bind_acquire(socket, udp).map_err(fail("bind the address"))?;
        self.library.epoll_add(self.epoll, socket, sys::IN | sys::ERROR).map_err(fail("wait for it"))?;
        ENTRANCES.lock().insert(key, Arc::clone(&entrance));
        self.library.listen(socket, BACKLOG, key).map_err(fail("listen"))?;
        Ok(entrance)
    }

    /// What the library says of a connection.
    fn told(&self, socket: SocketId) -> Option<Statistics> {
        match socket.0 {
            group if bond::is(group) => bond::statistics(self.library, group),
            alone => self.library.statistics(alone),
        }
    }

    fn new_socket(&self) -> Result<i32, Fault> {
        self.library.socket().map_err(|failure| fault("open a socket", failure))
    }
}

/// What a connection is waited for. One that is sent to is asked for room by sending.
fn events(direction: Direction) -> i32 {
    match direction {
        Direction::In => sys::IN | sys::ERROR,
        Direction::Out => sys::ERROR,
    }
}

fn fault(doing: &'static str, failure: Failure) -> Fault {
    let why = if failure.errno != 0 { Why::System(failure.errno) } else { Why::Backend(failure.code) };
    Fault { doing, why }
}

fn milliseconds(span: Span) -> i32 {
    i32::try_from(span.nanos() / 1_000_000).unwrap_or(i32::MAX)
}

fn whole(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// What a counter of 32 bits has; it is taken to be unsigned when it has gone past half of them.
fn count(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

fn rate(mbps: f64) -> u64 {
    // Clamped: what the library estimates may be anything.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let bits = (mbps * 1e6) as u64;
    bits
}

fn span_ms(ms: f64) -> Span {
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates")]
    let ns = (ms * 1e6) as i64;
    Span::from_nanos(ns.max(0))
}

impl Library for Backend {
    fn wait(&mut self, timeout: Span, ready: &mut Vec<SocketId>) {
        let count = self.library.epoll_wait(self.epoll, &mut self.events, timeout.nanos() / 1_000_000);
        self.drained = None;
        ready.extend(self.events.iter().take(count).map(|event| SocketId(event.socket)));
        self.offset_ns = kernel::monotonic_ns().saturating_sub(self.library.time().saturating_mul(1000));
        for (_, entrance) in self.listeners.values() {
            entrance.look(self.library, now());
        }
        for (socket, group) in &mut self.groups {
            group.tick(self.library, socket.0, now());
        }
    }

    fn dial(&mut self, settings: &Settings) -> Result<SocketId, Fault> {
        if let Some(Bond::Call { mode, .. }) = &settings.plan.bond {
            return self.dial_bonded(settings, *mode);
        }
        let socket = self.new_socket()?;
        match self.try_dial(socket, settings) {
            Ok(()) => Ok(SocketId(socket)),
            Err((doing, failure)) => {
                self.library.close(socket);
                Err(fault(doing, failure))
            }
        }
    }

    fn listen(&mut self, settings: &Settings, door: &Arc<Door>) -> Result<SocketId, Fault> {
        let socket = self.new_socket()?;
        let key = self.next_entrance;
        self.next_entrance += 2;
        match self.try_listen(socket, settings, key, door) {
            Ok(entrance) => {
                self.drops.extend(entrance.drops().map(|drops| (SocketId(socket), drops)));
                self.listeners.insert(SocketId(socket), (key, entrance));
                Ok(SocketId(socket))
            }
            Err((doing, failure)) => {
                self.library.close(socket);
                ENTRANCES.lock().remove(&key);
                Err(fault(doing, failure))
            }
        }
    }

    fn accept(&mut self, listener: SocketId, settings: &Settings) -> Option<(SocketId, SocketAddr)> {
        let (socket, address) = self.library.accept(listener.0)?;
        // An accepted socket has the listener's options, all but these in every version.
        let _ = self.library.set(socket, Opt::SendBlocks, 0);
        let _ = self.library.set(socket, Opt::ReceiveBlocks, 0);
        // A socket that is gone already is found so by its phase.
        let _ = self.library.epoll_add(self.epoll, socket, events(settings.direction));
        Some((SocketId(socket), address))
    }

    fn connected(&mut self, socket: SocketId, direction: Direction) {
        let _ = self.library.epoll_update(self.epoll, socket.0, events(direction));
        // Only of a call that was answered, since it takes a while to find.
        if !bond::is(socket.0)
            && let Some(local) = self.library.local(socket.0)
        {
            // It says an address where the socket has none.
            let drops = Drops::find(|own, _| {
                own.port() == local.port() && (own.ip() == local.ip() || own.ip().is_unspecified())
            });
            self.drops.extend(drops.map(|drops| (socket, drops)));
        }
    }

    fn hold(&mut self, socket: SocketId) {
        let _ = self.library.epoll_update(self.epoll, socket.0, sys::ERROR);
    }

    fn signs(&mut self, socket: SocketId) -> u64 {
        self.told(socket).map_or(0, |told| count(told.acks_received))
    }

    fn phase(&mut self, socket: SocketId) -> Phase {
        match self.library.state(socket.0) {
            CONNECTED => Phase::Up,
            state if state < CONNECTED => Phase::Connecting,
            _ => Phase::Down,
        }
    }

    fn rejection(&mut self, socket: SocketId) -> Rejection {
        match self.library.reject_reason(socket.0) {
            code @ 0..1000 => Rejection(1000 + code),
            code if code >= 1000 => Rejection(code),
            _ => Rejection::UNKNOWN,
        }
    }

    fn receive(&mut self, socket: SocketId, now: Instant, frame: &mut Frame) -> Received {
        if self.drained.take() == Some(socket) {
            return Received::Nothing;
        }
        match self.library.receive(socket.0, frame.room()) {
            Ok((len, time)) => {
                // Each call wakes a thread of the library's, even where there is nothing.
                let events = self.library.read(socket.0, Opt::Events);
                self.drained = events.is_some_and(|events| events & sys::IN == 0).then_some(socket);
                frame.set_len(len);
                let due = Instant::from_nanos(time.saturating_mul(1000).saturating_add(self.offset_ns));
                frame.at = if time == 0 { now } else { due.clamp(now - OLDEST, now) };
                Received::Message
            }
            Err(Failure { code: NOTHING, .. }) => Received::Nothing,
            // Whatever else it says, a connection that stands goes on.
            Err(_) if self.phase(socket) == Phase::Up => Received::Nothing,
            Err(_) => Received::Down,
        }
    }

    fn longest_nap(&self) -> Span {
        NAP
    }

    fn send(&mut self, socket: SocketId, at: Instant, message: &[u8]) -> Sent {
        // The ways of a bond agree on the time by themselves.
        let time = if bond::is(socket.0) { 0 } else { (at.nanos() - self.offset_ns) / 1000 };
        match self.library.send(socket.0, time, message) {
            Ok(()) => Sent::Yes,
            Err(Failure { code: SEND_FULL | CONGESTED, .. }) => Sent::Full,
            Err(_) if self.phase(socket) == Phase::Up => Sent::Full,
            Err(_) => Sent::Down,
        }
    }

    fn stream_id(&mut self, socket: SocketId) -> Option<String> {
        self.library.read_text(socket.0, Opt::StreamId)
    }

    fn key_length(&mut self, socket: SocketId) -> u8 {
        if self.library.read(socket.0, Opt::KeyState) != Some(SECURED) {
            return 0;
        }
        self.library.read(socket.0, Opt::KeyLength).and_then(|length| u8::try_from(length).ok()).unwrap_or(0)
    }

    fn measure(&mut self, socket: SocketId, direction: Direction) -> Option<Measured> {
        let told = self.told(socket)?;
        let whole = |number: i64| u64::try_from(number).unwrap_or(0);
        let common = Measured {
            rtt: span_ms(told.rtt_ms),
            bandwidth: rate(told.bandwidth_mbps),
            acknowledgements: count(told.acks_received),
            ..Measured::default()
        };
        Some(match direction {
            Direction::In => Measured {
                latency: span_ms(f64::from(told.receive_latency_ms)),
                packets: whole(told.unique_received),
                bytes: told.unique_bytes_received,
                lost: count(told.receive_lost),
                // It is told only as since the last clearing, and nothing is ever cleared.
                retransmitted: count(told.part.received_again),
                dropped: count(told.receive_dropped),
                undecrypted: count(told.undecrypted),
                buffer: span_ms(f64::from(told.receive_buffer_ms)),
                ..common
            },
            Direction::Out => Measured {
                latency: span_ms(f64::from(told.send_latency_ms)),
                packets: whole(told.unique_sent),
                bytes: told.unique_bytes_sent,
                lost: count(told.send_lost),
                retransmitted: count(told.sent_again),
                dropped: count(told.send_dropped),
                undecrypted: 0,
                buffer: span_ms(f64::from(told.send_buffer_ms)),
                ..common
            },
        })
    }

    fn kernel_drops(&mut self, socket: SocketId) -> Option<u64> {
        self.drops.get_mut(&socket).map(Drops::take)
    }

    fn members(&mut self, socket: SocketId, found: &mut Vec<(SocketAddr, MemberState)>) {
        bond::members(self.library, socket.0, self.groups.get(&socket), found);
    }

    fn close(&mut self, socket: SocketId) {
        self.library.close(socket.0);
        self.groups.remove(&socket);
        self.drops.remove(&socket);
        if let Some((key, entrance)) = self.listeners.remove(&socket) {
            ENTRANCES.lock().remove(&key);
            entrance.leave();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.library.epoll_release(self.epoll);
    }
}
