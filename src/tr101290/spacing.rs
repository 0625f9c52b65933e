//! How close sections of one table come: EN 300 468 5.1.4 wants 25 ms between the last byte of a section and the first of the
//! next of the same PID, table_id and table_id_extension. Only the end of each is known here, so what is called too close
//! surely is; a section that takes long to come may have begun too early all the same.

use crate::ts::section::Section;
use crate::units::{Instant, Pid, Span};

/// Tables that are followed: beyond these, the one that was last seen longest ago is forgotten.
const TABLES: usize = 32;

/// PID, table_id, table_id_extension.
type Key = (Pid, u8, u16);

#[derive(Debug)]
pub(super) struct Spacing {
    gap: Span,
    last: [(Key, Instant); TABLES],
}

impl Spacing {
    pub(super) const fn new(gap: Span) -> Self {
        Self { gap, last: [((Pid::NULL, 0xFF, 0), Instant::LONG_AGO); TABLES] }
    }

    /// Whether this section came too soon after another of its table.
    pub(super) fn is_too_close(&mut self, pid: Pid, section: Section<'_>, at: Instant) -> bool {
        let extension = if section.has_long_syntax() { section.table_id_extension() } else { 0 };
        let key = (pid, section.table_id(), extension);
        if let Some((_, last)) = self.last.iter_mut().find(|(known, _)| *known == key) {
            return at.since(core::mem::replace(last, at)) < self.gap;
        }
        if let Some(oldest) = self.last.iter_mut().min_by_key(|(_, last)| *last) {
            *oldest = (key, at);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_its_own_spacing() {
        let mut spacing = Spacing::new(Span::from_millis(25));
        let section = |extension: u8| [0x42, 0x80, 6, 0, extension, 0, 0, 0, 0];
        let mut too_close = |extension, ms| {
            let bytes = section(extension);
            spacing.is_too_close(Pid::SDT, Section::new(&bytes).unwrap(), Instant::ZERO + Span::from_millis(ms))
        };
        assert_eq!([too_close(1, 0), too_close(2, 1), too_close(1, 25), too_close(1, 49)], [false, false, false, true]);
        for other in 3..40 {
            assert!(!too_close(other, 50));
        }
        assert!(!too_close(1, 51), "forgotten, and not invented");
    }
}
