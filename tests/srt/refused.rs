//! Who may not come in, on both sides: what a listener tells of its callers, and what a caller is told.

use std::thread;
use std::time::Duration;

use changeover::config::{Access, Backend, Role, Secret, SrtPlan};
use changeover::plane::{Refusal, Rejection, SrtReason, SrtState, What};
use futures_util::StreamExt;
use srt_tokio::SrtSocket;

use super::peers::runtime;
use super::process::udp_port;
use super::proxy::Proxy;
use super::stage::{AHEAD, BOTH, Peer, Stage, encrypted, local, receive, send, socket, srt};

const SECRET: &str = "of the studio";

/// A listener for one stream.
fn studio(backend: Backend) -> SrtPlan {
    let rule = Access { stream_id: Some("studio".to_owned()), from: Vec::new(), passphrase: Secret::new(SECRET) };
    SrtPlan { access: vec![rule], key_length: Some(16), ..srt(backend, Role::Listener) }
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
    let mut stage = Stage::receiving(local(port), studio(backend));
    let feed = udp_port();
    let call = |rest: &str| {
        let to = format!("srt://127.0.0.1:{port}?mode=caller&{rest}");
        Peer::transmit(&format!("udp://127.0.0.1:{feed}"), &to)
    };
    // libsrt does not say what was wrong. rsrt does, but asks the rules only of those who have the passphrase.
    let (secret, none, id) = match backend {
        Backend::Rsrt => (Rejection::BAD_SECRET, Rejection::UNSECURE, SECRET),
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
    stage.until("a listener", |status| status.refused >= 3 && status.state == SrtState::Listening);
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
fn a_key_of_another_length_is_refused_and_the_listener_lives() {
    thread::scope(|scope| {
        for backend in BOTH {
            scope.spawn(move || other_key(backend));
        }
    });
}

/// srt-tokio keeps to its own length of key whatever a listener says.
fn other_key(backend: Backend) {
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
}

/// What is wrong with a caller of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Passphrase,
    NoPassphrase,
    KeyLength,
    StreamId,
}

/// Who refuses it: one of ours, or srt-live-transmit, which has no rules for stream ids.
type Listener = Option<Backend>;

#[test]
fn a_caller_is_told_why_it_is_refused_and_calls_more_and_more_rarely() {
    let mut cases = Vec::new();
    for backend in BOTH {
        for listener in [None, Some(Backend::Libsrt), Some(Backend::Rsrt)] {
            for wrong in [Wrong::Passphrase, Wrong::NoPassphrase, Wrong::KeyLength, Wrong::StreamId] {
                if wrong != Wrong::StreamId || listener.is_some() {
                    cases.extend([true, false].map(|incoming| (backend, listener, wrong, incoming)));
                }
            }
        }
    }
    // Each has some 25 files open.
    for some in cases.chunks(11) {
        thread::scope(|scope| {
            for &(backend, listener, wrong, incoming) in some {
                scope.spawn(move || is_refused(backend, listener, wrong, incoming));
            }
        });
    }
}

/// How long the calls are counted, and how many there are at most: pauses double from 100 ms, less a quarter.
const COUNTED: Duration = Duration::from_secs(3);
const CALLS: usize = 6;

fn is_refused(backend: Backend, listener: Listener, wrong: Wrong, incoming: bool) {
    let case = format!("{backend:?} calls {listener:?}, {wrong:?}, incoming: {incoming}");
    let [port, near] = [udp_port(), udp_port()];
    let at = local(port);
    let ours = listener.map(|other| match incoming {
        true => Stage::sending(at, studio(other)),
        false => Stage::receiving(at, studio(other)),
    });
    let _theirs = listener.is_none().then(|| {
        let srt = format!("srt://:{port}?mode=listener&passphrase={SECRET}&pbkeylen=16");
        let udp = format!("udp://127.0.0.1:{}", udp_port());
        if incoming { Peer::transmit(&udp, &srt) } else { Peer::transmit(&srt, &udp) }
    });
    // It sees every call, since each comes from a port of its own.
    let way = Proxy::start(near, at, 0, Duration::ZERO, 1);
    let (secret, key_length, stream_id) = match wrong {
        Wrong::Passphrase => (Some("of another one"), Some(16), "studio"),
        Wrong::NoPassphrase => (None, None, "studio"),
        Wrong::KeyLength => (Some(SECRET), Some(32), "studio"),
        Wrong::StreamId => (Some(SECRET), Some(16), "other"),
    };
    let plan = SrtPlan {
        passphrase: secret.and_then(Secret::new),
        key_length,
        stream_id: Some(stream_id.to_owned()),
        ..srt(backend, Role::Caller)
    };
    let mut stage = if incoming { Stage::receiving(local(near), plan) } else { Stage::sending(local(near), plan) };
    let reason = match (wrong, listener) {
        (Wrong::Passphrase, _) => SrtReason::Rejected(Rejection::BAD_SECRET),
        (Wrong::NoPassphrase, _) => SrtReason::Rejected(Rejection::UNSECURE),
        (Wrong::KeyLength, _) => SrtReason::KeyLength { wanted: 32, found: 16 },
        // It knows the stream id only when it has let the caller in.
        (Wrong::StreamId, Some(Backend::Rsrt)) => SrtReason::Lost,
        (Wrong::StreamId, _) => SrtReason::Rejected(Rejection::NOT_FOUND),
    };
    let told = stage.event(&case, |what| match what {
        What::Failed { reason: told } | What::Down { reason: told, .. } => *told == reason,
        What::Up { .. } | What::Refused { .. } | What::Member { .. } => false,
    });
    thread::sleep(COUNTED);
    let calls = way.callers();
    // The next one would come after 4.7 seconds at the earliest, so that this may be late.
    assert!((2..=CALLS).contains(&calls), "{case}: {calls} calls, {:?}", stage.events);
    // What else comes between has its reason told again: a place that is not free yet, or that it was let in for a moment.
    if matches!(reason, SrtReason::Rejected(_)) {
        let again = stage.handle.srt_events.try_iter().filter(|event| event.what == told).count();
        assert_eq!(again, 0, "{case}");
    }
    if let Some(mut ours) = ours {
        ours.until(&case, |status| {
            status.state == SrtState::Listening && (wrong == Wrong::KeyLength || status.refused >= 2)
        });
    }
}
