//! A file of TS packets, each packet with its time.
//!
//! Packets of 188, 192 (four bytes in front, as in M2TS) and 204 bytes (sixteen behind) are told apart by where 0x47
//! recurs. Nothing is left out but what stands before the first packet and a part of one at the end: where sync is lost
//! the packets go on in their grid, bad sync byte and all, so that an analyser sees what a receiver would have seen.
//! Sync is lost by two bad sync bytes in a row and found again by five good ones (ETSI TR 101 290 annex G.1).
//!
//! Time comes from the PCRs of one PID, the first that has any, and between two of them from the place of the packet
//! in the file; the first packet of the file is t = 0. Before the first PCR, after the last one, and across a PCR
//! discontinuity (flagged, or a step that is not 0…10 s) packets follow at the nearest rate, and the discontinuity
//! itself takes no other time than those packets do. Where no PCR comes for [`LOOK_AHEAD`] packets, time goes on at the
//! last rate, or at the given one if there is none yet; a PID that has stopped sending PCRs gives way to the next that
//! has some. Time never runs backwards.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::grid::Grid;
use crate::ts::{PACKET_SIZE, Packet};
use crate::units::{BitRate, Instant, Pid, Span, Ticks27M};

/// How many packets are held to wait for the next PCR.
pub const LOOK_AHEAD: usize = 200_000;
/// The longest step from one PCR to the next that is taken as time.
const LONGEST_STEP: u64 = 10 * 27_000_000;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened or read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There are no TS packets in it.
    #[error("{}: no TS packets: 0x47 recurs neither every 188, 192 nor 204 bytes in its first {searched} bytes", path.display())]
    NoPackets {
        /// Which file.
        path: PathBuf,
        /// How far it was searched.
        searched: usize,
    },
}

/// What a file was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Bytes from one packet to the next: 188, 192 or 204.
    pub packet_size: usize,
    /// Packets handed over.
    pub packets: u64,
    /// Bytes before the first packet.
    pub leading_bytes: u64,
    /// Bytes of a packet at the end that is not whole.
    pub trailing_bytes: u64,
    /// Times that packets were found again in another grid.
    pub resynchronisations: u64,
    /// The PID whose PCRs make the time, the last one if there were several; none where there is no PCR.
    pub pcr_pid: Option<u16>,
    /// Times that the PCRs did not go on from the one before.
    pub discontinuities: u64,
    /// Packets whose time is reckoned by the given bit rate, since no PCR told better.
    pub assumed_packets: u64,
    /// That bit rate, in bits a second; none where it was not needed.
    pub assumed_bit_rate: Option<u64>,
}

/// A TS packet with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed<'a> {
    /// Since the first packet.
    pub at: Instant,
    /// The packet. Its sync byte may be bad.
    pub packet: &'a [u8; PACKET_SIZE],
    /// How many came before it.
    pub index: u64,
}

/// A rate of packets: `span` for every `packets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    span: Span,
    packets: u64,
}

impl Rate {
    /// How long `packets` take, to the nanosecond below.
    fn time(self, packets: u64) -> Span {
        let nanos = i128::from(self.span.nanos()) * i128::from(packets) / i128::from(self.packets.max(1));
        Span::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// A point that times are counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Point {
    index: u64,
    at: Instant,
}

/// The last PCR and what it is reckoned from.
#[derive(Clone, Copy, Debug)]
struct Clock {
    pid: Pid,
    pcr: Ticks27M,
    index: u64,
    /// When the segment began: the first PCR after a discontinuity.
    start: Instant,
    /// Ticks from there to this PCR.
    ticks: u64,
}

impl Clock {
    fn at(&self) -> Instant {
        let nanos = u128::from(self.ticks) * 1_000 / 27;
        self.start + Span::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// The PCR of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pcr {
    index: u64,
    pid: Pid,
    value: Ticks27M,
    discontinuity: bool,
}

/// Reads a file of TS packets.
#[derive(Debug)]
pub struct Source<R = File> {
    path: PathBuf,
    grid: Grid<R>,
    size: Option<u64>,
    /// Packets read, not yet handed over; the first has the number `handed`.
    queue: VecDeque<[u8; PACKET_SIZE]>,
    handed: u64,
    ended: bool,
    current: [u8; PACKET_SIZE],
    /// Packets from `from.index` to `until` follow each other at `rate`.
    from: Point,
    until: u64,
    rate: Rate,
    /// The last rate at which time went on at all, for where no PCR tells.
    steady: Rate,
    /// Whether that is the given one.
    assumed: bool,
    given: BitRate,
    clock: Option<Clock>,
    figures: Figures,
}

impl Source<File> {
    /// Opens a file. `bit_rate` is what its time is reckoned by where it has no PCR.
    ///
    /// # Errors
    /// The file cannot be read, or there are no TS packets in it.
    pub fn open(path: &Path, bit_rate: BitRate) -> Result<Self, SourceError> {
        let failed = |error| SourceError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let mut source = Self::read_from(path, file, bit_rate)?;
        source.size = meta.is_file().then_some(meta.len());
        Ok(source)
    }
}

impl<R: Read> Source<R> {
    /// Reads packets from `reader`; `path` is only its name.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn read_from(path: &Path, reader: R, bit_rate: BitRate) -> Result<Self, SourceError> {
        let mut grid = Grid::new(reader);
        let found = grid.find().map_err(|error| SourceError::Io { path: path.to_owned(), error })?;
        if !found {
            return Err(SourceError::NoPackets { path: path.to_owned(), searched: grid.searched() });
        }
        let bits = u64::try_from(PACKET_SIZE * 8).unwrap_or(u64::MAX);
        let span = Span::from_nanos(i64::try_from(bits * 1_000_000_000 / bit_rate.0.max(1)).unwrap_or(i64::MAX));
        Ok(Self {
            path: path.to_owned(),
            grid,
            size: None,
            queue: VecDeque::new(),
            handed: 0,
            ended: false,
            current: [0; PACKET_SIZE],
            from: Point::default(),
            until: 0,
            rate: Rate { span, packets: 1 },
            steady: Rate { span, packets: 1 },
            assumed: true,
            given: bit_rate,
            clock: None,
            figures: Figures::default(),
        })
    }

    /// The next packet; none after the last one.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub fn read(&mut self) -> Result<Option<Timed<'_>>, SourceError> {
        while self.handed >= self.until {
            if !self.extend()? {
                return Ok(None);
            }
        }
        let Some(packet) = self.queue.pop_front() else { return Ok(None) };
        self.current = packet;
        let index = self.handed;
        self.handed += 1;
        self.figures.assumed_packets += u64::from(self.assumed);
        Ok(Some(Timed { at: self.time_of(index), packet: &self.current, index }))
    }

    /// How many bytes of the file were read, to show how far it is.
    pub fn position(&self) -> u64 {
        self.grid.position()
    }

    /// How many bytes the file has; none where that cannot be told beforehand.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// What was read so far, complete after the last packet.
    pub fn figures(&self) -> Figures {
        let mut figures = self.figures.clone();
        figures.packets = self.handed;
        figures.assumed_bit_rate = (figures.assumed_packets > 0).then_some(self.given.0);
        self.grid.describe(&mut figures);
        figures
    }

    fn time_of(&self, index: u64) -> Instant {
        self.from.at + self.rate.time(index.saturating_sub(self.from.index))
    }

    /// Settles the times of more packets; false when there are none left.
    fn extend(&mut self) -> Result<bool, SourceError> {
        self.from = Point { index: self.until, at: self.time_of(self.until) };
        let Some(pcr) = self.next_pcr(self.until.max(self.clock.map_or(0, |clock| clock.index + 1)))? else {
            // The look-ahead is full or the file at its end: on at the rate there is.
            self.rate = self.steady;
            self.until = self.read_so_far();
            if !self.ended {
                self.clock = None;
            }
            return Ok(self.until > self.from.index);
        };
        match self.clock {
            None => self.first_pcr(pcr)?,
            Some(clock) => self.later_pcr(clock, pcr),
        }
        // A PCR in the very first packet settles nothing yet.
        if self.until > self.from.index { Ok(true) } else { self.extend() }
    }

    fn later_pcr(&mut self, clock: Clock, pcr: Pcr) {
        self.until = pcr.index;
        match step(&clock, &pcr) {
            Some(ticks) => {
                let clock = Clock { pcr: pcr.value, index: pcr.index, ticks: clock.ticks + ticks, ..clock };
                self.clock = Some(clock);
                let rate =
                    Rate { span: clock.at().since(self.from.at), packets: self.until.saturating_sub(self.from.index) };
                if rate.packets > 0 {
                    self.rate = rate;
                    self.assumed = false;
                }
                if rate.span > Span::ZERO {
                    self.steady = rate;
                }
            }
            None => {
                self.rate = self.steady;
                self.figures.discontinuities += 1;
                self.begin_segment(pcr);
            }
        }
    }

    /// The first PCR of a file or of a PID: where no rate is known yet, the next PCR gives it.
    fn first_pcr(&mut self, pcr: Pcr) -> Result<(), SourceError> {
        self.figures.pcr_pid = Some(pcr.pid.value());
        self.clock = Some(Clock { pid: pcr.pid, pcr: pcr.value, index: pcr.index, start: Instant::ZERO, ticks: 0 });
        if self.assumed
            && let Some(rate) = self.first_rate(pcr)?
        {
            self.steady = rate;
            self.assumed = false;
        }
        self.rate = self.steady;
        self.until = pcr.index;
        self.begin_segment(pcr);
        Ok(())
    }

    /// The rate between the first two PCRs after `first` that go on from each other, within the look-ahead.
    fn first_rate(&mut self, first: Pcr) -> Result<Option<Rate>, SourceError> {
        let mut last = first;
        while let Some(next) = self.next_pcr(last.index + 1)? {
            let clock = Clock { pid: last.pid, pcr: last.value, index: last.index, start: Instant::ZERO, ticks: 0 };
            if let Some(ticks) = step(&clock, &next).filter(|ticks| *ticks > 0) {
                return Ok(Some(Rate { span: Ticks27M::span(ticks), packets: next.index - last.index }));
            }
            last = next;
        }
        Ok(None)
    }

    fn begin_segment(&mut self, pcr: Pcr) {
        let start = self.time_of(pcr.index);
        self.clock = Some(Clock { pid: pcr.pid, pcr: pcr.value, index: pcr.index, start, ticks: 0 });
    }

    /// The first PCR at or after packet `from` of the reference PID (of any, while there is none), reading on as far as
    /// the look-ahead goes.
    fn next_pcr(&mut self, from: u64) -> Result<Option<Pcr>, SourceError> {
        let mut index = from;
        loop {
            while index >= self.read_so_far() {
                if self.queue.len() >= LOOK_AHEAD || !self.pull()? {
                    return Ok(None);
                }
            }
            let place = usize::try_from(index.saturating_sub(self.handed)).unwrap_or(usize::MAX);
            if let Some(found) = self.queue.get(place).and_then(|packet| pcr(packet, index))
                && self.clock.is_none_or(|clock| clock.pid == found.pid)
            {
                return Ok(Some(found));
            }
            index += 1;
        }
    }

    fn read_so_far(&self) -> u64 {
        self.handed + u64::try_from(self.queue.len()).unwrap_or(u64::MAX)
    }

    /// Reads one packet more; false at the end of the file.
    fn pull(&mut self) -> Result<bool, SourceError> {
        match self.grid.packet() {
            Ok(Some(packet)) => self.queue.push_back(packet),
            Ok(None) => self.ended = true,
            Err(error) => return Err(SourceError::Io { path: self.path.clone(), error }),
        }
        Ok(!self.ended)
    }
}

/// The ticks from the last PCR to this one; none across a discontinuity.
fn step(clock: &Clock, pcr: &Pcr) -> Option<u64> {
    let ticks = pcr.value.forward_from(clock.pcr);
    (!pcr.discontinuity && ticks <= LONGEST_STEP).then_some(ticks)
}

/// The PCR of a packet that can be trusted: a good sync byte and no transport_error_indicator.
fn pcr(bytes: &[u8; PACKET_SIZE], index: u64) -> Option<Pcr> {
    let packet = Packet::new(bytes);
    if !packet.is_synchronised() || packet.transport_error_indicator() {
        return None;
    }
    Some(Pcr { index, pid: packet.pid(), value: packet.pcr()?, discontinuity: packet.discontinuity_indicator() })
}
