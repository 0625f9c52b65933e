//! First priority: continuity (table 5.0a 1.4).

use changeover::tr101290::Indicator::{ContinuityCountError, TransportError};
use changeover::tr101290::Place;

use crate::Case;
use crate::plant::{AUDIO, DATA, Lane, Stream, VIDEO, bare, filled, ms, on, pid_of};

const DATA_1: Place = on(DATA, 1);

fn losing(packets: usize) -> Stream {
    Stream::lasting(3_000).numbered().without(Lane::Data, 2_003..2_003 + 20 * packets)
}

fn alter(packet: &mut [u8; 188]) {
    packet[100] ^= 1;
}

/// A packet of the data PID with no payload, whose counter is so much further than that of the last one.
fn no_payload(by: u8) -> Stream {
    let stream = Stream::lasting(3_000).numbered();
    let mut packet = bare(DATA);
    packet[3] |= stream.slots[2_003].bytes[3].wrapping_add(by) & 0x0F;
    stream.with(2_013, packet)
}

/// An adaptation field with a discontinuity_indicator, in place of two bytes of the payload.
fn signal(packet: &mut [u8; 188]) {
    packet[3] |= 0x20;
    packet[4..6].copy_from_slice(&[1, 0x80]);
}

/// A packet of the data PID with transport_error_indicator that nobody sent.
fn with_stray_error() -> Stream {
    let mut packet = filled(DATA, 2_013);
    packet[1] |= 0x80;
    packet[3] |= 9;
    Stream::lasting(3_000).numbered().with(2_013, packet)
}

fn swapped() -> Stream {
    let mut stream = Stream::lasting(3_000).numbered();
    let first = stream.slots[2_003].bytes;
    stream.slots[2_003].bytes = std::mem::replace(&mut stream.slots[2_023].bytes, first);
    stream
}

pub(crate) const CONTINUITY: &[Case] = &[
    Case::inside(ContinuityCountError, "lost packets", "16, which the counter cannot show", || losing(16)),
    Case::outside(
        ContinuityCountError,
        "lost packets",
        "one",
        || losing(1),
        &[(ContinuityCountError, DATA_1, ms(2_023))],
    )
    .missing(1),
    Case::outside(
        ContinuityCountError,
        "lost packets",
        "15, which is one event",
        || losing(15),
        &[(ContinuityCountError, DATA_1, ms(2_303))],
    )
    .missing(15),
    Case::outside(
        ContinuityCountError,
        "lost packets",
        "17, which look like one",
        || losing(17),
        &[(ContinuityCountError, DATA_1, ms(2_343))],
    )
    .missing(1),
    Case::inside(ContinuityCountError, "twice at most", "a second occurrence", || {
        Stream::lasting(3_000).repeated(2_003, 2_013)
    }),
    Case::outside(
        ContinuityCountError,
        "twice at most",
        "a third",
        || Stream::lasting(3_000).repeated(2_003, 2_013).repeated(2_003, 2_014),
        &[(ContinuityCountError, DATA_1, ms(2_014))],
    ),
    Case::outside(
        ContinuityCountError,
        "twice at most",
        "a third and a fourth",
        || Stream::lasting(3_000).repeated(2_003, 2_013).repeated(2_003, 2_014).repeated(2_003, 2_017),
        &[(ContinuityCountError, DATA_1, ms(2_014)), (ContinuityCountError, DATA_1, ms(2_017))],
    ),
    Case::inside(ContinuityCountError, "all but the PCR is equal", "another PCR", || {
        Stream::lasting(3_000).repeated(2_009, 2_013).pcr_off(2_013, 4 * 27_000)
    }),
    Case::outside(
        ContinuityCountError,
        "all but the PCR is equal",
        "another PCR and another payload",
        || Stream::lasting(3_000).repeated(2_009, 2_013).pcr_off(2_013, 4 * 27_000).edited(2_013, alter),
        &[(ContinuityCountError, on(VIDEO, 1), ms(2_013))],
    )
    .missing(15),
    Case::inside(ContinuityCountError, "the same counter", "the same packet", || {
        Stream::lasting(3_000).repeated(2_006, 2_013)
    }),
    Case::outside(
        ContinuityCountError,
        "the same counter",
        "another packet",
        || Stream::lasting(3_000).repeated(2_006, 2_013).edited(2_013, alter),
        &[(ContinuityCountError, on(AUDIO, 1), ms(2_013))],
    )
    .missing(15),
    Case::inside(ContinuityCountError, "without payload", "the counter stands still", || no_payload(0)),
    Case::outside(
        ContinuityCountError,
        "without payload",
        "it goes on",
        || no_payload(1).counting_on(DATA, 2_014, 1),
        &[(ContinuityCountError, DATA_1, ms(2_013))],
    )
    .missing(1),
    Case::inside(ContinuityCountError, "discontinuity_indicator", "it excuses its packet", || {
        Stream::lasting(3_000).counting_on(DATA, 2_023, 5).edited(2_023, signal)
    }),
    Case::outside(
        ContinuityCountError,
        "discontinuity_indicator",
        "none",
        || Stream::lasting(3_000).counting_on(DATA, 2_023, 5),
        &[(ContinuityCountError, DATA_1, ms(2_023))],
    )
    .missing(5),
    Case::outside(
        ContinuityCountError,
        "discontinuity_indicator",
        "it does not excuse the next one",
        || Stream::lasting(3_000).counting_on(DATA, 2_023, 5).edited(2_023, signal).counting_on(DATA, 2_043, 5),
        &[(ContinuityCountError, DATA_1, ms(2_043))],
    )
    .missing(5),
    Case::inside(ContinuityCountError, "null packets", "they may count as they like", || {
        let mut stream = Stream::lasting(3_000).numbered();
        for (i, slot) in stream.slots.iter_mut().enumerate().filter(|(_, slot)| pid_of(&slot.bytes) == 0x1FFF) {
            slot.bytes[3] = 0x10 | (i * 7 % 16) as u8;
        }
        stream
    }),
    Case::outside(
        ContinuityCountError,
        "null packets",
        "PID 0x1FFE may not",
        || {
            let stream = Stream::lasting(2_400).with_pid(0x1FFE, 2_013..2_113);
            stream.counting_on(0x1FFE, 2_053, 7)
        },
        &[(ContinuityCountError, on(0x1FFE, 0), ms(2_053))],
    )
    .missing(7),
    Case::inside(ContinuityCountError, "transport_error_indicator", "such a packet moves nothing", with_stray_error)
        .but(&[(TransportError, on(DATA, 0), ms(2_013))]),
    Case::outside(
        ContinuityCountError,
        "transport_error_indicator",
        "such a packet of the stream's own is as good as lost",
        || Stream::lasting(3_000).edited(2_003, |packet| packet[1] |= 0x80),
        &[(TransportError, on(DATA, 0), ms(2_003)), (ContinuityCountError, DATA_1, ms(2_023))],
    )
    .missing(1),
    Case::inside(ContinuityCountError, "order", "as sent", || Stream::lasting(3_000).numbered()),
    Case::outside(
        ContinuityCountError,
        "order",
        "two packets changed places: the counter breaks at each of them and behind them",
        swapped,
        &[
            (ContinuityCountError, DATA_1, ms(2_003)),
            (ContinuityCountError, DATA_1, ms(2_023)),
            (ContinuityCountError, DATA_1, ms(2_043)),
        ],
    )
    .missing(1 + 14 + 1),
];
