//! An analysis of one stream: of a file in its own PCR time, or of datagrams at the times they came.

use std::net::SocketAddr;
use std::path::Path;

use super::capture::{Capture, CaptureError};
use super::report::{Report, TimeBase, gather};
use super::source::{Source, SourceError};
use crate::engine::{ChannelSetup, Engine, FRAME_SIZE, Frames, HeapFrames, InputSetup, Setup, Snapshot};
use crate::health::Limits;
use crate::tr101290::{Analyser, Settings};
use crate::transport::Framing;
use crate::units::{BitRate, InputId, Instant};

/// How many packets or frames are read from one call of the progress function to the next.
const PROGRESS: u64 = 4096;

/// Why nothing was analysed.
#[derive(Debug, thiserror::Error)]
pub enum AnalyseError {
    /// The file of packets.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The capture.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The capture holds several streams, or not the one that was asked for.
    #[error("{}", flows(.0))]
    Flow(Vec<(SocketAddr, u64)>),
}

fn flows(flows: &[(SocketAddr, u64)]) -> String {
    if flows.is_empty() {
        return "no flow of the capture carries TS packets".to_owned();
    }
    let list: Vec<String> = flows.iter().map(|(flow, datagrams)| format!("{flow} ({datagrams} datagrams)")).collect();
    format!("say which flow of the capture is meant with --flow: {}", list.join(", "))
}

/// Analyses a file of TS packets in its own PCR time, or at `bit_rate` where it has no PCR. `progress` is told the bytes
/// read so far and, where it is known, of how many.
///
/// # Errors
/// The file cannot be read, or has no packets.
pub fn file(
    path: &Path,
    bit_rate: BitRate,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Result<Report, AnalyseError> {
    let mut source = Source::open(path, bit_rate)?;
    let mut analyser = Analyser::new(&Settings::default());
    let mut last = Instant::ZERO;
    while let Some(timed) = source.read()? {
        analyser.packet(timed.at, timed.packet, &mut ());
        last = timed.at;
        if analyser.packets().is_multiple_of(PROGRESS) {
            progress(source.position(), source.size());
        }
    }
    let mut report = gather(&analyser, Instant::ZERO, last, TimeBase::Own);
    report.file = Some(source.figures());
    Ok(report)
}

/// Analyses one flow of a capture at the capture's times: that to `flow`, or the only one that carries TS packets.
///
/// # Errors
/// The capture cannot be read, or there is not one flow to be taken. What is damaged in the middle ends the analysis there
/// and is an error too.
pub fn capture(path: &Path, flow: Option<SocketAddr>, mut progress: impl FnMut(u64)) -> Result<Report, AnalyseError> {
    let flow = match flow {
        Some(flow) => flow,
        None => only_flow(path)?,
    };
    let mut capture = Capture::open(path)?;
    let mut monitor = Monitor::new(Framing::Auto);
    let mut origin = None;
    let mut frames = 0u64;
    while let Some(datagram) = capture.read()? {
        frames += 1;
        if frames.is_multiple_of(PROGRESS) {
            progress(frames);
        }
        if datagram.destination == flow {
            let at = datagram.at - *origin.get_or_insert(datagram.at);
            monitor.datagram(Instant::from_nanos(at), datagram.payload);
        }
    }
    if monitor.is_empty() {
        return Err(AnalyseError::Flow(ts_flows(path)?));
    }
    Ok(monitor.report())
}

/// The one flow of a capture that carries TS packets.
pub(super) fn only_flow(path: &Path) -> Result<SocketAddr, AnalyseError> {
    let found = ts_flows(path)?;
    match found[..] {
        [(flow, _)] => Ok(flow),
        _ => Err(AnalyseError::Flow(found)),
    }
}

/// The flows of a capture that carry TS packets, by destination, and the datagrams of each.
fn ts_flows(path: &Path) -> Result<Vec<(SocketAddr, u64)>, AnalyseError> {
    let mut found: Vec<(SocketAddr, u64)> = Vec::new();
    let mut capture = Capture::open(path)?;
    while let Some(datagram) = capture.read()? {
        let Some(layout) = crate::transport::read(datagram.payload, Framing::Auto) else { continue };
        let first = datagram.payload.get(usize::from(layout.offset));
        if first != Some(&crate::ts::SYNC_BYTE) {
            continue;
        }
        match found.iter_mut().find(|(flow, _)| *flow == datagram.destination) {
            Some((_, datagrams)) => *datagrams += 1,
            None => found.push((datagram.destination, 1)),
        }
    }
    Ok(found)
}

/// Analyses datagrams of one stream as they come: an engine of one input, whose output nobody wants.
#[derive(Debug)]
pub struct Monitor {
    engine: Engine,
    frames: HeapFrames,
    snapshot: Snapshot,
    first: Option<Instant>,
    last: Instant,
}

impl Monitor {
    /// A monitor of a stream that has not begun.
    pub fn new(framing: Framing) -> Self {
        let input = InputSetup { framing, limits: Limits::NONE, capacity: 16, ..InputSetup::default() };
        let channel = ChannelSetup { inputs: vec![input], ..ChannelSetup::default() };
        let engine = Engine::new(&Setup { channels: vec![channel] }, Instant::ZERO);
        let frames = HeapFrames::new(engine.frames_wanted());
        Self { engine, frames, snapshot: Snapshot::default(), first: None, last: Instant::ZERO }
    }

    /// Whether nothing came yet.
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The next datagram; what is longer than a frame is cut off there.
    pub fn datagram(&mut self, at: Instant, payload: &[u8]) {
        self.advance(at);
        self.first.get_or_insert(at);
        let Some(slot) = self.engine.take_slot() else { return };
        let len = payload.len().min(FRAME_SIZE);
        self.frames.frame_mut(slot)[..len].copy_from_slice(&payload[..len]);
        self.engine.datagram(&mut self.frames, InputId(0), slot, len, at);
        self.engine.sent();
        while self.engine.poll_event().is_some() {}
    }

    /// Time passes until `now`.
    pub fn advance(&mut self, now: Instant) {
        while self.engine.deadline() <= now {
            self.engine.advance(&mut self.frames, now);
            self.engine.sent();
            while self.engine.poll_event().is_some() {}
        }
        self.last = self.last.max(now);
    }

    /// What was found so far, times counted from the first datagram.
    pub fn report(&mut self) -> Report {
        self.engine.snapshot(&mut self.snapshot);
        let first = self.first.unwrap_or(self.last);
        let Some(analyser) = self.engine.analyser(InputId(0)) else { return Report::default() };
        let mut report = gather(analyser, first, self.last, TimeBase::Receiver);
        report.transport = self.snapshot.inputs.first().map(|input| input.transport);
        report.arrival = self.engine.arrivals(InputId(0), self.last).map(Into::into);
        report
    }
}
