//! `changeover demo`: see it work.

use std::io;

use changeover::demo::{self, DemoError, Options};
use changeover::units::Span;
use console::Term;

use super::Status;
use super::output::{complain, print};
use super::stop;

/// See it work, with nothing but this machine
///
/// Two feeds of one programme are made and sent over multicast on the loopback interface, the backup 40 ms behind the
/// main. A channel switches between them while the main is damaged in one way after another: silence, lost packets, no
/// video, broken continuity counters. What leaves the channel is received again and judged, packet by packet: that it
/// is whole, and what each switch cost.
///
/// It needs no configuration, file or privilege. It ends with status 0 when the output stayed clean, 1 when it did not,
/// and 69 when multicast is not possible here.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  changeover demo                      until Ctrl-C
  changeover demo --seconds 30         and what came of it
  changeover demo --srt                the backup comes by SRT over a path that loses
  changeover demo --print-config       the configuration that it runs")]
pub(super) struct Arguments {
    /// End after so many seconds, and after the channel has returned from the last fault
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=604_800))]
    seconds: Option<u32>,
    /// The backup comes by SRT, from a second channel, over a path that loses 3 % of all datagrams and takes 10 ms each way
    #[arg(long)]
    srt: bool,
    /// Print the configuration of such a demonstration, and do nothing else
    #[arg(long)]
    print_config: bool,
}

pub(super) fn demo(arguments: &Arguments) -> Status {
    if arguments.print_config {
        return match demo::configuration(arguments.srt) {
            Ok(text) => print(&text).err().unwrap_or(Status::Done),
            Err(error) => unavailable(&error),
        };
    }
    let stop = match stop::on_signal() {
        Ok(stop) => stop,
        Err(error) => return unavailable(&DemoError::System { what: "signals", error }),
    };
    let terminal = Term::stdout();
    let (lines, columns) = terminal.size();
    let (lines, columns) = (usize::from(lines), usize::from(columns));
    let has_room = terminal.is_term() && columns >= demo::WIDTH && lines > demo::LINES + 1;
    let options = Options {
        lasts: arguments.seconds.map(Span::from_secs),
        terminal: has_room.then_some(lines),
        srt: arguments.srt,
        colours: terminal.is_term() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    match demo::run(&options, &|| stop.is_set(), &mut io::stdout().lock()) {
        Ok(summary) => {
            let said = print(&summary.to_string());
            match said {
                Ok(()) if summary.is_clean() => Status::Done,
                Ok(()) => Status::No,
                Err(status) => status,
            }
        }
        Err(error) => unavailable(&error),
    }
}

fn unavailable(error: &DemoError) -> Status {
    complain(format_args!("changeover: {error}"));
    Status::Unavailable
}
