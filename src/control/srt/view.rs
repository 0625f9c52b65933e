//! An SRT input or output as the API shows it.

use std::net::SocketAddr;

use serde::Serialize;

use crate::control::rack::Rack;
use crate::control::view::time;
use crate::plane::{End, PlaneSnapshot, SrtFigures, SrtState, SrtStatus};

/// How an SRT input or output stands. What is said of its connection is `null` while there is none; of a listening output, which
/// may serve several, it is that of the first in `connections`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SrtView {
    /// `up`, `calling`, `listening`, `waiting` (its address is not there) or `idle`.
    pub state: &'static str,
    /// Its connection.
    #[serde(flatten)]
    pub connection: ConnectionView,
    /// All connections: at most one of an input or a caller.
    pub connections: Vec<ConnectionView>,
    /// Connections that came about since the start.
    pub connected: u64,
    /// Callers that were turned away since the start.
    pub refused: u64,
    /// Connections that ended because the caller was too slow.
    pub slow: u64,
    /// Messages left out because they were not taken over in time.
    pub overflow: u64,
    /// Datagrams that the kernel dropped at its UDP sockets: no room, or refused by the filter on a listener of libsrt; `null` where
    /// that is not known.
    pub kernel_drops: Option<u64>,
}

/// One connection, since it began. Shares are of the packets that there were to be received, or that were sent for the
/// first time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConnectionView {
    /// The other side.
    pub peer: Option<SocketAddr>,
    /// The stream id that the caller sent.
    pub stream_id: Option<String>,
    /// `none`, `AES-128`, `AES-192` or `AES-256`.
    pub encryption: Option<&'static str>,
    /// When it began.
    pub since: Option<String>,
    /// The latency that both sides agreed on, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The smoothed round trip in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Packets received, or sent for the first time.
    pub packets: Option<u64>,
    /// Packets that were found missing, recovered or not.
    pub lost: Option<u64>,
    /// Packets that were given up.
    pub unrecovered: Option<u64>,
    /// Share of packets that were found missing, 0…1.
    pub loss: Option<f64>,
    /// Share of packets that were sent again, 0 and more.
    pub retransmitted_share: Option<f64>,
    /// Share of packets that were given up, 0…1.
    pub unrecovered_share: Option<f64>,
    /// Messages that were left out on this side.
    pub left_out: Option<u64>,
    /// Packets that could not be decrypted.
    pub undecrypted: Option<u64>,
    /// What waits to be delivered or acknowledged, in milliseconds.
    pub buffer_ms: Option<f64>,
    /// The rate at which data comes or goes, in bits a second.
    pub bit_rate: Option<u64>,
    /// What the way is estimated to carry, in bits a second.
    pub bandwidth: Option<u64>,
}

/// The shares of a connection: what was missing, sent again, and given up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shares {
    pub(super) loss: f64,
    pub(super) retransmitted: f64,
    pub(super) unrecovered: f64,
}

impl Shares {
    #[allow(clippy::cast_precision_loss)] // Packets in 2^53 do not come in the life of a box.
    pub(super) fn of(figures: &SrtFigures, end: End) -> Self {
        let there_were = match end {
            End::Input(_) => figures.packets.saturating_add(figures.dropped),
            End::Output { .. } => figures.packets,
        };
        let share = |count: u64| if there_were == 0 { 0.0 } else { count as f64 / there_were as f64 };
        Self {
            loss: share(figures.lost).min(1.0),
            retransmitted: share(figures.retransmitted),
            unrecovered: share(figures.dropped).min(1.0),
        }
    }
}

impl SrtView {
    /// An input or output of a shard.
    pub(in crate::control) fn of(
        rack: &Rack,
        shard: usize,
        end: End,
        status: &SrtStatus,
        snapshot: &PlaneSnapshot,
    ) -> Self {
        let view = |figures: &SrtFigures| {
            let id = rack.known().stream_id(shard, end, figures.peer, figures.since);
            ConnectionView::of(figures, end, id, snapshot)
        };
        let mut there: Vec<&SrtFigures> = status.connections.iter().flatten().collect();
        there.sort_by_key(|figures| figures.since);
        let connections: Vec<ConnectionView> = there.into_iter().map(view).collect();
        Self {
            state: state(status.state),
            connection: connections.first().cloned().unwrap_or_default(),
            connections,
            connected: status.connected,
            refused: status.refused,
            slow: status.slow,
            overflow: status.overflow,
            kernel_drops: status.kernel_drops,
        }
    }
}

impl ConnectionView {
    fn of(figures: &SrtFigures, end: End, stream_id: Option<String>, snapshot: &PlaneSnapshot) -> Self {
        let shares = Shares::of(figures, end);
        Self {
            peer: Some(figures.peer),
            stream_id,
            encryption: Some(encryption(figures.key_length)),
            since: Some(time(snapshot, figures.since)),
            latency_ms: Some(figures.latency.millis()),
            rtt_ms: Some(figures.rtt.millis()),
            packets: Some(figures.packets),
            lost: Some(figures.lost),
            unrecovered: Some(figures.dropped),
            loss: Some(shares.loss),
            retransmitted_share: Some(shares.retransmitted),
            unrecovered_share: Some(shares.unrecovered),
            left_out: Some(figures.left_out),
            undecrypted: Some(figures.undecrypted),
            buffer_ms: Some(figures.buffer.millis()),
            bit_rate: Some(figures.rate),
            bandwidth: Some(figures.bandwidth),
        }
    }
}

/// The name of a state.
const fn state(state: SrtState) -> &'static str {
    match state {
        SrtState::Idle => "idle",
        SrtState::Calling => "calling",
        SrtState::Listening => "listening",
        SrtState::Waiting => "waiting",
        SrtState::Up => "up",
    }
}

/// What a key of so many bytes encrypts with.
const fn encryption(key_length: u8) -> &'static str {
    match key_length {
        16 => "AES-128",
        24 => "AES-192",
        32 => "AES-256",
        _ => "none",
    }
}
