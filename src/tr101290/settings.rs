//! The limits, each with the clause that gives its default.

use crate::units::Span;

/// How long a thing may be missing before its indicator is raised, and other limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// PAT_error_2, table 5.0a 1.3.a: 0.5 s.
    pub pat: Span,
    /// PMT_error_2, table 5.0a 1.5.a: 0.5 s.
    pub pmt: Span,
    /// PID_error, table 5.0a 1.6, of a video or audio PID; the standard leaves the period to the user: 1 s.
    pub pid_media: Span,
    /// PID_error of every other PID that is sent all the time: 5 s.
    pub pid_data: Span,
    /// PCR_repetition_error, table 5.0b 2.3a: 100 ms (40 ms before V1.3.1).
    pub pcr: Span,
    /// PTS_error, table 5.0b 2.5: 700 ms.
    pub pts: Span,
    /// CAT_error, table 5.0b 2.6: how long scrambled packets may come with no CAT: 0.5 s.
    pub cat: Span,
    /// NIT_actual_error, table 5.0c 3.1.a: 10 s.
    pub nit: Span,
    /// SDT_actual_error, table 5.0c 3.5.a: 2 s.
    pub sdt: Span,
    /// EIT_actual_error, table 5.0c 3.6.a: 2 s.
    pub eit: Span,
    /// TDT_error, table 5.0c 3.8, and the TOT of 3.2: 30 s.
    pub tdt: Span,
    /// SI_repetition_error, table 5.0c 3.2, of tables about other networks and streams: 10 s (TR 101 211 4.4).
    pub si_other: Span,
    /// Sections of one table that come closer than this are errors of 3.1.a to 3.8: 25 ms (EN 300 468 5.1.4).
    pub si_gap: Span,
    /// Unreferenced_PID, table 5.0c 3.4.a: 0.5 s.
    pub unreferenced: Span,
    /// Whether the contents of pictures and sound are looked at as well, which no indicator needs.
    pub contents: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pat: Span::from_millis(500),
            pmt: Span::from_millis(500),
            pid_media: Span::from_secs(1),
            pid_data: Span::from_secs(5),
            pcr: Span::from_millis(100),
            pts: Span::from_millis(700),
            cat: Span::from_millis(500),
            nit: Span::from_secs(10),
            sdt: Span::from_secs(2),
            eit: Span::from_secs(2),
            tdt: Span::from_secs(30),
            si_other: Span::from_secs(10),
            si_gap: Span::from_millis(25),
            unreferenced: Span::from_millis(500),
            contents: true,
        }
    }
}
