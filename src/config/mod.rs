//! The YAML file and what it means.
mod plan;
pub use plan::{ChannelPlan, InputPlan, Interface, NodePlan, OutputPlan, Plan};
