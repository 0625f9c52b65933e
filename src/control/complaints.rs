//! What a person should know of that no event tells: read off the snapshots once a second, and told without flooding
//! the log.
//!
//! What goes on happening is told at most once a minute for each thing it happens to, with how often it happened since
//! it was last told; what stays as it is, once.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::config::Role;
use crate::engine::Standby;
use crate::plane::{OutputFigures, PlaneSnapshot};

use super::rack::{Channel, Input, Rack};
use super::view::send_errors;

/// How long the same complaint about the same thing is kept back.
pub const QUIET: Duration = Duration::from_secs(60);
/// How long after the start an input that has received nothing is told of.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// Datagrams could not be sent.
    OutputErrors {
        /// Of which channel.
        channel: String,
        /// The URL of the output.
        output: String,
        /// How many since it was last told, by what the kernel said.
        counts: Vec<(&'static str, u64)>,
    },
    /// The kernel dropped datagrams because a receive buffer was full.
    KernelDrops {
        /// Of which channel.
        channel: String,
        /// Which input.
        input: String,
        /// How many since it was last told.
        count: u64,
    },
    /// Messages that came by SRT were left out because the shard did not take them over in time.
    SrtOverflow {
        /// Of which channel.
        channel: String,
        /// Which input.
        input: String,
        /// How many since it was last told.
        count: u64,
    },
    /// The kernel gave a smaller receive buffer than was asked for.
    SmallBuffer {
        /// Of which channel.
        channel: String,
        /// Which input.
        input: String,
        /// Bytes asked for.
        asked: usize,
        /// Bytes given.
        given: usize,
    },
    /// An input has received nothing since the start.
    Silent {
        /// Of which channel.
        channel: String,
        /// Which input.
        input: Box<Input>,
    },
    /// Datagrams were left out because every frame of a shard was in use.
    Starved {
        /// Which shard.
        shard: String,
        /// How many since it was last told.
        count: u64,
    },
    /// Events were lost because the queue to control was full.
    EventsLost {
        /// Which shard.
        shard: String,
        /// How many since it was last told.
        count: u64,
    },
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputErrors { channel, output, counts } => {
                let counts: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} {}", why(kind))).collect();
                write!(f, "{channel}: datagrams could not be sent to {output}: {}", counts.join("; "))
            }
            Self::KernelDrops { channel, input, count } => write!(
                f,
                "{channel}/{input}: the kernel dropped {count} datagrams because the receive buffer was full: raise \
                 the input's receive buffer, or give the machine more CPU"
            ),
            Self::SrtOverflow { channel, input, count } => write!(
                f,
                "{channel}/{input}: {count} messages that came by SRT were left out because they were not taken over in \
                 time: give the machine more CPU, or the input a larger `srt: {{buffer: …}}`"
            ),
            Self::SmallBuffer { channel, input, asked, given } => write!(
                f,
                "{channel}/{input}: the kernel gave a receive buffer of {given} bytes where {asked} were asked for: \
                 set `sysctl net.core.rmem_max={asked}`, or let the process have CAP_NET_ADMIN"
            ),
            Self::Silent { channel, input } => silent(f, channel, input),
            Self::Starved { shard, count } => write!(
                f,
                "{shard}: {count} datagrams were left out because every frame of its memory was in use: its inputs \
                 bring more than their delay and reordering were reckoned for"
            ),
            Self::EventsLost { shard, count } => write!(
                f,
                "{shard}: {count} events were lost because they came faster than they could be logged; the states \
                 and counters that the API shows are right all the same"
            ),
        }
    }
}

/// What a kind of failure means to somebody who can do something about it.
fn why(kind: &'static str) -> &'static str {
    match kind {
        "unavailable" => "because its interface or address is not there",
        "busy" => "because the send buffer or the interface's queue was full",
        "refused" => "told that nobody listens there",
        "unreachable" => "without a route or a link to it",
        "denied" => "forbidden by a rule of this machine (firewall)",
        "too_long" => "longer than the MTU allows",
        other => other,
    }
}

/// Where to look when nothing comes.
fn silent(f: &mut fmt::Formatter<'_>, channel: &str, input: &Input) -> fmt::Result {
    let Input { name, url, address, interface, .. } = input;
    write!(
        f,
        "{channel}/{name}: nothing has come from {url} since the start {}s ago. Check that ",
        PATIENCE.as_secs()
    )?;
    let (ip, port) = (address.ip(), address.port());
    if let Some(role) = input.srt {
        return match role {
            Role::Caller | Role::Rendezvous => write!(
                f,
                "the peer at {address} is there and answers SRT by UDP, that it has the passphrase and the stream id of \
                 this input, and that it sends; what came of the calls is told above"
            ),
            Role::Listener => write!(
                f,
                "the sender calls an address of this machine that {ip} covers, at port {port}, by UDP, and that no firewall \
                 drops it; callers that were refused are told of, with the reason"
            ),
        };
    }
    if ip.is_multicast() {
        let on = interface.as_deref().unwrap_or("the interface that the routing table gives");
        write!(
            f,
            "the source sends to {ip} port {port}, that {on} is on its network (`ip maddr show`), that the switch \
             forwards the group to this port (is there an IGMP or MLD querier?), "
        )?;
        if !input.sources.is_empty() {
            let sources: Vec<_> = input.sources.iter().map(ToString::to_string).collect();
            write!(f, "that it comes from {}, which alone is let in, ", sources.join(" or "))?;
        }
        write!(f, "and that neither a firewall nor `net.ipv4.conf.*.rp_filter` drops it")
    } else {
        write!(
            f,
            "the sender sends to an address of this machine that {ip} covers, to port {port}, and that no firewall drops it"
        )
    }
}

/// What has been told, and when.
#[derive(Debug, Default)]
pub struct Complaints {
    throttles: HashMap<Key, Throttle>,
}

/// A thing that is complained of: the kind, and the place of what it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Output(usize, usize),
    Drops(usize, usize),
    Buffer(usize, usize),
    Silent(usize, usize),
    Starved(usize),
    Events(usize),
}

/// One thing's part of the log.
#[derive(Clone, Debug, Default)]
struct Throttle {
    told: Option<Duration>,
    counts: Vec<u64>,
}

impl Throttle {
    /// How much each of `counts` has grown since it was last told, where any has and the quiet time is over.
    fn tell(&mut self, now: Duration, counts: &[u64]) -> Option<Vec<u64>> {
        if self.told.is_some_and(|told| now.saturating_sub(told) < QUIET) {
            return None;
        }
        let before = self.counts.iter().copied().chain(std::iter::repeat(0));
        let grown: Vec<u64> = counts.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
        if grown.iter().all(|count| *count == 0) {
            return None;
        }
        self.told = Some(now);
        self.counts = counts.to_vec();
        Some(grown)
    }

    /// Whether this is the first time.
    fn first(&mut self, now: Duration) -> bool {
        self.told.replace(now).is_none()
    }
}

impl Complaints {
    /// What is to be told of `snapshots`, the newest of each shard of `rack`, `now` after the start.
    pub fn find(&mut self, rack: &Rack, snapshots: &[PlaneSnapshot], now: Duration) -> Vec<Complaint> {
        let mut found = Vec::new();
        for (place, channel) in rack.channels().iter().enumerate() {
            if let Some(snapshot) = snapshots.get(channel.shard) {
                self.of_inputs(place, channel, snapshot, now, &mut found);
                self.of_outputs(place, channel, snapshot, now, &mut found);
            }
        }
        for (place, (name, snapshot)) in rack.shards().zip(snapshots).enumerate() {
            let shard = || name.to_owned();
            if let Some(count) = self.grown(Key::Starved(place), now, snapshot.starved) {
                found.push(Complaint::Starved { shard: shard(), count });
            }
            let lost = snapshot.events_lost.saturating_add(snapshot.engine.events_lost);
            let lost = lost.saturating_add(snapshot.srt_events_lost());
            if let Some(count) = self.grown(Key::Events(place), now, lost) {
                found.push(Complaint::EventsLost { shard: shard(), count });
            }
        }
        found
    }

    fn grown(&mut self, key: Key, now: Duration, count: u64) -> Option<u64> {
        let grown = self.throttles.entry(key).or_default().tell(now, &[count])?;
        grown.first().copied()
    }

    fn of_inputs(
        &mut self,
        place: usize,
        channel: &Channel,
        snapshot: &PlaneSnapshot,
        now: Duration,
        found: &mut Vec<Complaint>,
    ) {
        for (number, input) in channel.inputs.iter().enumerate() {
            let name = || (channel.name.clone(), input.name.clone());
            if let Some(socket) = snapshot.inputs.get(input.id.index()) {
                if let Some(count) = self.grown(Key::Drops(place, number), now, socket.dropped) {
                    let (channel, from) = name();
                    found.push(match input.srt {
                        Some(_) => Complaint::SrtOverflow { channel, input: from, count },
                        None => Complaint::KernelDrops { channel, input: from, count },
                    });
                }
                let small = socket.receive_buffer < input.receive_buffer && socket.receive_buffer > 0;
                if small && self.throttles.entry(Key::Buffer(place, number)).or_default().first(now) {
                    let (asked, given) = (input.receive_buffer, socket.receive_buffer);
                    let (channel, input) = name();
                    found.push(Complaint::SmallBuffer { channel, input, asked, given });
                }
            }
            let received = snapshot.inputs.get(input.id.index()).map(|socket| socket.datagrams);
            // one that rests has nothing to receive, and when it is needed its criteria tell
            let state = snapshot.engine.inputs.get(input.id.index());
            let rests = state.is_some_and(|state| state.standby != Standby::Hot);
            if received == Some(0)
                && !rests
                && now >= PATIENCE
                && self.throttles.entry(Key::Silent(place, number)).or_default().first(now)
            {
                found.push(Complaint::Silent { channel: channel.name.clone(), input: Box::new(input.clone()) });
            }
        }
    }

    fn of_outputs(
        &mut self,
        place: usize,
        channel: &Channel,
        snapshot: &PlaneSnapshot,
        now: Duration,
        found: &mut Vec<Complaint>,
    ) {
        let figures = snapshot.outputs.get(channel.id.index()).map_or(&[][..], Vec::as_slice);
        for (number, (output, figures)) in channel.outputs.iter().zip(figures).enumerate() {
            let status = snapshot.srt_outputs.get(channel.id.index()).and_then(|of| of.get(number));
            // That nobody is connected by SRT is no fault of the output, and the log says who came and went.
            let by_srt = status.is_some_and(Option::is_some);
            let figures = if by_srt { &OutputFigures { unavailable: 0, ..*figures } } else { figures };
            let (kinds, counts): (Vec<_>, Vec<_>) = send_errors(figures).into_iter().unzip();
            if let Some(grown) = self.throttles.entry(Key::Output(place, number)).or_default().tell(now, &counts) {
                let counts = kinds.into_iter().zip(grown).filter(|(_, count)| *count > 0).collect();
                found.push(Complaint::OutputErrors {
                    channel: channel.name.clone(),
                    output: output.label.clone(),
                    counts,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Plan;
    use crate::control::rack::Crossings;
    use crate::control::shards::spread;
    use crate::plane::{self, SocketFigures};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_goes_on_is_told_once_a_minute_with_the_counts_since() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.tell(SECOND, &[0, 0]), None);
        assert_eq!(throttle.tell(SECOND * 2, &[0, 3]), Some(vec![0, 3]));
        assert_eq!(throttle.tell(SECOND * 3, &[1, 5]), None);
        assert_eq!(throttle.tell(SECOND * 61, &[1, 5]), None);
        assert_eq!(throttle.tell(SECOND * 62, &[1, 9]), Some(vec![1, 6]));
        assert_eq!(throttle.tell(SECOND * 200, &[1, 9]), None);
        assert_eq!(throttle.tell(SECOND * 201, &[2, 9]), Some(vec![1, 0]));
    }

    #[test]
    fn a_silent_input_is_told_with_where_to_look() {
        let input = Input {
            name: "main".into(),
            url: "rtp://239.10.1.1:5004".into(),
            address: ([239, 10, 1, 1], 5004).into(),
            sources: vec![[10, 0, 0, 5].into()],
            domain: None,
            interface: Some("eth1".into()),
            id: crate::units::InputId(0),
            receive_buffer: 0,
            srt: None,
        };
        let complaint = |input: &Input| Complaint::Silent { channel: "news".into(), input: Box::new(input.clone()) };
        let message = complaint(&input).to_string();
        for part in ["news/main", "239.10.1.1", "5004", "eth1", "10.0.0.5", "querier", "rp_filter"] {
            assert!(message.contains(part), "{message}");
        }
        let called = Input { srt: Some(Role::Caller), address: ([10, 0, 0, 1], 9000).into(), ..input.clone() };
        let message = complaint(&called).to_string();
        assert!(message.contains("10.0.0.1:9000") && !message.contains("querier"), "{message}");
        let bound = Input { address: ([0, 0, 0, 0], 6000).into(), ..input };
        let message = complaint(&bound).to_string();
        assert!(message.contains("6000") && message.contains("firewall") && !message.contains("querier"), "{message}");
    }

    struct NoShard(PlaneSnapshot);

    impl Crossings for NoShard {
        fn command(&mut self, command: plane::Command) -> Result<(), plane::Full> {
            Err(plane::Full(command))
        }

        fn snapshot(&mut self) -> &PlaneSnapshot {
            &self.0
        }

        fn stop(&mut self) {}
    }

    #[test]
    fn what_stays_is_told_once_and_what_happens_at_what_it_happens_to() {
        let (plan, _) = Plan::parse(
            "
channels:
  - name: news
    inputs:
      - {name: main, url: 'udp://127.0.0.1:5000', receive_buffer: 4MiB}
      - {name: backup, url: 'udp://127.0.0.1:5001', receive_buffer: 4MiB}
    outputs: [{url: 'udp://127.0.0.1:5002'}]
",
        )
        .unwrap();
        let shard = |share| (share, Box::new(NoShard(PlaneSnapshot::default())) as Box<dyn Crossings>);
        let rack = Rack::new(&plan, spread(&plan, &[]).into_iter().map(shard).collect());
        let input = |datagrams| SocketFigures { datagrams, receive_buffer: 4 << 20, ..SocketFigures::default() };
        let mut snapshot = PlaneSnapshot {
            inputs: vec![input(1), input(0)],
            outputs: vec![vec![OutputFigures::default()]],
            ..PlaneSnapshot::default()
        };
        let mut complaints = Complaints::default();
        let mut find =
            |snapshot: &PlaneSnapshot, now| complaints.find(&rack, std::slice::from_ref(snapshot), SECOND * now);
        assert_eq!(find(&snapshot, 1), []);

        snapshot.inputs[1].receive_buffer = 212_992;
        snapshot.inputs[0].dropped = 7;
        snapshot.outputs[0][0].unreachable = 3;
        snapshot.outputs[0][0].busy = 1;
        let texts: Vec<_> = find(&snapshot, 2).iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[0].contains("news/main") && texts[0].contains("dropped 7"), "{texts:?}");
        assert!(texts[1].contains("news/backup") && texts[1].contains("net.core.rmem_max=4194304"), "{texts:?}");
        assert!(texts[2].contains("udp://127.0.0.1:5002: 1 because the send buffer"), "{texts:?}");

        snapshot.inputs[0].dropped = 9;
        let silent = find(&snapshot, 5);
        assert!(matches!(&silent[..], [Complaint::Silent { input, .. }] if input.name == "backup"), "{silent:?}");
        assert_eq!(find(&snapshot, 6), []);
        let later = find(&snapshot, 63);
        assert!(matches!(&later[..], [Complaint::KernelDrops { count: 2, .. }]), "{later:?}");
    }
}
