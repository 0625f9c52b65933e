//! Where the demonstration plays: its groups, ports and configuration.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use super::fault::{AUDIO_PID, VIDEO_PID};
use crate::config::{InputPlan, Interface, OutputPlan};
use crate::units::Span;

/// How long every packet waits in the delay line.
const DELAY: Span = Span::from_millis(100);
/// The same where the backup comes by SRT, which takes its latency and the way of the network.
const SRT_DELAY: Span = Span::from_millis(250);
/// How long SRT has to send again what was lost: six round trips.
pub(super) const LATENCY: Span = Span::from_millis(120);
/// How far the backup is behind the main.
const SKEW: Span = Span::from_millis(40);
/// What takes longest to be seen as a fault.
pub(super) const DETECTION: Span = Span::from_millis(150);
/// Bits a second of the feeds.
pub(super) const BIT_RATE: u64 = 8_000_000;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The addresses of one demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// Of the main feed, which is RTP.
    pub(super) main: SocketAddr,
    /// Of the backup feed, which is TS packets in UDP.
    pub(super) backup: SocketAddr,
    /// Of the output, which is RTP.
    pub(super) output: SocketAddr,
    /// Where the backup takes another way.
    pub(super) srt: Option<Way>,
}

/// The way of a backup that comes by SRT; the backup's own address is where it is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Where the feed is handed to the channel that sends it by SRT.
    pub(super) feed: SocketAddr,
    /// Where that one calls: the path that loses.
    pub(super) path: SocketAddr,
}

impl Stage {
    /// Groups of this process and ports that nobody has.
    ///
    /// # Errors
    /// When the system has no port.
    pub(super) fn find() -> io::Result<Self> {
        Ok(Self::of(std::process::id(), [even_port()?, even_port()?, even_port()?]))
    }

    /// The same with a backup that comes by SRT.
    ///
    /// # Errors
    /// When the system has no port.
    pub(super) fn find_with_srt() -> io::Result<Self> {
        let at = |port| SocketAddr::new(LOOPBACK, port);
        let way = Way { feed: at(even_port()?), path: at(even_port()?) };
        let stage = Self::find()?;
        Ok(Self { backup: at(stage.backup.port()), srt: Some(way), ..stage })
    }

    /// How long every packet waits in the delay line.
    pub(super) fn delay(&self) -> Span {
        if self.srt.is_some() { SRT_DELAY } else { DELAY }
    }

    /// How far the sender of the feeds has the backup behind the main; SRT is late enough by itself.
    pub(super) fn skew(&self) -> Span {
        if self.srt.is_some() { Span::ZERO } else { SKEW }
    }

    /// Where the feed of the backup is sent to.
    pub(super) fn backup_feed(&self) -> SocketAddr {
        self.srt.map_or(self.backup, |way| way.feed)
    }

    /// The groups of a process, with these ports. Processes of one machine have other groups, as far as there are
    /// enough, and other ports.
    pub(super) fn of(process: u32, ports: [u16; 3]) -> Self {
        let group = |place: u32, port: u16| {
            let [_, _, high, low] = (process.wrapping_mul(3).wrapping_add(place) % (250 * 250)).to_be_bytes();
            let number = u16::from_be_bytes([high, low]);
            let octet = |n: u16| n.to_be_bytes()[1];
            let group = Ipv4Addr::new(239, 255, octet(1 + number / 250), octet(1 + number % 250));
            SocketAddr::from((group, port))
        };
        let [main, backup, output] = ports;
        Self { main: group(0, main), backup: group(1, backup), output: group(2, output), srt: None }
    }

    /// The configuration of the channel.
    pub(super) fn configuration(&self) -> String {
        let Self { main, backup, output, srt } = self;
        let (delay, detection) = (self.delay(), DETECTION);
        let (backup, remote) = match srt {
            None => (
                format!("{{name: backup, url: \"udp://{backup}\", interface: 127.0.0.1, priority: 50}}"),
                String::new(),
            ),
            Some(way) => (
                format!(
                    "{{name: backup, url: \"srt://{backup}?mode=listener&latency={LATENCY}\", priority: 50, \
                     max_bit_rate: 15Mb/s}}"
                ),
                remote(way),
            ),
        };
        format!(
            "\
# The channel of `changeover demo`: strict, and in a hurry to see a fault and to return.
node: {{name: demo}}
api: off
channels:
  - name: demo
    inputs:
      - {{name: main, url: \"rtp://{main}\", interface: 127.0.0.1, priority: 100}}
      - {backup}
    switch:
      failback: {{mode: auto, after: 1s}}
      dwell: 500ms
      max_per_minute: 600
      delay: {delay}
    health:
      profile: strict
      input_loss: {{raise: {{for: 100ms}}, clear: {{for: 500ms}}}}
      ts_sync_loss: {{clear: {{for: 500ms}}}}
      sync_byte_error: {{raise: {{above: 0, within: 500ms}}, clear: {{for: 500ms}}}}
      pat_error_2: {{clear: {{for: 500ms}}}}
      continuity_count_error: {{raise: {{above: 0, within: 500ms}}, clear: {{for: 500ms}}}}
      pmt_error_2: {{clear: {{for: 500ms}}}}
      pid_error: {{raise: {{for: {detection}}}, clear: {{for: 500ms}}, pids: [{VIDEO_PID}, {AUDIO_PID}]}}
      transport_error: {{raise: {{above: 0, within: 500ms}}, clear: {{for: 500ms}}}}
      crc_error: {{raise: {{above: 0, within: 500ms}}, clear: {{for: 500ms}}}}
      pcr_repetition_error: {{clear: {{for: 500ms}}}}
      pcr_discontinuity_indicator_error: {{raise: {{above: 0, within: 500ms}}, clear: {{for: 500ms}}}}
      pts_error: {{clear: {{for: 500ms}}}}
      rtp_loss: {{raise: {{above: 0, within: 500ms}}, clear: {{for: 500ms}}}}
      video_pid_absent: {{clear: {{for: 500ms}}}}
      audio_pid_absent: {{clear: {{for: 500ms}}}}
    outputs:
      - {{url: \"rtp://{output}\", interface: 127.0.0.1, ttl: 1}}
{remote}"
        )
    }

    /// How the output is watched on this machine.
    pub(super) fn viewer(&self) -> String {
        format!("ffplay 'rtp://{}?localaddr=127.0.0.1'", self.output)
    }

    /// How a feed is sent to `address`.
    pub(super) fn sender(address: SocketAddr) -> OutputPlan {
        let interface = Some(Interface::Address(LOOPBACK));
        OutputPlan { url: format!("udp://{address}"), rtp: false, address, interface, ttl: 1, dscp: 0, srt: None }
    }

    /// How the output is received.
    pub(super) fn receiver(&self) -> InputPlan {
        InputPlan {
            name: "judge".to_owned(),
            url: format!("rtp://{}", self.output),
            address: self.output,
            interface: Some(Interface::Address(LOOPBACK)),
            sources: Vec::new(),
            receive_buffer: 8 << 20,
            domain: None,
            srt: None,
        }
    }
}

/// The channel at the other end of the way: it passes the feed on as it comes, by SRT.
fn remote(way: &Way) -> String {
    let Way { feed, path } = way;
    format!(
        "  - name: remote
    inputs:
      - {{name: encoder, url: \"udp://{feed}\", max_bit_rate: 15Mb/s}}
    switch: {{mode: cut, pace: arrival, delay: 0ms, hole: silent}}
    health: lenient
    outputs:
      - {{url: \"srt://{path}?mode=caller&latency={LATENCY}\"}}
"
    )
}

/// A port that nobody has, even as RTP wants it (RFC 3550 11), with the odd one above it free for its RTCP.
fn even_port() -> io::Result<u16> {
    for _ in 0..100 {
        let port = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port() & !1;
        let bound = [port, port + 1].map(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
        if port != 0 && bound.iter().all(Result::is_ok) {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Plan;
    use crate::health::{Criterion, Raise};

    #[test]
    fn the_configuration_is_right_and_sees_every_fault() {
        let stage = Stage::of(4_194_303, [5004, 5006, 5008]);
        let (plan, warnings) = Plan::parse(&stage.configuration()).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let [channel] = &plan.channels[..] else { panic!("one channel") };
        assert_eq!(channel.inputs.iter().map(|input| input.address).collect::<Vec<_>>(), [stage.main, stage.backup]);
        assert_eq!(channel.outputs[0].address, stage.output);
        assert_eq!(channel.setup.delay, stage.delay());
        for input in &channel.setup.inputs {
            for criterion in [Criterion::InputLoss, Criterion::PidError] {
                let limit = input.limits.limit(criterion).unwrap();
                let Raise::Lasting(lasting) = limit.raise else { panic!("{limit:?}") };
                assert!(lasting <= DETECTION);
            }
            let limit = input.limits.limit(Criterion::ContinuityCountError).unwrap();
            assert_eq!(limit.raise, Raise::Counted { above: 0, within: Span::from_millis(500) });
        }
    }

    #[test]
    fn by_srt_there_is_a_channel_that_sends_and_one_that_listens() {
        let stage = Stage::find_with_srt().unwrap();
        let (plan, warnings) = Plan::parse(&stage.configuration()).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let [demo, remote] = &plan.channels[..] else { panic!("two channels") };
        assert!(demo.inputs[1].srt.is_some() && demo.inputs[1].address == stage.backup);
        assert!(remote.outputs[0].srt.is_some() && remote.outputs[0].address == stage.srt.unwrap().path);
        assert_eq!(remote.inputs[0].address, stage.backup_feed());
        assert!(demo.setup.delay > LATENCY);
    }

    #[test]
    fn processes_have_groups_of_their_own() {
        let mut groups: Vec<SocketAddr> = (1..2_000)
            .map(|process| Stage::of(process, [5004; 3]))
            .flat_map(|stage| [stage.main, stage.backup, stage.output])
            .collect();
        assert!(groups.iter().all(|group| group.ip().is_multicast() && group.to_string().starts_with("239.255.")));
        let count = groups.len();
        groups.sort();
        groups.dedup();
        assert_eq!(groups.len(), count);
    }

    #[test]
    fn ports_are_even_and_free() {
        let stage = Stage::find().unwrap();
        assert!([stage.main, stage.backup, stage.output].iter().all(|address| address.port() % 2 == 0));
    }
}
