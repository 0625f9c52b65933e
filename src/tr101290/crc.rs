//! 2.2 CRC_error: table 5.0b, for sections of a CAT, PAT, PMT, NIT, EIT, BAT, SDT or TOT.

use super::Indicator;
use super::count::{Observer, Place, Sink};
use super::structure::table;
use crate::ts::section::Section;
use crate::units::Pid;

/// Whether the section must not be believed, which is counted.
pub(super) fn check<O: Observer>(place: Place, section: Section<'_>, sink: &mut Sink<'_, O>) -> bool {
    let corrupt = place.pid.is_some_and(|pid| is_watched(pid, section)) && !section.is_intact();
    if corrupt {
        sink.raise(Indicator::CrcError, place);
    }
    corrupt
}

fn is_watched(pid: Pid, section: Section<'_>) -> bool {
    match (pid, section.table_id()) {
        (Pid::TDT, id) => id == table::TOT, // it has a CRC_32 and the short syntax (EN 300 468 5.2.6)
        (Pid::PAT | Pid::CAT, _)
        | (Pid::NIT, table::NIT_ACTUAL | table::NIT_OTHER)
        | (Pid::SDT, table::SDT_ACTUAL | table::SDT_OTHER | table::BAT)
        | (Pid::EIT, table::EIT_ACTUAL..=table::EIT_LAST)
        | (_, table::PMT) => section.has_long_syntax(),
        _ => false,
    }
}
