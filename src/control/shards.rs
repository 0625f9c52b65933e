//! Which channel runs on which shard.
//!
//! A shard owns all that a channel is made of. Every channel has inputs of its own, so each is a connected component
//! by itself and may run anywhere: they are spread over as many shards as there are CPUs to run them on, the heavy
//! ones first, so that no shard has much more to receive and send than another.

use std::cmp::Reverse;

use crate::config::{ChannelPlan, Plan};
use crate::engine::Setup;
use crate::plane::ShardSetup;
use crate::units::ChannelId;

/// What one shard is to run.
#[derive(Debug)]
pub struct Share {
    /// What the plane is told.
    pub setup: ShardSetup,
    /// The places of its channels in the plan, in the order of the setup.
    pub channels: Vec<usize>,
}

/// Where a channel of the plan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its place in the plan.
    pub channel: usize,
    /// Its number in its shard's engine.
    pub id: ChannelId,
}

impl Share {
    /// The channels of this shard, with their numbers there.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        (0u16..).map(ChannelId).zip(&self.channels).map(|(id, &channel)| Place { channel, id })
    }
}

/// Spreads the channels of `plan` over at most `cpus.len()` shards, one pinned to each CPU of `cpus`; a machine that
/// does not tell its CPUs, or that has one, gets one shard that runs wherever there is room.
pub fn spread(plan: &Plan, cpus: &[usize]) -> Vec<Share> {
    let count = cpus.len().min(plan.channels.len()).max(1);
    let mut order: Vec<usize> = (0..plan.channels.len()).collect();
    order.sort_by_key(|&channel| Reverse(weight(&plan.channels[channel])));
    let mut loads = vec![(0, Vec::new()); count];
    for channel in order {
        if let Some((load, channels)) = loads.iter_mut().min_by_key(|(load, _)| *load) {
            *load += weight(&plan.channels[channel]);
            channels.push(channel);
        }
    }
    loads
        .into_iter()
        .enumerate()
        .map(|(number, (_, mut channels))| {
            channels.sort_unstable();
            let of = |channel: &usize| &plan.channels[*channel];
            let setup = ShardSetup {
                name: format!("shard-{number}"),
                engine: Setup { channels: channels.iter().map(|channel| of(channel).setup.clone()).collect() },
                inputs: channels.iter().flat_map(|channel| of(channel).inputs.iter().cloned()).collect(),
                outputs: channels.iter().map(|channel| of(channel).outputs.clone()).collect(),
                cpu: if cpus.len() > 1 { cpus.get(number).copied() } else { None },
            };
            Share { setup, channels }
        })
        .collect()
}

/// What a channel costs to run: a datagram received is analysed, and so counts for more than one sent.
fn weight(channel: &ChannelPlan) -> usize {
    2 * channel.inputs.len() + channel.outputs.len()
}

/// The CPUs that this process may run on, from the text of `/proc/self/status` (proc(5), `Cpus_allowed_list`); none
/// where it does not say.
pub fn allowed_cpus(status: &str) -> Vec<usize> {
    let Some(list) = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")) else {
        return Vec::new();
    };
    let mut cpus = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cpus.extend((first..=last).take(MOST_CPUS));
        }
    }
    cpus
}

/// More CPUs than any machine that this runs on has.
const MOST_CPUS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ChannelSetup;

    fn plan(inputs: &[usize]) -> Plan {
        let channels = inputs
            .iter()
            .enumerate()
            .map(|(number, &count)| ChannelPlan {
                name: format!("channel-{number}"),
                inputs: (0..count)
                    .map(|input| crate::config::InputPlan {
                        name: format!("input-{input}"),
                        url: "udp://127.0.0.1:5000".into(),
                        address: ([127, 0, 0, 1], 5000).into(),
                        interface: None,
                        sources: Vec::new(),
                        receive_buffer: 1 << 20,
                        domain: None,
                        srt: None,
                    })
                    .collect(),
                outputs: Vec::new(),
                setup: ChannelSetup {
                    inputs: vec![crate::engine::InputSetup::default(); count],
                    ..ChannelSetup::default()
                },
            })
            .collect();
        Plan { node: Default::default(), api: None, channels }
    }

    #[test]
    fn every_channel_runs_on_one_shard_and_the_load_is_even() {
        let shares = spread(&plan(&[2, 2, 6, 2]), &[4, 5]);
        assert_eq!(shares.iter().map(|share| share.channels.clone()).collect::<Vec<_>>(), [vec![2], vec![0, 1, 3]]);
        assert_eq!(shares[0].setup.cpu, Some(4));
        assert_eq!(shares[1].setup.cpu, Some(5));
        assert_eq!(shares[1].setup.inputs.len(), 6);
        assert_eq!(shares[1].setup.engine.channels.len(), 3);
        assert_eq!(
            shares[1].places().collect::<Vec<_>>(),
            [(0, 0), (1, 1), (3, 2)].map(|(channel, id)| Place { channel, id: ChannelId(id) })
        );
    }

    #[test]
    fn there_are_no_more_shards_than_channels_or_cpus() {
        assert_eq!(spread(&plan(&[2]), &[0, 1, 2, 3]).len(), 1);
        assert_eq!(spread(&plan(&[2, 2, 2]), &[0, 1]).len(), 2);
        let alone = spread(&plan(&[2, 2, 2]), &[]);
        assert_eq!((alone.len(), alone[0].setup.cpu), (1, None));
    }

    #[test]
    fn the_list_of_cpus_is_read_as_the_kernel_writes_it() {
        assert_eq!(allowed_cpus("Name:\tx\nCpus_allowed_list:\t0-2,5,8-9\nMems:\t0\n"), [0, 1, 2, 5, 8, 9]);
        assert_eq!(allowed_cpus("Cpus_allowed_list:\t0\n"), [0]);
        assert!(allowed_cpus("").is_empty());
        assert_eq!(allowed_cpus("Cpus_allowed_list:\t0-18446744073709551615\n").len(), MOST_CPUS);
    }
}
