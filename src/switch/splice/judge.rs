//! Which packets of the two feeds are wanted.

use super::Side;
use super::feed::{Phase, Role, Stream, stamp};
use super::held::{Stamp, add};
use super::line::lasting;
use super::mix::{JUMP, Mix, Run};
use crate::ts::Packet;
use crate::ts::stream::Kind;
use crate::units::{Pid, Pts90k};

/// By how much a PES packet of sound may begin before the end of the one it follows: 1 ms.
pub(super) const OVERLAP: i64 = 90;

/// What becomes of a packet of the new feed.
pub(super) enum Verdict {
    Drop,
    Take {
        /// The times of its unit.
        stamp: Option<Stamp>,
        /// See [`Out::Send`](super::Out::Send).
        enters: Option<i64>,
    },
}

impl Verdict {
    /// A packet of a unit that is sent as it is.
    const fn take(stamp: Option<Stamp>) -> Self {
        Self::Take { stamp, enters: None }
    }
}

impl Mix<'_> {
    /// Whether a packet of the old feed is wanted.
    pub(super) fn judge_old(&mut self, feed: usize, offset: i64, packet: Packet<'_>) -> bool {
        let run = &mut *self.run;
        let is_master = run.master == Side::Old;
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.stream_mut(packet.pid())) else {
            return is_master;
        };
        if stream.phase == Phase::Stopped {
            return false;
        }
        if !packet.has_payload() {
            return is_master;
        }
        let decides = matches!(stream.role, Role::Lead | Role::Sound);
        let start = packet.payload_unit_start_indicator();
        if start {
            let raw = stamp(packet, self.head);
            let stamp = raw.map(|stamp| stamp.moved(offset));
            let is_broken = !run.request.alive && raw.is_some_and(|raw| stream.ends_with(raw));
            let is_over = match (stream.role, stamp) {
                (Role::Lead, Some(stamp)) => {
                    stamp.pts.step_from(run.cut) >= -(stream.length() / 2)
                        || run.is_like && stamp.dts.step_from(run.target.dts) >= 0
                }
                (Role::Sound, Some(stamp)) => stamp.pts.step_from(run.target.pts) >= -2,
                (Role::Lead | Role::Sound, None) | (Role::Video | Role::OtherSound | Role::Other, _) => !is_master,
            };
            if is_over || is_broken {
                stop(stream, stamp);
                return false;
            }
            if let Some(stamp) = stamp {
                stream.left.begin(stamp);
            }
        }
        stream.left.unit.push(start, packet.payload());
        if !is_master && !decides && !stream.left.unit.is_open() {
            stop(stream, None);
        }
        true
    }

    pub(super) fn judge_new(&mut self, feed: usize, offset: i64, packet: Packet<'_>) -> Verdict {
        let pid = packet.pid();
        let start = packet.payload_unit_start_indicator() && packet.has_payload();
        let Some(place) = self.feeds.get(feed).and_then(|feed| feed.place(pid)) else {
            return self.judge_other(feed, pid, start, packet.has_payload());
        };
        let raw = if start { stamp(packet, self.head) } else { None };
        let mut stamp = raw.map(|stamp| stamp.moved(offset));
        let is_entry = raw.is_some_and(|raw| self.feeds.get(feed).is_some_and(|feed| feed.is_entry(pid, raw)));
        let Some(stream) = self.feeds.get(feed).and_then(|feed| feed.streams.get(place)) else { return Verdict::Drop };
        let pair = self.pair(stream);
        let rises = stamp.is_none_or(|stamp| {
            pair.and_then(|pair| pair.left.last)
                .is_none_or(|last| !(-JUMP..=0).contains(&stamp.dts.step_from(last.dts)))
        });
        let Run { target, delay, .. } = *self.run;
        let is_target = stamp.is_some_and(|s| s.pts == target.pts && add(s.dts, delay) == target.dts);
        let begins = start
            && match stream.role {
                Role::Lead => {
                    is_target || stamp.is_some_and(|stamp| is_entry && stamp.pts.step_from(self.run.target.pts) >= 0)
                }
                Role::Sound => {
                    let floor = self.sound_floor(pair);
                    rises && stamp.zip(floor).is_none_or(|(s, floor)| s.pts.step_from(floor) >= -OVERLAP)
                }
                Role::Video => rises && is_entry,
                Role::OtherSound => rises,
                Role::Other => true,
            };
        let is_open = self.is_released(stream);
        let end = pair.and_then(|pair| pair.left.end);
        let silence = stamp.zip(end).map_or(0, |(stamp, end)| stamp.pts.step_from(end));
        let silence = lasting(silence.clamp(0, JUMP));
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.streams.get_mut(place)) else {
            return Verdict::Drop;
        };
        if !packet.has_payload() {
            return if stream.phase == Phase::Waiting { Verdict::Drop } else { Verdict::take(None) };
        }
        let mut enters = None;
        if start {
            stream.cut = false;
            match stream.phase {
                Phase::Waiting if begins => {
                    let is_video = stream.kind == Kind::Video;
                    if is_video && is_target && stream.role == Role::Lead {
                        enters = Some(delay);
                        stamp = Some(target);
                    } else if is_video {
                        enters = Some(0);
                    }
                    stream.phase = if is_video { Phase::Leading { out: false } } else { Phase::Passing };
                    stream.untrimmed = stream.role == Role::Sound && !is_open;
                    if stream.role == Role::Sound && is_open {
                        self.run.cost.audio_hole = self.run.cost.audio_hole.max(silence);
                    }
                }
                Phase::Waiting => stream.cut = true,
                Phase::Leading { .. } => {
                    let entry = stream.left.max;
                    let leads = stamp.zip(entry).is_some_and(|(s, entry)| s.pts.step_from(entry) < 0);
                    stream.phase = if leads { Phase::Leading { out: true } } else { Phase::Passing };
                    stream.cut = leads;
                    self.run.cost.left_out += u32::from(leads);
                }
                Phase::Passing | Phase::Stopped => {}
            }
        }
        let Some(stream) = self.feeds.get_mut(feed).and_then(|feed| feed.streams.get_mut(place)) else {
            return Verdict::Drop;
        };
        if stream.cut {
            return Verdict::Drop;
        }
        if let Some(stamp) = stamp {
            stream.left.begin(stamp);
        }
        stream.left.unit.push(start, packet.payload());
        Verdict::Take { stamp: stream.left.last, enters }
    }

    /// A packet of a PID whose units are not followed: from the first that begins.
    pub(super) fn judge_other(&mut self, feed: usize, pid: Pid, start: bool, has_payload: bool) -> Verdict {
        let word = self.feeds.get_mut(feed).and_then(|feed| feed.begun.get_mut(pid.index() / 64));
        let Some(word) = word else { return Verdict::Drop };
        let bit = 1 << (pid.index() % 64);
        *word |= if start { bit } else { 0 };
        if *word & bit != 0 || !has_payload { Verdict::take(None) } else { Verdict::Drop }
    }

    /// The stream of the old feed that a stream of the new one follows.
    pub(super) fn pair(&self, stream: &Stream) -> Option<&Stream> {
        self.feeds.get(self.run.old_feed()?)?.stream(stream.pair?)
    }

    /// Sound of the new feed that begins before is not wanted.
    pub(super) fn sound_floor(&self, pair: Option<&Stream>) -> Option<Pts90k> {
        let from = self.run.request.from?;
        let target = self.run.target.pts;
        let Some(pair) = pair else { return Some(target) };
        if pair.phase == Phase::Stopped {
            return pair.left.end;
        }
        if self.run.request.alive {
            return Some(target);
        }
        // what came of it is all that there is
        let latest = pair.latest?.moved(from.offset).pts;
        let end = if pair.arrived.is_open() { latest } else { add(latest, pair.length()) };
        Some(if end.step_from(target) < 0 { end } else { target })
    }
}

/// A stream of the old feed ends before the unit with this stamp, or where it is.
pub(super) fn stop(stream: &mut Stream, refused: Option<Stamp>) {
    stream.phase = Phase::Stopped;
    let (length, left) = (stream.length(), &mut stream.left);
    left.end = match (stream.role, left.max, left.last) {
        (Role::Lead | Role::Video, Some(max), _) => Some(add(max, length)),
        (_, _, Some(last)) => {
            // the next one tells how long the last one is, if it follows it
            let next = refused.map(|next| next.pts).filter(|next| (1..=4 * length).contains(&next.step_from(last.pts)));
            Some(next.unwrap_or_else(|| add(last.pts, length)))
        }
        (_, _, None) => None,
    };
}
