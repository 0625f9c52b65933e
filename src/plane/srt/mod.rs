//! SRT in and out.
//!
//! A backend runs on threads of its own and hands messages over by one bounded ring an input or output: the one queue
//! that the packet path has. A shard sees that ring and what stands in an [`SrtStatus`]; it does not know the backend.
//!
//! - The shard never waits for SRT. An output's datagrams are copied into its ring; what finds it full is left out and
//!   counted, and so is what a peer does not take.
//! - Calling again, silence, access rules and the sizes of buffers are ours (`link`, `access`), and the same for all
//!   backends, which only do what a `Library` does.
//! - A backend that panics ends the connections of one input or output.
//!
//! A call that nobody answers lasts as long as `connect` says, and the next one follows 100 ms later; after a call that
//! was refused, or could not be made, pauses double from 100 ms to 5 s.
//!
//! What the time of a message means is said at each backend, `libsrt` and `rsrt`.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Sender, bounded};

use super::error::OpenError;
use crate::config::{Backend, Interface, Role, SrtPlan};
use access::{Door, Teller};
use library::{Direction, Settings, Why};
use link::{Flow, Hall, Link};
use ring::{Consumer, Doorbell, Producer};
use worker::{Handle, Worker};

mod access;
mod backoff;
mod drops;
mod event;
mod library;
mod libsrt;
mod link;
mod ring;
mod rsrt;
mod worker;

pub use event::{End, MemberState, Reason, Refusal, Rejection, SrtEvent, SrtFigures, SrtState, SrtStatus, What};
pub(super) use ring::Frame;

/// Callers whose handshakes are followed at once, so that a refusal by the backend can be told with its reason.
const HANDSHAKES: usize = 256;

/// Where an SRT input or output is, and who is told of it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) url: &'a str,
    pub(super) plan: &'a SrtPlan,
    pub(super) address: SocketAddr,
    pub(super) interface: Option<&'a Interface>,
    pub(super) end: End,
    pub(super) events: &'a Sender<SrtEvent>,
}

/// What a shard has of an input.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) frames: Consumer,
    bell: Arc<Doorbell>,
    /// Whether the peer is to be called.
    wanted: Arc<AtomicBool>,
    status: triple_buffer::Output<SrtStatus>,
    _handle: Handle,
}

/// What a shard has of an output.
#[derive(Debug)]
pub(super) struct Sink {
    frames: Producer,
    bell: Arc<Doorbell>,
    present: Arc<AtomicUsize>,
    status: triple_buffer::Output<SrtStatus>,
    _handle: Handle,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It is on its way to the backend.
    Taken,
    /// The backend does not keep up.
    Full,
    /// Nobody is connected.
    Nobody,
}

impl Source {
    /// Opens an input; one that is not `wanted` yet does not call its peer.
    pub(super) fn open(place: &Place<'_>, wanted: bool) -> Result<Self, OpenError> {
        let bell = Doorbell::new().map_err(|source| OpenError::System { doing: "make an eventfd", source })?;
        let (producer, frames) = ring::ring(place.plan.buffer);
        let wanted = Arc::new(AtomicBool::new(wanted));
        let flow = Flow::In { frames: producer, bell: Arc::clone(&bell), wanted: Arc::clone(&wanted) };
        let opened = open(place, Direction::In, flow)?;
        Ok(Self { frames, bell, wanted, status: opened.status, _handle: opened.handle })
    }

    /// Readable when something came.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.descriptor()
    }

    /// Has the peer called, or let go. A listener lets callers in all the same: how soon they call again is theirs to say.
    pub(super) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }

    /// To be called before the ring is emptied.
    pub(super) fn hear(&self) {
        self.bell.hear();
    }

    /// To be called where the ring was not emptied.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// How it stands.
    pub(super) fn status(&mut self) -> &SrtStatus {
        self.status.read()
    }
}

impl Sink {
    /// Opens an output.
    pub(super) fn open(place: &Place<'_>) -> Result<Self, OpenError> {
        let (frames, consumer) = ring::ring(place.plan.buffer);
        let opened = open(place, Direction::Out, Flow::Out { frames: consumer })?;
        let Opened { handle, bell, present, status } = opened;
        Ok(Self { frames, bell, present, status, _handle: handle })
    }

    /// Offers one datagram; [`Sink::ring`] is to follow.
    pub(super) fn offer(&mut self, frame: &Frame) -> Offered {
        if !self.is_open() {
            return Offered::Nobody;
        }
        if self.frames.push(*frame).is_ok() { Offered::Taken } else { Offered::Full }
    }

    /// Lets the backend know of what was offered.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Whether anybody is connected.
    pub(super) fn is_open(&self) -> bool {
        self.present.load(Ordering::Acquire) > 0
    }

    /// How it stands.
    pub(super) fn status(&mut self) -> &SrtStatus {
        self.status.read()
    }
}

/// The version of the libsrt that is used, as `1.5.1`; it is loaded if it was not.
///
/// # Errors
/// When it is not installed, or of no use: why, and what to do about it.
pub fn libsrt_version() -> Result<String, String> {
    libsrt::version()
}

struct Opened {
    handle: Handle,
    bell: Arc<Doorbell>,
    present: Arc<AtomicUsize>,
    status: triple_buffer::Output<SrtStatus>,
}

/// Which backend carries an SRT input or output, and why that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// The backend: never [`Backend::Auto`].
    pub backend: Backend,
    /// Why, as the end of a sentence that begins with its name.
    pub why: String,
}

/// Which backend carries `plan` at `address` on this box; libsrt is loaded if it was not.
///
/// # Errors
/// When the one that is asked for, or needed, is not there or cannot do it: why, and what to do about it.
pub fn carrier(plan: &SrtPlan, address: SocketAddr) -> Result<Carrier, String> {
    let beyond = plan.beyond_rsrt(address);
    if plan.bond.is_some() && plan.backend != Backend::Rsrt && libsrt::bonds() == Ok(false) {
        let version = libsrt::version().unwrap_or_default();
        return Err(format!(
            "the libsrt {version} that is installed was built without bonding, which `bond` needs (ENABLE_BONDING; Debian's \
             has it not): install one that has it, or leave `bond` out. Two SRT inputs of one source are merged instead, \
             and an output can be there twice"
        ));
    }
    match (plan.backend, libsrt::version(), beyond) {
        (Backend::Libsrt, Ok(version), _) => {
            Ok(Carrier { backend: Backend::Libsrt, why: format!("{version}, as configured") })
        }
        (Backend::Libsrt, Err(missing), None) => {
            Err(format!("{missing}; or leave `backend` out to use the built-in rsrt"))
        }
        (Backend::Auto, Ok(version), _) => {
            Ok(Carrier { backend: Backend::Libsrt, why: format!("{version}, which is installed") })
        }
        (Backend::Auto | Backend::Libsrt, Err(missing), Some(what)) => {
            Err(format!("{missing}; the built-in rsrt cannot do {what}"))
        }
        (Backend::Auto, Err(missing), None) => Ok(Carrier { backend: Backend::Rsrt, why: missing }),
        (Backend::Rsrt, _, Some(what)) => {
            Err(format!("`rsrt` cannot do {what}: write `libsrt`, or leave `backend` out"))
        }
        (Backend::Rsrt, _, None) => Ok(Carrier { backend: Backend::Rsrt, why: "as configured".to_owned() }),
    }
}

fn open(place: &Place<'_>, direction: Direction, flow: Flow) -> Result<Opened, OpenError> {
    let carrier = carrier(place.plan, place.address);
    let carrier = carrier.map_err(|why| OpenError::Srt { url: place.url.to_owned(), why })?;
    let started = match carrier.backend {
        Backend::Rsrt => worker::alone(direction, rsrt::Backend::new).map(|worker| (worker, 0)),
        Backend::Auto | Backend::Libsrt => worker::shared(direction, move |_| libsrt::Backend::new(direction)),
    };
    let worker = started.map_err(|source| OpenError::System { doing: "start the SRT thread", source })?;
    open_with(place, direction, flow, worker, carrier.backend)
}

fn open_with(
    place: &Place<'_>,
    direction: Direction,
    flow: Flow,
    (worker, key): (Worker, u64),
    backend: Backend,
) -> Result<Opened, OpenError> {
    let plan = place.plan;
    let teller = Teller::new(place.end, place.events.clone());
    let listens = plan.role == Role::Listener;
    let places = if listens && direction == Direction::Out { plan.callers.max(1) } else { 1 };
    let hall = listens.then(|| {
        let (admitted, waiting) = bounded(HANDSHAKES);
        let second = (direction == Direction::In).then_some(plan.second);
        let door = Door::new(plan, second, places, admitted, Arc::clone(&teller));
        Hall { door: Arc::new(door), admitted: waiting, waiting: Vec::new() }
    });
    let settings = Settings {
        url: place.url.to_owned(),
        plan: plan.clone(),
        address: place.address,
        interface: place.interface.cloned(),
        local: None,
        direction,
    };
    let first = SrtStatus { backend: Some(backend), connections: vec![None; places], ..SrtStatus::default() };
    let (out, status) = triple_buffer::triple_buffer(&first);
    let present = Arc::new(AtomicUsize::new(0));
    let link = Link::new(settings, flow, hall, Arc::clone(&present), teller, out, &first);
    let bell = Arc::clone(&worker.bell);
    let handle = worker.open(key, link).map_err(|fault| match fault.why {
        Why::System(errno) => {
            OpenError::of(place.url, place.address, fault.doing, std::io::Error::from_raw_os_error(errno))
        }
        Why::Backend(code) => OpenError::Srt {
            url: place.url.to_owned(),
            why: format!("cannot {}: libsrt failed with error {code}", fault.doing),
        },
    })?;
    Ok(Opened { handle, bell, present, status })
}
