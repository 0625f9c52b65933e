//! A shard with one SRT input or output, and peers that are other programs.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use changeover::config::{Backend, InputPlan, Interface, OutputPlan, Role, Second, Secret, SrtPlan};
use changeover::engine::{self, ChannelSetup, Hole, InputSetup, Pace};
use changeover::plane::{PlaneSnapshot, Shard, ShardHandle, ShardSetup, SrtEvent, SrtState, SrtStatus, Stopped, What};
use changeover::switch::policy::Mode;
use changeover::units::Span;

use super::process::{LIMIT, udp_port, wait_for};
use super::watch;

/// Its packets, seven a datagram.
const DATAGRAM: usize = 7 * 188;

/// Both backends: what is held of one is held of the other, where it can do it at all.
pub(crate) const BOTH: [Backend; 2] = [Backend::Libsrt, Backend::Rsrt];

/// What is told to an input or output unless a test says otherwise.
pub(crate) fn srt(backend: Backend, role: Role) -> SrtPlan {
    SrtPlan {
        role,
        backend,
        latency: Span::from_millis(120),
        passphrase: None,
        key_length: None,
        stream_id: None,
        access: Vec::new(),
        callers: 8,
        second: Second::Refuse,
        payload: 1316,
        connect: Span::from_secs(3),
        idle: Span::from_secs(5),
        buffer: 1 << 20,
        bond: None,
    }
}

pub(crate) fn encrypted(backend: Backend, role: Role, passphrase: &str, key_length: u8) -> SrtPlan {
    SrtPlan { passphrase: Secret::new(passphrase), key_length: Some(key_length), ..srt(backend, role) }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn interface(plan: &SrtPlan) -> Option<Interface> {
    (plan.role == Role::Rendezvous).then(|| Interface::Address(Ipv4Addr::LOCALHOST.into()))
}

pub(crate) fn input(address: SocketAddr, srt: Option<SrtPlan>) -> InputPlan {
    InputPlan {
        name: "in".to_owned(),
        url: format!("srt://{address}"),
        address,
        interface: srt.as_ref().and_then(interface),
        sources: Vec::new(),
        receive_buffer: 4 << 20,
        domain: None,
        srt,
    }
}

fn output(address: SocketAddr, srt: Option<SrtPlan>) -> OutputPlan {
    let interface = srt.as_ref().and_then(interface);
    OutputPlan { url: format!("srt://{address}"), rtp: false, address, interface, ttl: 4, dscp: 0, srt }
}

/// A shard of one channel that passes datagrams on as they come.
pub(crate) struct Stage {
    pub(crate) handle: ShardHandle,
    running: Option<JoinHandle<Stopped>>,
    /// Where an output by UDP goes, or what an input by UDP is sent by.
    pub(crate) socket: UdpSocket,
    pub(crate) events: Vec<SrtEvent>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(running) = self.running.take() {
            drop(running.join());
        }
    }
}

impl Stage {
    /// Receives by SRT, and sends to `socket`.
    pub(crate) fn receiving(address: SocketAddr, plan: SrtPlan) -> Self {
        let socket = socket();
        let to = socket.local_addr().unwrap();
        Self::start(input(address, Some(plan)), output(to, None), socket)
    }

    /// Receives from `socket`, and sends by SRT.
    pub(crate) fn sending(address: SocketAddr, plan: SrtPlan) -> Self {
        let socket = socket();
        let from = local(udp_port());
        socket.connect(from).unwrap();
        Self::start(input(from, None), output(address, Some(plan)), socket)
    }

    fn start(input: InputPlan, output: OutputPlan, socket: UdpSocket) -> Self {
        have_room_for_files();
        // What comes goes, and nothing else: whatever is missing or too much is SRT's.
        let channel = ChannelSetup {
            inputs: vec![InputSetup::default()],
            mode: Mode::Cut,
            pace: Pace::Arrival,
            hole: Hole::Silent,
            ..ChannelSetup::default()
        };
        let setup = ShardSetup {
            name: "shard".to_owned(),
            engine: engine::Setup { channels: vec![channel] },
            inputs: vec![input],
            outputs: vec![vec![output]],
            ..ShardSetup::default()
        };
        let (shard, handle) = Shard::open(&setup).unwrap();
        Self { handle, running: Some(shard.spawn().unwrap()), socket, events: Vec::new() }
    }

    /// The input or output by SRT, at the first moment at which `holds`.
    #[allow(clippy::disallowed_methods, reason = "a limit, not a result")]
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&SrtStatus) -> bool) -> SrtStatus {
        let end = Instant::now() + LIMIT;
        loop {
            let now = status(self.handle.snapshot()).unwrap();
            if holds(&now) {
                return now;
            }
            assert!(
                Instant::now() < end,
                "{what} never came: {now:?} {:?}",
                self.handle.srt_events.try_iter().collect::<Vec<_>>()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn until_up(&mut self) -> SrtStatus {
        self.until("a connection", |status| status.state == SrtState::Up)
    }

    /// The first event for which `holds`, of those not yet looked at.
    #[allow(clippy::disallowed_methods, reason = "a limit, not a result")]
    pub(crate) fn event(&mut self, what: &str, holds: impl Fn(&What) -> bool) -> What {
        let end = Instant::now() + LIMIT;
        loop {
            for event in self.handle.srt_events.try_iter() {
                self.events.push(event.clone());
                if holds(&event.what) {
                    return event.what;
                }
            }
            assert!(Instant::now() < end, "{what} never came, but {:?}", self.events);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Has the kernel's table of this process' files grow before anything runs: all threads that open one wait for it, which took half a
/// minute among hundreds of threads beside six busy loops.
fn have_room_for_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop((0..600).map_while(|_| File::open("/dev/null").ok()).collect::<Vec<_>>()));
}

fn status(snapshot: &PlaneSnapshot) -> Option<SrtStatus> {
    let mut all = snapshot.srt_inputs.iter().chain(snapshot.srt_outputs.iter().flatten());
    all.find_map(Clone::clone)
}

pub(crate) fn socket() -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 20).unwrap();
    socket.bind(&local(0).into()).unwrap();
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    socket
}

/// The `n`th datagram: seven packets of one PID with their counters, and nothing that any other has.
pub(crate) fn datagram(n: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DATAGRAM);
    for packet in 0..7_u32 {
        let number = n * 7 + packet;
        bytes.extend_from_slice(&[0x47, 0x01, 0x00, 0x10 | u8::try_from(number % 16).unwrap()]);
        for word in 0..46_u32 {
            bytes.extend_from_slice(&(number ^ word.wrapping_mul(0x9E37_79B9)).to_be_bytes());
        }
    }
    bytes
}

/// Whether everything is to be tried at its full length, which takes some minutes, and not a choice of it.
pub(crate) fn is_full() -> bool {
    std::env::var_os("CHANGEOVER_SRT_FULL").is_some_and(|value| value == "1")
}

/// The turn of one session: no more of them run at a time in this process than its processors bear.
pub(crate) struct Turn(usize);

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Turn {
    /// Of a session beside which there may be fewer others the more it `weighs`.
    pub(crate) fn take(weighs: usize) -> Self {
        let most = 10 * thread::available_parallelism().map_or(1, usize::from);
        let taken = TURNS.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = TURNS.1.wait_while(taken, |taken| *taken + weighs > most);
        *waiting.unwrap_or_else(PoisonError::into_inner) += weighs;
        Self(weighs)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        TURNS.1.notify_all();
    }
}

/// Datagrams that are sent before those that are counted.
pub(crate) const AHEAD: u32 = 800;

/// What a port of UDP has received and nobody has read, in bytes as the kernel counts them, and the datagrams for which it had
/// no room so far; nothing where nobody has the port.
fn queue(port: u16) -> Option<(u64, u64)> {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let of = format!(":{port:04X}");
    let row = table.lines().find(|row| row.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&of)))?;
    let mut fields = row.split_whitespace();
    let (_, waiting) = fields.nth(4)?.split_once(':')?;
    Some((u64::from_str_radix(waiting, 16).unwrap(), fields.last()?.parse().unwrap()))
}

/// Whether anybody has a port of UDP.
pub(crate) fn is_bound(port: u16) -> bool {
    queue(port).is_some()
}

/// The datagrams for which `socket` had no room so far.
pub(crate) fn dropped(socket: &UdpSocket) -> u64 {
    let port = socket.local_addr().unwrap().port();
    // A table that others change while it is read may lack it.
    wait_for("a port in the table", || queue(port)).1
}

/// Sends `count` datagrams from the `first` on, about a thousand a second, and none while whoever is to read them does not: a program
/// has room for some 90 of them, unless it asks for more.
#[allow(clippy::disallowed_methods, reason = "a limit, not a result")]
pub(crate) fn send(socket: &UdpSocket, first: u32, count: u32) {
    // A datagram takes some 2.3 kB there.
    const FULL: u64 = 64 << 10;
    let to = socket.peer_addr().unwrap().port();
    for n in first..first + count {
        if n % 32 == 0 {
            let end = Instant::now() + LIMIT;
            while queue(to).is_some_and(|(waiting, _)| waiting > FULL) {
                assert!(Instant::now() < end, "nobody reads what is sent to port {to}");
                thread::sleep(Duration::from_millis(5));
            }
        }
        // Nobody may be there yet to take it. What counts is what comes.
        let _ = socket.send(&datagram(n));
        // Two at a time, since what wakes everybody on their way costs more than they do.
        if n % 2 == 1 {
            watch::sleep(Duration::from_micros(1900));
        }
    }
}

/// The datagrams from `first` to `last`, each of which is to come whole and in order. What was sent before them served to
/// have the channel begin, which takes an input that is healthy for a while.
#[derive(Debug)]
pub(crate) struct Tally {
    first: u32,
    last: u32,
    next: u32,
    pub(crate) count: u32,
}

impl Tally {
    pub(crate) fn new(first: u32, last: u32) -> Self {
        Self { first, last, next: first, count: 0 }
    }

    /// One that came; whether it was the last, or one behind that.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let number = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) / 7;
        if number < self.first {
            return false;
        }
        assert!(number >= self.next, "{number} after {}", self.next);
        assert!(bytes == datagram(number), "datagram {number} is not as it was sent");
        self.next = number + 1;
        self.count += u32::from(number <= self.last);
        number >= self.last
    }
}

/// Receives until the datagram `last`, or one behind it; how many of those from `first` on came.
pub(crate) fn receive(socket: &UdpSocket, first: u32, last: u32) -> u32 {
    receive_to(socket, first, || last)
}

/// The same, where the last one becomes known meanwhile.
#[allow(clippy::disallowed_methods, reason = "a limit, not a result")]
pub(crate) fn receive_to(socket: &UdpSocket, first: u32, last: impl Fn() -> u32) -> u32 {
    let mut tally = Tally::new(first, last());
    let mut end = Instant::now() + LIMIT;
    let mut bytes = [0; 2048];
    while Instant::now() < end {
        let Ok(len) = socket.recv(&mut bytes) else { continue };
        end = Instant::now() + LIMIT;
        tally.last = last();
        if tally.take(&bytes[..len]) {
            return tally.count;
        }
    }
    panic!("datagram {} never came: {tally:?}", last());
}

/// Another program, ended with its test.
pub(crate) struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// `srt-live-transmit` from one URL to another.
    pub(crate) fn transmit(from: &str, to: &str) -> Self {
        let mut command = Command::new("srt-live-transmit");
        command.args(["-q", "-chunk:1316", from, to]);
        Self::spawn(command, "srt-tools")
    }

    pub(crate) fn spawn(mut command: Command, package: &str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let name = command.get_program().to_string_lossy().into_owned();
        Self(command.spawn().unwrap_or_else(|_| panic!("{name} is needed: install the package `{package}`")))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }
}
