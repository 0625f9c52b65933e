//! Second priority: table 5.0b.

use changeover::tr101290::Indicator::{
    CatError, ContinuityCountError, CrcError, PcrAccuracyError, PcrDiscontinuityIndicatorError, PcrRepetitionError,
    PtsError, TransportError, UnreferencedPid,
};
use changeover::tr101290::Place;
use changeover::units::Ticks27M;

use crate::Case;
use crate::plant::tables::{long, short};
use crate::plant::{
    AUDIO, EMM, Lane, PMT_1, Stream, TICKS, VIDEO, VIDEO_2, ms, on, one_packet, scramble, spoil, touch,
};

const VIDEO_1: Place = on(VIDEO, 1);

/// A clean stream in which the table of a slot is changed.
fn touched(slot: usize) -> Stream {
    Stream::lasting(3_000).edited(slot, touch)
}

/// The same, and its CRC_32 is wrong.
fn spoiled(slot: usize) -> Stream {
    Stream::lasting(3_000).edited(slot, spoil)
}

fn schedule(edit: fn(&mut [u8; 188])) -> Stream {
    let section = long(0x50, 1, 0, 0, &[0, 1, 0xFF, 1, 1, 0x50]);
    Stream::lasting(3_000).with(2_056, one_packet(0x12, &section)).edited(2_056, edit)
}

/// Both sides of each table's CRC_32, and other cases.
macro_rules! crc {
    ([$($table:literal: $slot:literal, $place:expr;)*] $($case:expr),* $(,)?) => {
        &[
            $(Case::inside(CrcError, $table, "other contents, and right", || touched($slot)),
            Case::outside(CrcError, $table, "a bit of it", || spoiled($slot), &[(CrcError, $place, ms($slot))]),)*
            $($case,)*
        ]
    };
}

pub(crate) const TRANSPORT_AND_CRC: &[Case] = crc! {
    ["PAT": 2_100, on(0, 0);
    "CAT": 2_112, on(1, 0);
    "PMT": 2_104, on(PMT_1, 1);
    "NIT actual": 2_016, on(0x10, 0);
    "NIT other": 2_048, on(0x10, 0);
    "SDT actual": 2_020, on(0x11, 0);
    "SDT other": 2_024, on(0x11, 0);
    "BAT": 2_028, on(0x11, 0);
    "EIT actual": 2_064, on(0x12, 0);
    "EIT other": 2_036, on(0x12, 0);
    "TOT": 44, on(0x14, 0);]
    Case::inside(CrcError, "EIT schedule", "other contents, and right", || schedule(touch)),
    Case::outside(CrcError, "EIT schedule", "a bit of it", || schedule(spoil), &[(CrcError, on(0x12, 0), ms(2_056))]),
    Case::inside(CrcError, "PMT", "a private table on its PID is not looked at", || {
        let section = long(0xC0, 1, 0, 0, &[1, 2, 3]);
        Stream::lasting(3_000).with(2_056, one_packet(PMT_1, &section)).edited(2_056, spoil)
    }),
    Case::inside(CrcError, "TOT", "a TDT has none", || Stream::lasting(3_000).edited(40, |packet| packet[12] ^= 1)),
    Case::inside(TransportError, "transport_error_indicator", "another bit of the header", || {
        Stream::lasting(3_000).edited(2_076, |packet| packet[1] |= 0x20)
    }),
    Case::outside(
        TransportError,
        "transport_error_indicator",
        "on a null packet",
        || Stream::lasting(3_000).edited(2_076, |packet| packet[1] |= 0x80),
        &[(TransportError, on(0x1FFF, 0), ms(2_076))],
    ),
    Case::outside(
        TransportError,
        "transport_error_indicator",
        "on the audio, from which a packet is missing then",
        || Stream::lasting(3_000).edited(2_006, |packet| packet[1] |= 0x80),
        &[(TransportError, on(AUDIO, 0), ms(2_006)), (ContinuityCountError, on(AUDIO, 1), ms(2_022))],
    )
    .missing(1),
};

const AT_2109: &str = "100 ms, by the timer";
const BY_VALUE: &str = "100 ms, by the stream's time";

fn pcr_at_2109() -> Stream {
    Stream::lasting(3_000).without_pcr(Lane::Video, 2_010..2_109)
}

fn pcr_2_at_2111() -> Stream {
    Stream::lasting(3_000).without_pcr(Lane::Video2, 2_012..2_111)
}

/// The clock jumps, so that this step of a PCR, else of 20 ms, is so many ticks.
fn step(ticks: i64) -> Stream {
    Stream::lasting(3_000).clock_jumps(Lane::Video, 2_029, ticks - 540_000)
}

/// The same, and the clock starts again from zero within this step.
fn step_over_the_wrap(ticks: i64) -> Stream {
    let stream = Stream::starting(3_000, Ticks27M::WRAP - 2_010 * TICKS);
    stream.clock_jumps(Lane::Video, 2_029, ticks - 540_000)
}

fn signal(packet: &mut [u8; 188]) {
    packet[5] |= 0x80;
}

pub(crate) const PCR: &[Case] = &[
    Case::inside(PcrRepetitionError, AT_2109, "1 ns less", || pcr_at_2109().early(2_109, 1)),
    Case::outside(
        PcrRepetitionError,
        AT_2109,
        "exactly: the alarm comes at its limit, before what arrives then",
        pcr_at_2109,
        &[(PcrRepetitionError, VIDEO_1, ms(2_109))],
    ),
    Case::outside(
        PcrRepetitionError,
        AT_2109,
        "1 ns more",
        || pcr_at_2109().late(2_109, 1),
        &[(PcrRepetitionError, VIDEO_1, ms(2_109))],
    ),
    Case::outside(
        PcrRepetitionError,
        AT_2109,
        "never again",
        || pcr_at_2109().without_pcr(Lane::Video, 2_109..3_000),
        &[(PcrRepetitionError, VIDEO_1, ms(2_109))],
    )
    .absent(&[PcrRepetitionError]),
    Case::outside(
        PcrRepetitionError,
        AT_2109,
        "180 ms, which is also a step outside 0…100 ms",
        || pcr_at_2109().without_pcr(Lane::Video, 2_109..2_189),
        &[(PcrRepetitionError, VIDEO_1, ms(2_109)), (PcrDiscontinuityIndicatorError, VIDEO_1, ms(2_189))],
    ),
    Case::outside(
        PcrRepetitionError,
        AT_2109,
        "from the PMT on, of a PID that has none yet",
        || Stream::lasting(3_000).without_pcr(Lane::Video2, 0..2_000),
        &[(PcrRepetitionError, on(VIDEO_2, 2), ms(108))],
    ),
    Case::inside(PcrRepetitionError, BY_VALUE, "2,700,000 ticks", || pcr_at_2109().early(2_109, 1)),
    Case::outside(
        PcrRepetitionError,
        BY_VALUE,
        "2,700,001 ticks that arrive sooner, which is also a step outside 0…100 ms",
        || pcr_at_2109().early(2_109, 1).pcr_off(2_109, 1),
        &[(PcrDiscontinuityIndicatorError, VIDEO_1, ms(2_109) - 1), (PcrRepetitionError, VIDEO_1, ms(2_109) - 1)],
    ),
    Case::inside(PcrRepetitionError, "each program", "the second one's 1 ns less", || pcr_2_at_2111().early(2_111, 1)),
    Case::outside(
        PcrRepetitionError,
        "each program",
        "only the second one's are missing",
        || pcr_2_at_2111().without_pcr(Lane::Video2, 2_111..3_000),
        &[(PcrRepetitionError, on(VIDEO_2, 2), ms(2_111))],
    )
    .absent(&[PcrRepetitionError]),
    Case::inside(PcrDiscontinuityIndicatorError, "+100 ms", "2,700,000 ticks", || step(2_700_000)),
    Case::outside(
        PcrDiscontinuityIndicatorError,
        "+100 ms",
        "2,700,001 ticks",
        || step(2_700_001),
        &[(PcrDiscontinuityIndicatorError, VIDEO_1, ms(2_029))],
    ),
    Case::inside(PcrDiscontinuityIndicatorError, "0", "the same again", || step(0)),
    Case::outside(
        PcrDiscontinuityIndicatorError,
        "0",
        "a tick backwards",
        || step(-1),
        &[(PcrDiscontinuityIndicatorError, VIDEO_1, ms(2_029))],
    ),
    Case::inside(PcrDiscontinuityIndicatorError, "across the wrap", "20 ms", || step_over_the_wrap(540_000)),
    Case::inside(PcrDiscontinuityIndicatorError, "across the wrap", "2,700,000 ticks", || {
        step_over_the_wrap(2_700_000)
    }),
    Case::outside(
        PcrDiscontinuityIndicatorError,
        "across the wrap",
        "2,700,001 ticks",
        || step_over_the_wrap(2_700_001),
        &[(PcrDiscontinuityIndicatorError, VIDEO_1, ms(2_029))],
    ),
    Case::inside(PcrDiscontinuityIndicatorError, "discontinuity_indicator", "an hour, with it", || {
        step(3_600 * 27_000_000).edited(2_029, signal)
    }),
    Case::outside(
        PcrDiscontinuityIndicatorError,
        "discontinuity_indicator",
        "an hour, without",
        || step(3_600 * 27_000_000),
        &[(PcrDiscontinuityIndicatorError, VIDEO_1, ms(2_029))],
    ),
    Case::outside(
        PcrDiscontinuityIndicatorError,
        "discontinuity_indicator",
        "an hour, and it comes one PCR late",
        || step(3_600 * 27_000_000).edited(2_049, signal),
        &[(PcrDiscontinuityIndicatorError, VIDEO_1, ms(2_029))],
    ),
    Case::inside(PcrAccuracyError, "±500 ns", "13 ticks, 481 ns", || Stream::lasting(4_000).pcr_off(2_029, 13)),
    Case::inside(PcrAccuracyError, "±500 ns", "13 ticks too early", || Stream::lasting(4_000).pcr_off(2_029, -13)),
    Case::outside(
        PcrAccuracyError,
        "±500 ns",
        "14 ticks, 518.5 ns",
        || Stream::lasting(4_000).pcr_off(2_029, 14),
        &[(PcrAccuracyError, VIDEO_1, ms(2_029))],
    ),
    Case::outside(
        PcrAccuracyError,
        "±500 ns",
        "14 ticks too early",
        || Stream::lasting(4_000).pcr_off(2_029, -14),
        &[(PcrAccuracyError, VIDEO_1, ms(2_029))],
    ),
    Case::outside(
        PcrAccuracyError,
        "±500 ns",
        "one PCR is 50 µs off, which is one event",
        || Stream::lasting(4_000).pcr_off(2_029, 1_350),
        &[(PcrAccuracyError, VIDEO_1, ms(2_029))],
    ),
    Case::inside(PcrAccuracyError, "±500 ns", "nothing can be said where the rate is not constant", || {
        Stream::lasting(4_000).at_no_constant_rate()
    }),
];

fn pts_at_2701() -> Stream {
    Stream::lasting(4_000).without_pts(Lane::Video, 2_002..2_701)
}

fn pts_at_2702() -> Stream {
    Stream::lasting(4_000).without_pts(Lane::Audio, 2_003..2_702)
}

/// Scrambled video from 2,005 ms, and no CAT from 2,112 ms but for one at 2,612.
fn cat_at_2612() -> Stream {
    Stream::lasting(4_000).all(Lane::Video, 2_002..4_000, scramble).without(Lane::Cat, 2_113..2_612)
}

/// The first scrambled packet comes at 2,021 ms, the first CAT then.
fn first_cat_at(at: i64) -> Stream {
    let stream = Stream::lasting(4_000).all(Lane::Video, 2_010..4_000, scramble);
    stream.without(Lane::Cat, 0..2_512).without(Lane::Emm, 0..2_512).arriving(2_512, at)
}

/// Scrambled video from 2,005 to 2,389 ms in a stream that has no CAT.
fn scrambled_with_no_cat(slots: usize) -> Stream {
    let stream = Stream::lasting(slots).without(Lane::Cat, 0..slots).without(Lane::Emm, 0..slots);
    stream.all(Lane::Video, 2_002..2_400, scramble)
}

pub(crate) const PTS_AND_CAT: &[Case] = &[
    Case::inside(PtsError, "video 700 ms", "1 ns less", || pts_at_2701().early(2_701, 1)),
    Case::outside(PtsError, "video 700 ms", "exactly", pts_at_2701, &[(PtsError, VIDEO_1, ms(2_701))]),
    Case::outside(
        PtsError,
        "video 700 ms",
        "1 ns more",
        || pts_at_2701().late(2_701, 1),
        &[(PtsError, VIDEO_1, ms(2_701))],
    ),
    Case::inside(PtsError, "audio 700 ms", "1 ns less", || pts_at_2702().early(2_702, 1)),
    Case::outside(PtsError, "audio 700 ms", "exactly", pts_at_2702, &[(PtsError, on(AUDIO, 1), ms(2_702))]),
    Case::outside(
        PtsError,
        "audio 700 ms",
        "from the PMT on, of a PID that has none yet",
        || Stream::lasting(4_000).without_pts(Lane::Audio, 0..2_000),
        &[(PtsError, on(AUDIO, 1), ms(704))],
    ),
    Case::outside(
        PtsError,
        "audio 700 ms",
        "none ever",
        || Stream::lasting(4_000).without_pts(Lane::Audio, 0..4_000),
        &[(PtsError, on(AUDIO, 1), ms(704))],
    )
    .absent(&[PtsError]),
    Case::inside(PtsError, "not scrambled", "where it is, its presence is enough", || {
        let stream = Stream::lasting(4_000).without_pts(Lane::Video, 2_002..4_000);
        stream.all(Lane::Video, 2_002..4_000, scramble)
    }),
    Case::outside(
        PtsError,
        "not scrambled",
        "the same in clear",
        || Stream::lasting(4_000).without_pts(Lane::Video, 2_002..4_000),
        &[(PtsError, VIDEO_1, ms(2_701))],
    )
    .absent(&[PtsError]),
    Case::outside(
        PtsError,
        "not scrambled",
        "a second in clear between scrambled ones",
        || {
            let stream = Stream::lasting(4_000).without_pts(Lane::Video, 1_000..4_000);
            stream.all(Lane::Video, 1_000..2_002, scramble).all(Lane::Video, 3_001..4_000, scramble)
        },
        &[(PtsError, VIDEO_1, ms(2_701))],
    ),
    Case::inside(CatError, "500 ms", "1 ns less", || cat_at_2612().early(2_612, 1)),
    Case::outside(CatError, "500 ms", "exactly", cat_at_2612, &[(CatError, Place::STREAM, ms(2_612))]),
    Case::outside(
        CatError,
        "500 ms",
        "1 ns more",
        || cat_at_2612().late(2_612, 1),
        &[(CatError, Place::STREAM, ms(2_612))],
    ),
    Case::inside(CatError, "no CAT yet", "1 ns before the limit", || first_cat_at(ms(2_521) - 1)),
    Case::outside(
        CatError,
        "no CAT yet",
        "at the limit",
        || first_cat_at(ms(2_521)),
        &[(CatError, Place::STREAM, ms(2_521))],
    ),
    Case::inside(CatError, "scrambled", "nothing is, and there is no CAT", || {
        Stream::lasting(4_000).without(Lane::Cat, 0..4_000).without(Lane::Emm, 0..4_000)
    }),
    Case::inside(CatError, "scrambled", "nothing was for a second when the CAT is missed", || {
        Stream::lasting(6_000).all(Lane::Video, 2_002..2_100, scramble).without(Lane::Cat, 2_700..6_000)
    }),
    Case::outside(
        CatError,
        "scrambled",
        "something is",
        || scrambled_with_no_cat(3_389),
        &[(CatError, Place::STREAM, ms(2_505))],
    ),
    Case::outside(
        CatError,
        "scrambled",
        "something was, 1 s ago: the alarm clears",
        || scrambled_with_no_cat(3_390),
        &[(CatError, Place::STREAM, ms(2_505))],
    ),
    Case::inside(CatError, "table_id 0x01", "stuffing is no table", || {
        Stream::lasting(3_000).with(2_056, one_packet(1, &[0xFF; 100]))
    }),
    Case::outside(
        CatError,
        "table_id 0x01",
        "0x80",
        || Stream::lasting(3_000).with(2_056, one_packet(1, &short(0x80, &[0; 9]))),
        &[(CatError, on(1, 0), ms(2_056))],
    ),
    Case::inside(CatError, "one scrambled packet", "in clear", || {
        Stream::lasting(3_000).without(Lane::Cat, 0..3_000).without(Lane::Emm, 0..3_000)
    }),
    Case::outside(
        CatError,
        "one scrambled packet",
        "is enough, and an EMM that no CAT names is unreferenced",
        || Stream::lasting(3_000).without(Lane::Cat, 0..3_000).edited(2_003, scramble),
        &[(UnreferencedPid, on(EMM, 0), ms(539)), (CatError, Place::STREAM, ms(2_503))],
    )
    .absent(&[CatError]),
];
