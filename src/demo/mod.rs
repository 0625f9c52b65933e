//! `changeover demo`: the switcher at work, with nothing but the loopback interface of this machine.
//!
//! Two feeds of one programme are made and sent over multicast, the main is damaged in one way after another, a channel
//! of the live data plane switches between them, and what leaves it is received and judged by somebody who knows only
//! the packets that were made.
//!
//! Invariants:
//! - The channel is the product itself: a configuration that is parsed, and a [`Shard`] that runs it. Nothing of what is
//!   said of the output comes from the channel, but which switch was when.
//! - It ends with every thread ended, whether by its time, by a person or by what is not to be had.

mod fault;
mod feed;
mod judge;
mod ledger;
mod path;
mod screen;
mod show;
mod stage;
mod summary;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::Plan;
use crate::control::shards::spread;
use crate::engine::{Event, What};
use crate::health::CriterionSet;
use crate::plane::{OpenError, Receiver, Shard, ShardHandle, Stopped};
use crate::units::{BitRate, ChannelId, Instant, Span};

use fault::Cycle;
use feed::{Feeder, Shared};
use judge::{Judge, Source};
use ledger::Ledger;
use path::LossyPath;
use screen::{Cost, InputView, Row, View};
use show::{Audience, Show};
use stage::{BIT_RATE, Stage};

pub use fault::Tally;
pub use judge::Findings;
pub use ledger::Totals;
pub use screen::{LINES, WIDTH};
pub use summary::{SrtSummary, Summary};

/// How often everything is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long the judge waits for datagrams at a time.
const PATIENCE: Span = Span::from_millis(50);
/// How long the output may take to begin.
const BEGINS: Span = Span::from_secs(5);
/// The names of the inputs, in the order of the configuration.
const NAMES: [&str; 2] = ["main", "backup"];

/// How a demonstration is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How long it lasts; without it until it is stopped.
    pub lasts: Option<Span>,
    /// The lines of the terminal that it is shown on, where it is one; without, one line for each thing that happens.
    pub terminal: Option<usize>,
    /// Whether there are to be colours.
    pub colours: bool,
    /// Whether the backup comes by SRT, over a path that loses.
    pub srt: bool,
}

/// Why there can be no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A socket cannot be had.
    #[error(
        "{0}\nThe demonstration needs multicast on the loopback interface: `ip address show lo` must show it up, with 127.0.0.1."
    )]
    Open(#[from] OpenError),
    /// Nothing comes through.
    #[error(
        "multicast on the loopback interface does not work here: {what}.\nLook for a firewall that drops UDP to 239.255.0.0/16 (`nft list ruleset`), and whether `ip address show lo` shows it up, with 127.0.0.1."
    )]
    Silent {
        /// What does not come.
        what: String,
    },
    /// Ports or threads cannot be had.
    #[error("{what} cannot be had: {error}")]
    System {
        /// What.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A thread is gone.
    #[error("{0} ended by itself, which is a fault of the program")]
    Ended(&'static str),
    /// The configuration is wrong: a fault of the program.
    #[error("the configuration of the demonstration is wrong, which is a fault of the program:\n{0}")]
    Plan(String),
    /// What is to be shown cannot be written.
    #[error("what is to be shown cannot be written: {0}")]
    Out(#[source] io::Error),
}

/// A configuration like the one of a demonstration, as YAML.
///
/// # Errors
/// When the system has no free port.
pub fn configuration(srt: bool) -> Result<String, DemoError> {
    find(srt).map(|stage| stage.configuration())
}

fn find(srt: bool) -> Result<Stage, DemoError> {
    let found = if srt { Stage::find_with_srt() } else { Stage::find() };
    found.map_err(|error| DemoError::System { what: "a free port", error })
}

/// Plays until its time is over or `stop` says so, and shows to `out` what happens.
///
/// # Errors
/// When something that it needs is not to be had.
pub fn run(options: &Options, stop: &dyn Fn() -> bool, out: &mut dyn Write) -> Result<Summary, DemoError> {
    let stage = find(options.srt)?;
    let mut play = Play::begin(stage, options)?;
    let result = play.act(options, stop, out);
    let interrupted = play.cycle.is_waiting();
    play.end();
    result?;
    Ok(play.summary(interrupted))
}

/// The threads, and what they share.
struct Play {
    stage: Stage,
    shared: Arc<Shared>,
    judge: Arc<Bench>,
    handle: ShardHandle,
    shard: Option<JoinHandle<Stopped>>,
    others: Vec<JoinHandle<()>>,
    path: Option<LossyPath>,
    cycle: Cycle,
    ledger: Ledger,
    /// The engine's time at the start, and what the clock showed then.
    origin: Instant,
    clock: std::time::Instant,
    main_on_air: bool,
    /// What is wrong with each input, as far as told.
    raised: [CriterionSet; NAMES.len()],
    /// The output's packets at the last few looks.
    rates: VecDeque<(Instant, u64)>,
    overflown: u64,
}

/// The judge and its thread's figures.
struct Bench {
    judge: Mutex<Judge>,
    missed: AtomicU64,
    stop: AtomicBool,
}

impl Play {
    /// Opens everything, and sets it going.
    #[allow(clippy::disallowed_methods)] // The acts of the play are timed by the clock.
    fn begin(stage: Stage, options: &Options) -> Result<Self, DemoError> {
        let thread = |what| move |error| DemoError::System { what, error };
        let text = stage.configuration();
        let (plan, _) = Plan::parse(&text).map_err(|problems| DemoError::Plan(problems.to_string()))?;
        let share = spread(&plan, &[]).into_iter().next().ok_or(DemoError::Plan(text))?;
        let (shard, mut handle) = Shard::open(&share.setup)?;
        let (origin, clock) = (handle.snapshot().engine.at, std::time::Instant::now());
        let receiver = Receiver::open(&stage.receiver())?;
        let path = stage.srt.map(|way| LossyPath::open(way.path, stage.backup)).transpose();
        let path = path.map_err(|error| DemoError::System { what: "sockets and threads of the lossy path", error })?;
        let shared = Arc::new(Shared::default());
        let (sources, made) = crossbeam_channel::unbounded();
        let feeder = Feeder::open(&stage, sources, Arc::clone(&shared))?;
        let judge = Arc::new(Bench {
            judge: Mutex::new(Judge::new(BIT_RATE)),
            missed: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let bench = Arc::clone(&judge);
        let mut play = Self {
            stage,
            shared,
            judge,
            handle,
            shard: None,
            others: Vec::new(),
            path,
            cycle: Cycle::new(options.lasts.map(|lasts| origin + lasts)),
            ledger: Ledger::default(),
            origin,
            clock,
            main_on_air: false,
            raised: [CriterionSet::EMPTY; NAMES.len()],
            rates: VecDeque::new(),
            overflown: 0,
        };
        let judging = thread::Builder::new().name("judge".to_owned()).spawn(move || bench.run(receiver, &made));
        play.others.push(judging.map_err(thread("a thread for the judge"))?);
        play.shard = Some(shard.spawn().map_err(thread("a thread for the data plane"))?);
        play.others.push(feeder.spawn().map_err(thread("a thread for the feeds"))?);
        Ok(play)
    }

    /// The engine's time.
    fn now(&self) -> Instant {
        self.origin + Span::from_nanos(i64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    fn act(&mut self, options: &Options, stop: &dyn Fn() -> bool, out: &mut dyn Write) -> Result<(), DemoError> {
        let mut show = Show::new(options, self.origin, out);
        let mut audience = show.begin(&self.stage)?;
        let end = options.lasts.map(|lasts| self.origin + lasts);
        while audience == Audience::There && !stop() {
            thread::sleep(LOOK);
            let now = self.now();
            audience = self.look(now, options.lasts, &mut show)?;
            self.still_there(now)?;
            // What is under way is waited for, but not for ever.
            let may_end = |end| now >= end && (self.cycle.is_settled(now) || now >= end + Cycle::PATIENCE);
            if end.is_some_and(may_end) {
                break;
            }
        }
        show.end().map(drop)
    }

    /// Looks at everything, goes on with the play, and shows it.
    fn look(&mut self, now: Instant, lasts: Option<Span>, show: &mut Show<'_>) -> Result<Audience, DemoError> {
        let elapsed = now.since(self.origin);
        let mut lines = self.listen();
        let before = self.cycle.fault();
        let fault = self.cycle.step(now, self.main_on_air);
        self.shared.set_fault(fault);
        match (before, fault) {
            (None, Some(fault)) => {
                let text = format!("fault     {}: {}", fault.name(), fault.description());
                lines.push(screen::happening(elapsed, &text));
            }
            (Some(fault), None) => lines.push(screen::happening(elapsed, &format!("mended    {}", fault.name()))),
            (None, None) | (Some(_), Some(_)) => {}
        }
        lines.extend(self.ledger.settle(now).iter().map(screen::line));
        let findings = self.judge.judge.lock().findings();
        self.rates.push_back((now, findings.packets));
        while self.rates.len() > 2 && self.rates.front().is_some_and(|&(at, _)| now.since(at) > Span::from_secs(1)) {
            self.rates.pop_front();
        }
        let bit_rate = self.bit_rate();
        let snapshot = self.handle.snapshot();
        let inputs: Vec<InputView> = NAMES
            .into_iter()
            .zip(&snapshot.engine.inputs)
            .map(|(name, input)| InputView { name, state: input.state, raised: input.raised, bit_rate: input.bit_rate })
            .collect();
        let view = View {
            elapsed,
            lasts,
            inputs: &inputs,
            fault,
            tally: self.cycle.tally(),
            bit_rate,
            findings: &findings,
            rows: &self.ledger.latest(show.rows()),
            viewer: &self.stage.viewer(),
        };
        show.show(now, &view, &lines)
    }

    /// Takes over what the channel and the judge tell; as lines what is worth one.
    fn listen(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(event) = self.handle.events.try_recv() {
            if event.channel != ChannelId(0) {
                continue;
            }
            lines.extend(self.heard(&event));
        }
        let cuts = self.judge.judge.lock().take_cuts();
        cuts.into_iter().for_each(|cut| self.ledger.cut(cut));
        lines
    }

    /// What the channel tells, as a line where it is worth one.
    fn heard(&mut self, event: &Event) -> Option<String> {
        let name = |place: usize| NAMES.get(place).copied().unwrap_or("?");
        let at = event.at.since(self.origin);
        match event.what {
            What::Switch(switch) => {
                self.main_on_air = switch.to.index() == 0;
                let to = name(switch.to.index());
                let Some(from) = switch.from else {
                    return Some(screen::happening(at, &format!("on air    {to}")));
                };
                self.ledger.switch(
                    event.at,
                    Row {
                        at,
                        from: name(from.index()),
                        to,
                        reason: switch.reason.name(),
                        kind: switch.kind.name(),
                        cost: Cost::Awaited,
                    },
                );
                None
            }
            What::Raised { input, criterion, .. } => {
                self.raised.get_mut(input.index())?.insert(criterion);
                Some(screen::happening(at, &format!("raised    {} of the {}", criterion.name(), name(input.index()))))
            }
            What::Cleared { input, criterion } => {
                let raised = self.raised.get_mut(input.index())?;
                raised.remove(criterion);
                raised.is_empty().then(|| screen::happening(at, &format!("healthy   {}", name(input.index()))))
            }
            What::Kinship { input, kinship, .. } => {
                let text = format!("kinship   {} is {}", name(input.index()), kinship.relation.name());
                Some(screen::happening(at, &text))
            }
            What::Arrived { .. }
            | What::Needed { .. }
            | What::NotNeeded { .. }
            | What::NotTaken { .. }
            | What::ClockStep { .. }
            | What::Muted
            | What::Unmuted
            | What::Replaced { .. }
            | What::Restored
            | What::NoneHealthy
            | What::SomeHealthy
            | What::Set { .. } => None,
        }
    }

    /// Whether all threads run, and something comes.
    fn still_there(&mut self, now: Instant) -> Result<(), DemoError> {
        if self.shard.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(DemoError::Ended("the data plane"));
        }
        if self.others.iter().any(JoinHandle::is_finished) {
            return Err(DemoError::Ended("the sender or the judge"));
        }
        let snapshot = self.handle.snapshot();
        self.overflown = snapshot.inputs.iter().map(|input| input.dropped + input.starved).sum();
        if now.since(self.origin) < BEGINS || self.judge.judge.lock().findings().datagrams > 0 {
            return Ok(());
        }
        let received: u64 = snapshot.inputs.iter().map(|input| input.datagrams).sum();
        let what = match (received, self.shared.failed()) {
            (0, 1..) => format!("the system takes no datagram for {} and {}", self.stage.main, self.stage.backup),
            (0, _) => format!("nothing that was sent to {} and {} came back", self.stage.main, self.stage.backup),
            (_, _) => format!("nothing of the output comes from {}", self.stage.output),
        };
        Err(DemoError::Silent { what })
    }

    /// Ends all threads.
    fn end(&mut self) {
        self.shared.stop();
        self.handle.stop();
        self.judge.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has said so itself.
        let _ = self.shard.take().map(JoinHandle::join);
        for thread in self.others.drain(..) {
            let _ = thread.join();
        }
    }

    fn summary(&mut self, interrupted: bool) -> Summary {
        let now = self.now();
        self.listen();
        self.ledger.settle(Instant::NEVER);
        let counted = self.by_srt();
        let srt = self.path.as_ref().map(|path| SrtSummary { lost: path.lost(), ..counted });
        Summary {
            delay: self.stage.delay(),
            skew: self.stage.skew(),
            srt,
            elapsed: now.since(self.origin),
            tally: self.cycle.tally(),
            interrupted,
            totals: self.ledger.totals(),
            findings: self.judge.judge.lock().findings(),
            sender_gap: self.shared.longest_gap(),
            missed: self.judge.missed.load(Ordering::Relaxed),
            overflown: self.overflown,
        }
    }

    /// What the receiver of the backup counted; nothing where nobody was connected at the end.
    fn by_srt(&mut self) -> SrtSummary {
        let snapshot = self.handle.snapshot();
        let status = snapshot.srt_inputs.iter().flatten().next();
        let figures = status.and_then(|status| status.connections.iter().flatten().next());
        figures.map_or_else(SrtSummary::default, |figures| SrtSummary {
            lost: 0,
            retransmitted: figures.retransmitted,
            unrecovered: figures.dropped,
        })
    }

    fn bit_rate(&self) -> BitRate {
        let (Some(&(first, before)), Some(&(last, after))) = (self.rates.front(), self.rates.back()) else {
            return BitRate(0);
        };
        let ns = u128::from(last.since(first).nanos().unsigned_abs()).max(1);
        let bits = u128::from(after - before) * 1504 * 1_000_000_000;
        BitRate(u64::try_from(bits / ns).unwrap_or(u64::MAX))
    }
}

impl Bench {
    /// Receives and judges until it is stopped.
    fn run(&self, mut receiver: Receiver, made: &crossbeam_channel::Receiver<Source>) {
        while !self.stop.load(Ordering::Relaxed) {
            receiver.recv_batch(PATIENCE, |bytes, at| {
                let mut judge = self.judge.lock();
                made.try_iter().for_each(|source| judge.source(source));
                judge.datagram(bytes, at);
            });
            let mut judge = self.judge.lock();
            made.try_iter().for_each(|source| judge.source(source));
            drop(judge);
            self.missed.store(receiver.figures().dropped, Ordering::Relaxed);
        }
    }
}
