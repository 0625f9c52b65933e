//! The programs at the other end of a session: libsrt's own tool, ffmpeg, GStreamer, and srt-tokio, which shares nothing with the
//! backends.

use std::io;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use changeover::config::{Role, SrtPlan};
use futures_util::{SinkExt, StreamExt};
use srt_tokio::SrtSocket;
use srt_tokio::options::{ByteCount, PacketSize, SocketOptions};
use tokio::sync::oneshot;

use super::process::udp_port;
use super::proxy::Proxy;
use super::stage::{Peer, Stage, datagram, local, send, socket};

/// The stream id of every session.
pub(crate) const STREAM: &str = "news";

/// A program that passes messages on as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Transmit,
    Ffmpeg,
    Gstreamer,
    SrtTokio,
}

impl Program {
    pub(crate) const ALL: [Self; 4] = [Self::Transmit, Self::Ffmpeg, Self::Gstreamer, Self::SrtTokio];

    /// From a port of UDP to SRT where `incoming`, and else the other way; `plan` is that of the other side.
    pub(crate) fn start(self, plan: &SrtPlan, incoming: bool, port: u16, udp: u16) -> Other {
        if self == Self::SrtTokio {
            return Other::Task(Task::start(plan.clone(), incoming, port, udp));
        }
        // With a host in its URI GStreamer calls, whatever its mode is.
        let (host, mode) = match plan.role {
            Role::Caller => ("", "listener"),
            Role::Listener => ("127.0.0.1", "caller"),
            Role::Rendezvous => ("127.0.0.1", "rendezvous"),
        };
        let mut more = vec![("mode", mode.to_owned())];
        if let Some(passphrase) = &plan.passphrase {
            more.push(("passphrase", passphrase.reveal().to_owned()));
            more.push(("pbkeylen", plan.key_length.unwrap_or(16).to_string()));
        }
        match plan.role {
            Role::Listener => more.push(("streamid", STREAM.to_owned())),
            Role::Rendezvous => more.push(("adapter", "127.0.0.2".to_owned())),
            Role::Caller => {}
        }
        let joined = |by: &str| more.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(by);
        let latency = plan.latency.nanos() / 1_000_000;
        let (from, to) = (format!("udp://127.0.0.1:{udp}"), format!("srt://{host}:{port}"));
        Other::Process(match (self, incoming) {
            (Self::Gstreamer, true) => pipeline(&format!(
                "udpsrc address=127.0.0.1 port={udp} ! srtsink uri={to} latency={latency} sync=false {}",
                joined(" ")
            )),
            // It would else end with its first caller, be that one that gave up its call just then.
            (Self::Gstreamer, false) => pipeline(&format!(
                "srtsrc uri={to} latency={latency} keep-listening=true {} ! udpsink host=127.0.0.1 port={udp} sync=false",
                joined(" ")
            )),
            (Self::Ffmpeg, _) => {
                let srt = format!("{to}?latency={latency}000&transtype=live&pkt_size=1316&{}", joined("&"));
                let udp = format!("{from}?pkt_size=1316");
                let (from, to) = if incoming { (udp, srt) } else { (srt, udp) };
                let mut command = Command::new("ffmpeg");
                // Bytes, of which it understands nothing.
                command.args(["-nostdin", "-loglevel", "quiet", "-f", "data", "-raw_packet_size", "1316", "-i", &from]);
                command.args(["-map", "0", "-c", "copy", "-f", "data", &to]);
                Peer::spawn(command, "ffmpeg")
            }
            (Self::Transmit | Self::SrtTokio, _) => {
                let srt = format!("{to}?latency={latency}&transtype=live&{}", joined("&"));
                if incoming { Peer::transmit(&from, &srt) } else { Peer::transmit(&srt, &from) }
            }
        })
    }
}

impl Program {
    /// Sends `count` datagrams by `from` once what is returned with the thread is dropped, which is when the two are connected.
    pub(crate) fn feed(self, from: UdpSocket, incoming: bool, count: u32) -> (Sender<()>, JoinHandle<()>) {
        let (connected, is_connected) = channel();
        let sending = thread::spawn(move || {
            while is_connected.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                // It looks at what it is to send before it calls.
                if self == Self::Ffmpeg && incoming {
                    let _ = from.send(&datagram(0));
                }
            }
            send(&from, 0, count);
        });
        (connected, sending)
    }
}

/// A pipeline, in the words of `gst-launch-1.0`.
fn pipeline(words: &str) -> Peer {
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(words.split_whitespace());
    Peer::spawn(command, "gstreamer1.0-tools with gstreamer1.0-plugins-bad")
}

/// The other end, ended with its test.
pub(crate) enum Other {
    Process(#[allow(dead_code, reason = "it is held")] Peer),
    Task(#[allow(dead_code, reason = "it is held")] Task),
}

/// srt-tokio, on a thread of its own.
pub(crate) struct Task {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Task {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Task {
    fn start(plan: SrtPlan, incoming: bool, port: u16, udp: u16) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let carrying = async move {
            tokio::select! {
                ended = carry(&plan, incoming, port, udp) => eprintln!("srt-tokio ended: {ended:?}"),
                _ = stopped => {}
            }
        };
        let thread = thread::spawn(|| runtime().block_on(carrying));
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

/// What runs srt-tokio.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[allow(clippy::disallowed_methods, reason = "srt-tokio is told when a message was made")]
async fn carry(plan: &SrtPlan, incoming: bool, port: u16, udp: u16) -> io::Result<()> {
    let latency = u64::try_from(plan.latency.nanos()).unwrap();
    // It says that its MTU (draft-sharabayko-srt 3.2.1, with all headers) is what it was told its largest message is. rsrt keeps to
    // that, and takes no message of 1316 bytes from somebody whose MTU is 1316.
    // Its kernel's buffer would hold some 50 of them.
    let more = |options: &mut SocketOptions| {
        options.sender.max_payload_size = PacketSize(1316 + 44);
        options.connect.udp_recv_buffer_size = ByteCount(4 << 20);
    };
    let mut builder = SrtSocket::builder().latency(Duration::from_nanos(latency)).set(more);
    if let Some(passphrase) = &plan.passphrase {
        builder = builder.encryption(plan.key_length.unwrap_or(16).into(), passphrase.reveal());
    }
    let mut srt = match plan.role {
        Role::Caller => builder.listen_on(local(port)).await?,
        Role::Listener => builder.call(local(port), Some(STREAM)).await?,
        Role::Rendezvous => return Err(io::ErrorKind::Unsupported.into()),
    };
    if incoming {
        let from = tokio::net::UdpSocket::bind(local(udp)).await?;
        let mut bytes = [0; 2048];
        loop {
            let len = from.recv(&mut bytes).await?;
            srt.send((Instant::now(), rsrt::Bytes::copy_from_slice(&bytes[..len]))).await?;
        }
    }
    let to = tokio::net::UdpSocket::bind(local(0)).await?;
    while let Some(message) = srt.next().await {
        to.send_to(&message?.1, local(udp)).await?;
    }
    Ok(())
}

/// A shard, a program, and perhaps a way between them that loses and delays; what is sent by UDP at one end comes at the other.
pub(crate) struct Session {
    pub(crate) stage: Stage,
    pub(crate) from: UdpSocket,
    pub(crate) sink: UdpSocket,
    pub(crate) way: Option<Proxy>,
    /// The port at which the program listens, or which it calls.
    pub(crate) theirs: u16,
    pub(crate) peer: Other,
    /// Starts it once more.
    pub(crate) program: Box<dyn Fn() -> Other>,
}

impl Session {
    pub(crate) fn start(program: Program, plan: &SrtPlan, incoming: bool) -> Self {
        Self::by(program, plan, incoming, |_, _| None)
    }

    /// With the way that `way` makes from one port to another, if it makes one.
    pub(crate) fn by(
        program: Program,
        plan: &SrtPlan,
        incoming: bool,
        way: impl FnOnce(u16, u16) -> Option<Proxy>,
    ) -> Self {
        let [port, near, udp] = [udp_port(), udp_port(), udp_port()];
        let way = way(near, port);
        let called = if way.is_some() { near } else { port };
        let (at, theirs) = match plan.role {
            Role::Listener => (local(port), called),
            Role::Caller => (local(called), port),
            Role::Rendezvous => (([127, 0, 0, 2], port).into(), port),
        };
        let (stage, from, sink, udp) = if incoming {
            let (stage, from) = (Stage::receiving(at, plan.clone()), socket());
            from.connect(local(udp)).unwrap();
            let sink = stage.socket.try_clone().unwrap();
            (stage, from, sink, udp)
        } else {
            let (stage, sink) = (Stage::sending(at, plan.clone()), socket());
            let udp = sink.local_addr().unwrap().port();
            let from = stage.socket.try_clone().unwrap();
            (stage, from, sink, udp)
        };
        let plan = plan.clone();
        let program = Box::new(move || program.start(&plan, incoming, theirs, udp));
        Self { stage, from, sink, way, theirs, peer: program(), program }
    }
}
