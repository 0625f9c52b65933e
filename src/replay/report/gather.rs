//! From an analyser's figures to a report.

use super::contents::{
    AccuracyReport, ContentsReport, IntervalReport, PcrReport, PidReport, ProgramReport, SegmentationReport,
    SpliceCommandReport, SpliceReport, StreamReport,
};
use super::indicators::{IndicatorReport, Occurrence};
use super::words::Roles;
use super::{Report, millis, rounded};
use crate::measure::{accuracy, clock};
use crate::replay::text;
use crate::tr101290::{Analyser, Indicator, Program, Stream, StreamFigures};
use crate::ts::PACKET_SIZE;
use crate::ts::scte35::{Command, SpliceInfo};
use crate::units::{Instant, Pid, Span};

/// Whose time a stream was analysed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum TimeBase {
    /// That of its own PCRs, which cannot be late or drift against themselves.
    Own,
    /// That of a receiver.
    Receiver,
}

/// What an analyser found in a stream that began at `first` and lasted until `last`.
pub(in crate::replay) fn gather(analyser: &Analyser, first: Instant, last: Instant, base: TimeBase) -> Report {
    let whole = Whole { packets: analyser.packets(), first, span: last.since(first) };
    let mut report = Report {
        packets: analyser.packets(),
        seconds: whole.span.seconds(),
        bit_rate: whole.rate(analyser.packets()),
        null_packets: analyser.nulls(),
        null_share: whole.share(analyser.nulls()),
        missing_packets: analyser.missing(),
        left_out: analyser.left_out(),
        splice: splice(analyser, &whole),
        ..Report::default()
    };
    for indicator in Indicator::ALL {
        let filled = indicator_report(analyser, indicator, &whole);
        let into = report.indicators.report_mut(indicator);
        *into = IndicatorReport { measurable: into.measurable, ..filled };
    }
    let clocks: Vec<_> = analyser.clocks(last).collect();
    let is_measurable = clocks.iter().any(|(_, accuracy, _)| accuracy.measurable == Some(true));
    report.indicators.report_mut(Indicator::PcrAccuracyError).measurable = Some(is_measurable);
    for program in analyser.programs() {
        let clock = clocks.iter().find(|(pid, ..)| Some(*pid) == program.pcr_pid);
        let mut filled = program_report(analyser, program, &whole);
        filled.pcr = clock.map(|(_, accuracy, clock)| pcr(accuracy, clock, base));
        report.programs.push(filled);
    }
    let mut roles = Roles::of(&report.programs);
    for (pid, program) in analyser.conditional_access() {
        roles.conditional_access(pid.value(), program);
    }
    for (pid, packets) in analyser.pids() {
        let pid = pid.value();
        let role = roles.role(pid);
        let (bit_rate, share) = (whole.rate(packets), whole.share(packets));
        let filled = PidReport { packets, bit_rate, share, kind: role.kind, what: role.what, programs: role.programs };
        report.pids.insert(pid, filled);
    }
    for program in &mut report.programs {
        let own = report.pids.values().filter(|pid| pid.programs.contains(&program.number));
        program.bit_rate = whole.rate(own.map(|pid| pid.packets).sum());
    }
    report
}

/// All that the parts are parts of.
struct Whole {
    packets: u64,
    first: Instant,
    span: Span,
}

impl Whole {
    /// Bits a second, 0 where no time passed.
    fn rate(&self, packets: u64) -> u64 {
        let bits = u128::from(packets) * (PACKET_SIZE as u128) * 8 * 1_000_000_000;
        let rate = bits.checked_div(u128::from(self.span.nanos().unsigned_abs()));
        rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }

    #[allow(clippy::cast_precision_loss)]
    fn share(&self, packets: u64) -> f64 {
        if self.packets == 0 { 0.0 } else { rounded(packets as f64 / self.packets as f64, 6) }
    }

    /// Seconds from the start.
    fn since(&self, at: Instant) -> f64 {
        at.since(self.first).seconds()
    }
}

fn indicator_report(analyser: &Analyser, indicator: Indicator, whole: &Whole) -> IndicatorReport {
    let count = analyser.count(indicator);
    IndicatorReport {
        priority: indicator.priority(),
        count: count.events(),
        first: count.first().map(|at| whole.since(at)),
        last: count.last().map(|at| whole.since(at)),
        state: analyser.is_absent(indicator),
        measurable: None,
        latest: count
            .latest()
            .map(|o| Occurrence {
                at: whole.since(o.at),
                packet: o.packet,
                pid: o.place.pid.map(Pid::value),
                program: o.place.program,
            })
            .collect(),
    }
}

fn program_report(analyser: &Analyser, program: &Program, whole: &Whole) -> ProgramReport {
    let service = analyser.services().iter().find(|service| service.number == program.number);
    let name = |bytes: &[u8]| Some(text::decode(bytes)).filter(|name| !name.is_empty());
    ProgramReport {
        number: program.number,
        pmt_pid: program.pmt_pid.value(),
        pcr_pid: program.pcr_pid.map(Pid::value),
        service: service.and_then(|service| name(service.name.bytes())),
        provider: service.and_then(|service| name(service.provider.bytes())),
        service_type: service.map(|service| service.service_type),
        bit_rate: 0,
        pcr: None,
        streams: analyser
            .streams()
            .iter()
            .filter(|stream| stream.program == program.number)
            .map(|stream| stream_report(analyser, stream, whole))
            .collect(),
    }
}

fn stream_report(analyser: &Analyser, stream: &Stream, whole: &Whole) -> StreamReport {
    let description = &stream.description;
    let contents = analyser.contents().find(|(pid, _)| *pid == stream.pid);
    let is_video = description.pictures().is_some();
    StreamReport {
        pid: stream.pid.value(),
        kind: description.kind.name(),
        codec: description.codec,
        stream_type: stream.stream_type,
        language: description.language.map(|code| String::from_utf8_lossy(&code).into_owned()),
        audio_type: description.audio_type,
        announces_captions: description.announces_captions,
        contents: contents.map(|(_, figures)| contents_report(figures, is_video, whole)),
    }
}

fn contents_report(figures: &StreamFigures, is_video: bool, whole: &Whole) -> ContentsReport {
    let since = |at: Option<Instant>| at.map(|at| whole.since(at));
    ContentsReport {
        access_units: figures.access_units,
        missing: figures.missing,
        uneven: figures.uneven,
        random_access: is_video.then_some(figures.random_access),
        last_random_access_s: since(figures.last_random_access),
        last_cea_608_s: since(figures.last_cea608),
        last_dtvcc_s: since(figures.last_dtvcc),
    }
}

fn pcr(accuracy: &accuracy::Figures, clock: &clock::Figures, base: TimeBase) -> PcrReport {
    let nanos = |value: Option<f64>| value.map(|value| rounded(value, 1));
    let received = base == TimeBase::Receiver;
    PcrReport {
        interval: clock.interval.map(|it| IntervalReport {
            min_ms: millis(it.min_ns),
            mean_ms: millis(it.mean_ns),
            max_ms: millis(it.max_ns),
        }),
        jitter_ns: nanos(clock.jitter_ns.filter(|_| received)),
        drift_ppm: clock.drift_ppm.filter(|_| received).map(|drift| rounded(drift, 3)),
        jumps: clock.jumps,
        accuracy: AccuracyReport {
            measurable: accuracy.measurable,
            bit_rate: accuracy.bit_rate_bps.map(whole_bits),
            last_ns: nanos(accuracy.last_ns),
            worst_second_ns: nanos(accuracy.worst_second_ns),
            worst_ns: nanos(accuracy.worst_ns),
            judged: accuracy.judged,
            errors: accuracy.errors,
            steps: accuracy.steps,
        },
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is outside is the nearest inside")]
fn whole_bits(rate: f64) -> u64 {
    rate.round() as u64
}

fn splice(analyser: &Analyser, whole: &Whole) -> SpliceReport {
    let figures = analyser.splice();
    SpliceReport {
        sections: figures.sections,
        encrypted: figures.encrypted,
        broken: figures.broken,
        last_s: figures.last_any.map(|at| whole.since(at)),
        command: figures.last.map(|(at, pid, info)| splice_command(whole.since(at), pid, &info)),
    }
}

fn splice_command(at: f64, pid: Pid, info: &SpliceInfo) -> SpliceCommandReport {
    let mut report = SpliceCommandReport { at, pid: pid.value(), text: info.to_string(), ..Default::default() };
    report.name = match info.command {
        Command::SpliceNull => "splice_null",
        Command::SpliceSchedule { .. } => "splice_schedule",
        Command::SpliceInsert(insert) => {
            report.event_id = Some(insert.event_id);
            report.cancel = Some(insert.cancel);
            report.out_of_network = (!insert.cancel).then_some(insert.out_of_network);
            report.pts_90k = insert.pts.map(|pts| pts.0);
            report.break_duration_ms = insert.duration.map(ticks);
            "splice_insert"
        }
        Command::TimeSignal { pts } => {
            report.pts_90k = pts.map(|pts| pts.0);
            "time_signal"
        }
        Command::BandwidthReservation => "bandwidth_reservation",
        Command::Private { .. } => "private_command",
        Command::Unknown(_) => "reserved",
        Command::Encrypted => "encrypted",
        Command::NewerProtocol => "newer_protocol",
    };
    report.segmentation = info.segmentation.map(|segmentation| SegmentationReport {
        event_id: segmentation.event_id,
        cancel: segmentation.cancel,
        type_id: segmentation.type_id,
        type_name: segmentation.type_name().filter(|_| !segmentation.cancel),
        duration_ms: segmentation.duration.map(ticks),
    });
    report
}

/// Ticks of 90 kHz as milliseconds.
#[allow(clippy::cast_precision_loss)]
fn ticks(ticks: u64) -> f64 {
    rounded(ticks as f64 / 90.0, 6)
}
