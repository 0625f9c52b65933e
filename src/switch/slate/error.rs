//! Why a file cannot be played as slate.

use super::{MAX_LENGTH, MAX_SIZE, MIN_LENGTH};
use crate::units::{Pid, Ticks27M};

/// Why a file cannot be played as slate. An `offset` is that of a packet's first byte in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClipError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is larger than [`MAX_SIZE`].
    #[error("the file has {size} bytes: at most {MAX_SIZE} can be played")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// No packets can be found.
    #[error("not a transport stream: 0x47 recurs neither every 188, 192 nor 204 bytes from its beginning")]
    NotTransportStream,
    /// Packets were found, and then no more.
    #[error("not a transport stream throughout: the packet at byte {offset} does not begin with 0x47")]
    LostSync {
        /// Where.
        offset: usize,
    },
    /// transport_error_indicator is set.
    #[error("the packet at byte {offset} is marked as damaged (transport_error_indicator)")]
    Damaged {
        /// Where.
        offset: usize,
    },
    /// There is no PAT that lists a program.
    #[error("no PAT lists a program")]
    NoPat,
    /// There is no PMT that lists a stream.
    #[error("no PMT of the programs in the PAT was found")]
    NoPmt,
    /// The tables are others at the end than at the beginning.
    #[error("the PAT or a PMT changes at byte {offset}: a clip has the same streams from its beginning to its end")]
    TablesChange {
        /// Where.
        offset: usize,
    },
    /// No program has video.
    #[error("no program has a video stream")]
    NoVideo,
    /// Nowhere can the decoding of the video begin.
    #[error("the video on PID {pid} has no random access point")]
    NoRandomAccess {
        /// Its PID.
        pid: Pid,
    },
    /// Behind the beginning there are less than two PCRs.
    #[error("the program has no PCR, or only one")]
    NoPcr,
    /// A stream is scrambled.
    #[error("PID {pid} is scrambled at byte {offset}")]
    Scrambled {
        /// Its PID.
        pid: Pid,
        /// Where.
        offset: usize,
    },
    /// Packets of a stream are missing by the continuity counters.
    #[error("packets of PID {pid} are missing before byte {offset}")]
    Missing {
        /// Its PID.
        pid: Pid,
        /// Where.
        offset: usize,
    },
    /// A PCR does not go on from the one before it.
    #[error("the PCR on PID {pid} at byte {offset} jumps by {:.1} ms: a clip has one clock", millis(*.ticks))]
    Clock {
        /// Its PID.
        pid: Pid,
        /// Where.
        offset: usize,
        /// From the PCR before, the shorter way round, in ticks of 27 MHz.
        ticks: i64,
    },
    /// A DTS is not later than the one before it.
    #[error("the DTS on PID {pid} do not rise at byte {offset}")]
    Times {
        /// Its PID.
        pid: Pid,
        /// Where.
        offset: usize,
    },
    /// What is left after trimming is shorter than [`MIN_LENGTH`].
    #[error("only {:.3} s can be played from the first random access point on: {} s are needed", seconds(*.length), seconds(MIN_LENGTH))]
    TooShort {
        /// How long it is, in ticks of 27 MHz.
        length: u64,
    },
    /// It is longer than [`MAX_LENGTH`].
    #[error("the clip lasts {:.0} s: at most {} can be played", seconds(*.length), seconds(MAX_LENGTH))]
    TooLong {
        /// How long it is, in ticks of 27 MHz.
        length: u64,
    },
}

#[allow(clippy::cast_precision_loss)]
fn millis(ticks: i64) -> f64 {
    ticks as f64 / 27_000.0
}

fn seconds(ticks: u64) -> f64 {
    Ticks27M::span(ticks.min(Ticks27M::WRAP)).seconds()
}
