//! What is known of one feed: where its access units begin, which of them decoding can begin with, and its clock.

use std::collections::VecDeque;

use super::held::{List, Stamp, add};
use super::line::{Line, later};
use super::unit::Unit;
use crate::tr101290::{Program, Stream as Listed};
use crate::ts::pes::{Head, Header};
use crate::ts::pictures::{Entry, Pictures};
use crate::ts::stream::Kind;
use crate::ts::{PACKET_SIZE, Packet};
use crate::units::{Instant, Pid, Pts90k};

/// The most streams of a feed that are followed unit by unit.
pub(super) const MAX_STREAMS: usize = 64;
/// The most marks that are kept: those of five seconds of 50 pictures and eight streams of sound.
const MARKS: usize = 2048;
/// A step between time stamps that is none of the same time line: ten seconds.
const JUMP: i64 = 900_000;
/// How far back pictures are looked for that come later than one of higher PTS, in marks.
const REORDER: usize = 64;
const NONE: u8 = u8::MAX;

/// What a stream is to a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The stream that decides the moment: the first video, or the first sound where there is no video.
    Lead,
    /// Sound of the same program.
    Sound,
    /// Video of another program, or another of this one: begins at a random access point.
    Video,
    /// Sound of another program.
    OtherSound,
    /// Anything else that has units.
    Other,
}

/// Where a unit of a stream begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) number: u64,
    pub(super) at: Instant,
    pub(super) pid: Pid,
    pub(super) role: Role,
    pub(super) stamp: Stamp,
    /// Where presentation would go on if the stream ended before this unit.
    pub(super) join: Option<Pts90k>,
    /// All that is presented before `join`, and nothing else, comes before this unit.
    pub(super) clean: bool,
    /// Decoding can begin with it.
    pub(super) entry: bool,
    /// It is a recovery point: what was decoded before is not let go of, and confuses some decoders.
    pub(super) is_weak: bool,
}

/// How far a stream of a transition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of it is wanted yet.
    Waiting,
    /// Its random access point is sent; pictures that are presented before it are left out.
    Leading {
        /// Whether the unit under way is.
        out: bool,
    },
    /// All of it is wanted.
    #[default]
    Passing,
    /// Nothing of it is wanted any more.
    Stopped,
}

/// What of a stream has left, in the output's time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// The unit that began last.
    pub(super) last: Option<Stamp>,
    /// The highest PTS.
    pub(super) max: Option<Pts90k>,
    /// Where presentation ends, once the stream has stopped.
    pub(super) end: Option<Pts90k>,
    pub(super) unit: Unit,
}

impl Left {
    /// A unit begins to leave.
    pub(super) fn begin(&mut self, stamp: Stamp) {
        let jumped = self.last.is_some_and(|last| stamp.dts.step_from(last.dts).abs() > JUMP);
        if jumped || self.max.is_none_or(|max| stamp.pts.step_from(max) > 0) {
            self.max = Some(stamp.pts);
        }
        self.last = Some(stamp);
    }
}

/// A unit that began in a packet that ends before its times do.
#[derive(Clone, Copy, Debug)]
struct Parted {
    number: u64,
    at: Instant,
    random_access: bool,
    head: Head,
}

/// A stream of a feed.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) pid: Pid,
    pub(super) program: u16,
    pub(super) kind: Kind,
    pub(super) role: Role,
    codec: &'static str,
    pictures: Option<Pictures>,
    counter: Option<u8>,
    parted: Option<Parted>,
    /// The unit that came last, and whether it is all there.
    pub(super) latest: Option<Stamp>,
    pub(super) arrived: Unit,
    max: Option<Pts90k>,
    /// The number of its mark, counted from the first ever.
    mark: Option<u64>,
    steps: [u16; 8],
    pub(super) is_scrambled: bool,
    pub(super) left: Left,
    pub(super) phase: Phase,
    /// The PID of the other feed that takes its place or whose place it takes.
    pub(super) pair: Option<Pid>,
    /// The packets of it that wait for a slot.
    pub(super) list: List,
    /// How many of it wait among the old feed's.
    pub(super) pending: u32,
    /// The unit under way is left out.
    pub(super) cut: bool,
    /// What waits of it may begin before the end of what it follows.
    pub(super) untrimmed: bool,
}

impl Stream {
    fn new(stream: &Listed, role: Role) -> Self {
        Self {
            pid: stream.pid,
            program: stream.program,
            kind: stream.description.kind,
            role,
            codec: stream.description.codec,
            pictures: stream.description.pictures().map(Pictures::new),
            counter: None,
            parted: None,
            latest: None,
            arrived: Unit::Unknown,
            max: None,
            mark: None,
            steps: [0; 8],
            is_scrambled: false,
            left: Left::default(),
            phase: Phase::Passing,
            pair: None,
            list: List::default(),
            pending: 0,
            cut: false,
            untrimmed: false,
        }
    }

    /// How long a unit lasts: the shortest of the last steps, so that a loss makes it no longer. 0 while it is not known.
    pub(super) fn length(&self) -> i64 {
        self.steps.iter().copied().filter(|&step| step > 0).min().map_or(0, i64::from)
    }

    /// Whether the latest unit is known to be incomplete if nothing more comes.
    pub(super) fn ends_with(&self, stamp: Stamp) -> bool {
        self.latest == Some(stamp) && self.arrived.is_open()
    }

    fn begin(&mut self, stamp: Stamp) {
        if let Some(last) = self.latest {
            let step = stamp.dts.step_from(last.dts);
            if let Some(step) = u16::try_from(step).ok().filter(|&step| step > 0) {
                self.steps.rotate_left(1);
                if let Some(to) = self.steps.last_mut() {
                    *to = step;
                }
            } else if !(0..JUMP).contains(&step) {
                self.max = None;
            }
        }
        self.latest = Some(stamp);
    }
}

/// One feed.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) streams: Vec<Stream>,
    spare: Vec<Stream>,
    place: Box<[u8; Pid::COUNT]>,
    pub(super) pcr_pid: Option<Pid>,
    pub(super) line: Line,
    marks: VecDeque<Mark>,
    /// How many marks were taken away at the front.
    gone: u64,
    /// When a packet came last.
    pub(super) last: Instant,
    /// How often something changed that a plan hangs on.
    pub(super) news: u32,
    /// Of PIDs that are not followed, those on which a unit began to leave since the transition began.
    pub(super) begun: Box<[u64; Pid::COUNT / 64]>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            streams: Vec::with_capacity(MAX_STREAMS),
            spare: Vec::with_capacity(MAX_STREAMS),
            place: Box::new([NONE; Pid::COUNT]),
            pcr_pid: None,
            line: Line::default(),
            marks: VecDeque::with_capacity(MARKS),
            gone: 0,
            last: Instant::LONG_AGO,
            news: 0,
            begun: Box::new([0; Pid::COUNT / 64]),
        }
    }

    pub(super) fn structure(&mut self, programs: &[Program], streams: &[Listed]) {
        let listed = |kind: Kind| {
            programs.iter().find_map(|program| {
                streams.iter().find(|s| s.program == program.number && s.description.kind == kind).map(|s| (program, s))
            })
        };
        let lead = listed(Kind::Video).or_else(|| listed(Kind::Audio));
        let before = self.lead().map(|stream| stream.pid);
        let pcr_pid = lead.map(|(program, _)| program).or_else(|| programs.first()).and_then(|program| program.pcr_pid);
        if pcr_pid != self.pcr_pid {
            self.pcr_pid = pcr_pid;
            self.line = Line::default();
            self.forget();
        }
        core::mem::swap(&mut self.streams, &mut self.spare);
        self.streams.clear();
        self.place.fill(NONE);
        for stream in streams {
            let is_main = lead.is_some_and(|(program, _)| program.number == stream.program);
            let role = match stream.description.kind {
                Kind::Video | Kind::Audio if lead.is_some_and(|(_, lead)| lead.pid == stream.pid) => Role::Lead,
                Kind::Video => Role::Video,
                Kind::Audio if is_main => Role::Sound,
                Kind::Audio => Role::OtherSound,
                Kind::Subtitles | Kind::Splice | Kind::Sparse | Kind::Data => Role::Other,
            };
            let Some(place) = self.place.get_mut(stream.pid.index()).filter(|place| **place == NONE) else { continue };
            // what takes part in several programs is the first one's
            let Some(next) = u8::try_from(self.streams.len()).ok().filter(|&n| usize::from(n) < MAX_STREAMS) else {
                break;
            };
            *place = next;
            let known = self.spare.iter_mut().find(|s| s.pid == stream.pid && s.codec == stream.description.codec);
            let kept = known.map(|known| Stream {
                role,
                program: stream.program,
                list: core::mem::take(&mut known.list),
                ..known.clone()
            });
            self.streams.push(kept.unwrap_or_else(|| Stream::new(stream, role)));
        }
        if self.lead().map(|stream| stream.pid) != before {
            self.forget();
        }
        self.news = self.news.wrapping_add(1);
    }

    /// Lists of streams that are there no longer, so that what waits in them can be given back.
    pub(super) fn orphans(&mut self) -> impl Iterator<Item = &mut List> {
        self.spare.iter_mut().map(|stream| &mut stream.list)
    }

    /// Forgets all marks: they belong to another time line.
    fn forget(&mut self) {
        self.gone += self.marks.len() as u64;
        self.marks.clear();
        for stream in &mut self.streams {
            (stream.max, stream.mark) = (None, None);
        }
    }

    pub(super) fn lead(&self) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.role == Role::Lead)
    }

    #[inline]
    pub(super) fn place(&self, pid: Pid) -> Option<usize> {
        self.place.get(pid.index()).copied().filter(|&place| place != NONE).map(usize::from)
    }

    #[inline]
    pub(super) fn stream(&self, pid: Pid) -> Option<&Stream> {
        self.streams.get(self.place(pid)?)
    }

    #[inline]
    pub(super) fn stream_mut(&mut self, pid: Pid) -> Option<&mut Stream> {
        let place = self.place(pid)?;
        self.streams.get_mut(place)
    }

    /// Its marks, the earliest first.
    pub(super) fn marks(&self) -> impl DoubleEndedIterator<Item = &Mark> + Clone {
        self.marks.iter()
    }

    /// Whether decoding can begin with this unit.
    pub(super) fn is_entry(&self, pid: Pid, stamp: Stamp) -> bool {
        self.marks.iter().rev().any(|mark| mark.pid == pid && mark.stamp == stamp && mark.entry)
    }

    #[inline]
    pub(super) fn watch(&mut self, number: u64, at: Instant, packet: Packet<'_>) {
        self.last = self.last.max(at);
        if !packet.is_synchronised() || packet.transport_error_indicator() {
            return;
        }
        let pid = packet.pid();
        if packet.has_pcr()
            && Some(pid) == self.pcr_pid
            && let Some(pcr) = packet.pcr()
            && self.line.put(pcr, at)
        {
            self.forget();
        }
        let Some(stream) = self.stream_mut(pid) else { return };
        if !packet.has_payload() {
            return;
        }
        let (start, payload) = (packet.payload_unit_start_indicator(), packet.payload());
        let counter = packet.continuity_counter();
        let step = stream.counter.replace(counter).map_or(1, |last| counter.wrapping_sub(last) & 0x0F);
        if step == 0 {
            // a duplicate
            return;
        }
        stream.arrived.push(start, payload);
        let is_parted = stream.parted.is_some();
        if step != 1 {
            let mark = stream.mark;
            if let Some(pictures) = &mut stream.pictures {
                pictures.reset();
            }
            if !start {
                // the unit under way is not whole
                self.change(mark, |mark| mark.entry = false);
            }
        }
        if start {
            self.unit(number, at, packet);
        } else if is_parted {
            self.go_on(pid, step, payload);
        }
        let Some(stream) = self.stream_mut(pid) else { return };
        if let Some(pictures) = &mut stream.pictures
            && (start || !pictures.is_done())
            && let Some(picture) = pictures.push(start, payload)
            && picture.is_random_access()
        {
            let entry = match picture.entry {
                Some(Entry::Intra { .. } | Entry::Idr | Entry::Irap(_)) => true,
                Some(Entry::Recovery { distance, .. }) => distance == 0,
                None => false,
            };
            let is_weak = matches!(picture.entry, Some(Entry::Recovery { .. }));
            let mark = stream.mark;
            self.change(mark, |mark| (mark.entry, mark.is_weak) = (entry, is_weak));
            self.news = self.news.wrapping_add(1);
        }
    }

    fn change(&mut self, mark: Option<u64>, change: impl FnOnce(&mut Mark)) {
        let place = mark.and_then(|mark| usize::try_from(mark.checked_sub(self.gone)?).ok());
        if let Some(mark) = place.and_then(|place| self.marks.get_mut(place)) {
            change(mark);
        }
    }

    /// A unit begins.
    fn unit(&mut self, number: u64, at: Instant, packet: Packet<'_>) {
        let Some(stream) = self.stream_mut(packet.pid()) else { return };
        (stream.mark, stream.parted) = (None, None);
        stream.is_scrambled = packet.is_scrambled();
        let (payload, random_access) = (packet.payload(), packet.random_access_indicator());
        if stream.is_scrambled {
            return;
        }
        match Header::parse(payload) {
            Some(header) => {
                if let Some(stamp) = stamp_of(&header) {
                    self.begin(packet.pid(), number, at, stamp, random_access);
                }
            }
            None if payload.len() < Head::MAX => {
                stream.parted = Some(Parted { number, at, random_access, head: Head::new(payload) });
            }
            None => {}
        }
    }

    /// The head of a unit goes on in a packet that is `step` after the last.
    #[cold]
    fn go_on(&mut self, pid: Pid, step: u8, payload: &[u8]) {
        let Some(stream) = self.stream_mut(pid) else { return };
        let Some(mut parted) = stream.parted.take().filter(|_| step == 1) else { return };
        parted.head.push(payload);
        let head = parted.head.bytes();
        match Header::parse(head).and_then(|header| stamp_of(&header)) {
            Some(stamp) => self.begin(pid, parted.number, parted.at, stamp, parted.random_access),
            None if head.len() < Head::MAX => stream.parted = Some(parted),
            None => {}
        }
    }

    /// A unit with these times begins in the packet of this number.
    fn begin(&mut self, pid: Pid, number: u64, at: Instant, stamp: Stamp, random_access: bool) {
        let next = self.gone + self.marks.len() as u64;
        let Some(stream) = self.stream_mut(pid) else { return };
        stream.begin(stamp);
        let (role, is_video) = (stream.role, stream.kind == Kind::Video);
        if role == Role::OtherSound || role == Role::Other {
            return;
        }
        let (join, clean, entry) = if is_video {
            let before = stream.max;
            let clean = before.is_some_and(|max| stamp.pts.step_from(max) > 0);
            if before.is_none() || clean {
                stream.max = Some(stamp.pts);
            }
            let length = stream.length();
            let join = before.filter(|_| length > 0).map(|max| add(max, length));
            // of what is coded in a way that is not read, what the multiplexer says
            (join, clean, stream.pictures.is_none() && random_access)
        } else {
            (Some(stamp.pts), true, true)
        };
        stream.mark = Some(next);
        if self.marks.len() >= MARKS {
            self.marks.pop_front();
            self.gone += 1;
        }
        if is_video && !clean {
            // this one is presented before units that come first: between them is no place to stop
            let own = self.marks.iter_mut().rev().take(REORDER).filter(|mark| mark.pid == pid);
            for mark in own {
                mark.clean &= mark.join.is_some_and(|join| stamp.pts.step_from(join) > -10);
            }
        }
        self.marks.push_back(Mark { number, at, pid, role, stamp, join, clean, entry, is_weak: false });
        if role == Role::Lead {
            self.news = self.news.wrapping_add(1);
        }
    }

    /// A packet leaves in normal running, its times set on by `offset`.
    #[inline]
    pub(super) fn sent(&mut self, offset: i64, packet: Packet<'_>, head: Option<Header>) {
        if !packet.has_payload() {
            return;
        }
        let start = packet.payload_unit_start_indicator();
        let Some(stream) = self.stream_mut(packet.pid()) else { return };
        if start || stream.role == Role::Other {
            stream.left.unit.push(start, packet.payload());
        }
        if start && let Some(stamp) = stamp(packet, head) {
            stream.left.begin(stamp.moved(offset));
        }
    }

    /// When nothing of it stands in its delay line any more, if nothing more comes.
    pub(super) fn drained(&self, delay: i64) -> Instant {
        later(self.last, delay.saturating_add(50_000_000))
    }
}

/// The times of the PES packet that starts in this packet: of its `head`, where that goes on in the next.
pub(super) fn stamp(packet: Packet<'_>, head: Option<Header>) -> Option<Stamp> {
    if packet.is_scrambled() {
        return None;
    }
    stamp_of(&Header::parse(packet.payload()).or(head)?)
}

fn stamp_of(header: &Header) -> Option<Stamp> {
    Some(Stamp { pts: header.pts?, dts: header.decoding_time()? })
}

const _: () = assert!(PACKET_SIZE == 188 && MAX_STREAMS < NONE as usize);
