//! Chooses the input that should feed the output.
//!
//! An input that is unhealthy is left at once. A return to a better one waits for its time of health and for the dwell time,
//! and what happens by itself is bounded by a number a minute, unless the input on air delivers nothing at all.

use std::collections::VecDeque;

use super::warm::{Needs, Standby, Warm};
use super::{Failback, LossAction, Order, Settings};
use crate::health::{Criterion, CriterionSet};
use crate::units::{Instant, Span};

/// How long the first choice waits for an input of higher priority to send its first datagram.
const START: Span = Span::from_millis(500);
/// When to ask again after a decision where there is no dwell time: what else waits is known only then.
const SOON: Span = Span::from_millis(1);
const MINUTE: Span = Span::from_secs(60);
/// How long an input is awaited that a person takes or holds and that has to be woken first.
const ASKED: Span = Span::from_secs(10);
/// The gravity of an input that delivers nothing usable.
const LOST: u8 = 3;

/// What is known of one input.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The higher, the more wanted.
    pub priority: i32,
    /// Whether it may be chosen.
    pub enabled: bool,
    /// Whether anything has come from it.
    pub started: bool,
    /// Whether anything came since it was last found to be silent.
    pub flowing: bool,
    /// What is wrong with it.
    pub raised: CriterionSet,
    /// When it last became healthy or unhealthy.
    pub since: Instant,
    /// Whether it is received when it is not needed.
    pub standby: Standby,
    /// Packets of it still go out, though another may be chosen.
    pub in_use: bool,
}

impl Candidate {
    /// Whether it can be gone to at all: one that rests has to be woken first.
    const fn is_there(&self) -> bool {
        self.started || !self.standby.is_warm()
    }

    pub(super) const fn is_healthy(&self) -> bool {
        self.enabled && self.started && self.raised.is_empty()
    }

    /// How grave its faults are. That it was silent a while ago is the least of them.
    fn gravity(&self) -> u8 {
        if !self.started || !self.flowing {
            return LOST;
        }
        let mut others = self.raised;
        others.remove(Criterion::InputLoss);
        others.gravity().max(u8::from(!self.raised.is_empty()))
    }
}

/// Why an input was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The first that could be had.
    Start,
    /// The one on air is unhealthy by this criterion.
    Unhealthy(Criterion),
    /// A better one has been healthy for long enough.
    Failback,
    /// None is healthy, and this is the least bad.
    LeastBad,
    /// None was healthy, and now this is.
    Recovery,
    /// A person took it.
    Take,
    /// The one on air may no longer be chosen.
    Disabled,
}

impl Why {
    /// The name in the journal: a criterion's own, or `start`, `failback`, `least_bad`, `recovery`, `take`, `disabled`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Unhealthy(criterion) => criterion.name(),
            Self::Failback => "failback",
            Self::LeastBad => "least_bad",
            Self::Recovery => "recovery",
            Self::Take => "take",
            Self::Disabled => "disabled",
        }
    }

    /// Whether there was time to choose the moment.
    pub const fn is_planned(self) -> bool {
        match self {
            Self::Start | Self::Failback | Self::Take => true,
            Self::Unhealthy(_) | Self::LeastBad | Self::Recovery | Self::Disabled => false,
        }
    }
}

/// Another input should feed the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which: its place among the candidates.
    pub to: usize,
    /// Why.
    pub why: Why,
}

/// The choice of one channel.
#[derive(Debug)]
pub struct Chooser {
    settings: Settings,
    active: Option<usize>,
    active_since: Instant,
    taken: Option<usize>,
    /// When, as far as that was decided on, and whether it was unhealthy then.
    taken_at: Option<Instant>,
    taken_bad: bool,
    held: Option<usize>,
    /// When it was first looked whether the one that was taken or is held is there.
    asked: Option<Instant>,
    /// The one that was taken and did not come.
    missed: Option<usize>,
    warm: Warm,
    /// When the latest switches were made that happened by themselves.
    automatic: VecDeque<Instant>,
    none_healthy_since: Option<Instant>,
    started: Instant,
    random: u64,
    due: Instant,
}

impl Chooser {
    /// A choice that begins at `now`; `seed` makes `order: random` the same in each run.
    pub fn new(settings: &Settings, seed: u64, now: Instant) -> Self {
        Self {
            settings: *settings,
            active: None,
            active_since: now,
            taken: None,
            taken_at: None,
            taken_bad: false,
            held: None,
            asked: None,
            missed: None,
            warm: Warm::NEW,
            automatic: VecDeque::with_capacity(usize::from(settings.max_per_minute).max(1)),
            none_healthy_since: None,
            started: now,
            random: seed | 1,
            due: now,
        }
    }

    /// The input that feeds the output.
    pub const fn active(&self) -> Option<usize> {
        self.active
    }

    /// The input that was taken, until it is unhealthy or another decision is asked for.
    pub const fn taken(&self) -> Option<usize> {
        self.taken
    }

    /// The input that the channel is held on.
    pub const fn held(&self) -> Option<usize> {
        self.held
    }

    /// A person takes an input: it is on air until it becomes unhealthy, and for the dwell time where it was unhealthy before.
    pub const fn take(&mut self, input: usize) {
        (self.taken, self.taken_at, self.held, self.asked) = (Some(input), None, None, None);
    }

    /// A person holds the channel on an input.
    pub const fn hold(&mut self, input: usize) {
        (self.held, self.taken, self.asked) = (Some(input), None, None);
    }

    /// The rules choose again.
    pub const fn release(&mut self) {
        (self.held, self.taken) = (None, None);
    }

    /// Whether an input that may rest is to be received, by what was known at the last [`Chooser::decide`].
    pub fn is_awake(&self, input: usize) -> bool {
        self.warm.is_awake(input)
    }

    /// The input that was taken, had to be woken, and did not come in time. Told once.
    pub const fn missed(&mut self) -> Option<usize> {
        self.missed.take()
    }

    /// When to ask again though nothing else happened.
    pub const fn deadline(&self) -> Instant {
        self.due
    }

    /// What is to be done in place of sending the input on air, by what was known at the last [`Chooser::decide`].
    pub fn loss(&self, now: Instant) -> Option<LossAction> {
        let acts = self.settings.on_loss != LossAction::Stay && self.held.is_none() && self.lacks_healthy(now);
        acts.then_some(self.settings.on_loss)
    }

    /// Whether for as long as [`Settings::on_loss_after`] none was healthy, by what was known at the last [`Chooser::decide`].
    pub fn lacks_healthy(&self, now: Instant) -> bool {
        self.none_healthy_since.is_some_and(|since| now.since(since) >= self.settings.on_loss_after)
    }

    /// What should be done, by what is known now. The decision is taken to be carried out.
    pub fn decide(&mut self, now: Instant, candidates: &[Candidate]) -> Option<Decision> {
        self.due = Instant::NEVER;
        let none_was = self.none_healthy_since.is_some();
        self.watch_loss(now, candidates);
        let decision = self.choose(now, none_was, candidates);
        let decided = self.carry_out(now, decision);
        let is_held = self.held.is_some() && self.held == self.active;
        let asked = self.held.or(self.taken);
        let needs = Needs { active: self.active, asked, is_held, start: self.started + START };
        let again = self.warm.look(now, &self.settings, candidates, needs);
        self.wait_until(again);
        decided
    }

    fn carry_out(&mut self, now: Instant, decision: Option<Decision>) -> Option<Decision> {
        let decision = decision?;
        if !matches!(decision.why, Why::Take | Why::Start) && self.settings.max_per_minute > 0 {
            if self.automatic.len() == usize::from(self.settings.max_per_minute) {
                self.automatic.pop_front();
            }
            self.automatic.push_back(now);
        }
        self.active = Some(decision.to);
        self.active_since = now;
        // a return may fall due from here on
        self.due = self.due.min(now + self.settings.dwell.max(SOON));
        Some(decision)
    }

    fn wait_until(&mut self, at: Instant) {
        self.due = self.due.min(at);
    }

    fn watch_loss(&mut self, now: Instant, candidates: &[Candidate]) {
        if candidates.iter().any(Candidate::is_healthy) {
            self.none_healthy_since = None;
            return;
        }
        let since = *self.none_healthy_since.get_or_insert(now);
        if since + self.settings.on_loss_after > now {
            self.wait_until(since + self.settings.on_loss_after);
        }
    }

    fn choose(&mut self, now: Instant, none_was: bool, candidates: &[Candidate]) -> Option<Decision> {
        if let Some(held) = self.held
            && !self.awaits(now, held, candidates)
        {
            return (self.active != Some(held)).then_some(Decision { to: held, why: Why::Take });
        }
        if let Some(taken) = self.taken
            && !self.awaits(now, taken, candidates)
        {
            let candidate = candidates.get(taken)?;
            if self.active != Some(taken) && !candidate.is_there() {
                (self.missed, self.taken) = (Some(taken), None);
                return self.choose(now, none_was, candidates);
            }
            let since = *self.taken_at.get_or_insert_with(|| {
                self.taken_bad = !candidate.is_healthy();
                now
            });
            if self.active != Some(taken) {
                return Some(Decision { to: taken, why: Why::Take });
            }
            if candidate.is_healthy() {
                self.taken_bad = false;
                return None;
            }
            let dwelt = since + self.settings.dwell;
            if self.taken_bad && dwelt > now {
                self.wait_until(dwelt);
                return None;
            }
            self.taken = None;
        }
        let Some((active, current)) = self.active.and_then(|a| Some((a, candidates.get(a)?))) else {
            return self.first(now, candidates);
        };
        if current.is_healthy() {
            return self.better(now, active, current.priority, candidates);
        }
        let why = |is_recovery: bool| match current.raised.iter().next() {
            _ if !current.enabled => Why::Disabled,
            _ if is_recovery => Why::Recovery,
            Some(criterion) => Why::Unhealthy(criterion),
            None => Why::Start,
        };
        let lost = !current.enabled || current.gravity() >= LOST || current.raised.is_empty();
        if !lost && !self.may_switch(now) {
            return None;
        }
        if let Some(to) = self.best(candidates, Candidate::is_healthy) {
            // one that had to be woken did not recover: it comes for what is wrong with the one on air
            let is_recovery = none_was && !candidates[to].standby.is_warm();
            return Some(Decision { to, why: why(is_recovery) });
        }
        if self.loss(now).is_some() {
            return None;
        }
        let (to, least) = self.least_bad(candidates)?;
        let better = !current.enabled || least < current.gravity();
        (to != active && better).then_some(Decision { to, why: Why::LeastBad })
    }

    /// Whether the input that a person asks for is still on its way: one that rests has to be woken first.
    fn awaits(&mut self, now: Instant, input: usize, candidates: &[Candidate]) -> bool {
        let asked = *self.asked.get_or_insert(now);
        let is_here = candidates.get(input).is_none_or(|c| !c.standby.is_warm() || c.is_healthy());
        if is_here || self.active == Some(input) || asked + ASKED <= now {
            return false;
        }
        self.wait_until(asked + ASKED);
        true
    }

    /// The first choice: the best input, or after a while the best that sends anything.
    fn first(&mut self, now: Instant, candidates: &[Candidate]) -> Option<Decision> {
        let wanted = self.best(candidates, |c| c.enabled && c.raised.is_empty() && c.is_there());
        let to = match wanted {
            Some(wanted) if candidates[wanted].started => wanted,
            _ if now < self.started + START => {
                self.wait_until(self.started + START);
                return None;
            }
            _ => self.best(candidates, Candidate::is_healthy).or_else(|| {
                // none is healthy: the least bad of those that send anything
                let sending = |c: &Candidate| c.enabled && c.gravity() < LOST;
                candidates.iter().any(sending).then(|| self.least_bad(candidates)).flatten().map(|(to, _)| to)
            })?,
        };
        Some(Decision { to, why: Why::Start })
    }

    /// A return to an input of higher priority.
    fn better(&mut self, now: Instant, active: usize, priority: i32, candidates: &[Candidate]) -> Option<Decision> {
        let Failback::Auto { after } = self.settings.failback else { return None };
        if self.settings.order == Order::Random {
            return None;
        }
        let higher = |c: &Candidate| c.is_healthy() && c.priority > priority;
        let ready = |c: &Candidate| higher(c) && c.since + after <= now;
        let waiting = candidates.iter().filter(|&c| higher(c) && !ready(c)).map(|c| c.since + after).min();
        if let Some(at) = waiting {
            self.wait_until(at);
        }
        let to = self.best(candidates, ready)?;
        let dwelt = self.active_since + self.settings.dwell;
        if dwelt > now {
            self.wait_until(dwelt);
            return None;
        }
        (to != active && self.may_switch(now)).then_some(Decision { to, why: Why::Failback })
    }

    /// Whether the number of automatic switches in the last minute allows another; if not, when to ask again.
    fn may_switch(&mut self, now: Instant) -> bool {
        let most = usize::from(self.settings.max_per_minute);
        if most == 0 || self.automatic.len() < most {
            return true;
        }
        let free = self.automatic.front().map_or(now, |&oldest| oldest + MINUTE);
        if free > now {
            self.wait_until(free);
        }
        free <= now
    }

    /// The one to choose of those that `fit`.
    fn best(&mut self, candidates: &[Candidate], fit: impl Fn(&Candidate) -> bool) -> Option<usize> {
        let fitting = || candidates.iter().enumerate().filter(|(_, c)| fit(c));
        match self.settings.order {
            // the first of the highest: max_by_key would give the last
            Order::Priority => fitting().rev().max_by_key(|(_, c)| c.priority).map(|(i, _)| i),
            Order::Random => {
                let count = fitting().count() as u64;
                // xorshift64 (Marsaglia 2003)
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let nth = self.random.checked_rem(count)?;
                fitting().nth(usize::try_from(nth).ok()?).map(|(i, _)| i)
            }
        }
    }

    /// The input whose faults are of the lowest priority, and their gravity.
    fn least_bad(&self, candidates: &[Candidate]) -> Option<(usize, u8)> {
        let there = candidates.iter().enumerate().filter(|(_, c)| c.enabled && c.is_there());
        there.rev().max_by_key(|(_, c)| (u8::MAX - c.gravity(), c.priority)).map(|(i, c)| (i, c.gravity()))
    }
}

#[cfg(test)]
mod tests;
