//! How it went: what was judged, and whether the output stayed clean.

use std::fmt;

use super::fault::Tally;
use super::judge::Findings;
use super::ledger::Totals;
use super::screen::{self, grouped};
use super::stage::DETECTION;
use crate::units::Span;

/// What a demonstration came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How long it lasted.
    pub elapsed: Span,
    /// What was done to the main, and what followed.
    pub tally: Tally,
    /// Whether it was ended while a fault was there or the channel had yet to return, so that nothing can be said of
    /// the last fault.
    pub interrupted: bool,
    /// What the switches cost.
    pub totals: Totals,
    /// What is known of the output.
    pub findings: Findings,
    /// The longest time in which the sender of the feeds sent nothing, which is the machine's doing.
    pub sender_gap: Span,
    /// Datagrams of the output that the judge itself missed because its socket was full.
    pub missed: u64,
    /// Datagrams of the feeds that the switcher's sockets had no room for.
    pub overflown: u64,
    /// How long every packet waited in the delay line.
    pub delay: Span,
    /// How far the sender had the backup behind the main.
    pub skew: Span,
    /// What there is to say of the way by SRT, where the backup came by it.
    pub srt: Option<SrtSummary>,
}

/// What became of the backup on its way by SRT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SrtSummary {
    /// Datagrams that the way lost, both directions together.
    pub lost: u64,
    /// Packets that came again.
    pub retransmitted: u64,
    /// Packets that never came.
    pub unrecovered: u64,
}

impl Summary {
    /// The longest gap that the output may have: what the faults explain, and what the sender was itself silent.
    pub fn gap_allowed(&self) -> Span {
        Span::from_nanos(self.delay.nanos() + DETECTION.nanos() + self.sender_gap.nanos())
    }

    /// Everything that is not as it should be, none where the output stayed clean.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let findings = &self.findings;
        for (name, count) in screen::errors(findings) {
            // What the judge missed is missing in what it saw, and was sent all the same.
            let own = name == screen::SEQUENCE_ERRORS && findings.sequence_missing <= self.missed;
            if count > 0 && !own {
                complaints.push(format!("{name}: {}", grouped(count)));
            }
        }
        let stray = self.totals.stray + findings.cuts_missed;
        if stray > 0 {
            complaints.push(format!("places where packets are lost or repeated without a switch: {}", grouped(stray)));
        }
        let Totals { lost, repeated, .. } = self.totals;
        // What did not come in at all cannot leave.
        if lost + repeated > 0 && self.missed + self.overflown == 0 {
            let (lost, repeated) = (grouped(lost), grouped(repeated));
            complaints.push(format!("packets of the programme: {lost} lost, {repeated} repeated"));
        }
        if findings.longest_gap > self.gap_allowed() {
            complaints.push(format!(
                "no datagram for {:.1} ms, and {:.1} ms can be explained",
                findings.longest_gap.millis(),
                self.gap_allowed().millis()
            ));
        }
        let Tally { made, left, returned } = self.tally;
        let judged = made - u32::from(self.interrupted && made > returned);
        if left < judged {
            complaints.push(format!("faults for which the channel did not leave the main: {}", judged - left));
        }
        if returned < left.min(judged) {
            complaints.push(format!("faults after which it did not return: {}", left.min(judged) - returned));
        }
        if findings.placed == 0 {
            complaints.push("no packet of the programme came at all".to_owned());
        }
        complaints
    }

    /// Whether the output stayed clean.
    pub fn is_clean(&self) -> bool {
        self.complaints().is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complaints = self.complaints();
        if complaints.is_empty() {
            writeln!(f, "Clean: the output went on whole through all of it.")?;
        } else {
            writeln!(f, "NOT clean:")?;
            for complaint in &complaints {
                writeln!(f, "  {complaint}")?;
            }
        }
        let Tally { made, left, returned } = self.tally;
        let findings = &self.findings;
        writeln!(f)?;
        writeln!(f, "{:<26}{:.1} s", "lasted", self.elapsed.seconds())?;
        writeln!(f, "{:<26}{made} made, {left} left, {returned} returned from", "faults")?;
        writeln!(f, "{:<26}{}", "switches", grouped(self.totals.switches))?;
        writeln!(f, "{:<26}{}", "packets checked", grouped(findings.packets))?;
        for (name, count) in screen::errors(findings) {
            writeln!(f, "{name:<26}{}", grouped(count))?;
        }
        writeln!(f, "{:<26}{}", "signalled clock steps", grouped(findings.signalled_steps))?;
        writeln!(
            f,
            "{:<26}{:.1} ms (the sender of the feeds: {:.1} ms)",
            "longest gap",
            findings.longest_gap.millis(),
            self.sender_gap.millis()
        )?;
        writeln!(
            f,
            "{:<26}{} lost, {} repeated, over all switches",
            "picture and sound packets",
            grouped(self.totals.lost),
            grouped(self.totals.repeated)
        )?;
        if let Some(srt) = &self.srt {
            let [lost, again, never] = [srt.lost, srt.retransmitted, srt.unrecovered].map(grouped);
            writeln!(f, "{:<26}{lost} datagrams lost, {again} sent again, {never} never recovered", "way by SRT")?;
        }
        if self.totals.switches > 0 && self.srt.is_some() {
            writeln!(
                f,
                "\nThe backup comes by SRT over a path that loses datagrams, and has the same packets\n\
                 as the main: so the two are merged, and a switch of the kind `identical` goes on\n\
                 with exactly the next packet. What one feed loses is taken from the other."
            )?;
        } else if self.totals.switches > 0 {
            let skew = self.skew;
            writeln!(
                f,
                "\nThe backup runs {skew} behind the main, in another packing, and has the same\n\
                 packets: so the two are merged, and a switch of the kind `identical` goes on\n\
                 with exactly the next packet. What one feed loses is taken from the other."
            )?;
        }
        for (count, text) in [
            (self.missed, "datagrams of the output that the judge itself had no room for"),
            (self.overflown, "datagrams of the feeds that the switcher's sockets had no room for"),
        ] {
            if count > 0 {
                writeln!(f, "\nThis machine is too busy for all of it: {} {text}.", grouped(count))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tr101290::Indicator;

    fn clean() -> Summary {
        Summary {
            elapsed: Span::from_secs(12),
            tally: Tally { made: 3, left: 3, returned: 3 },
            totals: Totals { switches: 6, lost: 0, repeated: 0, stray: 0 },
            findings: Findings {
                packets: 60_000,
                placed: 55_000,
                longest_gap: Span::from_millis(3),
                signalled_steps: 3,
                ..Findings::default()
            },
            sender_gap: Span::from_millis(4),
            delay: Span::from_millis(100),
            skew: Span::from_millis(40),
            ..Summary::default()
        }
    }

    #[test]
    fn what_the_switches_cost_is_told() {
        let summary = clean();
        assert!(summary.is_clean(), "{:?}", summary.complaints());
        let text = summary.to_string();
        for want in [
            "Clean: ",
            "faults                    3 made, 3 left, 3 returned from",
            "switches                  6",
            "packets checked           60,000",
            "continuity errors         0",
            "unsignalled clock steps   0",
            "longest gap               3.0 ms (the sender of the feeds: 4.0 ms)",
            "picture and sound packets 0 lost, 0 repeated, over all switches",
            "runs 40ms behind",
        ] {
            assert!(text.contains(want), "{want}\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= screen::WIDTH), "{text}");
    }

    #[test]
    fn every_fault_of_the_output_is_a_complaint() {
        let with = |change: fn(&mut Summary)| {
            let mut summary = clean();
            change(&mut summary);
            summary.complaints().len()
        };
        for complaints in [
            with(|s| s.findings.counts[Indicator::ContinuityCountError.index()] = 1),
            with(|s| s.findings.counts[Indicator::SyncByteError.index()] = 1),
            with(|s| s.findings.counts[Indicator::TransportError.index()] = 1),
            with(|s| s.findings.counts[Indicator::PcrDiscontinuityIndicatorError.index()] = 1),
            with(|s| s.findings.counts[Indicator::PidError.index()] = 1),
            with(|s| s.findings.unknown = 1),
            with(|s| s.totals.lost = 1),
            with(|s| s.totals.repeated = 1),
            with(|s| s.findings.foreign = 1),
            with(|s| s.findings.cuts_missed = 1),
            with(|s| s.findings.placed = 0),
            with(|s| s.findings.longest_gap = Span::from_millis(355)),
            with(|s| s.totals.stray = 1),
            with(|s| s.tally.left = 2),
            with(|s| s.tally.returned = 2),
        ] {
            assert_eq!(complaints, 1);
        }
        assert_eq!(with(|s| (s.findings.sequence_errors, s.findings.sequence_missing) = (1, 3)), 1);
    }

    #[test]
    fn what_the_machine_or_a_person_did_is_no_complaint() {
        let mut summary = clean();
        (summary.findings.sequence_errors, summary.findings.sequence_missing, summary.missed) = (1, 3, 3);
        (summary.findings.longest_gap, summary.sender_gap) = (Span::from_millis(700), Span::from_millis(690));
        (summary.tally, summary.interrupted) = (Tally { made: 4, left: 4, returned: 3 }, true);
        assert!(summary.is_clean(), "{:?}", summary.complaints());
        summary.tally.left = 3;
        assert!(summary.is_clean(), "{:?}", summary.complaints());
        assert!(summary.to_string().contains("too busy"));
    }
}
