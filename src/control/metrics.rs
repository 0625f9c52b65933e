//! The metrics of a process, in the OpenMetrics text format.
//!
//! They are made from the snapshots at the moment they are asked for, so there is nothing to keep in step. A family
//! is there with its description even while it has no rows.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::engine::{ChannelSnapshot, InputSnapshot, InputState};
use crate::health::Criterion;
use crate::measure::clock;
use crate::plane::{End, OutputFigures, PlaneSnapshot, SocketFigures};
use crate::switch::remux;
use crate::tr101290::Indicator;

use super::rack::{Channel, Input, Rack};
use super::srt::families::{SrtRow, srt_families};
use super::view::send_errors;

/// The content type of [`text`](openmetrics).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of `rack` now.
pub fn openmetrics(rack: &Rack) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("changeover");
    registry.register_collector(Box::new(Scrape {
        node: rack.node().name.clone(),
        channels: rack.channels().to_vec(),
        shards: rack.shards().map(str::to_owned).zip(rack.snapshots()).collect(),
    }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The labels of a row.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Everything at one moment.
#[derive(Debug)]
struct Scrape {
    node: String,
    channels: Vec<Channel>,
    shards: Vec<(String, PlaneSnapshot)>,
}

/// An input with its labels and all that is known of it.
struct InputRow<'a> {
    labels: Labels,
    state: &'a InputSnapshot,
    socket: &'a SocketFigures,
}

/// A channel with its labels and state.
struct ChannelRow<'a> {
    channel: &'a Channel,
    state: &'a ChannelSnapshot,
    labels: Labels,
}

/// An output with its labels and figures.
struct OutputRow<'a> {
    labels: Labels,
    figures: &'a OutputFigures,
}

impl Scrape {
    fn inputs(&self) -> Vec<InputRow<'_>> {
        let row = |channel: &Channel, input: &Input| {
            let (_, snapshot) = self.shards.get(channel.shard)?;
            Some(InputRow {
                labels: vec![("channel", channel.name.clone()), ("input", input.name.clone())],
                state: snapshot.engine.inputs.get(input.id.index())?,
                socket: snapshot.inputs.get(input.id.index())?,
            })
        };
        self.channels
            .iter()
            .flat_map(|channel| channel.inputs.iter().filter_map(move |input| row(channel, input)))
            .collect()
    }

    fn channels(&self) -> Vec<ChannelRow<'_>> {
        fn row<'a>(shards: &'a [(String, PlaneSnapshot)], channel: &'a Channel) -> Option<ChannelRow<'a>> {
            let (_, snapshot) = shards.get(channel.shard)?;
            let state = snapshot.engine.channels.get(channel.id.index())?;
            Some(ChannelRow { channel, state, labels: vec![("channel", channel.name.clone())] })
        }
        self.channels.iter().filter_map(|channel| row(&self.shards, channel)).collect()
    }

    fn outputs(&self) -> Vec<OutputRow<'_>> {
        let rows = |channel: &Channel| {
            let figures = self.shards.get(channel.shard).and_then(|(_, it)| it.outputs.get(channel.id.index()));
            let figures = figures.map_or(&[][..], Vec::as_slice);
            let name = channel.name.clone();
            channel.outputs.clone().into_iter().zip(figures).map(move |(output, figures)| OutputRow {
                labels: vec![("channel", name.clone()), ("output", output.label)],
                figures,
            })
        };
        self.channels.iter().flat_map(rows).collect()
    }
}

impl Scrape {
    fn srt_inputs(&self) -> Vec<SrtRow<'_>> {
        let row = |channel: &Channel, input: &Input| {
            let (_, snapshot) = self.shards.get(channel.shard)?;
            Some(SrtRow {
                labels: vec![("channel", channel.name.clone()), ("input", input.name.clone())],
                end: End::Input(input.id),
                status: snapshot.srt_inputs.get(input.id.index())?.as_ref()?,
                origin: snapshot.realtime_offset_ns,
            })
        };
        let channels = self.channels.iter();
        channels.flat_map(|channel| channel.inputs.iter().filter_map(move |input| row(channel, input))).collect()
    }

    fn srt_outputs(&self) -> Vec<SrtRow<'_>> {
        let row = |channel: &Channel, index: usize, label: &str| {
            let (_, snapshot) = self.shards.get(channel.shard)?;
            Some(SrtRow {
                labels: vec![("channel", channel.name.clone()), ("output", label.to_owned())],
                end: End::Output { channel: channel.id, index },
                status: snapshot.srt_outputs.get(channel.id.index())?.get(index)?.as_ref()?,
                origin: snapshot.realtime_offset_ns,
            })
        };
        let channels = self.channels.iter();
        channels
            .flat_map(|channel| {
                let outputs = channel.outputs.iter().enumerate();
                outputs.filter_map(move |(index, output)| row(channel, index, &output.label))
            })
            .collect()
    }
}

/// `labels` and one more.
fn and(labels: &Labels, name: &'static str, value: &str) -> Labels {
    let mut labels = labels.clone();
    labels.push((name, value.to_owned()));
    labels
}

/// Writes families one after the other.
pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        rows: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in rows {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        rows: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in rows {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A counter of every input.
    fn of_inputs(
        &mut self,
        name: &str,
        help: &str,
        rows: &[InputRow<'_>],
        value: impl Fn(&InputRow<'_>) -> u64,
    ) -> fmt::Result {
        self.counter(name, help, None, rows.iter().map(|row| (row.labels.clone(), value(row))))
    }

    /// A counter of every channel.
    fn of_channels(
        &mut self,
        name: &str,
        help: &str,
        rows: &[ChannelRow<'_>],
        value: impl Fn(&ChannelSnapshot) -> u64,
    ) -> fmt::Result {
        self.counter(name, help, None, rows.iter().map(|row| (row.labels.clone(), value(row.state))))
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.build(&mut families)?;
        input_families(&mut families, &self.inputs())?;
        channel_families(&mut families, &self.channels())?;
        output_families(&mut families, &self.outputs())?;
        srt_families(&mut families, &self.srt_inputs(), &self.srt_outputs())?;
        self.shard_families(&mut families)
    }
}

fn first_clock<'a>(row: &InputRow<'a>) -> Option<&'a clock::Figures> {
    row.state.figures.clocks.first()?.as_ref().map(|(_, _, clock)| clock)
}

fn input_families(families: &mut Families<'_>, rows: &[InputRow<'_>]) -> fmt::Result {
    families.of_inputs("input_packets", "TS packets received", rows, |row| row.state.packets)?;
    families.of_inputs("input_datagrams", "Datagrams received", rows, |row| row.state.transport.datagrams)?;
    families.counter(
        "input",
        "Payload received, RTP headers included",
        Some(Unit::Bytes),
        rows.iter().map(|row| (row.labels.clone(), row.state.transport.bytes)),
    )?;
    families.gauge(
        "input_bit_rate",
        "TS bit rate of the last second in bits a second",
        None,
        rows.iter().map(|row| (row.labels.clone(), float(row.state.bit_rate.0))),
    )?;
    families.gauge(
        "input_null_rate",
        "Bit rate of the null packets of the last second in bits a second",
        None,
        rows.iter().map(|row| (row.labels.clone(), float(row.state.null_rate.0))),
    )?;
    families.of_inputs("input_foreign_datagrams", "Datagrams that carry no TS packet", rows, |row| {
        row.state.transport.foreign
    })?;
    families.of_inputs(
        "input_odd_datagrams",
        "Datagrams of a length that no whole number of packets makes",
        rows,
        |row| row.state.transport.odd,
    )?;
    families.of_inputs(
        "input_hurried_datagrams",
        "Datagrams that left early because the delay line was full",
        rows,
        |row| row.state.hurried,
    )?;
    families.of_inputs(
        "input_overrun_datagrams",
        "Datagrams dropped because the delay line was full and they could not leave",
        rows,
        |row| row.state.overrun,
    )?;
    families.of_inputs("input_missing_packets", "TS packets missing by the continuity counters", rows, |row| {
        row.state.figures.missing
    })?;
    families.of_inputs(
        "input_missing_access_units",
        "Pictures and frames missing by the time stamps",
        rows,
        |row| row.state.figures.access_units_missing,
    )?;
    families.of_inputs("input_splice_sections", "Sections with splice information (SCTE-35)", rows, |row| {
        row.state.figures.splice.sections
    })?;
    families.gauge(
        "input_kinship",
        "1 for how the input stands to the one on air",
        None,
        rows.iter().filter_map(|row| {
            let relation = row.state.kinship?.relation.name();
            Some((and(&row.labels, "relation", relation), 1.0))
        }),
    )?;
    families.gauge(
        "input_forecast",
        "1 for the kind of cut that a switch to the input would be now",
        None,
        rows.iter().filter_map(|row| {
            let kind = row.state.forecast?.kind.name();
            Some((and(&row.labels, "kind", kind), 1.0))
        }),
    )?;
    families.of_inputs(
        "input_merge_missing_packets",
        "TS packets of the output that the input did not have and another had",
        rows,
        |row| row.state.merged.map_or(0, |counts| counts.missing),
    )?;
    let known = |value: fn(&InputRow<'_>) -> Option<f64>| {
        rows.iter().filter_map(move |row| Some((row.labels.clone(), value(row)?)))
    };
    families.gauge(
        "input_delay_factor",
        "Delay factor of the last interval (RFC 4445)",
        Some(Unit::Seconds),
        known(|row| row.state.figures.arrivals.delay_factor_ns.map(|ns| ns / 1e9)),
    )?;
    families.gauge(
        "input_media_loss_rate",
        "TS packets lost in the last second (RFC 4445)",
        None,
        known(|row| Some(float(row.state.figures.arrivals.media_loss_packets_per_s))),
    )?;
    families.gauge(
        "input_pcr_jitter",
        "Jitter of the first program's PCRs against this machine's clock, peak to peak over ten seconds",
        Some(Unit::Seconds),
        known(|row| first_clock(row)?.jitter_ns.map(|ns| ns / 1e9)),
    )?;
    families.gauge(
        "input_pcr_drift_ppm",
        "How much faster than this machine's clock the first program's runs, in millionths",
        None,
        known(|row| first_clock(row)?.drift_ppm),
    )?;
    families.of_inputs("input_rtp_datagrams", "RTP datagrams received", rows, |row| row.state.transport.rtp)?;
    families.of_inputs("input_rtp_lost", "RTP datagrams that never came", rows, |row| row.state.transport.rtp_lost)?;
    families.of_inputs("input_rtp_reordered", "RTP datagrams put back in their place", rows, |row| {
        row.state.transport.rtp_reordered
    })?;
    families.of_inputs("input_rtp_late", "RTP datagrams that came again or too late", rows, |row| {
        row.state.transport.rtp_late
    })?;
    families.of_inputs("input_rtp_restarts", "Times that the RTP sequence began anew", rows, |row| {
        row.state.transport.rtp_restarts
    })?;
    families.counter(
        "input_indicator_events",
        "Events of an indicator of TR 101 290",
        None,
        rows.iter().flat_map(|row| {
            Indicator::ALL
                .into_iter()
                .map(|indicator| (and(&row.labels, "indicator", indicator.name()), row.state.counts[indicator.index()]))
        }),
    )?;
    families.gauge(
        "input_indicator_state",
        "1 while the thing that an indicator of TR 101 290 watches is missing",
        None,
        rows.iter().flat_map(|row| {
            Indicator::ALL.into_iter().map(|indicator| {
                let missing = row.state.absent & (1 << indicator.index()) != 0;
                (and(&row.labels, "indicator", indicator.name()), flag(missing))
            })
        }),
    )?;
    families.gauge(
        "input_criterion_raised",
        "1 while a criterion makes the input unhealthy",
        None,
        rows.iter().flat_map(|row| {
            Criterion::ALL.into_iter().map(|criterion| {
                (and(&row.labels, "criterion", criterion.name()), flag(row.state.raised.contains(criterion)))
            })
        }),
    )?;
    families.gauge(
        "input_state",
        "1 for the state that the input is in, 0 for the others",
        None,
        rows.iter().flat_map(|row| {
            InputState::ALL
                .into_iter()
                .map(|state| (and(&row.labels, "state", state.name()), flag(row.state.state == state)))
        }),
    )?;
    families.gauge(
        "input_priority",
        "Priority of the input",
        None,
        rows.iter().map(|row| (row.labels.clone(), f64::from(row.state.priority))),
    )?;
    families.of_inputs(
        "input_kernel_drops",
        "Datagrams that the kernel dropped because the receive buffer was full",
        rows,
        |row| row.socket.dropped,
    )?;
    families.of_inputs(
        "input_truncated_datagrams",
        "Datagrams left out because they were longer than a frame",
        rows,
        |row| row.socket.truncated,
    )?;
    families.of_inputs(
        "input_starved_datagrams",
        "Datagrams left out because every frame was in use",
        rows,
        |row| row.socket.starved,
    )?;
    families.of_inputs("input_receive_errors", "Receive calls that failed", rows, |row| row.socket.errors)?;
    families.gauge(
        "input_receive_buffer",
        "Receive buffer of the socket as the kernel gave it",
        Some(Unit::Bytes),
        rows.iter().map(|row| (row.labels.clone(), float(row.socket.receive_buffer as u64))),
    )
}

fn channel_families(families: &mut Families<'_>, rows: &[ChannelRow<'_>]) -> fmt::Result {
    families.gauge(
        "channel_active_input",
        "1 for the input that feeds the output, 0 for the others",
        None,
        rows.iter().flat_map(|row| {
            row.channel
                .inputs
                .iter()
                .map(|input| (and(&row.labels, "input", &input.name), flag(row.state.active == Some(input.id))))
        }),
    )?;
    families
        .of_channels("channel_switches", "Switches of the output to another input", rows, |state| state.switches)?;
    families.of_channels("channel_packets", "TS packets put out", rows, |state| state.packets)?;
    families
        .of_channels("channel_datagrams", "Datagrams put out, each to every output", rows, |state| state.datagrams)?;
    families.of_channels(
        "channel_unsynchronised_packets",
        "Packets left out because their sync byte was not 0x47",
        rows,
        |state| state.unsynchronised,
    )?;
    families.counter(
        "channel_rewriting",
        "Packets and tables that were not rewritten as was meant, by what became of them",
        None,
        rows.iter().flat_map(|row| {
            let of = |what| and(&row.labels, "what", what);
            rewritten(&row.state.rewriting).map(|(what, count)| (of(what), count))
        }),
    )?;
    families.gauge(
        "channel_muted",
        "1 while the output is stopped because no input is healthy",
        None,
        rows.iter().map(|row| (row.labels.clone(), flag(row.state.muted))),
    )?;
    families.gauge(
        "channel_filling",
        "1 while nothing comes to be sent, and null packets, PCRs and tables keep the carrier",
        None,
        rows.iter().map(|row| (row.labels.clone(), flag(row.state.filling))),
    )?;
    families.counter(
        "channel_filler_packets",
        "TS packets that kept the carrier while nothing came to be sent",
        None,
        rows.iter().map(|row| (row.labels.clone(), row.state.fillers)),
    )
}

/// What went otherwise than was meant, by its name.
const fn rewritten(counts: &remux::Counts) -> [(&'static str, u64); 7] {
    [
        ("scrambled_unmoved", counts.scrambled_unmoved),
        ("pes_split", counts.pes_split),
        ("splice_encrypted", counts.splice_encrypted),
        ("splice_unmoved", counts.splice_unmoved),
        ("dropped_unmapped", counts.dropped_unmapped),
        ("dropped_midway", counts.dropped_midway),
        ("left_out", counts.left_out),
    ]
}

fn output_families(families: &mut Families<'_>, rows: &[OutputRow<'_>]) -> fmt::Result {
    families.counter(
        "output_datagrams",
        "Datagrams sent",
        None,
        rows.iter().map(|row| (row.labels.clone(), row.figures.datagrams)),
    )?;
    families.counter(
        "output",
        "Payload sent, RTP headers included",
        Some(Unit::Bytes),
        rows.iter().map(|row| (row.labels.clone(), row.figures.bytes)),
    )?;
    families.gauge(
        "output_open",
        "1 while there is a socket to send by, 0 while the interface or address is not there",
        None,
        rows.iter().map(|row| (row.labels.clone(), flag(row.figures.open))),
    )?;
    families.counter(
        "output_errors",
        "Times that sending a datagram failed, by why",
        None,
        rows.iter().flat_map(|row| {
            send_errors(row.figures).into_iter().map(|(kind, count)| (and(&row.labels, "kind", kind), count))
        }),
    )
}

impl Scrape {
    fn build(&self, families: &mut Families<'_>) -> fmt::Result {
        let mut family = families.0.encode_descriptor("build", "The program that runs", None, MetricType::Info)?;
        family.encode_info(&vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("node", self.node.clone())])
    }

    fn shard_families(&self, families: &mut Families<'_>) -> fmt::Result {
        type Counter = (&'static str, &'static str, fn(&PlaneSnapshot) -> u64);
        let counters: [Counter; 5] = [
            ("shard_rounds", "Rounds of receiving, switching and sending", |it| it.rounds),
            ("shard_starved", "Datagrams left out because every frame was in use", |it| it.starved),
            ("shard_commands", "Commands done", |it| it.commands_done),
            ("shard_commands_refused", "Commands that could not be done", |it| it.commands_refused),
            ("shard_events_lost", "Events that nobody was told because a queue was full", |it| {
                it.events_lost.saturating_add(it.engine.events_lost).saturating_add(it.srt_events_lost())
            }),
        ];
        for (name, help, value) in counters {
            let rows = self.shards.iter().map(|(shard, it)| (vec![("shard", shard.clone())], value(it)));
            families.counter(name, help, None, rows)?;
        }
        let mut family = families.0.encode_descriptor(
            "shard_processor",
            "Processor time that the shard's thread has used",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?;
        for (shard, it) in &self.shards {
            let labels: Labels = vec![("shard", shard.clone())];
            ConstCounter::new(float(it.processor_ns) / 1e9).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

pub(super) fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// A count as a gauge has it; above 2^53 the last bits are lost, which no rate or size comes near.
#[allow(clippy::cast_precision_loss)]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
