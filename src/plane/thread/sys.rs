//! Where a thread runs, and how exactly it wakes.

#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;

/// Keeps the calling thread on one processor.
pub(in crate::plane) fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `cpu` was just checked to lie in the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is valid for its size; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has the calling thread woken when its time has come, and not within the 50 µs after it that the kernel otherwise takes to
/// let timers share a wake-up.
pub(in crate::plane) fn wake_promptly() {
    // SAFETY: takes numbers; a kernel that knows no slack says so, which changes nothing.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}
