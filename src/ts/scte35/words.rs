//! Splice information in words.

use core::fmt;

use super::{Command, Segmentation, SpliceInfo, SpliceInsert};
use crate::units::Pts90k;

/// A PTS as ticks and as a time of day from 0 (`PTS 108309504 (0:20:03.438)`).
struct At(Pts90k);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.0 / 90;
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "PTS {} ({h}:{m:02}:{s:02}.{:03})", self.0.0, ms % 1000)
    }
}

/// Ticks of 90 kHz as seconds (`30.000 s`).
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0 / 90;
        write!(f, "{}.{:03} s", ms / 1000, ms % 1000)
    }
}

impl fmt::Display for SpliceInfo {
    /// As `splice_insert, event 32: break begins at PTS 108309504 (0:20:03.438), for 30.000 s, returns by itself`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)?;
        if let Some(segmentation) = &self.segmentation {
            write!(f, "; {segmentation}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpliceNull => f.write_str("splice_null"),
            Self::SpliceSchedule { events } => write!(f, "splice_schedule of {events} events"),
            Self::SpliceInsert(insert) => insert.fmt(f),
            Self::TimeSignal { pts: Some(pts) } => write!(f, "time_signal at {}", At(*pts)),
            Self::TimeSignal { pts: None } => f.write_str("time_signal at once"),
            Self::BandwidthReservation => f.write_str("bandwidth_reservation"),
            Self::Private { identifier } => write!(f, "private_command of {}", identifier.escape_ascii()),
            Self::Unknown(command_type) => write!(f, "splice_command_type {command_type:#04x}, not known"),
            Self::Encrypted => f.write_str("encrypted splice command"),
            Self::NewerProtocol => f.write_str("splice command of an unknown protocol_version"),
        }
    }
}

impl fmt::Display for SpliceInsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "splice_insert, event {}: ", self.event_id)?;
        if self.cancel {
            return f.write_str("cancelled");
        }
        f.write_str(if self.out_of_network { "break begins" } else { "back to network" })?;
        if !self.program_splice {
            f.write_str(" for some components")?;
        }
        match self.pts {
            Some(pts) => write!(f, " at {}", At(pts))?,
            None if self.immediate => f.write_str(" at once")?,
            None => f.write_str(" at a time not told")?,
        }
        if let Some(duration) = self.duration {
            write!(f, ", for {}", Seconds(duration))?;
            if self.auto_return {
                f.write_str(", returns by itself")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Segmentation {
    /// As `provider placement opportunity start, event 1207959560, for 60.000 s, Ad-ID`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cancel {
            return write!(f, "segmentation event {} cancelled", self.event_id);
        }
        match self.type_name() {
            Some(name) => write!(f, "{name}, event {}", self.event_id)?,
            None => write!(f, "segmentation type {:#04x}, event {}", self.type_id, self.event_id)?,
        }
        if let Some(duration) = self.duration {
            write!(f, ", for {}", Seconds(duration))?;
        }
        match self.upid_name() {
            Some("") => Ok(()),
            Some(name) => write!(f, ", {name}"),
            None => write!(f, ", UPID type {:#04x}", self.upid_type),
        }
    }
}

impl Segmentation {
    /// What segmentation_type_id stands for (table 23); none where the standard leaves it open.
    pub const fn type_name(&self) -> Option<&'static str> {
        Some(match self.type_id {
            0x00 => "segmentation not indicated",
            0x01 => "content identification",
            0x02 => "private segmentation",
            0x10 => "program start",
            0x11 => "program end",
            0x12 => "program early termination",
            0x13 => "program breakaway",
            0x14 => "program resumption",
            0x15 => "program runover planned",
            0x16 => "program runover unplanned",
            0x17 => "program overlap start",
            0x18 => "program blackout override",
            0x19 => "program join",
            0x1A => "program immediate resumption",
            0x20 => "chapter start",
            0x21 => "chapter end",
            0x22 => "break start",
            0x23 => "break end",
            0x24 => "opening credit start",
            0x25 => "opening credit end",
            0x26 => "closing credit start",
            0x27 => "closing credit end",
            0x30 => "provider advertisement start",
            0x31 => "provider advertisement end",
            0x32 => "distributor advertisement start",
            0x33 => "distributor advertisement end",
            0x34 => "provider placement opportunity start",
            0x35 => "provider placement opportunity end",
            0x36 => "distributor placement opportunity start",
            0x37 => "distributor placement opportunity end",
            0x38 => "provider overlay placement opportunity start",
            0x39 => "provider overlay placement opportunity end",
            0x3A => "distributor overlay placement opportunity start",
            0x3B => "distributor overlay placement opportunity end",
            0x3C => "provider promo start",
            0x3D => "provider promo end",
            0x3E => "distributor promo start",
            0x3F => "distributor promo end",
            0x40 => "unscheduled event start",
            0x41 => "unscheduled event end",
            0x42 => "alternate content opportunity start",
            0x43 => "alternate content opportunity end",
            0x44 => "provider ad block start",
            0x45 => "provider ad block end",
            0x46 => "distributor ad block start",
            0x47 => "distributor ad block end",
            0x50 => "network start",
            0x51 => "network end",
            _ => return None,
        })
    }

    /// What segmentation_upid_type stands for (table 22), nothing where there is no UPID; none where the standard leaves
    /// it open.
    pub const fn upid_name(&self) -> Option<&'static str> {
        Some(match self.upid_type {
            0x00 => "",
            0x01 => "user-defined UPID",
            0x02 => "ISCI",
            0x03 => "Ad-ID",
            0x04 => "UMID",
            0x05 | 0x06 => "ISAN",
            0x07 => "TID",
            0x08 => "airing ID",
            0x09 => "ADI",
            0x0A => "EIDR",
            0x0B => "ATSC content identifier",
            0x0C => "MPU",
            0x0D => "MID",
            0x0E => "ADS information",
            0x0F => "URI",
            0x10 => "UUID",
            0x11 => "SCR",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_people_say_it() {
        let insert = SpliceInsert {
            event_id: 32,
            out_of_network: true,
            program_splice: true,
            pts: Some(Pts90k(108_309_504)),
            duration: Some(2_700_045),
            auto_return: true,
            ..SpliceInsert::default()
        };
        assert_eq!(
            insert.to_string(),
            "splice_insert, event 32: break begins at PTS 108309504 (0:20:03.438), for 30.000 s, returns by itself"
        );
        let back = SpliceInsert { event_id: 32, immediate: true, ..SpliceInsert::default() };
        assert_eq!(back.to_string(), "splice_insert, event 32: back to network for some components at once");
        let cancel = SpliceInsert { cancel: true, ..insert };
        assert_eq!(cancel.to_string(), "splice_insert, event 32: cancelled");
        let segmentation =
            Segmentation { event_id: 7, type_id: 0x34, upid_type: 3, duration: Some(5_400_000), cancel: false };
        let info = SpliceInfo {
            protocol_version: 0,
            encrypted: false,
            pts_adjustment: Pts90k(0),
            tier: 0xFFF,
            command_type: 6,
            command: Command::TimeSignal { pts: None },
            segmentation: Some(segmentation),
        };
        let text = "time_signal at once; provider placement opportunity start, event 7, for 60.000 s, Ad-ID";
        assert_eq!(info.to_string(), text);
        assert_eq!(Command::Private { identifier: *b"AB\0\xFF" }.to_string(), "private_command of AB\\x00\\xff");
    }
}
