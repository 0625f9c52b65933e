//! Holds an input to its limits: which criteria are raised, and when each is cleared again.

use super::criterion::{Criterion, CriterionSet, Measure};
use super::limits::{Limits, Raise};
use super::link::LinkWatch;
use super::scope::Scope;
use crate::tr101290::{Analyser, Indicator, Observer, Place};
use crate::ts::stream::Kind;
use crate::units::{Instant, Span};

/// How often a raised absence is looked at while it waits for the thing to come back.
const TICK: Span = Span::from_millis(5);

/// One criterion that was raised or cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Raised, with milliseconds of absence, events in the window, milliseconds of the round trip, or the share in millionths.
    Raised(Criterion, u64),
    /// Cleared.
    Cleared(Criterion),
}

/// What health is told by, besides the indicators.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The analyser of the input.
    pub analyser: &'a Analyser,
    /// When its last datagram came; before the first, when it began to be waited for.
    pub last_arrival: Instant,
    /// When the bit rate was last as high as [`Raise::Below`] wants it; none before it can be told.
    pub last_fast: Option<Instant>,
    /// The connection that it comes by; none of an input that comes by none.
    pub link: Option<&'a LinkWatch>,
}

impl Evidence<'_> {
    /// When what the criterion waits for was last there; none where it waits for nothing.
    fn last_there(&self, criterion: Criterion, scope: &Scope) -> Option<Instant> {
        let analyser = self.analyser;
        if let Some(indicator) = criterion.indicator() {
            // a PID for data comes at its own times: it is waited for where it is named
            let is_default = scope.is_all() && indicator == Indicator::PidError;
            let is_media = |place: Place| place.pid.is_some_and(|pid| analyser.is_media(pid));
            return analyser.last_there(indicator, |place| scope.holds(place) && (!is_default || is_media(place)));
        }
        match criterion {
            Criterion::InputLoss => Some(self.last_arrival),
            Criterion::VideoPidAbsent => analyser.last_of_kind(Kind::Video, |place| scope.holds(place)),
            Criterion::AudioPidAbsent => analyser.last_of_kind(Kind::Audio, |place| scope.holds(place)),
            Criterion::Scte35Absent => analyser.last_splice().or_else(|| analyser.started()),
            Criterion::CaptionsAbsent => analyser.last_captions().or_else(|| analyser.started()),
            Criterion::BitRateBelow => self.last_fast,
            Criterion::SrtDisconnected | Criterion::SrtRttAbove | Criterion::SrtUnrecovered => {
                self.link.and_then(|link| link.wrong_since(criterion))
            }
            Criterion::TsSyncLoss
            | Criterion::SyncByteError
            | Criterion::PatError2
            | Criterion::ContinuityCountError
            | Criterion::PmtError2
            | Criterion::PidError
            | Criterion::TransportError
            | Criterion::CrcError
            | Criterion::PcrRepetitionError
            | Criterion::PcrDiscontinuityIndicatorError
            | Criterion::PcrAccuracyError
            | Criterion::PtsError
            | Criterion::CatError
            | Criterion::NitActualError
            | Criterion::SiRepetitionError
            | Criterion::UnreferencedPid
            | Criterion::SdtActualError
            | Criterion::EitActualError
            | Criterion::TdtError
            | Criterion::RtpLoss
            | Criterion::FramesMissing => None,
        }
    }
}

/// The judgement of one criterion.
#[derive(Debug)]
struct State {
    raised: bool,
    /// While raised: since when all has been well; none while it is not.
    well_since: Option<Instant>,
    /// When to look at it again, for an absence.
    due: Instant,
    /// The times of the latest events, `above` + 1 of them, for a count.
    events: Box<[Instant]>,
    next: usize,
}

/// Judges one input.
#[derive(Debug)]
pub struct Judge {
    limits: Box<Limits>,
    states: Box<[State; Criterion::COUNT]>,
    raised: CriterionSet,
    since: Instant,
    changes: Box<Changes>,
    /// How many changes there are to be told.
    told: usize,
    due: Instant,
}

/// Changes not yet told: each criterion can change at most once each way between two looks.
type Changes = [Option<Change>; Criterion::COUNT * 2];

impl Judge {
    /// A judge of an input that begins to be waited for at `now`.
    pub fn new(limits: &Limits, now: Instant) -> Self {
        let states = Criterion::ALL.map(|criterion| {
            let events = match limits.limit(criterion).map(|limit| limit.raise) {
                Some(Raise::Counted { above, .. }) => usize::from(above) + 1,
                Some(Raise::Lasting(_) | Raise::Below { .. } | Raise::Slower { .. } | Raise::Share { .. }) | None => 0,
            };
            State {
                raised: false,
                well_since: None,
                due: now,
                events: vec![Instant::LONG_AGO; events].into_boxed_slice(),
                next: 0,
            }
        });
        Self {
            limits: Box::new(*limits),
            states: Box::new(states),
            raised: CriterionSet::EMPTY,
            since: now,
            changes: Box::new([None; Criterion::COUNT * 2]),
            told: 0,
            due: now,
        }
    }

    /// The limits that it is held to.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Judges anew an input that begins to be waited for at `now`: what is raised is cleared, and told to be.
    #[cold]
    pub fn restart(&mut self, now: Instant) {
        for criterion in self.raised.iter() {
            self.clear(criterion, now);
        }
        for state in &mut *self.states {
            (state.raised, state.well_since, state.due, state.next) = (false, None, now, 0);
            state.events.fill(Instant::LONG_AGO);
        }
        self.since = now;
        self.due = now;
    }

    /// The criteria that are raised.
    pub const fn raised(&self) -> CriterionSet {
        self.raised
    }

    /// When the input last became healthy or unhealthy.
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// Whether there are changes to be told.
    pub const fn has_changes(&self) -> bool {
        self.told > 0
    }

    /// The changes since the last call, in their order.
    pub fn take_changes(&mut self) -> impl Iterator<Item = Change> + use<> {
        let told = core::mem::take(&mut self.told);
        self.changes.into_iter().take(told).flatten()
    }

    fn tell(&mut self, change: Change) {
        if let Some(slot) = self.changes.get_mut(self.told) {
            *slot = Some(change);
            self.told += 1;
        }
    }

    /// An event of `criterion` at `at`.
    pub fn event(&mut self, at: Instant, criterion: Criterion, place: Place) {
        let Some(limit) = self.limits.limit(criterion) else { return };
        let Raise::Counted { within, .. } = limit.raise else { return };
        let clear = limit.clear;
        if !limit.scope.holds(place) {
            return;
        }
        let state = &mut self.states[criterion.index()];
        let Some(slot) = state.events.get_mut(state.next) else { return };
        *slot = at;
        state.next = (state.next + 1) % state.events.len();
        let oldest = state.events[state.next];
        if oldest == Instant::LONG_AGO || at.since(oldest) > within {
            return;
        }
        // well again once the window is no longer over the limit, and not before the time to clear
        state.due = (at + clear).max(oldest + within);
        self.due = self.due.min(state.due);
        if !state.raised {
            let count = state.events.len() as u64;
            self.raise(criterion, count, at);
        }
    }

    fn raise(&mut self, criterion: Criterion, value: u64, at: Instant) {
        self.states[criterion.index()].raised = true;
        if self.raised.is_empty() {
            self.since = at;
        }
        self.raised.insert(criterion);
        self.tell(Change::Raised(criterion, value));
    }

    fn clear(&mut self, criterion: Criterion, at: Instant) {
        self.states[criterion.index()].raised = false;
        self.raised.remove(criterion);
        if self.raised.is_empty() {
            self.since = at;
        }
        self.tell(Change::Cleared(criterion));
    }

    /// Before this time nothing can be raised or cleared by time passing.
    pub const fn deadline(&self) -> Instant {
        self.due
    }

    /// Something began to be waited for: look at it all at the next [`Judge::advance`].
    pub fn look_again(&mut self, now: Instant) {
        for criterion in Criterion::ALL {
            let state = &mut self.states[criterion.index()];
            if !state.raised {
                state.due = state.due.min(now);
            }
        }
        self.due = self.due.min(now);
    }

    /// The connection changed: look at it at the next [`Judge::advance`], raised or not.
    pub fn look_at_link(&mut self, now: Instant) {
        for criterion in Criterion::OF_SRT {
            let state = &mut self.states[criterion.index()];
            state.due = state.due.min(now);
        }
        self.due = self.due.min(now);
    }

    /// Raises and clears what time has brought about by `now`.
    pub fn advance(&mut self, now: Instant, evidence: Evidence<'_>) {
        self.due = Instant::NEVER;
        for criterion in Criterion::ALL {
            let Some(limit) = self.limits.limit(criterion).copied() else { continue };
            if self.states[criterion.index()].due <= now {
                match limit.raise {
                    Raise::Lasting(lasting) | Raise::Below { lasting, .. } | Raise::Slower { lasting, .. } => {
                        self.look(criterion, lasting, limit.clear, &limit.scope, now, evidence);
                    }
                    // The window is its time.
                    Raise::Share { .. } => {
                        self.look(criterion, Span::ZERO, limit.clear, &limit.scope, now, evidence);
                    }
                    Raise::Counted { .. } => {
                        self.states[criterion.index()].due = Instant::NEVER;
                        if self.states[criterion.index()].raised {
                            self.clear(criterion, now);
                        }
                    }
                }
            }
            self.due = self.due.min(self.states[criterion.index()].due);
        }
    }

    fn look(
        &mut self,
        criterion: Criterion,
        lasting: Span,
        clear: Span,
        scope: &Scope,
        now: Instant,
        evidence: Evidence<'_>,
    ) {
        let last = evidence.last_there(criterion, scope);
        let overdue_at = last.map_or(Instant::NEVER, |last| last + lasting);
        let state = &mut self.states[criterion.index()];
        let absent = overdue_at <= now;
        if !state.raised {
            if absent {
                state.well_since = None;
                state.due = now + TICK;
                let missing = last.map_or(0, |last| now.since(last).nanos() / 1_000_000);
                let measured = evidence.link.and_then(|link| link.value(criterion));
                self.raise(criterion, measured.unwrap_or_else(|| missing.unsigned_abs()), now);
            } else {
                state.due = overdue_at;
            }
            return;
        }
        if absent {
            state.well_since = None;
            state.due = now + TICK;
            return;
        }
        let well_since = *state.well_since.get_or_insert(now);
        if now.since(well_since) < clear {
            state.due = (well_since + clear).min(overdue_at);
            return;
        }
        state.due = overdue_at;
        self.clear(criterion, now);
    }
}

/// Indicators are counted by the analyser and judged here.
impl Observer for Judge {
    fn event(&mut self, at: Instant, indicator: Indicator, place: Place) {
        let criterion = Criterion::ALL.into_iter().find(|c| c.indicator() == Some(indicator));
        if let Some(criterion) = criterion.filter(|c| c.measure() != Measure::Lasting) {
            Self::event(self, at, criterion, place);
        }
    }

    fn missing(&mut self, at: Instant, place: Place, access_units: u32) {
        // no limit tolerates more than this
        for _ in 0..access_units.min(u32::from(Raise::MOST) + 1) {
            Self::event(self, at, Criterion::FramesMissing, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limit;
    use super::*;
    use crate::tr101290::Settings;
    use crate::units::Pid;

    fn at(ms: u32) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn judge(criterion: Criterion, raise: Raise, clear: u32, scope: Scope) -> Judge {
        let mut limits = Limits::NONE;
        limits.set(criterion, Some(Limit { raise, clear: Span::from_millis(clear), scope }));
        Judge::new(&limits, Instant::ZERO)
    }

    /// Time passes from one deadline to the next; the changes and when they came.
    fn pass(judge: &mut Judge, last_arrival: Instant, to: Instant) -> Vec<(Instant, Change)> {
        let analyser = Analyser::new(&Settings::default());
        let mut changes = Vec::new();
        while judge.deadline() <= to {
            let now = judge.deadline();
            judge.advance(now, Evidence { analyser: &analyser, last_arrival, last_fast: None, link: None });
            changes.extend(judge.take_changes().map(|change| (now, change)));
        }
        changes
    }

    #[test]
    fn a_loss_is_raised_at_its_limit_and_cleared_after_its_time_of_health() {
        let lasting = Raise::Lasting(Span::from_millis(200));
        let mut judge = judge(Criterion::InputLoss, lasting, 1_000, Scope::ALL);
        assert_eq!(pass(&mut judge, at(100), at(299)), []);
        assert_eq!(pass(&mut judge, at(100), at(500)), [(at(300), Change::Raised(Criterion::InputLoss, 200))]);
        assert_eq!(judge.since(), at(300));
        // from 501 ms on it is there again, each millisecond
        let mut cleared = Vec::new();
        for ms in 501..2_000 {
            cleared.extend(pass(&mut judge, at(ms), at(ms)));
        }
        let [(when, Change::Cleared(Criterion::InputLoss))] = cleared[..] else { panic!("{cleared:?}") };
        assert!(when >= at(1_501) && when <= at(1_506), "at most a tick later: {when:?}");
    }

    #[test]
    fn a_relapse_begins_the_time_of_health_anew() {
        let lasting = Raise::Lasting(Span::from_millis(200));
        let mut judge = judge(Criterion::InputLoss, lasting, 1_000, Scope::ALL);
        pass(&mut judge, at(0), at(600));
        for ms in 600..1_000 {
            assert_eq!(pass(&mut judge, at(ms), at(ms)), []);
        }
        assert_eq!(pass(&mut judge, at(1_000), at(1_900)), [], "raised all along, and told once");
        let mut cleared = Vec::new();
        for ms in 1_900..3_200 {
            cleared.extend(pass(&mut judge, at(ms), at(ms)));
        }
        assert!(cleared.len() == 1 && cleared[0].0 >= at(2_900), "{cleared:?}");
    }

    #[test]
    fn a_count_is_raised_by_one_more_than_the_limit_within_the_window() {
        let counted = Raise::Counted { above: 2, within: Span::from_millis(1_000) };
        let mut judge = judge(Criterion::ContinuityCountError, counted, 500, Scope::ALL);
        for ms in [0, 900, 1_100, 2_000] {
            judge.event(at(ms), Criterion::ContinuityCountError, Place::STREAM);
            assert!(!judge.has_changes(), "{ms}");
        }
        judge.event(at(2_050), Criterion::ContinuityCountError, Place::STREAM);
        let raised = Change::Raised(Criterion::ContinuityCountError, 3);
        assert_eq!(judge.take_changes().collect::<Vec<_>>(), [raised]);
        // over the limit until 1,100 has left the window, and then not cleared before its time since the last excess
        let cleared = pass(&mut judge, at(0), at(9_000));
        assert_eq!(cleared, [(at(2_550), Change::Cleared(Criterion::ContinuityCountError))]);
    }

    #[test]
    fn events_on_other_pids_do_not_count() {
        let counted = Raise::Counted { above: 0, within: Span::from_millis(1_000) };
        let scope = Scope::of(&[Pid::new(0x100)], &[]).unwrap();
        let mut judge = judge(Criterion::ContinuityCountError, counted, 500, scope);
        judge.event(at(1), Criterion::ContinuityCountError, Place::pid(Pid::new(0x101)));
        assert!(!judge.has_changes());
        judge.event(at(2), Criterion::ContinuityCountError, Place::pid(Pid::new(0x100)));
        assert!(judge.has_changes());
    }
}
