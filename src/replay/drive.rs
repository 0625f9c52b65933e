//! Captures through one engine for the whole configuration, to a journal and a capture of the output.
//!
//! Engine time is capture time counted from the first datagram of all captures, so that is `t` = 0. It never runs
//! backwards: a datagram that is older than the one before it counts as of the same time. Between two datagrams the
//! engine is stepped from deadline to deadline, so that what falls due in between leaves at its own time.
//!
//! After the last datagram time goes on for [`TAIL`], or longer where a limit of the configuration is longer, so that
//! the absences that the end of the capture makes are told in full. Then it stops, whatever the engine still waits for.
//!
//! The output capture is in the time of the input captures: Wireshark can merge the two. Each datagram is written once
//! for each output of its channel; it comes from the address of the output's interface where the configuration gives
//! one, else from the loopback address, and from the port it goes to.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::capture::{CaptureError, Datagram, Merge};
use super::journal::{Line, Names, TimeBase};
use super::pcapng::{Header, Writer};
use super::srt::Receiver;
use super::summary::{FlowSummary, InputSummary, Summary};
use crate::config::{InputPlan, Interface, OutputPlan, Plan};
use crate::engine::{Engine, FRAME_SIZE, Frames, HeapFrames, OutDatagram, What};
use crate::health::{Criterion, Raise};
use crate::units::{InputId, Instant, Span};

/// How long time goes on after the last datagram, at least.
pub const TAIL: Span = Span::from_secs(10);
/// The longest time between two datagrams that is believed: more is two captures of different days, or a damaged time
/// stamp.
pub const LONGEST_GAP: Span = Span::from_secs(24 * 3_600);

/// Why a replay could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A capture cannot be read at all.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Two datagrams lie too far apart.
    #[error(
        "datagram {datagram} comes {hours} hours after the one before it: replay captures of one occasion together, \
         and cut a capture with such a gap in two (editcap -A, -B)"
    )]
    Gap {
        /// The number of the second one, counted from 1 through all captures.
        datagram: u64,
        /// The hours between the two.
        hours: i64,
    },
    /// The output capture cannot be written.
    #[error("{}: {error}", path.display())]
    Out {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The journal cannot be written.
    #[error("the journal cannot be written: {0}")]
    Journal(io::Error),
}

/// Replays `captures`, merged by time, through an engine for `plan`. The output is written to `out` and the events to
/// `journal`, where they are given.
///
/// # Errors
/// See [`ReplayError`]. A capture that is damaged is replayed up to the damage and named in the summary.
pub fn replay<'a>(
    plan: &'a Plan,
    captures: &[PathBuf],
    out: Option<&'a Path>,
    journal: Option<&'a mut dyn Write>,
) -> Result<Summary, ReplayError> {
    let mut merge = Merge::open(captures)?;
    if let Some(path) = out.filter(|out| captures.iter().any(|capture| same_file(capture, out))) {
        return Err(out_error(path, io::Error::other("it is one of the captures, which would be lost")));
    }
    let mut run = Run::new(plan, out, journal)?;
    while let Some(datagram) = merge.read() {
        run.datagram(&datagram)?;
    }
    let mut summary = run.finish()?;
    summary.capture = merge.figures();
    summary.damage = merge.damage().iter().map(ToString::to_string).collect();
    Ok(summary)
}

/// Datagrams of the capture with the same addresses.
#[derive(Default)]
struct Flow {
    inputs: Rc<[InputId]>,
    datagrams: u64,
    bytes: u64,
}

/// Where a datagram of a channel goes.
struct Target {
    header: Header,
    rtp: bool,
}

struct Output<'a> {
    path: &'a Path,
    writer: Writer<BufWriter<File>>,
    /// By channel.
    targets: Vec<Vec<Target>>,
    payload: Vec<u8>,
}

struct Run<'a> {
    plan: &'a Plan,
    engine: Engine,
    frames: HeapFrames,
    names: Names,
    journal: Option<&'a mut dyn Write>,
    output: Option<Output<'a>>,
    flows: HashMap<(SocketAddr, IpAddr), Flow>,
    /// The inputs that come by SRT.
    srt: Vec<(InputId, Receiver)>,
    /// The capture time of t = 0.
    origin: Option<i64>,
    now: Instant,
    summary: Summary,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, out: Option<&'a Path>, journal: Option<&'a mut dyn Write>) -> Result<Self, ReplayError> {
        let engine = Engine::new(&plan.setup(), Instant::ZERO);
        let frames = HeapFrames::new(engine.frames_wanted());
        let output = match out {
            None => None,
            Some(path) => Some(Output::create(plan, path).map_err(|error| out_error(path, error))?),
        };
        let mut summary = Summary::default();
        for channel in &plan.channels {
            for input in &channel.inputs {
                summary.inputs.push(InputSummary {
                    channel: channel.name.clone(),
                    input: input.name.clone(),
                    url: input.url.clone(),
                    ..InputSummary::default()
                });
            }
        }
        Ok(Self {
            plan,
            engine,
            frames,
            names: Names::of(plan),
            journal,
            output,
            flows: HashMap::new(),
            srt: srt_inputs(plan),
            origin: None,
            now: Instant::ZERO,
            summary,
        })
    }

    fn datagram(&mut self, datagram: &Datagram<'_>) -> Result<(), ReplayError> {
        let origin = *self.origin.get_or_insert(datagram.at);
        let at = Instant::from_nanos(datagram.at.saturating_sub(origin)).max(self.now);
        self.summary.datagrams += 1;
        let gap = at.since(self.now);
        if gap > LONGEST_GAP {
            let hours = gap.nanos() / 3_600_000_000_000;
            return Err(ReplayError::Gap { datagram: self.summary.datagrams, hours });
        }
        self.srt_until(at)?;
        self.advance(at)?;

        let mut taken = false;
        for (_, receiver) in &mut self.srt {
            taken |= receiver.take(datagram, at);
        }
        let plan = self.plan;
        let key = (datagram.destination, datagram.source.ip());
        if taken && wanting(plan, key).is_empty() {
            return Ok(());
        }
        let flow = self.flows.entry(key).or_insert_with(|| Flow { inputs: wanting(plan, key), ..Flow::default() });
        flow.datagrams += 1;
        flow.bytes += u64::try_from(datagram.payload.len()).unwrap_or(u64::MAX);
        for &input in Rc::clone(&flow.inputs).iter() {
            self.deliver(input, datagram.payload, at)?;
        }
        Ok(())
    }

    /// Hands over what SRT delivers until `until`, each message at its time.
    fn srt_until(&mut self, until: Instant) -> Result<(), ReplayError> {
        loop {
            let dues = self.srt.iter().enumerate().filter_map(|(i, (_, receiver))| Some((receiver.due()?, i)));
            let Some((due, i)) = dues.min().filter(|(due, _)| *due <= until) else { return Ok(()) };
            let Some((input, receiver)) = self.srt.get_mut(i) else { return Ok(()) };
            let (input, message) = (*input, receiver.pop());
            // A message that waits for one before it is not early, and time does not run backwards.
            let at = due.max(self.now);
            self.advance(at)?;
            if let Some(message) = message {
                self.deliver(input, &message.payload, at)?;
            }
        }
    }

    /// Hands one datagram to one input.
    fn deliver(&mut self, input: InputId, payload: &[u8], at: Instant) -> Result<(), ReplayError> {
        let Some(figures) = self.summary.inputs.get_mut(input.index()) else { return Ok(()) };
        figures.datagrams += 1;
        if payload.len() > FRAME_SIZE {
            figures.oversized += 1;
            return Ok(());
        }
        let Some(slot) = self.engine.take_slot() else {
            figures.starved += 1;
            return Ok(());
        };
        if let Some(frame) = self.frames.frame_mut(slot).get_mut(..payload.len()) {
            frame.copy_from_slice(payload);
        }
        self.engine.datagram(&mut self.frames, input, slot, payload.len(), at);
        self.collect()
    }

    /// Lets time pass until `until`, from deadline to deadline.
    fn advance(&mut self, until: Instant) -> Result<(), ReplayError> {
        loop {
            self.now = self.engine.deadline().min(until).max(self.now);
            self.engine.advance(&mut self.frames, self.now);
            let idle = self.engine.ready().is_empty();
            self.collect()?;
            let next = self.engine.deadline();
            // A deadline that has passed and lets nothing out must not hold time for ever.
            let stuck = idle && next <= self.now;
            if next > until || (stuck && self.now >= until) {
                self.now = until;
                return Ok(());
            }
            if stuck {
                self.now = (self.now + Span::from_millis(1)).min(until);
            }
        }
    }

    /// Takes what the engine has ready: events to the journal, datagrams to the output.
    fn collect(&mut self) -> Result<(), ReplayError> {
        while let Some(event) = self.engine.poll_event() {
            self.summary.events += 1;
            self.summary.switches += u64::from(matches!(event.what, What::Switch(_)));
            if let Some(journal) = self.journal.as_mut() {
                let line = Line::of(&self.names, TimeBase::Engine, &event);
                line.write(journal).map_err(ReplayError::Journal)?;
            }
        }
        let at = self.origin.unwrap_or(0).saturating_add(self.now.nanos());
        for datagram in self.engine.ready() {
            self.summary.output_datagrams += 1;
            if let Some(output) = self.output.as_mut() {
                output.write(&self.frames, datagram, at).map_err(|error| out_error(output.path, error))?;
            }
        }
        self.engine.sent();
        Ok(())
    }

    fn finish(mut self) -> Result<Summary, ReplayError> {
        self.summary.seconds = self.now.seconds();
        if self.origin.is_some() {
            self.srt_until(self.now + LONGEST_GAP)?;
            self.advance(self.now + tail(self.plan))?;
        }
        if let Some(output) = self.output {
            output.writer.finish().map_err(|error| out_error(output.path, error))?;
        }
        if let Some(journal) = self.journal {
            journal.flush().map_err(ReplayError::Journal)?;
        }
        for (input, receiver) in &self.srt {
            if let Some(figures) = self.summary.inputs.get_mut(input.index()) {
                figures.srt = Some(receiver.figures);
            }
        }
        self.summary.origin = self.origin;
        let unwanted: BTreeMap<_, _> = self.flows.into_iter().filter(|(_, flow)| flow.inputs.is_empty()).collect();
        self.summary.unwanted = unwanted
            .into_iter()
            .map(|((destination, source), flow)| FlowSummary {
                source,
                destination,
                datagrams: flow.datagrams,
                bytes: flow.bytes,
            })
            .collect();
        Ok(self.summary)
    }
}

fn out_error(path: &Path, error: io::Error) -> ReplayError {
    ReplayError::Out { path: path.to_owned(), error }
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The inputs that a datagram to this destination and from this source is for.
fn wanting(plan: &Plan, (destination, source): (SocketAddr, IpAddr)) -> Rc<[InputId]> {
    let inputs = plan.channels.iter().flat_map(|channel| &channel.inputs).zip(0_u16..);
    inputs.filter(|(input, _)| wants(input, destination, source)).map(|(_, index)| InputId(index)).collect()
}

/// What receives the inputs that come by SRT.
fn srt_inputs(plan: &Plan) -> Vec<(InputId, Receiver)> {
    let inputs = plan.channels.iter().flat_map(|channel| &channel.inputs).zip(0_u16..);
    inputs.filter_map(|(input, index)| Some((InputId(index), Receiver::of(input)?))).collect()
}

/// Whether a datagram to this destination and from this source is for `input`. An unspecified address in its URL
/// matches any address, of either family.
fn wants(input: &InputPlan, destination: SocketAddr, source: IpAddr) -> bool {
    input.srt.is_none()
        && input.address.port() == destination.port()
        && (input.address.ip().is_unspecified() || input.address.ip() == destination.ip())
        && (input.sources.is_empty() || input.sources.contains(&source))
}

/// How long time goes on after the last datagram: until the slowest criterion could be raised and acted on.
fn tail(plan: &Plan) -> Span {
    let mut longest = TAIL;
    for channel in &plan.channels {
        let rest = channel.setup.delay.nanos().saturating_add(channel.setup.policy.on_loss_after.nanos());
        for input in &channel.setup.inputs {
            let limits = Criterion::ALL.into_iter().filter_map(|criterion| input.limits.limit(criterion));
            let raise = limits.map(|limit| match limit.raise {
                Raise::Lasting(span) | Raise::Below { lasting: span, .. } | Raise::Slower { lasting: span, .. } => span,
                Raise::Counted { within, .. } | Raise::Share { within, .. } => within,
            });
            let slowest = raise.max().unwrap_or(Span::ZERO).nanos().saturating_add(input.reorder.nanos());
            longest = longest.max(Span::from_nanos(slowest.saturating_add(rest)));
        }
    }
    longest.min(LONGEST_GAP)
}

impl<'a> Output<'a> {
    fn create(plan: &Plan, path: &'a Path) -> io::Result<Self> {
        let writer = Writer::new(BufWriter::new(File::create(path)?))?;
        let targets = plan.channels.iter().map(|channel| channel.outputs.iter().map(target).collect()).collect();
        Ok(Self { path, writer, targets, payload: Vec::with_capacity(FRAME_SIZE) })
    }

    fn write(&mut self, frames: &HeapFrames, datagram: &OutDatagram, at: i64) -> io::Result<()> {
        for target in self.targets.get(datagram.channel.index()).into_iter().flatten() {
            self.payload.clear();
            if target.rtp {
                self.payload.extend_from_slice(&datagram.rtp);
            }
            for piece in datagram.pieces() {
                let (from, len) = (usize::from(piece.offset), usize::from(piece.len));
                self.payload.extend_from_slice(frames.frame(piece.slot).get(from..from + len).unwrap_or_default());
            }
            self.writer.write(at, target.header, &self.payload)?;
        }
        Ok(())
    }
}

fn target(output: &OutputPlan) -> Target {
    let destination = output.address;
    let loopback = match destination {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let source = match output.interface {
        Some(Interface::Address(address)) if address.is_ipv4() == destination.is_ipv4() => address,
        Some(Interface::Address(_) | Interface::Name(_)) | None => loopback,
    };
    let source = SocketAddr::new(source, destination.port());
    Target { header: Header { source, destination, ttl: output.ttl, dscp: output.dscp }, rtp: output.rtp }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(address: &str, sources: &[&str]) -> InputPlan {
        InputPlan {
            name: "main".into(),
            url: format!("udp://{address}"),
            address: address.parse().unwrap(),
            interface: None,
            sources: sources.iter().map(|source| source.parse().unwrap()).collect(),
            receive_buffer: 0,
            domain: None,
            srt: None,
        }
    }

    #[test]
    fn an_input_wants_its_address_its_port_and_its_sources() {
        for (address, sources, destination, source, wanted) in [
            ("239.0.0.1:5004", &[][..], "239.0.0.1:5004", "10.0.0.1", true),
            ("239.0.0.1:5004", &[], "239.0.0.1:5006", "10.0.0.1", false),
            ("239.0.0.1:5004", &[], "239.0.0.2:5004", "10.0.0.1", false),
            ("0.0.0.0:5004", &[], "192.0.2.9:5004", "10.0.0.1", true),
            ("0.0.0.0:5004", &[], "192.0.2.9:5005", "10.0.0.1", false),
            ("[::]:5004", &[], "[2001:db8::1]:5004", "2001:db8::2", true),
            ("[2001:db8::1]:5004", &[], "[2001:db8::1]:5004", "2001:db8::2", true),
            ("239.0.0.1:5004", &["10.0.0.1", "10.0.0.2"], "239.0.0.1:5004", "10.0.0.2", true),
            ("239.0.0.1:5004", &["10.0.0.1", "10.0.0.2"], "239.0.0.1:5004", "10.0.0.3", false),
        ] {
            let input = input(address, sources);
            let got = wants(&input, destination.parse().unwrap(), source.parse().unwrap());
            assert_eq!(got, wanted, "{address} {sources:?} {destination} {source}");
        }
    }

    #[test]
    fn the_output_comes_from_the_address_of_its_interface_where_there_is_one() {
        let output = |address: &str, interface| OutputPlan {
            url: String::new(),
            rtp: true,
            address: address.parse().unwrap(),
            interface,
            ttl: 16,
            dscp: 34,
            srt: None,
        };
        let address = || Some(Interface::Address("10.1.1.1".parse().unwrap()));
        for (output, source) in [
            (output("239.0.0.1:5004", None), "127.0.0.1:5004"),
            (output("239.0.0.1:5004", address()), "10.1.1.1:5004"),
            (output("239.0.0.1:5004", Some(Interface::Name("eth1".into()))), "127.0.0.1:5004"),
            (output("[ff15::1]:5004", address()), "[::1]:5004"),
        ] {
            assert_eq!(target(&output).header.source, source.parse().unwrap());
        }
    }
}
