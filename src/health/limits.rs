//! The limits that raise and clear each criterion, and the profiles that give the lot.

use super::criterion::Criterion;
use super::scope::Scope;
use crate::units::{BitRate, Span};

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
    /// Once the rate has been below `rate` for this long.
    Below {
        /// Bits a second, 1 kb/s and more.
        rate: BitRate,
        /// How long; the rate is that of the last second or so, measured ten times a second.
        lasting: Span,
    },
    /// Once the round trip has been longer than this for so long.
    Slower {
        /// The longest that is allowed.
        than: Span,
        /// How long.
        lasting: Span,
    },
    /// Once the share over the window is larger than this.
    Share {
        /// The largest that is allowed, in millionths, 0…1,000,000.
        above: u32,
        /// The window, to about a sixteenth of it.
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
    /// What counts.
    pub scope: Scope,
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

    /// The limits of a profile, those of a connection by SRT among them.
    pub fn of(profile: Profile) -> Self {
        use Criterion as C;
        const fn ms(ms: u32) -> Span {
            Span::from_millis(ms)
        }
        let lasting = |for_: Span, clear: Span| Limit { raise: Raise::Lasting(for_), clear, scope: Scope::ALL };
        let counted = |above: u16, within: Span, clear: Span| Limit {
            raise: Raise::Counted { above, within },
            clear,
            scope: Scope::ALL,
        };
        let second = Span::from_secs(1);
        let clear = Span::from_secs(5);
        let slower =
            |than: Span, lasting: Span| Limit { raise: Raise::Slower { than, lasting }, clear, scope: Scope::ALL };
        let share =
            |above: u32| Limit { raise: Raise::Share { above, within: Span::from_secs(10) }, clear, scope: Scope::ALL };
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
                limits.set(C::VideoPidAbsent, Some(lasting(ms(200), clear)));
                limits.set(C::AudioPidAbsent, Some(lasting(ms(500), clear)));
                limits.set(C::SrtDisconnected, Some(lasting(ms(200), clear)));
                limits.set(C::SrtRttAbove, Some(slower(ms(500), clear)));
                limits.set(C::SrtUnrecovered, Some(share(0)));
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
                limits.set(C::SrtDisconnected, Some(lasting(ms(500), clear)));
                limits.set(C::SrtRttAbove, Some(slower(ms(1_000), clear)));
                limits.set(C::SrtUnrecovered, Some(share(1_000)));
            }
            Profile::Lenient => {
                limits.set(C::InputLoss, Some(lasting(ms(1_000), clear)));
                limits.set(C::TsSyncLoss, Some(lasting(ms(1_000), clear)));
                limits.set(C::PatError2, Some(lasting(ms(5_000), clear)));
                limits.set(C::PmtError2, Some(lasting(ms(5_000), clear)));
                limits.set(C::PidError, Some(lasting(ms(5_000), clear)));
                limits.set(C::SrtDisconnected, Some(lasting(ms(2_000), clear)));
            }
        }
        limits
    }

    /// The same for an input that does not come by SRT.
    #[must_use]
    pub fn without_srt(mut self) -> Self {
        Criterion::OF_SRT.into_iter().for_each(|criterion| self.set(criterion, None));
        self
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
    use super::super::criterion::Measure;
    use super::*;

    #[test]
    fn every_limit_of_a_profile_is_of_a_form_that_the_criterion_takes() {
        for profile in Profile::ALL {
            let limits = Limits::of(profile);
            for criterion in Criterion::ALL {
                let Some(limit) = limits.limit(criterion) else { continue };
                let fits = match (limit.raise, criterion.measure()) {
                    (Raise::Lasting(_), Measure::Lasting | Measure::Both)
                    | (Raise::Counted { .. }, Measure::Counted | Measure::Both)
                    | (Raise::Below { .. }, Measure::Below)
                    | (Raise::Slower { .. }, Measure::Slower)
                    | (Raise::Share { .. }, Measure::Share) => true,
                    (
                        Raise::Lasting(_)
                        | Raise::Counted { .. }
                        | Raise::Below { .. }
                        | Raise::Slower { .. }
                        | Raise::Share { .. },
                        _,
                    ) => false,
                };
                assert!(fits, "{} in {}", criterion.name(), profile.name());
            }
        }
    }
}
