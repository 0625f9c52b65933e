//! The report as a table for people: what came, what was wrong with it, and (in `listing`) what it carries.

use super::indicators::IndicatorReport;
use super::listing;
use super::network::ArrivalReport;
use super::page::{Page, Style};
use super::words::{Roles, UNKNOWN, count, grouped, list, percent, pid_name, rate, span};
use super::{Report, source, transport};
use crate::tr101290::Indicator;
use crate::ts::PACKET_SIZE;

/// How many places are told where an indicator was raised last, and how many packets of each.
const PLACES: usize = 3;
/// Where what is said of an indicator begins.
const INDENT: usize = 7;

/// The report as a table of at most [`WIDTH`](super::WIDTH) characters a line, in plain text.
pub fn table(report: &Report) -> String {
    render(report, Page::new(false))
}

/// The same lines with the colours of a terminal (ECMA-48 SGR).
pub fn coloured(report: &Report) -> String {
    render(report, Page::new(true))
}

fn render(report: &Report, mut page: Page) -> String {
    let Report { packets, seconds, bit_rate, null_share, .. } = report;
    let (packets, bit_rate) = (count(*packets, "packet", "packets"), rate(*bit_rate));
    let nulls = if report.null_packets == 0 { "no".to_owned() } else { percent(*null_share) };
    page.line(Style::Strong, &format!("{packets} in {seconds:.3} s, {bit_rate}, {nulls} null packets"));
    if let Some(file) = &report.file {
        file_lines(&mut page, file);
    }
    if let Some(transport) = &report.transport {
        transport_lines(&mut page, transport);
    }
    if let Some(arrival) = &report.arrival {
        arrival_lines(&mut page, arrival);
    }
    if let Some(srt) = &report.srt {
        srt.lines(&mut page);
    }
    for (priority, name) in [(1, "First priority"), (2, "Second priority"), (3, "Third priority")] {
        indicators(&mut page, report, priority, name);
    }
    listing::programs(&mut page, report);
    listing::splice(&mut page, report);
    listing::pids(&mut page, report);
    page.into_text()
}

fn file_lines(page: &mut Page, file: &source::Figures) {
    // one PCR alone tells no time
    let pcr_pid = file.pcr_pid.filter(|_| file.assumed_packets < file.packets);
    match (pcr_pid.map(pid_name), file.assumed_bit_rate.map(rate)) {
        (Some(pid), None) => page.line(Style::Plain, &format!("time from the PCRs of {pid}")),
        (Some(pid), Some(rate)) => {
            let packets = count(file.assumed_packets, "packet", "packets");
            let line = format!("time from the PCRs of {pid}; {packets} without one at {rate}, as assumed");
            page.line(Style::Plain, &line);
        }
        (None, Some(rate)) => {
            let line =
                format!("no PCRs to tell the time by: all times are at {rate}, as assumed (--bit-rate sets another)");
            page.line(Style::Warning, &line);
        }
        (None, None) => {}
    }
    if file.packet_size != PACKET_SIZE {
        page.line(Style::Plain, &format!("packets of {} bytes", file.packet_size));
    }
    for (count, what) in [
        (file.leading_bytes, "bytes before the first packet"),
        (file.trailing_bytes, "bytes of a part of a packet at the end"),
        (file.resynchronisations, "times packets were found again in another grid"),
        (file.discontinuities, "times the PCRs did not go on from the one before"),
    ] {
        if count > 0 {
            page.line(Style::Warning, &format!("{} {what}", grouped(count)));
        }
    }
}

fn transport_lines(page: &mut Page, transport: &transport::Figures) {
    let transport::Figures { datagrams, rtp, .. } = *transport;
    let datagrams_said = count(datagrams, "datagram", "datagrams");
    let is_intact = transport.rtp_lost == 0 && transport.rtp_late == 0 && transport.rtp_reordered == 0;
    let line = match rtp {
        0 => datagrams_said,
        rtp if rtp < datagrams => format!("{datagrams_said}, {} of them RTP", grouped(rtp)),
        _ if is_intact => format!("{datagrams_said} of RTP, none lost"),
        _ => format!("{datagrams_said} of RTP"),
    };
    page.line(Style::Plain, &line);
    for (count, what, style) in [
        (transport.foreign, "datagrams without any TS packet", Style::Warning),
        (transport.odd, "datagrams of a length that no number of packets makes", Style::Warning),
        (transport.rtp_lost, "RTP datagrams lost", Style::Bad),
        (transport.rtp_reordered, "RTP datagrams put back in order", Style::Warning),
        (transport.rtp_late, "RTP datagrams twice or too late", Style::Warning),
        (transport.rtp_restarts, "times the RTP sequence began anew", Style::Warning),
    ] {
        if count > 0 {
            page.line(style, &format!("{} {what}", grouped(count)));
        }
    }
}

fn arrival_lines(page: &mut Page, arrival: &ArrivalReport) {
    if let Some(it) = &arrival.inter_arrival {
        let ms = |ms: f64| span(ms * 1e6);
        let (median, most) = (ms(it.p50_ms), ms(it.max_ms));
        let (p99, p99_9) = (ms(it.p99_ms), ms(it.p99_9_ms));
        let line = format!("between datagrams: median {median}, 99 % within {p99}, 99.9 % within {p99_9}");
        page.wrapped(Style::Plain, "", 0, &format!("{line}, longest {most}"));
    }
    let mut parts = Vec::new();
    if let (Some(last), Some(worst)) = (arrival.delay_factor_ms, arrival.delay_factor_worst_ms) {
        parts.push(format!("delay factor {last:.2} ms, worst {worst:.2} ms"));
    }
    let (last, worst) = (arrival.media_loss_packets_per_s, arrival.media_loss_worst_packets_per_s);
    let style = if worst > 0 { Style::Bad } else { Style::Plain };
    parts.push(format!("media loss rate {} packets/s, worst {}", grouped(last), grouped(worst)));
    page.line(style, &parts.join("; "));
}

fn indicators(page: &mut Page, report: &Report, priority: u8, name: &str) {
    let of_priority = || report.indicators.iter().filter(|(_, figures)| figures.priority == priority);
    if priority == 3 && of_priority().all(|(_, figures)| !figures.is_raised()) {
        page.head(&format!("{name}: none raised"));
        return;
    }
    page.head(&format!("{name:<41}{:>10}  {:>11}  {:>11}  now", "events", "first", "last"));
    for (indicator, figures) in of_priority() {
        indicator_line(page, report, indicator, figures);
        places(page, report, figures);
    }
}

fn indicator_line(page: &mut Page, report: &Report, indicator: Indicator, figures: &IndicatorReport) {
    let name = format!("{:<INDENT$}{}", indicator.number(), indicator.name());
    if figures.measurable == Some(false) && figures.count == 0 {
        page.line(Style::Quiet, &format!("{name:<41}{:>10}  {}", "-", not_measurable(report)));
        return;
    }
    let style = match priority_of(figures) {
        None => Style::Good,
        Some(1) => Style::Bad,
        Some(_) => Style::Warning,
    };
    let time = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), |at| format!("{at:.3} s"));
    let (first, last) = (time(figures.first), time(figures.last));
    let state = if figures.state { "raised" } else { "-" };
    let count = grouped(figures.count);
    page.line(style, &format!("{name:<41}{count:>10}  {first:>11}  {last:>11}  {state}"));
}

/// That of what was raised.
fn priority_of(figures: &IndicatorReport) -> Option<u8> {
    figures.is_raised().then_some(figures.priority)
}

/// Why the accuracy of PCRs cannot be told.
fn not_measurable(report: &Report) -> &'static str {
    let mut clocks = report.programs.iter().filter_map(|program| program.pcr.as_ref());
    if clocks.any(|pcr| pcr.accuracy.measurable == Some(false)) {
        "not measurable: the rate is not constant"
    } else {
        "not measurable: too few PCRs in a row"
    }
}

/// Where an indicator was raised last.
fn places(page: &mut Page, report: &Report, figures: &IndicatorReport) {
    let mut latest = figures.latest.as_slice();
    let mut told: Vec<(Option<u16>, Option<u16>)> = Vec::new();
    while let [before @ .., last] = latest {
        latest = before;
        let place = (last.pid, last.program);
        if told.contains(&place) {
            continue;
        }
        if told.len() == PLACES {
            break;
        }
        told.push(place);
        let mut packets: Vec<u64> =
            figures.latest.iter().filter(|o| (o.pid, o.program) == place).map(|o| o.packet).collect();
        packets.dedup();
        let packets: Vec<String> =
            packets.iter().skip(packets.len().saturating_sub(PLACES)).map(|n| grouped(*n)).collect();
        let at = if packets.len() == 1 { "at packet" } else { "at packets" };
        let first = if told.len() == 1 { "latest" } else { "and" };
        let words = format!("{first} {}{at} {}", place_name(report, place), list(&packets));
        page.wrapped(Style::Quiet, "", INDENT, &words);
    }
}

/// As `on PID 0x101 (video H.264 of program 1) `.
fn place_name(report: &Report, (pid, program): (Option<u16>, Option<u16>)) -> String {
    let what = |pid| {
        let role = || Roles::of(&report.programs).role(pid);
        let what = report.pids.get(&pid).map_or_else(|| role().what, |pid| pid.what.clone());
        if what == UNKNOWN { String::new() } else { format!("({what}) ") }
    };
    match (pid, program) {
        (Some(pid), _) => format!("on {} {}", pid_name(pid), what(pid)),
        (None, Some(program)) => format!("in program {program} "),
        (None, None) => String::new(),
    }
}
