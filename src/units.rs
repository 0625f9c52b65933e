//! The quantities that the crate reckons in, each its own type so that none is taken for another.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A point of the engine's time, in nanoseconds from an origin that only the driver knows.
///
/// Live, the driver derives it from the kernel's receive time stamps on a clock that never steps; in a
/// replay it comes from the capture. It is a plain integer because a time out of a capture cannot be
/// turned into `std::time::Instant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// Earlier than anything that happens: when what never was there was last there.
    pub const LONG_AGO: Self = Self(i64::MIN);
    /// Later than anything that happens: the deadline of what waits for nothing.
    pub const NEVER: Self = Self(i64::MAX);

    /// `ns` nanoseconds after the origin.
    pub const fn from_nanos(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the origin.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds since the origin.
    #[allow(clippy::cast_precision_loss)]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time from `earlier` to this one, zero where `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Span {
        let d = self.0.saturating_sub(earlier.0);
        Span(if d < 0 { 0 } else { d })
    }
}

impl Add<Span> for Instant {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Instant {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Sub<Span> for Instant {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// A length of the engine's time in nanoseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than anything lasts: the limit of what has none.
    pub const FOREVER: Self = Self(i64::MAX);

    /// `ns` nanoseconds; a negative count is taken as none.
    pub const fn from_nanos(ns: i64) -> Self {
        Self(if ns < 0 { 0 } else { ns })
    }

    /// `us` microseconds.
    pub const fn from_micros(us: u32) -> Self {
        Self(us as i64 * 1_000)
    }

    /// `ms` milliseconds.
    pub const fn from_millis(ms: u32) -> Self {
        Self(ms as i64 * 1_000_000)
    }

    /// `s` seconds.
    pub const fn from_secs(s: u32) -> Self {
        Self(s as i64 * 1_000_000_000)
    }

    /// Nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds.
    #[allow(clippy::cast_precision_loss)]
    pub fn millis(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Seconds.
    #[allow(clippy::cast_precision_loss)]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl fmt::Display for Span {
    /// In the largest unit that needs no fraction (`200ms`, `5s`, `2m`), as the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        if ns == 0 {
            write!(f, "0ms")
        } else if ns % 60_000_000_000 == 0 {
            write!(f, "{}m", ns / 60_000_000_000)
        } else if ns % 1_000_000_000 == 0 {
            write!(f, "{}s", ns / 1_000_000_000)
        } else {
            write!(f, "{}ms", self.millis())
        }
    }
}

/// Ticks of the 27 MHz system clock (ISO/IEC 13818-1 2.4.2.1), as a PCR carries them: modulo 2^33 × 300.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticks27M(pub u64);

impl Ticks27M {
    /// Where a PCR starts again from zero (ISO/IEC 13818-1 2.4.3.5).
    pub const WRAP: u64 = (1 << 33) * 300;

    /// Ticks from `earlier` to this one going forward, 0…[`WRAP`](Self::WRAP) − 1.
    pub const fn forward_from(self, earlier: Self) -> u64 {
        (self.0 % Self::WRAP + Self::WRAP - earlier.0 % Self::WRAP) % Self::WRAP
    }

    /// The shortest way from `earlier` to this one, negative when this one lies before it.
    pub const fn step_from(self, earlier: Self) -> i64 {
        let d = self.forward_from(earlier).cast_signed();
        if d > Self::WRAP.cast_signed() / 2 { d - Self::WRAP.cast_signed() } else { d }
    }

    /// So many ticks later, or earlier where negative.
    pub const fn later(self, ticks: i64) -> Self {
        let wrap = Self::WRAP.cast_signed();
        Self(((self.0 % Self::WRAP).cast_signed() + ticks % wrap).rem_euclid(wrap).cast_unsigned())
    }

    /// A count of ticks as a length of time, to the nanosecond; `ticks` is at most [`WRAP`](Self::WRAP).
    pub const fn span(ticks: u64) -> Span {
        Span((ticks * 1000 / 27).cast_signed())
    }
}

/// Ticks of 90 kHz, as a PTS or DTS carries them: modulo 2^33 (ISO/IEC 13818-1 2.4.3.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pts90k(pub u64);

impl Pts90k {
    /// Where a PTS starts again from zero.
    pub const WRAP: u64 = 1 << 33;

    /// The shortest way from `earlier` to this one, negative when this one lies before it.
    pub const fn step_from(self, earlier: Self) -> i64 {
        let d = (self.0.wrapping_sub(earlier.0) & (Self::WRAP - 1)).cast_signed();
        if d > Self::WRAP.cast_signed() / 2 { d - Self::WRAP.cast_signed() } else { d }
    }
}

/// A packet identifier, 0…0x1FFF (ISO/IEC 13818-1 2.4.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u16);

impl Pid {
    /// How many PIDs there are.
    pub const COUNT: usize = 0x2000;
    /// The program association table.
    pub const PAT: Self = Self(0);
    /// The conditional access table.
    pub const CAT: Self = Self(1);
    /// The network information table (EN 300 468 table 1).
    pub const NIT: Self = Self(0x10);
    /// The service description and bouquet association tables.
    pub const SDT: Self = Self(0x11);
    /// The event information table.
    pub const EIT: Self = Self(0x12);
    /// The time and date, and time offset tables.
    pub const TDT: Self = Self(0x14);
    /// Null packets.
    pub const NULL: Self = Self(0x1FFF);

    /// The PID in the low 13 bits of `value`; the upper three, which are flags in a packet's header, are dropped.
    pub const fn new(value: u16) -> Self {
        Self(value & 0x1FFF)
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The number as an index of a table of [`Pid::COUNT`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Pid {
    /// As `0x100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitRate(pub u64);

impl fmt::Display for BitRate {
    /// As `8.02 Mb/s`.
    #[allow(clippy::cast_precision_loss)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1_000_000 {
            write!(f, "{:.2} Mb/s", self.0 as f64 / 1e6)
        } else {
            write!(f, "{:.0} kb/s", self.0 as f64 / 1e3)
        }
    }
}

/// Which input of an engine: its place in the engine, counted through all channels in the order of the setup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputId(pub u16);

impl InputId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which channel of an engine, in the order of the setup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u16);

impl ChannelId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_step_across_their_wrap() {
        assert_eq!(Ticks27M(5).step_from(Ticks27M(Ticks27M::WRAP - 5)), 10);
        assert_eq!(Ticks27M(Ticks27M::WRAP - 5).step_from(Ticks27M(5)), -10);
        assert_eq!(Ticks27M(5).forward_from(Ticks27M(Ticks27M::WRAP - 5)), 10);
        assert_eq!(Ticks27M(Ticks27M::WRAP - 5).later(10), Ticks27M(5));
        assert_eq!(Ticks27M(5).later(-10), Ticks27M(Ticks27M::WRAP - 5));
        assert_eq!(Ticks27M(5).later(i64::MIN).later(i64::MAX), Ticks27M(4));
        assert_eq!(Pts90k(1).step_from(Pts90k(Pts90k::WRAP - 1)), 2);
        assert_eq!(Pts90k(Pts90k::WRAP - 1).step_from(Pts90k(1)), -2);
    }

    #[test]
    fn spans_read_as_the_configuration_writes_them() {
        for (span, text) in [
            (Span::from_millis(200), "200ms"),
            (Span::from_secs(5), "5s"),
            (Span::from_secs(120), "2m"),
            (Span::from_micros(1_500), "1.5ms"),
            (Span::ZERO, "0ms"),
        ] {
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn time_never_runs_backwards_into_a_span() {
        assert_eq!(Instant::from_nanos(1).since(Instant::from_nanos(5)), Span::ZERO);
        assert_eq!(Instant::NEVER + Span::from_secs(1), Instant::NEVER);
    }
}
