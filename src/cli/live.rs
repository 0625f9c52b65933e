//! Sources of the network, analysed as they come: one, or two that are compared.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use changeover::config::{Endpoint, InputPlan, Scheme};
use changeover::plane::{Interfaces, Receiver};
use changeover::replay::analyse::Monitor;
use changeover::replay::pair::Comparison;
use changeover::replay::report::{PairReport, Report, pair_table, table};
use changeover::transport::Framing;
use changeover::units::{BitRate, Instant, Span};
use console::Term;

use super::Status;
use super::analyse::{drawn, drawn_pair};
use super::by_srt::{self, Connection};
use super::output::{complain, print};
use super::stop;

/// The receive buffer of a network source in bytes, where its URL names none.
const RECEIVE_BUFFER: usize = 8 << 20;
/// How often the table on the terminal is drawn anew, and joins are looked after.
const REFRESH: Span = Span::from_secs(1);
/// How long one wait for datagrams may be: absences are raised at most this late on the terminal, though at their time.
const WAIT: Span = Span::from_millis(5);
/// Datagrams that a receiver gives at once at the most.
const BATCH: usize = 64;
/// The rate of each of two sources up to which they are held against each other.
const MOST: BitRate = BitRate(120_000_000);

/// What the command line says besides the sources.
pub(super) struct Terms<'a> {
    pub(super) seconds: Option<u32>,
    pub(super) is_json: bool,
    pub(super) passphrase_file: Option<&'a Path>,
    pub(super) passphrase_env: Option<&'a str>,
}

/// One source.
struct Live {
    /// Its URL, as it may be shown.
    name: String,
    framing: Framing,
    receiver: Receiver,
    monitor: Monitor,
    connection: Option<Connection>,
}

impl Live {
    fn open(terms: &Terms<'_>, source: &str) -> Result<Self, Status> {
        let (plan, framing) = if by_srt::is_srt(source) {
            (by_srt::plan(source, terms.passphrase_file, terms.passphrase_env)?, Framing::Auto)
        } else {
            datagrams(source)?
        };
        let receiver = Receiver::open(&plan).map_err(|error| {
            complain(format_args!("changeover: {error}"));
            Status::Unavailable
        })?;
        let connection = plan.srt.as_ref().map(|_| Connection::default());
        Ok(Self { name: plan.url, framing, receiver, monitor: Monitor::new(framing), connection })
    }

    /// Takes what has come, and waits for it a little. Each datagram goes to `each` as well.
    fn receive(&mut self, mut each: impl FnMut(&[u8], Instant)) {
        let monitor = &mut self.monitor;
        let mut take = |payload: &[u8], at| {
            monitor.datagram(at, payload);
            each(payload, at);
        };
        let mut wait = WAIT;
        while self.receiver.recv_batch(wait, &mut take) == BATCH {
            wait = Span::ZERO;
        }
        let now = self.receiver.now();
        if !self.monitor.is_empty() {
            self.monitor.advance(now);
        }
        if let (Some(connection), Some(status)) = (&mut self.connection, self.receiver.srt()) {
            connection.look(status);
        }
    }

    /// What was found, with the connection that it came by.
    fn report(&mut self) -> Report {
        Report { srt: self.connection.as_ref().map(Connection::report), ..self.monitor.report() }
    }

    /// Says so where nothing came since `started`.
    fn complain_of_nothing(&self, started: Instant) {
        if !self.monitor.is_empty() {
            return;
        }
        let seconds = Duration::from_nanos(self.receiver.now().since(started).nanos().unsigned_abs()).as_secs();
        let hint = match self.connection.as_ref().map(|connection| connection.report().connected) {
            None => "is the group right, and the interface?",
            Some(0) => "nobody was connected",
            Some(_) => "the other side was connected and sent nothing",
        };
        complain(format_args!("changeover: nothing came from {} in {seconds} s: {hint}", self.name));
    }
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

/// One source, until it is to end.
pub(super) fn one(terms: &Terms<'_>, source: &str) -> Result<Report, Status> {
    let mut all = open(terms, [source])?;
    watch(
        terms,
        &mut all,
        |[live]| live.receive(|_, _| {}),
        |[live]| {
            let report = live.report();
            (table(&report), drawn(&report))
        },
    )?;
    let [live] = &mut all;
    Ok(live.report())
}

/// Two sources, until it is to end, and their names.
pub(super) fn pair(terms: &Terms<'_>, sources: [&str; 2]) -> Result<(PairReport, [String; 2]), Status> {
    let mut all = open(terms, sources)?;
    let names = [0, 1].map(|i| all[i].name.clone());
    let comparison = std::cell::RefCell::new(Comparison::live(MOST));
    let report =
        |[a, b]: &mut [Live; 2]| PairReport { a: a.report(), b: b.report(), kinship: comparison.borrow_mut().report() };
    let mut came: Vec<(Instant, usize, Vec<u8>)> = Vec::new();
    let receive = |all: &mut [Live; 2]| {
        for (i, live) in all.iter_mut().enumerate() {
            live.receive(|payload, at| came.push((at, i, payload.to_vec())));
        }
        came.sort_by_key(|(at, ..)| *at);
        let mut comparison = comparison.borrow_mut();
        for (at, i, payload) in came.drain(..) {
            comparison.datagram(i, at, &payload, all[i].framing);
        }
    };
    watch(terms, &mut all, receive, |all| {
        let report = report(all);
        let names = [0, 1].map(|i| names[i].as_str());
        (pair_table(&report, names), drawn_pair(&report, names))
    })?;
    Ok((report(&mut all), names))
}

fn open<const N: usize>(terms: &Terms<'_>, sources: [&str; N]) -> Result<[Live; N], Status> {
    if (terms.passphrase_file.is_some() || terms.passphrase_env.is_some())
        && !sources.iter().any(|source| by_srt::is_srt(source))
    {
        let source = sources.join(" and ");
        complain(format_args!("changeover: {source}: a passphrase is for SRT, and this URL is not one of srt://"));
        return Err(Status::Usage);
    }
    let mut all = Vec::with_capacity(N);
    for source in sources {
        all.push(Live::open(terms, source)?);
    }
    all.try_into().map_err(|_| Status::Unavailable)
}

/// Receives until a signal or the time that was said, and draws what `draw` gives, without colours and with them, on a terminal.
fn watch<const N: usize>(
    terms: &Terms<'_>,
    all: &mut [Live; N],
    mut receive: impl FnMut(&mut [Live; N]),
    mut draw: impl FnMut(&mut [Live; N]) -> (String, String),
) -> Result<(), Status> {
    let stop = stop::on_signal().map_err(|error| {
        complain(format_args!("changeover: signals cannot be waited for: {error}"));
        Status::Unavailable
    })?;
    let term = Term::stdout();
    let is_drawn = !terms.is_json && io::stdout().is_terminal();
    let started = all[0].receiver.now();
    let until = terms.seconds.map_or(Instant::NEVER, |seconds| started + Span::from_secs(seconds));
    let (mut draw_at, mut rows) = (started + REFRESH, 0);
    loop {
        receive(all);
        for line in all.iter().flat_map(|live| by_srt::told(&live.receiver, &live.name)) {
            let _ = term.clear_last_lines(rows);
            rows = 0;
            complain(format_args!("changeover: {line}"));
        }
        let now = all[0].receiver.now();
        if now >= until || stop.is_set() {
            break;
        }
        if now < draw_at {
            continue;
        }
        draw_at = now + REFRESH;
        if let Ok(interfaces) = Interfaces::read() {
            for live in all.iter_mut() {
                live.receiver.refresh(&interfaces);
            }
        }
        if is_drawn {
            let (plain, drawn) = draw(all);
            let (text, taken) = fitting(&plain, &drawn, term.size());
            let _ = term.clear_last_lines(rows);
            rows = taken;
            print(&text)?;
        }
    }
    if is_drawn {
        let _ = term.clear_last_lines(rows);
    }
    all.iter().for_each(|live| live.complain_of_nothing(started));
    Ok(())
}

/// As many of the lines that are drawn as a terminal has room for, and how many rows they take: it cannot take back what has moved
/// out at its top. `plain` are the same lines without colours.
fn fitting(plain: &str, drawn: &str, (height, width): (u16, u16)) -> (String, usize) {
    let most = usize::from(height).saturating_sub(1);
    let rows_of = |line: &str| line.chars().count().div_ceil(usize::from(width).max(1)).max(1);
    let (mut lines, mut rows) = (0, 0);
    for line in plain.lines() {
        let taken = rows + rows_of(line);
        if taken > most {
            break;
        }
        (lines, rows) = (lines + 1, taken);
    }
    (drawn.split_inclusive('\n').take(lines).collect(), rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_again_and_again_never_moves_out_of_the_terminal() {
        let report = Report::default();
        let whole = table(&report);
        assert_eq!(fitting(&whole, &whole, (200, 100)), (whole.clone(), whole.lines().count()));
        let (text, rows) = fitting(&whole, &whole, (10, 100));
        assert_eq!((text.lines().count(), rows), (9, 9));
        assert!(whole.starts_with(&text));
        let (text, rows) = fitting(&whole, &whole, (10, 50));
        assert!(rows <= 9 && text.lines().count() < 9, "lines that are too wide take two rows: {rows}\n{text}");
        assert_eq!(fitting(&whole, &whole, (0, 0)), (String::new(), 0));
    }
}
