use super::*;

const MAIN: usize = 0;
const BACKUP: usize = 1;

fn at(ms: u32) -> Instant {
    Instant::ZERO + Span::from_millis(ms)
}

fn candidate(priority: i32) -> Candidate {
    let raised = CriterionSet::EMPTY;
    let (standby, since) = (Standby::Hot, Instant::ZERO);
    Candidate { priority, enabled: true, started: true, flowing: true, raised, since, standby, in_use: false }
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
    // one that is on air, because it is held, is taken as any other
    bench.chooser.hold(BACKUP);
    assert_eq!(bench.decide(3_000), Some((BACKUP, Why::Take)));
    assert_eq!(bench.decide(9_000), None);
    bench.chooser.take(BACKUP);
    assert_eq!(bench.decide(9_010), None);
    assert_eq!(bench.decide(11_009), None);
    assert_eq!(bench.decide(11_010), Some((MAIN, Why::Unhealthy(Criterion::PatError2))));
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
