//! The connection by which an input comes, where it comes by one (SRT): since when it is as its limits do not allow.

use super::criterion::Criterion;
use super::limits::{Limits, Raise};
use crate::units::{Instant, Span};

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFigures {
    /// Whether it stands.
    pub is_up: bool,
    /// When it began: another time is another connection, whose counts begin anew.
    pub since: Instant,
    /// The round trip.
    pub rtt: Span,
    /// Packets received since it began.
    pub packets: u64,
    /// Packets given up since it began: sending them again did not bring them in time.
    pub unrecovered: u64,
}

/// Parts of the window over which a share is taken.
const PARTS: usize = 16;

/// The counts at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    packets: u64,
    unrecovered: u64,
}

/// Holds a connection to its limits.
#[derive(Debug)]
pub struct LinkWatch {
    /// The longest round trip that is allowed.
    slow: Option<Span>,
    /// The largest share that may be lost, in millionths, and over what time it is taken.
    lossy: Option<(u32, Span)>,
    last: Option<LinkFigures>,
    /// All packets, and all that were given up, of one connection after the other.
    packets: u64,
    unrecovered: u64,
    samples: [Sample; PARTS + 1],
    next: usize,
    down_since: Option<Instant>,
    slow_since: Option<Instant>,
    lossy_since: Option<Instant>,
    /// The share over the window, in millionths.
    share: u64,
}

impl LinkWatch {
    /// Watches what `limits` say; until something is told, nothing is wrong.
    pub fn new(limits: &Limits) -> Self {
        let raise = |criterion| limits.limit(criterion).map(|limit| limit.raise);
        let slow = match raise(Criterion::SrtRttAbove) {
            Some(Raise::Slower { than, .. }) => Some(than),
            Some(Raise::Lasting(_) | Raise::Counted { .. } | Raise::Below { .. } | Raise::Share { .. }) | None => None,
        };
        let lossy = match raise(Criterion::SrtUnrecovered) {
            Some(Raise::Share { above, within }) => Some((above, within)),
            Some(Raise::Lasting(_) | Raise::Counted { .. } | Raise::Below { .. } | Raise::Slower { .. }) | None => None,
        };
        Self {
            slow,
            lossy,
            last: None,
            packets: 0,
            unrecovered: 0,
            samples: [Sample { at: Instant::LONG_AGO, packets: 0, unrecovered: 0 }; PARTS + 1],
            next: 0,
            down_since: None,
            slow_since: None,
            lossy_since: None,
            share: 0,
        }
    }

    /// How it stands at `at`. True where a limit is passed that was not before, or the other way round.
    pub fn update(&mut self, at: Instant, figures: &LinkFigures) -> bool {
        let before = self.wrong();
        if figures.is_up {
            let same = self.last.filter(|last| last.since == figures.since);
            let (packets, unrecovered) = same.map_or((0, 0), |last| (last.packets, last.unrecovered));
            self.packets += figures.packets.saturating_sub(packets);
            self.unrecovered += figures.unrecovered.saturating_sub(unrecovered);
            self.last = Some(*figures);
        }
        set(&mut self.down_since, !figures.is_up, at);
        set(&mut self.slow_since, figures.is_up && self.slow.is_some_and(|most| figures.rtt > most), at);
        if let Some((above, within)) = self.lossy {
            self.share = self.share_within(within, at);
            set(&mut self.lossy_since, self.share > u64::from(above), at);
        }
        before != self.wrong()
    }

    const fn wrong(&self) -> [bool; 3] {
        [self.down_since.is_some(), self.slow_since.is_some(), self.lossy_since.is_some()]
    }

    /// The share of packets that were given up within about `within` before `at`, in millionths.
    fn share_within(&mut self, within: Span, at: Instant) -> u64 {
        let now = Sample { at, packets: self.packets, unrecovered: self.unrecovered };
        let count = self.samples.len();
        let newest = self.samples[(self.next + count - 1) % count];
        if newest.at == Instant::LONG_AGO || at.since(newest.at).nanos() >= within.nanos() / PARTS as i64 {
            // What was counted before the first look is part of the window.
            let first = newest.at == Instant::LONG_AGO;
            self.samples[self.next] = if first { Sample { packets: 0, unrecovered: 0, ..now } } else { now };
            self.next = (self.next + 1) % count;
        }
        let told = self.samples.iter().filter(|sample| sample.at != Instant::LONG_AGO);
        let whole = told.clone().filter(|sample| at.since(sample.at) >= within).max_by_key(|sample| sample.at);
        let Some(from) = whole.or_else(|| told.min_by_key(|sample| sample.at)) else { return 0 };
        let unrecovered = now.unrecovered.saturating_sub(from.unrecovered);
        let all = now.packets.saturating_sub(from.packets).saturating_add(unrecovered);
        unrecovered.saturating_mul(1_000_000).checked_div(all).unwrap_or(0)
    }

    /// Since when it is as `criterion` does not allow; none while it is not.
    pub(super) fn wrong_since(&self, criterion: Criterion) -> Option<Instant> {
        [
            (Criterion::SrtDisconnected, self.down_since),
            (Criterion::SrtRttAbove, self.slow_since),
            (Criterion::SrtUnrecovered, self.lossy_since),
        ]
        .into_iter()
        .find_map(|(watched, since)| since.filter(|_| watched == criterion))
    }

    /// What to tell with `criterion`: milliseconds of the round trip, or millionths; none where the time that it has lasted says it.
    pub(super) fn value(&self, criterion: Criterion) -> Option<u64> {
        if criterion == Criterion::SrtRttAbove {
            self.last.map(|last| (last.rtt.nanos() / 1_000_000).unsigned_abs())
        } else {
            (criterion == Criterion::SrtUnrecovered).then_some(self.share)
        }
    }
}

/// Begins or ends what lasts.
fn set(since: &mut Option<Instant>, is_so: bool, at: Instant) {
    if !is_so {
        *since = None;
    } else if since.is_none() {
        *since = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limit;
    use super::super::scope::Scope;
    use super::*;

    fn at(ms: u32) -> Instant {
        Instant::ZERO + Span::from_millis(ms)
    }

    fn figures(since: u32, packets: u64, unrecovered: u64) -> LinkFigures {
        LinkFigures { is_up: true, since: at(since), rtt: Span::from_millis(20), packets, unrecovered }
    }

    fn watch(above: u32, within: u32) -> LinkWatch {
        let mut limits = Limits::NONE;
        let raise = Raise::Share { above, within: Span::from_millis(within) };
        limits.set(Criterion::SrtUnrecovered, Some(Limit { raise, clear: Span::ZERO, scope: Scope::ALL }));
        LinkWatch::new(&limits)
    }

    #[test]
    fn a_share_is_that_of_the_window_and_goes_on_over_connections() {
        let mut watch = watch(10_000, 1_000);
        assert!(!watch.update(at(0), &figures(0, 1_000, 0)));
        // One in a hundred is allowed.
        assert!(!watch.update(at(100), &figures(0, 1_089, 11)));
        assert_eq!(watch.share, 10_000);
        assert!(watch.update(at(200), &figures(0, 1_089, 12)));
        assert!(watch.wrong_since(Criterion::SrtUnrecovered).is_some());
        // Another connection begins at nothing.
        assert!(watch.update(at(300), &figures(250, 900, 0)));
        assert_eq!(watch.share, 12 * 1_000_000 / 2_001);
        // After a second and its last sixteenth, what was lost is out of the window.
        for ms in 4..20 {
            watch.update(at(ms * 100), &figures(250, 900 + u64::from(ms), 0));
        }
        assert_eq!(watch.share, 0);
    }
}
