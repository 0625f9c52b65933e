//! What a limit is confined to: an error on a PID that nobody uses must not take a channel off its main feed.

use crate::tr101290::Place;
use crate::units::Pid;

/// The PIDs and programs that a limit is confined to; where it names both, either will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pids: [Pid; Self::MOST],
    programs: [u16; Self::MOST],
    pid_count: u8,
    program_count: u8,
}

impl Scope {
    /// How many PIDs, and how many programs, a scope can name.
    pub const MOST: usize = 16;
    /// No confinement: everything counts.
    pub const ALL: Self =
        Self { pids: [Pid::NULL; Self::MOST], programs: [0; Self::MOST], pid_count: 0, program_count: 0 };

    /// A scope of these PIDs and programs; two empty lists are no confinement. `None` when there are more than
    /// [`Scope::MOST`] of either.
    pub fn of(pids: &[Pid], programs: &[u16]) -> Option<Self> {
        let mut scope = Self::ALL;
        scope.pids.get_mut(..pids.len())?.copy_from_slice(pids);
        scope.programs.get_mut(..programs.len())?.copy_from_slice(programs);
        scope.pid_count = u8::try_from(pids.len()).ok()?;
        scope.program_count = u8::try_from(programs.len()).ok()?;
        Some(scope)
    }

    /// The PIDs named.
    pub fn pids(&self) -> &[Pid] {
        &self.pids[..usize::from(self.pid_count)]
    }

    /// The programs named, by program_number.
    pub fn programs(&self) -> &[u16] {
        &self.programs[..usize::from(self.program_count)]
    }

    /// Whether it confines nothing.
    pub const fn is_all(&self) -> bool {
        self.pid_count == 0 && self.program_count == 0
    }

    /// Whether an event on `place` counts. One of the whole stream always does.
    pub fn holds(&self, place: Place) -> bool {
        let named = |pid: Pid| self.pids().contains(&pid);
        let of_program = |number: u16| self.programs().contains(&number);
        self.is_all() || place.pid.is_none_or(named) || place.program.is_some_and(of_program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_or_its_program_is_enough() {
        let place = |pid, program| Place { pid: Some(Pid::new(pid)), program };
        let scope = Scope::of(&[Pid::new(0x100)], &[7]).unwrap();
        assert!(scope.holds(place(0x100, None)) && scope.holds(place(0x200, Some(7))) && scope.holds(Place::STREAM));
        assert!(!scope.holds(place(0x200, Some(8))) && !scope.holds(place(0x200, None)));
        assert!(Scope::ALL.holds(place(1, None)));
        assert_eq!(Scope::of(&[Pid::NULL; 17], &[]), None);
    }
}
