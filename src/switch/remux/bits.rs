//! A set of PIDs.

use crate::units::Pid;

/// One bit for each PID.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits([u64; Pid::COUNT / 64]);

impl Default for Bits {
    fn default() -> Self {
        Self([0; Pid::COUNT / 64])
    }
}

impl Bits {
    #[inline]
    pub(super) const fn has(&self, pid: Pid) -> bool {
        self.0[pid.index() / 64] >> (pid.index() % 64) & 1 != 0
    }

    pub(super) const fn set(&mut self, pid: Pid) {
        self.0[pid.index() / 64] |= 1 << (pid.index() % 64);
    }
}
