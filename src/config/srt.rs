//! What an SRT input or output is told.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::plan::Interface;
use crate::units::Span;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// This box calls the peer, again and again until it answers.
    Caller,
    /// This box waits for peers that call.
    Listener,
    /// Both call each other, from and to the same port.
    Rendezvous,
}

/// What carries SRT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// libsrt where it is installed, else the one that is built in.
    #[default]
    Auto,
    /// libsrt, loaded at run time.
    Libsrt,
    /// The one that is built in.
    Rsrt,
}

/// A passphrase, which is never shown: its `Debug` output is an ellipsis.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A passphrase of 10 to 79 bytes, as SRT takes them; none if it is shorter or longer, or holds a NUL.
    pub fn new(text: &str) -> Option<Self> {
        ((10..=79).contains(&text.len()) && !text.contains('\0')).then(|| Self(text.to_owned()))
    }

    /// The passphrase itself, for the backend alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Addresses that may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits count, 0…32 or 0…128.
    pub prefix: u8,
}

/// Who may call a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The stream id that the caller must send; none for any.
    pub stream_id: Option<String>,
    /// Where it must call from; empty for anywhere.
    pub from: Vec<Network>,
    /// The passphrase that it must have; none for that of the listener.
    pub passphrase: Option<Secret>,
}

/// What happens when a second publisher calls a listening input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Second {
    /// It is refused.
    #[default]
    Refuse,
    /// It takes the place of the first, which is closed.
    TakeOver,
}

/// How the ways of a bond are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BondMode {
    /// Everything goes by all of them.
    Broadcast,
    /// Everything goes by the first that works; the others stand by.
    Backup,
}

/// One way of a bond.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// The peer's address.
    pub address: SocketAddr,
    /// The interface to call from; none leaves it to the routing table.
    pub interface: Option<Interface>,
}

/// Several ways for one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bond {
    /// A listener takes callers that come by several ways for one.
    Accept,
    /// A caller has other ways besides its first.
    Call {
        /// How they are used.
        mode: BondMode,
        /// The others, which come after the first in this order.
        others: Vec<Way>,
    },
}

/// What an SRT input or output is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtPlan {
    /// Who calls.
    pub role: Role,
    /// What carries it.
    pub backend: Backend,
    /// How long after it was sent a message is delivered, 20 ms to 8 s: the peers take the larger of theirs.
    pub latency: Span,
    /// The passphrase of both sides; none without encryption.
    pub passphrase: Option<Secret>,
    /// The length of the key in bytes, 16, 24 or 32; none for that of the peer, or 16.
    pub key_length: Option<u8>,
    /// The stream id that is sent by a caller, at most 512 bytes.
    pub stream_id: Option<String>,
    /// Who may call a listener, the first that fits counts; empty for anyone who has the passphrase.
    pub access: Vec<Access>,
    /// How many callers a listening output serves at once, 1…64.
    pub callers: usize,
    /// What happens to the second publisher of a listening input.
    pub second: Second,
    /// The most bytes of a message that is sent, 188…1456.
    pub payload: u16,
    /// How long a call may take, 100 ms to 60 s.
    pub connect: Span,
    /// A connection on which nothing came for so long is closed, 1 s to 60 s.
    pub idle: Span,
    /// Room for what is on the way and not yet delivered, in bytes, from the largest bit rate and the latency.
    pub buffer: usize,
    /// Several ways for one connection; none for one way.
    pub bond: Option<Bond>,
}

impl SrtPlan {
    /// What of it, at `address`, the built-in rsrt cannot do; none where it can do all.
    pub fn beyond_rsrt(&self, address: SocketAddr) -> Option<&'static str> {
        let own = |rule: &Access| rule.passphrase.clone().or_else(|| self.passphrase.clone());
        let mut passphrases = self.access.iter().map(own);
        let first = passphrases.next();
        if self.role == Role::Rendezvous {
            Some("a rendezvous")
        } else if self.bond.is_some() {
            Some("bonding")
        } else if address.is_ipv6() {
            Some("IPv6")
        } else if first.is_some_and(|first| passphrases.any(|other| other != first)) {
            Some("access rules with different passphrases")
        } else {
            None
        }
    }
}
