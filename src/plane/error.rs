//! Why something could not be opened, and what an engineer can do about it.

use std::io;
use std::net::SocketAddr;

/// Why a shard, a receiver or a sender could not be opened. An interface that is not there (yet) is not among them.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program has the address, and does not share it.
    #[error(
        "{url}: {address} is in use by another program; `ss -lunp` names it: stop it, or choose another address or port"
    )]
    InUse {
        /// The URL of the input or output.
        url: String,
        /// The address that was to be bound.
        address: SocketAddr,
    },
    /// The kernel does not let this user do it.
    #[error(
        "{url}: no permission to {doing} ({source}); a port below 1024 needs CAP_NET_BIND_SERVICE, an interface of its own CAP_NET_RAW"
    )]
    Denied {
        /// The URL of the input or output.
        url: String,
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The limit of open files is too low for this many inputs and outputs.
    #[error("{url}: too many open files; raise LimitNOFILE= of the service, or `ulimit -n`")]
    TooManyFiles {
        /// The URL of the input or output.
        url: String,
    },
    /// The kernel keeps fewer memberships or sources of a group than are asked for.
    #[error(
        "{url}: the kernel does not take so many sources or memberships; raise net.ipv4.igmp_max_msf, net.ipv6.mld_max_msf or net.ipv4.igmp_max_memberships"
    )]
    TooManyMemberships {
        /// The URL of the input.
        url: String,
    },
    /// SRT cannot do what is asked for.
    #[error("{url}: {why}")]
    Srt {
        /// The URL of the input or output.
        url: String,
        /// Why, and what to do about it.
        why: String,
    },
    /// Anything else that went wrong with a socket.
    #[error("{url}: cannot {doing}: {source}")]
    Socket {
        /// The URL of the input or output.
        url: String,
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something that no input or output is to blame for.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The engine and the sockets do not belong together: a fault of the program.
    #[error("the engine has {engine} {what}, but {sockets} were given to open")]
    Mismatch {
        /// Inputs or channels.
        what: &'static str,
        /// How many the engine has.
        engine: usize,
        /// How many there are to open.
        sockets: usize,
    },
}

impl OpenError {
    /// The failure of `doing` something for `url`.
    pub(super) fn of(url: &str, address: SocketAddr, doing: &'static str, source: io::Error) -> Self {
        let url = url.to_owned();
        match source.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse { url, address },
            Some(libc::EACCES | libc::EPERM) => Self::Denied { url, doing, source },
            Some(libc::EMFILE | libc::ENFILE) => Self::TooManyFiles { url },
            Some(libc::ENOBUFS) if doing == super::watch::JOIN => Self::TooManyMemberships { url },
            _ => Self::Socket { url, doing, source },
        }
    }
}

/// Whether an error tells that an interface, an address or a route is not there, which may change at any time.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ENODEV | libc::ENXIO | libc::ENETDOWN | libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EADDRNOTAVAIL
        )
    )
}
