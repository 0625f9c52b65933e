//! How many null packets there must be, by the PCRs.

use super::Handle;
use super::feed::Role;
use super::merge::Merge;
use crate::units::Ticks27M;

impl Merge {
    /// Merges up to the next PCR that all feeds have come to, where each of them lost something: there the rate tells how
    /// many packets it must be, and so how many null packets are missing though each feed seems to have them all.
    #[cold]
    pub(super) fn plan<R: FnMut(Handle)>(&mut self, from: Ticks27M, release: &mut R) {
        let mut next = None;
        let mut feeds = 0;
        for feed in self.feeds.iter_mut().filter(|feed| feed.role == Role::Joined) {
            // one that lost this PCR has packets from behind it among those that would be taken
            let Some(clock) = feed.next_clock(&self.rate) else { return };
            if *next.get_or_insert(clock) != clock {
                return;
            }
            feeds += 1;
        }
        let Some(to) = next.filter(|_| feeds > 1) else { return };
        let ticks = to.forward_from(from);
        let Some(expected) = self.rate.expected(ticks) else { return };
        for feed in self.feeds.iter_mut().filter(|feed| feed.role == Role::Joined) {
            let head = feed.track.head();
            let number = feed.clocks_from(head).find(|clock| clock.pcr == to).map(|clock| clock.number);
            if number.is_some_and(|number| number + 1 - head >= expected) {
                return;
            }
        }
        let mut packets = 0;
        loop {
            if self.ready.len() >= self.ready.capacity() || packets > expected + u64::from(u8::MAX) {
                return;
            }
            let Some(choice) = self.decide(release).filter(|_| !self.unsettled) else { return };
            packets += 1;
            if let Some((pcr, is_shared)) = self.commit(choice, true, release) {
                if pcr == to && is_shared && !self.rate.was_holed() {
                    self.restore(packets, expected);
                }
                return;
            }
        }
    }

    /// Of the last `packets` that are ready, lets as many null packets leave twice as are missing: where most of them are,
    /// most may be lost.
    fn restore(&mut self, packets: u64, expected: u64) {
        let start = self.ready.len().saturating_sub(usize::try_from(packets).unwrap_or(usize::MAX));
        for _ in packets..expected {
            let mut best: Option<(usize, usize)> = None;
            let mut run = 0;
            for (i, ready) in self.ready.iter().enumerate().skip(start) {
                run = if ready.blank { run } else { 0 };
                if ready.spare.is_some() && !ready.twice {
                    run += 1;
                    if best.is_none_or(|(most, _)| run > most) {
                        best = Some((run, i));
                    }
                }
            }
            let Some(ready) = best.and_then(|(_, i)| self.ready.get_mut(i)) else { return };
            ready.twice = true;
        }
    }
}
