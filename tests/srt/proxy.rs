//! A way that loses and delays datagrams, the same ones for the same seed.
#![allow(clippy::disallowed_methods, dead_code)]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Passes datagrams both ways between whoever sent to it last and one address.
pub(crate) struct Proxy {
    stop: Arc<AtomicBool>,
    dark: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
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

impl Proxy {
    /// From `port` to `to` and back, each way losing `loss` of a thousand and taking `delay`.
    pub(crate) fn start(port: u16, to: SocketAddr, loss: u64, delay: Duration, seed: u64) -> Self {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        far.connect(to).unwrap();
        for socket in [&near, &far] {
            let socket = socket2::SockRef::from(socket);
            socket.set_recv_buffer_size(4 << 20).unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let dark = Arc::new(AtomicBool::new(false));
        // Who sent last: one that calls again does so from another port.
        let caller = Arc::new(Mutex::new(None));
        let mut threads = Vec::new();
        for there in [true, false] {
            let (from, onto) = if there { (&near, &far) } else { (&far, &near) };
            let (from, onto) = (from.try_clone().unwrap(), onto.try_clone().unwrap());
            let (stop, dark, caller) = (Arc::clone(&stop), Arc::clone(&dark), Arc::clone(&caller));
            let mut state = seed * 2 + u64::from(there) + 1;
            threads.push(thread::spawn(move || {
                let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
                let mut bytes = [0; 2048];
                while !stop.load(Ordering::Relaxed) {
                    from.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                    if let Ok((len, sender)) = from.recv_from(&mut bytes) {
                        if there {
                            *caller.lock().unwrap() = Some(sender);
                        }
                        if next(&mut state) % 1000 >= loss && !dark.load(Ordering::Relaxed) {
                            under_way.push_back((Instant::now() + delay, bytes[..len].to_vec()));
                        }
                    }
                    while under_way.front().is_some_and(|(due, _)| *due <= Instant::now()) {
                        let Some((_, datagram)) = under_way.pop_front() else { break };
                        let _ = match *caller.lock().unwrap() {
                            Some(caller) if !there => onto.send_to(&datagram, caller),
                            _ => onto.send(&datagram),
                        };
                    }
                }
            }));
        }
        Self { stop, dark, threads }
    }

    /// Loses everything from now on, or no longer.
    pub(crate) fn darken(&self, dark: bool) {
        self.dark.store(dark, Ordering::Relaxed);
    }
}
