//! The multiplexer: which packet comes next, and what the clock shows then.

use super::mpeg2::Encoder;
use super::noise::Noise;
use super::pes::{Head, Pes};
use super::plan::{AUDIO_DELAY, AUDIO_FRAMES, AUDIO_PACKETS, PICTURE_TICKS, Plan, SECOND};
use super::{Packet, Settings, mp2, psi};
use crate::units::{Pid, Pts90k, Ticks27M};

/// The byte of a packet whose time its PCR is: the one with the last bit of program_clock_reference_base (ISO/IEC
/// 13818-1 2.4.2.2).
const PCR_BYTE: u64 = 10;
/// How many packets of others may come between two of the video: tables, and one of audio.
const HELD_UP: u64 = 5;
const NULL: [u8; 4] = [0x47, 0x1F, 0xFF, 0x10];

/// An endless feed. Cloned, it goes on twice from where it is.
#[derive(Clone, Debug)]
pub struct Feed {
    plan: Plan,
    clock: Clock,
    /// What the system clock shows at packet 0, below the wrap.
    start: u64,
    index: u64,
    tables: [Table; 3],
    video: Video,
    audio: Option<Audio>,
    /// The last moment for the next PCR, in ticks from the start.
    pcr_due: u64,
    closing: bool,
}

impl Feed {
    /// A feed that stands before its packet 0.
    pub fn new(settings: Settings) -> Self {
        let plan = Plan::new(&settings);
        let tables = [
            Table::new(psi::pat(&settings), plan.pat_interval),
            Table::new(psi::pmt(&settings), plan.pmt_interval),
            Table::new(psi::sdt(&settings), plan.sdt_interval),
        ];
        Self {
            clock: Clock::new(plan.bit_rate),
            start: settings.start.0 % Ticks27M::WRAP,
            index: 0,
            tables,
            video: Video::new(settings.video_pid, settings.seed, &plan),
            audio: settings.audio.then(|| Audio::new(settings.audio_pid, settings.seed)),
            pcr_due: 0,
            closing: false,
            plan,
        }
    }

    /// The next packet. There always is one.
    pub fn next_packet(&mut self) -> Packet {
        let now = self.clock.ticks();
        let mut packet = Packet { bytes: [0xFF; Packet::SIZE], at: Ticks27M(now), index: self.index };
        self.fill(now, &mut packet.bytes);
        self.clock.advance();
        self.index += 1;
        packet
    }

    /// From now on begins no more pictures and no more audio: what has begun is finished, and then tables, PCRs and
    /// null packets go on alone.
    pub const fn close(&mut self) {
        self.closing = true;
    }

    /// Whether the last picture and the last of the audio are out after [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.closing && !self.video.sending && !self.audio.as_ref().is_some_and(|a| a.sending)
    }

    fn fill(&mut self, now: u64, out: &mut [u8; Packet::SIZE]) {
        if let Some(table) = self.tables.iter_mut().find(|t| t.is_due(now)) {
            table.packet(out);
            return;
        }
        let video = (self.video.sending || !self.closing).then(|| self.video.due(&self.plan));
        let video_due = video.is_some_and(|due| now >= due);
        if video_due && !self.video.sending {
            self.video.begin(&self.plan, self.start);
        }
        // a PCR goes with the last packet of the video that is sure to come in time, or alone where none does
        let held_up = (HELD_UP * self.clock.packet_ticks()).min(self.plan.pcr_interval / 2);
        if !video_due && now + held_up > self.pcr_due && video.is_none_or(|due| due + held_up > self.pcr_due) {
            let pcr = Some(self.pcr(now));
            self.video.pes.pcr_packet(out, Head { pid: self.video.pid, random_access: false, pcr });
            return;
        }
        if let Some(audio) = &mut self.audio
            && (audio.sending || !self.closing)
            && now >= audio.due()
        {
            audio.packet(out, self.start);
            return;
        }
        if video_due {
            let next = PICTURE_TICKS / self.plan.mean + held_up;
            let pcr = (now + next > self.pcr_due).then(|| self.pcr(now));
            self.video.packet(out, pcr);
            return;
        }
        out[..4].copy_from_slice(&NULL);
    }

    /// The PCR of the packet that begins now; sets when the next is due.
    fn pcr(&mut self, now: u64) -> Ticks27M {
        self.pcr_due = now + self.plan.pcr_interval;
        Ticks27M((self.start + self.clock.ticks_at(PCR_BYTE)) % Ticks27M::WRAP)
    }
}

impl Iterator for Feed {
    type Item = Packet;

    /// [`Feed::next_packet`]: never `None`.
    fn next(&mut self) -> Option<Packet> {
        Some(self.next_packet())
    }
}

/// The time of each byte at a constant bit rate, to a fraction.
#[derive(Clone, Debug)]
struct Clock {
    bit_rate: u64,
    ticks: u64,
    /// The part of a tick over `ticks`, of `bit_rate` parts.
    parts: u64,
}

impl Clock {
    const fn new(bit_rate: u64) -> Self {
        Self { bit_rate, ticks: 0, parts: 0 }
    }

    /// When the packet's first byte is sent, to the nearest tick from the start.
    const fn ticks(&self) -> u64 {
        self.ticks_at(0)
    }

    /// When the packet's byte `byte` is sent, to the nearest tick from the start.
    const fn ticks_at(&self, byte: u64) -> u64 {
        self.ticks + (self.parts + byte * 8 * SECOND + self.bit_rate / 2) / self.bit_rate
    }

    /// The ticks that a packet takes, rounded up.
    const fn packet_ticks(&self) -> u64 {
        (Packet::BITS * SECOND).div_ceil(self.bit_rate)
    }

    const fn advance(&mut self) {
        self.parts += Packet::BITS * SECOND;
        self.ticks += self.parts / self.bit_rate;
        self.parts %= self.bit_rate;
    }
}

/// A section, sent at its interval.
#[derive(Clone, Debug)]
struct Table {
    packets: Vec<[u8; Packet::SIZE]>,
    /// How many of `packets` are sent this time around.
    sent: usize,
    counter: u8,
    due: u64,
    interval: u64,
}

impl Table {
    const fn new(packets: Vec<[u8; Packet::SIZE]>, interval: u64) -> Self {
        Self { packets, sent: 0, counter: 0, due: 0, interval }
    }

    const fn is_due(&self, now: u64) -> bool {
        self.sent > 0 || now >= self.due
    }

    fn packet(&mut self, out: &mut [u8; Packet::SIZE]) {
        if let Some(packet) = self.packets.get(self.sent) {
            *out = *packet;
            out[3] |= self.counter;
            self.counter = (self.counter + 1) & 0x0F;
        }
        self.sent += 1;
        if self.sent >= self.packets.len() {
            self.sent = 0;
            self.due += self.interval;
        }
    }
}

#[derive(Clone, Debug)]
struct Video {
    pid: Pid,
    encoder: Encoder,
    pes: Pes,
    /// Whether a picture is on its way out.
    sending: bool,
    /// The picture to begin next.
    number: u64,
    /// Its place in its group.
    place: u32,
    /// The slot of its first packet.
    next_slot: u64,
    /// The slot of the next packet of the picture on its way out.
    slot: u64,
    /// That packet is the first of an intra picture.
    random_access: bool,
}

impl Video {
    fn new(pid: Pid, seed: u64, plan: &Plan) -> Self {
        let capacity = plan.picture_bytes(0).max(plan.picture_bytes(1));
        let encoder = Encoder::new(seed, capacity);
        Self {
            pid,
            encoder,
            pes: Pes::new(),
            sending: false,
            number: 0,
            place: 0,
            next_slot: 0,
            slot: 0,
            random_access: false,
        }
    }

    /// When the next packet is due, in ticks from the start.
    const fn due(&self, plan: &Plan) -> u64 {
        plan.due(if self.sending { self.slot } else { self.next_slot })
    }

    /// Encodes the next picture and begins its PES packet.
    fn begin(&mut self, plan: &Plan, start: u64) {
        self.encoder.encode(plan, self.number, self.place);
        self.pes.begin(0xE0, None, pts(start, self.number * PICTURE_TICKS + plan.delay));
        self.random_access = self.place == 0;
        self.slot = self.next_slot;
        self.sending = true;
        self.next_slot += plan.packets(self.place);
        self.number += 1;
        self.place = (self.place + 1) % plan.gop;
    }

    fn packet(&mut self, out: &mut [u8; Packet::SIZE], pcr: Option<Ticks27M>) {
        let head = Head { pid: self.pid, random_access: self.random_access, pcr };
        self.sending = !self.pes.packet(out, head, self.encoder.bytes());
        self.random_access = false;
        self.slot += 1;
    }
}

#[derive(Clone, Debug)]
struct Audio {
    pid: Pid,
    seed: u64,
    pes: Pes,
    frames: [u8; AUDIO_FRAMES * mp2::FRAME],
    /// Whether a PES packet is on its way out.
    sending: bool,
    /// The PES packet to begin next.
    number: u64,
    /// How many packets of the one before are out.
    sent: u64,
}

impl Audio {
    const TICKS: u64 = AUDIO_FRAMES as u64 * mp2::FRAME_TICKS;

    fn new(pid: Pid, seed: u64) -> Self {
        let mut frames = [0; AUDIO_FRAMES * mp2::FRAME];
        for (out, byte) in frames.iter_mut().zip(mp2::frame().into_iter().cycle()) {
            *out = byte;
        }
        Self { pid, seed, pes: Pes::new(), frames, sending: false, number: 0, sent: 0 }
    }

    /// When the next packet is due, in ticks from the start.
    const fn due(&self) -> u64 {
        if self.sending {
            (self.number - 1) * Self::TICKS + self.sent * Self::TICKS / AUDIO_PACKETS
        } else {
            self.number * Self::TICKS
        }
    }

    fn packet(&mut self, out: &mut [u8; Packet::SIZE], start: u64) {
        if !self.sending {
            let mut noise = Noise::new(self.seed, self.number);
            for frame in self.frames.chunks_exact_mut(mp2::FRAME) {
                for bytes in frame[mp2::ANCILLARY..].chunks_mut(4) {
                    // never the 0xFF that a syncword begins with
                    let word = (noise.word() & 0x7F7F_7F7F).to_be_bytes();
                    bytes.copy_from_slice(&word[..bytes.len()]);
                }
            }
            self.pes.begin(0xC0, Some(self.frames.len()), pts(start, self.number * Self::TICKS + AUDIO_DELAY));
            self.number += 1;
            self.sent = 0;
        }
        let head = Head { pid: self.pid, random_access: false, pcr: None };
        self.sending = !self.pes.packet(out, head, &self.frames);
        self.sent += 1;
    }
}

/// The PTS of what is presented `ticks` after the start.
const fn pts(start: u64, ticks: u64) -> Pts90k {
    Pts90k((start + ticks) / 300 % Pts90k::WRAP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    fn pid(packet: &Packet) -> Pid {
        Pid::new(u16::from_be_bytes([packet.bytes[1], packet.bytes[2]]))
    }

    fn unit_start(packet: &Packet) -> bool {
        packet.bytes[1] & 0x40 != 0
    }

    fn pcr(packet: &Packet) -> Option<Ticks27M> {
        let b = &packet.bytes;
        (b[3] & 0x20 != 0 && b[4] >= 7 && b[5] & 0x10 != 0).then(|| {
            let bits = b[6..12].iter().fold(0, |v, &byte| v << 8 | u64::from(byte));
            Ticks27M((bits >> 15) * 300 + (bits & 0x1FF))
        })
    }

    fn pts_of(packet: &Packet) -> Pts90k {
        let b = &packet.bytes;
        let start = if b[3] & 0x20 == 0 { 4 } else { 5 + usize::from(b[4]) };
        let p = &b[start..];
        assert_eq!(p[..3], [0, 0, 1]);
        assert_eq!(p[7], 0x80, "a PTS and no DTS");
        let p = p[9..14].iter().fold(0, |v, &byte| v << 8 | u64::from(byte));
        Pts90k((p >> 33 & 7) << 30 | (p >> 17 & 0x7FFF) << 15 | (p >> 1 & 0x7FFF))
    }

    fn seconds(settings: &Settings, seconds: u64) -> impl Iterator<Item = Packet> {
        Feed::new(settings.clone()).take_while(move |p| p.at.0 < seconds * SECOND)
    }

    /// Rates with and without whole ticks a packet, and every clock that wraps on the way.
    fn many() -> impl Iterator<Item = Settings> {
        let wrap = Ticks27M::WRAP;
        [(8_000_000, 0), (1_000_000, wrap - SECOND), (7_654_321, wrap - 1), (3_000_001, 12_345), (12_345_678, u64::MAX)]
            .into_iter()
            .map(|(bit_rate, start)| Settings { bit_rate, start: Ticks27M(start), ..Settings::default() })
    }

    #[test]
    fn the_bit_rate_is_exact() {
        for settings in many() {
            for (index, packet) in seconds(&settings, 2).enumerate() {
                let index = u64::try_from(index).unwrap();
                assert_eq!(packet.index, index);
                let twice = 2 * i128::from(index) * 1504 * 27_000_000;
                let rate = i128::from(settings.bit_rate);
                assert!((2 * i128::from(packet.at.0) * rate - twice).abs() <= rate, "within half a tick");
            }
        }
    }

    #[test]
    fn each_pcr_is_the_time_of_its_byte_and_none_is_late() {
        for settings in many() {
            let mut last: Option<Ticks27M> = None;
            for packet in seconds(&settings, 3) {
                let Some(pcr) = pcr(&packet) else {
                    continue;
                };
                assert_eq!(pid(&packet), settings.video_pid);
                let bits = u128::from(packet.index) * 1504 + 80;
                let rate = u128::from(settings.bit_rate);
                let time = (2 * bits * 27_000_000 + rate) / (2 * rate);
                let expected = (u128::from(settings.start.0 % Ticks27M::WRAP) + time) % u128::from(Ticks27M::WRAP);
                assert_eq!(u128::from(pcr.0), expected);
                if let Some(last) = last {
                    assert!(pcr.forward_from(last) <= 30 * SECOND / 1000);
                } else {
                    assert!(packet.index <= 4);
                }
                last = Some(pcr);
            }
            assert!(last.is_some());
        }
    }

    #[test]
    fn continuity_counters_run_on() {
        for settings in many() {
            let mut counters = [None; Pid::COUNT];
            for packet in seconds(&settings, 3) {
                let payload = packet.bytes[3] & 0x10 != 0;
                let counter = packet.bytes[3] & 0x0F;
                let last = &mut counters[pid(&packet).index()];
                if pid(&packet) != Pid::NULL {
                    let step = u8::from(payload);
                    assert!(last.is_none_or(|l: u8| (l + step) & 0x0F == counter), "{} {}", pid(&packet), packet.index);
                    *last = Some(counter);
                }
                assert_eq!(packet.bytes[0], 0x47);
                assert_eq!(packet.bytes[1] & 0x80, 0);
                assert_eq!(packet.bytes[3] & 0xC0, 0);
            }
            assert_eq!(counters.iter().flatten().count(), 5);
        }
    }

    #[test]
    fn time_stamps_step_evenly_and_everything_comes_before_them() {
        for settings in many() {
            for (stream, ticks) in [(settings.video_pid, PICTURE_TICKS), (settings.audio_pid, Audio::TICKS)] {
                let mut last: Option<(Pts90k, u64)> = None;
                let mut count = 0;
                for packet in seconds(&settings, 3).filter(|p| pid(p) == stream) {
                    if unit_start(&packet) {
                        let pts = pts_of(&packet);
                        if let Some((before, _)) = last {
                            assert_eq!(pts.step_from(before).unsigned_abs() * 300, ticks);
                            assert!(pts.step_from(before) > 0);
                        }
                        last = Some((pts, packet.at.0));
                        count += 1;
                    }
                    // the packet ends before the PTS of what it carries
                    let (pts, _) = last.unwrap();
                    let stc = Pts90k((settings.start.0 % Ticks27M::WRAP + packet.at.0) / 300 % Pts90k::WRAP);
                    let lead = pts.step_from(stc);
                    let longest = if stream == settings.video_pid { 21_600 } else { 8_640 };
                    assert!(lead > 900 && lead <= longest, "{lead} {settings:?}");
                }
                assert_eq!(count, (3 * SECOND).div_ceil(ticks), "{settings:?}");
            }
        }
    }

    #[test]
    fn the_default_feed_leads_by_two_hundred_milliseconds_and_more() {
        let settings = Settings::default();
        for packet in seconds(&settings, 2).filter(|p| pid(p) == settings.video_pid && unit_start(p)) {
            let lead = pts_of(&packet).0 * 300 - packet.at.0;
            assert!((200..=240).contains(&(lead * 1000 / SECOND)), "{lead}");
        }
    }

    #[test]
    fn tables_come_at_their_intervals() {
        for settings in many() {
            for (table, interval) in [(Pid::PAT, 100), (settings.pmt_pid, 100), (Pid::new(0x11), 500)] {
                let starts: Vec<u64> =
                    seconds(&settings, 3).filter(|p| pid(p) == table && unit_start(p)).map(|p| p.at.0).collect();
                assert_eq!(starts.len(), 3000 / interval);
                for (n, at) in (0..).zip(starts) {
                    let late = at - n * u64::try_from(interval).unwrap() * SECOND / 1000;
                    assert!(late <= 4 * 1504 * SECOND / settings.bit_rate);
                }
            }
        }
    }

    #[test]
    fn intra_pictures_are_points_of_random_access() {
        let settings = Settings { gop: 10, ..Settings::default() };
        let starts = seconds(&settings, 2).filter(|p| pid(p) == settings.video_pid && unit_start(p));
        let marked: Vec<bool> = starts.map(|p| p.bytes[3] & 0x20 != 0 && p.bytes[5] & 0x40 != 0).collect();
        assert!(marked.iter().enumerate().all(|(n, &marked)| marked == (n % 10 == 0)), "{marked:?}");
    }

    #[test]
    fn the_same_settings_give_the_same_bytes_and_another_seed_others() {
        let feed = |seed| Feed::new(Settings { seed, ..Settings::default() }).take(4000);
        assert!(feed(1).eq(feed(1)));
        assert!(!feed(1).eq(feed(2)));
    }

    #[test]
    fn no_payload_comes_twice() {
        for bit_rate in [1_000_000, 8_000_000] {
            let settings = Settings { bit_rate, ..Settings::default() };
            let mut seen = std::collections::HashSet::new();
            for packet in seconds(&settings, 3).filter(|p| [settings.video_pid, settings.audio_pid].contains(&pid(p))) {
                if packet.bytes[3] & 0x30 == 0x10 && !unit_start(&packet) {
                    assert!(seen.insert(packet.bytes[4..].to_vec()), "packet {}", packet.index);
                }
            }
            assert!(seen.len() > 500);
        }
    }

    #[test]
    fn odd_settings_still_make_a_feed() {
        let settings = Settings {
            bit_rate: 0,
            gop: 0,
            audio: false,
            pcr_interval: Span::ZERO,
            pat_interval: Span::ZERO,
            pmt_interval: Span::FOREVER,
            sdt_interval: Span::ZERO,
            service_name: "x".repeat(10_000),
            ..Settings::default()
        };
        let packets: Vec<Packet> = seconds(&settings, 2).collect();
        assert!(packets.iter().all(|p| pid(p) != settings.audio_pid));
        assert_eq!(packets.iter().filter(|p| pid(p) == settings.video_pid && unit_start(p)).count(), 50);
        assert_eq!(packets.iter().filter(|p| pid(p) == settings.pmt_pid).count(), 1);
        let pcrs: Vec<Ticks27M> = packets.iter().filter_map(pcr).collect();
        assert!(pcrs.windows(2).all(|p| p[1].forward_from(p[0]) <= 10 * SECOND / 1000));
    }

    #[test]
    fn a_closed_feed_has_ended_its_pes_packets() {
        let settings = Settings::default();
        let mut feed = Feed::new(settings.clone());
        for _ in 0..5000 {
            feed.next_packet();
        }
        feed.close();
        let tail = core::iter::from_fn(|| (!feed.is_closed()).then(|| feed.next_packet()));
        assert!(tail.filter(|p| [settings.video_pid, settings.audio_pid].contains(&pid(p))).all(|p| !unit_start(&p)));
        let after: Vec<Packet> = feed.by_ref().take(5000).collect();
        assert!(after.iter().all(|p| pid(p) != settings.audio_pid));
        assert!(after.iter().filter(|p| pid(p) == settings.video_pid).all(|p| p.bytes[3] & 0x30 == 0x20));
        assert!(after.iter().filter_map(pcr).count() >= 30, "PCRs go on");
    }
}
