//! A process from its start to its end: every socket opened before anything runs, the shards on their threads and
//! control on its own, and what they tell put into the log.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::config::Plan;
use crate::engine::Event;
use crate::plane::{
    self, Change, Full, Interfaces, OpenError, PlaneSnapshot, Retired, Shard, ShardHandle, SrtEvent, Stopped, Watch,
};
use crate::replay::journal::{Names, TimeBase};

use super::complaints::Complaints;
use super::listen::{self, Limits};
use super::notify::Pulse;
use super::rack::{Crossings, Rack};
use super::shards::{Share, allowed_cpus, spread};
use super::srt::{self, Told};
use super::{events, http, notify};

/// Threads of control.
const WORKERS: usize = 2;
/// How often events are taken over from the shards.
const DRAIN: Duration = Duration::from_millis(50);
/// The most events that are logged of one shard at a time, so that a flood of them leaves the rest of control its turn.
const DRAIN_MOST: usize = 1000;
/// How often everything else is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the shards have to end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Why a process could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Sockets that cannot be opened: all of them.
    #[error("{}", lines(.0))]
    Open(Vec<OpenError>),
    /// The HTTP API cannot listen.
    #[error("the HTTP API cannot listen on {address}, as api.listen has it: {}", listening(.error))]
    Api {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// Threads, timers or signals cannot be had.
    #[error("{what} cannot be had: {error}")]
    System {
        /// What.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A shard's thread is gone.
    #[error("the data plane ended by itself: {0}")]
    Ended(String),
}

fn lines(errors: &[OpenError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn listening(error: &io::Error) -> String {
    let hint = if error.kind() == io::ErrorKind::AddrInUse {
        ". Another program has this port, perhaps another changeover (`ss -ltnp` names it)"
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        ". No interface of this machine has this address"
    } else {
        ""
    };
    format!("{error}{hint}")
}

/// What the supervisor has of a shard that runs; the rest of its handle is in the rack.
struct Feed {
    name: String,
    names: Names,
    thread: Option<JoinHandle<Stopped>>,
    events: Receiver<Event>,
    srt_events: Receiver<SrtEvent>,
    retired: Receiver<Retired>,
    watches: Vec<Watch>,
    /// Commands that the shard had no room for.
    waiting: Vec<plane::Command>,
}

/// Runs `plan` until SIGTERM or SIGINT.
///
/// # Errors
/// When something that it needs cannot be had, in which case nothing has run, or when a shard ended by itself.
pub fn run(plan: &Plan) -> Result<(), RunError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| RunError::System { what: "threads for control", error })?;
    let result = runtime.block_on(live(plan));
    runtime.shutdown_timeout(FAREWELL);
    result
}

async fn live(plan: &Plan) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let listener = match plan.api {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let opened = open(plan)?;
    for line in srt::backends(plan) {
        tracing::info!("{line}");
    }
    let (rack, feeds) = start(opened, plan)?;
    let rack = Arc::new(rack);
    let (stop, stopped) = watch::channel(false);
    if let Some(listener) = listener {
        let limits = Limits::default();
        tokio::spawn(listen::serve(listener, http::router(Arc::clone(&rack), limits.request), limits, stopped));
    }
    let mut supervisor = Supervisor::new(rack, feeds);
    notify::ready(&supervisor.status);
    tracing::info!(channels = plan.channels.len(), shards = supervisor.feeds.len(), "running");
    let result = supervisor.watch_over(&mut signals).await;
    notify::stopping();
    stop.send_replace(true);
    supervisor.end().await;
    result
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    let listener = TcpListener::bind(address).await.map_err(|error| RunError::Api { address, error })?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, "the HTTP API listens");
    Ok(listener)
}

/// A shard with its sockets open that does not run yet.
type Opened = (Share, Shard, ShardHandle);

/// Opens the sockets of all shards, or says of every shard that could not be opened why.
fn open(plan: &Plan) -> Result<Vec<Opened>, RunError> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (mut opened, mut errors) = (Vec::new(), Vec::new());
    for share in spread(plan, &allowed_cpus(&status)) {
        match Shard::open(&share.setup) {
            Ok((shard, handle)) => opened.push((share, shard, handle)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(opened) } else { Err(RunError::Open(errors)) }
}

/// Sets all shards going.
fn start(opened: Vec<Opened>, plan: &Plan) -> Result<(Rack, Vec<Feed>), RunError> {
    let (mut feeds, mut shares) = (Vec::new(), Vec::new());
    for (share, shard, mut handle) in opened {
        let mut names = Names::default();
        for channel in share.channels.iter().filter_map(|channel| plan.channels.get(*channel)) {
            names.push(&channel.name, channel.inputs.iter().map(|input| input.name.as_str()));
        }
        let thread = shard.spawn().map_err(|error| RunError::System { what: "a thread for the data plane", error })?;
        feeds.push(Feed {
            name: share.setup.name.clone(),
            names,
            thread: Some(thread),
            events: handle.events.clone(),
            srt_events: handle.srt_events.clone(),
            retired: handle.retired.clone(),
            watches: std::mem::take(&mut handle.watch),
            waiting: Vec::new(),
        });
        shares.push((share, Box::new(handle) as Box<dyn Crossings>));
    }
    Ok((Rack::new(plan, shares), feeds))
}

impl Crossings for ShardHandle {
    fn command(&mut self, command: plane::Command) -> Result<(), Full> {
        Self::command(self, command)
    }

    fn snapshot(&mut self) -> &PlaneSnapshot {
        Self::snapshot(self)
    }

    fn stop(&mut self) {
        Self::stop(self);
    }
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let listen = |kind| signal(kind).map_err(|error| RunError::System { what: "signals", error });
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The name of the one that comes.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What goes on while the shards run.
struct Supervisor {
    rack: Arc<Rack>,
    feeds: Vec<Feed>,
    complaints: Complaints,
    told: Told,
    pulse: Pulse,
    status: String,
    start: Instant,
}

impl Supervisor {
    #[allow(clippy::disallowed_methods)] // The uptime: nothing is decided by it but what is said when.
    fn new(rack: Arc<Rack>, feeds: Vec<Feed>) -> Self {
        let status = notify::summary(&rack, &rack.snapshots());
        let (complaints, told, pulse) = (Complaints::default(), Told::default(), Pulse::default());
        Self { rack, feeds, complaints, told, pulse, status, start: Instant::now() }
    }

    /// Looks after everything until a signal comes or a shard is gone.
    async fn watch_over(&mut self, signals: &mut Signals) -> Result<(), RunError> {
        let watchdog = notify::watchdog_period();
        let mut drain = interval(DRAIN);
        let mut look = interval(watchdog.map_or(LOOK, |period| LOOK.min(period / 3)));
        for ticks in [&mut drain, &mut look] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                name = signals.wait() => {
                    tracing::info!("{name}: ending");
                    return Ok(());
                }
                _ = drain.tick() => {
                    self.drain(DRAIN_MOST);
                    if self.follow() {
                        self.refresh();
                    }
                }
                _ = look.tick() => {
                    self.look(watchdog.is_some());
                    self.still_there()?;
                }
            }
        }
    }

    /// Takes over what the shards have given back, and at most `most` events of what each has told.
    fn drain(&mut self, most: usize) {
        for (shard, feed) in self.feeds.iter().enumerate() {
            while let Ok(part) = feed.retired.try_recv() {
                drop(part);
            }
            if feed.events.is_empty() && feed.srt_events.is_empty() {
                continue;
            }
            let origin = self.rack.look(shard, |snapshot| snapshot.realtime_offset_ns).unwrap_or_default();
            for event in feed.events.try_iter().take(most) {
                events::log(&feed.names, TimeBase::Unix { origin }, &event);
            }
            for event in feed.srt_events.try_iter().take(most) {
                self.rack.known().learn(shard, &event);
                self.told.log(&self.rack, shard, origin, self.start.elapsed(), &event);
            }
        }
    }

    /// Lets inputs that may rest know whether they are needed. True where groups are to be joined or left.
    fn follow(&mut self) -> bool {
        let mut changed = false;
        for (shard, feed) in self.feeds.iter_mut().enumerate() {
            if feed.watches.iter().any(Watch::may_rest) {
                let watches = &mut feed.watches;
                // All of them, not only the first that changed.
                let follow = |snapshot: &PlaneSnapshot| {
                    watches.iter_mut().filter_map(|watch| watch.follow(&snapshot.engine).then_some(())).count() > 0
                };
                changed |= self.rack.look(shard, follow).unwrap_or(false);
            }
        }
        changed
    }

    /// Everything that no event tells.
    fn look(&mut self, watched: bool) {
        self.refresh();
        let snapshots = self.rack.snapshots();
        for complaint in self.complaints.find(&self.rack, &snapshots, self.start.elapsed()) {
            tracing::warn!("{complaint}");
        }
        for line in self.told.catch_up(&self.rack, self.start.elapsed()) {
            tracing::warn!("{line}");
        }
        let status = notify::summary(&self.rack, &snapshots);
        if status != self.status {
            notify::status(&status);
            self.status = status;
        }
        if watched && self.pulse.beats(&snapshots) {
            notify::alive();
        }
    }

    /// Joins and opens what can be by now, and tells what has changed.
    fn refresh(&mut self) {
        let interfaces = match Interfaces::read() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::debug!(%error, "the network interfaces could not be read");
                return;
            }
        };
        for (shard, feed) in self.feeds.iter_mut().enumerate() {
            for watch in &mut feed.watches {
                match watch.refresh(&interfaces) {
                    Change::None => {}
                    Change::Joined { index } => {
                        tracing::info!("{}: works{}", self.rack.whose(watch.url()), on(index));
                    }
                    Change::Opened { index, command } => {
                        tracing::info!("{}: open{}", self.rack.whose(watch.url()), on(index));
                        feed.waiting.push(command);
                    }
                    Change::Lost { reason } => {
                        tracing::warn!("{}: does not work: {reason}", self.rack.whose(watch.url()));
                    }
                }
            }
            hand_over(&self.rack, shard, &mut feed.waiting);
        }
    }

    /// Whether every shard's thread runs.
    fn still_there(&mut self) -> Result<(), RunError> {
        let gone = |feed: &&Feed| feed.thread.as_ref().is_none_or(JoinHandle::is_finished);
        match self.feeds.iter().find(gone) {
            Some(feed) => Err(RunError::Ended(feed.name.clone())),
            None => Ok(()),
        }
    }

    /// Ends the shards, and tells what they told last.
    async fn end(mut self) {
        self.rack.stop();
        let running = |feed: &Feed| feed.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let ended = async {
            while self.feeds.iter().any(running) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(FAREWELL, ended).await.is_err() {
            tracing::error!("the data plane did not end in {}s and is left behind", FAREWELL.as_secs());
        }
        for feed in &mut self.feeds {
            if let Some(thread) = feed.thread.take_if(|thread| thread.is_finished())
                && thread.join().is_err()
            {
                tracing::error!("{} ended with a panic", feed.name);
            }
        }
        self.drain(usize::MAX);
        tracing::info!("ended");
    }
}

/// Hands over what the shard has room for, in order; the rest stays.
fn hand_over(rack: &Rack, shard: usize, waiting: &mut Vec<plane::Command>) {
    let mut rest = std::mem::take(waiting).into_iter();
    for command in rest.by_ref() {
        if let Err(Full(command)) = rack.hand_over(shard, command) {
            waiting.push(command);
            break;
        }
    }
    waiting.extend(rest);
}

/// Where something works that may be on an interface.
fn on(index: u32) -> String {
    if index == 0 { String::new() } else { format!(" on interface number {index} (`ip link` has its name)") }
}
