//! Chooses the input that should feed the output.
//!
//! An input that is unhealthy is left at once. A return to a better one waits for its time of health and for the dwell time,
//! and what happens by itself is bounded by a number a minute, unless the input on air delivers nothing at all.

use std::collections::VecDeque;

use super::{Failback, LossAction, Order, Settings};
use crate::health::{Criterion, CriterionSet};
use crate::units::{Instant, Span};

/// How long the first choice waits for an input of higher priority to send its first datagram.
const START: Span = Span::from_millis(500);
/// When to ask again after a decision where there is no dwell time: what else waits is known only then.
const SOON: Span = Span::from_millis(1);
const MINUTE: Span = Span::from_secs(60);
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
}

impl Candidate {
    const fn is_healthy(&self) -> bool {
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
    /// It was unhealthy when it was taken.
    taken_bad: bool,
    held: Option<usize>,
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
            taken_bad: false,
            held: None,
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
        self.taken = Some(input);
        self.held = None;
    }

    /// A person holds the channel on an input.
    pub const fn hold(&mut self, input: usize) {
        self.held = Some(input);
        self.taken = None;
    }

    /// The rules choose again.
    pub const fn release(&mut self) {
        self.held = None;
        self.taken = None;
    }

    /// When to ask again though nothing else happened.
    pub const fn deadline(&self) -> Instant {
        self.due
    }

    /// What is to be done in place of sending the input on air, by what was known at the last [`Chooser::decide`].
    pub fn loss(&self, now: Instant) -> Option<LossAction> {
        let is_long = self.none_healthy_since.is_some_and(|since| now.since(since) >= self.settings.on_loss_after);
        let acts = self.settings.on_loss != LossAction::Stay && self.held.is_none() && is_long;
        acts.then_some(self.settings.on_loss)
    }

    /// What should be done, by what is known now. The decision is taken to be carried out.
    pub fn decide(&mut self, now: Instant, candidates: &[Candidate]) -> Option<Decision> {
        self.due = Instant::NEVER;
        let none_was = self.none_healthy_since.is_some();
        self.watch_loss(now, candidates);
        let decision = self.choose(now, none_was, candidates)?;
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
        if let Some(held) = self.held {
            return (self.active != Some(held)).then_some(Decision { to: held, why: Why::Take });
        }
        if let Some(taken) = self.taken {
            let candidate = candidates.get(taken)?;
            if self.active != Some(taken) {
                self.taken_bad = !candidate.is_healthy();
                return Some(Decision { to: taken, why: Why::Take });
            }
            if candidate.is_healthy() {
                self.taken_bad = false;
                return None;
            }
            let dwelt = self.active_since + self.settings.dwell;
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
        let why = match current.raised.iter().next() {
            _ if !current.enabled => Why::Disabled,
            _ if none_was => Why::Recovery,
            Some(criterion) => Why::Unhealthy(criterion),
            None => Why::Start,
        };
        let lost = !current.enabled || current.gravity() >= LOST || current.raised.is_empty();
        if !lost && !self.may_switch(now) {
            return None;
        }
        if let Some(to) = self.best(candidates, Candidate::is_healthy) {
            return Some(Decision { to, why });
        }
        if self.loss(now).is_some() {
            return None;
        }
        let (to, least) = self.least_bad(candidates)?;
        let better = !current.enabled || least < current.gravity();
        (to != active && better).then_some(Decision { to, why: Why::LeastBad })
    }

    /// The first choice: the best input, or after a while the best that sends anything.
    fn first(&mut self, now: Instant, candidates: &[Candidate]) -> Option<Decision> {
        let wanted = self.best(candidates, |c| c.enabled && c.raised.is_empty());
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
        let enabled = candidates.iter().enumerate().filter(|(_, c)| c.enabled);
        enabled.rev().max_by_key(|(_, c)| (u8::MAX - c.gravity(), c.priority)).map(|(i, c)| (i, c.gravity()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: usize = 0;
    const BACKUP: usize = 1;

    fn at(ms: u32) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn candidate(priority: i32) -> Candidate {
        let raised = CriterionSet::EMPTY;
        Candidate { priority, enabled: true, started: true, flowing: true, raised, since: Instant::ZERO }
    }

    fn raised(criterion: Criterion) -> CriterionSet {
        let mut set = CriterionSet::EMPTY;
        set.insert(criterion);
        set
    }

    struct Bench {
        chooser: Chooser,
        inputs: [Candidate; 2],
    }

    impl Bench {
        fn new(settings: Settings) -> Self {
            let chooser = Chooser::new(&settings, 1, Instant::ZERO);
            Self { chooser, inputs: [candidate(100), candidate(50)] }
        }

        fn decide(&mut self, ms: u32) -> Option<(usize, Why)> {
            self.chooser.decide(at(ms), &self.inputs).map(|d| (d.to, d.why))
        }

        fn set(&mut self, input: usize, criterion: Option<Criterion>, ms: u32) {
            self.inputs[input].raised = criterion.map_or(CriterionSet::EMPTY, raised);
            self.inputs[input].since = at(ms);
            self.inputs[input].flowing = criterion != Some(Criterion::InputLoss);
        }
    }

    #[test]
    fn the_start_waits_for_the_better_input_but_not_for_ever() {
        let mut bench = Bench::new(Settings::default());
        bench.inputs[MAIN].started = false;
        assert_eq!(bench.decide(1), None);
        bench.inputs[MAIN].started = true;
        assert_eq!(bench.decide(2), Some((MAIN, Why::Start)));
        let mut bench = Bench::new(Settings::default());
        bench.inputs[MAIN].started = false;
        assert_eq!(bench.decide(1), None);
        assert_eq!(bench.chooser.deadline(), at(500));
        assert_eq!(bench.decide(500), Some((BACKUP, Why::Start)));
    }

    #[test]
    fn a_feed_that_begins_late_is_on_air_at_once_though_it_is_not_healthy_yet() {
        let mut bench = Bench::new(Settings::default());
        for input in &mut bench.inputs {
            (input.started, input.flowing, input.raised) = (false, false, raised(Criterion::InputLoss));
        }
        assert_eq!(bench.decide(2_000), None);
        (bench.inputs[BACKUP].started, bench.inputs[BACKUP].flowing) = (true, true);
        assert_eq!(bench.decide(2_001), Some((BACKUP, Why::Start)));
        (bench.inputs[MAIN].started, bench.inputs[MAIN].flowing) = (true, true);
        assert_eq!(bench.decide(2_002), None, "no better than the one on air");
        bench.inputs[MAIN].raised = CriterionSet::EMPTY;
        assert_eq!(bench.decide(7_002), Some((MAIN, Why::Recovery)));
    }

    #[test]
    fn an_unhealthy_input_is_left_at_once_and_returned_to_after_its_time() {
        let mut bench = Bench::new(Settings::default());
        bench.decide(0);
        bench.set(MAIN, Some(Criterion::InputLoss), 1_000);
        assert_eq!(bench.decide(1_000), Some((BACKUP, Why::Unhealthy(Criterion::InputLoss))));
        bench.set(MAIN, None, 3_000);
        assert_eq!(bench.decide(3_000), None);
        assert_eq!(bench.chooser.deadline(), at(13_000));
        assert_eq!(bench.decide(12_999), None);
        assert_eq!(bench.decide(13_000), Some((MAIN, Why::Failback)));
    }

    #[test]
    fn the_dwell_time_holds_a_return_back() {
        let failback = Failback::Auto { after: Span::ZERO };
        let mut bench = Bench::new(Settings { failback, ..Settings::default() });
        bench.decide(0);
        bench.set(MAIN, Some(Criterion::InputLoss), 100);
        bench.decide(100);
        bench.set(MAIN, None, 200);
        assert_eq!(bench.decide(200), None);
        assert_eq!(bench.chooser.deadline(), at(2_100));
        assert_eq!(bench.decide(2_100), Some((MAIN, Why::Failback)));
    }

    #[test]
    fn manual_failback_stays_and_a_take_stays_until_it_is_unhealthy() {
        let mut bench = Bench::new(Settings { failback: Failback::Manual, ..Settings::default() });
        bench.decide(0);
        bench.set(MAIN, Some(Criterion::InputLoss), 100);
        bench.decide(100);
        bench.set(MAIN, None, 200);
        assert_eq!(bench.decide(60_000), None);
        let mut bench = Bench::new(Settings::default());
        bench.decide(0);
        bench.chooser.take(BACKUP);
        assert_eq!(bench.decide(1), Some((BACKUP, Why::Take)));
        assert_eq!(bench.decide(60_000), None);
        bench.set(BACKUP, Some(Criterion::PatError2), 60_001);
        assert_eq!(bench.decide(60_001), Some((MAIN, Why::Unhealthy(Criterion::PatError2))));
        assert_eq!(bench.chooser.taken(), None);
    }

    #[test]
    fn an_unhealthy_input_that_is_taken_is_left_after_the_dwell_time() {
        let mut bench = Bench::new(Settings { dwell: Span::from_secs(2), ..Settings::default() });
        bench.decide(0);
        bench.set(BACKUP, Some(Criterion::PatError2), 1);
        bench.decide(1);
        bench.chooser.take(BACKUP);
        assert_eq!(bench.decide(10), Some((BACKUP, Why::Take)));
        assert_eq!(bench.decide(11), None);
        assert_eq!(bench.chooser.deadline(), at(2_010));
        assert_eq!(bench.decide(2_010), Some((MAIN, Why::Unhealthy(Criterion::PatError2))));
        // once healthy it is left at once when that is over
        bench.chooser.take(BACKUP);
        assert_eq!(bench.decide(2_020), Some((BACKUP, Why::Take)));
        bench.set(BACKUP, None, 2_030);
        assert_eq!(bench.decide(2_030), None);
        bench.set(BACKUP, Some(Criterion::PatError2), 2_040);
        assert_eq!(bench.decide(2_040), Some((MAIN, Why::Unhealthy(Criterion::PatError2))));
    }

    #[test]
    fn a_hold_stays_whatever_happens() {
        let mut bench = Bench::new(Settings::default());
        bench.decide(0);
        bench.chooser.hold(BACKUP);
        assert_eq!(bench.decide(1), Some((BACKUP, Why::Take)));
        bench.set(BACKUP, Some(Criterion::InputLoss), 2);
        assert_eq!(bench.decide(2), None);
        bench.chooser.release();
        assert_eq!(bench.decide(3), Some((MAIN, Why::Unhealthy(Criterion::InputLoss))));
    }

    #[test]
    fn with_none_healthy_the_least_bad_is_chosen_once() {
        let mut bench = Bench::new(Settings::default());
        bench.decide(0);
        bench.set(BACKUP, Some(Criterion::PcrRepetitionError), 1);
        bench.set(MAIN, Some(Criterion::PatError2), 2);
        assert_eq!(bench.decide(2), Some((BACKUP, Why::LeastBad)));
        assert_eq!(bench.decide(3), None);
        bench.set(BACKUP, Some(Criterion::PmtError2), 4);
        assert_eq!(bench.decide(4), None, "no worse than the other: stay");
        bench.set(MAIN, None, 5);
        assert_eq!(bench.decide(5), Some((MAIN, Why::Recovery)));
    }

    #[test]
    fn ping_pong_ends_at_the_limit_unless_nothing_comes_at_all() {
        let settings = Settings { max_per_minute: 2, dwell: Span::ZERO, ..Settings::default() };
        let mut bench = Bench::new(settings);
        bench.decide(0);
        bench.set(MAIN, Some(Criterion::ContinuityCountError), 10);
        assert_eq!(bench.decide(10).map(|d| d.0), Some(BACKUP));
        bench.set(MAIN, None, 20);
        bench.set(BACKUP, Some(Criterion::ContinuityCountError), 20);
        assert_eq!(bench.decide(20).map(|d| d.0), Some(MAIN));
        bench.set(BACKUP, None, 30);
        bench.set(MAIN, Some(Criterion::ContinuityCountError), 30);
        assert_eq!(bench.decide(30), None);
        assert_eq!(bench.chooser.deadline(), at(60_010));
        bench.set(MAIN, Some(Criterion::InputLoss), 40);
        assert_eq!(bench.decide(40).map(|d| d.0), Some(BACKUP));
    }

    #[test]
    fn a_disabled_input_is_left_and_not_chosen() {
        let mut bench = Bench::new(Settings::default());
        bench.decide(0);
        bench.inputs[MAIN].enabled = false;
        assert_eq!(bench.decide(1), Some((BACKUP, Why::Disabled)));
        bench.set(BACKUP, Some(Criterion::InputLoss), 2);
        assert_eq!(bench.decide(2), None);
    }

    #[test]
    fn mute_comes_after_its_time_and_ends_with_a_healthy_input() {
        let mut bench = Bench::new(Settings { on_loss: LossAction::Mute, ..Settings::default() });
        bench.decide(0);
        bench.set(MAIN, Some(Criterion::InputLoss), 100);
        bench.set(BACKUP, Some(Criterion::InputLoss), 100);
        bench.decide(100);
        assert_eq!(bench.chooser.deadline(), at(1_100));
        assert!(bench.chooser.loss(at(1_099)).is_none() && bench.chooser.loss(at(1_100)).is_some());
        bench.set(BACKUP, Some(Criterion::PatError2), 1_500);
        assert_eq!(bench.decide(1_500), None, "nothing is sent, so nothing is better");
        bench.set(BACKUP, None, 2_000);
        assert_eq!(bench.decide(2_000).map(|d| d.0), Some(BACKUP));
        assert!(bench.chooser.loss(at(2_000)).is_none());
    }

    #[test]
    fn random_order_takes_any_healthy_one_and_never_another() {
        let mut chosen = [0; 3];
        for seed in 0..200 {
            let settings = Settings { order: Order::Random, ..Settings::default() };
            let mut chooser = Chooser::new(&settings, seed * 7919, Instant::ZERO);
            let mut inputs = [candidate(1), candidate(2), candidate(3)];
            inputs[2].raised = raised(Criterion::InputLoss);
            chosen[chooser.decide(at(600), &inputs).map(|d| d.to).unwrap()] += 1;
        }
        assert!(chosen[0] > 20 && chosen[1] > 20 && chosen[2] == 0, "{chosen:?}");
    }
}
