//! Keeps a thread on a processor.

use std::mem::{size_of, zeroed};

/// The processor of what sends.
pub(crate) const SENDER_CPU: usize = 0;
/// The processor of what is measured.
pub(crate) const PLANE_CPU: usize = 1;

/// Keeps this thread on `cpu`; on a machine that has no such processor the scheduler chooses.
pub(crate) fn pin(cpu: usize) {
    // SAFETY: all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: a processor number that the set has room for.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is valid for its size.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}
