//! One SRT input or output: its socket, its connections, and what is done about them, whatever the backend.
//!
//! Invariants:
//! - Nothing here waits. What cannot be sent or handed over at once is left out and counted.
//! - A call that failed is tried again for ever, with pauses ([`Backoff`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Receiver;

use super::access::{Admitted, Door, Teller};
use super::backoff::Backoff;
use super::event::{Reason, Refusal, Rejection, SrtFigures, SrtState, SrtStatus, What};
use super::library::{Direction, Fault, Library, Phase, Received, Sent, Settings, SocketId, Why};
use super::ring::{Consumer, Doorbell, Frame, Producer};
use crate::config::{Interface, Role};
use crate::plane::error;
use crate::plane::interface::Interfaces;
use crate::ts::PACKET_SIZE;
use crate::units::{Instant, Span};

/// How often figures are read.
pub(super) const MEASURE: Span = Span::from_millis(500);
/// A caller that loses more than a tenth of what is sent in so many measurements on end is too slow. It is more than the two
/// seconds for which a way may be dark.
const SLOW: u32 = 6;
/// A connection that held so long was a good one.
const HELD: Span = Span::from_secs(1);
/// Messages read from one socket before the next has its turn.
const TURN: usize = 256;
/// Handshakes that are followed at once.
const WAITING: usize = 1024;
/// How long a handshake may take before nobody asks any more how it ended.
const HANDSHAKE: Span = Span::from_secs(10);

/// Where the messages of a link come from or go to.
#[derive(Debug)]
pub(super) enum Flow {
    /// To the shard.
    In {
        frames: Producer,
        bell: Arc<Doorbell>,
        /// Whether the peer is to be called: an input may rest until it is needed.
        wanted: Arc<AtomicBool>,
    },
    /// From the shard.
    Out { frames: Consumer },
}

/// One connection.
#[derive(Debug)]
struct Peer {
    socket: SocketId,
    address: SocketAddr,
    since: Instant,
    /// When something last came from it.
    heard: Instant,
    left_out: u64,
    /// Of the last measurement.
    measured_at: Instant,
    bytes: u64,
    packets: u64,
    dropped: u64,
    acknowledgements: u64,
    /// Measurements on end in which it was too slow.
    slow: u32,
}

/// A listener's side.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) door: Arc<Door>,
    pub(super) admitted: Receiver<Admitted>,
    /// Whom the rules let in, and who is not yet accepted.
    pub(super) waiting: Vec<Admitted>,
}

impl Hall {
    /// Learns whom the rules let in meanwhile; no more of them than it can be made to remember.
    fn look(&mut self) {
        let room = WAITING.saturating_sub(self.waiting.len());
        self.waiting.extend(self.admitted.try_iter().take(room));
    }
}

/// One SRT input or output.
#[derive(Debug)]
pub(super) struct Link {
    settings: Settings,
    flow: Flow,
    hall: Option<Hall>,
    listener: Option<SocketId>,
    call: Option<SocketId>,
    peers: Vec<Option<Peer>>,
    /// How many connections stand, for the shard.
    present: Arc<AtomicUsize>,
    retry_at: Instant,
    measure_at: Instant,
    backoff: Backoff,
    /// Why it last failed, so that it is told once.
    told: Option<Reason>,
    teller: Arc<Teller>,
    status: SrtStatus,
    out: triple_buffer::Input<SrtStatus>,
    spare: Box<Frame>,
}

impl Link {
    pub(super) fn new(
        settings: Settings,
        flow: Flow,
        hall: Option<Hall>,
        present: Arc<AtomicUsize>,
        teller: Arc<Teller>,
        out: triple_buffer::Input<SrtStatus>,
        first: &SrtStatus,
    ) -> Self {
        let places = first.connections.len().max(1);
        let backoff = Backoff::new(&settings.url);
        Self {
            settings,
            flow,
            hall,
            listener: None,
            call: None,
            peers: (0..places).map(|_| None).collect(),
            present,
            retry_at: Instant::LONG_AGO,
            measure_at: Instant::LONG_AGO,
            backoff,
            told: None,
            teller,
            status: SrtStatus { connections: vec![None; places], ..first.clone() },
            out,
            spare: Box::new(Frame::EMPTY),
        }
    }

    /// Opens it for the first time.
    ///
    /// # Errors
    /// What cannot be expected to mend itself. An address that is not there, and a peer that does not answer, can.
    pub(super) fn begin(&mut self, library: &mut dyn Library, now: Instant) -> Result<(), Fault> {
        let opened = if self.rests() { Ok(()) } else { self.open(library, now) };
        self.publish();
        match opened {
            Err(fault) if !mends_itself(fault) => Err(fault),
            _ => Ok(()),
        }
    }

    /// Whether it is not to be connected for now.
    fn rests(&self) -> bool {
        match &self.flow {
            Flow::In { wanted, .. } => self.hall.is_none() && !wanted.load(Ordering::Acquire),
            Flow::Out { .. } => false,
        }
    }

    /// The sockets that the backend may name as ready.
    pub(super) fn has(&self, socket: SocketId) -> bool {
        self.listener == Some(socket)
            || self.call == Some(socket)
            || self.peers.iter().flatten().any(|peer| peer.socket == socket)
    }

    /// Listens or calls.
    fn open(&mut self, library: &mut dyn Library, now: Instant) -> Result<(), Fault> {
        let found = find_local(&mut self.settings);
        let opened = found.and_then(|()| match &self.hall {
            Some(hall) => library.listen(&self.settings, &hall.door).map(|socket| self.listener = Some(socket)),
            None => library.dial(&self.settings).map(|socket| self.call = Some(socket)),
        });
        if let Err(fault) = opened {
            self.retry_at = now + self.backoff.pause();
            self.failed(fault.into(), now);
        }
        opened
    }

    /// Tells why it failed, once.
    fn failed(&mut self, reason: Reason, now: Instant) {
        if self.told.as_ref() != Some(&reason) {
            self.teller.tell(now, What::Failed { reason: reason.clone() });
            self.told = Some(reason);
        }
    }

    /// Does what `socket` is ready for.
    pub(super) fn ready(&mut self, library: &mut dyn Library, socket: SocketId, now: Instant) {
        if self.listener == Some(socket) {
            self.accept(library, socket, now);
        } else if self.call == Some(socket) {
            self.answered(library, socket, now);
        } else if let Some(place) = self.place_of(socket) {
            match self.settings.direction {
                Direction::In => self.receive(library, place, now),
                Direction::Out => {
                    if library.phase(socket) == Phase::Down {
                        self.end(library, place, Reason::Lost, now);
                    }
                }
            }
        }
    }

    fn place_of(&self, socket: SocketId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.as_ref().is_some_and(|peer| peer.socket == socket))
    }

    fn accept(&mut self, library: &mut dyn Library, listener: SocketId, now: Instant) {
        while let Some((socket, address)) = library.accept(listener, &self.settings) {
            let Some(hall) = &mut self.hall else { return };
            hall.look();
            hall.waiting.retain(|admitted| admitted.socket != socket);
            let stream_id = library.stream_id(socket);
            // Several may have been let in before the first of them was accepted.
            if let Err(reason) = hall.door.place(now) {
                hall.door.refuse(address, stream_id, reason, now);
                library.close(socket);
                continue;
            }
            let free = self.peers.iter().position(Option::is_none);
            if free.is_none() {
                self.end(library, 0, Reason::Replaced, now);
            }
            self.settle(library, free.unwrap_or(0), socket, address, stream_id, now);
        }
        if library.phase(listener) == Phase::Down {
            library.close(listener);
            self.listener = None;
            self.failed(Reason::Lost, now);
        }
    }

    /// A call came to its end.
    fn answered(&mut self, library: &mut dyn Library, socket: SocketId, now: Instant) {
        match library.phase(socket) {
            Phase::Connecting => {}
            Phase::Up => {
                self.call = None;
                library.connected(socket, self.settings.direction);
                let stream_id = self.settings.plan.stream_id.clone();
                self.settle(library, 0, socket, self.settings.address, stream_id, now);
            }
            Phase::Down => {
                let rejection = library.rejection(socket);
                library.close(socket);
                self.call = None;
                let silent = matches!(rejection, Rejection::TIMEOUT | Rejection::UNKNOWN);
                let pause = if silent { self.backoff.short() } else { self.backoff.pause() };
                self.retry_at = now + pause;
                let reason = if silent { Reason::NoAnswer } else { Reason::Rejected(rejection) };
                self.failed(reason, now);
            }
        }
    }

    /// Puts a connection in its place.
    fn settle(
        &mut self,
        library: &mut dyn Library,
        place: usize,
        socket: SocketId,
        address: SocketAddr,
        stream_id: Option<String>,
        now: Instant,
    ) {
        let found = library.key_length(socket);
        if let Some(wanted) = self.settings.plan.key_length
            && found != 0
            && found != wanted
        {
            library.close(socket);
            self.retry_at = now + self.backoff.pause();
            self.teller.tell(now, What::Down { peer: address, reason: Reason::KeyLength { wanted, found } });
            return;
        }
        let peer = Peer {
            socket,
            address,
            since: now,
            heard: now,
            left_out: 0,
            measured_at: now,
            bytes: 0,
            packets: 0,
            dropped: 0,
            acknowledgements: 0,
            slow: 0,
        };
        if let Some(free) = self.peers.get_mut(place) {
            *free = Some(peer);
        }
        self.told = None;
        self.status.connected += 1;
        self.teller.tell(now, What::Up { peer: address, stream_id });
        self.measure(library, now);
        self.counted(now);
    }

    /// Ends a connection.
    fn end(&mut self, library: &mut dyn Library, place: usize, reason: Reason, now: Instant) {
        let Some(peer) = self.peers.get_mut(place).and_then(Option::take) else { return };
        library.close(peer.socket);
        self.status.slow += u64::from(reason == Reason::Slow);
        self.teller.tell(now, What::Down { peer: peer.address, reason });
        if self.hall.is_none() {
            if now.since(peer.since) >= HELD {
                self.backoff.reset();
            }
            self.retry_at = now + self.backoff.pause();
        }
        if let Some(gone) = self.status.connections.get_mut(place) {
            *gone = None;
        }
        self.counted(now);
    }

    /// Lets everybody know how many connections stand.
    fn counted(&mut self, now: Instant) {
        let count = self.peers.iter().flatten().count();
        self.present.store(count, Ordering::Release);
        if let Some(hall) = &self.hall {
            hall.door.set_taken(count);
            hall.door.set_heard(now);
        }
        self.publish();
    }

    fn receive(&mut self, library: &mut dyn Library, place: usize, now: Instant) {
        let Flow::In { frames, bell, .. } = &mut self.flow else { return };
        let Some(peer) = self.peers.get_mut(place).and_then(Option::as_mut) else { return };
        let mut any = false;
        let mut lost = false;
        for _ in 0..TURN {
            match library.receive(peer.socket, now, &mut self.spare) {
                Received::Message => {
                    any = true;
                    if frames.push(*self.spare).is_err() {
                        peer.left_out += 1;
                        self.status.overflow += 1;
                    }
                }
                Received::Nothing => break,
                Received::Down => {
                    lost = true;
                    break;
                }
            }
        }
        if any {
            bell.ring();
            peer.heard = now;
            if let Some(hall) = &self.hall {
                hall.door.set_heard(now);
            }
        }
        if lost {
            self.end(library, place, Reason::Lost, now);
        }
    }

    /// Sends what the shard put into the ring.
    pub(super) fn pump(&mut self, library: &mut dyn Library, now: Instant) {
        let Flow::Out { frames } = &mut self.flow else { return };
        let longest = usize::from(self.settings.plan.payload) / PACKET_SIZE * PACKET_SIZE;
        let mut lost = false;
        for _ in 0..frames.slots() {
            let Ok(frame) = frames.peek() else { break };
            for peer in self.peers.iter_mut().flatten() {
                for message in frame.bytes().chunks(longest.max(PACKET_SIZE)) {
                    match library.send(peer.socket, message) {
                        Sent::Yes => {}
                        Sent::Full => peer.left_out += 1,
                        Sent::Down => lost = true,
                    }
                }
            }
            let _ = frames.pop();
        }
        if lost {
            for place in 0..self.peers.len() {
                let socket = self.peers.get(place).and_then(Option::as_ref).map(|peer| peer.socket);
                if socket.is_some_and(|socket| library.phase(socket) == Phase::Down) {
                    self.end(library, place, Reason::Lost, now);
                }
            }
        }
    }

    /// Does what is due: calls again, measures, and ends what is silent or slow.
    pub(super) fn tick(&mut self, library: &mut dyn Library, now: Instant) {
        self.look_at_handshakes(library, now);
        if now >= self.measure_at {
            self.measure_at = now + MEASURE;
            self.measure(library, now);
            self.publish();
        }
        if self.rests() {
            if self.call.is_some() || self.peers.iter().any(Option::is_some) {
                self.close(library, &Reason::Closed, now);
            }
            // Once it is needed it is called at once.
            self.backoff.reset();
            (self.retry_at, self.told) = (now, None);
            return;
        }
        let idle = self.settings.plan.idle;
        for place in 0..self.peers.len() {
            let Some(peer) = self.peers.get(place).and_then(Option::as_ref) else { continue };
            if now.since(peer.heard) > idle {
                self.end(library, place, Reason::Silent, now);
            } else if peer.slow >= SLOW && self.hall.is_some() {
                self.end(library, place, Reason::Slow, now);
            }
        }
        let missing = match self.hall {
            Some(_) => self.listener.is_none(),
            None => self.call.is_none() && self.peers.iter().all(Option::is_none),
        };
        if missing && now >= self.retry_at {
            let _ = self.open(library, now);
            self.publish();
        }
    }

    /// The backend refuses a wrong passphrase by itself, and tells nobody: only that the socket is gone.
    fn look_at_handshakes(&mut self, library: &mut dyn Library, now: Instant) {
        let Some(hall) = &mut self.hall else { return };
        hall.look();
        let door = &hall.door;
        hall.waiting.retain_mut(|admitted| match library.phase(admitted.socket) {
            Phase::Down => {
                let rejection = library.rejection(admitted.socket);
                door.refuse(admitted.peer, admitted.stream_id.take(), Refusal::Handshake(rejection), now);
                false
            }
            Phase::Connecting | Phase::Up => now.since(admitted.at) < HANDSHAKE,
        });
    }

    fn measure(&mut self, library: &mut dyn Library, now: Instant) {
        let direction = self.settings.direction;
        for (peer, place) in self.peers.iter_mut().zip(&mut self.status.connections) {
            let Some(peer) = peer else { continue };
            let Some(measured) = library.measure(peer.socket, direction) else { continue };
            if direction == Direction::Out {
                // Where nothing is sent nothing is acknowledged, and the peer's keep-alives are the backend's matter.
                if measured.acknowledgements != peer.acknowledgements || measured.packets == peer.packets {
                    peer.heard = now;
                }
                let offered = measured.packets.saturating_sub(peer.packets);
                let dropped = measured.dropped + peer.left_out;
                let lost = dropped.saturating_sub(peer.dropped);
                peer.slow = if lost * 10 > offered + lost { peer.slow + 1 } else { 0 };
                (peer.dropped, peer.acknowledgements) = (dropped, measured.acknowledgements);
            }
            let bytes = measured.bytes.saturating_sub(peer.bytes);
            let passed = u64::try_from(now.since(peer.measured_at).nanos()).unwrap_or(0).max(1);
            let rate = u128::from(bytes) * 8_000_000_000 / u128::from(passed);
            (peer.packets, peer.bytes, peer.measured_at) = (measured.packets, measured.bytes, now);
            *place = Some(SrtFigures {
                peer: peer.address,
                since: peer.since,
                rtt: measured.rtt,
                latency: measured.latency,
                packets: measured.packets,
                bytes: measured.bytes,
                lost: measured.lost,
                retransmitted: measured.retransmitted,
                dropped: measured.dropped,
                left_out: peer.left_out,
                undecrypted: measured.undecrypted,
                buffer: measured.buffer,
                rate: u64::try_from(rate).unwrap_or(u64::MAX),
                bandwidth: measured.bandwidth,
                key_length: library.key_length(peer.socket),
            });
        }
    }

    fn publish(&mut self) {
        self.status.state = if self.peers.iter().any(Option::is_some) {
            SrtState::Up
        } else if self.rests() {
            SrtState::Idle
        } else if self.settings.plan.role != Role::Listener {
            SrtState::Calling
        } else if self.listener.is_some() {
            SrtState::Listening
        } else {
            SrtState::Waiting
        };
        self.status.refused = self.hall.as_ref().map_or(0, |hall| hall.door.refused());
        self.status.events_lost = self.teller.lost.load(Ordering::Relaxed);
        self.out.input_buffer_mut().copy(&self.status);
        self.out.publish();
    }

    /// Closes all of it.
    pub(super) fn close(&mut self, library: &mut dyn Library, reason: &Reason, now: Instant) {
        for place in 0..self.peers.len() {
            self.end(library, place, reason.clone(), now);
        }
        for socket in self.call.take().into_iter().chain(self.listener.take()) {
            library.close(socket);
        }
        self.retry_at = now + self.backoff.pause();
        self.publish();
    }
}

/// Looks up the address that the interface has at the moment.
fn find_local(settings: &mut Settings) -> Result<(), Fault> {
    let Some(interface) = &settings.interface else { return Ok(()) };
    let doing = "find the interface";
    let absent = |errno: i32| Fault { doing, why: Why::System(errno) };
    let interfaces = Interfaces::read().map_err(|error| absent(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let link = interfaces.find(interface).ok_or_else(|| absent(libc::ENODEV))?;
    let address = match interface {
        Interface::Address(address) => Some(*address),
        Interface::Name(_) => {
            link.addresses.iter().copied().find(|address| address.is_ipv4() == settings.address.is_ipv4())
        }
    };
    let mut local = SocketAddr::new(address.ok_or_else(|| absent(libc::EADDRNOTAVAIL))?, 0);
    for address in [&mut local, &mut settings.address] {
        if let SocketAddr::V6(v6) = address
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(link.index);
        }
    }
    settings.local = Some(local);
    Ok(())
}

/// Whether an input or output may be opened now and begin to work later.
fn mends_itself(fault: Fault) -> bool {
    match fault.why {
        Why::System(errno) => error::is_absence(&std::io::Error::from_raw_os_error(errno)),
        Why::Backend(_) => false,
    }
}
