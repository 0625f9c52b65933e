//! One encoder over two networks: what it sends is carried on to the two inputs of a channel by two lines, one in other datagrams and
//! in RTP, each of which loses some and is cut for a while, never both at once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use changeover::plane::Receiver;
use changeover::units::Span;
use serde_json::Value;

use super::play::{self, is_on};
use super::{Recorded, Recorder, Switcher, input, plan};

const CONFIGURATION: &str = "
node: {name: test}
api: {listen: 127.0.0.1:8080}
channels:
  - name: news
    inputs:
      - {name: main, url: udp://239.1.1.1:5000, interface: lo, priority: 100}
      - {name: backup, url: rtp://239.1.1.2:5000, interface: lo, priority: 50}
    switch: {failback: {mode: auto, after: 1s}, dwell: 1s, max_per_minute: 0}
    health:
      profile: lenient
      input_loss: {raise: {for: 300ms}, clear: {for: 1s}}
    outputs:
      - {url: rtp://239.1.1.3:6000, interface: lo, ttl: 1}
";
const SOURCE: &str = "239.1.1.9:5000";
/// One datagram of so many is lost on each line, at other places.
const LOST: u64 = 40;
/// Packets in a datagram of the second line.
const FEW: usize = 3 * 188;

/// What carries the encoder's datagrams on.
struct Lines {
    cut: [Arc<AtomicBool>; 2],
    /// Both lose some.
    lossy: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Lines {
    /// Carries what comes to [`SOURCE`] on, and records all of it.
    fn start(file: &Path) -> Self {
        let mut receiver = Receiver::open(&plan(SOURCE, "lo")).unwrap();
        let mut file = BufWriter::new(File::create(file).unwrap());
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let [one, other, lossy, stop] = [(); 4].map(|()| Arc::new(AtomicBool::new(false)));
        let cut = [one, other];
        let (is_cut, is_lossy, stopped) = (cut.clone(), Arc::clone(&lossy), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let (mut number, mut sequence, mut waiting) = (0_u64, 0_u16, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                receiver.recv_batch(Span::from_millis(100), |bytes, _| {
                    file.write_all(bytes).unwrap();
                    number += 1;
                    let [main, backup] = is_cut.each_ref().map(|cut| cut.load(Ordering::Relaxed));
                    let loses = is_lossy.load(Ordering::Relaxed);
                    let is_lost = loses && number.is_multiple_of(LOST);
                    if !main && !is_lost {
                        sender.send_to(bytes, "239.1.1.1:5000").unwrap();
                    }
                    waiting.extend_from_slice(bytes);
                    while waiting.len() >= FEW {
                        sequence = sequence.wrapping_add(1);
                        let mut datagram = vec![0x80, 33, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
                        datagram[2..4].copy_from_slice(&sequence.to_be_bytes());
                        datagram.extend(waiting.drain(..FEW));
                        // far from where the other loses: the datagrams hold what came within the last three
                        let is_lost = loses && number % LOST == LOST / 2;
                        if !backup && !is_lost {
                            sender.send_to(&datagram, "239.1.1.2:5000").unwrap();
                        }
                    }
                });
            }
            file.flush().unwrap();
            let dropped = receiver.figures().dropped;
            assert_eq!(dropped, 0, "the lines could not keep up: this machine is too busy for the test");
        });
        Self { cut, lossy, stop, thread }
    }

    /// Cuts a line off or mends it. The other loses nothing then, which would be lost for good.
    fn cut(&self, line: usize, is_cut: bool) {
        self.lossy.store(false, Ordering::Relaxed);
        self.cut[line].store(is_cut, Ordering::Relaxed);
    }

    fn lose(&self) {
        self.lossy.store(true, Ordering::Relaxed);
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// Plays it, and records what the encoder sent into `source` and the output into `file`.
pub(crate) fn play(folder: &Path, source: &Path, file: &Path) -> Recorded {
    let recorder = Recorder::start("239.1.1.3:6000", "lo", true, file);
    let switcher = Switcher::start(folder, CONFIGURATION);
    let lines = Lines::start(source);
    let encoder = play::encoder("mpegts", &format!("udp://{SOURCE}?pkt_size=1316&localaddr=127.0.0.1&ttl=1"), 440);
    let is_one = |channel: &Value, other: &str| input(channel, other)["kinship"]["relation"] == "identical";
    switcher.wait("the main is on air, and the backup the same", |channel| {
        is_on("main")(channel) && is_one(channel, "backup")
    });
    lines.lose();
    switcher.wait_for_output(10_000);

    for _ in 0..2 {
        lines.cut(0, true);
        switcher.wait("the backup is on air", is_on("backup"));
        switcher.wait_for_output(5_000);
        lines.cut(0, false);
        switcher.wait("the main is on air again", is_on("main"));
        lines.lose();
        switcher.wait_for_output(5_000);
        lines.cut(1, true);
        switcher.wait("the backup is lost", |channel| input(channel, "backup")["state"] == "unhealthy");
        switcher.wait_for_output(5_000);
        lines.cut(1, false);
        switcher.wait("the backup is back, and the same", |channel| {
            input(channel, "backup")["state"] == "hot" && is_one(channel, "backup")
        });
        lines.lose();
        switcher.take("backup");
        switcher.wait_for_output(5_000);
        switcher.take("main");
        switcher.wait_for_output(5_000);
    }
    let channel = switcher.channel();
    assert!(channel["switches"].as_u64() >= Some(9), "{channel:#}");
    for name in ["main", "backup"] {
        let socket = &input(&channel, name)["socket"];
        assert_eq!(socket["kernel_drops"], 0, "this machine is too busy for the test: {socket}");
    }
    assert!(input(&channel, "main")["merge"]["missing"].as_u64() > Some(100), "{channel:#}");
    encoder.kill();
    switcher.end();
    lines.end();
    recorder.end()
}
