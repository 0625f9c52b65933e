//! How a stream came by SRT, in a report.

use serde::Serialize;

use super::page::{Page, Style};
use super::words::{count, grouped, percent};

/// The connection by SRT that a stream came by: the last, where there were several. Of all of them together are `connected`,
/// `refused` and `overflow` alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SrtReport {
    /// What carried it: `libsrt` or `rsrt`.
    pub backend: &'static str,
    /// Whether the connection stood at the end.
    pub up: bool,
    /// Connections that came about.
    pub connected: u64,
    /// Callers that were turned away.
    pub refused: u64,
    /// Messages that were left out because they were not taken over in time.
    pub overflow: u64,
    /// The other side, as an address with a port.
    pub peer: Option<String>,
    /// `none`, `AES-128`, `AES-192` or `AES-256`.
    pub encryption: Option<&'static str>,
    /// The latency that both sides agreed on, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The smoothed round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Packets received.
    pub packets: Option<u64>,
    /// Packets that were found missing, recovered or not.
    pub lost: Option<u64>,
    /// Packets that came because they were sent again.
    pub retransmitted: Option<u64>,
    /// Packets that did not come in time.
    pub unrecovered: Option<u64>,
    /// Packets that could not be decrypted.
    pub undecrypted: Option<u64>,
}

impl SrtReport {
    /// The part of all packets that there were to be received.
    #[allow(clippy::cast_precision_loss, reason = "2^53 packets do not come")]
    fn share(&self, of: u64) -> f64 {
        let all = self.packets.unwrap_or(0).saturating_add(self.unrecovered.unwrap_or(0));
        if all == 0 { 0.0 } else { (of as f64 / all as f64).min(1.0) }
    }

    /// The lines of the table.
    pub(super) fn lines(&self, page: &mut Page) {
        let Some(peer) = &self.peer else {
            page.line(Style::Bad, &format!("SRT by {}: nobody is connected", self.backend));
            return;
        };
        let (latency, rtt) = (self.latency_ms.unwrap_or(0.0), self.rtt_ms.unwrap_or(0.0));
        let secret = match self.encryption {
            None | Some("none") => "not encrypted",
            Some(cipher) => cipher,
        };
        let head =
            format!("SRT by {} with {peer}, {secret}, latency {latency:.0} ms, round trip {rtt:.1} ms", self.backend);
        page.wrapped(Style::Plain, "", 0, &head);
        let [lost, again, gone] = [self.lost, self.retransmitted, self.unrecovered].map(Option::unwrap_or_default);
        let said = |n: u64| match n {
            0 => "none".to_owned(),
            n => format!("{} ({})", grouped(n), percent(self.share(n))),
        };
        let packets = count(self.packets.unwrap_or(0), "packet", "packets");
        let line =
            format!("{packets} by SRT: {} lost, {} sent again, {} not recovered", said(lost), said(again), said(gone));
        page.wrapped(if gone > 0 { Style::Bad } else { Style::Plain }, "", 0, &line);
        for (n, what) in [
            (self.undecrypted.unwrap_or(0), "packets that could not be decrypted"),
            (self.overflow, "messages left out because they were not taken over in time"),
            (self.refused, "callers turned away"),
        ] {
            if n > 0 {
                page.line(Style::Bad, &format!("{} {what}", grouped(n)));
            }
        }
        if !self.up {
            page.line(Style::Bad, "the connection is no more");
        }
    }
}
