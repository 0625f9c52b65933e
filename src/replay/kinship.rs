//! How two feeds stand to each other, as it is told.

use serde::Serialize;

use crate::engine::Forecast;
use crate::switch::align::{Kinship, Relation};
use crate::switch::splice::Why;
use crate::units::Span;

/// How an input stands to the one on air.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct KinshipView {
    /// `identical`, `out_of_window`, `locked`, `independent` or `unknown`.
    pub relation: &'static str,
    /// How sure that is, 0 to 100.
    pub sureness: u8,
    /// How many packets after those of the input on air its own come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew_packets: Option<i64>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew_ms: Option<f64>,
    /// How far its clock is ahead, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead_ms: Option<f64>,
    /// How much more that becomes, in milliseconds a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift_ms_per_s: Option<f64>,
    /// Packets with a PCR that it brought.
    pub anchors: u32,
    /// Those that the input on air had as well, with the same packets before them.
    pub matched: u32,
    /// Those that were found twice, or with other packets before them.
    pub refused: u32,
}

impl KinshipView {
    /// Of a kinship.
    pub fn of(kinship: Kinship) -> Self {
        let ms = |ns: i64| Some(if ns < 0 { -Span::from_nanos(-ns).millis() } else { Span::from_nanos(ns).millis() });
        let none = Self {
            relation: kinship.relation.name(),
            sureness: kinship.sureness,
            skew_packets: None,
            skew_ms: None,
            ahead_ms: None,
            drift_ms_per_s: None,
            anchors: kinship.evidence.anchors,
            matched: kinship.evidence.matched,
            refused: kinship.evidence.refused,
        };
        match kinship.relation {
            Relation::Identical { skew_packets, skew } => {
                Self { skew_packets: Some(skew_packets), skew_ms: ms(skew), ..none }
            }
            Relation::OutOfWindow { skew } => Self { skew_ms: ms(skew), ..none },
            Relation::Locked { ahead, drift } => Self { ahead_ms: ms(ahead), drift_ms_per_s: ms(drift), ..none },
            Relation::Unknown | Relation::Independent => none,
        }
    }
}

/// What a planned switch to an input would cost now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ForecastView {
    /// `identical`, `locked`, `independent` or `cut`; `unknown` for an input that rests until it is needed.
    pub kind: &'static str,
    /// Packets of the programme that the output would lack; null where it cannot be told.
    pub lost: Option<u32>,
    /// Packets of the programme that the output would have twice; null where it cannot be told.
    pub repeated: Option<u32>,
    /// Milliseconds until its first packet left; null where there is no place for a splice yet.
    pub wait_ms: Option<f64>,
    /// Milliseconds for which no picture would be presented; null where it cannot be told.
    pub hole_ms: Option<f64>,
    /// Why it is no better; null where nothing stands against that.
    pub fallback: Option<&'static str>,
    /// Streams on air that would be coded otherwise; null where nothing is known of its own.
    pub recoded: Option<u16>,
    /// Streams on air that it has nothing for: they would fall silent; null where nothing is known of its own.
    pub missing: Option<u16>,
}

impl ForecastView {
    /// Of an input that is not received: what it would bring shows once it is there.
    pub const UNKNOWN: Self = Self {
        kind: "unknown",
        lost: None,
        repeated: None,
        wait_ms: None,
        hole_ms: None,
        fallback: Some("not_received"),
        recoded: None,
        missing: None,
    };

    /// Of a forecast.
    pub fn of(forecast: Forecast) -> Self {
        let Forecast { kind, lost, repeated, wait, hole, fallback, recoded, missing } = forecast;
        Self {
            kind: kind.name(),
            lost,
            repeated,
            wait_ms: wait.map(Span::millis),
            hole_ms: hole.map(Span::millis),
            fallback: fallback.map(Why::name),
            recoded: Some(recoded),
            missing: Some(missing),
        }
    }
}
