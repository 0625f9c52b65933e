//! An aligner allocates nothing once it is made.
#![allow(clippy::unwrap_used)]

mod align_net;
mod counting;

use align_net::{Chance, MS, Network, Source, aligner};
use changeover::switch::align::Handle;
use changeover::synth::Settings;
use changeover::transport::Ordinal;
use changeover::ts::Packet;
use changeover::units::Instant;
use counting::ALLOCATIONS;

#[test]
fn nothing_is_allocated_once_it_is_made() {
    merge(|_| None);
}

#[test]
fn nor_is_it_where_rtp_tells_the_order() {
    merge(|packet| Ordinal::new(65_000 + u32::try_from(packet / 7).unwrap(), u8::try_from(packet % 7).unwrap()));
}

fn merge(ordinal: impl Fn(usize) -> Option<Ordinal>) {
    let source = Source::synth(Settings { bit_rate: 4_000_000, ..Settings::default() }, 20_000);
    let mut chance = Chance(1);
    let mut networks = [Network::new(20_000, 0), Network::new(20_000, 60 * MS)];
    let none = vec![false; 20_000];
    for network in &mut networks {
        network.lose(&mut chance, 60, true, &none, 1000..20_000);
    }
    networks[1].lost[8000..9000].fill(true);
    let mut arrivals = Vec::new();
    for (feed, network) in networks.iter().enumerate() {
        arrivals.extend(network.datagrams(&source.times).into_iter().map(|(at, packets)| (at, feed, packets)));
    }
    arrivals.sort_by_key(|(at, ..)| *at);
    let mut aligner = aligner(2, 100 * MS);
    ALLOCATIONS.set(Some(0));
    aligner.follow(Some(0), Instant::ZERO, |_| {});
    let (mut given, mut back, mut placed) = (0, 0, false);
    for (at, feed, packets) in &arrivals {
        let at = Instant::from_nanos(*at);
        for packet in packets {
            given += 1;
            let handle = Handle { frame: u32::try_from(*packet).unwrap(), offset: 0 };
            aligner.packet(*feed, Packet::new(&source.packets[*packet]), ordinal(*packet), handle, at, |_| back += 1);
        }
        while aligner.next_due(at, |_| back += 1).is_some() {
            back += 1;
        }
        aligner.kinship(1, at);
        placed |= aligner.is_placed(1);
    }
    aligner.clear(|_| back += 1);
    let allocations = ALLOCATIONS.take();
    assert_eq!((allocations, given), (Some(0), back));
    assert_eq!(placed, ordinal(0).is_some());
    assert!(aligner.counts(1).matched > 15_000);
}
