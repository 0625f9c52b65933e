//! Several ways for one connection: groups of libsrt. A group forgets a way that fails, so it is told of it again.

use std::net::SocketAddr;

use super::layout::Statistics;
use super::sys::{Libsrt, Member};
use super::{CONNECTED, fault};
use crate::config::{Bond, BondMode, Way};
use crate::plane::srt::event::MemberState;
use crate::plane::srt::library::{Fault, Settings};
use crate::plane::srt::link::find_own;
use crate::units::{Instant, Span};

/// `SRT_GTYPE_BROADCAST`.
pub(super) const BROADCAST: i32 = 1;
/// `SRT_GTYPE_BACKUP`.
const BACKUP: i32 = 2;
/// `SRT_GST_RUNNING`: data goes this way.
const RUNNING: i32 = 2;
/// `SRT_GST_BROKEN`.
const BROKEN: i32 = 3;
/// The number that marks a group among sockets (`SRTGROUP_MASK`).
const GROUP: i32 = 1 << 30;
/// The weight of the first way is one less.
const WEIGHTS: u16 = 64;
/// How often ways that failed are called again.
const AGAIN: Span = Span::from_secs(1);

pub(super) const fn kind(mode: BondMode) -> i32 {
    match mode {
        BondMode::Broadcast => BROADCAST,
        BondMode::Backup => BACKUP,
    }
}

/// The other ways of a bond, besides the first.
fn others(settings: &Settings) -> &[Way] {
    match &settings.plan.bond {
        Some(Bond::Call { others, .. }) => others,
        Some(Bond::Accept) | None => &[],
    }
}

/// The addresses of all ways, of which most connections have one.
pub(super) fn addresses(settings: &Settings) -> impl Iterator<Item = SocketAddr> {
    std::iter::once(settings.address).chain(others(settings).iter().map(|way| way.address))
}

/// The ways of a bond that was dialled, the first of which is preferred.
#[derive(Debug)]
pub(super) struct Group {
    ways: Vec<Way>,
    look_at: Instant,
}

impl Group {
    /// Calls by all ways.
    ///
    /// # Errors
    /// Why the last cannot be called by, when none can.
    pub(super) fn call(library: &Libsrt, group: i32, settings: &Settings, now: Instant) -> Result<Self, Fault> {
        let first = Way { address: settings.address, interface: settings.interface.clone() };
        let ways: Vec<_> = std::iter::once(first).chain(others(settings).iter().cloned()).collect();
        let bond = Self { ways, look_at: now + AGAIN };
        bond.call_where(library, group, |_| true).map(|()| bond)
    }

    /// Calls again by the ways that the group has no more, as long as it has any.
    pub(super) fn tick(&mut self, library: &Libsrt, group: i32, now: Instant) {
        if now < self.look_at || library.state(group) != CONNECTED {
            return;
        }
        self.look_at = now + AGAIN;
        let mut found = Vec::new();
        library.members(group, &mut found);
        // One that cannot be called by is tried again like one that does not answer.
        let _ = self.call_where(library, group, |token| !found.iter().any(|member| member.token == token));
    }

    fn call_where(&self, library: &Libsrt, group: i32, wanted: impl Fn(i32) -> bool) -> Result<(), Fault> {
        let mut outcome = Ok(());
        let mut any = false;
        for ((way, token), weight) in self.ways.iter().zip(0..).zip((0..WEIGHTS).rev()) {
            if !wanted(token) {
                continue;
            }
            let mut to = way.address;
            let from = way.interface.as_ref().map(|interface| find_own(interface, &mut to)).transpose();
            let called = from.and_then(|from| {
                let failed = |failure| fault("call", failure);
                library.connect_group(group, from, to, weight, token).map_err(failed)
            });
            match called {
                Ok(()) => any = true,
                Err(fault) => outcome = Err(fault),
            }
        }
        if any { Ok(()) } else { outcome }
    }
}

/// Whether a socket is a bond.
pub(super) const fn is(socket: i32) -> bool {
    socket & GROUP != 0
}

fn state(member: &Member) -> MemberState {
    match (member.state, member.status) {
        (_, BROKEN) => MemberState::Lost,
        (CONNECTED, RUNNING) => MemberState::Active,
        (CONNECTED, _) => MemberState::Standby,
        (state, _) if state < CONNECTED => MemberState::Calling,
        _ => MemberState::Lost,
    }
}

/// How the ways of a bond stand, all of them and in their order where it was dialled from here; nothing for a connection
/// that is none.
pub(super) fn members(
    library: &Libsrt,
    socket: i32,
    dialled: Option<&Group>,
    found: &mut Vec<(SocketAddr, MemberState)>,
) {
    if !is(socket) {
        return;
    }
    let mut told = Vec::new();
    library.members(socket, &mut told);
    match dialled {
        None => found.extend(told.iter().map(|member| (member.peer, state(member)))),
        Some(group) => found.extend(group.ways.iter().zip(0..).map(|(way, token)| {
            let member = told.iter().find(|member| member.token == token);
            (way.address, member.map_or(MemberState::Calling, state))
        })),
    }
}

/// The figures of a bond: what it counts itself, with the sums over the ways that stand, and the round trip, latency and
/// rate of the first of them that is active.
pub(super) fn statistics(library: &Libsrt, group: i32) -> Option<Statistics> {
    let mut told = library.statistics(group)?;
    let mut members = Vec::new();
    library.members(group, &mut members);
    members.sort_by_key(|member| member.status != RUNNING);
    let mut first = true;
    for way in members.iter().filter_map(|member| library.statistics(member.socket)) {
        if std::mem::take(&mut first) {
            (told.rtt_ms, told.bandwidth_mbps) = (way.rtt_ms, way.bandwidth_mbps);
            (told.receive_latency_ms, told.send_latency_ms) = (way.receive_latency_ms, way.send_latency_ms);
        }
        told.acks_received = told.acks_received.wrapping_add(way.acks_received);
        told.receive_lost = told.receive_lost.wrapping_add(way.receive_lost);
        told.send_lost = told.send_lost.wrapping_add(way.send_lost);
        told.sent_again = told.sent_again.wrapping_add(way.sent_again);
        told.undecrypted = told.undecrypted.wrapping_add(way.undecrypted);
        told.part.received_again = told.part.received_again.wrapping_add(way.part.received_again);
        told.receive_buffer_ms = told.receive_buffer_ms.max(way.receive_buffer_ms);
        told.send_buffer_ms = told.send_buffer_ms.max(way.send_buffer_ms);
    }
    Some(told)
}
