//! The shards that run, by the names of the configuration: what the HTTP API and the supervisor share.

use std::net::{IpAddr, SocketAddr};

use parking_lot::Mutex;

use crate::config::{Interface, NodePlan, OutputPlan, Plan, Role};
use crate::engine::Command;
use crate::plane::{self, End, Full, PlaneSnapshot};
use crate::units::{ChannelId, InputId};

use super::shards::Share;
use super::srt::Known;

/// What control does to a shard: it gives commands, and reads the newest snapshot. Neither waits.
pub trait Crossings: Send {
    /// Hands a command over.
    ///
    /// # Errors
    /// [`Full`] gives the command back when the shard has not yet taken the ones before.
    fn command(&mut self, command: plane::Command) -> Result<(), Full>;
    /// The newest snapshot.
    fn snapshot(&mut self) -> &PlaneSnapshot;
    /// Has the shard end, however many commands wait.
    fn stop(&mut self);
}

/// All shards of a process, and what runs on them.
pub struct Rack {
    node: NodePlan,
    channels: Vec<Channel>,
    shards: Vec<Shard>,
    known: Known,
}

/// One shard.
struct Shard {
    name: String,
    crossings: Mutex<Box<dyn Crossings>>,
}

/// A channel by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name in the configuration.
    pub name: String,
    /// The shard that it runs on.
    pub shard: usize,
    /// Its number there.
    pub id: ChannelId,
    /// Its inputs, in the order of the configuration.
    pub inputs: Vec<Input>,
    /// Its outputs, in the order of the configuration.
    pub outputs: Vec<Output>,
}

/// An output by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its URL in the configuration.
    pub url: String,
    /// The interface it is sent from, as configured.
    pub interface: Option<String>,
    /// What it is called where it has to be told from all others of its channel: its URL, with a number from the
    /// second of the same URL on.
    pub label: String,
}

/// An input by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name in the configuration.
    pub name: String,
    /// Its URL in the configuration.
    pub url: String,
    /// The group, or the address it is bound to.
    pub address: SocketAddr,
    /// The only senders that are let in; none for any.
    pub sources: Vec<IpAddr>,
    /// Its failure domain.
    pub domain: Option<String>,
    /// The interface it is joined on, as configured.
    pub interface: Option<String>,
    /// Its number on the channel's shard.
    pub id: InputId,
    /// The receive buffer that was asked for, in bytes.
    pub receive_buffer: usize,
    /// Who calls, if it comes by SRT.
    pub srt: Option<Role>,
}

impl Channel {
    /// Its input of that number on its shard.
    pub fn input(&self, id: InputId) -> Option<&Input> {
        self.inputs.iter().find(|input| input.id == id)
    }

    /// Its input of that name.
    pub fn input_named(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }
}

impl std::fmt::Debug for Rack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rack").field("node", &self.node).field("channels", &self.channels).finish_non_exhaustive()
    }
}

fn interface(interface: Option<&Interface>) -> Option<String> {
    interface.map(|interface| match interface {
        Interface::Name(name) => name.clone(),
        Interface::Address(address) => address.to_string(),
    })
}

fn outputs(plans: &[OutputPlan]) -> Vec<Output> {
    let output = |(place, plan): (usize, &OutputPlan)| {
        let before = plans.iter().take(place).filter(|other| other.url == plan.url).count();
        let label = if before == 0 { plan.url.clone() } else { format!("{} ({})", plan.url, before + 1) };
        Output { url: plan.url.clone(), interface: interface(plan.interface.as_ref()), label }
    };
    plans.iter().enumerate().map(output).collect()
}

impl Rack {
    /// The channels of `plan` where `shares` put them, and the crossings to each of these shards.
    pub fn new(plan: &Plan, shares: Vec<(Share, Box<dyn Crossings>)>) -> Self {
        let mut channels = Vec::with_capacity(plan.channels.len());
        for (shard, (share, _)) in shares.iter().enumerate() {
            let mut ids = (0u16..).map(InputId);
            for place in share.places() {
                let Some(of) = plan.channels.get(place.channel) else { continue };
                let inputs = of.inputs.iter().zip(&mut ids).map(|(input, id)| Input {
                    name: input.name.clone(),
                    url: input.url.clone(),
                    address: input.address,
                    sources: input.sources.clone(),
                    domain: input.domain.clone(),
                    interface: interface(input.interface.as_ref()),
                    id,
                    receive_buffer: input.srt.as_ref().map_or(input.receive_buffer, |srt| srt.buffer),
                    srt: input.srt.as_ref().map(|srt| srt.role),
                });
                let channel = Channel {
                    name: of.name.clone(),
                    shard,
                    id: place.id,
                    inputs: inputs.collect(),
                    outputs: outputs(&of.outputs),
                };
                channels.push((place.channel, channel));
            }
        }
        channels.sort_by_key(|(place, _)| *place);
        Self {
            node: plan.node.clone(),
            channels: channels.into_iter().map(|(_, channel)| channel).collect(),
            shards: shares
                .into_iter()
                .map(|(share, crossings)| Shard { name: share.setup.name, crossings: Mutex::new(crossings) })
                .collect(),
            known: Known::default(),
        }
    }

    /// The stream ids of those who are connected by SRT.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The names of an input or output of a shard: its channel, and its name or its label.
    pub fn end(&self, shard: usize, end: End) -> Option<(&str, Option<&str>, Option<&str>)> {
        match end {
            End::Input(id) => {
                let channels = self.channels.iter().filter(|channel| channel.shard == shard);
                let mut found = channels.filter_map(|channel| Some((channel, channel.input(id)?)));
                found.next().map(|(channel, input)| (channel.name.as_str(), Some(input.name.as_str()), None))
            }
            End::Output { channel, index } => {
                let channel = self.channel_at(shard, channel)?;
                Some((&channel.name, None, channel.outputs.get(index).map(|output| output.label.as_str())))
            }
        }
    }

    /// This box.
    pub fn node(&self) -> &NodePlan {
        &self.node
    }

    /// The channels, in the order of the configuration.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The channel of that name.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// The channel of that number on a shard.
    pub fn channel_at(&self, shard: usize, id: ChannelId) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.shard == shard && channel.id == id)
    }

    /// The names of the shards.
    pub fn shards(&self) -> impl Iterator<Item = &str> {
        self.shards.iter().map(|shard| shard.name.as_str())
    }

    /// The newest snapshot of a shard; an empty one for a shard that there is not.
    pub fn snapshot(&self, shard: usize) -> PlaneSnapshot {
        self.look(shard, PlaneSnapshot::clone).unwrap_or_default()
    }

    /// What `look` finds in the newest snapshot of a shard; none for a shard that there is not. The shard's handle is
    /// locked meanwhile, against others of control only.
    pub fn look<T>(&self, shard: usize, look: impl FnOnce(&PlaneSnapshot) -> T) -> Option<T> {
        self.shards.get(shard).map(|shard| look(shard.crossings.lock().snapshot()))
    }

    /// The newest snapshots of all shards, in their order.
    pub fn snapshots(&self) -> Vec<PlaneSnapshot> {
        self.shards.iter().map(|shard| shard.crossings.lock().snapshot().clone()).collect()
    }

    /// Hands a command to a shard's engine; false when its queue is full.
    pub fn command(&self, shard: usize, command: Command) -> bool {
        self.hand_over(shard, plane::Command::Engine(command)).is_ok()
    }

    /// Hands a command to a shard.
    ///
    /// # Errors
    /// [`Full`] gives the command back when the shard has not yet taken the ones before, or there is no such shard.
    pub fn hand_over(&self, shard: usize, command: plane::Command) -> Result<(), Full> {
        match self.shards.get(shard) {
            Some(shard) => shard.crossings.lock().command(command),
            None => Err(Full(command)),
        }
    }

    /// Has every shard end.
    pub fn stop(&self) {
        for shard in &self.shards {
            shard.crossings.lock().stop();
        }
    }

    /// What `url` is, by its names: `news/main (rtp://239.10.1.1:5004 on eth1)`. Several where several have it.
    pub fn whose(&self, url: &str) -> String {
        let place = |interface: Option<&str>| match interface {
            Some(interface) => format!("{url} on {interface}"),
            None => url.to_owned(),
        };
        let mut names = Vec::new();
        for Channel { name: channel, inputs, outputs, .. } in &self.channels {
            for Input { name, interface, .. } in inputs.iter().filter(|input| input.url == url) {
                names.push(format!("{channel}/{name} ({})", place(interface.as_deref())));
            }
            for Output { interface, .. } in outputs.iter().filter(|output| output.url == url) {
                names.push(format!("{channel}, an output ({})", place(interface.as_deref())));
            }
        }
        names.join(", ")
    }
}
