//! What the kernel tells about a socket that somebody else made.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

/// `SK_MEMINFO_DROPS` and `SK_MEMINFO_VARS` of `linux/sock_diag.h`.
const DROPS: usize = 8;
const FIGURES: usize = 9;

/// A descriptor of our own of what `number` is, if anything.
pub(super) fn duplicate(number: c_int) -> Option<OwnedFd> {
    // SAFETY: takes numbers. One that is no descriptor any more is an error, one that became another's is what is looked at.
    let own = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: a descriptor that was made just now, and that nobody else knows.
    (own >= 0).then(|| unsafe { OwnedFd::from_raw_fd(own) })
}

/// How many datagrams the kernel dropped at a socket since it was made, modulo 2^32.
pub(super) fn drops(socket: BorrowedFd<'_>) -> Option<u32> {
    let mut figures = [0_u32; FIGURES];
    let mut len = libc::socklen_t::try_from(size_of_val(&figures)).ok()?;
    let to = figures.as_mut_ptr().cast();
    // SAFETY: `figures` is valid for `len` bytes, and both live through the call.
    let got = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, to, &raw mut len) };
    (got == 0).then_some(figures[DROPS])
}
