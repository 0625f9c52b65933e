//! Things that must come again and again, and the moment at which each is overdue.
//!
//! An absence is found by time passing, never by the thing coming back: each list of watched things knows a moment before
//! which none can be overdue, and is looked at again only then.

use crate::units::{Instant, Span};

/// One thing that must come again within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    /// When it was last there, or when it began to be wanted.
    pub(super) last: Instant,
    /// Whether it is overdue.
    pub(super) absent: bool,
}

impl Watch {
    pub(super) const fn new(now: Instant) -> Self {
        Self { last: now, absent: false }
    }

    /// It is there.
    #[inline]
    pub(super) const fn seen(&mut self, at: Instant) {
        self.last = at;
        self.absent = false;
    }

    /// True once, when it has been missing for longer than `limit` at `now`; else lowers `due` to when it will have been.
    #[inline]
    pub(super) fn expire(&mut self, now: Instant, limit: Span, due: &mut Instant) -> bool {
        if self.absent {
            return false;
        }
        let at = self.last + limit;
        self.absent = at <= now;
        if !self.absent {
            *due = (*due).min(at);
        }
        self.absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overdue_once_until_it_is_back() {
        let at = Instant::from_nanos;
        let mut watch = Watch::new(at(10));
        let mut due = Instant::NEVER;
        assert!(!watch.expire(at(14), Span::from_nanos(5), &mut due));
        assert_eq!(due, at(15));
        assert!(watch.expire(at(15), Span::from_nanos(5), &mut due));
        assert!(!watch.expire(at(99), Span::from_nanos(5), &mut due));
        watch.seen(at(100));
        assert!(!watch.absent);
    }
}
