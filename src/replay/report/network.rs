//! How a stream arrived, in a report.

use serde::Serialize;

use super::millis;
use crate::measure::arrivals;

/// When datagrams came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ArrivalReport {
    /// The time between datagrams; none before the second.
    pub inter_arrival: Option<InterArrivalReport>,
    /// The delay factor of the last whole interval (RFC 4445).
    pub delay_factor_ms: Option<f64>,
    /// The worst.
    pub delay_factor_worst_ms: Option<f64>,
    /// The media loss rate: TS packets lost in the last whole second.
    pub media_loss_packets_per_s: u64,
    /// The worst.
    pub media_loss_worst_packets_per_s: u64,
}

/// The time from one datagram to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct InterArrivalReport {
    /// The shortest.
    pub min_ms: f64,
    /// Half of them are no longer.
    pub p50_ms: f64,
    /// 99 % are no longer.
    pub p99_ms: f64,
    /// 99.9 % are no longer.
    pub p99_9_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl From<arrivals::Figures> for ArrivalReport {
    fn from(figures: arrivals::Figures) -> Self {
        Self {
            inter_arrival: figures.inter_arrival.map(|it| {
                // to two digits they can be beyond the longest, which is exact
                let within = |quantile: f64| millis(quantile.min(it.max_ns));
                InterArrivalReport {
                    min_ms: millis(it.min_ns),
                    p50_ms: within(it.p50_ns),
                    p99_ms: within(it.p99_ns),
                    p99_9_ms: within(it.p999_ns),
                    max_ms: millis(it.max_ns),
                }
            }),
            delay_factor_ms: figures.delay_factor_ns.map(millis),
            delay_factor_worst_ms: figures.delay_factor_worst_ns.map(millis),
            media_loss_packets_per_s: figures.media_loss_packets_per_s,
            media_loss_worst_packets_per_s: figures.media_loss_worst_packets_per_s,
        }
    }
}
