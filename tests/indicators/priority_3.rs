//! Third priority: table 5.0c.

use changeover::tr101290::Indicator::{
    EitActualError, NitActualError, PcrRepetitionError, PidError, SdtActualError, SiRepetitionError, TdtError,
    UnreferencedPid,
};
use changeover::tr101290::Place;

use crate::Case;
use crate::plant::tables::{self, STREAMS_1, long, short};
use crate::plant::{AUDIO, DATA, ECM, ECM_AUDIO, EMM, Lane, PCR_2, PMT_1, PMT_2, Stream, VIDEO, ms, on, one_packet};

const NIT: Place = on(0x10, 0);
const SDT: Place = on(0x11, 0);
const EIT: Place = on(0x12, 0);
const TDT: Place = on(0x14, 0);

/// One section of the table of a lane, at the slot `last`, and the next at the slot `next`.
fn gap(lane: Lane, last: usize, next: usize) -> Stream {
    Stream::lasting(next + 1_000).without(lane, last + 1..next)
}

/// What stands in a slot, again in a free one, which arrives then.
fn again(from: usize, to: usize, at: i64) -> Stream {
    Stream::lasting(to + 1_000).again(from, to, at)
}

/// A section on a PID, 48 ms after anything else there.
fn carrying(pid: u16, section: &[u8]) -> Stream {
    Stream::lasting(3_000).with(2_096, one_packet(pid, section))
}

/// A stream that has nothing of `lanes`.
fn lacking(slots: usize, lanes: &[Lane]) -> Stream {
    lanes.iter().fold(Stream::lasting(slots), |stream, &lane| stream.without(lane, 0..slots))
}

fn stuffing() -> Vec<u8> {
    short(0x72, &[0xFF; 20])
}

/// Both sides of the longest interval and of the shortest.
macro_rules! intervals {
    ([$($indicator:ident, $place:ident, $lane:ident: $longest:literal from $last:literal to $next:literal,
        $gap:literal from $first:literal in $free:literal;)*] $($case:expr),* $(,)?) => {
        &[
            $(Case::inside($indicator, $longest, "1 ns less", || gap(Lane::$lane, $last, $next).early($next, 1)),
            Case::outside(
                $indicator,
                $longest,
                "exactly",
                || gap(Lane::$lane, $last, $next),
                &[($indicator, $place, ms($next))],
            ),
            Case::outside(
                $indicator,
                $longest,
                "never again",
                || gap(Lane::$lane, $last, $next).without(Lane::$lane, $next..$next + 1_000),
                &[($indicator, $place, ms($next))],
            )
            .absent(&[$indicator]),
            Case::inside($indicator, $gap, "25 ms", || again($first, $free, ms($first + 25))),
            Case::outside(
                $indicator,
                $gap,
                "24.999999 ms",
                || again($first, $free, ms($first + 25) - 1),
                &[($indicator, $place, ms($first + 25) - 1)],
            ),)*
            $($case,)*
        ]
    };
}

pub(crate) const NETWORK: &[Case] = intervals! {
    [NitActualError, NIT, NitActual: "10 s" from 2_016 to 12_016, "25 ms" from 2_016 in 2_040;
    SiRepetitionError, NIT, NitOther: "NIT other 10 s" from 2_048 to 12_048, "NIT other 25 ms" from 2_048 in 2_073;
    SiRepetitionError, SDT, SdtOther: "SDT other 10 s" from 2_024 to 12_024, "SDT other 25 ms" from 2_024 in 2_044;
    SiRepetitionError, SDT, Bat: "BAT 10 s" from 2_028 to 12_028, "BAT 25 ms" from 2_028 in 2_053;
    SiRepetitionError, EIT, EitOther: "EIT other 10 s" from 2_036 to 12_036, "EIT other 25 ms" from 2_036 in 2_060;
    SiRepetitionError, TDT, Tot: "TOT 30 s" from 5_044 to 35_044, "TOT 25 ms" from 5_044 in 5_068;
    TdtError, TDT, Tdt: "30 s" from 5_040 to 35_040, "25 ms" from 5_040 in 5_060;]
    Case::inside(NitActualError, "waited for", "not where no PAT names its PID", || {
        let stream = lacking(12_000, &[Lane::NitActual, Lane::NitOther]);
        stream.replaced(Lane::Pat, 0..12_000, &tables::pat(0, 0, &[(1, PMT_1), (2, PMT_2)]))
    }),
    Case::outside(
        NitActualError,
        "waited for",
        "from the PAT on that names its PID",
        || lacking(12_000, &[Lane::NitActual]),
        &[(NitActualError, NIT, ms(10_000))],
    )
    .absent(&[NitActualError]),
    Case::inside(NitActualError, "table_id 0x40, 0x41, 0x72", "0x41", || carrying(0x10, &tables::nit(0x41, 2))),
    Case::inside(NitActualError, "table_id 0x40, 0x41, 0x72", "0x72", || carrying(0x10, &stuffing())),
    Case::outside(
        NitActualError,
        "table_id 0x40, 0x41, 0x72",
        "0x42",
        || carrying(0x10, &tables::sdt(0x42, 9, false)),
        &[(NitActualError, NIT, ms(2_096))],
    ),
    Case::inside(SiRepetitionError, "EIT schedule 25 ms", "25 ms", || schedule(ms(2_081))),
    Case::outside(
        SiRepetitionError,
        "EIT schedule 25 ms",
        "24.999999 ms",
        || schedule(ms(2_081) - 1),
        &[(SiRepetitionError, EIT, ms(2_081) - 1)],
    ),
    Case::inside(SiRepetitionError, "waited for", "only what came once", || {
        lacking(31_000, &[Lane::NitOther, Lane::SdtOther, Lane::Bat, Lane::EitOther, Lane::Tot])
    }),
    Case::outside(
        SiRepetitionError,
        "waited for",
        "what came once",
        || lacking(12_000, &[Lane::Bat]).with(1_053, one_packet(0x11, &tables::bat())),
        &[(SiRepetitionError, SDT, ms(11_053))],
    )
    .absent(&[SiRepetitionError]),
    Case::inside(TdtError, "waited for", "not where no PAT names the network's PID", || {
        let stream = lacking(31_000, &[Lane::Tdt]);
        stream.replaced(Lane::Pat, 0..31_000, &tables::pat(0, 0, &[(1, PMT_1), (2, PMT_2)]))
    }),
    Case::outside(
        TdtError,
        "waited for",
        "from the PAT on that names the network's PID",
        || lacking(31_000, &[Lane::Tdt]),
        &[(TdtError, TDT, ms(30_000))],
    )
    .absent(&[TdtError]),
    Case::inside(TdtError, "table_id 0x70, 0x72, 0x73", "0x73", || carrying(0x14, &tables::tot())),
    Case::inside(TdtError, "table_id 0x70, 0x72, 0x73", "0x72", || carrying(0x14, &stuffing())),
    Case::outside(
        TdtError,
        "table_id 0x70, 0x72, 0x73",
        "0x71",
        || carrying(0x14, &short(0x71, &[0; 5])),
        &[(TdtError, TDT, ms(2_096))],
    ),
};

/// Two sections of a schedule, at 2,056 ms and then.
fn schedule(at: i64) -> Stream {
    let section = |number| one_packet(0x12, &long(0x50, 1, number, 8, &[0, 1, 0xFF, 1, 8, 0x50]));
    Stream::lasting(3_000).with(2_056, section(0)).with(2_080, section(8)).arriving(2_080, at)
}

/// A PID of which a packet comes every 20 ms from 2,013 ms on.
fn stray(pid: u16) -> Stream {
    Stream::lasting(3_000).with_pid(pid, 2_013..3_000)
}

/// The same, and the PMT names it in the section that arrives then.
fn named_at(at: i64) -> Stream {
    let streams = [&STREAMS_1[..], &[(0x05, 0x300, &[])]].concat();
    let naming = tables::pmt_1(&streams);
    let stream = stray(0x300).without(Lane::Pmt1, 2_504..2_505).replaced(Lane::Pmt1, 2_505..3_000, &naming);
    stream.with(2_514, one_packet(PMT_1, &naming)).arriving(2_514, at)
}

/// From 2,104 ms on the PMT does not name the data any more.
fn data_dropped() -> Stream {
    Stream::lasting(4_000).replaced(Lane::Pmt1, 2_104..4_000, &tables::pmt_1(&STREAMS_1[..2]))
}

/// The first program's PMT all along.
fn with_pmt(section: &[u8]) -> Stream {
    Stream::lasting(3_000).replaced(Lane::Pmt1, 0..3_000, section)
}

pub(crate) const REFERENCES: &[Case] = &[
    Case::inside(UnreferencedPid, "500 ms", "a PMT names it 1 ns before", || named_at(ms(2_513) - 1)),
    Case::outside(
        UnreferencedPid,
        "500 ms",
        "a PMT names it then",
        || named_at(ms(2_513)),
        &[(UnreferencedPid, on(0x300, 0), ms(2_513))],
    ),
    Case::outside(
        UnreferencedPid,
        "500 ms",
        "nothing names it: once, and not for each packet",
        || stray(0x300),
        &[(UnreferencedPid, on(0x300, 0), ms(2_513))],
    ),
    Case::inside(UnreferencedPid, "what left its PMT", "and is not sent any more", || {
        data_dropped().without(Lane::Data, 2_104..4_000)
    }),
    Case::outside(
        UnreferencedPid,
        "what left its PMT",
        "and is sent: from its next packet on",
        data_dropped,
        &[(UnreferencedPid, on(DATA, 0), ms(2_623))],
    ),
    Case::outside(
        UnreferencedPid,
        "what left its PMT",
        "and is sent again later",
        || data_dropped().without(Lane::Data, 2_104..3_003),
        &[(UnreferencedPid, on(DATA, 0), ms(3_503))],
    ),
    Case::inside(UnreferencedPid, "reserved PIDs", "0x02", || stray(0x02)),
    Case::inside(UnreferencedPid, "reserved PIDs", "0x1F", || stray(0x1F)),
    Case::inside(UnreferencedPid, "reserved PIDs", "the base PID of ATSC", || stray(0x1FFB)),
    Case::outside(
        UnreferencedPid,
        "reserved PIDs",
        "0x20",
        || stray(0x20),
        &[(UnreferencedPid, on(0x20, 0), ms(2_513))],
    ),
    Case::outside(
        UnreferencedPid,
        "reserved PIDs",
        "0x1FFE",
        || stray(0x1FFE),
        &[(UnreferencedPid, on(0x1FFE, 0), ms(2_513))],
    ),
    Case::inside(UnreferencedPid, "ECMs of a program", "its CA_descriptor names them", || {
        with_pmt(&tables::pmt_1(&STREAMS_1))
    }),
    Case::outside(
        UnreferencedPid,
        "ECMs of a program",
        "it has none",
        || with_pmt(&tables::pmt(1, VIDEO, &[], &STREAMS_1)),
        &[(UnreferencedPid, on(ECM, 0), ms(519))],
    ),
    Case::inside(UnreferencedPid, "ECMs of a stream", "its CA_descriptor names them", || {
        with_pmt(&tables::pmt_1(&STREAMS_1))
    }),
    Case::outside(
        UnreferencedPid,
        "ECMs of a stream",
        "it has none",
        || with_pmt(&tables::pmt_1(&[STREAMS_1[0], (0x03, AUDIO, &[]), STREAMS_1[2]])),
        &[(UnreferencedPid, on(ECM_AUDIO, 0), ms(559))],
    ),
    Case::inside(UnreferencedPid, "EMMs", "the CAT names them", || Stream::lasting(3_000)),
    Case::outside(
        UnreferencedPid,
        "EMMs",
        "the CAT is empty",
        || Stream::lasting(3_000).replaced(Lane::Cat, 0..3_000, &tables::cat(&[])),
        &[(UnreferencedPid, on(EMM, 0), ms(539))],
    ),
    Case::inside(UnreferencedPid, "a PCR_PID", "the PMT names it", || Stream::lasting(3_000).with_pcr_pid()),
    Case::outside(
        UnreferencedPid,
        "a PCR_PID",
        "the PMT names another, which never comes",
        || Stream::lasting(3_000).with_pcr_pid().replaced(Lane::Pmt2, 0..3_000, &tables::pmt_2(0x202)),
        &[
            (PcrRepetitionError, on(0x202, 2), ms(108)),
            (UnreferencedPid, on(PCR_2, 0), ms(513)),
            (PidError, on(0x202, 2), ms(1_008)),
        ],
    )
    .absent(&[PidError, PcrRepetitionError]),
];

const EVENTS: [Lane; 2] = [Lane::EitPresent, Lane::EitFollowing];

fn no_events_announced(stream: Stream) -> Stream {
    let end = stream.slots.len();
    stream.replaced(Lane::SdtActual, 0..end, &tables::sdt(0x42, 1, false))
}

/// The first SDT is the one at 20 ms, which arrives then; the first service information comes at 16 ms.
fn first_sdt_at(at: i64) -> Stream {
    Stream::lasting(3_000).without(Lane::SdtActual, 0..2_020).arriving(2_020, at)
}

pub(crate) const SERVICES: &[Case] = intervals! {
    [SdtActualError, SDT, SdtActual: "2 s" from 2_020 to 4_020, "25 ms" from 2_020 in 2_040;]
    Case::inside(SdtActualError, "waited for", "from the first service information on, 1 ns less", || {
        first_sdt_at(ms(2_016) - 1)
    }),
    Case::outside(
        SdtActualError,
        "waited for",
        "from the first service information on",
        || first_sdt_at(ms(2_016)),
        &[(SdtActualError, SDT, ms(2_016))],
    ),
    Case::inside(SdtActualError, "table_id 0x42, 0x46, 0x4A, 0x72", "0x46", || carrying(0x11, &tables::sdt(0x46, 3, true))),
    Case::inside(SdtActualError, "table_id 0x42, 0x46, 0x4A, 0x72", "0x4A", || carrying(0x11, &tables::bat())),
    Case::inside(SdtActualError, "table_id 0x42, 0x46, 0x4A, 0x72", "0x72", || carrying(0x11, &stuffing())),
    Case::outside(
        SdtActualError,
        "table_id 0x42, 0x46, 0x4A, 0x72",
        "0x40",
        || carrying(0x11, &tables::nit(0x40, 1)),
        &[(SdtActualError, SDT, ms(2_096))],
    ),
    Case::inside(EitActualError, "present 2 s", "1 ns less", || gap(Lane::EitPresent, 2_032, 4_032).early(4_032, 1)),
    Case::outside(
        EitActualError,
        "present 2 s",
        "exactly",
        || gap(Lane::EitPresent, 2_032, 4_032),
        &[(EitActualError, EIT, ms(4_032))],
    ),
    Case::inside(EitActualError, "following 2 s", "1 ns less", || gap(Lane::EitFollowing, 2_064, 4_064).early(4_064, 1)),
    Case::outside(
        EitActualError,
        "following 2 s",
        "never again",
        || gap(Lane::EitFollowing, 2_064, 4_064).without(Lane::EitFollowing, 4_064..5_064),
        &[(EitActualError, EIT, ms(4_064))],
    )
    .absent(&[EitActualError]),
    Case::inside(EitActualError, "25 ms", "25 ms between the two", || {
        Stream::lasting(3_000).arriving(2_064, ms(2_057))
    }),
    Case::outside(
        EitActualError,
        "25 ms",
        "24.999999 ms between the two",
        || Stream::lasting(3_000).arriving(2_064, ms(2_057) - 1),
        &[(EitActualError, EIT, ms(2_057) - 1)],
    ),
    Case::inside(EitActualError, "waited for", "not where no SDT announces events", || {
        no_events_announced(lacking(3_000, &EVENTS))
    }),
    Case::outside(
        EitActualError,
        "waited for",
        "both, from the SDT on that announces events",
        || lacking(3_000, &EVENTS),
        &[(EitActualError, EIT, ms(2_020)), (EitActualError, EIT, ms(2_020))],
    )
    .absent(&[EitActualError]),
    Case::outside(
        EitActualError,
        "waited for",
        "the following one, though the present one comes",
        || lacking(3_000, &[Lane::EitFollowing]),
        &[(EitActualError, EIT, ms(2_020))],
    )
    .absent(&[EitActualError]),
    Case::outside(
        EitActualError,
        "waited for",
        "what came once, though no SDT announces it",
        || no_events_announced(Stream::lasting(3_000)).without(Lane::EitPresent, 533..3_000),
        &[(EitActualError, EIT, ms(2_532))],
    )
    .absent(&[EitActualError]),
    Case::inside(EitActualError, "table_id 0x4E to 0x6F, 0x72", "0x6F", || carrying(0x12, &tables::eit(0x6F, 0))),
    Case::inside(EitActualError, "table_id 0x4E to 0x6F, 0x72", "0x72", || carrying(0x12, &stuffing())),
    Case::outside(
        EitActualError,
        "table_id 0x4E to 0x6F, 0x72",
        "0x4D",
        || carrying(0x12, &tables::eit(0x4D, 0)),
        &[(EitActualError, EIT, ms(2_096))],
    ),
    Case::outside(
        EitActualError,
        "table_id 0x4E to 0x6F, 0x72",
        "0x70",
        || carrying(0x12, &tables::tdt()),
        &[(EitActualError, EIT, ms(2_096))],
    ),
};
