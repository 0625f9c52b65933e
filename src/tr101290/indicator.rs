//! The indicators of ETSI TR 101 290 V1.4.1, tables 5.0a (first priority), 5.0b (second) and, where they are cheap, 5.0c
//! (third).

/// One indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Indicator {
    /// 1.1: two or more consecutive corrupt sync bytes lose sync, five good ones regain it (annex G.1).
    TsSyncLoss,
    /// 1.2: a packet's first byte is not 0x47.
    SyncByteError,
    /// 1.3.a: no section with table_id 0x00 on PID 0 for 0.5 s, another table_id there, or PID 0 scrambled.
    PatError2,
    /// 1.4: a packet missing, out of order, or there more than twice.
    ContinuityCountError,
    /// 1.5.a: no section with table_id 0x02 of a program for 0.5 s, or its PID scrambled.
    PmtError2,
    /// 1.6: a PID that a PMT refers to is absent for the period set.
    PidError,
    /// 2.1: transport_error_indicator is set.
    TransportError,
    /// 2.2: the CRC_32 of a table is wrong.
    CrcError,
    /// 2.3a: more than 100 ms between two PCRs of a program.
    PcrRepetitionError,
    /// 2.3b: two PCRs step outside 0…100 ms with no discontinuity_indicator.
    PcrDiscontinuityIndicatorError,
    /// 2.4: a PCR off by more than ±500 ns.
    PcrAccuracyError,
    /// 2.5: more than 700 ms between two PTS of an elementary stream.
    PtsError,
    /// 2.6: scrambled packets and no CAT, or another table_id than 0x01 on PID 1.
    CatError,
    /// 3.1.a: no NIT of this network for 10 s, two within 25 ms, or another table_id on its PID.
    NitActualError,
    /// 3.2: another table of the service information further apart than EN 300 468 allows, or nearer than 25 ms.
    SiRepetitionError,
    /// 3.4.a: a PID that neither a PMT nor the CAT refers to for 0.5 s.
    UnreferencedPid,
    /// 3.5.a: no SDT of this transport stream for 2 s, two within 25 ms, or another table_id on its PID.
    SdtActualError,
    /// 3.6.a: the present or the following event of this transport stream missing for 2 s, two sections within 25 ms, or
    /// another table_id on its PID.
    EitActualError,
    /// 3.8: no TDT for 30 s, two within 25 ms, or another table_id on its PID.
    TdtError,
}

impl Indicator {
    /// How many there are.
    pub const COUNT: usize = 19;

    /// All of them, in the order of the tables.
    pub const ALL: [Self; Self::COUNT] = [
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
    ];

    /// As an index into tables of [`Indicator::COUNT`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in configuration, JSON and metrics: the standard's own, in snake_case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TsSyncLoss => "ts_sync_loss",
            Self::SyncByteError => "sync_byte_error",
            Self::PatError2 => "pat_error_2",
            Self::ContinuityCountError => "continuity_count_error",
            Self::PmtError2 => "pmt_error_2",
            Self::PidError => "pid_error",
            Self::TransportError => "transport_error",
            Self::CrcError => "crc_error",
            Self::PcrRepetitionError => "pcr_repetition_error",
            Self::PcrDiscontinuityIndicatorError => "pcr_discontinuity_indicator_error",
            Self::PcrAccuracyError => "pcr_accuracy_error",
            Self::PtsError => "pts_error",
            Self::CatError => "cat_error",
            Self::NitActualError => "nit_actual_error",
            Self::SiRepetitionError => "si_repetition_error",
            Self::UnreferencedPid => "unreferenced_pid",
            Self::SdtActualError => "sdt_actual_error",
            Self::EitActualError => "eit_actual_error",
            Self::TdtError => "tdt_error",
        }
    }

    /// The number in the tables, `1.3.a`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::TsSyncLoss => "1.1",
            Self::SyncByteError => "1.2",
            Self::PatError2 => "1.3.a",
            Self::ContinuityCountError => "1.4",
            Self::PmtError2 => "1.5.a",
            Self::PidError => "1.6",
            Self::TransportError => "2.1",
            Self::CrcError => "2.2",
            Self::PcrRepetitionError => "2.3a",
            Self::PcrDiscontinuityIndicatorError => "2.3b",
            Self::PcrAccuracyError => "2.4",
            Self::PtsError => "2.5",
            Self::CatError => "2.6",
            Self::NitActualError => "3.1.a",
            Self::SiRepetitionError => "3.2",
            Self::UnreferencedPid => "3.4.a",
            Self::SdtActualError => "3.5.a",
            Self::EitActualError => "3.6.a",
            Self::TdtError => "3.8",
        }
    }

    /// 1: needed for the stream to be decoded at all; 2: to be watched all the time; 3: of use to some.
    pub const fn priority(self) -> u8 {
        match self {
            Self::TsSyncLoss
            | Self::SyncByteError
            | Self::PatError2
            | Self::ContinuityCountError
            | Self::PmtError2
            | Self::PidError => 1,
            Self::TransportError
            | Self::CrcError
            | Self::PcrRepetitionError
            | Self::PcrDiscontinuityIndicatorError
            | Self::PcrAccuracyError
            | Self::PtsError
            | Self::CatError => 2,
            Self::NitActualError
            | Self::SiRepetitionError
            | Self::UnreferencedPid
            | Self::SdtActualError
            | Self::EitActualError
            | Self::TdtError => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_indexed_by_their_own_order() {
        for (i, indicator) in Indicator::ALL.iter().enumerate() {
            assert_eq!(indicator.index(), i);
        }
    }
}
