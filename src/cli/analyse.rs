//! `changeover analyse`: what is in a stream, and what is wrong with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use changeover::replay::analyse::{AnalyseError, capture, file};
use changeover::replay::capture::{Capture, CaptureError};
use changeover::replay::pair::{Side, kinship};
use changeover::replay::report::{PairReport, Report, SCHEMA, coloured, coloured_pair, pair_schema, pair_table, table};
use changeover::units::BitRate;
use indicatif::{ProgressBar, ProgressStyle};

use super::Status;
use super::live::{self, Terms};
use super::output::{complain, print};

/// Analyse a stream: TR 101 290, programs, clocks, contents, PIDs and rates.
///
/// The source is a URL (udp:// or rtp://, multicast is joined; srt:// calls or listens), a file of TS packets (188, 192 or 204 bytes, which it
/// finds out by itself), or a capture (pcap or pcapng). A file is read in its own PCR time, a capture in that of its
/// time stamps. A network source is analysed until Ctrl-C, or for --seconds; what it shows on the terminal is as much as
/// fits, and the whole at the end. Arrival, jitter and drift are told of a network source or a capture alone: a file has no
/// other time than its own.
///
/// With two sources, two of the network or two that are files or captures, it tells what is in each and how the second stands to the
/// first: whether it has the same packets and how much later, the same time line, or nothing in common, and what a switch to it
/// would cost.
///
/// Exit status 1 says that an indicator of the first priority was raised.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  changeover analyse recording.ts
  changeover analyse 'udp://239.1.1.1:5000?iface=eth1'
  changeover analyse 'rtp://239.1.1.1:5000?iface=eth1&source=10.0.0.5' --seconds 60 --json
  changeover analyse 'srt://10.0.0.5:9000?latency=200ms&streamid=news' --passphrase-file news.key
  changeover analyse 'srt://0.0.0.0:9000?mode=listener'    whoever calls first
  changeover analyse incident.pcapng --flow 239.1.1.1:5000
  changeover analyse recording.ts --json | jq '.indicators.continuity_count_error'
  changeover analyse main.pcapng backup.pcapng         how the second stands to the first
  changeover analyse udp://239.1.1.1:5000 srt://10.0.0.5:9000 --seconds 10    the same, as they come
  changeover analyse both.pcapng both.pcapng --flow 239.1.1.1:5000 --flow 239.1.1.2:5000
  changeover analyse --schema > report.schema.json     what every name of the JSON means, and its unit
  changeover analyse --schema=pair > pair.schema.json  the same of the JSON of two sources")]
pub(super) struct Arguments {
    /// A URL, a file of TS packets, or a capture; two are compared
    #[arg(required_unless_present = "schema", value_name = "SOURCE")]
    sources: Vec<String>,
    /// One JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// The JSON Schema of that object, and nothing else; with =pair that of two sources
    #[arg(long, exclusive = true, value_name = "OF", num_args = 0..=1, require_equals = true, default_missing_value = "one")]
    schema: Option<Of>,
    /// Stop after this many seconds (network sources only)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// The rate of a file that has no PCR to tell its time by, in bits a second
    #[arg(long, value_name = "RATE", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    bit_rate: u64,
    /// The file that has the passphrase of what comes by SRT, in one line
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_env")]
    passphrase_file: Option<PathBuf>,
    /// The environment variable that has it
    #[arg(long, value_name = "NAME")]
    passphrase_env: Option<String>,
    /// Which flow of a capture, by its destination; of two sources once for both, or once for each in their order
    #[arg(long, value_name = "ADDRESS:PORT")]
    flow: Vec<SocketAddr>,
}

/// What a schema is that of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// One source.
    One,
    /// Two sources.
    Pair,
}

pub(super) fn analyse(arguments: &Arguments) -> Status {
    match arguments.schema {
        Some(Of::One) => return print(SCHEMA).map_or_else(|status| status, |()| Status::Done),
        Some(Of::Pair) => return print(&pair_schema()).map_or_else(|status| status, |()| Status::Done),
        None => {}
    }
    if arguments.flow.len() > arguments.sources.len() {
        let (flows, sources) = (arguments.flow.len(), arguments.sources.len());
        complain(format_args!(
            "changeover: --flow is said {flows} times, and there are not as many sources: {sources}"
        ));
        return Status::Usage;
    }
    let told = match &arguments.sources[..] {
        [source] => one(arguments, source),
        [a, b] => pair(arguments, a, b),
        sources => {
            let sources = sources.len();
            complain(format_args!("changeover: analyse takes one source, or two to compare; {sources} were given"));
            return Status::Usage;
        }
    };
    match told.and_then(|(text, is_clean)| print(&text).map(|()| is_clean)) {
        Ok(true) => Status::Done,
        Ok(false) => Status::No,
        Err(status) => status,
    }
}

/// Whether a source is one of the network.
fn is_url(source: &str) -> bool {
    source.contains("://")
}

/// What is to be printed of one source, and whether it is clean.
fn one(arguments: &Arguments, source: &str) -> Result<(String, bool), Status> {
    let report = if is_url(source) {
        live::one(&terms(arguments), source)
    } else {
        stored(arguments, Path::new(source), arguments.flow.first().copied())
    }?;
    let text = if arguments.json { json(&report)? } else { drawn(&report) };
    Ok((text, report.is_clean()))
}

/// The same of two.
fn pair(arguments: &Arguments, a: &str, b: &str) -> Result<(String, bool), Status> {
    let (report, names) = match [is_url(a), is_url(b)] {
        [true, true] => live::pair(&terms(arguments), [a, b])?,
        [false, false] => (stored_pair(arguments, [a, b])?, [a, b].map(str::to_owned)),
        [true, false] | [false, true] => {
            complain(format_args!(
                "changeover: {a} and {b}: what is live and what was recorded have no time in common; capture the one and then \
                 compare it with the other"
            ));
            return Err(Status::Usage);
        }
    };
    let text = if arguments.json { json(&report)? } else { drawn_pair(&report, [&names[0], &names[1]]) };
    Ok((text, report.is_clean()))
}

fn terms(arguments: &Arguments) -> Terms<'_> {
    Terms {
        seconds: arguments.seconds,
        is_json: arguments.json,
        passphrase_file: arguments.passphrase_file.as_deref(),
        passphrase_env: arguments.passphrase_env.as_deref(),
    }
}

fn stored_pair(arguments: &Arguments, [a, b]: [&str; 2]) -> Result<PairReport, Status> {
    let flow = |number: usize| arguments.flow.get(number).or_else(|| arguments.flow.first()).copied();
    let (reports, paths) =
        ([stored(arguments, Path::new(a), flow(0))?, stored(arguments, Path::new(b), flow(1))?], [a, b]);
    let [first, second] = [0, 1].map(|i| Side {
        path: Path::new(paths[i]),
        flow: flow(i),
        assumed: BitRate(arguments.bit_rate),
        measured: BitRate(reports[i].bit_rate),
    });
    let bar = progress_bar(first.path);
    let result = kinship(&first, &second, |packets| bar.set_message(format!("{packets} packets compared")));
    bar.finish_and_clear();
    let kinship = result.map_err(|error| failed(&error))?;
    let [a, b] = reports;
    Ok(PairReport { a, b, kinship })
}

fn json(report: &impl serde::Serialize) -> Result<String, Status> {
    serde_json::to_string(report).map(|text| text + "\n").map_err(|error| {
        complain(format_args!("changeover: {error}"));
        Status::Unavailable
    })
}

pub(super) fn drawn(report: &Report) -> String {
    if console::colors_enabled() { coloured(report) } else { table(report) }
}

pub(super) fn drawn_pair(report: &PairReport, names: [&str; 2]) -> String {
    if console::colors_enabled() { coloured_pair(report, names) } else { pair_table(report, names) }
}

/// A file of packets, or a capture where it begins like one.
fn stored(arguments: &Arguments, path: &Path, flow: Option<SocketAddr>) -> Result<Report, Status> {
    let bar = progress_bar(path);
    let result = match Capture::open(path) {
        Ok(_) => capture(path, flow, |frames| bar.set_message(format!("{frames} frames"))),
        Err(CaptureError::Format { .. }) => file(path, BitRate(arguments.bit_rate), |at, size| {
            if let Some(size) = size {
                bar.set_length(size);
            }
            bar.set_position(at);
        }),
        Err(error) => Err(error.into()),
    };
    bar.finish_and_clear();
    result.map_err(|error| failed(&error))
}

fn failed(error: &AnalyseError) -> Status {
    complain(format_args!("changeover: {error}"));
    match error {
        AnalyseError::Flow(_) => Status::Usage,
        AnalyseError::Source(_) | AnalyseError::Capture(_) => Status::Unavailable,
    }
}

/// On standard error, and only where that is a terminal.
fn progress_bar(path: &Path) -> ProgressBar {
    let bar = ProgressBar::new(PathBuf::from(path).metadata().map_or(0, |m| m.len()));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}") {
        bar.set_style(style);
    }
    bar
}
