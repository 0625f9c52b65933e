//! The one queue that the packet path has: fixed frames between one connection and one shard.
//!
//! Neither side ever waits for the other. What finds the ring full is left out and counted by whoever offered it. A bell
//! is rung at most once between two looks of the side that listens to it, so that a burst costs one system call.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::plane::sys::Bell;
use crate::units::Instant;

/// The longest message that SRT carries in live mode: an Ethernet frame's 1500 bytes without the headers of IPv4, UDP and
/// SRT.
pub(in crate::plane) const LONGEST: usize = 1456;

/// One message and when it came.
#[derive(Clone, Copy, Debug)]
pub(in crate::plane) struct Frame {
    /// For what is received, when it was to be delivered; for what is sent, when it was put into the ring.
    pub(in crate::plane) at: Instant,
    len: u16,
    bytes: [u8; LONGEST],
}

impl Frame {
    pub(in crate::plane) const EMPTY: Self = Self { at: Instant::ZERO, len: 0, bytes: [0; LONGEST] };

    /// What it holds.
    pub(in crate::plane) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Room for a whole message, after which [`Frame::set_len`] tells how long it is.
    pub(super) fn room(&mut self) -> &mut [u8; LONGEST] {
        &mut self.bytes
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.len = u16::try_from(len.min(LONGEST)).unwrap_or(0);
    }

    pub(in crate::plane) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds `bytes`. False where they do not fit, and then it is as it was.
    pub(in crate::plane) fn push(&mut self, bytes: &[u8]) -> bool {
        let from = usize::from(self.len);
        let Some(room) = self.bytes.get_mut(from..from + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.set_len(from + bytes.len());
        true
    }
}

/// A bell that is rung once, however much comes, until it is heard.
#[derive(Debug)]
pub(in crate::plane) struct Doorbell {
    bell: Bell,
    rung: AtomicBool,
}

impl Doorbell {
    pub(in crate::plane) fn new() -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self { bell: Bell::new()?, rung: AtomicBool::new(false) }))
    }

    /// To be called after something was put into a ring.
    pub(in crate::plane) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    /// To be called before a ring is looked into: whatever comes after this rings again.
    pub(in crate::plane) fn hear(&self) {
        self.bell.hush();
        self.rung.swap(false, Ordering::AcqRel);
    }

    pub(in crate::plane) fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.file().as_fd()
    }
}

/// The end that puts in.
pub(in crate::plane) type Producer = rtrb::Producer<Frame>;
/// The end that takes out.
pub(in crate::plane) type Consumer = rtrb::Consumer<Frame>;

/// A ring for half a second of what `buffer` bytes of messages are, from 256 to 4,096 frames.
pub(super) fn ring(buffer: usize) -> (Producer, Consumer) {
    rtrb::RingBuffer::new((buffer / LONGEST).clamp(256, 4096))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_what_fits_and_no_more() {
        let mut frame = Frame::EMPTY;
        assert!(frame.push(&[1; 1400]) && frame.push(&[2; 56]));
        assert!(!frame.push(&[3]));
        assert_eq!(frame.bytes().len(), LONGEST);
        assert_eq!((frame.bytes()[1399], frame.bytes()[1400]), (1, 2));
        frame.clear();
        assert!(frame.bytes().is_empty() && frame.push(&[4; 188]));
    }

    #[test]
    fn a_bell_is_rung_once_until_it_is_heard() {
        let bell = Doorbell::new().unwrap();
        let mut epoll = crate::plane::sys::Epoll::new(1).unwrap();
        epoll.add(bell.descriptor(), 7).unwrap();
        assert_eq!(epoll.wait(0), 0);
        bell.ring();
        bell.ring();
        assert_eq!(epoll.wait(0), 1);
        bell.hear();
        assert_eq!(epoll.wait(0), 0);
        bell.ring();
        assert_eq!(epoll.wait(0), 1);
    }
}
