//! The two feeds: one programme, sent twice, the backup a little behind the main.
//!
//! Invariants:
//! - The feeds keep their own time on the clock that never steps. A sender that was held up goes on from where it is:
//!   it never sends in a burst what it is late with, which no encoder would do either.
//! - What the judge must know of a packet is told before the packet is sent.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender as Queue;

use super::fault::{Dice, Fault, PACKETS, PAYLOAD};
use super::judge::Source;
use super::stage::{BIT_RATE, Stage};
use crate::plane::{OpenError, Sender};
use crate::synth::{Feed, Packet, Settings};
use crate::units::{Span, Ticks27M};

/// Later than this the sender was held up.
const LATE: Duration = Duration::from_millis(20);
const RTP_HEADER: usize = 12;
/// The SSRC of the main feed: any will do.
const SSRC: u32 = 0x6368_616E;

/// What the sender is told, and what it tells.
#[derive(Debug, Default)]
pub(super) struct Shared {
    fault: AtomicU8,
    stop: AtomicBool,
    longest_gap: AtomicI64,
    failed: AtomicI64,
}

impl Shared {
    /// What is to be done to the main from now on.
    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        self.fault.store(Fault::code(fault), Ordering::Relaxed);
    }

    /// Has the sender end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The longest time between two datagrams of the backup, which is never damaged: what is the machine's doing.
    pub(super) fn longest_gap(&self) -> Span {
        Span::from_nanos(self.longest_gap.load(Ordering::Relaxed))
    }

    /// Datagrams that the system did not take.
    pub(super) fn failed(&self) -> i64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// A sender that has yet to run.
#[derive(Debug)]
pub(super) struct Feeder {
    feed: Feed,
    main: Sender,
    backup: Sender,
    /// How far the backup is behind the main.
    skew: Span,
    sources: Queue<Source>,
    shared: Arc<Shared>,
    dice: Dice,
    /// Datagrams of the main, sent or not.
    made: u64,
    /// What the backup has yet to send, and when, from the start of the feed.
    waiting: VecDeque<(Duration, [u8; PAYLOAD])>,
}

impl Feeder {
    /// Opens both ways out. What is made is told to `sources`.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub(super) fn open(stage: &Stage, sources: Queue<Source>, shared: Arc<Shared>) -> Result<Self, OpenError> {
        let settings =
            Settings { bit_rate: BIT_RATE, service_name: "Changeover demo".to_owned(), ..Settings::default() };
        Ok(Self {
            feed: Feed::new(settings),
            main: Sender::open(&Stage::sender(stage.main))?,
            backup: Sender::open(&Stage::sender(stage.backup_feed()))?,
            skew: stage.skew(),
            sources,
            shared,
            dice: Dice::new(),
            made: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Runs on a thread of its own until it is stopped.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn spawn(self) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("feeds".to_owned()).spawn(move || self.run())
    }

    #[allow(clippy::disallowed_methods)] // The sender is a machine of its own and lives by the clock.
    fn run(mut self) {
        let mut origin = Instant::now();
        let mut last_backup: Option<Instant> = None;
        let (mut due, mut payload) = self.make();
        while !self.shared.stop.load(Ordering::Relaxed) {
            let backup_due = self.waiting.front().map_or(Duration::MAX, |&(due, _)| due);
            let at = origin + due.min(backup_due);
            let now = Instant::now();
            if let Some(early) = at.checked_duration_since(now).filter(|early| !early.is_zero()) {
                thread::sleep(early);
                continue;
            }
            let late = now.saturating_duration_since(at);
            if late > LATE {
                origin += late;
            }
            if backup_due <= due {
                if let Some((_, payload)) = self.waiting.pop_front() {
                    let gap = last_backup.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last));
                    let gap = i64::try_from(gap.as_nanos()).unwrap_or(i64::MAX);
                    self.shared.longest_gap.fetch_max(gap, Ordering::Relaxed);
                    self.note(self.backup.send(&payload));
                }
                continue;
            }
            self.waiting.push_back((due + nanoseconds(self.skew), payload));
            self.send_main(payload);
            (due, payload) = self.make();
        }
    }

    /// The next datagram and when it is due, from the start of the feed: when its last packet begins.
    fn make(&mut self) -> (Duration, [u8; PAYLOAD]) {
        let mut payload = [0; PAYLOAD];
        let mut due = Duration::ZERO;
        for packet in payload.as_chunks_mut::<{ Packet::SIZE }>().0.iter_mut().take(PACKETS) {
            let next = self.feed.next_packet();
            *packet = next.bytes;
            due = nanoseconds(Ticks27M::span(next.at.0));
            // The judge may have ended before.
            let _ = self.sources.send(Source::of(packet));
        }
        (due, payload)
    }

    /// Sends a datagram of the main, damaged or not; RFC 2250 2, with the time stamp of the feed's own clock.
    fn send_main(&mut self, mut payload: [u8; PAYLOAD]) {
        let made = self.made;
        self.made += 1;
        let fault = Fault::from_code(self.shared.fault.load(Ordering::Relaxed));
        if fault.is_some_and(|fault| !fault.damage(&mut payload, &mut self.dice)) {
            return;
        }
        let stamp = made * (PAYLOAD as u64) * 8 * 90_000 / BIT_RATE;
        let ([.., high, low], [_, _, _, _, stamp @ ..]) = (made.to_be_bytes(), stamp.to_be_bytes());
        let mut datagram = [0; RTP_HEADER + PAYLOAD];
        datagram[..2].copy_from_slice(&[0x80, 33]);
        datagram[2..4].copy_from_slice(&[high, low]);
        datagram[4..8].copy_from_slice(&stamp);
        datagram[8..RTP_HEADER].copy_from_slice(&SSRC.to_be_bytes());
        datagram[RTP_HEADER..].copy_from_slice(&payload);
        self.note(self.main.send(&datagram));
    }

    fn note(&self, sent: io::Result<()>) {
        if sent.is_err() {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

const fn nanoseconds(span: Span) -> Duration {
    Duration::from_nanos(span.nanos().unsigned_abs())
}
