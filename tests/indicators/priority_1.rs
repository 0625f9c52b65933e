//! First priority: synchronisation, and the PAT (table 5.0a 1.1 to 1.3.a).

use changeover::tr101290::Indicator::{
    self, ContinuityCountError, CrcError, PatError2, SyncByteError, TsSyncLoss, UnreferencedPid,
};
use changeover::tr101290::Place;

use crate::Case;
use crate::plant::{
    AUDIO, DATA, ECM, ECM_AUDIO, Lane, PMT_1, PMT_2, Stream, VIDEO, VIDEO_2, ms, on, one_packet, scramble, spoil,
    tables,
};

const STREAM: Place = Place::STREAM;

fn bad_sync(packet: &mut [u8; 188]) {
    packet[0] = 0x46;
}

/// Null packets from 2,070 to 2,090 ms, those in these slots with a wrong sync byte.
fn disturbed(slots: &[usize]) -> Stream {
    let stream = Stream::lasting(3_000).cleared(2_070..2_090);
    slots.iter().fold(stream, |stream, &slot| stream.edited(slot, bad_sync))
}

fn ended(mut stream: Stream, slots: usize) -> Stream {
    stream.slots.truncate(slots);
    stream
}

pub(crate) const SYNCHRONISATION: &[Case] = &[
    Case::inside(TsSyncLoss, "2 wrong in a row", "one, a good one, one", || disturbed(&[2_073, 2_075]))
        .but(&[(SyncByteError, STREAM, ms(2_073)), (SyncByteError, STREAM, ms(2_075))]),
    Case::outside(
        TsSyncLoss,
        "2 wrong in a row",
        "two",
        || disturbed(&[2_073, 2_074]),
        &[(SyncByteError, STREAM, ms(2_073)), (SyncByteError, STREAM, ms(2_074)), (TsSyncLoss, STREAM, ms(2_074))],
    ),
    Case::inside(TsSyncLoss, "5 good regain", "after four good ones a further loss is none", || {
        disturbed(&[2_073, 2_074, 2_079, 2_080])
    })
    .but(&[
        (SyncByteError, STREAM, ms(2_073)),
        (SyncByteError, STREAM, ms(2_074)),
        (TsSyncLoss, STREAM, ms(2_074)),
        (SyncByteError, STREAM, ms(2_079)),
        (SyncByteError, STREAM, ms(2_080)),
    ]),
    Case::outside(
        TsSyncLoss,
        "5 good regain",
        "after five good ones it is lost anew",
        || disturbed(&[2_073, 2_074, 2_080, 2_081]),
        &[
            (SyncByteError, STREAM, ms(2_073)),
            (SyncByteError, STREAM, ms(2_074)),
            (TsSyncLoss, STREAM, ms(2_074)),
            (SyncByteError, STREAM, ms(2_080)),
            (SyncByteError, STREAM, ms(2_081)),
            (TsSyncLoss, STREAM, ms(2_081)),
        ],
    ),
    Case::inside(TsSyncLoss, "the state", "it ends with the fifth good one", || {
        ended(disturbed(&[2_073, 2_074]), 2_080)
    })
    .but(&[
        (SyncByteError, STREAM, ms(2_073)),
        (SyncByteError, STREAM, ms(2_074)),
        (TsSyncLoss, STREAM, ms(2_074)),
    ]),
    Case::outside(
        TsSyncLoss,
        "the state",
        "it lasts over the fourth good one",
        || ended(disturbed(&[2_073, 2_074]), 2_079),
        &[(SyncByteError, STREAM, ms(2_073)), (SyncByteError, STREAM, ms(2_074)), (TsSyncLoss, STREAM, ms(2_074))],
    )
    .absent(&[TsSyncLoss]),
    Case::inside(SyncByteError, "0x47", "0x47, whatever follows", || {
        Stream::lasting(3_000).edited(2_076, |packet| packet[4..].fill(0x46))
    }),
    Case::outside(
        SyncByteError,
        "0x47",
        "0x46",
        || Stream::lasting(3_000).edited(2_076, bad_sync),
        &[(SyncByteError, STREAM, ms(2_076))],
    ),
    Case::outside(
        SyncByteError,
        "0x47",
        "0x46 on a packet that is not believed then, and missing",
        || Stream::lasting(3_000).edited(2_003, bad_sync),
        &[(SyncByteError, STREAM, ms(2_003)), (ContinuityCountError, on(DATA, 1), ms(2_023))],
    )
    .missing(1),
];

const PAT_AT: Place = on(0, 0);

/// No PAT from 2,000 ms, but for one at 2,500.
fn pat_at_2500() -> Stream {
    Stream::lasting(4_000).without(Lane::Pat, 2_001..2_500)
}

/// A packet of PID 0 that has nothing but stuffing in it.
fn stuffing(packet: &mut [u8; 188]) {
    packet[4] = 0;
    packet[5..].fill(0xFF);
}

pub(crate) const PAT: &[Case] = &[
    Case::inside(PatError2, "500 ms", "1 ns less", || pat_at_2500().early(2_500, 1)),
    Case::outside(
        PatError2,
        "500 ms",
        "exactly: the alarm comes at its limit, before what arrives then",
        pat_at_2500,
        &[(PatError2, PAT_AT, ms(2_500))],
    ),
    Case::outside(PatError2, "500 ms", "1 ns more", || pat_at_2500().late(2_500, 1), &[(PatError2, PAT_AT, ms(2_500))]),
    Case::outside(
        PatError2,
        "500 ms",
        "never again",
        || pat_at_2500().without(Lane::Pat, 2_500..4_000),
        &[(PatError2, PAT_AT, ms(2_500))],
    )
    .absent(&[PatError2]),
    Case::inside(PatError2, "table_id 0x00", "stuffing is no table", || {
        Stream::lasting(3_000).with(2_056, one_packet(0, &[0xFF; 100]))
    }),
    Case::outside(
        PatError2,
        "table_id 0x00",
        "0x01",
        || Stream::lasting(3_000).with(2_056, one_packet(0, &tables::emm_cat())),
        &[(PatError2, PAT_AT, ms(2_056))],
    ),
    Case::inside(PatError2, "not scrambled", "transport_priority", || {
        Stream::lasting(3_000).edited(2_100, |packet| packet[1] |= 0x20)
    }),
    Case::outside(
        PatError2,
        "not scrambled",
        "transport_scrambling_control 10",
        || Stream::lasting(3_000).edited(2_100, scramble),
        &[(PatError2, PAT_AT, ms(2_100))],
    ),
    Case::inside(PatError2, "sections, not packets", "four packets of stuffing, and a section in time", || {
        Stream::lasting(4_000).all(Lane::Pat, 2_001..2_500, stuffing).early(2_500, 1)
    }),
    Case::outside(
        PatError2,
        "sections, not packets",
        "nothing but stuffing",
        || Stream::lasting(4_000).all(Lane::Pat, 2_001..3_500, stuffing),
        &[(PatError2, PAT_AT, ms(2_500))],
    ),
    Case::inside(PatError2, "never there", "the first comes 1 ns before its limit", || {
        Stream::lasting(3_000).cleared(0..500).early(500, 1)
    }),
    Case::outside(
        PatError2,
        "never there",
        "the first comes at its limit",
        || Stream::lasting(3_000).cleared(0..500),
        &[(PatError2, PAT_AT, ms(500))],
    ),
    Case::outside(
        PatError2,
        "never there",
        "it never comes, and nothing is referred to by it",
        || Stream::lasting(3_000).without(Lane::Pat, 0..3_000),
        NO_PAT,
    )
    .absent(&[PatError2]),
    Case::outside(
        PatError2,
        "never there",
        "it comes at last, and the alarm clears",
        || Stream::lasting(3_000).without(Lane::Pat, 0..2_000),
        NO_PAT,
    ),
    Case::inside(PatError2, "wrong CRC_32 is no PAT", "three of them, and a right one in time", || {
        Stream::lasting(4_000).all(Lane::Pat, 2_001..2_301, spoil).without(Lane::Pat, 2_301..2_500).early(2_500, 1)
    })
    .but(&[(CrcError, PAT_AT, ms(2_100)), (CrcError, PAT_AT, ms(2_200)), (CrcError, PAT_AT, ms(2_300))]),
    Case::outside(
        PatError2,
        "wrong CRC_32 is no PAT",
        "none but such",
        || Stream::lasting(4_000).all(Lane::Pat, 2_001..2_600, spoil),
        &[
            (CrcError, PAT_AT, ms(2_100)),
            (CrcError, PAT_AT, ms(2_200)),
            (CrcError, PAT_AT, ms(2_300)),
            (CrcError, PAT_AT, ms(2_400)),
            (PatError2, PAT_AT, ms(2_500)),
            (CrcError, PAT_AT, ms(2_500)),
        ],
    ),
];

const NO_PAT: &[(Indicator, Place, i64)] = &[
    (PatError2, PAT_AT, ms(500)),
    (UnreferencedPid, on(VIDEO, 0), ms(501)),
    (UnreferencedPid, on(AUDIO, 0), ms(502)),
    (UnreferencedPid, on(DATA, 0), ms(503)),
    (UnreferencedPid, on(PMT_1, 0), ms(504)),
    (UnreferencedPid, on(VIDEO_2, 0), ms(507)),
    (UnreferencedPid, on(PMT_2, 0), ms(508)),
    (UnreferencedPid, on(ECM, 0), ms(519)),
    (UnreferencedPid, on(ECM_AUDIO, 0), ms(559)),
];
