//! `changeover check`: whether a configuration is right, and what it means.

use std::path::PathBuf;

use changeover::config;

use super::Status;
use super::output::{complain, load, print};

/// Check a configuration, without opening a socket
///
/// Everything that is wrong is told at once, each with its line and column, and with what to write instead. Files
/// that it names are read, and nothing is opened or joined: whether an interface is there and an address is free shows when it runs.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  changeover check changeover.yaml             silent but for one line when it is right, status 78 when not
  changeover check changeover.yaml --explain   what it means, with every default filled in")]
pub(super) struct Arguments {
    /// The configuration file
    config: PathBuf,
    /// Say what the configuration means, with every default filled in
    #[arg(long)]
    explain: bool,
}

pub(super) fn check(arguments: &Arguments) -> Status {
    let path = &arguments.config;
    let plan = match load(path) {
        Ok(plan) => plan,
        Err(status) => return status,
    };
    if arguments.explain {
        return print(&config::explain(&plan)).err().unwrap_or(Status::Done);
    }
    let inputs: usize = plan.channels.iter().map(|channel| channel.inputs.len()).sum();
    let outputs: usize = plan.channels.iter().map(|channel| channel.outputs.len()).sum();
    complain(format_args!(
        "{}: right, {} with {} and {}",
        path.display(),
        count(plan.channels.len(), "channel"),
        count(inputs, "input"),
        count(outputs, "output")
    ));
    Status::Done
}

/// `1 channel`, `2 channels`.
fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
