//! First priority: the PMTs, and the PIDs to which they refer (table 5.0a 1.5.a and 1.6).

use changeover::tr101290::Indicator::{
    self, PcrDiscontinuityIndicatorError, PcrRepetitionError, PidError, PmtError2, PtsError, UnreferencedPid,
};
use changeover::tr101290::Place;

use crate::Case;
use crate::plant::tables::{self, STREAMS_1, long};
use crate::plant::{AUDIO, DATA, ECM, ECM_AUDIO, Lane, PCR_2, PMT_1, PMT_2, Stream, VIDEO, VIDEO_2, ms, on, scramble};

const DATA_1: Place = on(DATA, 1);
const PMT_1_AT: Place = on(PMT_1, 1);
const PMT_2_AT: Place = on(PMT_2, 2);
const VIDEO_1: Place = on(VIDEO, 1);
const AUDIO_1: Place = on(AUDIO, 1);
const PCR_PID: Place = on(PCR_2, 2);

fn pmt_1_at_2504() -> Stream {
    Stream::lasting(4_000).without(Lane::Pmt1, 2_005..2_504)
}

fn pmt_2_at_2508() -> Stream {
    Stream::lasting(4_000).without(Lane::Pmt2, 2_009..2_508)
}

/// The first program's PMT comes no earlier than at this slot, and then at this time.
fn pmt_1_from(slot: usize, at: i64) -> Stream {
    Stream::lasting(3_000).without(Lane::Pmt1, 0..slot).arriving(slot, at)
}

fn video_at_3001() -> Stream {
    Stream::lasting(4_000).without(Lane::Video, 2_002..3_001)
}

fn audio_at_3002() -> Stream {
    Stream::lasting(4_000).without(Lane::Audio, 2_003..3_002)
}

fn data_at_7003() -> Stream {
    Stream::lasting(8_000).without(Lane::Data, 2_004..7_003)
}

fn pcr_pid_at_3013() -> Stream {
    Stream::lasting(4_000).with_pcr_pid().without(Lane::Planted, 2_014..3_013)
}

/// The first program with one stream more, which never comes.
fn with_stream(stream_type: u8, descriptors: &'static [u8]) -> Stream {
    let streams = [&STREAMS_1[..], &[(stream_type, 0x110, descriptors)]].concat();
    Stream::lasting(7_000).replaced(Lane::Pmt1, 0..7_000, &tables::pmt_1(&streams))
}

pub(crate) const PMT_AND_PID: &[Case] = &[
    Case::inside(PmtError2, "500 ms", "1 ns less", || pmt_1_at_2504().early(2_504, 1)),
    Case::outside(PmtError2, "500 ms", "exactly", pmt_1_at_2504, &[(PmtError2, PMT_1_AT, ms(2_504))]),
    Case::outside(
        PmtError2,
        "500 ms",
        "1 ns more",
        || pmt_1_at_2504().late(2_504, 1),
        &[(PmtError2, PMT_1_AT, ms(2_504))],
    ),
    Case::inside(PmtError2, "each program", "the second one's 1 ns less", || pmt_2_at_2508().early(2_508, 1)),
    Case::outside(
        PmtError2,
        "each program",
        "only the second one's is missing",
        || pmt_2_at_2508().without(Lane::Pmt2, 2_508..4_000),
        &[(PmtError2, PMT_2_AT, ms(2_508))],
    )
    .absent(&[PmtError2]),
    Case::inside(PmtError2, "the section, not the PID", "four of other tables, and the PMT in time", || {
        Stream::lasting(4_000).replaced(Lane::Pmt1, 2_005..2_504, &long(0xC0, 1, 0, 0, &[])).early(2_504, 1)
    }),
    Case::outside(
        PmtError2,
        "the section, not the PID",
        "a private table in its place",
        || Stream::lasting(4_000).replaced(Lane::Pmt1, 2_005..4_000, &long(0xC0, 1, 0, 0, &[])),
        &[(PmtError2, PMT_1_AT, ms(2_504))],
    )
    .absent(&[PmtError2]),
    Case::outside(
        PmtError2,
        "the section, not the PID",
        "the PMT of a program that the PAT does not list there",
        || Stream::lasting(4_000).replaced(Lane::Pmt1, 2_005..4_000, &tables::pmt_2(VIDEO_2)),
        &[(PmtError2, PMT_1_AT, ms(2_504))],
    )
    .absent(&[PmtError2]),
    Case::inside(PmtError2, "never there", "the first comes 1 ns before its limit", || pmt_1_from(504, ms(500) - 1)),
    Case::outside(
        PmtError2,
        "never there",
        "the first comes at its limit",
        || pmt_1_from(504, ms(500)),
        &[(PmtError2, PMT_1_AT, ms(500))],
    ),
    Case::outside(
        PmtError2,
        "never there",
        "it never comes, and nothing is referred to by it",
        || Stream::lasting(3_000).without(Lane::Pmt1, 0..3_000),
        NO_PMT,
    )
    .absent(&[PmtError2]),
    Case::outside(
        PmtError2,
        "never there",
        "it comes at last, and the alarm clears",
        || pmt_1_from(2_004, ms(2_004)),
        NO_PMT,
    ),
    Case::inside(PmtError2, "not scrambled", "transport_priority", || {
        Stream::lasting(3_000).edited(2_104, |packet| packet[1] |= 0x20)
    }),
    Case::outside(
        PmtError2,
        "not scrambled",
        "transport_scrambling_control 10",
        || Stream::lasting(3_000).edited(2_104, scramble),
        &[(PmtError2, PMT_1_AT, ms(2_104))],
    ),
    Case::inside(PidError, "video 1 s", "1 ns less: its PCR and PTS are missed", || video_at_3001().early(3_001, 1))
        .but(&[
            (PcrRepetitionError, VIDEO_1, ms(2_089)),
            (PtsError, VIDEO_1, ms(2_701)),
            (PcrDiscontinuityIndicatorError, VIDEO_1, ms(3_009)),
        ]),
    Case::outside(
        PidError,
        "video 1 s",
        "exactly",
        video_at_3001,
        &[
            (PcrRepetitionError, VIDEO_1, ms(2_089)),
            (PtsError, VIDEO_1, ms(2_701)),
            (PidError, VIDEO_1, ms(3_001)),
            (PcrDiscontinuityIndicatorError, VIDEO_1, ms(3_009)),
        ],
    ),
    Case::inside(PidError, "audio 1 s", "1 ns less: its PTS is missed", || audio_at_3002().early(3_002, 1)).but(&[(
        PtsError,
        AUDIO_1,
        ms(2_702),
    )]),
    Case::outside(
        PidError,
        "audio 1 s",
        "exactly",
        audio_at_3002,
        &[(PtsError, AUDIO_1, ms(2_702)), (PidError, AUDIO_1, ms(3_002))],
    ),
    Case::outside(
        PidError,
        "audio 1 s",
        "it never comes",
        || Stream::lasting(3_000).without(Lane::Audio, 0..3_000),
        &[(PtsError, AUDIO_1, ms(704)), (PidError, AUDIO_1, ms(1_004))],
    )
    .absent(&[PidError, PtsError]),
    Case::outside(
        PidError,
        "audio 1 s",
        "it comes at last, and the alarms clear",
        || Stream::lasting(3_000).without(Lane::Audio, 0..2_000),
        &[(PtsError, AUDIO_1, ms(704)), (PidError, AUDIO_1, ms(1_004))],
    ),
    Case::inside(PidError, "data 5 s", "1 ns less", || data_at_7003().early(7_003, 1)),
    Case::outside(PidError, "data 5 s", "exactly", data_at_7003, &[(PidError, DATA_1, ms(7_003))]),
    Case::inside(PidError, "a PCR_PID 1 s", "1 ns less: its PCR is missed", || pcr_pid_at_3013().early(3_013, 1))
        .but(&[(PcrRepetitionError, PCR_PID, ms(2_113)), (PcrDiscontinuityIndicatorError, PCR_PID, ms(3_013) - 1)]),
    Case::outside(
        PidError,
        "a PCR_PID 1 s",
        "exactly",
        pcr_pid_at_3013,
        &[
            (PcrRepetitionError, PCR_PID, ms(2_113)),
            (PidError, PCR_PID, ms(3_013)),
            (PcrDiscontinuityIndicatorError, PCR_PID, ms(3_013)),
        ],
    ),
    Case::inside(PidError, "what must come all the time", "splice information need not", || with_stream(0x86, &[])),
    Case::inside(PidError, "what must come all the time", "subtitles need not", || {
        with_stream(0x06, b"\x59\x08deu\x10\x00\x01\x00\x01")
    }),
    Case::outside(
        PidError,
        "what must come all the time",
        "private PES must",
        || with_stream(0x06, &[]),
        &[(PidError, on(0x110, 1), ms(5_004))],
    )
    .absent(&[PidError]),
];

const NO_PMT: &[(Indicator, Place, i64)] = &[
    (PmtError2, PMT_1_AT, ms(500)),
    (UnreferencedPid, on(VIDEO, 0), ms(501)),
    (UnreferencedPid, on(AUDIO, 0), ms(502)),
    (UnreferencedPid, on(DATA, 0), ms(503)),
    (UnreferencedPid, on(ECM, 0), ms(519)),
    (UnreferencedPid, on(ECM_AUDIO, 0), ms(559)),
];
