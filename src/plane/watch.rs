//! What control keeps an eye on while a shard runs: interfaces that are not there, come, change and go.
//!
//! A watch never touches a shard's memory. An input's watch has a descriptor of its own of the shard's socket, and
//! joins through that; an output's watch opens another socket, which goes to the shard as a command. When a link merely
//! flaps, the kernel announces its memberships again by itself.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::error::{OpenError, is_absence};
use super::handle::Command;
use super::interface::{Interfaces, Link};
use super::output::OutputSocket;
use super::sys::{self, Membership};
use crate::config::{InputPlan, Interface, OutputPlan};
use crate::engine::Snapshot;
use crate::units::{ChannelId, InputId};

pub(super) const JOIN: &str = "join the group";
pub(super) const BIND: &str = "bind the address";

/// What [`Watch::refresh`] found; each change is told once. What was well at the start is not told.
#[derive(Debug)]
pub enum Change {
    /// All is as it was.
    None,
    /// The input or output works, on the interface with this index; 0 where the routing table chooses.
    Joined {
        /// The index.
        index: u32,
    },
    /// The output can be opened (again): the command hands its new socket to the shard.
    Opened {
        /// The index of the interface; 0 where the routing table chooses.
        index: u32,
        /// To be given to the shard.
        command: Command,
    },
    /// The input or output does not work.
    Lost {
        /// Why.
        reason: Reason,
    },
}

/// Why an input or output does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no interface of that name, or with that address.
    NoInterface,
    /// The interface is switched off.
    Down,
    /// The interface has no carrier.
    NoCarrier,
    /// No interface has the address that the input is bound to.
    NoAddress,
    /// The kernel refused, with this error number (`errno(3)`).
    Refused(i32),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface => f.write_str("there is no such interface"),
            Self::Down => f.write_str("the interface is switched off"),
            Self::NoCarrier => f.write_str("the interface has no carrier"),
            Self::NoAddress => f.write_str("no interface has the address"),
            Self::Refused(errno) => write!(f, "the kernel refused: {}", io::Error::from_raw_os_error(*errno)),
        }
    }
}

impl From<&io::Error> for Reason {
    fn from(error: &io::Error) -> Self {
        Self::Refused(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// What one input or output needs to have watched, about once a second.
#[derive(Debug)]
pub enum Watch {
    /// Of an input.
    Input(InputWatch),
    /// Of an output.
    Output(OutputWatch),
}

impl Watch {
    /// The URL of the input or output.
    pub fn url(&self) -> &str {
        match self {
            Self::Input(watch) => &watch.url,
            Self::Output(watch) => &watch.plan.url,
        }
    }

    /// Whether it is of an input that may rest, which is to be looked after more often than once a second: see [`Watch::follow`].
    pub fn may_rest(&self) -> bool {
        match self {
            Self::Input(watch) => watch.rests.is_some(),
            Self::Output(_) => false,
        }
    }

    /// Lets the watch of an input know what its engine wants of it. True where that is another than before: it is to be refreshed.
    pub fn follow(&mut self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Input(watch) => watch.follow(snapshot),
            Self::Output(_) => false,
        }
    }

    /// Does what can be done by now.
    pub fn refresh(&mut self, interfaces: &Interfaces) -> Change {
        match self {
            Self::Input(watch) => watch.refresh(interfaces),
            Self::Output(watch) => watch.refresh(interfaces),
        }
    }
}

/// Switched off and without carrier are told apart, since they are mended in different places.
fn state(link: &Link) -> Result<u32, Reason> {
    match (link.up, link.running) {
        (false, _) => Err(Reason::Down),
        (true, false) => Err(Reason::NoCarrier),
        (true, true) => Ok(link.index),
    }
}

/// The address and the memberships of one input.
#[derive(Debug)]
pub struct InputWatch {
    url: String,
    socket: Socket,
    address: SocketAddr,
    interface: Option<Interface>,
    sources: Vec<IpAddr>,
    bound: bool,
    /// Which input it is of the shard, if it may rest.
    rests: Option<InputId>,
    /// Whether it is to be received.
    wanted: bool,
    /// The interface that the memberships are on.
    joined: Option<u32>,
    /// The interface that all but its own datagrams are kept out of.
    device: Option<u32>,
    /// The interface was not there when it was last looked for.
    gone: bool,
    /// The interface had an address of the group's family, so that its reports had a sender.
    addressed: bool,
    fault: Option<Reason>,
}

impl InputWatch {
    /// Binds and joins what can be by now. None for an input that nothing can happen to.
    pub(super) fn open(
        socket: &Socket,
        plan: &InputPlan,
        interfaces: &Interfaces,
        rests: Option<InputId>,
    ) -> Result<Option<Self>, OpenError> {
        let fail = |doing| move |source| OpenError::of(&plan.url, plan.address, doing, source);
        // Any other address is bound all the time: what is sent there comes whether it is wanted or not.
        let rests = rests.filter(|_| plan.address.ip().is_multicast());
        let mut watch = Self {
            url: plan.url.clone(),
            socket: socket.try_clone().map_err(fail("open a socket"))?,
            address: plan.address,
            interface: plan.interface.clone(),
            sources: plan.sources.clone(),
            bound: false,
            rests,
            wanted: rests.is_none(),
            joined: None,
            device: None,
            gone: false,
            addressed: false,
            fault: None,
        };
        let link = watch.interface.as_ref().and_then(|interface| interfaces.find(interface));
        watch.bind(link).map_err(fail(BIND))?;
        if plan.address.ip().is_unspecified() {
            return Ok(None);
        }
        if plan.address.ip().is_multicast() && watch.wanted && (link.is_some() || plan.interface.is_none()) {
            watch
                .join(link)
                .map(drop)
                .or_else(|error| if is_absence(&error) { Ok(()) } else { Err(error) })
                .map_err(fail(JOIN))?;
        }
        Ok(Some(watch))
    }

    /// Does what can be done by now.
    pub fn refresh(&mut self, interfaces: &Interfaces) -> Change {
        if !self.wanted {
            self.leave();
            self.fault = None;
            return Change::None;
        }
        let (outcome, anew) = if self.address.ip().is_multicast() {
            self.refresh_group(interfaces)
        } else {
            self.refresh_address(interfaces)
        };
        match outcome {
            Ok(index) => {
                if self.fault.take().is_some() || anew {
                    Change::Joined { index }
                } else {
                    Change::None
                }
            }
            Err(reason) if self.fault == Some(reason) => Change::None,
            Err(reason) => {
                self.fault = Some(reason);
                Change::Lost { reason }
            }
        }
    }

    /// What the engine wants; true where that is another than before.
    fn follow(&mut self, snapshot: &Snapshot) -> bool {
        let wants = |id: InputId| snapshot.inputs.get(id.index()).is_some_and(|input| input.wanted);
        let wanted = self.rests.is_none_or(wants);
        std::mem::replace(&mut self.wanted, wanted) != wanted
    }

    /// Leaves what was joined.
    fn leave(&mut self) {
        if let Some(index) = self.joined.take() {
            // All of it, whatever the sources; it may be gone with its interface.
            let _ = sys::membership(self.socket.as_fd(), self.address.ip(), index, Membership::Leave);
        }
        self.addressed = false;
    }

    /// Where the group is received, and whether it was joined by this call.
    fn refresh_group(&mut self, interfaces: &Interfaces) -> (Result<u32, Reason>, bool) {
        let link = match &self.interface {
            None => None,
            Some(interface) => {
                let Some(link) = interfaces.find(interface) else {
                    self.gone = true;
                    return (Err(Reason::NoInterface), false);
                };
                Some(link)
            }
        };
        let joined = self.bind(link).and_then(|()| self.join(link));
        let anew = joined.as_ref().is_ok_and(|&anew| anew);
        // A join that fails on an interface that is off fails because it is off.
        let outcome = link.map_or(Ok(0), state).and_then(|index| match joined {
            Ok(_) => Ok(index),
            Err(error) => Err(Reason::from(&error)),
        });
        (outcome, anew)
    }

    /// Whether the box has the address that the input is bound to, which only the kernel can tell: it may be routed to
    /// the box without any interface having it.
    fn refresh_address(&mut self, interfaces: &Interfaces) -> (Result<u32, Reason>, bool) {
        let link = self.interface.as_ref().and_then(|interface| interfaces.find(interface));
        let mut probe = self.scoped(link);
        probe.set_port(0);
        let outcome = self
            .bind(link)
            .and_then(|()| Socket::new(Domain::for_address(probe), Type::DGRAM, Some(Protocol::UDP)))
            .and_then(|socket| socket.bind(&SockAddr::from(probe)))
            .map(|()| 0)
            .map_err(|error| if is_absence(&error) { Reason::NoAddress } else { Reason::from(&error) });
        (outcome, false)
    }

    /// The address with the interface's index, where its scope is one link (RFC 4007).
    fn scoped(&self, link: Option<&Link>) -> SocketAddr {
        let mut address = self.address;
        if let (SocketAddr::V6(v6), Some(link)) = (&mut address, link)
            && needs_scope(v6.ip())
        {
            v6.set_scope_id(link.index);
        }
        address
    }

    /// Binds what is not bound yet. An address that is only valid on a link waits for its interface.
    fn bind(&mut self, link: Option<&Link>) -> io::Result<()> {
        let waits = self.interface.is_some() && link.is_none();
        // The kernel does not ask by which interface an IPv6 group came in, only which group.
        if let (IpAddr::V6(group), Some(link)) = (self.address.ip(), link)
            && group.is_multicast()
            && self.device != Some(link.index)
        {
            sys::bind_to_index(self.socket.as_fd(), link.index)?;
            self.device = Some(link.index);
        }
        if !self.bound {
            let address = self.scoped(link);
            if let SocketAddr::V6(v6) = address
                && needs_scope(v6.ip())
                && waits
            {
                return Ok(());
            }
            self.socket.bind(&SockAddr::from(address))?;
            self.bound = true;
        }
        Ok(())
    }

    /// Joins on `link`, or where the routing table says. True when the membership is a new one.
    fn join(&mut self, link: Option<&Link>) -> io::Result<bool> {
        let group = self.address.ip();
        let index = link.map_or(0, |link| link.index);
        if let Some(link) = link {
            let addressed = link.addresses.iter().any(|address| address.is_ipv4() == group.is_ipv4());
            let announce = addressed && !std::mem::replace(&mut self.addressed, addressed);
            let moved = self.joined != Some(index);
            let gone = std::mem::take(&mut self.gone);
            if !(moved || gone || announce) {
                return Ok(false);
            }
            if let Some(old) = self.joined.take() {
                // It may be gone with its interface.
                let _ = sys::membership(self.socket.as_fd(), group, old, Membership::Leave);
            }
            self.ask(group, index)?;
            self.joined = Some(index);
            return Ok(moved || gone);
        }
        // The route may lead elsewhere by now: asked again, the kernel says whether it had joined there.
        let anew = self.ask(group, index)?;
        let before = self.joined.replace(index);
        Ok(anew && before.is_some())
    }

    /// True when anything was joined that had not been.
    fn ask(&self, group: IpAddr, index: u32) -> io::Result<bool> {
        let ask = |what| match sys::membership(self.socket.as_fd(), group, index, what) {
            Ok(()) => Ok(true),
            // This very membership is there already.
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) && what != Membership::Join => Ok(false),
            Err(error) => Err(error),
        };
        if self.sources.is_empty() {
            return ask(Membership::Join);
        }
        let mut anew = false;
        for &source in &self.sources {
            anew |= ask(Membership::JoinSource(source))?;
        }
        Ok(anew)
    }
}

/// Link-local unicast, and the multicast scopes of an interface and a link (RFC 4291 2.5.6 and 2.7).
fn needs_scope(address: &std::net::Ipv6Addr) -> bool {
    let first = address.segments()[0];
    address.is_unicast_link_local() || matches!(first & 0xFF0F, 0xFF01 | 0xFF02)
}

/// The interface of one output.
#[derive(Debug)]
pub struct OutputWatch {
    plan: OutputPlan,
    channel: ChannelId,
    index: usize,
    /// The interface that the shard's socket sends from.
    open: Option<u32>,
    fault: Option<Reason>,
}

impl OutputWatch {
    /// Of the `index`th output of `channel`, whose socket could be opened or not.
    pub(super) fn new(plan: &OutputPlan, channel: ChannelId, index: usize, socket: Option<&OutputSocket>) -> Self {
        Self { plan: plan.clone(), channel, index, open: socket.map(OutputSocket::interface), fault: None }
    }

    /// Does what can be done by now.
    pub fn refresh(&mut self, interfaces: &Interfaces) -> Change {
        let found = match &self.plan.interface {
            None => Ok(0),
            Some(interface) => interfaces.find(interface).ok_or(Reason::NoInterface).and_then(state),
        };
        let outcome = found.and_then(|index| {
            if self.open == Some(index) {
                return Ok((index, None));
            }
            match OutputSocket::connect(&self.plan, interfaces) {
                Ok(socket) => Ok((index, Some(socket))),
                Err((_, error)) => Err(Reason::from(&error)),
            }
        });
        match outcome {
            Ok((index, Some(socket))) => {
                self.open = Some(index);
                self.fault = None;
                let command = Command::Output { channel: self.channel, index: self.index, socket };
                Change::Opened { index, command }
            }
            Ok((index, None)) if self.fault.take().is_some() => Change::Joined { index },
            Ok((_, None)) => Change::None,
            Err(reason) if self.fault == Some(reason) => Change::None,
            Err(reason) => {
                self.fault = Some(reason);
                Change::Lost { reason }
            }
        }
    }
}
