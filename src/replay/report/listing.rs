//! The part of the table that says what the stream carries: programs, splice information, PIDs.

use super::Report;
use super::contents::{PcrReport, ProgramReport, StreamReport};
use super::page::{Page, Style};
use super::words::{clipped, count, grouped, percent, pid_name, rate, span, stream_words, whole_percent};
use crate::units::Pid;

/// Where what is said of a stream or a PID begins.
const INDENT: usize = 50;
/// Where a program's own lines begin.
const PROGRAM: usize = 2;
/// The most characters of a name.
const NAME: usize = 40;

pub(super) fn programs(page: &mut Page, report: &Report) {
    if report.programs.is_empty() && report.packets > 0 {
        let came = report.pids.contains_key(&Pid::PAT.value());
        page.head(if came { "No program: the PAT lists none that can be read" } else { "No program: no PAT came" });
    }
    for program in &report.programs {
        let mut head = format!("Program {}", program.number);
        if let Some(service) = &program.service {
            head += &format!(" \"{}\"", clipped(service, NAME));
        }
        if let Some(provider) = &program.provider {
            head += &format!(" of {}", clipped(provider, NAME));
        }
        page.head(&head);
        if !report.pids.contains_key(&program.pmt_pid) {
            page.line(Style::Bad, &format!("  PMT on {} never came", pid_name(program.pmt_pid)));
            continue;
        }
        page.wrapped(Style::Plain, "", PROGRAM, &about(program));
        if let Some(pcr) = &program.pcr {
            let style = if pcr.accuracy.errors > 0 || pcr.jumps > 0 { Style::Warning } else { Style::Plain };
            page.wrapped(style, "", PROGRAM, &clock(pcr));
        }
        for stream in &program.streams {
            stream_lines(page, report, stream);
        }
    }
    if report.left_out > 0 {
        let line = format!("and {}", count(report.left_out, "program or stream more", "programs and streams more"));
        page.head(&(line + ", which are not followed"));
    }
}

/// Where its tables and clock are.
fn about(program: &ProgramReport) -> String {
    let words = format!("{}, PMT on {}", rate(program.bit_rate), pid_name(program.pmt_pid));
    match program.pcr_pid {
        Some(pid) => format!("{words}, PCR on {}", pid_name(pid)),
        None => words + ", no PCR",
    }
}

/// Its PCRs.
fn clock(pcr: &PcrReport) -> String {
    let mut parts = Vec::new();
    match &pcr.interval {
        Some(it) => {
            parts.push(format!("PCR every {:.1} ms ({:.1} to {:.1} ms)", it.mean_ms, it.min_ms, it.max_ms));
        }
        None => parts.push("one PCR or none".to_owned()),
    }
    let accuracy = &pcr.accuracy;
    match (accuracy.measurable, accuracy.worst_ns) {
        (Some(true), Some(worst)) => {
            #[allow(clippy::cast_precision_loss)]
            let at = accuracy.bit_rate.map(|rate| format!(" at {:.6} Mb/s", rate as f64 / 1e6)).unwrap_or_default();
            parts.push(format!("accurate to {}{at}", span(worst)));
            if accuracy.errors > 0 {
                parts.push(format!("{} of {} beyond 500 ns", grouped(accuracy.errors), grouped(accuracy.judged)));
            }
        }
        (Some(false), _) => parts.push("the rate is not constant".to_owned()),
        (Some(true) | None, _) => {}
    }
    parts.extend((accuracy.steps > 0).then(|| count(accuracy.steps, "step aside", "steps aside")));
    parts.extend(pcr.jitter_ns.map(|jitter| format!("jitter {}", span(jitter))));
    parts.extend(pcr.drift_ppm.map(|drift| format!("drift {drift:+.1} ppm")));
    parts.extend((pcr.jumps > 0).then(|| count(pcr.jumps, "jump", "jumps") + " without discontinuity_indicator"));
    parts.join(", ")
}

fn stream_lines(page: &mut Page, report: &Report, stream: &StreamReport) {
    let mut name = stream_words(stream.kind, stream.codec, stream.stream_type);
    if let Some(language) = &stream.language {
        name += &format!(" {}", clipped(language, 3));
    }
    let pid = format!("{:#x}", stream.pid);
    let Some(figures) = report.pids.get(&stream.pid) else {
        page.line(Style::Warning, &format!("  {pid:<7}{:<23}{:>10}", clipped(&name, 22), "no packet"));
        return;
    };
    let (rate, share) = (rate(figures.bit_rate), whole_percent(figures.share));
    let first = format!("  {pid:<7}{:<23}{rate:>10}{share:>6}", clipped(&name, 22));
    let missing = stream.contents.is_some_and(|contents| contents.missing > 0 || contents.uneven > 0);
    let style = if missing { Style::Warning } else { Style::Plain };
    page.wrapped(style, &first, INDENT, &contents(stream));
}

/// What was seen in a stream.
fn contents(stream: &StreamReport) -> String {
    let mut parts = Vec::new();
    match stream.audio_type {
        Some(1) => parts.push("clean effects".to_owned()),
        Some(2) => parts.push("for the hearing impaired".to_owned()),
        Some(3) => parts.push("commentary for the visually impaired".to_owned()),
        Some(_) | None => {}
    }
    if let Some(contents) = &stream.contents {
        let (one, more) = if stream.kind == "audio" { ("frame", "frames") } else { ("picture", "pictures") };
        if contents.access_units == 0 {
            return format!("no {one} could be read: scrambled?");
        }
        parts.push(count(contents.access_units, one, more));
        parts.push(format!("{} missing", grouped(contents.missing)));
        if contents.uneven > 0 {
            parts.push(count(contents.uneven, "uneven time stamp", "uneven time stamps"));
        }
        if let Some(number) = contents.random_access {
            parts.push(count(number, "random access point", "random access points"));
        }
        for (name, last) in [("CEA-608", contents.last_cea_608_s), ("DTVCC", contents.last_dtvcc_s)] {
            parts.extend(last.map(|last| format!("captions {name} last at {last:.1} s")));
        }
        if stream.announces_captions && contents.last_cea_608_s.or(contents.last_dtvcc_s).is_none() {
            parts.push("captions announced and not seen".to_owned());
        }
    }
    parts.join(", ")
}

pub(super) fn splice(page: &mut Page, report: &Report) {
    let splice = &report.splice;
    let is_listed = report.programs.iter().any(|program| program.streams.iter().any(|it| it.kind == "splice"));
    if !is_listed && splice.sections == 0 && splice.broken == 0 {
        return;
    }
    let mut head = match splice.last_s {
        Some(last) => format!("SCTE-35: {}, last at {last:.3} s", count(splice.sections, "section", "sections")),
        None => "SCTE-35: no section came".to_owned(),
    };
    for (number, what) in [(splice.encrypted, "encrypted"), (splice.broken, "that could not be read")] {
        if number > 0 {
            head += &format!(", {} {what}", grouped(number));
        }
    }
    page.head(&head);
    if let Some(command) = &splice.command {
        let words = format!("at {:.3} s on {}: {}", command.at, pid_name(command.pid), command.text);
        page.wrapped(Style::Plain, "", PROGRAM, &words);
    } else if splice.sections > 0 {
        page.line(Style::Plain, "  nothing but splice_null");
    }
}

pub(super) fn pids(page: &mut Page, report: &Report) {
    if report.pids.is_empty() {
        return;
    }
    page.head(&format!("{:<8}{:>4}{:>15}{:>13}{:>8}  what it is", "PID", "", "packets", "rate", "share"));
    for (&pid, figures) in &report.pids {
        let (packets, rate, share) = (grouped(figures.packets), rate(figures.bit_rate), percent(figures.share));
        let first = format!("{:<8}{pid:>4}{packets:>15}{rate:>13}{share:>8}", format!("{pid:#x}"));
        let style = if figures.kind == "unreferenced" { Style::Warning } else { Style::Plain };
        page.wrapped(style, &first, INDENT, &figures.what);
    }
}
