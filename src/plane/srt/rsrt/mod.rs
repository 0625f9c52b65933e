//! The backend that is built in: the crate rsrt, SRT in Rust. It needs nothing installed, and can do less than libsrt.
//!
//! - Each input or output has a thread of its own, and on it a small runtime that everything of rsrt's runs on. What it
//!   tells only its log can therefore be said of one input or output (`overheard`), and a task of it that panics ends one
//!   connection.
//! - A listener has one passphrase for all, and the rules are asked only when a caller is connected: one that they do not
//!   let in is connected and closed at once, and learns no reason. Control does.
//! - Its receive buffer stays full for ever once it is full. It has room for twice what `buffer` is, and a connection that
//!   delivers nothing for as long as `idle` says is closed, as with every backend.
//! - It sends for a caller that takes nothing by dropping the oldest, which is counted as dropped.
//!
//! Arrival: rsrt gives a message out when it is due, which is when the sender sent it plus the latency on the clock of this
//! box, and does not say when that was. The time is therefore that at which this thread was told. Its timer has steps of a
//! millisecond, so messages that fall due within one share a time up to a millisecond late, and more on a busy box.
//! Figures of jitter below two milliseconds tell of this side; what the network made is gone, as with libsrt.
//!
//! It has no figures for the bandwidth and for what waits, and on an output none for the round trip: these are zero.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use rsrt::{Bandwidth, Bytes, KeyLength, SrtError, SrtListener, SrtOptions, SrtSocket};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tracing::Dispatch;

use super::access::{Door, Verdict};
use super::drops::{self, Drops};
use super::event::Rejection;
use super::library::{Direction, Fault, Library, Measured, Phase, Received, Sent, Settings, SocketId, Why};
use super::ring::{Doorbell, Frame};
use crate::config::Secret;
use crate::plane::sys as kernel;
use crate::ts::PACKET_SIZE;
use crate::units::{Instant, Span};
use overheard::{Agreed, Ear};

mod overheard;
mod sys;

/// The least and the most packets that its buffers hold, and how many of the smallest messages are provided for.
const PACKETS: (usize, usize) = (8192, 1 << 20);
const SMALLEST: usize = 1 << 16;
/// Packets on the way that a peer is allowed at least.
const FLIGHT: usize = 25_600;
/// How long a message may wait to be sent with others. The receiver delivers it later by as much, since rsrt does not let it be said
/// when it was ready.
const NAP: Span = Span::from_millis(4);
/// The buffer of the kernel that is asked for, in bytes.
const KERNEL: (usize, usize) = (1 << 20, 8 << 20);
/// How often its tasks are let on before a message is given up, and until what was closed is gone.
const TURNS: usize = 16;
/// Messages of a peer that sends to an output, and that are thrown away at once.
const THROWN: usize = 256;

/// What sockets have to tell, for whoever waits.
#[derive(Debug, Default)]
struct Ready {
    sockets: Mutex<Vec<SocketId>>,
    notify: Notify,
}

/// Tells once that one socket is ready.
struct Ringer {
    socket: SocketId,
    rung: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.ready.sockets.lock().push(self.socket);
            self.ready.notify.notify_one();
        }
    }
}

/// Held while a call is begun.
static DIALLING: Mutex<()> = Mutex::new(());

type Call = Pin<Box<dyn Future<Output = Result<SrtSocket, SrtError>> + Send>>;

/// What a socket is.
enum Kind {
    Listener { listener: SrtListener, door: Arc<Door> },
    Call(Call),
    Connection(Box<Connection>),
    Down(Rejection),
}

struct Connection {
    socket: SrtSocket,
    direction: Direction,
    agreed: Agreed,
    packets: u64,
    bytes: u64,
    /// What stands for acknowledgements, and what was sent and dropped when it was last reckoned.
    alive: u64,
    sent: u64,
    dropped: u64,
}

struct Socket {
    kind: Kind,
    ringer: Arc<Ringer>,
    /// At the UDP socket of a call or a listener.
    drops: Option<Drops>,
    /// It may have more to tell without being woken for it.
    more: bool,
}

impl Socket {
    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.ringer))
    }
}

/// What rsrt has on the thread of one input or output.
pub(super) struct Backend {
    /// Rung when something is to be sent or done.
    bell: AsyncFd<std::os::fd::OwnedFd>,
    dispatch: Dispatch,
    ear: Ear,
    ready: Arc<Ready>,
    sockets: BTreeMap<SocketId, Socket>,
    next: i32,
    /// Last, so that what it runs is dropped before it.
    runtime: Runtime,
}

impl Backend {
    pub(super) fn new(bell: &Doorbell) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let descriptor = bell.descriptor().try_clone_to_owned()?;
        let bell = {
            let _inside = runtime.enter();
            sys::readable(descriptor)?
        };
        let ear = Ear::default();
        Ok(Self {
            bell,
            dispatch: Dispatch::new(ear.clone()),
            ear,
            ready: Arc::default(),
            sockets: BTreeMap::new(),
            next: 0,
            runtime,
        })
    }

    fn put(&mut self, kind: Kind, drops: Option<Drops>) -> SocketId {
        self.next = self.next.wrapping_add(1);
        let socket = SocketId(self.next);
        let ringer = Arc::new(Ringer { socket, rung: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        self.sockets.insert(socket, Socket { kind, ringer, drops, more: true });
        socket
    }

    /// Lets its tasks go on until there is a socket to be looked at, the bell rings, or `timeout` is over.
    fn rest(&self, timeout: Duration) {
        let waiting = async {
            tokio::select! {
                () = self.ready.notify.notified() => {}
                rung = self.bell.readable() => {
                    if let Ok(mut rung) = rung {
                        rung.clear_ready();
                    }
                }
                () = tokio::time::sleep(timeout) => {}
            }
        };
        tracing::dispatcher::with_default(&self.dispatch, || self.runtime.block_on(waiting));
    }

    /// Lets its tasks do what they can do now.
    fn turn(&self) {
        tracing::dispatcher::with_default(&self.dispatch, || self.runtime.block_on(tokio::task::yield_now()));
    }

    /// Tells of those whom it turned away.
    fn tell_refusals(&self) {
        let refused = std::mem::take(&mut self.ear.0.lock().refused);
        if refused.is_empty() {
            return;
        }
        let doors = self.sockets.values().filter_map(|socket| match &socket.kind {
            Kind::Listener { door, .. } => Some(door),
            Kind::Call(_) | Kind::Connection(_) | Kind::Down(_) => None,
        });
        for door in doors {
            for (peer, rejection) in &refused {
                door.refuse(*peer, None, super::event::Refusal::Handshake(*rejection), now());
            }
        }
    }
}

fn now() -> Instant {
    Instant::from_nanos(kernel::monotonic_ns())
}

/// The options that a plan comes down to.
fn options(settings: &Settings) -> SrtOptions {
    let plan = &settings.plan;
    let usual = 2 * plan.buffer / 1316;
    let small = (2 * plan.buffer / PACKET_SIZE).min(SMALLEST);
    let packets = usual.max(small).clamp(PACKETS.0, PACKETS.1);
    let latency = duration(plan.latency);
    SrtOptions {
        latency,
        peer_latency: latency,
        streamid: plan.stream_id.clone(),
        flow_window: u32::try_from(packets.max(FLIGHT)).unwrap_or(u32::MAX),
        recv_buffer_pkts: packets,
        send_buffer_pkts: packets,
        connect_timeout: duration(plan.connect),
        peer_idle_timeout: duration(plan.idle),
        bandwidth: Bandwidth::Unlimited,
        udp_recv_buffer: Some(plan.buffer.clamp(KERNEL.0, KERNEL.1)),
        local_addr: settings.local.and_then(|local| v4(local).ok()),
        passphrase: passphrase(settings).map(|secret| secret.reveal().to_owned().into()),
        pbkeylen: plan.key_length.and_then(|length| match length {
            16 => Some(KeyLength::Aes128),
            24 => Some(KeyLength::Aes192),
            32 => Some(KeyLength::Aes256),
            _ => None,
        }),
        ..SrtOptions::default()
    }
}

/// The one passphrase of a call or a listener. Plans with more are not given to this backend.
fn passphrase(settings: &Settings) -> Option<&Secret> {
    let plan = &settings.plan;
    plan.access.iter().find_map(|rule| rule.passphrase.as_ref()).or(plan.passphrase.as_ref())
}

fn duration(span: Span) -> Duration {
    Duration::from_nanos(u64::try_from(span.nanos()).unwrap_or(0))
}

fn v4(address: SocketAddr) -> Result<SocketAddrV4, Fault> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(Fault { doing: "use IPv6 with rsrt", why: Why::System(libc::EAFNOSUPPORT) }),
    }
}

fn fault(doing: &'static str, error: &SrtError) -> Fault {
    let errno = if let SrtError::Io(error) = error { error.raw_os_error() } else { None };
    Fault { doing, why: Why::System(errno.unwrap_or(libc::EINVAL)) }
}

/// What a handshake says. Reasons that are not of the protocol itself are another thousand higher there than libsrt gives them out.
fn told(code: u32) -> Rejection {
    match i32::try_from(code) {
        Ok(code @ 2000..) => Rejection(code - 1000),
        Ok(code) => Rejection(code),
        Err(_) => Rejection::UNKNOWN,
    }
}

/// Why a call failed, in the numbers of the protocol.
fn rejection(error: &SrtError) -> Rejection {
    match error {
        SrtError::ConnectTimeout => Rejection::TIMEOUT,
        SrtError::Rejected(code) => told(*code),
        SrtError::EncryptionUnsupported => Rejection::UNSECURE,
        SrtError::WrongPassphrase => Rejection::BAD_SECRET,
        SrtError::Closed(_) => Rejection(1007),
        SrtError::Io(_)
        | SrtError::PayloadTooLarge(_)
        | SrtError::NoIpv4Address
        | SrtError::StreamIdTooLong
        | SrtError::InvalidPassphrase
        | SrtError::InvalidKmParameters(_)
        | SrtError::InvalidBandwidth(_) => Rejection(1001),
    }
}

impl Connection {
    fn new(socket: SrtSocket, direction: Direction, agreed: Agreed) -> Box<Self> {
        Box::new(Self { socket, direction, agreed, packets: 0, bytes: 0, alive: 0, sent: 0, dropped: 0 })
    }

    /// The next message; pending where there is none yet, and then `context` is woken for it.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        // Of what ended it nothing is made: the peer left, or was lost.
        pin!(self.socket.recv()).poll(context).map(|message| message.ok().flatten())
    }

    /// Whether it stands, for a connection that nothing is received on: what comes all the same is thrown away.
    fn stands(&mut self, context: &mut Context<'_>) -> (bool, bool) {
        for _ in 0..THROWN {
            match self.poll(context) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return (false, false),
                Poll::Pending => return (true, false),
            }
        }
        (true, true)
    }
}

impl Library for Backend {
    fn wait(&mut self, timeout: Span, ready: &mut Vec<SocketId>) {
        let more = self.sockets.values().any(|socket| socket.more);
        if more {
            self.turn();
        } else {
            self.rest(duration(timeout));
        }
        ready.append(&mut self.ready.sockets.lock());
        for socket in &*ready {
            if let Some(socket) = self.sockets.get(socket) {
                socket.ringer.rung.store(false, Ordering::Release);
            }
        }
        ready.retain(|socket| self.sockets.contains_key(socket));
        let unasked = self.sockets.iter().filter(|(id, socket)| socket.more && !ready.contains(id));
        let unasked: Vec<_> = unasked.map(|(id, _)| *id).collect();
        ready.extend(unasked);
        self.tell_refusals();
    }

    fn hears_the_bell(&self) -> bool {
        true
    }

    fn dial(&mut self, settings: &Settings) -> Result<SocketId, Fault> {
        let address = v4(settings.address)?;
        let mut call: Call = Box::pin(SrtSocket::connect(SocketAddr::V4(address), options(settings)));
        // Others may call the same peer, and what each has is told from what was there before.
        let alone = DIALLING.lock();
        let before = drops::connected_to(settings.address);
        // What the box does not allow is known at once; an answer is not, and its socket is asked for it soon.
        let first = {
            let _inside = self.runtime.enter();
            let context = &mut Context::from_waker(Waker::noop());
            tracing::dispatcher::with_default(&self.dispatch, || call.as_mut().poll(context))
        };
        let drops = Drops::find(|own, peer| peer == Some(settings.address) && !before.contains(&own));
        drop(alone);
        let kind = match first {
            Poll::Ready(Err(error)) => return Err(fault("call", &error)),
            Poll::Ready(Ok(socket)) => Kind::Connection(Connection::new(socket, settings.direction, Agreed::default())),
            Poll::Pending => Kind::Call(call),
        };
        Ok(self.put(kind, drops))
    }

    fn listen(&mut self, settings: &Settings, door: &Arc<Door>) -> Result<SocketId, Fault> {
        let mut address = v4(settings.address)?;
        if let Some(SocketAddr::V4(local)) = settings.local
            && address.ip().is_unspecified()
        {
            address.set_ip(*local.ip());
        }
        let binding = SrtListener::bind(SocketAddr::V4(address), options(settings));
        let listener = tracing::dispatcher::with_default(&self.dispatch, || self.runtime.block_on(binding))
            .map_err(|error| fault("listen", &error))?;
        let at = SocketAddr::V4(listener.local_addr());
        let drops = Drops::find(|own, peer| own == at && peer.is_none());
        Ok(self.put(Kind::Listener { listener, door: Arc::clone(door) }, drops))
    }

    fn accept(&mut self, listener: SocketId, settings: &Settings) -> Option<(SocketId, SocketAddr)> {
        loop {
            let socket = self.sockets.get_mut(&listener)?;
            let waker = socket.waker();
            let Kind::Listener { listener: waiting, door } = &mut socket.kind else { return None };
            let caller = pin!(waiting.accept()).poll(&mut Context::from_waker(&waker));
            let door = Arc::clone(door);
            socket.more = caller.is_ready();
            let (caller, peer) = match caller {
                Poll::Ready(Ok((caller, peer))) => (caller, SocketAddr::V4(peer)),
                Poll::Ready(Err(_)) => {
                    socket.kind = Kind::Down(Rejection::UNKNOWN);
                    return None;
                }
                Poll::Pending => return None,
            };
            let agreed = self.ear.0.lock().let_in(peer);
            let stream_id = caller.streamid().unwrap_or_default();
            let id = self.put(Kind::Connection(Connection::new(caller, settings.direction, agreed)), None);
            match door.knock(id, peer, &stream_id, now()) {
                Verdict::Admit(_) => return Some((id, peer)),
                Verdict::Refuse(_) => self.close(id),
            }
        }
    }

    fn connected(&mut self, socket: SocketId, direction: Direction) {
        if let Some(socket) = self.sockets.get_mut(&socket)
            && let Kind::Connection(connection) = &mut socket.kind
        {
            connection.direction = direction;
            socket.more = true;
        }
    }

    fn hold(&mut self, socket: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.more = false;
        }
    }

    fn signs(&mut self, socket: SocketId) -> u64 {
        let Some(Socket { kind: Kind::Connection(connection), .. }) = self.sockets.get(&socket) else { return 0 };
        // It counts no acknowledgements, but sends again only what it is asked for.
        connection.socket.stats().pkts_retransmitted
    }

    fn phase(&mut self, socket: SocketId) -> Phase {
        let Some(socket) = self.sockets.get_mut(&socket) else { return Phase::Down };
        let waker = socket.waker();
        let context = &mut Context::from_waker(&waker);
        match &mut socket.kind {
            Kind::Listener { .. } => Phase::Up,
            Kind::Down(_) => Phase::Down,
            Kind::Connection(connection) if connection.direction == Direction::In => Phase::Up,
            Kind::Connection(connection) => {
                let (stands, more) = connection.stands(context);
                socket.more = more;
                if !stands {
                    socket.kind = Kind::Down(Rejection::UNKNOWN);
                    return Phase::Down;
                }
                Phase::Up
            }
            Kind::Call(call) => {
                let _inside = self.runtime.enter();
                let answer = tracing::dispatcher::with_default(&self.dispatch, || call.as_mut().poll(context));
                socket.more = answer.is_ready();
                match answer {
                    Poll::Pending => Phase::Connecting,
                    Poll::Ready(Ok(connected)) => {
                        let agreed = self.ear.0.lock().called();
                        socket.kind = Kind::Connection(Connection::new(connected, Direction::In, agreed));
                        Phase::Up
                    }
                    Poll::Ready(Err(error)) => {
                        socket.kind = Kind::Down(rejection(&error));
                        socket.more = false;
                        Phase::Down
                    }
                }
            }
        }
    }

    fn rejection(&mut self, socket: SocketId) -> Rejection {
        let Some(Socket { kind: Kind::Down(rejection), .. }) = self.sockets.get(&socket) else {
            return Rejection::UNKNOWN;
        };
        *rejection
    }

    fn receive(&mut self, socket: SocketId, now: Instant, frame: &mut Frame) -> Received {
        let Some(socket) = self.sockets.get_mut(&socket) else { return Received::Down };
        let waker = socket.waker();
        let Kind::Connection(connection) = &mut socket.kind else { return Received::Down };
        let message = connection.poll(&mut Context::from_waker(&waker));
        socket.more = matches!(message, Poll::Ready(Some(_)));
        match message {
            Poll::Pending => Received::Nothing,
            Poll::Ready(None) => {
                socket.kind = Kind::Down(Rejection::UNKNOWN);
                Received::Down
            }
            Poll::Ready(Some(message)) => {
                connection.packets += 1;
                connection.bytes += message.len() as u64;
                frame.clear();
                frame.at = now;
                // It is never longer than a frame; if it were, it would be empty.
                frame.push(&message);
                Received::Message
            }
        }
    }

    fn longest_nap(&self) -> Span {
        NAP
    }

    fn send(&mut self, socket: SocketId, _at: Instant, message: &[u8]) -> Sent {
        for turn in 0..TURNS {
            let Some(Socket { kind: Kind::Connection(connection), .. }) = self.sockets.get_mut(&socket) else {
                return Sent::Down;
            };
            let sent = pin!(connection.socket.send(message)).poll(&mut Context::from_waker(Waker::noop()));
            match sent {
                Poll::Ready(Ok(())) => {
                    connection.packets += 1;
                    connection.bytes += message.len() as u64;
                    return Sent::Yes;
                }
                // The peer takes only shorter ones.
                Poll::Ready(Err(SrtError::PayloadTooLarge(_))) => return Sent::Full,
                Poll::Ready(Err(_)) => return Sent::Down,
                // It takes 256 at once, and its task needs its turn for more.
                Poll::Pending if turn + 1 < TURNS => self.turn(),
                Poll::Pending => {}
            }
        }
        Sent::Full
    }

    fn stream_id(&mut self, socket: SocketId) -> Option<String> {
        let Some(Socket { kind: Kind::Connection(connection), .. }) = self.sockets.get(&socket) else { return None };
        connection.socket.streamid()
    }

    fn key_length(&mut self, socket: SocketId) -> u8 {
        let Some(Socket { kind: Kind::Connection(connection), .. }) = self.sockets.get(&socket) else { return 0 };
        connection.agreed.key_length
    }

    fn measure(&mut self, socket: SocketId, direction: Direction) -> Option<Measured> {
        let Some(Socket { kind: Kind::Connection(connection), .. }) = self.sockets.get_mut(&socket) else {
            return None;
        };
        let told = connection.socket.stats();
        let common = Measured {
            packets: connection.packets,
            bytes: connection.bytes,
            rtt: if told.rtt_sampled { Span::from_nanos(i64::from(told.rtt_us) * 1000) } else { Span::ZERO },
            ..Measured::default()
        };
        Some(match direction {
            Direction::In => Measured {
                latency: Span::from_nanos(i64::try_from(told.rcv_latency_us).unwrap_or(0).saturating_mul(1000)),
                lost: told.pkts_recv_lost,
                retransmitted: told.pkts_recv_retransmitted,
                dropped: told.pkts_recv_dropped,
                undecrypted: told.undecrypted_pkts,
                ..common
            },
            Direction::Out => {
                // Without acknowledgements everything is dropped a while after it was sent.
                let sent = connection.packets - connection.sent;
                let dropped = told.pkts_send_dropped.saturating_sub(connection.dropped);
                (connection.sent, connection.dropped) = (connection.packets, told.pkts_send_dropped);
                connection.alive += u64::from(dropped * 2 <= sent);
                Measured {
                    latency: connection.agreed.latency,
                    lost: told.pkts_retransmitted,
                    retransmitted: told.pkts_retransmitted,
                    dropped: told.pkts_send_dropped,
                    acknowledgements: connection.alive,
                    ..common
                }
            }
        })
    }

    fn kernel_drops(&mut self, socket: SocketId) -> Option<u64> {
        self.sockets.get_mut(&socket)?.drops.as_mut().map(Drops::take)
    }

    fn close(&mut self, socket: SocketId) {
        let closed = self.sockets.remove(&socket);
        if closed.is_some() {
            drop(closed);
            // So that the peer is told, and the port is free when it is listened on again.
            for _ in 0..TURNS {
                self.turn();
            }
        }
    }
}
