//! Sources: packets, and when each leaves.

use changeover::synth::{Feed, Settings};
use changeover::ts::Packet;
use changeover::units::Ticks27M;

use super::Chance;

/// What a source made here is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Bits a second; at a variable rate about that on average.
    pub(crate) bit_rate: i64,
    pub(crate) constant: bool,
    /// Of a thousand packets.
    pub(crate) nulls: u64,
    /// Of a thousand packets of the video, those that are as the others are but for their counter.
    pub(crate) filler: u64,
    /// The PCR stands in packets without payload, of a PID of its own.
    pub(crate) own_pcr_pid: bool,
    pub(crate) start: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) packets: Vec<[u8; 188]>,
    /// In nanoseconds.
    pub(crate) times: Vec<i64>,
    pub(crate) constant: bool,
}

impl Source {
    /// A synthetic feed.
    pub(crate) fn synth(settings: Settings, len: usize) -> Self {
        let mut feed = Feed::new(settings);
        let packets: Vec<_> = (0..len).map(|_| feed.next_packet()).collect();
        Self {
            times: packets.iter().map(|packet| i64::try_from(packet.at.0 * 1000 / 27).unwrap()).collect(),
            packets: packets.into_iter().map(|packet| packet.bytes).collect(),
            constant: true,
        }
    }

    /// The packets of a file of 188, 192 or 204 bytes each, at the times of its first PCR PID; none where there are none.
    pub(crate) fn file(bytes: &[u8]) -> Option<Self> {
        let is_grid = |offset: usize, stride: usize| (0..20).all(|i| bytes.get(offset + i * stride) == Some(&0x47));
        let (offset, stride) = [188, 192, 204].iter().find_map(|s| Some(((0..*s).find(|o| is_grid(*o, *s))?, *s)))?;
        let whole = bytes[offset..].chunks(stride).filter_map(|packet| packet.first_chunk().copied());
        let packets: Vec<[u8; 188]> = whole.collect();
        // where PCRs stand, and when
        let mut marks: Vec<(usize, i64)> = Vec::new();
        let mut latest = None;
        for (i, packet) in packets.iter().enumerate() {
            let view = Packet::new(packet);
            let Some(pcr) = view.pcr() else { continue };
            let (pid, last) = *latest.get_or_insert_with(|| (view.pid(), pcr));
            if pid == view.pid() {
                let step = Some(pcr.step_from(last)).filter(|step| (0..54_000_000).contains(step)).unwrap_or(27_000);
                marks.push((i, marks.last().map_or(0, |(_, at)| at + step * 1000 / 27)));
                latest = Some((pid, pcr));
            }
        }
        if marks.len() < 2 {
            marks = vec![(0, 0), (packets.len(), i64::try_from(packets.len()).unwrap() * 300_000)];
        }
        let times = (0..packets.len()).map(|i| {
            let to = marks.partition_point(|(mark, _)| *mark < i).clamp(1, marks.len() - 1);
            let ((from, start), (to, end)) = (marks[to - 1], marks[to]);
            let (i, from, to) = (i64::try_from(i).unwrap(), i64::try_from(from).unwrap(), i64::try_from(to).unwrap());
            start + (end - start) * (i - from) / (to - from) + 60_000_000_000
        });
        Some(Self { times: times.collect(), packets, constant: false })
    }

    /// A multiplex of noise: video, two audios, a PAT that repeats, null packets, filler.
    pub(crate) fn noise(kind: Kind, len: usize, chance: &mut Chance) -> Self {
        let mut packets = Vec::with_capacity(len);
        let mut times = Vec::with_capacity(len);
        let step = 1504 * 1_000_000_000 / kind.bit_rate;
        let mut counters = [0u8; 5];
        let (mut pcr_due, mut pat_due, mut now) = (0, 0, 0i64);
        let mut burst = 1;
        for i in 0..len {
            let ticks = if kind.constant {
                u64::try_from(i).unwrap() * 1504 * 27_000_000 / u64::try_from(kind.bit_rate).unwrap()
            } else {
                u64::try_from(now).unwrap() * 27 / 1000
            };
            if kind.constant {
                now = i64::try_from(ticks).unwrap() * 1000 / 27;
            }
            times.push(now);
            let pcr = (now >= pcr_due).then_some((kind.start + ticks) % Ticks27M::WRAP);
            let mut packet = [0xFF; 188];
            let dice = chance.below(1000);
            if let Some(pcr) = pcr.filter(|_| kind.own_pcr_pid) {
                header(&mut packet, 0x1F0, 0, 0x20);
                packet[4] = 183;
                write_pcr(&mut packet, pcr);
                pcr_due = now + 25_000_000;
            } else if pcr.is_some() || now < pat_due && dice >= kind.nulls && dice % 10 < 8 {
                let filler = pcr.is_none() && chance.permille(kind.filler);
                header(&mut packet, 0x100, counters[0], 0x10);
                counters[0] = counters[0].wrapping_add(1);
                if !filler {
                    packet[4..].fill_with(|| chance.word().to_le_bytes()[0]);
                }
                if let Some(pcr) = pcr {
                    packet[3] |= 0x20;
                    packet[4] = 7;
                    write_pcr(&mut packet, pcr);
                    pcr_due = now + 25_000_000;
                }
            } else if now >= pat_due {
                header(&mut packet, 0, counters[1], 0x10);
                counters[1] = counters[1].wrapping_add(1);
                packet[4..8].copy_from_slice(&[0, 0, 0xB0, 0x0D]);
                pat_due = now + 80_000_000;
            } else if dice < kind.nulls {
                header(&mut packet, 0x1FFF, 0, 0x10);
            } else {
                let which = 2 + usize::from(dice.is_multiple_of(2));
                header(&mut packet, 0x1FF + u16::try_from(which).unwrap(), counters[which], 0x10);
                counters[which] = counters[which].wrapping_add(1);
                packet[4..].fill_with(|| chance.word().to_le_bytes()[0]);
            }
            packets.push(packet);
            if !kind.constant {
                // bursts and lulls
                if chance.permille(10) {
                    burst = 1 + i64::try_from(chance.below(4)).unwrap();
                }
                now += step * burst / 2;
            }
        }
        Self { packets, times, constant: kind.constant }
    }
}

fn header(packet: &mut [u8; 188], pid: u16, counter: u8, control: u8) {
    let [high, low] = pid.to_be_bytes();
    packet[..4].copy_from_slice(&[0x47, high, low, control | counter & 0x0F]);
}

fn write_pcr(packet: &mut [u8; 188], pcr: u64) {
    packet[5] = 0x10;
    set_pcr(packet, pcr);
}

/// Puts another PCR in the place of the one that is there.
pub(crate) fn set_pcr(packet: &mut [u8; 188], pcr: u64) {
    let (base, extension) = (pcr / 300, pcr % 300);
    let field = base << 15 | 0x7E00 | extension;
    packet[6..12].copy_from_slice(&field.to_be_bytes()[2..]);
}
