//! SRT in and out of a shard, against other programs.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "srt/peers.rs"]
mod peers;
mod process;
#[path = "srt/proxy.rs"]
mod proxy;
#[path = "srt/stage.rs"]
mod stage;

use std::thread;
use std::time::{Duration, Instant};

use changeover::config::{Access, Backend, Role, Second, Secret, SrtPlan};
use changeover::plane::{Refusal, Rejection, Shard, ShardSetup, SrtReason, SrtState, What};
use changeover::units::Span;

use process::udp_port;
use proxy::Proxy;
use stage::{AHEAD, BOTH, Peer, Stage, datagram, encrypted, local, receive, send, socket, srt};

const COUNT: u32 = 1000;

/// The peer's side of what a plan says, for `srt-live-transmit`.
fn peer_url(plan: &SrtPlan, port: u16) -> String {
    let (host, mode) = match plan.role {
        Role::Caller => ("", "listener"),
        Role::Listener => ("127.0.0.1", "caller"),
        Role::Rendezvous => ("127.0.0.1", "rendezvous&adapter=127.0.0.2"),
    };
    let mut url = format!("srt://{host}:{port}?mode={mode}&latency=120&transtype=live");
    if let Some(passphrase) = &plan.passphrase {
        let length = plan.key_length.unwrap_or(16);
        url += &format!("&passphrase={}&pbkeylen={length}", passphrase.reveal());
    }
    if plan.role == Role::Listener {
        url += "&streamid=news";
    }
    url
}

/// Every role that each backend has, without encryption and with both lengths of key.
fn plans() -> Vec<SrtPlan> {
    let mut plans = Vec::new();
    for backend in BOTH {
        for role in [Role::Caller, Role::Listener, Role::Rendezvous] {
            let stream_id = (role == Role::Caller).then(|| "news".to_owned());
            plans.push(SrtPlan { stream_id: stream_id.clone(), ..srt(backend, role) });
            for length in [16, 32] {
                plans.push(SrtPlan {
                    stream_id: stream_id.clone(),
                    ..encrypted(backend, role, "a long secret", length)
                });
            }
        }
    }
    plans.retain(|plan| plan.backend != Backend::Rsrt || plan.beyond_rsrt(local(0)).is_none());
    plans
}

fn address(plan: &SrtPlan, port: u16) -> std::net::SocketAddr {
    if plan.role == Role::Rendezvous { ([127, 0, 0, 2], port).into() } else { local(port) }
}

#[test]
fn inputs_of_every_role_receive_every_byte() {
    thread::scope(|scope| {
        for plan in plans() {
            scope.spawn(move || {
                let (port, feed) = (udp_port(), udp_port());
                let mut stage = Stage::receiving(address(&plan, port), plan.clone());
                let _peer = Peer::transmit(&format!("udp://127.0.0.1:{feed}"), &peer_url(&plan, port));
                let told = stage.until_up();
                let figures = told.connections[0].unwrap();
                assert_eq!(figures.latency, Span::from_millis(120));
                let What::Up { stream_id, .. } = stage.event("a connection", |what| matches!(what, What::Up { .. }))
                else {
                    panic!("{:?}", stage.events)
                };
                assert_eq!(stream_id.as_deref(), (plan.role != Role::Rendezvous).then_some("news"));
                let sender = socket();
                sender.connect(local(feed)).unwrap();
                let sending = thread::spawn(move || send(&sender, 0, AHEAD + COUNT));
                let count = receive(&stage.socket, AHEAD, AHEAD + COUNT - 1);
                assert_eq!(count, COUNT, "{plan:?}");
                sending.join().unwrap();
                let key = plan.key_length.unwrap_or(0);
                let told = stage.until("all packets counted", |status| {
                    status.connections[0]
                        .is_some_and(|it| it.packets == u64::from(AHEAD + COUNT) && it.key_length == key)
                });
                assert_eq!((told.overflow, told.refused, told.events_lost), (0, 0, 0));
            });
        }
    });
}

#[test]
fn outputs_of_every_role_send_every_byte() {
    thread::scope(|scope| {
        for plan in plans() {
            scope.spawn(move || {
                let port = udp_port();
                let mut stage = Stage::sending(address(&plan, port), plan.clone());
                let sink = socket();
                let to = sink.local_addr().unwrap().port();
                let _peer = Peer::transmit(&peer_url(&plan, port), &format!("udp://127.0.0.1:{to}"));
                stage.until_up();
                let sender = stage.socket.try_clone().unwrap();
                let sending = thread::spawn(move || send(&sender, 0, AHEAD + COUNT));
                assert_eq!(receive(&sink, AHEAD, AHEAD + COUNT - 1), COUNT, "{plan:?}");
                sending.join().unwrap();
                // What was ahead may have been lost on its way to the channel's start.
                stage.until("all packets counted", |status| {
                    status.connections[0].is_some_and(|it| it.packets >= u64::from(COUNT) && it.left_out == 0)
                });
                assert_eq!(stage.handle.snapshot().outputs[0][0].unavailable, 0);
            });
        }
    });
}

#[test]
fn who_may_not_come_in_is_told_why_and_the_listener_lives() {
    thread::scope(|scope| {
        for backend in BOTH {
            scope.spawn(move || refuse(backend));
        }
    });
}

fn refuse(backend: Backend) {
    let port = udp_port();
    let studio =
        Access { stream_id: Some("studio".to_owned()), from: Vec::new(), passphrase: Secret::new("of the studio") };
    let plan = SrtPlan { access: vec![studio], key_length: Some(16), ..srt(backend, Role::Listener) };
    let mut stage = Stage::receiving(local(port), plan);
    let feed = udp_port();
    let call = |rest: &str| {
        let to = format!("srt://127.0.0.1:{port}?mode=caller&{rest}");
        Peer::transmit(&format!("udp://127.0.0.1:{feed}"), &to)
    };
    // libsrt does not say what was wrong. rsrt does, but asks the rules only of those who have the passphrase.
    let (secret, none, id) = match backend {
        Backend::Rsrt => (Rejection::BAD_SECRET, Rejection::UNSECURE, "of the studio"),
        Backend::Auto | Backend::Libsrt => (Rejection::UNKNOWN, Rejection::UNKNOWN, "whatever it is"),
    };
    for (rest, want) in [
        (format!("streamid=other&passphrase={id}"), Refusal::StreamId),
        ("streamid=studio&passphrase=another one".to_owned(), Refusal::Handshake(secret)),
        ("streamid=studio".to_owned(), Refusal::Handshake(none)),
    ] {
        let _peer = call(&rest);
        // The one before may have called more than once.
        stage.event("a refusal", |what| matches!(what, What::Refused { reason, .. } if *reason == want));
    }
    assert_eq!(stage.until("a listener", |status| status.refused >= 3).state, SrtState::Listening);
    // libsrt takes the length that the listener tells it; one that does not is refused as soon as it is known.
    let _peer = call("streamid=studio&passphrase=of the studio");
    stage.until_up();
    let sender = socket();
    sender.connect(local(feed)).unwrap();
    let sending = thread::spawn(move || send(&sender, 0, AHEAD + 100));
    assert_eq!(receive(&stage.socket, AHEAD, AHEAD + 99), 100);
    sending.join().unwrap();
}

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

/// For how long a peer that was killed is gone.
const AWAY: Duration = Duration::from_secs(3);

#[test]
fn a_peer_that_was_killed_is_heard_a_second_after_it_comes_back() {
    thread::scope(|scope| {
        for backend in BOTH {
            for role in [Role::Caller, Role::Listener] {
                for incoming in [true, false] {
                    scope.spawn(move || comes_back(backend, role, incoming));
                }
            }
        }
    });
}

#[allow(clippy::disallowed_methods, reason = "the time until it is heard is what is tested")]
fn comes_back(backend: Backend, role: Role, incoming: bool) {
    let (port, feed, sink) = (udp_port(), udp_port(), socket());
    // The dead connection stands in the way of the new one.
    let plan = SrtPlan { callers: 1, ..srt(backend, role) };
    let at = local(port);
    let mut stage = if incoming { Stage::receiving(at, plan.clone()) } else { Stage::sending(at, plan.clone()) };
    let (from, sink, udp) = if incoming {
        let from = socket();
        from.connect(local(feed)).unwrap();
        (from, stage.socket.try_clone().unwrap(), format!("udp://127.0.0.1:{feed}"))
    } else {
        let to = sink.local_addr().unwrap();
        (stage.socket.try_clone().unwrap(), sink, format!("udp://{to}"))
    };
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let feeding = thread::spawn(move || {
        for n in 0.. {
            let _ = from.send(&datagram(n));
            if stopped.recv_timeout(Duration::from_millis(2)) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let url = peer_url(&plan, port);
    let mut bytes = [0; 2048];
    for life in 0..2 {
        let peer = if incoming { Peer::transmit(&udp, &url) } else { Peer::transmit(&url, &udp) };
        let start = Instant::now();
        process::wait_for("a datagram", || sink.recv(&mut bytes).ok());
        let passed = start.elapsed();
        assert!(life == 0 || passed < Duration::from_secs(1), "{passed:?}: {plan:?} {incoming}");
        for _ in 0..500 {
            process::wait_for("more of them", || sink.recv(&mut bytes).ok());
        }
        stage.event("a connection", |what| matches!(what, What::Up { .. }));
        peer.signal("KILL");
        thread::sleep(AWAY);
        while sink.recv(&mut bytes).is_ok() {}
    }
    let ends = stage.events.iter().filter(|event| matches!(event.what, What::Down { .. }));
    assert_eq!(ends.count(), 1, "{:?}", stage.events);
    drop(stop);
    feeding.join().unwrap();
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
    let plan = SrtPlan { callers: 3, ..srt(backend, Role::Listener) };
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
fn what_is_lost_on_the_way_is_sent_again() {
    const MESSAGES: u32 = 7000;
    let cases = BOTH.into_iter().flat_map(|backend| [20, 50].map(|loss| (backend, loss)));
    thread::scope(|scope| {
        for (number, (backend, loss)) in (1_u64..).zip(cases) {
            for incoming in [true, false] {
                scope.spawn(move || {
                    let [port, way, feed] = [udp_port(), udp_port(), udp_port()];
                    let plan = SrtPlan { latency: Span::from_millis(200), ..srt(backend, Role::Listener) };
                    let delay = Duration::from_millis(20);
                    let _proxy = Proxy::start(way, local(port), loss, delay, number);
                    let (at, sink) = (local(port), socket());
                    let mut stage = if incoming { Stage::receiving(at, plan) } else { Stage::sending(at, plan) };
                    let url = format!("srt://127.0.0.1:{way}?mode=caller&latency=200&transtype=live");
                    let to = sink.local_addr().unwrap().port();
                    let _peer = if incoming {
                        Peer::transmit(&format!("udp://127.0.0.1:{feed}"), &url)
                    } else {
                        Peer::transmit(&url, &format!("udp://127.0.0.1:{to}"))
                    };
                    stage.until_up();
                    let sender = if incoming { socket() } else { stage.socket.try_clone().unwrap() };
                    if incoming {
                        sender.connect(local(feed)).unwrap();
                    }
                    let sending = thread::spawn(move || send(&sender, 0, AHEAD + MESSAGES));
                    let sink = if incoming { &stage.socket } else { &sink };
                    let count = receive(sink, AHEAD, AHEAD + MESSAGES - 1);
                    sending.join().unwrap();
                    let told = stage.until("figures", |status| {
                        status.connections[0].is_some_and(|it| it.packets >= u64::from(MESSAGES))
                    });
                    let figures = told.connections[0].unwrap();
                    assert!(count + 1 >= MESSAGES, "{count} of {MESSAGES} at {loss} of 1000: {figures:?}");
                    // A half of what is to be expected, since a way may be kind.
                    assert!(figures.lost * 2000 > u64::from(MESSAGES) * loss, "{figures:?}");
                    assert!(figures.retransmitted > 0, "{figures:?}");
                    // rsrt does not measure the round trip where it only sends.
                    let untold = backend == Backend::Rsrt && !incoming;
                    assert!(untold || figures.rtt > Span::from_millis(35), "{figures:?}");
                });
            }
        }
    });
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
