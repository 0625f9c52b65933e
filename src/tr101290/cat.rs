//! 2.6 CAT_error: table 5.0b. Scrambled packets need a CAT that says how to descramble them, and PID 1 carries nothing
//! else.

use super::count::{Observer, Place, Sink};
use super::structure::table;
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::units::{Instant, Pid, Span};

/// Where nothing scrambled came for this long, nothing is scrambled any more.
const QUIET: Span = Span::from_secs(1);

#[derive(Debug)]
pub(super) struct CatError {
    limit: Span,
    /// When the last CAT came.
    cat: Option<Instant>,
    /// While scrambled packets come: since when a CAT is wanted.
    since: Option<Instant>,
    last: Instant,
    pub(super) absent: bool,
    pub(super) due: Instant,
}

impl CatError {
    pub(super) const fn new(settings: &Settings) -> Self {
        Self {
            limit: settings.cat,
            cat: None,
            since: None,
            last: Instant::LONG_AGO,
            absent: false,
            due: Instant::NEVER,
        }
    }

    /// A section on PID 1 whose CRC_32 is right.
    pub(super) fn section<O: Observer>(&mut self, section: Section<'_>, sink: &mut Sink<'_, O>) {
        if section.table_id() != table::CAT {
            sink.raise(Indicator::CatError, Place::pid(Pid::CAT));
        } else if section.has_long_syntax() {
            self.cat = Some(sink.at);
            if self.since.is_some() {
                self.since = self.cat;
                self.absent = false;
                self.due = sink.at + self.limit;
            }
        }
    }

    /// A scrambled packet came.
    #[inline]
    pub(super) fn scrambled(&mut self, at: Instant) {
        self.last = at;
        if self.since.is_none() {
            let since = self.cat.unwrap_or(at).max(at - self.limit);
            self.since = Some(since);
            self.due = since + self.limit;
        }
    }

    /// Raises it where scrambled packets have come for the limit with no CAT in that time.
    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        if sink.at < self.due {
            return;
        }
        self.due = Instant::NEVER;
        let Some(since) = self.since else { return };
        let overdue = since + self.limit <= sink.at;
        if overdue && self.last + QUIET <= sink.at {
            self.since = None;
            self.absent = false;
            return;
        }
        if overdue && !self.absent {
            sink.raise(Indicator::CatError, Place::STREAM);
        }
        self.absent = overdue;
        self.due = if overdue { (self.last + QUIET).max(sink.at + self.limit) } else { since + self.limit };
    }
}
