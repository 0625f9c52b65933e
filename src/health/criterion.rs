//! What an input is judged by, and the limits that raise and clear each criterion.

use crate::tr101290::Indicator;
use crate::units::{Pid, Span};

/// One thing that can make an input unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Criterion {
    /// No datagram at all.
    InputLoss,
    /// [`Indicator::TsSyncLoss`].
    TsSyncLoss,
    /// [`Indicator::SyncByteError`].
    SyncByteError,
    /// [`Indicator::PatError2`].
    PatError2,
    /// [`Indicator::ContinuityCountError`].
    ContinuityCountError,
    /// [`Indicator::PmtError2`].
    PmtError2,
    /// [`Indicator::PidError`].
    PidError,
    /// [`Indicator::TransportError`].
    TransportError,
    /// [`Indicator::CrcError`].
    CrcError,
    /// [`Indicator::PcrRepetitionError`].
    PcrRepetitionError,
    /// [`Indicator::PcrDiscontinuityIndicatorError`].
    PcrDiscontinuityIndicatorError,
    /// [`Indicator::PtsError`].
    PtsError,
    /// [`Indicator::CatError`].
    CatError,
    /// RTP datagrams that never came (RFC 3550 6.4.1, cumulative number of packets lost).
    RtpLoss,
}

/// What a criterion can be measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How long something has been missing: `raise: {for: …}`.
    Lasting,
    /// How many events there were: `raise: {above: …, within: …}`.
    Counted,
    /// Either.
    Both,
}

impl Criterion {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// All of them, the gravest first within each priority.
    pub const ALL: [Self; Self::COUNT] = [
        Self::InputLoss,
        Self::TsSyncLoss,
        Self::SyncByteError,
        Self::PatError2,
        Self::ContinuityCountError,
        Self::PmtError2,
        Self::PidError,
        Self::TransportError,
        Self::CrcError,
        Self::PcrRepetitionError,
        Self::PcrDiscontinuityIndicatorError,
        Self::PtsError,
        Self::CatError,
        Self::RtpLoss,
    ];

    /// As an index into tables of [`Criterion::COUNT`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The indicator that this criterion acts on, or the name of what it watches itself.
    const fn source(self) -> Result<Indicator, &'static str> {
        Ok(match self {
            Self::InputLoss => return Err("input_loss"),
            Self::RtpLoss => return Err("rtp_loss"),
            Self::TsSyncLoss => Indicator::TsSyncLoss,
            Self::SyncByteError => Indicator::SyncByteError,
            Self::PatError2 => Indicator::PatError2,
            Self::ContinuityCountError => Indicator::ContinuityCountError,
            Self::PmtError2 => Indicator::PmtError2,
            Self::PidError => Indicator::PidError,
            Self::TransportError => Indicator::TransportError,
            Self::CrcError => Indicator::CrcError,
            Self::PcrRepetitionError => Indicator::PcrRepetitionError,
            Self::PcrDiscontinuityIndicatorError => Indicator::PcrDiscontinuityIndicatorError,
            Self::PtsError => Indicator::PtsError,
            Self::CatError => Indicator::CatError,
        })
    }

    /// The indicator that this criterion acts on, where it is one of TR 101 290's.
    pub const fn indicator(self) -> Option<Indicator> {
        match self.source() {
            Ok(indicator) => Some(indicator),
            Err(_) => None,
        }
    }

    /// The name in configuration, journal, JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self.source() {
            Ok(indicator) => indicator.name(),
            Err(name) => name,
        }
    }

    /// The criterion of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// What it can be measured by.
    pub const fn measure(self) -> Measure {
        match self {
            Self::InputLoss | Self::TsSyncLoss => Measure::Lasting,
            Self::PatError2 | Self::PmtError2 | Self::PidError | Self::PcrRepetitionError | Self::PtsError => {
                Measure::Both
            }
            Self::SyncByteError
            | Self::ContinuityCountError
            | Self::TransportError
            | Self::CrcError
            | Self::PcrDiscontinuityIndicatorError
            | Self::CatError
            | Self::RtpLoss => Measure::Counted,
        }
    }

    /// Whether a limit may name the PIDs that count.
    pub const fn takes_pids(self) -> bool {
        match self {
            Self::ContinuityCountError | Self::PidError | Self::TransportError | Self::PtsError => true,
            Self::InputLoss
            | Self::TsSyncLoss
            | Self::SyncByteError
            | Self::PatError2
            | Self::PmtError2
            | Self::CrcError
            | Self::PcrRepetitionError
            | Self::PcrDiscontinuityIndicatorError
            | Self::CatError
            | Self::RtpLoss => false,
        }
    }

    /// How grave it is when no input is healthy and the least bad is wanted: 3 nothing usable arrives, 2 a
    /// first-priority error, 1 a second-priority one.
    pub const fn gravity(self) -> u8 {
        match self {
            Self::InputLoss | Self::TsSyncLoss => 3,
            Self::SyncByteError
            | Self::PatError2
            | Self::ContinuityCountError
            | Self::PmtError2
            | Self::PidError
            | Self::RtpLoss => 2,
            Self::TransportError
            | Self::CrcError
            | Self::PcrRepetitionError
            | Self::PcrDiscontinuityIndicatorError
            | Self::PtsError
            | Self::CatError => 1,
        }
    }
}

/// A set of criteria.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CriterionSet(u32);

impl CriterionSet {
    /// None of them.
    pub const EMPTY: Self = Self(0);

    /// Puts one in.
    pub const fn insert(&mut self, criterion: Criterion) {
        self.0 |= 1 << criterion.index();
    }

    /// Takes one out.
    pub const fn remove(&mut self, criterion: Criterion) {
        self.0 &= !(1 << criterion.index());
    }

    /// Whether it is in.
    pub const fn contains(self, criterion: Criterion) -> bool {
        self.0 & (1 << criterion.index()) != 0
    }

    /// Whether none is in.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in, in the order of [`Criterion::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Criterion> {
        Criterion::ALL.into_iter().filter(move |&c| self.contains(c))
    }

    /// The gravity of the gravest, 0 for none.
    pub fn gravity(self) -> u8 {
        self.iter().map(Criterion::gravity).max().unwrap_or(0)
    }
}

/// The PIDs that a limit is confined to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidScope {
    pids: [Pid; Self::MOST],
    len: u8,
}

impl PidScope {
    /// How many PIDs a scope can name.
    pub const MOST: usize = 16;
    /// No confinement: every PID counts.
    pub const ALL: Self = Self { pids: [Pid::NULL; Self::MOST], len: 0 };

    /// A scope of these PIDs; an empty list is every PID. `None` when there are more than [`PidScope::MOST`].
    pub fn of(pids: &[Pid]) -> Option<Self> {
        let mut scope = Self::ALL;
        scope.pids.get_mut(..pids.len())?.copy_from_slice(pids);
        scope.len = u8::try_from(pids.len()).ok()?;
        Some(scope)
    }

    /// The PIDs named, none for every PID.
    pub fn pids(&self) -> &[Pid] {
        &self.pids[..usize::from(self.len)]
    }

    /// Whether an event on `pid` counts.
    pub fn holds(&self, pid: Pid) -> bool {
        self.len == 0 || self.pids().contains(&pid)
    }
}

/// When a criterion is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// Once the thing has been missing for this long, counted from when it was last there.
    Lasting(Span),
    /// Once there were more than `above` events within any `within`; `above` is 0…[`Raise::MOST`].
    Counted {
        /// How many are still tolerated.
        above: u16,
        /// The window.
        within: Span,
    },
}

impl Raise {
    /// The most events that a limit can tolerate.
    pub const MOST: u16 = 1000;
}

/// The limit of one criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// When it is raised.
    pub raise: Raise,
    /// For how long all must then be well before it is cleared.
    pub clear: Span,
    /// Which PIDs count.
    pub pids: PidScope,
}

/// The limits of one input: a criterion without one is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([Option<Limit>; Criterion::COUNT]);

/// A named set of limits to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// For a main feed that must be clean: one continuity error is one too many.
    Strict,
    /// For contribution feeds.
    Standard,
    /// For a last resort: only what cannot be shown is a fault.
    Lenient,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Strict, Self::Standard, Self::Lenient];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Standard => "standard",
            Self::Lenient => "lenient",
        }
    }
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self([None; Criterion::COUNT]);

    /// The limits of a profile.
    pub fn of(profile: Profile) -> Self {
        use Criterion as C;
        const fn ms(ms: u32) -> Span {
            Span::from_millis(ms)
        }
        let lasting = |for_: Span, clear: Span| Limit { raise: Raise::Lasting(for_), clear, pids: PidScope::ALL };
        let counted = |above: u16, within: Span, clear: Span| Limit {
            raise: Raise::Counted { above, within },
            clear,
            pids: PidScope::ALL,
        };
        let second = Span::from_secs(1);
        let clear = Span::from_secs(5);
        let mut limits = Self::NONE;
        match profile {
            Profile::Strict => {
                limits.set(C::InputLoss, Some(lasting(ms(100), clear)));
                limits.set(C::TsSyncLoss, Some(lasting(ms(0), clear)));
                limits.set(C::SyncByteError, Some(counted(0, second, clear)));
                limits.set(C::PatError2, Some(lasting(ms(500), clear)));
                limits.set(C::ContinuityCountError, Some(counted(0, second, clear)));
                limits.set(C::PmtError2, Some(lasting(ms(500), clear)));
                limits.set(C::PidError, Some(lasting(ms(500), clear)));
                limits.set(C::TransportError, Some(counted(0, second, clear)));
                limits.set(C::CrcError, Some(counted(0, second, clear)));
                limits.set(C::PcrRepetitionError, Some(lasting(ms(200), clear)));
                limits.set(C::PcrDiscontinuityIndicatorError, Some(counted(0, second, clear)));
                limits.set(C::PtsError, Some(lasting(ms(1_000), clear)));
                limits.set(C::RtpLoss, Some(counted(0, second, clear)));
            }
            Profile::Standard => {
                limits.set(C::InputLoss, Some(lasting(ms(200), clear)));
                limits.set(C::TsSyncLoss, Some(lasting(ms(100), clear)));
                limits.set(C::SyncByteError, Some(counted(10, second, clear)));
                limits.set(C::PatError2, Some(lasting(ms(1_000), clear)));
                limits.set(C::ContinuityCountError, Some(counted(10, second, clear)));
                limits.set(C::PmtError2, Some(lasting(ms(1_000), clear)));
                limits.set(C::PidError, Some(lasting(ms(1_000), clear)));
                limits.set(C::TransportError, Some(counted(10, second, clear)));
                limits.set(C::PcrRepetitionError, Some(lasting(ms(500), clear)));
            }
            Profile::Lenient => {
                limits.set(C::InputLoss, Some(lasting(ms(1_000), clear)));
                limits.set(C::TsSyncLoss, Some(lasting(ms(1_000), clear)));
                limits.set(C::PatError2, Some(lasting(ms(5_000), clear)));
                limits.set(C::PmtError2, Some(lasting(ms(5_000), clear)));
                limits.set(C::PidError, Some(lasting(ms(5_000), clear)));
            }
        }
        limits
    }

    /// The limit of `criterion`.
    pub const fn limit(&self, criterion: Criterion) -> Option<&Limit> {
        self.0[criterion.index()].as_ref()
    }

    /// Sets or takes away the limit of `criterion`.
    pub const fn set(&mut self, criterion: Criterion, limit: Option<Limit>) {
        self.0[criterion.index()] = limit;
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(Profile::Standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_indexed_by_their_own_order_and_found_by_name() {
        for (i, criterion) in Criterion::ALL.into_iter().enumerate() {
            assert_eq!(criterion.index(), i);
            assert_eq!(Criterion::from_name(criterion.name()), Some(criterion));
        }
        assert_eq!(Criterion::InputLoss.name(), "input_loss");
    }

    #[test]
    fn every_limit_of_a_profile_is_of_a_form_that_the_criterion_takes() {
        for profile in Profile::ALL {
            let limits = Limits::of(profile);
            for criterion in Criterion::ALL {
                let Some(limit) = limits.limit(criterion) else { continue };
                let fits = match (limit.raise, criterion.measure()) {
                    (_, Measure::Both)
                    | (Raise::Lasting(_), Measure::Lasting)
                    | (Raise::Counted { .. }, Measure::Counted) => true,
                    (Raise::Lasting(_), Measure::Counted) | (Raise::Counted { .. }, Measure::Lasting) => false,
                };
                assert!(fits, "{} in {}", criterion.name(), profile.name());
            }
        }
    }
}
