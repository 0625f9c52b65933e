//! Synthetic contribution feeds: an endless MPEG transport stream of one program, packet by packet.
//!
//! What comes out is what an encoder would send: constant bit rate, PAT, PMT and SDT, MPEG-2 video with colour bars
//! and the number of each picture burnt in, a tone in MPEG-1 layer II, null packets for the rest. It stands for a
//! real feed wherever none is at hand: in demonstrations, tests and benchmarks. It holds to the standards, so an
//! analyser finds no fault in it; faults are planted by others.
//!
//! ```
//! use changeover::synth::{Feed, Settings};
//!
//! let mut feed = Feed::new(Settings { bit_rate: 4_000_000, ..Settings::default() });
//! let packet = feed.next_packet();
//! assert_eq!((packet.index, packet.at.0, packet.bytes[0]), (0, 0, 0x47));
//! ```
//!
//! Invariants:
//!
//! - The same [`Settings`] give the same bytes, on any machine: there is no clock and no chance but the seed.
//! - The packet of index *k* begins at the time *k* × 1504 bits / bit rate. Each PCR is the time of the byte that ISO/IEC
//!   13818-1 2.4.2.2 says, rounded to the nearest tick, so it is never more than 18.6 ns off.
//! - Pictures and audio frames keep the time of the system clock and not of the packets: exactly 25 pictures a second
//!   and 24 ms a frame at any bit rate. PTS is DTS: there are no B pictures.
//! - Everything is there before it is decoded, and no buffer of the target decoder (2.4.2) overflows: a picture's
//!   first byte leads its DTS by 200 to 240 ms at the default bit rate and by 80 to 320 ms at any, audio by 72 to 96 ms.
//! - Every packet that video or audio fills has a payload like no other, by which it can be told where it comes from.
//! - Nothing is allocated once a feed is made.

mod bits;
mod mp2;
mod mpeg2;
mod mux;
mod noise;
mod pes;
pub mod picture;
mod plan;
mod psi;

pub use mux::Feed;

use crate::units::{Pid, Span, Ticks27M};

/// What a feed is like. A value that makes no sensible stream is taken as the nearest that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits a second of the transport stream, [`BIT_RATE_MIN`](Self::BIT_RATE_MIN) to
    /// [`BIT_RATE_MAX`](Self::BIT_RATE_MAX). About 85 % of it is video, yet no more than the 80 Mb/s of the high level;
    /// up to 15 Mb/s of video are at the main level.
    pub bit_rate: u64,
    /// The PID of the video, which also carries the PCR.
    pub video_pid: Pid,
    /// The PID of the audio.
    pub audio_pid: Pid,
    /// The PID of the PMT.
    pub pmt_pid: Pid,
    /// The number of the program; DVB's service_id.
    pub program_number: u16,
    /// The transport_stream_id.
    pub transport_stream_id: u16,
    /// The name of the service in the SDT, up to 200 bytes.
    pub service_name: String,
    /// The ISO 639-2 code of the audio's language.
    pub language: [u8; 3],
    /// From one PAT to the next, 25 ms or more.
    pub pat_interval: Span,
    /// From one PMT to the next, 25 ms or more.
    pub pmt_interval: Span,
    /// From one SDT to the next, 100 ms or more.
    pub sdt_interval: Span,
    /// The most from one PCR to the next, 10 ms or more.
    pub pcr_interval: Span,
    /// What the system clock shows when packet 0 begins, modulo [`Ticks27M::WRAP`].
    pub start: Ticks27M,
    /// Pictures from one intra picture to the next, 1 to [`GOP_MAX`](Self::GOP_MAX). A low bit rate that has no room
    /// for so many intra pictures makes it longer.
    pub gop: u32,
    /// Where the noise and the colour of the strip below the bars come from.
    pub seed: u64,
    /// Whether there is audio.
    pub audio: bool,
}

impl Settings {
    /// The lowest bit rate that has room for pictures and sound.
    pub const BIT_RATE_MIN: u64 = 1_000_000;
    /// The highest bit rate.
    pub const BIT_RATE_MAX: u64 = 1_000_000_000;
    /// The longest group of pictures.
    pub const GOP_MAX: u32 = 250;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bit_rate: 8_000_000,
            video_pid: Pid::new(0x100),
            audio_pid: Pid::new(0x101),
            pmt_pid: Pid::new(0x1000),
            program_number: 1,
            transport_stream_id: 1,
            service_name: "Changeover".to_owned(),
            language: *b"eng",
            pat_interval: Span::from_millis(100),
            pmt_interval: Span::from_millis(100),
            sdt_interval: Span::from_millis(500),
            pcr_interval: Span::from_millis(30),
            start: Ticks27M(0),
            gop: 25,
            seed: 0,
            audio: true,
        }
    }
}

/// One transport packet and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The packet.
    pub bytes: [u8; Self::SIZE],
    /// When its first byte is sent, since the start of the stream; it does not wrap.
    pub at: Ticks27M,
    /// How many packets went before it.
    pub index: u64,
}

impl Packet {
    /// Bytes of a packet (ISO/IEC 13818-1 2.4.3.2).
    pub const SIZE: usize = 188;
    /// Bits of a packet.
    const BITS: u64 = 1504;
}

/// A feed of about `length`, as a file holds it: it ends with whole PES packets, so a decoder finds its last picture
/// and its last frame complete.
pub fn recording(settings: Settings, length: Ticks27M) -> Vec<u8> {
    let mut feed = Feed::new(settings);
    let mut bytes = Vec::new();
    loop {
        let packet = feed.next_packet();
        bytes.extend_from_slice(&packet.bytes);
        if packet.at.0 >= length.0 {
            feed.close();
        }
        if feed.is_closed() {
            return bytes;
        }
    }
}
