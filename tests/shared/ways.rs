//! One encoder over two ways by SRT that lose some: what it sends is recorded, and the very same bytes go to the two senders.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use changeover::plane::Receiver;
use changeover::units::Span;
use rsrt::{SrtOptions, SrtSocket};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::proxy::Proxy;
use super::scene::play::{self, is_on};
use super::scene::{Recorded, Recorder, Switcher, input, plan};

const CONFIGURATION: &str = "
node: {name: test}
api: {listen: 127.0.0.1:8080}
channels:
  - name: news
    inputs:
      - {name: main, url: 'srt://127.0.0.1:9001?mode=listener&latency=200ms', priority: 100}
      - {name: backup, url: 'srt://127.0.0.1:9002?mode=listener&latency=200ms', priority: 50}
    outputs:
      - {url: rtp://239.1.1.3:6000, interface: lo, ttl: 1}
";
const SOURCE: &str = "239.1.1.9:5000";
/// Of each way: its port, that of the input behind it, and how many of a thousand datagrams it loses.
const WAYS: [(u16, u16, u64); 2] = [(9101, 9001, 20), (9102, 9002, 50)];

/// Sends by SRT what it is handed, and drops nothing before.
fn sender(port: u16) -> UnboundedSender<Vec<u8>> {
    let (messages, mut handed) = unbounded_channel::<Vec<u8>>();
    let latency = Duration::from_millis(200);
    let options = SrtOptions { latency, peer_latency: latency, ..SrtOptions::default() };
    thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            // A connection that carries nothing is ended, and an encoder takes its time.
            let mut next = handed.recv().await;
            let socket = SrtSocket::connect(SocketAddr::from(([127, 0, 0, 1], port)), options).await.unwrap();
            while let Some(message) = next {
                // The other side ends first.
                if socket.send(&message).await.is_err() {
                    break;
                }
                next = handed.recv().await;
            }
        });
    });
    messages
}

/// Records what comes to [`SOURCE`] in `file`, and hands it to the senders.
fn feed(file: &Path, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let mut receiver = Receiver::open(&plan(SOURCE, "lo")).unwrap();
    let mut file = BufWriter::new(File::create(file).unwrap());
    let senders = WAYS.map(|(port, ..)| sender(port));
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            receiver.recv_batch(Span::from_millis(100), |bytes, _| {
                file.write_all(bytes).unwrap();
                for sender in &senders {
                    let _ = sender.send(bytes.to_vec());
                }
            });
        }
        file.flush().unwrap();
        let dropped = receiver.figures().dropped;
        assert_eq!(dropped, 0, "the source could not be recorded: this machine is too busy for the test");
    })
}

/// Plays it, and records what the encoder sent into `source` and the output into `file`.
pub(crate) fn play(folder: &Path, source: &Path, file: &Path) -> Recorded {
    let recorder = Recorder::start("239.1.1.3:6000", "lo", true, file);
    let switcher = Switcher::start(folder, CONFIGURATION);
    let _ways = WAYS.map(|(port, behind, loss)| {
        Proxy::start(port, ([127, 0, 0, 1], behind).into(), loss, Duration::from_millis(20), u64::from(port))
    });
    let stop = Arc::new(AtomicBool::new(false));
    let feeding = feed(source, Arc::clone(&stop));
    let encoder = play::encoder("mpegts", &format!("udp://{SOURCE}?pkt_size=1316&localaddr=127.0.0.1&ttl=1"), 440);
    switcher.wait("the main is on air, and the backup the same", |channel| {
        is_on("main")(channel) && input(channel, "backup")["kinship"]["relation"] == "identical"
    });
    switcher.wait_for_output(60_000);
    let channel = switcher.channel();
    for name in ["main", "backup"] {
        let input = input(&channel, name);
        assert!(input["srt"]["retransmitted_share"].as_f64() > Some(0.01), "{input:#}");
        assert_eq!(input["socket"]["kernel_drops"], 0, "{input:#}");
        println!("{name}: {} {}", input["srt"], input["merge"]);
    }
    encoder.kill();
    switcher.end();
    stop.store(true, Ordering::Relaxed);
    feeding.join().unwrap();
    recorder.end()
}
