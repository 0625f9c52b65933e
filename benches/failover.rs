//! From a fault to the wire, live: an input dies, and the time until the first packet of the other is in another socket.
//!
//! Two feeds of 20 Mb/s (a datagram of 1,316 bytes in 526 µs each) come in by the loopback interface, the backup's datagrams at another
//! moment between two of the main's from fault to fault. The main falls silent and is to be given up after 50 ms; what is told is how much
//! longer it took until the first datagram of the backup came out, the same without what the sender was late by with the datagram that
//! came out, and how much of it was after that was sent. Where
//! the inputs are the same nothing has to be waited for: there it is the longest that the output paused. The shard has a processor
//! of its own, as the program gives it, and the sender another. What else the machine does falls to the shard's, so that this has the
//! scheduling that the service's unit names for a box that is shared (`rr`, priority 10), if it is granted. Run as `cargo bench --bench failover`, or one part alone: `cargo bench --bench failover -- cut` or `-- merged`; each takes two
//! minutes.
#![allow(unsafe_code, reason = "threads are kept on processors")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::cast_precision_loss, missing_docs)]

mod pin;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use changeover::config::{InputPlan, OutputPlan};
use changeover::engine::{self, ChannelSetup, Hole, InputSetup, Pace, Setup};
use changeover::health::{Criterion, Limit, Limits, Raise, Scope};
use changeover::plane::{Command, Receiver, Shard, ShardHandle, ShardSetup};
use changeover::switch::policy::{self, Failback, Mode};
use changeover::synth::{Feed, Settings};
use changeover::units::{InputId, Instant, Span};
use crossbeam_channel::{Receiver as Queue, unbounded};
use hdrhistogram::Histogram;
use pin::{PLANE_CPU, SENDER_CPU, pin};

const RATE: u64 = 20_000_000;
const DATAGRAM: usize = 1316;
const EACH: Span = Span::from_nanos(DATAGRAM as i64 * 8 * 1_000_000_000 / RATE as i64);
/// What the main has to be silent for.
const DETECTION: Span = Span::from_millis(50);
const SETTLED: Span = Span::from_millis(150);
const FAULTS: usize = 200;
/// Twice as many as there are.
const PHASES: usize = 16;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing to test here: run it by `cargo bench --bench failover`");
        return;
    }
    let wants =
        |name: &str| !std::env::args().any(|argument| ["cut", "merged"].contains(&&*argument) && argument != name);
    pin(SENDER_CPU);
    println!("{:>38} {:>9} {:>9} {:>9} {:>9}", "", "median", "p90", "p99", "most");
    if wants("cut") {
        let cut =
            ChannelSetup { mode: Mode::Cut, pace: Pace::Arrival, hole: Hole::Silent, delay: Span::ZERO, ..setup() };
        let [usual, cut, own, less] = measure(cut, [1, 2], Told::Beyond);
        tell("a datagram, through the switcher", &usual);
        tell("mode cut: beyond the detection time", &cut);
        tell("less what its sender was late by", &less);
        tell("and beyond the backup's next datagram", &own);
    }
    if wants("merged") {
        let [usual, merged, ..] = measure(setup(), [1, 1], Told::Pause);
        tell("merged, pace pcr: pause, no fault", &usual);
        tell("merged, pace pcr: pause at a fault", &merged);
    }
}

/// Has this thread, and those that it makes, scheduled like that. Whether it is granted.
fn schedule(policy: libc::c_int, priority: libc::c_int) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the structure is valid, and 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

fn tell(name: &str, figures: &Histogram<u64>) {
    let us = |ns: u64| ns as f64 / 1e3;
    let [half, most, nearly] = [50.0, 90.0, 99.0].map(|p| us(figures.value_at_percentile(p)));
    println!("{name:>38} {half:>6.0} µs {most:>6.0} µs {nearly:>6.0} µs {:>6.0} µs", us(figures.max()));
}

fn setup() -> ChannelSetup {
    let mut limits = Limits::NONE;
    let limit = Limit { raise: Raise::Lasting(DETECTION), clear: Span::from_millis(20), scope: Scope::ALL };
    limits.set(Criterion::InputLoss, Some(limit));
    let input = |priority| InputSetup { priority, limits, ..InputSetup::default() };
    let policy =
        policy::Settings { failback: Failback::Manual, max_per_minute: 0, dwell: Span::ZERO, ..Default::default() };
    ChannelSetup { inputs: vec![input(1), input(0)], policy, delay: Span::from_millis(100), ..ChannelSetup::default() }
}

#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// How much later than the detection time the first datagram came.
    Beyond,
    /// The longest pause of the output.
    Pause,
}

/// Both feeds, and what comes out.
struct Stage {
    feeds: [Feed; 2],
    to: [SocketAddr; 2],
    socket: UdpSocket,
    clock: Receiver,
    next: Instant,
    /// By how much later than the main's the backup's datagrams are sent.
    phase: Span,
    /// When those of the backup were to be sent, and were.
    sent: Vec<[Instant; 2]>,
    out: Queue<Instant>,
    stop: Arc<AtomicBool>,
    receiver: JoinHandle<()>,
    handle: ShardHandle,
    shard: JoinHandle<changeover::plane::Stopped>,
}

impl Stage {
    fn new(channel: ChannelSetup, seeds: [u64; 2]) -> Self {
        let mut receiver = Receiver::open(&input(free())).unwrap();
        let output = receiver.local_address().unwrap();
        let to = [free(), free()];
        let output = OutputPlan {
            url: format!("udp://{output}"),
            rtp: false,
            address: output,
            interface: None,
            ttl: 1,
            dscp: 0,
            srt: None,
        };
        let setup = ShardSetup {
            name: "failover".to_owned(),
            engine: Setup { channels: vec![channel] },
            inputs: to.map(input).to_vec(),
            outputs: vec![vec![output]],
            cpu: Some(PLANE_CPU),
        };
        let (shard, handle) = Shard::open(&setup).unwrap();
        if !schedule(libc::SCHED_RR, 10) {
            println!("{:>38}", "without real-time scheduling");
        }
        let (put, out) = unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let clock = Receiver::open(&input(free())).unwrap();
        let next = clock.now();
        let stage = Self {
            feeds: seeds.map(|seed| Feed::new(Settings { bit_rate: RATE, seed, ..Settings::default() })),
            to,
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            clock,
            next,
            phase: Span::ZERO,
            sent: Vec::new(),
            out,
            stop,
            receiver: thread::spawn(move || {
                pin(PLANE_CPU);
                while !stopped.load(Ordering::Relaxed) {
                    receiver.recv_batch(Span::from_millis(100), |_, at| put.send(at).unwrap());
                }
            }),
            handle,
            shard: shard.spawn().unwrap(),
        };
        // the sender spins
        schedule(libc::SCHED_OTHER, 0);
        stage
    }

    /// Sends a datagram of each feed when it is due, of the main only where it `lives`. When the main's left.
    fn step(&mut self, lives: bool) -> Instant {
        let mut left = Instant::ZERO;
        for (n, (feed, to)) in self.feeds.iter_mut().zip(&self.to).enumerate() {
            let mut bytes = [0; DATAGRAM];
            bytes.as_chunks_mut::<188>().0.iter_mut().for_each(|packet| *packet = feed.next_packet().bytes);
            let due = if n == 0 { self.next } else { self.next + self.phase };
            while self.clock.now() < due {
                std::hint::spin_loop();
            }
            let now = self.clock.now();
            if n == 0 {
                left = now;
            } else {
                self.sent.push([due, now]);
            }
            if n > 0 || lives {
                self.socket.send_to(&bytes, to).unwrap();
            }
        }
        self.next += EACH;
        left
    }

    fn run(&mut self, length: Span, lives: bool) -> Instant {
        let mut left = Instant::ZERO;
        for _ in 0..length.nanos() / EACH.nanos() {
            left = self.step(lives);
        }
        self.handle.events.try_iter().for_each(drop);
        left
    }

    /// The longest from one datagram of the output to the next.
    fn pause(&self) -> u64 {
        let all: Vec<Instant> = self.out.try_iter().collect();
        all.windows(2).map(|pair| pair[1].since(pair[0]).nanos().unsigned_abs()).max().unwrap()
    }

    fn end(self) {
        self.handle.stop();
        self.shard.join().unwrap();
        self.stop.store(true, Ordering::Relaxed);
        self.receiver.join().unwrap();
    }
}

/// What is usual, what the faults cost, what of that the backup's sender has no part in, and what it is if that is on time.
fn measure(channel: ChannelSetup, seeds: [u64; 2], told: Told) -> [Histogram<u64>; 4] {
    let mut figures = [(); 4].map(|()| Histogram::<u64>::new(3).unwrap());
    let mut stage = Stage::new(channel, seeds);
    stage.run(Span::from_secs(3), true);
    for fault in 0..FAULTS {
        stage.phase = Span::from_nanos(EACH.nanos() * (2 * fault % PHASES + 1) as i64 / PHASES as i64);
        stage.out.try_iter().for_each(drop);
        let last = stage.run(SETTLED, true);
        match told {
            Told::Beyond => {
                // the last datagram comes out in no more time than this
                let came = stage.out.recv_timeout(Duration::from_millis(50)).map(|_| ());
                came.unwrap();
                thread::sleep(Duration::from_millis(2));
                let came = stage.out.try_iter().last().unwrap();
                figures[0].record(came.since(last).nanos().unsigned_abs()).unwrap();
            }
            Told::Pause => figures[0].record(stage.pause()).unwrap(),
        }
        stage.next = stage.clock.now();
        stage.sent.clear();
        stage.run(DETECTION, false);
        stage.run(SETTLED, false);
        match told {
            Told::Beyond => {
                let first = stage.out.try_iter().next().expect("the other input comes out");
                let given_up = last + DETECTION;
                let [due, sent] = *stage.sent.iter().find(|[_, at]| *at >= given_up).expect("the backup goes on");
                let beyond = first.since(given_up).nanos();
                figures[1].record(beyond.unsigned_abs()).unwrap();
                figures[2].record(first.since(sent).nanos().unsigned_abs()).unwrap();
                figures[3].record((beyond - sent.since(due.max(given_up)).nanos()).max(0).unsigned_abs()).unwrap();
            }
            Told::Pause => figures[1].record(stage.pause()).unwrap(),
        }
        stage.run(SETTLED, true);
        stage.handle.command(Command::Engine(engine::Command::Take(InputId(0)))).unwrap();
        stage.run(SETTLED, true);
    }
    stage.end();
    figures
}

fn free() -> SocketAddr {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn input(address: SocketAddr) -> InputPlan {
    InputPlan {
        name: "in".to_owned(),
        url: format!("udp://{address}"),
        address,
        interface: None,
        sources: Vec::new(),
        receive_buffer: 4 << 20,
        domain: None,
        srt: None,
    }
}
