//! The earliest of many deadlines at one look, however many there are.
//!
//! A tree in an array: the children of node *n* are 2 *n* and 2 *n* + 1, and a node holds the earlier of its children.

use crate::units::Instant;

/// Deadlines by place.
#[derive(Debug)]
pub(super) struct Agenda {
    nodes: Box<[Instant]>,
    /// The node of place 0; a power of two.
    leaves: usize,
}

impl Agenda {
    /// `count` places, all due at `at`.
    pub(super) fn new(count: usize, at: Instant) -> Self {
        let leaves = count.next_power_of_two();
        let mut agenda = Self { nodes: vec![Instant::NEVER; leaves * 2].into_boxed_slice(), leaves };
        (0..count).for_each(|place| agenda.set(place, at));
        agenda
    }

    /// When a place is due.
    #[inline]
    pub(super) fn due(&self, place: usize) -> Instant {
        self.nodes[self.leaves + place]
    }

    /// Sets when a place is due.
    #[inline]
    pub(super) fn set(&mut self, place: usize, at: Instant) {
        let mut node = self.leaves + place;
        if self.nodes[node] == at {
            return;
        }
        self.nodes[node] = at;
        while node > 1 {
            let earlier = self.nodes[node].min(self.nodes[node ^ 1]);
            node /= 2;
            if self.nodes[node] == earlier {
                return;
            }
            self.nodes[node] = earlier;
        }
    }

    /// When the first of all is due; [`Instant::NEVER`] where none is.
    #[inline]
    pub(super) fn earliest(&self) -> Instant {
        self.nodes[1]
    }

    /// The lowest place that is due then.
    #[inline]
    pub(super) fn first(&self) -> usize {
        let mut node = 1;
        while node < self.leaves {
            node = node * 2 + usize::from(self.nodes[node * 2] != self.nodes[node]);
        }
        node - self.leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_what_a_look_at_all_would_find() {
        let mut seed = 3u64;
        for count in [0, 1, 2, 3, 7, 8, 200] {
            let mut agenda = Agenda::new(count, Instant::ZERO);
            let mut plain = vec![Instant::ZERO; count];
            for _ in 0..2_000 {
                let earliest = plain.iter().copied().min().unwrap_or(Instant::NEVER);
                assert_eq!(agenda.earliest(), earliest);
                let Some(first) = plain.iter().position(|&due| due == earliest) else { break };
                assert_eq!((agenda.first(), agenda.due(first)), (first, earliest));
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let place = usize::try_from(seed >> 40).unwrap() % count;
                let at = match seed >> 35 & 7 {
                    0 => Instant::NEVER,
                    near => Instant::from_nanos(i64::try_from(near).unwrap()),
                };
                agenda.set(place, at);
                plain[place] = at;
            }
        }
    }
}
