//! What an input is judged by.

use crate::tr101290::Indicator;

/// One thing that can make an input unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Criterion {
    /// No datagram at all.
    InputLoss,
    /// [`Indicator::TsSyncLoss`].
    TsSyncLoss,
    /// [`Indicator::SyncByteError`].
    SyncByteError,
    /// [`Indicator::PatError2`].
    PatError2,
    /// [`Indicator::ContinuityCountError`].
    ContinuityCountError,
    /// [`Indicator::PmtError2`].
    PmtError2,
    /// [`Indicator::PidError`].
    PidError,
    /// [`Indicator::TransportError`].
    TransportError,
    /// [`Indicator::CrcError`].
    CrcError,
    /// [`Indicator::PcrRepetitionError`].
    PcrRepetitionError,
    /// [`Indicator::PcrDiscontinuityIndicatorError`].
    PcrDiscontinuityIndicatorError,
    /// [`Indicator::PcrAccuracyError`].
    PcrAccuracyError,
    /// [`Indicator::PtsError`].
    PtsError,
    /// [`Indicator::CatError`].
    CatError,
    /// [`Indicator::NitActualError`].
    NitActualError,
    /// [`Indicator::SiRepetitionError`].
    SiRepetitionError,
    /// [`Indicator::UnreferencedPid`].
    UnreferencedPid,
    /// [`Indicator::SdtActualError`].
    SdtActualError,
    /// [`Indicator::EitActualError`].
    EitActualError,
    /// [`Indicator::TdtError`].
    TdtError,
    /// RTP datagrams that never came (RFC 3550 6.4.1, cumulative number of packets lost).
    RtpLoss,
    /// No packet of a video PID that a PMT lists, or the last PMT that listed one no longer does.
    VideoPidAbsent,
    /// The same for audio.
    AudioPidAbsent,
    /// Access units that were not sent, by the steps of PTS and DTS.
    FramesMissing,
    /// No splice_info_section, whatever it says.
    Scte35Absent,
    /// No caption data in the video, CEA-608 or DTVCC.
    CaptionsAbsent,
    /// Less than a bit rate, measured over about the last second.
    BitRateBelow,
    /// No connection, of an input that comes by SRT.
    SrtDisconnected,
    /// A round trip that is too long, of an input that comes by SRT.
    SrtRttAbove,
    /// Packets that SRT gave up: sending them again did not bring them in time.
    SrtUnrecovered,
}

/// What a criterion can be measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How long something has been missing: `raise: {for: …}`.
    Lasting,
    /// How many events there were: `raise: {above: …, within: …}`.
    Counted,
    /// Either.
    Both,
    /// How long a rate has been too low: `raise: {below: …, for: …}`.
    Below,
    /// How long a round trip has been too long: `raise: {above: …, for: …}`.
    Slower,
    /// The share of something: `raise: {above: …, within: …}` with a percentage.
    Share,
}

impl Criterion {
    /// How many there are.
    pub const COUNT: usize = 30;

    /// All of them, the gravest first within each priority.
    pub const ALL: [Self; Self::COUNT] = [
        Self::InputLoss,
        Self::TsSyncLoss,
        Self::SyncByteError,
        Self::PatError2,
        Self::ContinuityCountError,
        Self::PmtError2,
        Self::PidError,
        Self::TransportError,
        Self::CrcError,
        Self::PcrRepetitionError,
        Self::PcrDiscontinuityIndicatorError,
        Self::PcrAccuracyError,
        Self::PtsError,
        Self::CatError,
        Self::NitActualError,
        Self::SiRepetitionError,
        Self::UnreferencedPid,
        Self::SdtActualError,
        Self::EitActualError,
        Self::TdtError,
        Self::RtpLoss,
        Self::VideoPidAbsent,
        Self::AudioPidAbsent,
        Self::FramesMissing,
        Self::Scte35Absent,
        Self::CaptionsAbsent,
        Self::BitRateBelow,
        Self::SrtDisconnected,
        Self::SrtRttAbove,
        Self::SrtUnrecovered,
    ];

    /// Those that are of a connection by SRT, and of no other input.
    pub const OF_SRT: [Self; 3] = [Self::SrtDisconnected, Self::SrtRttAbove, Self::SrtUnrecovered];

    /// As an index into tables of [`Criterion::COUNT`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The indicator that this criterion acts on, or the name of what it watches itself.
    const fn source(self) -> Result<Indicator, &'static str> {
        Ok(match self {
            Self::InputLoss => return Err("input_loss"),
            Self::RtpLoss => return Err("rtp_loss"),
            Self::VideoPidAbsent => return Err("video_pid_absent"),
            Self::AudioPidAbsent => return Err("audio_pid_absent"),
            Self::FramesMissing => return Err("frames_missing"),
            Self::Scte35Absent => return Err("scte35_absent"),
            Self::CaptionsAbsent => return Err("captions_absent"),
            Self::BitRateBelow => return Err("bit_rate_below"),
            Self::SrtDisconnected => return Err("srt_disconnected"),
            Self::SrtRttAbove => return Err("srt_rtt_above"),
            Self::SrtUnrecovered => return Err("srt_unrecovered"),
            Self::TsSyncLoss => Indicator::TsSyncLoss,
            Self::SyncByteError => Indicator::SyncByteError,
            Self::PatError2 => Indicator::PatError2,
            Self::ContinuityCountError => Indicator::ContinuityCountError,
            Self::PmtError2 => Indicator::PmtError2,
            Self::PidError => Indicator::PidError,
            Self::TransportError => Indicator::TransportError,
            Self::CrcError => Indicator::CrcError,
            Self::PcrRepetitionError => Indicator::PcrRepetitionError,
            Self::PcrDiscontinuityIndicatorError => Indicator::PcrDiscontinuityIndicatorError,
            Self::PcrAccuracyError => Indicator::PcrAccuracyError,
            Self::PtsError => Indicator::PtsError,
            Self::CatError => Indicator::CatError,
            Self::NitActualError => Indicator::NitActualError,
            Self::SiRepetitionError => Indicator::SiRepetitionError,
            Self::UnreferencedPid => Indicator::UnreferencedPid,
            Self::SdtActualError => Indicator::SdtActualError,
            Self::EitActualError => Indicator::EitActualError,
            Self::TdtError => Indicator::TdtError,
        })
    }

    /// The indicator that this criterion acts on, where it is one of TR 101 290's.
    pub const fn indicator(self) -> Option<Indicator> {
        match self.source() {
            Ok(indicator) => Some(indicator),
            Err(_) => None,
        }
    }

    /// The name in configuration, journal, JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self.source() {
            Ok(indicator) => indicator.name(),
            Err(name) => name,
        }
    }

    /// Whether it is one of [`Criterion::OF_SRT`].
    pub fn is_of_srt(self) -> bool {
        Self::OF_SRT.contains(&self)
    }

    /// The criterion of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// What it can be measured by.
    pub const fn measure(self) -> Measure {
        match self {
            Self::InputLoss
            | Self::TsSyncLoss
            | Self::VideoPidAbsent
            | Self::AudioPidAbsent
            | Self::Scte35Absent
            | Self::CaptionsAbsent
            | Self::SrtDisconnected => Measure::Lasting,
            Self::PatError2
            | Self::PmtError2
            | Self::PidError
            | Self::PcrRepetitionError
            | Self::PtsError
            | Self::NitActualError
            | Self::SiRepetitionError
            | Self::SdtActualError
            | Self::EitActualError
            | Self::TdtError => Measure::Both,
            Self::SyncByteError
            | Self::ContinuityCountError
            | Self::TransportError
            | Self::CrcError
            | Self::PcrDiscontinuityIndicatorError
            | Self::PcrAccuracyError
            | Self::CatError
            | Self::UnreferencedPid
            | Self::RtpLoss
            | Self::FramesMissing => Measure::Counted,
            Self::BitRateBelow => Measure::Below,
            Self::SrtRttAbove => Measure::Slower,
            Self::SrtUnrecovered => Measure::Share,
        }
    }

    /// Whether a limit may name the PIDs, or the programs, that count.
    pub const fn takes_scope(self) -> bool {
        match self {
            Self::ContinuityCountError
            | Self::PmtError2
            | Self::PidError
            | Self::TransportError
            | Self::CrcError
            | Self::PcrRepetitionError
            | Self::PcrDiscontinuityIndicatorError
            | Self::PcrAccuracyError
            | Self::PtsError
            | Self::UnreferencedPid
            | Self::VideoPidAbsent
            | Self::AudioPidAbsent
            | Self::FramesMissing => true,
            Self::InputLoss
            | Self::TsSyncLoss
            | Self::SyncByteError
            | Self::PatError2
            | Self::CatError
            | Self::NitActualError
            | Self::SiRepetitionError
            | Self::SdtActualError
            | Self::EitActualError
            | Self::TdtError
            | Self::RtpLoss
            | Self::Scte35Absent
            | Self::CaptionsAbsent
            | Self::BitRateBelow
            | Self::SrtDisconnected
            | Self::SrtRttAbove
            | Self::SrtUnrecovered => false,
        }
    }

    /// How grave it is when no input is healthy and the least bad is wanted: 3 nothing usable arrives, 2 a
    /// first-priority error, 1 anything else.
    pub const fn gravity(self) -> u8 {
        match self {
            Self::InputLoss | Self::TsSyncLoss => 3,
            Self::SyncByteError
            | Self::PatError2
            | Self::ContinuityCountError
            | Self::PmtError2
            | Self::PidError
            | Self::RtpLoss
            | Self::VideoPidAbsent
            | Self::AudioPidAbsent
            | Self::BitRateBelow
            | Self::SrtUnrecovered => 2,
            Self::TransportError
            | Self::CrcError
            | Self::PcrRepetitionError
            | Self::PcrDiscontinuityIndicatorError
            | Self::PcrAccuracyError
            | Self::PtsError
            | Self::CatError
            | Self::NitActualError
            | Self::SiRepetitionError
            | Self::UnreferencedPid
            | Self::SdtActualError
            | Self::EitActualError
            | Self::TdtError
            | Self::FramesMissing
            | Self::Scte35Absent
            | Self::CaptionsAbsent
            // Without a connection nothing arrives either, and once one is back this is the least of its faults.
            | Self::SrtDisconnected
            | Self::SrtRttAbove => 1,
        }
    }
}

/// A set of criteria.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CriterionSet(u32);

impl CriterionSet {
    /// None of them.
    pub const EMPTY: Self = Self(0);

    /// Puts one in.
    pub const fn insert(&mut self, criterion: Criterion) {
        self.0 |= 1 << criterion.index();
    }

    /// Takes one out.
    pub const fn remove(&mut self, criterion: Criterion) {
        self.0 &= !(1 << criterion.index());
    }

    /// Whether it is in.
    pub const fn contains(self, criterion: Criterion) -> bool {
        self.0 & (1 << criterion.index()) != 0
    }

    /// Whether none is in.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in, in the order of [`Criterion::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Criterion> {
        Criterion::ALL.into_iter().filter(move |&c| self.contains(c))
    }

    /// The gravity of the gravest, 0 for none.
    pub fn gravity(self) -> u8 {
        self.iter().map(Criterion::gravity).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_indexed_by_their_own_order_and_found_by_name() {
        for (i, criterion) in Criterion::ALL.into_iter().enumerate() {
            assert_eq!(criterion.index(), i);
            assert_eq!(Criterion::from_name(criterion.name()), Some(criterion));
        }
        assert_eq!(Criterion::InputLoss.name(), "input_loss");
    }
}
