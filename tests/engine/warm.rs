//! `standby: warm` in the engine's own time: when an input is needed, what is made of it, and when it is let go.

use changeover::engine::{Event, InputSnapshot, InputState, Standby};
use changeover::health::LinkFigures;
use changeover::switch::policy::Failback;

use super::*;

/// A hot main and a warm backup of the same packets, which comes 300 ms after it is needed, as by SRT.
struct Stage {
    rig: Rig,
    feeds: [Source; 2],
    next: [(Instant, Vec<u8>); 2],
    /// When the backup was needed last.
    needed: Option<Instant>,
    told: usize,
}

const CONNECTS: Span = Span::from_millis(300);

fn warm_setup() -> Setup {
    let mut setup = setup(Span::from_millis(100), input(100));
    let channel = &mut setup.channels[0];
    channel.inputs[1].standby = Standby::Warm { connect: Span::from_secs(1) };
    channel.policy.failback = Failback::Auto { after: Span::from_secs(2) };
    setup
}

impl Stage {
    fn new(setup: &Setup) -> Self {
        let mut feeds = [Span::ZERO, Span::from_millis(40)].map(|offset| Source::new(Settings::default(), offset));
        let next = feeds.each_mut().map(Source::next_datagram);
        Self { rig: Rig::new(setup), feeds, next, needed: None, told: 0 }
    }

    /// Until a time, with what the main brings and what the backup does; `connects`: what it takes from the need to the first
    /// datagram, none where it comes all the time.
    fn run(&mut self, until: Instant, main: bool, backup: bool, connects: Option<Span>) {
        loop {
            let of = usize::from(self.next[1].0 < self.next[0].0);
            if self.next[of].0 > until {
                break;
            }
            let (at, bytes) = std::mem::replace(&mut self.next[of], self.feeds[of].next_datagram());
            self.rig.advance(at);
            self.hear();
            let there = match connects {
                Some(connects) => self.needed.is_some_and(|needed| needed + connects <= at),
                None => true,
            };
            if of == 0 && main || of == 1 && backup && there {
                self.rig.datagram(of as u16, at, &bytes);
            }
            self.hear();
        }
        self.rig.advance(until);
        self.hear();
    }

    fn hear(&mut self) {
        for event in &self.rig.events[self.told..] {
            if is_needed(&event.what) {
                self.needed = Some(event.at);
            } else if is_let_go(&event.what) {
                self.needed = None;
            }
        }
        self.told = self.rig.events.len();
    }

    fn backup(&self) -> InputSnapshot {
        self.rig.snapshot().inputs[1]
    }

    /// When what `fits` was told.
    fn when(&self, fits: impl Fn(&What) -> bool) -> Vec<Instant> {
        self.rig.events.iter().filter(|event| fits(&event.what)).map(|event| event.at).collect()
    }

    fn switches(&self) -> Vec<Switch> {
        let switch = |event: &Event| if let What::Switch(switch) = event.what { Some(switch) } else { None };
        self.rig.events.iter().filter_map(switch).collect()
    }
}

fn is_needed(what: &What) -> bool {
    matches!(what, What::Needed { input: InputId(BACKUP) })
}

fn is_let_go(what: &What) -> bool {
    matches!(what, What::NotNeeded { input: InputId(BACKUP) })
}

#[test]
fn it_is_not_judged_before_it_is_needed_and_on_air_as_soon_as_it_comes() {
    let mut stage = Stage::new(&warm_setup());
    stage.run(ms(10_000), true, true, Some(CONNECTS));
    let rests = stage.backup();
    assert_eq!((rests.state, rests.wanted, rests.raised.is_empty()), (InputState::Warm, false, true));
    assert_eq!((rests.packets, rests.forecast.is_none(), rests.kinship.is_none()), (0, true, true));
    assert_eq!(stage.when(|what| matches!(what, What::Raised { .. })), []);

    stage.run(ms(10_150), false, true, Some(CONNECTS));
    assert_eq!(stage.when(is_needed), []);
    let last = stage.rig.snapshot().inputs[0].last_arrival.unwrap();
    stage.run(ms(10_400), false, true, Some(CONNECTS));
    let needed = stage.when(is_needed);
    assert_eq!(needed, [last + Span::from_millis(200)], "at the very moment at which the main is found to be silent");
    assert_eq!((stage.backup().state, stage.backup().wanted), (InputState::Warm, true), "on its way");
    stage.run(ms(14_000), false, true, Some(CONNECTS));
    let [_, away] = stage.switches()[..] else { panic!("{:?}", stage.switches()) };
    assert_eq!((away.to, away.reason), (InputId(BACKUP), Reason::Unhealthy(Criterion::InputLoss)));
    let came = away.decided.since(needed[0] + CONNECTS);
    assert!(came < Span::from_millis(2), "with its first datagram: {came:?}");
    assert_eq!(stage.backup().state, InputState::Active);

    // the main is back: well again after 5 s, on air 2 s later, and the backup is let go 2 s after that
    stage.run(ms(30_000), true, true, Some(CONNECTS));
    let [_, _, back] = stage.switches()[..] else { panic!("{:?}", stage.switches()) };
    assert_eq!((back.to, back.reason), (InputId(MAIN), Reason::Failback));
    let let_go = stage.when(is_let_go);
    // from when none of its packets goes out any more, which is looked at ten times a second
    let held = let_go[0].since(back.decided);
    let (least, most) = (Span::from_secs(2), Span::from_millis(2_300));
    assert!(let_go.len() == 1 && held >= least && held <= most, "{let_go:?} {back:?}");
    assert_eq!((stage.backup().state, stage.backup().bit_rate.0), (InputState::Warm, 0));
    let before = stage.backup();

    // and it begins anew when it is needed anew, with no error for the time that it was not received
    stage.run(ms(34_000), false, true, Some(CONNECTS));
    let after = stage.backup();
    assert_eq!(after.state, InputState::Active);
    assert!(after.packets > before.packets + 10_000);
    assert_eq!((after.counts, after.figures.missing), ([0; Indicator::COUNT], 0));
    assert_eq!(errors(&analyse(&stage.rig.packets()), Indicator::ContinuityCountError), 0);
}

#[test]
fn what_comes_all_the_same_is_let_go_until_it_is_needed() {
    // as in a replay, and on a bound address: the same decisions, without the time to connect
    let mut stage = Stage::new(&warm_setup());
    stage.run(ms(5_000), true, true, None);
    assert_eq!((stage.backup().packets, stage.backup().state), (0, InputState::Warm));
    stage.run(ms(8_000), false, true, None);
    let [_, away] = stage.switches()[..] else { panic!("{:?}", stage.switches()) };
    let needed = stage.when(is_needed)[0];
    assert!(away.decided.since(needed) < Span::from_millis(2), "{away:?}");
    assert!(stage.backup().packets > 5_000);
}

#[test]
fn one_that_does_not_come_is_judged_after_its_time_and_no_alarm_is_left() {
    let mut stage = Stage::new(&warm_setup());
    stage.run(ms(2_000), true, false, None);
    let down = LinkFigures { is_up: false, since: Instant::ZERO, rtt: Span::ZERO, packets: 0, unrecovered: 0 };
    stage.rig.engine.link(InputId(BACKUP), &down, ms(2_000));
    stage.run(ms(6_000), false, false, None);
    let needed = stage.when(is_needed)[0];
    let is_lost = |what: &What| {
        matches!(what, What::Raised { input: InputId(BACKUP), criterion: Criterion::InputLoss, value: 200 })
    };
    assert_eq!(stage.when(is_lost), [needed + Span::from_millis(1_200)]);
    assert_eq!(stage.backup().state, InputState::Unhealthy);
    stage.run(ms(20_000), true, false, None);
    let let_go = stage.when(is_let_go);
    assert_eq!(let_go.len(), 1);
    let cleared = stage.when(|what| matches!(what, What::Cleared { input: InputId(BACKUP), .. }));
    assert_eq!(cleared, let_go);
    assert_eq!((stage.backup().state, stage.backup().raised.is_empty()), (InputState::Warm, true));
}

#[test]
fn a_take_wakes_it_first_and_nothing_is_taken_that_does_not_come() {
    let mut stage = Stage::new(&warm_setup());
    stage.run(ms(3_000), true, true, Some(CONNECTS));
    assert!(stage.rig.command(Command::Take(InputId(BACKUP))));
    stage.run(ms(3_200), true, true, Some(CONNECTS));
    let channel = stage.rig.snapshot().channels[0];
    assert_eq!((channel.active, channel.taken), (Some(InputId(MAIN)), Some(InputId(BACKUP))));
    stage.run(ms(9_000), true, true, Some(CONNECTS));
    let [_, taken] = stage.switches()[..] else { panic!("{:?}", stage.switches()) };
    assert_eq!(
        (taken.to, taken.reason, taken.planned, taken.kind),
        (InputId(BACKUP), Reason::Take, true, Kind::Identical)
    );
    let packets = stage.rig.packets();
    let strange = source(packets.len()).iter().zip(&packets).position(|(source, packet)| source != packet);
    assert_eq!(strange, None, "the source, byte for byte");
    assert!(stage.rig.command(Command::Take(InputId(MAIN))));
    stage.run(ms(20_000), true, false, None);
    assert_eq!(stage.when(is_let_go).len(), 1);

    assert!(stage.rig.command(Command::Take(InputId(BACKUP))));
    stage.run(ms(29_999), true, false, None);
    let is_missed = |what: &What| matches!(what, What::NotTaken { input: InputId(BACKUP) });
    assert_eq!(stage.when(is_missed), []);
    stage.run(ms(40_000), true, false, None);
    assert_eq!(stage.when(is_missed), [ms(30_000)]);
    assert_eq!(stage.rig.snapshot().channels[0].active, Some(InputId(MAIN)));
    assert_eq!((stage.when(is_let_go).len(), stage.switches().len()), (2, 3));
}
