//! 3.6.a EIT_actual_error: table 5.0c. The present and the following event of this transport stream, sections 0 and 1, are
//! each waited for once they came, and both once the SDT announces them.

use super::absence::Awaited;
use super::count::{Observer, Place, Sink};
use super::structure::table;
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::units::{Instant, Pid};

const PLACE: Place = Place::pid(Pid::EIT);

#[derive(Debug)]
pub(super) struct EitActualError {
    present: Awaited,
    following: Awaited,
}

impl EitActualError {
    pub(super) const fn new(settings: &Settings) -> Self {
        Self { present: Awaited::new(settings.eit), following: Awaited::new(settings.eit) }
    }

    /// The SDT says that both are there.
    pub(super) fn want(&mut self, at: Instant) {
        self.present.want(at);
        self.following.want(at);
    }

    /// A section on the EIT's PID, and whether it came too soon after another.
    pub(super) fn section<O: Observer>(&mut self, section: Section<'_>, too_close: bool, sink: &mut Sink<'_, O>) {
        let wrong = match section.table_id() {
            table::EIT_ACTUAL => {
                match section.section_number() {
                    0 => self.present.seen(sink.at),
                    1 => self.following.seen(sink.at),
                    _ => {}
                }
                too_close
            }
            table::EIT_OTHER..=table::EIT_LAST | table::STUFFING => false,
            _ => true,
        };
        if wrong {
            sink.raise(Indicator::EitActualError, PLACE);
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        for one in [&mut self.present, &mut self.following] {
            if one.expire(sink.at) {
                sink.raise(Indicator::EitActualError, PLACE);
            }
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.present.due.min(self.following.due)
    }

    /// When the one that has been missing longer was last there; none where neither is waited for.
    pub(super) fn last(&self) -> Option<Instant> {
        [self.present, self.following].into_iter().filter_map(|one| one.watch).map(|watch| watch.last).min()
    }

    pub(super) fn is_absent(&self) -> bool {
        self.present.is_absent() || self.following.is_absent()
    }
}
