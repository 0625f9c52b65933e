//! The live data plane: sockets, clocks, memory and threads around the engines.
//!
//! A [`Shard`] is one thread that owns an engine, its sockets and its arena. It is opened whole before any thread is
//! started, and from then on there are four crossings between it and control, all on the [`ShardHandle`]: commands in,
//! events out, retired parts out, and the latest snapshot out. What needs another's time (looking for interfaces,
//! joining, opening, closing) is done by control through the [`Watch`]es.
//!
//! Invariants:
//! - All `unsafe` is in `sys.rs`, behind functions that cannot be misused.
//! - A datagram stays in the frame that the kernel put it into until the kernel has taken it out again.
//! - The ways in and out are one type each, which know nothing of engines: `input::Batch` (a batch into arena frames)
//!   with `input::Intake` (who is handed it), and `output::Outlet` (gathers out of arena frames). Another kind of
//!   packet I/O stands in their place.
//! - SRT comes by a ring from a thread of its backend, and goes by one: see `srt`.
//! - Only Linux: it takes batched system calls, kernel stamps and drop counts, and memberships by interface index.
//!
//! Rights: none are needed for most. CAP_NET_ADMIN lets receive buffers be larger than `net.core.rmem_max`; CAP_NET_RAW
//! lets an IPv6 group be followed to an interface that came back with another index; CAP_NET_BIND_SERVICE is for ports
//! below 1024.

mod arena;
mod clock;
mod endpoint;
mod error;
mod handle;
mod input;
mod interface;
mod output;
mod shard;
mod srt;
mod sys;
mod thread;
mod watch;

pub use endpoint::{Receiver, Sender};
pub use error::OpenError;
pub use handle::{Command, Full, PlaneSnapshot, Retired, ShardHandle};
pub use input::SocketFigures;
pub use interface::{Interfaces, Link};
pub use output::{OutputFigures, OutputSocket};
pub use shard::{Shard, ShardSetup, Stopped};
pub use srt::{
    Carrier as SrtCarrier, End, MemberState, Reason as SrtReason, Refusal, Rejection, SrtEvent, SrtFigures, SrtState,
    SrtStatus, What, carrier as srt_carrier, libsrt_version,
};
pub use watch::{Change, InputWatch, OutputWatch, Reason, Watch};
