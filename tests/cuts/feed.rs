//! Feeds: streams of ffmpeg, each made once, and how a network brings them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use changeover::ts::Packet;
use changeover::ts::stream::Kind;
use changeover::units::Pid;

use crate::tape::Tape;

/// Nanoseconds of a millisecond.
pub const MS: i64 = 1_000_000;

/// Chance, always the same (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
    /// 0…`most` − 1.
    pub fn below(&mut self, most: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) >> 1) as i64 % most.max(1)
    }
}

/// Moving pictures and noise, so that no two access units are the same.
fn source(seconds: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration={seconds} \
         -f lavfi -i anoisesrc=sample_rate=48000:amplitude=0.1:seed=3:duration={seconds}"
    )
}

/// H.264 with B pictures and this many pictures in a group.
pub fn h264(gop: u32) -> String {
    format!("-c:v libx264 -preset ultrafast -bf 2 -x264-params keyint={gop}:min-keyint={gop}:scenecut=0:b-adapt=0")
}

pub fn mpeg2(gop: u32) -> String {
    format!("-c:v mpeg2video -g {gop} -bf 2 -sc_threshold 1000000000")
}

pub fn hevc(gop: u32) -> String {
    format!(
        "-c:v libx265 -preset ultrafast \
         -x265-params log-level=none:keyint={gop}:min-keyint={gop}:bframes=2:open-gop=0:pools=1:frame-threads=1"
    )
}

/// The same with open groups: each but the first begins with a CRA picture, which RASL pictures follow.
pub fn hevc_open(gop: u32) -> String {
    hevc(gop).replace("open-gop=0", "open-gop=1")
}

/// H.264 with open groups, which begin with a recovery point.
pub fn h264_open(gop: u32) -> String {
    format!("{}:open-gop=1", h264(gop))
}

/// `-muxrate` of most feeds of constant rate.
pub const CONSTANT: &str = "-muxrate 1400k";

/// What ffmpeg makes of these arguments.
pub fn made(seconds: u32, arguments: &str) -> Tape {
    static MADE: LazyLock<Mutex<BTreeMap<String, Arc<OnceLock<Tape>>>>> = LazyLock::new(Mutex::default);
    let arguments = format!("{} -pes_payload_size 0 -muxdelay 0.7 -threads 1 {arguments}", source(seconds));
    let cell = Arc::clone(MADE.lock().unwrap().entry(arguments.clone()).or_default());
    cell.get_or_init(|| Tape::ffmpeg(&arguments)).clone()
}

/// Pictures and sound, each of this coding, in a constant or variable rate; `more` are options of the multiplexer.
pub fn movie(seconds: u32, video: &str, audio: &str, more: &str) -> Tape {
    made(seconds, &format!("-b:v 500k -maxrate 500k -bufsize 250k -b:a 96k {video} -c:a {audio} {more}"))
}

/// A stream, and how a network brings it.
#[derive(Clone)]
pub struct Feed {
    pub tape: Tape,
    /// Packets that do not come.
    lost: Vec<bool>,
    /// Packets whose datagrams do not come.
    hit: Vec<bool>,
    /// Packets in a datagram: each so many, or any number up to this.
    most: usize,
    seed: Option<u64>,
    rtp: bool,
}

impl Feed {
    pub fn new(tape: Tape) -> Self {
        let none = vec![false; tape.packets.len()];
        Self { lost: none.clone(), hit: none, tape, most: 7, seed: None, rtp: false }
    }

    /// In RTP (SMPTE ST 2022-2).
    pub fn in_rtp(self) -> Self {
        Self { rtp: true, ..self }
    }

    /// One to seven packets in a datagram.
    pub fn packed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Nothing comes from one time to another.
    pub fn silent(mut self, times: Range<i64>) -> Self {
        for (lost, at) in self.lost.iter_mut().zip(&self.tape.at) {
            *lost |= times.contains(at);
        }
        self
    }

    /// Nothing comes of a PID.
    pub fn without(mut self, pid: Pid) -> Self {
        for (lost, bytes) in self.lost.iter_mut().zip(&self.tape.packets) {
            *lost |= Packet::new(bytes).pid() == pid;
        }
        self
    }

    /// Loses three datagrams in 462 packets, which of one to seven packets each are 3 %; `half` 0 loses none within 21 packets of
    /// those of `half` 1.
    pub fn lossy(mut self, half: usize, seed: u64, times: impl Fn(i64) -> bool) -> Self {
        let mut chance = Chance(seed);
        for block in (0..self.lost.len().saturating_sub(462)).step_by(462) {
            for part in 0..3 {
                let place = block + half * 231 + part * 70 + chance.below(60) as usize;
                self.hit[place] |= times(self.tape.at[place]);
            }
        }
        self
    }

    /// Of ten datagrams in a row, of seven packets each, every other one is lost, and that again every 462 packets: those of
    /// `half` 0 lie between those of `half` 1.
    pub fn lossy_beside(mut self, half: usize, times: impl Fn(i64) -> bool) -> Self {
        for block in (0..self.lost.len().saturating_sub(462)).step_by(462) {
            for datagram in (half..10).step_by(2) {
                let place = block + 7 * datagram;
                self.hit[place] |= times(self.tape.at[place]);
            }
        }
        self
    }

    /// When the last packet comes.
    pub fn end(&self) -> i64 {
        *self.tape.at.last().unwrap()
    }

    /// Each datagram and when it comes: with its last packet.
    pub fn datagrams(&self) -> Vec<(i64, Vec<u8>)> {
        let mut chance = self.seed.map(Chance);
        let mut all = Vec::new();
        let (mut from, mut sequence) = (0, 65_500_u16);
        while from < self.tape.packets.len() {
            let size = chance.as_mut().map_or(self.most, |chance| 1 + chance.below(self.most as i64) as usize);
            let to = (from + size).min(self.tape.packets.len());
            let mut bytes = Vec::with_capacity(12 + 7 * 188);
            if self.rtp {
                bytes.extend([0x80, 33]);
                bytes.extend(sequence.to_be_bytes());
                bytes.extend(((self.tape.at[from] * 9 / 100_000) as u32).to_be_bytes());
                bytes.extend([1, 2, 3, 4]);
            }
            let head = bytes.len();
            for n in (from..to).filter(|n| !self.lost[*n]) {
                bytes.extend(self.tape.packets[n]);
            }
            if bytes.len() > head && !self.hit[from..to].contains(&true) {
                all.push((self.tape.at[to - 1], bytes));
            }
            sequence = sequence.wrapping_add(1);
            from = to;
        }
        all
    }

    /// The first PID of this kind.
    pub fn pid(&self, kind: Kind) -> Pid {
        self.tape.pids(kind)[0]
    }
}

impl From<Tape> for Feed {
    fn from(tape: Tape) -> Self {
        Self::new(tape)
    }
}
