//! Output sockets, and the way of the engine's datagrams out to them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::arena::Arena;
use super::error::{OpenError, is_absence};
use super::interface::Interfaces;
use super::srt::{Frame, Offered, Sink, SrtStatus};
use super::sys::{self, Errno, SendVector};
use crate::config::{Interface, OutputPlan};
use crate::engine::{Frames, OutDatagram, Piece};
use crate::units::Instant;

/// The most datagrams that one system call sends.
pub(super) const BATCH: usize = 64;

/// As much as a burst of datagrams may wait for the line: 1 MiB takes 0.4 s of 20 Mb/s, and costs nothing unused.
const SEND_BUFFER: usize = 1 << 20;

/// What one output sent, and what it could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputFigures {
    /// Whether there is a socket to send by.
    pub open: bool,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Their bytes, RTP headers included, without IP and UDP headers.
    pub bytes: u64,
    /// Datagrams that were not sent because there was no socket: its interface or address is not there.
    pub unavailable: u64,
    /// Datagrams that were not sent because a buffer was full (`EAGAIN`, `ENOBUFS`, `ENOMEM`).
    pub busy: u64,
    /// Times that the destination told that nobody listens there (`ECONNREFUSED`); the datagram is sent again.
    pub refused: u64,
    /// Datagrams that were not sent for want of a route or a link (`ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN`, `ENODEV`…).
    pub unreachable: u64,
    /// Datagrams that were not sent because a rule of the box forbids it (`EPERM`, `EACCES`).
    pub denied: u64,
    /// Datagrams that were not sent because they are longer than the way allows (`EMSGSIZE`).
    pub too_long: u64,
    /// Datagrams that were not sent for any other reason.
    pub failed: u64,
    /// The last error number (`errno(3)`), 0 where there was none.
    pub last_errno: i32,
}

impl OutputFigures {
    fn count(&mut self, errno: Errno, datagrams: u64) {
        self.last_errno = errno;
        let class = match errno {
            libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => &mut self.busy,
            libc::ECONNREFUSED => &mut self.refused,
            libc::ENETUNREACH
            | libc::EHOSTUNREACH
            | libc::ENETDOWN
            | libc::EHOSTDOWN
            | libc::ENODEV
            | libc::ENXIO
            | libc::EADDRNOTAVAIL => &mut self.unreachable,
            libc::EPERM | libc::EACCES => &mut self.denied,
            libc::EMSGSIZE => &mut self.too_long,
            _ => &mut self.failed,
        };
        *class += datagrams;
    }
}

/// A socket connected to where one output goes.
#[derive(Debug)]
pub struct OutputSocket {
    pub(super) socket: Socket,
    rtp: bool,
    interface: u32,
}

impl OutputSocket {
    /// Opens it; none when its interface, address or route is not there.
    ///
    /// # Errors
    /// When the kernel refuses for any other reason.
    pub fn open(plan: &OutputPlan, interfaces: &Interfaces) -> Result<Option<Self>, OpenError> {
        match Self::connect(plan, interfaces) {
            Ok(socket) => Ok(Some(socket)),
            Err((_, error)) if is_absence(&error) => Ok(None),
            Err((doing, error)) => Err(OpenError::of(&plan.url, plan.address, doing, error)),
        }
    }

    /// The index of the interface that it sends from, 0 where the routing table chooses.
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// Opens it, or tells what failed.
    pub(super) fn connect(plan: &OutputPlan, interfaces: &Interfaces) -> Result<Self, (&'static str, io::Error)> {
        let fail = |doing: &'static str| move |error: io::Error| (doing, error);
        let index = match &plan.interface {
            None => 0,
            Some(interface) => interfaces
                .find(interface)
                .map(|link| link.index)
                .ok_or_else(|| ("find the interface", io::Error::from_raw_os_error(libc::ENODEV)))?,
        };
        let mut address = plan.address;
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
            .map_err(fail("open a socket"))?;
        socket.set_nonblocking(true).map_err(fail("open a socket"))?;
        // Less than asked for is what an administrator's limit leaves, and enough all the same.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        let (ttl, class) = (u32::from(plan.ttl), u32::from(plan.dscp) << 2);
        match &mut address {
            SocketAddr::V4(_) => {
                socket.set_ttl_v4(ttl).map_err(fail("set the TTL"))?;
                socket.set_multicast_ttl_v4(ttl).map_err(fail("set the TTL"))?;
                socket.set_tos_v4(class).map_err(fail("set the DSCP"))?;
                socket.set_multicast_loop_v4(true).map_err(fail("let the box hear itself"))?;
            }
            SocketAddr::V6(v6) => {
                socket.set_unicast_hops_v6(ttl).map_err(fail("set the hop limit"))?;
                socket.set_multicast_hops_v6(ttl).map_err(fail("set the hop limit"))?;
                socket.set_tclass_v6(class).map_err(fail("set the DSCP"))?;
                socket.set_multicast_loop_v6(true).map_err(fail("let the box hear itself"))?;
                if index != 0 && v6.scope_id() == 0 && v6.ip().is_unicast_link_local() {
                    v6.set_scope_id(index);
                }
            }
        }
        if index != 0 {
            send_from(&socket, address.ip(), index).map_err(fail("choose the interface"))?;
        }
        if let Some(Interface::Address(source)) = plan.interface
            && source.is_ipv4() == address.is_ipv4()
        {
            // Receivers of source-specific multicast know the sender by this very address.
            socket.bind(&SockAddr::from(SocketAddr::new(source, 0))).map_err(fail("bind the interface's address"))?;
        }
        socket.connect(&SockAddr::from(address)).map_err(fail("find a route"))?;
        Ok(Self { socket, rtp: plan.rtp, interface: index })
    }
}

fn send_from(socket: &Socket, to: IpAddr, index: u32) -> io::Result<()> {
    match to {
        IpAddr::V4(group) if group.is_multicast() => sys::multicast_interface_v4(socket.as_fd(), index),
        IpAddr::V6(group) if group.is_multicast() => socket.set_multicast_if_v6(index),
        IpAddr::V4(_) => sys::unicast_interface(socket.as_fd(), false, index),
        IpAddr::V6(_) => sys::unicast_interface(socket.as_fd(), true, index),
    }
}

/// By which way an output goes.
#[derive(Debug)]
enum Way {
    /// A socket, if there is one.
    Socket(Option<OutputSocket>),
    /// The ring of an SRT backend.
    Ring(Box<Sink>),
}

/// One output of a channel.
#[derive(Debug)]
pub(super) struct Output {
    way: Way,
    pub(super) figures: OutputFigures,
}

impl Output {
    pub(super) fn new(socket: Option<OutputSocket>) -> Self {
        let figures = OutputFigures { open: socket.is_some(), ..OutputFigures::default() };
        Self { way: Way::Socket(socket), figures }
    }

    pub(super) fn by_ring(sink: Sink) -> Self {
        Self { way: Way::Ring(Box::new(sink)), figures: OutputFigures::default() }
    }

    /// Puts another socket in place, and returns the old one.
    ///
    /// # Errors
    /// An output that has no socket gives it back.
    pub(super) fn replace(&mut self, socket: OutputSocket) -> Result<Option<OutputSocket>, OutputSocket> {
        match &mut self.way {
            Way::Socket(old) => {
                self.figures.open = true;
                Ok(old.replace(socket))
            }
            Way::Ring(_) => Err(socket),
        }
    }

    /// How it stands, if it is an output by SRT.
    pub(super) fn srt(&mut self) -> Option<&SrtStatus> {
        match &mut self.way {
            Way::Socket(_) => None,
            Way::Ring(sink) => {
                self.figures.open = sink.is_open();
                Some(sink.status())
            }
        }
    }

    /// Copies one datagram into the ring, where it goes by one: what is gathered for sockets stays in the arena, which the
    /// backend cannot wait for. [`Output::send`] follows when there is no more.
    fn copy(&mut self, pieces: &[Piece], arena: &Arena, spare: &mut Frame) {
        let Way::Ring(sink) = &mut self.way else { return };
        if spare.bytes().is_empty() {
            for piece in pieces {
                let from = usize::from(piece.offset);
                let bytes = arena.frame(piece.slot).get(from..from + usize::from(piece.len)).unwrap_or_default();
                if !spare.push(bytes) {
                    self.figures.too_long += 1;
                    spare.clear();
                    return;
                }
            }
        }
        match sink.offer(spare) {
            Offered::Taken => {
                self.figures.datagrams += 1;
                self.figures.bytes += spare.bytes().len() as u64;
            }
            Offered::Full => self.figures.count(libc::EAGAIN, 1),
            Offered::Nobody => self.figures.unavailable += 1,
        }
    }

    /// Sends all of `gather`. What cannot be sent is counted and left behind: it must not hold up what comes after it.
    pub(super) fn send(&mut self, gather: &mut SendVector, arena: &Arena) {
        let output = match &self.way {
            Way::Socket(Some(output)) => output,
            Way::Socket(None) => {
                self.figures.unavailable += gather.len() as u64;
                return;
            }
            Way::Ring(sink) => {
                if sink.is_open() {
                    sink.ring();
                }
                return;
            }
        };
        gather.frame(output.rtp);
        let (mut next, mut again) = (0, true);
        while next < gather.len() {
            match gather.send(output.socket.as_fd(), next, &arena.0) {
                Ok(count) => {
                    self.figures.datagrams += count as u64;
                    for index in next..next + count {
                        self.figures.bytes += gather.sent_bytes(index);
                    }
                    next += count.max(1);
                    again = true;
                }
                Err(libc::EINTR) => {}
                Err(libc::EAGAIN) => {
                    // There is no room for the others either.
                    self.figures.count(libc::EAGAIN, (gather.len() - next) as u64);
                    return;
                }
                Err(errno) => {
                    self.figures.count(errno, 1);
                    // This tells of an earlier datagram, and this one was not tried yet.
                    if errno != libc::ECONNREFUSED || !std::mem::take(&mut again) {
                        next += 1;
                        again = true;
                    }
                }
            }
        }
    }
}

const NONE: u16 = u16::MAX;
/// How many datagrams are sorted by channel at once.
const SORTED: usize = 512;

/// The way out: sorts the engine's datagrams by channel, in order, and gathers and sends them to each output of theirs.
/// This is the whole of it: another kind of sender takes the same datagrams out of the same arena.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) outputs: Vec<Vec<Output>>,
    gather: SendVector,
    /// Whether there are rings.
    rings: bool,
    /// A datagram for rings.
    spare: Box<Frame>,
    /// Of each channel the first and last datagram, and of each datagram the next one of its channel.
    first: Vec<u16>,
    last: Vec<u16>,
    next: Vec<u16>,
    touched: Vec<u16>,
}

impl Outlet {
    pub(super) fn new(outputs: Vec<Vec<Output>>, arena: &Arena) -> Self {
        let channels = outputs.len();
        let rings = outputs.iter().flatten().any(|output| matches!(output.way, Way::Ring(_)));
        Self {
            outputs,
            rings,
            gather: SendVector::new(BATCH, &arena.0),
            spare: Box::new(Frame::EMPTY),
            first: vec![NONE; channels],
            last: vec![NONE; channels],
            next: vec![NONE; SORTED],
            touched: Vec::with_capacity(SORTED),
        }
    }

    /// Sends `ready` to the outputs of their channels.
    pub(super) fn send(&mut self, ready: &[OutDatagram], arena: &Arena) {
        if self.rings {
            self.spare.at = Instant::from_nanos(sys::monotonic_ns());
        }
        for part in ready.chunks(SORTED) {
            for (index, datagram) in (0_u16..).zip(part) {
                let channel = datagram.channel.index();
                let Some(first) = self.first.get_mut(channel) else { continue };
                self.next[usize::from(index)] = NONE;
                if *first == NONE {
                    *first = index;
                    self.touched.push(datagram.channel.0);
                } else {
                    self.next[usize::from(self.last[channel])] = index;
                }
                self.last[channel] = index;
            }
            for touched in 0..self.touched.len() {
                let channel = usize::from(self.touched[touched]);
                let mut index = std::mem::replace(&mut self.first[channel], NONE);
                while let Some(datagram) = part.get(usize::from(index)) {
                    let whole = self.gather.push(&datagram.rtp, datagram.pieces(), &arena.0);
                    debug_assert!(whole, "a piece outside the arena");
                    self.spare.clear();
                    for output in self.outputs.get_mut(channel).into_iter().flatten() {
                        output.copy(datagram.pieces(), arena, &mut self.spare);
                    }
                    index = self.next[usize::from(index)];
                    if self.gather.is_full() {
                        self.send_gather(channel, arena);
                    }
                }
                self.send_gather(channel, arena);
            }
            self.touched.clear();
        }
    }

    fn send_gather(&mut self, channel: usize, arena: &Arena) {
        if self.gather.len() > 0 {
            for output in &mut self.outputs[channel] {
                output.send(&mut self.gather, arena);
            }
            self.gather.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::engine::{RTP_HEADER, Slot};

    const RTP: [u8; RTP_HEADER] = [0x80, 33, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];

    fn listener() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn output(address: SocketAddr, rtp: bool) -> Output {
        let plan =
            OutputPlan { url: format!("udp://{address}"), rtp, address, interface: None, ttl: 1, dscp: 34, srt: None };
        Output::new(OutputSocket::open(&plan, &Interfaces::read().unwrap()).unwrap())
    }

    fn arena() -> Arena {
        let mut arena = Arena::new(3).unwrap();
        for frame in 0..3_u8 {
            for (byte, at) in arena.frame_mut(Slot(u32::from(frame))).iter_mut().zip(0_u8..=255) {
                *byte = at ^ frame.wrapping_mul(64);
            }
        }
        arena
    }

    fn piece(slot: u32, offset: u16, len: u16) -> Piece {
        Piece { slot: Slot(slot), offset, len }
    }

    #[test]
    fn a_datagram_is_its_rtp_header_and_its_pieces_in_order() {
        let arena = arena();
        let mut gather = SendVector::new(2, &arena.0);
        // Two that touch, one that does not, one of another frame that begins where the frame before it ends.
        let pieces = [piece(0, 10, 5), piece(0, 15, 5), piece(0, 30, 5), piece(2, 0, 5)];
        assert!(gather.push(&RTP, &pieces, &arena.0));
        assert!(gather.push(&RTP, &[piece(1, 0, 9)], &arena.0));
        assert!(!gather.push(&RTP, &pieces, &arena.0), "it is full");
        assert_eq!((gather.stretches(0), gather.stretches(1)), (3, 1));

        let (frame0, frame2) = (arena.frame(Slot(0)), arena.frame(Slot(2)));
        let payload = [&frame0[10..20], &frame0[30..35], &frame2[..5]].concat();
        for rtp in [true, false, true] {
            let to = listener();
            let mut output = output(to.local_addr().unwrap(), rtp);
            output.send(&mut gather, &arena);
            let mut bytes = [0; 100];
            let header: &[u8] = if rtp { &RTP } else { &[] };
            for want in [&payload[..], &arena.frame(Slot(1))[..9]] {
                let len = to.recv(&mut bytes).unwrap();
                assert_eq!(bytes[..len], [header, want].concat());
            }
            let figures = output.figures;
            assert_eq!((figures.datagrams, figures.bytes), (2, 29 + 2 * header.len() as u64));
        }
    }

    #[test]
    fn a_piece_outside_the_arena_is_refused() {
        let arena = arena();
        let mut gather = SendVector::new(2, &arena.0);
        for bad in [piece(3, 0, 1), piece(2, 2000, 49), piece(u32::MAX, 0, 1), piece(0, u16::MAX, u16::MAX)] {
            assert!(!gather.push(&RTP, &[bad], &arena.0));
        }
        assert!(gather.push(&RTP, &[piece(2, 2000, 48)], &arena.0));
        let other = Arena::new(3).unwrap();
        assert!(!gather.push(&RTP, &[piece(0, 0, 1)], &other.0), "another arena");
        let to = listener();
        let mut output = output(to.local_addr().unwrap(), false);
        output.send(&mut gather, &other);
        assert_eq!((output.figures.datagrams, output.figures.failed), (0, 1));
    }

    #[test]
    fn an_output_that_nobody_listens_to_is_counted_and_goes_on() {
        let arena = arena();
        let mut gather = SendVector::new(4, &arena.0);
        for _ in 0..4 {
            assert!(gather.push(&RTP, &[piece(0, 0, 188)], &arena.0));
        }
        let to = listener();
        let address = to.local_addr().unwrap();
        drop(to);
        let mut output = output(address, false);
        for _ in 0..5 {
            output.send(&mut gather, &arena);
        }
        assert_eq!(output.figures.last_errno, libc::ECONNREFUSED);
        assert!(output.figures.refused > 0);
        // Each was sent, since what was refused was an earlier one.
        assert_eq!(output.figures.datagrams, 20);

        let to = UdpSocket::bind(address).unwrap();
        to.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        output.send(&mut gather, &arena);
        for _ in 0..4 {
            assert_eq!(to.recv(&mut [0; 300]).unwrap(), 188);
        }
    }

    #[test]
    fn an_output_without_a_socket_counts_what_it_could_not_send() {
        let arena = arena();
        let mut gather = SendVector::new(2, &arena.0);
        assert!(gather.push(&RTP, &[piece(0, 0, 188)], &arena.0));
        let mut output = Output::new(None);
        output.send(&mut gather, &arena);
        assert_eq!(output.figures, OutputFigures { unavailable: 1, ..OutputFigures::default() });
    }
}
