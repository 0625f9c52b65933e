//! Where callers come to a listener: its UDP socket, the filter on it, and the door behind.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::CONNECTED;
use super::gate::{Fate, Gate};
use super::sys::{self, Libsrt};
use crate::plane::srt::access::{Door, Verdict};
use crate::plane::srt::drops::Drops;
use crate::plane::srt::event::{Refusal, Rejection};
use crate::plane::srt::library::SocketId;
use crate::units::{Instant, Span};

/// `SRTS_NONEXIST`: a number that no socket has.
const NOBODY: i32 = 9;
/// How much longer than `idle` libsrt may take to end a connection of a silent peer.
const SLACK: Span = Span::from_secs(1);

/// The bytes of a handshake that are looked at.
const HANDSHAKE: usize = 64;
/// The most datagrams that are taken out of a queue at once.
const MOST_QUEUED: usize = 4096;

/// The entrance of one listener.
#[derive(Debug)]
pub(super) struct Entrance {
    door: Arc<Door>,
    gate: Mutex<Gate>,
    /// The library's socket, by a descriptor of our own. The library reads it on the thread that asks who may come in.
    udp: UdpSocket,
    ipv6: bool,
    idle: Span,
}

impl Entrance {
    /// Binds the UDP socket, and gives a descriptor of it for the library.
    pub(super) fn open(address: SocketAddr, door: Arc<Door>, idle: Span) -> io::Result<(Self, OwnedFd)> {
        let udp = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            udp.set_only_v6(true)?;
        }
        // The library holds on to the socket of a listener that was closed for some seconds, and that is no reason not to
        // listen again: see `leave`. Nobody else may share it.
        udp.set_reuse_address(true)?;
        udp.bind(&address.into())?;
        udp.set_reuse_address(false)?;
        let gate = Gate::new();
        udp.attach_filter(&gate.filter(address.is_ipv6()))?;
        // It has to wait in its calls, as the library's thread that reads it does nothing else.
        let descriptor = udp.try_clone()?.into();
        Ok((Self { door, gate: Mutex::new(gate), udp: udp.into(), ipv6: address.is_ipv6(), idle }, descriptor))
    }

    /// What the kernel drops there.
    pub(super) fn drops(&self) -> Option<Drops> {
        self.udp.try_clone().ok().map(|udp| Drops::of(udp.into()))
    }

    /// What a caller is told.
    pub(super) fn knock(&self, socket: i32, peer: SocketAddr, stream_id: &str, now: Instant) -> Verdict<'_> {
        let address = peer.ip().to_canonical();
        let verdict = if self.gate.lock().has_room(address) {
            self.door.knock(SocketId(socket), peer, stream_id, now)
        } else {
            let stream_id = (!stream_id.is_empty()).then(|| stream_id.to_owned());
            self.door.refuse(peer, stream_id, Refusal::Handshake(Rejection::BACKLOG), now);
            Verdict::Refuse(Rejection::BACKLOG)
        };
        let mut gate = self.gate.lock();
        let admitted = matches!(verdict, Verdict::Admit(_));
        if gate.hold(socket, address, admitted, now + self.idle + SLACK) {
            self.filter(&gate);
        }
        if gate.is_shut() {
            self.clear(&gate);
        }
        verdict
    }

    /// Takes out of the socket's queue what the filter came too late for, up to the first datagram that is to stay.
    fn clear(&self, gate: &Gate) {
        let mut first = [0; HANDSHAKE];
        for _ in 0..MOST_QUEUED {
            let Some((len, from)) = sys::next_datagram(&self.udp, &mut first, true) else { return };
            if !gate.drops(from.ip().to_canonical(), first.get(..len).unwrap_or_default()) {
                return;
            }
            let _ = sys::next_datagram(&self.udp, &mut first, false);
        }
    }

    /// Learns what became of callers.
    pub(super) fn look(&self, library: &Libsrt, now: Instant) {
        // The library is not asked while its own thread may wait for the lock.
        let sockets: Vec<i32> = self.gate.lock().sockets().collect();
        if sockets.is_empty() {
            return;
        }
        let fates = sockets.into_iter().map(|socket| (socket, fate(library, socket)));
        let fates: Vec<_> = fates.collect();
        let mut gate = self.gate.lock();
        for (socket, fate) in fates {
            gate.learn(socket, fate, now);
        }
        if gate.tick(now) {
            self.filter(&gate);
        }
    }

    /// The listener is closed: another may have its address.
    pub(super) fn leave(&self) {
        let _ = SockRef::from(&self.udp).set_reuse_address(true);
    }

    fn filter(&self, gate: &Gate) {
        // Where the kernel has no memory for it, the old one stays.
        let _ = SockRef::from(&self.udp).attach_filter(&gate.filter(self.ipv6));
    }
}

fn fate(library: &Libsrt, socket: i32) -> Fate {
    match library.state(socket) {
        NOBODY => Fate::Gone,
        CONNECTED => {
            let told = library.statistics(socket);
            let heard = told.is_some_and(|told| told.received > 0 || told.acks_received > 0);
            if heard { Fate::Proven } else { Fate::Silent }
        }
        _ => Fate::Closed,
    }
}
