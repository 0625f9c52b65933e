//! Peers that are none of libsrt's own tools: ffmpeg, GStreamer, and srt-tokio, which shares nothing with the backends and keeps to
//! its own length of key whatever a listener says.

use std::process::Command;
use std::thread;
use std::time::Duration;

use changeover::config::{Backend, Role, SrtPlan};
use changeover::plane::{SrtReason, What};
use futures_util::StreamExt;
use srt_tokio::SrtSocket;

use super::process::udp_port;
use super::stage::{AHEAD, BOTH, Peer, Stage, encrypted, local, receive, send, socket, srt};

const COUNT: u32 = 1000;
const SECRET: &str = "a-long-secret";

/// A pipeline, in the words of `gst-launch-1.0`.
fn pipeline(words: &str) -> Peer {
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(words.split_whitespace());
    Peer::spawn(command, "gstreamer1.0-tools with gstreamer1.0-plugins-bad")
}

fn for_each(cases: impl IntoIterator<Item = (Backend, bool)>, test: impl Fn(Backend, bool) + Copy + Send) {
    thread::scope(|scope| {
        for (backend, flag) in cases {
            scope.spawn(move || test(backend, flag));
        }
    });
}

fn both_ways() -> impl Iterator<Item = (Backend, bool)> {
    BOTH.into_iter().flat_map(|backend| [true, false].map(|incoming| (backend, incoming)))
}

/// A program that passes messages on as they are.
#[derive(Clone, Copy, Debug)]
enum Program {
    Ffmpeg,
    Gstreamer,
}

impl Program {
    /// From a port of UDP to SRT where `incoming`, and else the other way; `plan` is that of the other side.
    fn start(self, plan: &SrtPlan, incoming: bool, port: u16, udp: u16) -> Peer {
        // With a host in its URI GStreamer calls, whatever its mode is.
        let (host, mode) = if plan.role == Role::Caller { ("", "listener") } else { ("127.0.0.1", "caller") };
        let mut more = vec![("mode", mode.to_owned())];
        if let Some(passphrase) = &plan.passphrase {
            more.push(("passphrase", passphrase.reveal().to_owned()));
            more.push(("pbkeylen", plan.key_length.unwrap_or(16).to_string()));
        }
        if plan.role == Role::Listener {
            more.push(("streamid", "news".to_owned()));
        }
        let joined = |by: &str| more.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(by);
        match (self, incoming) {
            (Self::Gstreamer, true) => pipeline(&format!(
                "udpsrc address=127.0.0.1 port={udp} ! srtsink uri=srt://{host}:{port} latency=120 sync=false {}",
                joined(" ")
            )),
            (Self::Gstreamer, false) => pipeline(&format!(
                "srtsrc uri=srt://{host}:{port} latency=120 {} ! udpsink host=127.0.0.1 port={udp} sync=false",
                joined(" ")
            )),
            (Self::Ffmpeg, _) => {
                let srt = format!("srt://{host}:{port}?latency=120000&transtype=live&pkt_size=1316&{}", joined("&"));
                let udp = format!("udp://127.0.0.1:{udp}?pkt_size=1316");
                let (from, to) = if incoming { (udp, srt) } else { (srt, udp) };
                let mut command = Command::new("ffmpeg");
                // Bytes, of which it understands nothing.
                command.args(["-nostdin", "-loglevel", "quiet", "-f", "data", "-raw_packet_size", "1316", "-i", &from]);
                command.args(["-map", "0", "-c", "copy", "-f", "data", &to]);
                Peer::spawn(command, "ffmpeg")
            }
        }
    }
}

#[test]
fn other_programs_send_and_receive_every_byte() {
    let mut number = 0;
    thread::scope(|scope| {
        for (backend, incoming) in both_ways() {
            for role in [Role::Caller, Role::Listener] {
                for program in [Program::Ffmpeg, Program::Gstreamer] {
                    // Each has each length of key, though not in each role and direction.
                    let key = [None, Some(16), Some(32)][number % 3];
                    number += 1;
                    scope.spawn(move || exact(program, backend, role, incoming, key));
                }
            }
        }
    });
}

fn plan(backend: Backend, role: Role, key: Option<u8>) -> SrtPlan {
    let stream_id = (role == Role::Caller).then(|| "news".to_owned());
    let plan = match key {
        Some(length) => encrypted(backend, role, SECRET, length),
        None => srt(backend, role),
    };
    SrtPlan { stream_id, ..plan }
}

fn exact(program: Program, backend: Backend, role: Role, incoming: bool, key: Option<u8>) {
    let plan = plan(backend, role, key);
    let (port, udp, sink) = (udp_port(), udp_port(), socket());
    let at = local(port);
    let mut stage = if incoming { Stage::receiving(at, plan.clone()) } else { Stage::sending(at, plan.clone()) };
    let (from, sink, udp) = if incoming {
        let from = socket();
        from.connect(local(udp)).unwrap();
        (from, stage.socket.try_clone().unwrap(), udp)
    } else {
        let to = sink.local_addr().unwrap().port();
        (stage.socket.try_clone().unwrap(), sink, to)
    };
    let _peer = program.start(&plan, incoming, port, udp);
    let (connected, is_connected) = std::sync::mpsc::channel::<()>();
    let sending = thread::spawn(move || {
        // ffmpeg looks at what it is to send before it calls.
        while is_connected.recv_timeout(Duration::from_millis(5)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = from.send(&super::stage::datagram(0));
        }
        send(&from, 0, AHEAD + COUNT);
    });
    let told = stage.until_up();
    assert_eq!(told.connections[0].unwrap().key_length, key.unwrap_or(0), "{program:?} {plan:?}");
    drop(connected);
    assert_eq!(receive(&sink, AHEAD, AHEAD + COUNT - 1), COUNT, "{program:?} {plan:?}");
    sending.join().unwrap();
}

/// What runs srt-tokio.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_key_of_another_length_is_refused_and_the_listener_lives() {
    for_each(BOTH.map(|backend| (backend, true)), |backend, _| {
        let port = udp_port();
        let mut stage = Stage::receiving(local(port), encrypted(backend, Role::Listener, SECRET, 16));
        for length in [32, 16] {
            let calling = thread::spawn(move || {
                runtime().block_on(async {
                    let call = SrtSocket::builder().encryption(length, SECRET).call(local(port), None).await;
                    // Long enough to be seen; it is closed from the other side, or with the test.
                    if let Ok(mut peer) = call {
                        let _ = tokio::time::timeout(Duration::from_secs(2), peer.next()).await;
                    }
                });
            });
            stage.event("what is made of the key", |what| match what {
                What::Down { reason, .. } => *reason == SrtReason::KeyLength { wanted: 16, found: 32 } && length == 32,
                What::Up { .. } => length == 16,
                What::Refused { .. } | What::Failed { .. } | What::Member { .. } => false,
            });
            calling.join().unwrap();
        }
    });
}

#[test]
fn a_way_that_is_dark_for_two_seconds_is_no_end() {
    for_each(both_ways(), |backend, incoming| {
        let [port, way, feed] = [udp_port(), udp_port(), udp_port()];
        let plan = SrtPlan { ..srt(backend, Role::Listener) };
        let proxy = super::proxy::Proxy::start(way, local(port), 0, Duration::from_millis(20), 1);
        let sink = socket();
        let url = format!("srt://127.0.0.1:{way}?mode=caller&latency=120&transtype=live");
        let to = sink.local_addr().unwrap().port();
        let mut stage = if incoming { Stage::receiving(local(port), plan) } else { Stage::sending(local(port), plan) };
        let (_peer, from, sink) = if incoming {
            let from = socket();
            from.connect(local(feed)).unwrap();
            (Peer::transmit(&format!("udp://127.0.0.1:{feed}"), &url), from, stage.socket.try_clone().unwrap())
        } else {
            let peer = Peer::transmit(&url, &format!("udp://127.0.0.1:{to}"));
            (peer, stage.socket.try_clone().unwrap(), sink)
        };
        stage.until_up();
        // About a second, two of darkness, and two after it, of which the last one must be whole.
        let sending = thread::spawn(move || send(&from, 0, 6000));
        assert_eq!(receive(&sink, AHEAD, AHEAD + 199), 200);
        proxy.darken(true);
        thread::sleep(Duration::from_secs(2));
        proxy.darken(false);
        assert_eq!(receive(&sink, 5000, 5999), 1000, "{backend:?}");
        sending.join().unwrap();
        assert_eq!(stage.until_up().connected, 1, "{backend:?}");
    });
}
