//! What is measured of an input besides the indicators, as the HTTP API shows it. Times are of the wall clock, units stand in
//! the names; `null` is what is not known, or never was.

use serde::Serialize;

use crate::engine::InputFigures;
use crate::measure::rates::PidRate;
use crate::measure::{accuracy, arrivals, clock};
use crate::plane::PlaneSnapshot;

use super::view::time;

/// What is measured of an input, as it was within the last second that datagrams came in.
#[derive(Clone, Debug, Serialize)]
pub struct FiguresView {
    /// When datagrams come: the time between them, delay factor and media loss (RFC 4445).
    pub arrivals: arrivals::Figures,
    /// The clocks of the first programs.
    pub clocks: Vec<ClockView>,
    /// The PIDs with the highest rates over the last second.
    pub pids: Vec<PidRate>,
    /// Packets that the continuity counters say are missing.
    pub missing_packets: u64,
    /// Access units missing in all streams together.
    pub missing_access_units: u64,
    /// Splice information.
    pub scte35: SpliceView,
    /// When video last carried captions.
    pub last_captions: Option<String>,
}

/// The clock of a program.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ClockView {
    /// The PID that carries its PCRs.
    pub pid: u16,
    /// How exact they are by their places.
    pub accuracy: accuracy::Figures,
    /// Their intervals, and the clock against this machine's.
    pub clock: clock::Figures,
}

/// Splice information.
#[derive(Clone, Debug, Serialize)]
pub struct SpliceView {
    /// Sections that could be read.
    pub sections: u64,
    /// Of them, encrypted.
    pub encrypted: u64,
    /// Sections that could not be read.
    pub broken: u64,
    /// When the last one came.
    pub last: Option<String>,
    /// What the last command that was not splice_null says, in words.
    pub last_command: Option<String>,
    /// When it came.
    pub last_command_at: Option<String>,
    /// On which PID.
    pub last_command_pid: Option<u16>,
}

impl FiguresView {
    pub(super) fn of(figures: &InputFigures, snapshot: &PlaneSnapshot) -> Self {
        let splice = &figures.splice;
        let clock = |(pid, accuracy, clock): &(crate::units::Pid, _, _)| ClockView {
            pid: pid.value(),
            accuracy: *accuracy,
            clock: *clock,
        };
        Self {
            arrivals: figures.arrivals,
            clocks: figures.clocks.iter().flatten().map(clock).collect(),
            pids: figures.pids.iter().flatten().copied().collect(),
            missing_packets: figures.missing,
            missing_access_units: figures.access_units_missing,
            scte35: SpliceView {
                sections: splice.sections,
                encrypted: splice.encrypted,
                broken: splice.broken,
                last: splice.last_any.map(|at| time(snapshot, at)),
                last_command: splice.last.map(|(.., info)| info.to_string()),
                last_command_at: splice.last.map(|(at, ..)| time(snapshot, at)),
                last_command_pid: splice.last.map(|(_, pid, _)| pid.value()),
            },
            last_captions: figures.last_captions.map(|at| time(snapshot, at)),
        }
    }
}
