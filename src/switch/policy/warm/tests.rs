use super::super::{Candidate, Chooser, Decision, Failback, LossAction, Order, Settings, Why};
use super::*;
use crate::health::{Criterion, CriterionSet};

const MAIN: usize = 0;
const WARM: usize = 1;
const OTHER: usize = 2;
const NONE: [usize; 0] = [];

fn at(ms: u32) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

/// A choice among inputs that are there or not, each as the engine would have it: one that rests brings nothing.
struct Bench {
    chooser: Chooser,
    inputs: Vec<Candidate>,
    /// When each brings its first datagram after it was woken; none never.
    connects: Vec<Option<u32>>,
    /// When each was woken.
    woken: Vec<Option<u32>>,
    now: u32,
}

impl Bench {
    /// The priorities of the inputs, those that rest being negative.
    fn new(settings: Settings, priorities: &[i32]) -> Self {
        let candidate = |&priority: &i32| Candidate {
            priority: priority.abs(),
            enabled: true,
            started: priority > 0,
            flowing: priority > 0,
            raised: CriterionSet::EMPTY,
            since: Instant::ZERO,
            standby: if priority > 0 { Standby::Hot } else { Standby::Warm { connect: Span::from_secs(1) } },
            in_use: false,
        };
        let inputs = priorities.iter().map(candidate).collect();
        let chooser = Chooser::new(&settings, 1, Instant::ZERO);
        let woken = vec![None; priorities.len()];
        Self { chooser, inputs, connects: vec![Some(300); priorities.len()], woken, now: 0 }
    }

    fn raise(&mut self, input: usize, criterion: Criterion) {
        self.inputs[input].raised.insert(criterion);
        self.inputs[input].flowing = criterion != Criterion::InputLoss;
        self.inputs[input].since = at(self.now);
    }

    fn clear(&mut self, input: usize) {
        (self.inputs[input].raised, self.inputs[input].flowing) = (CriterionSet::EMPTY, true);
        self.inputs[input].since = at(self.now);
    }

    fn awake(&self) -> Vec<usize> {
        (0..self.inputs.len()).filter(|&place| self.chooser.is_awake(place)).collect()
    }

    /// What follows from the choice for those that may rest.
    fn follow(&mut self) {
        for (place, candidate) in self.inputs.iter_mut().enumerate() {
            if candidate.standby == Standby::Hot {
                continue;
            }
            if self.chooser.is_awake(place) {
                self.woken[place].get_or_insert(self.now);
            } else {
                self.woken[place] = None;
                (candidate.started, candidate.raised) = (false, CriterionSet::EMPTY);
            }
        }
    }

    fn decide(&mut self) -> Option<Decision> {
        let decision = self.chooser.decide(at(self.now), &self.inputs);
        self.follow();
        decision
    }

    /// Time passes by the choice's own deadlines and those of the inputs that wake; what was decided, and when. At the beginning
    /// something has changed.
    fn pass(&mut self, until: u32) -> Vec<(u32, usize, Why)> {
        let mut decisions = Vec::new();
        let mut changed = true;
        while self.now <= until {
            for place in 0..self.inputs.len() {
                let due = self.woken[place].zip(self.connects[place]).map(|(woken, takes)| woken + takes);
                if due == Some(self.now) {
                    (self.inputs[place].started, self.inputs[place].flowing) = (true, true);
                    self.inputs[place].since = at(self.now);
                    changed = true;
                }
            }
            while core::mem::take(&mut changed) || self.chooser.deadline() <= at(self.now) {
                if let Some(Decision { to, why }) = self.decide() {
                    decisions.push((self.now, to, why));
                }
            }
            self.now += 1;
        }
        decisions
    }
}

fn fast() -> Settings {
    Settings {
        failback: Failback::Auto { after: Span::from_secs(3) },
        dwell: Span::from_secs(2),
        ..Settings::default()
    }
}

#[test]
fn it_is_woken_when_the_main_is_lost_and_let_go_once_that_is_back_for_a_while() {
    let mut bench = Bench::new(fast(), &[100, -50]);
    assert_eq!(bench.pass(1_000), [(0, MAIN, Why::Start)]);
    assert_eq!(bench.awake(), NONE);
    bench.raise(MAIN, Criterion::InputLoss);
    let lost = Why::Unhealthy(Criterion::InputLoss);
    assert_eq!(bench.pass(4_000), [(1_301, WARM, lost)], "300 ms after 1,001, when it was needed");
    bench.clear(MAIN);
    let decisions = bench.pass(9_000);
    assert_eq!(decisions, [(7_001, MAIN, Why::Failback)]);
    assert_eq!(bench.awake(), [WARM], "the main may fail again");
    bench.pass(10_000);
    assert_eq!(bench.awake(), [WARM]);
    bench.pass(10_001);
    assert_eq!(bench.awake(), NONE);
    // any criterion is enough, and one that recovers before it was there needs it no more
    bench.raise(MAIN, Criterion::ContinuityCountError);
    bench.pass(10_100);
    assert_eq!(bench.awake(), [WARM]);
    bench.clear(MAIN);
    assert_eq!(bench.pass(13_100), []);
    assert_eq!(bench.awake(), [WARM]);
    bench.pass(13_101);
    assert_eq!(bench.awake(), NONE);
}

#[test]
fn a_healthy_hot_input_is_taken_at_once_and_the_better_one_is_woken_for_later() {
    let mut bench = Bench::new(fast(), &[100, -50, 10]);
    bench.pass(1_000);
    bench.raise(MAIN, Criterion::InputLoss);
    let lost = Why::Unhealthy(Criterion::InputLoss);
    assert_eq!(bench.pass(9_000), [(1_001, OTHER, lost), (4_301, WARM, Why::Failback)]);
    // where nothing is left for a better one, it is not woken for that
    for settings in [Settings { failback: Failback::Manual, ..fast() }, Settings { order: Order::Random, ..fast() }] {
        let mut bench = Bench::new(settings, &[100, -50, 10]);
        bench.pass(1_000);
        let active = bench.chooser.active().unwrap();
        bench.raise(active, Criterion::InputLoss);
        assert_eq!(bench.pass(5_000).len(), 1);
        assert_eq!(bench.awake(), NONE, "{settings:?}");
        bench.raise(if active == MAIN { OTHER } else { MAIN }, Criterion::InputLoss);
        assert_eq!(bench.pass(9_000), [(5_301, WARM, lost)]);
    }
}

#[test]
fn several_are_woken_in_their_order_each_after_the_time_of_the_one_before() {
    let mut bench = Bench::new(fast(), &[100, -50, -60]);
    (bench.connects[OTHER], bench.connects[WARM]) = (None, Some(200));
    bench.pass(1_000);
    bench.raise(MAIN, Criterion::InputLoss);
    assert_eq!(bench.pass(1_001), []);
    assert_eq!(bench.awake(), [OTHER], "that of the higher priority");
    assert_eq!(bench.pass(2_000), []);
    assert_eq!(bench.awake(), [OTHER]);
    assert_eq!(bench.pass(5_000), [(2_201, WARM, Why::Unhealthy(Criterion::InputLoss))]);
    assert_eq!(bench.awake(), [WARM, OTHER], "the better one may still come");
    // one that comes and is no good is not waited for
    let mut bench = Bench::new(fast(), &[100, -50, -60]);
    bench.pass(1_000);
    bench.raise(MAIN, Criterion::InputLoss);
    bench.pass(1_300);
    bench.raise(OTHER, Criterion::PatError2);
    bench.pass(1_302);
    assert_eq!(bench.awake(), [WARM, OTHER]);
}

#[test]
fn a_take_waits_for_it_and_is_given_up_if_it_does_not_come() {
    let mut bench = Bench::new(fast(), &[100, -50]);
    bench.pass(1_000);
    bench.chooser.take(WARM);
    bench.decide();
    assert_eq!((bench.chooser.active(), bench.awake()), (Some(MAIN), vec![WARM]));
    assert_eq!(bench.pass(60_000), [(1_301, WARM, Why::Take)]);
    bench.chooser.take(MAIN);
    bench.decide();
    bench.pass(63_000);
    assert_eq!(bench.awake(), [WARM]);
    bench.pass(63_001);
    assert_eq!(bench.awake(), NONE);

    bench.connects[WARM] = None;
    bench.chooser.take(WARM);
    bench.decide();
    assert_eq!(bench.pass(73_001), []);
    assert_eq!((bench.chooser.taken(), bench.chooser.missed()), (Some(WARM), None));
    assert_eq!(bench.pass(73_002), []);
    assert_eq!((bench.chooser.taken(), bench.chooser.missed(), bench.chooser.missed()), (None, Some(WARM), None));
    assert_eq!(bench.chooser.active(), Some(MAIN));

    // a hold is obeyed whether it comes or not, and meanwhile the rules go on
    let mut bench = Bench::new(fast(), &[100, -50, 10]);
    bench.pass(1_000);
    bench.connects[WARM] = None;
    bench.chooser.hold(WARM);
    bench.decide();
    bench.pass(2_000);
    bench.raise(MAIN, Criterion::InputLoss);
    let decisions = bench.pass(60_000);
    let lost = Why::Unhealthy(Criterion::InputLoss);
    assert_eq!(decisions, [(2_001, OTHER, lost), (11_001, WARM, Why::Take)]);
}

#[test]
fn it_sleeps_through_a_start_and_never_stands_in_for_what_is_there() {
    let mut bench = Bench::new(fast(), &[100, -50]);
    bench.inputs[MAIN].started = false;
    bench.pass(400);
    assert_eq!(bench.awake(), NONE, "the main has half a second to come");
    bench.inputs[MAIN].started = true;
    assert_eq!(bench.pass(600), [(401, MAIN, Why::Start)]);
    // nothing comes at all
    let mut bench = Bench::new(fast(), &[100, -50]);
    (bench.inputs[MAIN].started, bench.inputs[MAIN].flowing) = (false, false);
    assert_eq!(bench.pass(2_000), [(800, WARM, Why::Start)]);
    // somebody makes the one on air unavailable, and one that rests is gone to when it is there
    let mut bench = Bench::new(fast(), &[100, -50]);
    bench.pass(1_000);
    bench.inputs[MAIN].enabled = false;
    bench.decide();
    assert_eq!(bench.chooser.active(), Some(MAIN));
    assert_eq!(bench.pass(2_000), [(1_301, WARM, Why::Disabled)]);
    // one that may not be chosen is not woken
    let mut bench = Bench::new(Settings { on_loss: LossAction::Mute, ..fast() }, &[100, -50]);
    bench.inputs[WARM].enabled = false;
    bench.pass(1_000);
    bench.raise(MAIN, Criterion::InputLoss);
    assert_eq!(bench.pass(5_000), []);
    assert_eq!(bench.awake(), NONE);
}

#[test]
fn what_still_goes_out_is_not_let_go() {
    let settings = Settings { failback: Failback::Auto { after: Span::ZERO }, dwell: Span::ZERO, ..fast() };
    let mut bench = Bench::new(settings, &[100, -50]);
    bench.pass(1_000);
    bench.raise(MAIN, Criterion::InputLoss);
    bench.pass(2_000);
    bench.clear(MAIN);
    bench.inputs[WARM].in_use = true;
    assert_eq!(bench.pass(4_000), [(2_001, MAIN, Why::Failback)]);
    assert_eq!(bench.awake(), [WARM]);
    bench.inputs[WARM].in_use = false;
    bench.pass(4_101);
    assert_eq!(bench.awake(), NONE, "found out a tenth of a second later");
}
