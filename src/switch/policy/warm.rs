//! Which inputs that rest until they are needed (`standby: warm`) are needed now.
//!
//! - One is needed while no healthy input of at least its priority is there; with `failback: manual` or `order: random`, which
//!   never leave a healthy input for a better one, while none is healthy at all.
//! - They are woken in order of priority: the next once the one before has had its time to connect, or proved unhealthy.
//! - The one on air, and one that a person asks for, is needed whatever its priority.
//! - What is no longer needed is let go after it was not for a while, so that a main that comes and goes finds it there.

use super::chooser::Candidate;
use super::{Failback, Order, Settings};
use crate::units::{Instant, Span};

/// The most inputs that are looked at.
pub const MOST: usize = 16;
/// How often it is looked whether an input that is no longer on air is out of the output as well.
const LEAVING: Span = Span::from_millis(100);

/// Whether an input is received when it is not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standby {
    /// All the time.
    #[default]
    Hot,
    /// It rests until it is needed.
    Warm {
        /// How long it may take from then on until its first datagram comes: before that it is not judged, and the next input is
        /// not woken.
        connect: Span,
    },
}

impl Standby {
    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm { .. } => "warm",
        }
    }

    pub(super) const fn is_warm(self) -> bool {
        matches!(self, Self::Warm { .. })
    }
}

/// One input that may rest.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Since when it is awake.
    awake: Option<Instant>,
    /// When it is let go.
    until: Instant,
}

/// What is needed, and when to look again.
#[derive(Debug)]
pub(super) struct Warm {
    rests: [Rest; MOST],
}

/// What it hangs on besides the inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// The input on air.
    pub(super) active: Option<usize>,
    /// The input that a person asks for.
    pub(super) asked: Option<usize>,
    /// It is held, so no other is.
    pub(super) is_held: bool,
    /// Until then inputs that are received all the time may still bring their first datagram.
    pub(super) start: Instant,
}

impl Warm {
    pub(super) const NEW: Self = Self { rests: [Rest { awake: None, until: Instant::NEVER }; MOST] };

    /// Whether the input at `place` is to be received, if it is one that may rest.
    pub(super) fn is_awake(&self, place: usize) -> bool {
        self.rests.get(place).is_some_and(|rest| rest.awake.is_some())
    }

    /// Finds out what is needed at `now`. When to look again though nothing else happened.
    pub(super) fn look(
        &mut self,
        now: Instant,
        settings: &Settings,
        candidates: &[Candidate],
        needs: Needs,
    ) -> Instant {
        if !candidates.iter().any(|candidate| candidate.standby.is_warm()) {
            return Instant::NEVER;
        }
        let is_early = needs.active.is_none() && now < needs.start;
        let mut due = if is_early { needs.start } else { Instant::NEVER };
        let (climbs, linger) = match (settings.failback, settings.order) {
            (Failback::Auto { after }, Order::Priority) => (true, after.max(settings.dwell)),
            (Failback::Auto { .. }, Order::Random) | (Failback::Manual, _) => (false, settings.dwell),
        };
        let is_there =
            |c: &Candidate| c.is_healthy() || is_early && c.enabled && !c.standby.is_warm() && c.raised.is_empty();
        // one that ranks higher may still come
        let mut is_waking = false;
        for place in ranked(candidates) {
            let (Some(candidate), Some(rest)) = (candidates.get(place), self.rests.get_mut(place)) else { continue };
            let Standby::Warm { connect } = candidate.standby else { continue };
            let is_better = |c: &Candidate| is_there(c) && (!climbs || c.priority >= candidate.priority);
            let is_covered = candidates.iter().enumerate().any(|(other, c)| other != place && is_better(c));
            let is_wanted = candidate.enabled && !is_covered && !needs.is_held && (rest.awake.is_some() || !is_waking);
            let is_used = needs.active == Some(place) || needs.asked == Some(place);
            if is_wanted || is_used || candidate.in_use {
                (rest.awake, rest.until) = (rest.awake.or(Some(now)), Instant::NEVER);
                if !is_wanted && !is_used {
                    due = due.min(now + LEAVING);
                }
            } else if rest.awake.is_some() {
                rest.until = rest.until.min(now + linger);
                if rest.until <= now {
                    (rest.awake, rest.until) = (None, Instant::NEVER);
                }
                due = due.min(rest.until);
            }
            if let Some(awake) = rest.awake
                && is_wanted
                && !candidate.started
                && candidate.raised.is_empty()
                && awake + connect > now
            {
                is_waking = true;
                due = due.min(awake + connect);
            }
        }
        due
    }
}

/// The places of the candidates, those of the highest priority first, and of equals the first.
fn ranked(candidates: &[Candidate]) -> impl Iterator<Item = usize> + use<> {
    let mut order = [(i64::MAX, usize::MAX); MOST];
    for (place, (entry, candidate)) in order.iter_mut().zip(candidates).enumerate() {
        *entry = (-i64::from(candidate.priority), place);
    }
    order.sort_unstable();
    order.into_iter().map(|(_, place)| place)
}

#[cfg(test)]
mod tests;
