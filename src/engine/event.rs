//! What the engine tells, and what it is told.

use super::forecast::Forecast;
use super::setup::MAX_INPUTS;
use crate::health::Criterion;
use crate::switch::align::Kinship;
use crate::switch::policy::LossAction;
pub use crate::switch::policy::Why as Reason;
use crate::switch::splice::{self, Why};
use crate::units::{ChannelId, InputId, Instant, Pid, Span};

/// Something that happened in a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// In which channel.
    pub channel: ChannelId,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// The first datagram of an input, or the first after it had been lost.
    Arrived {
        /// Which input.
        input: InputId,
    },
    /// A criterion passed its limit.
    Raised {
        /// Of which input.
        input: InputId,
        /// Which one.
        criterion: Criterion,
        /// Milliseconds for an absence or a round trip, events in the window for a count, millionths for a share.
        value: u64,
    },
    /// A criterion has been well for its time.
    Cleared {
        /// Of which input.
        input: InputId,
        /// Which one.
        criterion: Criterion,
    },
    /// An input that rests until it is needed is needed: it is to be joined or connected.
    Needed {
        /// Which input.
        input: InputId,
    },
    /// It is not needed any more, and rests.
    NotNeeded {
        /// Which input.
        input: InputId,
    },
    /// An input that was taken had to be woken, and nothing came from it: the take is given up.
    NotTaken {
        /// Which input.
        input: InputId,
    },
    /// It is known, or known better, how an input stands to the one on air.
    Kinship {
        /// Which input.
        input: InputId,
        /// How it stands.
        kinship: Kinship,
        /// What a switch to it would cost now; none while nothing can be said.
        forecast: Option<Forecast>,
    },
    /// The output has another input: told when the first packet of the new one leaves, and of a splice when pictures and sound have
    /// gone over, a second after that packet at the latest.
    Switch(Switch),
    /// The first PCR of a PID after a cut stepped outside 0…100 ms, and was sent with discontinuity_indicator.
    ClockStep {
        /// The input on air.
        input: InputId,
        /// The PCR's PID.
        pid: Pid,
        /// The step in 27 MHz ticks, the shorter way round.
        ticks: i64,
    },
    /// The output was stopped because no input is healthy.
    Muted,
    /// The output goes on.
    Unmuted,
    /// No input is healthy, and the output is something else.
    Replaced {
        /// By what.
        by: LossAction,
    },
    /// The output is an input's again, or will be as soon as that can be entered.
    Restored,
    /// No input is healthy, and one of them stays on air all the same.
    NoneHealthy,
    /// One is healthy again.
    SomeHealthy,
    /// A person set or ended a hold, or made an input available or not.
    Set {
        /// Which input.
        input: InputId,
        /// What was set.
        setting: Setting,
    },
}

/// What a person can set on an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The channel stays on it, whatever happens.
    Held,
    /// The channel no longer stays on it.
    Released,
    /// It may be chosen.
    Enabled,
    /// It may not be chosen.
    Disabled,
    /// Its priority.
    Priority(i32),
}

/// One switch, and what it cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Switch {
    /// The input that was on air; none at the start.
    pub from: Option<InputId>,
    /// The input that is on air now.
    pub to: InputId,
    /// Why.
    pub reason: Reason,
    /// How the cut was made.
    pub kind: Kind,
    /// Whether there was time to choose the moment.
    pub planned: bool,
    /// When it was decided.
    pub decided: Instant,
    /// TS packets of the programme that the output lacks; none where it cannot be told.
    pub lost: Option<u32>,
    /// TS packets of the programme that the output has twice; none where it cannot be told.
    pub repeated: Option<u32>,
    /// What a splice cost besides; none for any other cut.
    pub cost: Option<Cost>,
    /// Why it was no better: a hard cut where a splice was wanted, or a splice of independent inputs where they are locked.
    pub fallback: Option<Why>,
    /// Output time between the last packet of the old input and the first of the new one.
    pub gap: Span,
    /// What each input of the channel was to it, in the order of the setup.
    pub states: [Option<InputState>; MAX_INPUTS],
}

/// How a cut was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Both inputs have the same packets: the output goes on with exactly the next one.
    Identical,
    /// One time line, other packets: at a random access point, no time moved.
    Locked,
    /// At a random access point, all times of the new input moved by one offset.
    Independent,
    /// At a TS packet boundary, the continuity counters carried on, a step of the PCR signalled.
    Cut,
}

/// What a splice cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How long no picture was presented beyond the last one's own time.
    pub hole: Span,
    /// The longest that a stream of sound was silent.
    pub audio_hole: Span,
    /// Access units that were begun and not ended.
    pub truncated: u32,
    /// Pictures of the new input that could not be decoded and were left out.
    pub left_out: u32,
    /// By how much later than its delay the new input leaves from here on, in nanoseconds; negative where earlier.
    pub behind: i64,
}

impl Cost {
    pub(super) const fn of(cost: &splice::Cost) -> Self {
        let splice::Cost { hole, audio_hole, truncated, left_out, extra, .. } = *cost;
        Self { hole, audio_hole, truncated, left_out, behind: extra }
    }
}

impl Kind {
    /// The name in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Locked => "locked",
            Self::Independent => "independent",
            Self::Cut => "cut",
        }
    }
}

/// What an input is to its channel at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputState {
    /// It feeds the output.
    Active,
    /// Received, analysed and ready.
    #[default]
    Hot,
    /// Not received, or not there yet: joined or connected when it is needed.
    Warm,
    /// At least one of its criteria is raised.
    Unhealthy,
    /// A person made it unavailable.
    Disabled,
}

impl InputState {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Active, Self::Hot, Self::Warm, Self::Unhealthy, Self::Disabled];

    /// The name in the journal, in JSON and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Unhealthy => "unhealthy",
            Self::Disabled => "disabled",
        }
    }
}

/// What a channel can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Put this input on air; it stays until it is unhealthy or another is taken.
    Take(InputId),
    /// Stay on this input whatever happens.
    Hold(InputId),
    /// End a hold and a take: choose by the rules again.
    Release(ChannelId),
    /// Make this input available or not; it is analysed all the same.
    Enable(InputId, bool),
    /// Give this input another priority.
    Prioritise(InputId, i32),
}
