//! Each indicator, and each limit that it has: a stream that stands just inside it and one just outside. Into a clean stream
//! exactly one fault is planted, and all that comes of it must be there, to the nanosecond, and nothing else.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod common;
mod plant;

mod indicators {
    pub(crate) mod bounds;
    pub(crate) mod changes;
    pub(crate) mod continuity;
    pub(crate) mod mistakes;
    pub(crate) mod pmt_and_pid;
    pub(crate) mod priority_1;
    pub(crate) mod priority_2;
    pub(crate) mod priority_3;
}

use std::collections::{BTreeMap, BTreeSet};

use changeover::tr101290::Indicator;
use indicators::{continuity, pmt_and_pid, priority_1, priority_2, priority_3};
use plant::{Drive, Event, Stream, watch};

/// Which side of its limit a stream stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Inside,
    Outside,
}

/// A stream and all that must come of it.
#[derive(Clone, Copy)]
struct Case {
    indicator: Indicator,
    /// What the two sides of a pair have in common.
    limit: &'static str,
    side: Side,
    what: &'static str,
    plant: fn() -> Stream,
    expected: &'static [Event],
    /// The indicators whose absence lasts at the end.
    absent: &'static [Indicator],
    /// The packets that the continuity counters say are missing.
    missing: u64,
}

impl Case {
    const fn new(
        side: Side,
        indicator: Indicator,
        limit: &'static str,
        what: &'static str,
        plant: fn() -> Stream,
        expected: &'static [Event],
    ) -> Self {
        Self { indicator, limit, side, what, plant, expected, absent: &[], missing: 0 }
    }

    /// A stream that is within the limit, of which nothing comes.
    const fn inside(indicator: Indicator, limit: &'static str, what: &'static str, plant: fn() -> Stream) -> Self {
        Self::new(Side::Inside, indicator, limit, what, plant, &[])
    }

    /// A stream that is beyond it, and what comes of it.
    const fn outside(
        indicator: Indicator,
        limit: &'static str,
        what: &'static str,
        plant: fn() -> Stream,
        expected: &'static [Event],
    ) -> Self {
        Self::new(Side::Outside, indicator, limit, what, plant, expected)
    }

    /// What comes of a stream that is within this limit and beyond another.
    const fn but(self, expected: &'static [Event]) -> Self {
        Self { expected, ..self }
    }

    const fn absent(self, absent: &'static [Indicator]) -> Self {
        Self { absent, ..self }
    }

    const fn missing(self, missing: u64) -> Self {
        Self { missing, ..self }
    }

    /// What is wrong with what came of it.
    fn differences(&self) -> Vec<String> {
        let stream = (self.plant)();
        let mut wrong = Vec::new();
        for drive in [Drive::ByDeadlines, Drive::ByPackets] {
            let outcome = watch(&stream, drive);
            let mut differ = |what: &str, differ: bool, found: String, expected: String| {
                if differ {
                    let Self { indicator, limit, side, what: of, .. } = self;
                    let name = format!("{} {} ({limit}), {side:?}: {of}", indicator.number(), indicator.name());
                    wrong.push(format!("{name}, {drive:?}: {what}\n     found {found}\n  expected {expected}"));
                }
            };
            let show = |events: &[Event]| events.iter().map(shown).collect::<Vec<_>>().join(", ");
            differ("events", outcome.events != self.expected, show(&outcome.events), show(self.expected));
            let absent = outcome.absent();
            differ("absent", absent != self.absent, format!("{absent:?}"), format!("{:?}", self.absent));
            let missing = outcome.analyser.missing();
            differ("missing", missing != self.missing, missing.to_string(), self.missing.to_string());
            for indicator in Indicator::ALL {
                let count = outcome.analyser.count(indicator).events();
                let expected = self.expected.iter().filter(|event| event.0 == indicator).count() as u64;
                differ(indicator.name(), count != expected, count.to_string(), expected.to_string());
            }
            let packets = stream.slots.len();
            differ("packets", !outcome.accounts_for(packets), "fewer".into(), packets.to_string());
        }
        wrong
    }
}

fn shown(event: &Event) -> String {
    let (indicator, place, at) = event;
    let pid = place.pid.map_or_else(|| "the stream".to_owned(), |pid| pid.to_string());
    let program = place.program.map_or_else(String::new, |program| format!(" of {program}"));
    format!("{indicator:?} on {pid}{program} at {}.{:06} ms", at / 1_000_000, at % 1_000_000)
}

const TABLES: [&[Case]; 10] = [
    priority_1::SYNCHRONISATION,
    priority_1::PAT,
    continuity::CONTINUITY,
    pmt_and_pid::PMT_AND_PID,
    priority_2::TRANSPORT_AND_CRC,
    priority_2::PCR,
    priority_2::PTS_AND_CAT,
    priority_3::NETWORK,
    priority_3::REFERENCES,
    priority_3::SERVICES,
];

fn cases() -> impl Iterator<Item = &'static Case> {
    TABLES.into_iter().flatten()
}

fn hold(table: &[Case]) {
    let wrong: Vec<_> = table.iter().flat_map(Case::differences).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

macro_rules! tables {
    ($($name:ident: $table:path,)*) => {
        $(#[test]
        fn $name() {
            hold($table);
        })*

        #[test]
        fn every_table_is_held() {
            let held: usize = [$($table.len()),*].iter().sum();
            assert_eq!(held, cases().count());
        }
    };
}

tables! {
    synchronisation_is_lost_and_regained_at_its_limits: priority_1::SYNCHRONISATION,
    a_pat_is_missed_at_its_limit: priority_1::PAT,
    continuity_is_broken_by_what_the_standard_says: continuity::CONTINUITY,
    pmts_and_pids_are_missed_at_their_limits: pmt_and_pid::PMT_AND_PID,
    packets_and_sections_in_error_are_counted: priority_2::TRANSPORT_AND_CRC,
    pcrs_keep_their_limits: priority_2::PCR,
    pts_and_cats_are_missed_at_their_limits: priority_2::PTS_AND_CAT,
    the_tables_of_networks_keep_their_limits: priority_3::NETWORK,
    pids_need_a_reference_in_time: priority_3::REFERENCES,
    the_tables_of_services_keep_their_limits: priority_3::SERVICES,
}

#[test]
fn every_indicator_and_every_limit_has_both_sides() {
    let mut sides: BTreeMap<(Indicator, &str), BTreeSet<Side>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for case in cases() {
        assert!(names.insert((case.indicator, case.limit, case.what)), "{}: {} twice", case.limit, case.what);
        sides.entry((case.indicator, case.limit)).or_default().insert(case.side);
        let raises = case.expected.iter().any(|event| event.0 == case.indicator);
        assert!(raises || case.side == Side::Inside, "{}: {} raises nothing", case.limit, case.what);
    }
    for (limit, sides) in &sides {
        assert_eq!(sides.len(), 2, "{limit:?} has {sides:?} only");
    }
    for indicator in Indicator::ALL {
        let limits = sides.keys().filter(|limit| limit.0 == indicator).count();
        assert!(limits > 0, "{} has no pair", indicator.name());
    }
}

#[test]
fn the_clean_stream_raises_nothing() {
    let stream = Stream::lasting(65_000);
    for drive in [Drive::ByDeadlines, Drive::ByPackets] {
        let outcome = watch(&stream, drive);
        assert_eq!((outcome.events.as_slice(), outcome.absent()), (&[][..], vec![]));
        assert!(outcome.accounts_for(65_000));
        let analyser = outcome.analyser;
        assert_eq!((analyser.programs().len(), analyser.streams().len(), analyser.left_out()), (2, 4, 0));
    }
}
