//! 1.3.a PAT_error_2: table 5.0a. Sections are waited for, not packets: stuffing is no table.

use super::absence::Awaited;
use super::count::{Observer, Place, Sink};
use super::structure::table;
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::units::{Instant, Pid};

const PLACE: Place = Place::pid(Pid::PAT);

#[derive(Debug)]
pub(super) struct PatError2(pub(super) Awaited);

impl PatError2 {
    pub(super) const fn new(settings: &Settings) -> Self {
        Self(Awaited::new(settings.pat))
    }

    /// A section on PID 0 whose CRC_32 is right, or which has none.
    pub(super) fn section<O: Observer>(&mut self, section: Section<'_>, sink: &mut Sink<'_, O>) {
        if section.table_id() != table::PAT {
            sink.raise(Indicator::PatError2, PLACE);
        } else if section.has_long_syntax() {
            self.0.seen(sink.at);
        }
    }

    /// A scrambled packet on PID 0.
    pub(super) fn scrambled<O: Observer>(sink: &mut Sink<'_, O>) {
        sink.raise(Indicator::PatError2, PLACE);
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        if self.0.expire(sink.at) {
            sink.raise(Indicator::PatError2, PLACE);
        }
    }

    pub(super) const fn due(&self) -> Instant {
        self.0.due
    }
}
