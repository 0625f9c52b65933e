//! SRT sessions of a capture (draft-sharabayko-srt-01): what the receiver would have handed on, and when.
//!
//! Data packets are put in the order of their sequence numbers, repetitions are left out, and each message leaves at its
//! own time stamp plus the latency of the configuration, counted from the earliest that packets came. What is missing then
//! is missing. The latency that the peers agreed on may have been longer, since this one does not know of theirs.
//! An encrypted payload cannot be read, and is counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use super::capture::Datagram;
use crate::config::{InputPlan, Role, Second, SrtPlan};
use crate::units::{Instant, Span};

/// The header of every SRT packet, in bytes.
const HEADER: usize = 16;
/// The type of the control packet that ends a session (3.2.7).
const SHUTDOWN: u16 = 5;
/// The most messages that wait.
const MOST: usize = 1 << 16;
/// A time stamp that is further off than this begins a new count of time.
const STEP: Span = Span::from_secs(10);
/// After so many packets the clocks of the two hosts are compared again.
const WINDOW: u32 = 1000;

/// What was found of SRT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Data packets of the session, first or repeated.
    pub packets: u64,
    /// Of those, repeated ones of which there was one before, and the like.
    pub duplicates: u64,
    /// Of those, such that came after a later one had left.
    pub late: u64,
    /// Sequence numbers that never came, or late.
    pub missing: u64,
    /// Of the packets, encrypted ones, which cannot be read.
    pub encrypted: u64,
    /// Data packets of a second sender while there was a first.
    pub refused: u64,
    /// Packets left out because too many waited.
    pub overflowed: u64,
}

/// A message that is due.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) at: Instant,
    pub(super) payload: Vec<u8>,
}

/// One connection, from its first data packet on.
#[derive(Debug)]
struct Session {
    peers: (SocketAddr, SocketAddr),
    socket: u32,
    /// The last sequence number and time stamp, counted on past where they begin again.
    sequence: (u32, i64),
    stamp: (u32, i64),
    /// The engine's time at a stamp of 0, in nanoseconds: the earliest of the last window, and of this one.
    base: i64,
    earliest: i64,
    counted: u32,
    last: Instant,
    /// The sequence number that leaves next.
    next: i64,
}

/// What receives the SRT of one input.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    plan: SrtPlan,
    session: Option<Session>,
    waiting: BTreeMap<i64, Message>,
    pub(super) figures: Figures,
}

impl Receiver {
    /// The receiver of an input; none for one that has no SRT.
    pub(super) fn of(input: &InputPlan) -> Option<Self> {
        let plan = input.srt.clone()?;
        let (waiting, figures) = (BTreeMap::new(), Figures::default());
        Some(Self { address: input.address, plan, session: None, waiting, figures })
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, message)| message.at)
    }

    /// Takes the next message, due or not.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let (sequence, message) = self.waiting.pop_first()?;
        if let Some(session) = &mut self.session {
            self.figures.missing += u64::try_from(sequence - session.next).unwrap_or(0);
            session.next = sequence + 1;
        }
        Some(message)
    }

    /// Takes a datagram of the capture that came at `now`. False where it is none of this input's, in neither direction.
    pub(super) fn take(&mut self, datagram: &Datagram<'_>, now: Instant) -> bool {
        let here = |at: SocketAddr| {
            at.port() == self.address.port() && (self.address.ip().is_unspecified() || at.ip() == self.address.ip())
        };
        let (to, from) = match self.plan.role {
            Role::Listener => (here(datagram.destination), here(datagram.source)),
            Role::Caller | Role::Rendezvous => (here(datagram.source), here(datagram.destination)),
        };
        if to && let Some((header, payload)) = datagram.payload.split_first_chunk::<HEADER>() {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *header;
            let word = |bytes| u32::from_be_bytes(bytes);
            let peers = (datagram.source, datagram.destination);
            let (first, second, stamp, socket) =
                (word([a, b, c, d]), word([e, f, g, h]), word([i, j, k, l]), word([m, n, o, p]));
            if first >> 31 == 0 {
                let encrypted = (second >> 27) & 3 != 0;
                let repeated = (second >> 26) & 1 != 0;
                if self.admit(peers, socket, first, stamp, now) {
                    self.data(first, stamp, encrypted, repeated, payload, now);
                }
            } else if u16::from_be_bytes([a, b]) & 0x7fff == SHUTDOWN {
                self.session.take_if(|session| session.peers == peers && session.socket == socket);
            }
        }
        to || from
    }

    /// Whether a data packet is of the session, which it may begin.
    fn admit(&mut self, peers: (SocketAddr, SocketAddr), socket: u32, sequence: u32, stamp: u32, now: Instant) -> bool {
        if let Some(session) = &self.session {
            if session.peers == peers && session.socket == socket {
                return true;
            }
            let silent = now.since(session.last) > self.plan.idle;
            if !silent && self.plan.second == Second::Refuse {
                self.figures.refused += 1;
                return false;
            }
        }
        // What waits of the old one leaves before anything of the new one.
        let from = self.waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        let base = now.nanos().saturating_sub(i64::from(stamp) * 1_000);
        self.session = Some(Session {
            peers,
            socket,
            sequence: (sequence, from),
            stamp: (stamp, i64::from(stamp)),
            base,
            earliest: base,
            counted: 0,
            last: now,
            next: self.waiting.first_key_value().map_or(from, |(first, _)| *first),
        });
        true
    }

    fn data(&mut self, sequence: u32, stamp: u32, encrypted: bool, repeated: bool, payload: &[u8], now: Instant) {
        let Some(session) = &mut self.session else { return };
        self.figures.packets += 1;
        session.last = now;
        if encrypted {
            self.figures.encrypted += 1;
            return;
        }
        // Sequence numbers have 31 bits.
        let step = (sequence.wrapping_sub(session.sequence.0) << 1).cast_signed() >> 1;
        let number = session.sequence.1 + i64::from(step);
        let mut micros = session.stamp.1 + i64::from(stamp.wrapping_sub(session.stamp.0).cast_signed());
        if step > 0 {
            session.sequence = (sequence, number);
            session.stamp = (stamp, micros);
        }
        let mut offset = now.nanos().saturating_sub(micros.saturating_mul(1_000));
        if offset.abs_diff(session.base) > STEP.nanos().unsigned_abs() {
            micros = i64::from(stamp);
            offset = now.nanos().saturating_sub(micros * 1_000);
            session.stamp = (stamp, micros);
            (session.base, session.earliest, session.counted) = (offset, offset, 0);
        } else if !repeated {
            // The two clocks drift apart, which the packets that were delayed least tell.
            session.earliest = if session.counted == 0 { offset } else { session.earliest.min(offset) };
            session.counted += 1;
            if session.counted == WINDOW {
                (session.base, session.counted) = (session.earliest, 0);
            }
        }
        if number < session.next {
            self.figures.late += 1;
        } else if self.waiting.contains_key(&number) {
            self.figures.duplicates += 1;
        } else if self.waiting.len() >= MOST {
            self.figures.overflowed += 1;
        } else {
            let due =
                session.base.saturating_add(micros.saturating_mul(1_000)).saturating_add(self.plan.latency.nanos());
            let due = Instant::from_nanos(due);
            self.waiting.insert(number, Message { at: due.max(now), payload: payload.to_vec() });
        }
    }
}
