//! 3.1.a NIT_actual_error: table 5.0c. It is waited for where the PAT lists the network's PID, or once it came.

use super::absence::Awaited;
use super::count::{Observer, Place, Sink};
use super::structure::table;
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::units::Pid;

const PLACE: Place = Place::pid(Pid::NIT);

#[derive(Debug)]
pub(super) struct NitActualError(pub(super) Awaited);

impl NitActualError {
    pub(super) const fn new(settings: &Settings) -> Self {
        Self(Awaited::new(settings.nit))
    }

    /// A section on the NIT's PID, and whether it came too soon after another.
    pub(super) fn section<O: Observer>(&mut self, section: Section<'_>, too_close: bool, sink: &mut Sink<'_, O>) {
        let wrong = match section.table_id() {
            table::NIT_ACTUAL => {
                self.0.seen(sink.at);
                too_close
            }
            table::NIT_OTHER | table::STUFFING => false,
            _ => true,
        };
        if wrong {
            sink.raise(Indicator::NitActualError, PLACE);
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        if self.0.expire(sink.at) {
            sink.raise(Indicator::NitActualError, PLACE);
        }
    }
}
