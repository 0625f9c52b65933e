//! Everything that speaks to the kernel in pointers, each behind a function that cannot be misused.
//!
//! Invariants:
//! - A vector of messages points only into memory that it owns itself or into the arena it was made for; before every
//!   system call it checks that it was handed that same arena.
//! - The kernel touches that memory only during the call, for which the caller lends the arena.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use libc::{c_int, c_void};

use crate::engine::{FRAME_SIZE, MAX_PACKETS, Piece, RTP_HEADER, Slot};

/// An error number of the kernel (`errno(3)`).
pub(super) type Errno = c_int;

fn last_errno() -> Errno {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

// ─── Time ───

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; the three clocks asked for exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    timespec_ns(&time)
}

fn timespec_ns(time: &libc::timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(super) fn monotonic_ns() -> i64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME` in nanoseconds since the Unix epoch.
pub(super) fn realtime_ns() -> i64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// Processor time that the calling thread has used, in nanoseconds.
pub(super) fn thread_ns() -> i64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

// ─── Memory ───

/// Zeroed, page-aligned frames that cost memory only once they are written to.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<[u8; FRAME_SIZE]>,
    frames: usize,
}

// SAFETY: the mapping is owned alone, and reached only through borrows of this.
unsafe impl Send for Mapping {}
// SAFETY: shared borrows only read.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(frames: usize) -> io::Result<Self> {
        let frames = frames.max(1);
        let bytes = frames.checked_mul(FRAME_SIZE).ok_or(io::ErrorKind::OutOfMemory)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address that the kernel chooses overlaps nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping was just made, and advice changes nothing that it holds. Large pages spare the packet path,
        // user's and kernel's, a walk of the page table for each frame; where the kernel has none, it goes without.
        let _ = unsafe { libc::madvise(base, bytes, libc::MADV_HUGEPAGE) };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, frames })
    }

    pub(super) fn frames(&self) -> &[[u8; FRAME_SIZE]] {
        // SAFETY: `frames` frames were mapped at `base`, page-aligned and zeroed, and live as long as self.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.frames) }
    }

    pub(super) fn frames_mut(&mut self) -> &mut [[u8; FRAME_SIZE]] {
        // SAFETY: as above, and self is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.frames) }
    }

    /// Where `len` bytes from `offset` of a frame lie; none where they lie outside it.
    fn locate(&self, slot: Slot, offset: usize, len: usize) -> Option<*mut u8> {
        if slot.index() >= self.frames || offset + len > FRAME_SIZE {
            return None;
        }
        // SAFETY: the frame and the offset in it were just checked to lie inside the mapping.
        Some(unsafe { self.base.as_ptr().add(slot.index()).cast::<u8>().add(offset) })
    }

    fn identity(&self) -> (usize, usize) {
        (self.base.as_ptr().addr(), self.frames)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, and no borrow of it is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.frames * FRAME_SIZE) };
    }
}

// ─── Waiting ───

/// A set of sockets to wait for, level-triggered.
#[derive(Debug)]
pub(super) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
    ready: usize,
    fine: bool,
}

impl Epoll {
    /// Room for `most` sockets that are ready at once.
    pub(super) fn new(most: usize) -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a descriptor that was just made and that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let most = most.clamp(1, 65_536);
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; most], ready: 0, fine: true })
    }

    /// Has `token` told whenever `fd` has something to read.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token };
        // SAFETY: `event` is valid for the call, which copies it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    /// Waits at most `timeout` ns, and returns how many are ready; a signal counts as none.
    pub(super) fn wait(&mut self, timeout: i64) -> usize {
        let timeout = timeout.max(0);
        let most = c_int::try_from(self.events.len()).unwrap_or(c_int::MAX);
        let mut count = -1;
        if self.fine {
            let time = libc::timespec { tv_sec: timeout / 1_000_000_000, tv_nsec: timeout % 1_000_000_000 };
            // SAFETY: `events` has room for `most` events, `time` is valid for the call, and no signal mask is given.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.fd.as_raw_fd(),
                    self.events.as_mut_ptr(),
                    most,
                    &raw const time,
                    ptr::null::<libc::sigset_t>(),
                    0_usize,
                )
            };
            self.fine = result >= 0 || last_errno() != libc::ENOSYS;
            count = c_int::try_from(result).unwrap_or(-1);
        }
        if !self.fine {
            // Before Linux 5.11 to the millisecond, rounded up so that a wait is never turned into a spin.
            let ms = c_int::try_from((timeout + 999_999) / 1_000_000).unwrap_or(c_int::MAX);
            // SAFETY: `events` has room for `most` events.
            count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), most, ms) };
        }
        self.ready = usize::try_from(count).unwrap_or(0);
        self.ready
    }

    /// The token of the `index`th that is ready.
    pub(super) fn token(&self, index: usize) -> u64 {
        if index < self.ready { self.events[index].u64 } else { u64::MAX }
    }
}

/// Wakes a thread that waits in an [`Epoll`].
#[derive(Debug)]
pub(super) struct Bell(File);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: a descriptor that was just made and that nobody else owns.
        Ok(Self(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }

    pub(super) fn ring(&self) {
        // It fails only when it has been rung 2^64 − 2 times unheard, and then it still rings.
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    pub(super) fn hush(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

// ─── Receiving ───

/// Room for the ancillary data of a datagram: SCM_TIMESTAMPNS and SO_RXQ_OVFL make 56 bytes.
type Control = [u64; 8];

/// What the kernel told about one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Bytes in the frame.
    pub(super) len: usize,
    /// Whether more had come than the frame could hold.
    pub(super) truncated: bool,
    /// When, on `CLOCK_REALTIME` in nanoseconds.
    pub(super) stamp: Option<i64>,
    /// How many datagrams the socket had lost for want of room before this one, modulo 2^32.
    pub(super) drops: Option<u32>,
}

/// A `recvmmsg(2)` vector over frames of one arena.
#[derive(Debug)]
pub(super) struct ReceiveVector {
    headers: Vec<libc::mmsghdr>,
    iovecs: Vec<libc::iovec>,
    control: Vec<Control>,
    arena: (usize, usize),
}

// SAFETY: the pointers lead into its own vectors and into the arena, which is lent for each use.
unsafe impl Send for ReceiveVector {}

impl ReceiveVector {
    /// `count` messages; [`ReceiveVector::aim`] gives each its frame, until when it can hold nothing.
    pub(super) fn new(count: usize, arena: &Mapping) -> Self {
        // SAFETY: all zeros is a valid mmsghdr: null pointers with zero lengths.
        let headers = (0..count).map(|_| unsafe { zeroed() }).collect();
        let iovecs = vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; count];
        Self { headers, iovecs, control: vec![[0; 8]; count], arena: arena.identity() }
    }

    /// Has message `index` received into the frame `slot`. False where either does not exist.
    pub(super) fn aim(&mut self, index: usize, slot: Slot, arena: &Mapping) -> bool {
        let Some(base) = arena.locate(slot, 0, FRAME_SIZE) else { return false };
        if arena.identity() != self.arena || index >= self.headers.len() {
            return false;
        }
        self.iovecs[index] = libc::iovec { iov_base: base.cast(), iov_len: FRAME_SIZE };
        self.headers[index].msg_hdr.msg_iov = &raw mut self.iovecs[index];
        self.headers[index].msg_hdr.msg_iovlen = 1;
        self.rearm(index);
        true
    }

    /// Readies message `index` for another datagram: `msg_controllen` is all that the kernel changed and reads again.
    pub(super) fn rearm(&mut self, index: usize) {
        let header = &mut self.headers[index].msg_hdr;
        header.msg_control = self.control[index].as_mut_ptr().cast();
        header.msg_controllen = size_of::<Control>() as _;
    }

    /// Receives what is there without waiting. How many messages were filled is more than none.
    pub(super) fn receive(&mut self, fd: BorrowedFd<'_>, arena: &mut Mapping) -> Result<usize, Errno> {
        if arena.identity() != self.arena {
            return Err(libc::EFAULT);
        }
        let count = u32::try_from(self.headers.len()).unwrap_or(0);
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: each message points to one iovec of ours and its control room, and each iovec to a frame that
        // `aim` checked to lie in this very arena, which we have alone.
        let result =
            unsafe { libc::recvmmsg(fd.as_raw_fd(), self.headers.as_mut_ptr(), count, flags as _, ptr::null_mut()) };
        usize::try_from(result).map_err(|_| last_errno())
    }

    /// What message `index` received.
    pub(super) fn arrival(&self, index: usize) -> Arrival {
        let message = &self.headers[index];
        let mut arrival = Arrival {
            len: (message.msg_len as usize).min(FRAME_SIZE),
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            stamp: None,
            drops: None,
        };
        // SAFETY: the header's control pointer and length are ours, and the length is what the kernel filled of it.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const message.msg_hdr) };
        while let Some(found) = NonNull::new(next) {
            // SAFETY: the macros return only headers that lie whole within the filled control data.
            let (level, kind) = unsafe { ((*found.as_ptr()).cmsg_level, (*found.as_ptr()).cmsg_type) };
            // SAFETY: the data of a header that the kernel wrote.
            let data = unsafe { libc::CMSG_DATA(found.as_ptr()) };
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    // SAFETY: this kind carries a timespec (socket(7)).
                    let time: libc::timespec = unsafe { ptr::read_unaligned(data.cast()) };
                    arrival.stamp = Some(timespec_ns(&time));
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    // SAFETY: this kind carries a u32 (socket(7)).
                    arrival.drops = Some(unsafe { ptr::read_unaligned(data.cast()) });
                }
                _ => {}
            }
            // SAFETY: `found` came from this header.
            next = unsafe { libc::CMSG_NXTHDR(&raw const message.msg_hdr, found.as_ptr()) };
        }
        arrival
    }
}

// ─── Sending ───

/// One iovec for the RTP header and one for each piece.
const STRIDE: usize = 1 + MAX_PACKETS;

/// A `sendmmsg(2)` vector of gathers out of one arena.
#[derive(Debug)]
pub(super) struct SendVector {
    headers: Vec<libc::mmsghdr>,
    iovecs: Vec<[libc::iovec; STRIDE]>,
    rtp: Vec<[u8; RTP_HEADER]>,
    pieces: Vec<usize>,
    count: usize,
    arena: (usize, usize),
}

// SAFETY: the pointers lead into its own vectors and into the arena, which is lent for each use.
unsafe impl Send for SendVector {}

impl SendVector {
    /// Room for `most` messages.
    pub(super) fn new(most: usize, arena: &Mapping) -> Self {
        Self {
            // SAFETY: all zeros is a valid mmsghdr: null pointers with zero lengths.
            headers: (0..most).map(|_| unsafe { zeroed() }).collect(),
            iovecs: vec![[libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; STRIDE]; most],
            rtp: vec![[0; RTP_HEADER]; most],
            pieces: vec![0; most],
            count: 0,
            arena: arena.identity(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == self.headers.len()
    }

    /// Adds a datagram; pieces that lie one after the other in the arena become one. False where it is full or a piece
    /// lies outside the arena.
    pub(super) fn push(&mut self, rtp: &[u8; RTP_HEADER], pieces: &[Piece], arena: &Mapping) -> bool {
        if self.is_full() || pieces.len() > MAX_PACKETS || arena.identity() != self.arena {
            return false;
        }
        let iovecs = &mut self.iovecs[self.count];
        self.rtp[self.count] = *rtp;
        iovecs[0] = libc::iovec { iov_base: self.rtp[self.count].as_mut_ptr().cast(), iov_len: RTP_HEADER };
        let mut used = 0;
        let mut end: *mut u8 = ptr::null_mut();
        for piece in pieces {
            let len = usize::from(piece.len);
            let Some(base) = arena.locate(piece.slot, usize::from(piece.offset), len) else { return false };
            if base == end {
                iovecs[used].iov_len += len;
            } else {
                used += 1;
                iovecs[used] = libc::iovec { iov_base: base.cast(), iov_len: len };
            }
            end = base.wrapping_add(len);
        }
        self.pieces[self.count] = used;
        self.count += 1;
        true
    }

    /// Has all datagrams sent with or without their RTP headers.
    pub(super) fn frame(&mut self, rtp: bool) {
        let first = usize::from(!rtp);
        for index in 0..self.count {
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = (&raw mut self.iovecs[index][first]).cast();
            header.msg_iovlen = (self.pieces[index] + 1 - first) as _;
        }
    }

    /// Sends from the `first`th on without waiting, after [`SendVector::frame`]. How many went is more than none.
    pub(super) fn send(&mut self, fd: BorrowedFd<'_>, first: usize, arena: &Mapping) -> Result<usize, Errno> {
        if arena.identity() != self.arena {
            return Err(libc::EFAULT);
        }
        let Some(rest) = self.headers.get_mut(first..self.count) else { return Err(libc::EINVAL) };
        let count = u32::try_from(rest.len()).unwrap_or(0);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: each message points to as many of our iovecs as `push` filled, and those to our RTP headers and to
        // bytes that `push` checked to lie in this very arena.
        let result = unsafe { libc::sendmmsg(fd.as_raw_fd(), rest.as_mut_ptr(), count, flags as _) };
        usize::try_from(result).map_err(|_| last_errno())
    }

    /// How many bytes of the `index`th went.
    pub(super) fn sent_bytes(&self, index: usize) -> u64 {
        u64::from(self.headers[index].msg_len)
    }

    /// How many iovecs the pieces of the `index`th make.
    #[cfg(test)]
    pub(super) fn stretches(&self, index: usize) -> usize {
        self.pieces[index]
    }
}

// ─── Socket options that socket2 lacks ───

/// What may be handed to `setsockopt(2)`: plain data.
trait Plain: Copy {}
impl Plain for c_int {}
impl Plain for u32 {}
impl Plain for libc::ip_mreqn {}
impl Plain for libc::group_req {}
impl Plain for libc::group_source_req {}

fn set<T: Plain>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let value: *const T = value;
    // SAFETY: `value` is valid for its size, and the call copies it.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.cast::<c_void>(), length::<T>()) })?;
    Ok(())
}

/// A receive buffer beyond the limit that an administrator set; only for CAP_NET_ADMIN.
pub(super) fn force_receive_buffer(fd: BorrowedFd<'_>, bytes: c_int) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes)
}

/// Has every datagram stamped by the kernel, and the datagrams lost for want of room counted.
pub(super) fn stamp_and_count(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1_i32)?;
    set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &1_i32)
}

/// Lets in only datagrams that came by the interface `index`.
pub(super) fn bind_to_index(fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, &index)
}

/// Sends IPv4 multicast by the interface `index`.
pub(super) fn multicast_interface_v4(fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let any = libc::in_addr { s_addr: libc::INADDR_ANY };
    let index = c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
    let request = libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: index };
    set(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

/// Sends unicast by the interface `index`.
pub(super) fn unicast_interface(fd: BorrowedFd<'_>, v6: bool, index: u32) -> io::Result<()> {
    let index = index.to_be();
    if v6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_IF, &index)
    } else {
        set(fd, libc::IPPROTO_IP, libc::IP_UNICAST_IF, &index)
    }
}

/// What to do about a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// Join it, whoever sends.
    Join,
    /// Join it for this sender.
    JoinSource(IpAddr),
    /// Leave it for all senders.
    Leave,
}

/// Joins or leaves `group` by the interface `index`, 0 for the routing table's (RFC 3678 5.1).
pub(super) fn membership(fd: BorrowedFd<'_>, group: IpAddr, index: u32, what: Membership) -> io::Result<()> {
    let level = if group.is_ipv6() { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
    let request = libc::group_req { gr_interface: index, gr_group: storage(group) };
    match what {
        Membership::Join => set(fd, level, libc::MCAST_JOIN_GROUP, &request),
        Membership::Leave => set(fd, level, libc::MCAST_LEAVE_GROUP, &request),
        Membership::JoinSource(source) => {
            let request =
                libc::group_source_req { gsr_interface: index, gsr_group: storage(group), gsr_source: storage(source) };
            set(fd, level, libc::MCAST_JOIN_SOURCE_GROUP, &request)
        }
    }
}

fn storage(address: IpAddr) -> libc::sockaddr_storage {
    let address = socket2::SockAddr::from(std::net::SocketAddr::new(address, 0));
    // SAFETY: all zeros is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let len = (address.len() as usize).min(size_of::<libc::sockaddr_storage>());
    // SAFETY: both are at least `len` bytes long and do not overlap.
    unsafe { ptr::copy_nonoverlapping(address.as_ptr().cast::<u8>(), (&raw mut storage).cast::<u8>(), len) };
    storage
}

// ─── The box ───

/// One line of what `getifaddrs(3)` tells.
#[derive(Clone, Debug)]
pub(super) struct InterfaceAddress {
    pub(super) name: String,
    /// `IFF_…` of netdevice(7).
    pub(super) flags: u32,
    pub(super) address: Option<IpAddr>,
}

/// All interfaces with all their addresses; an interface without addresses is there too.
pub(super) fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `list` is valid to write to.
    check(unsafe { libc::getifaddrs(&raw mut list) })?;
    let mut found = Vec::new();
    let mut next = list;
    while let Some(entry) = NonNull::new(next) {
        // SAFETY: an entry of the list, which is freed only below.
        let entry = unsafe { entry.as_ref() };
        // SAFETY: the name of an entry is a C string.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        // SAFETY: the address of an entry is null or a socket address of its family.
        let address = unsafe { ip_address(entry.ifa_addr) };
        let name = name.to_string_lossy().into_owned();
        found.push(InterfaceAddress { name, flags: entry.ifa_flags, address });
        next = entry.ifa_next;
    }
    // SAFETY: the list that getifaddrs made, no entry of which is used any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(found)
}

/// # Safety
/// `address` is null or points to a socket address as long as its family says.
unsafe fn ip_address(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, and every socket address begins with its family.
    match c_int::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: an address of this family is a sockaddr_in.
            let v4: libc::sockaddr_in = unsafe { ptr::read_unaligned(address.cast()) };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: an address of this family is a sockaddr_in6.
            let v6: libc::sockaddr_in6 = unsafe { ptr::read_unaligned(address.cast()) };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

/// The index of the interface `name`; none where there is no such interface.
pub(super) fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a C string that lives through the call.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|&index| index != 0)
}
