//! Which input should feed the output: a pure decision over what is known of each.

mod chooser;
mod warm;

pub use chooser::{Candidate, Chooser, Decision, Why};
pub use warm::{MOST, Standby};

use crate::units::Span;

/// The best kind of switch that the configuration allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The best that the feeds allow.
    #[default]
    Auto,
    /// No better than a merge.
    Merge,
    /// No better than a splice.
    Splice,
    /// A cut on a TS packet boundary.
    Cut,
}

/// How the next input is chosen among the healthy ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The highest priority; among equals the first in the configuration.
    #[default]
    Priority,
    /// Any.
    Random,
}

/// Whether the output returns by itself to an input of higher priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// Once that input has been healthy for this long.
    Auto {
        /// How long.
        after: Span,
    },
    /// Only when somebody takes it.
    Manual,
}

/// What is done while no input is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossAction {
    /// The least bad input stays on the output.
    #[default]
    Stay,
    /// The output stops, so that what is downstream can fail over itself.
    Mute,
    /// Null packets, the clock and the tables go on.
    Null,
    /// A clip is played again and again.
    Slate,
}

impl LossAction {
    /// The name in the configuration and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Mute => "mute",
            Self::Null => "null",
            Self::Slate => "slate",
        }
    }
}

/// The rules of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the next input is chosen.
    pub order: Order,
    /// Whether and when the output returns.
    pub failback: Failback,
    /// The least time on an input before an automatic return.
    pub dwell: Span,
    /// The most automatic switches in any minute while the input on air still delivers; 0 is no limit.
    pub max_per_minute: u16,
    /// What is done with none healthy.
    pub on_loss: LossAction,
    /// How long none must have been healthy before that is done.
    pub on_loss_after: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            order: Order::Priority,
            failback: Failback::Auto { after: Span::from_secs(10) },
            dwell: Span::from_secs(2),
            max_per_minute: 6,
            on_loss: LossAction::Stay,
            on_loss_after: Span::from_secs(1),
        }
    }
}
