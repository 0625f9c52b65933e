//! `changeover analyse`: what is in a stream, and what is wrong with it.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use changeover::config::{Endpoint, InputPlan, Scheme};
use changeover::plane::{Interfaces, Receiver};
use changeover::replay::analyse::{AnalyseError, Monitor, capture, file};
use changeover::replay::capture::{Capture, CaptureError};
use changeover::replay::pair::{Side, kinship};
use changeover::replay::report::{PairReport, Report, SCHEMA, coloured, coloured_pair, pair_schema, pair_table, table};
use changeover::transport::Framing;
use changeover::units::{BitRate, Instant, Span};
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use super::Status;
use super::by_srt::{self, Connection};
use super::output::{complain, print};

/// The receive buffer of a network source in bytes, where its URL names none.
const RECEIVE_BUFFER: usize = 8 << 20;
/// How often the table on the terminal is drawn anew, and joins are looked after.
const REFRESH: Span = Span::from_secs(1);
/// How long one wait for datagrams may be: absences are raised at most this late on the terminal, though at their time.
const WAIT: Span = Span::from_millis(5);

/// Analyse a stream: TR 101 290, programs, clocks, contents, PIDs and rates.
///
/// The source is a URL (udp:// or rtp://, multicast is joined; srt:// calls or listens), a file of TS packets (188, 192 or 204 bytes, which it
/// finds out by itself), or a capture (pcap or pcapng). A file is read in its own PCR time, a capture in that of its
/// time stamps. A network source is analysed until Ctrl-C, or for --seconds; what it shows on the terminal is as much as
/// fits, and the whole at the end. Arrival, jitter and drift are told of a network source or a capture alone: a file has no
/// other time than its own.
///
/// With two sources, files or captures, it tells what is in each and how the second stands to the first: whether it has the same
/// packets and how much later, the same time line, or nothing in common, and what a switch to it would cost.
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
  changeover analyse both.pcapng both.pcapng --flow 239.1.1.1:5000 --flow 239.1.1.2:5000
  changeover analyse --schema > report.schema.json     what every name of the JSON means, and its unit
  changeover analyse --schema=pair > pair.schema.json  the same of the JSON of two sources")]
pub(super) struct Arguments {
    /// A URL, a file of TS packets, or a capture; two files or captures are compared
    #[arg(required_unless_present = "schema", value_name = "SOURCE")]
    sources: Vec<String>,
    /// One JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// The JSON Schema of that object, and nothing else; with =pair that of two sources
    #[arg(long, exclusive = true, value_name = "OF", num_args = 0..=1, require_equals = true, default_missing_value = "one")]
    schema: Option<Of>,
    /// Stop after this many seconds (a network source only)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// The rate of a file that has no PCR to tell its time by, in bits a second
    #[arg(long, value_name = "RATE", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    bit_rate: u64,
    /// The file that has the passphrase of a source by SRT, in one line
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

/// What is to be printed of one source, and whether it is clean.
fn one(arguments: &Arguments, source: &str) -> Result<(String, bool), Status> {
    let report = if source.contains("://") {
        network(arguments, source)
    } else {
        stored(arguments, Path::new(source), arguments.flow.first().copied())
    }?;
    let text = if arguments.json { json(&report)? } else { drawn(&report) };
    Ok((text, report.is_clean()))
}

/// The same of two.
fn pair(arguments: &Arguments, a: &str, b: &str) -> Result<(String, bool), Status> {
    if let Some(url) = [a, b].into_iter().find(|source| source.contains("://")) {
        complain(format_args!(
            "changeover: {url}: only files and captures can be compared; capture both to one file first"
        ));
        return Err(Status::Usage);
    }
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
    let report = PairReport { a, b, kinship };
    let text = if arguments.json {
        json(&report)?
    } else if console::colors_enabled() {
        coloured_pair(&report, paths)
    } else {
        pair_table(&report, paths)
    };
    Ok((text, report.is_clean()))
}

fn json(report: &impl serde::Serialize) -> Result<String, Status> {
    serde_json::to_string(report).map(|text| text + "\n").map_err(|error| {
        complain(format_args!("changeover: {error}"));
        Status::Unavailable
    })
}

fn drawn(report: &Report) -> String {
    if console::colors_enabled() { coloured(report) } else { table(report) }
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

/// As many lines of the report as a terminal has room for, and how many rows they take: it cannot take back what has moved
/// out at its top.
fn fitting(report: &Report, (height, width): (u16, u16)) -> (String, usize) {
    let most = usize::from(height).saturating_sub(1);
    let rows_of = |line: &str| line.chars().count().div_ceil(usize::from(width).max(1)).max(1);
    let (mut lines, mut rows) = (0, 0);
    for line in table(report).lines() {
        let taken = rows + rows_of(line);
        if taken > most {
            break;
        }
        (lines, rows) = (lines + 1, taken);
    }
    (drawn(report).split_inclusive('\n').take(lines).collect(), rows)
}

/// How a URL of UDP or RTP is received.
fn datagrams(source: &str) -> Result<(InputPlan, Framing), Status> {
    let endpoint = Endpoint::parse(source).map_err(|error| {
        complain(format_args!("changeover: {error}"));
        Status::Usage
    })?;
    let framing = match endpoint.scheme {
        Scheme::Udp => Framing::Auto,
        Scheme::Rtp => Framing::Rtp,
    };
    let plan = InputPlan {
        name: "source".to_owned(),
        url: source.to_owned(),
        address: endpoint.address,
        interface: endpoint.interface,
        sources: endpoint.sources,
        receive_buffer: endpoint.buffer.unwrap_or(RECEIVE_BUFFER),
        domain: None,
        srt: None,
    };
    Ok((plan, framing))
}

fn network(arguments: &Arguments, source: &str) -> Result<Report, Status> {
    let (plan, framing) = if by_srt::is_srt(source) {
        let (file, variable) = (arguments.passphrase_file.as_deref(), arguments.passphrase_env.as_deref());
        (by_srt::plan(source, file, variable)?, Framing::Auto)
    } else if arguments.passphrase_file.is_some() || arguments.passphrase_env.is_some() {
        complain(format_args!("changeover: {source}: a passphrase is for SRT, and this URL is not one of srt://"));
        return Err(Status::Usage);
    } else {
        datagrams(source)?
    };
    // as it may be shown
    let source = plan.url.as_str();
    let mut receiver = Receiver::open(&plan).map_err(|error| {
        complain(format_args!("changeover: {error}"));
        Status::Unavailable
    })?;
    let stop = super::stop::on_signal().map_err(|error| {
        complain(format_args!("changeover: signals cannot be waited for: {error}"));
        Status::Unavailable
    })?;
    let term = Term::stdout();
    let live = !arguments.json && io::stdout().is_terminal();
    let mut monitor = Monitor::new(framing);
    let mut connection = plan.srt.as_ref().map(|_| Connection::default());
    let started = receiver.now();
    let until = arguments.seconds.map_or(Instant::NEVER, |seconds| started + Span::from_secs(seconds));
    let (mut draw_at, mut rows) = (started + REFRESH, 0);
    loop {
        receiver.recv_batch(WAIT, |payload, at| monitor.datagram(at, payload));
        let now = receiver.now();
        if !monitor.is_empty() {
            monitor.advance(now);
        }
        for line in by_srt::told(&receiver, source) {
            let _ = term.clear_last_lines(rows);
            rows = 0;
            complain(format_args!("changeover: {line}"));
        }
        if let (Some(connection), Some(status)) = (&mut connection, receiver.srt()) {
            connection.look(status);
        }
        if now >= until || stop.is_set() {
            break;
        }
        if now < draw_at {
            continue;
        }
        draw_at = now + REFRESH;
        if let Ok(interfaces) = Interfaces::read() {
            receiver.refresh(&interfaces);
        }
        if live {
            let (text, taken) = fitting(&report(&mut monitor, connection.as_ref()), term.size());
            let _ = term.clear_last_lines(rows);
            rows = taken;
            print(&text)?;
        }
    }
    if live {
        let _ = term.clear_last_lines(rows);
    }
    if monitor.is_empty() {
        let seconds = Duration::from_nanos(receiver.now().since(started).nanos().unsigned_abs()).as_secs();
        let hint = match connection.as_ref().map(|connection| connection.report().connected) {
            None => "is the group right, and the interface?",
            Some(0) => "nobody was connected",
            Some(_) => "the other side was connected and sent nothing",
        };
        complain(format_args!("changeover: nothing came from {source} in {seconds} s: {hint}"));
    }
    Ok(report(&mut monitor, connection.as_ref()))
}

/// What was found, with the connection that it came by.
fn report(monitor: &mut Monitor, connection: Option<&Connection>) -> Report {
    Report { srt: connection.map(Connection::report), ..monitor.report() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_again_and_again_never_moves_out_of_the_terminal() {
        let report = Report::default();
        let whole = table(&report);
        assert_eq!(fitting(&report, (200, 100)), (whole.clone(), whole.lines().count()));
        let (text, rows) = fitting(&report, (10, 100));
        assert_eq!((text.lines().count(), rows), (9, 9));
        assert!(whole.starts_with(&text));
        let (text, rows) = fitting(&report, (10, 50));
        assert!(rows <= 9 && text.lines().count() < 9, "lines that are too wide take two rows: {rows}\n{text}");
        assert_eq!(fitting(&report, (0, 0)), (String::new(), 0));
    }
}
