//! Plays a clip turn after turn.

use super::Clip;
use crate::ts::PACKET_SIZE;
use crate::units::{Instant, Span};

/// A packet that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its bytes as they are in the first turn.
    pub bytes: &'a [u8; PACKET_SIZE],
    /// The continuity_counter that it leaves with, so that it runs on from turn to turn. Of a null packet it says
    /// nothing.
    pub counter: u8,
    /// When it is due.
    pub due: Instant,
    /// How many turns are over: PCR, PTS and DTS are to be moved by as many times [`Player::length`].
    pub turn: u64,
}

/// A clip, and how far it has played.
#[derive(Clone, Debug)]
pub struct Player {
    clip: Clip,
    /// When the first turn began; none while nothing is played.
    started: Option<Instant>,
    turn: u64,
    next: usize,
    deadline: Instant,
}

impl Player {
    /// A player that plays nothing yet.
    pub const fn new(clip: Clip) -> Self {
        Self { clip, started: None, turn: 0, next: 0, deadline: Instant::NEVER }
    }

    /// Plays from the beginning: the first packet is due at `now`.
    pub fn start(&mut self, now: Instant) {
        (self.started, self.turn, self.next) = (Some(now), 0, 0);
        self.deadline = self.due();
    }

    /// Plays nothing any more.
    pub const fn stop(&mut self) {
        (self.started, self.deadline) = (None, Instant::NEVER);
    }

    /// Whether it plays.
    pub const fn is_playing(&self) -> bool {
        self.started.is_some()
    }

    /// When the next packet is due.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long a turn is: [`Clip::length`].
    pub const fn length(&self) -> u64 {
        self.clip.length()
    }

    /// The clip.
    pub const fn clip(&self) -> &Clip {
        &self.clip
    }

    /// The next packet that is due by `now`. To be asked until there is none.
    pub fn next_due(&mut self, now: Instant) -> Option<Frame<'_>> {
        if self.deadline > now || self.started.is_none() {
            return None;
        }
        let (number, turn, due) = (self.next, self.turn, self.deadline);
        self.next += 1;
        if self.next == self.clip.packets() {
            (self.next, self.turn) = (0, self.turn + 1);
        }
        self.deadline = self.due();
        let item = self.clip.item(number)?;
        let [_, _, _, control, ..] = item.bytes;
        // modulo 16 the lowest bits of the turn are enough
        let turns = turn.to_le_bytes()[0];
        let counter = control.wrapping_add(item.shift.wrapping_mul(turns)) & 0x0F;
        Some(Frame { bytes: &item.bytes, counter, due, turn })
    }

    fn due(&self) -> Instant {
        let (Some(started), Some(item)) = (self.started, self.clip.item(self.next)) else { return Instant::NEVER };
        let ticks = self.turn.saturating_mul(self.clip.length()).saturating_add(item.at);
        // in two parts, so that it does not overflow in a thousand years
        let nanos = (ticks / 27).saturating_mul(1_000).saturating_add(ticks % 27 * 1_000 / 27);
        started + Span::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}
