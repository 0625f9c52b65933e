//! One connection of a link, and which of them gives its place to a caller.

use std::net::{IpAddr, SocketAddr};

use super::super::access::{STALE, Seat, UNANSWERED};
use super::super::event::MemberState;
use super::super::library::{Direction, SocketId};
use crate::units::Instant;

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) socket: SocketId,
    pub(super) address: SocketAddr,
    pub(super) since: Instant,
    /// When something last came from it.
    pub(super) heard: Instant,
    pub(super) left_out: u64,
    /// Messages that were to be sent to it since the last measurement.
    pub(super) offered: u64,
    /// Of the last measurement.
    pub(super) measured_at: Instant,
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) dropped: u64,
    pub(super) acknowledgements: u64,
    pub(super) signs: u64,
    /// Measurements on end in which it was too slow.
    pub(super) slow: u32,
    /// The ways of a bond, as they were told.
    pub(super) members: Vec<(SocketAddr, MemberState)>,
    /// Something came from it at all.
    pub(super) spoke: bool,
}

impl Peer {
    pub(super) fn new(socket: SocketId, address: SocketAddr, now: Instant) -> Self {
        Self {
            socket,
            address,
            since: now,
            heard: now,
            left_out: 0,
            offered: 0,
            measured_at: now,
            bytes: 0,
            packets: 0,
            dropped: 0,
            acknowledgements: 0,
            signs: 0,
            slow: 0,
            members: Vec::new(),
            spoke: false,
        }
    }

    /// Whether it fell silent, and may be dead.
    pub(super) fn is_quiet(&self, direction: Direction, now: Instant) -> bool {
        let long = match direction {
            Direction::In => STALE,
            Direction::Out => UNANSWERED,
        };
        self.spoke && now.since(self.heard) > long
    }

    /// What the door knows of its place at an output.
    pub(super) fn seat(&self) -> Seat {
        Seat { heard: self.heard, of: self.spoke.then(|| self.address.ip().to_canonical()) }
    }
}

/// The place of a caller that the door has found one for: a free one, or that of the connection that was silent for longest, of
/// those that have to go for it.
pub(super) fn place_for(peers: &[Option<Peer>], caller: IpAddr, direction: Direction, now: Instant) -> usize {
    let gives_way = |peer: &Peer| direction == Direction::In || peer.seat().is_free_for(caller, now);
    let all = peers.iter().enumerate().filter(|(_, peer)| peer.as_ref().is_none_or(gives_way));
    all.min_by_key(|(_, peer)| peer.as_ref().map(|peer| peer.heard)).map_or(0, |(place, _)| place)
}
