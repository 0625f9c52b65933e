//! RTP datagrams put back in order: RFC 3550, sequence numbers modulo 2^16.
//!
//! What is in order passes straight through. One that is early is held until those before it have come, or until it has
//! waited for its time; then what is missing is given up, and counted.

use super::{Figures, Rtp};
use crate::units::{Instant, Span};

/// How far ahead of the next expected one a datagram may be to be held.
pub const WINDOW: u16 = 64;
/// A step ahead of at least this is a new sequence and no loss (MAX_DROPOUT of RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// A step back of at least this is a new sequence and no late datagram (MAX_MISORDER of RFC 3550 A.1).
const MAX_MISORDER: u16 = 100;

/// A datagram that is held, and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Held<T> {
    /// What the caller gave.
    pub item: T,
    /// When it came.
    pub at: Instant,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is next: it goes on now, and then whatever [`Reorder::next_ready`] hands out.
    Next,
    /// It is held.
    Held,
    /// It came again or too late, and goes no further.
    Late,
    /// What is held must go on first: take all that [`Reorder::next_ready`] hands out, then offer it again.
    Again,
}

/// The reorder window of one input.
#[derive(Debug)]
pub struct Reorder<T> {
    wait: Span,
    ssrc: u32,
    expected: Option<u16>,
    /// The number of the one that went on last, extended beyond 16 bits.
    latest: u32,
    held: Box<[Option<Held<T>>]>,
    count: u16,
    /// The highest sequence number that is held.
    highest: u16,
    /// Everything held up to this sequence number goes on, in order, whatever is missing.
    release: Option<u16>,
    oldest: Instant,
}

impl<T: Copy> Reorder<T> {
    /// A window that holds a datagram for `wait` at most; zero holds none.
    pub fn new(wait: Span) -> Self {
        Self {
            wait,
            ssrc: 0,
            expected: None,
            latest: 0,
            held: vec![None; usize::from(WINDOW)].into_boxed_slice(),
            count: 0,
            highest: 0,
            release: None,
            oldest: Instant::NEVER,
        }
    }

    /// What comes next is not held against what came: it was not received meanwhile. What is held is given back.
    #[cold]
    pub fn pause(&mut self, mut give_back: impl FnMut(T)) {
        self.held.iter_mut().filter_map(Option::take).for_each(|held| give_back(held.item));
        (self.expected, self.release, self.count, self.oldest) = (None, None, 0, Instant::NEVER);
    }

    /// A datagram came at `at`.
    #[inline]
    pub fn accept(&mut self, rtp: Rtp, item: T, at: Instant, figures: &mut Figures) -> Verdict {
        if self.expected == Some(rtp.sequence) && self.ssrc == rtp.ssrc {
            self.expected = Some(rtp.sequence.wrapping_add(1));
            self.latest = self.latest.wrapping_add(1);
            figures.rtp += 1;
            figures.rtp_reordered += u64::from(self.count > 0);
            return Verdict::Next;
        }
        let verdict = self.out_of_order(rtp, item, at, figures);
        figures.rtp += u64::from(verdict != Verdict::Again);
        verdict
    }

    #[cold]
    fn out_of_order(&mut self, rtp: Rtp, item: T, at: Instant, figures: &mut Figures) -> Verdict {
        let Some(expected) = self.expected else {
            // after a pause nobody knows how many there were
            let anew = self.latest == 0;
            self.latest = if anew { u32::from(rtp.sequence) } else { leap(self.latest, rtp.sequence) };
            return self.begin(rtp);
        };
        let ahead = rtp.sequence.wrapping_sub(expected);
        let behind = expected.wrapping_sub(rtp.sequence);
        let restarts = self.ssrc != rtp.ssrc || (ahead >= MAX_DROPOUT && behind >= MAX_MISORDER);
        if !restarts && behind < MAX_MISORDER {
            figures.rtp_late += 1;
            return Verdict::Late;
        }
        if !restarts && ahead < WINDOW && self.wait > Span::ZERO {
            return self.hold(rtp.sequence, item, at, figures);
        }
        if self.count > 0 {
            self.release = Some(self.highest);
            return Verdict::Again;
        }
        if restarts {
            figures.rtp_restarts += 1;
            self.latest = leap(self.latest, rtp.sequence);
        } else {
            self.latest = self.latest.wrapping_add(u32::from(ahead) + 1);
            figures.rtp_lost += u64::from(ahead);
        }
        self.begin(rtp)
    }

    fn hold(&mut self, sequence: u16, item: T, at: Instant, figures: &mut Figures) -> Verdict {
        let slot = &mut self.held[usize::from(sequence % WINDOW)];
        if slot.is_some() {
            figures.rtp_late += 1;
            return Verdict::Late;
        }
        *slot = Some(Held { item, at });
        let follows = self.count == 0 || sequence.wrapping_sub(self.highest) < WINDOW;
        if follows {
            self.highest = sequence;
        } else {
            figures.rtp_reordered += 1;
        }
        self.count += 1;
        self.oldest = self.oldest.min(at);
        Verdict::Held
    }

    fn begin(&mut self, rtp: Rtp) -> Verdict {
        self.ssrc = rtp.ssrc;
        self.expected = Some(rtp.sequence.wrapping_add(1));
        Verdict::Next
    }

    /// The next datagram that may go on.
    #[inline]
    pub fn next_ready(&mut self, figures: &mut Figures) -> Option<Held<T>> {
        if self.count == 0 { None } else { self.ready(figures) }
    }

    fn ready(&mut self, figures: &mut Figures) -> Option<Held<T>> {
        loop {
            let expected = self.expected?;
            if let Some(held) = self.held[usize::from(expected % WINDOW)].take() {
                self.expected = Some(expected.wrapping_add(1));
                self.latest = self.latest.wrapping_add(1);
                self.count -= 1;
                self.oldest = self.held.iter().flatten().map(|h| h.at).min().unwrap_or(Instant::NEVER);
                if self.count == 0 {
                    self.release = None;
                }
                return Some(held);
            }
            let release = self.release?;
            if release.wrapping_sub(expected) >= WINDOW {
                self.release = None;
                return None;
            }
            figures.rtp_lost += 1;
            self.expected = Some(expected.wrapping_add(1));
            self.latest = self.latest.wrapping_add(1);
        }
    }

    /// The sequence number of the datagram that went on last, extended beyond its 16 bits (RFC 3550 A.1), modulo 2^32. Where the
    /// sequence began anew it is ahead by more than a round.
    #[inline]
    pub const fn latest(&self) -> u32 {
        self.latest
    }

    /// When what is missing is given up.
    pub fn deadline(&self) -> Instant {
        self.oldest + self.wait
    }

    /// Gives up what the datagrams held for too long at `now` are waiting for.
    pub fn advance(&mut self, now: Instant) {
        let (Some(expected), true) = (self.expected, self.deadline() <= now) else { return };
        let overdue = |i: u16| {
            let held = &self.held[usize::from(expected.wrapping_add(i) % WINDOW)];
            held.as_ref().is_some_and(|held| held.at + self.wait <= now)
        };
        if let Some(last) = (0..WINDOW).rev().find(|&i| overdue(i)) {
            self.release = Some(expected.wrapping_add(last));
        }
    }
}

/// The extended number of the first datagram of a sequence that has nothing to do with the one before: ahead by more than a round.
const fn leap(latest: u32, sequence: u16) -> u32 {
    (latest | 0xFFFF).wrapping_add(0x1_0001) | sequence as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        reorder: Reorder<u16>,
        figures: Figures,
        out: Vec<u16>,
        /// The extended number of each.
        numbers: Vec<u32>,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let reorder = Reorder::new(Span::from_millis(20));
            Self { reorder, figures: Figures::default(), out: Vec::new(), numbers: Vec::new(), now: Instant::ZERO }
        }

        fn drain(&mut self) {
            while let Some(held) = self.reorder.next_ready(&mut self.figures) {
                self.out.push(held.item);
                self.numbers.push(self.reorder.latest());
            }
        }

        fn offer(&mut self, ssrc: u32, sequence: u16) {
            self.now += Span::from_millis(1);
            if self.reorder.deadline() <= self.now {
                self.reorder.advance(self.now);
                self.drain();
            }
            loop {
                match self.reorder.accept(Rtp { sequence, ssrc }, sequence, self.now, &mut self.figures) {
                    Verdict::Again => self.drain(),
                    Verdict::Next => {
                        self.out.push(sequence);
                        self.numbers.push(self.reorder.latest());
                        self.drain();
                        return;
                    }
                    Verdict::Held | Verdict::Late => return,
                }
            }
        }
    }

    #[test]
    fn order_is_restored_across_the_wrap() {
        let mut bench = Bench::new();
        for s in [65530, 65532, 65531, 65535, 1, 0, 65533, 65534, 2] {
            bench.offer(1, s);
        }
        assert_eq!(bench.out, [65530, 65531, 65532, 65533, 65534, 65535, 0, 1, 2]);
        assert_eq!((bench.figures.rtp_lost, bench.figures.rtp_late, bench.figures.rtp_restarts), (0, 0, 0));
        assert_eq!(bench.figures.rtp_reordered, 4);
        assert_eq!(bench.numbers, (65_530..=65_538).collect::<Vec<_>>());
    }

    #[test]
    fn the_number_counts_what_is_lost_and_leaps_where_the_sequence_begins_anew() {
        let mut bench = Bench::new();
        for (ssrc, s) in [(1, 65_000), (1, 65_003), (1, 65_535), (1, 900), (2, 901), (2, 902), (2, 40_000), (2, 30_000)]
        {
            bench.offer(ssrc, s);
        }
        assert_eq!(bench.out, [65_000, 65_003, 65_535, 900, 901, 902, 40_000, 30_000]);
        assert!(bench.out.iter().zip(&bench.numbers).all(|(s, number)| u32::from(*s) == number & 0xFFFF));
        let steps: Vec<_> = bench.numbers.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!(steps[..3], [3, 532, 901]);
        assert!([3, 5, 6].iter().all(|i| steps[*i] > 0x1_0000) && steps[4] == 1, "{steps:?}");
    }

    #[test]
    fn what_never_comes_is_given_up_after_its_time_and_counted() {
        let mut bench = Bench::new();
        for s in [1, 2, 5, 6, 9] {
            bench.offer(1, s);
        }
        assert_eq!(bench.out, [1, 2]);
        bench.reorder.advance(bench.reorder.deadline());
        bench.drain();
        assert_eq!(bench.out, [1, 2, 5, 6]);
        assert_eq!(bench.figures.rtp_lost, 2);
        bench.reorder.advance(bench.now + Span::from_millis(20));
        bench.drain();
        assert_eq!((bench.out.last(), bench.figures.rtp_lost), (Some(&9), 4));
        bench.offer(1, 3);
        assert_eq!(bench.figures.rtp_late, 1);
    }

    #[test]
    fn a_leap_beyond_the_window_loses_nothing_that_came() {
        let mut bench = Bench::new();
        for s in [1, 3, 5, 100, 99, 101] {
            bench.offer(1, s);
        }
        assert_eq!(bench.out, [1, 3, 5, 100, 101]);
        assert_eq!((bench.figures.rtp_lost, bench.figures.rtp_late), (2 + 94, 1));
    }

    #[test]
    fn a_new_source_or_a_far_jump_begins_anew() {
        let mut bench = Bench::new();
        for (ssrc, s) in [(1, 1), (1, 3), (2, 9), (2, 10), (2, 40_000), (2, 40_001)] {
            bench.offer(ssrc, s);
        }
        assert_eq!(bench.out, [1, 3, 9, 10, 40_000, 40_001]);
        assert_eq!((bench.figures.rtp_restarts, bench.figures.rtp_lost), (2, 1));
    }

    #[test]
    fn after_a_pause_nothing_is_missed() {
        let mut bench = Bench::new();
        for s in [1, 2, 5] {
            bench.offer(1, s);
        }
        let mut given_back = Vec::new();
        bench.reorder.pause(|item| given_back.push(item));
        assert_eq!((given_back, bench.reorder.deadline()), (vec![5], Instant::NEVER));
        for s in [500, 501] {
            bench.offer(1, s);
        }
        assert_eq!((bench.out, bench.figures.rtp_lost, bench.figures.rtp_restarts), (vec![1, 2, 500, 501], 0, 0));
        assert!(bench.numbers[2] - bench.numbers[1] > 0x1_0000 && bench.numbers[2] & 0xFFFF == 500);
    }

    #[test]
    fn any_order_of_any_numbers_gives_each_out_at_most_once() {
        let mut seed = 7u32;
        let mut bench = Bench::new();
        for i in 0..50_000u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let near = u16::try_from((i + seed % 90) % 65_536).unwrap();
            bench.offer(u32::from(seed.is_multiple_of(997)), near);
        }
        bench.reorder.advance(Instant::NEVER - Span::from_secs(1));
        bench.drain();
        let f = bench.figures;
        assert_eq!(f.rtp, 50_000);
        assert_eq!(bench.out.len() as u64 + f.rtp_late, f.rtp, "each datagram went on or was late");
    }
}
