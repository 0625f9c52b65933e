//! The continuity counters of the output, PID by PID: ISO/IEC 13818-1 2.4.3.3.

use crate::ts::Outline;

/// Where the packets of a PID come from: a feed, and how many times it was entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// The feed plus one; 0 is none, [`Source::OURS`] what is made here.
    feed: u8,
    epoch: u32,
}

impl Source {
    /// Made here.
    const OURS: Self = Self { feed: u8::MAX, epoch: 0 };

    pub(super) fn new(feed: usize, epoch: u32) -> Self {
        Self { feed: u8::try_from(feed).map_or(u8::MAX - 1, |feed| feed.saturating_add(1)), epoch }
    }
}

/// What one PID of the output was sent with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OutPid {
    source: Source,
    /// The continuity counter of its last packet.
    counter: u8,
    /// What is added to the source's counters.
    shift: u8,
    /// Packets of the source leave as they came.
    direct: bool,
    /// Packets of the source may have been left out since the last that was sent.
    loose: bool,
}

impl OutPid {
    /// Whether a packet of `source` leaves as it came; if so, it is counted.
    #[inline]
    pub(super) fn passes(&mut self, source: Source, outline: Outline) -> bool {
        if !self.direct || self.source != source {
            return false;
        }
        if !outline.transport_error_indicator() {
            self.counter = outline.continuity_counter();
        }
        true
    }

    /// The counter that a packet of `source` is to be sent with. One with transport_error_indicator is believed in nothing
    /// but its PID.
    /// Where packets of the source are left out (`loose`), those that are sent follow each other.
    pub(super) fn count(&mut self, source: Source, outline: Outline, loose: bool) -> u8 {
        let counter = outline.continuity_counter();
        if outline.transport_error_indicator() {
            return counter.wrapping_add(self.shift) & 0x0F;
        }
        if self.source != source || loose || self.loose {
            self.loose = loose;
            // with payload it goes on, without it repeats
            let wanted = self.counter.wrapping_add(u8::from(outline.has_payload()));
            self.shift = if self.is_used() { wanted.wrapping_sub(counter) & 0x0F } else { 0 };
            self.source = source;
            self.direct = false;
        }
        self.counter = counter.wrapping_add(self.shift) & 0x0F;
        self.counter
    }

    /// Whether something was sent, and its last packet was not of `source`.
    pub(super) fn is_handed_over(&self, source: Source) -> bool {
        self.is_used() && self.source != source
    }

    /// From now on, packets of the source that it was last counted for leave as they came, if their counters allow.
    pub(super) fn let_pass(&mut self, direct: bool) {
        self.direct = direct && self.shift == 0;
    }

    /// The counter of the next packet with payload that is made here.
    pub(super) fn next(&mut self) -> u8 {
        if self.is_used() {
            self.counter = self.counter.wrapping_add(1) & 0x0F;
        }
        self.source = Source::OURS;
        self.direct = false;
        self.counter
    }

    /// The counter of the last packet, which one without payload repeats.
    pub(super) const fn last(&self) -> u8 {
        self.counter
    }

    /// Whether anything was sent.
    pub(super) fn is_used(&self) -> bool {
        self.source != Source::default()
    }

    /// Whether something was sent that `feed` did not send.
    pub(super) fn is_of_another(&self, feed: usize) -> bool {
        self.is_used() && self.source.feed != Source::new(feed, 0).feed
    }
}
