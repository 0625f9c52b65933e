//! Which cut in the output belongs to which switch of the channel.

use std::collections::VecDeque;

use super::judge::Cut;
use super::screen::{Cost, Row};
use crate::units::{Instant, Span};

/// How long a cut waits for the switch that it belongs to: the two are told by different ways.
const CUT_WAITS: Span = Span::from_millis(500);
/// How long a switch waits for its cut, before it is taken to have made none.
const SWITCH_WAITS: Span = Span::from_secs(1);
/// By how much the two clocks may differ: a kernel stamp is brought over to the engine's time.
const SLACK: Span = Span::from_millis(2);
/// Switches that are kept to be shown.
const KEPT: usize = 100;

/// What all switches cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Switches.
    pub switches: u64,
    /// Packets that the output lacks.
    pub lost: u64,
    /// Packets that it has again.
    pub repeated: u64,
    /// Cuts that no switch explains.
    pub stray: u64,
}

/// The switches, and the cuts that wait for theirs.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    switches: VecDeque<(Instant, Row)>,
    cuts: VecDeque<Cut>,
    /// How many of the last switches have not been told yet.
    untold: usize,
    totals: Totals,
}

impl Ledger {
    /// A switch whose first packet left at `at`.
    pub(super) fn switch(&mut self, at: Instant, row: Row) {
        if self.switches.len() == KEPT {
            self.switches.pop_front();
        }
        self.switches.push_back((at, row));
        self.untold = (self.untold + 1).min(KEPT);
        self.totals.switches += 1;
    }

    /// A cut that was seen in the output; in the order in which they came.
    pub(super) fn cut(&mut self, cut: Cut) {
        self.cuts.push_back(cut);
    }

    /// Gives each cut to the last switch before it, which can have no more than one, as far as enough time has passed
    /// by `now`. The switches whose cost is known since the last call, in order.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<Row> {
        while let Some(cut) = self.cuts.pop_front_if(|cut| now.since(cut.at) >= CUT_WAITS) {
            match self.switches.iter_mut().rev().find(|(at, _)| *at <= cut.at + SLACK) {
                Some((_, row)) if row.cost == Cost::Awaited => {
                    row.cost = Cost::Seen(cut);
                    self.totals.lost += cut.lost;
                    self.totals.repeated += cut.repeated;
                }
                Some(_) | None => self.totals.stray += 1,
            }
        }
        let mut told = Vec::new();
        let from = self.switches.len().saturating_sub(self.untold);
        for (at, row) in self.switches.iter_mut().skip(from) {
            if row.cost == Cost::Awaited && now.since(*at) >= SWITCH_WAITS {
                row.cost = Cost::Nothing;
            }
            if row.cost == Cost::Awaited {
                break;
            }
            told.push(row.clone());
        }
        self.untold = self.untold.saturating_sub(told.len());
        told
    }

    /// The last `most` switches, the oldest first.
    pub(super) fn latest(&self, most: usize) -> Vec<Row> {
        let from = self.switches.len().saturating_sub(most);
        self.switches.iter().skip(from).map(|(_, row)| row.clone()).collect()
    }

    /// What all switches cost together, as far as known.
    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: i64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn cut(ms: i64, lost: u64, repeated: u64) -> Cut {
        Cut { at: at(ms), lost, repeated, gap: Span::ZERO }
    }

    fn row(reason: &'static str) -> Row {
        Row { at: Span::ZERO, from: "main", to: "backup", reason, kind: "cut", cost: Cost::Awaited }
    }

    #[test]
    fn a_cut_belongs_to_the_last_switch_before_it_whichever_is_told_first() {
        let mut ledger = Ledger::default();
        ledger.cut(cut(1_001, 0, 200));
        assert_eq!(ledger.settle(at(1_400)), []);
        ledger.switch(at(1_000), row("input_loss"));
        ledger.switch(at(3_000), row("failback"));
        let told = ledger.settle(at(3_100));
        assert_eq!(told, [Row { cost: Cost::Seen(cut(1_001, 0, 200)), ..row("input_loss") }]);
        ledger.cut(cut(2_999, 210, 0));
        let told = ledger.settle(at(3_600));
        assert_eq!(told, [Row { cost: Cost::Seen(cut(2_999, 210, 0)), ..row("failback") }]);
        assert_eq!(ledger.settle(at(9_000)), []);
        assert_eq!(ledger.totals(), Totals { switches: 2, lost: 210, repeated: 200, stray: 0 });
    }

    #[test]
    fn a_switch_without_a_cut_cost_nothing_and_a_cut_without_a_switch_is_astray() {
        let mut ledger = Ledger::default();
        ledger.cut(cut(500, 7, 0));
        ledger.switch(at(1_000), row("take"));
        assert_eq!(ledger.settle(at(1_999)), []);
        assert_eq!(ledger.settle(at(2_000)), [Row { cost: Cost::Nothing, ..row("take") }]);
        ledger.cut(cut(2_500, 1, 0));
        assert_eq!(ledger.settle(at(3_000)), []);
        assert_eq!(ledger.totals(), Totals { switches: 1, lost: 0, repeated: 0, stray: 2 });
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut ledger = Ledger::default();
        for i in 0..250 {
            ledger.switch(at(i), row("take"));
        }
        assert_eq!(ledger.latest(1_000).len(), KEPT);
        assert_eq!(ledger.latest(3).len(), 3);
        assert_eq!(ledger.settle(at(10_000)).len(), KEPT);
        assert_eq!(ledger.totals().switches, 250);
    }
}
