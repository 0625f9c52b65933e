//! The state of an engine at a moment, copied out without allocating.

use super::event::InputState;
use super::forecast::Forecast;
use crate::health::CriterionSet;
use crate::measure::rates::PidRate;
use crate::measure::{accuracy, arrivals, clock};
use crate::switch::align::{self, Kinship};
use crate::switch::policy::{LossAction, Standby};
use crate::switch::remux;
use crate::tr101290::{Indicator, SpliceFigures};
use crate::transport;
use crate::units::{BitRate, InputId, Instant, Pid};

/// An engine at a moment. Made once by [`Engine::snapshot`](super::Engine::snapshot) and filled again and again.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// Its channels, in the order of the setup.
    pub channels: Vec<ChannelSnapshot>,
    /// The inputs of all channels, in the order of the setup.
    pub inputs: Vec<InputSnapshot>,
    /// Events that found the event queue full.
    pub events_lost: u64,
}

/// A channel at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelSnapshot {
    /// The input that feeds the output.
    pub active: Option<InputId>,
    /// The input that somebody took, until it is unhealthy.
    pub taken: Option<InputId>,
    /// The input that the channel is held on.
    pub held: Option<InputId>,
    /// Whether the output is stopped because no input is healthy.
    pub muted: bool,
    /// What is sent in place of an input because none is healthy.
    pub loss: Option<LossAction>,
    /// Whether a hole is being filled: null packets, PCRs and tables go on while there is nothing else.
    pub filling: bool,
    /// Packets that filled holes.
    pub fillers: u64,
    /// Switches since the start.
    pub switches: u64,
    /// TS packets put out.
    pub packets: u64,
    /// Datagrams put out; each goes to every output of the channel.
    pub datagrams: u64,
    /// Packets that were left out because their sync byte was not 0x47.
    pub unsynchronised: u64,
    /// When the last packet was put out; none before the first.
    pub last_packet: Option<Instant>,
    /// What became of packets and tables where they were rewritten.
    pub rewriting: remux::Counts,
}

/// The most PIDs and clocks of an input that a snapshot shows: the PIDs with the highest rates, and the first clocks.
pub const SHOWN: (usize, usize) = (16, 4);

/// What is measured of an input besides the indicators.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputFigures {
    /// When its datagrams come.
    pub arrivals: arrivals::Figures,
    /// Accuracy and clock of the PCRs by their PID.
    pub clocks: [Option<(Pid, accuracy::Figures, clock::Figures)>; SHOWN.1],
    /// The PIDs with the highest rates.
    pub pids: [Option<PidRate>; SHOWN.0],
    /// Packets that the continuity counters say are missing.
    pub missing: u64,
    /// Access units missing in all streams together.
    pub access_units_missing: u64,
    /// Splice information.
    pub splice: SpliceFigures,
    /// When video last carried captions.
    pub last_captions: Option<Instant>,
}

/// An input at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputSnapshot {
    /// What it is to its channel.
    pub state: InputState,
    /// Its priority now.
    pub priority: i32,
    /// Whether it is received when it is not needed.
    pub standby: Standby,
    /// Whether it is to be received now: [`Engine::wants`](super::Engine::wants).
    pub wanted: bool,
    /// Whether it may be chosen.
    pub enabled: bool,
    /// The criteria that are raised.
    pub raised: CriterionSet,
    /// When it last became healthy or unhealthy.
    pub since: Instant,
    /// When its last datagram came; none before the first.
    pub last_arrival: Option<Instant>,
    /// What came, and what was wrong with it before it was a TS packet.
    pub transport: transport::Figures,
    /// TS packets received.
    pub packets: u64,
    /// TS bit rate of the last second.
    pub bit_rate: BitRate,
    /// Of that, null packets.
    pub null_rate: BitRate,
    /// Events of each indicator since the start, by [`Indicator::index`].
    pub counts: [u64; Indicator::COUNT],
    /// Bit [`Indicator::index`] is set while that indicator's thing is missing.
    pub absent: u32,
    /// What is measured besides, as it was when it was last looked at: once a second while datagrams come.
    pub figures: InputFigures,
    /// How it stands to the input on air; none for that one, and where inputs are not held against each other.
    pub kinship: Option<Kinship>,
    /// What a switch to it would cost, as it was within the last second; none for the one on air, and while there is none.
    pub forecast: Option<Forecast>,
    /// What became of its packets among those of the others; none where inputs are not held against each other.
    pub merged: Option<align::Counts>,
    /// Datagrams that left before their time because the delay line was full.
    pub hurried: u64,
    /// Datagrams dropped because the delay line was full and they could not leave: of a standby, or because the driver
    /// did not send.
    pub overrun: u64,
}
