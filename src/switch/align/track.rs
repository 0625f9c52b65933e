//! Packets in their order, as many as there is room for, each found by what it is.

use super::Handle;
use crate::transport::Ordinal;
use crate::ts::Outline;
use crate::units::Instant;

/// How far a chain of packets that share a bucket is followed.
const CHAIN: usize = 24;

/// One packet: 32 bytes, so that two share a line of the cache.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rec {
    pub(super) fingerprint: u64,
    /// When it came; in the log, when it would have come on the clock of the output.
    pub(super) at: Instant,
    frame: u32,
    /// How far back the packet stands that the bucket held before; 0 where there is none.
    back: u32,
    pub(super) outline: Outline,
    offset: u16,
    /// It carries nothing by which it could be told from its like.
    pub(super) blank: bool,
}

impl Rec {
    pub(super) const fn new(fingerprint: u64, at: Instant, handle: Handle, outline: Outline, blank: bool) -> Self {
        Self { fingerprint, at, frame: handle.frame, back: 0, outline, offset: handle.offset, blank }
    }

    pub(super) const fn handle(&self) -> Handle {
        Handle { frame: self.frame, offset: self.offset }
    }
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    None,
    One(u64),
    /// Two or more: none of them is meant.
    Many,
}

/// A ring of packets, numbered from 0 for as long as it lives.
#[derive(Debug)]
pub(super) struct Track {
    recs: Box<[Rec]>,
    /// The low half of the number of the latest packet of each bucket.
    buckets: Box<[u32]>,
    /// Where each packet stands in an RTP stream, as of those from `numbered` on: beside the packets, so that what came without
    /// RTP costs nothing.
    ordinals: Box<[Option<Ordinal>]>,
    numbered: u64,
    head: u64,
    end: u64,
}

impl Track {
    /// Room for `capacity` packets, rounded up to a power of two.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = Self::room(capacity);
        Self {
            recs: vec![Rec::default(); capacity].into_boxed_slice(),
            buckets: vec![0; 2 * capacity].into_boxed_slice(),
            ordinals: vec![None; capacity].into_boxed_slice(),
            numbered: 0,
            head: 0,
            end: 0,
        }
    }

    /// How many packets a track made for `capacity` has room for.
    pub(super) const fn room(capacity: usize) -> usize {
        match capacity {
            0..256 => 256,
            256..0x100_0000 => capacity.next_power_of_two(),
            _ => 0x100_0000,
        }
    }

    /// What a track for `capacity` takes, in bytes.
    pub(super) const fn memory(capacity: usize) -> usize {
        Self::room(capacity) * (size_of::<Rec>() + 2 * size_of::<u32>() + size_of::<Option<Ordinal>>())
    }

    pub(super) const fn capacity(&self) -> usize {
        self.recs.len()
    }

    /// The number of the oldest.
    #[inline]
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    /// The number that the next will have.
    #[inline]
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    #[inline]
    pub(super) const fn len(&self) -> u64 {
        self.end - self.head
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.end == self.head
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.recs.len() as u64
    }

    #[inline]
    fn place(&self, number: u64) -> usize {
        // a power of two: the mask is below the length
        usize::try_from(number & (self.recs.len() as u64 - 1)).unwrap_or(0)
    }

    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&Rec> {
        (self.head..self.end).contains(&number).then(|| &self.recs[self.place(number)])
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Rec> {
        self.get(self.head)
    }

    /// Where the packet of this number stands in an RTP stream.
    #[inline]
    pub(super) fn ordinal(&self, number: u64) -> Option<Ordinal> {
        if number < self.numbered || number < self.head || number >= self.end {
            return None;
        }
        self.ordinals[self.place(number)]
    }

    /// The packets that are here stand nowhere in an RTP stream from now on.
    pub(super) const fn forget_ordinals(&mut self) {
        self.numbered = self.end;
    }

    #[inline]
    fn bucket(&self, fingerprint: u64) -> usize {
        usize::try_from(fingerprint & (self.buckets.len() as u64 - 1)).unwrap_or(0)
    }

    /// Adds a packet behind the others. A full track loses its oldest: whoever needs that one takes it first.
    #[inline]
    pub(super) fn push(&mut self, mut rec: Rec, ordinal: Option<Ordinal>) {
        if self.is_full() {
            self.head += 1;
        }
        rec.back = 0;
        if !rec.blank {
            let bucket = self.bucket(rec.fingerprint);
            let back = low(self.end).wrapping_sub(self.buckets[bucket]);
            if u64::from(back) <= self.len() {
                rec.back = back;
            }
            self.buckets[bucket] = low(self.end);
        }
        let place = self.place(self.end);
        self.recs[place] = rec;
        if ordinal.is_none() && self.numbered >= self.end {
            self.numbered = self.end + 1;
        } else {
            self.ordinals[place] = ordinal;
        }
        self.end += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Rec> {
        let rec = *self.front()?;
        self.head += 1;
        Some(rec)
    }

    /// The packets like this one from `from` on, the latest first.
    #[inline]
    fn like(&self, fingerprint: u64, from: u64) -> impl Iterator<Item = u64> + '_ {
        let from = from.max(self.head);
        let mut back = low(self.end).wrapping_sub(self.buckets[self.bucket(fingerprint)]);
        let mut number = self.end;
        let chain = core::iter::from_fn(move || {
            number = number.checked_sub(u64::from(back)).filter(|n| back > 0 && *n >= from)?;
            let rec = &self.recs[self.place(number)];
            back = rec.back;
            Some((number, rec.fingerprint == fingerprint && !rec.blank))
        });
        chain.take(CHAIN).filter_map(|(number, is)| is.then_some(number))
    }

    /// The one packet from `from` on that is like this.
    #[inline]
    pub(super) fn find(&self, fingerprint: u64, from: u64) -> Found {
        let mut like = self.like(fingerprint, from);
        match (like.next(), like.next()) {
            (None, _) => Found::None,
            (Some(number), None) => Found::One(number),
            (Some(_), Some(_)) => Found::Many,
        }
    }

    /// The first packet from `from` on that is like this, as far as the chain goes.
    #[inline]
    pub(super) fn first_like(&self, fingerprint: u64, from: u64) -> Option<u64> {
        self.like(fingerprint, from).last()
    }
}

/// The low half.
#[inline]
pub(super) const fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rec(fingerprint: u64) -> Rec {
        let handle = Handle { frame: 0, offset: 0 };
        Rec::new(fingerprint, Instant::ZERO, handle, Outline::default(), false)
    }

    #[test]
    fn a_packet_is_found_while_it_is_there_and_two_are_not_one() {
        let mut track = Track::new(0);
        let at = |i: u64| ((i % 16) << 9) + i / 16;
        for i in 0..300u64 {
            // sixteen in each bucket
            track.push(rec(at(i)), None);
        }
        assert_eq!((track.head(), track.end()), (44, 300));
        assert_eq!(track.find(at(43), 0), Found::None);
        assert_eq!(track.find(at(44), 0), Found::One(44));
        assert_eq!(track.find(at(44), 45), Found::None);
        track.push(rec(at(290)), None);
        assert_eq!(track.find(at(290), 0), Found::Many);
        assert_eq!(track.find(at(290), 291), Found::One(300));
        assert_eq!(track.first_like(at(290), 0), Some(290));
        while track.pop().is_some() {}
        assert_eq!(track.find(at(290), 0), Found::None);
        assert!(track.is_empty() && track.get(300).is_none());
    }

    #[test]
    fn a_record_is_half_a_cache_line() {
        assert_eq!(size_of::<Rec>(), 32);
        assert_eq!(Track::memory(1000), 1024 * 44);
    }

    #[test]
    fn a_packet_stands_where_it_was_said_until_that_is_forgotten() {
        let mut track = Track::new(0);
        let at = |i: u64| Ordinal::new(low(i), 0);
        for i in 0..600u64 {
            track.push(rec(i), if i < 300 || i % 5 == 4 { None } else { at(i) });
        }
        assert!((0..600).all(|i| track.ordinal(i) == if i < 344 || i % 5 == 4 { None } else { at(i) }));
        track.forget_ordinals();
        track.push(rec(600), at(600));
        assert!((0..601).all(|i| track.ordinal(i) == if i == 600 { at(600) } else { None }));
    }
}
