//! Taking an input: the command handed over, and seen in the state of the channel.

use std::time::Duration;

use tokio::time::{interval, timeout};

use crate::engine::{Command, InputState};
use crate::plane::PlaneSnapshot;
use crate::units::{ChannelId, InputId};

use super::rack::Rack;
use super::view::ChannelView;

/// How long a take may go unseen before the answer is that it was not done.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How often the snapshot is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// Why an input was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such channel.
    #[error("there is no channel `{name}`; there are: {}", channels.join(", "))]
    NoSuchChannel {
        /// What was asked for.
        name: String,
        /// What there is.
        channels: Vec<String>,
    },
    /// The channel has no such input.
    #[error("channel `{channel}` has no input `{name}`; it has: {}", inputs.join(", "))]
    NoSuchInput {
        /// Of which channel.
        channel: String,
        /// What was asked for.
        name: String,
        /// What there is.
        inputs: Vec<String>,
    },
    /// Somebody made it unavailable.
    #[error("input `{input}` of channel `{channel}` is disabled: enable it before it is taken")]
    Disabled {
        /// Of which channel.
        channel: String,
        /// Which input.
        input: String,
    },
    /// Somebody holds the channel on another input.
    #[error("channel `{channel}` is held on `{held}`: release it before another input is taken")]
    Held {
        /// Which channel.
        channel: String,
        /// On which input.
        held: String,
    },
    /// The shard was told, and went on, but the channel did not change.
    #[error("input `{input}` was not put on air: its state is {}", why(state, input))]
    NotTaken {
        /// Which input.
        input: String,
        /// The channel as it is instead.
        state: Box<ChannelView>,
    },
    /// The shard has not yet taken the commands before this one.
    #[error("the shard of channel `{channel}` has too many commands waiting: try again in a moment")]
    QueueFull {
        /// Of which channel.
        channel: String,
    },
    /// The shard did not go on since the command was handed over.
    #[error("the shard of channel `{channel}` does not answer: the data plane stands still")]
    NoAnswer {
        /// Of which channel.
        channel: String,
    },
}

impl Refusal {
    /// There is no channel `name` in `rack`.
    pub fn no_such_channel(rack: &Rack, name: &str) -> Self {
        let channels = rack.channels().iter().map(|channel| channel.name.clone()).collect();
        Self::NoSuchChannel { name: name.to_owned(), channels }
    }
}

fn why(state: &ChannelView, input: &str) -> String {
    let Some(input) = state.inputs.iter().find(|it| it.name == input) else { return "unknown".to_owned() };
    if input.raised.is_empty() {
        input.state.to_owned()
    } else {
        format!("{} by {}", input.state, input.raised.join(", "))
    }
}

/// Puts `input` on air in `channel`, and gives the channel as it is once that is seen; taking the input that is on air
/// makes it stay there. A channel that has accepted it but waits for the input's first packet counts as done.
pub async fn take(rack: &Rack, channel: &str, input: &str) -> Result<ChannelView, Refusal> {
    let Some(channel) = rack.channel(channel) else { return Err(Refusal::no_such_channel(rack, channel)) };
    let Some(input) = channel.input_named(input) else {
        return Err(Refusal::NoSuchInput {
            channel: channel.name.clone(),
            name: input.to_owned(),
            inputs: channel.inputs.iter().map(|input| input.name.clone()).collect(),
        });
    };
    let before = rack.snapshot(channel.shard);
    if before.engine.inputs.get(input.id.index()).is_some_and(|state| state.state == InputState::Disabled) {
        return Err(Refusal::Disabled { channel: channel.name.clone(), input: input.name.clone() });
    }
    let held = before.engine.channels.get(channel.id.index()).and_then(|state| state.held);
    if let Some(held) = held.filter(|held| *held != input.id).and_then(|held| channel.input(held)) {
        return Err(Refusal::Held { channel: channel.name.clone(), held: held.name.clone() });
    }
    if !rack.command(channel.shard, Command::Take(input.id)) {
        return Err(Refusal::QueueFull { channel: channel.name.clone() });
    }
    // The choice is seen before the first packet of the new input has left, which is when the switch is counted.
    let first = Sight::of(&before, channel.id, input.id);
    let mut often = interval(LOOK);
    let seen = async {
        loop {
            often.tick().await;
            let look = |snapshot: &PlaneSnapshot| Sight::of(snapshot, channel.id, input.id);
            let seen = rack.look(channel.shard, look).unwrap_or_default();
            if seen.active && seen.taken && (first.active || seen.switches > first.switches) {
                return;
            }
        }
    };
    let _ = timeout(PATIENCE, seen).await;
    let after = rack.snapshot(channel.shard);
    let state = ChannelView::of(rack, channel, &after);
    let seen = Sight::of(&after, channel.id, input.id);
    if seen.active || seen.taken {
        Ok(state)
    } else if after.rounds == before.rounds {
        Err(Refusal::NoAnswer { channel: channel.name.clone() })
    } else {
        Err(Refusal::NotTaken { input: input.name.clone(), state: Box::new(state) })
    }
}

/// What of a take can be seen.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    active: bool,
    taken: bool,
    switches: u64,
}

impl Sight {
    fn of(snapshot: &PlaneSnapshot, channel: ChannelId, input: InputId) -> Self {
        let state = snapshot.engine.channels.get(channel.index()).copied().unwrap_or_default();
        Self { active: state.active == Some(input), taken: state.taken == Some(input), switches: state.switches }
    }
}
