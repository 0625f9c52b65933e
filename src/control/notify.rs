//! What the service manager is told (sd_notify(3)). Without one, nothing is.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::health::CriterionSet;
use crate::plane::PlaneSnapshot;

use super::rack::Rack;

/// Tells `states`. A service manager that cannot be reached is no reason to stop, and there is nobody else to tell.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

/// Everything is open and runs.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The end has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// How things stand, in a line.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Everything moves on. To be told at least twice in [`watchdog_period`].
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The time without [`alive`] after which the service manager starts the process again; none when it does not watch.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|period| !period.is_zero())
}

/// How things stand, in a line: `2 channels on air; 3 of 4 inputs healthy; not on air: sport`.
pub fn summary(rack: &Rack, snapshots: &[PlaneSnapshot]) -> String {
    const NAMED: usize = 3;
    let (mut on_air, mut inputs, mut healthy, mut off) = (0_usize, 0_usize, 0_usize, Vec::new());
    for channel in rack.channels() {
        let Some(engine) = snapshots.get(channel.shard).map(|snapshot| &snapshot.engine) else { continue };
        let state = engine.channels.get(channel.id.index()).copied().unwrap_or_default();
        if state.active.is_some() && !state.muted {
            on_air += 1;
        } else {
            off.push(channel.name.as_str());
        }
        inputs += channel.inputs.len();
        let states = channel.inputs.iter().filter_map(|input| engine.inputs.get(input.id.index()));
        healthy += states.filter(|state| state.raised == CriterionSet::EMPTY && state.last_arrival.is_some()).count();
    }
    let mut text = format!("{on_air} of {} channels on air; {healthy} of {inputs} inputs healthy", on_air + off.len());
    if !off.is_empty() {
        text.push_str("; not on air: ");
        text.push_str(&off[..off.len().min(NAMED)].join(", "));
        if off.len() > NAMED {
            text.push_str(&format!(" and {} more", off.len() - NAMED));
        }
    }
    text
}

/// Whether every shard has moved on.
#[derive(Debug, Default)]
pub struct Pulse {
    rounds: Vec<u64>,
}

impl Pulse {
    /// Whether each of `snapshots` has more rounds than when this was last true.
    pub fn beats(&mut self, snapshots: &[PlaneSnapshot]) -> bool {
        let rounds = snapshots.iter().map(|snapshot| snapshot.rounds);
        let before = self.rounds.iter().map(|rounds| Some(*rounds)).chain(std::iter::repeat(None));
        let beats = rounds.clone().zip(before).all(|(now, before)| before.is_none_or(|before| now > before));
        if beats {
            self.rounds = rounds.collect();
        }
        beats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_that_stands_still_stops_the_pulse() {
        let shard = |rounds| PlaneSnapshot { rounds, ..PlaneSnapshot::default() };
        let mut pulse = Pulse::default();
        assert!(pulse.beats(&[shard(1), shard(1)]));
        assert!(pulse.beats(&[shard(2), shard(5)]));
        assert!(!pulse.beats(&[shard(3), shard(5)]));
        assert!(!pulse.beats(&[shard(9), shard(5)]));
        assert!(pulse.beats(&[shard(9), shard(6)]));
    }
}
