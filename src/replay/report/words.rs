//! Streams and PIDs in words, and numbers as people read them.

use std::collections::BTreeMap;

use super::contents::ProgramReport;
use crate::units::Pid;

/// From here on down to PID 0, tables have their PIDs by standard (ISO/IEC 13818-1 table 2-3, EN 300 468 table 1).
const LAST_FIXED: u16 = 0x1F;
/// The base PID of ATSC's tables (A/65 clause 4).
const PSIP: u16 = 0x1FFB;

/// What a PID is that no PAT came for.
pub(super) const UNKNOWN: &str = "not known";

/// What a PID is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// `video`, `pmt` and the like.
    pub(super) kind: &'static str,
    pub(super) what: String,
    pub(super) programs: Vec<u16>,
}

/// What each PID is that a PAT, a PMT or a CAT refers to.
#[derive(Debug, Default)]
pub(super) struct Roles(BTreeMap<u16, Vec<Use>>);

#[derive(Debug)]
struct Use {
    kind: &'static str,
    words: String,
    programs: Vec<u16>,
}

impl Roles {
    /// As the PAT and the PMTs say.
    pub(super) fn of(programs: &[ProgramReport]) -> Self {
        let mut roles = Self::default();
        for program in programs {
            for stream in &program.streams {
                let words = stream_words(stream.kind, stream.codec, stream.stream_type);
                roles.add(stream.pid, stream.kind, words, Some(program.number));
            }
        }
        for program in programs {
            roles.add(program.pmt_pid, "pmt", "PMT".to_owned(), Some(program.number));
            if let Some(pid) = program.pcr_pid.filter(|pid| program.streams.iter().all(|stream| stream.pid != *pid)) {
                roles.add(pid, "pcr", "PCR".to_owned(), Some(program.number));
            }
        }
        roles
    }

    /// A PID of conditional access, as the PMT of a program says, or the CAT.
    pub(super) fn conditional_access(&mut self, pid: u16, program: Option<u16>) {
        let words = if program.is_some() { "ECM" } else { "EMM" };
        self.add(pid, "ca", words.to_owned(), program);
    }

    fn add(&mut self, pid: u16, kind: &'static str, words: String, program: Option<u16>) {
        let uses = self.0.entry(pid).or_default();
        let place = uses.iter().position(|it| it.words == words).unwrap_or(uses.len());
        if place == uses.len() {
            uses.push(Use { kind, words, programs: Vec::new() });
        }
        let programs = &mut uses[place].programs;
        if let Some(program) = program.filter(|program| !programs.contains(program)) {
            programs.push(program);
        }
    }

    /// What `pid` is.
    pub(super) fn role(&self, pid: u16) -> Role {
        let plain = |kind, what: &str| Role { kind, what: what.to_owned(), programs: Vec::new() };
        match Pid::new(pid) {
            Pid::PAT => return plain("table", "PAT"),
            Pid::CAT => return plain("table", "CAT"),
            Pid::NULL => return plain("null", "null packets"),
            _ => {}
        }
        let Some(uses @ [first, ..]) = self.0.get(&pid).map(Vec::as_slice) else {
            return match fixed(pid) {
                Some(table) => plain("table", table),
                None if self.0.is_empty() => plain("unknown", UNKNOWN),
                None => plain("unreferenced", "not in PAT, PMT or CAT"),
            };
        };
        let mut programs: Vec<u16> = uses.iter().flat_map(|it| it.programs.iter().copied()).collect();
        programs.sort_unstable();
        programs.dedup();
        let words: Vec<String> = uses.iter().map(Use::in_words).collect();
        Role { kind: first.kind, what: words.join(", "), programs }
    }
}

impl Use {
    fn in_words(&self) -> String {
        let Self { words, programs, .. } = self;
        match programs.as_slice() {
            [] => words.clone(),
            [one] => format!("{words} of program {one}"),
            [one, two] => format!("{words} of programs {one} and {two}"),
            more => format!("{words} of {} programs", more.len()),
        }
    }
}

/// What a PID carries by standard, where no PMT says otherwise.
fn fixed(pid: u16) -> Option<&'static str> {
    Some(match pid {
        0x02 => "TSDT",
        0x10 => "NIT",
        0x11 => "SDT and BAT",
        0x12 => "EIT",
        0x13 => "RST",
        0x14 => "TDT and TOT",
        0x15 => "network synchronisation",
        0x16 => "RNT",
        0x1C => "inband signalling",
        0x1D => "measurement",
        0x1E => "DIT",
        0x1F => "SIT",
        PSIP => "ATSC PSIP",
        0..=LAST_FIXED => "reserved for tables",
        _ => return None,
    })
}

/// As `video H.264` or `data DSM-CC`.
pub(super) fn stream_words(kind: &str, codec: &str, stream_type: u8) -> String {
    match (kind, codec) {
        (_, "unknown") => format!("{kind} of stream_type {stream_type:#04x}"),
        (_, "private data" | "private sections" | "metadata") => codec.to_owned(),
        _ => {
            // `MPEG-2 video` is said already by `video`
            let short = codec.strip_suffix(kind).map_or(codec, str::trim_end);
            format!("{kind} {short}")
        }
    }
}

/// As `PID 0x100`.
pub(super) fn pid_name(pid: u16) -> String {
    format!("PID {pid:#x}")
}

/// At most `most` characters, and none that would move a terminal's cursor.
pub(super) fn clipped(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// With a comma every three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As `3 pictures`.
pub(super) fn count(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { more })
}

/// A list as `a, b and c`.
pub(super) fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A rate as `8.02 Mb/s`, and one too small for kilobits as `18 b/s`.
pub(super) fn rate(bits: u64) -> String {
    if (1..1_000).contains(&bits) { format!("{bits} b/s") } else { crate::units::BitRate(bits).to_string() }
}

/// A part of the whole as `27.1 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.05 { "<0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// The same without the place behind the point.
pub(super) fn whole_percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.5 { "<1 %".to_owned() } else { format!("{percent:.0} %") }
}

/// Nanoseconds in the unit that suits them.
pub(super) fn span(nanos: f64) -> String {
    match nanos.abs() {
        small if small < 1e3 => format!("{nanos:.0} ns"),
        small if small < 1e6 => format!("{:.1} µs", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_called_as_people_call_them() {
        for (kind, codec, words) in [
            ("video", "H.264", "video H.264"),
            ("video", "MPEG-2 video", "video MPEG-2"),
            ("audio", "AC-3", "audio AC-3"),
            ("subtitles", "DVB subtitles", "subtitles DVB"),
            ("subtitles", "teletext", "subtitles teletext"),
            ("data", "DSM-CC", "data DSM-CC"),
            ("data", "private data", "private data"),
            ("data", "unknown", "data of stream_type 0x8b"),
            ("splice", "SCTE-35", "splice SCTE-35"),
        ] {
            assert_eq!(stream_words(kind, codec, 0x8B), words);
        }
    }

    #[test]
    fn a_pid_is_all_that_tables_say_of_it() {
        let mut roles = Roles::default();
        assert_eq!(roles.role(0x100).what, "not known", "without a PAT nothing is unreferenced");
        for program in [1, 2] {
            roles.add(0x100, "video", "video H.264".into(), Some(program));
        }
        for program in [3, 2, 1, 1] {
            roles.add(0x101, "data", "data DSM-CC".into(), Some(program));
        }
        roles.add(0x101, "pcr", "PCR".into(), Some(9));
        roles.conditional_access(0x102, None);
        roles.conditional_access(0x102, Some(7));
        for (pid, kind, what, programs) in [
            (0x100, "video", "video H.264 of programs 1 and 2", &[1, 2][..]),
            (0x101, "data", "data DSM-CC of 3 programs, PCR of program 9", &[1, 2, 3, 9]),
            (0x102, "ca", "EMM, ECM of program 7", &[7]),
            (0x103, "unreferenced", "not in PAT, PMT or CAT", &[]),
            (0, "table", "PAT", &[]),
            (1, "table", "CAT", &[]),
            (0x12, "table", "EIT", &[]),
            (0x1B, "table", "reserved for tables", &[]),
            (0x1FFB, "table", "ATSC PSIP", &[]),
            (0x1FFF, "null", "null packets", &[]),
        ] {
            assert_eq!(roles.role(pid), Role { kind, what: what.into(), programs: programs.to_vec() });
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 18, 1_000, 8_020_000].map(rate), ["0 kb/s", "18 b/s", "1 kb/s", "8.02 Mb/s"]);
        assert_eq!([0.0, 0.0001, 0.0349, 1.0].map(percent), ["0.0 %", "<0.1 %", "3.5 %", "100.0 %"]);
        assert_eq!([0.0, 0.004, 0.006, 0.276].map(whole_percent), ["0 %", "<1 %", "1 %", "28 %"]);
        assert_eq!([0.0, -12.0, 1_500.0, 2_340_000.0].map(span), ["0 ns", "-12 ns", "1.5 µs", "2.34 ms"]);
        assert_eq!(count(1, "picture", "pictures") + &count(2_000, " picture", "pictures"), "1 picture2,000 pictures");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!(clipped("News \x1b[31m HD", 8), "News [31");
    }
}
