//! SRT in and out of a shard, against other programs.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "srt/exact.rs"]
mod exact;
#[path = "srt/gone.rs"]
mod gone;
#[path = "srt/peers.rs"]
mod peers;
mod process;
#[path = "srt/proxy.rs"]
mod proxy;
#[path = "srt/refused.rs"]
mod refused;
#[path = "srt/stage.rs"]
mod stage;
#[path = "srt/watch.rs"]
mod watch;
#[path = "srt/ways.rs"]
mod ways;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use changeover::config::{Access, Backend, Role, Second, Secret, SrtPlan};
use changeover::plane::{Refusal, Shard, ShardSetup, SrtReason, SrtState, What};
use changeover::units::Span;

use process::udp_port;
use stage::{AHEAD, BOTH, Peer, Stage, datagram, encrypted, local, receive, send, socket, srt};

#[test]
fn a_second_publisher_is_refused_or_takes_over() {
    let cases = BOTH.into_iter().flat_map(|backend| [Second::Refuse, Second::TakeOver].map(|second| (backend, second)));
    thread::scope(|scope| {
        for (backend, second) in cases {
            scope.spawn(move || {
                let port = udp_port();
                let mut stage = Stage::receiving(local(port), SrtPlan { second, ..srt(backend, Role::Listener) });
                let feeds = [udp_port(), udp_port()];
                let call = |feed: u16| {
                    Peer::transmit(&format!("udp://127.0.0.1:{feed}"), &format!("srt://127.0.0.1:{port}?mode=caller"))
                };
                let _first = call(feeds[0]);
                stage.until_up();
                let sender = socket();
                let (stop, stopped) = std::sync::mpsc::channel::<()>();
                let feeding = thread::spawn(move || {
                    for n in 0.. {
                        for feed in feeds {
                            sender.send_to(&datagram(n), local(feed)).unwrap();
                        }
                        let pause = Duration::from_millis(5);
                        if stopped.recv_timeout(pause) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                            return;
                        }
                    }
                });
                stage.until("data", |status| status.connections[0].is_some_and(|it| it.packets > 10));
                let _second = call(feeds[1]);
                match second {
                    Second::Refuse => {
                        stage
                            .event("a refusal", |what| matches!(what, What::Refused { reason: Refusal::Occupied, .. }));
                        assert_eq!(stage.until_up().connected, 1);
                    }
                    Second::TakeOver => {
                        stage.event("the end of the first", |what| {
                            matches!(what, What::Down { reason: SrtReason::Replaced, .. })
                        });
                        stage.until("the second", |status| status.connected >= 2 && status.state == SrtState::Up);
                    }
                }
                drop(stop);
                feeding.join().unwrap();
            });
        }
    });
}

#[test]
fn a_listening_output_serves_several_callers_and_drops_the_slow_one() {
    thread::scope(|scope| {
        for backend in BOTH {
            scope.spawn(move || serve(backend));
        }
    });
}

fn serve(backend: Backend) {
    let port = udp_port();
    // Every message is to come, however long the machine stands still on the way.
    let plan = SrtPlan { callers: 3, latency: Span::from_secs(1), buffer: 4 << 20, ..srt(backend, Role::Listener) };
    let mut stage = Stage::sending(local(port), plan);
    let sinks = [socket(), socket(), socket()];
    let call =
        |to: u16| Peer::transmit(&format!("srt://127.0.0.1:{port}?mode=caller"), &format!("udp://127.0.0.1:{to}"));
    let peers: Vec<_> = sinks.iter().map(|sink| call(sink.local_addr().unwrap().port())).collect();
    stage.until("three callers", |status| status.connections.iter().flatten().count() == 3);
    let _fourth = call(udp_port());
    stage.event("a refusal", |what| matches!(what, What::Refused { reason: Refusal::Full, .. }));
    peers[2].signal("STOP");
    let sender = stage.socket.try_clone().unwrap();
    let sending = thread::spawn(move || send(&sender, 0, AHEAD + 6000));
    let receiving: Vec<_> = sinks.iter().take(2).map(|sink| sink.try_clone().unwrap()).collect();
    let counts: Vec<_> =
        receiving.into_iter().map(|sink| thread::spawn(move || receive(&sink, AHEAD, AHEAD + 5999))).collect();
    stage.event("the end of the slow one", |what| {
        matches!(what, What::Down { reason: SrtReason::Slow | SrtReason::Silent | SrtReason::Lost, .. })
    });
    for count in counts {
        assert_eq!(count.join().unwrap(), 6000);
    }
    sending.join().unwrap();
}

#[test]
fn what_the_kernel_drops_at_a_listener_is_counted() {
    for backend in BOTH {
        let port = udp_port();
        let mut stage = Stage::receiving(local(port), srt(backend, Role::Listener));
        stage.until("a count", |status| status.kernel_drops == Some(0));
        let full = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let sender = socket();
                    while !full.load(Ordering::Relaxed) {
                        // Of no session, for which nothing is done but to take it out of the queue.
                        let _ = sender.send_to(&[0; 64], local(port));
                    }
                });
            }
            stage.until("drops", |status| status.kernel_drops > Some(0));
            full.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn what_cannot_be_opened_is_said_clearly() {
    let taken = socket();
    let port = taken.local_addr().unwrap().port();
    let open = |plan: SrtPlan| {
        let setup = ShardSetup {
            engine: changeover::engine::Setup {
                channels: vec![changeover::engine::ChannelSetup {
                    inputs: vec![changeover::engine::InputSetup::default()],
                    ..changeover::engine::ChannelSetup::default()
                }],
            },
            inputs: vec![stage::input(local(port), Some(plan))],
            outputs: vec![Vec::new()],
            ..ShardSetup::default()
        };
        Shard::open(&setup).unwrap_err().to_string()
    };
    for backend in BOTH {
        let said = open(srt(backend, Role::Listener));
        assert!(said.contains("is in use by another program"), "{said}");
    }
    let rule = |passphrase| Access { stream_id: None, from: Vec::new(), passphrase: Secret::new(passphrase) };
    let access = vec![rule("of the first one"), rule("of the second one")];
    for (plan, what) in [
        (srt(Backend::Rsrt, Role::Rendezvous), "a rendezvous"),
        (SrtPlan { access, ..srt(Backend::Rsrt, Role::Listener) }, "access rules with different passphrases"),
    ] {
        let said = open(plan);
        assert!(said.contains(&format!("`rsrt` cannot do {what}: write `libsrt`")), "{said}");
    }
}

#[test]
fn ffmpeg_sends_to_an_input_and_receives_from_an_output() {
    thread::scope(|scope| {
        for backend in BOTH {
            scope.spawn(move || to_and_from_ffmpeg(backend));
        }
    });
}

fn to_and_from_ffmpeg(backend: Backend) {
    let [port, out] = [udp_port(), udp_port()];
    let passphrase = "a long secret";
    let mut ingest = Stage::receiving(local(port), encrypted(backend, Role::Listener, passphrase, 16));
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-loglevel", "quiet", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"])
        .args(["-c:v", "mpeg2video", "-b:v", "2M", "-f", "mpegts"])
        .arg(format!("srt://127.0.0.1:{port}?mode=caller&passphrase={passphrase}&pbkeylen=16&streamid=lab"));
    let _sender = Peer::spawn(ffmpeg, "ffmpeg");
    ingest.until("pictures", |status| status.connections[0].is_some_and(|it| it.packets > 200 && it.key_length == 16));

    let mut stage = Stage::sending(local(out), encrypted(backend, Role::Listener, passphrase, 32));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("received.ts");
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    let url = format!("srt://127.0.0.1:{out}?mode=caller&passphrase={passphrase}&pbkeylen=32");
    ffmpeg
        .args(["-nostdin", "-loglevel", "quiet", "-y", "-i", &url, "-map", "0", "-c", "copy", "-f", "mpegts"])
        .arg(&file);
    let _receiver = Peer::spawn(ffmpeg, "ffmpeg");
    stage.until_up();
    let sender = stage.socket.try_clone().unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    // What ffmpeg sent, as the first shard puts it out, is what the second one takes in.
    let from = ingest.socket.try_clone().unwrap();
    let relay = thread::spawn(move || {
        let mut bytes = [0; 2048];
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            if let Ok(len) = from.recv(&mut bytes) {
                sender.send(&bytes[..len]).unwrap();
            }
        }
    });
    process::wait_for("pictures in the file", || std::fs::metadata(&file).ok().filter(|file| file.len() > 100_000));
    drop(stop);
    relay.join().unwrap();
}
