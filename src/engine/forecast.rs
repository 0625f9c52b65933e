//! How the inputs of a channel stand to the one on air, and what a switch to each would cost now.

use super::Events;
use super::channel::Channel;
use super::event::{InputState, Kind, What};
use super::flow::Flow;
use super::path::Path;
use super::setup::MAX_INPUTS;
use super::transition::Stage;
use crate::switch::align::Relation;
use crate::switch::splice::{self, OnAir, Request, Why};
use crate::units::{BitRate, Instant, Pid, Span};

/// How often it is looked.
const LOOK: Span = Span::from_secs(1);
/// Streams of two inputs that are one of the output.
const PAIRS: usize = 64;
/// Constant rates that differ by less are one: one part in so many.
const SAME_RATE: u64 = 20_000;

/// What a planned switch would cost if it were decided now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// How the cut would be made.
    pub kind: Kind,
    /// TS packets of the programme that the output would lack; none where it cannot be told.
    pub lost: Option<u32>,
    /// TS packets of the programme that the output would have twice; none where it cannot be told.
    pub repeated: Option<u32>,
    /// Until the first packet of the other input left; none where there is no place for a splice yet.
    pub wait: Option<Span>,
    /// How long no picture would be presented; none for a hard cut, and while there is no place for a splice yet.
    pub hole: Option<Span>,
    /// Why it is no better: a hard cut where a splice is wanted, or would be if no place came within the limit; a splice of independent
    /// feeds where they are locked.
    pub fallback: Option<Why>,
    /// Streams on air that would be coded otherwise.
    pub recoded: u16,
    /// Streams on air that it has nothing for: they would fall silent.
    pub missing: u16,
}

impl Forecast {
    /// One that costs nothing, as between inputs that are the same.
    pub const SEAMLESS: Self = Self {
        kind: Kind::Identical,
        lost: Some(0),
        repeated: Some(0),
        wait: Some(Span::ZERO),
        hole: Some(Span::ZERO),
        fallback: None,
        recoded: 0,
        missing: 0,
    };
    const CUT: Self = Self {
        kind: Kind::Cut,
        lost: None,
        repeated: None,
        wait: Some(Span::ZERO),
        hole: None,
        fallback: None,
        recoded: 0,
        missing: 0,
    };

    /// What a splicer says where a splice of a kind is wanted.
    pub const fn of_splice(forecast: splice::Forecast, wanted: splice::Kind) -> Self {
        match forecast {
            splice::Forecast::Place { kind, wait, hole } => {
                Self { kind: kind_of(kind), wait: Some(wait), hole: Some(hole), ..Self::CUT }
            }
            splice::Forecast::NotYet(why) => {
                Self { kind: kind_of(wanted), wait: None, fallback: Some(why), ..Self::CUT }
            }
            splice::Forecast::Never(why) => Self { fallback: Some(why), ..Self::CUT },
        }
    }
}

/// The name of a splice among those of all cuts.
pub(super) const fn kind_of(kind: splice::Kind) -> Kind {
    match kind {
        splice::Kind::Locked => Kind::Locked,
        splice::Kind::Independent => Kind::Independent,
    }
}

/// What is asked of a splicer.
pub(super) struct Wanted {
    pub(super) request: Request,
    /// Why that is no better.
    pub(super) fallback: Option<Why>,
    /// It is known how the two inputs stand.
    pub(super) is_known: bool,
    recoded: u16,
    missing: u16,
}

/// What was found when it was last looked.
#[derive(Debug)]
pub(super) struct Outlook {
    forecasts: [Option<Forecast>; MAX_INPUTS],
    due: Instant,
}

impl Outlook {
    pub(super) const NEW: Self = Self { forecasts: [None; MAX_INPUTS], due: Instant::LONG_AGO };
}

impl Channel {
    /// Looks around once a second, and where it `changed` how inputs stand.
    #[inline]
    pub(super) fn look_around(&mut self, changed: bool, now: Instant, paths: &[Path], events: &mut Events) {
        if (changed || self.outlook.due <= now) && self.stage == Stage::Steady {
            self.outlook.due = now + LOOK;
            self.look(now, paths, events);
        }
    }

    #[cold]
    fn look(&mut self, now: Instant, paths: &[Path], events: &mut Events) {
        for place in 0..self.inputs.len() {
            let forecast = self.foresee(place, now, paths);
            self.outlook.forecasts[place] = forecast;
            if let Flow::Joint(joint) = &mut self.flow
                && let Some(kinship) = joint.news_of(place, now)
            {
                self.event(now, What::Kinship { input: self.input(place), kinship, forecast }, events);
            }
        }
    }

    /// What a switch to an input would cost, as it was when it was last looked; none for the one on air, and
    /// while it is not known how that and this stand to each other.
    pub(super) const fn forecast(&self, place: usize) -> Option<Forecast> {
        self.outlook.forecasts[place]
    }

    fn foresee(&mut self, to: usize, now: Instant, paths: &[Path]) -> Option<Forecast> {
        if self.loss.is_some() || self.chooser.active().is_none_or(|active| active == to) {
            return None;
        }
        // one that rests brings nothing that could be looked at
        if self.state(to, paths) == InputState::Warm {
            return None;
        }
        let Wanted { request, fallback, is_known, recoded, missing } = self.wanted(to, true, now, paths);
        let cut = Forecast { recoded, missing, ..Forecast::CUT };
        let Flow::Joint(joint) = &self.flow else { return Some(cut) };
        if joint.deck().is_merged(to) {
            return Some(Forecast::SEAMLESS);
        }
        let (pairs, len) = self.pairs(to);
        let Some(splicer) = self.splicer() else { return Some(cut) };
        if !is_known {
            return None;
        }
        let forecast = splicer.forecast(request, pairs.get(..len).unwrap_or(&[]), now)?;
        let forecast = Forecast::of_splice(forecast, request.kind);
        Some(Forecast { recoded, missing, fallback: forecast.fallback.or(fallback), ..forecast })
    }

    /// What is asked of a splicer for a switch to an input.
    pub(super) fn wanted(&self, to: usize, planned: bool, at: Instant, paths: &[Path]) -> Wanted {
        let first = self.inputs.start;
        let (mut relation, mut known, mut alive) = (None, None, false);
        if let Flow::Joint(joint) = &self.flow {
            relation = joint.kinship(to, at).map(|kinship| kinship.relation).filter(|it| *it != Relation::Unknown);
            known = joint.kind_of(to);
            alive = joint.deck().lead().is_some_and(|lead| paths[first + lead].candidate().flowing);
        }
        let kind = match relation {
            Some(Relation::Locked { .. } | Relation::Identical { .. }) => splice::Kind::Locked,
            Some(Relation::Unknown) | None => known.unwrap_or(splice::Kind::Independent),
            Some(Relation::OutOfWindow { .. } | Relation::Independent) => splice::Kind::Independent,
        };
        let fit = self.output.remux.fit(to);
        let (recoded, missing) = if fit.known { (fit.recoded, fit.missing) } else { (0, 0) };
        let is_lowered = kind == splice::Kind::Locked && recoded > 0;
        let request = Request {
            from: Some(OnAir { feed: self.side, offset: self.offset, extra: self.extra }),
            to,
            kind: if is_lowered { splice::Kind::Independent } else { kind },
            planned,
            alive,
            constant: rate(paths, first + self.side, first + to).is_some(),
            limit: if planned { Request::LIMIT_PLANNED } else { Request::LIMIT_EMERGENCY },
        };
        let fallback = is_lowered.then_some(Why::OtherCodecs);
        Wanted { request, fallback, is_known: known.is_some() || relation.is_some(), recoded, missing }
    }

    /// The PIDs of the input on air and of another that are one of the output.
    pub(super) fn pairs(&self, to: usize) -> ([(Pid, Pid); PAIRS], usize) {
        let mut pairs = [(Pid::NULL, Pid::NULL); PAIRS];
        let len = self.output.remux.pairs(self.side, to, &mut pairs);
        (pairs, len)
    }
}

/// The rate of both inputs, where it is constant and one.
pub(super) fn rate(paths: &[Path], one: usize, other: usize) -> Option<BitRate> {
    let (one, other) = (paths.get(one)?.analyser.constant_rate()?, paths.get(other)?.analyser.constant_rate()?);
    (one.0.abs_diff(other.0) <= one.0 / SAME_RATE).then_some(one)
}
