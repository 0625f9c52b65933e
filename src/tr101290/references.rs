//! What the PMTs refer to, and whether it comes: 1.6 PID_error (table 5.0a), 2.3a PCR_repetition_error, 2.3b
//! PCR_discontinuity_indicator_error and 2.5 PTS_error (table 5.0b).

use super::absence::Watch;
use super::count::{Observer, Sink};
use super::pids::{Pids, Roles};
use super::tables::{MAX_PROGRAMS, MAX_STREAMS, Tables};
use super::{Indicator, Settings};
use crate::ts::Packet;
use crate::units::{Instant, Pid, Span, Ticks27M};

/// The most that two PCRs may be apart, in ticks: 100 ms (table 5.0b 2.3b).
const MAX_STEP: u64 = 2_700_000;

/// A PID that must come.
#[derive(Clone, Copy, Debug)]
struct WantedPid {
    pid: Pid,
    limit: Span,
    watch: Watch,
}

/// A PID that must carry PCRs.
#[derive(Clone, Copy, Debug)]
struct WantedPcr {
    pid: Pid,
    value: Option<Ticks27M>,
    watch: Watch,
}

/// A PID that must carry PTS.
#[derive(Clone, Copy, Debug)]
struct WantedPts {
    pid: Pid,
    watch: Watch,
}

#[derive(Debug)]
pub(super) struct References {
    settings: Settings,
    pids: Vec<WantedPid>,
    pcrs: Vec<WantedPcr>,
    pts: Vec<WantedPts>,
    pub(super) pid_due: Instant,
    pub(super) pcr_due: Instant,
    pub(super) pts_due: Instant,
}

impl References {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settings: *settings,
            pids: Vec::with_capacity(MAX_STREAMS + MAX_PROGRAMS),
            pcrs: Vec::with_capacity(MAX_PROGRAMS),
            pts: Vec::with_capacity(MAX_STREAMS),
            pid_due: Instant::NEVER,
            pcr_due: Instant::NEVER,
            pts_due: Instant::NEVER,
        }
    }

    /// Follows the tables after they changed: what was wanted before keeps its state.
    pub(super) fn follow(&mut self, tables: &Tables, table: &mut Pids, at: Instant) {
        for wanted in &self.pids {
            table.entry(wanted.pid).roles.remove(Roles::ABSENT);
        }
        for wanted in &self.pcrs {
            table.entry(wanted.pid).roles.remove(Roles::PCR);
        }
        for wanted in &self.pts {
            table.entry(wanted.pid).roles.remove(Roles::MEDIA);
        }
        let streams = || tables.streams.iter();
        let pcr_pids = || tables.programs.iter().filter_map(|p| p.pcr_pid);
        let is_wanted = |pid: Pid| {
            pcr_pids().any(|p| p == pid) || streams().any(|s| s.pid == pid && s.description.kind.is_steady())
        };
        self.pids.retain(|wanted| is_wanted(wanted.pid));
        self.pcrs.retain(|wanted| pcr_pids().any(|p| p == wanted.pid));
        self.pts.retain(|wanted| streams().any(|s| s.pid == wanted.pid && s.description.kind.is_media()));
        let watch = Watch::new(at);
        let mut want = |pid: Pid, limit: Span| match self.pids.iter_mut().find(|w| w.pid == pid) {
            Some(wanted) => wanted.limit = wanted.limit.min(limit),
            None => self.pids.push(WantedPid { pid, limit, watch }),
        };
        for stream in streams().filter(|s| s.description.kind.is_steady()) {
            let media = stream.description.kind.is_media();
            want(stream.pid, if media { self.settings.pid_media } else { self.settings.pid_data });
            if media && !self.pts.iter().any(|w| w.pid == stream.pid) {
                self.pts.push(WantedPts { pid: stream.pid, watch });
            }
        }
        for pid in pcr_pids() {
            want(pid, self.settings.pid_media);
            if !self.pcrs.iter().any(|w| w.pid == pid) {
                self.pcrs.push(WantedPcr { pid, value: None, watch });
            }
        }
        for wanted in self.pids.iter().filter(|w| w.watch.absent) {
            table.entry(wanted.pid).roles.add(Roles::ABSENT);
        }
        for wanted in &self.pcrs {
            table.entry(wanted.pid).roles.add(Roles::PCR);
        }
        for wanted in &self.pts {
            table.entry(wanted.pid).roles.add(Roles::MEDIA);
        }
        (self.pid_due, self.pcr_due, self.pts_due) = (at, at, at);
    }

    /// A packet of a PID that was missing.
    #[cold]
    pub(super) fn returned(&mut self, pid: Pid, at: Instant) {
        if let Some(wanted) = self.pids.iter_mut().find(|w| w.pid == pid) {
            wanted.watch.seen(at);
            self.pid_due = self.pid_due.min(at + wanted.limit);
        }
    }

    /// A PCR on a PID that must carry them.
    pub(super) fn pcr<O: Observer>(&mut self, packet: Packet<'_>, sink: &mut Sink<'_, O>) {
        let (Some(pcr), pid) = (packet.pcr(), packet.pid()) else { return };
        let Some(wanted) = self.pcrs.iter_mut().find(|w| w.pid == pid) else { return };
        let quiet = sink.at.since(wanted.watch.last);
        let timed_out = wanted.watch.absent;
        wanted.watch.seen(sink.at);
        self.pcr_due = self.pcr_due.min(sink.at + self.settings.pcr);
        let last = wanted.value.replace(pcr);
        let Some(last) = last.filter(|_| !packet.discontinuity_indicator()) else { return };
        let step = pcr.forward_from(last);
        if step > MAX_STEP {
            sink.raise(Indicator::PcrDiscontinuityIndicatorError, Some(pid));
        }
        // By the stream's own time: the network bunched up what was sent too far apart. A step that is no interval at all,
        // because the clock jumped, is far from the time that passed.
        let apart = Ticks27M::span(step);
        if apart > self.settings.pcr && !timed_out && apart.nanos() / 2 < quiet.nanos() {
            sink.raise(Indicator::PcrRepetitionError, Some(pid));
        }
    }

    /// A PTS on a PID that must carry them.
    pub(super) fn pts(&mut self, pid: Pid, at: Instant) {
        if let Some(wanted) = self.pts.iter_mut().find(|w| w.pid == pid) {
            wanted.watch.seen(at);
            self.pts_due = self.pts_due.min(at + self.settings.pts);
        }
    }

    /// Raises what has become overdue by now.
    pub(super) fn advance<O: Observer>(&mut self, table: &mut Pids, sink: &mut Sink<'_, O>) {
        let now = sink.at;
        if self.pid_due <= now {
            self.pid_due = Instant::NEVER;
            for wanted in &mut self.pids {
                let state = table.entry(wanted.pid);
                wanted.watch.last = wanted.watch.last.max(state.last_seen);
                if wanted.watch.expire(now, wanted.limit, &mut self.pid_due) {
                    state.roles.add(Roles::ABSENT);
                    sink.raise(Indicator::PidError, Some(wanted.pid));
                }
            }
        }
        if self.pcr_due <= now {
            self.pcr_due = Instant::NEVER;
            for wanted in &mut self.pcrs {
                if wanted.watch.expire(now, self.settings.pcr, &mut self.pcr_due) {
                    sink.raise(Indicator::PcrRepetitionError, Some(wanted.pid));
                }
            }
        }
        if self.pts_due <= now {
            self.pts_due = Instant::NEVER;
            for wanted in &mut self.pts {
                if wanted.watch.expire(now, self.settings.pts, &mut self.pts_due) {
                    sink.raise(Indicator::PtsError, Some(wanted.pid));
                }
            }
        }
    }

    /// When each PID that must come did last: the PID and the time.
    pub(super) fn pids<'a>(&'a self, table: &'a Pids) -> impl Iterator<Item = (Pid, Instant, bool)> + 'a {
        self.pids.iter().map(|w| (w.pid, w.watch.last.max(last_seen(table, w.pid)), w.watch.absent))
    }

    /// When the last PCR came on each PID that must carry them.
    pub(super) fn pcrs(&self) -> impl Iterator<Item = (Pid, Instant, bool)> + '_ {
        self.pcrs.iter().map(|w| (w.pid, w.watch.last, w.watch.absent))
    }

    /// When the last PTS came on each PID that must carry them.
    pub(super) fn all_pts(&self) -> impl Iterator<Item = (Pid, Instant, bool)> + '_ {
        self.pts.iter().map(|w| (w.pid, w.watch.last, w.watch.absent))
    }
}

fn last_seen(table: &Pids, pid: Pid) -> Instant {
    table.get(pid).map_or(Instant::LONG_AGO, |state| state.last_seen)
}
