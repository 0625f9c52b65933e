//! Processor time for each datagram received: the live plane against a bare relay.
//!
//! 100 channels of two inputs of 10 Mb/s (950 datagrams of 1,316 bytes a second each) come in by the loopback interface,
//! and one of each pair goes out. The relay has the same sockets, batches and waits, looks at nothing and copies
//! nothing: what the plane takes beyond it is what receiving in order, analysing and choosing costs. Datagrams leave as they came
//! (`mode: cut`, `pace: arrival`), as the relay's do: what merging and pacing cost beside that is in `switch`. Both take turns, so
//! that what else the machine does meets both. Run as `cargo bench --bench relay`; two processors or more.
#![allow(unsafe_code, reason = "the relay speaks to the kernel as barely as can be")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod pin;

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use changeover::config::{InputPlan, Interface, OutputPlan};
use changeover::engine::{ChannelSetup, InputSetup, Pace, Setup};
use changeover::plane::{PlaneSnapshot, Shard, ShardHandle, ShardSetup};
use changeover::switch::policy::{self, Mode};
use changeover::units::Span;
use pin::{PLANE_CPU, SENDER_CPU, pin};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

const CHANNELS: u8 = 100;
const DATAGRAMS_PER_SECOND: u64 = 950;
const BATCH: usize = 64;
const FRAME: usize = 2048;
const PORT: u16 = 15_004;
const RECEIVE_BUFFER: usize = 1 << 20;
const TURNS: usize = 7;
const WARM: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(3);

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing to test here: run it by `cargo bench --bench relay`");
        return;
    }
    let sinks: Vec<UdpSocket> = (0..CHANNELS).map(|_| sink()).collect();
    let outputs: Vec<SocketAddr> =
        sinks.iter().map(|sink| sink.local_addr().expect("a bound socket has an address")).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let late = Arc::new(AtomicU64::new(0));
    let sender = thread::spawn({
        let (stop, late) = (Arc::clone(&stop), Arc::clone(&late));
        move || send(&stop, &late)
    });

    let mut turns = Vec::new();
    println!(
        "{:>28} {:>12} {:>12} {:>10} {:>10}",
        "ns a datagram received", "received/s", "sent/s", "rounds/s", "lost"
    );
    for _ in 0..TURNS {
        turns.push([
            report("relay", &run_relay(&outputs)),
            report("plane", &run_plane(&outputs, Span::ZERO)),
            report("plane, delay of 100 ms", &run_plane(&outputs, Span::from_millis(100))),
        ]);
    }
    stop.store(true, Ordering::Relaxed);
    sender.join().expect("the sender");

    println!("\nmedians of {TURNS} turns; the sender fell behind {} times", late.load(Ordering::Relaxed));
    for (place, name) in ["relay", "plane", "plane, delay of 100 ms"].iter().enumerate() {
        let ns = median(turns.iter().map(|turn| turn[place]));
        // Of each turn on its own: what else the machine does comes and goes.
        let ratio = median(turns.iter().map(|turn| turn[place] / turn[0]));
        println!("{name:<22} {ns:7.0} ns, {ratio:.3} of the relay");
    }
}

/// What one turn took.
struct Turn {
    processor_ns: u64,
    received: u64,
    sent: u64,
    rounds: u64,
    lost: u64,
}

fn report(name: &str, turn: &Turn) -> f64 {
    let each = turn.processor_ns as f64 / turn.received.max(1) as f64;
    let rate = |count: u64| count as f64 / MEASURE.as_secs_f64();
    println!(
        "{name:>22} {each:>5.0} {:>12.0} {:>12.0} {:>10.0} {:>10}",
        rate(turn.received),
        rate(turn.sent),
        rate(turn.rounds),
        turn.lost
    );
    each
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

// ─── The feeds ───

fn group(channel: u8, input: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(239, 255, 1 + input, channel), PORT))
}

/// A socket that takes a few datagrams, and has the rest dropped.
fn sink() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket2::SockRef::from(&socket).set_recv_buffer_size(1).expect("a small receive buffer");
    socket
}

/// Sends all inputs, spread evenly over time, in bursts a quarter of a millisecond apart.
fn send(stop: &AtomicBool, late: &AtomicU64) {
    pin(SENDER_CPU);
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("multicast on the loopback interface");
    let groups: Vec<socket2::SockAddr> =
        (0..CHANNELS).flat_map(|channel| [group(channel, 0), group(channel, 1)]).map(socket2::SockAddr::from).collect();
    let inputs = groups.len() as u64;
    let mut feed = Feed::new();
    let start = clock_ns(libc::CLOCK_MONOTONIC);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let elapsed = clock_ns(libc::CLOCK_MONOTONIC) - start;
        let due = elapsed * DATAGRAMS_PER_SECOND * inputs / 1_000_000_000;
        if due.saturating_sub(sent) > inputs * 20 {
            late.fetch_add(1, Ordering::Relaxed);
        }
        for sent in sent..due {
            let group = &groups[usize::try_from(sent % inputs).expect("a small number")];
            let _ = socket.send_to(feed.datagram(sent / inputs), group);
        }
        sent = due.max(sent);
        thread::sleep(Duration::from_micros(250));
    }
}

/// A row of datagrams in which all counters go on when it begins anew: of 256 datagrams of 7 packets every 16th begins
/// with a PAT, a PMT and a packet with a PCR, which makes 16 times each, and 1,760 packets of PID 0x100.
struct Feed {
    row: Vec<[u8; 1316]>,
    patched: u64,
}

const ROW: u64 = 256;
const PCR_EVERY: u64 = 16;

impl Feed {
    fn new() -> Self {
        let pat = section(0, &[0x00, 0xB0, 0x0D, 0x00, 0x01, 0xC1, 0x00, 0x00, 0x00, 0x01, 0xF0, 0x00]);
        let pmt = section(
            0x1000,
            &[0x02, 0xB0, 0x12, 0x00, 0x01, 0xC1, 0x00, 0x00, 0xE1, 0x00, 0xF0, 0x00, 0x1B, 0xE1, 0x00, 0xF0, 0x00],
        );
        let mut counter = 0_u8;
        let row = (0..ROW).map(|index| {
            let mut datagram = [0xFF; 1316];
            let tables = index % PCR_EVERY == 0;
            let turn = u8::try_from(index / PCR_EVERY % 16).expect("below 16");
            for (place, packet) in datagram.chunks_exact_mut(188).enumerate() {
                match (tables, place) {
                    (true, 0) => packet.copy_from_slice(&pat),
                    (true, 1) => packet.copy_from_slice(&pmt),
                    _ => {
                        packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, 0x10 | counter]);
                        counter = (counter + 1) % 16;
                        if tables && place == 2 {
                            packet[3] |= 0x20;
                            packet[4..6].copy_from_slice(&[7, 0x10]);
                        }
                        continue;
                    }
                }
                packet[3] |= turn;
            }
            datagram
        });
        Self { row: row.collect(), patched: u64::MAX }
    }

    /// The `index`th datagram, its PCR, if any, as of its time.
    fn datagram(&mut self, index: u64) -> &[u8] {
        let datagram = &mut self.row[usize::try_from(index % ROW).expect("a small number")];
        if index.is_multiple_of(PCR_EVERY) && self.patched != index {
            self.patched = index;
            let ticks = index * 27_000_000 / DATAGRAMS_PER_SECOND;
            let (base, extension) = (ticks / 300 % (1 << 33), ticks % 300);
            let field = (base << 15) | (0x3F << 9) | extension;
            datagram[2 * 188 + 6..2 * 188 + 12].copy_from_slice(&field.to_be_bytes()[2..]);
        }
        datagram
    }
}

/// A packet with a section of its own (ISO/IEC 13818-1 2.4.4), to which the CRC is added.
fn section(pid: u16, body: &[u8]) -> [u8; 188] {
    let mut crc = u32::MAX;
    for byte in body {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc & (1 << 31) != 0 { 0x04C1_1DB7 } else { 0 };
        }
    }
    let mut packet = [0xFF; 188];
    let [high, low] = pid.to_be_bytes();
    packet[..5].copy_from_slice(&[0x47, 0x40 | high, low, 0x10, 0]);
    packet[5..5 + body.len()].copy_from_slice(body);
    packet[5 + body.len()..9 + body.len()].copy_from_slice(&crc.to_be_bytes());
    packet
}

// ─── The plane ───

fn run_plane(outputs: &[SocketAddr], delay: Span) -> Turn {
    let lo = Some(Interface::Name("lo".to_owned()));
    let channel = ChannelSetup {
        inputs: vec![InputSetup::default(); 2],
        policy: policy::Settings::default(),
        delay,
        mode: Mode::Cut,
        pace: Pace::Arrival,
        ..ChannelSetup::default()
    };
    let input = |address: SocketAddr| InputPlan {
        name: "in".to_owned(),
        url: format!("udp://{address}"),
        address,
        interface: lo.clone(),
        sources: Vec::new(),
        receive_buffer: RECEIVE_BUFFER,
        domain: None,
        srt: None,
    };
    let output = |&address: &SocketAddr| OutputPlan {
        url: format!("udp://{address}"),
        rtp: false,
        address,
        interface: None,
        ttl: 1,
        dscp: 34,
        srt: None,
    };
    let setup = ShardSetup {
        name: "plane".to_owned(),
        engine: Setup { channels: vec![channel; usize::from(CHANNELS)] },
        inputs: (0..CHANNELS).flat_map(|channel| [group(channel, 0), group(channel, 1)]).map(input).collect(),
        outputs: outputs.iter().map(|address| vec![output(address)]).collect(),
        cpu: Some(PLANE_CPU),
    };
    let (shard, mut handle) = Shard::open(&setup).expect("a shard");
    let running = shard.spawn().expect("a thread");
    wait(&handle, WARM);
    let before = handle.snapshot().clone();
    wait(&handle, MEASURE);
    let after = handle.snapshot().clone();
    handle.stop();
    running.join().expect("the shard");
    let since = |of: fn(&PlaneSnapshot) -> u64| of(&after) - of(&before);
    Turn {
        processor_ns: since(|told| told.processor_ns),
        received: since(|told| told.inputs.iter().map(|input| input.datagrams).sum()),
        sent: since(|told| told.outputs.iter().flatten().map(|output| output.datagrams).sum()),
        rounds: since(|told| told.rounds),
        lost: since(|told| told.starved + told.inputs.iter().map(|input| input.dropped).sum::<u64>()),
    }
}

/// Lets the shard run, and does with its events what control would: fetches them.
fn wait(handle: &ShardHandle, time: Duration) {
    for _ in 0..10 {
        thread::sleep(time / 10);
        handle.events.try_iter().for_each(drop);
    }
}

// ─── The relay ───

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const DONE: u8 = 2;

fn run_relay(outputs: &[SocketAddr]) -> Turn {
    let lo = Ipv4Addr::LOCALHOST;
    let inputs: Vec<Socket> = (0..CHANNELS)
        .flat_map(|channel| [group(channel, 0), group(channel, 1)])
        .map(|address| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
            socket.set_reuse_address(true).expect("a shared address");
            socket.set_multicast_all_v4(false).expect("no other groups");
            socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("a receive buffer");
            set(&socket, libc::SO_TIMESTAMPNS);
            set(&socket, libc::SO_RXQ_OVFL);
            socket.bind(&address.into()).expect("a free address");
            let SocketAddr::V4(v4) = address else { unreachable!("groups are IPv4") };
            socket.join_multicast_v4_n(v4.ip(), &InterfaceIndexOrAddress::Address(lo)).expect("a membership");
            socket
        })
        .collect();
    let outputs: Vec<Socket> = outputs
        .iter()
        .map(|&address| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
            socket.set_tos_v4(34 << 2).expect("a DSCP");
            socket.connect(&address.into()).expect("a route");
            socket
        })
        .collect();
    let phase = Arc::new(AtomicU8::new(WARMING));
    let relay = thread::spawn({
        let phase = Arc::clone(&phase);
        move || relay(&inputs, &outputs, &phase)
    });
    thread::sleep(WARM);
    phase.store(MEASURING, Ordering::Relaxed);
    thread::sleep(MEASURE);
    phase.store(DONE, Ordering::Relaxed);
    relay.join().expect("the relay")
}

fn relay(inputs: &[Socket], outputs: &[Socket], phase: &AtomicU8) -> Turn {
    pin(PLANE_CPU);
    let (inputs, outputs): (Vec<RawFd>, Vec<RawFd>) =
        (inputs.iter().map(AsRawFd::as_raw_fd).collect(), outputs.iter().map(AsRawFd::as_raw_fd).collect());
    // SAFETY: a descriptor that was just made and that nobody else owns.
    let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    for (token, &fd) in (0..).zip(&inputs) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token };
        // SAFETY: `event` is valid for the call.
        let added = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        assert_eq!(added, 0, "{}", io::Error::last_os_error());
    }
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    let mut frames = vec![[0_u8; FRAME]; BATCH];
    let mut iovecs: Vec<libc::iovec> =
        frames.iter_mut().map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: FRAME }).collect();
    // SAFETY: all zeros is a valid mmsghdr.
    let mut messages: Vec<libc::mmsghdr> = (0..BATCH).map(|_| unsafe { zeroed() }).collect();
    for (message, iovec) in messages.iter_mut().zip(&mut iovecs) {
        message.msg_hdr.msg_iov = iovec;
        message.msg_hdr.msg_iovlen = 1;
    }
    let batch = libc::c_uint::try_from(BATCH).expect("a small number");
    let mut turn = Turn { processor_ns: 0, received: 0, sent: 0, rounds: 0, lost: 0 };
    let mut measuring = false;
    loop {
        let now = phase.load(Ordering::Relaxed);
        if now == DONE {
            turn.processor_ns = clock_ns(libc::CLOCK_THREAD_CPUTIME_ID) - turn.processor_ns;
            return turn;
        }
        if now == MEASURING && !measuring {
            measuring = true;
            turn = Turn {
                processor_ns: clock_ns(libc::CLOCK_THREAD_CPUTIME_ID),
                received: 0,
                sent: 0,
                rounds: 0,
                lost: 0,
            };
        }
        // SAFETY: `events` has room for 256.
        let ready = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 256, 100) };
        turn.rounds += 1;
        for event in events.iter().take(usize::try_from(ready).unwrap_or(0)) {
            let input = usize::try_from(event.u64).expect("a small number");
            loop {
                // SAFETY: each message points to one iovec, and that to a frame of its own.
                let count = unsafe {
                    libc::recvmmsg(inputs[input], messages.as_mut_ptr(), batch, libc::MSG_DONTWAIT, ptr::null_mut())
                };
                let count = usize::try_from(count).unwrap_or(0);
                turn.received += count as u64;
                if input % 2 == 0 && count > 0 {
                    for index in 0..count {
                        iovecs[index].iov_len = messages[index].msg_len as usize;
                        messages[index].msg_hdr.msg_iov = &raw mut iovecs[index];
                    }
                    let many = libc::c_uint::try_from(count).expect("a small number");
                    // SAFETY: as above, each iovec shortened to what was received.
                    let sent =
                        unsafe { libc::sendmmsg(outputs[input / 2], messages.as_mut_ptr(), many, libc::MSG_DONTWAIT) };
                    turn.sent += u64::try_from(sent).unwrap_or(0);
                    iovecs[..count].iter_mut().for_each(|iovec| iovec.iov_len = FRAME);
                }
                if count < BATCH {
                    break;
                }
            }
        }
    }
}

fn set(socket: &Socket, option: libc::c_int) {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("a small number");
    // SAFETY: `on` is valid for its size.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const on).cast(), size) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid to write to.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}
