//! SRT under what the network can do to it: listeners under what anybody can send them while sessions run, and connections
//! whose ways fail.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail anywhere")]

#[path = "srt/bond.rs"]
mod bond;
mod process;
#[path = "srt/proxy.rs"]
mod proxy;
#[path = "srt/stage.rs"]
#[allow(dead_code)]
mod stage;
#[path = "srt/watch.rs"]
mod watch;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use changeover::config::{Backend, Role, Secret, SrtPlan};
use changeover::plane::SrtStatus;
use changeover::units::Span;

use process::udp_port;
use stage::{AHEAD, Peer, Stage, local, receive, send, socket, srt};

/// Datagrams of chance.
const RANDOM: u32 = 100_000;
/// Handshakes that are begun, each from a port of its own, and never ended.
const BEGUN: u16 = 10_000;
/// What memory may grow by.
const GROWTH: i64 = 8 << 20;
/// Messages of each session while this lasts.
const MESSAGES: u32 = 7000;
const SECRET: &str = "a long secret";
/// Memory is that of the process, so that one test has it at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next of a sequence of numbers that the seed makes.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A handshake of `kind` (draft-sharabayko-srt 3.2.1), with its extension field and what is behind its fixed part.
fn handshake(kind: u32, version: u32, field: u32, cookie: u32, extensions: &[u8]) -> Vec<u8> {
    let mut words = vec![0x8000_0000, 0, 1, 0];
    words.extend([version, field, 0x1234_5678, 1500, 8192, kind, 0x0BAD_CAFE, cookie, 0x7F00_0001, 0, 0, 0]);
    let mut bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    bytes.extend_from_slice(extensions);
    bytes
}

/// An extension that says that it has so many words.
fn extension(kind: u16, words: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &words.to_be_bytes(), content].concat()
}

/// What every caller sends: its version, its abilities, its latency.
fn request() -> Vec<u8> {
    extension(1, 3, &[0, 1, 5, 1, 0, 0, 0, 0xBF, 0, 120, 0, 120])
}

const INDUCTION: u32 = 1;
const CONCLUSION: u32 = 0xFFFF_FFFF;

/// The cookie that the listener gives to `from`; none if its answer is lost.
fn cookie(from: &UdpSocket, to: SocketAddr) -> Option<u32> {
    from.send_to(&handshake(INDUCTION, 4, 2, 0, &[]), to).unwrap();
    let mut bytes = [0; 2048];
    let len = from.recv(&mut bytes).ok()?;
    Some(u32::from_be_bytes(bytes[..len].get(44..48)?.try_into().unwrap()))
}

/// The memory that is resident, in bytes.
fn resident() -> i64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap();
    told.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
}

fn plan(backend: Backend, secret: Option<&str>) -> SrtPlan {
    // The flood fills the kernel's buffer now and then, and what is lost so must be sent again.
    let latency = Span::from_secs(1);
    SrtPlan { passphrase: secret.and_then(Secret::new), latency, ..srt(backend, Role::Listener) }
}

fn random(to: [SocketAddr; 2], seed: u64) {
    let from = socket();
    let mut state = seed;
    for n in 0..RANDOM {
        let len = next(&mut state) % 1500;
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next(&mut state).to_be_bytes()).collect();
        // Half of them are for the listener itself, and a quarter handshakes as far as their first words say.
        if n % 2 == 0 && bytes.len() >= 16 {
            bytes[12..16].fill(0);
        }
        if n % 4 == 0 && bytes.len() >= 16 {
            bytes[..4].copy_from_slice(&[0x80, 0, 0, 0]);
        }
        from.send_to(&bytes, to[(n % 2) as usize]).unwrap();
        if n % 32 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Each extension with content of every kind of wrong length, and key material that ends early.
fn extensions(to: [SocketAddr; 2], seed: u64) {
    let from = socket();
    let mut state = seed;
    for to in to {
        let cookie = cookie(&from, to).unwrap_or(0);
        for kind in (0..=12).chain([0x7FFF, 0xFFFF]) {
            for words in [0, 1, 3, 18, 128, 0xFFFF] {
                for given in [0, 1, 4, 12, 72, 512] {
                    let content: Vec<u8> = (0..given).map(|_| next(&mut state).to_be_bytes()[0]).collect();
                    let both = [request(), extension(kind, words, &content)].concat();
                    for field in [1, 3, 5, 7, 0xFFFF] {
                        from.send_to(&handshake(CONCLUSION, 5, field, cookie, &both), to).unwrap();
                    }
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
        // Version 1, type 2, its sign, one key, AES-CTR, a salt of 16 bytes and a key of 16 (6.1.2): but for the rest.
        let whole = [&[0x12, 0x20, 0x29, 1, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 4, 4][..], &[7; 40]].concat();
        for len in 0..=whole.len() {
            let words = u16::try_from(len.div_ceil(4)).unwrap();
            let both = [request(), extension(3, words, &whole[..len])].concat();
            from.send_to(&handshake(CONCLUSION, 5, 3, cookie, &both), to).unwrap();
        }
    }
}

/// Begins a handshake from a new socket; whether the listener answered.
fn begin_one(from: &UdpSocket, to: SocketAddr) -> bool {
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let cookie = cookie(from, to);
    if let Some(cookie) = cookie {
        from.send_to(&handshake(CONCLUSION, 5, 1, cookie, &request()), to).unwrap();
    }
    cookie.is_some()
}

/// Begins handshakes; how many went as far as they were meant to. Most of the callers never come back.
fn begin(to: [SocketAddr; 2], handshakes: u16, seen: &mut i64) -> usize {
    let mut count = 0;
    let mut port = 20_000;
    for n in 0..handshakes {
        let from = loop {
            port += 1;
            if let Ok(socket) = UdpSocket::bind(local(port)) {
                break socket;
            }
        };
        count += usize::from(begin_one(&from, to[usize::from(n % 2)]));
        if n % 64 == 0 {
            *seen = resident().max(*seen);
        }
    }
    count
}

#[test]
fn sessions_go_on_whatever_else_comes_and_memory_stays() {
    let _alone = alone();
    for backend in [Backend::Rsrt, Backend::Libsrt] {
        let ports = [udp_port(), udp_port()];
        let secrets = [None, Some(SECRET)];
        let feeds = [udp_port(), udp_port()];
        let mut sessions = Vec::new();
        for ((port, secret), feed) in ports.into_iter().zip(secrets).zip(feeds) {
            let mut stage = Stage::receiving(local(port), plan(backend, secret));
            let key = secret.map_or_else(String::new, |secret| format!("&passphrase={secret}"));
            let url = format!("srt://127.0.0.1:{port}?mode=caller&latency=1000&transtype=live{key}");
            let peer = Peer::transmit(&format!("udp://127.0.0.1:{feed}"), &url);
            stage.until_up();
            sessions.push((stage, peer));
        }
        let to = ports.map(local);
        thread::scope(|scope| {
            let mut counts = Vec::new();
            for ((stage, _), feed) in sessions.iter().zip(feeds) {
                let sender = socket();
                sender.connect(local(feed)).unwrap();
                scope.spawn(move || send(&sender, 0, AHEAD + MESSAGES));
                let sink = stage.socket.try_clone().unwrap();
                counts.push(scope.spawn(move || receive(&sink, AHEAD, AHEAD + MESSAGES - 1)));
            }
            // The sessions have what memory they need once they run.
            thread::sleep(Duration::from_millis(2500));
            let before = resident();
            let mut most = before;
            random(to, 7);
            most = most.max(resident());
            let random = most - before;
            extensions(to, 11);
            most = most.max(resident());
            let extensions = most - before;
            let begun = begin(to, BEGUN, &mut most);
            let growth = most - before;
            let counts: Vec<_> = counts.into_iter().map(|count| count.join().unwrap()).collect();
            println!(
                "{backend:?}: {} KiB after random datagrams, {} after extensions, {} at most after {begun} half-open handshakes",
                random >> 10,
                extensions >> 10,
                growth >> 10
            );
            assert_eq!(counts, [MESSAGES; 2], "{backend:?}");
            assert!(growth <= GROWTH, "{backend:?}: memory grew by {growth} bytes");
            assert!(begun > usize::from(BEGUN) * 9 / 10, "{backend:?}: only {begun} were answered");
        });
        for (stage, _) in &mut sessions {
            let told = stage.until("figures", |status| status.connections.len() == 1);
            assert_eq!(told.overflow, 0, "{backend:?}");
        }
    }
}

/// With rsrt, which tells nobody apart before it has let them in, a flood can have all places of an output.
#[test]
fn a_flood_from_one_address_keeps_no_other_out() {
    let _alone = alone();
    let port = udp_port();
    let plan = SrtPlan { callers: 5, ..srt(Backend::Libsrt, Role::Listener) };
    let mut stage = Stage::sending(local(port), plan);
    let (feed, done) = (stage.socket.try_clone().unwrap(), AtomicBool::new(false));
    let before = resident();
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                count += usize::from(begin_one(&UdpSocket::bind(local(0)).unwrap(), local(port)));
            }
            count
        });
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                send(&feed, n, 10);
                n += 10;
            }
        });
        // The flood has what it can have.
        stage.until("callers that say nothing", |status| status.connected >= 4);
        let url = format!("srt://127.0.0.1:{port}?mode=caller&adapter=127.0.0.2&transtype=live");
        let _peer = Peer::transmit(&url, &format!("udp://127.0.0.1:{}", udp_port()));
        let another = |status: &SrtStatus| {
            let mut there = status.connections.iter().flatten();
            there.any(|told| told.peer.ip() != local(0).ip() && told.packets > 1000)
        };
        stage.until("another caller", another);
        done.store(true, Ordering::Relaxed);
        let (flood, growth) = (flood.join().unwrap(), resident() - before);
        println!("another caller came in beside {flood} handshakes, and memory grew by {} KiB", growth >> 10);
    });
}
