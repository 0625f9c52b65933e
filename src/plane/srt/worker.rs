//! The threads that backends run on: with libsrt, which has threads of its own besides, one that receives and one that
//! sends for the whole process; with rsrt, one for each input and output.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use super::event::Reason;
use super::library::{Direction, Fault, Library, SocketId};
use super::link::Link;
use super::ring::Doorbell;
use crate::plane::sys::{self, Epoll};
use crate::units::{Instant, Span};

/// How long a worker waits at most before it looks at its commands and timers.
const PATIENCE: Span = Span::from_millis(10);
/// How often timers are looked at.
const TICK: Span = Span::from_millis(20);
/// While something is sent all the time, it is taken out of the rings once in this part of the least latency: a thread that is woken
/// for each message costs more than the message. It leaves as much less time to send again what was lost.
const NAPS: i64 = 24;

/// What comes from many senders within so long is received together, so that it is not woken for each message.
const TOGETHER: Span = Span::from_millis(1);

/// What a worker is asked.
enum Command {
    Open { key: u64, link: Box<Link>, reply: Sender<Result<(), Fault>> },
    Close { key: u64, reply: Sender<()> },
}

/// A worker as others see it.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    commands: Sender<Command>,
    /// To be rung when something is to be sent, or a command waits.
    pub(super) bell: Arc<Doorbell>,
}

/// An input or output that a worker serves. When it is dropped it is closed, which takes some milliseconds.
#[derive(Debug)]
pub(in crate::plane) struct Handle {
    worker: Worker,
    key: u64,
}

/// The workers of this process, and the number of the next link.
#[derive(Debug)]
struct Workers {
    receives: Option<Worker>,
    sends: Option<Worker>,
    next: u64,
}

static WORKERS: Mutex<Workers> = Mutex::new(Workers { receives: None, sends: None, next: 0 });

/// The worker that all share for `direction`, which is started with `library` where it does not run, and a number for a
/// link.
pub(super) fn shared<L: Library + 'static>(
    direction: Direction,
    library: impl FnOnce(&Doorbell) -> std::io::Result<L> + Send + 'static,
) -> std::io::Result<(Worker, u64)> {
    let mut workers = WORKERS.lock();
    workers.next += 1;
    let next = workers.next;
    let place = match direction {
        Direction::In => &mut workers.receives,
        Direction::Out => &mut workers.sends,
    };
    if let Some(worker) = place {
        return Ok((worker.clone(), next));
    }
    let worker = alone(direction, library)?;
    *place = Some(worker.clone());
    Ok((worker, next))
}

/// A worker of its own, that ends when nobody has it any more.
pub(super) fn alone<L: Library + 'static>(
    direction: Direction,
    library: impl FnOnce(&Doorbell) -> std::io::Result<L> + Send + 'static,
) -> std::io::Result<Worker> {
    let (commands, asked) = unbounded();
    let bell = Doorbell::new()?;
    let epoll = Epoll::new(1)?;
    epoll.add(bell.descriptor(), 0)?;
    let worker = Worker { commands, bell: Arc::clone(&bell) };
    let (started, outcome) = bounded(1);
    let name = match direction {
        Direction::In => "srt-in",
        Direction::Out => "srt-out",
    };
    // The library is made on its thread, since it may be of use there only.
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let library: Box<dyn Library> = match library(&bell) {
            Ok(library) => Box::new(library),
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let _ = started.send(Ok(()));
        let (tick_at, look_at) = (Instant::LONG_AGO, Instant::LONG_AGO);
        let (links, ready) = (BTreeMap::new(), Vec::new());
        Running { direction, library, asked, bell, epoll, links, ready, tick_at, look_at, nap: None }.run();
    })?;
    outcome.recv().map_err(std::io::Error::other)??;
    Ok(worker)
}

impl Worker {
    /// Has `link` opened and served until the handle is dropped.
    pub(super) fn open(&self, key: u64, link: Link) -> Result<Handle, Fault> {
        let (reply, answer) = bounded(1);
        let gone = Fault { doing: "reach the SRT thread", why: super::library::Why::System(libc::ESRCH) };
        self.commands.send(Command::Open { key, link: Box::new(link), reply }).map_err(|_| gone)?;
        self.bell.ring();
        answer.recv().map_err(|_| gone)??;
        Ok(Handle { worker: self.clone(), key })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let (reply, answer) = bounded(1);
        if self.worker.commands.send(Command::Close { key: self.key, reply }).is_ok() {
            self.worker.bell.ring();
            let _ = answer.recv();
        }
    }
}

/// A worker's own side.
struct Running {
    direction: Direction,
    library: Box<dyn Library>,
    asked: Receiver<Command>,
    bell: Arc<Doorbell>,
    epoll: Epoll,
    links: BTreeMap<u64, Link>,
    ready: Vec<SocketId>,
    tick_at: Instant,
    /// When a library that does not wait for the bell is to be asked again, or was asked, for what it has to tell.
    look_at: Instant,
    /// How long to let messages gather before it looks for more. Where they are sent, the bell counts as rung meanwhile.
    nap: Option<Span>,
}

fn now() -> Instant {
    Instant::from_nanos(sys::monotonic_ns())
}

/// Does `work` for one link. When the backend panics, all of that link is closed, to be opened anew by its timers.
fn guard(library: &mut dyn Library, link: &mut Link, work: impl FnOnce(&mut dyn Library, &mut Link)) {
    if catch_unwind(AssertUnwindSafe(|| work(library, link))).is_err() {
        let _ = catch_unwind(AssertUnwindSafe(|| link.close(library, &Reason::Fault, now())));
    }
}

impl Running {
    fn run(&mut self) {
        loop {
            if self.links.is_empty() {
                let Ok(command) = self.asked.recv() else { return };
                self.obey(command);
            }
            while let Ok(command) = self.asked.try_recv() {
                self.obey(command);
            }
            self.ready.clear();
            match self.direction {
                _ if self.library.hears_the_bell() => self.library.wait(self.nap.unwrap_or(TICK), &mut self.ready),
                Direction::In => self.wait_to_receive(),
                Direction::Out => self.wait_to_send(),
            }
            self.round(now());
        }
    }

    fn wait_to_receive(&mut self) {
        if let Some(nap) = self.nap {
            thread::sleep(Duration::from_nanos(nap.nanos().unsigned_abs()));
        }
        self.library.wait(PATIENCE, &mut self.ready);
        let (now, before) = (now(), self.look_at);
        self.look_at = now;
        let many = match self.nap {
            None => now.since(before) < Span::from_nanos(TOGETHER.nanos() / 2),
            Some(_) => self.ready.len() > 1,
        };
        self.nap = many.then_some(TOGETHER);
    }

    fn wait_to_send(&mut self) {
        match self.nap {
            Some(nap) => thread::sleep(Duration::from_nanos(nap.nanos().unsigned_abs())),
            None => drop(self.epoll.wait(PATIENCE.nanos())),
        }
        let now = now();
        if self.nap.is_none() || now >= self.look_at {
            self.look_at = now + PATIENCE;
            self.library.wait(Span::ZERO, &mut self.ready);
        }
    }

    fn round(&mut self, now: Instant) {
        let library = self.library.as_mut();
        for &socket in &self.ready {
            match self.links.values_mut().find(|link| link.has(socket)) {
                Some(link) => guard(library, link, |library, link| link.ready(library, socket, now)),
                // It was closed in this very round, or nobody knows it.
                None => library.close(socket),
            }
        }
        match self.direction {
            Direction::In if self.library.hears_the_bell() => self.bell.hear(),
            Direction::In => {}
            Direction::Out => {
                self.nap = self.pump(now);
                if self.nap.is_none() {
                    self.bell.hear();
                    // What came before it was heard did not ring.
                    self.nap = self.pump(now);
                }
            }
        }
        let library = self.library.as_mut();
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            for link in self.links.values_mut() {
                guard(library, link, |library, link| link.tick(library, now));
            }
        }
    }

    /// Sends what is in the rings; for how long it may be left alone after that, if there was anything.
    fn pump(&mut self, now: Instant) -> Option<Span> {
        let library = self.library.as_mut();
        let (mut any, mut nap) = (false, library.longest_nap());
        for link in self.links.values_mut() {
            guard(library, link, |library, link| any |= link.pump(library, now));
            nap = nap.min(Span::from_nanos(link.latency().nanos() / NAPS));
        }
        any.then_some(nap)
    }

    fn obey(&mut self, command: Command) {
        let library = self.library.as_mut();
        match command {
            Command::Open { key, mut link, reply } => {
                let fault = Fault { doing: "start SRT", why: super::library::Why::System(libc::EIO) };
                let opened = catch_unwind(AssertUnwindSafe(|| link.begin(library, now()))).unwrap_or(Err(fault));
                if opened.is_ok() {
                    self.links.insert(key, *link);
                }
                let _ = reply.send(opened);
            }
            Command::Close { key, reply } => {
                if let Some(mut link) = self.links.remove(&key) {
                    guard(library, &mut link, |library, link| link.close(library, &Reason::Closed, now()));
                }
                let _ = reply.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::super::access::{Door, Teller};
    use super::super::event::{End, Rejection, SrtStatus, What};
    use super::super::library::{Measured, Phase, Received, Sent, Settings};
    use super::super::link::Flow;
    use super::super::ring::{self, Frame};
    use super::*;
    use crate::config::{Backend, Role, Second, SrtPlan};
    use crate::units::InputId;

    /// A backend in which every call is answered at once, every socket always has a message, and one panics.
    struct Fake {
        sockets: i32,
        bad: SocketId,
    }

    impl Library for Fake {
        fn wait(&mut self, _timeout: Span, _ready: &mut Vec<SocketId>) {}
        fn dial(&mut self, _settings: &Settings) -> Result<SocketId, Fault> {
            self.sockets += 1;
            Ok(SocketId(self.sockets))
        }
        fn listen(&mut self, settings: &Settings, _door: &Arc<Door>) -> Result<SocketId, Fault> {
            self.dial(settings)
        }
        fn accept(&mut self, _listener: SocketId, _settings: &Settings) -> Option<(SocketId, SocketAddr)> {
            None
        }
        fn connected(&mut self, _socket: SocketId, _direction: Direction) {}
        fn hold(&mut self, _socket: SocketId) {}
        fn signs(&mut self, _socket: SocketId) -> u64 {
            0
        }
        fn phase(&mut self, _socket: SocketId) -> Phase {
            Phase::Up
        }
        fn rejection(&mut self, _socket: SocketId) -> Rejection {
            Rejection::UNKNOWN
        }
        fn receive(&mut self, socket: SocketId, now: Instant, frame: &mut Frame) -> Received {
            assert!(socket != self.bad, "the backend breaks down");
            frame.at = now;
            frame.set_len(188);
            Received::Message
        }
        fn send(&mut self, _socket: SocketId, _at: Instant, _message: &[u8]) -> Sent {
            Sent::Yes
        }
        fn stream_id(&mut self, _socket: SocketId) -> Option<String> {
            None
        }
        fn key_length(&mut self, _socket: SocketId) -> u8 {
            0
        }
        fn measure(&mut self, _socket: SocketId, _direction: Direction) -> Option<Measured> {
            Some(Measured::default())
        }
        fn kernel_drops(&mut self, _socket: SocketId) -> Option<u64> {
            None
        }
        fn close(&mut self, _socket: SocketId) {}
    }

    #[test]
    fn a_backend_that_panics_ends_one_connection_and_it_is_called_again() {
        let plan = SrtPlan {
            role: Role::Caller,
            backend: Backend::Auto,
            latency: Span::from_millis(200),
            passphrase: None,
            key_length: None,
            stream_id: None,
            access: Vec::new(),
            callers: 1,
            second: Second::Refuse,
            payload: 1316,
            connect: Span::from_secs(3),
            idle: Span::from_secs(5),
            buffer: 1 << 20,
            bond: None,
        };
        let (events, told) = unbounded();
        let mut library = Fake { sockets: 0, bad: SocketId(1) };
        let mut links = Vec::new();
        let mut rings = Vec::new();
        let mut at = now();
        for number in 0..2 {
            let (frames, taken) = ring::ring(plan.buffer);
            rings.push(taken);
            let settings = Settings {
                url: format!("srt://192.0.2.{number}:9000"),
                plan: plan.clone(),
                address: ([192, 0, 2, number], 9000).into(),
                interface: None,
                local: None,
                direction: Direction::In,
            };
            let wanted = Arc::new(AtomicBool::new(true));
            let flow = Flow::In { frames, bell: Doorbell::new().unwrap(), wanted };
            let teller = Teller::new(End::Input(InputId(number.into())), events.clone());
            let (out, _status) = triple_buffer::triple_buffer(&SrtStatus::default());
            let mut link =
                Link::new(settings, flow, None, Arc::new(AtomicUsize::new(0)), teller, out, &SrtStatus::default());
            link.begin(&mut library, at).unwrap();
            links.push(link);
        }
        // The first round connects, the second receives.
        for _ in 0..2 {
            for (socket, link) in (1..).map(SocketId).zip(&mut links) {
                guard(&mut library, link, |library, link| link.ready(library, socket, at));
            }
        }
        assert_eq!((rings[0].slots(), rings[1].slots()), (0, 256));
        let ends: Vec<_> = told.try_iter().map(|event| (event.end, event.what)).collect();
        let faults = ends.iter().filter(|(end, what)| {
            *end == End::Input(InputId(0)) && matches!(what, What::Down { reason: Reason::Fault, .. })
        });
        assert_eq!((faults.count(), ends.len()), (1, 3), "{ends:?}");
        assert!(!links[0].has(SocketId(1)) && links[1].has(SocketId(2)));

        // It calls again when its pause is over.
        at += Span::from_secs(6);
        links[0].tick(&mut library, at);
        links[0].ready(&mut library, SocketId(3), at);
        links[0].ready(&mut library, SocketId(3), at);
        assert_eq!(rings[0].slots(), 256);
    }
}
