//! `changeover replay`: a capture through the switcher.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use changeover::replay::{self, ReplayError};

use super::Status;
use super::output::{complain, load};

/// Send a capture through the switcher: what would it have done?
///
/// The datagrams of one or several captures (pcap or pcapng; merged by time) go through the same engine that runs
/// live, at the times they were captured. The same captures give the same result, to the packet. A flow belongs to the
/// input whose URL has its destination address and port; 0.0.0.0 in a URL stands for any address.
///
/// The events go to the journal, one JSON object a line, `t` in seconds from the first datagram. A summary goes to
/// standard error: also which flows belong to no input, and which inputs have no flow.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  changeover replay changeover.yaml incident.pcapng
  changeover replay changeover.yaml main.pcap backup.pcap --journal events.jsonl --out output.pcapng
  changeover replay changeover.yaml incident.pcapng | grep '\"event\":\"switch\"'

A capture is made with, for example:
  tcpdump -i eth1 -s 0 -w incident.pcap udp and net 239.10.0.0/16")]
pub(super) struct Arguments {
    /// The configuration file
    config: PathBuf,
    /// The captures
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Write what leaves the outputs into this capture, pcapng
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the journal into this file instead of to standard output
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

pub(super) fn replay(arguments: &Arguments) -> Status {
    let plan = match load(&arguments.config) {
        Ok(plan) => plan,
        Err(status) => return status,
    };
    let mut journal = match journal(arguments.journal.as_deref()) {
        Ok(journal) => journal,
        Err(status) => return status,
    };
    let result = replay::replay(&plan, &arguments.captures, arguments.out.as_deref(), Some(&mut journal));
    let flushed = journal.flush();
    let result = result.and_then(|summary| flushed.map(|()| summary).map_err(ReplayError::Journal));
    match result {
        Ok(summary) => {
            complain(summary.to_string().trim_end());
            if summary.damage.is_empty() { Status::Done } else { Status::No }
        }
        // A reader that has seen enough.
        Err(ReplayError::Journal(error)) if error.kind() == ErrorKind::BrokenPipe => Status::Done,
        Err(error) => {
            complain(format_args!("changeover: {error}"));
            match error {
                ReplayError::Gap { .. } => Status::No,
                ReplayError::Capture(_) | ReplayError::Out { .. } | ReplayError::Journal(_) => Status::Unavailable,
            }
        }
    }
}

fn journal(path: Option<&Path>) -> Result<Box<dyn Write>, Status> {
    let Some(path) = path else { return Ok(Box::new(BufWriter::new(io::stdout().lock()))) };
    match File::create(path) {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(error) => {
            complain(format_args!("changeover: {}: {error}", path.display()));
            Err(Status::Unavailable)
        }
    }
}
