//! `changeover run`: the switcher itself.

use std::path::PathBuf;

use changeover::control::{log, supervisor};

use super::Status;
use super::output::{complain, load};

/// Run the channels of a configuration, until SIGTERM or SIGINT (Ctrl-C)
///
/// All sockets are opened before anything starts: when one cannot be had, nothing runs, and the message says which one
/// and why. A service manager is told when they are open (sd_notify(3)).
///
/// The log goes to standard error: lines at a terminal, fields when that is systemd's journal, JSON otherwise. What
/// happens in the channels is in it, each event in words and as JSON.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  changeover run changeover.yaml
  changeover run changeover.yaml --log debug
  CHANGEOVER_LOG=warn changeover run changeover.yaml
  curl http://127.0.0.1:8080/metrics
  curl -X POST http://127.0.0.1:8080/api/v1/channels/news/take \\
       -H 'Content-Type: application/json' -d '{\"input\": \"backup\"}'")]
pub(super) struct Arguments {
    /// The configuration file
    config: PathBuf,
    /// What to log: error, warn, info, debug or trace, also by part of the program, `warn,changeover::control=debug`
    ///
    /// Without it the environment variable CHANGEOVER_LOG counts, and without that `info`.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Status {
    if let Err(error) = log::start(arguments.log.as_deref()) {
        complain(format_args!("changeover: {error}"));
        return Status::Usage;
    }
    let plan = match load(&arguments.config) {
        Ok(plan) => plan,
        Err(status) => return status,
    };
    match supervisor::run(&plan) {
        Ok(()) => Status::Done,
        Err(error) => {
            // Into the log where there is one, so that whatever collects it reads no line of another form.
            if tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!("{error}");
            } else {
                complain(format_args!("changeover: {error}"));
            }
            Status::Unavailable
        }
    }
}
