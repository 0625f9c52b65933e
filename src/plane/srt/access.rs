//! Who may come in at a listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::event::{End, Refusal, Rejection, SrtEvent, What};
use super::library::SocketId;
use crate::config::{Access, Network, Second, Secret, SrtPlan};
use crate::units::{Instant, Span};

/// A publisher that was silent for so long does not keep its place: it died, and this is the one that replaced it.
pub(super) const STALE: Span = Span::from_millis(500);
/// A caller of an output that acknowledged nothing for so long gives its place to one from its own address: it was killed, and is
/// back. Nobody else gets it before the connection has ended, since a way may be dark for longer; but one that never acknowledged
/// anything gives it to anybody. This is seen twice a second.
pub(super) const UNANSWERED: Span = Span::from_millis(1000);

/// Tells control what happened to one input or output. It never waits: what finds the channel full is counted.
#[derive(Debug)]
pub(in crate::plane) struct Teller {
    pub(super) end: End,
    pub(super) events: Sender<SrtEvent>,
    pub(super) lost: AtomicU64,
}

impl Teller {
    pub(in crate::plane) fn new(end: End, events: Sender<SrtEvent>) -> Arc<Self> {
        Arc::new(Self { end, events, lost: AtomicU64::new(0) })
    }

    pub(super) fn tell(&self, at: Instant, what: What) {
        let event = SrtEvent { end: self.end, at, what };
        self.lost.fetch_add(u64::from(self.events.try_send(event).is_err()), Ordering::Relaxed);
    }
}

/// A caller that the rules let in, and whose handshake goes on.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) socket: SocketId,
    pub(super) peer: SocketAddr,
    pub(super) stream_id: Option<String>,
    pub(super) at: Instant,
}

/// The place of a caller of an output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// When something last came from it.
    pub(super) heard: Instant,
    /// Its address, once it has acknowledged anything.
    pub(super) of: Option<IpAddr>,
}

impl Seat {
    /// Whether `caller` may have it.
    pub(super) fn is_free_for(&self, caller: IpAddr, now: Instant) -> bool {
        now.since(self.heard) > UNANSWERED && self.of.is_none_or(|of| of == caller)
    }
}

/// What the door says to a caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// It may go on, and must know this passphrase.
    Admit(Option<&'a Secret>),
    /// It may not, for the reason that it is given.
    Refuse(Rejection),
}

/// The door of one listener. The backend asks it on whatever thread it has, so all of it can be shared.
#[derive(Debug)]
pub(super) struct Door {
    access: Vec<Access>,
    passphrase: Option<Secret>,
    /// What an input does about a second publisher; none for an output.
    second: Option<Second>,
    /// Callers may be further ways of a connection that stands, which is known only when they are accepted.
    bonds: bool,
    places: usize,
    taken: AtomicUsize,
    /// When something last came from the publisher, on the engine's clock.
    heard: AtomicI64,
    /// The callers of an output.
    seats: Mutex<Vec<Seat>>,
    refused: AtomicU64,
    admitted: Sender<Admitted>,
    teller: Arc<Teller>,
}

impl Door {
    /// Of a listener with so many `places`, that reports whom it lets in to `admitted`.
    pub(super) fn new(
        plan: &SrtPlan,
        second: Option<Second>,
        places: usize,
        admitted: Sender<Admitted>,
        teller: Arc<Teller>,
    ) -> Self {
        Self {
            access: plan.access.clone(),
            passphrase: plan.passphrase.clone(),
            second,
            bonds: plan.bond.is_some(),
            places,
            taken: AtomicUsize::new(0),
            heard: AtomicI64::new(i64::MIN),
            seats: Mutex::new(Vec::with_capacity(places)),
            refused: AtomicU64::new(0),
            admitted,
            teller,
        }
    }

    /// What `peer` is told, who sent `stream_id`, empty for none. A refusal is told to control.
    pub(super) fn knock(&self, socket: SocketId, peer: SocketAddr, stream_id: &str, now: Instant) -> Verdict<'_> {
        let stream_id = (!stream_id.is_empty()).then(|| stream_id.to_owned());
        match self.judge(peer.ip().to_canonical(), stream_id.as_deref(), now) {
            Ok(passphrase) => {
                // Where so many wait, only why this one fails will not be told.
                let _ = self.admitted.try_send(Admitted { socket, peer, stream_id, at: now });
                Verdict::Admit(passphrase)
            }
            Err(reason) => {
                let rejection = match reason {
                    Refusal::StreamId => Rejection::NOT_FOUND,
                    Refusal::Address => Rejection::FORBIDDEN,
                    Refusal::Occupied => Rejection::CONFLICT,
                    Refusal::Full => Rejection::OVERUSE,
                    Refusal::Handshake(rejection) => rejection,
                };
                self.refuse(peer, stream_id, reason, now);
                Verdict::Refuse(rejection)
            }
        }
    }

    /// Counts and tells a refusal.
    pub(super) fn refuse(&self, peer: SocketAddr, stream_id: Option<String>, reason: Refusal, now: Instant) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.teller.tell(now, What::Refused { peer, stream_id, reason });
    }

    fn judge(&self, address: IpAddr, stream_id: Option<&str>, now: Instant) -> Result<Option<&Secret>, Refusal> {
        let passphrase = self.rule(address, stream_id)?;
        if self.bonds { Ok(passphrase) } else { self.place(address, now).map(|()| passphrase) }
    }

    /// The passphrase by the first rule that fits.
    fn rule(&self, address: IpAddr, stream_id: Option<&str>) -> Result<Option<&Secret>, Refusal> {
        if self.access.is_empty() {
            return Ok(self.passphrase.as_ref());
        }
        let mut reason = Refusal::StreamId;
        for access in &self.access {
            if access.stream_id.is_some() && access.stream_id.as_deref() != stream_id {
                continue;
            }
            if access.from.is_empty() || access.from.iter().any(|network| contains(network, address)) {
                return Ok(access.passphrase.as_ref().or(self.passphrase.as_ref()));
            }
            reason = Refusal::Address;
        }
        Err(reason)
    }

    /// Whether one more has a place, be it that of another that must go.
    pub(super) fn place(&self, caller: IpAddr, now: Instant) -> Result<(), Refusal> {
        if self.taken.load(Ordering::Acquire) < self.places {
            return Ok(());
        }
        let silent = now.since(Instant::from_nanos(self.heard.load(Ordering::Acquire)));
        match self.second {
            None if self.seats.lock().iter().any(|seat| seat.is_free_for(caller, now)) => Ok(()),
            None => Err(Refusal::Full),
            Some(Second::TakeOver) => Ok(()),
            Some(Second::Refuse) if silent > STALE => Ok(()),
            Some(Second::Refuse) => Err(Refusal::Occupied),
        }
    }

    pub(super) fn set_taken(&self, taken: usize) {
        self.taken.store(taken, Ordering::Release);
    }

    pub(super) fn set_heard(&self, at: Instant) {
        self.heard.store(at.nanos(), Ordering::Release);
    }

    pub(super) fn set_seats(&self, all: impl Iterator<Item = Seat>) {
        let mut seats = self.seats.lock();
        seats.clear();
        seats.extend(all);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Whether the first bits of `address` are those of `network`.
fn contains(network: &Network, address: IpAddr) -> bool {
    let (want, have, bits) = match (network.address, address) {
        (IpAddr::V4(want), IpAddr::V4(have)) => (u128::from(want.to_bits()), u128::from(have.to_bits()), 32),
        (IpAddr::V6(want), IpAddr::V6(have)) => (want.to_bits(), have.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let free = bits - u32::from(network.prefix).min(bits);
    (want ^ have).checked_shr(free).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, unbounded};

    use super::*;
    use crate::config::{Backend, Role};
    use crate::units::InputId;

    fn plan(access: Vec<Access>, passphrase: Option<&str>) -> SrtPlan {
        SrtPlan {
            role: Role::Listener,
            backend: Backend::Auto,
            latency: Span::from_millis(200),
            passphrase: passphrase.and_then(Secret::new),
            key_length: None,
            stream_id: None,
            access,
            callers: 2,
            second: Second::Refuse,
            payload: 1316,
            connect: Span::from_secs(3),
            idle: Span::from_secs(5),
            buffer: 1 << 20,
            bond: None,
        }
    }

    fn door(access: Vec<Access>, second: Option<Second>, places: usize) -> (Door, Receiver<SrtEvent>) {
        let (events, told) = unbounded();
        let teller = Teller::new(End::Input(InputId(0)), events);
        (Door::new(&plan(access, Some("of the listener")), second, places, unbounded().0, teller), told)
    }

    fn network(text: &str, prefix: u8) -> Network {
        Network { address: text.parse().unwrap(), prefix }
    }

    const NOW: Instant = Instant::from_nanos(5_000_000_000);

    #[test]
    fn the_first_rule_that_fits_says_which_passphrase() {
        let studio = Access {
            stream_id: Some("studio".to_owned()),
            from: vec![network("192.0.2.0", 24), network("2001:db8::", 32)],
            passphrase: Secret::new("of the studio"),
        };
        let guest = Access { stream_id: Some("guest".to_owned()), from: Vec::new(), passphrase: None };
        let (door, told) = door(vec![studio, guest], Some(Second::Refuse), 1);
        let knock = |from: &str, id| door.knock(SocketId(1), from.parse().unwrap(), id, NOW);
        let secret = |text| Secret::new(text).unwrap();
        for from in ["192.0.2.255:1", "[2001:db8:1::1]:1", "[::ffff:192.0.2.1]:1"] {
            assert_eq!(knock(from, "studio"), Verdict::Admit(Some(&secret("of the studio"))), "{from}");
        }
        assert_eq!(knock("198.51.100.1:1", "guest"), Verdict::Admit(Some(&secret("of the listener"))));
        assert_eq!(knock("192.0.3.0:1", "studio"), Verdict::Refuse(Rejection::FORBIDDEN));
        assert_eq!(knock("[2001:db9::1]:1", "studio"), Verdict::Refuse(Rejection::FORBIDDEN));
        assert_eq!(knock("192.0.2.1:1", "other"), Verdict::Refuse(Rejection::NOT_FOUND));
        assert_eq!(knock("192.0.2.1:1", ""), Verdict::Refuse(Rejection::NOT_FOUND));
        let reasons: Vec<_> = told.try_iter().map(|event| event.what).collect();
        assert_eq!((reasons.len(), door.refused()), (4, 4));
        let What::Refused { peer, stream_id, reason } = &reasons[2] else { panic!("{reasons:?}") };
        assert_eq!((peer.to_string().as_str(), stream_id.as_deref()), ("192.0.2.1:1", Some("other")));
        assert_eq!(*reason, Refusal::StreamId);
    }

    #[test]
    fn a_second_publisher_waits_until_the_first_is_silent_or_takes_over() {
        let from = "192.0.2.1:1".parse().unwrap();
        let late = NOW + STALE + Span::from_millis(1);
        let (refuse, _told) = door(Vec::new(), Some(Second::Refuse), 1);
        let (take_over, _told) = door(Vec::new(), Some(Second::TakeOver), 1);
        let (output, _told) = door(Vec::new(), None, 2);
        for door in [&refuse, &take_over, &output] {
            assert!(matches!(door.knock(SocketId(1), from, "", NOW), Verdict::Admit(Some(_))));
            door.set_taken(1);
            door.set_heard(NOW);
        }
        assert_eq!(refuse.knock(SocketId(2), from, "", NOW + STALE), Verdict::Refuse(Rejection::CONFLICT));
        assert!(matches!(refuse.knock(SocketId(2), from, "", late), Verdict::Admit(_)));
        assert!(matches!(take_over.knock(SocketId(2), from, "", NOW), Verdict::Admit(_)));
        assert!(matches!(output.knock(SocketId(2), from, "", NOW), Verdict::Admit(_)));
        output.set_taken(2);
        assert_eq!(output.knock(SocketId(3), from, "", late), Verdict::Refuse(Rejection::OVERUSE));
    }

    #[test]
    fn a_viewer_that_is_silent_gives_its_place_to_itself_alone_and_one_that_never_spoke_to_anybody() {
        let (output, _told) = door(Vec::new(), None, 1);
        output.set_taken(1);
        let knock = |from: &str, late| output.knock(SocketId(1), format!("{from}:1").parse().unwrap(), "", NOW + late);
        let late = Span::from_millis(1001);
        let full = Verdict::Refuse(Rejection::OVERUSE);
        output.set_seats([Seat { heard: NOW, of: Some("192.0.2.1".parse().unwrap()) }].into_iter());
        for (from, late, free) in [
            ("192.0.2.1", UNANSWERED, false),
            ("192.0.2.1", late, true),
            ("[::ffff:192.0.2.1]", late, true),
            ("192.0.2.2", Span::from_secs(60), false),
        ] {
            assert_eq!(knock(from, late) != full, free, "{from} {late:?}");
        }
        output.set_seats([Seat { heard: NOW, of: None }].into_iter());
        assert!(knock("192.0.2.2", late) != full && knock("192.0.2.2", UNANSWERED) == full);
    }

    #[test]
    fn a_network_has_as_many_bits_as_its_prefix() {
        for (text, prefix, address, want) in [
            ("0.0.0.0", 0, "255.1.2.3", true),
            ("10.0.0.0", 8, "10.255.0.1", true),
            ("10.0.0.0", 8, "11.0.0.0", false),
            ("10.0.0.1", 32, "10.0.0.1", true),
            ("10.0.0.1", 32, "10.0.0.0", false),
            ("::", 0, "fe80::1", true),
            ("::", 0, "10.0.0.1", false),
            ("fe80::", 10, "febf::1", true),
            ("fe80::", 10, "fec0::1", false),
            ("::1", 128, "::1", true),
        ] {
            assert_eq!(contains(&network(text, prefix), address.parse().unwrap()), want, "{text}/{prefix} {address}");
        }
    }
}
