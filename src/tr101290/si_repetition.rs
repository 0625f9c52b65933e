//! 3.2 SI_repetition_error: table 5.0c, with the intervals of EN 300 468 5.1.4 and TR 101 211 4.4, for the tables that have no
//! indicator of their own: those of other networks and transport streams, the BAT and the TOT. Each is waited for once it
//! came. EIT schedules are held to the least spacing only.

use super::absence::Awaited;
use super::count::{Observer, Place, Sink};
use super::structure::table;
use super::{Indicator, Settings};
use crate::ts::section::Section;
use crate::units::{Instant, Pid};

#[derive(Debug)]
struct Table {
    pid: Pid,
    id: u8,
    awaited: Awaited,
}

#[derive(Debug)]
pub(super) struct SiRepetitionError([Table; 5]);

impl SiRepetitionError {
    pub(super) fn new(settings: &Settings) -> Self {
        let table = |pid, id, limit| Table { pid, id, awaited: Awaited::new(limit) };
        Self([
            table(Pid::NIT, table::NIT_OTHER, settings.si_other),
            table(Pid::SDT, table::SDT_OTHER, settings.si_other),
            table(Pid::SDT, table::BAT, settings.si_other),
            table(Pid::EIT, table::EIT_OTHER, settings.si_other),
            table(Pid::TDT, table::TOT, settings.tdt),
        ])
    }

    /// A section on a PID of the service information, and whether it came too soon after another.
    pub(super) fn section<O: Observer>(
        &mut self,
        pid: Pid,
        section: Section<'_>,
        too_close: bool,
        sink: &mut Sink<'_, O>,
    ) {
        let id = section.table_id();
        let known = self.0.iter_mut().find(|table| (table.pid, table.id) == (pid, id));
        let is_schedule = pid == Pid::EIT && (table::EIT_OTHER + 1..=table::EIT_LAST).contains(&id);
        if too_close && (known.is_some() || is_schedule) {
            sink.raise(Indicator::SiRepetitionError, Place::pid(pid));
        }
        if let Some(table) = known {
            table.awaited.seen(sink.at);
        }
    }

    pub(super) fn advance<O: Observer>(&mut self, sink: &mut Sink<'_, O>) {
        for table in &mut self.0 {
            if table.awaited.expire(sink.at) {
                sink.raise(Indicator::SiRepetitionError, Place::pid(table.pid));
            }
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.0.iter().map(|table| table.awaited.due).min().unwrap_or(Instant::NEVER)
    }

    /// When the one that has been missing longest was last there; none where none is waited for.
    pub(super) fn last(&self) -> Option<Instant> {
        self.0.iter().filter_map(|table| table.awaited.watch).map(|watch| watch.last).min()
    }

    pub(super) fn is_absent(&self) -> bool {
        self.0.iter().any(|table| table.awaited.is_absent())
    }
}
