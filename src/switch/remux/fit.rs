//! What the output would have to change for a feed, and what became of packets.

use super::layout::Layout;
use super::plan::Plan;

/// What the output would have to change for a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// The feed's PAT and the PMTs of all its programs came. If not, what follows speaks of what is known so far.
    pub known: bool,
    /// Its tables are, byte for byte, those that the output leaves with: its packets pass as they are.
    pub identical: bool,
    /// Streams of the output that would be coded otherwise than now.
    pub recoded: u16,
    /// Streams on air that the feed has nothing for: their PIDs fall silent and leave the PMT.
    pub missing: u16,
    /// Streams of the feed that the output has no place for yet and would be given a PID.
    pub added: u16,
    /// Programs, streams and ECM PIDs of the feed for which there is no room at all.
    pub left_out: u16,
    /// Scrambled packets came: the times in them cannot be moved, so an offset other than 0 does not suit the feed.
    pub scrambled: bool,
}

impl Fit {
    /// Whether the same codings stand in the places of all streams on air.
    pub const fn has_same_codecs(&self) -> bool {
        self.known && self.recoded == 0 && self.missing == 0
    }

    pub(super) fn of(layout: &Layout, plan: &Plan, programs: usize) -> Self {
        let mut fit = Self::default();
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let mut added = 0;
        for one in plan.wanted() {
            let Some(key) = one.key else { continue };
            match one.slot.and_then(|slot| layout.slots().get(slot)) {
                Some(slot) => fit.recoded += u16::from(slot.now.or(slot.key).is_some_and(|now| now.codec != key.codec)),
                None => added += 1,
            }
        }
        let is_kept = |at: usize| plan.wanted().iter().any(|one| one.slot == Some(at));
        let missing = layout.slots().iter().enumerate().filter(|(at, slot)| slot.now.is_some() && !is_kept(*at));
        fit.missing = count(missing.count());
        let new_programs = plan.programs.iter().take(programs).filter(|it| it.is_none()).count();
        let no_room = (layout.programs().len() + new_programs).saturating_sub(super::MAX_PROGRAMS);
        let no_slots = (layout.slots().len() + added).saturating_sub(super::layout::MAX_SLOTS).min(added);
        fit.added = count(added - no_slots);
        fit.left_out = count(no_room + no_slots).saturating_add(u16::try_from(plan.left_out).unwrap_or(u16::MAX));
        fit
    }
}
