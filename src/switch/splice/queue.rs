//! What waits for a slot, and which of it goes first.

use super::feed::{Phase, Stream};
use super::held::{Held, Stamp};
use super::judge::OVERLAP;
use super::line::lasting;
use super::mix::{JUMP, Mix};
use super::{Leaving, Out, Side};
use crate::ts::Packet;
use crate::units::{Instant, Pts90k, Span};

/// An access unit that has less time than this before its DTS does not wait for a slot.
const URGENT: i64 = 50 * 90;
/// If it waited so long at all: what comes late from its feed is not hurried.
const WAITED: Span = Span::from_millis(20);
/// How long an output of constant rate waits for null packets to give way, and of how many slots one is then used twice.
const PATIENT: Span = Span::from_secs(3);
const SPARED: u32 = 8;

impl Mix<'_> {
    /// Whether nothing of the old feed is to go before a stream of the new one.
    pub(super) fn is_released(&self, stream: &Stream) -> bool {
        self.pair(stream).is_none_or(|pair| pair.phase == Phase::Stopped && pair.pending == 0)
    }

    /// Whether a packet of a stream of the new feed can leave at once.
    pub(super) fn is_open(&self, place: usize) -> bool {
        let stream = self.feeds.get(self.run.plan.to).and_then(|feed| feed.streams.get(place));
        stream.is_none_or(|stream| stream.list.is_empty() && self.is_released(stream))
    }

    pub(super) fn hold(
        &mut self,
        place: usize,
        leaving: Leaving,
        packet: Packet<'_>,
        (stamp, enters): (Option<Stamp>, Option<i64>),
        out: &mut impl FnMut(Out),
    ) {
        self.make_room(out);
        let held = Held {
            side: Side::New,
            handle: leaving.handle,
            outline: leaving.outline,
            strip: packet.has_pcr(),
            start: packet.payload_unit_start_indicator(),
            since: self.now,
            stamp,
            enters,
        };
        let stream = self.feeds.get_mut(self.run.plan.to).and_then(|feed| feed.streams.get_mut(place));
        let is_held = stream.is_some_and(|stream| {
            let is_held = self.pool.push(&mut stream.list, held);
            stream.cut |= !is_held;
            is_held
        });
        if !is_held {
            self.run.cost.overrun += 1;
            out(Out::Drop(leaving.handle));
        }
    }

    /// Before a packet is put where there is no room, the one that is to leave first does; if none may, the old feed is
    /// waited for no longer.
    pub(super) fn make_room(&mut self, out: &mut impl FnMut(Out)) {
        if self.pool.is_full() && !self.pop(out) {
            self.give_up();
            self.pop(out);
        }
    }

    /// What leaves in a slot whose own packet does not: the first that waits, of this stream if it may.
    pub(super) fn fill(&mut self, place: Option<usize>, out: &mut impl FnMut(Out)) {
        let is_sent = match place {
            Some(place) if self.run.waiting.is_empty() => self.pop_of(place, out) || self.pop(out),
            Some(_) | None => self.pop(out),
        };
        if !is_sent && self.run.request.constant {
            out(Out::Null);
        }
    }

    /// The next packet that waits and may leave; false where there is none. Those of the old feed go first, and of the others
    /// the one that is decoded first.
    pub(super) fn pop(&mut self, out: &mut impl FnMut(Out)) -> bool {
        if let Some(held) = self.pool.pop(&mut self.run.waiting) {
            let feed = self.run.old_feed().and_then(|feed| self.feeds.get_mut(feed));
            if let Some(stream) = feed.and_then(|feed| feed.stream_mut(held.outline.pid())) {
                stream.pending = stream.pending.saturating_sub(1);
            }
            send(&held, out);
            return true;
        }
        while let Some((place, _)) = self.next() {
            if self.pop_of(place, out) {
                return true;
            }
        }
        false
    }

    /// The stream of the new feed whose first packet is to leave next, and the DTS of that.
    pub(super) fn next(&self) -> Option<(usize, Option<Pts90k>)> {
        if self.pool.is_empty() {
            return None;
        }
        let mut best: Option<(usize, Option<Pts90k>)> = None;
        for (place, stream) in self.feeds.get(self.run.plan.to)?.streams.iter().enumerate() {
            let Some(held) = self.pool.first(&stream.list) else { continue };
            if !self.is_released(stream) {
                continue;
            }
            let dts = held.stamp.map(|stamp| stamp.dts);
            let is_sooner = best.is_none_or(|(_, known)| match (dts, known) {
                (Some(dts), Some(known)) => dts.step_from(known) < 0,
                (None, Some(_)) => true,
                (_, None) => false,
            });
            if is_sooner {
                best = Some((place, dts));
            }
        }
        best
    }

    /// The first packet that waits of a stream of the new feed; false where none is left.
    pub(super) fn pop_of(&mut self, place: usize, out: &mut impl FnMut(Out)) -> bool {
        let Some(stream) = self.feeds.get(self.run.plan.to).and_then(|feed| feed.streams.get(place)) else {
            return false;
        };
        if !self.is_released(stream) {
            return false;
        }
        if stream.untrimmed {
            self.trim(place, out);
        }
        let stream = self.feeds.get_mut(self.run.plan.to).and_then(|feed| feed.streams.get_mut(place));
        let held = stream.and_then(|stream| self.pool.pop(&mut stream.list));
        if let Some(held) = &held {
            send(held, out);
        }
        held.is_some()
    }

    /// Gives back what waits of a stream of sound and begins before the end of what it follows.
    pub(super) fn trim(&mut self, place: usize, out: &mut impl FnMut(Out)) {
        let feed = self.run.plan.to;
        let Some(stream) = self.feeds.get(feed).and_then(|feed| feed.streams.get(place)) else { return };
        let end = self.pair(stream).and_then(|pair| pair.left.end);
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.streams.get_mut(place)) else { return };
        while let Some(held) = self.pool.first(&stream.list) {
            let early = end.zip(held.stamp).is_some_and(|(end, stamp)| stamp.pts.step_from(end) < -OVERLAP);
            if !early && held.start {
                stream.untrimmed = false;
                let hole = end.zip(held.stamp).map_or(0, |(end, stamp)| stamp.pts.step_from(end));
                self.run.cost.audio_hole = self.run.cost.audio_hole.max(lasting(hole.min(JUMP)));
                return;
            }
            if let Some(held) = self.pool.pop(&mut stream.list) {
                out(Out::Drop(held.handle));
            }
        }
        // the unit that comes in goes the same way
        (stream.untrimmed, stream.phase, stream.cut) = (false, Phase::Waiting, true);
    }

    /// Whether what is to leave next would be late for its DTS, or has no other slots.
    pub(super) fn is_urgent(&mut self) -> bool {
        if self.pool.is_empty() {
            return false;
        }
        let run = &mut *self.run;
        run.slots = run.slots.wrapping_add(1);
        if run.ends != Instant::NEVER {
            return true;
        }
        if run.slots.is_multiple_of(SPARED) && self.now.since(run.turned) > PATIENT {
            return true;
        }
        let place = self.next().map(|(place, _)| place);
        let stream = place.and_then(|place| self.feeds.get(self.run.plan.to)?.streams.get(place));
        let held = self.pool.first(&self.run.waiting).or_else(|| self.pool.first(&stream?.list));
        let Some(held) = held.filter(|held| self.now.since(held.since) > WAITED) else { return false };
        let now = self.line.at(self.now).map(|pcr| Pts90k(pcr.0 / 300));
        held.stamp.zip(now).is_some_and(|(stamp, now)| stamp.dts.step_from(now) < URGENT)
    }
}

fn send(held: &Held, out: &mut impl FnMut(Out)) {
    let Held { side, handle, outline, strip, enters, .. } = *held;
    out(Out::Send { side, handle, outline, strip, enters });
}
