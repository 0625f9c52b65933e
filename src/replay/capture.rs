//! Captures in pcap and pcapng files: a stream of UDP datagrams with their times.
//!
//! Files are read as a stream, whatever their size. What a frame holds is an outcome that is counted in [`Figures`],
//! never an error; an error is a file that cannot be read on from where it stands, and what came before it counts.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, LegacyPcapReader, OptionCode, PcapBlockOwned, PcapError, PcapNGOption, PcapNGReader};
use serde::Serialize;

use super::frame::{self, Frame};

/// The buffer that a capture is read through at first; it grows for a longer record.
const BUFFER: usize = 1 << 16;
/// The longest record that is believed. Real ones end at 256 KiB, the largest snap length of tcpdump and Wireshark.
const LONGEST_RECORD: usize = 1 << 24;
const NANOS: i64 = 1_000_000_000;

/// A UDP datagram of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// When it was captured, in nanoseconds since the Unix epoch.
    pub at: i64,
    /// Who sent it.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// What it carries.
    pub payload: &'a [u8],
}

/// What a capture was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Records of packets.
    pub frames: u64,
    /// Whole UDP datagrams.
    pub datagrams: u64,
    /// Frames that are not UDP over IP.
    pub other: u64,
    /// UDP of which the capture kept only the beginning, or that is shorter than its headers say.
    pub truncated: u64,
    /// Fragments of UDP datagrams. They are not put together again: a TS datagram is made to fit one packet.
    pub fragments: u64,
    /// Records without a time (pcapng simple packet blocks).
    pub untimed: u64,
    /// Datagrams that are older than one before them in the same file.
    pub backwards: u64,
    /// Frames by link layer, of the link layers that are not read.
    pub unknown_links: BTreeMap<u16, u64>,
}

impl Figures {
    /// Adds those of another capture.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.datagrams += other.datagrams;
        self.other += other.other;
        self.truncated += other.truncated;
        self.fragments += other.fragments;
        self.untimed += other.untimed;
        self.backwards += other.backwards;
        for (link, frames) in &other.unknown_links {
            *self.unknown_links.entry(*link).or_default() += frames;
        }
    }
}

/// Why a capture cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is something else.
    #[error("{}: neither pcap nor pcapng: {what}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What it seems to be.
        what: &'static str,
    },
    /// The file is damaged; all that stands before the damage was read.
    #[error("{}: damaged at byte {byte}, after {frames} frames: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the record begins that cannot be read.
        byte: u64,
        /// How many frames stand before it.
        frames: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// One capture file.
pub struct Capture {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator + Send>,
    room: usize,
    ended: bool,
    track: Track,
}

/// What is known from the blocks read so far, apart from the reader so that a block can be borrowed beside it.
#[derive(Default)]
struct Track {
    /// Whether the file is made of pcapng's blocks.
    blocks: bool,
    /// Whether the section's integers stand with the most significant byte first.
    big_endian: bool,
    interfaces: Vec<Interface>,
    figures: Figures,
    latest: Option<i64>,
    head: Option<Head>,
    payload: Vec<u8>,
}

/// The datagram that was read last, without its payload.
#[derive(Clone, Copy)]
struct Head {
    at: i64,
    source: SocketAddr,
    destination: SocketAddr,
}

/// What one block came to.
enum Outcome {
    Datagram,
    Nothing,
    Damaged(&'static str),
}

/// What is to be done where no block could be had.
enum Need {
    Refill,
    Grow,
    End,
    Damaged(&'static str),
    Unreadable,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("path", &self.path)
            .field("figures", &self.track.figures)
            .finish_non_exhaustive()
    }
}

impl Capture {
    /// Opens a capture file.
    ///
    /// # Errors
    /// The file cannot be read, or is neither pcap nor pcapng.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(|error| CaptureError::Io { path: path.to_owned(), error })?;
        Self::read_from(path, file)
    }

    /// Reads a capture from `reader`; `path` is only its name.
    ///
    /// # Errors
    /// As [`Capture::open`].
    pub fn read_from(path: &Path, mut reader: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let path = path.to_owned();
        // The readers want a whole first block of their first read, which a pipe need not give.
        let mut front = Vec::new();
        if let Err(error) = reader.by_ref().take(BUFFER as u64).read_to_end(&mut front) {
            return Err(CaptureError::Io { path, error });
        }
        let kind = match kind(&front) {
            Ok(kind) => kind,
            Err(what) => return Err(CaptureError::Format { path, what }),
        };
        let all = Cursor::new(front).chain(reader);
        let reader: Result<Box<dyn PcapReaderIterator + Send>, _> = match kind {
            Kind::Pcap => LegacyPcapReader::new(BUFFER, all).map(|reader| Box::new(reader) as _),
            Kind::Pcapng => PcapNGReader::new(BUFFER, all).map(|reader| Box::new(reader) as _),
        };
        match reader {
            Ok(reader) => {
                let track = Track { blocks: matches!(kind, Kind::Pcapng), ..Track::default() };
                Ok(Self { path, reader, room: BUFFER, ended: false, track })
            }
            Err(_) => Err(CaptureError::Damaged { path, byte: 0, frames: 0, what: "the file header is not whole" }),
        }
    }

    /// The next datagram; none after the last one.
    ///
    /// # Errors
    /// The file is damaged from here on. It is told once; after it there are no more datagrams.
    pub fn read(&mut self) -> Result<Option<Datagram<'_>>, CaptureError> {
        self.advance()?;
        Ok(self.current())
    }

    /// The datagram that was read last.
    pub fn current(&self) -> Option<Datagram<'_>> {
        let Head { at, source, destination } = self.track.head?;
        Some(Datagram { at, source, destination, payload: &self.track.payload })
    }

    /// What was read so far.
    pub fn figures(&self) -> &Figures {
        &self.track.figures
    }

    /// Goes on to the next datagram, or to the end.
    fn advance(&mut self) -> Result<(), CaptureError> {
        self.track.head = None;
        while !self.ended {
            let need = match self.reader.next() {
                Ok((len, block)) => {
                    let outcome = self.track.block(&block);
                    drop(block);
                    match outcome {
                        Outcome::Damaged(what) => return Err(self.damaged(what)),
                        Outcome::Nothing => self.reader.consume(len),
                        Outcome::Datagram => {
                            self.reader.consume(len);
                            return Ok(());
                        }
                    }
                    continue;
                }
                Err(PcapError::Eof) => Need::End,
                Err(PcapError::UnexpectedEof) => Need::Damaged("the file ends in the middle of this record"),
                Err(PcapError::Incomplete(_)) => Need::Refill,
                Err(PcapError::BufferTooSmall) => Need::Grow,
                Err(PcapError::ReadError) => Need::Unreadable,
                Err(PcapError::HeaderNotRecognized | PcapError::NomError(..) | PcapError::OwnedNomError(..)) => {
                    Need::Damaged("its type or length cannot be right")
                }
            };
            self.supply(need)?;
        }
        Ok(())
    }

    fn supply(&mut self, need: Need) -> Result<(), CaptureError> {
        match need {
            Need::End => self.ended = true,
            Need::Damaged(_) if self.reader.data().is_empty() => self.ended = true,
            Need::Damaged(what) => return Err(self.damaged(what)),
            Need::Unreadable => return Err(self.unreadable()),
            Need::Grow => self.grow()?,
            Need::Refill => {
                if self.track.holds_block(self.reader.data()) {
                    return Err(self.damaged("the lengths inside it do not fit its own length"));
                }
                let before = self.reader.data().len();
                if self.reader.refill().is_err() {
                    return Err(self.unreadable());
                }
                if self.reader.data().len() == before && !self.reader.reader_exhausted() {
                    self.grow()?;
                }
            }
        }
        Ok(())
    }

    fn grow(&mut self) -> Result<(), CaptureError> {
        if self.room >= LONGEST_RECORD {
            return Err(self.damaged("its length cannot be right"));
        }
        self.room *= 2;
        self.reader.grow(self.room);
        Ok(())
    }

    fn damaged(&mut self, what: &'static str) -> CaptureError {
        self.ended = true;
        CaptureError::Damaged {
            path: self.path.clone(),
            byte: u64::try_from(self.reader.consumed()).unwrap_or(u64::MAX),
            frames: self.track.figures.frames,
            what,
        }
    }

    fn unreadable(&mut self) -> CaptureError {
        self.ended = true;
        let error = io::Error::other(format!("cannot be read on after {} frames", self.track.figures.frames));
        CaptureError::Io { path: self.path.clone(), error }
    }
}

enum Kind {
    Pcap,
    Pcapng,
}

/// Tells a capture by its first bytes, or says what the file is instead.
fn kind(front: &[u8]) -> Result<Kind, &'static str> {
    match front {
        [0xA1, 0xB2, 0xC3, 0xD4, ..]
        | [0xD4, 0xC3, 0xB2, 0xA1, ..]
        | [0xA1, 0xB2, 0x3C, 0x4D, ..]
        | [0x4D, 0x3C, 0xB2, 0xA1, ..]
        | [0x34, 0xCD, 0xB2, 0xA1, ..] => Ok(Kind::Pcap),
        [0x0A, 0x0D, 0x0D, 0x0A, ..] => Ok(Kind::Pcapng),
        [] => Err("the file is empty"),
        [0x1F, 0x8B, ..] => Err("it is compressed, unpack it first (gunzip)"),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Err("it is compressed, unpack it first (unzstd)"),
        [0x47, ..] => Err("it begins like a file of TS packets"),
        _ => Err("it begins with no magic number of either"),
    }
}

/// How an interface of a section stamps its packets.
#[derive(Clone, Copy)]
struct Interface {
    link: u16,
    /// `if_tsresol`: with the top bit clear ticks of 10^-n s, with it set of 2^-n s.
    resolution: u8,
    /// `if_tsoffset`, in seconds.
    offset: i64,
}

impl Interface {
    /// A time stamp in nanoseconds, the nearest that there is where it lies outside what 64 bits hold.
    fn nanos(self, ticks: u64) -> i64 {
        let exponent = u32::from(self.resolution & 0x7F);
        let second = if self.resolution & 0x80 == 0 { 10_u128.checked_pow(exponent) } else { Some(1_u128 << exponent) };
        // A tick too short for a number is shorter than any time it could count to.
        let nanos = second.map_or(0, |second| u128::from(ticks) * 1_000_000_000 / second);
        i64::try_from(nanos).unwrap_or(i64::MAX).saturating_add(self.offset.saturating_mul(NANOS))
    }
}

impl Track {
    fn block(&mut self, block: &PcapBlockOwned<'_>) -> Outcome {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                // The upper half of the field is about frame check sequences.
                let [.., high, low] = header.network.0.to_be_bytes();
                let resolution = if header.is_nanosecond_precision() { 9 } else { 6 };
                let link = u16::from_be_bytes([high, low]);
                self.interfaces.push(Interface { link, resolution, offset: 0 });
                Outcome::Nothing
            }
            PcapBlockOwned::Legacy(record) => {
                let Some(interface) = self.interfaces.first() else { return Outcome::Nothing };
                let tick = if interface.resolution == 9 { 1 } else { 1_000 };
                let at = i64::from(record.ts_sec) * NANOS + i64::from(record.ts_usec) * tick;
                self.frame(interface.link, record.data, record.origlen > record.caplen, at)
            }
            PcapBlockOwned::NG(block) => self.block_ng(block),
        }
    }

    fn block_ng(&mut self, block: &Block<'_>) -> Outcome {
        match block {
            Block::SectionHeader(header) => {
                self.big_endian = header.big_endian();
                self.interfaces.clear();
                Outcome::Nothing
            }
            Block::InterfaceDescription(description) => {
                let [.., high, low] = description.linktype.0.to_be_bytes();
                let mut interface = Interface { link: u16::from_be_bytes([high, low]), resolution: 6, offset: 0 };
                for option in &description.options {
                    self.option(option, &mut interface);
                }
                self.interfaces.push(interface);
                Outcome::Nothing
            }
            Block::EnhancedPacket(packet) => {
                let index = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
                let Some(&interface) = self.interfaces.get(index) else {
                    return Outcome::Damaged("it is of an interface that was never described");
                };
                let at = interface.nanos(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low));
                self.frame(interface.link, packet.packet_data(), packet.origlen > packet.caplen, at)
            }
            Block::SimplePacket(_) => {
                self.figures.frames += 1;
                self.figures.untimed += 1;
                Outcome::Nothing
            }
            Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::DecryptionSecrets(_)
            | Block::ProcessInformation(_)
            | Block::Custom(_)
            | Block::Unknown(_) => Outcome::Nothing,
        }
    }

    /// The two options that make the times of an interface, in the byte order of the section.
    fn option(&self, option: &PcapNGOption<'_>, interface: &mut Interface) {
        let Ok(value) = option.as_bytes() else { return };
        if option.code == OptionCode::IfTsresol {
            interface.resolution = value.first().copied().unwrap_or(interface.resolution);
        } else if option.code == OptionCode::IfTsoffset
            && let Ok(value) = <[u8; 8]>::try_from(value)
        {
            interface.offset = if self.big_endian { i64::from_be_bytes(value) } else { i64::from_le_bytes(value) };
        }
    }

    fn frame(&mut self, link: u16, bytes: &[u8], cut: bool, at: i64) -> Outcome {
        self.figures.frames += 1;
        match frame::read(link, bytes, cut) {
            Frame::Datagram { source, destination, payload } => {
                self.figures.datagrams += 1;
                if self.latest.is_some_and(|latest| at < latest) {
                    self.figures.backwards += 1;
                }
                self.latest = Some(self.latest.map_or(at, |latest| latest.max(at)));
                self.payload.clear();
                self.payload.extend_from_slice(payload);
                self.head = Some(Head { at, source, destination });
                return Outcome::Datagram;
            }
            Frame::Fragment => self.figures.fragments += 1,
            Frame::Truncated => self.figures.truncated += 1,
            Frame::Other => self.figures.other += 1,
            Frame::UnknownLink => *self.figures.unknown_links.entry(link).or_default() += 1,
        }
        Outcome::Nothing
    }

    /// Whether a whole pcapng block stands at the beginning of `data`, by its own length: more bytes make no sense of
    /// one that could not be read.
    fn holds_block(&self, data: &[u8]) -> bool {
        if !self.blocks {
            return false;
        }
        let Some(len) = data.get(4..).and_then(|rest| rest.first_chunk::<4>()) else { return false };
        let len = if self.big_endian { u32::from_be_bytes(*len) } else { u32::from_le_bytes(*len) };
        usize::try_from(len).is_ok_and(|len| len >= 12 && data.len() >= len)
    }
}

/// Several captures as one, by time; among equal times in the order in which they were given.
#[derive(Debug)]
pub struct Merge {
    captures: Vec<Capture>,
    damage: Vec<CaptureError>,
    last: Option<usize>,
}

impl Merge {
    /// Opens all of them.
    ///
    /// # Errors
    /// One of them cannot be read at all.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureError> {
        let captures = paths.iter().map(|path| Capture::open(path)).collect::<Result<_, _>>()?;
        let mut merge = Self { captures, damage: Vec::new(), last: None };
        for index in 0..merge.captures.len() {
            merge.advance(index);
        }
        Ok(merge)
    }

    fn advance(&mut self, index: usize) {
        if let Some(Err(error)) = self.captures.get_mut(index).map(Capture::advance) {
            self.damage.push(error);
        }
    }

    /// The next datagram of any; none after the last one of all. A capture that is damaged ends where the damage
    /// begins, see [`Merge::damage`].
    pub fn read(&mut self) -> Option<Datagram<'_>> {
        if let Some(index) = self.last.take() {
            self.advance(index);
        }
        let times =
            self.captures.iter().enumerate().filter_map(|(index, capture)| Some((capture.current()?.at, index)));
        let (_, index) = times.min()?;
        self.last = Some(index);
        self.captures.get(index)?.current()
    }

    /// What was read so far, of all of them.
    pub fn figures(&self) -> Figures {
        let mut all = Figures::default();
        for capture in &self.captures {
            all.add(capture.figures());
        }
        all
    }

    /// The captures that could not be read to their end, and how far it went.
    pub fn damage(&self) -> &[CaptureError] {
        &self.damage
    }
}
