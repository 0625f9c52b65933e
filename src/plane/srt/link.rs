//! One SRT input or output: its socket, its connections, and what is done about them, whatever the backend.
//!
//! Invariants:
//! - Nothing here waits. What cannot be sent or handed over at once is left out and counted.
//! - A call that failed is tried again for ever, with pauses ([`Backoff`]).
//! - A peer that was called and fell silent is called again beside the connection that it may have left, so that one that died is
//!   found as soon as it is back. Whichever is heard first goes on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Receiver;

use super::access::{Admitted, Door, Teller};
use super::backoff::Backoff;
use super::event::{Reason, Refusal, Rejection, SrtState, SrtStatus, What};
use super::library::{Direction, Fault, Library, Phase, Received, Sent, Settings, SocketId, Why};
use super::ring::{Consumer, Doorbell, Frame, Producer};
use crate::config::{Bond, Interface, Role};
use crate::plane::error;
use crate::plane::interface::Interfaces;
use crate::ts::PACKET_SIZE;
use crate::units::{Instant, Span};
use peer::{Peer, place_for};

mod figures;
mod peer;

/// How often figures are read.
const MEASURE: Span = Span::from_millis(500);
/// A caller that loses more than a tenth of what is sent in so many measurements on end is too slow. It is more than the two
/// seconds for which a way may be dark.
const SLOW: u32 = 6;
/// A caller that has acknowledged nothing of what was sent for so long does not keep its place.
const FIRST: Span = Span::from_secs(2);
/// A connection that held so long was a good one.
const HELD: Span = Span::from_secs(1);
/// Messages read from one socket before the next has its turn.
const TURN: usize = 256;
/// Handshakes that are followed at once.
const WAITING: usize = 1024;
/// How much sooner than `connect` says a backend may give up a call.
const SLACK: Span = Span::from_millis(100);
/// How long the connection that fell silent has to be heard once a call beside it was answered: its way was dark, perhaps, and is back
/// for both. A peer that serves one caller at a time may have no more use for either when the first is closed.
const GRACE: Span = Span::from_millis(100);
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
    /// A call that failed before this was answered.
    answer_by: Instant,
    /// When the call was answered, if it was.
    answered_at: Option<Instant>,
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
            answer_by: Instant::LONG_AGO,
            answered_at: None,
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
        self.answer_by = now + self.settings.plan.connect - SLACK;
        self.answered_at = None;
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
            let caller = address.ip().to_canonical();
            let place =
                hall.door.place(caller, now).map(|()| place_for(&self.peers, caller, self.settings.direction, now));
            let place = match place {
                Ok(place) => place,
                Err(reason) => {
                    hall.door.refuse(address, stream_id, reason, now);
                    library.close(socket);
                    continue;
                }
            };
            let reason = match self.settings.direction {
                Direction::In => Reason::Replaced,
                // The only way to lose the place at an output.
                Direction::Out => Reason::Silent,
            };
            self.end(library, place, reason, now);
            self.settle(library, place, socket, address, stream_id, now);
        }
        if library.phase(listener) == Phase::Down {
            library.close(listener);
            self.listener = None;
            self.failed(Reason::Lost, now);
        }
    }

    /// Whether a peer that was called is there after all.
    fn is_heard(&self, now: Instant) -> bool {
        self.peers.iter().flatten().any(|peer| !peer.is_quiet(self.settings.direction, now))
    }

    /// A call came to its end.
    fn answered(&mut self, library: &mut dyn Library, socket: SocketId, now: Instant) {
        match library.phase(socket) {
            Phase::Connecting => {}
            Phase::Up => {
                self.look_for_signs(library, now);
                if self.is_heard(now) {
                    self.call = None;
                    library.close(socket);
                    return;
                }
                let answered_at = *self.answered_at.get_or_insert(now);
                if self.peers.iter().any(Option::is_some) && now.since(answered_at) < GRACE {
                    library.hold(socket);
                    return;
                }
                self.call = None;
                self.end(library, 0, Reason::Silent, now);
                library.connected(socket, self.settings.direction);
                let stream_id = self.settings.plan.stream_id.clone();
                self.settle(library, 0, socket, self.settings.address, stream_id, now);
            }
            Phase::Down => {
                let rejection = library.rejection(socket);
                library.close(socket);
                self.call = None;
                let reason = match rejection {
                    Rejection::TIMEOUT => Reason::NoAnswer,
                    Rejection::UNKNOWN if now >= self.answer_by => Reason::NoAnswer,
                    // It was let in, and closed before that was seen.
                    Rejection::UNKNOWN => Reason::Lost,
                    told => Reason::Rejected(told),
                };
                let silent = reason == Reason::NoAnswer;
                let pause = if silent { self.backoff.short() } else { self.backoff.pause() };
                self.retry_at = now + pause;
                if self.peers.iter().all(Option::is_none) {
                    self.failed(reason, now);
                }
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
            let reason = Reason::KeyLength { wanted, found };
            if self.hall.is_some() {
                self.teller.tell(now, What::Down { peer: address, reason });
            } else {
                self.retry_at = now + self.backoff.pause();
                self.failed(reason, now);
            }
            return;
        }
        let peer = Peer::new(socket, address, now);
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
        self.count_drops(library, peer.socket);
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
            hall.door.set_seats(self.peers.iter().flatten().map(Peer::seat));
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
            peer.spoke = true;
            if let Some(hall) = &self.hall {
                hall.door.set_heard(now);
            }
        }
        if lost {
            self.end(library, place, Reason::Lost, now);
        }
    }

    /// The latency that is asked for.
    pub(super) fn latency(&self) -> Span {
        self.settings.plan.latency
    }

    /// Sends what the shard put into the ring. False where there was nothing.
    pub(super) fn pump(&mut self, library: &mut dyn Library, now: Instant) -> bool {
        let Flow::Out { frames } = &mut self.flow else { return false };
        let longest = usize::from(self.settings.plan.payload) / PACKET_SIZE * PACKET_SIZE;
        let mut lost = false;
        let count = frames.slots();
        for _ in 0..count {
            let Ok(frame) = frames.peek() else { break };
            for peer in self.peers.iter_mut().flatten() {
                for message in frame.bytes().chunks(longest.max(PACKET_SIZE)) {
                    peer.offered += 1;
                    match library.send(peer.socket, frame.at.max(peer.since), message) {
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
        count > 0
    }

    /// Does what is due: calls again, measures, and ends what is silent or slow.
    pub(super) fn tick(&mut self, library: &mut dyn Library, now: Instant) {
        self.look_at_handshakes(library, now);
        if self.settings.plan.bond.is_some() {
            // A bond says nothing of what becomes due when nothing comes behind it.
            for place in 0..self.peers.len() {
                self.receive(library, place, now);
            }
        }
        if now >= self.measure_at {
            self.measure_at = now + MEASURE;
            self.measure(library, now);
            self.look_at_members(library, now);
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
        let (direction, patience) = (self.settings.direction, self.settings.plan.idle);
        for place in 0..self.peers.len() {
            let Some(peer) = self.peers.get(place).and_then(Option::as_ref) else { continue };
            let strange = self.hall.is_some() && direction == Direction::Out && peer.acknowledgements == 0;
            let idle = if strange { FIRST.min(patience) } else { patience };
            if now.since(peer.heard) > idle {
                self.end(library, place, Reason::Silent, now);
            } else if peer.slow >= SLOW && self.hall.is_some() {
                self.end(library, place, Reason::Slow, now);
            }
        }
        if self.answered_at.is_some()
            && let Some(call) = self.call
        {
            self.answered(library, call, now);
        }
        let missing = match self.hall {
            Some(_) => self.listener.is_none(),
            None => {
                let heard = self.is_heard(now);
                if let Some(call) = self.call.take_if(|_| heard) {
                    library.close(call);
                }
                self.call.is_none() && !heard
            }
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
        // A further way of a bond is never accepted.
        let bonds = self.settings.plan.bond.is_some();
        hall.waiting.retain_mut(|admitted| match library.phase(admitted.socket) {
            Phase::Down => {
                let rejection = library.rejection(admitted.socket);
                door.refuse(admitted.peer, admitted.stream_id.take(), Refusal::Handshake(rejection), now);
                false
            }
            Phase::Up if bonds => false,
            Phase::Connecting | Phase::Up => now.since(admitted.at) < HANDSHAKE,
        });
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

/// Looks up the address that the interface has at the moment. A bond looks for those of its ways by itself, since one may be
/// called by where another cannot.
fn find_local(settings: &mut Settings) -> Result<(), Fault> {
    if let Some(interface) = &settings.interface
        && !matches!(settings.plan.bond, Some(Bond::Call { .. }))
    {
        settings.local = Some(find_own(interface, &mut settings.address)?);
    }
    Ok(())
}

/// The address that `interface` has at the moment, in the family of `peer`.
pub(super) fn find_own(interface: &Interface, peer: &mut SocketAddr) -> Result<SocketAddr, Fault> {
    let doing = "find the interface";
    let absent = |errno: i32| Fault { doing, why: Why::System(errno) };
    let interfaces = Interfaces::read().map_err(|error| absent(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let link = interfaces.find(interface).ok_or_else(|| absent(libc::ENODEV))?;
    let address = match interface {
        Interface::Address(address) => Some(*address),
        Interface::Name(_) => link.addresses.iter().copied().find(|address| address.is_ipv4() == peer.is_ipv4()),
    };
    let mut local = SocketAddr::new(address.ok_or_else(|| absent(libc::EADDRNOTAVAIL))?, 0);
    for address in [&mut local, peer] {
        if let SocketAddr::V6(v6) = address
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(link.index);
        }
    }
    Ok(local)
}

/// Whether an input or output may be opened now and begin to work later.
fn mends_itself(fault: Fault) -> bool {
    match fault.why {
        Why::System(errno) => error::is_absence(&std::io::Error::from_raw_os_error(errno)),
        Why::Backend(_) => false,
    }
}
