//! The threads that backends run on: for each backend one that receives and one that sends, for the whole process.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

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

/// The worker for `direction`, which is started with `library` where it does not run, and a number for a link.
pub(super) fn worker<L: Library + 'static>(
    direction: Direction,
    library: impl FnOnce() -> std::io::Result<L>,
) -> std::io::Result<(Worker, u64)> {
    let mut workers = WORKERS.lock();
    workers.next += 1;
    let next = workers.next;
    let (place, name) = match direction {
        Direction::In => (&mut workers.receives, "srt-in"),
        Direction::Out => (&mut workers.sends, "srt-out"),
    };
    if let Some(worker) = place {
        return Ok((worker.clone(), next));
    }
    let (commands, asked) = unbounded();
    let bell = Doorbell::new()?;
    let epoll = Epoll::new(1)?;
    epoll.add(bell.descriptor(), 0)?;
    let worker = Worker { commands, bell: Arc::clone(&bell) };
    let mut running = Running {
        direction,
        library: Box::new(library()?),
        asked,
        bell,
        epoll,
        links: BTreeMap::new(),
        ready: Vec::new(),
        tick_at: Instant::LONG_AGO,
    };
    thread::Builder::new().name(name.to_owned()).spawn(move || running.run())?;
    *place = Some(worker.clone());
    Ok((worker, next))
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
                Direction::In => self.library.wait(PATIENCE, &mut self.ready),
                Direction::Out => {
                    self.epoll.wait(PATIENCE.nanos());
                    self.bell.hear();
                    self.library.wait(Span::ZERO, &mut self.ready);
                }
            }
            self.round(now());
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
        if self.direction == Direction::Out {
            for link in self.links.values_mut() {
                guard(library, link, |library, link| link.pump(library, now));
            }
        }
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            for link in self.links.values_mut() {
                guard(library, link, |library, link| link.tick(library, now));
            }
        }
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
