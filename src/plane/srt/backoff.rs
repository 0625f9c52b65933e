//! When to call again.

use crate::units::Span;

/// The first pause.
const FIRST: Span = Span::from_millis(100);
/// The longest pause.
const LONGEST: Span = Span::from_secs(5);

/// Pauses that double from 100 ms to 5 s, each lengthened or shortened by up to a quarter so that many connections that
/// were lost together do not call together. The same name has the same pauses in every run.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Span,
    state: u64,
}

impl Backoff {
    /// For the connection `name`.
    pub(super) fn new(name: &str) -> Self {
        // FNV-1a: any spread of the names will do.
        let state = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
        Self { next: FIRST, state: state | 1 }
    }

    /// How long to pause after a call that failed.
    pub(super) fn pause(&mut self) -> Span {
        let base = self.next;
        self.next = Span::from_nanos(base.nanos().saturating_mul(2)).min(LONGEST);
        self.jitter(base)
    }

    /// How long to pause after a call that nobody answered. Such a call took its time already, and calling longer would
    /// only find the peer later when it comes back.
    pub(super) fn short(&mut self) -> Span {
        self.jitter(FIRST)
    }

    /// A connection held: the next pause is the first again.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    fn jitter(&mut self, base: Span) -> Span {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        // From three quarters to five quarters, in 1024 steps.
        let share = 768 + i64::try_from(self.state % 513).unwrap_or(256);
        Span::from_nanos(base.nanos() / 1024 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::new("srt://192.0.2.1:9000");
        let again = &mut backoff.clone();
        let mut base = FIRST.nanos();
        for _ in 0..12 {
            let pause = backoff.pause();
            assert_eq!(pause, again.pause(), "the same name, the same pauses");
            assert!((base / 1024 * 768..=base / 1024 * 1280).contains(&pause.nanos()), "{pause:?} of {base}");
            base = (2 * base).min(LONGEST.nanos());
        }
        backoff.reset();
        assert!(backoff.pause().nanos() <= FIRST.nanos() / 4 * 5);
        assert_ne!(Backoff::new("a").pause(), Backoff::new("b").pause());
    }
}
