//! Feeds that have nothing in common, sent one after the other: what leaves is one stream.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, unreachable_pub, dead_code)]

mod counting;
#[path = "remux/hostile.rs"]
mod hostile;
#[path = "remux/layout.rs"]
mod layout;
#[path = "remux/rig.rs"]
mod rig;
#[path = "remux/synth.rs"]
mod synth;
#[path = "remux/times.rs"]
mod times;
