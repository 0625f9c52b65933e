//! SRT inputs and outputs as control tells of them: what happens to their connections in the log, and how they stand in
//! the API and the metrics.
//!
//! No passphrase comes this far: events and figures of the data plane have none.

pub(super) mod families;
mod known;
mod told;
mod view;

pub use known::Known;
pub use told::Told;
pub use view::{ConnectionView, SrtView};

use crate::config::{Backend, Plan, SrtPlan};
use crate::plane::libsrt_version;

/// By which backend the SRT of `plan` goes, and why; nothing where there is no SRT in it. To be told once, at the start.
pub fn backends(plan: &Plan) -> Vec<String> {
    let inputs = plan.channels.iter().flat_map(|channel| &channel.inputs).filter_map(|input| input.srt.as_ref());
    let outputs = plan.channels.iter().flat_map(|channel| &channel.outputs).filter_map(|output| output.srt.as_ref());
    let all: Vec<&SrtPlan> = inputs.chain(outputs).collect();
    let asks = |backend| all.iter().any(|srt| srt.backend == backend);
    let mut lines = Vec::new();
    if asks(Backend::Auto) {
        lines.push(match libsrt_version() {
            Ok(version) => {
                format!("SRT goes by libsrt {version}, which is installed, where the configuration names no backend")
            }
            Err(why) => format!("SRT goes by the built-in rsrt where the configuration names no backend: {why}"),
        });
    }
    if asks(Backend::Libsrt) {
        let version = libsrt_version().unwrap_or_else(|why| why);
        lines.push(format!("SRT goes by libsrt {version} where the configuration names it"));
    }
    if asks(Backend::Rsrt) {
        lines.push("SRT goes by the built-in rsrt where the configuration names it".to_owned());
    }
    lines
}
