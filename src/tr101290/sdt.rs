//! 3.5.a SDT_actual_error: table 5.0c. It is waited for once the stream has shown that it carries service information.

use super::absence::Awaited;
use super::count::{Observer, Place, Sink};
use super::structure::table;
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::units::Pid;

const PLACE: Place = Place::pid(Pid::SDT);

#[derive(Debug)]
pub(super) struct SdtActualError(pub(super) Awaited);

impl SdtActualError {
    pub(super) const fn new(settings: &Settings) -> Self {
        Self(Awaited::new(settings.sdt))
    }

    /// A section on the SDT's PID, and whether it came too soon after another.
    pub(super) fn section<O: Observer>(&mut self, section: Section<'_>, too_close: bool, sink: &mut Sink<'_, O>) {
        let wrong = match section.table_id() {
            table::SDT_ACTUAL => {
                self.0.seen(sink.at);
                too_close
            }
            table::SDT_OTHER | table::BAT | table::STUFFING => false,
            _ => true,
        };
        if wrong {
            sink.raise(Indicator::SdtActualError, PLACE);
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        if self.0.expire(sink.at) {
            sink.raise(Indicator::SdtActualError, PLACE);
        }
    }
}

/// Whether this is an SDT of this transport stream with a service whose EIT_present_following_flag is set (EN 300 468 5.2.3).
pub(super) fn announces_events(section: Section<'_>) -> bool {
    if section.table_id() != table::SDT_ACTUAL {
        return false;
    }
    // behind original_network_id and a byte that is reserved
    let mut services = section.contents().get(3..).unwrap_or(&[]);
    while let &[_, _, flags, high, low, ref rest @ ..] = services {
        if flags & 1 != 0 {
            return true;
        }
        let length = usize::from(u16::from_be_bytes([high & 0x0F, low]));
        services = rest.get(length..).unwrap_or(&[]);
    }
    false
}
