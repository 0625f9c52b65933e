//! What happens to SRT connections, in the log: in words, and as JSON beside them.
//!
//! Anybody who reaches a listener can make events, so there is a limit: of each kind of each input and output ten at once and
//! ten a minute after that. What is beyond is counted, and the count is told.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::Interface;
use crate::control::rack::Rack;
use crate::plane::{End, MemberState, SrtEvent, SrtReason, What};
use crate::replay::journal::{TimeBase, rfc3339};

/// The most events of one kind that are told at once.
const BURST: u32 = 10;
/// How long it takes until one more may be told.
const REFILL: Duration = Duration::from_secs(6);

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Up,
    Down,
    Refused,
    Failed,
    Member,
}

impl Kind {
    const fn of(what: &What) -> Self {
        match what {
            What::Up { .. } => Self::Up,
            What::Down { .. } => Self::Down,
            What::Refused { .. } => Self::Refused,
            What::Failed { .. } => Self::Failed,
            What::Member { .. } => Self::Member,
        }
    }

    /// The name of the event.
    const fn name(self) -> &'static str {
        match self {
            Self::Up => "srt_connected",
            Self::Down => "srt_disconnected",
            Self::Refused => "srt_refused",
            Self::Failed => "srt_not_connected",
            Self::Member => "srt_member",
        }
    }

    /// Several of them, in words.
    const fn many(self) -> &'static str {
        match self {
            Self::Up => "SRT connections came about",
            Self::Down => "SRT connections ended",
            Self::Refused => "SRT callers were refused",
            Self::Failed => "SRT calls failed",
            Self::Member => "changes of the ways of a bond",
        }
    }
}

/// How many events of one kind may be told.
#[derive(Debug)]
struct Budget {
    left: u32,
    /// When one was last added.
    filled: Duration,
    kept_back: u64,
}

impl Budget {
    const fn new(now: Duration) -> Self {
        Self { left: BURST, filled: now, kept_back: 0 }
    }

    fn fill(&mut self, now: Duration) {
        while self.left < BURST && now.saturating_sub(self.filled) >= REFILL {
            self.left += 1;
            self.filled += REFILL;
        }
        if self.left == BURST {
            self.filled = now;
        }
    }

    /// Whether one more may be told.
    fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        if self.left == 0 {
            self.kept_back += 1;
            return false;
        }
        self.left -= 1;
        true
    }

    /// How many were kept back, once that may be told.
    fn owed(&mut self, now: Duration) -> Option<u64> {
        self.fill(now);
        if self.kept_back == 0 || self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.kept_back))
    }
}

/// What is told of SRT, and how much of it.
#[derive(Debug, Default)]
pub struct Told {
    budgets: HashMap<(usize, End, Kind), Budget>,
}

/// One event as a line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    t: f64,
    time: String,
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Told {
    /// Puts an event of a shard into the log, `now` after the start. `origin` is the Unix time of the engine's zero, in
    /// nanoseconds.
    pub fn log(&mut self, rack: &Rack, shard: usize, origin: i64, now: Duration, event: &SrtEvent) {
        let key = (shard, event.end, Kind::of(&event.what));
        if !self.budgets.entry(key).or_insert_with(|| Budget::new(now)).take(now) {
            return;
        }
        let text = words(rack, shard, event);
        let json = json(rack, shard, origin, event);
        if is_bad(&event.what) {
            tracing::warn!(event = json, "{text}");
        } else {
            tracing::info!(event = json, "{text}");
        }
    }

    /// What was kept back and may be told by now.
    pub fn catch_up(&mut self, rack: &Rack, now: Duration) -> Vec<String> {
        let owed = self.budgets.iter_mut().filter_map(|(&(shard, end, kind), budget)| {
            let count = budget.owed(now)?;
            let whose = whose(rack, shard, end);
            Some(format!("{whose}: {count} more {} since, too many to tell of each", kind.many()))
        });
        owed.collect()
    }
}

/// Whether an event is something that somebody should look at.
const fn is_bad(what: &What) -> bool {
    match what {
        What::Up { .. } => false,
        What::Down { reason, .. } => !matches!(reason, SrtReason::Closed | SrtReason::Replaced),
        What::Refused { .. } | What::Failed { .. } => true,
        What::Member { state, .. } => matches!(state, MemberState::Lost),
    }
}

/// Which input or output it is.
fn whose(rack: &Rack, shard: usize, end: End) -> String {
    match rack.end(shard, end) {
        Some((channel, Some(input), _)) => format!("{channel}/{input}"),
        Some((channel, None, Some(output))) => format!("{channel}, output {output}"),
        Some((channel, None, None)) => channel.to_owned(),
        None => "?".to_owned(),
    }
}

/// An event in words. A stream id is whatever a caller sent, so signs that are not to be printed are written out.
fn words(rack: &Rack, shard: usize, event: &SrtEvent) -> String {
    let whose = whose(rack, shard, event.end);
    let with =
        |id: &Option<String>| id.as_ref().map_or_else(String::new, |id| format!(", stream id `{}`", id.escape_debug()));
    match &event.what {
        What::Up { peer, stream_id } => format!("{whose}: SRT connection with {peer}{}", with(stream_id)),
        What::Down { peer, reason } => format!("{whose}: SRT connection with {peer} ended: {reason}"),
        What::Refused { peer, stream_id, reason } => {
            format!("{whose}: SRT caller {peer}{} was refused: {reason}", with(stream_id))
        }
        What::Failed { reason } => format!("{whose}: no SRT connection: {reason}; it is tried again and again"),
        What::Member { peer, interface, state } => {
            let from = match interface {
                None => String::new(),
                Some(Interface::Name(name)) => format!(" from {name}"),
                Some(Interface::Address(address)) => format!(" from {address}"),
            };
            format!("{whose}: SRT's way to {peer}{from} {state}")
        }
    }
}

/// An event as JSON.
fn json(rack: &Rack, shard: usize, origin: i64, event: &SrtEvent) -> String {
    let (channel, input, output) = rack.end(shard, event.end).unwrap_or(("?", None, None));
    let (peer, stream_id, reason) = match &event.what {
        What::Up { peer, stream_id } => (Some(peer), stream_id.as_deref(), None),
        What::Down { peer, reason } => (Some(peer), None, Some(reason.to_string())),
        What::Refused { peer, stream_id, reason } => (Some(peer), stream_id.as_deref(), Some(reason.to_string())),
        What::Failed { reason } => (None, None, Some(reason.to_string())),
        What::Member { peer, state, .. } => (Some(peer), None, Some(format!("the way {state}"))),
    };
    let line = Line {
        t: TimeBase::Unix { origin }.seconds(event.at),
        time: rfc3339(origin.saturating_add(event.at.nanos())),
        channel,
        input,
        output,
        event: Kind::of(&event.what).name(),
        peer: peer.map(ToString::to_string),
        stream_id,
        reason,
    };
    // Writing to memory cannot fail.
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::config::Plan;
    use crate::control::rack::Crossings;
    use crate::control::shards::spread;
    use crate::plane::{self, PlaneSnapshot, Refusal};
    use crate::units::{ChannelId, InputId, Instant};

    struct NoShard(PlaneSnapshot);

    impl Crossings for NoShard {
        fn command(&mut self, command: plane::Command) -> Result<(), plane::Full> {
            Err(plane::Full(command))
        }

        fn snapshot(&mut self) -> &PlaneSnapshot {
            &self.0
        }

        fn stop(&mut self) {}
    }

    fn rack() -> Rack {
        let (plan, _) = Plan::parse(
            "
channels:
  - name: news
    inputs:
      - {name: main, url: 'srt://:9000'}
    outputs:
      - {url: 'udp://127.0.0.1:5002'}
      - {url: 'srt://:9100'}
",
        )
        .unwrap();
        let shard = |share| (share, Box::new(NoShard(PlaneSnapshot::default())) as Box<dyn Crossings>);
        Rack::new(&plan, spread(&plan, &[]).into_iter().map(shard).collect())
    }

    fn refused(stream_id: &str) -> SrtEvent {
        let what = What::Refused {
            peer: SocketAddr::from(([192, 0, 2, 1], 4000)),
            stream_id: Some(stream_id.to_owned()),
            reason: Refusal::StreamId,
        };
        SrtEvent { end: End::Input(InputId(0)), at: Instant::from_nanos(1_500_000_000), what }
    }

    #[test]
    fn an_event_says_who_and_why() {
        let rack = rack();
        let event = refused("a\n\u{1b}b");
        assert_eq!(
            words(&rack, 0, &event),
            "news/main: SRT caller 192.0.2.1:4000, stream id `a\\n\\u{1b}b` was refused: no access rule has its stream id"
        );
        let line: serde_json::Value = serde_json::from_str(&json(&rack, 0, 1_000_000_000, &event)).unwrap();
        assert_eq!(line["t"], 2.5);
        assert_eq!(line["time"], "1970-01-01T00:00:02.500000Z");
        assert_eq!((&line["channel"], &line["input"]), (&"news".into(), &"main".into()));
        assert_eq!((&line["event"], &line["peer"]), (&"srt_refused".into(), &"192.0.2.1:4000".into()));
        assert_eq!((&line["stream_id"], &line["output"]), (&"a\n\u{1b}b".into(), &serde_json::Value::Null));

        let what = What::Down { peer: ([192, 0, 2, 2], 4001).into(), reason: SrtReason::Slow };
        let event = SrtEvent { end: End::Output { channel: ChannelId(0), index: 1 }, at: Instant::ZERO, what };
        assert_eq!(
            words(&rack, 0, &event),
            "news, output srt://:9100: SRT connection with 192.0.2.2:4001 ended: the caller did not take what was sent"
        );
    }

    #[test]
    fn whoever_calls_again_and_again_does_not_fill_the_log() {
        let (rack, mut told, second) = (rack(), Told::default(), Duration::from_secs(1));
        for _ in 0..1_000 {
            told.log(&rack, 0, 0, second, &refused("a"));
        }
        assert_eq!(told.catch_up(&rack, second * 6), [""; 0]);
        let owed = told.catch_up(&rack, second * 7);
        assert_eq!(owed, ["news/main: 990 more SRT callers were refused since, too many to tell of each"]);
        assert_eq!(told.catch_up(&rack, second * 60), [""; 0]);
        let mut budget = Budget::new(second);
        let taken = (0..100).filter(|n| budget.take(second * (1 + n * 6))).count();
        assert_eq!((taken, budget.kept_back), (100, 0));
    }
}
