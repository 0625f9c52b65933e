//! Peers that are neither libsrt's own tools nor ffmpeg: GStreamer, and srt-tokio, which shares nothing with the backends and
//! keeps to its own length of key whatever a listener says.

use std::process::Command;
use std::thread;
use std::time::Duration;

use changeover::config::{Backend, Role, SrtPlan};
use changeover::plane::{SrtReason, What};
use futures_util::StreamExt;
use srt_tokio::SrtSocket;

use super::process::udp_port;
use super::stage::{AHEAD, BOTH, Peer, Stage, encrypted, local, receive, send, socket, srt};

const COUNT: u32 = 500;
const SECRET: &str = "a long secret";

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

#[test]
fn gstreamer_sends_and_receives_every_byte() {
    for_each(both_ways(), |backend, incoming| {
        let (port, feed, sink) = (udp_port(), udp_port(), socket());
        let to = sink.local_addr().unwrap().port();
        let secret = SECRET.replace(' ', "-");
        let plan = encrypted(backend, Role::Listener, &secret, 16);
        let at = format!("uri=srt://127.0.0.1:{port} mode=caller latency=120 passphrase={secret} pbkeylen=16");
        let mut stage;
        let _peer;
        let (from, sink) = if incoming {
            stage = Stage::receiving(local(port), plan);
            _peer = pipeline(&format!("udpsrc address=127.0.0.1 port={feed} ! srtsink {at} sync=false streamid=news"));
            let from = socket();
            from.connect(local(feed)).unwrap();
            (from, stage.socket.try_clone().unwrap())
        } else {
            stage = Stage::sending(local(port), plan);
            _peer = pipeline(&format!("srtsrc {at} ! udpsink host=127.0.0.1 port={to} sync=false"));
            (stage.socket.try_clone().unwrap(), sink)
        };
        stage.until_up();
        let sending = thread::spawn(move || send(&from, 0, AHEAD + COUNT));
        assert_eq!(receive(&sink, AHEAD, AHEAD + COUNT - 1), COUNT, "{backend:?}");
        sending.join().unwrap();
    });
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
