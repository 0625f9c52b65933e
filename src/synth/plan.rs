//! How a feed's settings divide its bit rate, worked out once.
//!
//! A group of pictures has always the same number of packets, spread evenly over its time: the intra picture at
//! its head more of them than the predicted ones, and these the same but for one. So the rate is constant over a
//! group, and the delay between a picture's first byte and its decoding varies by no more than the intra picture's
//! surplus.

use super::{Packet, Settings, mp2};
use crate::units::Span;

/// Ticks of 27 MHz that a picture lasts.
pub(super) const PICTURE_TICKS: u64 = 1_080_000;
/// Ticks of 27 MHz in a second.
pub(super) const SECOND: u64 = 27_000_000;
/// Pictures a second.
pub(super) const PICTURE_RATE: u64 = 25;

/// Frames in a PES packet of audio.
pub(super) const AUDIO_FRAMES: usize = 3;
/// Transport packets that a PES packet of audio takes: 3 frames behind a header of 14 bytes.
pub(super) const AUDIO_PACKETS: u64 = 10;
/// Ticks of 27 MHz from an audio PES packet's first byte to its PTS. Its last byte comes 72 ms after its first, and
/// what has come by then of the next keeps within the main buffer of 3584 bytes (ISO/IEC 13818-1 2.4.2.3).
pub(super) const AUDIO_DELAY: u64 = 96 * SECOND / 1000;

/// Packets that the greatest intra picture takes without any noise in it.
const INTRA_LEAST: u64 = 66;
/// Packets of an intra picture with as much noise as its blocks can take.
const INTRA_MOST: u64 = 2100;
/// Packets that the greatest predicted picture takes without any noise in it.
const PREDICTED_LEAST: u64 = 14;
/// Video packets a picture, on average, that even the lowest bit rate leaves.
const MEAN_LEAST: u64 = 16;
/// Bits of the elementary stream in a packet, reckoned on the safe side.
const PACKET_BITS: u64 = (Packet::SIZE as u64 - 4) * 8;
/// Pictures between a picture's first byte and its decoding, where the buffer has room: 240 ms.
const DELAY: u64 = 6;

/// Main profile at one of two levels (ISO/IEC 13818-2, clause 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Main,
    High,
}

impl Level {
    /// The most bits a second.
    const fn bit_rate(self) -> u64 {
        match self {
            Self::Main => 15_000_000,
            Self::High => 80_000_000,
        }
    }

    /// The buffer of the video buffering verifier, in units of 16 384 bits.
    pub(super) const fn vbv_buffer_size(self) -> u32 {
        match self {
            Self::Main => 112,
            Self::High => 597,
        }
    }

    /// profile_and_level_indication.
    pub(super) const fn indication(self) -> u32 {
        match self {
            Self::Main => 0x48,
            Self::High => 0x44,
        }
    }
}

/// The division.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Bits a second of the transport stream.
    pub(super) bit_rate: u64,
    /// Pictures from one intra picture to the next.
    pub(super) gop: u32,
    /// Video packets a picture, on average over a group.
    pub(super) mean: u64,
    /// Packets of an intra picture.
    pub(super) intra: u64,
    /// Ticks of 27 MHz from when a picture would begin at an even pace to when it is decoded.
    pub(super) delay: u64,
    pub(super) level: Level,
    /// Ticks of 27 MHz.
    pub(super) pat_interval: u64,
    pub(super) pmt_interval: u64,
    pub(super) sdt_interval: u64,
    pub(super) pcr_interval: u64,
}

impl Plan {
    pub(super) fn new(settings: &Settings) -> Self {
        let bit_rate = settings.bit_rate.clamp(Settings::BIT_RATE_MIN, Settings::BIT_RATE_MAX);
        let pat_interval = ticks(settings.pat_interval, 25);
        let pmt_interval = ticks(settings.pmt_interval, 25);
        let sdt_interval = ticks(settings.sdt_interval, 100);
        let pcr_interval = ticks(settings.pcr_interval, 10);

        // in thousandths of a packet a second
        let whole = bit_rate * 1000 / Packet::BITS;
        let audio =
            if settings.audio { AUDIO_PACKETS * SECOND * 1000 / (mp2::FRAME_TICKS * AUDIO_FRAMES as u64) } else { 0 };
        // an SDT with a long name takes two packets
        let tables: u64 =
            [pat_interval, pmt_interval, sdt_interval, sdt_interval].iter().map(|i| SECOND * 1000 / i).sum();
        let free = (whole * 97 / 100).saturating_sub(audio + tables);
        let mean = free.min(whole * 85 / 100) / (1000 * PICTURE_RATE);
        let mean = mean.clamp(MEAN_LEAST, Level::High.bit_rate() / (PACKET_BITS * PICTURE_RATE));

        // the shortest group from what is asked for up that has room for its intra picture
        let mut gop = u64::from(settings.gop.clamp(1, Settings::GOP_MAX));
        while mean * gop < INTRA_LEAST + PREDICTED_LEAST * (gop - 1) {
            gop += 1;
        }
        // an intra picture twice a predicted one, or more where it needs more
        let twice = (2 * mean * gop / (gop + 1)).min(INTRA_MOST.max(mean));
        let intra = twice.max(INTRA_LEAST).min(mean * gop - PREDICTED_LEAST * (gop - 1));

        let rate = mean * PACKET_BITS * PICTURE_RATE;
        let level = if rate <= Level::Main.bit_rate() { Level::Main } else { Level::High };
        let buffered = u64::from(level.vbv_buffer_size()) * 16_384 / (mean * PACKET_BITS);
        let delay = DELAY.min(buffered).max(intra.div_ceil(mean) + 1) * PICTURE_TICKS;
        Self {
            bit_rate,
            gop: u32::try_from(gop).unwrap_or(Settings::GOP_MAX),
            mean,
            intra,
            delay,
            level,
            pat_interval,
            pmt_interval,
            sdt_interval,
            pcr_interval,
        }
    }

    /// Packets of the picture that stands at `place` in its group. The predicted ones share evenly what the intra
    /// picture leaves.
    pub(super) fn packets(&self, place: u32) -> u64 {
        let others = u64::from(self.gop - 1);
        let left = self.mean * u64::from(self.gop) - self.intra;
        match u64::from(place).checked_sub(1) {
            Some(before) if others > 0 => left * (before + 1) / others - left * before / others,
            Some(_) | None => self.intra,
        }
    }

    /// The most bytes of the elementary stream for the picture at `place`, so that it and all that goes around it keep
    /// to its packets.
    pub(super) fn picture_bytes(&self, place: u32) -> usize {
        let packets = self.packets(place);
        let pcrs = (packets * PICTURE_TICKS / self.mean / self.pcr_interval + 2).min(packets);
        // the PES header, an adaptation field for the random access point, and one for each PCR
        let bytes = packets * (Packet::SIZE as u64 - 4) - 14 - 2 - 8 * pcrs;
        usize::try_from(bytes).unwrap_or(0)
    }

    /// Bits a second of the video, in the sequence header's units of 400, rounded up.
    pub(super) fn video_rate(&self) -> u32 {
        u32::try_from((self.mean * PACKET_BITS * PICTURE_RATE).div_ceil(400)).unwrap_or(0x3FFF_FFFF)
    }

    /// When the `slot`th packet of the video is due, in ticks of 27 MHz from the start.
    pub(super) const fn due(&self, slot: u64) -> u64 {
        slot.saturating_mul(PICTURE_TICKS) / self.mean
    }
}

/// A setting's length of time in ticks of 27 MHz, `least` milliseconds or more.
fn ticks(span: Span, least: u32) -> u64 {
    let ns = span.nanos().max(Span::from_millis(least).nanos()).min(Span::from_secs(3600).nanos());
    ns.unsigned_abs() * 27 / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(bit_rate: u64, gop: u32) -> Plan {
        Plan::new(&Settings { bit_rate, gop, ..Settings::default() })
    }

    #[test]
    fn the_video_fills_most_of_the_stream() {
        let plan = plan(8_000_000, 25);
        let share = plan.mean * PICTURE_RATE * Packet::BITS * 100 / plan.bit_rate;
        assert!((84..=85).contains(&share), "{share} %");
        assert_eq!(plan.level, Level::Main);
        assert_eq!(plan.delay, 240 * SECOND / 1000);
    }

    #[test]
    fn at_any_rate_a_picture_is_there_before_it_is_decoded_and_the_buffer_holds_it() {
        for bit_rate in [0, 1_000_000, 1_500_000, 3_000_000, 8_000_000, 17_000_000, 19_000_000, 60_000_000, u64::MAX] {
            for gop in [0, 1, 2, 12, 25, 1000] {
                let plan = plan(bit_rate, gop);
                let packets: Vec<u64> = (0..plan.gop).map(|place| plan.packets(place)).collect();
                assert_eq!(packets.iter().sum::<u64>(), plan.mean * u64::from(plan.gop));
                assert!(packets[0] >= INTRA_LEAST && packets[1..].iter().all(|&p| p >= PREDICTED_LEAST));
                let mut end = 0;
                for (decoded, packets) in (0..).map(|n| n * PICTURE_TICKS + plan.delay).zip(packets) {
                    let lead = (decoded - plan.due(end)) * 1000 / SECOND;
                    assert!((80..=320).contains(&lead), "{lead} ms, {plan:?}");
                    end += packets;
                    assert!(plan.due(end) <= decoded, "{plan:?}");
                }
                let held = plan.mean * PACKET_BITS * plan.delay / PICTURE_TICKS;
                assert!(held <= u64::from(plan.level.vbv_buffer_size()) * 16_384, "{plan:?}");
                assert!(plan.mean * PACKET_BITS * PICTURE_RATE <= plan.level.bit_rate());
            }
        }
    }
}
