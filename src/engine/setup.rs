//! What an engine is built from. Checked where it comes from: the engine takes it as it is.

use crate::health::Limits;
use crate::switch::policy;
pub use crate::switch::policy::Standby;
pub use crate::switch::remux::ClockPolicy;
use crate::switch::slate::Clip;
pub use crate::switch::splice::Entry;
use crate::tr101290;
use crate::transport::Framing;
use crate::units::Span;

/// The most inputs that one channel can have.
pub const MAX_INPUTS: usize = policy::MOST;

/// All that one engine runs.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Its channels; [`ChannelId`](crate::units::ChannelId) is a place in this list, and
    /// [`InputId`](crate::units::InputId) a place in the inputs of all channels one after the other.
    pub channels: Vec<ChannelSetup>,
}

/// One channel: several inputs, one output stream.
#[derive(Clone, Debug, Default)]
pub struct ChannelSetup {
    /// 1…[`MAX_INPUTS`] inputs.
    pub inputs: Vec<InputSetup>,
    /// Which of them feeds the output.
    pub policy: policy::Settings,
    /// How long a packet waits in the delay line before it may leave, 0…2 s.
    pub delay: Span,
    /// The best kind of switch that is allowed.
    pub mode: policy::Mode,
    /// When packets leave.
    pub pace: Pace,
    /// Where an emergency cut enters an input that has other packets.
    pub entry: Entry,
    /// What is done where the clocks of two inputs do not meet.
    pub clock: ClockPolicy,
    /// What is sent while nothing comes from any input.
    pub hole: Hole,
    /// What is played where [`LossAction::Slate`](policy::LossAction::Slate) is asked for.
    pub slate: Option<Box<Clip>>,
    /// How packets are put into datagrams.
    pub gather: GatherSetup,
}

/// When a packet leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// The delay after it should have come by its stream's own clock (PCR): jitter is taken out.
    #[default]
    Pcr,
    /// The delay after it came.
    Arrival,
}

/// What is sent while nothing comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hole {
    /// Null packets, PCRs and tables, at the rate of what was sent.
    #[default]
    Carrier,
    /// Nothing.
    Silent,
}

/// One input of a channel.
#[derive(Clone, Debug)]
pub struct InputSetup {
    /// The higher, the more wanted.
    pub priority: i32,
    /// Whether it is received when it is not needed.
    pub standby: Standby,
    /// How its datagrams are read.
    pub framing: Framing,
    /// How long an RTP datagram may wait for one that should have come before it; zero: not at all.
    pub reorder: Span,
    /// How many datagrams its delay line and reorder window can hold together.
    pub capacity: usize,
    /// Limits of the absences.
    pub analyser: tr101290::Settings,
    /// What makes it unhealthy.
    pub limits: Limits,
}

impl Default for InputSetup {
    fn default() -> Self {
        Self {
            priority: 0,
            standby: Standby::Hot,
            framing: Framing::Auto,
            reorder: Span::from_millis(20),
            capacity: 1024,
            analyser: tr101290::Settings::default(),
            limits: Limits::default(),
        }
    }
}

/// How the packets of a channel are put into output datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherSetup {
    /// TS packets in a full datagram, 1…7.
    pub packets: u8,
    /// How long a datagram that is not full waits for more.
    pub hold: Span,
    /// SSRC of the RTP outputs (RFC 3550 8.1).
    pub ssrc: u32,
}

impl Default for GatherSetup {
    fn default() -> Self {
        Self { packets: 7, hold: Span::from_millis(10), ssrc: 0 }
    }
}
