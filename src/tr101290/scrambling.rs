//! 2.6 CAT_error: table 5.0b. Scrambled packets need a CAT that says how to descramble them.

use super::count::{Observer, Sink};
use super::{Indicator, Settings};
use crate::units::{Instant, Span};

#[derive(Debug)]
pub(super) struct Scrambling {
    limit: Span,
    /// When the first scrambled packet came that no CAT covers yet, and the last.
    since: Option<Instant>,
    last: Instant,
    pub(super) absent: bool,
    pub(super) due: Instant,
}

impl Scrambling {
    pub(super) const fn new(settings: &Settings) -> Self {
        Self { limit: settings.cat, since: None, last: Instant::LONG_AGO, absent: false, due: Instant::NEVER }
    }

    /// A scrambled packet came.
    #[inline]
    pub(super) fn seen(&mut self, at: Instant, cat: Option<Instant>) {
        self.last = at;
        if self.since.is_none() {
            let since = cat.unwrap_or(at).max(at - self.limit);
            self.since = Some(since);
            self.due = since + self.limit;
        }
    }

    /// Raises it where scrambled packets have come for the limit with no CAT in that time.
    pub(super) fn advance<O: Observer>(&mut self, cat: Option<Instant>, sink: &mut Sink<'_, O>) {
        let Some(since) = self.since else {
            self.due = Instant::NEVER;
            return;
        };
        if self.last + self.limit <= sink.at {
            // nothing scrambled any more
            self.since = None;
            self.absent = false;
            self.due = Instant::NEVER;
            return;
        }
        let from = cat.map_or(since, |cat| cat.max(since));
        let overdue = from + self.limit <= sink.at;
        if overdue && !self.absent {
            sink.raise(Indicator::CatError, None);
        }
        self.absent = overdue;
        self.since = Some(from);
        self.due = if overdue { sink.at + self.limit } else { from + self.limit };
    }
}
