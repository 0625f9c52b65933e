//! The stream ids of those who are connected, which are told once, when they connect.

use std::collections::HashMap;
use std::net::SocketAddr;

use parking_lot::Mutex;

use crate::plane::{End, SrtEvent, What};
use crate::units::Instant;

/// The most connections that are remembered: 64 of each of some fifty outputs. Beyond, the one that is there longest is forgotten.
const MOST: usize = 4096;

/// Which connection: the shard, the input or output, the peer.
type Key = (usize, End, SocketAddr);

/// Who is connected, as far as it was told.
#[derive(Debug, Default)]
pub struct Known(Mutex<HashMap<Key, (Instant, Option<String>)>>);

impl Known {
    /// Takes note of an event of a shard.
    pub fn learn(&self, shard: usize, event: &SrtEvent) {
        let mut known = self.0.lock();
        match &event.what {
            What::Up { peer, stream_id } => {
                if known.len() >= MOST
                    && let Some(oldest) = known.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| *key)
                {
                    known.remove(&oldest);
                }
                known.insert((shard, event.end, *peer), (event.at, stream_id.clone()));
            }
            What::Down { peer, .. } => {
                known.remove(&(shard, event.end, *peer));
            }
            What::Refused { .. } | What::Failed { .. } | What::Member { .. } => {}
        }
    }

    /// The stream id of the connection with `peer` that began at `since`; none where it has none, or that was not told. An
    /// earlier connection from the same port is another one.
    pub fn stream_id(&self, shard: usize, end: End, peer: SocketAddr, since: Instant) -> Option<String> {
        let known = self.0.lock();
        known.get(&(shard, end, peer)).filter(|(began, _)| *began == since).and_then(|(_, id)| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::SrtReason;
    use crate::units::InputId;

    const END: End = End::Input(InputId(0));

    fn event(at: i64, what: What) -> SrtEvent {
        SrtEvent { end: END, at: Instant::from_nanos(at), what }
    }

    fn up(peer: SocketAddr, id: &str) -> What {
        What::Up { peer, stream_id: Some(id.to_owned()) }
    }

    #[test]
    fn a_stream_id_is_that_of_this_very_connection() {
        let (known, peer) = (Known::default(), SocketAddr::from(([192, 0, 2, 1], 4000)));
        let of = |at| known.stream_id(0, END, peer, Instant::from_nanos(at));
        known.learn(0, &event(5, up(peer, "news")));
        assert_eq!(of(5).as_deref(), Some("news"));
        assert_eq!(of(6), None, "a connection whose beginning was not told");
        assert_eq!(known.stream_id(1, END, peer, Instant::from_nanos(5)), None);
        known.learn(0, &event(7, What::Down { peer, reason: SrtReason::Lost }));
        assert_eq!(of(5), None);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let known = Known::default();
        for number in 0..=u16::try_from(MOST).unwrap() {
            let peer = SocketAddr::from(([192, 0, 2, 1], number));
            known.learn(0, &event(number.into(), up(peer, "a")));
        }
        assert_eq!(known.0.lock().len(), MOST);
        assert_eq!(known.stream_id(0, END, ([192, 0, 2, 1], 0).into(), Instant::from_nanos(0)), None);
    }
}
