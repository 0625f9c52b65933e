//! 3.8 TDT_error: table 5.0c. It is waited for where the PAT lists the network's PID, or once it came.

use super::absence::Awaited;
use super::count::{Observer, Place, Sink};
use super::structure::table;
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::units::Pid;

const PLACE: Place = Place::pid(Pid::TDT);

#[derive(Debug)]
pub(super) struct TdtError(pub(super) Awaited);

impl TdtError {
    pub(super) const fn new(settings: &Settings) -> Self {
        Self(Awaited::new(settings.tdt))
    }

    /// A section on the TDT's PID, and whether it came too soon after another.
    pub(super) fn section<O: Observer>(&mut self, section: Section<'_>, too_close: bool, sink: &mut Sink<'_, O>) {
        let wrong = match section.table_id() {
            table::TDT => {
                self.0.seen(sink.at);
                too_close
            }
            table::TOT | table::STUFFING => false,
            _ => true,
        };
        if wrong {
            sink.raise(Indicator::TdtError, PLACE);
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        if self.0.expire(sink.at) {
            sink.raise(Indicator::TdtError, PLACE);
        }
    }
}
