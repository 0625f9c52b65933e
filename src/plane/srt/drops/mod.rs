//! What the kernel dropped at the UDP sockets of the backends.
//!
//! A backend makes its sockets for itself and shows none of them. So they are looked for among those of this process, by their
//! addresses, and asked by a descriptor of our own. The kernel has one figure for all that it dropped: what it had no room for,
//! and what a filter on the socket refused.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use socket2::{SockRef, Type};

mod sys;

/// The drops at one UDP socket, which is held open as long as this is.
#[derive(Debug)]
pub(super) struct Drops {
    socket: OwnedFd,
    last: u32,
}

impl Drops {
    /// At `socket`, from now on.
    pub(super) fn of(socket: OwnedFd) -> Self {
        let last = sys::drops(socket.as_fd()).unwrap_or(0);
        Self { socket, last }
    }

    /// At the first UDP socket of this process that `is_it` by its own address and that of its peer, from now on.
    pub(super) fn find(is_it: impl Fn(SocketAddr, Option<SocketAddr>) -> bool) -> Option<Self> {
        all().find(|(_, own, peer)| is_it(*own, *peer)).map(|(socket, ..)| Self::of(socket))
    }

    /// How many datagrams were dropped since this was last asked.
    pub(super) fn take(&mut self) -> u64 {
        let now = sys::drops(self.socket.as_fd()).unwrap_or(self.last);
        u64::from(now.wrapping_sub(std::mem::replace(&mut self.last, now)))
    }
}

/// The own addresses of the UDP sockets of this process whose peer is `peer`.
pub(super) fn connected_to(peer: SocketAddr) -> Vec<SocketAddr> {
    all().filter(|(_, _, to)| *to == Some(peer)).map(|(_, own, _)| own).collect()
}

/// All UDP sockets of this process: a descriptor of our own, its address, and its peer's if it has one.
fn all() -> impl Iterator<Item = (OwnedFd, SocketAddr, Option<SocketAddr>)> {
    let table = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    table.filter_map(|entry| {
        // Nothing else is touched: who closes a descriptor of a file lets go of its locks.
        let what = std::fs::read_link(entry.path()).ok()?;
        if !what.to_str()?.starts_with("socket:") {
            return None;
        }
        let socket = sys::duplicate(entry.file_name().to_str()?.parse().ok()?)?;
        let (own, peer) = {
            let shown = SockRef::from(&socket);
            if shown.r#type().ok()? != Type::DGRAM {
                return None;
            }
            (shown.local_addr().ok()?.as_socket()?, shown.peer_addr().ok().and_then(|peer| peer.as_socket()))
        };
        Some((socket, own, peer))
    })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_a_socket_of_somebody_else_has_no_room_for_is_counted() {
        let [socket, sender] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let own = socket.local_addr().unwrap();
        sender.connect(own).unwrap();
        let from = sender.local_addr().unwrap();
        assert!(connected_to(own).contains(&from));
        let mut drops = Drops::find(|found, peer| found == own && peer.is_none()).unwrap();
        SockRef::from(&socket).set_recv_buffer_size(8 << 10).unwrap();
        for _ in 0..100 {
            sender.send(&[0; 1316]).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let room = (0..100).take_while(|_| socket.recv(&mut [0; 2048]).is_ok()).count() as u64;
        assert_eq!((drops.take(), drops.take()), (100 - room, 0));

        // A filter that lets nothing in: the only word is "return 0".
        SockRef::from(&socket).attach_filter(&[socket2::SockFilter::new(6, 0, 0, 0)]).unwrap();
        sender.send(&[0; 1316]).unwrap();
        assert_eq!(drops.take(), 1);
        assert!(room > 0);
    }
}
