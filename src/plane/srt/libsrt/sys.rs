//! libsrt, loaded at run time: the few functions of its C interface that are needed, each behind one that cannot be
//! misused. A socket is a number that the library checks by itself, so no number can do harm.
//!
//! The layouts are those of libsrt 1.5, whose minor version is part of the library's name.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::{size_of, transmute, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::panic::catch_unwind;
use std::ptr;

use socket2::SockAddr;

use super::layout::{Event, MemberConfig, MemberData, MessageControl, Statistics};

/// The names that the library goes by, the first that is there is taken. The plain one is that of libsrt1.5-openssl, and of
/// one that was built on this box, which somebody had a reason for.
const NAMES: [&CStr; 3] = [c"libsrt.so.1.5", c"libsrt-openssl.so.1.5", c"libsrt-gnutls.so.1.5"];

/// Declares the functions once: their types, and how they are found.
macro_rules! interface {
    ($($name:ident: ($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions by their names without `srt_`.
        #[derive(Debug)]
        struct Interface {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Interface {
            /// # Safety
            /// `library` is what `dlopen` gave for a library whose functions are as declared here, and stays open.
            unsafe fn find(library: *mut c_void) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        let name = concat!("srt_", stringify!($name), "\0");
                        // SAFETY: an open library, and a name that ends with a NUL.
                        let found = unsafe { libc::dlsym(library, name.as_ptr().cast()) };
                        if found.is_null() {
                            return Err(concat!("srt_", stringify!($name)));
                        }
                        // SAFETY: the function of this name has this type, as the caller promises.
                        unsafe { transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) -> $result>(found) }
                    },)*
                })
            }
        }
    };
}

type Hook = extern "C" fn(*mut c_void, c_int, c_int, *const libc::sockaddr, *const c_char) -> c_int;

interface! {
    startup: () -> c_int;
    getversion: () -> u32;
    setloglevel: (c_int) -> ();
    create_socket: () -> c_int;
    close: (c_int) -> c_int;
    bind: (c_int, *const libc::sockaddr, c_int) -> c_int;
    bind_acquire: (c_int, c_int) -> c_int;
    connect: (c_int, *const libc::sockaddr, c_int) -> c_int;
    getsockname: (c_int, *mut libc::sockaddr, *mut c_int) -> c_int;
    listen: (c_int, c_int) -> c_int;
    listen_callback: (c_int, Hook, *mut c_void) -> c_int;
    accept: (c_int, *mut libc::sockaddr, *mut c_int) -> c_int;
    setsockflag: (c_int, c_int, *const c_void, c_int) -> c_int;
    getsockflag: (c_int, c_int, *mut c_void, *mut c_int) -> c_int;
    getsockstate: (c_int) -> c_int;
    getrejectreason: (c_int) -> c_int;
    setrejectreason: (c_int, c_int) -> c_int;
    recvmsg2: (c_int, *mut c_char, c_int, *mut MessageControl) -> c_int;
    sendmsg2: (c_int, *const c_char, c_int, *mut MessageControl) -> c_int;
    bstats: (c_int, *mut Statistics, c_int) -> c_int;
    epoll_create: () -> c_int;
    epoll_set: (c_int, i32) -> i32;
    epoll_add_usock: (c_int, c_int, *const c_int) -> c_int;
    epoll_update_usock: (c_int, c_int, *const c_int) -> c_int;
    epoll_uwait: (c_int, *mut Event, c_int, i64) -> c_int;
    epoll_release: (c_int) -> c_int;
    create_group: (c_int) -> c_int;
    connect_group: (c_int, *mut MemberConfig, c_int) -> c_int;
    group_data: (c_int, *mut MemberData, *mut usize) -> c_int;
    getlasterror: (*mut c_int) -> c_int;
    time_now: () -> i64;
}

/// There is something to receive or to accept.
pub(super) const IN: c_int = 0x1;
/// It can be written to, or the call was answered.
pub(super) const OUT: c_int = 0x4;
/// It is broken.
pub(super) const ERROR: c_int = 0x8;
/// `SRT_EPOLL_ENABLE_EMPTY`: waiting for no socket is no error.
const ENABLE_EMPTY: i32 = 1;
/// The most ways of a group that are told.
const MEMBERS: usize = 16;
/// Only what ends the library's work is written to standard error.
const LOG_CRITICAL: c_int = 2;

/// Options of a socket, by their numbers in `srt.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Opt {
    SendBlocks = 1,
    ReceiveBlocks = 2,
    FlightPackets = 4,
    SendBuffer = 5,
    ReceiveBuffer = 6,
    Rendezvous = 12,
    Events = 18,
    LatencyMs = 23,
    Passphrase = 26,
    KeyLength = 27,
    KeyState = 28,
    ConnectMs = 36,
    StreamId = 46,
    PayloadSize = 49,
    Ipv6Only = 54,
    PeerIdleMs = 55,
    GroupConnect = 57,
}

/// The library, open for as long as the process runs.
#[derive(Debug)]
pub(super) struct Libsrt(Interface);

/// What the library said: its own number (`SRT_E…`), and the kernel's where it came from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: c_int,
    pub(super) errno: c_int,
}

/// One way of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) socket: c_int,
    pub(super) peer: SocketAddr,
    /// `SRT_SOCKSTATUS`.
    pub(super) state: c_int,
    /// `SRT_MEMBERSTATUS`.
    pub(super) status: c_int,
    /// What it was called with, if it was called from here.
    pub(super) token: c_int,
}

/// The library could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is not installed; what the loader said about the last name.
    Library(String),
    /// It does not have this function.
    Function(&'static str),
    /// It could not be started.
    Start,
}

impl Libsrt {
    /// Loads and starts it.
    pub(super) fn load() -> Result<Self, Missing> {
        let mut found = ptr::null_mut();
        for name in NAMES {
            // SAFETY: a name that ends with a NUL. The library's own start-up code is that of a library that the
            // administrator installed.
            found = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if !found.is_null() {
                break;
            }
        }
        if found.is_null() {
            // SAFETY: takes nothing.
            let said = unsafe { libc::dlerror() };
            if said.is_null() {
                return Err(Missing::Library(String::new()));
            }
            // SAFETY: not null, and so a C string that lives until the next call of the loader on this thread.
            let said = unsafe { CStr::from_ptr(said) };
            return Err(Missing::Library(said.to_string_lossy().into_owned()));
        }
        // SAFETY: the library of this name and version has these functions; it is never closed.
        let interface = unsafe { Interface::find(found) }.map_err(Missing::Function)?;
        // SAFETY: takes nothing; more than one call is allowed.
        if unsafe { (interface.startup)() } < 0 {
            return Err(Missing::Start);
        }
        // SAFETY: takes a number.
        unsafe { (interface.setloglevel)(LOG_CRITICAL) };
        Ok(Self(interface))
    }

    /// Its version, as 0x010501 for 1.5.1.
    pub(super) fn version(&self) -> u32 {
        // SAFETY: takes nothing.
        unsafe { (self.0.getversion)() }
    }

    fn failure(&self) -> Failure {
        let mut errno = 0;
        // SAFETY: `errno` is valid to write to.
        let code = unsafe { (self.0.getlasterror)(&raw mut errno) };
        Failure { code, errno }
    }

    fn check(&self, result: c_int) -> Result<c_int, Failure> {
        if result < 0 { Err(self.failure()) } else { Ok(result) }
    }

    /// A new socket.
    pub(super) fn socket(&self) -> Result<c_int, Failure> {
        // SAFETY: takes nothing.
        self.check(unsafe { (self.0.create_socket)() })
    }

    pub(super) fn close(&self, socket: c_int) {
        // SAFETY: takes a number.
        unsafe { (self.0.close)(socket) };
    }

    pub(super) fn bind(&self, socket: c_int, address: SocketAddr) -> Result<(), Failure> {
        let address = SockAddr::from(address);
        let len = c_int::try_from(address.len()).unwrap_or(0);
        // SAFETY: the address is valid for its length, and the call copies it.
        self.check(unsafe { (self.0.bind)(socket, address.as_ptr().cast(), len) }).map(drop)
    }

    /// Has `socket` use a UDP socket that is bound, and close it in the end.
    pub(super) fn bind_acquire(&self, socket: c_int, udp: OwnedFd) -> Result<(), Failure> {
        // SAFETY: takes numbers. The descriptor is open, and nobody else's from here on: the library closes it when it
        // fails, too.
        self.check(unsafe { (self.0.bind_acquire)(socket, udp.into_raw_fd()) }).map(drop)
    }

    /// Calls, or meets where the socket was told [`Opt::Rendezvous`].
    pub(super) fn connect(&self, socket: c_int, address: SocketAddr) -> Result<(), Failure> {
        let address = SockAddr::from(address);
        let len = c_int::try_from(address.len()).unwrap_or(0);
        // SAFETY: the address is valid for its length, and the call copies it.
        self.check(unsafe { (self.0.connect)(socket, address.as_ptr().cast(), len) }).map(drop)
    }

    /// The address of this side.
    pub(super) fn local(&self, socket: c_int) -> Option<SocketAddr> {
        // SAFETY: all zeros is a valid sockaddr_storage.
        let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
        let mut len = c_int::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
        // SAFETY: `storage` is valid for `len` bytes, and both live through the call.
        let got = unsafe { (self.0.getsockname)(socket, (&raw mut storage).cast(), &raw mut len) };
        // SAFETY: as long as any socket address.
        if got < 0 { None } else { unsafe { socket_address((&raw const storage).cast()) } }
    }

    /// Listens; `key` is what [`super::knock`] is told with every caller.
    pub(super) fn listen(&self, socket: c_int, backlog: c_int, key: usize) -> Result<(), Failure> {
        // SAFETY: `hook` has the type that is asked for, and takes its pointer for the number that it is.
        self.check(unsafe { (self.0.listen_callback)(socket, hook, ptr::without_provenance_mut(key)) })?;
        // SAFETY: takes numbers.
        self.check(unsafe { (self.0.listen)(socket, backlog) }).map(drop)
    }

    /// The next caller.
    pub(super) fn accept(&self, listener: c_int) -> Option<(c_int, SocketAddr)> {
        // SAFETY: all zeros is a valid sockaddr_storage.
        let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
        let mut len = c_int::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
        // SAFETY: `storage` is valid for `len` bytes, and both live through the call.
        let socket = unsafe { (self.0.accept)(listener, (&raw mut storage).cast(), &raw mut len) };
        if socket < 0 {
            return None;
        }
        // SAFETY: as long as any socket address.
        let address = unsafe { socket_address((&raw const storage).cast()) }?;
        Some((socket, address))
    }

    /// A new group: 1 sends everything by each of its ways, 2 by one of them.
    pub(super) fn group(&self, kind: c_int) -> Result<c_int, Failure> {
        // SAFETY: takes a number.
        self.check(unsafe { (self.0.create_group)(kind) })
    }

    /// Has a group call by one more way, from `from` if it is given. The greater weight is preferred;
    /// `token` is told with what becomes of it.
    pub(super) fn connect_group(
        &self,
        group: c_int,
        from: Option<SocketAddr>,
        to: SocketAddr,
        weight: u16,
        token: c_int,
    ) -> Result<(), Failure> {
        // SAFETY: all zeros are valid: plain numbers, and a pointer to no options.
        let mut member: MemberConfig = unsafe { zeroed() };
        (member.socket, member.token, member.weight) = (-1, token, weight);
        member.to = storage(to);
        match from {
            Some(from) => member.from = storage(from),
            None => member.from.ss_family = member.to.ss_family,
        }
        // SAFETY: one member, as the library lays it out, that lives through the call.
        self.check(unsafe { (self.0.connect_group)(group, &raw mut member, 1) }).map(drop)
    }

    /// The ways of a group. Nothing, where it has more than there is room for here.
    pub(super) fn members(&self, group: c_int, found: &mut Vec<Member>) {
        // SAFETY: all zeros are valid: plain numbers.
        let mut room: [MemberData; MEMBERS] = unsafe { zeroed() };
        let mut count = room.len();
        // SAFETY: `room` has so many, and both live through the call.
        let result = unsafe { (self.0.group_data)(group, room.as_mut_ptr(), &raw mut count) };
        let filled = if result < 0 { 0 } else { count };
        for member in room.iter().take(filled) {
            // SAFETY: as long as any socket address.
            if let Some(peer) = unsafe { socket_address((&raw const member.peer).cast()) } {
                let MemberData { socket, state, status, token, .. } = *member;
                found.push(Member { socket, peer, state, status, token });
            }
        }
    }

    pub(super) fn set(&self, socket: c_int, option: Opt, value: c_int) -> Result<(), Failure> {
        let value: *const c_int = &raw const value;
        let len = c_int::try_from(size_of::<c_int>()).unwrap_or(0);
        // SAFETY: `value` is valid for its size, and the call copies it.
        self.check(unsafe { (self.0.setsockflag)(socket, option as c_int, value.cast(), len) }).map(drop)
    }

    pub(super) fn set_text(&self, socket: c_int, option: Opt, text: &str) -> Result<(), Failure> {
        let len = c_int::try_from(text.len()).unwrap_or(0);
        // SAFETY: `text` is valid for its length, and the call copies it.
        self.check(unsafe { (self.0.setsockflag)(socket, option as c_int, text.as_ptr().cast(), len) }).map(drop)
    }

    pub(super) fn read(&self, socket: c_int, option: Opt) -> Option<c_int> {
        let mut value: c_int = 0;
        let mut len = c_int::try_from(size_of::<c_int>()).unwrap_or(0);
        // SAFETY: `value` is valid to write `len` bytes to.
        let result = unsafe { (self.0.getsockflag)(socket, option as c_int, (&raw mut value).cast(), &raw mut len) };
        (result >= 0).then_some(value)
    }

    pub(super) fn read_text(&self, socket: c_int, option: Opt) -> Option<String> {
        let mut text = [0_u8; 513];
        let mut len = c_int::try_from(text.len()).unwrap_or(0);
        // SAFETY: `text` is valid to write `len` bytes to.
        let result = unsafe { (self.0.getsockflag)(socket, option as c_int, text.as_mut_ptr().cast(), &raw mut len) };
        let text = text.get(..usize::try_from(len).ok()?)?;
        (result >= 0 && !text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// `SRT_SOCKSTATUS`.
    pub(super) fn state(&self, socket: c_int) -> c_int {
        // SAFETY: takes a number.
        unsafe { (self.0.getsockstate)(socket) }
    }

    /// `SRT_REJECT_REASON`, or a number from 1000 on that the peer gave.
    pub(super) fn reject_reason(&self, socket: c_int) -> c_int {
        // SAFETY: takes a number.
        unsafe { (self.0.getrejectreason)(socket) }
    }

    pub(super) fn set_reject_reason(&self, socket: c_int, reason: c_int) {
        // SAFETY: takes numbers.
        unsafe { (self.0.setrejectreason)(socket, reason) };
    }

    /// Receives one message: its length, and when it was to be delivered, in µs of [`Libsrt::time`].
    pub(super) fn receive(&self, socket: c_int, bytes: &mut [u8]) -> Result<(usize, i64), Failure> {
        let mut control = MessageControl::new();
        let room = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
        // SAFETY: `bytes` is valid to write `room` bytes to, and `control` is as the library lays it out.
        let result = unsafe { (self.0.recvmsg2)(socket, bytes.as_mut_ptr().cast(), room, &raw mut control) };
        let len = self.check(result)?;
        Ok((usize::try_from(len).unwrap_or(0), control.source_time))
    }

    /// Sends one message, that was made at `time` µs of [`Libsrt::time`]; 0 is now.
    pub(super) fn send(&self, socket: c_int, time: i64, bytes: &[u8]) -> Result<(), Failure> {
        let mut control = MessageControl { source_time: time, ..MessageControl::new() };
        let len = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
        // SAFETY: `bytes` is valid for `len` bytes, and `control` is as the library lays it out.
        let result = unsafe { (self.0.sendmsg2)(socket, bytes.as_ptr().cast(), len, &raw mut control) };
        self.check(result).map(drop)
    }

    pub(super) fn statistics(&self, socket: c_int) -> Option<Statistics> {
        // SAFETY: all zeros is a valid Statistics: plain numbers.
        let mut statistics: Statistics = unsafe { zeroed() };
        // SAFETY: `statistics` is as the library lays it out, with room to spare; 0 clears nothing.
        let result = unsafe { (self.0.bstats)(socket, &raw mut statistics, 0) };
        (result >= 0).then_some(statistics)
    }

    /// The library's time in µs.
    pub(super) fn time(&self) -> i64 {
        // SAFETY: takes nothing.
        unsafe { (self.0.time_now)() }
    }

    /// A new set of sockets to wait for.
    pub(super) fn epoll(&self) -> Result<c_int, Failure> {
        // SAFETY: takes nothing.
        let epoll = self.check(unsafe { (self.0.epoll_create)() })?;
        // SAFETY: takes numbers.
        self.check(unsafe { (self.0.epoll_set)(epoll, ENABLE_EMPTY) })?;
        Ok(epoll)
    }

    pub(super) fn epoll_add(&self, epoll: c_int, socket: c_int, events: c_int) -> Result<(), Failure> {
        // SAFETY: `events` lives through the call.
        self.check(unsafe { (self.0.epoll_add_usock)(epoll, socket, &raw const events) }).map(drop)
    }

    /// Waits for other events of a socket than before.
    pub(super) fn epoll_update(&self, epoll: c_int, socket: c_int, events: c_int) -> Result<(), Failure> {
        // SAFETY: `events` lives through the call.
        self.check(unsafe { (self.0.epoll_update_usock)(epoll, socket, &raw const events) }).map(drop)
    }

    /// Waits at most `ms`; how many of `events` were filled.
    pub(super) fn epoll_wait(&self, epoll: c_int, events: &mut [Event], ms: i64) -> usize {
        let room = c_int::try_from(events.len()).unwrap_or(c_int::MAX);
        // SAFETY: `events` has room for so many.
        let count = unsafe { (self.0.epoll_uwait)(epoll, events.as_mut_ptr(), room, ms) };
        usize::try_from(count).unwrap_or(0).min(events.len())
    }

    pub(super) fn epoll_release(&self, epoll: c_int) {
        // SAFETY: takes a number.
        unsafe { (self.0.epoll_release)(epoll) };
    }
}

/// What the library calls for every caller of a listener, on a thread of its own. 0 lets the caller in.
extern "C" fn hook(
    key: *mut c_void,
    socket: c_int,
    _handshake: c_int,
    peer: *const libc::sockaddr,
    stream_id: *const c_char,
) -> c_int {
    let admitted = catch_unwind(|| {
        // SAFETY: null, or a socket address of the family that it names.
        let peer = unsafe { socket_address(peer) }?;
        let stream_id = if stream_id.is_null() {
            c""
        } else {
            // SAFETY: not null, and so a C string that lives through this call.
            unsafe { CStr::from_ptr(stream_id) }
        };
        Some(super::knock(key.addr(), socket, peer, &stream_id.to_string_lossy()))
    });
    // A panic must not go on into the library.
    if admitted.ok().flatten() == Some(true) { 0 } else { -1 }
}

fn storage(address: SocketAddr) -> libc::sockaddr_storage {
    let address = SockAddr::from(address);
    // SAFETY: all zeros is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let len = usize::try_from(address.len()).unwrap_or(0).min(size_of_val(&storage));
    // SAFETY: the address is valid for its length, which is no more than there is room for, and plain bytes.
    unsafe { ptr::copy_nonoverlapping(address.as_ptr().cast::<u8>(), (&raw mut storage).cast::<u8>(), len) };
    storage
}

/// # Safety
/// `address` is null, or points to a socket address as long as its family says.
unsafe fn socket_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, and every socket address begins with its family.
    match c_int::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: an address of this family is a sockaddr_in.
            let v4: libc::sockaddr_in = unsafe { ptr::read_unaligned(address.cast()) };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: an address of this family is a sockaddr_in6.
            let v6: libc::sockaddr_in6 = unsafe { ptr::read_unaligned(address.cast()) };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The next datagram that waits in a socket, as far as `bytes` has room, and where it is from; it stays there if it is to. Never
/// waits.
pub(super) fn next_datagram(socket: &UdpSocket, bytes: &mut [u8], stays: bool) -> Option<(usize, SocketAddr)> {
    let flags = libc::MSG_DONTWAIT | if stays { libc::MSG_PEEK } else { 0 };
    // SAFETY: all zeros is a valid sockaddr_storage.
    let mut from: libc::sockaddr_storage = unsafe { zeroed() };
    let mut size = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).ok()?;
    let (to, room, peer) = (bytes.as_mut_ptr().cast(), bytes.len(), (&raw mut from).cast());
    // SAFETY: `bytes` is valid to write `room` bytes to, `from` is valid for `size` bytes, and all live through the call.
    let len = unsafe { libc::recvfrom(socket.as_raw_fd(), to, room, flags, peer, &raw mut size) };
    // SAFETY: as long as any socket address.
    let peer = unsafe { socket_address((&raw const from).cast()) };
    Some((usize::try_from(len).ok()?, peer?))
}
