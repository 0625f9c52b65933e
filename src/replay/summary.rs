//! What a replay came to, for people and for scripts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::capture::Figures;
use super::srt;

/// How many flows that no input wants are named to a person.
const NAMED: usize = 20;

/// What a replay came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// What the captures were made of.
    pub capture: Figures,
    /// The captures that could not be read to their end, and why.
    pub damage: Vec<String>,
    /// The capture time of t = 0, in nanoseconds since the Unix epoch; none without any datagram.
    pub origin: Option<i64>,
    /// From the first datagram to the last.
    pub seconds: f64,
    /// Datagrams replayed.
    pub datagrams: u64,
    /// What each input got, in the order of the configuration.
    pub inputs: Vec<InputSummary>,
    /// The flows that no input wants, by destination.
    pub unwanted: Vec<FlowSummary>,
    /// Events told.
    pub events: u64,
    /// Of those, switches.
    pub switches: u64,
    /// Datagrams put out; each goes to every output of its channel.
    pub output_datagrams: u64,
}

/// What one input got.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InputSummary {
    /// The channel it is in.
    pub channel: String,
    /// Its name.
    pub input: String,
    /// Its URL.
    pub url: String,
    /// Datagrams for it.
    pub datagrams: u64,
    /// Of those, too long for a frame and left out.
    pub oversized: u64,
    /// Of those, left out because every frame was in use.
    pub starved: u64,
    /// What was found of SRT; none for other inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srt: Option<srt::Figures>,
}

/// A flow that no input wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowSummary {
    /// Who sends it.
    pub source: IpAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// How many datagrams.
    pub datagrams: u64,
    /// How many bytes in them.
    pub bytes: u64,
}

impl Summary {
    /// What should be looked into, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.damage.clone();
        for InputSummary { channel, input, url, datagrams, oversized, starved, srt } in &self.inputs {
            let srt = srt.unwrap_or_default();
            for (count, what) in [
                (srt.encrypted, "encrypted SRT packets, which cannot be read: capture behind what decrypts them"),
                (srt.missing, "SRT packets that did not come in time"),
                (srt.refused, "SRT packets of a second sender left out"),
                (srt.overflowed, "SRT packets left out, since too many waited for one that is missing"),
            ] {
                if count > 0 {
                    warnings.push(format!("{channel}/{input}: {count} {what}"));
                }
            }
            if *datagrams == 0 && srt.packets == 0 {
                warnings.push(format!("{channel}/{input} got nothing: no datagram of the capture goes to {url}"));
            }
            if *oversized > 0 {
                warnings.push(format!("{channel}/{input}: {oversized} datagrams too long for a frame left out"));
            }
            if *starved > 0 {
                warnings.push(format!("{channel}/{input}: {starved} datagrams left out, every frame was in use"));
            }
        }
        let Figures { truncated, fragments, untimed, backwards, unknown_links, .. } = &self.capture;
        for (count, what) in [
            (*truncated, "datagrams left out that the capture cut short: capture whole packets (tcpdump -s 0)"),
            (*fragments, "fragments of datagrams left out: they are not put together again"),
            (*untimed, "packets without a time stamp left out"),
            (*backwards, "datagrams with a time before the one in front of them: sort the capture (reordercap)"),
        ] {
            if count > 0 {
                warnings.push(format!("{count} {what}"));
            }
        }
        for (link, frames) in unknown_links {
            warnings.push(format!("{frames} frames left out of link type {link}, which is not read"));
        }
        warnings
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} datagrams in {:.3} s, {} frames read", self.datagrams, self.seconds, self.capture.frames)?;
        for InputSummary { channel, input, url, datagrams, .. } in &self.inputs {
            writeln!(f, "  {channel}/{input}  {datagrams} datagrams  {url}")?;
        }
        for FlowSummary { source, destination, datagrams, bytes } in self.unwanted.iter().take(NAMED) {
            writeln!(f, "  no input wants {source} to {destination}: {datagrams} datagrams, {bytes} bytes")?;
        }
        if self.unwanted.len() > NAMED {
            writeln!(f, "  and {} more flows that no input wants", self.unwanted.len() - NAMED)?;
        }
        writeln!(f, "{} datagrams out, {} switches, {} events", self.output_datagrams, self.switches, self.events)?;
        for warning in self.warnings() {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}
