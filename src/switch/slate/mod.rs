//! A clip of the user's that is played in a loop while no input is healthy.
//!
//! A clip is made once from the bytes of a file of TS packets: checked, trimmed, and each packet given its time by the
//! PCRs. A [`Player`] then hands its packets out when they are due, turn after turn. In the *n*th turn the caller moves
//! PCR, PTS and DTS by *n* × [`Clip::length`] and writes the continuity counter that the frame says, so that the output
//! is one stream.
//!
//! Invariants of a clip:
//!
//! - It begins with the PAT and the PMTs that were in force, and then with a random access point of the video. Every
//!   other stream begins with a PES packet. Each ends with the last byte of one.
//! - Over the seam the DTS of each video and audio stream rise, and no PCR comes more than 100 ms after the one before
//!   it, nor does anywhere else. Where the file has them further apart, packets with nothing but a PCR are put between.
//! - Continuity counters run on within a turn, and from turn to turn with what [`Frame::counter`] says. No
//!   discontinuity_indicator is left.
//! - What must not be said again and again is left out: TDT and TOT, whose time has passed, and splice information.
//! - Nothing is allocated once a clip and its player are made.
//!
//! A clip whose pictures are coded with open groups may show its first leading pictures wrong in each turn, as any cut
//! to it would.

mod assemble;
mod clip;
mod error;
mod grid;
mod line;
mod player;
mod tables;
mod track;
mod trim;

pub use clip::Clip;
pub use error::ClipError;
pub use player::{Frame, Player};

/// The largest file, in bytes.
pub const MAX_SIZE: usize = 64 << 20;
/// The shortest clip, in ticks of 27 MHz: half a second.
pub const MIN_LENGTH: u64 = 13_500_000;
/// The longest clip, in ticks of 27 MHz: ten minutes.
pub const MAX_LENGTH: u64 = 600 * 27_000_000;
/// The most from one PCR to the next, in ticks of 27 MHz: 100 ms (ISO/IEC 13818-1 2.7.2).
const MAX_PCR_STEP: u64 = 2_700_000;
/// A longer step from one PCR of the file to the next is a jump, in ticks of 27 MHz: 1 s.
const MAX_FILE_STEP: u64 = 27_000_000;
/// How far the ends of streams may be apart before the longer ones are cut, in ticks of 90 kHz: 100 ms.
const MAX_UNEVEN: i64 = 9_000;
