//! A way that loses and delays datagrams, the same ones for the same seed.
#![allow(clippy::disallowed_methods, dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::watch;

/// Passes datagrams both ways between one address and everybody who sends to it, each of whom is seen there by a port of his own.
pub(crate) struct Proxy {
    stop: Arc<AtomicBool>,
    loss: Arc<AtomicU64>,
    callers: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The next of a sequence of numbers that the seed makes.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn bound(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket.set_read_timeout(Some(IDLE)).unwrap();
    socket
}

/// How long a lane waits for more while something is under way, and while nothing is.
const BUSY: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_millis(50);

/// One direction.
struct Lane {
    /// When each is due, and whose it is.
    under_way: VecDeque<(Instant, SocketAddr, Vec<u8>)>,
    state: u64,
    loss: Arc<AtomicU64>,
    delay: Duration,
    /// How long its socket waits.
    waits: Duration,
}

impl Lane {
    /// Has `socket` wait no longer than what is under way allows.
    fn wait_at(&mut self, socket: &UdpSocket) {
        let waits = if self.under_way.is_empty() { IDLE } else { BUSY };
        if std::mem::replace(&mut self.waits, waits) != waits {
            socket.set_read_timeout(Some(waits)).unwrap();
        }
    }

    fn take(&mut self, caller: SocketAddr, bytes: &[u8]) {
        if next(&mut self.state) % 1000 >= self.loss.load(Ordering::Relaxed) {
            self.under_way.push_back((Instant::now() + self.delay, caller, bytes.to_vec()));
        }
    }

    fn send_due(&mut self, send: impl Fn(SocketAddr, &[u8])) {
        while self.under_way.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            let Some((due, caller, datagram)) = self.under_way.pop_front() else { break };
            watch::went_on(due);
            send(caller, &datagram);
        }
    }
}

impl Proxy {
    /// From `port` to `to` and back, each way losing `loss` of a thousand and taking `delay`.
    pub(crate) fn start(port: u16, to: SocketAddr, loss: u64, delay: Duration, seed: u64) -> Self {
        let near = bound(port);
        let (stop, loss) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(loss)));
        let callers = Arc::new(AtomicUsize::new(0));
        let (stopped, losing, count) = (Arc::clone(&stop), Arc::clone(&loss), Arc::clone(&callers));
        let lane = move |there: bool| {
            let (state, loss) = (seed * 2 + u64::from(there) + 1, Arc::clone(&losing));
            Lane { under_way: VecDeque::new(), state, loss, delay, waits: IDLE }
        };
        let runs = move || !stopped.load(Ordering::Relaxed);
        let pass = move || {
            let mut callers: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
            let (near, runs) = (&near, &runs);
            thread::scope(|scope| {
                let (mut bytes, mut there) = ([0; 2048], lane(true));
                while runs() {
                    there.wait_at(near);
                    if let Ok((len, caller)) = near.recv_from(&mut bytes) {
                        callers.entry(caller).or_insert_with(|| {
                            let far = bound(0);
                            far.connect(to).unwrap();
                            count.fetch_add(1, Ordering::Relaxed);
                            let (from, mut back) = (far.try_clone().unwrap(), lane(false));
                            scope.spawn(move || {
                                let mut bytes = [0; 2048];
                                while runs() {
                                    back.wait_at(&from);
                                    if let Ok(len) = from.recv(&mut bytes) {
                                        back.take(caller, &bytes[..len]);
                                    }
                                    back.send_due(|caller, datagram| drop(near.send_to(datagram, caller)));
                                }
                            });
                            far
                        });
                        there.take(caller, &bytes[..len]);
                    }
                    there.send_due(|caller, datagram| drop(callers[&caller].send(datagram)));
                }
            });
        };
        Self { stop, loss, callers, thread: Some(thread::spawn(pass)) }
    }

    /// How many have sent something so far.
    pub(crate) fn callers(&self) -> usize {
        self.callers.load(Ordering::Relaxed)
    }

    /// Loses so many of a thousand from now on.
    pub(crate) fn lose(&self, loss: u64) {
        self.loss.store(loss, Ordering::Relaxed);
    }
}
