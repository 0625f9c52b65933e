//! What is told of SRT: events as they happen, states and figures as they stand.

use std::fmt;
use std::net::SocketAddr;

use crate::config::{Backend, Interface};
use crate::units::{ChannelId, InputId, Instant, Span};

/// Which input or output of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// An input, by its number in the shard's engine.
    Input(InputId),
    /// An output.
    Output {
        /// Its channel.
        channel: ChannelId,
        /// Which of the channel's outputs.
        index: usize,
    },
}

/// Something that happened to an SRT input or output. Which, is [`SrtEvent::end`]'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtEvent {
    /// The input or output.
    pub end: End,
    /// When, on the engine's clock.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A connection stands.
    Up {
        /// The other side.
        peer: SocketAddr,
        /// The stream id that the caller sent, if it sent one; on a caller, its own.
        stream_id: Option<String>,
    },
    /// A connection is no more.
    Down {
        /// The other side.
        peer: SocketAddr,
        /// Why.
        reason: Reason,
    },
    /// A caller was turned away.
    Refused {
        /// The caller.
        peer: SocketAddr,
        /// The stream id that it sent, if it sent one.
        stream_id: Option<String>,
        /// Why.
        reason: Refusal,
    },
    /// A call failed, or the socket could not be opened again; it is tried again. Told once as long as the reason stays.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// A way of a bonded connection stands otherwise than before.
    Member {
        /// The other side, by this way.
        peer: SocketAddr,
        /// The interface that it is called from, if one is configured.
        interface: Option<Interface>,
        /// How it stands now.
        state: MemberState,
    },
}

/// How one way of a bonded connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It is called, and has not answered.
    Calling,
    /// It stands, and nothing goes by it. A receiver that something once came to by it calls it active.
    Standby,
    /// Data goes by it.
    Active,
    /// It is no more; a caller calls again.
    Lost,
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calling => "is called",
            Self::Standby => "stands by",
            Self::Active => "is active",
            Self::Lost => "is lost",
        })
    }
}

/// Why a connection ended, or did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The peer closed it, or it was lost.
    Lost,
    /// Nothing came for as long as `idle` allows.
    Silent,
    /// The caller did not take what was sent, for three seconds on end.
    Slow,
    /// Another publisher took its place.
    Replaced,
    /// This side closed it.
    Closed,
    /// Nobody answered within `connect`.
    NoAnswer,
    /// The peer refused.
    Rejected(Rejection),
    /// The peer's key is not of the length that is asked for.
    KeyLength {
        /// What is asked for, in bytes.
        wanted: u8,
        /// What the peer's key has.
        found: u8,
    },
    /// The box does not let the socket be opened, with this error number (`errno(3)`).
    System(i32),
    /// The backend failed with this number of its own.
    Backend(i32),
    /// The backend broke down while it served this connection.
    Fault,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the peer closed the connection, or it was lost"),
            Self::Silent => f.write_str("nothing came for as long as `idle` allows"),
            Self::Slow => f.write_str("the caller did not take what was sent"),
            Self::Replaced => f.write_str("another publisher took its place"),
            Self::Closed => f.write_str("this side closed the connection"),
            Self::NoAnswer => f.write_str("nobody answered"),
            Self::Rejected(rejection) => write!(f, "refused: {rejection}"),
            Self::KeyLength { wanted, found } => {
                write!(f, "the peer's key has {found} bytes, {wanted} are asked for")
            }
            Self::System(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
            Self::Backend(code) => write!(f, "libsrt failed with error {code}"),
            Self::Fault => f.write_str("the backend broke down"),
        }
    }
}

/// Why a listener turned a caller away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No access rule has its stream id.
    StreamId,
    /// The rules for its stream id do not have its address.
    Address,
    /// The input has a publisher already.
    Occupied,
    /// The output serves as many callers as it may.
    Full,
    /// The rules let it in, but the handshake failed.
    Handshake(Rejection),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamId => f.write_str("no access rule has its stream id"),
            Self::Address => f.write_str("no access rule for its stream id has its address"),
            Self::Occupied => f.write_str("the input has a publisher already"),
            Self::Full => f.write_str("the output serves as many callers as it may"),
            Self::Handshake(rejection) => rejection.fmt(f),
        }
    }
}

/// The reason that an SRT handshake gives for a refusal, as the protocol numbers them from 1000 on (draft-sharabayko-srt
/// 3.2.1.1, Table 7); numbers from 1400 on are the status codes of HTTP plus 1000, those from 2000 on an application's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection(pub i32);

impl Rejection {
    /// No reason was told. libsrt tells a listener none, whatever was wrong: it may be the passphrase.
    pub const UNKNOWN: Self = Self(1000);
    /// Too many callers wait.
    pub const BACKLOG: Self = Self(1005);
    /// The passphrase is wrong.
    pub const BAD_SECRET: Self = Self(1010);
    /// One side has a passphrase, the other does not.
    pub const UNSECURE: Self = Self(1011);
    /// Nobody answered in time.
    pub const TIMEOUT: Self = Self(1016);
    /// The caller may not have this.
    pub const FORBIDDEN: Self = Self(1403);
    /// There is no such stream.
    pub const NOT_FOUND: Self = Self(1404);
    /// Somebody else has the stream.
    pub const CONFLICT: Self = Self(1409);
    /// There are too many callers.
    pub const OVERUSE: Self = Self(1402);
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            1000 => "the handshake failed: most often the passphrase is wrong, or one side has none",
            1001 => "a system call failed",
            1002 => "the peer refused without a reason",
            1003 => "not enough memory or sockets",
            1004 => "the handshake was not understood",
            1005 => "too many callers wait to be accepted",
            1006 => "the peer's program failed",
            1007 => "the peer is closing",
            1008 => "the peer's version of SRT is too old",
            1009 => "the two sides of the rendezvous could not agree who is first",
            1010 => "the passphrase is wrong",
            1011 => "one side has a passphrase, the other has none",
            1012 => "one side sends messages, the other a stream of bytes",
            1013 => "the two sides control congestion differently",
            1014 => "the settings of forward error correction do not agree",
            1015 => "the settings of bonding do not agree",
            1016 => "nobody answered in time",
            1017 => "the kinds of encryption do not agree",
            1400 => "the stream id was not understood",
            1401 => "the caller is not known",
            1402 => "there are too many callers",
            1403 => "the caller may not have this",
            1404 => "there is no such stream",
            1405 => "the stream does not go in this direction",
            1406 => "the caller's settings are not accepted",
            1409 => "somebody else has the stream",
            other => return write!(f, "the peer gave the reason {other}"),
        };
        f.write_str(words)
    }
}

/// How an SRT input or output stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtState {
    /// It is no SRT input or output, not begun, or a caller that rests until it is needed.
    #[default]
    Idle,
    /// A caller that no one has answered yet, or that waits before it calls again.
    Calling,
    /// A listener without callers.
    Listening,
    /// The socket cannot be opened for now, because its address is not there; it is tried again.
    Waiting,
    /// At least one connection stands.
    Up,
}

/// The figures of one connection since it began, read about every 500 ms. With rsrt `buffer` and `bandwidth` are zero, on an
/// output `rtt` as well, and there `lost` counts what was sent again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SrtFigures {
    /// The other side.
    pub peer: SocketAddr,
    /// When it began, on the engine's clock.
    pub since: Instant,
    /// The smoothed round trip.
    pub rtt: Span,
    /// The latency that both sides agreed on.
    pub latency: Span,
    /// Packets of data: received, or sent for the first time.
    pub packets: u64,
    /// Bytes of data: received, or sent for the first time.
    pub bytes: u64,
    /// Packets that were found missing: by the receiver itself, or as it told the sender.
    pub lost: u64,
    /// Packets sent again, or received again.
    pub retransmitted: u64,
    /// Packets that were given up: not recovered in time, or too late to be sent.
    pub dropped: u64,
    /// Messages that were left out on this side: found the ring to the shard full, or the peer's send buffer.
    pub left_out: u64,
    /// Packets that could not be decrypted.
    pub undecrypted: u64,
    /// What waits to be delivered or acknowledged, in time.
    pub buffer: Span,
    /// The rate at which data comes or goes now, in bits a second.
    pub rate: u64,
    /// What the way is estimated to carry, in bits a second.
    pub bandwidth: u64,
    /// The length of the key in bytes, 0 without encryption.
    pub key_length: u8,
}

/// An SRT input or output at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SrtStatus {
    /// How it stands.
    pub state: SrtState,
    /// What carries it, once it was opened: never [`Backend::Auto`].
    pub backend: Option<Backend>,
    /// Its connections by place: one for an input or a caller, as many as it may serve for a listening output.
    pub connections: Vec<Option<SrtFigures>>,
    /// Connections that came about so far.
    pub connected: u64,
    /// Callers that were turned away.
    pub refused: u64,
    /// Connections that ended because the caller was too slow.
    pub slow: u64,
    /// Messages that found the ring to the shard full.
    pub overflow: u64,
    /// Datagrams that the kernel dropped at its UDP sockets, since their buffer was full, or since the filter on a listener of libsrt
    /// refused them; none where that is not known: before there was a socket, and of a bond that is dialled.
    pub kernel_drops: Option<u64>,
    /// Events that found the channel to control full.
    pub events_lost: u64,
}

impl SrtStatus {
    /// Takes over `other`, without taking memory where both have as many places.
    pub(in crate::plane) fn copy(&mut self, other: &Self) {
        let connections = std::mem::take(&mut self.connections);
        let Self { state, backend, connections: _, connected, refused, slow, overflow, kernel_drops, events_lost } =
            *other;
        *self = Self { state, backend, connections, connected, refused, slow, overflow, kernel_drops, events_lost };
        self.connections.clone_from(&other.connections);
    }
}
