//! The clip that is played while no input is healthy, as one more side of the output.

use crate::switch::remux::Remux;
use crate::switch::slate::{Clip, Player};
use crate::switch::splice::Splicer;
use crate::tr101290::{self, Analyser};
use crate::ts::{PACKET_SIZE, Packet};
use crate::units::{Instant, Ticks27M};

#[derive(Debug)]
pub(super) struct Slate {
    player: Player,
    /// Which side it is.
    pub(super) side: usize,
    /// What its times are moved by in its first turn, in 27 MHz ticks.
    offset: i64,
    turn: Option<u64>,
    /// What its clock shows where a turn begins.
    pub(super) origin: Option<Ticks27M>,
}

/// A packet of it.
pub(super) struct Next {
    pub(super) bytes: [u8; PACKET_SIZE],
    /// What its times are moved by, where that is another than before.
    pub(super) enters: Option<i64>,
}

impl Slate {
    pub(super) fn new(clip: &Clip, side: usize, remux: &mut Remux) -> Self {
        let mut slate = Self { player: Player::new(clip.clone()), side, offset: 0, turn: None, origin: None };
        let mut origin = None;
        slate.once(|bytes, due| {
            let packet = Packet::new(bytes);
            remux.watch(side, packet);
            let back = due.since(Instant::ZERO).nanos().saturating_mul(27) / 1000;
            origin = origin.or_else(|| Some(packet.pcr()?.later(-back)));
        });
        Self { origin, ..slate }
    }

    /// Tells a splicer what the clip is made of.
    pub(super) fn introduce(&mut self, splicer: &mut Splicer) {
        let mut analyser = Analyser::new(&tr101290::Settings::default());
        self.once(|bytes, _| analyser.packet(Instant::ZERO, bytes, &mut ()));
        splicer.structure(self.side, analyser.programs(), analyser.streams(), |_| {});
    }

    fn once(&mut self, mut each: impl FnMut(&[u8; PACKET_SIZE], Instant)) {
        self.player.start(Instant::ZERO);
        while let Some(frame) = self.player.next_due(Instant::NEVER).filter(|frame| frame.turn == 0) {
            each(frame.bytes, frame.due);
        }
        self.player.stop();
    }

    /// It begins now, its times moved by `offset`.
    pub(super) fn start(&mut self, offset: i64, now: Instant) {
        self.offset = offset;
        self.turn = None;
        self.player.start(now);
    }

    pub(super) fn stop(&mut self) {
        self.player.stop();
    }

    pub(super) fn is_playing(&self) -> bool {
        self.player.is_playing()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.player.deadline()
    }

    /// What its times are moved by now.
    pub(super) fn offset(&self) -> i64 {
        let turns = i64::try_from(self.turn.unwrap_or(0)).unwrap_or(0);
        self.offset.wrapping_add(turns.wrapping_mul(i64::try_from(self.player.length()).unwrap_or(0)))
    }

    pub(super) fn next_due(&mut self, now: Instant) -> Option<Next> {
        let (mut bytes, counter, turn) = {
            let frame = self.player.next_due(now)?;
            (*frame.bytes, frame.counter, frame.turn)
        };
        if Packet::new(&bytes).pid() != crate::units::Pid::NULL {
            bytes[3] = bytes[3] & 0xF0 | counter & 0x0F;
        }
        let is_new = self.turn.replace(turn) != Some(turn);
        Some(Next { bytes, enters: is_new.then(|| self.offset()) })
    }
}
