//! The metrics of SRT inputs and outputs. Where an output serves several callers, the worst of them is told: a series for each
//! would never end, since they call from ever new ports.

use std::fmt;

use prometheus_client::registry::Unit;

use super::view::Shares;
use crate::control::metrics::{Families, Labels, flag, float};
use crate::plane::{End, SrtFigures, SrtState, SrtStatus};

/// An input or output by SRT with its labels.
pub(in crate::control) struct SrtRow<'a> {
    pub(in crate::control) labels: Labels,
    pub(in crate::control) end: End,
    pub(in crate::control) status: &'a SrtStatus,
    /// What to add to times of the engine to have nanoseconds since the Unix epoch.
    pub(in crate::control) origin: i64,
}

impl SrtRow<'_> {
    fn connections(&self) -> impl Iterator<Item = &SrtFigures> {
        self.status.connections.iter().flatten()
    }

    /// The largest of what its connections have; none without one.
    fn worst(&self, value: impl Fn(&SrtFigures) -> f64) -> Option<f64> {
        self.connections().map(value).reduce(f64::max)
    }

    fn worst_share(&self, value: impl Fn(Shares) -> f64) -> Option<f64> {
        self.worst(|figures| value(Shares::of(figures, self.end)))
    }
}

/// Writes the families of `inputs` and `outputs`.
pub(in crate::control) fn srt_families(
    families: &mut Families<'_>,
    inputs: &[SrtRow<'_>],
    outputs: &[SrtRow<'_>],
) -> fmt::Result {
    for (what, rows) in [("input", inputs), ("output", outputs)] {
        counters(families, what, rows)?;
        gauges(families, what, rows)?;
    }
    Ok(())
}

fn counters(families: &mut Families<'_>, what: &str, rows: &[SrtRow<'_>]) -> fmt::Result {
    type Counter = (&'static str, &'static str, fn(&SrtStatus) -> Option<u64>);
    let counters: [Counter; 5] = [
        ("srt_connections", "SRT connections that came about", |it| Some(it.connected)),
        ("srt_refused", "SRT callers that were turned away", |it| Some(it.refused)),
        ("srt_slow", "SRT connections that ended because the caller was too slow", |it| Some(it.slow)),
        ("srt_overflow", "Messages left out because they were not taken over in time", |it| Some(it.overflow)),
        ("srt_kernel_drops", "Datagrams that the kernel dropped at its UDP sockets", |it| it.kernel_drops),
    ];
    for (name, help, value) in counters {
        let rows = rows.iter().filter_map(|row| Some((row.labels.clone(), value(row.status)?)));
        families.counter(&format!("{what}_{name}"), help, None, rows)?;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // Times in nanoseconds, told in seconds.
fn gauges(families: &mut Families<'_>, what: &str, rows: &[SrtRow<'_>]) -> fmt::Result {
    type Gauge = (&'static str, &'static str, Option<Unit>, fn(&SrtRow<'_>) -> Option<f64>);
    let gauges: [Gauge; 9] = [
        ("srt_up", "1 while an SRT connection stands", None, |row| Some(flag(row.status.state == SrtState::Up))),
        ("srt_peers", "SRT connections that stand", None, |row| Some(float(row.connections().count() as u64))),
        ("srt_round_trip", "Smoothed round trip, the longest of its connections", Some(Unit::Seconds), |row| {
            row.worst(|it| it.rtt.seconds())
        }),
        ("srt_loss_share", "Share of packets found missing since the connection began, the worst", None, |row| {
            row.worst_share(|it| it.loss)
        }),
        ("srt_retransmitted_share", "Share of packets sent again since the connection began, the worst", None, |row| {
            row.worst_share(|it| it.retransmitted)
        }),
        ("srt_unrecovered_share", "Share of packets given up since the connection began, the worst", None, |row| {
            row.worst_share(|it| it.unrecovered)
        }),
        ("srt_buffer", "What waits to be delivered or acknowledged, the most", Some(Unit::Seconds), |row| {
            row.worst(|it| it.buffer.seconds())
        }),
        ("srt_bandwidth", "What the way is estimated to carry in bits a second, the least", None, |row| {
            row.connections().map(|it| float(it.bandwidth)).reduce(f64::min)
        }),
        ("srt_since", "When the oldest connection began, in Unix time", Some(Unit::Seconds), |row| {
            let first = row.connections().map(|it| it.since.nanos()).min()?;
            Some(first.saturating_add(row.origin) as f64 / 1e9)
        }),
    ];
    for (name, help, unit, value) in gauges {
        let rows = rows.iter().filter_map(|row| Some((row.labels.clone(), value(row)?)));
        families.gauge(&format!("{what}_{name}"), help, unit, rows)?;
    }
    Ok(())
}
