//! What is read of the connections of a link now and then: their figures, and how the ways of bonds stand.

use super::super::event::{MemberState, SrtFigures, What};
use super::super::library::{Direction, Library, SocketId};
use super::{Link, Peer};
use crate::config::{Bond, Interface};
use crate::units::Instant;

impl Link {
    /// Reads what the backend measures.
    pub(super) fn measure(&mut self, library: &mut dyn Library, now: Instant) {
        let direction = self.settings.direction;
        let sockets = self.peers.iter().flatten().map(|peer| peer.socket).chain(self.listener);
        for socket in sockets.collect::<Vec<_>>() {
            self.count_drops(library, socket);
        }
        self.look_for_signs(library, now);
        for (peer, place) in self.peers.iter_mut().zip(&mut self.status.connections) {
            let Some(peer) = peer else { continue };
            let Some(measured) = library.measure(peer.socket, direction) else { continue };
            if direction == Direction::Out {
                // Where nothing is to be sent nothing is acknowledged, and the peer's keep-alives are the backend's matter. What a
                // backend has sent does not tell: it sends nothing more once the window of a dead peer is full.
                let asked = std::mem::take(&mut peer.offered);
                if measured.acknowledgements != peer.acknowledgements || asked == 0 {
                    peer.heard = now;
                    peer.spoke |= measured.acknowledgements > 0;
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
        if direction == Direction::Out
            && let Some(hall) = &self.hall
        {
            hall.door.set_seats(self.peers.iter().flatten().map(Peer::seat));
        }
    }

    /// Looks for signs of life of peers that are sent to, between two measurements.
    pub(super) fn look_for_signs(&mut self, library: &mut dyn Library, now: Instant) {
        if self.settings.direction == Direction::In {
            return;
        }
        for peer in self.peers.iter_mut().flatten() {
            let signs = library.signs(peer.socket);
            if std::mem::replace(&mut peer.signs, signs) != signs {
                peer.heard = now;
            }
        }
    }

    /// Adds what the kernel dropped meanwhile.
    pub(super) fn count_drops(&mut self, library: &mut dyn Library, socket: SocketId) {
        if let Some(more) = library.kernel_drops(socket) {
            *self.status.kernel_drops.get_or_insert(0) += more;
        }
    }

    /// Tells how the ways of bonds stand, where that has changed. A way that is called again and again is lost until it
    /// answers.
    pub(super) fn look_at_members(&mut self, library: &mut dyn Library, now: Instant) {
        let Some(bond) = &self.settings.plan.bond else { return };
        let tell = |peer, interface: Option<&Interface>, state| {
            self.teller.tell(now, What::Member { peer, interface: interface.cloned(), state });
        };
        for peer in self.peers.iter_mut().flatten() {
            let mut found = Vec::new();
            library.members(peer.socket, &mut found);
            match bond {
                Bond::Call { others, .. } => {
                    let late = now.since(peer.since) > self.settings.plan.connect;
                    let first = self.settings.interface.as_ref();
                    let interfaces = [first].into_iter().chain(others.iter().map(|way| way.interface.as_ref()));
                    for (at, ((address, state), interface)) in found.iter_mut().zip(interfaces).enumerate() {
                        let before = peer.members.get(at).map_or(MemberState::Calling, |(_, before)| *before);
                        if *state == MemberState::Calling && (late || before != MemberState::Calling) {
                            *state = MemberState::Lost;
                        }
                        if *state != before {
                            tell(*address, interface, *state);
                        }
                    }
                }
                Bond::Accept => {
                    // A way that is lost comes back from another port.
                    found.retain(|(_, state)| matches!(state, MemberState::Standby | MemberState::Active));
                    for &(address, _) in &peer.members {
                        if !found.iter().any(|&(other, _)| other == address) {
                            tell(address, None, MemberState::Lost);
                        }
                    }
                    for &(address, state) in &found {
                        if !peer.members.contains(&(address, state)) {
                            tell(address, None, state);
                        }
                    }
                }
            }
            peer.members = found;
        }
    }
}
