//! How many callers libsrt is let make memory for at once.
//!
//! For every handshake with a valid cookie libsrt makes a socket before anybody is asked: some 22 KB, which it keeps for one
//! to two seconds after a refusal, and several 100 KB where the caller is let in, which stay for as long as the caller
//! can be silent. So all sockets are held to account until libsrt has no more of them, or until their peer has shown
//! that it is there. Where too many are held, the kernel drops further handshakes before libsrt sees them. A caller
//! repeats its handshake every 250 ms, and comes in when there is room again. Handshakes that were in the socket's queue by
//! then are taken out of it.
//!
//! Addresses are accounted for in 32 lots, so that one address cannot use up everybody's room. Lots are drawn anew every
//! other second, so that nobody shares one with the flood for long.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use socket2::SockFilter;

use crate::units::{Instant, Span};

/// What a socket weighs whose caller was let in, and one that was refused: about their memory.
const ADMITTED: usize = 4;
const REFUSED: usize = 1;
/// What the callers of one lot may hold, and all of them.
const SHARE: usize = 16;
const ALL: usize = 32;
/// How long lots stay as they were drawn.
const DRAW: Span = Span::from_secs(2);
/// Lots are the topmost bits of a product of 32.
const LOT_SHIFT: u32 = 27;
/// The window in packets that a caller may have; libsrt makes a list of 24 bytes for each packet of it.
const WINDOW: u32 = 1 << 18;
/// Spreads the first half of an address over the second.
const SPREAD: u32 = 0x9E37_79B1;

/// A socket that libsrt made for a caller.
#[derive(Debug)]
struct Held {
    socket: i32,
    from: u32,
    weight: usize,
    /// When a connection that stands needs no further proof: it would have been ended, had its peer been silent.
    proven_at: Instant,
}

/// What became of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Libsrt has no more of it.
    Gone,
    /// Its peer has sent something.
    Proven,
    /// It stands, and nothing came.
    Silent,
    /// It is closed, and its memory not yet free.
    Closed,
}

/// What is held of one listener.
#[derive(Debug)]
pub(super) struct Gate {
    held: Vec<Held>,
    /// Odd, by chance.
    factor: u32,
    drawn_at: Instant,
    /// By lot, a bit each.
    shut: u32,
}

/// Of an address, what lots are drawn by. All of a network of IPv6 that one customer has is one.
fn key(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            let high = u32::from(a) << 16 | u32::from(b);
            let low = u32::from(c) << 16 | u32::from(d);
            high.wrapping_mul(SPREAD) ^ low
        }
    }
}

/// An odd number that no caller knows.
fn chance() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d]) | 1
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { held: Vec::new(), factor: chance(), drawn_at: Instant::LONG_AGO, shut: 0 }
    }

    fn lot(&self, from: u32) -> u32 {
        1 << (from.wrapping_mul(self.factor) >> LOT_SHIFT)
    }

    /// Whether one more may come from `address`. What the kernel had let through before it was told is refused so.
    pub(super) fn has_room(&self, address: IpAddr) -> bool {
        self.lot(key(address)) & self.shut == 0
    }

    /// Whether anybody is shut out.
    pub(super) fn is_shut(&self) -> bool {
        self.shut != 0
    }

    /// Whether a datagram that the kernel has let through would be dropped by now.
    pub(super) fn drops(&self, address: IpAddr, datagram: &[u8]) -> bool {
        let word =
            |at: usize| datagram.get(at..at + 4).and_then(|word| word.first_chunk()).copied().map(u32::from_be_bytes);
        let handshake = word(0).is_some_and(|first| first >> 16 == 0x8000) && word(12) == Some(0);
        handshake && word(36).is_some_and(|kind| kind != 1) && !self.has_room(address)
    }

    /// Accounts for a caller's socket; whether the filter is to be changed.
    pub(super) fn hold(&mut self, socket: i32, address: IpAddr, admitted: bool, proven_at: Instant) -> bool {
        let weight = if admitted { ADMITTED } else { REFUSED };
        self.held.push(Held { socket, from: key(address), weight, proven_at });
        self.reckon()
    }

    /// The sockets that are accounted for.
    pub(super) fn sockets(&self) -> impl Iterator<Item = i32> {
        self.held.iter().map(|held| held.socket)
    }

    /// Lets go of a socket, if this is its end or the proof of its peer.
    pub(super) fn learn(&mut self, socket: i32, fate: Fate, now: Instant) {
        self.held.retain(|held| {
            held.socket != socket
                || match fate {
                    Fate::Gone | Fate::Proven => false,
                    Fate::Silent => now < held.proven_at,
                    Fate::Closed => true,
                }
        });
    }

    /// Draws lots where it is time; whether the filter is to be changed.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let mut changed = false;
        if self.shut != 0 && now.since(self.drawn_at) > DRAW {
            self.factor = chance();
            self.drawn_at = now;
            changed = true;
        }
        self.reckon() || changed
    }

    fn reckon(&mut self) -> bool {
        let all: usize = self.held.iter().map(|held| held.weight).sum();
        let shut = if all >= ALL {
            u32::MAX
        } else {
            let lots = self.held.iter().map(|held| self.lot(held.from));
            let full = |lot: &u32| {
                let own = self.held.iter().filter(|held| self.lot(held.from) == *lot);
                own.map(|held| held.weight).sum::<usize>() >= SHARE
            };
            if all >= SHARE { lots.filter(full).fold(0, |shut, lot| shut | lot) } else { 0 }
        };
        std::mem::replace(&mut self.shut, shut) != shut
    }

    /// What the kernel drops: handshakes other than the first one, which costs libsrt nothing, that are from a lot that is
    /// shut or have a window beyond all reason. Everything else is let through by the second instruction or the fourth.
    pub(super) fn filter(&self, ipv6: bool) -> Vec<SockFilter> {
        // The numbers of classic BPF. A datagram begins with its UDP header of 8 bytes; what is read behind its end drops it.
        const HALF: u16 = 0x28;
        const WORD: u16 = 0x20;
        const CONSTANT: u16 = 0x00;
        const TO_X: u16 = 0x07;
        const TIMES: u16 = 0x24;
        const XOR_X: u16 = 0xAC;
        const RIGHT: u16 = 0x74;
        const LEFT_X: u16 = 0x6C;
        const AND: u16 = 0x54;
        const EQUAL: u16 = 0x15;
        const GREATER: u16 = 0x25;
        const RETURN: u16 = 0x06;
        /// The IP header.
        const IP: u32 = 0xFFF0_0000;
        /// Jumps are written as these, and settled when the length is known.
        const PASS: u8 = 254;
        const DROP: u8 = 255;

        let mut steps: Vec<(u16, u8, u8, u32)> = vec![
            // A handshake (draft-sharabayko-srt 3.2) to no socket in particular.
            (HALF, 0, 0, 8),
            (EQUAL, 0, PASS, 0x8000),
            (WORD, 0, 0, 8 + 12),
            (EQUAL, 0, PASS, 0),
            // Its type, where 1 is the induction (3.2.1), and its window.
            (WORD, 0, 0, 8 + 36),
            (EQUAL, PASS, 0, 1),
            (WORD, 0, 0, 8 + 32),
            (GREATER, DROP, 0, WINDOW),
        ];
        if ipv6 {
            let spread = [(WORD, 0, 0, IP + 8), (TIMES, 0, 0, SPREAD), (TO_X, 0, 0, 0)];
            steps.extend(spread);
            steps.extend([(WORD, 0, 0, IP + 12), (XOR_X, 0, 0, 0)]);
        } else {
            steps.push((WORD, 0, 0, IP + 12));
        }
        steps.extend([
            (TIMES, 0, 0, self.factor),
            (RIGHT, 0, 0, LOT_SHIFT),
            (TO_X, 0, 0, 0),
            (CONSTANT, 0, 0, 1),
            (LEFT_X, 0, 0, 0),
            (AND, 0, 0, self.shut),
            (EQUAL, PASS, DROP, 0),
        ]);
        let len = steps.len();
        let settle = |at: usize, to: u8| match to {
            PASS => u8::try_from(len - at).unwrap_or(0),
            DROP => u8::try_from(len - at - 1).unwrap_or(0),
            near => near,
        };
        let steps = steps.into_iter().enumerate();
        let steps = steps.map(|(at, (code, yes, no, k))| SockFilter::new(code, settle(at, yes), settle(at, no), k));
        steps.chain([SockFilter::new(RETURN, 0, 0, 0), SockFilter::new(RETURN, 0, 0, u32::MAX)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    use socket2::SockRef;

    use super::*;

    const NOW: Instant = Instant::from_nanos(5_000_000_000);

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Refused callers from one address, as many as its share.
    fn flood(gate: &mut Gate, from: IpAddr) {
        for socket in 0..16 {
            assert!(gate.has_room(from), "{socket}");
            assert_eq!(gate.hold(socket, from, false, NOW), socket == 15);
        }
        assert!(!gate.has_room(from));
    }

    #[test]
    fn an_address_holds_its_share_and_all_hold_no_more_than_there_is() {
        let mut gate = Gate::new();
        flood(&mut gate, address(1));
        let free: Vec<u8> = (2..=255).filter(|&last| gate.has_room(address(last))).collect();
        assert!(free.len() > 200, "{}", free.len());
        // Four that are let in weigh as much, and then nobody has room.
        for (socket, &last) in (16..).zip(&free[..4]) {
            gate.hold(socket, address(last), true, NOW);
        }
        assert!((1..=255).all(|last| !gate.has_room(address(last))));
        for fate in [Fate::Closed, Fate::Silent] {
            gate.learn(16, fate, NOW - Span::from_nanos(1));
            gate.tick(NOW);
            assert!((1..=255).all(|last| !gate.has_room(address(last))));
        }
        gate.learn(16, Fate::Proven, NOW);
        assert!(gate.tick(NOW));
        assert!((2..=255).any(|last| gate.has_room(address(last))) && !gate.has_room(address(1)));
        for socket in 0..20 {
            gate.learn(socket, Fate::Gone, NOW);
        }
        assert!(gate.tick(NOW) && gate.sockets().count() == 0 && gate.has_room(address(1)));
    }

    #[test]
    fn a_connection_that_outlives_silence_is_proven() {
        let mut gate = Gate::new();
        gate.hold(1, address(1), true, NOW);
        gate.learn(1, Fate::Silent, NOW - Span::from_nanos(1));
        assert_eq!(gate.sockets().count(), 1);
        gate.learn(1, Fate::Closed, NOW);
        assert_eq!(gate.sockets().count(), 1);
        gate.learn(1, Fate::Silent, NOW);
        assert_eq!(gate.sockets().count(), 0);
    }

    #[test]
    fn lots_are_drawn_anew_while_any_is_shut() {
        let mut gate = Gate::new();
        let factor = gate.factor;
        assert!(!gate.tick(NOW));
        assert_eq!(gate.factor, factor);
        flood(&mut gate, address(1));
        assert!(gate.tick(NOW));
        assert_ne!(gate.factor, factor);
        assert!(!gate.tick(NOW + DRAW));
        assert!(!gate.has_room(address(1)));
    }

    /// A datagram with these words after its first and fourth, the destination, and those of a handshake.
    fn datagram(first: u32, destination: u32, window: u32, kind: u32) -> Vec<u8> {
        let words = [first, 0, 0, destination, 5, 1, 0, 1500, window, kind, 7, 0, 0, 0, 0, 0];
        words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect()
    }

    #[test]
    fn the_kernel_drops_what_is_shut_out_and_nothing_else() {
        for host in ["127.0.0.1", "::1"] {
            let address: SocketAddr = format!("{}:0", if host == "::1" { "[::1]" } else { host }).parse().unwrap();
            let to = UdpSocket::bind(address).unwrap();
            to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let from = UdpSocket::bind(address).unwrap();
            from.connect(to.local_addr().unwrap()).unwrap();
            let mut gate = Gate::new();
            let attach = |gate: &Gate| SockRef::from(&to).attach_filter(&gate.filter(address.is_ipv6())).unwrap();
            let passes = |bytes: &[u8]| {
                from.send(bytes).unwrap();
                // It comes after what was sent before it, if that comes.
                from.send(&[0, 1, 2]).unwrap();
                let mut room = [0; 100];
                let came = to.recv(&mut room).unwrap() != 3;
                assert!(!came || to.recv(&mut room).unwrap() == 3);
                came
            };
            let conclusion = datagram(0x8000_0000, 0, WINDOW, u32::MAX);
            let induction = datagram(0x8000_0000, 0, WINDOW, 1);
            let others = [
                induction,
                datagram(0x8000_0000, 77, WINDOW, u32::MAX),
                datagram(0x8001_0000, 0, WINDOW, u32::MAX),
                datagram(5, 0, WINDOW, u32::MAX),
            ];
            attach(&gate);
            assert!(passes(&conclusion), "{host}");
            for window in [WINDOW + 1, 0x8000_0000] {
                assert!(!passes(&datagram(0x8000_0000, 0, window, u32::MAX)), "{host} {window}");
            }
            assert!(!passes(&conclusion[..39]), "{host}");
            assert!(others.iter().all(|other| passes(other)), "{host}");
            flood(&mut gate, address.ip());
            gate.tick(NOW);
            assert_eq!(gate.shut.count_ones(), 1);
            attach(&gate);
            assert!(!passes(&conclusion) && gate.drops(address.ip(), &conclusion), "{host}");
            assert!(others.iter().all(|other| passes(other) && !gate.drops(address.ip(), other)), "{host}");
            assert!((0..39).all(|len| !gate.drops(address.ip(), &conclusion[..len])), "{host}");
            gate.shut = !gate.shut;
            attach(&gate);
            assert!(passes(&conclusion) && !gate.drops(address.ip(), &conclusion), "{host}");
        }
    }
}
