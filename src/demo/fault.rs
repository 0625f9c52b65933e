//! What is done to the main feed, and when.
//!
//! Invariants:
//! - Only the channel's own doings move the cycle on: a fault is planted when the main has been on air for a while, and
//!   the next one waits until the channel has returned, so that a slow machine makes the cycle slow and not wrong.
//! - A fault leaves PES data and PCRs as they are: every packet that is still sent is one of the source, but for its
//!   continuity counter, or a null packet.

use crate::synth::Packet;
use crate::units::{Instant, Pid, Span};

/// TS packets in a datagram.
pub(super) const PACKETS: usize = 7;
/// Bytes of the TS packets of a datagram.
pub(super) const PAYLOAD: usize = PACKETS * Packet::SIZE;
/// The PID of the pictures.
pub(super) const VIDEO_PID: Pid = Pid::new(0x100);
/// The PID of the sound.
pub(super) const AUDIO_PID: Pid = Pid::new(0x101);

/// A null packet as the feeds have them.
pub(super) const NULL_PACKET: [u8; Packet::SIZE] = {
    let mut packet = [0xFF; Packet::SIZE];
    packet[0] = 0x47;
    packet[1] = 0x1F;
    packet[3] = 0x10;
    packet
};

/// What can be wrong with the main feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing comes.
    Silence,
    /// Some datagrams never come.
    LostPackets,
    /// There are null packets where the pictures were.
    NoVideo,
    /// The continuity counters are in no order.
    BrokenCounters,
}

impl Fault {
    /// All of them, in the order in which they are planted.
    pub(super) const ALL: [Self; 4] = [Self::Silence, Self::LostPackets, Self::NoVideo, Self::BrokenCounters];
    /// Of so many datagrams one is lost.
    const LOST_OF: u32 = 20;

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::LostPackets => "lost packets",
            Self::NoVideo => "no video",
            Self::BrokenCounters => "broken counters",
        }
    }

    /// What is done to the main, in a few words.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Silence => "it sends nothing at all",
            Self::LostPackets => "5 % of its datagrams are lost",
            Self::NoVideo => "null packets in place of its pictures",
            Self::BrokenCounters => "its continuity counters are shuffled",
        }
    }

    /// How long it lasts.
    pub(super) const fn lasts(self) -> Span {
        match self {
            Self::LostPackets => Span::from_millis(1_500),
            Self::Silence | Self::NoVideo | Self::BrokenCounters => Span::from_secs(1),
        }
    }

    /// As a number, which fits into an atomic one; 0 is no fault.
    pub(super) fn code(fault: Option<Self>) -> u8 {
        let place = Self::ALL.into_iter().zip(1..).find(|&(of_all, _)| Some(of_all) == fault);
        place.map_or(0, |(_, code)| code)
    }

    /// The fault of a number from [`Fault::code`].
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Damages the TS packets of one datagram. False where it is not to be sent.
    pub(super) fn damage(self, payload: &mut [u8; PAYLOAD], dice: &mut Dice) -> bool {
        let (packets, _) = payload.as_chunks_mut::<{ Packet::SIZE }>();
        let pid = |packet: &[u8; Packet::SIZE]| Pid::new(u16::from_be_bytes([packet[1], packet[2]]));
        match self {
            Self::Silence => return false,
            Self::LostPackets => return !dice.roll().is_multiple_of(Self::LOST_OF),
            Self::NoVideo => packets.iter_mut().filter(|p| pid(p) == VIDEO_PID).for_each(|p| *p = NULL_PACKET),
            Self::BrokenCounters => {
                for packet in packets.iter_mut().filter(|p| pid(p) != Pid::NULL) {
                    let [_, _, _, low] = dice.roll().to_be_bytes();
                    packet[3] = packet[3] & 0xF0 | low & 0x0F;
                }
            }
        }
        true
    }
}

/// Chance that is the same every time.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Dice that have not been rolled.
    pub(super) const fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// A number out of all of 32 bits: xorshift64* (Vigna 2016), of which the upper half is good.
    pub(super) fn roll(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let [a, b, c, d, ..] = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}

/// How often it came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Faults planted.
    pub made: u32,
    /// Of these, those for which the channel left the main.
    pub left: u32,
    /// Of these, those after which it came back to it.
    pub returned: u32,
}

/// When the main is damaged how.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    phase: Phase,
    next: usize,
    until: Option<Instant>,
    tally: Tally,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// All is well: since when the main is on air.
    Calm(Option<Instant>),
    /// The fault is there.
    Broken { fault: Fault, since: Instant, left: bool },
    /// It is over, and the channel has yet to return.
    Mended { since: Instant, left: bool },
}

impl Cycle {
    /// How long the main is on air before the next fault.
    const CALM: Span = Span::from_millis(600);
    /// How long a fault and the way back take at most on a machine that has time.
    const NEEDED: Span = Span::from_secs(4);
    /// How long after a fault the channel has to return.
    pub(super) const PATIENCE: Span = Span::from_secs(15);

    /// A cycle that has yet to begin; it plants no fault that would not be over by `until`.
    pub(super) const fn new(until: Option<Instant>) -> Self {
        Self { phase: Phase::Calm(None), next: 0, until, tally: Tally { made: 0, left: 0, returned: 0 } }
    }

    /// What is to be done to the main from `now` on. To be asked several times a second.
    pub(super) fn step(&mut self, now: Instant, main_on_air: bool) -> Option<Fault> {
        self.phase = match self.phase {
            Phase::Calm(_) if !main_on_air => Phase::Calm(None),
            Phase::Calm(None) => Phase::Calm(Some(now)),
            Phase::Calm(Some(since)) => {
                let in_time = self.until.is_none_or(|until| now + Self::NEEDED <= until);
                match Fault::ALL.get(self.next) {
                    Some(&fault) if in_time && now.since(since) >= Self::CALM => {
                        self.next = (self.next + 1) % Fault::ALL.len();
                        self.tally.made += 1;
                        Phase::Broken { fault, since: now, left: false }
                    }
                    Some(_) | None => Phase::Calm(Some(since)),
                }
            }
            Phase::Broken { fault, since, left } => {
                let left = self.leaves(left, main_on_air);
                if now.since(since) >= fault.lasts() {
                    Phase::Mended { since: now, left }
                } else {
                    Phase::Broken { fault, since, left }
                }
            }
            Phase::Mended { since, left } => {
                let left = self.leaves(left, main_on_air);
                if left && main_on_air {
                    self.tally.returned += 1;
                    Phase::Calm(Some(now))
                } else if now.since(since) >= Self::PATIENCE {
                    Phase::Calm(None)
                } else {
                    Phase::Mended { since, left }
                }
            }
        };
        self.fault()
    }

    fn leaves(&mut self, left: bool, main_on_air: bool) -> bool {
        self.tally.left += u32::from(!left && !main_on_air);
        left || !main_on_air
    }

    /// What is being done to the main.
    pub(super) const fn fault(&self) -> Option<Fault> {
        match self.phase {
            Phase::Broken { fault, .. } => Some(fault),
            Phase::Calm(_) | Phase::Mended { .. } => None,
        }
    }

    /// Whether the channel has still to leave or to return.
    pub(super) const fn is_waiting(&self) -> bool {
        match self.phase {
            Phase::Calm(_) => false,
            Phase::Broken { .. } | Phase::Mended { .. } => true,
        }
    }

    /// Whether the main has been on air for some time since the last fault.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Calm(Some(since)) => now.since(since) >= Self::CALM,
            Phase::Calm(None) | Phase::Broken { .. } | Phase::Mended { .. } => false,
        }
    }

    /// How often it came to what.
    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{Feed, Settings};

    const fn at(ms: u32) -> Instant {
        Instant::from_nanos(ms as i64 * 1_000_000)
    }

    /// Runs a cycle against a channel that leaves 100 ms into a fault and returns 1.5 s after it.
    fn run(cycle: &mut Cycle, from: u32, to: u32, leaves: bool) -> Vec<(u32, Fault)> {
        let (mut begun, mut last, mut broken, mut mended) = (Vec::new(), None, from, None);
        for ms in (from..to).step_by(50) {
            let away = leaves
                && (last.is_some() && ms >= broken + 100 || mended.is_some_and(|mended: u32| ms < mended + 1_500));
            let fault = cycle.step(at(ms), !away);
            if let (None, Some(fault)) = (last, fault) {
                broken = ms;
                begun.push((ms, fault));
            }
            if last.is_some() && fault.is_none() {
                mended = Some(ms);
            }
            last = fault;
        }
        begun
    }

    #[test]
    fn every_fault_has_its_turn_when_the_channel_is_back() {
        let mut cycle = Cycle::new(None);
        let begun = run(&mut cycle, 0, 16_400, true);
        let faults: Vec<Fault> = begun.iter().map(|&(_, fault)| fault).collect();
        assert_eq!(faults, [Fault::ALL.as_slice(), &[Fault::Silence]].concat());
        assert_eq!(begun[0].0, 600);
        assert_eq!(begun[1].0, 600 + 1_000 + 1_500 + 600);
        assert_eq!(cycle.tally(), Tally { made: 5, left: 5, returned: 5 });
    }

    #[test]
    fn no_fault_is_planted_that_would_not_be_over_in_time() {
        let mut cycle = Cycle::new(Some(at(12_000)));
        let begun = run(&mut cycle, 0, 20_000, true);
        assert_eq!(begun.len(), 3);
        assert!(cycle.is_settled(at(20_000)) && !cycle.is_waiting());
        assert_eq!(cycle.tally(), Tally { made: 3, left: 3, returned: 3 });
    }

    #[test]
    fn a_fault_that_the_channel_does_not_see_is_counted_and_the_cycle_goes_on() {
        let mut cycle = Cycle::new(None);
        let begun = run(&mut cycle, 0, 20_000, false);
        assert_eq!(begun.len(), 2);
        assert_eq!(cycle.tally(), Tally { made: 2, left: 0, returned: 0 });
    }

    #[test]
    fn a_main_that_is_not_on_air_is_not_damaged() {
        let mut cycle = Cycle::new(None);
        assert!((0..100).all(|i| cycle.step(at(i * 100), false).is_none()));
        assert_eq!(cycle.step(at(10_000), true), None);
        assert!(!cycle.is_settled(at(10_100)));
        assert_eq!(cycle.step(at(10_600), true), Some(Fault::Silence));
    }

    #[test]
    fn codes_come_back_as_what_they_were_made_of() {
        for fault in Fault::ALL.into_iter().map(Some).chain([None]) {
            assert_eq!(Fault::from_code(Fault::code(fault)), fault);
        }
        assert_eq!(Fault::from_code(200), None);
    }

    #[test]
    fn damage_is_what_its_name_says() {
        let mut feed = Feed::new(Settings::default());
        let mut dice = Dice::new();
        let payload = |feed: &mut Feed| {
            let mut payload = [0; PAYLOAD];
            payload.as_chunks_mut().0.iter_mut().for_each(|packet| *packet = feed.next_packet().bytes);
            payload
        };
        let (mut lost, mut moved) = (0, 0);
        for _ in 0..2_000 {
            let source = payload(&mut feed);
            assert!(!Fault::Silence.damage(&mut source.clone(), &mut dice));
            lost += u32::from(!Fault::LostPackets.damage(&mut source.clone(), &mut dice));
            let (mut dark, mut shuffled) = (source, source);
            assert!(
                Fault::NoVideo.damage(&mut dark, &mut dice) && Fault::BrokenCounters.damage(&mut shuffled, &mut dice)
            );
            let packets = source.as_chunks::<{ Packet::SIZE }>().0;
            for (packet, dark) in packets.iter().zip(dark.as_chunks().0) {
                let is_video = packet[1] & 0x1F == 1 && packet[2] == 0;
                assert_eq!(dark, if is_video { &NULL_PACKET } else { packet });
            }
            for (packet, other) in packets.iter().zip(shuffled.as_chunks::<{ Packet::SIZE }>().0) {
                moved += u32::from(packet != other);
                let mut same = *other;
                same[3] = same[3] & 0xF0 | packet[3] & 0x0F;
                assert_eq!(same, *packet);
            }
        }
        assert!((60..140).contains(&lost), "{lost} of 2000");
        assert!(moved > 10_000, "{moved}");
    }
}
