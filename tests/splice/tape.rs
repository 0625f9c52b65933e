//! Streams that are played to a splicer: from the generator or from ffmpeg, each packet with its time.

use std::process::Command;

use changeover::synth;
use changeover::tr101290::{self, Analyser};
use changeover::ts::pes::Header;
use changeover::ts::stream::Kind;
use changeover::ts::{Outline, Packet};
use changeover::units::{Instant, Pid, Pts90k, Ticks27M};

/// A stream and when each packet of it comes, in nanoseconds from its beginning.
#[derive(Clone)]
pub struct Tape {
    pub packets: Vec<[u8; 188]>,
    pub at: Vec<i64>,
}

/// A PES packet of a tape.
#[derive(Clone, Debug)]
pub struct Unit {
    pub pid: Pid,
    pub pts: Pts90k,
    pub dts: Pts90k,
    pub entry: bool,
    /// The packets with a payload.
    pub numbers: Vec<u64>,
}

impl Tape {
    pub fn synth(settings: synth::Settings, seconds: u64) -> Self {
        let bytes = synth::recording(settings, Ticks27M(seconds * 27_000_000));
        Self::of(&bytes)
    }

    /// What ffmpeg makes of these arguments.
    pub fn ffmpeg(arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made.ts");
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-threads", "1"])
            .args(arguments.split_whitespace())
            .args(["-bitexact", "-f", "mpegts"])
            .arg(&file)
            .status();
        match status {
            Ok(status) => assert!(status.success(), "ffmpeg {arguments}"),
            Err(error) => panic!("ffmpeg does not run ({error}): install Debian's package `ffmpeg`"),
        }
        Self::of(&std::fs::read(file).unwrap())
    }

    /// The times follow from the first PCR PID's clock.
    pub fn of(bytes: &[u8]) -> Self {
        let packets = bytes.as_chunks::<188>().0.to_vec();
        let mut clocks: Vec<(usize, i64)> = Vec::new();
        let mut pcr_pid = None;
        for (n, bytes) in packets.iter().enumerate() {
            let packet = Packet::new(bytes);
            let Some(pcr) = packet.pcr() else { continue };
            if *pcr_pid.get_or_insert_with(|| packet.pid()) != packet.pid() {
                continue;
            }
            let ticks = clocks.last().map_or(0, |&(at, ticks)| {
                let before = Packet::new(&packets[at]).pcr().unwrap();
                ticks + pcr.step_from(before)
            });
            clocks.push((n, ticks));
        }
        let mut at = Vec::with_capacity(packets.len());
        for n in 0..packets.len() {
            let place = clocks.partition_point(|&(at, _)| at <= n).clamp(1, clocks.len() - 1);
            let ((a, x), (b, y)) = (clocks[place - 1], clocks[place]);
            let ticks = i128::from(x) + i128::from(y - x) * (n as i128 - a as i128) / (b as i128 - a as i128);
            at.push(i64::try_from(ticks * 1000 / 27).unwrap());
        }
        let first = at[0];
        at.iter_mut().for_each(|at| *at -= first);
        at.iter_mut().fold(0, |last, at| {
            *at = (*at).max(last);
            *at
        });
        Self { packets, at }
    }

    /// All its times moved by so many ticks of 27 MHz.
    pub fn moved(mut self, offset: i64) -> Self {
        for bytes in &mut self.packets {
            move_times(bytes, offset);
        }
        self
    }

    /// So much later.
    pub fn later(mut self, ns: i64) -> Self {
        self.at.iter_mut().for_each(|at| *at += ns);
        self
    }

    /// Without what comes from this time on.
    pub fn until(mut self, ns: i64) -> Self {
        let len = self.at.partition_point(|&at| at < ns);
        self.packets.truncate(len);
        self.at.truncate(len);
        self
    }

    /// With splice information on this PID: sections of 300 bytes in place of null packets, each of which begins `every` null
    /// packets after the one before and goes on one of them later.
    pub fn with_sections(mut self, pid: Pid, every: usize) -> Self {
        let analyser = self.analysed();
        let pmt = analyser.programs()[0].pmt_pid;
        let mut section = [0x55; 303];
        section[..3].copy_from_slice(&[0xFC, 0x31, 0x2C]);
        let (mut nulls, mut counter) = (0, 0);
        for bytes in &mut self.packets {
            let packet = Packet::new(bytes);
            if packet.pid() == pmt && packet.payload_unit_start_indicator() {
                // section_length grows by an entry, which lies where CRC_32 was
                let length = usize::from(bytes[6] & 0x0F) << 8 | usize::from(bytes[7]);
                let end = 8 + length - 4;
                bytes[end..end + 5].copy_from_slice(&[
                    0x86,
                    0xE0 | pid.value().to_be_bytes()[0],
                    pid.value() as u8,
                    0xF0,
                    0,
                ]);
                bytes[7] += 5;
                let crc = changeover::ts::crc32(&bytes[5..end + 5]);
                bytes[end + 5..end + 9].copy_from_slice(&crc.to_be_bytes());
            } else if packet.pid() == Pid::NULL {
                nulls += 1;
                let start = nulls % every == 0;
                if !start && nulls % every != 1 || nulls < every {
                    continue;
                }
                bytes.fill(0xFF);
                let [high, low] = pid.value().to_be_bytes();
                bytes[..4].copy_from_slice(&[0x47, high | if start { 0x40 } else { 0 }, low, 0x10 | counter]);
                counter = (counter + 1) & 0x0F;
                if start {
                    bytes[4] = 0;
                    bytes[5..].copy_from_slice(&section[..183]);
                } else {
                    bytes[4..4 + 120].copy_from_slice(&section[183..]);
                }
            }
        }
        self
    }

    /// In datagrams of seven packets, each of which comes when its last packet is there. None overtakes another, and each is up to `jitter` later than that.
    pub fn in_datagrams(mut self, jitter: i64, mut chance: impl FnMut(i64) -> i64) -> Self {
        let mut before = 0;
        for part in self.at.chunks_mut(7) {
            before = before.max(part[part.len() - 1] + chance(jitter));
            part.fill(before);
        }
        self
    }

    pub fn analysed(&self) -> Analyser {
        let mut analyser = Analyser::new(&tr101290::Settings::default());
        for (bytes, &at) in self.packets.iter().zip(&self.at).take(4000) {
            analyser.packet(Instant::from_nanos(at), bytes, &mut ());
        }
        analyser
    }

    pub fn outline(&self, number: u64) -> Outline {
        Outline::of(Packet::new(&self.packets[number as usize]))
    }

    /// The PIDs of a kind, in the order of the PMTs.
    pub fn pids(&self, kind: Kind) -> Vec<Pid> {
        let analyser = self.analysed();
        analyser.streams().iter().filter(|s| s.description.kind == kind).map(|s| s.pid).collect()
    }

    /// All PES packets of a PID.
    pub fn units(&self, pid: Pid) -> Vec<Unit> {
        let mut units: Vec<Unit> = Vec::new();
        for (n, bytes) in self.packets.iter().enumerate() {
            let packet = Packet::new(bytes);
            if packet.pid() != pid || !packet.has_payload() {
                continue;
            }
            if packet.payload_unit_start_indicator() {
                let header = Header::parse(packet.payload()).unwrap();
                let entry = packet.random_access_indicator();
                let (pts, dts) = (header.pts.unwrap(), header.decoding_time().unwrap());
                units.push(Unit { pid, pts, dts, entry, numbers: Vec::new() });
            }
            if let Some(unit) = units.last_mut() {
                unit.numbers.push(n as u64);
            }
        }
        units
    }
}

/// Moves PCR, PTS and DTS of a packet.
pub fn move_times(bytes: &mut [u8; 188], offset: i64) {
    if let Some(pcr) = Packet::new(bytes).pcr() {
        let wrap = Ticks27M::WRAP as i64;
        let pcr = (pcr.0 as i64 + offset.rem_euclid(wrap)) % wrap;
        let (base, extension) = ((pcr / 300) as u64, (pcr % 300) as u16);
        bytes[6..10].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
        bytes[10] = (base as u8 & 1) << 7 | 0x7E | (extension >> 8) as u8;
        bytes[11] = extension as u8;
    }
    let packet = Packet::new(bytes);
    if !packet.starts_with_pts() {
        return;
    }
    let header = Header::parse(packet.payload()).unwrap();
    let at = 188 - packet.payload().len() + 9;
    for (n, stamp) in [header.pts, header.dts].into_iter().flatten().enumerate() {
        let value = (stamp.0 as i64 + offset / 300).rem_euclid(Pts90k::WRAP as i64) as u64;
        let to = &mut bytes[at + 5 * n..at + 5 * n + 5];
        to[0] = to[0] & 0xF0 | (value >> 29) as u8 & 0x0E | 1;
        to[1] = (value >> 22) as u8;
        to[2] = (value >> 14) as u8 | 1;
        to[3] = (value >> 7) as u8;
        to[4] = (value << 1) as u8 | 1;
    }
}
