//! The incidents of `pcap-fixtures/`. What each is to show stands in the README there.

use std::ops::Range;

use changeover::synth::Settings;
use changeover::units::{Pid, Span, Ticks27M};

use super::{Datagram, Incident, MILLISECOND, Packet, Stream, feed, starve, within};

/// How much later than the main feed the backup arrives, in milliseconds.
const SKEW: i64 = 40;

/// The least that the generator can do, so that captures are small.
fn slow() -> Settings {
    Settings { bit_rate: 1_000_000, ..Settings::default() }
}

/// The packets of the main feed.
fn main_feed(ms: i64) -> Vec<Packet> {
    feed(slow(), ms)
}

/// The packets of the backup: another encoder on the same clock, so that it can be told whose a packet is. Where it arrives
/// late, it still ends before the main feed, which else would be switched from at the end of the capture.
fn backup_feed(ms: i64) -> Vec<Packet> {
    feed(Settings { seed: 1, ..slow() }, backup_ends(ms))
}

const fn backup_ends(ms: i64) -> i64 {
    ms - SKEW - 20
}

fn main(ms: i64) -> Stream {
    Stream::of(&main_feed(ms), &[7])
}

fn backup(ms: i64) -> Stream {
    Stream::of(&backup_feed(ms), &[7]).late(SKEW)
}

pub fn silent_main() -> Incident {
    Incident::new("silent-main", main(3_000).silent(1_000..1_700), backup(3_000))
}

pub fn continuity_errors() -> Incident {
    let mut packets = main_feed(3_100);
    // every 12th of the video: 3 losses that are to be borne, then 9 that are not
    let mut lose = |ms: Range<i64>, count: usize| {
        let pid = slow().video_pid;
        let places: Vec<usize> = packets
            .iter()
            .enumerate()
            .filter(|(_, packet)| within(packet.at, &ms) && packet.pid() == pid && packet.bytes[3] & 0x20 == 0)
            .map(|(place, _)| place)
            .step_by(12)
            .take(count)
            .collect();
        for place in places.into_iter().rev() {
            packets.remove(place);
        }
    };
    lose(200..600, 3);
    lose(1_500..1_900, 9);
    let incident = Incident::new("continuity-errors", Stream::of(&packets, &[7]), backup(3_100));
    // the 3, and the first 2 of the 9; what was in the delay line when the 6th came is not sent
    Incident { passed_on: 5, ..incident }
}

pub fn pid_loss() -> Incident {
    let mut packets = main_feed(2_500);
    starve(&mut packets, slow().video_pid, 700..1_500);
    Incident::new("pid-loss", Stream::of(&packets, &[7]), backup(2_500))
}

pub fn pat_pmt_loss() -> Incident {
    let mut packets = main_feed(2_300);
    starve(&mut packets, Pid::PAT, 450..950);
    starve(&mut packets, slow().pmt_pid, 1_650..2_300);
    Incident::new("pat-pmt-loss", Stream::of(&packets, &[7]), backup(2_300))
}

const RTP_MAIN: u32 = 0x1111_1111;
const RTP_BACKUP: u32 = 0x2222_2222;

pub fn rtp_reorder() -> Incident {
    let mut main = Stream::of(&main_feed(1_500), &[3]).rtp(RTP_MAIN, 1_000);
    // Where three follow each other, they come as 3, 1, 2, as 2, 1, 3 or as 3, 2, 1, at the times of the places they take.
    for (n, three) in main.0.chunks_exact_mut(3).enumerate().skip(10) {
        let order = [[2, 0, 1], [1, 0, 2], [2, 1, 0], [0, 1, 2]][n % 4];
        let before: Vec<Datagram> = three.to_vec();
        for (place, from) in order.into_iter().enumerate() {
            three[place].bytes.clone_from(&before[from].bytes);
        }
    }
    // every 7th comes twice, the second time a while later
    let again: Vec<Datagram> = main.0.iter().step_by(7).cloned().collect();
    let again = Stream(again).late(3);
    main.0.extend(again.0);
    main.0.sort_by_key(|datagram| datagram.at);
    Incident::new("rtp-reorder", main, backup(1_500).rtp(RTP_BACKUP, 7))
}

pub fn rtp_loss() -> Incident {
    let main = Stream::of(&main_feed(2_900), &[3]).rtp(RTP_MAIN, 1_000).without(&[60, 100, 290, 300, 301, 310, 320]);
    let incident = Incident::new("rtp-loss", main, backup(2_900).rtp(RTP_BACKUP, 7));
    // the first two losses, of two PIDs each; the others happen within the delay line
    Incident { passed_on: 4, ..incident }
}

pub fn packing() -> Incident {
    let main = Stream::of(&main_feed(2_200), &[1, 2, 3, 4, 5, 6, 7]).silent(700..1_100);
    let backup = Stream::of(&backup_feed(2_200), &[7, 3, 6, 1, 5, 2, 4]).coded().late(SKEW);
    Incident::new("packing", main, backup)
}

pub fn wrap() -> Incident {
    const AT: i64 = 800;
    // What the clock shows wraps 800 ms after the start. Here the main feed is the later one, so that the clock steps
    // forward at the cut: as packets leave 100 ms after they came, from 780 ms on the main feed to 820 ms on the backup.
    let start = Ticks27M(Ticks27M::WRAP - AT.unsigned_abs() * 27_000);
    let packets = |seed, ms| feed(Settings { seed, start, ..slow() }, ms);
    let main = Stream::of(&packets(0, backup_ends(1_500)), &[7]);
    let backup = Stream::of(&packets(1, 1_500), &[7]);
    // The sequence numbers wrap too: of the main feed in what is lost, of the backup where it comes on air.
    let before = |stream: &Stream, ms: i64| stream.0.iter().filter(|d| d.at < ms * MILLISECOND).count() as u16;
    let (first, second) = (0u16.wrapping_sub(before(&main, AT + 50)), 0u16.wrapping_sub(before(&backup, AT + 20)));
    let main = main.rtp(RTP_MAIN, first).late(SKEW).silent(AT + 60..AT + 250);
    Incident::new("wrap", main, backup.rtp(RTP_BACKUP, second))
}

pub fn both_lost() -> Incident {
    let main = main(3_500).silent(600..2_400);
    let backup = backup(3_500).silent(900..2_900);
    Incident::new("both-lost", main, backup)
}

pub fn ping_pong() -> Incident {
    let mut main = main(3_600);
    for flap in 0..4 {
        main = main.silent(500 + flap * 800..750 + flap * 800);
    }
    Incident::new("ping-pong", main, backup(3_600))
}

pub fn foreign() -> Incident {
    let good = main(1_500);
    let mut main = good.clone();
    let mut noise = Noise(1);
    for (n, datagram) in good.0.iter().enumerate().skip(5) {
        let bytes = match n % 9 {
            0 => Vec::new(),
            1 => noise.bytes(1_000),
            2 => datagram.bytes[..187].to_vec(),
            3 => datagram.bytes[100..270].to_vec(),
            // RTCP, as it comes to the port that RTP goes to where the two are muxed (RFC 5761)
            4 => [&[0x80, 200, 0, 6], noise.bytes(24).as_slice()].concat(),
            5 => noise.bytes(1),
            6 => b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            // as long as a packet, without being one: not so often that the sync bytes that are missing make it unhealthy
            7 if n % 27 == 7 => vec![0; 188],
            7 => noise.bytes(187),
            _ => {
                // a good one with more behind it than its packets
                main.0.iter_mut().filter(|d| d.at == datagram.at).for_each(|d| d.bytes.extend([0xAA, 0xBB, 0xCC]));
                continue;
            }
        };
        main.0.push(Datagram { at: datagram.at + 4 * MILLISECOND, bytes });
    }
    main.0.sort_by_key(|datagram| datagram.at);
    Incident::new("foreign", main, backup(1_500))
}

pub fn ipv6() -> Incident {
    let main = main(1_900).silent(600..1_000).between("[2001:db8:1::1]:40000", "[ff3e::8000:1]:5004");
    let backup = backup(1_900).between("[2001:db8:2::1]:40000", "[ff3e::8000:2]:5004");
    Incident { name: "ipv6", flows: vec![main, backup], passed_on: 0 }
}

pub fn least_bad() -> Incident {
    let mut packets = main_feed(2_600);
    starve(&mut packets, Pid::PAT, 1_050..1_850);
    let sparse = Settings { seed: 1, pcr_interval: Span::from_millis(90), ..slow() };
    let backup = Stream::of(&feed(sparse, backup_ends(2_600)), &[7]).late(SKEW);
    Incident::new("least-bad", Stream::of(&packets, &[7]), backup)
}

/// All of them.
pub fn all() -> [Incident; 13] {
    [
        silent_main(),
        continuity_errors(),
        pid_loss(),
        pat_pmt_loss(),
        rtp_reorder(),
        rtp_loss(),
        packing(),
        wrap(),
        both_lost(),
        ping_pong(),
        foreign(),
        ipv6(),
        least_bad(),
    ]
}

/// Bytes of no meaning (SplitMix64).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.extend((word ^ (word >> 31)).to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
