//! What the elementary streams carry, as far as it shows without decoding: access units and what is missing between them,
//! captions, points of random access, splice information. None of it is an indicator.

use super::Settings;
use super::count::{Observer, Place, Sink};
use super::pids::{Pids, Roles};
use super::structure::Structure;
use crate::ts::Packet;
use crate::ts::access_units::AccessUnits;
use crate::ts::frames::Frames;
use crate::ts::pes::Header;
use crate::ts::pictures::Pictures;
use crate::ts::scte35::SpliceInfo;
use crate::ts::section::Section;
use crate::ts::stream::{Description, Kind};
use crate::units::{Instant, Pid};

/// The most video and audio streams whose contents are looked at; of the others only the packets are.
pub const MAX_CONTENTS: usize = 64;

/// What is known of one video or audio stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    /// Pictures, or frames of sound. A PES packet of video counts as one.
    pub access_units: u64,
    /// Access units that the time stamps leave room for and that were not there.
    pub missing: u64,
    /// Time stamps that fit no whole number of access units, or went back, or jumped.
    pub uneven: u64,
    /// Points of random access (video).
    pub random_access: u64,
    /// When the last one came.
    pub last_random_access: Option<Instant>,
    /// When CEA-608 data last came, padding left aside.
    pub last_cea608: Option<Instant>,
    /// When DTVCC data last came, the packets of CEA-708.
    pub last_dtvcc: Option<Instant>,
}

/// Splice information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpliceFigures {
    /// splice_info_sections that could be read, encrypted ones included.
    pub sections: u64,
    /// Of them, encrypted.
    pub encrypted: u64,
    /// Sections that could not: a wrong CRC_32, or fields that do not fit.
    pub broken: u64,
    /// The last that was not splice_null: when, on which PID, and what it says.
    pub last: Option<(Instant, Pid, SpliceInfo)>,
    /// When the last one of any command came.
    pub last_any: Option<Instant>,
}

/// How a stream is read.
#[derive(Clone, Debug)]
enum Reader {
    Video(Pictures),
    Audio(Frames),
}

impl Reader {
    fn of(description: &Description) -> Option<Self> {
        let video = description.pictures().map(|codec| Self::Video(Pictures::new(codec)));
        video.or_else(|| description.frames().map(|codec| Self::Audio(Frames::new(codec))))
    }
}

#[derive(Clone, Debug)]
struct Content {
    pid: Pid,
    program: u16,
    codec: &'static str,
    reader: Reader,
    units: AccessUnits,
    figures: StreamFigures,
}

#[derive(Debug)]
pub(super) struct Contents {
    wanted: bool,
    streams: Vec<Content>,
    pub(super) splice: SpliceFigures,
}

impl Contents {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { wanted: settings.contents, streams: Vec::with_capacity(MAX_CONTENTS), splice: SpliceFigures::default() }
    }

    /// Looks at no stream. How much splice information there was is kept.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        self.splice.last_any = None;
    }

    /// Follows the structure after it changed; a stream that stays what it was keeps its state.
    pub(super) fn follow(&mut self, structure: &Structure, pids: &mut Pids) {
        self.streams.retain(|content| {
            let stays = structure.streams.iter().any(|s| s.pid == content.pid && s.description.codec == content.codec);
            if !stays {
                let roles = &mut pids.entry(content.pid).roles;
                roles.remove(Roles::CONTENT);
                roles.remove(Roles::READING);
            }
            stays
        });
        for stream in &structure.streams {
            let roles = &mut pids.entry(stream.pid).roles;
            if !self.wanted || roles.has(Roles::CONTENT) || self.streams.len() == MAX_CONTENTS {
                continue;
            }
            let codec = stream.description.codec;
            let Some(reader) = Reader::of(&stream.description) else { continue };
            roles.add(Roles::CONTENT);
            if stream.description.kind == Kind::Audio {
                roles.add(Roles::READING);
            }
            let (units, figures) = (AccessUnits::default(), StreamFigures::default());
            self.streams.push(Content { pid: stream.pid, program: stream.program, codec, reader, units, figures });
        }
        for (place, content) in (0..).zip(&self.streams) {
            pids.entry(content.pid).content = place;
        }
    }

    /// A packet, not scrambled, of the stream at `place`, whose contents are looked at. Says whether every packet is wanted until the next
    /// start of a unit.
    pub(super) fn packet<O: Observer>(&mut self, packet: Packet<'_>, place: u8, sink: &mut Sink<'_, O>) -> bool {
        let Some(content) = self.streams.get_mut(usize::from(place)) else { return false };
        let pid = content.pid;
        let (start, payload) = (packet.payload_unit_start_indicator(), packet.payload());
        if packet.discontinuity_indicator() {
            content.units.reset();
        }
        let stamp = if start { Header::parse(payload).and_then(|header| header.decoding_time()) } else { None };
        let figures = &mut content.figures;
        let (step, wanted) = match &mut content.reader {
            Reader::Video(pictures) => {
                if let Some(picture) = pictures.push(start, payload) {
                    if picture.is_random_access() {
                        figures.random_access += 1;
                        figures.last_random_access = Some(sink.at);
                    }
                    if picture.captions.cea608 {
                        figures.last_cea608 = Some(sink.at);
                    }
                    if picture.captions.dtvcc {
                        figures.last_dtvcc = Some(sink.at);
                    }
                }
                let step = stamp.map(|stamp| content.units.stamp(stamp, None));
                figures.access_units += u64::from(start);
                content.units.count(u32::from(start));
                (step, !pictures.is_done())
            }
            Reader::Audio(frames) => {
                let started = frames.push(start, payload);
                figures.access_units += u64::from(started.before + started.frames);
                content.units.count(u32::from(started.before));
                let step = stamp.map(|stamp| content.units.stamp(stamp, frames.length()));
                content.units.count(u32::from(started.frames));
                (step, true)
            }
        };
        if let Some(step) = step {
            use crate::ts::access_units::Step;
            match step {
                Step::Unknown | Step::Regular => {}
                Step::Missing(count) => {
                    figures.missing += u64::from(count);
                    sink.missing(Place::of(pid, content.program), count);
                }
                Step::Uneven { .. } | Step::Jump => figures.uneven += 1,
            }
        }
        wanted
    }

    /// A section of a PID for splice information.
    pub(super) fn splice(&mut self, pid: Pid, section: Section<'_>, at: Instant) {
        let Some(info) = SpliceInfo::parse(section) else {
            self.splice.broken += 1;
            return;
        };
        self.splice.sections += 1;
        self.splice.encrypted += u64::from(info.encrypted);
        self.splice.last_any = Some(at);
        if info.command != crate::ts::scte35::Command::SpliceNull {
            self.splice.last = Some((at, pid, info));
        }
    }

    /// What is known of each stream.
    pub(super) fn streams(&self) -> impl Iterator<Item = (Pid, &StreamFigures)> {
        self.streams.iter().map(|content| (content.pid, &content.figures))
    }
}
