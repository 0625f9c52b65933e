//! The state of a channel as the HTTP API shows it.
//!
//! Rates are bits a second, times RFC 3339 in UTC and `null` where a thing never happened. Counters start with the
//! process.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::{ChannelSnapshot, InputSnapshot, InputState};
use crate::health::Criterion;
use crate::plane::{End, OutputFigures, PlaneSnapshot, SocketFigures};
use crate::replay::journal::rfc3339;
use crate::replay::kinship::{ForecastView, KinshipView};
use crate::switch::policy::LossAction;
use crate::switch::{align, remux};
use crate::tr101290::Indicator;
use crate::units::{InputId, Instant};

use super::figures::FiguresView;
use super::rack::{Channel, Input, Output, Rack};
use super::srt::SrtView;

/// Everything that runs.
#[derive(Clone, Debug, Serialize)]
pub struct RackView {
    /// The name of the box.
    pub node: String,
    /// Its failure domain.
    pub domain: Option<String>,
    /// Its channels, in the order of the configuration.
    pub channels: Vec<ChannelView>,
}

/// A channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// The input that feeds the output.
    pub active: Option<String>,
    /// The input that somebody took.
    pub taken: Option<String>,
    /// The input that the channel is held on.
    pub held: Option<String>,
    /// Whether the output is stopped because no input is healthy.
    pub muted: bool,
    /// What is sent in place of an input because none is healthy: `null` or `slate`; null otherwise.
    pub replaced_by: Option<&'static str>,
    /// Whether nothing comes to be sent, and null packets, PCRs and tables keep the carrier.
    pub filling: bool,
    /// Packets that did so since the start.
    pub fillers: u64,
    /// Switches since the start.
    pub switches: u64,
    /// TS packets put out.
    pub packets: u64,
    /// Datagrams put out; each goes to every output.
    pub datagrams: u64,
    /// Packets left out because their sync byte was not 0x47.
    pub unsynchronised: u64,
    /// When the last packet was put out.
    pub last_packet: Option<String>,
    /// What became of packets and tables where they were rewritten.
    pub rewriting: remux::Counts,
    /// Its inputs, in the order of the configuration.
    pub inputs: Vec<InputView>,
    /// Its outputs, in the order of the configuration.
    pub outputs: Vec<OutputView>,
}

/// An input.
#[derive(Clone, Debug, Serialize)]
pub struct InputView {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub url: String,
    /// The interface that it is received on, where the configuration gives one.
    pub interface: Option<String>,
    /// Its failure domain.
    pub domain: Option<String>,
    /// `active`, `hot`, `warm`, `unhealthy` or `disabled`.
    pub state: &'static str,
    /// `hot`, or `warm`: it rests until it is needed.
    pub standby: &'static str,
    /// Whether it is joined or connected now, or to be.
    pub wanted: bool,
    /// Its priority now.
    pub priority: i32,
    /// Whether it may be chosen.
    pub enabled: bool,
    /// The criteria that make it unhealthy.
    pub raised: Vec<&'static str>,
    /// Since when it has been healthy or unhealthy.
    pub since: String,
    /// When its last datagram came.
    pub last_arrival: Option<String>,
    /// TS packets received.
    pub packets: u64,
    /// Datagrams received.
    pub datagrams: u64,
    /// Bytes received in them.
    pub bytes: u64,
    /// TS bit rate of the last second.
    pub bit_rate: u64,
    /// Of that, null packets.
    pub null_rate: u64,
    /// Datagrams that carry no TS packet.
    pub foreign: u64,
    /// Datagrams of a length that no whole number of packets makes.
    pub odd: u64,
    /// Datagrams that left before their time because the delay line was full.
    pub hurried: u64,
    /// Datagrams dropped because the delay line was full and they could not leave.
    pub overrun: u64,
    /// What the sequence numbers of RTP tell.
    pub rtp: RtpView,
    /// Every indicator of TR 101 290 by its name.
    pub indicators: BTreeMap<&'static str, IndicatorView>,
    /// What is measured besides.
    pub figures: FiguresView,
    /// How it stands to the input on air; null for that one, and where inputs are not held against each other.
    pub kinship: Option<KinshipView>,
    /// What a planned switch to it would cost, as it was within the last second; null for the one on air, and while none is.
    pub forecast: Option<ForecastView>,
    /// What became of its packets among those of the others; null where inputs are not held against each other.
    pub merge: Option<align::Counts>,
    /// Its socket.
    pub socket: SocketView,
    /// Its connection, if it comes by SRT; null otherwise.
    pub srt: Option<SrtView>,
}

/// An input's RTP.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RtpView {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams that never came.
    pub lost: u64,
    /// Datagrams that were put back in their place.
    pub reordered: u64,
    /// Datagrams that came again or too late.
    pub late: u64,
    /// Times that the sequence began anew.
    pub restarts: u64,
}

/// An indicator.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IndicatorView {
    /// 1 to 3, as in the tables of TR 101 290.
    pub priority: u8,
    /// Events since the start.
    pub count: u64,
    /// Whether its thing is missing now.
    pub state: bool,
}

/// An input's socket.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SocketView {
    /// Datagrams that the kernel dropped because the receive buffer was full.
    pub kernel_drops: u64,
    /// Datagrams left out because they were longer than 2,048 bytes.
    pub truncated: u64,
    /// Datagrams left out because every frame of the arena was in use.
    pub starved: u64,
    /// Receive calls that failed.
    pub errors: u64,
    /// Receive buffer in bytes, as the kernel gave it.
    pub receive_buffer: usize,
}

/// An output.
#[derive(Clone, Debug, Serialize)]
pub struct OutputView {
    /// Where it goes.
    pub url: String,
    /// The interface that it is sent from, where the configuration gives one.
    pub interface: Option<String>,
    /// Whether there is a socket to send by: not while its interface or address is not there. By SRT, whether anybody is
    /// connected.
    pub open: bool,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Bytes sent in them, RTP headers included.
    pub bytes: u64,
    /// Datagrams that could not be sent, by what the kernel said.
    pub errors: BTreeMap<&'static str, u64>,
    /// Its connections, if it goes by SRT; null otherwise.
    pub srt: Option<SrtView>,
}

impl RackView {
    /// Everything, from the newest snapshots.
    pub fn of(rack: &Rack) -> Self {
        let snapshots = rack.snapshots();
        let channels = rack.channels().iter().filter_map(|channel| {
            snapshots.get(channel.shard).map(|snapshot| ChannelView::of(rack, channel, snapshot))
        });
        Self { node: rack.node().name.clone(), domain: rack.node().domain.clone(), channels: channels.collect() }
    }
}

impl ChannelView {
    /// A channel, from a snapshot of its shard.
    pub fn of(rack: &Rack, channel: &Channel, snapshot: &PlaneSnapshot) -> Self {
        let state = snapshot.engine.channels.get(channel.id.index()).copied().unwrap_or_default();
        let ChannelSnapshot {
            active,
            taken,
            held,
            muted,
            loss,
            filling,
            fillers,
            switches,
            packets,
            datagrams,
            unsynchronised,
            last_packet,
            rewriting,
        } = state;
        let name_of = |input: Option<InputId>| input.and_then(|id| channel.input(id)).map(|input| input.name.clone());
        let sockets = snapshot.outputs.get(channel.id.index()).map_or(&[][..], Vec::as_slice);
        Self {
            name: channel.name.clone(),
            active: name_of(active),
            taken: name_of(taken),
            held: name_of(held),
            muted,
            replaced_by: loss.filter(|_| !muted).map(LossAction::name),
            filling,
            fillers,
            switches,
            packets,
            datagrams,
            unsynchronised,
            last_packet: last_packet.map(|at| time(snapshot, at)),
            rewriting,
            inputs: channel.inputs.iter().map(|input| InputView::of(rack, channel.shard, input, snapshot)).collect(),
            outputs: channel
                .outputs
                .iter()
                .zip(sockets)
                .enumerate()
                .map(|(index, (output, socket))| {
                    let end = End::Output { channel: channel.id, index };
                    let status = snapshot.srt_outputs.get(channel.id.index()).and_then(|of| of.get(index)?.as_ref());
                    let srt = status.map(|status| SrtView::of(rack, channel.shard, end, status, snapshot));
                    OutputView::of(output, socket, srt)
                })
                .collect(),
        }
    }
}

impl InputView {
    fn of(rack: &Rack, shard: usize, input: &Input, snapshot: &PlaneSnapshot) -> Self {
        let state = snapshot.engine.inputs.get(input.id.index()).copied().unwrap_or_default();
        let socket = snapshot.inputs.get(input.id.index()).copied().unwrap_or_default();
        let InputSnapshot { state: name, priority, enabled, raised, since, last_arrival, transport, .. } = state;
        let raised = Criterion::ALL.into_iter().filter(|criterion| raised.contains(*criterion));
        let indicator = |indicator: Indicator| {
            let view = IndicatorView {
                priority: indicator.priority(),
                count: state.counts[indicator.index()],
                state: state.absent & (1 << indicator.index()) != 0,
            };
            (indicator.name(), view)
        };
        Self {
            name: input.name.clone(),
            url: input.url.clone(),
            interface: input.interface.clone(),
            domain: input.domain.clone(),
            state: name.name(),
            standby: state.standby.name(),
            wanted: state.wanted,
            priority,
            enabled,
            raised: raised.map(Criterion::name).collect(),
            since: time(snapshot, since),
            last_arrival: last_arrival.map(|at| time(snapshot, at)),
            packets: state.packets,
            datagrams: transport.datagrams,
            bytes: transport.bytes,
            bit_rate: state.bit_rate.0,
            null_rate: state.null_rate.0,
            foreign: transport.foreign,
            odd: transport.odd,
            hurried: state.hurried,
            overrun: state.overrun,
            kinship: state.kinship.map(KinshipView::of),
            forecast: match name {
                InputState::Warm => Some(ForecastView::UNKNOWN),
                InputState::Active | InputState::Hot | InputState::Unhealthy | InputState::Disabled => {
                    state.forecast.map(ForecastView::of)
                }
            },
            merge: state.merged,
            rtp: RtpView {
                received: transport.rtp,
                lost: transport.rtp_lost,
                reordered: transport.rtp_reordered,
                late: transport.rtp_late,
                restarts: transport.rtp_restarts,
            },
            indicators: Indicator::ALL.into_iter().map(indicator).collect(),
            figures: FiguresView::of(&state.figures, snapshot),
            socket: SocketView::of(socket),
            srt: snapshot
                .srt_inputs
                .get(input.id.index())
                .and_then(Option::as_ref)
                .map(|status| SrtView::of(rack, shard, End::Input(input.id), status, snapshot)),
        }
    }
}

impl SocketView {
    fn of(figures: SocketFigures) -> Self {
        let SocketFigures { dropped, truncated, starved, errors, receive_buffer, .. } = figures;
        Self { kernel_drops: dropped, truncated, starved, errors, receive_buffer }
    }
}

impl OutputView {
    fn of(output: &Output, figures: &OutputFigures, srt: Option<SrtView>) -> Self {
        let OutputFigures { open, datagrams, bytes, .. } = *figures;
        Self {
            url: output.url.clone(),
            interface: output.interface.clone(),
            open,
            datagrams,
            bytes,
            errors: send_errors(figures).into_iter().collect(),
            srt,
        }
    }
}

/// How often sending failed, by why.
pub(super) fn send_errors(figures: &OutputFigures) -> [(&'static str, u64); 7] {
    let OutputFigures { unavailable, busy, refused, unreachable, denied, too_long, failed, .. } = *figures;
    [
        ("unavailable", unavailable),
        ("busy", busy),
        ("refused", refused),
        ("unreachable", unreachable),
        ("denied", denied),
        ("too_long", too_long),
        ("failed", failed),
    ]
}

/// A time of the engine on the wall clock.
pub(super) fn time(snapshot: &PlaneSnapshot, at: Instant) -> String {
    rfc3339(at.nanos().saturating_add(snapshot.realtime_offset_ns))
}
