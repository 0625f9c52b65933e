//! The processor time of SRT: each backend, and srt-live-transmit doing the same beside it, in one run.
//!
//! A stream of 10, 50 and 200 Mb/s is received from, and sent to, an srt-live-transmit. Counted are the threads of SRT, the shard
//! that takes or gives the datagrams by UDP, and of srt-live-transmit the whole process, which does both. Then 20 inputs of 10 Mb/s.
//! Run as `cargo bench --bench srt`; it takes three minutes, and asks for the package srt-tools.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/process/mod.rs"]
mod process;
#[path = "../tests/srt/stage.rs"]
#[allow(dead_code)]
mod stage;
#[path = "../tests/srt/watch.rs"]
mod watch;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use changeover::config::{Backend, Role, SrtPlan};
use changeover::units::Span;
use process::udp_port;
use stage::{BOTH, Peer, Stage, datagram, local, socket, srt};

const WINDOW: Duration = Duration::from_secs(4);
const RATES: [u64; 3] = [10, 50, 200];
const INPUTS: usize = 20;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing to test here: run it by `cargo bench --bench srt`");
        return;
    }
    // Words on the command line choose, as `out libsrt 10`.
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let asked = |names: &[&str]| words.iter().all(|word| names.contains(&word.as_str()));
    println!(
        "percent of a core for each Mb/s that came through: SRT's threads, with the shard; the rate that came through"
    );
    for incoming in [true, false] {
        for rate in RATES {
            let name = if incoming { "in" } else { "out" };
            for backend in [None, Some(Backend::Libsrt), Some(Backend::Rsrt)] {
                let who = backend.map_or_else(|| "srt-live-transmit".to_owned(), |it| format!("{it:?}").to_lowercase());
                if !asked(&[name, &who, &rate.to_string()]) {
                    continue;
                }
                let cost = measure(backend, incoming, rate);
                println!("{name:>4} {rate:>4} Mb/s {who:>18} {:>8.3} {:>8.3} {:>8.1}", cost.srt, cost.all, cost.rate);
            }
        }
    }
    for backend in BOTH {
        let who = format!("{backend:?}").to_lowercase();
        if !asked(&["many", &who]) {
            continue;
        }
        let (cores, all, rate) = many(backend);
        println!(
            "{INPUTS} inputs of 10 Mb/s by {who}: {:.0} % of a core in SRT's threads, {:.0} % with the shards, at {rate:.0} Mb/s",
            cores * 100.0,
            all * 100.0
        );
    }
}

struct Cost {
    srt: f64,
    all: f64,
    /// What came through, in Mb/s.
    rate: f64,
}

/// The processor time so far, in ns, of each thread of a process, with its name.
type Times = BTreeMap<String, (String, u64)>;

fn times(process: &str) -> Times {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let times = threads.flatten().filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let told = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let ns = told.split(' ').next()?.parse().ok()?;
        Some((thread.file_name().to_string_lossy().into_owned(), (name.trim().to_owned(), ns)))
    });
    times.collect()
}

/// The seconds that the threads whose names `counts` were busy. What ended meanwhile was of the measurement before.
fn busy(before: &Times, after: &Times, counts: impl Fn(&str) -> bool) -> f64 {
    let each = after
        .iter()
        .filter(|(_, (name, _))| counts(name))
        .map(|(thread, (_, ns))| ns.saturating_sub(before.get(thread).map_or(0, |(_, ns)| *ns)) as f64 / 1e9);
    each.sum()
}

fn is_srt(name: &str) -> bool {
    name.starts_with("srt-in") || name.starts_with("srt-out") || name.starts_with("SRT:")
}

/// The threads of the bench itself have its name.
fn is_ours(name: &str) -> bool {
    is_srt(name) || name.starts_with("shard")
}

/// A thread that does something until it is dropped.
struct Doing {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Doing {
    fn start(mut each: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let again = move || {
            while !stopped.load(Ordering::Relaxed) {
                each();
            }
        };
        let thread = thread::Builder::new().name("bench".to_owned()).spawn(again).unwrap();
        Self { stop, thread: Some(thread) }
    }

    /// Sends at so many Mb/s.
    fn sending(socket: UdpSocket, rate: u64) -> Self {
        let (start, mut sent) = (Instant::now(), 0_u32);
        Self::start(move || {
            let due = u64::try_from(start.elapsed().as_micros()).unwrap() * rate / 8 / 1316;
            while u64::from(sent) < due {
                // Nobody listens yet, or no more.
                let _ = socket.send(&datagram(sent % 1_000_000));
                sent += 1;
            }
            thread::sleep(Duration::from_millis(1));
        })
    }

    /// Counts the bytes that come.
    fn counting(socket: UdpSocket, bytes: &Arc<AtomicU64>) -> Self {
        let bytes = Arc::clone(bytes);
        let mut room = [0; 2048];
        Self::start(move || {
            if let Ok(len) = socket.recv(&mut room) {
                bytes.fetch_add(len as u64, Ordering::Relaxed);
            }
        })
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().unwrap().join());
    }
}

fn plan(backend: Backend, role: Role, callers: usize) -> SrtPlan {
    SrtPlan { buffer: 8 << 20, callers, ..srt(backend, role) }
}

fn measure(backend: Option<Backend>, incoming: bool, rate: u64) -> Cost {
    let (port, feed) = (udp_port(), udp_port());
    let (srt, udp) = (format!("srt://127.0.0.1:{port}?mode=caller&latency=120"), format!("udp://127.0.0.1:{feed}"));
    let sink = socket();
    let out = format!("udp://{}", sink.local_addr().unwrap());
    let listener = format!("srt://:{port}?mode=listener&latency=120");
    let (bytes, from) = (Arc::default(), socket());
    let mut stage = None;
    let under_test = match (backend, incoming) {
        (None, true) => Some(Peer::transmit(&listener, &out)),
        (None, false) => Some(Peer::transmit(&udp, &listener)),
        (Some(backend), true) => {
            stage = Some(Stage::receiving(local(port), plan(backend, Role::Listener, 1)));
            None
        }
        (Some(backend), false) => {
            stage = Some(Stage::sending(local(port), plan(backend, Role::Listener, 1)));
            None
        }
    };
    let other = if incoming { Peer::transmit(&udp, &srt) } else { Peer::transmit(&srt, &out) };
    if let Some(stage) = &mut stage {
        stage.until_up();
    }
    from.connect(local(feed)).unwrap();
    let (from, sink) = match &stage {
        Some(stage) if incoming => (from, stage.socket.try_clone().unwrap()),
        Some(stage) => (stage.socket.try_clone().unwrap(), sink),
        None => (from, sink),
    };
    let _counting = Doing::counting(sink, &bytes);
    let _sending = Doing::sending(from, rate);
    thread::sleep(Duration::from_secs(3));
    let process = under_test.as_ref().map_or_else(|| "self".to_owned(), |peer| peer.id().to_string());
    let read = || (times(&process), bytes.load(Ordering::Relaxed));
    let (begin, before) = (Instant::now(), read());
    thread::sleep(WINDOW);
    let (passed, after) = (begin.elapsed().as_secs_f64(), read());
    drop(other);
    let rate = (after.1 - before.1) as f64 * 8.0 / 1e6 / passed;
    let each = |counts: fn(&str) -> bool| {
        busy(&before.0, &after.0, |name| under_test.is_some() || counts(name)) / passed * 100.0 / rate
    };
    Cost { srt: each(is_srt), all: each(is_ours), rate }
}

/// How much of a core so many inputs take, in SRT's threads and with the shards, and what came through in Mb/s.
fn many(backend: Backend) -> (f64, f64, f64) {
    let port = udp_port();
    // Sent by one output of rsrt, whose thread is not counted. It asks for so little latency that it sends each message by itself; the
    // inputs ask for more, and have it.
    let each = SrtPlan { latency: Span::from_millis(10), ..plan(Backend::Rsrt, Role::Listener, INPUTS) };
    let mut sender = Stage::sending(local(port), each);
    let inputs: Vec<_> = (0..INPUTS).map(|_| Stage::receiving(local(port), plan(backend, Role::Caller, 1))).collect();
    sender.until("all callers", |status| status.connections.iter().flatten().count() == INPUTS);
    let bytes = Arc::default();
    let _counting: Vec<_> =
        inputs.iter().map(|stage| Doing::counting(stage.socket.try_clone().unwrap(), &bytes)).collect();
    let _sending = Doing::sending(sender.socket.try_clone().unwrap(), 10);
    thread::sleep(Duration::from_secs(3));
    let receives = |name: &str| is_srt(name) && !name.starts_with("srt-out");
    let (begin, before) = (Instant::now(), (times("self"), bytes.load(Ordering::Relaxed)));
    thread::sleep(WINDOW);
    let (passed, after) = (begin.elapsed().as_secs_f64(), (times("self"), bytes.load(Ordering::Relaxed)));
    let srt = busy(&before.0, &after.0, receives) / passed;
    let shards = busy(&before.0, &after.0, |name| name.starts_with("shard")) / passed;
    (srt, srt + shards, (after.1 - before.1) as f64 * 8.0 / 1e6 / passed)
}
