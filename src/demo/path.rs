//! The way of the backup where it comes by SRT: a network that loses datagrams and takes its time, in both directions.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::fault::Dice;

/// Of a thousand datagrams so many are lost, each way.
pub(super) const LOSS: u32 = 30;
/// How long each datagram takes.
const DELAY: Duration = Duration::from_millis(10);
/// How long one look for datagrams lasts: they leave at most this much later than they should.
const LOOK: Duration = Duration::from_millis(1);
/// Longer than any datagram of SRT.
const LONGEST: usize = 2048;

/// Passes datagrams between whoever calls it and one address.
#[derive(Debug)]
pub(super) struct LossyPath {
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

/// One direction of it.
struct Lane {
    from: UdpSocket,
    onto: UdpSocket,
    /// Who called, to whom the answers go; on the way there it is learned.
    caller: Arc<OnceLock<SocketAddr>>,
    is_there: bool,
    dice: Dice,
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

impl LossyPath {
    /// Opens it from `at` to `to`.
    ///
    /// # Errors
    /// When sockets or threads cannot be had.
    pub(super) fn open(at: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let near = UdpSocket::bind(at)?;
        let far = UdpSocket::bind(SocketAddr::new(at.ip(), 0))?;
        far.connect(to)?;
        let (stop, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut it = Self { stop: Arc::clone(&stop), lost: Arc::clone(&lost), threads: Vec::new() };
        let caller = Arc::new(OnceLock::new());
        for is_there in [true, false] {
            let (from, onto) = if is_there { (&near, &far) } else { (&far, &near) };
            let (from, onto) = (from.try_clone()?, onto.try_clone()?);
            from.set_read_timeout(Some(LOOK))?;
            let mut dice = Dice::new();
            if !is_there {
                // Other losses than on the way there.
                dice.roll();
            }
            let (caller, stop, lost) = (Arc::clone(&caller), Arc::clone(&stop), Arc::clone(&lost));
            let lane = Lane { from, onto, caller, is_there, dice, stop, lost };
            it.threads.push(thread::Builder::new().name("lossy path".to_owned()).spawn(move || lane.run())?);
        }
        Ok(it)
    }

    /// Datagrams that it has lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for LossyPath {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Lane {
    #[allow(clippy::disallowed_methods)] // A network is a machine of its own and lives by the clock.
    fn run(mut self) {
        let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let mut bytes = [0; LONGEST];
        while !self.stop.load(Ordering::Relaxed) {
            if let Ok((len, sender)) = self.from.recv_from(&mut bytes) {
                if self.is_there {
                    self.caller.get_or_init(|| sender);
                }
                if self.dice.roll() % 1000 < LOSS {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                } else if let Some(datagram) = bytes.get(..len) {
                    waiting.push_back((Instant::now() + DELAY, datagram.to_vec()));
                }
            }
            while waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
                let Some((_, datagram)) = waiting.pop_front() else { break };
                // What the system does not take is lost as on any network.
                let _ = match self.caller.get() {
                    Some(caller) if !self.is_there => self.onto.send_to(&datagram, caller),
                    Some(_) | None => self.onto.send(&datagram),
                };
            }
        }
    }
}
