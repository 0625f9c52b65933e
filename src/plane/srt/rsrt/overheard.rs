//! What rsrt tells only its log.
//!
//! Its interface says nothing of a caller that its listener turned away, nor how long a peer's key is, nor the latency that
//! a peer receives with; its `tracing` events do. They are taken on the thread of the one input or output that they
//! can be of, and go no further: rsrt warns of each datagram that it has no room for, which would fill any journal. Where
//! an event is not understood nothing is told, and nothing else changes; the tests of refusals hold the words.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::plane::srt::event::Rejection;
use crate::units::Span;

/// Refusals, and callers let in and not yet accepted, that are remembered.
const MOST: usize = 256;

/// What is known of a connection that came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The length of the key in bytes, 0 without encryption.
    pub(super) key_length: u8,
    /// The latency that the peer receives with.
    pub(super) latency: Span,
}

/// What was heard since it was last asked for.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Callers that were turned away.
    pub(super) refused: Vec<(SocketAddr, Rejection)>,
    /// By caller, what was agreed with it.
    let_in: BTreeMap<SocketAddr, Agreed>,
    /// The key that was installed last, and is of the handshake that is now told of.
    key_length: u8,
    /// What a call of this side agreed.
    called: Agreed,
}

impl Heard {
    /// What was agreed with the caller at `peer`, which is forgotten.
    pub(super) fn let_in(&mut self, peer: SocketAddr) -> Agreed {
        self.let_in.remove(&peer).unwrap_or_default()
    }

    /// What a call of this side agreed.
    pub(super) fn called(&mut self) -> Agreed {
        std::mem::take(&mut self.called)
    }
}

/// Listens to the events of one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear(pub(super) Arc<Mutex<Heard>>);

/// An event's text and those of its fields that are of use.
#[derive(Default)]
struct Words {
    message: String,
    from: Option<SocketAddr>,
    state: String,
    key_length: u8,
    latency: Span,
    secured: bool,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        match field.name() {
            "message" => self.message = text,
            "from" => self.from = text.parse().ok(),
            "state" => self.state = text,
            "snd_latency" => self.latency = latency(&text),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "key_len" {
            self.key_length = u8::try_from(value).unwrap_or(0);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "secured" {
            self.secured = value;
        }
    }
}

/// A time as `Duration` shows it: `120ms`, `1.5s`.
fn latency(text: &str) -> Span {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e6),
        None => (text.strip_suffix('s').unwrap_or_default(), 1e9),
    };
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates")]
    number.parse().map_or(Span::ZERO, |number: f64| Span::from_nanos((number * unit) as i64))
}

/// Why a listener turned a caller away; none if the event is not about that.
fn rejection(words: &Words) -> Option<Rejection> {
    const REASONS: [(&str, Rejection); 8] = [
        ("passphrase", Rejection::UNSECURE),
        ("stream-mode caller rejected", Rejection(1012)),
        ("incompatible congestion controller", Rejection(1013)),
        ("packet filter unsupported", Rejection(1014)),
        ("unsupported conclusion version", Rejection(1008)),
        ("version below HSv5", Rejection(1008)),
        ("extension field / block mismatch", Rejection(1004)),
        ("malformed handshake extension", Rejection(1004)),
    ];
    if words.message.contains("KMX failed") {
        return Some(if words.state == "BadSecret" { Rejection::BAD_SECRET } else { Rejection::UNSECURE });
    }
    if words.message.contains("backlog full") {
        return Some(Rejection(1005));
    }
    let reason = REASONS.iter().find(|(part, _)| words.message.contains(part));
    reason.map(|(_, rejection)| *rejection)
}

impl Heard {
    fn hear(&mut self, words: &Words) {
        if words.key_length > 0 {
            self.key_length = words.key_length;
        }
        let key_length = if words.secured { self.key_length } else { 0 };
        let agreed = Agreed { key_length, latency: words.latency };
        match words.from {
            Some(peer) => {
                if words.message == "conclusion accepted" && self.let_in.len() < MOST {
                    self.let_in.insert(peer, agreed);
                }
                let Some(rejection) = rejection(words) else { return };
                self.let_in.remove(&peer);
                if self.refused.len() < MOST {
                    self.refused.push((peer, rejection));
                }
            }
            None if words.message == "handshake established (caller)" => self.called = agreed,
            None => {}
        }
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = *metadata.level();
        let told = match metadata.target() {
            // Of a connection that stands, this is one event a lost or late datagram.
            "rsrt::core::handshake" | "rsrt::crypto::context" => level <= Level::DEBUG,
            "rsrt::listener" => level == Level::WARN,
            _ => false,
        };
        metadata.is_event() && told
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        self.0.lock().hear(&words);
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_shown() {
        use std::time::Duration;
        for ms in [0, 20, 120, 999, 1000, 1500, 8000, 65_535] {
            let shown = format!("{:?}", Duration::from_millis(ms));
            assert_eq!(latency(&shown), Span::from_millis(u32::try_from(ms).unwrap()), "{shown}");
        }
        assert_eq!(latency("soon"), Span::ZERO);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut heard = Heard::default();
        for port in 0..1000 {
            let from = Some(SocketAddr::from(([192, 0, 2, 1], port)));
            heard.hear(&Words { message: "conclusion accepted".to_owned(), from, ..Words::default() });
            let from = Some(SocketAddr::from(([192, 0, 2, 2], port)));
            let message = "local passphrase but caller sent no KMREQ; rejecting".to_owned();
            heard.hear(&Words { message, from, ..Words::default() });
        }
        assert_eq!((heard.refused.len(), heard.let_in.len()), (MOST, MOST));
        assert_eq!(heard.refused[0].1, Rejection::UNSECURE);
    }
}
