//! 1.4 Continuity_count_error: table 5.0a, ISO/IEC 13818-1 2.4.3.3.

use crate::ts::Packet;

/// What was last seen of one PID.
#[derive(Clone, Copy, Debug)]
pub(super) struct Continuity {
    /// In bytes, so that this and all else that is known of a PID fill 32.
    fingerprint: [u8; 8],
    /// The counter that the next packet with a payload should have, and flags: so that one comparison tells of nearly all
    /// packets that they are in order.
    next: u8,
}

/// The bits of a counter.
const COUNTER: u8 = 0x0F;
/// Flag: the last packet was itself the second occurrence of one.
const REPEATED: u8 = 0x10;
/// Flag: no packet came yet.
const UNSEEN: u8 = 0x20;

impl Default for Continuity {
    fn default() -> Self {
        Self { fingerprint: [0; 8], next: UNSEEN }
    }
}

impl Continuity {
    /// A packet with a payload: whether its counter is the one that comes next. Where it is not, or that is not all there is
    /// to it, nothing changed, and [`check`](Self::check) says what it means.
    #[inline]
    pub(super) fn follows(&mut self, packet: Packet<'_>, fingerprint: u64) -> bool {
        let counter = packet.continuity_counter();
        if counter != self.next {
            return false;
        }
        self.next = (counter + 1) & COUNTER;
        self.fingerprint = fingerprint.to_le_bytes();
        true
    }

    /// The packets that the counter says are missing before this one, where it breaks the order; none where it is in
    /// order, is the one duplicate allowed, or is excused by its discontinuity_indicator. The caller leaves out the null
    /// PID and packets with transport_error_indicator, and has reckoned the fingerprint of one that has a payload.
    pub(super) fn check(&mut self, packet: Packet<'_>, fingerprint: u64) -> Option<u8> {
        let (counter, before) = (packet.continuity_counter(), *self);
        let missing = counter.wrapping_sub(before.next) & COUNTER;
        let first = before.next & UNSEEN != 0;
        self.next = (counter + 1) & COUNTER;
        if !packet.has_payload() {
            // the counter stands still (2.4.3.3); what it was is kept for the next duplicate
            self.next |= before.next & REPEATED;
            let still = missing == COUNTER || first || packet.discontinuity_indicator();
            return if still { None } else { Some((missing + 1) & COUNTER) };
        }
        self.fingerprint = fingerprint.to_le_bytes();
        if missing == 0 || first {
            return None;
        }
        // one less than the next is the same again
        let same = missing == COUNTER && self.fingerprint == before.fingerprint;
        if same {
            self.next |= REPEATED;
        }
        if packet.discontinuity_indicator() || same && !before.is_repeat() {
            return None;
        }
        // a third occurrence repeats, it does not lack anything
        Some(if same { 0 } else { missing })
    }

    /// Whether the last packet with a payload was a further occurrence of the one before: its payload was there already.
    pub(super) const fn is_repeat(self) -> bool {
        self.next & REPEATED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(counter: u8, fill: u8) -> [u8; 188] {
        let mut p = [fill; 188];
        p[..4].copy_from_slice(&[0x47, 1, 0, 0x10 | counter]);
        p
    }

    fn run(packets: &[[u8; 188]]) -> Vec<Option<u8>> {
        let mut continuity = Continuity::default();
        let mut whole = continuity;
        let mut check = |bytes| {
            let (packet, fingerprint) = (Packet::new(bytes), Packet::new(bytes).fingerprint());
            let found = whole.check(packet, fingerprint);
            // the short way says the same
            if !packet.has_payload() || !continuity.follows(packet, fingerprint) {
                assert_eq!(continuity.check(packet, fingerprint), found);
            }
            assert_eq!((continuity.next, continuity.fingerprint), (whole.next, whole.fingerprint));
            found
        };
        packets.iter().map(&mut check).collect()
    }

    #[test]
    fn a_loss_is_one_event_however_many_are_missing() {
        let p = |c| packet(c, 0);
        assert_eq!(run(&[p(14), p(15), p(0), p(5), p(6)]), [None, None, None, Some(4), None]);
    }

    #[test]
    fn one_duplicate_is_legal_and_each_further_one_an_event() {
        let (a, b) = (packet(1, 1), packet(2, 2));
        assert_eq!(run(&[a, a, b]), [None, None, None]);
        assert_eq!(run(&[a, a, a, a, b]), [None, None, Some(0), Some(0), None]);
        assert_eq!(run(&[a, packet(1, 9), b]), [None, Some(15), None], "the same counter, another packet");
    }

    #[test]
    fn a_duplicate_may_carry_another_pcr() {
        let mut a = packet(1, 7);
        a[3] |= 0x20;
        a[4..6].copy_from_slice(&[7, 0x10]);
        let mut b = a;
        b[11] ^= 0x55;
        assert_eq!(run(&[a, b]), [None, None]);
    }

    #[test]
    fn without_payload_the_counter_stands_still() {
        let mut stuffing = packet(3, 0);
        stuffing[3] = 0x23;
        stuffing[4..6].copy_from_slice(&[183, 0]);
        let mut moved = stuffing;
        moved[3] = 0x24;
        assert_eq!(run(&[packet(3, 1), stuffing, stuffing, packet(4, 1)]), [None; 4]);
        assert_eq!(run(&[packet(3, 1), moved]), [None, Some(1)]);
        assert_eq!(run(&[stuffing, packet(4, 1)]), [None, None], "the first of all");
        assert_eq!(run(&[stuffing, packet(6, 1)]), [None, Some(2)]);
        let same = packet(3, 1);
        assert_eq!(run(&[same, stuffing, same]), [None; 3], "what lies between two occurrences is no matter");
        assert_eq!(run(&[same, same, stuffing, same]), [None, None, None, Some(0)]);
    }

    #[test]
    fn the_discontinuity_indicator_excuses_its_own_packet_only() {
        let mut p = packet(9, 0);
        p[3] |= 0x20;
        p[4..6].copy_from_slice(&[1, 0x80]);
        assert_eq!(run(&[packet(1, 0), p, packet(10, 0), packet(12, 0)]), [None, None, None, Some(1)]);
    }
}
