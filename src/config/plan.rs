//! What a configuration means: addresses resolved, defaults filled in, every value in its range.
//!
//! A `Plan` cannot be built from an invalid configuration, so nothing that takes one checks again.

use std::net::{IpAddr, SocketAddr};

use super::srt::SrtPlan;
use crate::engine::{ChannelSetup, Setup};

/// All that one appliance runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This box.
    pub node: NodePlan,
    /// Where the HTTP API listens; none when it is switched off.
    pub api: Option<SocketAddr>,
    /// The channels, at least one, in the order of the file.
    pub channels: Vec<ChannelPlan>,
}

/// The box itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name; the host's where the file gives none.
    pub name: String,
    /// Its failure domain.
    pub domain: Option<String>,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct ChannelPlan {
    /// Its name, unique in the file.
    pub name: String,
    /// Its inputs, in the order of the file and of [`ChannelSetup::inputs`].
    pub inputs: Vec<InputPlan>,
    /// Where its output goes, at least one.
    pub outputs: Vec<OutputPlan>,
    /// What the engine is told.
    pub setup: ChannelSetup,
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPlan {
    /// Its name, unique in its channel.
    pub name: String,
    /// Its URL, as in the file, with an ellipsis for a passphrase.
    pub url: String,
    /// The group to join and bind to, or the address to bind to. With SRT the peer, or the address to listen on.
    pub address: SocketAddr,
    /// The interface to join on, or to call from; none leaves it to the routing table.
    pub interface: Option<Interface>,
    /// The only senders that are let in (RFC 3678); none for any source.
    pub sources: Vec<IpAddr>,
    /// The receive buffer to ask the kernel for, in bytes.
    pub receive_buffer: usize,
    /// Its failure domain.
    pub domain: Option<String>,
    /// What SRT is told; none for UDP and RTP.
    pub srt: Option<SrtPlan>,
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPlan {
    /// Its URL, as in the file, with an ellipsis for a passphrase.
    pub url: String,
    /// Whether datagrams have an RTP header.
    pub rtp: bool,
    /// The address they are sent to. With SRT the peer, or the address to listen on.
    pub address: SocketAddr,
    /// The interface to send from; none leaves it to the routing table.
    pub interface: Option<Interface>,
    /// TTL or hop limit, 1…255.
    pub ttl: u8,
    /// Differentiated services code point, 0…63 (RFC 2474).
    pub dscp: u8,
    /// What SRT is told; none for UDP and RTP.
    pub srt: Option<SrtPlan>,
}

/// A network interface as a person names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// By its name, `eth1`.
    Name(String),
    /// By an address that it has.
    Address(IpAddr),
}

impl Plan {
    /// One engine for all channels, as a replay wants it.
    pub fn setup(&self) -> Setup {
        Setup { channels: self.channels.iter().map(|channel| channel.setup.clone()).collect() }
    }
}
