//! What a stream carries, in a report: programs, elementary streams, PIDs and splice information.

use serde::Serialize;

/// One program.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProgramReport {
    /// program_number.
    pub number: u16,
    /// program_map_PID.
    pub pmt_pid: u16,
    /// PCR_PID; none until the PMT came, or where the program has no PCR.
    pub pcr_pid: Option<u16>,
    /// The name of the service, where an SDT gives one.
    pub service: Option<String>,
    /// Who provides it.
    pub provider: Option<String>,
    /// service_type (EN 300 468 table 87).
    pub service_type: Option<u8>,
    /// Bits a second of its PIDs together; those that programs share are in each of them.
    pub bit_rate: u64,
    /// Its clock; none where no PCR was looked at.
    pub pcr: Option<PcrReport>,
    /// Its elementary streams, in the order of the PMT.
    pub streams: Vec<StreamReport>,
}

/// The clock of a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PcrReport {
    /// How far apart PCRs are, by their own time.
    pub interval: Option<IntervalReport>,
    /// How far arrivals lie apart against the PCRs once drift is taken out, over the last ten seconds; none for a file.
    pub jitter_ns: Option<f64>,
    /// How much faster than the receiving clock it runs; none for a file, and before ten seconds.
    pub drift_ppm: Option<f64>,
    /// Times that it jumped without a discontinuity_indicator.
    pub jumps: u64,
    /// How exact the PCRs are for their places.
    pub accuracy: AccuracyReport,
}

/// How far apart PCRs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct IntervalReport {
    /// The shortest interval.
    pub min_ms: f64,
    /// The mean.
    pub mean_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// PCR_AC (TR 101 290 clause 5.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct AccuracyReport {
    /// Whether the rate is constant, so that accuracy means something; none before that is known.
    pub measurable: Option<bool>,
    /// The rate by the PCRs, nulls included, where it is constant.
    pub bit_rate: Option<u64>,
    /// How far off the PCR that was judged last is.
    pub last_ns: Option<f64>,
    /// How far off the worst of the last second or two is, unsigned.
    pub worst_second_ns: Option<f64>,
    /// How far off the worst is, unsigned.
    pub worst_ns: Option<f64>,
    /// PCRs that were judged.
    pub judged: u64,
    /// Of those, the ones off by more than 500 ns.
    pub errors: u64,
    /// Times that all later PCRs stepped aside together.
    pub steps: u64,
}

/// One elementary stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamReport {
    /// elementary_PID.
    pub pid: u16,
    /// `video`, `audio`, `subtitles`, `data` and the like.
    pub kind: &'static str,
    /// `H.264`, `AC-3` and the like.
    pub codec: &'static str,
    /// stream_type.
    pub stream_type: u8,
    /// ISO 639-2 code.
    pub language: Option<String>,
    /// audio_type beside that (ISO/IEC 13818-1 table 2-60).
    pub audio_type: Option<u8>,
    /// Whether a caption_service_descriptor announces captions.
    pub announces_captions: bool,
    /// What is in it; none where its coding is not read.
    pub contents: Option<ContentsReport>,
}

/// What is in a video or audio stream, as far as it shows without decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ContentsReport {
    /// Pictures, or frames of sound.
    pub access_units: u64,
    /// Those that the time stamps leave room for and that were not there.
    pub missing: u64,
    /// Time stamps that fit no whole number of access units, or went back, or jumped.
    pub uneven: u64,
    /// Points of random access; none for sound.
    pub random_access: Option<u64>,
    /// When the last one came, in seconds from the start.
    pub last_random_access_s: Option<f64>,
    /// When CEA-608 captions last came.
    pub last_cea_608_s: Option<f64>,
    /// When DTVCC captions (CEA-708) last came.
    pub last_dtvcc_s: Option<f64>,
}

/// One PID.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PidReport {
    /// Its packets.
    pub packets: u64,
    /// Bits a second over the whole time.
    pub bit_rate: u64,
    /// The part of all packets that they are, 0…1.
    pub share: f64,
    /// What it is: the kind of its stream, or `table`, `pmt`, `pcr`, `ca`, `null`, `unreferenced`.
    pub kind: &'static str,
    /// The same in words, with the programs.
    pub what: String,
    /// The programs that it belongs to.
    pub programs: Vec<u16>,
}

/// Splice information (ANSI/SCTE 35).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SpliceReport {
    /// Sections that could be read, encrypted ones included.
    pub sections: u64,
    /// Of them, encrypted.
    pub encrypted: u64,
    /// Sections that could not be read.
    pub broken: u64,
    /// When the last section of any command came, in seconds from the start.
    pub last_s: Option<f64>,
    /// The last command that was not splice_null.
    pub command: Option<SpliceCommandReport>,
}

/// A splice command.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SpliceCommandReport {
    /// When its section came, in seconds from the start.
    pub at: f64,
    /// On which PID.
    pub pid: u16,
    /// `splice_insert`, `time_signal` and the like.
    pub name: &'static str,
    /// All of it in words.
    pub text: String,
    /// splice_event_id of a splice_insert.
    pub event_id: Option<u32>,
    /// splice_event_cancel_indicator of a splice_insert.
    pub cancel: Option<bool>,
    /// out_of_network_indicator of a splice_insert.
    pub out_of_network: Option<bool>,
    /// When it is to happen, pts_adjustment included; none where that is at once or not told.
    pub pts_90k: Option<u64>,
    /// How long the break is.
    pub break_duration_ms: Option<f64>,
    /// The first segmentation_descriptor.
    pub segmentation: Option<SegmentationReport>,
}

/// A segmentation_descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SegmentationReport {
    /// segmentation_event_id.
    pub event_id: u32,
    /// segmentation_event_cancel_indicator.
    pub cancel: bool,
    /// segmentation_type_id.
    pub type_id: u8,
    /// What that stands for, where the standard says so.
    pub type_name: Option<&'static str>,
    /// segmentation_duration.
    pub duration_ms: Option<f64>,
}
