//! What an analysis found: one JSON object, or a table for people.
//!
//! Every name of the JSON stands in [`SCHEMA`] with what it means and its unit. What is not known is `null`; only `file`,
//! `transport`, `arrival` and `srt`, which belong to a kind of source, are left out where the source is another.

mod contents;
mod gather;
mod indicators;
mod listing;
mod network;
mod page;
mod pair;
mod srt;
mod table;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use super::source;
use crate::transport;

pub use contents::{
    AccuracyReport, ContentsReport, IntervalReport, PcrReport, PidReport, ProgramReport, SegmentationReport,
    SpliceCommandReport, SpliceReport, StreamReport,
};
pub use indicators::{IndicatorReport, Indicators, Occurrence};
pub use network::{ArrivalReport, InterArrivalReport};
pub use page::WIDTH;
pub use pair::{
    ChangeReport, EvidenceReport, FeedReport, FeedsReport, KinshipReport, PairReport, coloured_pair, pair_schema,
    pair_table,
};
pub use srt::SrtReport;
pub use table::{coloured, table};

pub(super) use gather::{TimeBase, gather};

/// What the JSON is, as JSON Schema (draft 2020-12).
pub const SCHEMA: &str = include_str!("report.schema.json");

/// What an analysis found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// TS packets analysed.
    pub packets: u64,
    /// How long they take, from the first to the last.
    pub seconds: f64,
    /// Bits a second of the whole stream.
    pub bit_rate: u64,
    /// Null packets among them.
    pub null_packets: u64,
    /// The part of all packets that they are, 0…1.
    pub null_share: f64,
    /// Packets that are missing by the continuity counters.
    pub missing_packets: u64,
    /// Every indicator.
    pub indicators: Indicators,
    /// The programs of the last PAT, in its order.
    pub programs: Vec<ProgramReport>,
    /// Programs and streams that were announced beyond what is followed.
    pub left_out: u64,
    /// Every PID that was seen.
    pub pids: BTreeMap<u16, PidReport>,
    /// Splice information.
    pub splice: SpliceReport,
    /// How the file was read, where the source is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<source::Figures>,
    /// What was wrong with datagrams before they were TS packets, where the source is a network or a capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<transport::Figures>,
    /// When the datagrams came, where the source is a network or a capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrival: Option<ArrivalReport>,
    /// How it came by SRT, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srt: Option<SrtReport>,
}

impl Report {
    /// Whether no indicator of the first priority was raised.
    pub fn is_clean(&self) -> bool {
        self.indicators.iter().all(|(_, report)| report.priority != 1 || report.count == 0 && !report.state)
    }
}

/// To so many places behind the point: what is beyond is noise, and nobody reads it.
fn rounded(value: f64, places: i32) -> f64 {
    let scale = 10f64.powi(places);
    (value * scale).round() / scale
}

/// Nanoseconds as milliseconds.
fn millis(nanos: f64) -> f64 {
    rounded(nanos / 1e6, 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tr101290::Indicator;

    #[test]
    fn a_report_is_clean_while_nothing_of_the_first_priority_was_raised() {
        let mut report = Report::default();
        assert!(report.is_clean());
        for indicator in Indicator::ALL {
            report.indicators.report_mut(indicator).count = 1;
            assert_eq!(report.is_clean(), indicator.priority() != 1, "{}", indicator.name());
            report.indicators.report_mut(indicator).count = 0;
            report.indicators.report_mut(indicator).state = true;
            assert_eq!(report.is_clean(), indicator.priority() != 1, "{}", indicator.name());
            report.indicators.report_mut(indicator).state = false;
        }
    }

    #[test]
    fn figures_have_no_more_places_than_they_are_worth() {
        assert_eq!(rounded(26.129_629_629_63, 6), 26.129_63);
        assert_eq!(millis(1_316_000.4), 1.316);
        assert_eq!(rounded(-0.1234, 3), -0.123);
    }
}
